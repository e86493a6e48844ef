//! One connection of the load: its handshake, its frames, and what it answers.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, bail, ensure};
use memchr::memchr;
use rustix::net::sockopt::set_tcp_quickack;

use crate::sockets::secret::{self, Stream};

/// What a connection speaks once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    /// Server-sent events, in chunks.
    Events,
}

/// How a connection is opened.
pub(crate) struct Opening {
    pub(crate) transport: Transport,
    pub(crate) secret: bool,
    /// The whole request with which it begins.
    pub(crate) request: String,
    /// The first message, after the handshake of a WebSocket.
    pub(crate) hello: Option<String>,
    /// A message that begins like this says that the connection is live. None: it is from the handshake on.
    pub(crate) live: Option<&'static [u8]>,
}

/// The request that opens a WebSocket. The key is the one of RFC 6455: the load is no browser, and the answer to it is
/// not checked, so the floors need not compute it.
pub(crate) fn upgrade(path: &str, host: SocketAddr, protocol: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{protocol}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

enum State {
    /// The answer to the request is not complete.
    Handshake,
    /// The sign that it is live has not come.
    Opening,
    Live,
}

pub(crate) struct Connection {
    pub(crate) stream: Stream,
    opening: Opening,
    state: State,
    /// The beginning of what is not complete yet.
    carry: Vec<u8>,
    /// Server-sent events whose end is in the next chunk.
    body: Vec<u8>,
    /// Bounded by what the load has in flight: a window of events, or one answer.
    out: Vec<u8>,
    /// Whether the loop waits until the socket takes more.
    pub(crate) blocked: bool,
    /// Answers to calls.
    pub(crate) replies: u64,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, opening: Opening) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address} takes no connection"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = if opening.secret { secret::over(stream)? } else { Stream::Plain(stream) };
        let out = opening.request.clone().into_bytes();
        let (carry, body) = (Vec::new(), Vec::new());
        let mut connection =
            Self { stream, opening, state: State::Handshake, carry, body, out, blocked: false, replies: 0 };
        connection.flush()?;
        Ok(connection)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// Has the kernel acknowledge what is read at once, until this end has said something again.
    ///
    /// A kernel that takes a connection for a dialogue acknowledges every second message that comes within 40 ms; then this
    /// process is done sooner, sleeps more often, and is woken by the server for half as much again of its processor time a
    /// delivery. Whether it does depends on how many messages a greeting happens to consist of.
    pub(crate) fn acknowledge_at_once(&self) -> anyhow::Result<()> {
        set_tcp_quickack(&self.stream, true).context("a connection cannot be told to acknowledge at once")
    }

    /// Writes what waits, as far as the socket takes it. False if something is left.
    pub(crate) fn flush(&mut self) -> anyhow::Result<bool> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(0) => bail!("a connection was closed"),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a connection broke"),
            }
        }
        self.out.drain(..written);
        Ok(self.stream.hand_on().context("a connection broke")? && self.out.is_empty())
    }

    /// Lays a text message into the queue; [`flush`](Self::flush) sends it.
    pub(crate) fn say(&mut self, text: &[u8]) {
        self.frame(0x81, text);
    }

    /// A frame of a client: masked (RFC 6455, section 5.3).
    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        const MASK: [u8; 4] = [0x5a, 0xc3, 0x19, 0x77];
        self.out.push(opcode);
        match payload.len() {
            length @ 0..=125 => self.out.push(0x80 | u8::try_from(length).unwrap_or_default()),
            length => {
                // The load sends nothing longer than 64 KiB.
                self.out.push(0x80 | 126);
                self.out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        self.out.extend_from_slice(&MASK);
        self.out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Reads once, or what one reading decrypted, and hands each message to `event`, which says whether it was an event.
    /// Gives the bytes that were read.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let mut read = 0;
        loop {
            let count = self.receive_some(buffer, event)?;
            read += count;
            if count == 0 || matches!(self.stream, Stream::Plain(_)) {
                return Ok(read);
            }
        }
    }

    fn receive_some(
        &mut self,
        buffer: &mut [u8],
        event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let count = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(error).context("a connection broke"),
        };
        let mut held = std::mem::take(&mut self.carry);
        if held.is_empty() {
            let used = self.parse(&buffer[..count], event)?;
            held.extend_from_slice(&buffer[used..count]);
        } else {
            held.extend_from_slice(&buffer[..count]);
            let used = self.parse(&held, event)?;
            held.drain(..used);
        }
        // Thousands of connections would keep the memory of their largest burst.
        self.carry = if held.is_empty() { Vec::new() } else { held };
        Ok(count)
    }

    /// Takes what is complete in `bytes`, and says how much that was.
    fn parse(&mut self, bytes: &[u8], event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>) -> anyhow::Result<usize> {
        let mut used = 0;
        if matches!(self.state, State::Handshake) {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(0) };
            used = end + 4;
            self.greeted(&bytes[..end])?;
        }
        loop {
            let rest = &bytes[used..];
            let taken = match self.opening.transport {
                Transport::WebSocket => self.take_frame(rest, event)?,
                Transport::Events => self.take_chunk(rest, event)?,
            };
            match taken {
                0 => return Ok(used),
                taken => used += taken,
            }
        }
    }

    fn greeted(&mut self, head: &[u8]) -> anyhow::Result<()> {
        let wanted = match self.opening.transport {
            Transport::WebSocket => "HTTP/1.1 101",
            Transport::Events => "HTTP/1.1 200",
        };
        let head = String::from_utf8_lossy(head);
        ensure!(head.starts_with(wanted), "the server answered {:?}", head.lines().next().unwrap_or_default());
        if let Some(hello) = self.opening.hello.take() {
            self.say(hello.as_bytes());
        }
        self.state = if self.opening.live.is_some() { State::Opening } else { State::Live };
        Ok(())
    }

    /// A frame of a server: not masked.
    fn take_frame(
        &mut self,
        bytes: &[u8],
        event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let &[first, second, ..] = bytes else { return Ok(0) };
        let (length, begin) = match second {
            127 => match bytes.get(2..10).and_then(|field| field.try_into().ok()) {
                Some(field) => (usize::try_from(u64::from_be_bytes(field))?, 10),
                None => return Ok(0),
            },
            126 => match bytes.get(2..4).and_then(|field| field.try_into().ok()) {
                Some(field) => (usize::from(u16::from_be_bytes(field)), 4),
                None => return Ok(0),
            },
            length => (usize::from(length), 2),
        };
        let Some(payload) = bytes.get(begin..begin + length) else { return Ok(0) };
        match first {
            // Text, or bytes: what a server makes of what was published.
            0x81 | 0x82 => self.message(payload, event)?,
            0x88 => bail!(
                "the server closed a connection: {}",
                String::from_utf8_lossy(payload.get(2..).unwrap_or_default())
            ),
            0x89 => self.frame(0x8a, payload),
            0x8a => {}
            other => bail!("a frame begins with {other:#x}"),
        }
        Ok(begin + length)
    }

    /// A chunk (RFC 9112, section 7.1), which as a rule is a whole message.
    fn take_chunk(
        &mut self,
        bytes: &[u8],
        event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let Some(line) = memchr(b'\n', bytes) else { return Ok(0) };
        let size = std::str::from_utf8(&bytes[..line])?.trim_end();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("a chunk begins with {size:?}"))?;
        ensure!(size > 0, "the server ended a stream of events");
        let Some(chunk) = bytes.get(line + 1..line + 1 + size) else { return Ok(0) };
        if bytes.len() < line + 1 + size + 2 {
            return Ok(0);
        }
        let mut body = std::mem::take(&mut self.body);
        if body.is_empty() {
            let used = self.take_blocks(chunk, event)?;
            body.extend_from_slice(&chunk[used..]);
        } else {
            body.extend_from_slice(chunk);
            let used = self.take_blocks(&body, event)?;
            body.drain(..used);
        }
        self.body = body;
        Ok(line + 1 + size + 2)
    }

    fn take_blocks(
        &mut self,
        bytes: &[u8],
        event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let mut used = 0;
        let mut begin = 0;
        while let Some(length) = memchr(b'\n', &bytes[begin..]) {
            let line = &bytes[begin..begin + length];
            begin += length + 1;
            if line.is_empty() {
                used = begin;
            } else if let Some(data) = line.strip_prefix(b"data: ")
                && bytes.get(begin) == Some(&b'\n')
            {
                // The end of the block is there: the message is complete.
                self.message(data, event)?;
                used = begin + 1;
            }
        }
        Ok(used)
    }

    fn message(&mut self, message: &[u8], event: &mut impl FnMut(&[u8]) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        if event(message)? {
            return Ok(());
        }
        let is = |kind: &str| message.starts_with(format!("{{\"type\":\"{kind}\"").as_bytes());
        if is("ping") {
            self.say(br#"{"type":"pong"}"#);
        } else if is("reply") {
            ensure!(
                !message.windows(8).any(|window| window == b"\"error\":"),
                "a call was refused: {}",
                String::from_utf8_lossy(message)
            );
            self.replies += 1;
        } else if self.opening.live.is_some_and(|live| message.starts_with(live)) {
            self.state = State::Live;
        } else if self.is_live() && is("reset") || is("bye") {
            bail!("the server said {}", String::from_utf8_lossy(message));
        }
        Ok(())
    }
}
