//! Bytes for the listener: requests, and what follows a WebSocket's handshake.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;
use signalbox_wire::CloseCode;

use crate::{
    bytes::find,
    host::{Running, with_host},
};

/// Longest silence of the host, and longest time for a connection to be forgotten.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).expect("the host listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// Everything up to the end of the connection, which must come, or the beginning of a stream.
fn rest(stream: &mut TcpStream, all: &mut Vec<u8>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            // A stream of events has no end while somebody may read it, and we may: we closed one direction only.
            Ok(read) if find(&buffer[..read], b"text/event-stream").is_some() => {
                all.extend_from_slice(&buffer[..read]);
                return;
            }
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("the host holds a connection that has ended: {:?}", String::from_utf8_lossy(all))
            }
            // An alarm of libFuzzer.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The host closed while bytes were on their way: what it said before may be lost with it.
            Err(_) => return,
        }
    }
}

/// The host serves others as before, and nobody is left in its list.
fn check(running: &Running) {
    let mut stream = connect(running);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", running.address);
    stream.write_all(request.as_bytes()).expect("the host reads");
    let mut answer = Vec::new();
    rest(&mut stream, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
    let started = Instant::now();
    while !running.host.connections().is_empty() {
        assert!(started.elapsed() < PATIENCE, "a connection is still listed after {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    running.check();
}

/// Bytes on a connection; `@address`, `@token` (a viewer's) and other names stand for those of the host. Answers are
/// HTTP and never a fault of the host.
pub fn http(data: &[u8]) {
    with_host(|running| {
        let mut stream = connect(running);
        // A host that refuses early may close before it has read everything.
        stream.write_all(&running.named(data)).ok();
        stream.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        rest(&mut stream, &mut answer);
        drop(stream);
        responses(&answer);
        check(running);
    });
}

fn responses(mut rest: &[u8]) {
    while !rest.is_empty() {
        // The connection may break within an answer; what came of it is an answer's beginning.
        let Some(end) = find(rest, b"\r\n\r\n") else {
            assert!(rest.starts_with(b"HTTP/1.") || b"HTTP/1.".starts_with(rest), "{}", String::from_utf8_lossy(rest));
            return;
        };
        let head = String::from_utf8(rest[..end].to_vec()).expect("a head is plain text");
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!(head.starts_with("HTTP/1."), "{head}");
        assert!(
            (100..500).contains(&status) || status == 503,
            "a fault of the host: {}",
            String::from_utf8_lossy(rest)
        );
        let head = head.to_ascii_lowercase();
        rest = &rest[end + 4..];
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse::<usize>());
        match length {
            _ if status == 101 || head.contains("transfer-encoding: chunked") => return,
            // The answer to HEAD has a length and no body.
            _ if rest.starts_with(b"HTTP/1.") => {}
            Some(Ok(length)) if rest.len() >= length => {
                let body = &rest[..length];
                let json = head.contains("content-type: application/json") && length > 0;
                assert!(!json || serde_json::from_slice::<Value>(body).is_ok(), "{}", String::from_utf8_lossy(body));
                rest = &rest[length..];
            }
            _ => return,
        }
    }
}

/// A client's frame, not masked in effect: its key is zero (RFC 6455, section 5.3).
fn text_frame(text: &[u8], out: &mut Vec<u8>) {
    out.push(0x81);
    match u16::try_from(text.len()) {
        Ok(length @ 0..=125) => out.push(0x80 | u8::try_from(length).unwrap_or(0)),
        Ok(length) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text);
}

/// What the host sends, frame by frame.
struct Frames {
    stream: TcpStream,
    bytes: Vec<u8>,
    closed: bool,
}

impl Frames {
    /// The next text; none when the host has closed. Panics on what no host may send.
    fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((kind, content)) = self.whole() {
                assert!(!self.closed, "the host goes on after its close frame");
                match kind {
                    1 => {
                        let text = String::from_utf8(content).expect("text is UTF-8");
                        let read = signalbox_client::recognise(&text);
                        assert!(read.is_ok(), "the client does not understand {text}: {read:?}");
                        let frame: Value = serde_json::from_str(&text).expect("a frame is JSON");
                        let code = frame["error"]["code"].as_str().unwrap_or_default();
                        assert!(!["internal", "unavailable"].contains(&code), "{text}");
                        return Some(frame);
                    }
                    8 => {
                        let code = content.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                        let known = code.is_none_or(|code| {
                            CloseCode::ALL.iter().any(|known| known.code() == code) || (1000..1016).contains(&code)
                        });
                        assert!(known, "the close code {code:?}");
                        self.closed = true;
                        // Our side of the goodbye; the host waits for it.
                        self.stream.shutdown(Shutdown::Write).ok();
                    }
                    // A ping of the input's own comes back as a pong.
                    9 | 10 => {}
                    other => panic!("a frame of kind {other}"),
                }
                continue;
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.bytes.extend_from_slice(&buffer[..read]),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    panic!("the host says nothing")
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    fn whole(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second] = *self.bytes.first_chunk::<2>()?;
        assert!(
            first & 0x70 == 0 && first & 0x80 != 0 && second & 0x80 == 0,
            "a frame that begins {first:x} {second:x}"
        );
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes([*self.bytes.get(2)?, *self.bytes.get(3)?]))),
            127 => {
                let length = u64::from_be_bytes(*self.bytes.get(2..)?.first_chunk::<8>()?);
                (10, usize::try_from(length).expect("a length"))
            }
            short => (2, usize::from(short)),
        };
        let content = self.bytes.get(head..head + length)?.to_vec();
        self.bytes.drain(..head + length);
        Some((first & 15, content))
    }
}

/// The number of the call that follows an input of texts.
const LAST: u64 = 4_611_686_018_427_387_904;

/// Bytes after a handshake and a hello; with `text` as first line each further line is a text frame. The host's frames
/// are such as its client reads, its close codes are known, and the calls before a good one do not keep it from its answer.
pub fn websocket(data: &[u8]) {
    with_host(|running| {
        let mut stream = connect(running);
        let handshake = format!(
            "GET /api/v1/ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: signalbox.v1\r\n\r\n",
            running.address
        );
        let hello = running.named(
            br#"{"type":"hello","rid":1,"v":1,"token":"@token","client":{"name":"fuzz","version":"1"},"rooms":["host"]}"#,
        );
        let mut opening = handshake.into_bytes();
        text_frame(&hello, &mut opening);
        stream.write_all(&opening).expect("the host reads");
        let mut answer = Vec::new();
        while find(&answer, b"\r\n\r\n").is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{:?}", String::from_utf8_lossy(&answer));
        let mut frames = Frames { stream, bytes: Vec::new(), closed: false };
        while frames.next().expect("the host says that all is there")["type"] != "synced" {}
        let input = running.named(data);
        let texts = input.strip_prefix(b"text\n");
        let mut bytes = Vec::new();
        match texts {
            Some(lines) => {
                lines
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .for_each(|line| text_frame(line, &mut bytes));
                let last = format!(r#"{{"type":"call","rid":{LAST},"method":"project.list"}}"#);
                text_frame(last.as_bytes(), &mut bytes);
            }
            None => bytes.clone_from(&input),
        }
        frames.stream.write_all(&bytes).ok();
        if texts.is_none() {
            frames.stream.shutdown(Shutdown::Write).ok();
        }
        while let Some(frame) = frames.next() {
            if texts.is_some() && frame["type"] == "reply" && frame["rid"] == LAST {
                frames.stream.shutdown(Shutdown::Write).ok();
            }
        }
        check(running);
    });
}
