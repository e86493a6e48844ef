//! Copying the write-ahead log into the database beside the commits.
//!
//! To copy takes a sixth of what the writer does under load, and waits for the disk. So a thread of its own does most of it,
//! with a connection of its own, while the writer goes on: SQLite lets it (<https://www.sqlite.org/c3ref/wal_checkpoint_v2.html>,
//! `SQLITE_CHECKPOINT_PASSIVE`). What comes meanwhile stays for the next round.
//!
//! Only where nothing is left can the next commit begin the write-ahead log anew, and only then does SQLite wait until the disk has the
//! database. In a quiet moment that is so after a round. Else the writer does the rest itself after four of them, and while it
//! does, whoever appends waits for the disk.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use crate::{Durability, StoreError};

/// Pages that wait to be copied from which on they are.
const DUE: usize = 2_000;
/// Pages in the write-ahead log from which on the writer copies what is left, so that it begins anew: a reader looks through all of
/// it, and so does who opens the log after a crash.
const WHOLE: usize = 4 * DUE;

/// Pages at which the writer waits for a checkpoint that is at work: a disk that cannot keep up is not to be filled.
const MOST: usize = 4 * WHOLE;

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Copied {
    /// Pages in the write-ahead log when it began.
    pages: usize,
    /// Those of them that are in the database now.
    copied: usize,
}

/// Copies as much as can be without anybody waiting.
fn copy(db: &Connection) -> Result<Copied, StoreError> {
    let copied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(Copied {
            pages: row.get::<_, i64>(1)?.try_into().unwrap_or(0),
            copied: row.get::<_, i64>(2)?.try_into().unwrap_or(0),
        })
    })?;
    Ok(copied)
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// To be done, or being done.
    Asked,
    Done(Copied),
    Failed,
    Ending,
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait_until_done(&self) {
        let mut state = self.lock();
        while matches!(*state, State::Asked) {
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }
}

/// The write-ahead log as the writer's connection sees it.
#[derive(Debug, Default)]
pub(crate) struct Wal {
    pages: AtomicUsize,
    laps: AtomicUsize,
}

impl Wal {
    /// A commit left so many pages in it. Fewer than before: it has begun anew. One that begins anew and is larger than all that
    /// was there passes for more of the same; then some pages pass for copied, and are so one round later.
    pub(crate) fn holds(&self, pages: usize) {
        if pages <= self.pages.swap(pages, Ordering::Relaxed) {
            self.laps.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it was copied: the next commit begins it anew, unless somebody still reads it.
    fn is_copied(&self) {
        self.holds(0);
    }

    /// Pages in it.
    pub(crate) fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    fn lap(&self) -> usize {
        self.laps.load(Ordering::Relaxed)
    }
}

/// What the other thread is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing, nor has it been since it was last looked at.
    Idle,
    /// It copies.
    Working,
    /// It has copied; said once.
    Done(Copied),
    /// It could not; said once. Why is in the program's log.
    Failed,
}

/// The thread that copies. It begins with the first wish, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    path: PathBuf,
    durability: Durability,
    slot: Arc<Slot>,
    thread: Option<JoinHandle<()>>,
    wal: Arc<Wal>,
    /// How many of its pages were copied, and in which of its laps.
    copied: (usize, usize),
    /// In which lap the one that is at work began.
    begun: usize,
}

/// Whatever becomes of the thread, nobody waits for a round that never ends.
struct Ended<'a>(&'a Slot);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Asked) {
            *state = State::Failed;
            self.0.changed.notify_one();
        }
    }
}

impl Checkpoints {
    /// For the database at `path`, whose commits tell `wal` what they leave in the write-ahead log.
    pub(crate) fn new(path: &Path, durability: Durability, wal: Arc<Wal>) -> Self {
        let (path, slot) = (path.to_owned(), Arc::default());
        Self { path, durability, slot, thread: None, wal, copied: (0, 0), begun: 0 }
    }

    /// Whether there is something for [`advance`](Self::advance) to do.
    fn is_due(&self) -> bool {
        let pages = self.wal.pages();
        pages >= WHOLE || pages >= DUE && self.uncopied() >= DUE && !matches!(*self.slot.lock(), State::Asked)
    }

    /// Whether the next commit may have to wait for the disk: the first one of a write-ahead log does, one before which a
    /// checkpoint is due does, and one beside a round at work can.
    pub(crate) fn may_wait(&self) -> bool {
        self.wal.pages() == 0 || self.is_due() || matches!(*self.slot.lock(), State::Asked)
    }

    /// Pages that are not in the database, as far as is known.
    fn uncopied(&self) -> usize {
        let (copied, lap) = self.copied;
        self.wal.pages().saturating_sub(if lap == self.wal.lap() { copied } else { 0 })
    }

    /// Sees to it that the write-ahead log does not grow without end. `db` is the writer's connection, between two commits.
    pub(crate) fn advance(&mut self, db: &Connection) {
        if !self.is_due() {
            return;
        }
        if self.wal.pages() >= MOST {
            self.slot.wait_until_done();
        }
        match self.progress() {
            Progress::Working => return,
            Progress::Done(done) => self.note(done, self.begun),
            Progress::Idle | Progress::Failed => {}
        }
        if self.wal.pages() >= WHOLE {
            match copy(db) {
                Ok(done) => self.note(done, self.wal.lap()),
                Err(error) => tracing::warn!(%error, "the write-ahead log could not be copied into the database"),
            }
        } else if self.uncopied() >= DUE {
            self.begin();
        }
    }

    fn note(&mut self, done: Copied, lap: usize) {
        if lap != self.wal.lap() {
            return;
        }
        self.copied = (done.copied, lap);
        if done.copied == self.wal.pages() {
            self.wal.is_copied();
        }
    }

    /// Asks for a checkpoint. Only where none is at work.
    fn begin(&mut self) {
        self.begun = self.wal.lap();
        *self.slot.lock() = State::Asked;
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.slot.changed.notify_one();
            return;
        }
        let (slot, path, durability) = (Arc::clone(&self.slot), self.path.clone(), self.durability);
        let thread =
            std::thread::Builder::new().name("log-checkpoint".into()).spawn(move || run(&slot, &path, durability));
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread can be had to copy the write-ahead log; it is tried again, and from 33 MB on the log's writer does it itself");
                *self.slot.lock() = State::Failed;
            }
        }
    }

    /// What it is at. A result is told once.
    fn progress(&self) -> Progress {
        let mut state = self.slot.lock();
        match *state {
            State::Idle | State::Ending => Progress::Idle,
            State::Asked => Progress::Working,
            State::Done(copied) => {
                *state = State::Idle;
                Progress::Done(copied)
            }
            State::Failed => {
                *state = State::Idle;
                Progress::Failed
            }
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        *self.slot.lock() = State::Ending;
        self.slot.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(slot: &Slot, path: &Path, durability: Durability) {
    let _ended = Ended(slot);
    let mut db: Option<Connection> = None;
    loop {
        let mut state = slot.lock();
        loop {
            match *state {
                State::Ending => return,
                State::Asked => break,
                State::Idle | State::Done(_) | State::Failed => {
                    state = slot.changed.wait(state).unwrap_or_else(|e| e.into_inner());
                }
            }
        }
        drop(state);
        let done = match &db {
            Some(db) => copy(db),
            None => open(path, durability).and_then(|opened| copy(db.insert(opened))),
        };
        let mut state = slot.lock();
        if matches!(*state, State::Asked) {
            *state = match done {
                Ok(copied) => State::Done(copied),
                Err(error) => {
                    tracing::warn!(%error, "the write-ahead log could not be copied into the database");
                    db = None;
                    State::Failed
                }
            };
            slot.changed.notify_one();
        }
    }
}

fn open(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let db = Connection::open(path)?;
    // As the writer has it: whether the disk is waited for before the database is changed follows from this.
    db.pragma_update(None, "synchronous", durability.synchronous())?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_copied_is_told_once_and_it_ends_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); INSERT INTO t VALUES (1);",
        )
        .unwrap();
        let mut checkpoints = Checkpoints::new(&path, Durability::Process, Arc::default());
        assert_eq!(checkpoints.progress(), Progress::Idle);
        for _ in 0..2 {
            db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
            checkpoints.begin();
            let done = loop {
                match checkpoints.progress() {
                    Progress::Working => std::thread::yield_now(),
                    other => break other,
                }
            };
            let Progress::Done(Copied { pages, copied }) = done else { panic!("{done:?}") };
            assert!(pages > 0 && copied == pages, "{pages} {copied}");
            assert_eq!(checkpoints.progress(), Progress::Idle);
        }
        drop(checkpoints);
        // What is in the database is all there, also without the write-ahead log.
        let whole: bool =
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map(|busy: bool| !busy).unwrap();
        assert!(whole);
    }

    #[test]
    fn what_was_copied_counts_until_the_log_begins_anew() {
        let wal = Arc::<Wal>::default();
        let mut checkpoints = Checkpoints::new(Path::new("nowhere"), Durability::Process, Arc::clone(&wal));
        assert!(checkpoints.may_wait(), "the first commit of a write-ahead log");
        wal.holds(DUE - 1);
        assert!(!checkpoints.is_due() && !checkpoints.may_wait());
        wal.holds(DUE + 10);
        let before = wal.lap();
        assert!(checkpoints.is_due());
        checkpoints.note(Copied { pages: DUE, copied: DUE }, before);
        assert_eq!((checkpoints.uncopied(), checkpoints.is_due()), (10, false));
        // It began anew: what was copied before is no part of it, also if that is told late.
        wal.holds(DUE);
        assert_eq!(checkpoints.uncopied(), DUE);
        checkpoints.note(Copied { pages: DUE, copied: DUE }, before);
        assert!(checkpoints.is_due());
        // All of it: the next one begins anew.
        checkpoints.note(Copied { pages: DUE, copied: DUE }, wal.lap());
        assert!(!checkpoints.is_due() && checkpoints.may_wait());
        wal.holds(WHOLE);
        assert!(checkpoints.is_due());
    }

    #[test]
    fn what_cannot_be_opened_fails_and_may_be_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::new(&dir.path().join("nowhere/a.db"), Durability::Process, Arc::default());
        for _ in 0..2 {
            checkpoints.begin();
            let done = loop {
                match checkpoints.progress() {
                    Progress::Working => std::thread::yield_now(),
                    other => break other,
                }
            };
            assert_eq!(done, Progress::Failed);
        }
    }
}
