//! The lease on the data folder, and what tells a log that is not the one that was handed out.
//!
//! * The high-water mark, a small file beside the database: epoch and newest sequence number, written after each commit
//!   and before its events are handed out. A database whose newest event is below the mark of its own epoch lost events
//!   that somebody may have seen (an older copy of it was put back, or the power failed under `durability = "process"`).
//! * The identity of the database's file, remembered inside it. A folder that was put back as a whole brings an older
//!   mark along, but its database is another file than the one that remembered itself.
//!
//! Either gives a new epoch, and so every client a `reset`. A folder that is moved within its file system keeps its
//! epoch; a copy of it is another log.
//!
//! Not told: a backup that is written over the same files, database and mark, instead of replacing them, and a disk or
//! machine that is put back to an earlier moment as a whole. Delete `log.mark` before starting on
//! such a folder: a log without a mark gets a new epoch as well.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use rusqlite::Connection;
use signalbox_model::Epoch;

use crate::{StoreError, frame::Digits, identity, schema};

/// Held while the log is open: no second process writes to the same folder.
pub(crate) struct Lease(File);

/// A host that is killed while it starts a process leaves its lock with the copy of itself that is about to become that
/// process: for a moment, until it has. So a lock is not taken for somebody else's before this time has passed.
const PATIENCE: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);

#[expect(
    clippy::disallowed_methods,
    reason = "the system tells nobody when another process lets go; bounded by PATIENCE"
)]
fn wait_a_moment() {
    std::thread::sleep(MOMENT);
}

impl Lease {
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { path: dir.to_owned(), source };
        let path = dir.join("lock");
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
        let mut patience = PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if !patience.is_zero() => {
                    wait_a_moment();
                    patience = patience.saturating_sub(MOMENT);
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(failed)?;
                    let holder = if holder.trim().is_empty() { "unknown".into() } else { holder.trim().to_owned() };
                    return Err(StoreError::InUse { path: dir.to_owned(), holder });
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self(file))
    }
}

/// Whether somebody holds the log in `dir`.
///
/// A lease that is being taken at this very moment may count or not.
#[must_use]
pub fn is_open(dir: &Path) -> bool {
    // Shared and at once given back: a host that starts meanwhile has more patience than that.
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock().ok();
            false
        }
        Err(_) => true,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The system drops the lock with the file as well; an error here changes nothing.
        self.0.unlock().ok();
    }
}

/// The mark: 16 bytes of epoch, padded with spaces, and the sequence number in decimal, 20 digits. While the log is closed
/// a second line says when the database was changed last.
pub(crate) struct Mark {
    file: File,
    epoch: String,
    /// What the second line says is not so: somebody wrote over the database since it was closed.
    overwritten: bool,
}

/// Bytes of the first line.
const LINE: usize = 38;

/// Writes the file's first bytes, in one call to the system: this is done with each commit.
fn write_first(file: &File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)?;
    #[cfg(windows)]
    {
        let mut at = 0;
        while at < bytes.len() {
            at += std::os::windows::fs::FileExt::seek_write(file, &bytes[at..], at as u64)?;
        }
    }
    Ok(())
}

struct Marked {
    epoch: String,
    seq: u64,
    closed: Option<String>,
}

impl Mark {
    /// Opens the mark of the database at `path`. To be called before the database is opened, which may change it.
    pub(crate) fn open(dir: &Path, path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { path: dir.to_owned(), source };
        let file = dir.join("log.mark");
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(file).map_err(failed)?;
        let mut mark = Self { file, epoch: String::new(), overwritten: false };
        let closed = mark.read().and_then(|marked| marked.closed);
        mark.overwritten = closed.is_some() && closed != identity::changed(path);
        Ok(mark)
    }

    fn read(&mut self) -> Option<Marked> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let (epoch, seq) = lines.next()?.split_once(' ')?;
        let closed = lines.next().map(str::to_owned);
        Some(Marked { epoch: epoch.to_owned(), seq: seq.trim().parse().ok()?, closed })
    }

    /// Finds out whether the database is the log that was handed out, and gives it a new epoch if not.
    pub(crate) fn settle(&mut self, db: &mut Connection, path: &Path) -> Result<Epoch, StoreError> {
        let head = schema::head(db)?;
        let stored = schema::epoch(db)?;
        let identity = identity::of(path).map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        let remembered = schema::identity(db)?;
        let marked = self.read();
        let keep = match (&stored, &marked) {
            (None, _) => false,
            (Some(epoch), Some(marked)) => epoch.as_str() == marked.epoch && marked.seq <= head,
            // The mark was deleted, or the database was copied here without it: nothing tells what was handed out.
            (Some(_), None) => head == 0,
        };
        // A database from before files were remembered is taken for what it says it is.
        let same_file = !self.overwritten && remembered.as_ref().is_none_or(|remembered| *remembered == identity);
        let keep = keep && same_file;
        let epoch = match stored {
            Some(epoch) if keep => {
                if remembered.is_none() {
                    schema::remember_identity(db, &identity)?;
                }
                epoch
            }
            old => {
                let epoch = schema::new_epoch(db, &identity)?;
                if let Some(old) = old {
                    tracing::warn!(%old, new = %epoch, head, same_file, "the log is not the one that was handed out before: new epoch, every client starts from a snapshot");
                }
                epoch
            }
        };
        self.epoch = epoch.to_string();
        self.set(head)?;
        self.file.set_len(LINE as u64)?;
        Ok(epoch)
    }

    /// Records that events up to `seq` may be handed out from now on.
    pub(crate) fn set(&mut self, seq: u64) -> Result<(), StoreError> {
        // Put together by hand: this is done with each commit.
        let mut line = [b' '; LINE];
        let epoch = self.epoch.as_bytes();
        line[..epoch.len()].copy_from_slice(epoch);
        let mut digits = Digits::default();
        let seq = digits.of(seq).as_bytes();
        line[LINE - 1 - seq.len()..LINE - 1].copy_from_slice(seq);
        line[LINE - 1] = b'\n';
        write_first(&self.file, &line)?;
        Ok(())
    }

    /// Records that the database at `path` is closed, with everything in it and nothing beside it.
    pub(crate) fn close(mut self, path: &Path, head: u64) -> Result<(), StoreError> {
        self.set(head)?;
        if let Some(changed) = identity::changed(path) {
            self.file.seek(SeekFrom::Start(LINE as u64))?;
            self.file.write_all(format!("{changed}\n").as_bytes())?;
        }
        Ok(())
    }
}
