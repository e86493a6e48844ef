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
}

/// One comparison.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) floor: &'static str,
    pub(crate) unit: Unit,
    /// How many things a lap did.
    pub(crate) count: u32,
    pub(crate) ours: Duration,
    pub(crate) bare: Duration,
    /// The ratio that is aimed at.
    pub(crate) mark: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        let (ours, bare) = (self.ours.as_secs_f64(), self.bare.as_secs_f64());
        match self.unit {
            Unit::PerSecond => bare / ours,
            Unit::Each => ours / bare,
        }
    }

    fn figure(&self, time: Duration) -> String {
        match self.unit {
            Unit::PerSecond => format!("{:.0}/s", f64::from(self.count) / time.as_secs_f64()),
            Unit::Each => format!("{:.1} us", time.as_secs_f64() * 1e6 / f64::from(self.count)),
        }
    }

    fn verdict(&self) -> String {
        let Some(mark) = self.mark else { return "-".to_owned() };
        let (sign, met) = match self.unit {
            Unit::PerSecond => (">=", self.ratio() >= mark),
            Unit::Each => ("<=", self.ratio() <= mark),
        };
        format!("{sign} {mark} {}", if met { "met" } else { "MISSED" })
    }
}

pub(crate) fn print(rows: &[Row], rounds: u32) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    // Only Linux tells it in a file; elsewhere the table does without.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    println!("{cores} cores, load {}, least of {rounds} rounds", if load.is_empty() { "unknown" } else { &load });
    println!("{:<42} {:>12}  {:<34} {:>12} {:>6}  mark", "what", "Signalbox", "floor", "", "ratio");
    for row in rows {
        println!(
            "{:<42} {:>12}  {:<34} {:>12} {:>6.2}  {}",
            row.what,
            row.figure(row.ours),
            row.floor,
            row.figure(row.bare),
            row.ratio(),
            row.verdict()
        );
    }
}
