//! Rate limits: calls per member, failed logins per address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use signalbox_model::MemberId;
use signalbox_wire::{CallError, ErrorCode};

/// Entries kept at most; past it those that have no say any more are dropped.
const ENTRIES: usize = 10_000;

struct Bucket {
    left: f64,
    at: Instant,
}

/// Token buckets, one per member: a second's worth of calls may come at once.
pub(crate) struct Calls {
    per_second: f64,
    buckets: Mutex<HashMap<MemberId, Bucket>>,
}

impl Calls {
    /// 0 switches the limit off.
    pub(crate) fn new(per_second: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        Self { per_second: per_second as f64, buckets: Mutex::default() }
    }

    /// Takes one call from the member's bucket.
    pub(crate) fn take(&self, member: &MemberId, now: Instant) -> Result<(), CallError> {
        if self.per_second <= 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(|e| e.into_inner());
        if buckets.len() > ENTRIES {
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < Duration::from_secs(2));
        }
        let bucket = buckets.entry(member.clone()).or_insert(Bucket { left: self.per_second, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.left = (bucket.left + gained).min(self.per_second);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most some seconds")]
        let wait = ((1.0 - bucket.left) / self.per_second * 1000.0).ceil() as u64;
        let mut error = CallError::new(
            ErrorCode::TooManyRequests,
            format!("more than {} calls a second; this one was not done", self.per_second),
        );
        error.retry_after_ms = Some(wait.max(1));
        Err(error)
    }
}

/// Failed logins: each further failure of an address doubles the time it has to wait, up to a minute.
#[derive(Default)]
pub(crate) struct Logins(Mutex<HashMap<IpAddr, (u32, Instant)>>, Mutex<HashMap<IpAddr, Instant>>);

/// Addresses whose refusals are remembered; further ones are not noted until some are forgotten.
const REFUSED: usize = 1_000;

const FREE_FAILURES: u32 = 5;

impl Logins {
    fn wait(failures: u32) -> Duration {
        let over = failures.saturating_sub(FREE_FAILURES);
        if over == 0 { Duration::ZERO } else { Duration::from_secs(1 << over.min(6)).min(Duration::from_secs(60)) }
    }

    /// Whether this address may try now.
    pub(crate) fn check(&self, address: IpAddr, now: Instant) -> Result<(), CallError> {
        let map = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let Some((failures, last)) = map.get(&address) else { return Ok(()) };
        let wait = Self::wait(*failures).saturating_sub(now.duration_since(*last));
        if wait.is_zero() {
            return Ok(());
        }
        let mut error = CallError::new(ErrorCode::TooManyRequests, "too many failed logins from this address");
        error.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(60_000));
        Err(error)
    }

    pub(crate) fn failed(&self, address: IpAddr, now: Instant) {
        let mut map = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if map.len() > ENTRIES {
            map.retain(|_, (_, last)| now.duration_since(*last) < Duration::from_secs(120));
        }
        let entry = map.entry(address).or_insert((0, now));
        *entry = (entry.0 + 1, now);
    }

    /// Whether a refused token of this address is to be noted: the first in a minute is.
    pub(crate) fn note_refusal(&self, address: IpAddr, now: Instant) -> bool {
        let mut map = self.1.lock().unwrap_or_else(|e| e.into_inner());
        let minute = Duration::from_secs(60);
        if map.len() >= REFUSED {
            map.retain(|_, at| now.duration_since(*at) < minute);
        }
        if map.len() >= REFUSED || map.get(&address).is_some_and(|at| now.duration_since(*at) < minute) {
            return false;
        }
        map.insert(address, now);
        true
    }

    pub(crate) fn succeeded(&self, address: IpAddr) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_calls_passes_and_the_next_is_told_when() {
        let (calls, member, start) = (Calls::new(10), MemberId::new("m_aaaaaaaa").unwrap(), Instant::now());
        for _ in 0..10 {
            calls.take(&member, start).unwrap();
        }
        let error = calls.take(&member, start).unwrap_err();
        assert_eq!((error.code, error.retry_after_ms), (ErrorCode::TooManyRequests, Some(100)));
        calls.take(&member, start + Duration::from_millis(101)).unwrap();
        assert!(calls.take(&MemberId::new("m_bbbbbbbb").unwrap(), start).is_ok(), "others are not held up");
        assert!(Calls::new(0).take(&member, start).is_ok());
    }

    #[test]
    fn failed_logins_wait_longer_and_longer() {
        let (logins, address, now) = (Logins::default(), IpAddr::from([127, 0, 0, 1]), Instant::now());
        for _ in 0..5 {
            logins.check(address, now).unwrap();
            logins.failed(address, now);
        }
        logins.check(address, now).unwrap();
        logins.failed(address, now);
        assert!(logins.check(address, now).is_err());
        logins.check(address, now + Duration::from_secs(3)).unwrap();
        logins.succeeded(address);
        logins.check(address, now).unwrap();
    }
}
