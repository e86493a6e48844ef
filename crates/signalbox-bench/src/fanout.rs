//! Live fan-out: what is committed reaches many sessions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use signalbox_model::{Actor, EventData, MemberId, NewEvent, Project, ProjectId, Role, Room, RoomFilter};
use signalbox_store::Batch;
use signalbox_stream::{Hub, Session};
use signalbox_wire::Caller;
use tokio::{runtime::Runtime, sync::broadcast, task::JoinSet};

use crate::{
    log,
    table::{Row, Unit, least},
};

const SESSIONS: u32 = 100;
const EVENTS: u32 = 20_000;
/// Events in one append.
const BATCH: u32 = 50;
/// What one frame of a transport takes at most.
pub(crate) const FRAME: usize = 64 * 1024;

pub(crate) fn bench(runtime: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    let times =
        least(rounds, &mut [Box::new(|| runtime.block_on(sessions())), Box::new(|| runtime.block_on(channel()))])?;
    Ok(vec![Row {
        what: "live deliveries, 100 sessions, durable".into(),
        floor: "tokio broadcast, nothing stored".into(),
        unit: Unit::PerSecond,
        count: SESSIONS * EVENTS,
        ours: times[0].as_secs_f64(),
        bare: times[1].as_secs_f64(),
        mark: None,
    }])
}

/// The project whose room the events are in.
pub(crate) fn project() -> anyhow::Result<NewEvent> {
    let id = ProjectId::new("bench")?;
    let project = Project { id, name: "bench".into(), path: "/".into(), trusted: false, open: true, opened_at: 0 };
    Ok(NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(project)))
}

/// Who may see everything.
pub(crate) fn caller() -> anyhow::Result<Caller> {
    Ok(Caller {
        member: MemberId::new("m_aaaaaaaa")?,
        actor: Actor::new("bench")?,
        role: Role::Owner,
        projects: Vec::new(),
        key: None,
        address: None,
        expires_at: None,
        rights: 0,
    })
}

async fn sessions() -> anyhow::Result<Duration> {
    let dir = tempfile::tempdir()?;
    let hub = Hub::new();
    let sink = Arc::clone(&hub);
    let store = log::open(dir.path(), Box::new(move |frames| sink.publish(frames)))?;
    store.append(Batch::of(vec![project()?])).await?;
    let (caller, event) = (caller()?, log::event()?);
    let mut tasks = JoinSet::new();
    let mut joined = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = Session::new(Arc::clone(&hub), store.clone(), caller.clone(), 100_000, 16);
        session.join(None, vec![RoomFilter::One(event.room.clone())], None).await?;
        joined.push(session);
    }
    let start = Instant::now();
    for mut session in joined {
        tasks.spawn(async move {
            let mut seen = 0;
            while seen < u64::from(EVENTS) {
                seen += session.next(FRAME).await?.events;
            }
            anyhow::Ok(())
        });
    }
    for _ in 0..EVENTS / BATCH {
        store.append(Batch::of(vec![event.clone(); BATCH as usize])).await?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let time = start.elapsed();
    tokio::task::spawn_blocking(move || store.close()).await?;
    Ok(time)
}

/// A channel that holds everything, so that nobody is made to wait or loses anything.
async fn channel() -> anyhow::Result<Duration> {
    let (sender, _) = broadcast::channel(EVENTS as usize);
    let mut tasks = JoinSet::new();
    let frame = Bytes::from("x".repeat(400));
    let start = Instant::now();
    for _ in 0..SESSIONS {
        let mut receiver = sender.subscribe();
        tasks.spawn(async move {
            let mut bytes = 0;
            for _ in 0..EVENTS {
                let frame: Bytes = receiver.recv().await?;
                bytes += frame.len();
            }
            anyhow::Ok(bytes)
        });
    }
    for _ in 0..EVENTS / BATCH {
        for _ in 0..BATCH {
            sender.send(frame.clone())?;
        }
        tokio::task::yield_now().await;
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(start.elapsed())
}
