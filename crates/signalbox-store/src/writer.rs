//! The single writer: commits batches as one transaction and publishes what was committed.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, params};
use signalbox_model::{Clock, Cursor, Epoch, EventBody, NewEvent, ProjectId, Room};

use crate::{
    Batch, Committed, Durability, Frame, KeyClaim, Publish, Retained, RetentionPolicy, RoomInfo, StoreError, access,
    batch::{Span, Submission},
    blob::Blobs,
    checkpoint::{Checkpoints, Wal},
    frame::Parts as EventParts,
    mark::{Lease, Mark},
    projection::{self, Whence},
    retain,
    rows::{self, Numbers, Row},
    schema, search, team,
    thread::Shared,
};

pub(crate) struct Parts {
    pub(crate) db: Connection,
    /// Where that is.
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) publish: Publish,
    pub(crate) epoch: Epoch,
    pub(crate) mark: Mark,
    pub(crate) lease: Lease,
    pub(crate) blobs: Blobs,
    pub(crate) shared: Arc<Shared>,
    pub(crate) durability: Durability,
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

/// Whether there is more to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Done,
}

/// A commit that takes longer than this comes from a disk that is slow or busy: then only the writer's own thread waits for
/// it, until one was quick again.
const QUICK: Duration = Duration::from_millis(5);

/// How long a commit waits while another program has the database's lock.
const LOCK: Duration = Duration::from_secs(5);

pub(crate) struct Writer {
    parts: Parts,
    rooms: HashMap<Room, RoomState>,
    /// How many rooms are live in the table.
    live: usize,
    indexed: u64,
    checkpoints: Checkpoints,
    /// Whether the newest event is the last row of the table. Retention may have deleted it: then the next one gets its number
    /// from here.
    newest_is_last: bool,
    /// How long the last commit took.
    took: Duration,
}

impl Writer {
    pub(crate) fn new(mut parts: Parts) -> Result<Self, StoreError> {
        let wal = Arc::<Wal>::default();
        let pages = Arc::clone(&wal);
        // In place of SQLite's own checkpoints, which are part of a commit.
        parts.db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            pages.holds(usize::try_from(count).unwrap_or(0));
            Ok(())
        }))?;
        let indexed = search::indexed(&parts.db)?;
        let checkpoints = Checkpoints::new(&parts.path, parts.durability, wal);
        // Those that were live when the process before this one ended.
        schema::settle(&parts.db)?;
        Ok(Self {
            parts,
            rooms: HashMap::new(),
            live: 0,
            indexed,
            checkpoints,
            newest_is_last: false,
            took: Duration::ZERO,
        })
    }

    pub(crate) fn close(self) {
        // Else its connection would be in the way.
        drop(self.checkpoints);
        let Parts { db, path, mark, lease, shared, .. } = self.parts;
        let whole = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0).map(|busy| !busy));
        drop(db);
        let sealed = match whole {
            Ok(true) => mark.close(&path, shared.head()),
            Ok(false) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = sealed {
            tracing::warn!(%error, "the log was closed without a checkpoint; nothing is lost");
        }
        drop(lease);
    }

    /// Whether a small commit takes no longer than copying some bytes.
    pub(crate) fn is_quick(&self) -> bool {
        let waits = self.parts.durability == Durability::Power;
        !waits && self.took < QUICK && self.live <= LIVE && !self.checkpoints.may_wait()
    }

    /// Commits a group without waiting for anybody. None, and nothing is done, if another program has the database's lock, for
    /// which only the writer's own thread may wait.
    pub(crate) fn commit_at_once(&mut self, group: &mut [Box<Submission>]) -> Option<Vec<Result<Span, StoreError>>> {
        if self.is_one_row(group) {
            let done = self.without_patience(|writer| writer.try_commit(group))?;
            return match done {
                Err(error) if error.is_busy() => {
                    // The room's head in memory is ahead of the table.
                    self.rooms.remove(&group[0].batch.events[0].room);
                    None
                }
                done => Some(self.conclude(done, 1)),
            };
        }
        let begun = self.without_patience(|writer| begin(&writer.parts.db))?;
        begun.ok().map(|()| self.commit(group))
    }

    /// None if SQLite does not take the setting.
    fn without_patience<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.parts.db.busy_timeout(Duration::ZERO).ok()?;
        let done = act(self);
        if let Err(error) = self.parts.db.busy_timeout(LOCK) {
            tracing::error!(%error, "the log no longer waits for other programs");
        }
        Some(done)
    }

    /// Whether one row of the table of events is all that a commit of them writes: then the statement that writes it is the
    /// transaction.
    fn is_one_row(&self, group: &[Box<Submission>]) -> bool {
        let [submission] = group else { return false };
        let Batch { events, key: None, tokens, side } = &submission.batch else { return false };
        let ([event], [], []) = (&events[..], &tokens[..], &side[..]) else { return false };
        let is_live = self.rooms.get(&event.room).is_some_and(|room| room.live);
        is_live && matches!(event.body, EventBody::Custom(..)) && self.parts.db.is_autocommit()
    }

    pub(crate) fn checkpoint_if_due(&mut self) {
        self.checkpoints.advance(&self.parts.db);
    }

    /// How many events the search index lacks.
    pub(crate) fn behind(&self) -> u64 {
        self.parts.shared.head().saturating_sub(self.indexed)
    }

    /// A piece of what can be done when nothing waits.
    pub(crate) fn tidy(&mut self) -> Progress {
        match self.tidy_some(256) {
            Ok(progress) => progress,
            Err(error) => {
                // A search reads an index that lags, a subscriber of a project looks into more rooms: no more than that.
                tracing::warn!(%error, "the search index or the heads of rooms could not be written");
                Progress::Done
            }
        }
    }

    /// A larger piece of the same.
    pub(crate) fn catch_up(&mut self) -> Result<Progress, StoreError> {
        self.tidy_some(4096)
    }

    fn tidy_some(&mut self, count: u64) -> Result<Progress, StoreError> {
        if self.behind() > 0 {
            self.indexed = search::index_some(&mut self.parts.db, self.indexed, count)?;
            self.checkpoint_if_due();
            return Ok(Progress::More);
        }
        if self.live > LIVE_QUIET {
            self.settle()?;
        }
        self.checkpoint_if_due();
        Ok(Progress::Done)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        schema::settle(&self.parts.db)?;
        self.live = 0;
        self.rooms.values_mut().for_each(|room| room.live = false);
        Ok(())
    }

    pub(crate) fn retain(&mut self, policy: &RetentionPolicy) -> Result<Retained, StoreError> {
        self.settle()?;
        self.newest_is_last = false;
        let now = self.parts.clock.now();
        let done = retain::apply(&mut self.parts.db, &self.parts.blobs, policy, now);
        self.checkpoint_if_due();
        done
    }

    /// Commits the batches as one transaction and publishes their events. An answer for each, in order.
    pub(crate) fn commit(&mut self, group: &mut [Box<Submission>]) -> Vec<Result<Span, StoreError>> {
        let done = self.try_commit(group);
        self.conclude(done, group.len())
    }

    /// The same, with one error if nothing of the group was stored.
    fn try_commit(&mut self, group: &mut [Box<Submission>]) -> Result<Vec<Result<Span, StoreError>>, StoreError> {
        let head = self.parts.shared.head();
        let mut frames = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        if self.live > LIVE
            && let Err(error) = self.settle()
        {
            tracing::warn!(%error, "the heads of rooms could not be written");
        }
        let started = Instant::now();
        let done = self.transact(group, head, &mut frames, &mut answers);
        if !done.as_ref().is_err_and(StoreError::is_busy) {
            self.took = started.elapsed();
            self.parts.shared.commits().time(self.took);
        }
        let newest = done?;
        if newest > head {
            if let Err(error) = self.parts.mark.set(newest) {
                // The events are committed: hand them out. A stale mark can only cause a needless new epoch later.
                tracing::error!(%error, "the high-water mark could not be written");
            }
            self.parts.shared.set_head(newest);
            (self.parts.publish)(&frames);
        }
        Ok(answers)
    }

    /// What each of `count` callers is told.
    fn conclude(
        &mut self,
        done: Result<Vec<Result<Span, StoreError>>, StoreError>,
        count: usize,
    ) -> Vec<Result<Span, StoreError>> {
        match done {
            Ok(answers) => {
                self.parts.shared.set_trouble(None);
                answers
            }
            Err(error) => {
                // Nothing of the group was stored. Room heads in memory may be ahead of the table: forget them.
                self.rooms.clear();
                if error.is_transient() {
                    self.parts.shared.set_trouble(Some(error.to_string()));
                }
                let text = error.to_string();
                tracing::error!(error = %text, jobs = count, "a commit failed; its callers were told");
                let others = std::iter::repeat_with(|| Err(StoreError::ReadOnly(text.clone())));
                std::iter::once(Err(error)).chain(others).take(count).collect()
            }
        }
    }

    fn transact(
        &mut self,
        group: &mut [Box<Submission>],
        head: u64,
        frames: &mut Vec<Arc<Frame>>,
        answers: &mut Vec<Result<Span, StoreError>>,
    ) -> Result<u64, StoreError> {
        if self.rooms.len() > ROOMS {
            self.rooms.clear();
        }
        let one_row = self.is_one_row(group);
        let Self { parts, rooms, live, newest_is_last, .. } = self;
        let db = &parts.db;
        // One row cannot be undone if it got another number.
        let numbers = if *newest_is_last && !one_row { Numbers::Next } else { Numbers::Given };
        if !one_row && db.is_autocommit() {
            begin(db)?;
        }
        let mut done = write(db, parts, rooms, group, (head, numbers), frames, answers);
        // Not where one row was its own transaction, or a refused batch was alone in it; but nothing is taken for committed that
        // lost its transaction.
        let wrote = done.as_ref().is_ok_and(|(newest, _)| *newest > head);
        if !db.is_autocommit() || (wrote && !one_row) {
            done = done.and_then(|written| Ok(db.prepare_cached("COMMIT")?.execute([]).map(|_| written)?));
        }
        match done {
            Ok((newest, woken)) => {
                *live += woken;
                *newest_is_last |= newest > head;
                Ok(newest)
            }
            Err(error) => {
                *newest_is_last = false;
                // SQLite may have done so itself, for instance when the disk is full.
                if !db.is_autocommit()
                    && let Err(error) = db.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a failed commit could not be undone");
                }
                Err(error)
            }
        }
    }
}

/// Not rusqlite's `Transaction`: it compiles BEGIN and COMMIT anew each time.
fn begin(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())
}

/// The group's rows. Gives the newest event, and how many rooms became live.
fn write(
    db: &Connection,
    parts: &Parts,
    rooms: &mut HashMap<Room, RoomState>,
    group: &mut [Box<Submission>],
    (head, numbers): (u64, Numbers),
    frames: &mut Vec<Arc<Frame>>,
    answers: &mut Vec<Result<Span, StoreError>>,
) -> Result<(u64, usize), StoreError> {
    let (epoch, now) = (&parts.epoch, parts.clock.now());
    let rows = Vec::with_capacity(group.len());
    let mut job = BatchJob { db, rooms, epoch, now, next: head + 1, frames, rows, numbers, undo: Vec::new() };
    let mut woken = Vec::new();
    let alone = group.len() == 1;
    for index in 0..group.len() {
        let submission = &mut *group[index];
        // Only a batch that can fail on its own account after its first write, and has company, pays for a savepoint: behind
        // one, SQLite keeps a copy of each page before it changes it.
        let can_fail = submission.batch.key.is_some()
            || submission.batch.events.iter().any(|event| {
                let opens_run = matches!(event.room, Room::Run(_)) && !job.rooms.contains_key(&event.room);
                opens_run || projection::can_refuse(&event.body)
            });
        let guarded = can_fail && !alone;
        let key = submission.batch.key.take();
        if guarded {
            // Those before it are not to go with it.
            job.write_rows(group)?;
            db.prepare_cached("SAVEPOINT batch")?.execute([])?;
        }
        let start = (job.next, job.frames.len(), job.rows.len());
        let result = job.apply(index, &group[index], key);
        match result {
            Ok(span) => {
                woken.extend(job.undo.drain(..).filter(|undo| !undo.live).map(|undo| undo.room));
                answers.push(Ok(span));
            }
            Err(error) if error.is_of_the_batch() => {
                if guarded {
                    db.prepare_cached("ROLLBACK TO batch")?.execute([])?;
                } else if alone && !db.is_autocommit() {
                    db.execute_batch("ROLLBACK")?;
                }
                for Undo { room, head, .. } in job.undo.drain(..).rev() {
                    match head {
                        Some(head) => {
                            if let Some(state) = job.rooms.get_mut(&room.room) {
                                state.head = head;
                            }
                        }
                        None => {
                            job.rooms.remove(&room.room);
                        }
                    }
                }
                job.next = start.0;
                job.frames.truncate(start.1);
                job.rows.truncate(start.2);
                answers.push(Err(error));
            }
            Err(error) => return Err(error),
        }
        if guarded {
            db.prepare_cached("RELEASE batch")?.execute([])?;
        }
    }
    job.write_rows(group)?;
    let newest = job.next - 1;
    let mut count = 0;
    for room in woken {
        if let Some(state) = job.rooms.get_mut(&room.room).filter(|state| !state.live) {
            db.prepare_cached("UPDATE rooms SET head = ?2 WHERE id = ?1")?.execute(params![room.id, schema::LIVE])?;
            state.live = true;
            count += 1;
        }
    }
    Ok((newest, count))
}

/// What an event found.
struct Undo {
    room: Arc<RoomInfo>,
    /// The room's head; none where it opened the room.
    head: Option<u64>,
    live: bool,
}

/// The batches within the group's transaction, one after the other.
struct BatchJob<'a> {
    db: &'a Connection,
    rooms: &'a mut HashMap<Room, RoomState>,
    epoch: &'a Epoch,
    now: i64,
    next: u64,
    frames: &'a mut Vec<Arc<Frame>>,
    /// What is still to be written of the table of events.
    rows: Vec<Row>,
    numbers: Numbers,
    /// Of the batch at hand.
    undo: Vec<Undo>,
}

impl BatchJob<'_> {
    fn write_rows(&mut self, group: &[Box<Submission>]) -> Result<(), StoreError> {
        rows::write(self.db, group, self.now, &self.rows, self.numbers)?;
        self.rows.clear();
        Ok(())
    }

    /// The submission at `index` of the group.
    fn apply(&mut self, index: usize, submission: &Submission, key: Option<KeyClaim>) -> Result<Span, StoreError> {
        let batch = &submission.batch;
        if let Some(claim) = &key {
            let earlier: Option<String> = self
                .db
                .prepare_cached("SELECT reply FROM keys WHERE member = ?1 AND key = ?2")?
                .query_row(params![claim.member.as_str(), claim.key], |row| row.get(0))
                .optional()?;
            if let Some(reply) = earlier {
                return Err(StoreError::Repeated { reply });
            }
        }
        access::check(self.db, &batch.tokens, self.now)?;
        let first = self.next;
        for (place, event) in batch.events.iter().enumerate() {
            self.event((index, place), event, submission.data(place))?;
        }
        for change in &batch.tokens {
            access::apply(self.db, change, self.now)?;
        }
        for write in &batch.side {
            team::write(self.db, write)?;
        }
        let last = self.next - 1;
        let first = first.min(last);
        if let Some(claim) = key {
            let cursor = Cursor { epoch: self.epoch.clone(), seq: last };
            let reply = (claim.reply)(&Committed { first, last, cursor });
            self.db
                .prepare_cached("INSERT INTO keys(member, key, ts, reply) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![claim.member.as_str(), claim.key, self.now, reply])?;
        }
        Ok((first, last))
    }

    fn event(&mut self, of: (usize, usize), event: &NewEvent, data: &str) -> Result<(), StoreError> {
        let seq = self.next;
        let mut opened = false;
        let room = match self.rooms.get_mut(&event.room) {
            Some(room) => room,
            None => {
                let (state, new) = open_room(self.db, &event.room)?;
                opened = new;
                self.rooms.entry(event.room.clone()).or_insert(state)
            }
        };
        let prev = std::mem::replace(&mut room.head, seq);
        if self.undo.last().is_none_or(|undo| undo.room.id != room.info.id) {
            let (info, head) = (Arc::clone(&room.info), (!opened).then_some(prev));
            self.undo.push(Undo { room: info, head, live: room.live });
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
        self.rows.push(Row { of, seq, prev, room: room.info.id });
        let json = parts.encode(self.epoch, &event.room);
        let frame = Frame { seq, room: Arc::clone(&room.info), json };
        let whence = Whence { seq, project: room.info.project.as_ref(), run: event.run.as_ref() };
        projection::apply(self.db, whence, &event.body, data)?;
        self.frames.push(Arc::new(frame));
        self.next += 1;
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
                Room::Project(project) | Room::Feed(project) => Some(project.clone()),
                Room::Run(run) => Some(projection::project_of_run(db, run)?),
                Room::Host | Room::Activity | Room::Member(_) => None,
            };
            db.prepare_cached("INSERT INTO rooms(name, project, head) VALUES (?1, ?2, 0)")?
                .execute(params![name, project.as_ref().map(ProjectId::as_str)])?;
            (db.last_insert_rowid(), project, 0, false)
        }
    };
    Ok((RoomState { info: Arc::new(RoomInfo { id, room: room.clone(), project }), head, live }, new))
}
