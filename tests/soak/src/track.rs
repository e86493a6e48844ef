//! What one reader saw, in little memory, so that it can be compared with the log at the end.
//!
//! A reader's view is cut into stretches: each begins at a place from which the reader claims to know everything (a
//! snapshot, or the cursor that it resumed with) and goes on to the last place it was told of. Of a stretch only its two
//! ends, the number of its events and a hash over all their bytes, in order, are kept; the log gives the same three for
//! the same two ends, or something was lost, doubled, changed or exchanged. What can be seen at once - the chain of each
//! room, the order - is checked at once.

use std::collections::HashMap;

/// The factor of the rolling hash. Odd, so that no power of it is zero.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of one event's bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325u64 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        sum = (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    }
    words.remainder().iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The hash of a sequence and one more event.
pub(crate) fn roll(sum: u64, event: u64) -> u64 {
    sum.wrapping_mul(FACTOR).wrapping_add(event)
}

/// The hash of the events between two places, from the hashes up to each and the number of events between.
pub(crate) fn between(from: u64, to: u64, events: u32) -> u64 {
    to.wrapping_sub(from.wrapping_mul(FACTOR.wrapping_pow(events)))
}

/// Everything of the reader's rooms after `base` and up to `end` was seen: this many events with this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) events: u32,
    pub(crate) hash: u64,
}

/// The view of one reader. An error names what it saw that must not be.
#[derive(Debug, Default)]
pub(crate) struct Track {
    now: Option<Stretch>,
    /// The last event of each room, by the hash of its name.
    rooms: HashMap<u64, u64>,
    /// The place from which `rooms` is complete.
    since: u64,
    done: Vec<Stretch>,
    seen: u64,
}

impl Track {
    /// The place up to which everything was seen; none while there is none.
    pub(crate) fn end(&self) -> Option<u64> {
        self.now.map(|now| now.end)
    }

    /// Events seen.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    pub(crate) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.done.iter().chain(self.now.as_ref()).filter(|stretch| stretch.end > stretch.base)
    }

    /// What was known is no longer good: a snapshot has to come.
    pub(crate) fn forget(&mut self) {
        self.done.extend(self.now.take());
        self.rooms.clear();
    }

    /// Everything up to `place` is known from elsewhere.
    pub(crate) fn begin(&mut self, place: u64) {
        self.forget();
        self.since = place;
        self.now = Some(Stretch { base: place, end: place, events: 0, hash: 0 });
    }

    /// The connection was made anew with the cursor of [`end`](Self::end): the chains go on, a new stretch begins, so that a
    /// fault is found by its connection.
    pub(crate) fn resume(&mut self) {
        if let Some(now) = &mut self.now {
            let end = now.end;
            self.done.push(std::mem::replace(now, Stretch { base: end, end, events: 0, hash: 0 }));
        }
    }

    pub(crate) fn snapshot(&mut self, at: u64) -> Result<(), String> {
        match self.now {
            None => {
                self.begin(at);
                Ok(())
            }
            // The snapshots of all rooms that are joined together are of one place.
            Some(now) if now.base == at && now.events == 0 => Ok(()),
            Some(now) => {
                Err(format!("a snapshot at {at}, without a reset, while everything up to {} is known", now.end))
            }
        }
    }

    pub(crate) fn synced(&mut self, place: u64) {
        match &mut self.now {
            None => self.begin(place),
            Some(now) => now.end = now.end.max(place),
        }
    }

    pub(crate) fn event(&mut self, seq: u64, prev: u64, room: &str, text: &[u8]) -> Result<(), String> {
        let Some(now) = &mut self.now else { return Err(format!("event {seq} before any snapshot")) };
        if seq <= now.end {
            return Err(format!("doubled: event {seq} of {room} after everything up to {} was seen", now.end));
        }
        let known = self.rooms.insert(hash(room.as_bytes()), seq);
        let fits = known.map_or(prev <= self.since, |known| prev == known);
        if !fits {
            let known = known.map_or_else(|| format!("nothing since {}", self.since), |known| known.to_string());
            return Err(format!("lost: event {seq} of {room} says that {prev} is before it, seen was {known}"));
        }
        now.end = seq;
        now.events += 1;
        now.hash = roll(now.hash, hash(text));
        self.seen += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_the_hash_of_its_part_of_the_log() {
        let texts: Vec<String> = (1..=9u64).map(|seq| format!("event {seq} with some text")).collect();
        let mut prefix = vec![0];
        for text in &texts {
            prefix.push(roll(prefix[prefix.len() - 1], hash(text.as_bytes())));
        }
        let mut track = Track::default();
        track.begin(3);
        for seq in 4..=7u64 {
            track.event(seq, seq - 1, "activity", texts[seq as usize - 1].as_bytes()).unwrap();
        }
        let stretch = *track.stretches().next().unwrap();
        assert_eq!((stretch.base, stretch.end, stretch.events), (3, 7, 4));
        assert_eq!(stretch.hash, between(prefix[3], prefix[7], 4));
        assert_ne!(stretch.hash, between(prefix[2], prefix[6], 4));
    }

    #[test]
    fn what_must_not_be_is_named() {
        let mut track = Track::default();
        assert!(track.event(1, 0, "activity", b"a").unwrap_err().contains("before any snapshot"));
        track.snapshot(5).unwrap();
        track.event(7, 4, "activity", b"a").unwrap();
        assert!(track.event(7, 4, "activity", b"a").unwrap_err().contains("doubled"));
        assert!(track.event(9, 8, "activity", b"a").unwrap_err().contains("lost"));
        track.begin(10);
        assert!(
            track.event(12, 11, "host", b"a").unwrap_err().contains("lost"),
            "the room's last event was after the base"
        );
        assert!(track.snapshot(20).unwrap_err().contains("without a reset"));
    }

    #[test]
    fn chains_go_on_over_a_resume_and_begin_anew_with_a_snapshot() {
        let mut track = Track::default();
        track.snapshot(0).unwrap();
        track.event(1, 0, "activity", b"a").unwrap();
        track.resume();
        track.event(3, 1, "activity", b"b").unwrap();
        track.forget();
        track.snapshot(9).unwrap();
        track.event(12, 8, "activity", b"c").unwrap();
        let ends: Vec<_> = track.stretches().map(|s| (s.base, s.end, s.events)).collect();
        assert_eq!(ends, [(0, 1, 1), (1, 3, 1), (9, 12, 1)]);
    }
}
