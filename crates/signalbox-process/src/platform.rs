//! What differs between systems: signals, and finding processes.

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod imp;
#[cfg(not(unix))]
#[path = "platform/other.rs"]
mod imp;

pub use imp::{end_all, end_each, leftovers, start_time};
pub(crate) use imp::{group_alive, prepare, signal_group};

/// What to send to a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Asks it to end.
    Terminate,
    /// Ends it.
    Kill,
}
