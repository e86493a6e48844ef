//! One run, followed over every transport, joined at different moments: equal sequences, no gap, no duplicate.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};
use signalbox_host::{HostOptions, Settings};

use crate::support::{Host, PATIENCE, Project, command, sse, until};

const WORKFLOW: &str = r#"
signalbox: 1
name: busy
steps:
  first: { kind: command, run: "for i in 1 2 3 4 5; do echo first $i; sleep 0.1; done" }
  many:
    kind: command
    needs: [first]
    matrix: { axes: { n: [1, 2, 3, 4, 5, 6] }, max_parallel: 3 }
    run: "for i in 1 2 3; do echo many $i; sleep 0.05; done"
  fails: { kind: command, needs: [first], run: "echo no >&2; exit 3", continue_on_error: true }
  last: { kind: command, needs: [many], run: "echo done; sleep 0.2" }
"#;

/// Ends when the run does. Gives the events, the snapshot's place, and checks the chain of each room.
struct Follower {
    events: Vec<Value>,
    last: std::collections::HashMap<String, u64>,
    base: Option<u64>,
    synced: bool,
}

impl Follower {
    fn new() -> Self {
        Self { events: Vec::new(), last: Default::default(), base: None, synced: false }
    }

    /// Returns whether the run has ended.
    fn take(&mut self, frame: Value) -> bool {
        match frame["type"].as_str().unwrap() {
            "snapshot" => self.base = frame["at"].as_u64(),
            "synced" => self.synced = true,
            "reset" => panic!("nothing was lost: {frame}"),
            _ if frame["seq"].is_u64() => {
                let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
                let room = frame["room"].as_str().unwrap().to_owned();
                match self.last.insert(room.clone(), seq) {
                    Some(last) => assert_eq!(prev, last, "a gap in {room} before {seq}"),
                    None => {
                        assert!(prev <= self.base.unwrap_or(0), "a gap in {room} before {seq}: {prev}, {:?}", self.base)
                    }
                }
                assert!(self.events.last().is_none_or(|last| last["seq"].as_u64().unwrap() < seq), "order");
                let over = frame["type"] == "completion";
                self.events.push(frame);
                return over;
            }
            _ => {}
        }
        false
    }
}

async fn host_here(data: &Path, project: &Path) -> signalbox_host::Host {
    let options = HostOptions::new(data.to_owned(), Settings::default());
    let host = signalbox_host::Host::open(options).await.unwrap();
    signalbox_net::listen(&host, "127.0.0.1:0", signalbox_net::Assets(&[])).await.unwrap();
    let params = serde_json::value::to_raw_value(&json!({ "path": project })).unwrap();
    host.call(&host.owner(), "project.open", Some(&params)).await.unwrap();
    host
}

/// As the window does it: batches, each answered with credit.
async fn follow_window(
    stream: signalbox_ipc::Stream,
    mut batches: tokio::sync::mpsc::Receiver<String>,
    tree: &str,
) -> Follower {
    let say = |frame: Value| stream.send(serde_json::from_value(frame).unwrap()).unwrap();
    say(json!({ "type": "hello", "v": 1, "client": { "name": "test", "version": "1" }, "rooms": [tree] }));
    let mut follower = Follower::new();
    loop {
        let batch = tokio::time::timeout(PATIENCE, batches.recv()).await.expect("open and silent").unwrap();
        say(json!({ "type": "credit", "batches": 1 }));
        for frame in serde_json::from_str::<Vec<Value>>(&batch).unwrap() {
            if follower.take(frame) {
                return follower;
            }
        }
    }
}

#[test]
fn every_transport_carries_the_same_events_whenever_it_was_joined() {
    let project = Project::new(&[("busy", WORKFLOW)]);
    let data = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // In this process, like the desktop app's: only so there is IPC beside the sockets.
    let inside = runtime.block_on(host_here(data.path(), project.path()));
    let host = Host::here(data.path(), &inside);
    let id = host.project_id();
    let tree = format!("project/{id}/**");
    let bearer = format!("Bearer {}", host.token);
    let (results, collected) = mpsc::channel();
    std::thread::scope(|scope| {
        // Before the start, at it, and at three moments while it runs.
        let mut run = None;
        for moment in 0..5 {
            if moment == 1 {
                run = Some(host.start_run("busy", json!({})));
            }
            if moment > 1 {
                let key = ["first", "many[2]", "many[5]"][moment - 2];
                until("the moment", || (host.step(run.as_ref().unwrap(), key)["status"] != "blocked").then_some(()));
            }
            let (host, tree, bearer, id) = (&host, &tree, &bearer, &id);
            let full = results.clone();
            let handle = runtime.handle().clone();
            scope.spawn(move || {
                let events = handle.block_on(async {
                    let mut socket = host.hello(&[tree], None).await;
                    let mut follower = Follower::new();
                    while !follower.take(socket.next().await.unwrap()) {}
                    follower
                });
                full.send(("websocket", moment, events)).unwrap();
            });
            let ipc = results.clone();
            let (handle, host_here) = (runtime.handle().clone(), inside.clone());
            scope.spawn(move || {
                let events = handle.block_on(async {
                    let (sender, batches) = tokio::sync::mpsc::channel(1000);
                    let (stream, run) = signalbox_ipc::open(&host_here, move |batch| sender.try_send(batch).is_ok());
                    tokio::spawn(run);
                    follow_window(stream, batches, tree).await
                });
                ipc.send(("ipc", moment, events)).unwrap();
            });
            let joined = results.clone();
            let handle = runtime.handle().clone();
            scope.spawn(move || {
                let events = handle.block_on(async {
                    let (sender, batches) = tokio::sync::mpsc::channel(1000);
                    let options = signalbox_client::Options::new(&host.url, &host.token);
                    let deliver = move |batch| sender.try_send(batch).is_ok();
                    let (stream, run) = signalbox_ipc::open_elsewhere(options, deliver);
                    tokio::spawn(run);
                    follow_window(stream, batches, tree).await
                });
                joined.send(("window on a host elsewhere", moment, events)).unwrap();
            });
            let naive = results.clone();
            let handle = runtime.handle().clone();
            scope.spawn(move || {
                let events = handle.block_on(async {
                    let path = format!("/api/v1/projects/{id}/ws");
                    let mut socket = host.websocket(&path, &[("authorization", bearer)]).await.unwrap();
                    let mut follower = Follower::new();
                    while !follower.take(socket.next().await.unwrap()) {}
                    follower
                });
                naive.send(("naive websocket", moment, events)).unwrap();
            });
            let stream = results.clone();
            scope.spawn(move || {
                let mut follower = Follower::new();
                sse(
                    host.address(),
                    &format!("/api/v1/projects/{id}/events"),
                    &[("Authorization", bearer)],
                    |cursor, frame| {
                        if frame["seq"].is_u64() {
                            assert_eq!(cursor.as_deref(), frame["cursor"].as_str(), "the id is the cursor");
                        }
                        !follower.take(frame)
                    },
                );
                stream.send(("sse", moment, follower)).unwrap();
            });
            let tail = results.clone();
            scope.spawn(move || {
                let mut child = command(&host.data)
                    .args(["tail", "--json", "--room", tree])
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut follower = Follower::new();
                // `tail` prints no snapshot: what it starts from is not known here.
                follower.base = Some(u64::MAX);
                for line in BufReader::new(child.stdout.take().unwrap()).lines() {
                    if follower.take(serde_json::from_str(&line.unwrap()).unwrap()) {
                        break;
                    }
                }
                child.kill().unwrap();
                child.wait().unwrap();
                tail.send(("tail --json", moment, follower)).unwrap();
            });
        }
        drop(results);
        let log = {
            until("the end", || {
                let events = host.events(&[tree.as_str()]);
                events.iter().any(|event| event["type"] == "completion").then_some(())
            });
            host.events(&[tree.as_str()])
        };
        let mut seen = 0;
        for (transport, moment, follower) in collected.iter() {
            assert!(follower.synced, "{transport} joined at {moment} was never told that its view is complete");
            assert!(!follower.events.is_empty(), "{transport} joined at {moment} connected but never updated");
            let first = follower.events[0]["seq"].as_u64().unwrap();
            let completion = follower.events.last().unwrap()["seq"].as_u64().unwrap();
            let expected: Vec<&Value> =
                log.iter().filter(|event| (first..=completion).contains(&event["seq"].as_u64().unwrap())).collect();
            assert_eq!(follower.events.iter().collect::<Vec<_>>(), expected, "{transport} joined at {moment}");
            if let Some(base) = follower.base.filter(|base| *base != u64::MAX) {
                let between =
                    log.iter().filter(|event| (base + 1..first).contains(&event["seq"].as_u64().unwrap())).count();
                assert_eq!(
                    between, 0,
                    "{transport} joined at {moment}: events between its snapshot and its first event"
                );
            }
            seen += 1;
        }
        assert_eq!(seen, 30);
    });
    runtime.block_on(inside.close());
}

#[test]
fn a_cut_connection_resumes_at_the_exact_event_on_every_transport() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let room = format!("project/{id}");
    let publish = |n: u64| host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
    let cursor = publish(0)["cursor"].as_str().unwrap().to_owned();
    (1..=20).for_each(|n| drop(publish(n)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let over_websocket = runtime.block_on(async {
        let mut socket = host.hello(&[&room], Some(&cursor)).await;
        let mut seen = Vec::new();
        loop {
            let frame = socket.next().await.unwrap();
            match frame["type"].as_str().unwrap() {
                "subscribed" if frame["room"] == room.as_str() => assert_eq!(frame["mode"], "resumed"),
                "x_n" => seen.push(frame["data"].as_u64().unwrap()),
                "synced" => return seen,
                _ => {}
            }
        }
    });
    let bearer = format!("Bearer {}", host.token);
    let mut over_sse = Vec::new();
    sse(
        host.address(),
        &format!("/api/v1/events?rooms={room}"),
        &[("Authorization", &bearer), ("Last-Event-ID", &cursor)],
        |_, frame| {
            if frame["type"] == "x_n" {
                over_sse.push(frame["data"].as_u64().unwrap());
            }
            frame["type"] != "synced"
        },
    );
    let tail = command(data.path())
        .args(["tail", "--json", "--no-follow", "--room", &room, "--after", &cursor])
        .output()
        .unwrap();
    let text = String::from_utf8(tail.stdout).unwrap();
    let over_tail: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|frame| frame["type"] == "x_n")
        .map(|frame| frame["data"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=20).collect();
    assert_eq!(over_websocket, expected);
    assert_eq!(over_sse, expected);
    assert_eq!(over_tail, expected);
}

#[test]
fn a_client_that_reads_slowly_or_never_harms_nobody() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let limits = [("SIGNALBOX_LIMITS_STALL_MS", "1000"), ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")];
    let host = Host::start_with(data.path(), &[project.path()], &limits);
    let id = host.project_id();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stalled = host.hello(&[&format!("project/{id}")], None).await;
        let mut lively = host.hello(&[&format!("project/{id}")], None).await;
        stalled.next_of("synced").await;
        lively.next_of("synced").await;
        let filler = "x".repeat(200_000);
        for n in 0..60 {
            host.call("event.publish", json!({ "project": id, "type": "x_big", "data": { "n": n, "filler": filler } }))
                .unwrap();
            assert_eq!(lively.next_of("x_big").await["data"]["n"], n);
        }
        // 12 MB were published and the first client took none: it is closed with a code that says "come back".
        let closed = async {
            loop {
                let metrics = host
                    .request("GET", "/metrics", &[("Authorization", &format!("Bearer {}", host.token))], b"")
                    .text();
                if metrics.contains("signalbox_connections_closed_total{code=\"4008\"} 1") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed)
            .await
            .expect("a stalled connection is not kept open and silent");
        host.call("event.publish", json!({ "project": id, "type": "x_after", "data": 1 })).unwrap();
        lively.next_of("x_after").await;
    });
}

#[test]
fn what_one_connection_publishes_without_waiting_stays_in_order() {
    const COUNT: u64 = 1500;
    let (project, data) = (Project::new(&[]), tempfile::tempdir().unwrap());
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
    let id = host.project_id();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut published = runtime.block_on(async {
        let mut socket = host.hello(&["host"], None).await;
        socket.next_of("synced").await;
        for n in 0..COUNT {
            let params = json!({ "project": id, "type": "x_n", "data": n });
            socket.send(&json!({ "type": "call", "rid": n, "method": "event.publish", "params": params })).await;
        }
        let mut published = Vec::new();
        while published.len() < usize::try_from(COUNT).unwrap() {
            let reply = socket.next_of("reply").await;
            published.push((reply["rid"].as_u64().unwrap(), reply["result"]["seq"].as_u64().unwrap()));
        }
        published
    });
    published.sort_unstable();
    assert!(published.iter().map(|(rid, _)| *rid).eq(0..COUNT), "each is answered once");
    let turned = published.windows(2).find(|two| two[0].1 >= two[1].1);
    assert!(turned.is_none(), "{turned:?}: the second was sent after the first");
}

#[test]
fn a_stopping_host_says_goodbye_and_when_to_come_back() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path(), &[project.path()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut socket = host.hello(&["host"], None).await;
        socket.next_of("synced").await;
        std::process::Command::new("kill").arg("-TERM").arg(host.pid().to_string()).status().unwrap();
        let bye = socket.next_of("bye").await;
        assert_eq!(bye["reason"], "shutdown");
        assert!(bye["reconnect_ms"].as_u64().unwrap() >= 500);
        assert_eq!(socket.close_code().await, 4001);
    });
    let status = until("the host's end", || host.ended());
    assert!(status.success());
    assert!(!data.path().join("host.json").exists(), "a stopped host leaves no address behind");
}
