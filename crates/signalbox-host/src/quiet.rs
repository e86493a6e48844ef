//! When a member is not to be disturbed: a pure function of what they asked for and the time.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use signalbox_model::{Profile, QuietHours, QuietTime, UnixMillis, Weekday};

/// Days that are looked at ahead.
const DAYS: i64 = 8;

/// What is wrong with quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// Not a time of day.
    #[error("{0:?} is no time of day; it looks like 22:00")]
    Time(String),
    /// Not a time zone.
    #[error("{0:?} is no time zone that this host knows; it looks like Europe/Berlin")]
    Zone(String),
    /// Hours that end when they begin.
    #[error("quiet hours from {0} to {0} would be always; to hear nothing for a while, mute")]
    Always(String),
}

struct Rule {
    from: Time,
    to: Time,
    zone: TimeZone,
}

fn time(text: &str) -> Result<Time, QuietError> {
    let wrong = || QuietError::Time(text.chars().take(20).collect());
    let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5).ok_or_else(wrong)?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i8>().ok()).flatten();
    let (hour, minute) = digits(hour).zip(digits(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

fn rule(hours: &QuietHours) -> Result<Rule, QuietError> {
    let zone = || QuietError::Zone(hours.time_zone.chars().take(60).collect());
    let named = !hours.time_zone.is_empty() && hours.time_zone.len() <= 60;
    let found = named.then(|| TimeZone::get(&hours.time_zone).ok()).flatten().ok_or_else(zone)?;
    Ok(Rule { from: time(&hours.from)?, to: time(&hours.to)?, zone: found })
}

/// Checks quiet hours as a member gave them.
///
/// # Errors
/// If a time or the time zone is none, or both times are the same.
pub fn check(hours: &QuietHours) -> Result<(), QuietError> {
    let rule = rule(hours)?;
    if rule.from == rule.to { Err(QuietError::Always(hours.from.clone())) } else { Ok(()) }
}

/// The quiet times from `now` on, for eight days, in order and without overlaps; the first may have begun before `now`.
/// Hours that cannot be understood are none: they were refused when they were given.
#[must_use]
pub fn times(profile: &Profile, now: UnixMillis) -> Vec<QuietTime> {
    let mut found: Vec<QuietTime> = profile.quiet.as_ref().and_then(|hours| of_hours(hours, now)).unwrap_or_default();
    if let Some(until) = profile.muted_until {
        found.push(QuietTime { from: now.min(until), until });
    }
    found.retain(|time| time.until > now && time.until > time.from);
    found.sort_by_key(|time| (time.from, time.until));
    let mut merged: Vec<QuietTime> = Vec::new();
    for time in found {
        match merged.last_mut() {
            Some(last) if time.from <= last.until => last.until = last.until.max(time.until),
            _ => merged.push(time),
        }
    }
    merged
}

/// Until when it is quiet now; none: it is not.
#[must_use]
pub fn until(profile: &Profile, now: UnixMillis) -> Option<UnixMillis> {
    times(profile, now).into_iter().find(|time| time.from <= now).map(|time| time.until)
}

fn of_hours(hours: &QuietHours, now: UnixMillis) -> Option<Vec<QuietTime>> {
    let rule = rule(hours).ok()?;
    let today = Timestamp::from_millisecond(now).ok()?.to_zoned(rule.zone.clone()).date();
    // Yesterday's may last until this morning.
    let days = (-1..DAYS).filter_map(|offset| today.checked_add(jiff::Span::new().try_days(offset).ok()?).ok());
    let begins = |date: &Date| hours.days.is_empty() || hours.days.contains(&weekday(*date));
    Some(days.filter(begins).filter_map(|date| on(&rule, date)).collect())
}

/// The quiet time that begins on a day. A clock that is put forward over a time reaches it later; of a time that comes
/// twice the first counts (RFC 5545, section 3.3.5).
fn on(rule: &Rule, date: Date) -> Option<QuietTime> {
    let end = if rule.to > rule.from { date } else { date.tomorrow().ok()? };
    let moment = |date: Date, time: Time| rule.zone.to_timestamp(date.to_datetime(time)).ok();
    Some(QuietTime { from: moment(date, rule.from)?.as_millisecond(), until: moment(end, rule.to)?.as_millisecond() })
}

fn weekday(date: Date) -> Weekday {
    match date.weekday() {
        jiff::civil::Weekday::Monday => Weekday::Mon,
        jiff::civil::Weekday::Tuesday => Weekday::Tue,
        jiff::civil::Weekday::Wednesday => Weekday::Wed,
        jiff::civil::Weekday::Thursday => Weekday::Thu,
        jiff::civil::Weekday::Friday => Weekday::Fri,
        jiff::civil::Weekday::Saturday => Weekday::Sat,
        jiff::civil::Weekday::Sunday => Weekday::Sun,
    }
}

#[cfg(test)]
mod tests {
    use signalbox_model::MemberId;

    use super::*;

    fn at(text: &str) -> UnixMillis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn hours(from: &str, to: &str, days: &[Weekday], zone: &str) -> Profile {
        let quiet = QuietHours { from: from.into(), to: to.into(), days: days.to_vec(), time_zone: zone.into() };
        Profile { quiet: Some(quiet), ..Profile::plain(MemberId::new("m_abcdefgh").unwrap()) }
    }

    /// From, to and the days on which it begins.
    type Hours<'a> = (&'a str, &'a str, &'a [Weekday]);

    #[test]
    fn quiet_hours_over_midnight_weekends_and_changes_of_the_clock() {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        let work: &[Weekday] = &[Mon, Tue, Wed, Thu, Fri];
        let nights = ("22:00", "07:00", &[] as &[Weekday]);
        // When, where, which hours, and until when it is quiet then.
        let table: &[(&str, &str, Hours<'_>, Option<&str>)] = &[
            // An ordinary night in winter: an hour ahead of UTC.
            ("2026-11-21T20:59:59Z", "Europe/Berlin", nights, None),
            ("2026-11-21T21:00:00Z", "Europe/Berlin", nights, Some("2026-11-22T06:00:00Z")),
            ("2026-11-22T05:59:59Z", "Europe/Berlin", nights, Some("2026-11-22T06:00:00Z")),
            ("2026-11-22T06:00:00Z", "Europe/Berlin", nights, None),
            // The night in which the clock is put forward has an hour less, the one in which it is put back one more.
            ("2026-03-28T21:00:00Z", "Europe/Berlin", nights, Some("2026-03-29T05:00:00Z")),
            ("2026-10-24T20:00:00Z", "Europe/Berlin", nights, Some("2026-10-25T06:00:00Z")),
            // 02:30 is not there on that day: the clock reaches it at 03:30.
            ("2026-03-29T01:15:00Z", "Europe/Berlin", ("02:30", "04:00", &[]), None),
            ("2026-03-29T01:30:00Z", "Europe/Berlin", ("02:30", "04:00", &[]), Some("2026-03-29T02:00:00Z")),
            // 02:30 comes twice on that day: the first one begins it, and the first one ends it.
            ("2026-10-25T00:30:00Z", "Europe/Berlin", ("02:30", "04:00", &[]), Some("2026-10-25T03:00:00Z")),
            ("2026-10-25T00:45:00Z", "Europe/Berlin", ("01:00", "02:30", &[]), None),
            // The day is the one on which it begins: Friday's night lasts until Saturday's morning.
            ("2026-11-20T23:00:00Z", "UTC", ("22:00", "07:00", work), Some("2026-11-21T07:00:00Z")),
            ("2026-11-21T06:00:00Z", "UTC", ("22:00", "07:00", work), Some("2026-11-21T07:00:00Z")),
            ("2026-11-21T23:00:00Z", "UTC", ("22:00", "07:00", work), None),
            // The whole weekend, as one.
            ("2026-11-21T12:00:00Z", "UTC", ("00:00", "00:00", &[Sat, Sun]), Some("2026-11-23T00:00:00Z")),
            // Within a day, and not at its end.
            ("2026-11-21T12:59:59Z", "UTC", ("12:00", "13:00", &[]), Some("2026-11-21T13:00:00Z")),
            ("2026-11-21T13:00:00Z", "UTC", ("12:00", "13:00", &[]), None),
            // The day there is another one than in UTC.
            ("2026-11-22T01:00:00Z", "America/New_York", ("20:00", "21:00", &[Sat]), Some("2026-11-22T02:00:00Z")),
        ];
        for (now, zone, (from, to, days), quiet) in table {
            let profile = hours(from, to, days, zone);
            assert_eq!(until(&profile, at(now)), quiet.map(at), "{from}-{to} {days:?} in {zone} at {now}");
        }
    }

    #[test]
    fn a_member_who_asked_for_silence_has_it_and_it_is_told_as_one_with_the_night() {
        let mut profile = Profile::plain(MemberId::new("m_abcdefgh").unwrap());
        let now = at("2026-11-21T20:00:00Z");
        assert_eq!(times(&profile, now), []);
        profile.muted_until = Some(at("2026-11-21T21:00:00Z"));
        assert_eq!(until(&profile, now), profile.muted_until);
        assert_eq!(until(&profile, at("2026-11-21T21:00:00Z")), None);
        let night = Profile { muted_until: Some(at("2026-11-21T22:30:00Z")), ..hours("22:00", "07:00", &[], "UTC") };
        let found = times(&night, now);
        assert_eq!(found[0], QuietTime { from: now, until: at("2026-11-22T07:00:00Z") });
        // Tonight and the seven that follow.
        assert_eq!(found.len(), 8);
        assert!(found.windows(2).all(|pair| pair[0].until < pair[1].from));
    }

    #[test]
    fn what_is_no_time_or_no_place_is_refused() {
        let of = |from: &str, to: &str, zone: &str| check(&hours(from, to, &[], zone).quiet.unwrap());
        assert_eq!(of("22:00", "07:00", "Europe/Berlin"), Ok(()));
        for wrong in ["", "7:00", "24:00", "12:60", "-1:00", "+1:30", "noon", "12:00:00", "१२:००"] {
            assert!(matches!(of(wrong, "07:00", "UTC"), Err(QuietError::Time(_))), "{wrong}");
            assert!(matches!(of("07:00", wrong, "UTC"), Err(QuietError::Time(_))), "{wrong}");
        }
        assert_eq!(of("22:00", "22:00", "UTC"), Err(QuietError::Always("22:00".into())));
        for wrong in ["", "Mars/Olympus", "../../etc/passwd"] {
            assert!(matches!(of("22:00", "07:00", wrong), Err(QuietError::Zone(_))), "{wrong}");
        }
    }
}
