//! The connections that reads use: a few, lent one at a time.
//!
//! A connection costs two file handles and a page cache. When a thousand subscribers come back at once they wait here for a
//! moment instead of opening one each, of which SQLite would keep the handles for as long as any other is open.

use std::{
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard},
};

use rusqlite::{Connection, OpenFlags};

use crate::{StoreError, schema};

/// How many reads are at work at once. They are bound by the processor, mostly.
const MOST: usize = 16;

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

pub(crate) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

/// A connection, until it is dropped.
pub(crate) struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), pool: Mutex::default(), returned: Condvar::new() }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until one is to be had. Who holds one must not ask for a second: all of them could be held by who waits.
    pub(crate) fn take(&self) -> Result<Lent<'_>, StoreError> {
        let mut pool = self.pool();
        while pool.idle.is_empty() && pool.lent == MOST {
            pool = self.returned.wait(pool).unwrap_or_else(|e| e.into_inner());
        }
        pool.lent += 1;
        let mut lent = Lent { readers: self, connection: pool.idle.pop() };
        drop(pool);
        if lent.connection.is_none() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            schema::prepare_reader(&connection)?;
            lent.connection = Some(connection);
        }
        Ok(lent)
    }

    /// Closes those that nobody has.
    pub(crate) fn close(&self) {
        self.pool().idle.clear();
    }
}

impl Lent<'_> {
    /// Begins a read transaction, which ends when this is dropped. Not rusqlite's: it compiles BEGIN and COMMIT anew each
    /// time, which costs as much as a small read.
    pub(crate) fn begin(&mut self) -> Result<&Connection, StoreError> {
        let db = self.connection.as_ref().ok_or(StoreError::Closed)?;
        db.prepare_cached("BEGIN")?.execute([])?;
        Ok(db)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // One that does not come out of its transaction is not lent again.
        let connection = self.connection.take().filter(|db| {
            db.is_autocommit() || db.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).is_ok()
        });
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        pool.idle.extend(connection);
        drop(pool);
        self.readers.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_read_at_once_only_so_many_connections_are_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let readers = Readers::new(&path);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let mut lent = readers.take().unwrap();
                        let count: u64 =
                            lent.begin().unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
                        assert_eq!(count, 0);
                        assert!(readers.pool().lent <= MOST);
                    }
                });
            }
        });
        let pool = readers.pool();
        assert!(pool.lent == 0 && pool.idle.len() <= MOST, "{} lent, {} idle", pool.lent, pool.idle.len());
    }
}
