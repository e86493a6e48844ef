//! A host for a page of the desktop app, the one in the same process or one elsewhere: frames in both directions, the
//! host's in batches against credit.
//!
//! The bounds it lives by: a page that gives no credit costs one batch and [`OUTBOX`] small frames, for its place is
//! kept as a cursor over the log; a page that sends faster than the host takes is told so at [`INBOX`] frames.
//! It knows nothing of windows: the desktop app hands it a way to deliver text.

mod credit;
mod elsewhere;
mod stream;

use std::time::Duration;

pub use elsewhere::open_elsewhere;
pub use stream::{SendError, Stream, open};

/// Batches that a page may have on their way before it says `credit` for the first time.
pub const FIRST_CREDIT: u32 = 8;

/// Frames of the page that wait to be looked at. One more is refused with [`SendError::Full`].
pub const INBOX: usize = 1024;

/// Replies and other small frames that wait to be sent. When it is full, the page's frames are left in the inbox.
pub const OUTBOX: usize = 64;

/// Bytes of events in a batch, about.
const BATCH: usize = 256 * 1024;
/// Least time between two batches: a screen shows nothing sooner, and each batch costs the page a task.
const BEAT: Duration = Duration::from_millis(12);
