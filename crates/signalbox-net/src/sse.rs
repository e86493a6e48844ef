//! Server-sent events (WHATWG HTML, section 9.2): the same frames, one a message.
//!
//! Messages carry no `event:` name, so that `onmessage` receives all of them; the frame's `type`
//! tells them apart. `id:` is the cursor, and a browser sends the last one back as `Last-Event-ID`.
//! `reset`, `snapshot` and `synced` are in the stream as well.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{FromRequestParts, Path, Query, State, rejection::ExtensionRejection},
    http::{HeaderMap, Uri, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use signalbox_host::NotAdmitted;
use signalbox_model::{Cursor, Role, RoomFilter, UnixMillis};
use signalbox_stream::{Feed, FeedError, Framing, Listed, Registration, Transport};
use signalbox_wire::{CallError, Caller, CloseCode, ErrorCode};
use tokio::sync::oneshot;

use crate::{
    http::{Failure, Net, Peer, Shared, check_rooms, project_rooms},
    joins, wire,
};

const CHUNKED: Framing = Framing { kind: 1, encode: chunk, overhead: 96 };
const PLAIN: Framing = Framing { kind: 2, encode: message, overhead: 64 };

/// Query parameters of a stream.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Wanted {
    rooms: Option<String>,
    after: Option<String>,
}

type Answer = Result<Response, Failure>;

pub(crate) async fn rooms(
    State(net): Shared,
    socket: Socket,
    headers: HeaderMap,
    uri: Uri,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    let names = wanted.rooms.as_deref().unwrap_or_default();
    let rooms: Vec<RoomFilter> = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.parse().map_err(|error: signalbox_model::RoomError| CallError::bad_request(error.to_string())))
        .collect::<Result<_, _>>()?;
    if rooms.is_empty() {
        return Err(
            CallError::bad_request("name at least one room: /api/v1/events?rooms=project/<id>/**,activity").into()
        );
    }
    open(net, socket, caller, headers, rooms, wanted.after).await
}

pub(crate) async fn project(
    State(net): Shared,
    socket: Socket,
    Path(project): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    open(net, socket, caller, headers, project_rooms(&project)?, wanted.after).await
}

/// The connection that a request came over.
pub(crate) struct Socket {
    peer: Peer,
    shared: Arc<wire::Shared>,
    version: Version,
}

impl<S: Send + Sync> FromRequestParts<S> for Socket {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let extension = |rejection: ExtensionRejection| rejection.into_response();
        let Extension(peer) = Extension::from_request_parts(parts, state).await.map_err(extension)?;
        let Extension(shared) = Extension::from_request_parts(parts, state).await.map_err(extension)?;
        Ok(Self { peer, shared, version: parts.version })
    }
}

async fn open(
    net: Arc<Net>,
    Socket { peer, shared, version }: Socket,
    caller: Caller,
    headers: HeaderMap,
    rooms: Vec<RoomFilter>,
    after: Option<String>,
) -> Answer {
    check_rooms(&net, &caller, &rooms).await?;
    // A reconnecting browser knows better than the address it was opened with.
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned).or(after);
    let resume: Option<Cursor> = match last.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            text.parse().map_err(|error: signalbox_model::CursorError| CallError::bad_request(error.to_string()))?,
        ),
    };
    let wait = net.joins.turn(std::time::Instant::now(), joins::LONG_PATIENCE)?;
    net.rest(wait).await?;
    let registration = Registration {
        transport: Transport::Sse,
        member: caller.member.clone(),
        member_name: caller.actor.to_string(),
        client: headers
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("sse")
            .chars()
            .take(60)
            .collect(),
        instance: None,
        address: Some(peer.0.to_string()),
        now: net.host.clock().now(),
    };
    let listed = net.host.admit(&caller, registration).await.map_err(|refused| match refused {
        NotAdmitted::Full(_) => CallError::new(ErrorCode::TooManyRequests, "too many connections")
            .hint("close some, or raise limits.connections"),
        NotAdmitted::Changed => {
            CallError::new(ErrorCode::Unauthorized, "your rights here have just changed").hint("connect again")
        }
    })?;
    net.host.metrics().accepted("sse");
    let asked = if resume.is_some() { "resumed" } else { "snapshot" };
    // HTTP/1.0, which proxies still speak, has no chunks: the body ends with the connection.
    let chunked = version >= Version::HTTP_11;
    let framing = if chunked { CHUNKED } else { PLAIN };
    let until = caller.expires_at;
    net.host.follow(&caller, &listed, rooms.clone());
    let mut feed = net.host.feed(caller.clone(), Arc::clone(&shared.outlet), &listed, framing);
    feed.join(None, rooms, resume).await.map_err(|error| CallError::bad_request(error.to_string()))?;
    let joined = if feed.resets() > 0 { "reset" } else { asked };
    net.host.metrics().joined(joined);
    *listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) = (feed.rooms().map(ToString::to_string).collect(), joined);
    net.host.follow(&caller, &listed, feed.rooms().cloned().collect());
    let listed_id = listed.id;
    let (body, ended) = oneshot::channel();
    tokio::spawn(serve(net, feed, listed, Arc::clone(&shared), chunked, until, body));
    // Without an empty line: some clients take that for a message without data. So it belongs to the first one.
    // A browser waits exactly this long and knows no chance: spread out, or all would be back at one moment.
    let retry = Bytes::from(format!("retry: {}\n", 1000 + listed_id * 7919 % 4000));
    let opening = futures_util::stream::once(async { Ok::<_, Infallible>(retry) });
    let end = futures_util::stream::once(async move {
        shared.body_waits();
        ended.await.ok();
        Ok(Bytes::new())
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // What comes after the head is not hyper's, so no second response can follow it.
        (header::CONNECTION, "close"),
        // nginx would hold messages back until its buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(opening.chain(end))).into_response())
}

/// What follows the head of the response is written to the socket past hyper: first when hyper has nothing left to write,
/// and until `body` is gone, which hyper drops with the connection.
async fn serve(
    net: Arc<Net>,
    mut feed: Feed,
    listed: Listed,
    shared: Arc<wire::Shared>,
    chunked: bool,
    until: Option<UnixMillis>,
    body: oneshot::Sender<()>,
) {
    let ping = Duration::from_millis(net.host.settings().limits.ping_ms.max(1));
    let mut body = body;
    let host = net.host.clone();
    let mut expired = Box::pin(host.until(until));
    tokio::select! {
        () = shared.handed_over() => {}
        () = body.closed() => return,
    }
    loop {
        tokio::select! {
            error = feed.run() => {
                match error {
                    FeedError::Session(error) => tracing::warn!(%error, "a stream was ended"),
                    FeedError::Socket(_) => {}
                    // The socket takes nothing: the client finds the rest with its cursor.
                    FeedError::Stalled => {
                        net.host.metrics().closed(CloseCode::Slow.code());
                        shared.outlet.abort();
                    }
                }
                return;
            }
            () = listed.mailbox.ready(|| shared.outlet.unsent() > 0) => {
                for frame in listed.mailbox.take() {
                    if feed.say(&frame).is_err() {
                        return;
                    }
                }
            }
            () = tokio::time::sleep(ping) => {
                let comment: &[u8] = if chunked { b"8\r\n: ping\n\n\r\n" } else { b": ping\n\n" };
                if shared.outlet.push_slice(comment).is_err() {
                    return;
                }
            }
            _ = listed.closed() => return,
            () = &mut expired => return,
            () = net.closed() => return,
            () = body.closed() => return,
        }
    }
}

/// A frame as a message of the stream. JSON has no line ends in it, so one `data:` line holds it.
fn message(frame: &[u8], out: &mut BytesMut) {
    if let Some(cursor) = cursor_of(frame) {
        out.put_slice(b"id: ");
        out.put_slice(cursor);
        out.put_u8(b'\n');
    }
    out.put_slice(b"data: ");
    out.put_slice(frame);
    out.put_slice(b"\n\n");
}

/// The same as a chunk (RFC 9112, section 7.1).
fn chunk(frame: &[u8], out: &mut BytesMut) {
    let id = cursor_of(frame).map_or(0, |cursor| b"id: \n".len() + cursor.len());
    let length = id + b"data: \n\n".len() + frame.len();
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = length;
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
    message(frame, out);
    out.put_slice(b"\r\n");
}

/// The cursor of an event or of `synced`: both have it near their beginning, before anything that came from outside.
fn cursor_of(frame: &[u8]) -> Option<&[u8]> {
    let head = &frame[..frame.len().min(200)];
    let find = |needle: &[u8]| head.windows(needle.len()).position(|window| window == needle);
    let event = find(b"\",\"seq\":").is_some_and(|at| at < 80);
    if !event && !head.starts_with(b"{\"type\":\"synced\"") {
        return None;
    }
    let start = find(b"\"cursor\":\"")? + 10;
    let length = head[start..].iter().position(|byte| *byte == b'"')?;
    Some(&head[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &str) -> String {
        let mut out = BytesMut::new();
        message(frame.as_bytes(), &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn events_and_synced_carry_their_cursor_and_nothing_else_does() {
        let event =
            r#"{"type":"x_a","seq":7,"prev":3,"cursor":"abcd.7","room":"activity","ts":1,"actor":"a","data":{}}"#;
        assert_eq!(text(event), format!("id: abcd.7\ndata: {event}\n\n"));
        let synced = r#"{"type":"synced","cursor":"abcd.9"}"#;
        assert_eq!(text(synced), format!("id: abcd.9\ndata: {synced}\n\n"));
        let snapshot =
            r#"{"type":"snapshot","room":"activity","at":1,"state":{"entries":[{"seq":1,"cursor":"evil.1"}]}}"#;
        assert_eq!(text(snapshot), format!("data: {snapshot}\n\n"));
    }
}
