//! A session that gives up on its replay and jumps to a snapshot. Found by the soak.

use std::sync::Arc;

use serde_json::Value;
use signalbox_model::{
    Actor, Cursor, CustomType, EventBody, EventData, MemberId, NewEvent, Project, ProjectId, Role, Room, RoomFilter,
    SystemClock,
};
use signalbox_store::{Batch, Durability, Options, Store};
use signalbox_stream::{Hub, Session};
use signalbox_wire::Caller;

const LIMIT: u64 = 20;

fn open(dir: &std::path::Path) -> (Store, Arc<Hub>) {
    let hub = Hub::new();
    let sink = Arc::clone(&hub);
    let store = Store::open(Options {
        dir: dir.to_owned(),
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        publish: Box::new(move |frames| sink.publish(frames)),
    })
    .unwrap();
    hub.start_at(store.head());
    (store, hub)
}

fn event() -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({}).into());
    NewEvent::new(Room::Project(ProjectId::new("a").unwrap()), Actor::new("tester").unwrap(), body)
}

#[tokio::test]
async fn a_synced_of_a_replay_that_was_given_up_is_not_said() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = ProjectId::new("a").unwrap();
    let data = Project { id: id.clone(), name: "a".into(), path: "/".into(), trusted: false, open: true, opened_at: 0 };
    let opened = NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(data));
    store.append(Batch::of(vec![opened])).await.unwrap();
    store.append(Batch::of(vec![event(); 19])).await.unwrap();
    store.close();
    drop(store);
    // A restart: what was missed is no longer in the ring and has to be read from the log.
    let (store, hub) = open(dir.path());
    let caller = Caller {
        member: MemberId::new("m_aaaaaaaa").unwrap(),
        actor: Actor::new("tester").unwrap(),
        role: Role::Owner,
        projects: Vec::new(),
        key: None,
        address: None,
        expires_at: None,
        rights: 0,
    };
    let mut session = Session::new(hub, store.clone(), caller, LIMIT, 16);
    let resume = Cursor { epoch: store.epoch().clone(), seq: 1 };
    session.join(None, vec![RoomFilter::One(Room::Project(id))], Some(resume)).await.unwrap();
    // 19 events were missed, which could be replayed. Before the replay begins there are more than the limit.
    store.append(Batch::of(vec![event(); 5])).await.unwrap();
    let mut seen = 1;
    let mut frames = Vec::new();
    while !frames.iter().any(|kind| kind == "snapshot") {
        for frame in session.ready(64 * 1024).await.unwrap().frames {
            let frame: Value = serde_json::from_slice(&frame).unwrap();
            match frame["type"].as_str().unwrap() {
                "x_test" => seen = frame["seq"].as_u64().unwrap(),
                "snapshot" => seen = frame["at"].as_u64().unwrap(),
                "synced" => {
                    let cursor: Cursor = frame["cursor"].as_str().unwrap().parse().unwrap();
                    assert!(
                        cursor.seq <= seen,
                        "{cursor} is said to be complete, {seen} was seen; before it {frames:?}"
                    );
                }
                _ => {}
            }
            frames.push(frame["type"].as_str().unwrap().to_owned());
        }
    }
    store.close();
}
