//! How fast events come into a real page over IPC, and that all of them do.

use std::{
    fs,
    sync::{Arc, mpsc::RecvTimeoutError::Timeout},
};

use signalbox_model::{Actor, CustomType, EventBody, EventData, NewEvent, Project, ProjectId, Room, SystemClock};
use signalbox_store::{Batch, Durability, Options, Store};

use crate::{app::Sandbox, processes::memory};

/// How many events, unless `SIGNALBOX_BENCH_EVENTS` says otherwise.
const EVENTS: u64 = 100_000;

fn events() -> u64 {
    std::env::var("SIGNALBOX_BENCH_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(EVENTS)
}

/// Puts events into the log of an app that is not running; gives the log's epoch.
fn fill(sandbox: &Sandbox) -> String {
    let store = Store::open(Options {
        dir: sandbox.path().join("data"),
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        publish: Box::new(|_| {}),
    })
    .unwrap();
    let id = ProjectId::new("shop").unwrap();
    let path = fs::canonicalize(sandbox.path().join("shop")).unwrap().to_string_lossy().into_owned();
    let project = Project { id: id.clone(), name: "shop".into(), path, trusted: false, open: true, opened_at: 0 };
    let mut events = vec![NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(project))];
    let filler = "x".repeat(150);
    events.extend((0..self::events()).map(|n| {
        let data = serde_json::json!({ "n": n, "filler": filler });
        let body = EventBody::Custom(CustomType::new("x_tick").unwrap(), data.into());
        NewEvent::new(Room::Project(id.clone()), Actor::host(), body)
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for chunk in events.chunks(1000) {
        runtime.block_on(store.append(Batch::of(chunk.to_vec()))).unwrap();
    }
    let epoch = store.epoch().to_string();
    store.close();
    epoch
}

/// A stream of its own beside the UI's, in the page: what a page does, with nothing drawn.
const SCRIPT: &str = r#"
const done = arguments[arguments.length - 1];
const internals = window.__TAURI_INTERNALS__;
let count = 0, bytes = 0, batches = 0, last = 0, gap = null, next = 0, stream = null;
const early = new Map(), frames = [];
let painted = performance.now(), ended = false;
const paint = (now) => { frames.push(now - painted); painted = now; if (!ended) requestAnimationFrame(paint); };
requestAnimationFrame(paint);
const started = performance.now();
const kept = [];
// The least that this page can do with the same text: parse it, and look at each frame.
const floor = () => {
  const texts = kept.map((batch) => JSON.stringify(batch));
  const began = performance.now();
  let seen = 0, before = 0;
  for (const text of texts) for (const frame of JSON.parse(text)) {
    if (frame.type === 'x_tick' && frame.prev >= before) { before = frame.prev; seen += 1; }
  }
  return { ms: performance.now() - began, seen };
};
const take = (batch) => {
  batches += 1;
  // Some, for the floor; to keep all of them would be the page's own growth.
  if (count < 100000) kept.push(batch);
  for (const frame of batch) {
    if (frame.type === 'x_tick') {
      if (last && frame.prev !== last) gap ??= `${frame.prev} after ${last}`;
      last = frame.seq;
      count += 1;
    } else if (frame.type === 'synced') {
      ended = true;
      frames.sort((a, b) => a - b);
      const ms = performance.now() - started;
      done({ count, batches, gap, ms, floor: floor(), frames: frames.length,
        p99: frames[Math.floor(frames.length * 0.99)] ?? 0 });
      internals.invoke('stream_close', { id: stream });
      return;
    } else if (frame.type === 'reset') {
      gap = `reset: ${frame.reason}`;
    }
  }
  internals.invoke('stream_send', { id: stream, frame: { type: 'credit', batches: 1 } });
};
const channel = internals.transformCallback(({ index, message }) => {
  // Large messages are fetched and may overtake each other.
  early.set(index, message);
  for (; early.has(next); next += 1) {
    const batch = early.get(next);
    early.delete(next);
    if (batch !== undefined) take(typeof batch === 'string' ? JSON.parse(batch) : batch);
  }
});
internals.invoke('stream_open', { channel: `__CHANNEL__:${channel}` }).then((id) => {
  stream = id;
  return internals.invoke('stream_send', { id, frame: { type: 'hello', v: 1, client: { name: 'rate', version: '1', instance: 'rate' },
    rooms: ['project/shop'], resume: 'EPOCH.0' } });
}).catch((error) => done({ gap: String(error) }));
"#;

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_hundred_thousand_events_reach_a_real_page_whole_and_the_page_stays_alive() {
    let sandbox = Sandbox::new("rate", &[]).env("SIGNALBOX_LIMITS_REPLAY_EVENTS", "100000000");
    let epoch = fill(&sandbox);
    let events = events();
    let app = sandbox.drive();
    let pid = sandbox.host_pid().expect("the app has a host");
    // A figure every few seconds while the page is busy.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sampling = std::thread::spawn(move || {
        let mut samples = vec![memory(pid)];
        while stopped.recv_timeout(std::time::Duration::from_secs(3)).is_err_and(|error| error == Timeout) {
            samples.push(memory(pid));
        }
        samples.push(memory(pid));
        samples
    });
    let found = app.script_async(&SCRIPT.replace("EPOCH", &epoch), std::time::Duration::from_secs(600));
    drop(stop);
    let samples = sampling.join().unwrap();
    assert_eq!(found["gap"], serde_json::Value::Null, "{found}");
    assert_eq!(found["count"], events, "{found}");
    let seconds = found["ms"].as_f64().unwrap() / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
    let (rate, share) = (events as f64 / seconds, events as f64 / found["floor"]["seen"].as_f64().unwrap());
    let floor = found["floor"]["ms"].as_f64().unwrap() / 1000.0 * share;
    assert!(found["floor"]["seen"].as_u64().unwrap() >= events.min(100_000), "{found}");
    eprintln!(
        "IPC into a real page: {events} events of about 300 bytes from the log in {seconds:.2} s, {rate:.0} events/s, \
         {:.1} times as long as the same page takes to parse the same text; {} batches, {} frames drawn meanwhile, \
         99% of them within {:.0} ms; memory of the app with its pages, every 3 s, in MiB: {samples:?}",
        seconds / floor,
        found["batches"],
        found["frames"],
        found["p99"].as_f64().unwrap()
    );
}
