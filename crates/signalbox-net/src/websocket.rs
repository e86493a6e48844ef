//! WebSocket (RFC 6455): the full protocol, and the naive one for a single project.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, BytesMut};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use signalbox_model::{Role, RoomFilter};
use signalbox_stream::Framing;
use signalbox_wire::{CallError, Caller, CloseCode, SUBPROTOCOL};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role as Side, WebSocketConfig},
    },
};

use crate::{
    guard::{self, Source},
    http::{Failure, Net, Peer, Shared, check_rooms, project_rooms},
    wire::Wire,
};

mod calls;
mod connection;
mod entry;
mod live;

use connection::Connection;

type Socket = WebSocketStream<Wire>;

/// A frame of ours as a text message (RFC 6455, section 5.2: final, opcode 1, not masked).
const FRAMING: Framing = Framing { kind: 0, encode: text_message, overhead: 10 };

fn text_message(frame: &[u8], out: &mut BytesMut) {
    out.put_u8(0x81);
    match frame.len() {
        length @ 0..=125 => out.put_u8(u8::try_from(length).unwrap_or_default()),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.put_u8(126);
                out.put_u16(length);
            }
            Err(_) => {
                out.put_u8(127);
                out.put_u64(length as u64);
            }
        },
    }
    out.put_slice(frame);
}

/// The connection is over; if it was us, with this code.
struct Over(Option<CloseCode>);

type Step<T> = Result<T, Over>;

/// How somebody comes in.
enum Entry {
    /// With a `hello`; known already by what came with the request, or not yet.
    Full(Option<Caller>),
    /// Without a word, for these rooms.
    Naive(Caller, Vec<RoomFilter>),
}

pub(crate) async fn full(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Failure> {
    guard::refuse_token_in_url(request.uri())?;
    let caller = match guard::token(request.headers()) {
        // A browser cannot see the status of a refused handshake: it is let in and told by the close code.
        Some((token, Source::Cookie)) => net.host.caller(&token).await.ok(),
        Some((_, Source::Header)) => Some(net.caller(request.headers(), request.uri(), Role::Viewer).await?),
        None => None,
    };
    upgrade(net, peer, request, Entry::Full(caller))
}

pub(crate) async fn naive(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let caller = net.caller(request.headers(), request.uri(), Role::Viewer).await?;
    let rooms = project_rooms(&project)?;
    check_rooms(&net, &caller, &rooms).await?;
    upgrade(net, peer, request, Entry::Naive(caller, rooms))
}

fn wants_upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let has = |name: header::HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(wanted))
    };
    let ok = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| ok)
}

/// Answers the handshake (RFC 6455, section 4.2.2) and hands the socket on.
fn upgrade(net: Arc<Net>, peer: Peer, mut request: Request, entry: Entry) -> Result<Response, Failure> {
    let Some(key) = wants_upgrade(request.headers()) else {
        let error = CallError::bad_request("this path speaks WebSocket, version 13");
        let mut response = Failure(error).into_response();
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Ok(response);
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|error| CallError::bad_request(error.to_string()))?;
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let ours = offered.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|v| v.trim() == SUBPROTOCOL);
    // Boxed, and gone once it is done: what an idle connection keeps in memory is what its loop needs, and no more.
    let opening = Box::pin(open(net, peer, hyper::upgrade::on(&mut request), entry));
    tokio::spawn(async move {
        let Some((mut connection, mut live)) = opening.await else { return };
        let over = connection.serve(&mut live).await;
        // Nobody is listed who only says goodbye.
        drop(live);
        Box::pin(connection.close(over)).await;
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if ours {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

/// Takes the socket over from HTTP, and lets in who comes. None if nobody did.
async fn open(
    net: Arc<Net>,
    peer: Peer,
    upgrading: OnUpgrade,
    entry: Entry,
) -> Option<(Box<Connection>, Box<live::Live>)> {
    let upgraded = upgrading.await.ok()?;
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Wire>>() else {
        tracing::error!("a connection is not of the kind that was accepted; it is closed");
        return None;
    };
    // Copied, mostly nothing: hyper's buffer must not live as long as the connection.
    let early = read_buf.to_vec();
    drop(read_buf);
    // Small buffers: the library's own would cost an idle connection 256 KiB.
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let socket = WebSocketStream::from_partially_read(io.into_inner(), early, Side::Server, Some(config)).await;
    let mut connection = Box::new(Connection::new(net, peer, socket));
    match connection.enter(entry).await {
        Ok(live) => Some((connection, live)),
        Err(over) => {
            connection.close(over).await;
            None
        }
    }
}

/// What the library reads at most; the limit of the settings is checked on top of it, with a code that says so.
const LARGEST: usize = 1024 * 1024;
