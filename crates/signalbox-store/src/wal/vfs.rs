//! A file system for SQLite (<https://www.sqlite.org/vfs.html>, "VFS shims") that is the system's own, but for the write-ahead
//! log, which it opens with [`Gathered`] in front.
//!
//! It is asked for by name: every other connection, in this process or another, has SQLite's own, and the two agree on
//! locks and shared memory, since those belong to the database's file, which is opened by SQLite's own for both.

use std::{
    ffi::{CStr, c_int, c_void},
    path::Path,
    ptr,
    sync::OnceLock,
};

use rusqlite::{
    Connection, OpenFlags,
    ffi::{self, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs},
};

use super::Gathered;

const NAME: &CStr = c"signalbox";

/// Opens the database for its writer.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name()?)
}

/// SQLite's own file system, and ours.
struct Shim {
    own: *mut sqlite3_vfs,
    /// What [`register`] said, in SQLite's numbers.
    registered: c_int,
}

// SAFETY: SQLite's own file system is there for as long as the process, and made to be used from all threads.
unsafe impl Send for Shim {}
// SAFETY: As above.
unsafe impl Sync for Shim {}

static SHIM: OnceLock<Shim> = OnceLock::new();

fn name() -> rusqlite::Result<&'static CStr> {
    match SHIM.get_or_init(register).registered {
        ffi::SQLITE_OK => Ok(NAME),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn register() -> Shim {
    // SAFETY: Asks for the default, which SQLite owns and never takes away by itself.
    let own = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if own.is_null() {
        return Shim { own, registered: ffi::SQLITE_ERROR };
    }
    // SAFETY: `own` is a valid table. All functions but the one replaced get what they need from the fields that are copied.
    let mut ours = unsafe { *own };
    ours.pNext = ptr::null_mut();
    ours.zName = NAME.as_ptr();
    ours.xOpen = Some(x_open);
    ours.szOsFile += c_int::try_from(size_of::<WalFile>()).unwrap_or(c_int::MAX);
    // SAFETY: The table is leaked, so that it stays for as long as SQLite may use it.
    let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0) };
    Shim { own, registered }
}

/// What SQLite takes for its open write-ahead log. The file as SQLite's own file system has it lies behind this.
#[repr(C)]
struct WalFile {
    base: sqlite3_file,
    gathered: *mut Gathered,
}

// So that the file behind it is aligned as SQLite aligns ours.
const _: () = assert!(size_of::<WalFile>().is_multiple_of(8));

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // The first version: what the later ones bring is for the database's file only.
    iVersion: 1,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_unlock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// The file behind ours.
///
/// # Safety
/// `file` is one that [`x_open`] opened as a [`WalFile`].
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite gave `szOsFile` bytes, which is this struct and what the file behind it needs.
    unsafe { file.cast::<WalFile>().add(1).cast() }
}

/// Calls a function of the file behind ours.
macro_rules! of_inner {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: The caller was called by SQLite with a file that `x_open` opened, and so is the file behind it: its table is
        // set, and the arguments are what SQLite gave for the same function.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$method {
                Some(method) => method(inner $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

/// Opens a file: the write-ahead log as ours, every other as SQLite's own file system does.
unsafe extern "C" fn x_open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let Some(shim) = SHIM.get() else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: `own` is SQLite's own table; it is called as SQLite would, with room for its file at `file`.
    let open = |file| match unsafe { (*shim.own).xOpen } {
        Some(open) => unsafe { open(shim.own, name, file, flags, out) },
        None => ffi::SQLITE_CANTOPEN,
    };
    if flags & ffi::SQLITE_OPEN_WAL == 0 {
        return open(file);
    }
    // SAFETY: There is room for both files at `file`, which is nobody else's until it is open.
    let behind = unsafe { inner(file) };
    // SAFETY: As above.
    unsafe { (*behind).pMethods = ptr::null() };
    let code = open(behind);
    // SAFETY: As above.
    if code != ffi::SQLITE_OK && !unsafe { (*behind).pMethods }.is_null() {
        of_inner!(file, xClose);
    }
    let ours = match code {
        ffi::SQLITE_OK => {
            WalFile { base: sqlite3_file { pMethods: &METHODS }, gathered: Box::into_raw(Box::default()) }
        }
        // Without a table there is nothing to close.
        _ => WalFile { base: sqlite3_file { pMethods: ptr::null() }, gathered: ptr::null_mut() },
    };
    // SAFETY: As above.
    unsafe { file.cast::<WalFile>().write(ours) };
    code
}

/// What is kept of this file. SQLite uses a file from one thread at a time.
///
/// # Safety
/// As of [`inner`]; and what was returned before is no longer used.
unsafe fn gathered<'a>(file: *mut sqlite3_file) -> &'a mut Gathered {
    // SAFETY: `x_open` set it, and `x_close` has not been called yet.
    unsafe { &mut *(*file.cast::<WalFile>()).gathered }
}

/// The most that SQLite's own file system writes at once: asked for a multiple of 128 KiB, it takes the disk for full.
const LARGEST: usize = 128 * 1024 - 1;

/// Writes to the file behind ours.
fn written(file: *mut sqlite3_file, bytes: &[u8], at: u64) -> Result<(), c_int> {
    #[cfg(test)]
    tests::count()?;
    for (piece, at) in bytes.chunks(LARGEST).zip((at..).step_by(LARGEST)) {
        let length = c_int::try_from(piece.len()).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let at = sqlite3_int64::try_from(at).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        match of_inner!(file, xWrite, piece.as_ptr().cast(), length, at) {
            ffi::SQLITE_OK => {}
            code => return Err(code),
        }
    }
    Ok(())
}

/// Hands on what is kept, before anything else is done with the file.
macro_rules! flush_or_return {
    ($file:expr) => {
        // SAFETY: SQLite called with a file that `x_open` opened.
        if let Err(code) = unsafe { gathered($file) }.flush(|bytes, at| written($file, bytes, at)) {
            return code;
        }
    };
}

unsafe extern "C" fn x_write(file: *mut sqlite3_file, bytes: *const c_void, length: c_int, at: sqlite3_int64) -> c_int {
    let (Ok(length), Ok(at)) = (usize::try_from(length), u64::try_from(at)) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: SQLite gives `length` bytes at `bytes`, and a file that `x_open` opened.
    let (bytes, gathered) = unsafe { (std::slice::from_raw_parts(bytes.cast::<u8>(), length), gathered(file)) };
    match gathered.write(bytes, at, |bytes, at| written(file, bytes, at)) {
        Ok(()) => ffi::SQLITE_OK,
        Err(code) => code,
    }
}

/// What is still kept was never committed, and goes with it.
unsafe extern "C" fn x_close(file: *mut sqlite3_file) -> c_int {
    let code = of_inner!(file, xClose);
    // SAFETY: `x_open` made it, and nobody uses the file after this.
    drop(unsafe { Box::from_raw((*file.cast::<WalFile>()).gathered) });
    code
}

/// A read that has to write first and cannot is one that failed: the transaction goes. A full disk would undo the statement alone.
unsafe extern "C" fn x_read(file: *mut sqlite3_file, into: *mut c_void, length: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite called with a file that `x_open` opened.
    match unsafe { gathered(file) }.flush(|bytes, at| written(file, bytes, at)) {
        Ok(()) => of_inner!(file, xRead, into, length, at),
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn x_truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    flush_or_return!(file);
    of_inner!(file, xTruncate, size)
}

unsafe extern "C" fn x_sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    flush_or_return!(file);
    of_inner!(file, xSync, flags)
}

unsafe extern "C" fn x_file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    flush_or_return!(file);
    of_inner!(file, xFileSize, size)
}

unsafe extern "C" fn x_lock(file: *mut sqlite3_file, lock: c_int) -> c_int {
    of_inner!(file, xLock, lock)
}

unsafe extern "C" fn x_unlock(file: *mut sqlite3_file, lock: c_int) -> c_int {
    of_inner!(file, xUnlock, lock)
}

unsafe extern "C" fn x_check_reserved_lock(file: *mut sqlite3_file, is: *mut c_int) -> c_int {
    of_inner!(file, xCheckReservedLock, is)
}

unsafe extern "C" fn x_file_control(file: *mut sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    of_inner!(file, xFileControl, what, argument)
}

unsafe extern "C" fn x_sector_size(file: *mut sqlite3_file) -> c_int {
    of_inner!(file, xSectorSize)
}

unsafe extern "C" fn x_device_characteristics(file: *mut sqlite3_file) -> c_int {
    of_inner!(file, xDeviceCharacteristics)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// Writes to a write-ahead log by this thread, and how many more of them succeed.
        static WRITES: Cell<usize> = const { Cell::new(0) };
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Counts a write, which fails if the disk is to be full.
    pub(super) fn count() -> Result<(), c_int> {
        WRITES.set(WRITES.get() + 1);
        LEFT.set(LEFT.get().checked_sub(1).ok_or(ffi::SQLITE_FULL)?);
        Ok(())
    }

    #[derive(Debug, Clone)]
    enum Act {
        /// Adds rows of a length and commits.
        Add {
            rows: u16,
            length: u16,
        },
        /// Changes many pages more than once, so that the page cache is too small and pages are written again.
        Churn {
            commits: bool,
        },
        /// Rolls back to a savepoint, and goes on.
        Half,
        /// Churns and commits, while the disk is full after so many writes.
        Full {
            after: usize,
        },
        /// Another program commits.
        Foreign,
        Checkpoint {
            truncate: bool,
        },
        /// What is there when the machine stops now.
        Crash,
        Reopen,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (1..40u16, 1..6_000u16).prop_map(|(rows, length)| Act::Add { rows, length }),
            3 => any::<bool>().prop_map(|commits| Act::Churn { commits }),
            2 => Just(Act::Half),
            2 => (0..3usize).prop_map(|after| Act::Full { after }),
            2 => Just(Act::Foreign),
            2 => any::<bool>().prop_map(|truncate| Act::Checkpoint { truncate }),
            2 => Just(Act::Crash),
            1 => Just(Act::Reopen),
        ]
    }

    fn act_on(db: &mut Connection, act: &Act) -> rusqlite::Result<()> {
        let churn = "UPDATE t SET x = randomblob(length(x))";
        match act {
            Act::Add { rows, length } => {
                let add =
                    "INSERT INTO t(x) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                     SELECT randomblob(?2) FROM n";
                db.execute(add, [rows, length])?;
            }
            Act::Churn { commits } => {
                let transaction = db.transaction()?;
                transaction.execute_batch(churn)?;
                transaction.execute_batch(churn)?;
                transaction.execute("INSERT INTO t(x) VALUES (randomblob(900))", [])?;
                if *commits {
                    transaction.commit()?;
                }
            }
            Act::Half => {
                let mut transaction = db.transaction()?;
                let savepoint = transaction.savepoint()?;
                savepoint.execute_batch(churn)?;
                drop(savepoint);
                transaction.execute("DELETE FROM t WHERE id % 3 = 0", [])?;
                transaction.commit()?;
            }
            Act::Checkpoint { truncate } => {
                let how = if *truncate { "TRUNCATE" } else { "PASSIVE" };
                db.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))?;
            }
            Act::Full { after } => {
                LEFT.set(*after);
                let done = act_on(db, &Act::Churn { commits: true });
                let was_full = LEFT.replace(usize::MAX) == 0;
                // With writes to spare it may have succeeded; what fails, fails for want of them.
                assert!(done.is_ok() || was_full);
            }
            Act::Foreign | Act::Crash | Act::Reopen => {}
        }
        Ok(())
    }

    /// Rows, and a sum over all that they hold.
    fn content(db: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
        let mut statement = db.prepare_cached("SELECT id, x FROM t ORDER BY id")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn set_up(db: &Connection, full: bool, spills: bool) {
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" }).unwrap();
        db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        // A handful of pages: what a transaction changes is written before it commits, if it may.
        db.pragma_update(None, "cache_size", 8).unwrap();
        db.pragma_update(None, "cache_spill", spills).unwrap();
        db.execute_batch("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB NOT NULL)").unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Another connection, with SQLite's own file system, sees each commit as soon as it has been made, and so does who
        /// finds the files as they are then.
        #[test]
        fn others_see_what_was_committed(full in any::<bool>(), spills in any::<bool>(), acts in prop::collection::vec(act(), 1..30)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log.db");
            let mut db = open(&path).unwrap();
            set_up(&db, full, spills);
            let mut other = Connection::open(&path).unwrap();
            for (n, act) in acts.iter().enumerate() {
                let before = content(&other).unwrap();
                let done = act_on(&mut db, act);
                let disk_was_full = matches!(act, Act::Full { .. });
                prop_assert!(done.is_ok() || disk_was_full);
                // By the other connection first: what is read by this one may be what it kept.
                let seen = content(&other).unwrap();
                prop_assert!(done.is_ok() || seen == before);
                if matches!(act, Act::Foreign) && !spills {
                    act_on(&mut other, &Act::Add { rows: 3, length: 5_000 }).unwrap();
                }
                let seen = content(&other).unwrap();
                prop_assert_eq!(&seen, &content(&db).unwrap());
                match act {
                    Act::Reopen => {
                        drop(db);
                        db = open(&path).unwrap();
                        set_up(&db, full, spills);
                        prop_assert_eq!(&seen, &content(&db).unwrap());
                    }
                    Act::Crash => {
                        let copy = dir.path().join(format!("{n}.db"));
                        fs::copy(&path, &copy).unwrap();
                        fs::copy(path.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
                        let copy = Connection::open(&copy).unwrap();
                        prop_assert_eq!(&seen, &content(&copy).unwrap());
                    }
                    _ => {}
                }
            }
            let check: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            prop_assert_eq!(check, "ok");
        }
    }

    #[test]
    fn a_commit_is_one_write() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(&dir.path().join("log.db")).unwrap();
        set_up(&db, false, false);
        for rows in 1..12 {
            let before = WRITES.get();
            act_on(&mut db, &Act::Add { rows, length: 3_000 }).unwrap();
            assert_eq!(WRITES.get(), before + 1);
        }
    }

    #[test]
    fn what_was_rolled_back_is_not_written_over_what_another_program_commits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let mut db = open(&path).unwrap();
        set_up(&db, false, false);
        let mut other = Connection::open(&path).unwrap();
        for rows in 1..20 {
            act_on(&mut db, &Act::Add { rows, length: 3_000 }).unwrap();
            act_on(&mut db, &Act::Churn { commits: false }).unwrap();
            act_on(&mut other, &Act::Add { rows, length: 500 }).unwrap();
            let committed = content(&other).unwrap();
            assert_eq!(content(&db).unwrap(), committed);
            assert_eq!(content(&Connection::open(&path).unwrap()).unwrap(), committed);
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_said_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(&dir.path().join("none").join("log.db")).is_err());
        // A folder stands where the write-ahead log should be.
        let path = dir.path().join("log.db");
        fs::create_dir(path.with_extension("db-wal")).unwrap();
        let db = open(&path).unwrap();
        assert!(
            db.pragma_update(None, "journal_mode", "WAL").is_err() || db.execute_batch("CREATE TABLE t(x)").is_err()
        );
    }
}
