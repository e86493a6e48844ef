//! Clocks that are set, and machines that sleep.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use signalbox_host::{HostOptions, Settings};
use signalbox_model::{
    Actor, Clock, CustomType, EventBody, ManualClock, MemberId, NewEvent, Room, SystemClock, UnixMillis,
};
use signalbox_store::{Batch, Durability, KeyClaim, Options, RetentionPolicy, Store, StoreError};

use crate::support::{Host, Project, until};

const HOUR: i64 = 3_600_000;

/// The system's clock, as a person sets it.
#[derive(Default)]
struct SetClock(AtomicI64);

impl SetClock {
    fn jump(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now() + self.0.load(Ordering::Relaxed)
    }
}

/// A host in this process, whose clock can be set.
struct Clocked {
    runtime: tokio::runtime::Runtime,
    inside: signalbox_host::Host,
    host: Host,
    clock: Arc<SetClock>,
}

impl Clocked {
    fn start(data: &Path, project: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Arc::new(SetClock::default());
        let given = Arc::clone(&clock);
        let inside = runtime.block_on(async {
            let options = HostOptions { clock: given, ..HostOptions::new(data.to_owned(), Settings::default()) };
            let inside = signalbox_host::Host::open(options).await.unwrap();
            signalbox_net::listen(&inside, "127.0.0.1:0", signalbox_net::Assets(&[])).await.unwrap();
            let params = serde_json::value::to_raw_value(&json!({ "path": project })).unwrap();
            inside.call(&inside.owner(), "project.open", Some(&params)).await.unwrap();
            inside
        });
        let host = Host::here(data, &inside);
        Self { runtime, inside, host, clock }
    }

    fn close(self) {
        self.runtime.block_on(self.inside.close());
    }
}

#[test]
fn a_clock_that_is_set_back_breaks_neither_order_nor_cursors_nor_keys() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let clocked = Clocked::start(data.path(), project.path());
    let (host, id) = (&clocked.host, clocked.host.project_id());
    let publish = |n: u64, key: &str| {
        let params = json!({ "project": id, "type": "x_n", "data": n });
        host.call_with("event.publish", params, &[("Idempotency-Key", key)]).unwrap()
    };
    let first = publish(1, "one");
    clocked.clock.jump(-HOUR);
    let second = publish(2, "two");
    assert_eq!(publish(1, "one"), first, "a key of before is known");
    clocked.clock.jump(3 * HOUR);
    let third = publish(3, "three");
    assert_eq!((publish(2, "two"), publish(1, "one")), (second, first.clone()));
    let room = format!("project/{id}");
    let events: Vec<Value> = host.events(&[&room]).into_iter().filter(|event| event["type"] == "x_n").collect();
    let of = |name: &str| events.iter().map(|event| event[name].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(of("data"), [1, 2, 3], "the log's order is that of the commits");
    let ts = of("ts");
    assert!(ts[1] < ts[0] && ts[2] > ts[0], "{ts:?}: the time is what the clock said, for display");
    clocked.runtime.block_on(async {
        let mut socket = host.hello(&[&room], first["cursor"].as_str()).await;
        assert_eq!(socket.next_of("x_n").await["data"], 2);
        assert_eq!(socket.next_of("x_n").await["seq"], third["seq"]);
        socket.next_of("synced").await;
    });
    clocked.close();
}

#[test]
fn a_retry_waits_as_long_as_it_should_when_the_clock_is_set_back() {
    let workflow = "signalbox: 1\nname: again\nsteps:\n  work:\n    kind: command\n    run: test -e tried || { touch tried; exit 1; }\n    retry: { max: 1, causes: [command], initial: 2s, jitter: 0 }\n";
    let project = Project::new(&[("again", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let clocked = Clocked::start(data.path(), project.path());
    let run = clocked.host.start_run("again", json!({}));
    clocked.host.wait_step(&run, "work", "scheduled");
    clocked.clock.jump(-HOUR);
    let done = clocked.host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "success", "{done}");
    clocked.close();
}

#[test]
fn a_step_has_its_whole_time_when_the_clock_is_set_forward() {
    let workflow = "signalbox: 1\nname: long\nsteps:\n  work: { kind: command, run: for n in 1 2 3 4; do echo $n; sleep 0.5; done, timeout: 5m }\n  quiet: { kind: command, run: sleep 2, stall: { warn: 1s, fail: 5m } }\n";
    let project = Project::new(&[("long", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let clocked = Clocked::start(data.path(), project.path());
    let run = clocked.host.start_run("long", json!({}));
    clocked.host.wait_step(&run, "work", "running");
    clocked.host.wait_step(&run, "quiet", "running");
    clocked.clock.jump(HOUR);
    let done = clocked.host.wait_done(&run);
    let ends: Vec<_> =
        done["steps"].as_array().unwrap().iter().map(|step| (&step["key"], &step["conclusion"])).collect();
    assert_eq!(done["run"]["conclusion"], "success", "{ends:?}");
    clocked.close();
}

#[test]
fn a_step_times_out_although_the_clock_is_set_back() {
    let workflow = "signalbox: 1\nname: long\nsteps:\n  work: { kind: command, run: sleep 300, timeout: 2s }\n";
    let project = Project::new(&[("long", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let clocked = Clocked::start(data.path(), project.path());
    let run = clocked.host.start_run("long", json!({}));
    clocked.host.wait_step(&run, "work", "running");
    clocked.clock.jump(-HOUR);
    let done = clocked.host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "timed_out", "{done}");
    assert!(done["steps"][0]["duration_ms"].as_u64().unwrap() < 60_000, "{done}");
    clocked.close();
}

fn signal(host: &Host, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &host.pid().to_string()]).status().unwrap().success());
}

/// The host is stopped as a sleeping machine stops it, but for its steps and clients, which go on: the harder case.
#[test]
fn a_host_that_slept_goes_on_where_it_was() {
    let workflow = "signalbox: 1\nname: nap\nsteps:\n  within: { kind: command, run: sleep 4; echo within, timeout: 9s }\n  beyond: { kind: command, run: sleep 300, timeout: 2s }\n  after: { kind: command, run: sleep 14; echo after, timeout: 5m, stall: { warn: 4m, fail: 5m } }\n";
    let project = Project::new(&[("nap", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let limits = [
        ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"),
        ("SIGNALBOX_LIMITS_PING_MS", "4000"),
        ("SIGNALBOX_LIMITS_STALL_MS", "3000"),
        ("SIGNALBOX_ENGINE_SLOTS", "4"),
    ];
    let host = Arc::new(Host::start_with(data.path(), &[project.path()], &limits));
    let id = host.project_id();
    let publish = |n: u64| host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
    let first = publish(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let (host, room) = (Arc::clone(&host), format!("project/{id}"));
            let mut cursor = first["cursor"].as_str().unwrap().to_owned();
            runtime.spawn(async move {
                let (mut seen, mut last) = (Vec::new(), None);
                // Whether the connection holds or is made anew: the sequence has no hole.
                loop {
                    let mut socket = host.hello(&[&room], Some(&cursor)).await;
                    while let Ok(frame) = socket.next().await {
                        assert_ne!(frame["type"], "reset", "{frame}");
                        if let Some(next) = frame["cursor"].as_str() {
                            next.clone_into(&mut cursor);
                        }
                        match frame["type"].as_str().unwrap() {
                            "ping" => socket.send(&json!({ "type": "pong" })).await,
                            "x_n" => seen.push(frame["data"].as_u64().unwrap()),
                            "x_end" => return seen,
                            _ => {}
                        }
                        if frame["seq"].is_u64() {
                            let before = last.replace(frame["seq"].clone());
                            assert!(before.is_none_or(|before| before == frame["prev"]), "a gap before {frame}");
                        }
                    }
                }
            })
        })
        .collect();
    let run = host.start_run("nap", json!({}));
    host.wait_step(&run, "within", "running");
    host.wait_step(&run, "after", "running");
    (1..=10).for_each(|n| drop(publish(n)));
    signal(&host, "-STOP");
    // Calls that are made while it sleeps wait, and are answered when it wakes.
    let asleep: Vec<_> = (11..=14)
        .map(|n| {
            let (host, id) = (Arc::clone(&host), id.clone());
            std::thread::spawn(move || {
                host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap()
            })
        })
        .collect();
    let woken = std::time::Instant::now() + Duration::from_secs(12);
    until("the end of its sleep", || (std::time::Instant::now() > woken).then_some(()));
    signal(&host, "-CONT");
    asleep.into_iter().for_each(|call| drop(call.join().unwrap()));
    let done = host.wait_done(&run);
    let conclusion = |key: &str| {
        let step = done["steps"].as_array().unwrap().iter().find(|step| step["key"] == key).unwrap();
        step["conclusion"].as_str().unwrap().to_owned()
    };
    assert_eq!(conclusion("beyond"), "timed_out");
    assert_eq!(conclusion("after"), "success");
    assert_eq!(conclusion("within"), "success", "it ended in its time; that nobody looked then is not its fault");
    host.call("event.publish", json!({ "project": id, "type": "x_end", "data": 0 })).unwrap();
    for reader in readers {
        let mut seen = runtime.block_on(reader).unwrap();
        // Those of the sleep were called at once: their order is the log's.
        assert_eq!(seen[..10], (1..=10).collect::<Vec<u64>>()[..]);
        seen.sort_unstable();
        assert_eq!(seen, (1..=14).collect::<Vec<u64>>());
    }
}

/// A key is for callers that try again soon: a day by the clock, and setting the clock back makes that no shorter.
#[test]
fn a_key_is_known_for_its_day_when_the_clock_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let store = Store::open(Options {
        dir: dir.path().to_owned(),
        durability: Durability::Process,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        publish: Box::new(|_| {}),
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let publish = |text: &str| {
        let body = EventBody::Custom(CustomType::new("x_key").unwrap(), json!({ "text": text }).into());
        let event = NewEvent::new(Room::Activity, Actor::new("tester").unwrap(), body);
        let claim = KeyClaim {
            member: MemberId::new("m_aaaaaaaa").unwrap(),
            key: "once".into(),
            reply: Box::new(|committed| committed.last.to_string()),
        };
        runtime.block_on(store.append(Batch { events: vec![event], key: Some(claim), ..Batch::default() }))
    };
    let clean = || assert_eq!(runtime.block_on(store.retain(RetentionPolicy::default())).unwrap().events, 0);
    let first = publish("first").unwrap().last;
    let again = || match publish("again") {
        Err(StoreError::Repeated { reply }) => assert_eq!(reply, first.to_string()),
        other => panic!("the key was forgotten: {other:?}"),
    };
    for hours in [0, -5, 20, 8] {
        clock.advance(hours * HOUR);
        clean();
        again();
    }
    // 23 hours after the first call by the clock; two more and its day is over.
    clock.advance(2 * HOUR);
    clean();
    assert!(publish("a day later").unwrap().last > first);
    store.close();
}
