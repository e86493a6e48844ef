//! How many batches the page still takes.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// A page cannot ask for more than this ahead, however often it says `credit`.
const MOST: u32 = 64;

/// Kept outside the frames' queue: were it in there, a full queue would keep out the one frame that empties it.
#[derive(Debug)]
pub(crate) struct Credit {
    left: AtomicU32,
    more: Notify,
}

impl Credit {
    pub(crate) fn new(batches: u32) -> Self {
        Self { left: AtomicU32::new(batches), more: Notify::new() }
    }

    pub(crate) fn add(&self, batches: u32) {
        self.left.update(Ordering::AcqRel, Ordering::Acquire, |left| left.saturating_add(batches).min(MOST));
        self.more.notify_one();
    }

    pub(crate) fn any(&self) -> bool {
        self.left.load(Ordering::Acquire) > 0
    }

    /// Takes one. Only the stream's own task does, so that what [`any`](Self::any) saw is still there.
    pub(crate) fn take(&self) {
        self.left.update(Ordering::AcqRel, Ordering::Acquire, |left| left.saturating_sub(1));
    }

    /// Waits for [`add`](Self::add). What was added since the last wait counts.
    pub(crate) async fn added(&self) {
        self.more.notified().await;
    }
}
