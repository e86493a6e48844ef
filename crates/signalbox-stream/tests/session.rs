//! Sessions against a log under full load: whatever happens, each ends with the same gap-free sequence.

use std::{path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::Value;
use signalbox_model::{
    Actor, Cursor, CustomType, EventBody, EventData, MemberId, NewEvent, Project, ProjectId, Role, Room, RoomFilter,
    SystemClock,
};
use signalbox_store::{Batch, Durability, Options, Store};
use signalbox_stream::{Hub, Session};
use signalbox_wire::Caller;

fn open(dir: &Path) -> (Store, Arc<Hub>) {
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

fn caller() -> Caller {
    Caller {
        member: MemberId::new("m_aaaaaaaa").unwrap(),
        actor: Actor::new("tester").unwrap(),
        role: Role::Owner,
        projects: Vec::new(),
        key: None,
        address: None,
        expires_at: None,
        rights: 0,
    }
}

fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

fn event(name: &str, n: u64) -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "n": n }).into());
    NewEvent::new(Room::Project(project(name)), Actor::new("tester").unwrap(), body)
}

async fn add_projects(store: &Store) {
    for name in ["a", "b"] {
        let data = Project {
            id: project(name),
            name: name.into(),
            path: "/".into(),
            trusted: false,
            open: true,
            opened_at: 0,
        };
        let event = NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(data));
        store.append(Batch::of(vec![event])).await.unwrap();
    }
}

fn filter(name: &str) -> RoomFilter {
    RoomFilter::One(Room::Project(project(name)))
}

/// What a client does with frames: checks each against the last of its room.
#[derive(Default)]
struct Client {
    seen: Vec<u64>,
    last: u64,
    cursor: Option<Cursor>,
    synced: bool,
    reset: Option<String>,
}

impl Client {
    fn take(&mut self, frame: &[u8]) {
        let frame: Value = serde_json::from_slice(frame).unwrap();
        match frame["type"].as_str().unwrap() {
            "x_test" => {
                let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
                assert!(
                    prev == self.last || (self.seen.is_empty() && prev <= self.last),
                    "gap: {prev} after {}",
                    self.last
                );
                assert!(seq > self.last, "{seq} twice");
                self.last = seq;
                self.seen.push(frame["data"]["n"].as_u64().unwrap());
                self.cursor = Some(frame["cursor"].as_str().unwrap().parse().unwrap());
            }
            "snapshot" => {
                self.last = frame["at"].as_u64().unwrap().max(self.last);
                self.seen.clear();
            }
            "synced" => {
                self.synced = true;
                self.cursor = Some(frame["cursor"].as_str().unwrap().parse().unwrap());
            }
            "reset" => self.reset = frame["reason"].as_str().map(str::to_owned),
            "subscribed" | "left" | "lagging" => {}
            other => panic!("unexpected {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resuming_at_any_moment_under_load_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    const EVENTS: u64 = 3_000;
    let start = store.cursor();
    let publisher = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..EVENTS {
                store.append(Batch::of(vec![event("a", n), event("b", n)])).await.unwrap();
            }
        })
    };
    let mut clients = Vec::new();
    for client in 0..8u64 {
        let (store, hub, start) = (store.clone(), Arc::clone(&hub), start.clone());
        clients.push(tokio::spawn(async move {
            let mut seen = Client { cursor: Some(start), ..Client::default() };
            let mut round = 0;
            while (seen.seen.len() as u64) < EVENTS {
                // Each session is dropped after a few batches, wherever it is.
                let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 1_000_000, 128);
                session.join(None, vec![filter("a")], seen.cursor.clone()).await.unwrap();
                round += 1;
                for _ in 0..(client + round) % 7 + 1 {
                    let batch = tokio::time::timeout(Duration::from_secs(20), session.next(512 << (client % 4))).await;
                    for frame in batch.expect("open and silent").unwrap().frames {
                        seen.take(&frame);
                    }
                    if seen.seen.len() as u64 == EVENTS {
                        break;
                    }
                }
            }
            assert_eq!(seen.seen, (0..EVENTS).collect::<Vec<_>>());
            assert!(seen.reset.is_none());
        }));
    }
    publisher.await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(hub.subscriptions(), 0, "sessions that are gone leave nothing behind");
}

#[tokio::test]
async fn a_connection_that_received_no_event_resumes_to_exactly_what_came_after() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let mut client = Client::default();
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 100, 128);
    session.join(None, vec![filter("a")], None).await.unwrap();
    session.next(1 << 20).await.unwrap().frames.iter().for_each(|f| client.take(f));
    assert!(client.synced && client.seen.is_empty());
    drop(session);
    store.append(Batch::of(vec![event("b", 0)])).await.unwrap();
    store.append(Batch::of(vec![event("a", 1)])).await.unwrap();
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 100, 128);
    session.join(None, vec![filter("a")], client.cursor.clone()).await.unwrap();
    let batch = session.next(1 << 20).await.unwrap();
    assert_eq!(batch.events, 1);
    batch.frames.iter().for_each(|f| client.take(f));
    assert_eq!(client.seen, [1]);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_resumed_gets_a_reset_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    for n in 0..20 {
        store.append(Batch::of(vec![event("a", n)])).await.unwrap();
    }
    let cases = [
        ("zzzzzzzz.5".to_owned(), "epoch_changed"),
        (format!("{}.3", store.epoch()), "too_far_behind"),
        (format!("{}.99", store.epoch()), "future"),
    ];
    for (cursor, reason) in cases {
        let mut client = Client::default();
        let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 5, 128);
        session.join(None, vec![filter("a")], Some(cursor.parse().unwrap())).await.unwrap();
        session.next(1 << 20).await.unwrap().frames.iter().for_each(|f| client.take(f));
        assert_eq!(client.reset.as_deref(), Some(reason));
        assert!(client.synced);
        assert_eq!(client.cursor, Some(store.cursor()), "a cursor is always handed out");
    }
}

#[tokio::test]
async fn joining_a_second_room_keeps_the_first_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 100, 128);
    session.join(None, vec![filter("a")], None).await.unwrap();
    let at = store.cursor();
    store.append(Batch::of(vec![event("a", 1), event("b", 2), event("a", 3)])).await.unwrap();
    session.join(Some(7), vec![filter("b")], Some(at)).await.unwrap();
    store.append(Batch::of(vec![event("b", 4), event("a", 5)])).await.unwrap();
    let mut order = Vec::new();
    while order.last() != Some(&"5".to_owned()) {
        for frame in session.next(1 << 20).await.unwrap().frames {
            let frame: Value = serde_json::from_slice(&frame).unwrap();
            order.push(match frame["type"].as_str().unwrap() {
                "x_test" => frame["data"]["n"].to_string(),
                other => other.to_owned(),
            });
        }
    }
    assert_eq!(order, ["subscribed", "snapshot", "synced", "1", "3", "subscribed", "2", "synced", "4", "5"]);
}

#[tokio::test]
async fn a_member_of_one_project_hears_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let restricted = Caller { projects: vec![project("a")], ..caller() };
    let mut session = Session::new(Arc::clone(&hub), store.clone(), restricted, 100, 128);
    let tree = RoomFilter::ProjectTree(project("b"));
    let rooms = vec![
        filter("a"),
        filter("b"),
        tree,
        RoomFilter::One(Room::Host),
        RoomFilter::One(Room::Activity),
        filter("nowhere"),
    ];
    session.join(None, rooms, None).await.unwrap();
    let frames = session.next(1 << 20).await.unwrap().frames;
    let left = frames.iter().filter(|f| f.starts_with(b"{\"type\":\"left\"")).count();
    assert_eq!(left, 5);
    store.append(Batch::of(vec![event("b", 1), event("a", 2)])).await.unwrap();
    let batch = session.next(1 << 20).await.unwrap();
    assert_eq!(batch.events, 1);
}

#[tokio::test]
async fn who_is_never_asked_jumps_to_the_present_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 50, 128);
    session.join(None, vec![filter("a")], None).await.unwrap();
    session.next(1 << 20).await.unwrap();
    // More than the ring holds.
    for round in 0..66 {
        let events = (0..1000).map(|n| event("a", round * 1000 + n)).collect();
        store.append(Batch::of(events)).await.unwrap();
    }
    let mut client = Client::default();
    let batch = session.next(1 << 20).await.unwrap();
    assert!(batch.frames[0].starts_with(b"{\"type\":\"lagging\""), "{:?}", batch.frames[0]);
    batch.frames.iter().for_each(|f| client.take(f));
    assert_eq!(client.reset.as_deref(), Some("slow"));
    assert_eq!(client.cursor, Some(store.cursor()));
    store.append(Batch::of(vec![event("a", 1)])).await.unwrap();
    assert_eq!(session.next(1 << 20).await.unwrap().events, 1);
}

#[tokio::test]
async fn a_connection_that_closes_while_it_subscribes_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    // Given up before the first step of joining, after it, after the next one, ... until it is through.
    for steps in 0.. {
        let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 100, 128);
        let mut done = false;
        {
            let mut join = std::pin::pin!(session.join(None, vec![filter("a"), filter("b")], None));
            for _ in 0..steps {
                let step = std::future::poll_fn(|cx| std::task::Poll::Ready(join.as_mut().poll(cx))).await;
                if let std::task::Poll::Ready(result) = step {
                    result.unwrap();
                    done = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(session);
        assert_eq!(hub.subscriptions(), 0, "given up after {steps} steps");
        if done {
            break;
        }
    }
}

#[tokio::test]
async fn a_log_that_is_replaced_in_the_middle_of_a_replay_resets_who_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let start = store.cursor();
    for n in 0..50 {
        store.append(Batch::of(vec![event("a", n)])).await.unwrap();
    }
    let mut client = Client { cursor: Some(start), ..Client::default() };
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 1000, 128);
    session.join(None, vec![filter("a")], client.cursor.clone()).await.unwrap();
    session.next(2_000).await.unwrap().frames.iter().for_each(|f| client.take(f));
    assert!(!client.synced && client.seen.len() > 3 && client.seen.len() < 50, "{:?}", client.seen);
    drop(session);
    store.close();
    // Somebody puts an older copy in its place, and it goes on otherwise: the client's place exists in it, and is another.
    std::fs::remove_file(dir.path().join("log.db")).unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    for n in 100..200 {
        store.append(Batch::of(vec![event("a", n)])).await.unwrap();
    }
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 1000, 128);
    session.join(None, vec![filter("a")], client.cursor.clone()).await.unwrap();
    let (before, mut after) = (client, Client::default());
    session.next(1 << 20).await.unwrap().frames.iter().for_each(|f| after.take(f));
    assert_eq!(after.reset.as_deref(), Some("epoch_changed"));
    assert!(after.synced && after.seen.is_empty(), "a snapshot, and nothing of a replay: {:?}", after.seen);
    assert_ne!(after.cursor.unwrap().epoch, before.cursor.unwrap().epoch);
}

#[tokio::test]
async fn a_commit_that_fails_is_seen_by_nobody_and_its_numbers_are_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, hub) = open(dir.path());
    add_projects(&store).await;
    let mut client = Client::default();
    let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 1000, 128);
    session.join(None, vec![filter("a")], None).await.unwrap();
    session.next(1 << 20).await.unwrap().frames.iter().for_each(|f| client.take(f));
    let head = store.head();
    // The database refuses in the middle of a batch, after events of it were written.
    let other = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER full AFTER INSERT ON events WHEN NEW.seq = {} BEGIN SELECT RAISE(ROLLBACK, 'no more'); END",
        head + 3
    );
    other.execute_batch(&trigger).unwrap();
    let batch = || Batch::of((0..5).map(|n| event("a", n)).collect());
    store.append(batch()).await.unwrap_err();
    assert_eq!((store.head(), hub.head()), (head, head));
    assert!(session.ready(1 << 20).await.unwrap().frames.is_empty());
    other.execute_batch("DROP TRIGGER full").unwrap();
    let committed = store.append(batch()).await.unwrap();
    assert_eq!((committed.first, committed.last), (head + 1, head + 5));
    session.next(1 << 20).await.unwrap().frames.iter().for_each(|f| client.take(f));
    assert_eq!(client.seen, [0, 1, 2, 3, 4]);
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Any interleaving of appends, joins, leaves and reads: each room's events arrive once and in order.
    #[test]
    fn any_interleaving_keeps_each_room_gap_free(steps in prop::collection::vec((0u8..5, 0usize..2, 1u64..5), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (store, hub) = open(dir.path());
            add_projects(&store).await;
            let names = ["a", "b"];
            let mut session = Session::new(Arc::clone(&hub), store.clone(), caller(), 1000, 128);
            let mut last: [Option<u64>; 2] = [None, None];
            let mut appended: [Vec<u64>; 2] = Default::default();
            let mut pending_join = [false, false];
            for (what, room, count) in steps {
                match what {
                    0 | 1 => for _ in 0..count {
                        let at = store.append(Batch::of(vec![event(names[room], 0)])).await.unwrap().last;
                        appended[room].push(at);
                    },
                    2 => { session.join(None, vec![filter(names[room])], None).await.unwrap(); pending_join[room] = true; last[room] = None; }
                    3 => { session.leave(&[filter(names[room])]); last[room] = None; pending_join[room] = false; }
                    _ => for frame in session.ready(200 * count as usize).await.unwrap().frames {
                        let frame: Value = serde_json::from_slice(&frame).unwrap();
                        if frame["type"] == "snapshot" {
                            let at = usize::from(frame["room"] == "project/b");
                            last[at] = frame["at"].as_u64();
                        }
                        if frame["type"] == "x_test" {
                            let at = usize::from(frame["room"] == "project/b");
                            let seq = frame["seq"].as_u64().unwrap();
                            if let Some(base) = last[at] {
                                let expected = appended[at].iter().copied().find(|s| *s > base);
                                assert_eq!(Some(seq), expected, "room {} after {base}", names[at]);
                                last[at] = Some(seq);
                            }
                        }
                    },
                }
            }
        });
    }
}
