//! What the log promises, on a real file.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use signalbox_model::{
    Actor, Cursor, CustomType, EventBody, EventData, LogChunk, LogStream, ManualClock, MemberId, NewEvent, ProjectId,
    Room, RoomFilter, Run, RunId, RunStatus, StepKey,
};
use signalbox_store::{
    Batch, Durability, Frame, KeyClaim, Options, Resume, RetentionPolicy, Search, Store, StoreError,
};

type Published = Arc<Mutex<Vec<Arc<Frame>>>>;

fn open(dir: &Path) -> (Store, Published) {
    try_open(dir).unwrap()
}

fn try_open(dir: &Path) -> Result<(Store, Published), StoreError> {
    let published = Published::default();
    let sink = Arc::clone(&published);
    let store = Store::open(Options {
        dir: dir.to_owned(),
        durability: Durability::Process,
        clock: Arc::new(ManualClock::new(1_000_000_000)),
        publish: Box::new(move |frames| sink.lock().unwrap().extend_from_slice(frames)),
    })?;
    Ok((store, published))
}

fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

fn custom(room: Room, text: &str) -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "text": text }).into());
    NewEvent::new(room, Actor::new("tester").unwrap(), body)
}

fn run(id: &RunId, generation: u64, status: RunStatus) -> NewEvent {
    let run = Run {
        id: id.clone(),
        number: 1,
        project: project("demo"),
        workflow: "ship".into(),
        file: None,
        plan: "0".repeat(64),
        status,
        conclusion: None,
        generation,
        inputs: Default::default(),
        actor: Actor::engine(),
        started_by: None,
        created_at: 0,
        started_at: None,
        ended_at: None,
        progress: 0.0,
        steps_total: 1,
        steps_done: 0,
        current_step: None,
        group: None,
        goal: None,
        queue_position: None,
        paused: false,
        reason: None,
    };
    NewEvent::new(Room::Project(project("demo")), Actor::engine(), EventData::RunUpdated(Arc::new(run)))
        .of_run(id.clone())
}

fn log(run: &RunId, line: u64, offset: u64, text: &str) -> NewEvent {
    let chunk = LogChunk {
        step: StepKey::new("build").unwrap(),
        attempt: 1,
        stream: LogStream::Stdout,
        offset,
        line,
        lines: text.matches('\n').count() as u64,
        text: text.into(),
        blob: None,
    };
    NewEvent::new(Room::Run(run.clone()), Actor::engine(), EventData::Log(chunk)).of_run(run.clone())
}

fn prev(frame: &Frame) -> u64 {
    serde_json::from_slice::<serde_json::Value>(&frame.json).unwrap()["prev"].as_u64().unwrap()
}

#[tokio::test]
async fn published_is_what_was_committed_in_order_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path());
    let mut tasks = Vec::new();
    for publisher in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..50 {
                let room = if n % 3 == 0 { Room::Activity } else { Room::Project(project("demo")) };
                store.append(Batch::of(vec![custom(room, &format!("{publisher}/{n}"))])).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let live = published.lock().unwrap().clone();
    assert_eq!(live.iter().map(|f| f.seq).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
    let mut last = HashMap::new();
    for frame in &live {
        assert_eq!(last.insert(frame.room.id, frame.seq).unwrap_or(0), prev(frame));
    }
    let stored = store.read(|r| r.events(&[RoomFilter::One(Room::Activity)], 0, u64::MAX >> 12, 1000)).unwrap();
    let shown: Vec<_> = live.iter().filter(|f| f.room.room == Room::Activity).map(|f| f.json.clone()).collect();
    assert_eq!(
        stored.frames.iter().map(|f| f.json.clone()).collect::<Vec<_>>(),
        shown,
        "replay equals live, byte for byte"
    );
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_older_state_is_refused_and_takes_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = RunId::new("r_aaaaaaaa").unwrap();
    store.append(Batch::of(vec![run(&id, 1, RunStatus::Running)])).await.unwrap();
    // The refused batch also opens a room and writes a second event: neither may remain.
    let stale = Batch::of(vec![custom(Room::Activity, "gone"), run(&id, 1, RunStatus::Done)]);
    assert!(matches!(store.append(stale).await, Err(StoreError::Refused { .. })));
    assert_eq!(store.head(), 1);
    let next =
        store.append(Batch::of(vec![custom(Room::Activity, "kept"), run(&id, 2, RunStatus::Done)])).await.unwrap();
    assert_eq!((next.first, next.last), (2, 3));
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_batch_does_not_hurt_its_neighbours_in_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = RunId::new("r_aaaaaaaa").unwrap();
    store.append(Batch::of(vec![run(&id, 5, RunStatus::Running)])).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..200 {
        let (store, id) = (store.clone(), id.clone());
        tasks.push(tokio::spawn(async move {
            let room = Room::Project(project("demo"));
            if n % 2 == 0 {
                store.append(Batch::of(vec![custom(room, "fine")])).await.is_ok()
            } else {
                store.append(Batch::of(vec![custom(room, "lost"), run(&id, 5, RunStatus::Done)])).await.is_err()
            }
        }));
    }
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(store.head(), 101);
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_same_key_is_one_event_with_one_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let claim = || KeyClaim {
        member: MemberId::new("m_aaaaaaaa").unwrap(),
        key: "once".into(),
        reply: Box::new(|committed| format!("{{\"seq\":{}}}", committed.last)),
    };
    let batch = || Batch { events: vec![custom(Room::Activity, "hello")], key: Some(claim()), ..Batch::default() };
    store.append(batch()).await.unwrap();
    match store.append(batch()).await {
        Err(StoreError::Repeated { reply }) => assert_eq!(reply, "{\"seq\":1}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.head(), 1);
}

#[tokio::test]
async fn reopening_keeps_the_log_and_a_second_copy_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.append(Batch::of(vec![custom(Room::Activity, "a")])).await.unwrap();
    let epoch = store.epoch().clone();
    assert!(matches!(try_open(dir.path()), Err(StoreError::InUse { .. })));
    store.close();
    assert!(matches!(store.append(Batch::of(vec![custom(Room::Activity, "b")])).await, Err(StoreError::Closed)));
    let (store, _) = open(dir.path());
    assert_eq!((store.head(), store.epoch()), (1, &epoch));
}

#[tokio::test]
async fn a_log_that_lost_what_was_handed_out_gets_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.append(Batch::of(vec![custom(Room::Activity, "a")])).await.unwrap();
    store.close();
    let copy = std::fs::read(dir.path().join("log.db")).unwrap();
    let (store, _) = open(dir.path());
    let cursor = store.append(Batch::of(vec![custom(Room::Activity, "b")])).await.unwrap().cursor;
    store.close();
    std::fs::write(dir.path().join("log.db"), copy).unwrap();
    let (store, _) = open(dir.path());
    assert_ne!(store.epoch(), &cursor.epoch);
    let resume = store.read(|r| r.resume(&[RoomFilter::One(Room::Activity)], &cursor, 100)).unwrap();
    assert_eq!(resume, Resume::EpochChanged);
}

#[tokio::test]
async fn a_newer_schema_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.close();
    let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    db.pragma_update(None, "user_version", 999).unwrap();
    drop(db);
    match try_open(dir.path()) {
        Err(error @ StoreError::Newer { found: 999, .. }) => assert!(error.to_string().contains("newer version")),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn resume_says_exactly_what_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..10 {
        store
            .append(Batch::of(vec![custom(Room::Activity, &n.to_string()), custom(Room::Host, "other")]))
            .await
            .unwrap();
    }
    let at = |seq| Cursor { epoch: store.epoch().clone(), seq };
    let resume = |seq, limit| store.read(|r| r.resume(&[RoomFilter::One(Room::Activity)], &at(seq), limit)).unwrap();
    assert_eq!(resume(20, 5), Resume::Yes { missed: 0 });
    assert_eq!(resume(10, 5), Resume::Yes { missed: 5 });
    assert_eq!(resume(9, 5), Resume::Yes { missed: 5 });
    assert_eq!(resume(8, 5), Resume::TooFarBehind);
    assert_eq!(resume(21, 5), Resume::Future);
    let page =
        store.read(|r| r.events(&[RoomFilter::One(Room::Activity), RoomFilter::One(Room::Host)], 0, 20, 7)).unwrap();
    assert_eq!(page.frames.iter().map(|f| f.seq).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert!(page.more);
    assert_eq!(page.upto, 7);
}

#[tokio::test]
async fn a_page_of_a_log_is_found_by_line_also_inside_a_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = RunId::new("r_aaaaaaaa").unwrap();
    let pieces = ["one\ntwo\nth", "ree\nfo", "ur", "\nfive\nlast"];
    let mut events = vec![run(&id, 1, RunStatus::Running)];
    let (mut line, mut offset) = (0, 0);
    for piece in pieces {
        events.push(log(&id, line, offset, piece));
        line += piece.matches('\n').count() as u64;
        offset += piece.len() as u64;
    }
    store.append(Batch::of(events)).await.unwrap();
    let step = StepKey::new("build").unwrap();
    let all = ["one", "two", "three", "four", "five", "last"];
    for from in 0..=all.len() {
        let mut seen = Vec::new();
        store
            .read(|r| {
                r.walk_log(&id, &step, 1, from as u64, |l| {
                    seen.push((l.n, l.text));
                    true
                })
            })
            .unwrap();
        let want: Vec<_> = all.iter().enumerate().skip(from).map(|(n, t)| (n as u64, (*t).to_owned())).collect();
        assert_eq!(seen, want, "from line {from}");
    }
    let index = store.read(|r| r.log_index(&id, &step, 1)).unwrap();
    assert_eq!((index.lines, index.bytes), (6, offset));
}

#[tokio::test]
async fn retention_keeps_summaries_and_says_so_to_old_cursors() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = RunId::new("r_aaaaaaaa").unwrap();
    store
        .append(Batch::of(vec![run(&id, 1, RunStatus::Running), log(&id, 0, 0, "a\n"), log(&id, 1, 2, "b\n")]))
        .await
        .unwrap();
    store.append(Batch::of(vec![run(&id, 2, RunStatus::Done)])).await.unwrap();
    let removed = store.retain(RetentionPolicy { max_bytes: Some(0), ..Default::default() }).await.unwrap();
    assert_eq!(removed.events, 2);
    let cursor = Cursor { epoch: store.epoch().clone(), seq: 1 };
    let rooms = [RoomFilter::One(Room::Run(id.clone()))];
    assert_eq!(store.read(|r| r.resume(&rooms, &cursor, 100)).unwrap(), Resume::TooOld);
    assert!(store.read(|r| r.run(&id)).unwrap().is_some());
    store.close();
    let (store, _) = open(dir.path());
    assert_eq!(store.head(), 4);
}

/// The table alone would give the number of an event that was deleted to the next one.
#[tokio::test]
async fn an_event_after_the_newest_was_deleted_gets_a_number_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path());
    let id = RunId::new("r_aaaaaaaa").unwrap();
    let some = || Batch::of((0..21).map(|_| custom(Room::Host, "e")).collect());
    store.append(Batch::of(vec![run(&id, 1, RunStatus::Running), run(&id, 2, RunStatus::Done)])).await.unwrap();
    store.append(Batch::of(vec![log(&id, 0, 0, "a\n"), log(&id, 1, 2, "b\n")])).await.unwrap();
    let removed = store.retain(RetentionPolicy { max_bytes: Some(0), ..Default::default() }).await.unwrap();
    assert_eq!((removed.events, store.head()), (2, 4));
    store.append(some()).await.unwrap();
    store.append(Batch::of(vec![log(&id, 2, 4, "c\n")])).await.unwrap();
    store.retain(RetentionPolicy { max_bytes: Some(0), ..Default::default() }).await.unwrap();
    store.close();
    let (store, more) = open(dir.path());
    store.append(some()).await.unwrap();
    store.append(some()).await.unwrap();
    let numbers = |published: &Published| published.lock().unwrap().iter().map(|frame| frame.seq).collect::<Vec<_>>();
    assert_eq!(numbers(&published), (1..=26).collect::<Vec<_>>());
    assert_eq!(numbers(&more), (27..=68).collect::<Vec<_>>());
    let page = store.read(|r| r.events(&[RoomFilter::One(Room::Host)], 0, store.head(), 100)).unwrap();
    let stored: Vec<u64> = page.frames.iter().map(|frame| frame.seq).collect();
    assert_eq!(stored, (5..=25).chain(27..=68).collect::<Vec<_>>());
}

#[tokio::test]
async fn search_finds_words_and_takes_no_query_language() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for text in ["alpha beta", "beta gamma", "\"quoted\" OR NOT"] {
        store.append(Batch::of(vec![custom(Room::Project(project("demo")), text)])).await.unwrap();
    }
    let find = async |text: &str| {
        store.index_now().await.unwrap();
        let search = Search { text: Some(text.into()), limit: 10, ..Default::default() };
        let (frames, _) = store.read(|r| r.search(&search, |_| true)).unwrap();
        frames.iter().map(|f| f.seq).collect::<Vec<_>>()
    };
    assert_eq!(find("beta").await, [2, 1]);
    assert_eq!(find("beta gam").await, [2]);
    assert_eq!(find("\"quoted\" OR").await, [3]);
    assert_eq!(find("* ( NEAR").await, Vec::<u64>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Against the simplest possible reference: a vector.
    #[test]
    fn any_cursor_and_any_rooms_replay_like_a_vector(
        rooms in prop::collection::vec(0usize..4, 1..60),
        after in 0u64..70,
        wanted in prop::collection::hash_set(0usize..4, 1..4),
        limit in 1usize..20,
    ) {
        let all = [Room::Host, Room::Activity, Room::Project(project("a")), Room::Project(project("b"))];
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for room in &rooms {
            runtime.block_on(store.append(Batch::of(vec![custom(all[*room].clone(), "e")]))).unwrap();
        }
        let reference: Vec<u64> = rooms.iter().enumerate()
            .filter(|(n, room)| *n as u64 + 1 > after && wanted.contains(room)).map(|(n, _)| n as u64 + 1).collect();
        let filters: Vec<_> = wanted.iter().map(|r| RoomFilter::One(all[*r].clone())).collect();
        let (mut got, mut from) = (Vec::new(), after);
        loop {
            let page = store.read(|r| r.events(&filters, from, store.head(), limit)).unwrap();
            prop_assert!(page.frames.len() <= limit);
            got.extend(page.frames.iter().map(|f| f.seq));
            from = page.upto;
            if !page.more { break; }
        }
        prop_assert_eq!(got, reference);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Rows that one statement writes get each its own columns, given their numbers or not.
    #[test]
    fn what_is_read_from_the_table_is_what_was_published(
        events in prop::collection::vec((0usize..2, 0usize..2, 0usize..2, 0usize..3, 0usize..3), 1..70),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (store, published) = open(dir.path());
        let (rooms, kinds, actors) = ([Room::Host, Room::Project(project("one"))], ["x_a", "x_b"], ["ada", "bea"]);
        let runs = ["r_00000000000000000001", "r_00000000000000000002"];
        let events = events.into_iter().enumerate().map(|(n, (room, kind, actor, run, step))| {
            let body = EventBody::Custom(CustomType::new(kinds[kind]).unwrap(), serde_json::json!({ "n": n }).into());
            let mut event = NewEvent::new(rooms[room].clone(), Actor::new(actors[actor]).unwrap(), body);
            event.run = runs.get(run).map(|run| RunId::new(*run).unwrap());
            event.step = ["build", "test"].get(step).map(|step| StepKey::new(*step).unwrap());
            event
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // In two batches: the first rows are given their numbers, the others take the next ones.
        let mut events: Vec<_> = events.collect();
        let later = events.split_off(events.len() / 4);
        for batch in [events, later].into_iter().filter(|batch| !batch.is_empty()) {
            runtime.block_on(store.append(Batch::of(batch))).unwrap();
        }
        let filters: Vec<_> = rooms.iter().cloned().map(RoomFilter::One).collect();
        let page = store.read(|reader| reader.events(&filters, 0, store.head(), 100)).unwrap();
        let text = |frame: &Arc<Frame>| String::from_utf8(frame.json.to_vec()).unwrap();
        let published: Vec<_> = published.lock().unwrap().iter().map(text).collect();
        prop_assert_eq!(page.frames.iter().map(text).collect::<Vec<_>>(), published);
    }
}

/// However much is written, the write-ahead log begins anew before it is large, and goes when the log is closed.
#[tokio::test]
async fn the_write_ahead_log_stays_small() {
    /// Its bound, in pages of 4 KiB and what is in front of each, and what the last commit may add to that.
    const BOUND: u64 = 32_000 * (4096 + 24) + 1024 * 1024;
    const TEXT: usize = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path());
    let text = "x".repeat(TEXT);
    let room = Room::Project(project("demo"));
    let (mut written, mut longest, wal) = (0, 0, dir.path().join("log.db-wal"));
    while written < BOUND + BOUND / 4 {
        store.append(Batch::of(vec![custom(room.clone(), &text)])).await.unwrap();
        published.lock().unwrap().clear();
        written += TEXT as u64;
        longest = longest.max(std::fs::metadata(&wal).unwrap().len());
    }
    assert!(longest <= BOUND, "{longest} bytes after {written}");
    let head = store.head();
    store.close();
    assert!(!wal.exists(), "it went with the last connection");
    assert_eq!(open(dir.path()).0.head(), head);
}
