//! The ring of recent events, and who wants to be woken for which room.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use signalbox_model::{ProjectId, Room, RoomFilter};
use signalbox_store::{Counted, Frame, Histogram, SECONDS};
use tokio::sync::{Notify, watch};

use crate::fanout::Alarm;

/// Events and bytes that the ring holds at most. Who falls behind it reads the log.
const RING_EVENTS: usize = 65_536;
const RING_BYTES: usize = 32 * 1024 * 1024;

/// Commits whose time is kept until they were written, at most.
const STAMPS: usize = 4096;

struct Ring {
    /// Contiguous by `seq`.
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// How many it holds at most.
    capacity: usize,
}

/// Wakes one session.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    notify: Notify,
    /// Set when there is something new, so that a burst wakes a session once.
    dirty: AtomicBool,
}

impl Waker {
    pub(crate) fn wake(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Forgets earlier wake-ups: call before looking, so that none is missed.
    pub(crate) fn clear(&self) {
        self.dirty.store(false, Ordering::Release);
    }

    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

#[derive(Default)]
struct Interest {
    rooms: HashMap<Room, Vec<Arc<Waker>>>,
    trees: HashMap<ProjectId, Vec<Arc<Waker>>>,
    /// Those who follow the whole feed.
    feed: Vec<Arc<Waker>>,
}

impl Interest {
    /// The lists in which somebody who follows `filter` stands.
    fn change(&mut self, filter: &RoomFilter, change: impl Fn(&mut Vec<Arc<Waker>>)) {
        fn of<K: std::hash::Hash + Eq + Clone>(
            map: &mut HashMap<K, Vec<Arc<Waker>>>,
            key: &K,
            change: impl Fn(&mut Vec<Arc<Waker>>),
        ) {
            let wakers = map.entry(key.clone()).or_default();
            change(wakers);
            if wakers.is_empty() {
                map.remove(key);
            }
        }
        match filter {
            RoomFilter::One(room) => of(&mut self.rooms, room, change),
            RoomFilter::ProjectTree(project) => of(&mut self.trees, project, change),
            RoomFilter::Activity(None) => change(&mut self.feed),
            RoomFilter::Activity(Some(projects)) => {
                for project in projects {
                    of(&mut self.rooms, &Room::Feed(project.clone()), &change);
                }
            }
        }
    }
}

/// Where the log's writer puts what it committed, and sessions take it. Shared by all of them.
pub struct Hub {
    ring: RwLock<Ring>,
    /// The newest event in the ring. Stored after the ring is filled and before anybody is woken: who is woken, or
    /// looks without being woken, finds what the head promises.
    head: AtomicU64,
    interest: Mutex<Interest>,
    /// Wakes the fan-out.
    alarm: OnceLock<Arc<Alarm>>,
    /// Wakes those who read the log for purposes of the host itself, whatever the rooms.
    committed: watch::Sender<u64>,
    /// The same for those who read events of some types only.
    committed_of: Mutex<Vec<(&'static [&'static str], watch::Sender<u64>)>>,
    /// When what the fan-out has still to write was published, by its last event. Only while there is a fan-out.
    stamps: Mutex<VecDeque<(u64, Instant)>>,
    /// Time from publishing to writing, in seconds.
    latency: Histogram,
}

/// What the ring had for a session.
pub(crate) enum Taken {
    /// Matching frames, and the place up to which was looked.
    Frames(Vec<Arc<Frame>>, u64),
    /// The cursor is behind the ring.
    Behind,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_capacity(RING_EVENTS)
    }

    /// An empty hub that remembers so many events, at least one. Who falls behind them reads the log.
    #[must_use]
    pub fn with_capacity(events: usize) -> Arc<Self> {
        Arc::new(Self {
            ring: RwLock::new(Ring { frames: VecDeque::new(), bytes: 0, capacity: events.max(1) }),
            head: AtomicU64::new(0),
            interest: Mutex::default(),
            alarm: OnceLock::new(),
            committed: watch::channel(0).0,
            committed_of: Mutex::default(),
            stamps: Mutex::default(),
            latency: Histogram::new(SECONDS),
        })
    }

    /// Says where the log stands when it is opened. Call before the first session.
    pub fn start_at(&self, head: u64) {
        self.head.fetch_max(head, Ordering::AcqRel);
    }

    /// The newest event that sessions can have.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    fn stamps(&self) -> MutexGuard<'_, VecDeque<(u64, Instant)>> {
        self.stamps.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What was published up to `seq` has been written to everybody who is up to date; `counts` says whether there was
    /// anybody.
    pub(crate) fn written(&self, seq: u64, counts: bool) {
        let mut stamps = self.stamps();
        while let Some((_, published)) = stamps.pop_front_if(|(last, _)| *last <= seq) {
            if counts {
                self.latency.time(published.elapsed());
            }
        }
    }

    /// Time from publishing an event to writing it to those who are up to date, in seconds.
    #[must_use]
    pub fn latency(&self) -> Counted {
        self.latency.counted()
    }

    /// Says when something was committed, to whichever room.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Says when an event of one of these types was committed.
    #[must_use]
    pub fn commits_of(&self, kinds: &'static [&'static str]) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        self.committed_of.lock().unwrap_or_else(|e| e.into_inner()).push((kinds, sender));
        receiver
    }

    fn tell_readers(&self, frames: &[Arc<Frame>]) {
        if self.committed.receiver_count() > 0 {
            self.committed.send_replace(self.head());
        }
        self.committed_of.lock().unwrap_or_else(|e| e.into_inner()).retain(|(kinds, sender)| {
            if frames.iter().any(|frame| kinds.contains(&frame.kind())) {
                sender.send_replace(self.head());
            }
            !sender.is_closed()
        });
    }

    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes what was committed, in order. Called by who made the commit, behind the writer's lock.
    pub fn publish(&self, frames: &[Arc<Frame>]) {
        {
            let mut ring = self.ring.write().unwrap_or_else(|e| e.into_inner());
            for frame in frames {
                ring.bytes += frame.json.len();
                ring.frames.push_back(Arc::clone(frame));
            }
            while ring.frames.len() > ring.capacity || ring.bytes > RING_BYTES {
                let Some(old) = ring.frames.pop_front() else { break };
                ring.bytes -= old.json.len();
            }
        }
        if let Some(last) = frames.last() {
            self.head.store(last.seq, Ordering::Release);
        }
        if let Some(alarm) = self.alarm.get() {
            if let Some(last) = frames.last() {
                let mut stamps = self.stamps();
                if stamps.len() >= STAMPS {
                    stamps.pop_front();
                }
                stamps.push_back((last.seq, Instant::now()));
            }
            alarm.committed();
        }
        self.tell_readers(frames);
        let interest = self.interest();
        let mut last_room = 0;
        for frame in frames {
            // Runs of events of one room are common: look it up once.
            if frame.room.id == last_room {
                continue;
            }
            last_room = frame.room.id;
            interest.rooms.get(&frame.room.room).into_iter().flatten().for_each(|waker| waker.wake());
            if frame.room.room.is_of_feed() {
                interest.feed.iter().for_each(|waker| waker.wake());
            }
            if let Some(project) = &frame.room.project {
                interest.trees.get(project).into_iter().flatten().for_each(|waker| waker.wake());
            }
        }
    }

    pub(crate) fn set_alarm(&self, alarm: Arc<Alarm>) {
        self.alarm.set(alarm).ok();
    }

    pub(crate) fn watch(&self, filter: &RoomFilter, waker: &Arc<Waker>) {
        self.interest().change(filter, |wakers| wakers.push(Arc::clone(waker)));
    }

    pub(crate) fn unwatch(&self, filter: &RoomFilter, waker: &Arc<Waker>) {
        self.interest().change(filter, |wakers| {
            if let Some(at) = wakers.iter().position(|known| Arc::ptr_eq(known, waker)) {
                wakers.swap_remove(at);
            }
        });
    }

    /// How many subscriptions there are: back at its start value when every session is gone.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        let interest = self.interest();
        let rooms: usize = interest.rooms.values().map(Vec::len).sum();
        rooms + interest.trees.values().map(Vec::len).sum::<usize>() + interest.feed.len()
    }

    /// Bytes of the newest event, of the newest two, and so on for `count` of them, as far as they are in the ring.
    #[must_use]
    pub fn bytes_of_newest(&self, count: u64) -> Vec<u64> {
        let ring = self.ring.read().unwrap_or_else(|e| e.into_inner());
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let sizes = ring.frames.iter().rev().take(count).map(|frame| frame.json.len() as u64);
        sizes
            .scan(0, |sum, size| {
                *sum += size;
                Some(*sum)
            })
            .collect()
    }

    /// Frames after `after` up to `upto` that `wanted` lets through, at most about `max_bytes`.
    pub(crate) fn take(&self, after: u64, upto: u64, max_bytes: usize, wanted: impl Fn(&Frame) -> bool) -> Taken {
        if after >= self.head().min(upto) {
            return Taken::Frames(Vec::new(), after);
        }
        let ring = self.ring.read().unwrap_or_else(|e| e.into_inner());
        let (Some(first), Some(last)) = (ring.frames.front(), ring.frames.back()) else { return Taken::Behind };
        if after + 1 < first.seq {
            return Taken::Behind;
        }
        let end = last.seq.min(upto);
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut looked = after;
        let skip = usize::try_from(after + 1 - first.seq).unwrap_or(usize::MAX);
        for frame in ring.frames.iter().skip(skip) {
            if frame.seq > end || bytes >= max_bytes {
                break;
            }
            looked = frame.seq;
            if wanted(frame) {
                bytes += frame.json.len();
                taken.push(Arc::clone(frame));
            }
        }
        Taken::Frames(taken, looked)
    }
}
