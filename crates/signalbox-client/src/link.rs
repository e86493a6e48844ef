//! One connection, as it is: frames of text in both directions, until it ends.

use futures_util::{SinkExt, StreamExt};
use signalbox_wire::{ClientFrame, SUBPROTOCOL};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, Utf8Bytes, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use crate::{
    Ended, Options,
    stream::{Place, Stream},
};

/// Largest message, in bytes: a snapshot of a very large project.
const LARGEST: usize = 256 << 20;
/// Refused before there was a WebSocket: what the host's close codes say for it.
const UNAUTHORISED: u16 = 4500;
const TRY_LATER: u16 = 4014;

/// A connection that does not resume. [`connect`](crate::connect) makes these, one after the other; by itself it is for
/// programs that keep their own place, as the desktop's page does.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<Stream>,
}

impl Link {
    /// Connects to `options.url`. Nothing is said yet: the first frame has to be a `hello`.
    ///
    /// # Errors
    /// If the host cannot be reached within `options.connect_timeout`, or refuses.
    pub async fn open(options: &Options) -> Result<Self, Ended> {
        let url = options.url.trim_end_matches('/');
        let unreachable = |why: String| Ended::Unreachable { url: url.to_owned(), why };
        let no_address = || Ended::Protocol(format!("{url:?} is no address of a host"));
        let place = Place::parse(url).ok_or_else(no_address)?;
        let scheme = if place.secret { "wss" } else { "ws" };
        let address = format!("{scheme}://{}/api/v1/ws", place.authority);
        let mut request = address.into_client_request().map_err(|error| Ended::Protocol(error.to_string()))?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let connecting = async {
            let stream = Stream::open(&place, options.pin).await?;
            client_async_with_config(request, stream, Some(config)).await
        };
        match tokio::time::timeout(options.connect_timeout, connecting).await {
            Err(_) => Err(unreachable("no answer in time".into())),
            Ok(Err(Error::Http(response))) => {
                let status = response.status().as_u16();
                let code = if matches!(status, 401 | 403) { UNAUTHORISED } else { TRY_LATER };
                Err(Ended::Closed { code, reason: format!("HTTP {status}") })
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Ok(Ok((socket, _))) => Ok(Self { socket }),
        }
    }

    /// The next frame. Safe to drop while it waits.
    ///
    /// # Errors
    /// Why there will be no more.
    pub async fn next(&mut self) -> Result<Utf8Bytes, Ended> {
        loop {
            match self.socket.next().await {
                None => return Err(Ended::Broken("the host closed it without a word".into())),
                Some(Err(error)) => return Err(Ended::Broken(error.to_string())),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) =
                        frame.map_or((1005, "no reason".to_owned()), |f| (f.code.into(), f.reason.to_string()));
                    return Err(Ended::Closed { code, reason });
                }
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Says something. To be run to its end: half a frame cannot be taken back.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), Ended> {
        let text = serde_json::to_string(frame).map_err(|error| Ended::Protocol(error.to_string()))?;
        self.socket.send(Message::text(text)).await.map_err(|error| Ended::Broken(error.to_string()))
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        self.socket.close(None).await.ok();
    }
}
