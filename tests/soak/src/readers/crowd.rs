//! The clients of a team: as lean as a reader can be, and as patient as the real ones are.
//!
//! They know one address, which stays, and nobody tells them when the host is there: each comes back as its kind does, a
//! WebSocket by the client crate's back-off or when the host's goodbye says, server-sent events after the `retry` of
//! the stream, as a browser would.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use signalbox_client::Backoff;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    readers::{
        DEAF, Habit, Reader, Report, called,
        link::{Ended, Link, Wish},
    },
    world::{Address, Phase, Place, World, count},
};

/// How long the client crate waits for a connection. A browser's `EventSource` waits as long as it takes.
const CONNECT: Duration = Duration::from_secs(10);
const CONNECT_EVENTS: Duration = Duration::from_secs(30);
/// After this long of being complete it begins anew with the shortest wait, as the client crate does.
const STEADY: Duration = Duration::from_secs(5);
/// What a browser waits when the stream never said.
const RETRY: u64 = 3_000;
/// Half-open connections that one client leaves behind at a time.
const KEPT: usize = 1;

/// What all clients tell together.
#[derive(Debug)]
pub(crate) struct Tally {
    /// When each connection was let in.
    accepted: Mutex<Vec<Instant>>,
    /// In which life of the host each was complete last.
    synced: Vec<AtomicU64>,
    /// Attempts that found nobody, or were sent away.
    pub(crate) failed: AtomicU64,
    /// Attempts that the host told to come later.
    pub(crate) told_later: AtomicU64,
}

impl Tally {
    pub(crate) fn new(clients: usize) -> Self {
        let synced = (0..clients).map(|_| AtomicU64::new(0)).collect();
        Self { accepted: Mutex::default(), synced, failed: 0.into(), told_later: 0.into() }
    }

    /// The numbers of the clients that have not yet seen everything in this life.
    pub(crate) fn behind(&self, life: u64) -> Vec<usize> {
        let all = self.synced.iter().enumerate();
        all.filter(|(_, synced)| synced.load(Ordering::Relaxed) < life).map(|(number, _)| number).collect()
    }

    /// The most that were let in within any one second after `from`.
    pub(crate) fn peak(&self, from: Instant) -> usize {
        let mut times = self.accepted.lock().unwrap_or_else(|e| e.into_inner()).clone();
        times.retain(|time| *time >= from);
        times.sort_unstable();
        let mut first = 0;
        let windows = times.iter().enumerate().map(|(at, time)| {
            while *time - times[first] >= Duration::from_secs(1) {
                first += 1;
            }
            at + 1 - first
        });
        windows.max().unwrap_or(0)
    }
}

/// One client.
struct Client {
    reader: Reader,
    kind: &'static str,
    number: usize,
    token: String,
    tally: Arc<Tally>,
    /// The longest time between two bad habits.
    pace: u64,
    backoff: Backoff,
    retry: u64,
    /// Connections that were left half open, and until when.
    kept: Vec<(Instant, Link)>,
}

/// A member: its token, and the number of the profile that it may follow.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) token: String,
    pub(crate) profile: usize,
}

/// Starts `clients` of them, of all members in turn; a quarter over server-sent events.
pub(crate) fn start(
    world: &Arc<World>,
    clients: u64,
    seats: &[Seat],
    pace: Duration,
    tally: &Arc<Tally>,
    reports: &mut JoinSet<Report>,
) {
    for (number, seat) in (0..clients).zip(seats.iter().cycle()) {
        let kind = if (number / seats.len() as u64).is_multiple_of(4) { "sse" } else { "websocket" };
        let place = Arc::new(Place { name: format!("{kind} {number}"), profile: seat.profile, end: 0.into() });
        world.places.lock().unwrap_or_else(|e| e.into_inner()).push(Arc::clone(&place));
        let client = Client {
            reader: Reader::new(world, place, world.random(kind, number)),
            kind,
            number: usize::try_from(number).unwrap_or(0),
            token: seat.token.clone(),
            tally: Arc::clone(tally),
            pace: u64::try_from(pace.as_millis()).unwrap_or(60_000),
            backoff: Backoff::default(),
            retry: RETRY,
            kept: Vec::new(),
        };
        reports.spawn(client.follow());
    }
}

impl Client {
    async fn follow(mut self) -> Report {
        let world = Arc::clone(&self.reader.world);
        let mut phase = world.phase.subscribe();
        // They come one after the other, as people do in the morning.
        self.rest(Duration::from_millis(self.number as u64 * 4)).await;
        while called(&mut phase).await {
            let (habit, steady) = self.connection().await;
            if steady {
                self.backoff.reset();
            }
            match habit {
                Some(Habit::Leave(time)) => self.linger(time).await,
                // Its network is back at once.
                Some(_) => self.rest(Duration::from_millis(20)).await,
                None => {
                    let wait = self.wait();
                    self.rest(wait).await;
                }
            }
            self.reader.come_back(habit);
            if world.is_away() {
                self.kept.clear();
            }
        }
        self.reader.report()
    }

    /// Waits, unless everybody is sent away.
    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.reader.world.sent_away() => {}
        }
    }

    /// The same, unless nobody is to disturb any more.
    async fn linger(&self, time: Duration) {
        let mut gentle = self.reader.world.gentle.subscribe();
        tokio::select! {
            () = self.reader.linger(time) => {}
            _ = gentle.wait_for(|gentle| *gentle) => {}
        }
    }

    fn wait(&mut self) -> Duration {
        let random = self.reader.random.next();
        if self.kind == "sse" {
            return Duration::from_millis(self.retry);
        }
        let wait = self.backoff.next(random);
        self.reader.wished.take().unwrap_or(wait)
    }

    fn habit(&mut self) -> (Duration, Habit) {
        let random = &mut self.reader.random;
        let pace = self.pace;
        let wait = random.millis(pace / 20, pace);
        let habit = match random.below(100) {
            0..30 => Habit::Stall(random.millis(100, pace / 4)),
            30..45 => Habit::HalfOpen(random.millis(pace / 8, pace / 2)),
            45..70 => Habit::Cut,
            70..82 => Habit::Close,
            82..90 => Habit::Leave(random.millis(pace / 20, pace / 2)),
            _ => Habit::Rewind,
        };
        (wait, habit)
    }

    /// One connection to its end: the habit that ended it, and whether it was complete for long enough.
    async fn connection(&mut self) -> (Option<Habit>, bool) {
        let world = Arc::clone(&self.reader.world);
        let life = world.life.load(Ordering::Relaxed);
        let address = Address { host: world.listen.clone(), token: self.token.clone(), life };
        self.reader.synced = false;
        let mut since = None;
        let result = self.session(&address, &mut since).await;
        let steady = since.is_some_and(|since: Instant| since.elapsed() >= STEADY);
        let ended = match result {
            Ok(habit) => return (habit, steady),
            Err(ended) => ended,
        };
        count(&self.tally.failed);
        match ended {
            Ended::Broken(_) => {}
            Ended::Closed(4013) | Ended::Refused(429 | 503) => count(&self.tally.told_later),
            // Its hello came too late, on a busy machine: as the client crate does, it comes back.
            Ended::Closed(4502) => {}
            Ended::Closed(code) if (4000..4500).contains(&code) || (1000..=1006).contains(&code) => {}
            ended if world.life.load(Ordering::Relaxed) == life => {
                self.reader.wrong(&format!("a connection must not end like this: {ended}"));
            }
            _ => {}
        }
        (None, steady)
    }

    async fn session(&mut self, address: &Address, since: &mut Option<Instant>) -> Result<Option<Habit>, Ended> {
        let world = Arc::clone(&self.reader.world);
        // Small, so that the host notices soon who reads nothing; not so small that loopback becomes slower than the log.
        let window = self.reader.random.percent(20).then_some(64 * 1024);
        let (resume, instance) = (self.reader.cursor(), format!("client-{}", self.number));
        let wish = Wish {
            kind: self.kind,
            rooms: self.reader.rooms(),
            project: &world.known().projects[0],
            resume: resume.as_deref(),
            window,
            instance: Some(&instance),
        };
        let patience = if self.kind == "sse" { CONNECT_EVENTS } else { CONNECT };
        let opened = tokio::select! {
            opened = tokio::time::timeout(patience, Link::open(address, &wish)) => opened,
            () = world.sent_away() => return Ok(None),
        };
        let mut link = opened.map_err(|_| Ended::Broken("no connection in time".into()))??;
        count(&world.counters.connects);
        if resume.is_some() {
            count(&world.counters.resumes);
        }
        let (wait, mut habit) = self.habit();
        let mut at = Instant::now() + wait;
        let (mut let_in, mut gentle) = (false, world.gentle.subscribe());
        loop {
            let storm = world.is(Phase::Storm) && !*gentle.borrow_and_update();
            tokio::select! {
                framed = tokio::time::timeout(DEAF, link.next()) => {
                    let Ok(framed) = framed else {
                        self.reader.wrong("open and silent: nothing came for a minute, not even a ping");
                        return Ok(None);
                    };
                    let (id, text) = framed?;
                    // The first thing that comes says that one is let in, unless it is a goodbye.
                    if !let_in && !text.starts_with(r#"{"type":"bye""#) {
                        let_in = true;
                        self.tally.accepted.lock().unwrap_or_else(|e| e.into_inner()).push(Instant::now());
                        self.retry = link.retry().unwrap_or(self.retry);
                    }
                    match self.reader.frame(id.as_deref(), &text) {
                        Ok(false) => {}
                        Ok(true) => link.say(r#"{"type":"pong"}"#).await?,
                        Err(what) => {
                            self.reader.wrong(&what);
                            return Ok(None);
                        }
                    }
                    if self.reader.synced && since.is_none() {
                        *since = Some(Instant::now());
                        if let Some(synced) = self.tally.synced.get(self.number) {
                            synced.store(address.life, Ordering::Relaxed);
                        }
                    }
                }
                () = tokio::time::sleep_until(at), if storm => {
                    self.reader.note(habit);
                    match habit {
                        Habit::Stall(time) => {
                            self.linger(time).await;
                            let (wait, next) = self.habit();
                            (at, habit) = (Instant::now() + wait, next);
                        }
                        Habit::HalfOpen(time) => {
                            // Nobody reads it and nobody closes it, while the client is back on another.
                            self.kept.retain(|(until, _)| *until > Instant::now());
                            if self.kept.len() < KEPT {
                                self.kept.push((Instant::now() + time, link));
                            }
                            return Ok(Some(habit));
                        }
                        Habit::Close => {
                            link.close().await;
                            return Ok(Some(habit));
                        }
                        _ => return Ok(Some(habit)),
                    }
                }
                _ = gentle.changed() => {}
                () = world.sent_away() => {
                    link.close().await;
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_second_is_found_wherever_it_begins() {
        let (tally, start) = (Tally::new(0), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        tally.accepted.lock().unwrap().extend([at(5000), at(0), at(700), at(900), at(1650), at(1701), at(1699)]);
        assert_eq!(tally.peak(start), 4, "from 700 to 1699, and what is between");
        assert_eq!(tally.peak(at(1701)), 1);
    }
}
