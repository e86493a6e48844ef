//! One subscriber: rooms, a cursor, and what comes next.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use signalbox_model::{Cursor, Room, RoomFilter};
use signalbox_store::{Frame, Resume, Store, StoreError};
use signalbox_wire::{Caller, HostFrame, SubscribeMode};

use crate::{
    Hub, Presence,
    hub::{Taken, Waker},
    snapshot::snapshot,
};

/// Frames that are ready to be sent, in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// The frames, JSON.
    pub frames: Vec<Bytes>,
    /// How many of them are events.
    pub events: u64,
}

impl Batch {
    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}

/// Why a session cannot go on. What it handed out so far is good.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More rooms than the limit.
    #[error("{wanted} rooms, the limit is {limit}")]
    TooManyRooms {
        /// With those asked for.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// The reading task was ended with the runtime.
    #[error("the host is stopping")]
    Stopping,
}

struct Subscription {
    filter: RoomFilter,
    /// Events up to here are not wanted: they are in the snapshot, or were replayed.
    from: u64,
}

/// Frames that go out once every event up to `at` has.
struct Pending {
    at: u64,
    frames: Vec<Bytes>,
    events: u64,
    /// The last frame is a `synced` with this `rid`: it promises every event up to `at`.
    synced: Option<Option<u64>>,
}

/// Room prefix for pages read from the log.
const PAGE: usize = 512;

/// A subscriber.
pub struct Session {
    hub: Arc<Hub>,
    store: Store,
    caller: Caller,
    version: &'static str,
    presence: Option<Arc<Presence>>,
    replay_limit: u64,
    room_limit: usize,
    waker: Arc<Waker>,
    subscriptions: Vec<Subscription>,
    cursor: u64,
    pending: VecDeque<Pending>,
    sent: u64,
    resets: u64,
    /// From the last page of the log, for the rooms that are joined now.
    owed: Option<Owed>,
}

/// How much a session that reads the log has still to read: known from the first page on, so that it is not counted for each.
#[derive(Debug, Clone, Copy)]
struct Owed {
    /// Events of its rooms up to `head` at most.
    events: u64,
    head: u64,
}

struct Joined {
    head: u64,
    modes: Vec<(RoomFilter, SubscribeMode, u64, Option<Bytes>)>,
    refused: Vec<(RoomFilter, &'static str)>,
    reset: Option<&'static str>,
    replayed: Vec<Arc<Frame>>,
    from: u64,
}

impl Session {
    /// A session without rooms, at the head of the log.
    #[must_use]
    pub fn new(hub: Arc<Hub>, store: Store, caller: Caller, replay_limit: u64, room_limit: usize) -> Self {
        let cursor = hub.head();
        Self {
            hub,
            store,
            caller,
            version: env!("CARGO_PKG_VERSION"),
            presence: None,
            replay_limit,
            room_limit,
            waker: Arc::default(),
            subscriptions: Vec::new(),
            cursor,
            pending: VecDeque::new(),
            sent: 0,
            resets: 0,
            owed: None,
        }
    }

    /// Its snapshots say who is here.
    #[must_use]
    pub fn with_presence(mut self, presence: Arc<Presence>) -> Self {
        self.presence = Some(presence);
        self
    }

    /// The newest event that was handed out; 0 for none.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How often what the client held was no longer good.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Everything up to here that this session wants was handed out.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The rooms joined.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomFilter> {
        self.subscriptions.iter().map(|subscription| &subscription.filter)
    }

    /// Joins `rooms`. With a cursor that can be resumed, what was missed follows; else a snapshot of each.
    /// The answer (`subscribed`, `reset`, `snapshot`, `synced`) comes from [`next`](Self::next), in its place
    /// among the events. `rid` is echoed in it.
    ///
    /// # Errors
    /// If there would be too many rooms, or the log cannot be read. Then nothing was joined.
    pub async fn join(
        &mut self,
        rid: Option<u64>,
        rooms: Vec<RoomFilter>,
        resume: Option<Cursor>,
    ) -> Result<(), SessionError> {
        let mut fresh: Vec<RoomFilter> = Vec::with_capacity(rooms.len());
        for room in rooms {
            let room = room.seen_by(&self.caller.projects);
            if !fresh.contains(&room) {
                fresh.push(room);
            }
        }
        // The member's own room is joined for it, and does not count.
        let counts = |filter: &RoomFilter| !matches!(filter, RoomFilter::One(Room::Member(_)));
        let known = self.subscriptions.iter().filter(|s| counts(&s.filter) && !fresh.contains(&s.filter)).count();
        let wanted = known + fresh.iter().filter(|filter| counts(filter)).count();
        if wanted > self.room_limit {
            return Err(SessionError::TooManyRooms { wanted, limit: self.room_limit });
        }
        // Watch before reading: what is committed in between wakes us.
        for room in &fresh {
            self.remove(room);
            self.hub.watch(room, &self.waker);
            self.subscriptions.push(Subscription { filter: room.clone(), from: u64::MAX });
            self.owed = None;
        }
        let first = self.subscriptions.len() == fresh.len() && self.pending.is_empty();
        // Boxed, as everything that a session does rarely: what waits most of the time must be small.
        let result = Box::pin(self.read_join(&fresh, resume, first)).await;
        let joined = match result {
            Ok(joined) => joined,
            Err(error) => {
                fresh.iter().for_each(|room| self.remove(room));
                return Err(error);
            }
        };
        for (room, _) in &joined.refused {
            self.remove(room);
        }
        for subscription in &mut self.subscriptions {
            if fresh.contains(&subscription.filter) {
                subscription.from = joined.from;
            }
        }
        self.answer(rid, joined, first);
        self.waker.wake();
        Ok(())
    }

    async fn read_join(
        &self,
        rooms: &[RoomFilter],
        resume: Option<Cursor>,
        first: bool,
    ) -> Result<Joined, SessionError> {
        let (store, caller) = (self.store.clone(), self.caller.clone());
        let (rooms, limit, version) = (rooms.to_vec(), self.replay_limit, self.version);
        let presence = self.presence.clone();
        let read = move || {
            store.read(|reader| {
                let head = reader.head()?;
                let (mut allowed, mut refused) = (Vec::new(), Vec::new());
                for room in rooms {
                    match may_join(reader, &caller, &room)? {
                        Ok(()) => allowed.push(room),
                        Err(code) => refused.push((room, code)),
                    }
                }
                let reset = match &resume {
                    None => None,
                    Some(cursor) => reader.resume(&allowed, cursor, limit)?.reset_reason(),
                };
                let resumed = resume.filter(|_| reset.is_none());
                let mut modes = Vec::new();
                for room in &allowed {
                    let room_head = reader.room_head(room)?;
                    let (mode, state) = match &resumed {
                        Some(cursor) if cursor.seq >= room_head && matches!(room, RoomFilter::One(_)) => {
                            (SubscribeMode::Live, None)
                        }
                        Some(_) => (SubscribeMode::Resumed, None),
                        None => {
                            let present = presence.as_ref().map(|presence| presence.present(room));
                            let state = snapshot(reader, room, version, present.unwrap_or_default())?;
                            let frame = HostFrame::Snapshot { room: room.clone(), at: head, state };
                            (SubscribeMode::Snapshot, Some(Bytes::from(frame.to_json())))
                        }
                    };
                    modes.push((room.clone(), mode, room_head, state));
                }
                // The first join of a session replays by moving the cursor back; a later one cannot, since the
                // other rooms are further on, so what was missed is read here, at most `limit` events.
                let (from, replayed) = match &resumed {
                    Some(cursor) if first => (cursor.seq, Vec::new()),
                    Some(cursor) => {
                        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                        (head, reader.events(&allowed, cursor.seq, head, limit)?.frames)
                    }
                    None => (head, Vec::new()),
                };
                Ok(Joined { head, modes, refused, reset, replayed, from })
            })
        };
        let joined = tokio::task::spawn_blocking(read).await.map_err(|_| SessionError::Stopping)??;
        // A reader can see a commit that its writer has not published yet. That is a matter of microseconds, and
        // events up to the snapshot's place must be in the ring before they are waited for.
        while self.hub.head() < joined.head {
            tokio::task::yield_now().await;
        }
        Ok(joined)
    }

    fn answer(&mut self, rid: Option<u64>, joined: Joined, first: bool) {
        let Joined { head, modes, refused, reset, replayed, from } = joined;
        self.resets += u64::from(reset.is_some());
        let mut frames = Vec::new();
        for (room, code) in refused {
            frames.push(json(&HostFrame::Left { room, code: code.to_owned() }));
        }
        for (room, mode, room_head, state) in modes {
            if let Some(reason) = reset {
                frames.push(json(&HostFrame::Reset { room: room.clone(), reason: reason.to_owned() }));
            }
            frames.push(json(&HostFrame::Subscribed { rid, room, mode, head: room_head }));
            frames.extend(state);
        }
        let events = replayed.len() as u64;
        frames.extend(replayed.iter().map(|frame| frame.json.clone()));
        let synced = json(&HostFrame::Synced { rid, cursor: Cursor { epoch: self.store.epoch().clone(), seq: head } });
        if first {
            self.cursor = from;
            self.pending.push_back(Pending { at: from, frames, events, synced: None });
            self.pending.push_back(Pending { at: head, frames: vec![synced], events: 0, synced: Some(rid) });
        } else {
            frames.push(synced);
            self.pending.push_back(Pending { at: head, frames, events, synced: Some(rid) });
        }
    }

    /// Leaves `rooms`; says `left` for each.
    pub fn leave(&mut self, rooms: &[RoomFilter]) {
        let frames = rooms
            .iter()
            .map(|room| {
                self.remove(&room.clone().seen_by(&self.caller.projects));
                json(&HostFrame::Left { room: room.clone(), code: "unsubscribed".into() })
            })
            .collect();
        // Behind everything promised before: a snapshot of the room that comes after `left` would look like a new stay.
        let at = self.pending.back().map_or(self.cursor, |pending| pending.at.max(self.cursor));
        self.pending.push_back(Pending { at, frames, events: 0, synced: None });
        self.waker.wake();
    }

    fn remove(&mut self, room: &RoomFilter) {
        if let Some(at) = self.subscriptions.iter().position(|s| s.filter == *room) {
            self.hub.unwatch(room, &self.waker);
            self.subscriptions.remove(at);
        }
    }

    /// Waits until there is something to send. Safe to drop while it waits: nothing is lost.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Batch, SessionError> {
        loop {
            self.look();
            let batch = self.ready(max_bytes).await?;
            if !batch.frames.is_empty() {
                return Ok(batch);
            }
            self.woken().await;
        }
    }

    /// Forgets earlier wake-ups: call before [`ready`](Self::ready), and [`woken`](Self::woken) after it.
    pub(crate) fn look(&self) {
        self.waker.clear();
    }

    pub(crate) async fn woken(&self) {
        self.waker.woken().await;
    }

    /// Events that were committed and not looked at yet, of any room.
    pub(crate) fn behind(&self) -> u64 {
        self.hub.head().saturating_sub(self.cursor)
    }

    /// Whether there are rooms, and nothing but new events can come from them.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.pending.is_empty()
            && !self.subscriptions.is_empty()
            && self.subscriptions.iter().all(|subscription| subscription.from <= self.cursor)
    }

    /// Somebody else hands out the events from here on: nothing wakes this session until [`go_on`](Self::go_on).
    pub(crate) fn rest(&mut self) {
        self.pending = VecDeque::new();
        for subscription in &self.subscriptions {
            self.hub.unwatch(&subscription.filter, &self.waker);
        }
    }

    /// Goes on after `cursor`; the newest event that was handed out is `sent`.
    pub(crate) fn go_on(&mut self, cursor: u64, sent: u64) {
        self.cursor = self.cursor.max(cursor);
        self.sent = self.sent.max(sent);
        for subscription in &self.subscriptions {
            self.hub.watch(&subscription.filter, &self.waker);
        }
    }

    /// What can be sent now, at most about `max_bytes`; empty if nothing.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn ready(&mut self, max_bytes: usize) -> Result<Batch, SessionError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while bytes < max_bytes {
            if self.pending.front().is_some_and(|pending| pending.at <= self.cursor)
                && let Some(pending) = self.pending.pop_front()
            {
                bytes += pending.frames.iter().map(Bytes::len).sum::<usize>();
                batch.events += pending.events;
                batch.frames.extend(pending.frames);
                continue;
            }
            let upto = self.pending.front().map_or(u64::MAX, |pending| pending.at);
            let head = self.hub.head();
            if self.cursor >= head.min(upto) || self.subscriptions.is_empty() {
                if self.subscriptions.is_empty() && self.cursor < head.min(upto) {
                    self.cursor = head.min(upto);
                    continue;
                }
                break;
            }
            let taken = self.hub.take(self.cursor, upto, max_bytes - bytes, |frame| self.wants(frame));
            let (frames, looked) = match taken {
                Taken::Frames(frames, looked) => (frames, looked),
                // What was taken so far would be lost if this future were dropped at the next `await`.
                Taken::Behind if !batch.frames.is_empty() => break,
                Taken::Behind => match Box::pin(self.read_log(upto.min(head))).await? {
                    Some((frames, looked)) => (frames, looked),
                    None => continue,
                },
            };
            if looked == self.cursor {
                break;
            }
            self.cursor = looked;
            for frame in frames {
                bytes += frame.json.len();
                batch.events += 1;
                self.sent = self.sent.max(frame.seq);
                batch.frames.push(frame.json.clone());
            }
        }
        Ok(batch)
    }

    fn wants(&self, frame: &Frame) -> bool {
        self.subscriptions.iter().any(|subscription| {
            frame.seq > subscription.from && subscription.filter.covers(&frame.room.room, frame.room.project.as_ref())
        })
    }

    /// Reads what the ring no longer holds. None: it was too much, and a snapshot of each room was arranged instead.
    async fn read_log(&mut self, upto: u64) -> Result<Option<(Vec<Arc<Frame>>, u64)>, SessionError> {
        let cursor = Cursor { epoch: self.store.epoch().clone(), seq: self.cursor };
        let filters: Vec<RoomFilter> = self.rooms().cloned().collect();
        let (store, limit) = (self.store.clone(), self.replay_limit);
        let head = self.hub.head();
        // No more than all that is there, nor than what was counted and what came since.
        let counted = self.owed.map_or(u64::MAX, |owed| owed.events + (head - owed.head));
        let owed = counted.min(head - cursor.seq);
        let read = move || {
            store.read(|reader| {
                let missed = if owed > limit {
                    match reader.resume(&filters, &cursor, limit)? {
                        Resume::Yes { missed } => missed,
                        _ => return Ok(None),
                    }
                } else if reader.is_whole(&filters, cursor.seq)? {
                    owed
                } else {
                    return Ok(None);
                };
                reader.events(&filters, cursor.seq, upto, PAGE).map(|page| Some((page, missed)))
            })
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| SessionError::Stopping)??;
        if let Some((page, missed)) = read {
            self.owed = Some(Owed { events: missed.saturating_sub(page.frames.len() as u64), head });
            let frames = page.frames.into_iter().filter(|frame| self.wants(frame)).collect();
            return Ok(Some((frames, page.upto)));
        }
        self.jump().await?;
        Ok(None)
    }

    /// Gives up on replaying: the client is told that it lags, and gets each room's present state.
    async fn jump(&mut self) -> Result<(), SessionError> {
        let behind = self.hub.head() - self.cursor;
        let rooms: Vec<RoomFilter> = self.rooms().cloned().collect();
        let mut joined = self.read_join(&rooms, None, false).await?;
        joined.reset = Some("slow");
        for (room, _) in &joined.refused {
            self.remove(room);
        }
        for subscription in &mut self.subscriptions {
            subscription.from = joined.from;
        }
        // What was promised at earlier places is part of the new snapshots, but for answers that carry an rid.
        let mut kept: Vec<Pending> = self.pending.drain(..).collect();
        self.cursor = joined.head;
        // A `synced` promises events that are not replayed any more: it is said again behind the snapshots.
        let mut asked = Vec::new();
        for pending in &mut kept {
            pending.at = self.cursor;
            if let Some(rid) = pending.synced.take() {
                pending.frames.pop();
                asked.extend(rid);
            }
        }
        self.pending.push_back(Pending {
            at: self.cursor,
            frames: vec![json(&HostFrame::Lagging { behind })],
            events: 0,
            synced: None,
        });
        self.pending.extend(kept);
        self.answer(None, joined, false);
        for rid in asked {
            let cursor = Cursor { epoch: self.store.epoch().clone(), seq: self.cursor };
            let frames = vec![json(&HostFrame::Synced { rid: Some(rid), cursor })];
            self.pending.push_back(Pending { at: self.cursor, frames, events: 0, synced: Some(Some(rid)) });
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for subscription in &self.subscriptions {
            self.hub.unwatch(&subscription.filter, &self.waker);
        }
    }
}

fn json(frame: &HostFrame) -> Bytes {
    Bytes::from(frame.to_json())
}

/// Whether this member may join this room; else the code of `left`.
fn may_join(
    reader: &signalbox_store::Reader<'_>,
    caller: &Caller,
    room: &RoomFilter,
) -> Result<Result<(), &'static str>, StoreError> {
    let project = match room {
        // The feed is of the projects that the member may see.
        RoomFilter::Activity(_) => return Ok(Ok(())),
        // The host's room speaks of every project.
        RoomFilter::One(Room::Host | Room::Activity) => {
            return Ok(if caller.projects.is_empty() { Ok(()) } else { Err("forbidden") });
        }
        // What is there of other members is nobody's business.
        RoomFilter::One(Room::Member(member)) => {
            return Ok(if *member == caller.member { Ok(()) } else { Err("not_found") });
        }
        RoomFilter::One(Room::Project(project) | Room::Feed(project)) | RoomFilter::ProjectTree(project) => {
            project.clone()
        }
        RoomFilter::One(Room::Run(run)) => match reader.run(run)? {
            Some(run) => run.project.clone(),
            None => return Ok(Err("not_found")),
        },
    };
    // The same answer for a project that is not there and one that is not theirs.
    let known = caller.sees(&project) && reader.project(&project)?.is_some();
    Ok(if known { Ok(()) } else { Err("not_found") })
}
