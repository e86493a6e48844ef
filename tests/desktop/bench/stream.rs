//! The app's own page, its real views on the project, under as many events as come in a minute at 50,000 a second: as they
//! are published, and out of the log after it could do nothing for a while.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use signalbox_client::{Client, Options, Update};
use tokio::sync::mpsc::Receiver;

use super::{Gaps, Mark, Row, idle, load};
use crate::{
    app::{self, APP, App, Sandbox, until},
    processes,
};

/// A second.
const RATE: u64 = 50_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Connections of the program that publishes, and calls of each that wait for their answer.
const CONNECTIONS: usize = 4;
const CALLS: usize = 8;
/// Events of one call: what has more to say than a call a millisecond says several things at once.
const GROUP: u64 = 25;

fn events() -> u64 {
    let told = std::env::var("SIGNALBOX_BENCH_EVENTS").ok().and_then(|text| text.parse().ok());
    told.unwrap_or(RATE * MINUTE.as_secs())
}

/// A program that publishes, with connections of its own.
struct Publisher {
    runtime: tokio::runtime::Runtime,
    clients: Vec<(Client, Receiver<Update>)>,
}

impl Publisher {
    fn new(sandbox: &Sandbox) -> Self {
        let text = fs::read_to_string(sandbox.path().join("data/host.json")).unwrap();
        let host: Value = serde_json::from_str(&text).unwrap();
        let options = Options::new(host["url"].as_str().unwrap(), host["token"].as_str().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clients = {
            let _in = runtime.enter();
            (0..CONNECTIONS).map(|_| signalbox_client::connect(options.clone())).collect()
        };
        Self { runtime, clients }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        self.runtime.block_on(self.clients[0].0.get(method, params)).unwrap()
    }

    /// Publishes one event; its place in the log.
    fn mark(&self) -> u64 {
        let event = json!({ "project": "shop", "type": "x_mark", "data": null });
        self.call("event.publish", event)["seq"].as_u64().unwrap()
    }

    /// The window's connection: events sent to it, and the newest of them. None while it has none.
    fn window(&self) -> Option<(u64, u64)> {
        let list = self.call("connection.list", json!({}));
        let window = list["connections"].as_array()?.iter().find(|each| each["transport"] == "ipc")?;
        Some((window["events"].as_u64()?, window["sent_seq"].as_u64()?))
    }

    /// Waits until the window was sent all up to this place: it gives credit for what it has applied, so it has nearly all.
    fn sent(&self, place: u64) {
        until("the window to be sent all", Duration::from_secs(600), || (self.window()?.1 >= place).then_some(()));
    }

    /// Publishes `count` events, at most `rate` a second, at most for `limit`; how many were acknowledged.
    fn publish(&self, count: u64, rate: u64, limit: Duration) -> u64 {
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let one = |client: Client, next: Arc<AtomicU64>| async move {
            let filler = "x".repeat(150);
            let mut done = 0;
            loop {
                let n = next.fetch_add(GROUP, Ordering::Relaxed);
                let due = Duration::from_micros(n * 1_000_000 / rate);
                if n >= count || began.elapsed() > limit || due > limit {
                    return done;
                }
                if due > began.elapsed() {
                    tokio::time::sleep_until((began + due).into()).await;
                }
                let event = |n: u64| json!({ "type": "x_tick", "data": { "n": n, "filler": filler } });
                let events: Vec<Value> = (n..n + GROUP).map(event).collect();
                let call = json!({ "project": "shop", "events": events });
                client.call("event.publish_many", Some(call), None).await.unwrap();
                done += GROUP;
            }
        };
        let tasks: Vec<_> = (0..CONNECTIONS * CALLS)
            .map(|task| self.runtime.spawn(one(self.clients[task % CONNECTIONS].0.clone(), Arc::clone(&next))))
            .collect();
        self.runtime.block_on(async {
            let mut done = 0;
            for task in tasks {
                done += task.await.unwrap();
            }
            done
        })
    }
}

/// Memory of the app with its pages every 3 s, in MiB, while `work` is done.
fn sampled<T>(pid: u64, work: impl FnOnce() -> T) -> (T, Vec<u64>) {
    let (stop, stopped) = channel::<()>();
    let sampling = std::thread::spawn(move || {
        let mut samples = vec![processes::memory(pid)];
        while stopped.recv_timeout(Duration::from_secs(3)) == Err(RecvTimeoutError::Timeout) {
            samples.push(processes::memory(pid));
        }
        samples
    });
    let done = work();
    drop(stop);
    (done, sampling.join().unwrap())
}

#[expect(clippy::cast_precision_loss, reason = "figures for a person")]
fn tell(what: &str, rate: f64, gaps: &Gaps, idle: &Gaps, samples: &[u64]) {
    let floor = RATE as f64;
    Row {
        what: &format!("{what}, events"),
        ours: rate,
        floor: "asked for",
        bare: floor,
        unit: "/s",
        mark: Mark::AtLeast(floor),
    }
    .print();
    gaps.print(what, idle, Mark::AtMost(50.0));
    let third = (samples.len() / 3).max(1);
    let middle = |samples: &[u64]| {
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        samples[samples.len() / 2] as f64
    };
    let (first, last) = (middle(&samples[..third]), middle(&samples[samples.len() - third..]));
    let what = format!("{what}, memory in the last third");
    Row { what: &what, ours: last, floor: "in the first third", bare: first, unit: "MiB", mark: Mark::Times(1.1) }
        .print();
    eprintln!("    every 3 s: {samples:?}");
}

/// Each event was applied once and none was missed, as the page itself says.
fn complete(app: &App<'_>, publisher: &Publisher) {
    app.click("nav-system");
    app.wait("held");
    let last = publisher.mark();
    // Whoever finds that one is missing asks for it and says so.
    let seq = "return Number(document.querySelector('[data-testid=\"held-project/shop\"]')?.dataset.seq ?? 0)";
    let end = Instant::now() + MINUTE;
    loop {
        let held = app.script(seq, &json!([]));
        if held == last {
            break;
        }
        if Instant::now() > end {
            app.screenshot("desktop-failed");
            panic!("the page holds {held}, the log {last}; its connection: {:?}", publisher.window());
        }
        app::rest(Duration::from_millis(100));
    }
    app.click("light");
    until("the connection's facts", MINUTE, || {
        app.script("return document.body.innerText.includes('Reconnects')", &json!([])).as_bool()?.then_some(())
    });
    let lost = app.script("return document.body.innerText.includes('Losses mended')", &json!([]));
    assert_eq!(lost, false, "the page found a loss");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
}

#[test]
#[ignore = "a figure: cargo xtask bench window"]
fn the_apps_own_page_takes_fifty_thousand_events_a_second_for_a_minute() {
    let before = load();
    let sandbox = Sandbox::new("stream", &[("hello", crate::HELLO)])
        .env("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")
        .env("SIGNALBOX_LIMITS_REPLAY_EVENTS", "100000000");
    let shop = sandbox.path().join("shop");
    let app = sandbox.launch(Path::new(APP), &["--listen".as_ref(), "127.0.0.1:0".as_ref(), shop.as_os_str()]);
    app.click("project-shop");
    app.wait("tab-workflows");
    let idle = idle(&app, 5);
    let publisher = Publisher::new(&sandbox);
    let pid = app.pid();

    // Until the page holds as much as it keeps: what it keeps is not what grows.
    publisher.publish(u64::MAX / 2_000_000, RATE, MINUTE / 5);

    // As they come: as many as this machine can also make.
    let (before_live, _) = publisher.window().expect("the window has a connection");
    Gaps::watch(&app);
    let (published, live_memory) = sampled(pid, || publisher.publish(u64::MAX / 2_000_000, RATE, MINUTE));
    let (after_live, newest) = publisher.window().expect("the window has a connection");
    let mark = publisher.mark();
    let behind = mark.saturating_sub(newest);
    let live = Gaps::read(&app);
    #[expect(clippy::cast_precision_loss)]
    let live_rate = (after_live - before_live) as f64 / MINUTE.as_secs_f64();
    publisher.sent(mark);

    // Out of the log: the page's process is held while the events of a minute are published. It may find its connection
    // silent for too long then, and resume from its cursor.
    let page = processes::running(pid, "WebKitWebProcess").expect("the page has a process");
    app::signal(page, "STOP");
    let count = publisher.publish(events(), RATE * 10, Duration::from_secs(900));
    let mark = publisher.mark();
    app::signal(page, "CONT");
    let began = Instant::now();
    Gaps::watch(&app);
    let (took, memory) = sampled(pid, || {
        publisher.sent(mark);
        began.elapsed()
    });
    let caught_up = Gaps::read(&app);

    eprintln!("The app's own page under events; load before {before}, after {}", load());
    eprintln!(
        "    live: {published} published by another program on the same cores, {} came, {behind} behind at the end; \
         from the log: {count} in {:.1} s",
        after_live - before_live,
        took.as_secs_f64()
    );
    tell("live for a minute", live_rate, &live, &idle, &live_memory);
    #[expect(clippy::cast_precision_loss)]
    let rate = count as f64 / took.as_secs_f64();
    tell("from the log, a minute's worth", rate, &caught_up, &idle, &memory);
    complete(&app, &publisher);
    app.screenshot("bench-stream");
}
