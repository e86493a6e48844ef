//! A TCP connection, in the clear or over TLS, whose way out is an [`Outlet`]: what hyper and tungstenite write goes through it like everything
//! else, so that the fan-out can write between their frames, and never within one.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use signalbox_stream::{Outlet, Pipe};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
};

use crate::{ahead::Ahead, secret::Secret};

/// Bytes that may wait in the outlet before the one who writes has to wait.
const WAITING: usize = 256 * 1024;

/// Who went away is an error, and no signal to the whole process.
#[cfg(target_os = "linux")]
const NO_SIGNAL: i32 = 0x4000;
/// There sockets are made so that they send none.
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: i32 = 0;

struct Tcp {
    half: OwnedWriteHalf,
    secret: Option<Arc<Secret>>,
}

impl Pipe for Tcp {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.secret {
            Some(secret) => secret.try_write(self.half.as_ref(), bytes),
            // Past tokio, which first looks up what it knows of the socket: that is elsewhere, and seldom in the cache. It is
            // asked when the socket is full, so that it knows that too.
            None => match socket2::SockRef::from(self.half.as_ref()).send_with_flags(bytes, NO_SIGNAL) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.half.try_write(bytes),
                done => done,
            },
        }
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.secret.as_ref().map_or(Ok(true), |secret| secret.try_flush(self.half.as_ref()))
    }

    fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        Box::pin(self.half.writable())
    }
}

/// Since when the header of a request is on its way: what begins is to be ended soon, while a connection that waits between two
/// requests may wait.
pub(crate) struct Heads {
    opened: Instant,
    /// Milliseconds after `opened`, and one; 0: none is on its way.
    begun: AtomicU64,
    /// A request is being answered.
    answering: AtomicBool,
}

impl Heads {
    /// The first one is waited for from the start.
    fn new() -> Self {
        Self { opened: Instant::now(), begun: AtomicU64::new(1), answering: AtomicBool::new(false) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Bytes came.
    fn came(&self) {
        if self.begun.load(Ordering::Relaxed) == 0 && !self.answering.load(Ordering::Relaxed) {
            self.begun.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A header is whole.
    pub(crate) fn whole(&self) {
        self.answering.store(true, Ordering::Relaxed);
        self.begun.store(0, Ordering::Relaxed);
    }

    /// Its request was answered.
    pub(crate) fn answered(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }

    /// How much time one that is on its way still has; none if there is none.
    pub(crate) fn left(&self, patience: Duration) -> Option<Duration> {
        let begun = self.begun.load(Ordering::Relaxed).checked_sub(1)?;
        Some((Duration::from_millis(begun) + patience).saturating_sub(self.opened.elapsed()))
    }
}

/// What the parts of one connection share.
pub(crate) struct Shared {
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) heads: Heads,
    /// Set when a response's head is written and its body waits: at the next flush nothing of it is left in hyper.
    body_waits: AtomicBool,
    handed_over: AtomicBool,
    flushed: Notify,
}

impl Shared {
    /// To be called from the body of a response, when it has nothing more to give for now.
    pub(crate) fn body_waits(&self) {
        self.body_waits.store(true, Ordering::Release);
    }

    /// Waits until hyper has written all of the response, so far as there is one.
    pub(crate) async fn handed_over(&self) {
        while !self.handed_over.load(Ordering::Acquire) {
            self.flushed.notified().await;
        }
    }
}

/// One end of a TCP connection.
pub(crate) struct Wire {
    // A half of tokio's: it knows that a socket which gave less than was asked for is empty, and does not ask again.
    half: OwnedReadHalf,
    ahead: Ahead,
    secret: Option<Arc<Secret>>,
    pub(crate) shared: Arc<Shared>,
}

impl Wire {
    /// In the clear.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self::over(stream, None)
    }

    /// Over TLS, after the handshake.
    pub(crate) fn secret(stream: TcpStream, session: rustls::ServerConnection) -> Self {
        Self::over(stream, Some(Arc::new(Secret::new(session))))
    }

    fn over(stream: TcpStream, secret: Option<Arc<Secret>>) -> Self {
        let (half, write) = stream.into_split();
        let outlet = Arc::new(Outlet::new(Tcp { half: write, secret: secret.clone() }));
        let shared = Shared {
            outlet,
            heads: Heads::new(),
            body_waits: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            flushed: Notify::new(),
        };
        Self { half, ahead: Ahead::default(), secret, shared: Arc::new(shared) }
    }

    /// Waits until nothing is left in the outlet.
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.shared.outlet.try_flush()? {
            ready!(self.half.as_ref().poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.as_mut().poll_bytes(cx, buf);
        if buf.filled().len() > before {
            self.shared.heads.came();
        }
        polled
    }
}

impl Wire {
    fn poll_bytes(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(secret) = &self.secret else {
            let Self { half, ahead, .. } = &mut *self;
            return ahead.poll_read(Pin::new(half), cx, buf);
        };
        let socket = self.half.as_ref();
        // What was decrypted before waits in the session, whatever the socket says.
        loop {
            match secret.try_read(socket, buf) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_read_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    /// Takes all or nothing, so that a frame is whole in the outlet or not in it at all.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.shared.outlet.unsent() > WAITING {
            ready!(self.poll_drained(cx))?;
        }
        self.shared.outlet.push_slice(bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever asks for this has no bytes of its own left.
        if self.shared.body_waits.load(Ordering::Acquire) && !self.shared.handed_over.swap(true, Ordering::AcqRel) {
            self.shared.flushed.notify_one();
        }
        self.poll_drained(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drained(cx))?;
        if let Some(secret) = &self.secret {
            secret.close(self.half.as_ref())?;
        }
        let socket = socket2::SockRef::from(self.half.as_ref());
        Poll::Ready(socket.shutdown(std::net::Shutdown::Write))
    }
}
