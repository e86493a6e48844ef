//! Who commits: the writer's own thread, or a caller that finds nobody else at it.
//!
//! The thread takes what waits and commits it as one transaction. To reach it and come back costs as much as a small
//! commit, so a caller alone commits by itself, behind the same lock, and so does who has several batches together. They do so
//! only where that is short: nobody waits, it is not much, the disk need not answer (`durability = "process"`), and no checkpoint is due, which
//! stays with the thread. So whoever waits is served first, and batches that one task hands in are committed in its order.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    Histogram, Retained, RetentionPolicy, SECONDS, StoreError,
    batch::{Span, Submission},
    writer::{Progress, Writer},
};

/// How many jobs one transaction takes at most, and about how many bytes: bounds the time to the first acknowledgement.
const GROUP_JOBS: usize = 1024;
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// What a caller may commit by itself, at most: bounds how long its thread is kept from other work.
const ALONE_EVENTS: usize = 16;
const ALONE_BYTES: usize = 32 * 1024;

/// The same for several that came to it together, which share the cost of a commit: about a millisecond. As many as a connection may
/// have at work.
const TOGETHER_EVENTS: usize = 256;
const TOGETHER_BYTES: usize = 256 * 1024;

/// After so many commits of one batch in a row nobody seems to be there to share one with.
const CALM: usize = 4;

/// How long nothing must have come before the search index is written, and how many events it may lag behind at most. While
/// events come by ones, that is looked at less and less often.
const QUIET: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(400);
const LAG: u64 = 50_000;

/// How long the thread looks for the next job before it sleeps, after it found several at once. To be woken costs more, and of threads
/// that wake one another in turn the kernel makes one core's work.
const LOOK: Duration = Duration::from_micros(50);

/// The batch comes back with what became of it: to take it apart is the caller's work.
pub(crate) type Done = (Box<Submission>, Result<Span, StoreError>);
pub(crate) type Reply = oneshot::Sender<Done>;

pub(crate) enum Job {
    Append(Box<Submission>, Reply, Ticket),
    Index(oneshot::Sender<Result<(), StoreError>>),
    Retain(RetentionPolicy, oneshot::Sender<Result<Retained, StoreError>>),
}

/// What the writer tells everybody.
pub(crate) struct Shared {
    head: AtomicU64,
    trouble: Mutex<Option<String>>,
    /// Batches that wait for the thread.
    waiting: AtomicUsize,
    /// How many of the thread's last commits were of one batch: after some of them the next one will be alone as well.
    singles: AtomicUsize,
    /// Whether the thread sleeps until something happens, so that who commits by itself has to wake it.
    asleep: AtomicBool,
    commits: Histogram,
    pub(crate) line: Line,
}

/// Those for whom there was no place in the queue, in the order in which they came. A place that becomes free is theirs: else a
/// batch could come before one that the same task handed in earlier.
#[derive(Default)]
pub(crate) struct Line {
    waiting: AtomicUsize,
    turn: tokio::sync::Mutex<()>,
}

struct InLine<'a>(&'a Line);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Line {
    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Sends a job, if there is a place and nobody waits for one; else it is given back.
    pub(crate) fn pass(&self, jobs: &mpsc::Sender<Job>, job: Job) -> Result<Option<Job>, StoreError> {
        if !self.is_empty() {
            return Ok(Some(job));
        }
        match jobs.try_send(job) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(job)) => Ok(Some(job)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(StoreError::Closed),
        }
    }

    /// Sends a job when it is its turn.
    pub(crate) async fn wait(&self, jobs: &mpsc::Sender<Job>, job: Job) -> Result<(), StoreError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _in_line = InLine(self);
        let _turn = self.turn.lock().await;
        jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

impl Shared {
    pub(crate) fn new(head: u64) -> Self {
        Self {
            head: AtomicU64::new(head),
            trouble: Mutex::new(None),
            waiting: AtomicUsize::new(0),
            singles: AtomicUsize::new(CALM),
            asleep: AtomicBool::new(false),
            commits: Histogram::new(SECONDS),
            line: Line::default(),
        }
    }

    /// How long commits took.
    pub(crate) fn commits(&self) -> &Histogram {
        &self.commits
    }

    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    pub(crate) fn set_head(&self, head: u64) {
        self.head.store(head, Ordering::SeqCst);
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        let mut slot = self.trouble.lock().unwrap_or_else(|e| e.into_inner());
        if *slot != trouble {
            *slot = trouble;
        }
    }

    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Ticket(Arc::clone(self))
    }
}

/// A place in the queue, from before a batch is sent until it is committed, or given up.
pub(crate) struct Ticket(Arc<Shared>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The writer, for whoever's turn it is; none once the log is closed.
pub(crate) type Desk = Arc<Mutex<Option<Writer>>>;

/// Commits what one caller has, here and now. None, and nothing is done, if it has to wait for the thread.
pub(crate) fn commit_here(
    desk: &Desk,
    shared: &Shared,
    thread: &Thread,
    group: &mut [Box<Submission>],
) -> Option<Vec<Result<Span, StoreError>>> {
    let events: usize = group.iter().map(|submission| submission.batch.events.len()).sum();
    let bytes: usize = group.iter().map(|submission| submission.bytes).sum();
    // Who has several has company already, whether or not others come as well.
    let worth_it = match group.len() {
        1 => events <= ALONE_EVENTS && bytes <= ALONE_BYTES && shared.singles.load(Ordering::Relaxed) >= CALM,
        _ => events <= TOGETHER_EVENTS && bytes <= TOGETHER_BYTES,
    };
    if !worth_it || shared.waiting.load(Ordering::SeqCst) > 0 {
        return None;
    }
    let mut desk = match desk.try_lock() {
        Ok(desk) => desk,
        Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return None,
    };
    let answers = desk.as_mut().filter(|writer| writer.is_quick())?.commit_at_once(group)?;
    drop(desk);
    if shared.asleep.swap(false, Ordering::SeqCst) {
        thread.unpark();
    }
    Some(answers)
}

/// Wakes the writer's thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

enum Waited {
    /// A job, or none and there will be no more.
    Came(Option<Job>),
    /// The time is over, or somebody committed alone.
    Nothing,
}

pub(crate) struct WriterThread {
    desk: Desk,
    queue: mpsc::Receiver<Job>,
    shared: Arc<Shared>,
    waker: Waker,
}

impl WriterThread {
    /// Serves the queue until its last sender is gone, then closes the log.
    pub(crate) fn run(desk: Desk, queue: mpsc::Receiver<Job>, shared: Arc<Shared>) {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut thread = Self { desk, queue, shared, waker };
        while let Some(job) = thread.next_job() {
            let mut next = Some(job);
            while let Some(job) = next.take() {
                next = thread.perform(job);
            }
        }
        if let Some(writer) = thread.lock().as_mut().and_then(|desk| desk.take()) {
            writer.close();
        }
    }

    /// None once the writer was left in the middle of something, by a panic: then nobody can go on with it.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        self.desk.lock().ok().filter(|desk| desk.is_some())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.lock()?.as_mut().map(act)
    }

    /// Waits for a job. When nothing was committed for a while, tidies up, piece by piece.
    fn next_job(&mut self) -> Option<Job> {
        let mut quiet = QUIET;
        loop {
            let head = self.shared.head();
            // Who was just acknowledged is about to come back, and would wait for the index; but a burst that does not
            // end must not leave the first search with an hour's work.
            let behind = self.with(|writer| writer.behind())?;
            if behind > 0 && behind < LAG {
                match self.wait(Some(quiet), head) {
                    Waited::Came(job) => return job,
                    Waited::Nothing if self.shared.head() != head => {
                        quiet = (quiet * 2).min(SELDOM);
                        continue;
                    }
                    Waited::Nothing => {}
                }
            }
            loop {
                match self.queue.try_recv() {
                    Ok(job) => return Some(job),
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                    Err(mpsc::error::TryRecvError::Empty) => {}
                }
                match self.with(Writer::tidy)? {
                    Progress::More => {}
                    Progress::Done => break,
                }
            }
            quiet = QUIET;
            if let Waited::Came(job) = self.wait(None, head) {
                return job;
            }
        }
    }

    /// Looks for a job for a moment, where several came at once before.
    fn look(&mut self) -> Option<Job> {
        if self.shared.singles.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let until = Instant::now() + LOOK;
        loop {
            match self.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Empty) if Instant::now() < until => std::thread::yield_now(),
                Err(_) => return None,
            }
        }
    }

    /// Waits for a job for that long; without a time, also until there is an event after `head`.
    fn wait(&mut self, time: Option<Duration>, head: u64) -> Waited {
        if let Some(job) = self.look() {
            return Waited::Came(Some(job));
        }
        let until = time.map(|time| Instant::now() + time);
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        if until.is_none() {
            // Before the look at the head: who commits after that look sees it.
            self.shared.asleep.store(true, Ordering::SeqCst);
        }
        let waited = loop {
            if let Poll::Ready(job) = self.queue.poll_recv(&mut context) {
                break Waited::Came(job);
            }
            match until {
                None if self.shared.head() != head => break Waited::Nothing,
                None => std::thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break Waited::Nothing;
                    }
                    std::thread::park_timeout(left);
                }
            }
        };
        self.shared.asleep.store(false, Ordering::SeqCst);
        waited
    }

    /// Does it; returns a job of another kind that ended a group of appends.
    fn perform(&mut self, job: Job) -> Option<Job> {
        match job {
            Job::Append(submission, reply, ticket) => return self.append_group(submission, (reply, ticket)),
            Job::Index(reply) => {
                let result = loop {
                    match self.with(Writer::catch_up) {
                        Some(Ok(Progress::More)) => {}
                        Some(Ok(Progress::Done)) => break Ok(()),
                        Some(Err(error)) => break Err(error),
                        None => break Err(StoreError::Closed),
                    }
                };
                reply.send(result).ok();
            }
            Job::Retain(policy, reply) => {
                reply.send(self.with(|writer| writer.retain(&policy)).unwrap_or(Err(StoreError::Closed))).ok();
            }
        }
        None
    }

    /// Commits `first` and whatever else waits.
    fn append_group(&mut self, first: Box<Submission>, reply: (Reply, Ticket)) -> Option<Job> {
        let mut bytes = first.bytes;
        let (mut group, mut replies) = (vec![first], vec![reply]);
        let mut ended_by = None;
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            match self.queue.try_recv() {
                Ok(Job::Append(submission, reply, ticket)) => {
                    bytes += submission.bytes;
                    group.push(submission);
                    replies.push((reply, ticket));
                }
                Ok(other) => {
                    ended_by = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let singles = if group.len() == 1 { self.shared.singles.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.shared.singles.store(singles, Ordering::Relaxed);
        // Without an answer the senders are dropped, which is one.
        let answers = self.with(|writer| writer.commit(&mut group))?;
        for ((submission, answer), (reply, ticket)) in group.into_iter().zip(answers).zip(replies) {
            drop(ticket);
            reply.send((submission, answer)).ok();
        }
        // Now that nobody waits for it.
        self.with(Writer::checkpoint_if_due);
        ended_by
    }
}
