//! The database: tables, migrations, and what a new connection needs.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use signalbox_model::Epoch;

use crate::{Durability, StoreError};

/// Each entry brings the schema from its index to the next version. Only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
];

/// The newest schema that this version knows.
#[expect(clippy::cast_possible_truncation, reason = "a handful of migrations")]
pub(crate) const KNOWN: u32 = MIGRATIONS.len() as u32;

pub(crate) fn prepare(db: &mut Connection, path: &Path, durability: Durability) -> Result<(), StoreError> {
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > KNOWN {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: KNOWN });
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", durability.synchronous())?;
    stable_plans(db)?;
    // 16 MiB: the tables that every commit touches stay in memory.
    db.pragma_update(None, "cache_size", -16_384)?;
    db.set_prepared_statement_cache_capacity(64);
    if found < KNOWN {
        // All of it or nothing: whoever opens the log next is one version or the other.
        let transaction = db.transaction()?;
        for migration in &MIGRATIONS[found as usize..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", KNOWN)?;
        transaction.commit()?;
    }
    // From here on transactions are small, and nothing of one is to be written before its end (`wal::gather`).
    db.pragma_update(None, "cache_spill", false)?;
    Ok(())
}

/// Refuses a database file that lost its end (<https://www.sqlite.org/fileformat2.html>, section 1.3): SQLite itself takes
/// a part of a page for the page, with zeros where the rest was.
pub(crate) fn check_length(path: &Path) -> Result<(), StoreError> {
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let Ok(mut file) = std::fs::File::open(path) else { return Ok(()) };
    let mut head = [0; 100];
    let length = file.metadata()?.len();
    // What the write-ahead log holds is not yet in its place.
    let waiting = std::fs::metadata(path.with_extension("db-wal")).is_ok_and(|wal| wal.len() > 0);
    if waiting || std::io::Read::read_exact(&mut file, &mut head).is_err() || !head.starts_with(b"SQLite format 3\0") {
        return Ok(());
    }
    let page = match number(&head[16..18]) {
        1 => 65_536,
        size => size,
    };
    // The number of pages is good if it was written with the last change.
    let pages = if head[24..28] == head[92..96] { number(&head[28..32]) } else { 0 };
    if length % page.max(1) != 0 || length < pages * page {
        let text = format!("{} is {length} bytes long, {pages} pages of {page} bytes are missing some", path.display());
        return Err(StoreError::Damaged(text));
    }
    Ok(())
}

/// Plans follow from a statement's text alone. Otherwise SQLite compiles a statement anew when a value is bound that it could
/// hold against the condition of a partial index (<https://www.sqlite.org/c3ref/c_dbconfig_defensive.html>,
/// `SQLITE_DBCONFIG_ENABLE_QPSG`), which costs more than what most statements do.
fn stable_plans(db: &Connection) -> Result<(), StoreError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

pub(crate) fn prepare_reader(db: &Connection) -> Result<(), StoreError> {
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "query_only", true)?;
    stable_plans(db)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Makes the tables in an empty database in memory: for comparing projections.
pub(crate) fn in_memory() -> Result<Connection, StoreError> {
    let db = Connection::open_in_memory()?;
    stable_plans(&db)?;
    for migration in MIGRATIONS {
        db.execute_batch(migration)?;
    }
    Ok(db)
}

pub(crate) const HEAD: &str = "SELECT max(coalesce((SELECT max(seq) FROM events), 0),
            coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'deleted'), 0))";

pub(crate) fn head(db: &Connection) -> Result<u64, StoreError> {
    // Retention may have taken the newest event.
    Ok(db.prepare_cached(HEAD)?.query_row([], |row| row.get(0))?)
}

/// Remembers that retention deleted events up to this one, not necessarily all of them.
pub(crate) fn deleted(db: &Connection, seq: u64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO meta(key, value) VALUES ('deleted', CAST(?1 AS TEXT)) ON CONFLICT(key)
         DO UPDATE SET value = CAST(max(CAST(value AS INTEGER), ?1) AS TEXT)",
    )?
    .execute([seq])?;
    Ok(())
}

/// The `head` of a room whose newest event is to be looked up: it got events since the rooms were last settled.
pub(crate) const LIVE: u64 = signalbox_model::Cursor::MAX_SEQ;

/// Says in each live room's row which event is its newest.
pub(crate) fn settle(db: &Connection) -> Result<(), StoreError> {
    db.prepare_cached(SETTLE)?.execute([])?;
    Ok(())
}

pub(crate) const SETTLE: &str = "UPDATE rooms SET head = (SELECT head FROM room_heads AS now WHERE now.id = rooms.id)
     WHERE head = 9007199254740991";

pub(crate) fn epoch(db: &Connection) -> Result<Option<Epoch>, StoreError> {
    let text: Option<String> =
        db.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0)).optional()?;
    text.map(|text| Epoch::new(text).map_err(|error| StoreError::Row(error.to_string()))).transpose()
}

/// What [`crate::identity`] said of the database's file when the epoch was given.
pub(crate) fn identity(db: &Connection) -> Result<Option<String>, StoreError> {
    Ok(db.query_row("SELECT value FROM meta WHERE key = 'file'", [], |row| row.get(0)).optional()?)
}

pub(crate) fn remember_identity(db: &Connection, identity: &str) -> Result<(), StoreError> {
    db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('file', ?1)", [identity])?;
    Ok(())
}

/// Gives the log a new epoch, as the file that it is now.
pub(crate) fn new_epoch(db: &mut Connection, identity: &str) -> Result<Epoch, StoreError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).map_err(|error| StoreError::Io(std::io::Error::other(error)))?;
    let text: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let transaction = db.transaction()?;
    transaction.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('epoch', ?1)", [&text])?;
    remember_identity(&transaction, identity)?;
    transaction.commit()?;
    Epoch::new(text).map_err(|error| StoreError::Row(error.to_string()))
}
