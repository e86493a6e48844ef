//! A caller that finds nobody else commits by itself, others by the writer's thread: nobody must be able to tell.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::Poll,
};

use signalbox_model::{Actor, CustomType, EventBody, ManualClock, NewEvent, Room};
use signalbox_store::{Batch, Durability, Frame, Options, Store};

type Published = Arc<Mutex<Vec<Arc<Frame>>>>;

fn open(dir: &std::path::Path, durability: Durability) -> (Store, Published) {
    let published = Published::default();
    let sink = Arc::clone(&published);
    let store = Store::open(Options {
        dir: dir.to_owned(),
        durability,
        clock: Arc::new(ManualClock::new(1_000_000_000)),
        publish: Box::new(move |frames| sink.lock().unwrap().extend_from_slice(frames)),
    })
    .unwrap();
    (store, published)
}

fn note(who: usize, n: usize) -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "who": who, "n": n }).into());
    NewEvent::new(Room::Activity, Actor::new("tester").unwrap(), body)
}

/// Bursts and lonely moments in turn, so that every way to a commit meets every other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_commits_events_come_in_order_and_are_published_before_they_are_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path(), Durability::Process);
    let mut tasks = Vec::new();
    for who in 0..6 {
        let (store, published) = (store.clone(), Arc::clone(&published));
        tasks.push(tokio::spawn(async move {
            for n in 0..300 {
                let committed = store.append(Batch::of(vec![note(who, 2 * n), note(who, 2 * n + 1)])).await.unwrap();
                assert_eq!(committed.last, committed.first + 1);
                let seen = published.lock().unwrap().iter().rev().any(|frame| frame.seq == committed.last);
                assert!(seen, "acknowledged before it was published");
                for _ in 0..n % (7 * (who + 1)) {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let live = published.lock().unwrap().clone();
    assert_eq!(live.iter().map(|frame| frame.seq).collect::<Vec<_>>(), (1..=3600).collect::<Vec<_>>());
    let mut last = HashMap::new();
    for frame in &live {
        let json: serde_json::Value = serde_json::from_slice(&frame.json).unwrap();
        let (who, n) = (json["data"]["who"].as_u64(), json["data"]["n"].as_u64().unwrap());
        assert_eq!(last.insert(who, n).map_or(0, |before| before + 1), n);
    }
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn batches_of_one_task_are_committed_in_the_order_in_which_it_hands_them_in() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = tempfile::tempdir().unwrap();
        let (store, published) = open(dir.path(), durability);
        for round in 0..50 {
            // Small and large ones: the large wait for the thread, and the small behind them must as well.
            let batch = |n: usize| Batch::of(vec![note(0, n); if n % 3 == 1 { 40 } else { 1 }]);
            let at = round * 4;
            let (a, b, c, d) = tokio::join!(
                store.append(batch(at)),
                store.append(batch(at + 1)),
                store.append(batch(at + 2)),
                store.append(batch(at + 3))
            );
            let order = [a, b, c, d].map(|committed| committed.unwrap().first);
            assert!(order.is_sorted(), "{order:?}");
        }
        assert_eq!(published.lock().unwrap().len() as u64, store.head());
    }
}

#[tokio::test]
async fn what_one_alone_committed_is_searchable_and_survives_a_close_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), Durability::Process);
    for n in 0..20 {
        store.append(Batch::of(vec![note(0, n)])).await.unwrap();
    }
    let search = signalbox_store::Search { text: Some("x_test".into()), limit: 50, ..Default::default() };
    // Without being asked to: the thread notices that others committed, waits for a quiet moment, and indexes.
    while store.read(|reader| reader.search(&search, |_| true)).unwrap().0.len() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    store.append(Batch::of(vec![note(0, 20)])).await.unwrap();
    store.close();
    assert_eq!(open(dir.path(), Durability::Process).0.head(), 21);
}

/// Another program that writes to the database, such as a shell of SQLite: only the writer's own thread waits for it.
#[tokio::test]
async fn who_commits_by_itself_does_not_wait_for_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path(), Durability::Process);
    store.append(Batch::of(vec![note(0, 0)])).await.unwrap();
    let mut other = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    // One row, which needs no transaction of its own, and several.
    for count in [1, 2, 1, 3] {
        store.append(Batch::of(vec![note(0, 0); count])).await.unwrap();
        let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let mut append = std::pin::pin!(store.append(Batch::of(vec![note(0, 1); count])));
        let began = std::time::Instant::now();
        let pending = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context).is_pending())).await;
        assert!(pending, "it was committed beside another program's transaction");
        // Who waits for the lock does so for 5 s.
        assert!(began.elapsed() < std::time::Duration::from_secs(4), "the caller's thread waited for the lock");
        drop(lock);
        let committed = append.await.unwrap();
        let next = store.append(Batch::of(vec![note(0, 2)])).await.unwrap();
        assert_eq!(next.first, committed.last + 1);
    }
    let live: Vec<u64> = published.lock().unwrap().iter().map(|frame| frame.seq).collect();
    assert_eq!(live, (1..=store.head()).collect::<Vec<_>>());
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}
