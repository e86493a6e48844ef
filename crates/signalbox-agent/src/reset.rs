//! When a usage limit ends, from what agents and the models behind them say about it.

use regex_lite::Regex;
use serde_json::Value;
use signalbox_model::UnixMillis;
use std::sync::LazyLock;

/// Later than this from now is taken for a misunderstanding.
const FARTHEST: i64 = 32 * 24 * 60 * 60 * 1000;

/// From members of the error's data, at any depth up to 6.
pub(crate) fn from_json(data: &Value, now: UnixMillis) -> Option<UnixMillis> {
    search(data, now, 6)
}

fn search(value: &Value, now: UnixMillis, depth: u32) -> Option<UnixMillis> {
    match value {
        Value::Object(members) => members
            .iter()
            .find_map(|(name, member)| of_member(name, member, now))
            .or_else(|| members.values().find_map(|member| search(member, now, depth.checked_sub(1)?))),
        Value::Array(items) => items.iter().take(20).find_map(|item| search(item, now, depth.checked_sub(1)?)),
        Value::String(text) => from_text(text, now),
        _ => None,
    }
}

fn of_member(name: &str, value: &Value, now: UnixMillis) -> Option<UnixMillis> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let at = match name.as_str() {
        "retryafterms" | "retrydelayms" | "resetsinms" => after(now, number?),
        "retryafter" | "retryafterseconds" | "retrydelay" | "resetsin" | "resetsinseconds" | "resetinseconds" => {
            match number {
                Some(seconds) => after(now, seconds * 1000.0),
                None => duration(value.as_str()?).and_then(|millis| after(now, millis)),
            }
        }
        "resetsat" | "resetat" | "reset" | "resettime" | "ratelimitreset" | "xratelimitreset" => match number {
            Some(number) => epoch(number),
            None => timestamp(value.as_str()?),
        },
        _ => None,
    }?;
    plausible(at, now)
}

/// From words: "try again in 1h 20m", "Retry-After: 30", "reset at 2026-11-21T04:00:00Z", "limit reached|1795227928".
pub(crate) fn from_text(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    static AFTER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)(?:again in|retry[ -]?after[:=]?|resets? in|retry in|wait(?: for)?)\s*((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)?[\s,]*)+)",
        )
    });
    static AT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d))"));
    static EPOCH: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(?:reached\||resets? (?:at|on)?\s*)(\d{10,13})\b"));
    let text = crate::limits::head(text, 8192);
    let at = AFTER
        .captures(text)
        .and_then(|found| duration(&found[1]))
        .and_then(|millis| after(now, millis))
        .or_else(|| AT.captures(text).and_then(|found| timestamp(&found[1])))
        .or_else(|| EPOCH.captures(text).and_then(|found| epoch(found[1].parse().ok()?)))?;
    plausible(at, now)
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// Milliseconds of "1h 20m", "6m0s", "30": without a unit, seconds.
fn duration(text: &str) -> Option<f64> {
    static PART: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)"));
    let mut millis = None;
    for part in PART.captures_iter(text) {
        let number: f64 = part[1].parse().ok()?;
        let unit = match part[2].to_lowercase().as_str() {
            "ms" | "millisecond" | "milliseconds" => 1.0,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            _ => break,
        };
        millis = Some(millis.unwrap_or(0.0) + number * unit);
    }
    millis
}

fn timestamp(text: &str) -> Option<UnixMillis> {
    text.trim().replacen(' ', "T", 1).parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Seconds or milliseconds since 1970: which of them the size tells.
fn epoch(number: f64) -> Option<UnixMillis> {
    let millis = if number > 1e11 { number } else { number * 1000.0 };
    whole(millis)
}

fn after(now: UnixMillis, millis: f64) -> Option<UnixMillis> {
    now.checked_add(whole(millis)?)
}

fn whole(millis: f64) -> Option<i64> {
    (millis.is_finite() && millis.abs() < 1e15).then_some(millis as i64)
}

fn plausible(at: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    (at >= now && at - now <= FARTHEST).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: UnixMillis = 1_795_227_000_000;

    #[test]
    fn words_that_models_use_are_understood() {
        for (text, after) in [
            ("Please try again in 1h 20m.", 4_800_000),
            ("Rate limit reached. Please try again in 6m0s.", 360_000),
            ("please retry after 30 seconds", 30_000),
            ("Retry-After: 12", 12_000),
            ("try again in 1.5s", 1_500),
            ("Please wait 2 minutes, 5 seconds", 125_000),
            ("Claude AI usage limit reached|1795227928", 928_000),
            ("your limit will reset at 2026-11-21T03:00:00Z", 1_795_230_000_000 - NOW),
        ] {
            assert_eq!(from_text(text, NOW), Some(NOW + after), "{text}");
        }
        for text in ["", "try again later", "reset at 1999-01-01T00:00:00Z", "try again in 400 days"] {
            assert_eq!(from_text(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn members_are_found_at_any_depth() {
        for (data, after) in [
            (json!({"retryAfterMs": 1500}), 1_500),
            (json!({"error": {"details": [{"retryDelay": "34s"}]}}), 34_000),
            (json!({"resets_at": 1_795_227_060}), 60_000),
            (json!({"resetsAt": 1_795_227_060_000_i64}), 60_000),
            (json!({"reset_at": "2026-11-21T02:30:00+00:00"}), 1_200_000),
            (json!("try again in 3 s"), 3_000),
        ] {
            assert_eq!(from_json(&data, NOW), Some(NOW + after), "{data}");
        }
        assert_eq!(from_json(&json!({"retry_after": -5}), NOW), None);
    }
}
