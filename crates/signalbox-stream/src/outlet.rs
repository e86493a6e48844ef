//! Where the bytes of a connection leave: whoever has some writes them at once, and what the socket does not take
//! waits here, in order.
//!
//! Two sides write. The connection's own task writes answers, snapshots and what its session catches up with. The
//! [`Fanout`](crate::Fanout) writes new events while the outlet is *live*. They never mix within a frame: an outlet is
//! live only while nothing waits in it, and it stops being live as soon as something does.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard},
};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use crate::connection::Sent;

/// A socket that takes bytes without being waited for.
pub trait Pipe: Send + Sync + 'static {
    /// Writes what the socket takes now, and says how much that was.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if that is nothing; every other error is the end of the connection.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Hands on what the pipe itself holds back, such as encrypted records. True if nothing is left.
    ///
    /// # Errors
    /// As for [`try_write`](Self::try_write), without `WouldBlock`.
    fn try_flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Waits until the socket may take more.
    fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>>;
}

/// New events in the form that a connection sends, made once for all that want the same.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// The event before the first one, of the same rooms: who does not have it must not be given this piece.
    pub(crate) after: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How many there are.
    pub(crate) events: u64,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// It is on its way.
    Sent,
    /// All of it was sent before.
    Had,
    /// The beginning of it was sent before; the rest has to be made anew.
    Partly {
        /// What was sent last.
        cursor: u64,
    },
    /// The outlet is not live any more, or has just stopped being so: its task goes on by itself.
    Left,
}

/// What a delivery looks at comes first, so that it is near: between two events of a quiet stream the caches forget, and a
/// hundred outlets are a hundred times as much to fetch.
#[derive(Default)]
#[repr(C)]
struct State {
    live: bool,
    /// Nothing more may be said by the fan-out.
    sealed: bool,
    /// The pipe holds something back by itself.
    held: bool,
    /// The fan-out has let it in: from then on each of its events comes here.
    in_channel: bool,
    unsent_bytes: usize,
    /// Counts how often the outlet went live, so that a late piece of an earlier time is known.
    generation: u64,
    /// The newest event that was handed to the pipe or waits in `unsent`, while live and until it is asked for.
    cursor: u64,
    /// Bytes that the pipe took since the outlet was made.
    taken: u64,
    /// What the fan-out sent.
    delivered: Sent,
    /// As many bytes as `unsent_bytes` says.
    unsent: VecDeque<Bytes>,
    error: Option<io::ErrorKind>,
}

impl State {
    fn is_clear(&self) -> bool {
        self.unsent_bytes == 0 && !self.held
    }
}

/// The way out of one connection.
#[repr(C)]
pub struct Outlet {
    pipe: Box<dyn Pipe>,
    state: Mutex<State>,
    changed: Notify,
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("Outlet")
            .field("unsent", &state.unsent_bytes)
            .field("live", &state.live)
            .field("cursor", &state.cursor)
            .finish_non_exhaustive()
    }
}

impl Outlet {
    /// An outlet that writes to `pipe`.
    #[must_use]
    pub fn new(pipe: impl Pipe) -> Self {
        Self { pipe: Box::new(pipe), state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Sends `bytes` after everything that was given before: at once as far as the socket takes them. The rest waits
    /// until [`flush`](Self::flush) is called.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn push(&self, mut bytes: Bytes) -> io::Result<()> {
        let mut state = self.state();
        let written = self.write_at_once(&mut state, &bytes);
        bytes.advance(written);
        self.queue(&mut state, bytes);
        self.drain(&mut state)
    }

    /// Writes what the socket takes now, if nothing waits: then there is no need for a queue.
    fn write_at_once(&self, state: &mut State, bytes: &[u8]) -> usize {
        if !state.is_clear() || state.error.is_some() || bytes.is_empty() {
            return 0;
        }
        // An error is met again, and noted, by what follows.
        let written = self.pipe.try_write(bytes).unwrap_or(0);
        state.taken += written as u64;
        written
    }

    /// As [`push`](Self::push); what the socket takes at once is not copied.
    ///
    /// # Errors
    /// As there.
    pub fn push_slice(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let written = self.write_at_once(&mut state, bytes);
        bytes = &bytes[written..];
        self.queue(&mut state, Bytes::copy_from_slice(bytes));
        self.drain(&mut state)
    }

    fn queue(&self, state: &mut State, bytes: Bytes) {
        if !bytes.is_empty() {
            state.unsent_bytes += bytes.len();
            state.unsent.push_back(bytes);
        }
    }

    /// Writes what waits, as far as it goes; an outlet in which something stays behind is not live any more.
    fn drain(&self, state: &mut State) -> io::Result<()> {
        let result = self.drain_some(state);
        if let Err(error) = &result {
            state.error.get_or_insert(error.kind());
            state.unsent.clear();
            state.unsent_bytes = 0;
            state.held = false;
        }
        if (result.is_err() || !state.is_clear()) && std::mem::take(&mut state.live) {
            self.changed.notify_one();
        }
        result
    }

    fn drain_some(&self, state: &mut State) -> io::Result<()> {
        if let Some(kind) = state.error {
            return Err(kind.into());
        }
        while let Some(mut front) = state.unsent.pop_front() {
            match self.pipe.try_write(&front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    state.taken += written as u64;
                    state.unsent_bytes -= written;
                    front.advance(written);
                    if !front.is_empty() {
                        state.unsent.push_front(front);
                    }
                }
                Err(error) => {
                    state.unsent.push_front(front);
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return Ok(()),
                        io::ErrorKind::Interrupted => {}
                        _ => return Err(error),
                    }
                }
            }
        }
        state.held = !self.pipe.try_flush()?;
        Ok(())
    }

    /// Bytes that wait here.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.state().unsent_bytes
    }

    /// Bytes that the socket took so far: two equal readings mean that it takes nothing.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Tries to write what waits. True if nothing is left.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn try_flush(&self) -> io::Result<bool> {
        let mut state = self.state();
        self.drain(&mut state)?;
        Ok(state.is_clear())
    }

    /// Waits until the socket may take more.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn writable(&self) -> io::Result<()> {
        self.pipe.writable().await
    }

    /// Writes until nothing waits. Safe to drop: what is left stays.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn flush(&self) -> io::Result<()> {
        while !self.try_flush()? {
            self.pipe.writable().await?;
        }
        Ok(())
    }

    /// Gives the connection up: what waits is dropped, and whatever is written from now on fails.
    pub fn abort(&self) {
        let mut state = self.state();
        state.error.get_or_insert(io::ErrorKind::ConnectionAborted);
        self.drain(&mut state).ok();
    }

    /// From now on the fan-out may write events after `cursor`. None if something waits: then nothing changes.
    pub(crate) fn go_live(&self, cursor: u64) -> Option<u64> {
        let mut state = self.state();
        if !state.is_clear() || state.error.is_some() {
            return None;
        }
        state.live = true;
        state.in_channel = false;
        state.generation += 1;
        state.cursor = cursor;
        Some(state.generation)
    }

    /// The fan-out has brought it up to date, and writes everything that comes after it.
    pub(crate) fn let_in(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.in_channel = true;
        }
    }

    /// The fan-out writes no more. Gives the place up to which every event was sent, or is left to be flushed; `served`
    /// is how far the fan-out was with all of its channels.
    pub(crate) fn end_live(&self, served: u64) -> u64 {
        let mut state = self.state();
        let current = std::mem::take(&mut state.live) && state.in_channel;
        if current { state.cursor.max(served) } else { state.cursor }
    }

    /// Whether the fan-out may write.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state().live
    }

    /// Whether the fan-out may write, and the outlet did not go live again meanwhile.
    pub(crate) fn is_live_as(&self, generation: u64) -> bool {
        let state = self.state();
        state.live && state.generation == generation
    }

    /// Waits until the outlet is not live. Safe to drop.
    pub(crate) async fn fallen(&self) {
        while self.is_live() {
            self.changed.notified().await;
        }
    }

    /// The outlet stops being live, if it still is the one that went live as `generation`.
    pub(crate) fn fall(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation && std::mem::take(&mut state.live) {
            self.changed.notify_one();
        }
    }

    /// The fan-out sends nothing any more that it did not send before. An outlet that is sealed stays so.
    pub(crate) fn seal(&self) {
        self.state().sealed = true;
    }

    /// What the fan-out sent.
    pub(crate) fn delivered(&self) -> Sent {
        self.state().delivered
    }

    /// Sends a piece without waiting. Called by the fan-out.
    pub(crate) fn deliver(&self, generation: u64, piece: &Piece) -> Delivered {
        let mut guard = self.state();
        let state = &mut *guard;
        if !state.live || state.generation != generation {
            return Delivered::Left;
        }
        // What is in the piece was committed before this look: nothing goes out that came after the seal.
        if state.sealed {
            state.live = false;
            self.changed.notify_one();
            return Delivered::Left;
        }
        if state.cursor >= piece.last {
            return Delivered::Had;
        }
        if state.cursor >= piece.first {
            return Delivered::Partly { cursor: state.cursor };
        }
        if state.cursor < piece.after {
            state.live = false;
            self.changed.notify_one();
            return Delivered::Left;
        }
        let result = self.pipe.try_write(&piece.bytes);
        if let Ok(written) = result {
            // All of it is on its way now: what the socket left waits here, in front of everything else.
            state.taken += written as u64;
            state.cursor = piece.last;
            state.delivered.newest = piece.last;
            state.delivered.events += piece.events;
            state.delivered.bytes += piece.bytes.len() as u64;
            self.queue(state, piece.bytes.slice(written..));
        }
        // If nothing went out, nothing is kept: the task reads it from the log when the socket is ready. And a broken
        // connection is found by the task's next write.
        let clear = state.unsent_bytes == 0 && self.pipe.try_flush().unwrap_or(false);
        if !clear || result.is_err() {
            state.held = state.unsent_bytes == 0 && !clear;
            state.live = false;
            self.changed.notify_one();
        }
        if result.is_ok() { Delivered::Sent } else { Delivered::Left }
    }
}
