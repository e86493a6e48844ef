//! The TLS session of a connection, without its socket's waiting: what is written becomes records that go out as far as the
//! socket takes them, and the rest is held back here.

use std::{
    io::{self, Read, Write},
    sync::{Mutex, MutexGuard},
};

use rustls::ServerConnection;
use tokio::{io::ReadBuf, net::TcpStream};

/// Bytes encrypted at a time: one record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// A session that was agreed upon.
pub(crate) struct Secret(Mutex<ServerConnection>);

struct Direct<'a>(&'a TcpStream);

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Direct<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

/// Hands on what is encrypted. True if nothing is left.
fn send(session: &mut ServerConnection, stream: &TcpStream) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut Direct(stream)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl Secret {
    pub(crate) fn new(session: ServerConnection) -> Self {
        Self(Mutex::new(session))
    }

    fn session(&self) -> MutexGuard<'_, ServerConnection> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// As [`Pipe::try_write`](signalbox_stream::Pipe::try_write). A record is begun only when the one before it is out, so
    /// that no more than one is held back.
    pub(crate) fn try_write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session();
        let mut taken = 0;
        while send(&mut session, stream)? && taken < bytes.len() {
            let end = bytes.len().min(taken + RECORD);
            match session.writer().write(&bytes[taken..end])? {
                0 => break,
                written => taken += written,
            }
        }
        if taken == 0 && !bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// As [`Pipe::try_flush`](signalbox_stream::Pipe::try_flush).
    pub(crate) fn try_flush(&self, stream: &TcpStream) -> io::Result<bool> {
        send(&mut self.session(), stream)
    }

    /// Says that nothing more comes (RFC 8446, section 6.1).
    pub(crate) fn close(&self, stream: &TcpStream) -> io::Result<()> {
        let mut session = self.session();
        session.send_close_notify();
        send(&mut session, stream).map(|_| ())
    }

    /// Reads what has come into `buf`; nothing in it: the other side has ended. `WouldBlock`: wait for the socket.
    pub(crate) fn try_read(&self, stream: &TcpStream, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut session = self.session();
        loop {
            let plain = session.reader().read(buf.initialize_unfilled());
            match plain {
                Ok(read) => {
                    buf.advance(read);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Gone without a word. What it said is framed by HTTP and WebSocket, which notice a cut by themselves.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            session.read_tls(&mut Direct(stream))?;
            let processed = session.process_new_packets();
            // Alerts, tickets, new keys: an answer of the session's own.
            send(&mut session, stream)?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}
