//! The load: subscribers and one publisher on a single epoll loop, in this process.
//!
//! Every event of every subscriber is counted by its number, so that a figure never comes from a server that left some out.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};

use crate::sockets::{
    connection::Connection,
    mark::{self, Mark},
    server::Server,
};

/// Connections that are opened at a time: fewer than any server lets wait.
const OPENING: usize = 64;
/// A load in which nothing moves for so long has failed.
const STALLED: Duration = Duration::from_secs(20);
/// What a server does after the last delivery belongs to it as well: ours writes its search index when it has nothing
/// else to do, others free memory.
const AFTERMATH: Duration = Duration::from_millis(100);
const TIMER: u64 = u64::MAX;
const READ: usize = 256 * 1024;

/// How fast is published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many events a second, each at its moment, whatever became of those before it.
    Paced(u32),
    /// As fast as it goes, but so many events ahead of the average subscriber at most.
    Window(u32),
}

/// What a phase gave.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    /// Processor time of the server.
    pub(crate) cpu: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Bytes that a subscriber read for each event.
    pub(crate) wire: f64,
}

impl Outcome {
    /// Processor time of the server in seconds, for one delivery.
    pub(crate) fn each(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.deliveries as f64)
    }
}

/// What a subscriber has seen in this lap.
#[derive(Default)]
struct Seen {
    room: usize,
    /// The newest number.
    newest: u32,
    /// Older ones that did not come yet.
    missing: Vec<u32>,
}

/// The counts of a phase.
#[derive(Default)]
struct Counts {
    lap: u16,
    deliveries: u64,
    doubled: u64,
    /// Came after one that was published later.
    turned: u64,
    bytes: u64,
    /// Where the mark was last.
    hint: usize,
    /// Microseconds from the moment at which an event was due; only of paced phases.
    latencies: Option<Vec<u32>>,
}

pub(crate) struct Load<'a> {
    server: &'a Server,
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The subscribers, and the publisher behind them.
    connections: Vec<Connection>,
    seen: Vec<Seen>,
    rooms: usize,
    began: Instant,
    counts: Counts,
    published: u64,
    /// Bytes of data in each event.
    size: usize,
    buffer: Vec<u8>,
    ready: Vec<epoll::Event>,
}

impl<'a> Load<'a> {
    /// Opens `count` subscribers, spread evenly over the rooms of the server, and a publisher. `size` bytes of data go
    /// into each event.
    pub(crate) fn open(server: &'a Server, count: usize, size: usize) -> anyhow::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let mut load = Self {
            server,
            epoll,
            timer,
            connections: Vec::new(),
            seen: Vec::new(),
            rooms: server.rooms(),
            began: Instant::now(),
            counts: Counts::default(),
            published: 0,
            size,
            buffer: vec![0; READ],
            ready: Vec::with_capacity(512),
        };
        let (mut at, mut moved) = ((0, 0), Instant::now());
        while load.connections.len() <= count || load.opening() > 0 {
            while load.connections.len() <= count && load.opening() < OPENING {
                let index = load.connections.len();
                let room = index % load.rooms;
                let opening = if index < count { server.subscriber(index, room) } else { server.publisher() };
                let connection = Connection::open(server.address, opening)?;
                epoll::add(&load.epoll, &connection.stream, EventData::new_u64(index as u64), EventFlags::IN)?;
                load.connections.push(connection);
                load.seen.push(Seen { room, ..Seen::default() });
            }
            let now_at = (load.connections.len(), load.opening());
            if now_at != at {
                (at, moved) = (now_at, Instant::now());
            }
            ensure!(moved.elapsed() < STALLED, "{} connections do not become live", load.opening());
            load.turn(Duration::from_secs(1))?;
        }
        load.seen.truncate(count);
        Ok(load)
    }

    /// Connections that are not live yet: all but a few of them are among the last.
    fn opening(&self) -> usize {
        self.connections.iter().rev().take(2 * OPENING).filter(|connection| !connection.is_live()).count()
    }

    /// One phase of `time`, and what it gave once everything that was published had arrived.
    pub(crate) fn phase(&mut self, pace: Pace, time: Duration) -> anyhow::Result<Outcome> {
        let latencies = matches!(pace, Pace::Paced(_)).then(Vec::new);
        self.counts = Counts { lap: self.counts.lap + 1, hint: self.counts.hint, latencies, ..Counts::default() };
        self.published = 0;
        for seen in &mut self.seen {
            *seen = Seen { room: seen.room, ..Seen::default() };
        }
        for connection in &self.connections {
            connection.acknowledge_at_once()?;
        }
        let cpu = self.server.cpu()?;
        match pace {
            Pace::Paced(rate) => self.paced(rate, time)?,
            Pace::Window(window) => self.window(u64::from(window), time)?,
        }
        self.drain()?;
        self.idle(AFTERMATH)?;
        let cpu = self.server.cpu()?.saturating_sub(cpu);
        let mut latencies = self.counts.latencies.take().unwrap_or_default();
        latencies.sort_unstable();
        let part = |percent: usize| {
            let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            Duration::from_micros(latencies.get(at).copied().unwrap_or_default().into())
        };
        let Counts { deliveries, bytes, .. } = self.counts;
        Ok(Outcome { deliveries, cpu, p50: part(50), p99: part(99), wire: bytes as f64 / deliveries as f64 })
    }

    /// Answers what has to be answered, for so long.
    pub(crate) fn idle(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left)?;
        }
        Ok(())
    }

    fn paced(&mut self, rate: u32, time: Duration) -> anyhow::Result<()> {
        let step = Duration::from_secs(1) / rate;
        let count = (time.as_secs_f64() * f64::from(rate)).ceil() as u32;
        let start = Instant::now() + step;
        for number in 0..count {
            let due = start + step * number;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                self.turn(left)?;
            }
            self.publish(due)?;
            self.flush_publisher()?;
        }
        Ok(())
    }

    fn window(&mut self, window: u64, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            let arrived = self.counts.deliveries / self.seen.len() as u64 * self.rooms as u64;
            let now = Instant::now();
            for _ in self.published..arrived + window {
                self.publish(now)?;
            }
            self.flush_publisher()?;
            self.turn(STALLED)?;
        }
        Ok(())
    }

    /// Waits for everything that was published, and fails if something is lost, came twice or out of order.
    fn drain(&mut self) -> anyhow::Result<()> {
        let wanted: u64 = self.seen.iter().map(|seen| u64::from(numbers(self.published, self.rooms, seen.room))).sum();
        let (mut moved, mut deliveries) = (Instant::now(), self.counts.deliveries);
        while self.counts.deliveries < wanted && moved.elapsed() < STALLED {
            self.turn(Duration::from_secs(1))?;
            if self.counts.deliveries != deliveries {
                (moved, deliveries) = (Instant::now(), self.counts.deliveries);
            }
        }
        let Counts { deliveries, doubled, turned, .. } = self.counts;
        ensure!(
            deliveries == wanted && doubled == 0 && turned == 0,
            "of {wanted} deliveries {} were lost, {doubled} came twice, and {turned} after a later one",
            wanted.saturating_sub(deliveries)
        );
        Ok(())
    }

    fn publish(&mut self, due: Instant) -> anyhow::Result<()> {
        let room = usize::try_from(self.published)? % self.rooms;
        self.published += 1;
        let number = numbers(self.published, self.rooms, room);
        let due = u64::try_from(due.duration_since(self.began).as_nanos())?;
        let mut data = Vec::with_capacity(self.size);
        mark::write(Mark { lap: self.counts.lap, number, due }, self.size, &mut data);
        let text = self.server.publication(self.published, room, &String::from_utf8(data)?);
        self.connections.last_mut().context("there is no publisher")?.say(text.as_bytes());
        Ok(())
    }

    fn flush_publisher(&mut self) -> anyhow::Result<()> {
        self.flush(self.connections.len() - 1)
    }

    fn flush(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let blocked = !connection.flush()?;
        if blocked != connection.blocked {
            connection.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(index as u64), flags)?;
        }
        Ok(())
    }

    /// Waits until a socket is ready, but not longer than `time`, and serves those that are.
    fn turn(&mut self, time: Duration) -> anyhow::Result<()> {
        // Waiting in epoll is by the millisecond, which would be a part of the latencies.
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let left = Timespec { tv_sec: i64::try_from(time.as_secs())?, tv_nsec: time.subsec_nanos().into() };
        let timer = Itimerspec { it_interval: zero, it_value: left };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        self.ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), None) {
            Ok(_) => {}
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            // Setting the timer again, which the next turn does, takes back that it is ready.
            if event.data.u64() != TIMER {
                self.serve(usize::try_from(event.data.u64())?)?;
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn serve(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let (counts, seen, began) = (&mut self.counts, self.seen.get_mut(index), self.began);
        // The publisher subscribes to nothing.
        let mut nobody = Seen::default();
        let seen = seen.unwrap_or(&mut nobody);
        let mut arrived = None;
        let read = connection.receive(&mut self.buffer, &mut |message| {
            let Some(mark) = mark::read(message, &mut counts.hint) else { return Ok(false) };
            if mark.lap != counts.lap {
                bail!("event {} of lap {} came in lap {}", mark.number, mark.lap, counts.lap);
            }
            if counts.note(seen, mark.number)
                && let Some(latencies) = &mut counts.latencies
            {
                // One look at the clock for all that one read gave.
                let now = *arrived.get_or_insert_with(|| began.elapsed());
                let late = now.saturating_sub(Duration::from_nanos(mark.due));
                latencies.push(u32::try_from(late.as_micros()).unwrap_or(u32::MAX));
            }
            Ok(true)
        })?;
        if index < self.seen.len() {
            counts.bytes += read as u64;
        }
        self.flush(index)
    }
}

/// How many of the first `published` events went to a room.
fn numbers(published: u64, rooms: usize, room: usize) -> u32 {
    let (rooms, room) = (rooms as u64, room as u64);
    u32::try_from((published + rooms - 1 - room) / rooms).unwrap_or(u32::MAX)
}

impl Counts {
    /// Takes note of an event; false if it was there before.
    fn note(&mut self, seen: &mut Seen, number: u32) -> bool {
        if number > seen.newest {
            seen.missing.extend(seen.newest + 1..number);
            seen.newest = number;
        } else if let Some(at) = seen.missing.iter().position(|missing| *missing == number) {
            seen.missing.swap_remove(at);
            self.turned += 1;
        } else {
            self.doubled += 1;
            return false;
        }
        self.deliveries += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spread_evenly_over_rooms() {
        assert_eq!([0, 1, 2].map(|room| numbers(7, 3, room)), [3, 2, 2]);
        assert_eq!(numbers(5, 1, 0), 5);
    }

    #[test]
    fn what_comes_twice_is_told_from_what_comes_late() {
        let (mut counts, mut seen) = (Counts::default(), Seen::default());
        let noted = [1, 4, 2, 4, 2, 3].map(|number| counts.note(&mut seen, number));
        assert_eq!(noted, [true, true, true, false, false, true]);
        assert_eq!((counts.deliveries, counts.doubled, seen.missing.len()), (4, 2, 0));
    }
}
