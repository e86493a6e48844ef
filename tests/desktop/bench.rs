//! What the window costs and how it feels, in figures: `cargo xtask bench window` builds it for release and prints a line
//! for each. `cargo xtask test` leaves these out.
//!
//! A missed mark fails nothing, since it says as much of the machine as of the app; what is counted wrong does.

mod graph;
mod log;
mod start;
mod stream;

use serde_json::{Value, json};

use crate::app::Page;

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// The figure itself, at most.
    AtMost(f64),
    /// The figure itself, at least.
    AtLeast(f64),
    /// So many times the floor, at most.
    Times(f64),
    /// So much more than the floor, at most.
    Above(f64),
    /// Nothing: the figure explains another one.
    None,
}

/// One figure beside the least that the same machine can do, as `cargo xtask bench` prints its own.
struct Row<'a> {
    what: &'a str,
    ours: f64,
    floor: &'a str,
    bare: f64,
    unit: &'a str,
    mark: Mark,
}

impl Row<'_> {
    fn print(&self) {
        let Self { what, ours, floor, bare, unit, mark } = self;
        let (mark, met) = match mark {
            Mark::AtMost(most) => (format!("<= {most} {unit}"), ours <= most),
            Mark::AtLeast(least) => (format!(">= {least} {unit}"), ours >= least),
            Mark::Times(most) => (format!("ratio <= {most}"), ours / bare <= *most),
            Mark::Above(most) => (format!("<= floor + {most} {unit}"), ours - bare <= *most),
            Mark::None => ("-".to_owned(), true),
        };
        let verdict = if mark == "-" { "" } else { [" MISSED", " met"][usize::from(met)] };
        let (ours, shown) = (figure(*ours, unit), figure(*bare, unit));
        let ratio = self.ours / self.bare;
        eprintln!("{what:<52} {ours:>12}  {floor:<32} {shown:>12} {ratio:>6.2}  {mark}{verdict}");
    }
}

fn figure(value: f64, unit: &str) -> String {
    let digits = usize::from(value < 100.0);
    format!("{value:.digits$} {unit}")
}

/// How busy the machine is: the processes that want a core, on average over 1, 5 and 15 minutes.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// In the page: the time from each animation frame to the next, in `window.gauge`, until it is read.
const GAUGE: &str = "
const gaps = [];
let last = performance.now();
window.gauge = { gaps, on: true };
const frame = () => {
  const now = performance.now();
  gaps.push(now - last);
  last = now;
  if (window.gauge.gaps === gaps && window.gauge.on) requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
";

/// Times from one frame of a page to the next, in milliseconds, in order of length.
struct Gaps(Vec<f64>);

impl Gaps {
    fn watch(page: &Page) {
        page.script(GAUGE, &json!([]));
    }

    /// All since [`watch`](Self::watch).
    fn read(page: &Page) -> Self {
        Self::of(&page.script("window.gauge.on = false; return window.gauge.gaps", &json!([])))
    }

    fn of(found: &Value) -> Self {
        let mut gaps: Vec<f64> = found.as_array().unwrap().iter().map(|gap| gap.as_f64().unwrap()).collect();
        assert!(!gaps.is_empty(), "the page drew nothing");
        gaps.sort_by(f64::total_cmp);
        Self(gaps)
    }

    /// The gap that `share` of all are not longer than.
    fn at(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = (self.0.len() as f64 * share) as usize;
        self.0[index.min(self.0.len() - 1)]
    }

    fn tell(&self) -> String {
        format!(
            "{} frames, p50 {:.0}, p90 {:.0}, p99 {:.0}, longest {:.0} ms",
            self.0.len(),
            self.at(0.5),
            self.at(0.9),
            self.at(0.99),
            self.at(1.0)
        )
    }

    /// A line for the 99th percentile, beside that of a page that does nothing.
    fn print(&self, what: &str, idle: &Self, mark: Mark) {
        let what = format!("{what}, frame gap p99");
        Row { what: &what, ours: self.at(0.99), floor: "same page, idle", bare: idle.at(0.99), unit: "ms", mark }
            .print();
        eprintln!("    {}", self.tell());
    }
}

/// The gaps of this page while nothing happens, for `seconds`.
fn idle(page: &Page, seconds: u64) -> Gaps {
    let script = format!(
        "const done = arguments[0]; {GAUGE}
        setTimeout(() => {{ window.gauge.on = false; done(window.gauge.gaps); }}, {});",
        seconds * 1000
    );
    Gaps::of(&page.script_async(&script, std::time::Duration::from_secs(seconds + 30)))
}

/// Runs a script that does one step of something with each frame, and gives the gaps between those frames.
///
/// `step` is the body of a function of `n`, the frame's number from 0, and `part`, how far it is from 0 to 1; it has what
/// `prepare` declares.
fn each_frame(page: &Page, frames: u32, prepare: &str, step: &str) -> Gaps {
    let script = format!(
        "const done = arguments[0]; {prepare}
        const gaps = []; let n = 0, last = performance.now();
        const act = (n, part) => {{ {step} }};
        const frame = () => {{
          const now = performance.now(); gaps.push(now - last); last = now;
          if (n >= {frames}) return done(gaps);
          act(n, n / {frames}); n += 1;
          requestAnimationFrame(frame);
        }};
        requestAnimationFrame(frame);"
    );
    Gaps::of(&page.script_async(&script, std::time::Duration::from_secs(240)))
}
