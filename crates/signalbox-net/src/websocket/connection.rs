//! One connection: its socket, what is read from it and what is said before there is a feed.

use std::{borrow::Cow, sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::value::RawValue;
use signalbox_stream::Outlet;
use signalbox_wire::{CallFrame, ClientFrame, CloseCode, HostFrame};
use tokio_tungstenite::tungstenite::{Error, Message, protocol::CloseFrame};

use super::{FRAMING, Over, Socket, Step};
use crate::http::{Net, Peer};

/// A frame of the client. A call keeps its parameters as they came, for the method to read.
pub(super) enum Received {
    Call { rid: u64, method: String, params: Option<Box<RawValue>>, key: Option<String> },
    Other(ClientFrame),
}

pub(super) struct Connection {
    pub(super) net: Arc<Net>,
    pub(super) peer: Peer,
    pub(super) socket: Socket,
    pub(super) outlet: Arc<Outlet>,
    /// How long the socket may take for what it is given.
    pub(super) stall: Duration,
    pub(super) refusals: u32,
}

impl Connection {
    pub(super) fn new(net: Arc<Net>, peer: Peer, socket: Socket) -> Self {
        let stall = Duration::from_millis(net.host.settings().limits.stall_ms.max(1));
        let outlet = Arc::clone(&socket.get_ref().shared.outlet);
        Self { net, peer, socket, outlet, stall, refusals: 0 }
    }

    /// Sends a frame before there is a feed.
    pub(super) async fn say(&self, frame: &HostFrame) -> Step<()> {
        let bytes = FRAMING.encode_all(std::iter::once(frame.to_json().as_bytes()));
        self.outlet.push(bytes).map_err(|_| Over(None))?;
        match tokio::time::timeout(self.stall, self.outlet.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over(None)),
            Err(_) => Err(Over(Some(CloseCode::Slow))),
        }
    }

    /// The next frame of the client; none for what is no frame of ours but a sign of life.
    pub(super) fn parse(&self, message: Option<Result<Message, Error>>) -> Step<Option<Received>> {
        match message {
            None | Some(Ok(Message::Close(_))) => Err(Over(None)),
            Some(Err(error)) => Err(Over(
                matches!(error, Error::Capacity(_) | Error::Utf8(_) | Error::Protocol(_))
                    .then_some(CloseCode::BadRequest),
            )),
            Some(Ok(Message::Text(text))) => {
                let limit = self.net.host.settings().limits.frame_bytes;
                if limit > 0 && text.len() as u64 > limit {
                    return Err(Over(Some(CloseCode::BadRequest)));
                }
                if let Some(CallFrame { rid, method, params, key, .. }) = CallFrame::read(&text) {
                    let (method, params) = (method.into_owned(), params.map(ToOwned::to_owned));
                    return Ok(Some(Received::Call { rid, method, params, key: key.map(Cow::into_owned) }));
                }
                serde_json::from_str(&text).map(|frame| Some(Received::Other(frame))).map_err(|error| {
                    tracing::debug!(peer = %self.peer.0, %error, "a malformed frame");
                    Over(Some(CloseCode::BadRequest))
                })
            }
            Some(Ok(Message::Binary(_))) => Err(Over(Some(CloseCode::BadRequest))),
            Some(Ok(_)) => Ok(None),
        }
    }

    /// Says goodbye, if it was us who ended it.
    pub(super) async fn close(mut self: Box<Self>, over: Over) {
        let Over(Some(code)) = over else { return };
        self.net.host.metrics().closed(code.code());
        let reconnect_ms = CloseCode::may_reconnect(code.code()).then(|| match code {
            // Spread out: a host that comes back must not meet everybody at once.
            CloseCode::Shutdown => 500 + u64::from(self.peer.0.port()) * 7919 % 4500,
            CloseCode::TooManyRequests => 1000 + u64::from(self.peer.0.port()) * 7919 % 9000,
            _ => 1000,
        });
        let bye = HostFrame::Bye { code: code.code(), reason: code.reason().to_owned(), reconnect_ms };
        let goodbye = async {
            self.outlet.push(FRAMING.encode_all(std::iter::once(bye.to_json().as_bytes()))).ok();
            let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
            self.socket.close(Some(frame)).await.ok();
            // Read on until the other side has closed too: a reset would take the code with it.
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        tokio::time::timeout(Duration::from_secs(2), goodbye).await.ok();
    }
}
