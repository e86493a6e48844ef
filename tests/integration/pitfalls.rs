//! What other real-time systems had to mend, shown to hold here. Each test is named after its pitfall; `docs/pitfalls.md`
//! lists all fourteen, with the tests that live elsewhere.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Host, Project, Socket, sse, until};

/// Joins `room` from `resume`, and everything up to `synced`: the values of the `x_n` events, whether the view began
/// anew, and the cursor.
async fn look(host: &Host, room: &str, resume: Option<&str>) -> (Vec<u64>, bool, String) {
    let mut socket = host.hello(&[room], resume).await;
    let (mut seen, mut anew) = (Vec::new(), false);
    loop {
        let frame: Value = socket.next().await.expect("the connection holds");
        match frame["type"].as_str().unwrap() {
            "x_n" => seen.push(frame["data"].as_u64().unwrap()),
            "reset" => anew = true,
            "synced" => return (seen, anew, frame["cursor"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
}

const FREE: [(&str, &str); 2] =
    [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"), ("SIGNALBOX_LIMITS_CONNECTIONS_PER_MEMBER", "0")];

fn start_with(env: &[(&str, &str)]) -> (Project, tempfile::TempDir, Host, String) {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let env: Vec<(&str, &str)> = FREE.iter().chain(env).copied().collect();
    let host = Host::start_with(data.path(), &[project.path()], &env);
    let room = format!("project/{}", host.project_id());
    (project, data, host, room)
}

fn start() -> (Project, tempfile::TempDir, Host, String) {
    start_with(&[])
}

fn publish(host: &Host, n: u64) {
    host.call("event.publish", json!({ "project": host.project_id(), "type": "x_n", "data": n })).unwrap();
}

fn metric(host: &Host, name: &str) -> u64 {
    let text = host.request("GET", "/metrics", &[("Authorization", &format!("Bearer {}", host.token))], b"").text();
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// 1: events between the replay and the first live one were lost, or came twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pitfall_01_history_to_live_hand_off() {
    const CYCLES: usize = 250;
    let (_project, _data, host, room) = start();
    let (_, _, start) = look(&host, &room, None).await;
    let (host, done) = (Arc::new(host), Arc::new(AtomicBool::new(false)));
    let publisher = {
        let (host, done) = (Arc::clone(&host), Arc::clone(&done));
        tokio::task::spawn_blocking(move || {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                publish(&host, n);
                n += 1;
            }
            n
        })
    };
    let clients = (0..4u64).map(|client| {
        let (host, room, start) = (Arc::clone(&host), room.clone(), start.clone());
        tokio::spawn(async move {
            let (mut cursor, mut next) = (start, 0);
            for cycle in 0..CYCLES as u64 {
                let mut socket = host.hello(&[&room], Some(&cursor)).await;
                // Dropped somewhere: in the replay, at its end, or among the live events.
                let mut left = (client * 7 + cycle * 13) % 17 + 1;
                while left > 0 {
                    let frame = socket.next().await.expect("the connection holds");
                    match frame["type"].as_str().unwrap() {
                        "x_n" => {
                            assert_eq!(frame["data"], next, "client {client}, cycle {cycle}");
                            next += 1;
                        }
                        "reset" => panic!("nothing asked for a new beginning: {frame}"),
                        _ => {}
                    }
                    if let Some(text) = frame["cursor"].as_str() {
                        cursor = text.to_owned();
                    }
                    left -= 1;
                }
            }
            (cursor, next)
        })
    });
    let ends = join_all(clients.collect::<Vec<_>>()).await;
    done.store(true, Ordering::Relaxed);
    let published = publisher.await.unwrap();
    for end in ends {
        let (cursor, next) = end.unwrap();
        let (rest, anew, _) = look(&host, &room, Some(&cursor)).await;
        assert!(!anew);
        assert_eq!(rest, (next..published).collect::<Vec<_>>());
    }
}

/// 2: a cursor that was never valid here is taken for one that is, or is off by one.
#[tokio::test]
async fn pitfall_02_cursor_lies() {
    let (_project, _data, host, room) = start();
    (0..3).for_each(|n| publish(&host, n));
    let (_, _, cursor) = look(&host, &room, None).await;
    let (epoch, seq) = cursor.rsplit_once('.').unwrap();
    let seq: u64 = seq.parse().unwrap();
    let foreign: String = epoch.chars().map(|c| if c == 'a' { 'b' } else { 'a' }).collect();
    for wrong in [format!("{epoch}.{}", seq + 1), format!("{epoch}.{}", seq + 1000), format!("{foreign}.{seq}")] {
        let (seen, anew, after) = look(&host, &room, Some(&wrong)).await;
        assert!(anew, "{wrong} was taken for a place in this log");
        assert_eq!((seen, after), (vec![], cursor.clone()), "{wrong}");
    }
    // The place before the first event is one: everything comes. The newest one too: nothing does.
    let (seen, anew, _) = look(&host, &room, Some(&format!("{epoch}.0"))).await;
    assert_eq!((seen, anew), (vec![0, 1, 2], false));
    let (seen, anew, after) = look(&host, &room, Some(&cursor)).await;
    assert_eq!((seen, anew, after), (vec![], false, cursor.clone()));
    publish(&host, 3);
    assert_eq!(look(&host, &room, Some(&cursor)).await.0, [3]);
    // What is no cursor at all is refused, and says so.
    for garbage in ["", ".", "x", "e.-1", "e.1.2", "e.99999999999999999999999"] {
        let mut socket = host.hello(&[&room], Some(garbage)).await;
        assert_eq!(socket.close_code().await, 4501, "{garbage:?}");
    }
}

/// 3: the log was replaced while clients were away, also by a whole copy of itself, and they resume as if it were the same.
#[tokio::test]
async fn pitfall_03_epoch_of_a_restored_copy() {
    let (_project, data, mut host, room) = start();
    // Had no event yet when it went away.
    let (_, _, empty) = look(&host, &room, None).await;
    publish(&host, 0);
    let (_, _, old) = look(&host, &room, None).await;
    host.kill();
    // A backup of the whole folder.
    let backup = tempfile::tempdir().unwrap();
    copy(data.path(), backup.path());
    let mut host = Host::start_with(data.path(), &[], &FREE);
    for cursor in [&empty, &old] {
        assert!(!look(&host, &room, Some(cursor)).await.1, "the same log: {cursor}");
    }
    (1..20).for_each(|n| publish(&host, n));
    let (_, _, newer) = look(&host, &room, None).await;
    host.kill();
    std::fs::remove_dir_all(data.path()).unwrap();
    std::fs::create_dir(data.path()).unwrap();
    copy(backup.path(), data.path());
    let host = Host::start_with(data.path(), &[], &FREE);
    (100..140).for_each(|n| publish(&host, n));
    for cursor in [&empty, &old, &newer] {
        let (_, anew, now) = look(&host, &room, Some(cursor)).await;
        assert!(anew, "{cursor} is of a log that went on otherwise");
        assert_ne!(now.rsplit_once('.').unwrap().0, cursor.rsplit_once('.').unwrap().0);
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// 4: who received nothing has no cursor and misses what comes while it is away, or gets everything again.
#[tokio::test]
async fn pitfall_04_quiet_connections() {
    let (_project, _data, host, room) = start();
    publish(&host, 0);
    let (seen, _, cursor) = look(&host, &room, None).await;
    assert!(seen.is_empty(), "what was before is in the snapshot: {seen:?}");
    publish(&host, 1);
    let (seen, anew, cursor) = look(&host, &room, Some(&cursor)).await;
    assert_eq!((seen, anew), (vec![1], false));
    // Quiet again while others are busy: nothing twice, nothing skipped.
    for n in 0..50 {
        host.call("token.create", json!({ "name": format!("t{n}"), "role": "viewer" })).unwrap();
    }
    let (seen, anew, cursor) = look(&host, &room, Some(&cursor)).await;
    assert_eq!((seen, anew), (vec![], false));
    publish(&host, 2);
    assert_eq!(look(&host, &room, Some(&cursor)).await.0, [2]);
}

/// 5: a stalled client is skipped in silence, takes the host's memory, or holds up the others.
#[tokio::test]
async fn pitfall_05_slow_consumer_is_never_open_and_silent() {
    let (_project, _data, host, room) =
        start_with(&[("SIGNALBOX_LIMITS_STALL_MS", "1500"), ("SIGNALBOX_LIMITS_PING_MS", "600000")]);
    let (mut stalled, mut lively) = (host.hello(&[&room], None).await, host.hello(&[&room], None).await);
    let mut cursor = stalled.next_of("synced").await["cursor"].as_str().unwrap().to_owned();
    lively.next_of("synced").await;
    let before = resident(host.pid());
    let filler = "x".repeat(240_000);
    let mut highest = 0;
    for n in 0..400 {
        let event = json!({ "project": host.project_id(), "type": "x_big", "data": { "n": n, "filler": filler } });
        host.call("event.publish", event).unwrap();
        assert_eq!(lively.next_of("x_big").await["data"]["n"], n);
        highest = highest.max(resident(host.pid()));
    }
    // 96 MB went by. The ring holds 32 MiB of them for everybody, and nobody holds more.
    assert!(highest < before + 110_000, "{before} KiB before, {highest} KiB at most");
    // Either it is closed with a code that says come back, or everything comes; what it had is a place to go on from.
    let mut next = 0;
    while next < 400 {
        match stalled.next().await {
            Ok(frame) if frame["type"] == "x_big" => {
                assert_eq!(frame["data"]["n"], next);
                next += 1;
                cursor = frame["cursor"].as_str().unwrap().to_owned();
            }
            Ok(_) => {}
            Err(code) => {
                assert!([4008, 1006].contains(&code), "{code}");
                stalled = host.hello(&[&room], Some(&cursor)).await;
            }
        }
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// 7: a connection that is gone stays in the list of who is here.
#[tokio::test]
async fn pitfall_07_ghosts() {
    let (_project, _data, host, room) =
        start_with(&[("SIGNALBOX_LIMITS_PING_MS", "200"), ("SIGNALBOX_LIMITS_STALL_MS", "400")]);
    let names = ["__proto__", "constructor", "a\u{202e}b"];
    let mut sockets: Vec<Socket> = Vec::new();
    for name in names {
        let mut socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
        socket
            .send(&json!({ "type": "hello", "v": 1, "token": host.token, "rooms": [room],
                "client": { "name": name, "version": "1", "instance": name } }))
            .await;
        socket.next_of("synced").await;
        sockets.push(socket);
    }
    let list = host.call("connection.list", json!({})).unwrap();
    assert_eq!(list["connections"].as_array().unwrap().len(), names.len(), "{list}");
    // One goes without a word; the others stay open and answer no ping, as behind a cable that was pulled.
    sockets.pop();
    until("no connection is listed", || {
        (host.call("connection.list", json!({})).unwrap()["connections"].as_array().unwrap().is_empty()).then_some(())
    });
    assert!(metric(&host, "signalbox_connections_closed_total{code=\"4012\"}") >= 2);
    assert_eq!(metric(&host, "signalbox_connections{transport=\"websocket\"}"), 0);
}

/// 8: pings wait behind other work, or come in a burst after the machine slept.
#[tokio::test]
async fn pitfall_08_heartbeat_own_goals() {
    let (_project, _data, host, room) = start_with(&[("SIGNALBOX_LIMITS_PING_MS", "200")]);
    let mut socket = host.hello(&[&room], None).await;
    socket.next_of("synced").await;
    // Busy: each answers in its place among the events.
    let (mut pings, mut events) = (0, 0);
    while pings < 3 {
        publish(&host, events);
        loop {
            let frame = socket.next().await.expect("the connection holds");
            match frame["type"].as_str().unwrap() {
                "x_n" => break,
                "ping" => {
                    pings += 1;
                    assert!(frame["head"].as_u64().unwrap() >= events);
                    socket.send(&json!({ "type": "pong" })).await;
                }
                _ => {}
            }
        }
        events += 1;
    }
    // Asleep for ten intervals: one ping is due, not ten.
    signal(&host, "STOP");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    signal(&host, "CONT");
    socket.send(&json!({ "type": "call", "rid": 9, "method": "project.list" })).await;
    let mut pings = 0;
    loop {
        let frame = socket.next().await.expect("who did not sleep is not cut off for the host's sleep");
        match frame["type"].as_str().unwrap() {
            "ping" => pings += 1,
            "reply" => break,
            _ => {}
        }
    }
    assert!(pings <= 2, "{pings} at once");
}

fn signal(host: &Host, name: &str) {
    assert!(
        std::process::Command::new("kill")
            .args([&format!("-{name}"), &host.pid().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// 10: what a member must not see is left out live, and comes in the replay, the snapshot, the search or another transport.
#[tokio::test]
async fn pitfall_10_replay_bypasses_rules() {
    let (_project, _data, host, room) = start();
    let mine = host.project_id();
    let other = Project::new(&[]);
    let path = other.path().to_str().unwrap();
    let other_id = host.call("project.open", json!({ "path": path })).unwrap()["project"]["id"].clone();
    let other_id = other_id.as_str().unwrap();
    let made = host.call("token.create", json!({ "name": "eve", "role": "viewer", "projects": [mine] })).unwrap();
    let token = made["token"].as_str().unwrap();
    let secret = "quicksilver";
    let say = |n: u64| {
        host.call("event.publish", json!({ "project": other_id, "type": "x_n", "data": { "word": secret, "n": n } }))
            .unwrap();
        host.call("event.publish", json!({ "project": mine, "type": "x_n", "data": n })).unwrap();
    };
    let epoch = host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap().to_owned();
    let rooms = [
        room.clone(),
        format!("{room}/**"),
        format!("project/{other_id}"),
        format!("project/{other_id}/**"),
        "host".to_owned(),
        format!("activity/{other_id}"),
        "activity".to_owned(),
    ];
    say(1);
    // WebSocket: replay from the beginning, a snapshot, and live.
    for resume in [Some(format!("{epoch}.0")), None] {
        let mut socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
        let mut hello = json!({ "type": "hello", "v": 1, "token": token, "rooms": rooms, "client": { "name": "e", "version": "1" } });
        if let Some(resume) = resume {
            hello["resume"] = resume.into();
        }
        socket.send(&hello).await;
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Value| frame["type"] != "synced") {
            frames.push(socket.next().await.unwrap());
        }
        say(2);
        while frames.last().is_none_or(|frame: &Value| frame["data"] != 2) {
            frames.push(socket.next().await.unwrap());
        }
        assert_eq!(frames.iter().filter(|frame| frame["type"] == "left").count(), 4, "{frames:#?}");
        let text = json!(frames).to_string();
        let seen = text.replace(&format!("\"room\":\"project/{other_id}"), "");
        let seen = seen.replace(&format!("\"room\":\"activity/{other_id}"), "");
        assert!(!text.contains(secret) && !seen.contains(other_id), "{text}");
    }
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    // Everything that answers with events or what is made from them.
    for name in rooms[2..].iter().filter(|name| *name != "activity") {
        let path = format!("/api/v1/events?rooms={}&after={epoch}.0", name.replace("/**", "%2F**"));
        let status = host.request("GET", &path, &headers, b"").status;
        assert!([403, 404].contains(&status), "{path}: {status}");
    }
    let calls = [
        ("event.list", json!({ "rooms": [format!("project/{other_id}")] })),
        ("event.search", json!({ "text": secret })),
        ("event.search", json!({ "text": secret, "project": other_id })),
        ("project.get", json!({ "project": other_id })),
        ("project.list", json!({})),
        ("run.list", json!({ "project": other_id })),
        ("workflow.list", json!({ "project": other_id })),
        ("queue.get", json!({})),
        ("approval.list", json!({})),
    ];
    for (method, params) in calls {
        let body = params.to_string();
        let answer = host.request("POST", &format!("/api/v1/call/{method}"), &headers, body.as_bytes());
        let text = answer.text();
        let echoed = body.contains(other_id) && answer.status >= 400;
        assert!(!text.contains(secret) && (echoed || !text.contains(other_id)), "{method}: {} {text}", answer.status);
        assert!(answer.status < 500, "{method}: {text}");
    }
    // And over server-sent events of its own project: all of that, and nothing else.
    let (mut seen, mut foreign) = (Vec::new(), 0);
    sse(host.address(), &format!("/api/v1/projects/{mine}/events?after={epoch}.0"), &headers, |_, frame| {
        foreign += usize::from(frame.to_string().contains(other_id));
        seen.extend(frame["data"].as_u64().filter(|_| frame["type"] == "x_n"));
        frame["type"] != "synced"
    });
    assert_eq!((seen, foreign), (vec![1, 2, 2], 0));
}

/// 12: everybody comes back in the same moment, and the host that just started falls over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pitfall_12_reconnect_storms() {
    const CLIENTS: usize = 200;
    let (_project, data, mut host, room) = start();
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = host.hello(&[&room], None).await;
        let cursor = socket.next_of("synced").await["cursor"].as_str().unwrap().to_owned();
        sockets.push((socket, cursor));
    }
    publish(&host, 1);
    signal(&host, "TERM");
    let goodbyes = join_all(sockets.iter_mut().map(|(socket, _)| async move {
        let delay = socket.next_of("bye").await["reconnect_ms"].as_u64().unwrap();
        assert_eq!(socket.close_code().await, 4001);
        delay
    }));
    let delays: Vec<u64> = goodbyes.await;
    until("the host's end", || host.ended());
    let distinct: BTreeSet<u64> = delays.iter().copied().collect();
    assert!(distinct.len() > CLIENTS * 9 / 10, "{} of {CLIENTS} delays differ", distinct.len());
    assert!(delays.iter().all(|delay| (500..5_000).contains(delay)), "{delays:?}");
    // In no tenth of the time more than three times its share comes back.
    let mut tenths = [0; 10];
    delays.iter().for_each(|delay| tenths[((delay - 500) / 450) as usize] += 1);
    assert!(tenths.iter().all(|count| *count < CLIENTS / 10 * 3), "{tenths:?}");
    // Even all at once, as naive clients would: everybody gets what it missed.
    let host = Host::start_with(data.path(), &[], &FREE);
    let back = join_all(sockets.iter().map(|(_, cursor)| look(&host, &room, Some(cursor)))).await;
    assert!(back.iter().all(|(seen, anew, _)| *seen == [1] && !anew));
}

/// 13: a small request makes a large answer, or much work.
#[tokio::test]
async fn pitfall_13_amplification() {
    let (_project, _data, host, room) = start_with(&[("SIGNALBOX_LIMITS_ROOMS", "20")]);
    let id = host.project_id();
    // Each limit: what is just under it passes, what is over it does not, and nothing half happens.
    let limits = {
        let mut socket = host.hello(&[], None).await;
        socket.next_of("connection").await["limits"].clone()
    };
    assert_eq!(limits["rooms"], 20, "{limits}");
    let event = limits["event_bytes"].as_u64().unwrap() as usize;
    for (size, ok) in [(event - 2, true), (event - 1, false)] {
        let data = "x".repeat(size);
        let result = host.call("event.publish", json!({ "project": id, "type": "x_size", "data": data }));
        assert_eq!(result.is_ok(), ok, "{size}: {:.300}", format!("{result:?}"));
    }
    let frame = limits["frame_bytes"].as_u64().unwrap() as usize;
    for (size, ok) in [(frame, true), (frame + 1, false)] {
        let mut socket = host.hello(&[&room], None).await;
        socket.next_of("synced").await;
        let empty = json!({ "type": "call", "rid": 3, "method": "project.list", "key": "" }).to_string().len();
        let call = json!({ "type": "call", "rid": 3, "method": "project.list", "key": "k".repeat(size - empty) });
        assert_eq!(call.to_string().len(), size);
        socket.send(&call).await;
        if ok {
            assert_eq!(socket.next_of("reply").await["rid"], 3);
        } else {
            assert_eq!(socket.close_code().await, 4501, "{size}");
        }
    }
    let mut socket = host.hello(&[], None).await;
    for (count, ok) in [(20, true), (21, false)] {
        let rooms: Vec<String> = (0..count).map(|n| format!("project/p{n}")).collect();
        let mut fresh = host.hello(&[], None).await;
        fresh.next_of("synced").await;
        fresh.send(&json!({ "type": "subscribe", "rid": 4, "rooms": rooms })).await;
        let answer = loop {
            let frame = fresh.next().await.unwrap();
            // The member's own room is synced as well.
            if frame["rid"] == 4 && ["reply", "synced"].contains(&frame["type"].as_str().unwrap()) {
                break frame;
            }
        };
        assert_eq!(answer["type"] == "synced", ok, "{count}: {answer}");
    }
    // A page is a page, whatever is asked for.
    for n in 0..1100 {
        publish(&host, n);
    }
    let page = host.call("event.list", json!({ "rooms": [room], "limit": 1_000_000 }));
    assert!(page.is_err() || page.unwrap()["events"].as_array().unwrap().len() <= 1000);
    // Compression is never agreed on, so nothing can be blown up.
    let offered = host.websocket("/api/v1/ws", &[("Sec-WebSocket-Extensions", "permessage-deflate")]).await;
    assert!(offered.is_ok(), "the offer is ignored");
    socket.send(&json!({ "type": "pong" })).await;
}
