//! Retention: deletes the detail of old runs and old events of projects. Run summaries stay.

use rusqlite::{Connection, OptionalExtension, params};
use signalbox_model::{ProjectId, UnixMillis};

use crate::{StoreError, blob::Blobs, schema};

/// What to keep.
#[derive(Debug, Clone, Default)]
pub struct RetentionPolicy {
    /// Of which project; none: of all.
    pub project: Option<ProjectId>,
    /// Delete the detail (logs) of runs that ended longer ago than this, and project events older than it, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// Delete the detail of the oldest ended runs until each project's events hold at most this many bytes.
    pub max_bytes: Option<u64>,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Events.
    pub events: u64,
    /// Blobs that nothing refers to any more.
    pub blobs: u64,
}

pub(crate) const NEWEST: &str = "SELECT ts FROM events WHERE room = ?1 ORDER BY seq DESC LIMIT 1";
pub(crate) const OLDEST: &str = "SELECT seq, ts FROM events WHERE room = ?1 ORDER BY seq LIMIT ?2";

pub(crate) const OLD_KEYS: &str =
    "DELETE FROM keys WHERE (member, key) IN (SELECT member, key FROM keys WHERE ts < ?1 LIMIT ?2)";

/// Events, or keys, deleted in one transaction: bounds how long appends wait, and the memory that it takes.
const SLICE: u64 = 2_000;

/// Every room must be settled: the newest event of one may be among those that go.
pub(crate) fn apply(
    db: &mut Connection,
    blobs: &Blobs,
    policy: &RetentionPolicy,
    now: UnixMillis,
) -> Result<Retained, StoreError> {
    let mut done = Retained::default();
    // Keys are only for callers that try again soon.
    let old = now - 24 * 3600 * 1000;
    while db.prepare_cached(OLD_KEYS)?.execute(params![old, SLICE])? > 0 {}
    let project = policy.project.as_ref().map(ProjectId::as_str);
    if let Some(age) = policy.max_age_ms {
        let oldest = now.saturating_sub_unsigned(age);
        for (room, _) in ended_run_rooms(db, project)? {
            let newest: Option<i64> = db.prepare_cached(NEWEST)?.query_row([room], |row| row.get(0)).optional()?;
            if newest.is_some_and(|ts| ts < oldest) {
                trim(db, blobs, room, None, &mut done)?;
            }
        }
        let rooms: Vec<i64> = {
            let mut statement =
                db.prepare("SELECT id FROM rooms WHERE name NOT LIKE 'run/%' AND (?1 IS NULL OR project = ?1)")?;
            statement.query_map([project], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for room in rooms {
            trim(db, blobs, room, Some(oldest), &mut done)?;
        }
    }
    if let Some(limit) = policy.max_bytes {
        let mut used = std::collections::HashMap::<String, u64>::new();
        {
            let mut statement = db.prepare(
                "SELECT r.project, sum(length(e.data)) FROM events e JOIN rooms r ON r.id = e.room
                 WHERE r.project IS NOT NULL AND (?1 IS NULL OR r.project = ?1) GROUP BY r.project",
            )?;
            let mut rows = statement.query([project])?;
            while let Some(row) = rows.next()? {
                used.insert(row.get(0)?, row.get(1)?);
            }
        }
        for (room, of) in ended_run_rooms(db, project)? {
            let Some(used) = used.get_mut(&of).filter(|used| **used > limit) else { continue };
            let size: Option<u64> =
                db.query_row("SELECT sum(length(data)) FROM events WHERE room = ?1", [room], |row| row.get(0))?;
            trim(db, blobs, room, None, &mut done)?;
            *used = used.saturating_sub(size.unwrap_or(0));
        }
    }
    Ok(done)
}

/// Rooms of runs that ended, the oldest first, with their project.
fn ended_run_rooms(db: &Connection, project: Option<&str>) -> Result<Vec<(i64, String)>, StoreError> {
    let mut statement = db.prepare(
        "SELECT rooms.id, runs.project FROM rooms JOIN runs ON rooms.name = 'run/' || runs.id
         WHERE runs.status = 'done' AND rooms.head > rooms.floor AND (?1 IS NULL OR runs.project = ?1) ORDER BY rooms.id",
    )?;
    Ok(statement.query_map([project], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Deletes the room's events, or those before `older_than`, oldest first; records how far in `floor`.
fn trim(
    db: &mut Connection,
    blobs: &Blobs,
    room: i64,
    older_than: Option<UnixMillis>,
    done: &mut Retained,
) -> Result<(), StoreError> {
    loop {
        let transaction = db.transaction()?;
        // The oldest of the room, and of these the old ones: to look for more would be to look at every event it has.
        let seqs: Vec<u64> = {
            let mut statement = transaction.prepare_cached(OLDEST)?;
            let rows = statement.query_map(params![room, SLICE], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows: Vec<(u64, UnixMillis)> = rows.collect::<Result<_, _>>()?;
            rows.into_iter().filter(|(_, ts)| older_than.is_none_or(|old| *ts < old)).map(|(seq, _)| seq).collect()
        };
        let Some(last) = seqs.last() else { return Ok(()) };
        let mut unused = Vec::new();
        for seq in &seqs {
            let hashes: Vec<String> = transaction
                .prepare_cached("SELECT hash FROM blob_refs WHERE seq = ?1")?
                .query_map([seq], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            transaction.prepare_cached("DELETE FROM blob_refs WHERE seq = ?1")?.execute([seq])?;
            for hash in hashes {
                let left: bool = transaction
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM blob_refs WHERE hash = ?1)")?
                    .query_row([&hash], |row| row.get(0))?;
                if !left {
                    unused.push(hash);
                }
            }
            transaction
                .prepare_cached(
                    "DELETE FROM chunks WHERE seq = ?1 AND run = (SELECT run FROM events WHERE seq = ?1)
                     AND step = (SELECT json_extract(data, '$.step') FROM events WHERE seq = ?1 AND type = 'log')",
                )?
                .execute([seq])?;
            transaction.prepare_cached("DELETE FROM file_diffs WHERE seq = ?1")?.execute([seq])?;
            transaction.prepare_cached("DELETE FROM search WHERE rowid = ?1")?.execute([seq])?;
            transaction.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([seq])?;
        }
        transaction.execute("UPDATE rooms SET floor = ?2 WHERE id = ?1", params![room, last])?;
        schema::deleted(&transaction, *last)?;
        transaction.commit()?;
        done.events += seqs.len() as u64;
        // After the commit: a file without a reference is waste, a reference without a file is a loss.
        for hash in unused {
            blobs.remove(&hash)?;
            done.blobs += 1;
        }
    }
}
