//! Durable appends: many publishers at once, and one alone.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use rusqlite::{Connection, params};
use signalbox_model::{Actor, CustomType, EventBody, NewEvent, ProjectId, Room, SystemClock};
use signalbox_store::{Batch, Durability, Options, Publish, Store};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::table::{Row, Unit, least};

const PUBLISHERS: u32 = 64;
const EACH: u32 = 700;
const ALONE: u32 = 1000;

/// With the columns beside it a row of about 300 bytes.
pub(crate) fn event() -> anyhow::Result<NewEvent> {
    let data = serde_json::json!({ "text": "x".repeat(230) });
    let body = EventBody::Custom(CustomType::new("x_bench")?, data.into());
    Ok(NewEvent::new(Room::Project(ProjectId::new("bench")?), Actor::new("bench")?, body))
}

pub(crate) fn open(dir: &Path, publish: Publish) -> anyhow::Result<Store> {
    open_with(dir, Durability::Process, publish)
}

fn open_with(dir: &Path, durability: Durability, publish: Publish) -> anyhow::Result<Store> {
    let (dir, clock) = (dir.to_owned(), Arc::new(SystemClock));
    Ok(Store::open(Options { dir, durability, clock, publish })?)
}

pub(crate) fn bench(runtime: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    // The floor commits as many rows at once as the log's writer did on average.
    let group = Cell::new(1);
    let many = least(
        rounds,
        &mut [
            Box::new(|| {
                let (time, commits) = publish(runtime, Durability::Process, PUBLISHERS, EACH)?;
                group.set((PUBLISHERS * EACH).div_ceil(commits.max(1)));
                Ok(time)
            }),
            Box::new(|| {
                let group = group.get();
                // In a thread of its own, as the log's writer is: memory that earlier rounds used is not there already.
                let ended = std::thread::spawn(move || bare(Durability::Process, PUBLISHERS * EACH, group)).join();
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        ],
    )?;
    eprintln!("  {} rows in each commit", group.get());
    let alone = |durability| {
        least(
            rounds,
            &mut [
                Box::new(move || Ok(publish(runtime, durability, 1, ALONE)?.0)),
                Box::new(move || bare(durability, ALONE, 1)),
            ],
        )
    };
    let (process, power) = (alone(Durability::Process)?, alone(Durability::Power)?);
    Ok(vec![
        Row {
            what: "durable appends, 64 publishers".into(),
            floor: "bare SQLite, as many rows a commit".into(),
            unit: Unit::PerSecond,
            count: PUBLISHERS * EACH,
            ours: many[0].as_secs_f64(),
            bare: many[1].as_secs_f64(),
            mark: Some(0.8),
        },
        Row {
            what: "append, one publisher: to its ack".into(),
            floor: "bare SQLite, one commit".into(),
            unit: Unit::Each,
            count: ALONE,
            ours: process[0].as_secs_f64(),
            bare: process[1].as_secs_f64(),
            mark: Some(1.5),
        },
        Row {
            what: "the same, to survive a power cut".into(),
            floor: "bare SQLite, synchronous=FULL".into(),
            unit: Unit::Each,
            count: ALONE,
            ours: power[0].as_secs_f64(),
            bare: power[1].as_secs_f64(),
            mark: Some(1.5),
        },
    ])
}

/// Each publisher appends its next event when the one before is committed. Gives the time and the number of commits.
fn publish(runtime: &Runtime, durability: Durability, publishers: u32, each: u32) -> anyhow::Result<(Duration, u32)> {
    let dir = tempfile::tempdir()?;
    let commits = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&commits);
    let store = open_with(
        dir.path(),
        durability,
        Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }),
    )?;
    let event = event()?;
    let start = Instant::now();
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
        anyhow::Ok(())
    })?;
    let time = start.elapsed();
    store.close();
    Ok((time, u32::try_from(commits.load(Ordering::Relaxed))?))
}

/// The same rows into the same table with the same index and pragmas, and nothing else.
fn bare(durability: Durability, rows: u32, group: u32) -> anyhow::Result<Duration> {
    let dir = tempfile::tempdir()?;
    let mut db = Connection::open(dir.path().join("bare.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "cache_size", -16_384)?;
    db.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    db.execute_batch(
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, prev INTEGER NOT NULL, ts INTEGER NOT NULL,
            room INTEGER NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL, run TEXT, step TEXT, data TEXT NOT NULL);
         CREATE INDEX events_room ON events (room, seq);",
    )?;
    let event = event()?;
    let data = event.body.data_json().context("the event is no JSON")?;
    let start = Instant::now();
    let mut seq = 0;
    while seq < rows {
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events(seq, prev, ts, room, type, actor, run, step, data)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, NULL, NULL, ?6)",
            )?;
            for _ in 0..group.min(rows - seq) {
                seq += 1;
                let (kind, actor) = (event.body.type_name(), event.actor.as_str());
                insert.execute(params![seq, seq - 1, 1_750_000_000_000_i64, kind, actor, data])?;
            }
        }
        transaction.commit()?;
    }
    Ok(start.elapsed())
}
