//! A histogram that many threads may add to without waiting for each other.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts of values by upper bound, as Prometheus has them.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all.
    counts: Box<[AtomicU64]>,
    /// In millionths of the unit: sums of small numbers stay exact.
    sum: AtomicU64,
}

/// What a histogram held at some moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Each upper bound with how many values were at or below it.
    pub buckets: Vec<(f64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// Bounds for durations in seconds, from 50 microseconds to 10 s.
pub const SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

impl Histogram {
    /// An empty histogram with these upper bounds, in rising order.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Adds a duration, in seconds.
    pub fn time(&self, took: Duration) {
        self.add(took.as_secs_f64());
    }

    /// Adds a value. Negative ones count as 0.
    pub fn add(&self, value: f64) {
        let at = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// What it holds now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let mut sum = 0;
        let buckets = self.bounds.iter().zip(&counts).map(|(bound, count)| {
            sum += count;
            (*bound, sum)
        });
        #[expect(clippy::cast_precision_loss, reason = "a sum to look at")]
        let total = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        Counted { buckets: buckets.collect(), count: counts.iter().sum(), sum: total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_their_bounds_belong_to_them() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.0, 1.0, 1.5, 2.0, 3.0] {
            histogram.add(value);
        }
        assert_eq!(histogram.counted(), Counted { buckets: vec![(1.0, 2), (2.0, 4)], count: 5, sum: 7.5 });
    }
}
