//! Many rooms, and many connections that do nothing.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::{
    sockets::{
        Settings, WARM,
        connection::Transport,
        keep,
        load::{Load, Pace},
        mark::DATA,
        server::Server,
    },
    table::{Row, Unit},
};

const ROOMS: usize = 1_000;
/// Subscribers of each room.
const EACH: usize = 5;
/// Events a second in all rooms together: few enough that hardly two are written at once, also to one room.
const RATE: u32 = 2_000;

const IDLE: usize = 10_000;
/// Those whose cost to let in is compared with that of all.
const FIRST: usize = 1_000;
/// The last may cost so many times as much.
const OPENED_MARK: f64 = 1.5;
/// After so long nothing is known any more of connections that broke.
const GONE: Duration = Duration::from_secs(15);
const IDLE_TIME: Duration = Duration::from_secs(5);
/// A connection may keep so many KB.
const IDLE_KB: f64 = 8.0;
/// And all of them together so much processor time, in a second: a hundredth of a core.
const IDLE_CPU: f64 = 0.01;

/// The same events, to as many subscribers each, in a thousand rooms and in one.
pub(super) fn rooms(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let rooms = settings.fit(ROOMS * EACH) / EACH;
    let start = Instant::now();
    let many = Server::host(&settings.cores, rooms, Transport::WebSocket)?;
    eprintln!("  {rooms} projects opened in {:.1} s", start.elapsed().as_secs_f64());
    let one = Server::host(&settings.cores, 1, Transport::WebSocket)?;
    let (mut of_many, mut of_one) = (None, None);
    for round in 0..settings.rounds {
        let mut turns = [(&many, rooms, &mut of_many), (&one, 1, &mut of_one)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (server, rooms, best) in turns {
            eprintln!("  {EACH} subscribers in each of {rooms} rooms");
            let mut load = Load::open(server, rooms * EACH, DATA)?;
            load.phase(Pace::Paced(RATE), WARM)?;
            keep(best, load.phase(Pace::Paced(RATE), settings.time)?);
        }
    }
    let (many, one) = (of_many.context("no round")?, of_one.context("no round")?);
    Ok(vec![Row {
        what: format!("{RATE}/s over {rooms} rooms of {EACH}, CPU a delivery"),
        floor: format!("the same in one room of {EACH}"),
        unit: Unit::Microseconds,
        count: 1,
        ours: many.each(),
        bare: one.each(),
        mark: None,
    }])
}

/// What connections cost to whom nothing is sent. Heartbeats, which are one small frame a connection every 25 s, come later
/// than this takes, however slowly they are let in.
pub(super) fn idle(settings: &Settings) -> anyhow::Result<Vec<Row>> {
    let count = settings.fit(IDLE);
    let server =
        Server::host_with(&settings.cores, 1, Transport::WebSocket, &[("SIGNALBOX_LIMITS_PING_MS", "600000")])?;
    // Of a host that nobody was connected to: what the first ones leave behind counts for the others.
    let before = server.resident()?;
    let opened = |count: usize| {
        let (start, cpu) = (Instant::now(), server.cpu()?);
        let mut load = Load::open(&server, count, DATA)?;
        eprintln!("  {count} idle connections, opened in {:.1} s", start.elapsed().as_secs_f64());
        load.idle(Duration::from_secs(1))?;
        anyhow::Ok((load, (server.cpu()? - cpu).as_secs_f64() / count as f64))
    };
    let few = opened(settings.fit(FIRST))?.1;
    // They go, and so does what is known of who was there.
    std::thread::park_timeout(GONE);
    let (mut load, all) = opened(count)?;
    let (memory, cpu) = (server.resident()? - before, server.cpu()?);
    load.idle(IDLE_TIME)?;
    let cpu = (server.cpu()? - cpu).as_secs_f64() / IDLE_TIME.as_secs_f64();
    let row = |what: &str, floor: &str, unit, ours, bare| Row {
        what: format!("{count} idle connections, {what}"),
        floor: floor.to_owned(),
        unit,
        count: 1,
        ours,
        bare,
        mark: Some(1.0),
    };
    Ok(vec![
        row("memory of each", "8 KB", Unit::Kilobytes, memory / count as f64, IDLE_KB),
        row("CPU a second", "a hundredth of a core", Unit::Milliseconds, cpu, IDLE_CPU),
        Row {
            mark: Some(OPENED_MARK),
            ..row("CPU to let one in", "of 1,000 connections", Unit::Microseconds, all, few)
        },
    ])
}
