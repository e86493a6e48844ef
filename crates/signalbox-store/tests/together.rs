//! What one poll hands in becomes one commit, in its order; who commits it, nobody must be able to tell.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    thread::{self, ThreadId},
};

use signalbox_model::{Actor, CustomType, EventBody, ManualClock, MemberId, NewEvent, Room};
use signalbox_store::{Batch, Committed, Durability, KeyClaim, Options, Store, StoreError};

/// What was published at once, and who did it.
type Published = Arc<Mutex<Vec<(Vec<u64>, ThreadId)>>>;

fn open(dir: &std::path::Path, durability: Durability) -> (Store, Published) {
    let published = Published::default();
    let sink = Arc::clone(&published);
    let publish = move |frames: &[Arc<signalbox_store::Frame>]| {
        let seqs = frames.iter().map(|frame| frame.seq).collect();
        sink.lock().unwrap().push((seqs, thread::current().id()));
    };
    let (dir, clock) = (dir.to_owned(), Arc::new(ManualClock::new(1_000_000_000)));
    (Store::open(Options { dir, durability, clock, publish: Box::new(publish) }).unwrap(), published)
}

fn notes(count: usize) -> Batch {
    let note = || {
        let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "text": "note" }).into());
        NewEvent::new(Room::Activity, Actor::new("tester").unwrap(), body)
    };
    Batch::of((0..count).map(|_| note()).collect())
}

fn keyed(key: &str) -> Batch {
    let member = MemberId::new("m_tester001").unwrap();
    let reply = |done: &Committed| done.first.to_string();
    Batch { key: Some(KeyClaim { member, key: key.into(), reply: Box::new(reply) }), ..notes(1) }
}

/// Hands all of them in within one poll, and says what became of each.
async fn together(store: &Store, batches: Vec<Batch>) -> Vec<Result<Committed, StoreError>> {
    type Work<'a> = Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + 'a>>;
    let mut work: Vec<Work<'_>> = batches.into_iter().map(|batch| Box::pin(store.append(batch)) as _).collect();
    let mut done: Vec<_> = work.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut look = || {
            for (work, done) in work.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
                if let Poll::Ready(answer) = work.as_mut().poll(cx) {
                    *done = Some(answer);
                }
            }
        };
        while store.together(&mut look).1 {}
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn firsts(answers: Vec<Result<Committed, StoreError>>) -> Vec<u64> {
    answers.into_iter().map(|answer| answer.unwrap().first).collect()
}

#[tokio::test]
async fn it_is_one_commit_made_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let (store, published) = open(dir.path(), Durability::Process);
    assert!(together(&store, Vec::new()).await.is_empty());
    let here = thread::current().id();
    for sizes in [vec![1, 3, 1], vec![1; 100], vec![2]] {
        let count: usize = sizes.iter().sum();
        // The first one of a write-ahead log waits for the disk, and so does who comes after a slow commit, or while the thread tidies up.
        for attempt in 0.. {
            assert!(attempt < 200, "{count} events are never committed on the spot");
            let before = store.head();
            let firsts = firsts(together(&store, sizes.iter().map(|size| notes(*size)).collect()).await);
            assert!(firsts.is_sorted() && firsts[0] == before + 1, "{firsts:?} after {before}");
            let last = published.lock().unwrap().last().cloned().unwrap();
            if last == ((before + 1..=before + count as u64).collect(), here) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_too_much_or_has_to_wait_goes_to_the_thread_in_its_order() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = tempfile::tempdir().unwrap();
        let (store, published) = open(dir.path(), durability);
        store.append(notes(1)).await.unwrap();
        let mut wanted = 2;
        // The last are more than there is room for.
        for sizes in [vec![1, 2], vec![1, 300, 1], vec![20; 20], vec![2, 1, 1], vec![1; 300], vec![1; 6000]] {
            for (first, size) in
                firsts(together(&store, sizes.iter().map(|n| notes(*n)).collect()).await).iter().zip(&sizes)
            {
                assert_eq!(*first, wanted);
                wanted += *size as u64;
            }
        }
        let published = published.lock().unwrap();
        let seqs: Vec<u64> = published.iter().flat_map(|(seqs, _)| seqs).copied().collect();
        assert_eq!(seqs, (1..wanted).collect::<Vec<_>>());
        // What is more than 256 events, and everything where the disk has to answer.
        let here = thread::current().id();
        let large =
            |(seqs, by): &(Vec<u64>, ThreadId)| durability == Durability::Power || (seqs.len() > 256 && *by == here);
        assert!(!published.iter().any(|commit| large(commit) && commit.1 == here));
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), Durability::Process);
    store.append(keyed("one")).await.unwrap();
    let answers = together(&store, vec![notes(1), keyed("one"), keyed("two"), keyed("two"), notes(1)]).await;
    let told: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(committed) => committed.first.to_string(),
            Err(StoreError::Repeated { reply }) => format!("was {reply}"),
            Err(error) => panic!("{error}"),
        })
        .collect();
    assert_eq!(told, ["2", "was 1", "3", "was 3", "4"]);
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn while_another_program_writes_it_waits_and_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), Durability::Process);
    store.append(notes(1)).await.unwrap();
    let mut other = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let mut work = std::pin::pin!(together(&store, vec![notes(1), notes(1)]));
    assert!(poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_pending())).await, "stored behind another's lock");
    drop(lock);
    assert_eq!(firsts(work.await), [2, 3]);
}

#[tokio::test]
async fn after_a_poll_that_panics_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), Durability::Process);
    store.append(notes(1)).await.unwrap();
    let mut work = std::pin::pin!(store.append(notes(1)));
    poll_fn(|cx| {
        let poll = || store.together(|| work.as_mut().poll(cx).is_pending().then(|| panic!("in the middle")));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err());
        Poll::Ready(())
    })
    .await;
    assert!(matches!(work.await, Err(StoreError::Closed)), "its caller is told");
    assert_eq!(store.append(notes(1)).await.unwrap().first, 2);
    assert_eq!(firsts(together(&store, vec![notes(1), notes(1)]).await), [3, 4]);
}

/// Polls that belong to two logs at a time, as when a program holds several.
#[tokio::test]
async fn what_belongs_to_another_log_is_its_own_affair() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((one, _), (two, _)) = (open(one.path(), Durability::Process), open(two.path(), Durability::Process));
    let (mut a, mut b) = (std::pin::pin!(one.append(notes(1))), std::pin::pin!(two.append(notes(2))));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        one.together(|| {
            two.together(|| {
                first = first.take().or_else(|| match a.as_mut().poll(cx) {
                    Poll::Ready(done) => Some(done),
                    Poll::Pending => None,
                });
                second = second.take().or_else(|| match b.as_mut().poll(cx) {
                    Poll::Ready(done) => Some(done),
                    Poll::Pending => None,
                });
            })
        });
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert_eq!((first.unwrap().unwrap().last, second.unwrap().unwrap().last), (1, 2));
}
