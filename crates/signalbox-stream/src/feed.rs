//! A session with a socket: catches up by itself, and is written to by the fan-out while it is up to date.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use signalbox_model::{Cursor, RoomFilter};
use tokio::time::{Instant, timeout_at};

use crate::{Connection, Fanout, Framing, Outlet, Session, SessionError, fanout::Entry};

/// Bytes taken from a session at a time: a socket must take this much within the stall limit.
const BATCH: usize = 64 * 1024;

/// Why a feed ended. Everything that was not sent is still in the log.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log cannot be read, or the host stops.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The connection is broken.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The socket took next to nothing for too long.
    #[error("the other side reads too slowly")]
    Stalled,
}

/// Feeds one connection with the events of its rooms.
pub struct Feed {
    session: Session,
    fanout: Arc<Fanout>,
    outlet: Arc<Outlet>,
    connection: Arc<Connection>,
    framing: Framing,
    stall: Duration,
    live: bool,
    /// Since when the socket has taken less than a batch, and what it had taken then.
    waiting: Option<(Instant, u64)>,
}

impl Feed {
    /// A feed of `session` into `outlet`. `stall` is how long the socket may take to accept 64 KiB.
    #[must_use]
    pub fn new(
        session: Session,
        fanout: Arc<Fanout>,
        outlet: Arc<Outlet>,
        connection: Arc<Connection>,
        framing: Framing,
        stall: Duration,
    ) -> Self {
        connection.attach(&outlet);
        Self { session, fanout, outlet, connection, framing, stall, live: false, waiting: None }
    }

    /// Joins rooms: [`Session::join`].
    ///
    /// # Errors
    /// As there.
    pub async fn join(
        &mut self,
        rid: Option<u64>,
        rooms: Vec<RoomFilter>,
        resume: Option<Cursor>,
    ) -> Result<(), SessionError> {
        self.come_back();
        self.session.join(rid, rooms, resume).await
    }

    /// Leaves rooms: [`Session::leave`].
    pub fn leave(&mut self, rooms: &[RoomFilter]) {
        self.come_back();
        self.session.leave(rooms);
    }

    /// The rooms joined.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomFilter> {
        self.session.rooms()
    }

    /// How often what the client held was no longer good: [`Session::resets`].
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.session.resets()
    }

    /// The newest event that was sent; 0 for none.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.connection.sent().newest.max(self.session.sent())
    }

    /// Sends a frame that is no event, after what was sent before.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn say(&self, frame: &[u8]) -> io::Result<()> {
        self.say_all(std::iter::once(frame))
    }

    /// Sends frames that are no events in one piece.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub fn say_all<'a>(&self, frames: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<()> {
        if self.connection.is_sealed() {
            return Ok(());
        }
        self.outlet.push(self.framing.encode_all(frames))
    }

    /// Feeds until something fails. Safe to drop and to call again.
    pub async fn run(&mut self) -> FeedError {
        match self.try_run().await {
            Ok(never) => never,
            Err(error) => error,
        }
    }

    async fn try_run(&mut self) -> Result<FeedError, FeedError> {
        loop {
            if self.live {
                self.outlet.fallen().await;
                self.come_back();
            }
            if self.outlet.try_flush()? {
                self.waiting = None;
            } else {
                // Boxed, as what comes next: an idle connection does not keep room for it.
                Box::pin(self.drain()).await?;
            }
            self.session.look();
            let batch = Box::pin(self.session.ready(BATCH)).await?;
            // Looked at after reading: what was committed before the seal may go, what came after it was read after it too.
            if self.connection.is_sealed() {
                return std::future::pending().await;
            }
            if !batch.frames.is_empty() {
                let bytes = self.framing.encode_all(batch.frames.iter().map(|frame| &frame[..]));
                self.connection.sent.store(self.session.sent(), Ordering::Relaxed);
                self.connection.lag.store(self.session.behind(), Ordering::Relaxed);
                self.fanout.sent(batch.events, bytes.len() as u64);
                self.connection.count(batch.events, bytes.len() as u64);
                self.outlet.push(bytes)?;
            } else if !self.go_live() {
                self.session.woken().await;
            }
        }
    }

    /// Waits until the socket has taken everything.
    async fn drain(&mut self) -> Result<(), FeedError> {
        loop {
            if self.outlet.try_flush()? {
                self.waiting = None;
                return Ok(());
            }
            let taken = self.outlet.taken();
            let since = match self.waiting {
                Some((since, before)) if taken - before < BATCH as u64 => since,
                _ => {
                    let now = Instant::now();
                    self.waiting = Some((now, taken));
                    now
                }
            };
            match timeout_at(since + self.stall, self.outlet.writable()).await {
                Ok(result) => result?,
                Err(_) => return Err(FeedError::Stalled),
            }
        }
    }

    /// Hands the connection to the fan-out, if nothing is left to catch up with.
    fn go_live(&mut self) -> bool {
        if !self.session.is_caught_up() {
            return false;
        }
        let cursor = self.session.cursor();
        let Some(generation) = self.outlet.go_live(cursor) else { return false };
        self.live = true;
        self.session.rest();
        self.connection.lag.store(0, Ordering::Relaxed);
        let entry = Entry { outlet: Arc::clone(&self.outlet), framing: self.framing, generation };
        self.fanout.join(self.session.rooms().cloned().collect(), cursor, entry);
        true
    }

    /// Takes the connection back from the fan-out.
    fn come_back(&mut self) {
        if std::mem::take(&mut self.live) {
            // Read before the outlet is asked: what was served by then reached it, if it is still live.
            let served = self.fanout.served();
            let cursor = self.outlet.end_live(served);
            self.fanout.leave(self.session.rooms().cloned().collect(), Arc::clone(&self.outlet));
            self.session.go_on(cursor, self.connection.sent().newest);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.come_back();
    }
}
