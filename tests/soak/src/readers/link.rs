//! One connection, over a WebSocket or as server-sent events: frames, until it ends.

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{wire, world::Address};

/// Why there are no more frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Broken(String),
    /// The host closed it, with this code.
    Closed(u16),
    /// Refused before it began, with this status.
    Refused(u16),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "it broke: {why}"),
            Self::Closed(code) => write!(f, "the host closed it with {code}"),
            Self::Refused(status) => write!(f, "the host refused it with {status}"),
        }
    }
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(format!("{error:#}"))
    }
}

pub(crate) enum Link {
    Socket(Box<WebSocketStream<TcpStream>>),
    Events { body: Box<wire::Body>, text: Vec<u8>, looked: usize, retry: Option<u64> },
}

/// What a connection is to be.
pub(crate) struct Wish<'a> {
    pub(crate) kind: &'a str,
    pub(crate) rooms: &'a [String],
    pub(crate) project: &'a str,
    pub(crate) resume: Option<&'a str>,
    pub(crate) window: Option<u32>,
    /// Who this is, over all its connections.
    pub(crate) instance: Option<&'a str>,
}

/// A frame, and the id of the message that brought it.
pub(crate) type Framed = (Option<String>, String);

impl Link {
    pub(crate) async fn open(address: &Address, wish: &Wish<'_>) -> Result<Self, Ended> {
        if wish.kind == "sse" {
            let path = format!("/api/v1/events?rooms={}", wish.rooms.join(","));
            let headers: Vec<_> = wish.resume.map(|cursor| ("Last-Event-ID", cursor)).into_iter().collect();
            let body = wire::Body::get(address, &path, &headers, wish.window).await?;
            if body.status != 200 {
                return Err(Ended::Refused(body.status));
            }
            return Ok(Self::Events { body: Box::new(body), text: Vec::new(), looked: 0, retry: None });
        }
        let naive = wish.kind == "naive";
        let path = if naive { format!("/api/v1/projects/{}/ws", wish.project) } else { "/api/v1/ws".into() };
        let stream = wire::connect(&address.host, wish.window).await?;
        let request = format!("ws://{}{path}", address.host).into_client_request();
        let mut request = request.context("the address makes no request")?;
        if naive {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", address.token)).context("the token")?;
            request.headers_mut().insert("authorization", bearer);
        }
        let handshake = tokio::time::timeout(std::time::Duration::from_secs(30), client_async(request, stream)).await;
        let socket = match handshake.context("no handshake in time")? {
            Ok((socket, _)) => socket,
            Err(Error::Http(response)) => return Err(Ended::Refused(response.status().as_u16())),
            Err(error) => return Err(Ended::Broken(error.to_string())),
        };
        let mut link = Self::Socket(Box::new(socket));
        if !naive {
            let mut hello = json!({ "type": "hello", "rid": 1, "v": 1, "token": address.token, "rooms": wish.rooms,
                "client": { "name": "soak", "version": "1" } });
            if let Some(instance) = wish.instance {
                hello["client"]["instance"] = instance.into();
            }
            if let Some(resume) = wish.resume {
                hello["resume"] = resume.into();
            }
            link.say(&hello.to_string()).await?;
        }
        Ok(link)
    }

    pub(crate) async fn say(&mut self, text: &str) -> Result<(), Ended> {
        match self {
            Self::Socket(socket) => {
                socket.send(Message::text(text)).await.map_err(|error| Ended::Broken(error.to_string()))
            }
            Self::Events { .. } => Ok(()),
        }
    }

    /// How long an `EventSource` waits before it comes back, as the stream said.
    pub(crate) fn retry(&self) -> Option<u64> {
        if let Self::Events { retry, .. } = self { *retry } else { None }
    }

    /// The next frame. Safe to drop while it waits.
    pub(crate) async fn next(&mut self) -> Result<Framed, Ended> {
        match self {
            Self::Socket(socket) => loop {
                match socket.next().await {
                    None => return Err(Ended::Broken("without a word".into())),
                    Some(Err(error)) => return Err(Ended::Broken(error.to_string())),
                    Some(Ok(Message::Close(frame))) => {
                        return Err(Ended::Closed(frame.map_or(1005, |frame| frame.code.into())));
                    }
                    Some(Ok(Message::Text(text))) => return Ok((None, text.as_str().to_owned())),
                    Some(Ok(_)) => {}
                }
            },
            Self::Events { body, text, looked, retry } => loop {
                if let Some(end) = text[*looked..].windows(2).position(|window| window == b"\n\n") {
                    let message: Vec<u8> = text.drain(..*looked + end + 2).collect();
                    *looked = 0;
                    if let Some(rest) = message.strip_prefix(b"retry: ") {
                        let digits: String = rest.iter().map(|b| *b as char).take_while(char::is_ascii_digit).collect();
                        *retry = digits.parse().ok();
                    }
                    if let Some(framed) = message_of(&message) {
                        return Ok(framed);
                    }
                    continue;
                }
                *looked = text.len().saturating_sub(1);
                if !body.more(text).await? {
                    return Err(Ended::Broken("the stream ended".into()));
                }
            },
        }
    }

    pub(crate) async fn close(self) {
        if let Self::Socket(mut socket) = self {
            tokio::time::timeout(std::time::Duration::from_secs(5), socket.as_mut().close(None)).await.ok();
        }
    }
}

/// The id and the data of a message; none for a comment or `retry`. A comment is a sign of life: given as a frame.
fn message_of(message: &[u8]) -> Option<Framed> {
    let text = String::from_utf8_lossy(message);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    match field("data: ") {
        Some(data) => Some((field("id: "), data)),
        None if text.starts_with(':') => Some((None, r#"{"type":"comment"}"#.to_owned())),
        None => None,
    }
}
