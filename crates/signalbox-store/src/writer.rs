//! The single writer: takes what waits, commits it as one transaction, then acknowledges and publishes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, params};
use signalbox_model::{Clock, Cursor, Epoch, MemberId, NewEvent, ProjectId, Room};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Frame, Publish, Retained, RetentionPolicy, RoomInfo, StoreError,
    blob::Blobs,
    frame::Parts as EventParts,
    mark::{Lease, Mark},
    projection, retain, schema, search,
};

/// Largest `data` of one event, in bytes. What is larger belongs into a blob.
pub(crate) const EVENT_BYTES: usize = 256 * 1024;

/// How many jobs one transaction takes at most, and about how many bytes: bounds the time to the first acknowledgement.
const GROUP_JOBS: usize = 1024;
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// How long nothing must have come before the search index is written, and how many events it may lag behind at most.
const QUIET: Duration = Duration::from_millis(20);
const LAG: u64 = 50_000;

/// Wakes the writer's thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Events to append as one unit.
#[derive(Default)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Makes the batch happen once.
    pub key: Option<KeyClaim>,
    /// Changes to tokens that belong to the batch.
    pub tokens: Vec<TokenChange>,
}

impl Batch {
    /// A batch of events and nothing else.
    #[must_use]
    pub fn of(events: Vec<NewEvent>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Claims an idempotency key: a second batch with the same one is refused with the first one's answer.
pub struct KeyClaim {
    /// Whose key.
    pub member: MemberId,
    /// The key.
    pub key: String,
    /// Makes the answer (JSON) from what was committed.
    pub reply: Box<dyn FnOnce(&Committed) -> String + Send>,
}

/// A change to the table of tokens.
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// From now on this hash stands for this member.
    Add {
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// Whose it is.
        member: MemberId,
    },
    /// The same for the token in `host.json`: the one before it is no longer good.
    AddLocal {
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// Whose it is.
        member: MemberId,
    },
    /// This token is no longer good.
    Remove {
        /// SHA-256 of the token.
        hash: [u8; 32],
    },
    /// No token of this member is good any more.
    Revoke {
        /// Whose.
        member: MemberId,
    },
}

/// What a commit gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The batch's first event; for a batch without events the head.
    pub first: u64,
    /// The batch's last event; for a batch without events the head.
    pub last: u64,
    /// `last` as a cursor.
    pub cursor: Cursor,
}

pub(crate) enum Job {
    Append(Box<Batch>, oneshot::Sender<Result<Committed, StoreError>>),
    Index(oneshot::Sender<Result<(), StoreError>>),
    Retain(RetentionPolicy, oneshot::Sender<Result<Retained, StoreError>>),
}

/// What the writer tells everybody.
pub(crate) struct Shared {
    head: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(head: u64) -> Self {
        Self { head: AtomicU64::new(head), trouble: Mutex::new(None) }
    }

    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut slot = self.trouble.lock().unwrap_or_else(|e| e.into_inner());
        if *slot != trouble {
            *slot = trouble;
        }
    }
}

pub(crate) struct Parts {
    pub(crate) db: Connection,
    pub(crate) queue: mpsc::Receiver<Job>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) publish: Publish,
    pub(crate) epoch: Epoch,
    pub(crate) mark: Mark,
    pub(crate) lease: Lease,
    pub(crate) blobs: Blobs,
    pub(crate) shared: Arc<Shared>,
}

struct RoomState {
    info: Arc<RoomInfo>,
    head: u64,
    /// Whether its row says so already ([`schema::LIVE`]): then a commit to it writes nothing but the event.
    live: bool,
}

/// A subscriber of a whole project looks into each live room: settle them before they are more than this many, and in a
/// quiet moment before they are many.
const LIVE: usize = 512;
const LIVE_QUIET: usize = 64;

/// Rooms remembered at most; past it the memory is cleared and filled again from the table.
const ROOMS: usize = 50_000;

pub(crate) struct Writer {
    parts: Parts,
    rooms: HashMap<Room, RoomState>,
    /// How many rooms are live in the table.
    live: usize,
    indexed: u64,
}

type Waiting = (Box<Batch>, oneshot::Sender<Result<Committed, StoreError>>);

impl Writer {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, rooms: HashMap::new(), live: 0, indexed: 0 }
    }

    pub(crate) fn run(mut self) {
        self.indexed = search::indexed(&self.parts.db).unwrap_or(0);
        // Those that were live when the process before this one ended.
        self.settle_or_warn();
        while let Some(job) = self.next_job() {
            match job {
                Job::Append(batch, reply) => {
                    if let Some(other) = self.append_group((batch, reply)) {
                        self.other(other);
                    }
                }
                other => self.other(other),
            }
        }
        if let Err(error) = self.parts.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the log was closed without a checkpoint; nothing is lost");
        }
        drop(self.parts.lease);
    }

    /// Waits for a job. When none came for [`QUIET`], brings the search index up to date, piece by piece.
    fn next_job(&mut self) -> Option<Job> {
        let behind = self.parts.shared.head().saturating_sub(self.indexed);
        // Who was just acknowledged is about to come back, and would wait for the index; but a burst that does not
        // end must not leave the first search with an hour's work.
        if behind > 0
            && behind < LAG
            && let Some(arrived) = self.wait(QUIET)
        {
            return arrived;
        }
        while self.indexed < self.parts.shared.head() {
            match self.parts.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
            match search::index_some(&mut self.parts.db, self.indexed, 256) {
                Ok(upto) => self.indexed = upto,
                Err(error) => {
                    tracing::warn!(%error, "the search index could not be written; search reads the log instead");
                    break;
                }
            }
        }
        if self.live > LIVE_QUIET {
            self.settle_or_warn();
        }
        self.parts.queue.blocking_recv()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        schema::settle(&self.parts.db)?;
        self.live = 0;
        self.rooms.values_mut().for_each(|room| room.live = false);
        Ok(())
    }

    fn settle_or_warn(&mut self) {
        if let Err(error) = self.settle() {
            // They stay live: that costs readers time and nothing else.
            tracing::warn!(%error, "the heads of rooms could not be written");
        }
    }

    /// The next job, or `Some(None)` when there will be no more; none if nothing came in that time.
    fn wait(&mut self, time: Duration) -> Option<Option<Job>> {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut context = Context::from_waker(&waker);
        let until = Instant::now() + time;
        loop {
            if let Poll::Ready(job) = self.parts.queue.poll_recv(&mut context) {
                return Some(job);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::park_timeout(left);
        }
    }

    fn other(&mut self, job: Job) {
        match job {
            Job::Append(batch, reply) => {
                self.append_group((batch, reply));
            }
            Job::Index(reply) => {
                let result = loop {
                    if self.indexed >= self.parts.shared.head() {
                        break if self.live > LIVE_QUIET { self.settle() } else { Ok(()) };
                    }
                    match search::index_some(&mut self.parts.db, self.indexed, 4096) {
                        Ok(upto) => self.indexed = upto,
                        Err(error) => break Err(error),
                    }
                };
                reply.send(result).ok();
            }
            Job::Retain(policy, reply) => {
                let now = self.parts.clock.now();
                let settled = self.settle();
                let done = settled.and_then(|()| retain::apply(&mut self.parts.db, &self.parts.blobs, &policy, now));
                reply.send(done).ok();
            }
        }
    }

    /// Commits `first` and whatever else waits. Returns a job of another kind that ended the group.
    fn append_group(&mut self, first: Waiting) -> Option<Job> {
        let mut bytes = 0;
        let mut group = vec![first];
        let mut ended_by = None;
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            match self.parts.queue.try_recv() {
                Ok(Job::Append(batch, reply)) => {
                    bytes += batch.events.len() * 512;
                    group.push((batch, reply));
                }
                Ok(other) => {
                    ended_by = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        ended_by
    }

    fn commit(&mut self, mut group: Vec<Waiting>) {
        let head = self.parts.shared.head();
        let mut frames = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        if self.live > LIVE {
            self.settle_or_warn();
        }
        match self.transact(&mut group, head, &mut frames, &mut answers) {
            Ok(newest) => {
                if newest > head {
                    if let Err(error) = self.parts.mark.set(newest) {
                        // The events are committed: hand them out. A stale mark can only cause a needless new epoch later.
                        tracing::error!(%error, "the high-water mark could not be written");
                    }
                    self.parts.shared.head.store(newest, Ordering::Release);
                    (self.parts.publish)(&frames);
                }
                self.parts.shared.set_trouble(None);
                for ((_, reply), answer) in group.into_iter().zip(answers) {
                    reply.send(answer).ok();
                }
            }
            Err(error) => {
                // Nothing of the group was stored. Room heads in memory may be ahead of the table: forget them.
                self.rooms.clear();
                if error.is_transient() {
                    self.parts.shared.set_trouble(Some(error.to_string()));
                }
                let text = error.to_string();
                tracing::error!(error = %text, jobs = group.len(), "a commit failed; its callers were told");
                let mut error = Some(error);
                for (_, reply) in group {
                    let answer = error.take().unwrap_or_else(|| StoreError::ReadOnly(text.clone()));
                    reply.send(Err(answer)).ok();
                }
            }
        }
    }

    fn transact(
        &mut self,
        group: &mut [Waiting],
        head: u64,
        frames: &mut Vec<Arc<Frame>>,
        answers: &mut Vec<Result<Committed, StoreError>>,
    ) -> Result<u64, StoreError> {
        let now = self.parts.clock.now();
        if self.rooms.len() > ROOMS {
            self.rooms.clear();
        }
        let Self { parts, rooms, live, .. } = self;
        let transaction = parts.db.transaction()?;
        let mut next = head + 1;
        let mut touched: Vec<Room> = Vec::new();
        for (batch, _) in group.iter_mut() {
            let start = (next, frames.len());
            // Only a batch that can fail on its own account after its first write pays for a savepoint.
            let guarded = batch.key.is_some()
                || batch.events.iter().any(|event| {
                    let opens_run = matches!(event.room, Room::Run(_)) && !rooms.contains_key(&event.room);
                    opens_run || projection::can_refuse(&event.body)
                });
            if guarded {
                transaction.prepare_cached("SAVEPOINT batch")?.execute([])?;
            }
            let mut job =
                BatchJob { db: &transaction, rooms, epoch: &parts.epoch, now, next, frames, undo: Vec::new() };
            let result = job.apply(batch);
            let (after, undo) = (job.next, job.undo);
            match result {
                Ok(committed) => {
                    next = after;
                    touched.extend(undo.into_iter().map(|(room, _)| room));
                    answers.push(Ok(committed));
                }
                Err(error) if error.is_of_the_batch() => {
                    if guarded {
                        transaction.prepare_cached("ROLLBACK TO batch")?.execute([])?;
                    }
                    for (room, head) in undo.into_iter().rev() {
                        match head {
                            Some(head) => {
                                if let Some(state) = rooms.get_mut(&room) {
                                    state.head = head;
                                }
                            }
                            None => {
                                rooms.remove(&room);
                            }
                        }
                    }
                    next = start.0;
                    frames.truncate(start.1);
                    answers.push(Err(error));
                }
                Err(error) => return Err(error),
            }
            if guarded {
                transaction.prepare_cached("RELEASE batch")?.execute([])?;
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let mut woken = 0;
        for room in &touched {
            if let Some(state) = rooms.get_mut(room).filter(|state| !state.live) {
                transaction
                    .prepare_cached("UPDATE rooms SET head = ?2 WHERE id = ?1")?
                    .execute(params![state.info.id, schema::LIVE])?;
                state.live = true;
                woken += 1;
            }
        }
        transaction.commit()?;
        *live += woken;
        Ok(next - 1)
    }
}

/// One batch within the group's transaction.
struct BatchJob<'a> {
    db: &'a Connection,
    rooms: &'a mut HashMap<Room, RoomState>,
    epoch: &'a Epoch,
    now: i64,
    next: u64,
    frames: &'a mut Vec<Arc<Frame>>,
    /// What each event found as its room's head; none where it opened the room.
    undo: Vec<(Room, Option<u64>)>,
}

impl BatchJob<'_> {
    fn apply(&mut self, batch: &mut Batch) -> Result<Committed, StoreError> {
        if let Some(claim) = &batch.key {
            let earlier: Option<String> = self
                .db
                .prepare_cached("SELECT reply FROM keys WHERE member = ?1 AND key = ?2")?
                .query_row(params![claim.member.as_str(), claim.key], |row| row.get(0))
                .optional()?;
            if let Some(reply) = earlier {
                return Err(StoreError::Repeated { reply });
            }
        }
        let first = self.next;
        // Encoded before anything is written: an event that is too large costs nothing.
        let mut encoded = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let data = event.body.data_json()?;
            if data.len() > EVENT_BYTES {
                return Err(StoreError::TooLarge { bytes: data.len(), limit: EVENT_BYTES });
            }
            encoded.push(data);
        }
        for (event, data) in batch.events.iter().zip(&encoded) {
            self.event(event, data)?;
        }
        for change in &batch.tokens {
            self.token(change)?;
        }
        let last = self.next - 1;
        let committed =
            Committed { first: first.min(last), last, cursor: Cursor { epoch: self.epoch.clone(), seq: last } };
        if let Some(claim) = batch.key.take() {
            let reply = (claim.reply)(&committed);
            self.db
                .prepare_cached("INSERT INTO keys(member, key, ts, reply) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![claim.member.as_str(), claim.key, self.now, reply])?;
        }
        Ok(committed)
    }

    fn event(&mut self, event: &NewEvent, data: &str) -> Result<(), StoreError> {
        let seq = self.next;
        let mut opened = false;
        if !self.rooms.contains_key(&event.room) {
            let (state, new) = open_room(self.db, &event.room)?;
            opened = new;
            self.rooms.insert(event.room.clone(), state);
        }
        let Some(room) = self.rooms.get_mut(&event.room) else { return Err(StoreError::Row("room".into())) };
        let prev = std::mem::replace(&mut room.head, seq);
        if self.undo.last().is_none_or(|(last, _)| *last != event.room) {
            self.undo.push((event.room.clone(), (!opened).then_some(prev)));
        }
        let parts = EventParts {
            seq,
            prev,
            ts: self.now,
            kind: event.body.type_name(),
            actor: event.actor.as_str(),
            run: event.run.as_ref().map(AsRef::as_ref),
            step: event.step.as_ref().map(AsRef::as_ref),
            data,
        };
        self.db
            .prepare_cached(
                "INSERT INTO events(seq, prev, ts, room, type, actor, run, step, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![seq, prev, parts.ts, room.info.id, parts.kind, parts.actor, parts.run, parts.step, data])?;
        let json = parts.encode(self.epoch, &event.room);
        let frame = Frame { seq, room: Arc::clone(&room.info), json };
        projection::apply(self.db, seq, event.run.as_ref(), &event.body, data)?;
        self.frames.push(Arc::new(frame));
        self.next += 1;
        Ok(())
    }

    fn token(&self, change: &TokenChange) -> Result<(), StoreError> {
        match change {
            TokenChange::Add { hash, member } => {
                self.db
                    .prepare_cached("INSERT OR REPLACE INTO tokens(hash, member) VALUES (?1, ?2)")?
                    .execute(params![hash.as_slice(), member.as_str()])?;
            }
            // A session of a browser must outlive a restart of the host, so only what `host.json` held is replaced.
            TokenChange::AddLocal { hash, member } => {
                self.db
                    .prepare_cached(
                        "DELETE FROM tokens WHERE hash = (SELECT unhex(value) FROM meta WHERE key = 'local_token')",
                    )?
                    .execute([])?;
                self.db
                    .prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES ('local_token', hex(?1))")?
                    .execute([hash.as_slice()])?;
                self.db
                    .prepare_cached("INSERT OR REPLACE INTO tokens(hash, member) VALUES (?1, ?2)")?
                    .execute(params![hash.as_slice(), member.as_str()])?;
            }
            TokenChange::Remove { hash } => {
                self.db.prepare_cached("DELETE FROM tokens WHERE hash = ?1")?.execute([hash.as_slice()])?;
            }
            TokenChange::Revoke { member } => {
                self.db.prepare_cached("DELETE FROM tokens WHERE member = ?1")?.execute([member.as_str()])?;
            }
        }
        Ok(())
    }
}

/// The room's state, and whether it had to be made.
fn open_room(db: &Connection, room: &Room) -> Result<(RoomState, bool), StoreError> {
    let name = room.to_string();
    let known: Option<(i64, Option<String>, u64, bool)> = db
        .prepare_cached("SELECT id, project, head, live FROM room_heads WHERE name = ?1")?
        .query_row([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let parse = |text: String| ProjectId::new(text).map_err(|error| StoreError::Row(error.to_string()));
    let new = known.is_none();
    let (id, project, head, live) = match known {
        Some((id, project, head, live)) => (id, project.map(parse).transpose()?, head, live),
        None => {
            let project = match room {
                Room::Project(project) => Some(project.clone()),
                Room::Run(run) => Some(projection::project_of_run(db, run)?),
                Room::Host | Room::Activity => None,
            };
            db.prepare_cached("INSERT INTO rooms(name, project, head) VALUES (?1, ?2, 0)")?
                .execute(params![name, project.as_ref().map(ProjectId::as_str)])?;
            (db.last_insert_rowid(), project, 0, false)
        }
    };
    Ok((RoomState { info: Arc::new(RoomInfo { id, room: room.clone(), project }), head, live }, new))
}
