//! Rounds, and the table of what they gave.

use std::time::Duration;

/// One contestant: does its work once and says how long it took.
pub(crate) type Lap<'a> = Box<dyn FnMut() -> anyhow::Result<Duration> + 'a>;

/// The least time of each contestant. They take turns, every second round backwards, so that none of them always
/// runs after the same other one.
pub(crate) fn least(rounds: u32, laps: &mut [Lap<'_>]) -> anyhow::Result<Vec<Duration>> {
    let mut best = vec![Duration::MAX; laps.len()];
    for round in 0..rounds {
        for turn in 0..laps.len() {
            let index = if round % 2 == 0 { turn } else { laps.len() - 1 - turn };
            best[index] = best[index].min(laps[index]()?);
        }
    }
    Ok(best)
}

/// What a row compares.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Things per second; the ratio is the share of the floor's rate, more is better.
    PerSecond,
    /// Time of one; the ratio is how many times the floor's, less is better.
    Each,
    /// The same for what takes less than a few microseconds.
    Microseconds,
    /// The same for what takes longer.
    Milliseconds,
    /// Memory of one, in KB; less is better.
    Kilobytes,
}

/// One comparison.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) floor: String,
    pub(crate) unit: Unit,
    /// How many things a lap did.
    pub(crate) count: u32,
    /// Seconds of a lap, or what else the unit is.
    pub(crate) ours: f64,
    /// The same of the floor.
    pub(crate) bare: f64,
    /// The ratio that is aimed at.
    pub(crate) mark: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        match self.unit {
            Unit::PerSecond => self.bare / self.ours,
            Unit::Each | Unit::Microseconds | Unit::Milliseconds | Unit::Kilobytes => self.ours / self.bare,
        }
    }

    fn figure(&self, lap: f64) -> String {
        let one = lap / f64::from(self.count);
        match self.unit {
            Unit::PerSecond => format!("{:.0}/s", 1.0 / one),
            Unit::Each => format!("{:.1} us", one * 1e6),
            Unit::Microseconds => format!("{:.2} us", one * 1e6),
            Unit::Milliseconds => format!("{:.2} ms", one * 1e3),
            Unit::Kilobytes => format!("{one:.1} KB"),
        }
    }

    fn verdict(&self) -> String {
        let Some(mark) = self.mark else { return "-".to_owned() };
        let (sign, met) = match self.unit {
            Unit::PerSecond => (">=", self.ratio() >= mark),
            Unit::Each | Unit::Microseconds | Unit::Milliseconds | Unit::Kilobytes => ("<=", self.ratio() <= mark),
        };
        format!("{sign} {mark} {}", if met { "met" } else { "MISSED" })
    }
}

/// How busy the machine is: the processes that want a core, on average over 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    // Only Linux tells it in a file; elsewhere the table does without.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split_whitespace().take(3).collect();
    if load.is_empty() { "unknown".to_owned() } else { load.join(" ") }
}

/// Prints the table; `rounds` says how many there were, `before` is the [`load`] before the first.
pub(crate) fn print(rows: &[Row], rounds: &str, before: &str) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{cores} cores, load before {before}, after {}; least of {rounds}", load());
    println!("{:<46} {:>12}  {:<34} {:>12} {:>6}  mark", "what", "Signalbox", "floor", "", "ratio");
    for row in rows {
        println!(
            "{:<46} {:>12}  {:<34} {:>12} {:>6.2}  {}",
            row.what,
            row.figure(row.ours),
            row.floor,
            row.figure(row.bare),
            row.ratio(),
            row.verdict()
        );
    }
}
