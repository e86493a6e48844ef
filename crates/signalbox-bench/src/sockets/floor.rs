//! The floor: what fan-out costs if nothing else is done. One thread, one epoll, the bytes of a frame made once and
//! written to every socket. It stores nothing, checks nothing and knows no rooms.
//!
//! It answers the handshake with a constant, since the load does not look at it.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use anyhow::ensure;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};

const LISTENER: u64 = u64::MAX;
const READ: usize = 256 * 1024;
/// What may wait for subscribers that are behind: a window of events is far less.
const WAITING: usize = 256 * 1024 * 1024;
const WELCOME: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[derive(PartialEq, Eq)]
enum Role {
    /// Its request is not complete.
    New,
    Subscriber,
    Publisher,
}

struct Client {
    stream: TcpStream,
    role: Role,
    /// What is not complete of its request, or of what it publishes.
    carry: Vec<u8>,
    /// The next byte of all that was ever published that it gets.
    at: u64,
    /// Its socket did not take everything.
    blocked: bool,
}

struct Floor {
    epoll: OwnedFd,
    coalesced: bool,
    clients: Vec<Option<Client>>,
    /// Frames that are not with everybody yet, and the place of their first byte.
    waiting: Vec<u8>,
    base: u64,
    /// Where the frames end that came in just now.
    ends: Vec<u64>,
}

/// Serves until it is killed. `how` is `coalesced` to write everything that waits at once.
pub(crate) fn serve(how: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    println!("{}", listener.local_addr()?.port());
    let (clients, waiting, ends) = (Vec::new(), Vec::new(), Vec::new());
    let mut floor = Floor { epoll, coalesced: how == "coalesced", clients, waiting, base: 0, ends };
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(1024);
    let mut buffer = vec![0; READ];
    loop {
        ready.clear();
        epoll::wait(&floor.epoll, spare_capacity(&mut ready), None)?;
        for event in ready.drain(..) {
            if event.data.u64() == LISTENER {
                floor.accept(&listener)?;
                continue;
            }
            let index = usize::try_from(event.data.u64())?;
            let flags = event.flags;
            if flags.contains(EventFlags::OUT) {
                floor.send(index, floor.end());
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                floor.receive(index, &mut buffer);
            }
        }
        floor.distribute()?;
    }
}

impl Floor {
    fn end(&self) -> u64 {
        self.base + self.waiting.len() as u64
    }

    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(self.clients.len() as u64), EventFlags::IN)?;
            let at = self.end();
            self.clients.push(Some(Client { stream, role: Role::New, carry: Vec::new(), at, blocked: false }));
        }
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8]) {
        let end = self.end();
        let Some(Some(client)) = self.clients.get_mut(index) else { return };
        match client.stream.read(buffer) {
            Ok(count) if count > 0 => client.carry.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => {
                self.clients[index] = None;
                return;
            }
        }
        if client.role == Role::New
            && let Some(head) = client.carry.windows(4).position(|window| window == b"\r\n\r\n")
        {
            client.role = if client.carry.starts_with(b"GET /pub") { Role::Publisher } else { Role::Subscriber };
            client.carry.drain(..head + 4);
            client.at = end;
            // A new socket takes this much.
            if client.stream.write_all(WELCOME).is_err() {
                self.clients[index] = None;
                return;
            }
        }
        match client.role {
            Role::New => {}
            Role::Subscriber => client.carry.clear(),
            Role::Publisher => {
                let mut used = 0;
                while let Some(length) = unmask(&client.carry[used..], &mut self.waiting) {
                    used += length;
                    self.ends.push(self.base + self.waiting.len() as u64);
                }
                client.carry.drain(..used);
            }
        }
    }

    fn distribute(&mut self) -> anyhow::Result<()> {
        let mut ends = std::mem::take(&mut self.ends);
        if self.coalesced {
            ends.drain(..ends.len().saturating_sub(1));
        }
        for end in ends.drain(..) {
            for index in 0..self.clients.len() {
                if matches!(&self.clients[index], Some(client) if client.role == Role::Subscriber && !client.blocked) {
                    self.send(index, end);
                }
            }
        }
        self.ends = ends;
        if !self.waiting.is_empty() {
            let subscribers = self.clients.iter().flatten().filter(|client| client.role == Role::Subscriber);
            let least = subscribers.map(|client| client.at).min().unwrap_or_else(|| self.end());
            // Moving what is left costs more than keeping what is not needed, while that is little.
            if least == self.end() || least - self.base > 1 << 20 {
                self.waiting.drain(..usize::try_from(least - self.base)?);
                self.base = least;
            }
        }
        ensure!(self.waiting.len() < WAITING, "the subscribers are too far behind");
        Ok(())
    }

    /// Writes everything up to `end` to a subscriber, as far as its socket takes it.
    fn send(&mut self, index: usize, end: u64) {
        let base = self.base;
        let Some(Some(client)) = self.clients.get_mut(index) else { return };
        let mut broken = false;
        let mut full = false;
        while client.at < end && !full && !broken {
            let range = (client.at - base) as usize..(end - base) as usize;
            match client.stream.write(&self.waiting[range]) {
                Ok(count) => client.at += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => full = true,
                Err(_) => broken = true,
            }
        }
        if full != client.blocked && !broken {
            client.blocked = full;
            let flags = if full { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = EventData::new_u64(index as u64);
            broken = epoll::modify(&self.epoll, &client.stream, data, flags).is_err();
        }
        if broken {
            self.clients[index] = None;
        }
    }
}

/// Appends the frame of a client at the beginning of `bytes` to `out` as a frame of a server, and gives its length.
fn unmask(bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let (length, begin) = match *bytes.get(1)? & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        length => (usize::from(length), 2),
    };
    let mask = bytes.get(begin..begin + 4)?;
    let payload = bytes.get(begin + 4..begin + 4 + length)?;
    out.push(0x81);
    match u8::try_from(length) {
        Ok(length @ 0..=125) => out.push(length),
        _ => {
            out.push(126);
            out.extend_from_slice(&bytes[2..4]);
        }
    }
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Some(begin + 4 + length)
}
