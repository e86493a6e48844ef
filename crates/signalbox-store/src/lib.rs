//! The log: one append-only sequence of events per host, and the tables derived from it.
//!
//! What holds here, and what the tests of this crate check:
//!
//! * One writer, behind one lock: its thread takes what waits, commits it as one transaction, and only then publishes
//!   and acknowledges; a caller that finds nobody else commits its batch by itself. Nothing is published that is not
//!   committed.
//! * An event and the rows derived from it are in the same transaction, so a snapshot read in one
//!   read transaction is exact at its `seq`, and [`Store::rebuild_differences`] finds no difference.
//! * `seq` is contiguous; `prev` is the event before it in the same room.
//! * A log that lost what was already handed out gets a new epoch, and so does one that was put back from a copy ([`mark`]).
//! * The log is the buffer: nobody has a queue of their own. [`Store::read`] serves any cursor.

mod access;
mod agents;
mod batch;
pub mod blob;
mod checkpoint;
mod error;
mod frame;
mod histogram;
mod identity;
mod kinds;
mod logtext;
mod mark;
#[cfg(test)]
mod plans;
mod projection;
mod read;
mod readers;
mod recorded;
mod retain;
mod rows;
mod schema;
mod search;
mod team;
mod thread;
mod together;
mod wal;
mod writer;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use signalbox_model::{Clock, Cursor, Epoch};
use tokio::sync::{mpsc, oneshot};

use together::Put;

pub use access::{Audit, Audited};
pub use agents::UsedBy;
pub use batch::{Batch, Committed, KeyClaim, SideWrite, TokenChange};
pub use error::StoreError;
pub use frame::{Frame, RoomInfo};
pub use histogram::{Counted, Histogram, SECONDS};
pub use logtext::{LogIndex, LogLines};
pub use mark::is_open;
pub use read::{Page, Reader, Resume};
pub use retain::{Retained, RetentionPolicy};
pub use search::Search;
pub use team::{Logged, NOTIFY_TYPES};

/// What a committed event survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of this process, however it comes (WAL, `synchronous=NORMAL`). A power cut may take the last commits;
    /// the log then gets a new epoch.
    #[default]
    Process,
    /// A power cut as well (WAL, `synchronous=FULL`), as far as the disk keeps its word.
    Power,
}

impl Durability {
    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Power => "power",
        }
    }

    /// SQLite's setting for it.
    pub(crate) fn synchronous(self) -> &'static str {
        match self {
            Self::Process => "NORMAL",
            Self::Power => "FULL",
        }
    }
}

/// Receives what was committed, in order, on the writer's thread or a caller's, one at a time. Must not block.
pub type Publish = Box<dyn Fn(&[Arc<Frame>]) + Send>;

/// How to open a log.
pub struct Options {
    /// The folder that holds the database, the blobs and the mark. Made if absent.
    pub dir: PathBuf,
    /// What a committed event survives.
    pub durability: Durability,
    /// Gives each event its time.
    pub clock: Arc<dyn Clock>,
    /// Receives what was committed.
    pub publish: Publish,
}

/// The log of one host. Cheap to clone; the last clone to go ends the writer after what waits is committed.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    epoch: Epoch,
    durability: Durability,
    blobs: blob::Blobs,
    jobs: Mutex<Option<mpsc::Sender<thread::Job>>>,
    desk: thread::Desk,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    thread_handle: std::thread::Thread,
    readers: readers::Readers,
    state: Arc<thread::Shared>,
}

/// Jobs that may wait for the writer. Further callers wait in `append`.
const QUEUE: usize = 4096;

impl Store {
    /// Opens the log in `options.dir`, creating it if there is none.
    ///
    /// # Errors
    /// If the folder cannot be written, another process holds the log, the database is damaged, or
    /// it was written by a newer version.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let dir = options.dir;
        std::fs::create_dir_all(&dir).map_err(|source| StoreError::Folder { path: dir.clone(), source })?;
        let path = dir.join("log.db");
        let lease = mark::Lease::take(&dir)?;
        let mut mark = mark::Mark::open(&dir, &path)?;
        schema::check_length(&path)?;
        let mut db = wal::open(&path)?;
        schema::prepare(&mut db, &path, options.durability)?;
        let epoch = mark.settle(&mut db, &path)?;
        let blobs = blob::Blobs::open(dir.join("blobs"))?;
        let state = Arc::new(thread::Shared::new(schema::head(&db)?));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer::Writer::new(writer::Parts {
            db,
            path: path.clone(),
            clock: options.clock,
            publish: options.publish,
            epoch: epoch.clone(),
            mark,
            lease,
            blobs: blobs.clone(),
            shared: Arc::clone(&state),
            durability: options.durability,
        })?;
        let desk = Arc::new(Mutex::new(Some(writer)));
        let (thread_desk, shared) = (Arc::clone(&desk), Arc::clone(&state));
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || thread::WriterThread::run(thread_desk, queue, shared))
            .map_err(|source| StoreError::Folder { path: dir, source })?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers: readers::Readers::new(&path),
                path,
                epoch,
                durability: options.durability,
                blobs,
                jobs: Mutex::new(Some(jobs)),
                desk,
                thread_handle: thread.thread().clone(),
                thread: Mutex::new(Some(thread)),
                state,
            }),
        })
    }

    /// Appends a batch as one unit: all of it or nothing. Returns after the commit.
    ///
    /// The place of the batch in the log is settled by the first poll: of two appends of one task the one that is polled first
    /// comes first, however they go on. Within [`together`](Self::together) all of them come when that ends.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if a state in the batch is not newer than what is stored,
    /// [`StoreError::Repeated`] if its key was used before, and others if nothing could be stored.
    pub async fn append(&self, batch: Batch) -> Result<Committed, StoreError> {
        let Inner { desk, state, thread_handle, .. } = &*self.inner;
        let jobs = self.jobs()?;
        let submission = Box::new(batch::Submission::new(batch)?);
        let to_thread = |submission| {
            let (reply, answer) = oneshot::channel();
            (thread::Job::Append(submission, reply, state.ticket()), answer)
        };
        let handed_in = match together::put(&self.inner, &jobs, submission) {
            Put::Gathered(answer) => ControlFlow::Continue((None, answer)),
            Put::NoPlace(submission) => {
                let (job, answer) = to_thread(submission);
                ControlFlow::Continue((Some(job), answer))
            }
            Put::ByItself(mut submission) => {
                let group = std::slice::from_mut(&mut submission);
                match thread::commit_here(desk, state, thread_handle, group).and_then(|mut answers| answers.pop()) {
                    Some(result) => ControlFlow::Break(result),
                    None => {
                        let (job, answer) = to_thread(submission);
                        ControlFlow::Continue((state.line.pass(&jobs, job)?, answer))
                    }
                }
            }
        };
        let result = match handed_in {
            ControlFlow::Break(result) => result,
            ControlFlow::Continue((without_place, answer)) => {
                if let Some(job) = without_place {
                    // Boxed: almost nobody waits for a place, and all would have room for it. And without regard to the task's budget:
                    // who has used it up would stand behind those who came later.
                    Box::pin(tokio::task::coop::unconstrained(state.line.wait(&jobs, job))).await?;
                }
                answer.await.map_err(|_| StoreError::Closed)?.1
            }
        };
        // A task that appends and appends must not keep the others of its thread from theirs.
        tokio::task::coop::consume_budget().await;
        let (first, last) = result?;
        Ok(Committed { first, last, cursor: Cursor { epoch: self.inner.epoch.clone(), seq: last } })
    }

    /// Runs `poll`, which polls several pieces of work in turn, and commits all that they append meanwhile as one, in their order,
    /// when it is over. True if that happened here: then their answers are there, and it is worth while to poll them again. If
    /// they went to the writer's thread, or there were none, it is false, and they are woken.
    pub fn together<T>(&self, poll: impl FnOnce() -> T) -> (T, bool) {
        together::gather(&self.inner, poll)
    }

    fn jobs(&self) -> Result<mpsc::Sender<thread::Job>, StoreError> {
        self.inner.jobs.lock().unwrap_or_else(|e| e.into_inner()).clone().ok_or(StoreError::Closed)
    }

    async fn send(&self, job: thread::Job) -> Result<(), StoreError> {
        self.jobs()?.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Runs `read` with a connection of its own, in one read transaction: everything it sees is of one moment.
    /// Blocks; call it where blocking is fine. `read` must not call this again: there are only so many connections.
    ///
    /// # Errors
    /// What `read` says, or that no connection could be opened.
    pub fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lent = self.inner.readers.take()?;
        let db = lent.begin()?;
        read(&Reader::new(db, &self.inner.epoch, &self.inner.blobs))
    }

    /// Writes everything not yet in the search index into it.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn index_now(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(thread::Job::Index(reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Deletes what `policy` no longer keeps.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn retain(&self, policy: RetentionPolicy) -> Result<Retained, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(thread::Job::Retain(policy, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Compares every derived table with a replay of the kept log into an empty database.
    /// Returns the differences, one a line; blocks for as long as that takes.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn rebuild_differences(&self) -> Result<Vec<String>, StoreError> {
        self.read(|reader| projection::differences(reader.connection()))
    }

    /// This log's identity.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.inner.epoch
    }

    /// The newest committed event; 0 for none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.inner.state.head()
    }

    /// The newest place as a cursor.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.inner.epoch.clone(), seq: self.head() }
    }

    /// What a committed event survives.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// Content kept outside the log.
    #[must_use]
    pub fn blobs(&self) -> &blob::Blobs {
        &self.inner.blobs
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Why the last append failed, while none has succeeded since.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.inner.state.trouble()
    }

    /// How long commits took, those that failed included, in seconds.
    #[must_use]
    pub fn commit_times(&self) -> Counted {
        self.inner.state.commits().counted()
    }

    /// Commits what waits and ends the writer. Later appends fail with [`StoreError::Closed`]. Blocks.
    pub fn close(&self) {
        drop(self.inner.jobs.lock().unwrap_or_else(|e| e.into_inner()).take());
        let thread = self.inner.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the log's writer ended with a panic");
        }
        self.inner.readers.close();
    }
}
