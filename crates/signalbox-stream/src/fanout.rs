//! One thread that writes new events to every connection that is up to date.
//!
//! Connections that follow the same rooms form a *channel*. When something was committed, the thread takes it from the
//! ring, lays the events of each channel one behind the other in the form that goes over the wire, once, and writes that
//! to each socket without waiting. A socket that does not take all of it leaves the channel: its own task sends the rest,
//! catches up from the ring or the log, and comes back. So a delivery costs a system call and little else, what was
//! committed meanwhile goes out in one piece, and a slow connection costs the others nothing.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
};

use bytes::{Bytes, BytesMut};
use signalbox_model::{ProjectId, Room, RoomFilter};
use signalbox_store::Frame;

use crate::{
    Hub,
    bell::Bell,
    hub::Taken,
    outlet::{Delivered, Outlet, Piece},
};

/// Bytes of events that go out in one piece at most. What a socket does not take of it is kept for that socket.
const PIECE: usize = 128 * 1024;

/// How frames look on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Its number, below [`Framing::KINDS`]: connections of equal number share their bytes.
    pub kind: usize,
    /// Appends a frame (JSON text) as it goes over the wire.
    pub encode: fn(&[u8], &mut BytesMut),
    /// Bytes that `encode` adds to a frame at most.
    pub overhead: usize,
}

impl Framing {
    /// How many kinds there can be.
    pub const KINDS: usize = 4;

    /// Frames, one behind the other.
    pub fn encode_all<'a>(&self, frames: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
        let size = frames.clone().map(|frame| frame.len() + self.overhead).sum();
        let mut out = BytesMut::with_capacity(size);
        frames.for_each(|frame| (self.encode)(frame, &mut out));
        out.freeze()
    }
}

/// The rooms that connections of one channel follow; sorted, so that the same rooms are the same key.
type Audience = Arc<[RoomFilter]>;

/// A connection that goes live.
pub(crate) struct Entry {
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) framing: Framing,
    pub(crate) generation: u64,
}

enum Command {
    Join { rooms: Vec<RoomFilter>, cursor: u64, entry: Entry },
    Leave { rooms: Vec<RoomFilter>, outlet: Arc<Outlet> },
}

struct Channel {
    rooms: Audience,
    entries: Vec<Entry>,
    /// The newest event that went out to its connections; 0 before the first.
    last: u64,
    /// What goes out next.
    frames: Vec<Arc<Frame>>,
}

/// Counts what was sent: events and bytes of all connections together.
pub type OnSent = Box<dyn Fn(u64, u64) + Send + Sync>;

/// The channels, and the place in the log up to which they were served.
struct Core {
    done: u64,
    next_id: usize,
    channels: HashMap<usize, Channel>,
    ids: HashMap<Audience, usize>,
    rooms: HashMap<Room, Vec<usize>>,
    trees: HashMap<ProjectId, Vec<usize>>,
    /// Those that follow the whole feed.
    feed: Vec<usize>,
}

/// Writes new events to the connections that are up to date.
pub struct Fanout {
    hub: Arc<Hub>,
    core: Mutex<Core>,
    inbox: Mutex<Vec<Command>>,
    /// Every channel has got everything up to here.
    served: AtomicU64,
    alarm: Arc<Alarm>,
    on_sent: OnSent,
}

/// Wakes the thread.
pub(crate) struct Alarm {
    bell: Bell,
    stopping: AtomicBool,
    /// Set before anybody can ring.
    thread: OnceLock<Thread>,
}

impl Alarm {
    fn ring(&self) {
        if self.bell.ring() {
            self.wake();
        }
    }

    /// Something was committed. Call it after the head was stored.
    pub(crate) fn committed(&self) {
        if self.bell.ring_for_audience() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.alarm.stopping.store(true, Ordering::Release);
        self.alarm.ring();
    }
}

impl Fanout {
    /// A fan-out that works only when [`step`](Self::step) is called.
    #[must_use]
    pub fn new(hub: &Arc<Hub>, on_sent: OnSent) -> Arc<Self> {
        let core = Core {
            done: hub.head(),
            next_id: 0,
            channels: HashMap::new(),
            ids: HashMap::new(),
            rooms: HashMap::new(),
            trees: HashMap::new(),
            feed: Vec::new(),
        };
        let alarm = Arc::new(Alarm { bell: Bell::new(), stopping: AtomicBool::new(false), thread: OnceLock::new() });
        Arc::new(Self {
            hub: Arc::clone(hub),
            core: Mutex::new(core),
            inbox: Mutex::default(),
            served: AtomicU64::new(0),
            alarm,
            on_sent,
        })
    }

    /// A fan-out with a thread of its own, which ends when the fan-out is dropped.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(hub: &Arc<Hub>, on_sent: OnSent) -> std::io::Result<Arc<Self>> {
        let fanout = Self::new(hub, on_sent);
        let (weak, alarm) = (Arc::downgrade(&fanout), Arc::clone(&fanout.alarm));
        let handle = thread::Builder::new().name("fan-out".into()).spawn(move || {
            while !alarm.stopping.load(Ordering::Acquire) {
                // Forgotten before looking: what comes after it rings again.
                if !alarm.bell.was_rung() {
                    thread::park();
                    continue;
                }
                let Some(fanout) = weak.upgrade() else { return };
                while fanout.step() {}
            }
        })?;
        fanout.alarm.thread.set(handle.thread().clone()).ok();
        hub.set_alarm(Arc::clone(&fanout.alarm));
        Ok(fanout)
    }

    /// How many connections are live, and how many channels they form.
    #[must_use]
    pub fn live(&self) -> (usize, usize) {
        let core = self.core();
        (core.channels.values().map(|channel| channel.entries.len()).sum(), core.channels.len())
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Acquire)
    }

    /// Counts what was sent by others than the fan-out's thread.
    pub(crate) fn sent(&self, events: u64, bytes: u64) {
        (self.on_sent)(events, bytes);
    }

    pub(crate) fn join(&self, rooms: Vec<RoomFilter>, cursor: u64, entry: Entry) {
        self.tell(Command::Join { rooms, cursor, entry });
    }

    pub(crate) fn leave(&self, rooms: Vec<RoomFilter>, outlet: Arc<Outlet>) {
        self.tell(Command::Leave { rooms, outlet });
    }

    fn tell(&self, command: Command) {
        self.inbox.lock().unwrap_or_else(|e| e.into_inner()).push(command);
        self.alarm.ring();
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Lets connections in and out, and sends one piece of what is new to each channel. False if there was nothing to do.
    pub fn step(&self) -> bool {
        let mut core = self.core();
        if core.channels.is_empty() {
            core.done = self.hub.head();
            self.hub.written(core.done, false);
        }
        let commands = mem::take(&mut *self.inbox.lock().unwrap_or_else(|e| e.into_inner()));
        let mut worked = !commands.is_empty();
        for command in commands {
            match command {
                Command::Join { rooms, cursor, entry } => self.let_in(&mut core, rooms, cursor, entry),
                Command::Leave { rooms, outlet } => core.let_out(rooms, &outlet),
            }
        }
        // Said before looking: a commit that finds nobody waiting is seen here.
        self.alarm.bell.set_audience(!core.channels.is_empty());
        let head = self.hub.head();
        if core.done < head {
            worked = true;
            self.distribute(&mut core, head);
        }
        self.served.store(core.done, Ordering::Release);
        self.hub.written(core.done, !core.channels.is_empty());
        worked
    }

    /// Takes a connection into the channel of its rooms, with everything that it missed on the way here.
    fn let_in(&self, core: &mut Core, mut rooms: Vec<RoomFilter>, cursor: u64, entry: Entry) {
        rooms.sort_unstable();
        rooms.dedup();
        let mut cursor = cursor;
        while cursor < core.done {
            let wanted =
                |frame: &Frame| rooms.iter().any(|room| room.covers(&frame.room.room, frame.room.project.as_ref()));
            let Taken::Frames(frames, looked) = self.hub.take(cursor, core.done, PIECE, wanted) else {
                return entry.outlet.fall(entry.generation);
            };
            if let (Some(first), Some(last)) = (frames.first(), frames.last()) {
                let bytes = entry.framing.encode_all(frames.iter().map(|frame| &frame.json[..]));
                let events = frames.len() as u64;
                let piece = Piece { bytes, after: 0, first: first.seq, last: last.seq, events };
                let sent = u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX);
                if entry.outlet.deliver(entry.generation, &piece) != Delivered::Sent {
                    return;
                }
                (self.on_sent)(events, sent);
            }
            cursor = looked;
        }
        entry.outlet.let_in(entry.generation);
        core.channel(rooms).entries.push(entry);
    }

    fn distribute(&self, core: &mut Core, head: u64) {
        if core.channels.is_empty() {
            core.done = head;
            return;
        }
        match self.hub.take(core.done, head, PIECE, |_| true) {
            // The ring went round before this thread came to look. Whoever was live goes on from its own cursor.
            Taken::Behind => {
                core.done = head;
                for (_, channel) in core.channels.drain() {
                    channel.entries.iter().for_each(|entry| entry.outlet.fall(entry.generation));
                }
                core.ids.clear();
                core.rooms.clear();
                core.trees.clear();
                core.feed.clear();
            }
            Taken::Frames(frames, looked) => {
                core.done = looked;
                let touched = core.sort(&frames);
                let mut sent = (0, 0);
                for id in touched {
                    if let Some(channel) = core.channels.get_mut(&id) {
                        let (events, bytes) = channel.send();
                        sent = (sent.0 + events, sent.1 + bytes);
                    }
                    core.drop_if_empty(id);
                }
                (self.on_sent)(sent.0, sent.1);
            }
        }
    }
}

impl Core {
    /// The channel of these rooms (sorted), made if there is none.
    fn channel(&mut self, rooms: Vec<RoomFilter>) -> &mut Channel {
        let rooms: Audience = rooms.into();
        let id = match self.ids.get(&rooms) {
            Some(id) => *id,
            None => {
                let id = self.next_id;
                self.next_id += 1;
                self.ids.insert(Arc::clone(&rooms), id);
                for room in rooms.iter() {
                    match room {
                        RoomFilter::One(room) => self.rooms.entry(room.clone()).or_default().push(id),
                        RoomFilter::ProjectTree(project) => self.trees.entry(project.clone()).or_default().push(id),
                        RoomFilter::Activity(None) => self.feed.push(id),
                        RoomFilter::Activity(Some(projects)) => {
                            for project in projects {
                                self.rooms.entry(Room::Feed(project.clone())).or_default().push(id);
                            }
                        }
                    }
                }
                id
            }
        };
        self.channels.entry(id).or_insert_with(|| Channel { rooms, entries: Vec::new(), last: 0, frames: Vec::new() })
    }

    fn let_out(&mut self, mut rooms: Vec<RoomFilter>, outlet: &Arc<Outlet>) {
        rooms.sort_unstable();
        rooms.dedup();
        let Some(id) = self.ids.get(&rooms[..]).copied() else { return };
        if let Some(channel) = self.channels.get_mut(&id) {
            // It may be back already: only what is not live any more goes.
            channel.entries.retain(|entry| !Arc::ptr_eq(&entry.outlet, outlet) || entry.is_current());
        }
        self.drop_if_empty(id);
    }

    fn drop_if_empty(&mut self, id: usize) {
        if self.channels.get(&id).is_none_or(|channel| !channel.entries.is_empty()) {
            return;
        }
        let Some(channel) = self.channels.remove(&id) else { return };
        self.ids.remove(&channel.rooms);
        for room in channel.rooms.iter() {
            match room {
                RoomFilter::One(room) => forget(&mut self.rooms, room, id),
                RoomFilter::ProjectTree(project) => forget(&mut self.trees, project, id),
                RoomFilter::Activity(None) => self.feed.retain(|known| *known != id),
                RoomFilter::Activity(Some(projects)) => {
                    for project in projects {
                        forget(&mut self.rooms, &Room::Feed(project.clone()), id);
                    }
                }
            }
        }
    }

    /// Lays each frame into the channels that want it, and says which those are.
    fn sort(&mut self, frames: &[Arc<Frame>]) -> Vec<usize> {
        let mut touched = Vec::new();
        for frame in frames {
            let one = self.rooms.get(&frame.room.room).into_iter().flatten();
            let trees = frame.room.project.as_ref().and_then(|project| self.trees.get(project));
            let feed: &[usize] = if frame.room.room.is_of_feed() { &self.feed } else { &[] };
            for id in one.chain(trees.into_iter().flatten()).chain(feed) {
                let Some(channel) = self.channels.get_mut(id) else { continue };
                match channel.frames.last() {
                    // A room and the tree that it is in, both of one channel.
                    Some(last) if last.seq == frame.seq => continue,
                    Some(_) => {}
                    None => touched.push(*id),
                }
                channel.frames.push(Arc::clone(frame));
            }
        }
        touched
    }
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<usize>>, key: &K, id: usize) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|known| *known != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

impl Entry {
    fn is_current(&self) -> bool {
        self.outlet.is_live_as(self.generation)
    }
}

impl Channel {
    /// Sends `frames` to everybody in the channel, and gives the events and bytes of it all.
    fn send(&mut self) -> (u64, u64) {
        let frames = mem::take(&mut self.frames);
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return (0, 0) };
        let (first, last) = (first.seq, last.seq);
        let after = mem::replace(&mut self.last, last);
        let mut pieces: [Option<Piece>; Framing::KINDS] = Default::default();
        let (mut events, mut bytes) = (0, 0);
        self.entries.retain(|entry| {
            let piece = pieces[entry.framing.kind].get_or_insert_with(|| {
                let bytes = entry.framing.encode_all(frames.iter().map(|frame| &frame.json[..]));
                Piece { bytes, after, first, last, events: frames.len() as u64 }
            });
            let (delivered, count, size) = match entry.outlet.deliver(entry.generation, piece) {
                Delivered::Partly { cursor } => {
                    let rest = || frames.iter().filter(|frame| frame.seq > cursor);
                    let encoded = entry.framing.encode_all(rest().map(|frame| &frame.json[..]));
                    let first = rest().next().map_or(last, |frame| frame.seq);
                    let (count, size) = (rest().count() as u64, encoded.len());
                    let piece = Piece { bytes: encoded, after: cursor, first, last, events: count };
                    (entry.outlet.deliver(entry.generation, &piece), count, size)
                }
                delivered => (delivered, piece.events, piece.bytes.len()),
            };
            match delivered {
                Delivered::Sent => {
                    events += count;
                    bytes += size as u64;
                    true
                }
                Delivered::Had => true,
                Delivered::Partly { .. } | Delivered::Left => false,
            }
        });
        // The list keeps its memory: the next event needs it again.
        self.frames = frames;
        self.frames.clear();
        (events, bytes)
    }
}
