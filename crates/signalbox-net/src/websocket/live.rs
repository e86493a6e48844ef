//! What a connection does once it has joined its rooms, until it ends. Thousands of them wait here: what the loop keeps
//! between two messages is most of what an idle connection costs.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use signalbox_store::Store;
use signalbox_stream::{Feed, FeedError, Listed, SessionError};
use signalbox_wire::{CallError, Caller, ClientFrame, CloseCode, ErrorCode, HostFrame};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message, protocol::frame::coding::CloseCode as Said};

use super::{
    Over, Step,
    calls::{self, Answered, Call, Reply, call, reply_to},
    connection::{Connection, Received},
};
use crate::http::Net;

/// Calls refused for their rate, beyond as many that were not, before the connection is closed.
const REFUSALS: u32 = 200;

/// Bytes that may wait for a client before nothing more is read of it.
const UNSENT: usize = 1024 * 1024;

/// Somebody who is in.
pub(super) struct Live {
    pub(super) caller: Caller,
    pub(super) listed: Listed,
    pub(super) feed: Feed,
    /// How it joined, if nothing was reset.
    pub(super) mode: &'static str,
}

/// When the host is to answer a sign of life, and how long that took.
struct Pings {
    every: Duration,
    next: Instant,
    last: Instant,
    answer_by: Option<Instant>,
}

impl Pings {
    fn new(every: Duration, id: u64) -> Self {
        // The first one at a random moment of the second half, so that many clients do not answer at once.
        let spread = u32::try_from(id % 1000).unwrap_or(0);
        let now = Instant::now();
        Self { every, next: now + every / 2 + every / 2 * spread / 1000, last: now, answer_by: None }
    }

    fn deadline(&self) -> Instant {
        self.answer_by.map_or(self.next, |answer| answer.min(self.next))
    }

    /// The deadline has come. An error if nothing was heard since the last one.
    fn due(&mut self, stall: Duration) -> Step<()> {
        let now = Instant::now();
        if self.answer_by.is_some_and(|answer| answer <= now) {
            return Err(Over(Some(CloseCode::NoPong)));
        }
        self.next = now + self.every;
        self.last = now;
        self.answer_by.get_or_insert(now + stall);
        Ok(())
    }
}

/// The calls of a connection that are at work.
#[derive(Default)]
struct AtWork {
    calls: FuturesUnordered<Call>,
    bytes: usize,
}

impl AtWork {
    fn has_room(&self) -> bool {
        self.calls.len() < calls::MOST && self.bytes < calls::MOST_BYTES
    }

    fn begin(&mut self, call: Call, bytes: usize) {
        self.bytes += bytes;
        self.calls.push(call);
    }

    /// Waits for replies, and gives all that are there: what came together is committed as one, and answered together.
    fn poll_replies(&mut self, store: &Store, cx: &mut Context<'_>) -> Poll<Vec<String>> {
        let mut replies = Vec::new();
        while replies.len() < calls::MOST {
            // Up to the next reply: what is to be committed does not wait for all that is only read. One alone commits by itself.
            let (polled, committed) = match self.calls.len() {
                1 => (self.calls.poll_next_unpin(cx), false),
                _ => store.together(|| self.calls.poll_next_unpin(cx)),
            };
            match polled {
                Poll::Ready(Some(Answered { rid, reply, bytes })) => {
                    self.bytes -= bytes;
                    replies.push(reply_to(rid, reply).to_json());
                }
                // Committed here: the answers are there.
                _ if committed => {}
                _ => break,
            }
        }
        if replies.is_empty() { Poll::Pending } else { Poll::Ready(replies) }
    }
}

/// Why a connection may end though neither side wants it to: its token runs out, or what it came through is closed.
type Ending = Pin<Box<dyn Future<Output = CloseCode> + Send>>;

/// None, and no memory, where neither can be.
fn ending(net: &Arc<Net>, caller: &Caller) -> Option<Ending> {
    let expires = caller.expires_at;
    (expires.is_some() || net.stopped.is_some()).then(|| {
        let net = Arc::clone(net);
        Box::pin(async move {
            tokio::select! {
                () = net.host.until(expires) => CloseCode::TokenExpired,
                () = net.closed() => CloseCode::Shutdown,
            }
        }) as Ending
    })
}

async fn ended(ending: &mut Option<Ending>) -> CloseCode {
    match ending {
        Some(ending) => ending.await,
        None => std::future::pending().await,
    }
}

impl Connection {
    /// Serves until it is over.
    pub(super) async fn serve(&mut self, live: &mut Live) -> Over {
        self.try_serve(live).await.err().unwrap_or(Over(None))
    }

    async fn try_serve(&mut self, live: &mut Live) -> Step<()> {
        let every = Duration::from_millis(self.net.host.settings().limits.ping_ms.max(1));
        let mut pings = Pings::new(every, live.listed.id);
        let mut work = AtWork::default();
        let mut ending = ending(&self.net, &live.caller);
        let net = Arc::clone(&self.net);
        let store = net.host.store();
        loop {
            let deadline = pings.deadline();
            // Who does not read its answers is not asked for more.
            let reads = self.outlet.unsent() < UNSENT;
            let Live { listed, feed, .. } = live;
            tokio::select! {
                // In this order: what came together is taken together, before the first of it is done.
                biased;
                code = listed.closed() => return Err(Over(Some(code))),
                code = ended(&mut ending) => return Err(Over(Some(code))),
                error = feed.run() => return Err(match error {
                    FeedError::Session(error) => over(&error),
                    FeedError::Socket(_) => Over(None),
                    FeedError::Stalled => Over(Some(CloseCode::Slow)),
                }),
                message = self.socket.next(), if reads && work.has_room() => {
                    pings.answer_by = None;
                    if says_goodbye(message.as_ref()) {
                        listed.leave();
                    }
                    match self.parse(message)? {
                        None => {}
                        Some(Received::Call { rid, method, params, key }) => {
                            match self.net.calls.take(&live.caller.member, std::time::Instant::now()) {
                                Ok(()) => {
                                    // Who is refused now and then, and waits, does nothing wrong.
                                    self.refusals = self.refusals.saturating_sub(1);
                                    let bytes = params.as_ref().map_or(0, |params| params.get().len());
                                    let caller = Caller { key, ..live.caller.clone() };
                                    work.begin(call(Arc::clone(&self.net), caller, rid, method, params), bytes);
                                }
                                Err(error) => self.refuse(live, rid, error)?,
                            }
                        }
                        Some(Received::Other(frame)) => Box::pin(self.take(live, frame, &pings)).await?,
                    }
                }
                replies = poll_fn(|cx| work.poll_replies(store, cx)), if reads && !work.calls.is_empty() => {
                    feed.say_all(replies.iter().map(String::as_bytes)).map_err(|_| Over(None))?;
                }
                // Only while nothing else waits: what is worth sending while it is new gives way to everything else.
                () = listed.mailbox.ready(|| self.outlet.unsent() > 0) => {
                    for frame in listed.mailbox.take() {
                        feed.say(&frame).map_err(|_| Over(None))?;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    pings.due(self.stall)?;
                    say(feed, &HostFrame::Ping { head: self.net.host.head(), sent: feed.sent() })?;
                }
            }
        }
    }

    /// Too many calls.
    fn refuse(&mut self, live: &Live, rid: u64, error: CallError) -> Step<()> {
        self.refusals += 1;
        self.net.host.metrics().refused();
        reply(&live.feed, rid, Err(Some(error)))?;
        if self.refusals > REFUSALS { Err(Over(Some(CloseCode::TooManyRequests))) } else { Ok(()) }
    }

    /// A frame that is no call.
    async fn take(&mut self, live: &mut Live, frame: ClientFrame, pings: &Pings) -> Step<()> {
        match frame {
            ClientFrame::Pong {} => {
                let micros = u64::try_from(pings.last.elapsed().as_micros()).unwrap_or(u64::MAX);
                live.listed.round_trip_us.store(micros.max(1), Ordering::Relaxed);
                self.net.host.metrics().round_trip(pings.last.elapsed());
            }
            // Calls are read apart; a second hello is a mistake.
            ClientFrame::Call { .. } | ClientFrame::Hello(_) => return Err(Over(Some(CloseCode::BadRequest))),
            ClientFrame::Subscribe { rid, rooms, resume } => {
                let wanted = live.feed.rooms().chain(&rooms).cloned().collect();
                self.net.host.follow(&live.caller, &live.listed, wanted);
                if let Err(error) = live.feed.join(rid, rooms, resume).await {
                    join_failed(&live.feed, rid, &error)?;
                }
                live.joined(&self.net);
            }
            ClientFrame::Unsubscribe { rid, rooms } => {
                live.feed.leave(&rooms);
                live.joined(&self.net);
                if let Some(rid) = rid {
                    reply(&live.feed, rid, Err(None))?;
                }
            }
            ClientFrame::Presence { room, state } => self.net.host.say_presence(&live.listed, room, state),
            // Belongs to another transport; a sign of life.
            ClientFrame::Credit { .. } => {}
        }
        Ok(())
    }
}

impl Live {
    /// How it joined.
    pub(super) fn mode_now(&self) -> &'static str {
        if self.feed.resets() > 0 { "reset" } else { self.mode }
    }

    /// The rooms of the connection are these now.
    pub(super) fn joined(&self, net: &Net) {
        let names = self.feed.rooms().map(ToString::to_string).collect();
        *self.listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) = (names, self.mode_now());
        net.host.follow(&self.caller, &self.listed, self.feed.rooms().cloned().collect());
    }
}

/// Whether the client closes on purpose: with code 1000, or with none. A page that is closed or loaded anew says 1001, and
/// may be back at once.
fn says_goodbye(message: Option<&Result<Message, Error>>) -> bool {
    match message {
        Some(Ok(Message::Close(frame))) => frame.as_ref().is_none_or(|frame| frame.code == Said::Normal),
        _ => false,
    }
}

fn say(feed: &Feed, frame: &HostFrame) -> Step<()> {
    feed.say(frame.to_json().as_bytes()).map_err(|_| Over(None))
}

fn reply(feed: &Feed, rid: u64, reply: Reply) -> Step<()> {
    say(feed, &reply_to(rid, reply))
}

fn join_failed(feed: &Feed, rid: Option<u64>, error: &SessionError) -> Step<()> {
    let SessionError::TooManyRooms { .. } = error else { return Err(over(error)) };
    let error = CallError::new(ErrorCode::LimitExceeded, error.to_string()).hint("leave some rooms first");
    reply(feed, rid.unwrap_or(0), Err(Some(error)))
}

pub(super) fn over(error: &SessionError) -> Over {
    Over(Some(match error {
        SessionError::TooManyRooms { .. } => CloseCode::BadRequest,
        SessionError::Store(_) => CloseCode::StateInvalidated,
        SessionError::Stopping => CloseCode::Shutdown,
    }))
}
