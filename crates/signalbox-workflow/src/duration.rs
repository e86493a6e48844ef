//! Durations as people write them: `45m`, `2s`, `1h30m`, `500ms`, `7d`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: 1 ms to 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write numbers with units, largest first: 500ms, 2s, 45m, 1h30m, 7d (1ms to 365d)")]
pub struct SpanError(String);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const LONGEST: u64 = 365 * 86_400_000;

impl Span {
    /// A duration in milliseconds, put into range.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.clamp(1, LONGEST))
    }

    /// In milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError(text.chars().take(40).collect());
        let (mut rest, mut total, mut next_unit) = (text, 0_u64, 0);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (name, tail) = tail.split_at(letters);
            // Largest first, each unit once: `30m1h` and `1h1h` are more likely mistakes than meant.
            let at = UNITS[next_unit..].iter().position(|(unit, _)| *unit == name).ok_or_else(error)? + next_unit;
            let number: u64 = number.parse().map_err(|_| error())?;
            total = number.checked_mul(UNITS[at].1).and_then(|n| n.checked_add(total)).ok_or_else(error)?;
            (rest, next_unit) = (tail, at + 1);
        }
        if (1..=LONGEST).contains(&total) { Ok(Self(total)) } else { Err(error()) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, size) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
            "description": "A duration, largest unit first: 500ms, 2s, 45m, 1h30m, 7d.",
            "examples": ["45m", "1h30m", "2s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in
            [("2s", 2_000), ("45m", 2_700_000), ("1h30m", 5_400_000), ("500ms", 500), ("1d", 86_400_000)]
        {
            assert_eq!(text.parse::<Span>().unwrap().millis(), millis, "{text}");
        }
        for text in
            ["", "0s", "5", "s", "1x", "30m1h", "1h1h", "-1s", "1.5h", "366d", "99999999999999999999d", "1 h", "٣s"]
        {
            assert!(text.parse::<Span>().is_err(), "{text:?} passed");
        }
    }

    proptest! {
        #[test]
        fn round_trips(millis in 1..=LONGEST) {
            prop_assert_eq!(Span(millis).to_string().parse::<Span>().unwrap(), Span(millis));
        }

        #[test]
        fn any_text_is_a_duration_or_an_error(text in ".{0,20}") {
            let _ = text.parse::<Span>();
        }
    }
}
