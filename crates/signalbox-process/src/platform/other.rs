//! Systems without process groups. Only the process itself is ended; its children end with the job object that the
//! desktop app puts itself into.

use super::Signal;

pub(crate) fn prepare(_: &mut tokio::process::Command) {}

pub(crate) fn signal_group(_: u32, _: Signal) -> bool {
    false
}

pub(crate) fn group_alive(_: u32) -> bool {
    false
}

/// Not known here.
#[must_use]
pub fn start_time(_: u32) -> Option<u64> {
    None
}

/// Not known here.
#[must_use]
pub fn leftovers(_: &str) -> Vec<u32> {
    Vec::new()
}

/// Nothing is found here, so nothing is ended.
#[must_use]
pub fn end_all(_: &str) -> (u32, bool) {
    (0, false)
}

/// Nothing is found here, so nothing is ended.
#[must_use]
pub fn end_each(_: &std::collections::HashSet<String>) -> (u32, bool) {
    (0, false)
}
