//! One stream: the loop between a page and a [`Session`] of the host.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::value::RawValue;
use signalbox_host::Host;
use signalbox_model::Cursor;
use signalbox_stream::{Batch, Listed, Refused, Registration, Session, SessionError, Transport};
use signalbox_wire::{CallError, Caller, ClientFrame, CloseCode, ErrorCode, Hello, HostFrame, PROTOCOL_VERSION};
use tokio::{sync::mpsc, time::Instant};

use crate::{BATCH, BEAT, FIRST_CREDIT, INBOX, OUTBOX, credit::Credit};

/// Calls of one stream at work at a time.
const CALLS: usize = 32;

/// Why a frame of the page was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The stream is over. Nothing that the host confirmed was lost.
    #[error("this stream is closed; open a new one and resume from the last cursor")]
    Closed,
    /// More frames than the host took.
    #[error("{INBOX} frames wait already; this one was not taken: wait for replies, then send it again")]
    Full,
}

/// The page's end of a stream. Dropped, the stream ends.
#[derive(Debug)]
pub struct Stream {
    frames: mpsc::Sender<ClientFrame>,
    credit: Arc<Credit>,
}

impl Stream {
    /// With the ends that the loop behind it holds.
    pub(crate) fn new() -> (Self, mpsc::Receiver<ClientFrame>, Arc<Credit>) {
        let (sender, frames) = mpsc::channel(INBOX);
        let credit = Arc::new(Credit::new(FIRST_CREDIT));
        (Self { frames: sender, credit: Arc::clone(&credit) }, frames, credit)
    }

    /// Hands the host a frame. Never waits.
    ///
    /// # Errors
    /// If the stream is over, or too many frames wait.
    pub fn send(&self, frame: ClientFrame) -> Result<(), SendError> {
        if let ClientFrame::Credit { batches } = frame {
            self.credit.add(batches);
            return if self.frames.is_closed() { Err(SendError::Closed) } else { Ok(()) };
        }
        self.frames.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }
}

/// Opens a stream for the local owner. The future is its loop and has to be run; it ends when the [`Stream`] is dropped,
/// when the host stops, or when `deliver` says that nobody is there any more.
///
/// `deliver` gets each batch as the text of a JSON array.
pub fn open<D>(host: &Host, deliver: D) -> (Stream, impl Future<Output = ()> + Send + 'static)
where
    D: FnMut(String) -> bool + Send + 'static,
{
    let (stream, frames, credit) = Stream::new();
    let page = Page { host: host.clone(), caller: host.owner(), frames, credit, deliver, outbox: Vec::new() };
    (stream, Box::pin(page.run()))
}

/// The stream is over; if it was us, with this code.
struct Over(Option<CloseCode>);

type Step<T> = Result<T, Over>;

struct Page<D> {
    host: Host,
    caller: Caller,
    frames: mpsc::Receiver<ClientFrame>,
    credit: Arc<Credit>,
    deliver: D,
    outbox: Vec<Bytes>,
}

impl<D: FnMut(String) -> bool + Send> Page<D> {
    async fn run(mut self) {
        let Err(Over(code)) = self.serve().await else { return };
        let Some(code) = code else { return };
        self.host.metrics().closed(code.code());
        let reconnect_ms = CloseCode::may_reconnect(code.code()).then_some(1000);
        // Sent without credit: it is one batch, and the last.
        self.say(&HostFrame::Bye { code: code.code(), reason: code.reason().to_owned(), reconnect_ms });
        self.flush(Batch::default());
    }

    async fn serve(&mut self) -> Step<()> {
        let limit = Duration::from_millis(self.host.settings().limits.hello_ms.max(1));
        let hello = match tokio::time::timeout(limit, self.frames.recv()).await {
            Ok(None) => return Err(Over(None)),
            Ok(Some(ClientFrame::Hello(hello))) => hello,
            Ok(Some(_)) | Err(_) => return Err(Over(Some(CloseCode::NoHello))),
        };
        if hello.v != PROTOCOL_VERSION {
            return Err(Over(Some(CloseCode::UnsupportedVersion)));
        }
        let listed = self.register(&hello)?;
        self.say(&HostFrame::Connection {
            rid: hello.rid,
            epoch: self.host.store().epoch().clone(),
            head: self.host.head(),
            version: signalbox_host::VERSION.to_owned(),
            connection: listed.id,
            member: self.caller.member.clone(),
            member_name: self.caller.actor.to_string(),
            role: self.caller.role,
            limits: self.host.limits(),
            ping_ms: self.host.settings().limits.ping_ms,
        });
        self.stream(listed, hello.rooms, hello.resume).await
    }

    fn register(&self, hello: &Hello) -> Step<Listed> {
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
        let registration = Registration {
            transport: Transport::Ipc,
            member: self.caller.member.clone(),
            member_name: self.caller.actor.to_string(),
            client: format!("{}/{}", short(&hello.client.name), short(&hello.client.version)),
            instance: hello.client.instance.as_deref().map(short),
            address: None,
            now: self.host.clock().now(),
        };
        // No limits: who sits at the machine is never kept out by those who connect from elsewhere.
        let listed = self.host.connections().register(registration, 0, 0);
        let listed = listed.map_err(|(Refused::Host | Refused::Member)| Over(Some(CloseCode::ConnectionLimit)))?;
        self.host.metrics().accepted(Transport::Ipc.as_str());
        Ok(listed)
    }

    async fn stream(
        &mut self,
        listed: Listed,
        rooms: Vec<signalbox_model::RoomFilter>,
        resume: Option<Cursor>,
    ) -> Step<()> {
        let rooms = self.host.rooms_of(&self.caller, rooms);
        let mut session = self.host.session(self.caller.clone());
        let mode = if resume.is_some() { "resumed" } else { "snapshot" };
        self.host.follow(&self.caller, &listed, rooms.clone());
        session.join(None, rooms, resume).await.map_err(|error| over(&error))?;
        self.joined(&listed, &session, mode);
        self.host.metrics().joined(if session.resets() > 0 { "reset" } else { mode });
        self.host.arrived(&self.caller);
        let credit = Arc::clone(&self.credit);
        let ping = Duration::from_millis(self.host.settings().limits.ping_ms.max(1));
        let (mut beat, mut ping_at, mut pinged_at) = (Instant::now(), Instant::now() + ping / 2, Instant::now());
        let mut calls = FuturesUnordered::new();
        loop {
            let open = credit.any();
            let urgent = !self.outbox.is_empty();
            tokio::select! {
                code = listed.closed() => return Err(Over(Some(code))),
                frame = self.frames.recv(), if calls.len() < CALLS && self.outbox.len() < OUTBOX => match frame {
                    None => return Err(Over(None)),
                    Some(ClientFrame::Hello(_)) => return Err(Over(Some(CloseCode::BadRequest))),
                    Some(ClientFrame::Pong {}) => {
                        let micros = u64::try_from(pinged_at.elapsed().as_micros()).unwrap_or(u64::MAX);
                        listed.round_trip_us.store(micros.max(1), Ordering::Relaxed);
                        self.host.metrics().round_trip(pinged_at.elapsed());
                    }
                    Some(ClientFrame::Subscribe { rid, rooms, resume }) => {
                        self.host.follow(&self.caller, &listed, session.rooms().chain(&rooms).cloned().collect());
                        match session.join(rid, rooms, resume).await {
                            Ok(()) => {}
                            Err(error @ SessionError::TooManyRooms { .. }) => {
                                let error = CallError::new(ErrorCode::LimitExceeded, error.to_string()).hint("leave some rooms first");
                                self.reply(rid.unwrap_or(0), Err(error));
                            }
                            Err(error) => return Err(over(&error)),
                        }
                        self.joined(&listed, &session, mode);
                    }
                    Some(ClientFrame::Unsubscribe { rid, rooms }) => {
                        session.leave(&rooms);
                        self.joined(&listed, &session, mode);
                        if let Some(rid) = rid {
                            self.reply(rid, Ok(empty()));
                        }
                    }
                    Some(ClientFrame::Call { rid, method, params, key }) => {
                        calls.push(call(self.host.clone(), self.caller.clone(), rid, method, params, key));
                    }
                    Some(ClientFrame::Presence { room, state }) => self.host.say_presence(&listed, room, state),
                    // Credit was taken on the way in.
                    Some(ClientFrame::Credit { .. }) => {}
                },
                Some((rid, reply)) = calls.next(), if !calls.is_empty() => self.reply(rid, reply),
                () = credit.added(), if !open => {}
                // Only while the page takes something: what is worth sending while it is new does not wait in memory.
                () = listed.mailbox.ready(|| false), if open && !urgent => self.outbox.extend(listed.mailbox.take()),
                batch = due(&mut session, beat, urgent), if open => {
                    let mut batch = batch.map_err(|error| over(&error))?;
                    // A page of the log is less than a batch may hold. Not within the wait: that may be dropped.
                    let mut bytes = batch.bytes();
                    while bytes < BATCH {
                        let more = session.ready(BATCH - bytes).await.map_err(|error| over(&error))?;
                        if more.frames.is_empty() {
                            break;
                        }
                        bytes += more.bytes();
                        batch.events += more.events;
                        batch.frames.extend(more.frames);
                    }
                    let (events, bytes) = (batch.events, bytes as u64);
                    credit.take();
                    if !self.flush(batch) {
                        return Err(Over(None));
                    }
                    beat = Instant::now() + BEAT;
                    listed.count(events, bytes);
                    self.host.metrics().sent(events, bytes);
                    listed.sent.store(session.sent(), Ordering::Relaxed);
                    listed.lag.store(self.host.head().saturating_sub(session.cursor()), Ordering::Relaxed);
                }
                // An answer is not insisted upon: a hidden window may sleep, and one that is gone closes its stream.
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + ping;
                    if open {
                        pinged_at = Instant::now();
                        self.say(&HostFrame::Ping { head: self.host.head(), sent: session.sent() });
                    } else {
                        listed.lag.store(self.host.head().saturating_sub(session.cursor()), Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// The rooms of the stream are these now.
    fn joined(&self, listed: &Listed, session: &Session, mode: &'static str) {
        list_rooms(listed, session, mode);
        self.host.follow(&self.caller, listed, session.rooms().cloned().collect());
    }

    fn say(&mut self, frame: &HostFrame) {
        self.outbox.push(Bytes::from(frame.to_json()));
    }

    fn reply(&mut self, rid: u64, reply: Result<Box<RawValue>, CallError>) {
        let (result, error) = match reply {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        self.say(&HostFrame::Reply { rid, result, error });
    }

    /// Delivers what waits and `batch` as one text; false if nobody takes it.
    fn flush(&mut self, batch: Batch) -> bool {
        let frames = self.outbox.drain(..).chain(batch.frames);
        let mut text = String::from("[");
        for frame in frames {
            // Frames are made of strings: this cannot fail, and a frame left out would be seen as a gap.
            let Ok(frame) = std::str::from_utf8(&frame) else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(frame);
        }
        text.push(']');
        (self.deliver)(text)
    }
}

/// What to send at the next beat: at once if something else waits to go along, else when there are events.
/// Safe to drop while it waits.
async fn due(session: &mut Session, beat: Instant, urgent: bool) -> Result<Batch, SessionError> {
    tokio::time::sleep_until(beat).await;
    if urgent { session.ready(BATCH).await } else { session.next(BATCH).await }
}

async fn call(
    host: Host,
    mut caller: Caller,
    rid: u64,
    method: String,
    params: Option<serde_json::Value>,
    key: Option<String>,
) -> (u64, Result<Box<RawValue>, CallError>) {
    caller.key = key;
    let params = params.and_then(|params| serde_json::value::to_raw_value(&params).ok());
    (rid, host.call(&caller, &method, params.as_deref()).await)
}

fn list_rooms(listed: &Listed, session: &Session, mode: &'static str) {
    let mode = if session.resets() > 0 { "reset" } else { mode };
    *listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) =
        (session.rooms().map(ToString::to_string).collect(), mode);
}

fn over(error: &SessionError) -> Over {
    Over(Some(match error {
        SessionError::TooManyRooms { .. } => CloseCode::BadRequest,
        SessionError::Store(_) => CloseCode::StateInvalidated,
        SessionError::Stopping => CloseCode::Shutdown,
    }))
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
