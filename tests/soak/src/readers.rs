//! Those who follow the log: of each kind many, each with its own bad habits, all with the same duty.

pub(crate) mod crowd;
mod link;
mod official;
mod socket;
mod tail;

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::Deserialize;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    random::Random,
    track::{Stretch, Track},
    world::{Phase, Place, World, count},
};

/// Silence after which a connection that is read counts as deaf: pings come every 8 s, a sleep lasts 12 s.
const DEAF: Duration = Duration::from_secs(60);

/// What a reader saw.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) profile: usize,
    pub(crate) stretches: Vec<Stretch>,
    pub(crate) seen: u64,
}

/// A bad habit.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Stops reading for a while.
    Stall(Duration),
    /// Neither reads nor writes nor closes for a while, and then goes without a word.
    HalfOpen(Duration),
    /// Goes without a word and comes back.
    Cut,
    /// Closes and comes back.
    Close,
    /// Stays away, perhaps for longer than the replay limit reaches.
    Leave(Duration),
    /// Comes back with a cursor of earlier.
    Rewind,
    /// Comes back without a cursor.
    Forget,
}

pub(crate) struct Reader {
    world: Arc<World>,
    place: Arc<Place>,
    random: Random,
    track: Track,
    /// Some places of earlier.
    earlier: Vec<u64>,
    /// When the host wants it back, as it said in its goodbye.
    wished: Option<Duration>,
    /// Whether everything up to now was seen on this connection.
    synced: bool,
}

/// The part of a frame that a reader looks at.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    seq: Option<u64>,
    prev: Option<u64>,
    #[serde(borrow)]
    room: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cursor: Option<Cow<'a, str>>,
    at: Option<u64>,
    sent: Option<u64>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    reconnect_ms: Option<u64>,
}

/// Splits `epoch.seq`.
fn place_of(cursor: &str, epoch: &str) -> Result<u64, String> {
    let seq = cursor.split_once('.').filter(|(of, _)| *of == epoch).and_then(|(_, seq)| seq.parse().ok());
    seq.ok_or_else(|| format!("the cursor {cursor} is not of the epoch {epoch}"))
}

impl Reader {
    fn new(world: &Arc<World>, place: Arc<Place>, random: Random) -> Self {
        let world = Arc::clone(world);
        Self { world, place, random, track: Track::default(), earlier: Vec::new(), wished: None, synced: false }
    }

    /// Takes a frame; true if it wants a pong.
    fn frame(&mut self, id: Option<&str>, text: &str) -> Result<bool, String> {
        let probe: Probe<'_> = serde_json::from_str(text).map_err(|error| format!("a malformed frame: {error}"))?;
        if let (Some(id), Some(cursor)) = (id, &probe.cursor)
            && id != cursor
        {
            return Err(format!("the message's id is {id}, its cursor is {cursor}"));
        }
        match (&*probe.kind, probe.seq, &probe.cursor) {
            // A member's own room, which the host joins by itself: not one of those that are compared.
            (_, Some(seq), _) if probe.room.as_deref().is_some_and(|room| room.starts_with("member/")) => {
                self.track.synced(seq);
            }
            (_, Some(seq), cursor) => {
                let cursor = cursor.as_deref().unwrap_or_default();
                if place_of(cursor, &self.world.known().epoch)? != seq {
                    return Err(format!("event {seq} has the cursor {cursor}"));
                }
                self.track.event(
                    seq,
                    probe.prev.unwrap_or(u64::MAX),
                    probe.room.as_deref().unwrap_or_default(),
                    text.as_bytes(),
                )?;
                count(&self.world.counters.events);
                self.moved();
            }
            ("synced", _, Some(cursor)) => {
                self.track.synced(place_of(cursor, &self.world.known().epoch)?);
                self.synced = true;
                self.moved();
            }
            ("reset", ..) => self.reset(),
            ("snapshot", ..) => self.track.snapshot(probe.at.unwrap_or(0))?,
            ("connection", ..) => {
                let epoch = probe.epoch.unwrap_or_default();
                if epoch != self.world.known().epoch {
                    return Err(format!("the epoch is {epoch} now, it was {}", self.world.known().epoch));
                }
            }
            ("ping", ..) => {
                let (sent, seen) = (probe.sent.unwrap_or(0), self.track.end().unwrap_or(0));
                if sent > seen {
                    return Err(format!("lost: the ping says that {sent} was sent, {seen} was seen"));
                }
                return Ok(true);
            }
            ("bye", ..) => self.wished = probe.reconnect_ms.map(Duration::from_millis),
            ("left", ..) => return Err(format!("thrown out of a room: {text}")),
            _ => {}
        }
        Ok(false)
    }

    fn reset(&mut self) {
        if self.track.end().is_some() {
            count(&self.world.counters.resets);
        }
        self.track.forget();
    }

    fn moved(&mut self) {
        let end = self.track.end().unwrap_or(0);
        self.place.end.store(end, Ordering::Relaxed);
        if self.earlier.last().is_none_or(|last| last + 300 < end) {
            if self.earlier.len() > 8 {
                self.earlier.remove(0);
            }
            self.earlier.push(end);
        }
    }

    fn rooms(&self) -> &[String] {
        self.world.known().profiles.get(self.place.profile).map_or(&[], Vec::as_slice)
    }

    /// The cursor to come back with.
    fn cursor(&self) -> Option<String> {
        self.track.end().map(|end| format!("{}.{end}", self.world.known().epoch))
    }

    /// When the next bad habit breaks through, and which.
    fn habit(&mut self) -> (Duration, Habit) {
        let wait = self.random.millis(3_000, 60_000);
        let habit = match self.random.below(100) {
            0..30 => Habit::Stall(self.random.millis(200, 15_000)),
            30..45 => Habit::HalfOpen(self.random.millis(5_000, 40_000)),
            45..65 => Habit::Cut,
            65..78 => Habit::Close,
            78..86 => Habit::Leave(self.random.millis(1_000, 70_000)),
            86..95 => Habit::Rewind,
            _ => Habit::Forget,
        };
        (wait, habit)
    }

    /// Whether to hang on to the present connection in some way: waits out what a habit wants, or less if the phase ends.
    async fn linger(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.world.phase(|phase| *phase != Phase::Storm) => {}
        }
    }

    /// Prepares the next connection: with which cursor it begins.
    fn come_back(&mut self, habit: Option<Habit>) {
        match habit {
            Some(Habit::Rewind) => {
                count(&self.world.counters.rewinds);
                if let Some(place) = self.earlier.first().copied() {
                    self.track.begin(place);
                    self.earlier.clear();
                }
            }
            Some(Habit::Forget) => self.track.forget(),
            _ => self.track.resume(),
        }
    }

    fn note(&self, habit: Habit) {
        let counters = &self.world.counters;
        match habit {
            Habit::Stall(_) => count(&counters.stalls),
            Habit::HalfOpen(_) => count(&counters.half_open),
            Habit::Cut => count(&counters.cuts),
            _ => {}
        }
    }

    fn wrong(&mut self, what: &str) {
        self.world.violation(format!("{}: {what}", self.place.name));
        // Said once; from here on it is another view.
        self.track.forget();
    }

    fn report(self) -> Report {
        Report {
            name: self.place.name.clone(),
            profile: self.place.profile,
            stretches: self.track.stretches().copied().collect(),
            seen: self.track.seen(),
        }
    }
}

/// Waits for a phase in which one connects; false when it is all over.
async fn called(phase: &mut watch::Receiver<Phase>) -> bool {
    let found = phase.wait_for(|phase| *phase != Phase::Away).await.map(|phase| *phase);
    found.is_ok_and(|phase| phase != Phase::Over)
}

/// Starts `clients` readers: a mix of all kinds.
pub(crate) fn start(world: &Arc<World>, clients: u64, reports: &mut JoinSet<Report>) {
    let profiles = world.known().profiles.len() as u64;
    let tails = (clients / 40).clamp(1, 12);
    for number in 0..clients {
        let kind = match number {
            number if number < tails => "tail",
            number => match number % 20 {
                0..4 => "official",
                4..14 => "websocket",
                14..19 => "sse",
                _ => "naive",
            },
        };
        let mut random = world.random(kind, number);
        // The naive form knows one set of rooms.
        let profile = if kind == "naive" { 1 } else { usize::try_from(random.below(profiles)).unwrap_or(0) };
        let place = Arc::new(Place { name: format!("{kind} {number}"), profile, end: 0.into() });
        world.places.lock().unwrap_or_else(|e| e.into_inner()).push(Arc::clone(&place));
        let reader = Reader::new(world, place, random);
        match kind {
            "tail" => reports.spawn(tail::follow(reader)),
            "official" => reports.spawn(official::follow(reader)),
            kind => reports.spawn(socket::follow(reader, kind)),
        };
    }
}
