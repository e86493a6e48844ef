//! How the fan-out's thread is woken: without a lock, without a system call while it is at work, and without ever
//! sleeping while something waits.
//!
//! Who commits stores the head of the log and then looks whether anybody is to be woken; the thread says that it is there
//! and then looks at the head. With a fence between the two on either side at least one of them sees the other.
//!
//! `sync` is the standard library's here. `tests/bell.rs` takes this very file and has loom try every interleaving of it.

use super::sync::{AtomicBool, Ordering, fence};

/// Rung when there is something to do.
pub(crate) struct Bell {
    rung: AtomicBool,
    /// Whether there is anybody to write to: a commit that nobody follows wakes nobody.
    audience: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rung: AtomicBool::new(false), audience: AtomicBool::new(false) }
    }

    /// There is something to do. True if the thread may sleep and has to be woken.
    #[must_use]
    pub(crate) fn ring(&self) -> bool {
        !self.rung.swap(true, Ordering::AcqRel)
    }

    /// There is something to do for whoever follows; call it after the head was stored. True as for [`ring`](Self::ring).
    #[must_use]
    pub(crate) fn ring_for_audience(&self) -> bool {
        fence(Ordering::SeqCst);
        self.audience.load(Ordering::Relaxed) && self.ring()
    }

    /// Whether it was rung since this was asked last. If not, the thread may sleep until it is woken, and ask again.
    pub(crate) fn was_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Says whether there is anybody to write to. Look at the head after it, not before.
    pub(crate) fn set_audience(&self, any: bool) {
        self.audience.store(any, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}
