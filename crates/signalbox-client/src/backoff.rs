//! How long to wait before the next attempt: full jitter, 0.5 s doubling to 20 s, for ever.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);
/// A connection must have been complete for this long before the wait begins anew at its shortest.
pub(crate) const STEADY: Duration = Duration::from_secs(5);

/// Counts attempts in a row that failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Attempts that failed since the last steady connection.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait before the next attempt; `random` is any number.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let share = f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        ceiling.mul_f64(share)
    }

    /// A connection held.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_use_the_whole_range() {
        let mut backoff = Backoff::default();
        let most: Vec<u128> = (0..8).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(most, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
        assert_eq!(backoff.next(0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 500);
    }
}
