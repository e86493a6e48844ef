//! Counters, and their text for Prometheus (exposition format 0.0.4).

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use signalbox_store::{Counted, Histogram, SECONDS};
use signalbox_wire::ErrorCode;

use crate::{Host, VERSION};

/// Upper bounds of the histogram of calls, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

#[derive(Debug, Default, Clone)]
struct Calls {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
    errors: BTreeMap<&'static str, u64>,
}

/// Upper bounds of the histogram of how far connections are behind, in events.
const EVENTS: &[f64] = &[0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

/// How connections begin.
const MODES: [&str; 3] = ["resumed", "snapshot", "reset"];

/// What the host counts.
#[derive(Debug)]
pub struct Metrics {
    calls: Mutex<BTreeMap<String, Calls>>,
    /// Connections accepted, by transport, in the order of [`TRANSPORTS`].
    accepted: [AtomicU64; TRANSPORTS.len()],
    /// Connections closed by the host, by close code.
    closes: Mutex<BTreeMap<u16, u64>>,
    /// Events and bytes sent to subscribers.
    events: AtomicU64,
    bytes: AtomicU64,
    /// Requests refused before they were a call.
    refused: AtomicU64,
    /// How connections began, in the order of [`MODES`].
    joined: [AtomicU64; MODES.len()],
    round_trip: Histogram,
    lag: Histogram,
    /// Attempts to call webhooks: taken, failed.
    webhooks: [AtomicU64; 2],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            accepted: Default::default(),
            closes: Mutex::default(),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            joined: Default::default(),
            round_trip: Histogram::new(SECONDS),
            lag: Histogram::new(EVENTS),
            webhooks: Default::default(),
        }
    }
}

const TRANSPORTS: [&str; 4] = ["ipc", "websocket", "websocket_naive", "sse"];

impl Metrics {
    pub(crate) fn call(&self, name: &str, error: Option<ErrorCode>, took: Duration) {
        // Only names of the list become labels: a caller must not be able to fill the memory with others.
        let name = if signalbox_wire::method::role_of(name).is_some() { name } else { "unknown" };
        let mut calls = self.calls.lock().unwrap_or_else(|e| e.into_inner());
        let entry = match calls.get_mut(name) {
            Some(entry) => entry,
            None => calls.entry(name.to_owned()).or_default(),
        };
        let seconds = took.as_secs_f64();
        entry.count += 1;
        entry.seconds += seconds;
        for (bucket, bound) in entry.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
        if let Some(code) = error {
            *entry.errors.entry(code.as_str()).or_default() += 1;
        }
    }

    /// A connection was accepted.
    pub fn accepted(&self, transport: &str) {
        if let Some(at) = TRANSPORTS.iter().position(|known| *known == transport) {
            self.accepted[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection joined its first rooms, as one of `resumed`, `snapshot` and `reset`.
    pub fn joined(&self, mode: &str) {
        if let Some(at) = MODES.iter().position(|known| *known == mode) {
            self.joined[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A webhook was called.
    pub(crate) fn webhook(&self, taken: bool) {
        self.webhooks[usize::from(!taken)].fetch_add(1, Ordering::Relaxed);
    }

    /// A ping was answered.
    pub fn round_trip(&self, took: Duration) {
        self.round_trip.time(took);
    }

    /// How many events a connection was behind when that was looked at.
    pub(crate) fn lag(&self, events: f64) {
        self.lag.add(events);
    }

    /// The host closed a connection.
    pub fn closed(&self, code: u16) {
        *self.closes.lock().unwrap_or_else(|e| e.into_inner()).entry(code).or_default() += 1;
    }

    /// Frames went out.
    pub fn sent(&self, events: u64, bytes: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request was refused: no token, a foreign host, a limit.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "gauge", help);
        self.value(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, counted: &Counted) {
        self.family(name, "histogram", help);
        for (bound, count) in &counted.buckets {
            self.value(&format!("{name}_bucket"), &format!("le=\"{bound}\""), count);
        }
        self.value(&format!("{name}_bucket"), "le=\"+Inf\"", counted.count);
        self.value(&format!("{name}_sum"), "", counted.sum);
        self.value(&format!("{name}_count"), "", counted.count);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "counter", help);
        self.value(name, "", value);
    }
}

/// Everything there is to measure, as text.
pub async fn render(host: &Host) -> String {
    let metrics = host.metrics();
    let mut text = Text(String::with_capacity(8 * 1024));
    text.family("signalbox_build_info", "gauge", "The running version; the value is always 1.");
    text.value("signalbox_build_info", &format!("version=\"{VERSION}\""), 1);
    text.gauge("signalbox_log_head", "Newest event of the log.", host.store().head());
    text.gauge("signalbox_log_writable", "1 while events can be stored.", u8::from(host.store().trouble().is_none()));
    let bytes = std::fs::metadata(host.store().path()).map(|data| data.len()).unwrap_or(0);
    text.gauge("signalbox_log_bytes", "Size of the database file.", bytes);
    let (runs, steps) = host.inner.engine.figures().await;
    text.gauge("signalbox_runs_active", "Runs that are not done.", runs);
    text.gauge("signalbox_steps_active", "Steps that hold a slot.", steps);
    text.gauge("signalbox_slots", "Steps that may run at once.", host.settings().slots());
    let (connections, open) = (host.connections(), host.connections().by_transport());
    text.family("signalbox_connections", "gauge", "Open connections.");
    for transport in TRANSPORTS {
        let open = open.iter().find(|(kind, _)| kind.as_str() == transport).map_or(0, |(_, count)| *count);
        text.value("signalbox_connections", &format!("transport=\"{transport}\""), open);
    }
    text.family("signalbox_connections_accepted_total", "counter", "Connections accepted.");
    for (transport, count) in TRANSPORTS.iter().zip(&metrics.accepted) {
        text.value(
            "signalbox_connections_accepted_total",
            &format!("transport=\"{transport}\""),
            count.load(Ordering::Relaxed),
        );
    }
    text.family("signalbox_connections_closed_total", "counter", "Connections closed by the host.");
    for (code, count) in metrics.closes.lock().unwrap_or_else(|e| e.into_inner()).iter() {
        text.value("signalbox_connections_closed_total", &format!("code=\"{code}\""), count);
    }
    text.counter("signalbox_events_sent_total", "Events sent to subscribers.", metrics.events.load(Ordering::Relaxed));
    text.counter(
        "signalbox_bytes_sent_total",
        "Bytes of frames sent to subscribers.",
        metrics.bytes.load(Ordering::Relaxed),
    );
    text.counter(
        "signalbox_requests_refused_total",
        "Requests refused for their token, host or limits.",
        metrics.refused.load(Ordering::Relaxed),
    );
    host.measure_lag();
    let (mut events, mut worst) = (0, 0);
    connections.each(|connection| {
        events = connection.lag.load(Ordering::Relaxed).max(events);
        worst = connection.lag_bytes.load(Ordering::Relaxed).max(worst);
    });
    text.gauge("signalbox_connection_lag_events", "Events that the slowest connection is behind.", events);
    text.gauge("signalbox_connection_lag_bytes", "Bytes of events that the slowest connection is behind.", worst);
    streams(&mut text, host);
    calls(&mut text, &metrics.calls.lock().unwrap_or_else(|e| e.into_inner()));
    text.0
}

/// How well events get to those who follow.
fn streams(text: &mut Text, host: &Host) {
    let metrics = host.metrics();
    let name = "signalbox_connection_lag_sample_events";
    text.histogram(name, "Events that connections are behind, looked at every 5 s.", &metrics.lag.counted());
    let name = "signalbox_connections_joined_total";
    text.family(name, "counter", "How connections began: resumed, anew, or reset.");
    for (mode, count) in MODES.iter().zip(&metrics.joined) {
        text.value(name, &format!("mode=\"{mode}\""), count.load(Ordering::Relaxed));
    }
    let name = "signalbox_webhook_attempts_total";
    text.family(name, "counter", "Attempts to call webhooks.");
    for (outcome, count) in ["delivered", "failed"].iter().zip(&metrics.webhooks) {
        text.value(name, &format!("outcome=\"{outcome}\""), count.load(Ordering::Relaxed));
    }
    let (sent, dropped) = host.connections().ephemeral();
    text.counter("signalbox_ephemeral_sent_total", "Messages of presence and the like that were sent.", sent);
    let help = "Messages of presence and the like that were left out for slow connections.";
    text.counter("signalbox_ephemeral_dropped_total", help, dropped);
    let name = "signalbox_connection_round_trip_seconds";
    text.histogram(name, "Time from a ping to its answer.", &metrics.round_trip.counted());
    let help = "Time that a commit to the log took.";
    text.histogram("signalbox_commit_duration_seconds", help, &host.store().commit_times());
    let help = "Time from a commit to its being written to every connection that is up to date.";
    text.histogram("signalbox_publish_to_write_seconds", help, &host.inner.hub.latency());
}

fn calls(text: &mut Text, calls: &BTreeMap<String, Calls>) {
    let name = "signalbox_call_duration_seconds";
    text.family(name, "histogram", "Time that calls took.");
    for (method, calls) in calls {
        for (bound, count) in BUCKETS.iter().zip(calls.buckets) {
            text.value(&format!("{name}_bucket"), &format!("method=\"{method}\",le=\"{bound}\""), count);
        }
        text.value(&format!("{name}_bucket"), &format!("method=\"{method}\",le=\"+Inf\""), calls.count);
        text.value(&format!("{name}_sum"), &format!("method=\"{method}\""), calls.seconds);
        text.value(&format!("{name}_count"), &format!("method=\"{method}\""), calls.count);
    }
    text.family("signalbox_call_errors_total", "counter", "Calls that failed.");
    for (method, calls) in calls {
        for (code, count) in &calls.errors {
            text.value("signalbox_call_errors_total", &format!("method=\"{method}\",code=\"{code}\""), count);
        }
    }
}
