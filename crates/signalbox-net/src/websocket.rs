//! WebSocket (RFC 6455): the full protocol, and the naive one for a single project.

use std::{
    borrow::Cow,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, BytesMut};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use signalbox_host::NotAdmitted;
use signalbox_model::{Role, RoomFilter};
use signalbox_stream::{Feed, FeedError, Framing, Listed, Outlet, Registration, SessionError, Transport};
use signalbox_wire::{
    CallError, CallFrame, Caller, ClientFrame, CloseCode, ErrorCode, Hello, HostFrame, PROTOCOL_VERSION, SUBPROTOCOL,
};
use tokio::time::Instant;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role as Side, WebSocketConfig},
    },
};

use crate::{
    guard::{self, Source},
    http::{Failure, Net, Peer, Shared, check_rooms, project_rooms},
    joins,
    wire::Wire,
};

/// Calls of one connection at work at a time, and bytes of their parameters beside those of one call. Many small ones share
/// a commit.
const CALLS: usize = 256;
const CALLS_BYTES: usize = 1024 * 1024;
/// Calls refused for their rate before the connection is closed.
const REFUSALS: u32 = 200;

/// Bytes that may wait for a client before nothing more is read of it.
const UNSENT: usize = 1024 * 1024;

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
    upgrade(request, move |socket| async move {
        let mut connection = Connection::new(net, peer, socket);
        let over = connection.full(caller).await;
        Box::pin(connection.close(over)).await;
    })
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
    upgrade(request, move |socket| async move {
        let mut connection = Connection::new(net, peer, socket);
        let over = connection.naive(caller, rooms).await;
        Box::pin(connection.close(over)).await;
    })
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
fn upgrade<F: Future<Output = ()> + Send>(
    mut request: Request,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Result<Response, Failure> {
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
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Wire>>() else {
            tracing::error!("a connection is not of the kind that was accepted; it is closed");
            return;
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
        // Boxed: the loop of a connection is a large future.
        Box::pin(serve(socket)).await;
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

/// What the library reads at most; the limit of the settings is checked on top of it, with a code that says so.
const LARGEST: usize = 1024 * 1024;

/// A frame of the client. A call keeps its parameters as they came, for the method to read.
enum Received {
    Call { rid: u64, method: String, params: Option<Box<RawValue>>, key: Option<String> },
    Other(ClientFrame),
}

struct Connection {
    net: Arc<Net>,
    peer: Peer,
    socket: Socket,
    outlet: Arc<Outlet>,
    stall: Duration,
    refusals: u32,
}

impl Connection {
    fn new(net: Arc<Net>, peer: Peer, socket: Socket) -> Self {
        let stall = Duration::from_millis(net.host.settings().limits.stall_ms.max(1));
        let outlet = Arc::clone(&socket.get_ref().shared.outlet);
        Self { net, peer, socket, outlet, stall, refusals: 0 }
    }

    /// Sends a frame before there is a feed.
    async fn say(&self, frame: &HostFrame) -> Step<()> {
        let bytes = FRAMING.encode_all(std::iter::once(frame.to_json().as_bytes()));
        self.outlet.push(bytes).map_err(|_| Over(None))?;
        match tokio::time::timeout(self.stall, self.outlet.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over(None)),
            Err(_) => Err(Over(Some(CloseCode::Slow))),
        }
    }

    /// The next frame of the client; none for what is no frame of ours but a sign of life.
    fn parse(&self, message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Step<Option<Received>> {
        match message {
            None | Some(Ok(Message::Close(_))) => Err(Over(None)),
            Some(Err(error)) => {
                use tokio_tungstenite::tungstenite::Error;
                Err(Over(
                    matches!(error, Error::Capacity(_) | Error::Utf8(_) | Error::Protocol(_))
                        .then_some(CloseCode::BadRequest),
                ))
            }
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

    async fn hello(&mut self) -> Step<Hello> {
        let limit = Duration::from_millis(self.net.host.settings().limits.hello_ms.max(1));
        let deadline = Instant::now() + limit;
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout_at(deadline, self.socket.next()) => message,
                () = self.net.closed() => return Err(Over(Some(CloseCode::Shutdown))),
            };
            let message = message.map_err(|_| Over(Some(CloseCode::NoHello)))?;
            match self.parse(message)? {
                Some(Received::Other(ClientFrame::Hello(hello))) => return Ok(hello),
                Some(_) => return Err(Over(Some(CloseCode::NoHello))),
                None => {}
            }
        }
    }

    async fn full(&mut self, caller: Option<Caller>) -> Over {
        let served = async {
            let hello = Box::pin(self.hello()).await?;
            if hello.v != PROTOCOL_VERSION {
                return Err(Over(Some(CloseCode::UnsupportedVersion)));
            }
            let caller = match &hello.token {
                Some(token) => Box::pin(recognise(Arc::clone(&self.net), self.peer, token.clone())).await?,
                None => caller.ok_or(Over(Some(CloseCode::InvalidToken)))?,
            };
            let caller = Caller { address: Some(self.peer.address()), ..caller };
            let Hello { rid, client, rooms, resume, .. } = hello;
            let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
            let name = format!("{}/{}", short(&client.name), short(&client.version));
            let rooms = self.net.host.rooms_of(&caller, rooms);
            let listed = self.register(&caller, Transport::WebSocket, name, client.instance).await?;
            Box::pin(self.welcome(rid, &caller, &listed)).await?;
            self.stream(caller, listed, rooms, resume).await
        };
        served.await.err().unwrap_or(Over(None))
    }

    async fn naive(&mut self, caller: Caller, rooms: Vec<RoomFilter>) -> Over {
        let served = async {
            let listed = self.register(&caller, Transport::NaiveWebSocket, "naive".into(), None).await?;
            Box::pin(self.welcome(None, &caller, &listed)).await?;
            self.stream(caller, listed, rooms, None).await
        };
        served.await.err().unwrap_or(Over(None))
    }

    async fn register(
        &self,
        caller: &Caller,
        transport: Transport,
        client: String,
        instance: Option<String>,
    ) -> Step<Listed> {
        let turn = self.net.joins.turn(std::time::Instant::now(), joins::PATIENCE);
        let wait = turn.map_err(|_| Over(Some(CloseCode::TooManyRequests)))?;
        self.net.rest(wait).await.map_err(|_| Over(Some(CloseCode::Shutdown)))?;
        let registration = Registration {
            transport,
            member: caller.member.clone(),
            member_name: caller.actor.to_string(),
            client,
            instance: instance.map(|text| text.chars().take(60).collect()),
            address: Some(self.peer.0.to_string()),
            now: self.net.host.clock().now(),
        };
        let listed = Box::pin(self.net.host.admit(caller, registration)).await.map_err(|refused| {
            Over(Some(match refused {
                NotAdmitted::Full(_) => CloseCode::ConnectionLimit,
                NotAdmitted::Changed => CloseCode::StateInvalidated,
            }))
        })?;
        self.net.host.metrics().accepted(transport.as_str());
        Ok(listed)
    }

    async fn welcome(&mut self, rid: Option<u64>, caller: &Caller, listed: &Listed) -> Step<()> {
        let host = &self.net.host;
        let frame = HostFrame::Connection {
            rid,
            epoch: host.store().epoch().clone(),
            head: host.head(),
            version: signalbox_host::VERSION.to_owned(),
            connection: listed.id,
            member: caller.member.clone(),
            member_name: caller.actor.to_string(),
            role: caller.role,
            limits: host.limits(),
            ping_ms: host.settings().limits.ping_ms,
        };
        self.say(&frame).await
    }

    async fn stream(
        &mut self,
        caller: Caller,
        listed: Listed,
        rooms: Vec<RoomFilter>,
        resume: Option<signalbox_model::Cursor>,
    ) -> Step<()> {
        let mut feed = self.net.host.feed(caller.clone(), Arc::clone(&self.outlet), &listed, FRAMING);
        let mode = if resume.is_some() { "resumed" } else { "snapshot" };
        if !rooms.is_empty() {
            self.net.host.follow(&caller, &listed, rooms.clone());
            Box::pin(feed.join(None, rooms, resume)).await.map_err(|error| over(&error))?;
        }
        self.joined(&caller, &listed, &feed, mode);
        self.net.host.metrics().joined(if feed.resets() > 0 { "reset" } else { mode });
        self.net.host.arrived(&caller);
        let ping = Duration::from_millis(self.net.host.settings().limits.ping_ms.max(1));
        // The first one at a random moment of the second half, so that many clients do not answer at once.
        let spread = u32::try_from(listed.id % 1000).unwrap_or(0);
        let mut ping_at = Instant::now() + ping / 2 + ping / 2 * spread / 1000;
        let mut answer_by: Option<Instant> = None;
        let mut pinged_at = Instant::now();
        let mut calls = FuturesUnordered::new();
        let mut at_work = 0;
        let host = self.net.host.clone();
        let mut expired = Box::pin(host.until(caller.expires_at));
        loop {
            let deadline = answer_by.map_or(ping_at, |answer| answer.min(ping_at));
            // Who does not read its answers is not asked for more.
            let reads = self.outlet.unsent() < UNSENT;
            tokio::select! {
                // In this order: what came together is taken together, before the first of it is done.
                biased;
                code = listed.closed() => return Err(Over(Some(code))),
                () = &mut expired => return Err(Over(Some(CloseCode::TokenExpired))),
                () = self.net.closed() => return Err(Over(Some(CloseCode::Shutdown))),
                error = feed.run() => return Err(match error {
                    FeedError::Session(error) => over(&error),
                    FeedError::Socket(_) => Over(None),
                    FeedError::Stalled => Over(Some(CloseCode::Slow)),
                }),
                message = self.socket.next(), if reads && calls.len() < CALLS && at_work < CALLS_BYTES => {
                    answer_by = None;
                    if says_goodbye(message.as_ref()) {
                        listed.leave();
                    }
                    match self.parse(message)? {
                        None => {}
                        Some(Received::Call { rid, method, params, key }) => {
                            match self.net.calls.take(&caller.member, std::time::Instant::now()) {
                                Ok(()) => {
                                    at_work += params.as_ref().map_or(0, |params| params.get().len());
                                    calls.push(call(Arc::clone(&self.net), caller.clone(), rid, method, params, key));
                                }
                                Err(error) => {
                                    self.refusals += 1;
                                    self.net.host.metrics().refused();
                                    reply(&feed, rid, Err(Some(error)))?;
                                    if self.refusals > REFUSALS {
                                        return Err(Over(Some(CloseCode::TooManyRequests)));
                                    }
                                }
                            }
                        }
                        Some(Received::Other(frame)) => match frame {
                        ClientFrame::Pong {} => {
                            let micros = u64::try_from(pinged_at.elapsed().as_micros()).unwrap_or(u64::MAX);
                            listed.round_trip_us.store(micros.max(1), Ordering::Relaxed);
                            self.net.host.metrics().round_trip(pinged_at.elapsed());
                        }
                        // Calls are read apart; a second hello is a mistake.
                        ClientFrame::Call { .. } | ClientFrame::Hello(_) => return Err(Over(Some(CloseCode::BadRequest))),
                        ClientFrame::Subscribe { rid, rooms, resume } => {
                            let wanted = feed.rooms().chain(&rooms).cloned().collect();
                            self.net.host.follow(&caller, &listed, wanted);
                            if let Err(error) = Box::pin(feed.join(rid, rooms, resume)).await {
                                join_failed(&feed, rid, &error)?;
                            }
                            self.joined(&caller, &listed, &feed, mode);
                        }
                        ClientFrame::Unsubscribe { rid, rooms } => {
                            feed.leave(&rooms);
                            self.joined(&caller, &listed, &feed, mode);
                            if let Some(rid) = rid {
                                reply(&feed, rid, Err(None))?;
                            }
                        }
                        ClientFrame::Presence { room, state } => {
                            self.net.host.say_presence(&listed, room, state);
                        }
                        // Belongs to another transport; a sign of life.
                        ClientFrame::Credit { .. } => {}
                        },
                    }
                }
                Some(answered) = calls.next(), if reads && !calls.is_empty() => {
                    // Calls that shared a commit end together: so do their replies go out.
                    let mut replies = Vec::new();
                    let mut next = Some(answered);
                    while let Some(Answered { rid, reply, bytes }) = next.take() {
                        at_work -= bytes;
                        replies.push(reply_to(rid, reply).to_json());
                        if replies.len() < CALLS {
                            next = calls.next().now_or_never().flatten();
                        }
                    }
                    feed.say_all(replies.iter().map(String::as_bytes)).map_err(|_| Over(None))?;
                }
                // Only while nothing else waits: what is worth sending while it is new gives way to everything else.
                () = listed.mailbox.ready(|| self.outlet.unsent() > 0) => {
                    for frame in listed.mailbox.take() {
                        feed.say(&frame).map_err(|_| Over(None))?;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let now = Instant::now();
                    if answer_by.is_some_and(|answer| answer <= now) {
                        return Err(Over(Some(CloseCode::NoPong)));
                    }
                    ping_at = now + ping;
                    pinged_at = now;
                    answer_by.get_or_insert(now + self.stall);
                    say(&feed, &HostFrame::Ping { head: self.net.host.head(), sent: feed.sent() })?;
                }
            }
        }
    }

    /// The rooms of a connection are these now.
    fn joined(&self, caller: &Caller, listed: &Listed, feed: &Feed, mode: &'static str) {
        list_rooms(listed, feed, mode);
        self.net.host.follow(caller, listed, feed.rooms().cloned().collect());
    }

    /// Says goodbye, if it was us who ended it.
    async fn close(mut self, over: Over) {
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

/// Whether the client closes on purpose: with code 1000, or with none. A page that is closed or loaded anew says 1001, and
/// may be back at once.
fn says_goodbye(message: Option<&Result<Message, tokio_tungstenite::tungstenite::Error>>) -> bool {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as Code;
    match message {
        Some(Ok(Message::Close(frame))) => frame.as_ref().is_none_or(|frame| frame.code == Code::Normal),
        _ => false,
    }
}

fn say(feed: &Feed, frame: &HostFrame) -> Step<()> {
    feed.say(frame.to_json().as_bytes()).map_err(|_| Over(None))
}

fn join_failed(feed: &Feed, rid: Option<u64>, error: &SessionError) -> Step<()> {
    let SessionError::TooManyRooms { .. } = error else { return Err(over(error)) };
    let error = CallError::new(ErrorCode::LimitExceeded, error.to_string()).hint("leave some rooms first");
    reply(feed, rid.unwrap_or(0), Err(Some(error)))
}

fn reply(feed: &Feed, rid: u64, reply: Reply) -> Step<()> {
    say(feed, &reply_to(rid, reply))
}

fn reply_to(rid: u64, reply: Reply) -> HostFrame {
    let (result, error) = match reply {
        Ok(result) => (Some(result), None),
        Err(None) => (RawValue::from_string("{}".into()).ok(), None),
        Err(error) => (None, error),
    };
    HostFrame::Reply { rid, result, error }
}

/// A call that came back.
struct Answered {
    rid: u64,
    reply: Reply,
    /// Of its parameters.
    bytes: usize,
}

type Reply = Result<Box<RawValue>, Option<CallError>>;

/// Boxed: it waits among others.
fn call(
    net: Arc<Net>,
    mut caller: Caller,
    rid: u64,
    method: String,
    params: Option<Box<RawValue>>,
    key: Option<String>,
) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    caller.key = key;
    // Said before the first of the calls that came together begins, so that they share a commit.
    let coming = signalbox_wire::method::writes(&method).then(|| net.host.store().announce());
    Box::pin(async move {
        let reply = net.host.call(&caller, &method, params.as_deref()).await.map_err(Some);
        drop(coming);
        Answered { rid, reply, bytes: params.map_or(0, |params| params.get().len()) }
    })
}

async fn recognise(net: Arc<Net>, peer: Peer, token: String) -> Step<Caller> {
    use signalbox_host::AuthError;
    match net.host.caller(&token).await {
        Ok(caller) => Ok(caller),
        Err(AuthError::Expired) => Err(Over(Some(CloseCode::TokenExpired))),
        Err(AuthError::Wrong) => {
            net.host.metrics().refused();
            net.note_refusal(peer).await;
            Err(Over(Some(CloseCode::InvalidToken)))
        }
        Err(AuthError::Unavailable) => Err(Over(Some(CloseCode::StateInvalidated))),
    }
}

fn list_rooms(listed: &Listed, feed: &Feed, mode: &'static str) {
    let mode = if feed.resets() > 0 { "reset" } else { mode };
    *listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) = (feed.rooms().map(ToString::to_string).collect(), mode);
}

fn over(error: &SessionError) -> Over {
    Over(Some(match error {
        SessionError::TooManyRooms { .. } => CloseCode::BadRequest,
        SessionError::Store(_) => CloseCode::StateInvalidated,
        SessionError::Stopping => CloseCode::Shutdown,
    }))
}
