//! Fan-out over real sockets: the host as a process of its own, and in this one thousands of subscribers and a publisher.
//!
//! `sockets [--secs N] [--rounds N] [--peers] [--part fanout|100|1000|5000|rooms|idle]`. What counts is the server's processor time for a delivery: unlike a rate,
//! other programs do not come off it, and neither does the load. Beside it stand floors that fan out the same events, of
//! the same size on the wire, and do nothing else: `raw` writes each message to each socket by itself, `coalesced`
//! everything that waits at once.
//!
//! * *Paced*: so many events a second. The time until a subscriber has read one counts from the moment when it should
//!   have been published, so that a server cannot look quick by making the publisher wait.
//! * *Flat out*: as fast as it goes, at most a window of events ahead of the average subscriber.
//!
//! A lost event, or one that comes twice, to whichever subscriber, fails the bench.

mod connection;
mod cores;
mod floor;
mod load;
mod mark;
mod more;
mod peers;
mod secret;
mod server;

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::runtime::Runtime;

use crate::table::{Row, Unit};
use connection::Transport;
use cores::Cores;
use load::{Load, Outcome, Pace};
use peers::Peer;
use server::Server;

/// Rounds, unless the command line says how many: each opens thousands of connections.
pub(crate) const ROUNDS: u32 = 2;
/// Files that a process of the bench needs besides its connections.
const OTHER_FILES: usize = 100;
/// Events are sent before the clock runs, so that everybody has what it needs in its caches.
const WARM: Duration = Duration::from_millis(100);

/// One number of subscribers.
struct Case {
    subscribers: usize,
    rate: u32,
    window: u32,
    /// Server-sent events, and TLS, beside WebSockets in the clear.
    events: bool,
}

const CASES: [Case; 3] = [
    Case { subscribers: 100, rate: 100, window: 128, events: false },
    Case { subscribers: 1_000, rate: 20, window: 64, events: true },
    Case { subscribers: 5_000, rate: 10, window: 32, events: false },
];

/// How it is measured.
struct Settings {
    rounds: u32,
    time: Duration,
    cores: Cores,
    /// Connections that one process can have.
    connections: usize,
}

/// One server in turn with others, and the best that it gave.
struct Contestant {
    name: &'static str,
    server: Server,
    paced: Option<Outcome>,
    flat: Option<Outcome>,
    takes_paced: bool,
    takes_flat: bool,
}

/// Takes the part of this program that the arguments ask for; false if they are none of the hidden ones.
pub(crate) fn become_server(name: &str, arguments: &mut impl Iterator<Item = String>) -> anyhow::Result<bool> {
    match name {
        server::BECOME => server::become_server(arguments)?,
        server::FLOOR => floor::serve(&arguments.next().context("which floor?")?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

pub(crate) fn bench(_: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let secs: f64 = after("--secs").map_or(Ok(2.0), |secs| secs.parse()).context("--secs needs a number")?;
    let rounds = if after("--rounds").is_some() { rounds } else { ROUNDS };
    let connections = cores::files()?.saturating_sub(OTHER_FILES);
    let time = Duration::try_from_secs_f64(secs).context("--secs needs a length of time")?;
    let settings = Settings { rounds, time, cores: Cores::part()?, connections };
    let peers = if arguments.iter().any(|argument| argument == "--peers") { peers::install() } else { Vec::new() };
    eprintln!("  {rounds} rounds, {secs} s of each figure");
    let mut rows = Vec::new();
    let only = after("--part").map(String::as_str);
    let takes = |part: &str| only.is_none_or(|only| only == part);
    for case in CASES.iter().filter(|case| takes("fanout") || takes(&case.subscribers.to_string())) {
        rows.extend(settings.case(case, &peers)?);
    }
    if takes("rooms") {
        rows.extend(more::rooms(&settings)?);
    }
    if takes("idle") {
        rows.extend(more::idle(&settings)?);
    }
    ensure!(!rows.is_empty(), "--part is one of fanout, 100, 1000, 5000, rooms, idle");
    Ok(rows)
}

impl Contestant {
    fn new(
        name: &'static str,
        server: anyhow::Result<Server>,
        takes_paced: bool,
        takes_flat: bool,
    ) -> anyhow::Result<Self> {
        let server = server.with_context(|| format!("{name} did not start"))?;
        Ok(Self { name, server, paced: None, flat: None, takes_paced, takes_flat })
    }

    /// One turn; gives the bytes of an event on the wire.
    fn turn(&mut self, case: &Case, time: Duration, size: usize) -> anyhow::Result<f64> {
        let mut load = Load::open(&self.server, case.subscribers, size)?;
        let warm = load.phase(Pace::Window(1), WARM)?;
        if self.takes_paced {
            keep(&mut self.paced, load.phase(Pace::Paced(case.rate), time)?);
        }
        if self.takes_flat {
            keep(&mut self.flat, load.phase(Pace::Window(case.window), time)?);
        }
        Ok(warm.wire)
    }
}

/// The least of each figure: whatever else runs can only add to them.
fn keep(best: &mut Option<Outcome>, new: Outcome) {
    let Some(old) = best else {
        *best = Some(new);
        return;
    };
    let (p50, p99) = (old.p50.min(new.p50), old.p99.min(new.p99));
    if new.each() < old.each() {
        *old = new;
    }
    (old.p50, old.p99) = (p50, p99);
}

impl Settings {
    /// As many subscribers as a process here may have.
    fn fit(&self, subscribers: usize) -> usize {
        let fit = subscribers.min(self.connections);
        if fit < subscribers {
            eprintln!("  {fit} connections instead of {subscribers}: a process may not have more files open");
        }
        fit
    }

    fn case(&self, case: &Case, peers: &[Peer]) -> anyhow::Result<Vec<Row>> {
        let case = Case { subscribers: self.fit(case.subscribers), ..*case };
        let cores = &self.cores;
        let mut all = vec![
            Contestant::new("Signalbox", Server::host(cores, 1, Transport::WebSocket), true, true)?,
            Contestant::new("raw", Server::floor(cores, false), true, false)?,
            Contestant::new("coalesced", Server::floor(cores, true), false, true)?,
        ];
        if case.events {
            all.push(Contestant::new("SSE", Server::host(cores, 1, Transport::Events), false, true)?);
            all.push(Contestant::new("TLS", Server::shared(cores), true, true)?);
        }
        for peer in peers {
            match Contestant::new(peer.name, peer.start(cores), true, true) {
                Ok(contestant) => all.push(contestant),
                Err(error) => eprintln!("  without {}: {error:#}", peer.name),
            }
        }
        let mut wire = mark::DATA as f64;
        for round in 0..self.rounds {
            for turn in 0..all.len() {
                // Ours is the first to come: its events say how long those of the others have to be.
                let index = if round % 2 == 0 { turn } else { all.len() - 1 - turn };
                let contestant = &mut all[index];
                let ours = index == 0 || matches!(contestant.name, "SSE" | "TLS");
                let size = if ours { mark::DATA } else { wire.round() as usize - server::HEADER };
                eprintln!("  {} subscribers of {}", case.subscribers, contestant.name);
                let found = contestant.turn(&case, self.time, size);
                let found =
                    found.with_context(|| format!("{} with {} subscribers", contestant.name, case.subscribers))?;
                if index == 0 && round == 0 {
                    wire = found;
                }
            }
        }
        Ok(rows(&case, &all, wire))
    }
}

fn rows(case: &Case, all: &[Contestant], wire: f64) -> Vec<Row> {
    let ours = &all[0];
    let n = case.subscribers;
    let (paced, flat) = (format!("{n} sockets at {}/s", case.rate), format!("{n} sockets, flat out"));
    let mut rows = Vec::new();
    let mut add = |what: String, floor: String, unit, ours: f64, bare: f64, mark| {
        rows.push(Row { what, floor, unit, count: 1, ours, bare, mark });
    };
    for other in &all[1..] {
        if other.name == "TLS" {
            // Ours over TLS beside ours in the clear.
            for (how, over, clear) in [(&paced, &other.paced, &ours.paced), (&flat, &other.flat, &ours.flat)] {
                if let (Some(over), Some(clear)) = (over, clear) {
                    let what = format!("{how}, over TLS, CPU a delivery");
                    add(what, "in the clear".into(), Unit::Microseconds, over.each(), clear.each(), None);
                }
            }
            continue;
        }
        let floor = format!("{}, {wire:.0} bytes an event", other.name);
        // A difference of less than 1.3 is a draw: caches alone make it.
        let mark = match other.name {
            "raw" | "coalesced" => Some(1.5),
            "Bun" => Some(1.3),
            _ => None,
        };
        if let (Some(ours), Some(other)) = (&ours.paced, &other.paced) {
            add(format!("{paced}, CPU a delivery"), floor.clone(), Unit::Microseconds, ours.each(), other.each(), mark);
            for (part, ours, other) in [("p50", ours.p50, other.p50), ("p99", ours.p99, other.p99)] {
                let (ours, other) = (ours.as_secs_f64(), other.as_secs_f64());
                add(format!("{paced}, {part}"), floor.clone(), Unit::Milliseconds, ours, other, None);
            }
        }
        if let (Some(ours), Some(other_flat)) = (&ours.flat, &other.flat) {
            if other.name == "SSE" {
                let what = format!("{n} by SSE, flat out, of a CPU second");
                add(what, "WebSocket".into(), Unit::PerSecond, other_flat.each(), ours.each(), Some(0.8));
            } else {
                let what = format!("{flat}, CPU a delivery");
                add(what, floor, Unit::Microseconds, ours.each(), other_flat.each(), mark);
            }
        }
    }
    rows
}
