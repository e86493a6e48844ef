//! The host for a page in the same process: frames in both directions, the host's in batches against credit.
//!
//! The bounds it lives by: a page that gives no credit costs one batch and [`OUTBOX`] small frames, for its place is
//! kept as a cursor over the log; a page that sends faster than the host takes is told so at [`INBOX`] frames.
//! It knows nothing of windows: the desktop app hands it a way to deliver text.

mod credit;
mod stream;

pub use stream::{SendError, Stream, open};

/// Batches that a page may have on their way before it says `credit` for the first time.
pub const FIRST_CREDIT: u32 = 8;

/// Frames of the page that wait to be looked at. One more is refused with [`SendError::Full`].
pub const INBOX: usize = 1024;

/// Replies and other small frames that wait to be sent. When it is full, the page's frames are left in the inbox.
pub const OUTBOX: usize = 64;
