//! Figures that must not decay with the log's age: the same work on a log of ten thousand events and on long ones.
//!
//! `scale [--events N]` (10,000,000 takes about ten minutes and 8 GB in the temporary folder). The log is written by the
//! real writer: half of it is one project with thousands of runs, each with steps, their output and notes; the other half
//! are seven more projects. Rates stand beside the same on the short log, times beside the time they may take.

mod history;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use signalbox_model::{ProjectId, RoomFilter};
use signalbox_store::{Batch, Search, Store};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    log,
    table::{Row, Unit},
};
use history::History;

/// Long enough to be a log, short enough to fit into every cache.
const SHORT: u64 = 10_000;
const DEFAULT: u64 = 60_000;
const MIDDLE: u64 = 1_000_000;

const PUBLISHERS: u32 = 64;
const EACH: u32 = 200;
const ALONE: u32 = 2_000;
const REPLAYED: u64 = 100_000;
const PAGE: usize = 512;

/// The argument by which this program starts itself, to be killed.
pub(crate) const KILLED: &str = "scale-killed";

/// The least times on a log of one length.
struct Figures {
    many: Duration,
    alone: Duration,
    /// Of one event.
    replay: Duration,
    replay_tree: Duration,
    open: Duration,
    open_killed: Duration,
    snapshot: Duration,
    searches: Vec<(&'static str, Duration)>,
}

pub(crate) fn bench(runtime: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    let mut arguments = std::env::args();
    let wanted = arguments.by_ref().find(|argument| argument == "--events").and_then(|_| arguments.next());
    let events: u64 = wanted.map_or(Ok(DEFAULT), |events| events.parse()).context("--events needs a number")?;
    let lengths = [SHORT, MIDDLE.min(events), events.max(SHORT)];
    let dir = tempfile::tempdir()?;
    let mut history = History::default();
    let mut short = None;
    let mut rows = Vec::new();
    for (n, length) in lengths.into_iter().enumerate() {
        if n > 0 && length <= lengths[n - 1] {
            continue;
        }
        let start = Instant::now();
        let store = log::open(dir.path(), Box::new(|_| {}))?;
        runtime.block_on(history.write(&store, length))?;
        runtime.block_on(store.index_now())?;
        store.close();
        let size = std::fs::metadata(store.path())?.len() / 1_000_000;
        eprintln!("  {} events in {:.1} s, {size} MB", store.head(), start.elapsed().as_secs_f64());
        let figures = measure(runtime, rounds, dir.path())?;
        match &short {
            None => short = Some(figures),
            Some(short) => rows.extend(compare(length, short, &figures)),
        }
    }
    Ok(rows)
}

fn compare(length: u64, short: &Figures, long: &Figures) -> Vec<Row> {
    let row = |what: &str, floor: &str, unit, count, ours: Duration, bare: Duration, mark| Row {
        what: format!("{what}, {length}"),
        floor: floor.to_owned(),
        unit,
        count,
        ours: ours.as_secs_f64(),
        bare: bare.as_secs_f64(),
        mark: Some(mark),
    };
    let many = PUBLISHERS * EACH;
    let mut rows = vec![
        row("64 publishers", "log of 10,000", Unit::PerSecond, many, long.many, short.many, 0.8),
        row("one publisher", "log of 10,000", Unit::Each, ALONE, long.alone, short.alone, 1.25),
        row("replay of one room", "log of 10,000", Unit::PerSecond, 1, long.replay, short.replay, 0.8),
        row(
            "replay of a project and its runs",
            "log of 10,000",
            Unit::PerSecond,
            1,
            long.replay_tree,
            short.replay_tree,
            // Between the events lie those that were measured on the shorter log, ten times as many.
            0.5,
        ),
    ];
    let second = Duration::from_secs(1);
    let within = |what, limit, time, text| row(what, text, Unit::Each, 1, time, limit, 1.0);
    rows.push(within("open, closed before", second, long.open, "1 s"));
    rows.push(within("open, killed before", second, long.open_killed, "1 s"));
    rows.push(within("snapshot", Duration::from_millis(50), long.snapshot, "50 ms"));
    for (what, time) in &long.searches {
        rows.push(within(what, Duration::from_millis(100), *time, "100 ms"));
    }
    rows
}

fn measure(runtime: &Runtime, rounds: u32, dir: &Path) -> anyhow::Result<Figures> {
    let timed = |act: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..rounds {
            let start = Instant::now();
            act()?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    };
    let (mut open, mut open_killed) = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        open = open.min(opened(dir)?);
        let killed = Command::new(std::env::current_exe()?).args([KILLED.as_ref(), dir.as_os_str()]).status()?;
        ensure!(!killed.success(), "the other process was to end itself");
        let left = std::fs::metadata(dir.join("log.db-wal")).map_or(0, |file| file.len());
        ensure!(left > 100_000, "the other process left a write-ahead log of {left} bytes behind");
        open_killed = open_killed.min(opened(dir)?);
    }
    let store = log::open(dir, Box::new(|_| {}))?;
    runtime.block_on(store.index_now())?;
    let big = history::project(0)?;
    let snapshot = timed(&mut || {
        store.read(|reader| {
            signalbox_stream::snapshot(reader, &RoomFilter::ProjectTree(big.clone()), "0", Vec::new())
        })?;
        Ok(())
    })?;
    let mut searches = Vec::new();
    for (what, search) in searches_of(&big) {
        searches.push((what, timed(&mut || search_once(&store, &search))?));
    }
    let one = [RoomFilter::One(signalbox_model::Room::Project(big.clone()))];
    let replay = per_event(&store, rounds, &one)?;
    let replay_tree = per_event(&store, rounds, &[RoomFilter::ProjectTree(big)])?;
    let many = timed(&mut || append(runtime, &store, PUBLISHERS, EACH))?;
    runtime.block_on(store.index_now())?;
    let alone = timed(&mut || append(runtime, &store, 1, ALONE))?;
    runtime.block_on(store.index_now())?;
    store.close();
    Ok(Figures { many, alone, replay, replay_tree, open, open_killed, snapshot, searches })
}

fn opened(dir: &Path) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let store = log::open(dir, Box::new(|_| {}))?;
    let time = start.elapsed();
    store.close();
    Ok(time)
}

/// Appends, and ends this process as if it were killed: the write-ahead log stays behind.
pub(crate) fn be_killed(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let store = log::open(dir, Box::new(|_| {}))?;
    let event = log::event()?;
    runtime.block_on(async {
        for _ in 0..5_000 {
            store.append(Batch::of(vec![event.clone()])).await?;
        }
        anyhow::Ok(())
    })?;
    std::process::abort();
}

fn append(runtime: &Runtime, store: &Store, publishers: u32, each: u32) -> anyhow::Result<()> {
    let event = log::event()?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..publishers {
            let (store, event) = (store.clone(), event.clone());
            tasks.spawn(async move {
                for _ in 0..each {
                    store.append(Batch::of(vec![event.clone()])).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    })
}

/// The oldest events of these rooms, as many as there are up to [`REPLAYED`]: the least time of each.
fn per_event(store: &Store, rounds: u32, filter: &[RoomFilter]) -> anyhow::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let (start, mut after, mut seen) = (Instant::now(), 0, 0);
        while seen < REPLAYED {
            let page = store.read(|reader| reader.events(filter, after, reader.head()?, PAGE))?;
            seen += page.frames.len() as u64;
            after = page.upto;
            if !page.more {
                break;
            }
        }
        best = best.min(start.elapsed() / u32::try_from(seen.max(1))?);
    }
    Ok(best)
}

fn searches_of(big: &ProjectId) -> Vec<(&'static str, Search)> {
    let small = history::project(7).ok();
    let of = |text: Option<&str>, kind: Option<&str>, project: Option<&ProjectId>| Search {
        text: text.map(ToOwned::to_owned),
        types: kind.map(ToOwned::to_owned).into_iter().collect(),
        project: project.cloned(),
        before: None,
        limit: 50,
    };
    vec![
        ("search: common word", of(Some(history::COMMON), None, None)),
        ("search: its beginning", of(Some(&history::COMMON[..3]), None, None)),
        ("search: rare word", of(Some(history::RARE), None, None)),
        ("search: absent word", of(Some("zanzibar"), None, None)),
        ("search: two common words", of(Some("deploy checkout"), None, None)),
        ("search: common word, big project", of(Some(history::COMMON), None, Some(big))),
        ("search: common word, small project", of(Some(history::COMMON), None, small.as_ref())),
        ("search: common word, common type", of(Some(history::COMMON), Some("x_note"), None)),
        ("search: common word, rare type", of(Some(history::COMMON), Some("project_updated"), None)),
        ("search: common word, both", of(Some(history::COMMON), Some("x_note"), small.as_ref())),
        ("search: no word, rare type", of(None, Some("project_updated"), None)),
        ("search: no word, small project", of(None, None, small.as_ref())),
    ]
}

fn search_once(store: &Store, search: &Search) -> anyhow::Result<()> {
    store.read(|reader| reader.search(search, |_| true))?;
    Ok(())
}
