//! HTTP and sockets by hand: what the readers and publishers speak that are not the official client.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::world::Address;

/// How long one call may take. A sleeping host answers nothing.
const CALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(20);
/// A line of a stream is at most an event and its cursor, or a snapshot.
const LINE: usize = 64 << 20;

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody knows whether it was done.
    Unanswered(String),
    /// The host said no.
    Refused(u16, Value),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unanswered(why) => write!(f, "no answer: {why}"),
            Self::Refused(status, error) => write!(f, "{status} {error}"),
        }
    }
}

/// A connection; with a small window if the host shall notice soon that nobody reads.
pub(crate) async fn connect(host: &str, window: Option<u32>) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    let stream =
        tokio::time::timeout(CONNECT, socket.connect(host.parse()?)).await.context("no connection in time")??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Calls a method on a connection of its own.
pub(crate) async fn call(address: &Address, method: &str, params: &Value, key: Option<&str>) -> Result<Value, Failed> {
    let exchange = async {
        let mut stream = connect(&address.host, None).await?;
        let body = params.to_string();
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /api/v1/call/{method} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{key}Content-Length: {}\r\n\r\n{body}",
            address.host,
            address.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut body = Body::open(stream).await?;
        let mut all = Vec::new();
        while body.more(&mut all).await? {}
        anyhow::Ok((body.status, all))
    };
    match tokio::time::timeout(CALL, exchange).await {
        Err(_) => Err(Failed::Unanswered("in time".into())),
        Ok(Err(error)) => Err(Failed::Unanswered(format!("{error:#}"))),
        Ok(Ok((200, body))) => {
            serde_json::from_slice(&body).map_err(|error| Failed::Unanswered(format!("half an answer: {error}")))
        }
        Ok(Ok((status, body))) => Err(Failed::Refused(status, serde_json::from_slice(&body).unwrap_or_default())),
    }
}

/// `/metrics`, or another path whose answer is a text.
pub(crate) async fn get(address: &Address, path: &str) -> anyhow::Result<String> {
    let mut body = Body::get(address, path, &[], None).await?;
    let mut all = Vec::new();
    while body.more(&mut all).await? {}
    Ok(String::from_utf8(all)?)
}

/// The body of an answer, in pieces or by its length (RFC 9112, section 7.1).
pub(crate) struct Body {
    stream: TcpStream,
    pub(crate) status: u16,
    /// Read and not yet taken.
    rest: Vec<u8>,
    /// Bytes left of the piece, or of the whole; none: the next piece's size is to be read.
    left: Option<usize>,
    chunked: bool,
}

impl Body {
    pub(crate) async fn get(
        address: &Address,
        path: &str,
        headers: &[(&str, &str)],
        window: Option<u32>,
    ) -> anyhow::Result<Self> {
        let mut stream = connect(&address.host, window).await?;
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n",
            address.host, address.token
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).await?;
        tokio::time::timeout(CALL, Self::open(stream)).await.context("no answer in time")?
    }

    async fn open(mut stream: TcpStream) -> anyhow::Result<Self> {
        let mut rest = Vec::new();
        let end = loop {
            if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut rest).await? == 0 || rest.len() > 64 * 1024 {
                bail!("the answer has no head");
            }
        };
        let head = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok());
        rest.drain(..end + 4);
        let chunked = head.contains("transfer-encoding: chunked");
        Ok(Self { stream, status, rest, left: if chunked { None } else { length.or(Some(usize::MAX)) }, chunked })
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.rest.len() > LINE {
            bail!("a line without end");
        }
        if self.stream.read_buf(&mut self.rest).await? == 0 {
            bail!("the connection broke");
        }
        Ok(())
    }

    /// Appends what comes next; false at the end. What was read stays when this is dropped while it waits.
    pub(crate) async fn more(&mut self, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        loop {
            match self.left {
                Some(0) if !self.chunked => return Ok(false),
                Some(0) => {
                    while self.rest.len() < 2 {
                        self.fill().await?;
                    }
                    self.rest.drain(..2);
                    self.left = None;
                }
                Some(left) => {
                    if self.rest.is_empty() {
                        self.fill().await?;
                    }
                    let take = left.min(self.rest.len());
                    out.extend(self.rest.drain(..take));
                    self.left = Some(left - take);
                    return Ok(true);
                }
                None => {
                    let Some(end) = self.rest.windows(2).position(|window| window == b"\r\n") else {
                        self.fill().await?;
                        continue;
                    };
                    let size = std::str::from_utf8(&self.rest[..end])?;
                    let size = usize::from_str_radix(size.split(';').next().unwrap_or(size).trim(), 16)?;
                    self.rest.drain(..end + 2);
                    if size == 0 {
                        return Ok(false);
                    }
                    self.left = Some(size);
                }
            }
        }
    }
}
