//! The engine's timers, on two clocks.
//!
//! The engine speaks of moments of the wall clock, which a person may set. A span - a timeout, a silence, the wait before a
//! retry, the grace before a kill - has to take as long as it takes all the same, so it is kept on the steady clock, which
//! also stands still while the machine sleeps, as its processes do. Only a question's due time follows the wall clock: people
//! were told it as a time of day.

use std::{collections::BTreeMap, time::Duration};

use signalbox_engine::Timer;
use signalbox_model::UnixMillis;
use tokio::time::Instant;

/// Longest wait while a timer follows the wall clock: so that a clock that was set is noticed.
const LOOK: Duration = Duration::from_secs(5);
/// A wall clock that went this much further than the steady one, or less far, was set, or the machine slept.
const SET: i64 = 1_000;
/// A span that is over since longer than this was over while this process stood still.
const LATE: Duration = Duration::from_secs(1);
/// What a process that ended meanwhile has to be heard in, before it is said that it took too long.
const HEARING: Duration = Duration::from_secs(1);

struct Span {
    timer: Timer,
    /// It was due while this process stood still, and has been put off once.
    put_off: bool,
}

/// Timers that are armed.
#[derive(Default)]
pub(crate) struct Timers {
    spans: BTreeMap<(Instant, u64), Span>,
    dates: BTreeMap<(UnixMillis, u64), Timer>,
    number: u64,
    seen: Option<(UnixMillis, Instant)>,
}

impl Timers {
    /// By how many milliseconds the wall clock was set since the last call; 0 for not at all.
    pub(crate) fn set_by(&mut self, wall: UnixMillis, steady: Instant) -> i64 {
        let Some((wall_before, steady_before)) = self.seen.replace((wall, steady)) else { return 0 };
        let passed = i64::try_from(steady.saturating_duration_since(steady_before).as_millis()).unwrap_or(i64::MAX);
        let set = wall.saturating_sub(wall_before).saturating_sub(passed);
        if set.abs() >= SET { set } else { 0 }
    }

    /// Arms a timer for the moment `at` of the wall clock, which shows `wall` now.
    pub(crate) fn arm(&mut self, timer: Timer, at: UnixMillis, wall: UnixMillis, steady: Instant) {
        self.number += 1;
        if matches!(timer, Timer::Approval(_)) {
            self.dates.insert((at, self.number), timer);
            return;
        }
        let span = Duration::from_millis(u64::try_from(at.saturating_sub(wall)).unwrap_or(0));
        // A span that no clock can hold is never over.
        if let Some(due) = steady.checked_add(span) {
            self.spans.insert((due, self.number), Span { timer, put_off: false });
        }
    }

    /// How long until the next one.
    pub(crate) fn wait(&self, wall: UnixMillis, steady: Instant) -> Duration {
        let span = self.spans.first_key_value().map(|((due, _), _)| due.saturating_duration_since(steady));
        let date = self
            .dates
            .first_key_value()
            .map(|((at, _), _)| Duration::from_millis(u64::try_from(at.saturating_sub(wall)).unwrap_or(0)).min(LOOK));
        span.into_iter().chain(date).min().unwrap_or(LOOK)
    }

    /// Takes those that are due.
    pub(crate) fn due(&mut self, wall: UnixMillis, steady: Instant) -> Vec<Timer> {
        let later = self.dates.split_off(&(wall.saturating_add(1), 0));
        let mut due: Vec<Timer> = std::mem::replace(&mut self.dates, later).into_values().collect();
        while let Some(first) = self.spans.first_entry().filter(|first| first.key().0 <= steady) {
            let late = steady.saturating_duration_since(first.key().0) > LATE;
            let span = first.remove();
            let judges = matches!(span.timer, Timer::Timeout(_) | Timer::Stall(_));
            if late && judges && !span.put_off {
                self.number += 1;
                self.spans.insert((steady + HEARING, self.number), Span { put_off: true, ..span });
            } else {
                due.push(span.timer);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use signalbox_engine::StepAt;
    use signalbox_model::RunId;

    use super::*;

    const NOW: UnixMillis = 1_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn at() -> StepAt {
        StepAt { run: RunId::new("r_aaaaaaaa").unwrap(), step: 0, generation: 1 }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_span_takes_as_long_whatever_the_wall_clock_shows() {
        let start = Instant::now();
        for set in [-HOUR, 0, HOUR] {
            let mut timers = Timers::default();
            timers.arm(Timer::Retry(at()), NOW + 10_000, NOW, start);
            assert_eq!(timers.wait(NOW + set, start), Duration::from_secs(10));
            assert!(timers.due(NOW + set + 9_000, after(start, 9)).is_empty());
            assert_eq!(timers.due(NOW + set + 10_000, after(start, 10)), [Timer::Retry(at())]);
        }
    }

    #[test]
    fn a_question_is_due_at_its_time_of_day() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.arm(Timer::Approval(at()), NOW + HOUR, NOW, start);
        assert_eq!(timers.wait(NOW, start), LOOK, "a clock that is set must be noticed");
        assert!(timers.due(NOW + HOUR - 1, after(start, 1)).is_empty());
        assert_eq!(timers.due(NOW + HOUR, after(start, 2)), [Timer::Approval(at())]);
    }

    #[test]
    fn what_fell_due_while_the_process_stood_still_is_put_off_once() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.arm(Timer::Timeout(at()), NOW + 5_000, NOW, start);
        timers.arm(Timer::Retry(at()), NOW + 5_000, NOW, start);
        assert_eq!(timers.due(NOW + 60_000, after(start, 60)), [Timer::Retry(at())], "a wait is simply over");
        assert_eq!(timers.wait(NOW + 60_000, after(start, 60)), HEARING);
        assert_eq!(timers.due(NOW + 90_000, after(start, 90)), [Timer::Timeout(at())]);
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_goes_is_not() {
        let start = Instant::now();
        let mut timers = Timers::default();
        assert_eq!(timers.set_by(NOW, start), 0);
        assert_eq!(timers.set_by(NOW + 10_020, after(start, 10)), 0);
        assert_eq!(timers.set_by(NOW + 11_020 + HOUR, after(start, 11)), HOUR);
        assert_eq!(timers.set_by(NOW + 12_020, after(start, 12)), -HOUR);
    }
}
