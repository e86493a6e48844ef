//! Replay: events read back from disk, as a client gets them that comes back after a while.

use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::{Connection, OpenFlags};
use signalbox_model::{Cursor, RoomFilter};
use signalbox_store::{Batch, Store};
use signalbox_stream::{Hub, Session};
use tokio::runtime::Runtime;

use crate::{
    fanout, log,
    table::{Row, Unit, least},
};

const EVENTS: u32 = 100_000;
const PAGE: usize = 512;

pub(crate) fn bench(runtime: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let store = log::open(dir.path(), Box::new(|_| {}))?;
    let event = log::event()?;
    runtime.block_on(async {
        store.append(Batch::of(vec![fanout::project()?])).await?;
        for _ in 0..EVENTS / 500 {
            store.append(Batch::of(vec![event.clone(); 500])).await?;
        }
        // Else the index would be written while the clock runs.
        anyhow::Ok(store.index_now().await?)
    })?;
    let filter = [RoomFilter::One(event.room)];
    let times = least(
        rounds,
        &mut [
            Box::new(|| pages(&store, &filter)),
            Box::new(|| bare(&store)),
            Box::new(|| runtime.block_on(session(&store, &filter))),
        ],
    )?;
    store.close();
    let row = |what: &str, floor: &str, ours: usize, bare: usize, mark| Row {
        what: what.into(),
        floor: floor.into(),
        unit: Unit::PerSecond,
        count: EVENTS,
        ours: times[ours].as_secs_f64(),
        bare: times[bare].as_secs_f64(),
        mark: Some(mark),
    };
    Ok(vec![
        row("replay from disk, pages of 512", "bare SQLite, the columns, one scan", 0, 1, 0.5),
        row("a subscriber 100,000 events behind", "the same pages, nobody asking", 2, 0, 0.6),
    ])
}

/// A subscriber that comes back after all of them, and gets them as a connection does.
async fn session(store: &Store, filter: &[RoomFilter]) -> anyhow::Result<Duration> {
    let hub = Hub::new();
    hub.start_at(store.head());
    let start = Instant::now();
    let mut session = Session::new(hub, store.clone(), fanout::caller()?, u64::from(EVENTS), 16);
    let cursor = Cursor { epoch: store.epoch().clone(), seq: 0 };
    session.join(None, filter.to_vec(), Some(cursor)).await?;
    let mut seen = 0;
    while seen < u64::from(EVENTS) {
        seen += session.next(fanout::FRAME).await?.events;
    }
    let time = start.elapsed();
    ensure!(seen == u64::from(EVENTS), "{seen} events came");
    Ok(time)
}

/// A transaction for each page, as sessions do it.
fn pages(store: &Store, filter: &[RoomFilter]) -> anyhow::Result<Duration> {
    let (start, head) = (Instant::now(), store.head());
    let (mut after, mut seen, mut bytes) = (0, 0, 0);
    loop {
        let page = store.read(|reader| reader.events(filter, after, head, PAGE))?;
        seen += page.frames.len();
        bytes += page.frames.iter().map(|frame| frame.json.len()).sum::<usize>();
        after = page.upto;
        if !page.more {
            break;
        }
    }
    let time = start.elapsed();
    ensure!(seen == EVENTS as usize && bytes > 0, "{seen} events were read");
    Ok(time)
}

fn bare(store: &Store) -> anyhow::Result<Duration> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(store.path(), flags)?;
    let start = Instant::now();
    let (mut seen, mut bytes) = (0, 0);
    let mut select =
        db.prepare("SELECT seq, prev, ts, type, actor, run, step, data FROM events WHERE seq > 1 ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, prev, ts): (u64, u64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        ensure!(prev < seq && ts > 0, "row {seq} is not what was written");
        for column in 3..8 {
            bytes += row.get_ref(column)?.as_str_or_null()?.map_or(0, str::len);
        }
        seen += 1;
    }
    let time = start.elapsed();
    ensure!(seen == EVENTS && bytes > 0, "{seen} rows were read");
    Ok(time)
}
