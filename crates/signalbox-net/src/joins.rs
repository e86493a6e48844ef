//! How many streams are let in a second: after a restart everybody comes at once.
//!
//! To join costs a snapshot or a replay each, which is far more than a handshake. Who comes too early waits for its turn;
//! only when that would be long is it sent away, with a time to come back at: a browser's `EventSource` that is refused
//! never tries again by itself.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use signalbox_wire::{CallError, ErrorCode};

use crate::http::{Failure, Net};

/// Longest wait of a WebSocket: half of what clients wait for their welcome. So at most this many seconds' worth of them
/// wait at a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait of server-sent events, less than what proxies wait for a head.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(20);
/// The part of a second's worth that may come at once.
const AT_ONCE: u32 = 10;

/// Turns, evenly spaced (the generic cell rate algorithm, ITU-T I.371): in any second at most `per_second` and a tenth.
pub(crate) struct Joins {
    /// None: no limit.
    apart: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Joins {
    /// 0 switches the limit off.
    pub(crate) fn new(per_second: u64) -> Self {
        let apart = u32::try_from(per_second).ok().filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
        Self { apart, next: Mutex::new(None) }
    }

    /// How long to wait for the next turn, which is taken by that.
    ///
    /// # Errors
    /// If it would be longer than `patience`; no turn is taken.
    pub(crate) fn turn(&self, now: Instant, patience: Duration) -> Result<Duration, CallError> {
        let Some(apart) = self.apart else { return Ok(Duration::ZERO) };
        let at_once = Duration::from_secs(1) / AT_ONCE;
        let mut next = self.next.lock().unwrap_or_else(|e| e.into_inner());
        let due = next.filter(|next| *next > now).unwrap_or(now);
        let wait = due.duration_since(now).saturating_sub(at_once);
        if wait > patience {
            let mut error = CallError::new(
                ErrorCode::TooManyRequests,
                "everybody comes at once, and this connection has to wait; nothing was lost",
            )
            .hint("come back later, with your cursor");
            error.retry_after_ms = u64::try_from(wait.as_millis()).ok();
            return Err(error);
        }
        *next = Some(due + apart);
        Ok(wait)
    }
}

impl Net {
    /// Waits, unless the listener closes meanwhile.
    pub(crate) async fn rest(&self, wait: Duration) -> Result<(), Failure> {
        if wait.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.ended() => Err(CallError::new(ErrorCode::Unavailable, "the host is stopping").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_at_once_are_spread_over_two_seconds() {
        let (joins, now) = (Joins::new(500), Instant::now());
        let mut waits: Vec<Duration> = (0..1000).map(|_| joins.turn(now, PATIENCE).unwrap()).collect();
        assert_eq!(
            waits.iter().filter(|wait| wait.is_zero()).count(),
            51,
            "a tenth of a second's worth, and the first"
        );
        waits.sort();
        let most = waits
            .iter()
            .map(|from| waits.iter().filter(|w| *w >= from && **w < *from + Duration::from_secs(1)).count());
        assert!(most.max().unwrap() <= 551);
        assert!(waits[999] < Duration::from_secs(2));
    }

    #[test]
    fn who_would_wait_too_long_is_told_when_and_costs_the_others_nothing() {
        let (joins, now) = (Joins::new(10), Instant::now());
        let waiting = std::iter::repeat_with(|| joins.turn(now, PATIENCE)).take_while(Result::is_ok).count();
        assert!((51..=53).contains(&waiting), "{waiting}");
        let told = joins.turn(now, PATIENCE).unwrap_err();
        assert!(told.retry_after_ms.unwrap() >= 5000);
        assert!(joins.turn(now, LONG_PATIENCE).is_ok(), "others are more patient");
        assert!(joins.turn(now + Duration::from_secs(6), PATIENCE).unwrap() < Duration::from_millis(200));
        assert_eq!(Joins::new(0).turn(now, PATIENCE).unwrap(), Duration::ZERO);
    }
}
