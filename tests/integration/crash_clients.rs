//! Many clients with bad habits on one host: each sees the exact sequence, and when they have gone nothing is left of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Host, PATIENCE, Project, Socket, until};

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One reader: what it saw, and the place up to which.
struct Reader {
    room: String,
    random: u64,
    seen: Vec<u64>,
    /// The last event, and the cursor that goes with it.
    last: u64,
    cursor: String,
}

impl Reader {
    /// Takes a frame; true for the last event there will be.
    fn take(&mut self, frame: &Value) -> bool {
        assert_ne!(frame["type"], "reset", "nothing was lost: {frame}");
        if let Some(cursor) = frame["cursor"].as_str() {
            cursor.clone_into(&mut self.cursor);
        }
        let Some(seq) = frame["seq"].as_u64() else { return false };
        assert_eq!(frame["prev"].as_u64(), Some(self.last), "a gap before {seq}");
        self.last = seq;
        self.seen.extend(frame["data"]["n"].as_u64());
        frame["type"] == "x_end"
    }

    /// Follows to the end, with stalls, cuts, silence and resumes.
    async fn follow(mut self, host: &Host, calm: &AtomicBool) -> Vec<u64> {
        let mut held: Vec<Socket> = Vec::new();
        loop {
            let mut socket = host.hello(&[&self.room], Some(&self.cursor)).await;
            let frames = 5 + next(&mut self.random) % 200;
            for _ in 0..frames {
                match socket.next().await {
                    Ok(frame) if self.take(&frame) => return self.seen,
                    Ok(frame) if frame["type"] == "ping" => socket.send(&json!({ "type": "pong" })).await,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            if calm.load(Ordering::Relaxed) {
                while let Ok(frame) = socket.next().await {
                    if self.take(&frame) {
                        return self.seen;
                    }
                }
                continue;
            }
            match next(&mut self.random) % 4 {
                // Reads nothing for a while; what comes meanwhile waits in the socket, or in the log.
                0 => {
                    let wait = next(&mut self.random) % 800;
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                // Stays open and is forgotten: the host may think that it is there.
                1 => held.push(socket),
                2 => {
                    socket.0.close(None).await.ok();
                }
                _ => drop(socket),
            }
        }
    }
}

#[test]
fn two_hundred_clients_with_bad_habits_each_see_the_exact_sequence() {
    const CLIENTS: u64 = 200;
    const EVENTS: u64 = 500;
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let limits = [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"), ("SIGNALBOX_LIMITS_CONNECTIONS_PER_MEMBER", "0")];
    let host = Arc::new(Host::start_with(data.path(), &[project.path()], &limits));
    let id = host.project_id();
    let publish = |kind: &str, n: u64| {
        host.call("event.publish", json!({ "project": id, "type": kind, "data": { "n": n } })).unwrap()
    };
    let first = publish("x_first", 0);
    let (calm, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = runtime();
    let readers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let reader = Reader {
                room: format!("project/{id}"),
                random: number * 7919 + 1,
                seen: Vec::new(),
                last: first["seq"].as_u64().unwrap(),
                cursor: first["cursor"].as_str().unwrap().to_owned(),
            };
            let (host, calm, ready) = (Arc::clone(&host), Arc::clone(&calm), Arc::clone(&ready));
            runtime.spawn(async move {
                ready.fetch_add(1, Ordering::Relaxed);
                reader.follow(&host, &calm).await
            })
        })
        .collect();
    until("the readers", || (ready.load(Ordering::Relaxed) == CLIENTS).then_some(()));
    (1..=EVENTS).for_each(|n| drop(publish("x_n", n)));
    calm.store(true, Ordering::Relaxed);
    publish("x_end", EVENTS + 1);
    let expected: Vec<u64> = (1..=EVENTS + 1).collect();
    for (number, reader) in readers.into_iter().enumerate() {
        let seen = runtime.block_on(async { tokio::time::timeout(PATIENCE, reader).await });
        assert_eq!(seen.expect("a reader is stuck").unwrap(), expected, "reader {number}");
    }
    // Those that were only held open go now, and the host notices.
    drop(runtime);
    until("the connections to be gone", || (connections(&host) == 0).then_some(()));
}

/// Connections that the host lists and counts.
fn connections(host: &Host) -> u64 {
    let listed = host.call("connection.list", json!({})).unwrap()["connections"].as_array().unwrap().len() as u64;
    let bearer = format!("Bearer {}", host.token);
    let metrics = host.request("GET", "/metrics", &[("Authorization", &bearer)], b"").text();
    let gauges = metrics.lines().filter(|line| line.starts_with("signalbox_connections{"));
    listed + gauges.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
}

#[cfg(target_os = "linux")]
fn sockets(host: &Host) -> usize {
    let handles = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().flatten();
    let links = handles.filter_map(|handle| std::fs::read_link(handle.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Goes at a certain point of becoming a connection.
#[cfg(target_os = "linux")]
async fn half_way(host: &Host, id: &str, point: u64) {
    let (address, token) = (host.address(), &host.token);
    let upgrade = format!(
        "GET /api/v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let raw = async |text: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.ok();
        stream
    };
    match point {
        0 => drop(raw("").await),
        1 => drop(raw(&upgrade[..upgrade.len() / 2]).await),
        // The whole request, and gone before or while it is answered.
        2 => drop(raw(&upgrade).await),
        3 => drop(host.websocket("/api/v1/ws", &[]).await.unwrap()),
        // While it joins.
        4 => drop(host.hello(&[&format!("project/{id}/**"), "host", "activity"], None).await),
        5 => {
            let mut socket = host.hello(&[&format!("project/{id}/**")], None).await;
            socket.next_of("subscribed").await;
        }
        6 => {
            let path = format!("/api/v1/projects/{id}/events");
            drop(
                raw(&format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n")).await,
            );
        }
        _ => {
            let mut socket = host.hello(&["host"], None).await;
            socket.next_of("synced").await;
            socket.0.close(None).await.ok();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pitfall_06_two_thousand_that_go_in_the_middle_of_the_handshake_leave_nothing() {
    const TIMES: u64 = 2_000;
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let limits = [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"), ("SIGNALBOX_LIMITS_CONNECTIONS_PER_MEMBER", "0")];
    let host = Arc::new(Host::start_with(data.path(), &[project.path()], &limits));
    let id = host.project_id();
    let before = sockets(&host);
    let runtime = runtime();
    runtime.block_on(async {
        let mut going = tokio::task::JoinSet::new();
        for number in 0..TIMES {
            let (host, id) = (Arc::clone(&host), id.clone());
            going.spawn(async move { half_way(&host, &id, number % 8).await });
            // Forty at a time: what is tested is their end, not a queue of connections.
            if going.len() >= 40 {
                going.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(gone) = going.join_next().await {
            gone.unwrap();
        }
    });
    until("the connections to be gone", || (connections(&host) == 0).then_some(()));
    until("the handles to be back", || (sockets(&host) <= before).then_some(()));
    // Nobody is woken for the dead: what is published now reaches who is there, at once.
    runtime.block_on(async {
        let mut socket = host.hello(&[&format!("project/{id}")], None).await;
        socket.next_of("synced").await;
        host.call("event.publish", json!({ "project": id, "type": "x_after", "data": 1 })).unwrap();
        socket.next_of("x_after").await;
    });
}
