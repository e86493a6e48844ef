//! Chance that can be had again: the same seed gives each part the same wishes, though not the same moments.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014): small, and good enough to choose disturbances with.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator of its own for one part, so that no part's wishes depend on how often another was asked.
    pub(crate) fn of(seed: u64, part: &str, number: u64) -> Self {
        let mixed = part.bytes().fold(seed ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd), |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut random = Self(mixed);
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end` - 1; 0 for none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_parts_differ() {
        let take = |part, number| {
            let mut random = Random::of(7, part, number);
            (0..8).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(take("host", 1), take("host", 1));
        assert_ne!(take("host", 1), take("host", 2));
        assert_ne!(take("host", 1), take("step", 1));
    }

    #[test]
    fn a_span_keeps_its_ends() {
        let mut random = Random::of(1, "span", 0);
        assert!((0..1000).map(|_| random.millis(3, 5).as_millis()).all(|millis| (3..=5).contains(&millis)));
    }
}
