//! Server-sent events (WHATWG HTML, section 9.2): the same frames, one a message.
//!
//! Messages carry no `event:` name, so that `onmessage` receives all of them; the frame's `type`
//! tells them apart. `id:` is the cursor, and a browser sends the last one back as `Last-Event-ID`.
//! `reset`, `snapshot` and `synced` are in the stream as well.

use std::{convert::Infallible, sync::Arc, sync::atomic::Ordering, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use signalbox_model::{Cursor, Role, RoomFilter};
use signalbox_stream::{Registration, Session, Transport};
use signalbox_wire::{CallError, Caller, ErrorCode};
use tokio::sync::mpsc;

use crate::http::{Failure, Net, Peer, Shared, check_rooms, project_rooms};

/// Bytes taken from a session at a time.
const BATCH: usize = 64 * 1024;

/// Query parameters of a stream.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Wanted {
    rooms: Option<String>,
    after: Option<String>,
}

type Answer = Result<Response, Failure>;

pub(crate) async fn rooms(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
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
    open(net, peer, caller, headers, rooms, wanted.after).await
}

pub(crate) async fn project(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
    Path(project): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    open(net, peer, caller, headers, project_rooms(&project)?, wanted.after).await
}

async fn open(
    net: Arc<Net>,
    peer: Peer,
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
    let limits = &net.host.settings().limits;
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
    let listed =
        net.host.connections().register(registration, limits.connections_per_member, limits.connections).map_err(
            |_| {
                CallError::new(ErrorCode::TooManyRequests, "too many connections")
                    .hint("close some, or raise limits.connections")
            },
        )?;
    net.host.metrics().accepted("sse");
    let mut session = net.host.session(caller);
    let joined = if resume.is_some() { "resumed" } else { "snapshot" };
    *listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) = (rooms.iter().map(ToString::to_string).collect(), joined);
    session.join(None, rooms, resume).await.map_err(|error| CallError::bad_request(error.to_string()))?;
    // One piece on its way: what comes after it stays in the log.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(feed(net, session, listed, sender));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<Bytes, Infallible>(bytes), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would hold messages back until its buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

async fn feed(net: Arc<Net>, mut session: Session, listed: signalbox_stream::Listed, sender: mpsc::Sender<Bytes>) {
    let limits = &net.host.settings().limits;
    let (ping, stall) = (Duration::from_millis(limits.ping_ms), Duration::from_millis(limits.stall_ms));
    let mut opening = BytesMut::new();
    opening.put_slice(b"retry: 2000\n\n");
    let mut next = Some(opening.freeze());
    loop {
        if let Some(bytes) = next.take() {
            match tokio::time::timeout(stall, sender.send(bytes)).await {
                Ok(Ok(())) => {}
                // The socket takes nothing: the client finds the rest with its cursor.
                Err(_) => {
                    net.host.metrics().closed(signalbox_wire::CloseCode::Slow.code());
                    return;
                }
                Ok(Err(_)) => return,
            }
        }
        tokio::select! {
            batch = session.next(BATCH) => match batch {
                Ok(batch) => {
                    listed.count(batch.events, batch.bytes() as u64);
                    listed.sent.store(session.sent(), Ordering::Relaxed);
                    listed.lag.store(net.host.head().saturating_sub(session.cursor()), Ordering::Relaxed);
                    net.host.metrics().sent(batch.events, batch.bytes() as u64);
                    let mut out = BytesMut::with_capacity(batch.bytes() + batch.frames.len() * 48);
                    batch.frames.iter().for_each(|frame| message(frame, &mut out));
                    next = Some(out.freeze());
                }
                Err(error) => {
                    tracing::warn!(%error, "a stream was ended");
                    return;
                }
            },
            () = tokio::time::sleep(ping) => next = Some(Bytes::from_static(b": ping\n\n")),
            _ = listed.closed() => return,
            () = sender.closed() => return,
        }
    }
}

/// A frame as a message. JSON has no line ends in it, so one `data:` line holds it.
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
