//! A stream against a real host.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_host::{Host, HostOptions, Settings};
use signalbox_ipc::{FIRST_CREDIT, INBOX, SendError, Stream, open};
use signalbox_wire::ClientFrame;
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(20);

struct Page {
    _folder: tempfile::TempDir,
    host: Host,
    stream: Stream,
    batches: mpsc::Receiver<Vec<Value>>,
    /// Of the batch that was read last.
    rest: std::collections::VecDeque<Value>,
}

impl Page {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(HostOptions::new(folder.path().join("data"), Settings::default())).await.unwrap();
        let (seen, batches) = mpsc::channel(10_000);
        let deliver = move |text: String| seen.try_send(serde_json::from_str(&text).unwrap()).is_ok();
        let (stream, run) = open(&host, deliver);
        tokio::spawn(run);
        Self { _folder: folder, host, stream, batches, rest: Default::default() }
    }

    fn say(&self, frame: Value) -> Result<(), SendError> {
        self.stream.send(serde_json::from_value::<ClientFrame>(frame).unwrap())
    }

    fn hello(&self, rooms: &[&str]) {
        self.say(json!({ "type": "hello", "v": 1, "client": { "name": "test", "version": "1" }, "rooms": rooms }))
            .unwrap();
    }

    /// The next frame of a type; credit is given for each batch.
    async fn next(&mut self, kind: &str) -> Value {
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                while let Some(frame) = self.rest.pop_front() {
                    if frame["type"] == kind {
                        return frame;
                    }
                }
                self.rest.extend(self.batches.recv().await.expect("the stream goes on"));
                self.say(json!({ "type": "credit", "batches": 1 })).ok();
            }
        });
        found.await.unwrap_or_else(|_| panic!("no {kind} within {LIMIT:?}"))
    }

    /// A project, and as many events in its room.
    async fn publish(&self, events: usize) {
        let folder = self._folder.path().join("shop");
        std::fs::create_dir_all(&folder).unwrap();
        self.call("project.open", json!({ "path": folder })).await;
        for n in 0..events {
            self.call("event.publish", json!({ "project": "shop", "type": "x_tick", "data": { "n": n } })).await;
        }
    }

    async fn call(&self, method: &str, params: Value) {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        self.host.call(&self.host.owner(), method, Some(&params)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_is_answered_and_calls_are_served() {
    let mut page = Page::new().await;
    page.hello(&["host"]);
    let connection = page.next("connection").await;
    assert_eq!(connection["role"], "owner");
    page.say(json!({ "type": "call", "rid": 7, "method": "project.list" })).unwrap();
    page.say(json!({ "type": "call", "rid": 8, "method": "no.such" })).unwrap();
    let mut replies = [page.next("reply").await, page.next("reply").await];
    replies.sort_by_key(|reply| reply["rid"].as_u64());
    assert_eq!(replies[0]["result"]["projects"], json!([]));
    assert_eq!(replies[1]["error"]["code"], "not_found");
    let listed = page.host.connections().report(usize::MAX, |_| true);
    assert_eq!((listed[0].transport.as_str(), listed[0].client.as_str()), ("ipc", "test/1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_and_in_order() {
    let mut page = Page::new().await;
    page.publish(0).await;
    page.hello(&["project/shop"]);
    page.next("synced").await;
    page.publish(300).await;
    let mut got = Vec::new();
    while got.len() < 300 {
        let batch = tokio::time::timeout(LIMIT, page.batches.recv()).await.unwrap().unwrap();
        page.say(json!({ "type": "credit", "batches": 1 })).unwrap();
        got.extend(
            batch.iter().filter(|frame| frame["type"] == "x_tick").map(|frame| frame["data"]["n"].as_u64().unwrap()),
        );
    }
    assert_eq!(got, (0..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credit_nothing_comes_and_with_it_everything_that_was_missed() {
    let mut page = Page::new().await;
    page.publish(0).await;
    page.hello(&["project/shop"]);
    let mut frames: Vec<Vec<Value>> = Vec::new();
    // What is published before the room is joined is in the snapshot, and comes as no event.
    while !frames.iter().flatten().any(|frame| frame["type"] == "synced") {
        frames.push(tokio::time::timeout(LIMIT, page.batches.recv()).await.unwrap().unwrap());
    }
    for round in 0..40 {
        page.publish(1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        while let Ok(batch) = page.batches.try_recv() {
            frames.push(batch);
        }
        assert!(frames.len() <= FIRST_CREDIT as usize, "{} batches without credit in round {round}", frames.len());
    }
    assert_eq!(frames.len(), FIRST_CREDIT as usize);
    page.say(json!({ "type": "credit", "batches": 4 })).unwrap();
    let count = |batches: &[Vec<Value>]| batches.iter().flatten().filter(|frame| frame["type"] == "x_tick").count();
    while count(&frames) < 40 {
        frames.push(tokio::time::timeout(LIMIT, page.batches.recv()).await.unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_floods_is_told_and_its_credit_still_gets_through() {
    let mut page = Page::new().await;
    page.hello(&[]);
    // No credit is given: replies fill the outbox, then frames fill the inbox.
    let flooded = tokio::time::timeout(LIMIT, async {
        for rid in 1.. {
            if page.say(json!({ "type": "call", "rid": rid, "method": "project.list" })) == Err(SendError::Full) {
                return rid;
            }
            tokio::task::yield_now().await;
        }
        unreachable!()
    });
    let refused = flooded.await.unwrap();
    assert!(refused > INBOX);
    let mut replies = 0;
    while replies < refused - 1 {
        let batch = tokio::time::timeout(LIMIT, page.batches.recv()).await.unwrap().unwrap();
        replies += batch.iter().filter(|frame| frame["type"] == "reply").count();
        page.say(json!({ "type": "credit", "batches": 1 })).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_page_and_with_a_bye_when_the_host_stops() {
    let mut page = Page::new().await;
    page.hello(&["host"]);
    page.next("synced").await;
    let closing = page.host.clone();
    let closed = tokio::spawn(async move { closing.close().await });
    assert_eq!(page.next("bye").await["reason"], "shutdown");
    closed.await.unwrap();
    assert_eq!(page.say(json!({ "type": "pong" })), Err(SendError::Closed));

    let page = Page::new().await;
    page.hello(&["host"]);
    let host = page.host.clone();
    let listed = async |empty: bool| {
        tokio::time::timeout(LIMIT, async {
            while host.connections().is_empty() != empty {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
    };
    listed(false).await;
    drop(page.stream);
    listed(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hello_is_refused() {
    let mut page = Page::new().await;
    page.say(json!({ "type": "pong" })).unwrap();
    assert_eq!(page.next("bye").await["reason"], "no_hello");
    let mut page = Page::new().await;
    page.say(json!({ "type": "hello", "v": 99, "client": { "name": "test", "version": "1" } })).unwrap();
    assert_eq!(page.next("bye").await["reason"], "unsupported_version");
}
