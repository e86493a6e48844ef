//! The connection: made, kept, made again.

use std::{collections::HashMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use signalbox_model::{Cursor, RoomFilter};
use signalbox_wire::{CallError, ClientFrame, ClientInfo, ErrorCode, Hello, PROTOCOL_VERSION, SUBPROTOCOL};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use crate::{
    Backoff, Call, Command, Ended, Options, Update,
    backoff::STEADY,
    frames::{Control, Frame, parse},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What must survive a reconnect.
struct State {
    options: Options,
    rooms: Vec<RoomFilter>,
    cursor: Option<Cursor>,
    /// The last event of each room, as far as the chain is known.
    last: HashMap<String, u64>,
    /// Where each subscription begins: the first event of a room must follow from there.
    bases: Vec<(RoomFilter, u64)>,
    /// Rooms joined late are being replayed: until that is complete the cursor must not move on.
    hold: bool,
    calls: HashMap<u64, Call>,
    next_rid: u64,
    updates: mpsc::Sender<Update>,
    instance: String,
}

enum Stop {
    /// The connection ended.
    Ended(Ended, Option<Duration>),
    /// Nobody wants it any more.
    Dropped,
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended, None)
    }
}

fn random() -> u64 {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_or(0, |()| u64::from_le_bytes(bytes))
}

pub(crate) async fn run(options: Options, mut commands: mpsc::Receiver<Command>, updates: mpsc::Sender<Update>) {
    let mut state = State {
        rooms: options.rooms.clone(),
        cursor: options.resume.clone(),
        bases: Vec::new(),
        options,
        last: HashMap::new(),
        hold: false,
        calls: HashMap::new(),
        next_rid: 0,
        updates,
        instance: format!("{:016x}", random()),
    };
    let mut backoff = Backoff::default();
    loop {
        let mut steady_since = None;
        let stop = state.connection(&mut commands, &mut steady_since).await;
        if steady_since.is_some_and(|since: Instant| since.elapsed() >= STEADY) {
            backoff.reset();
        }
        let Stop::Ended(why, wished) = stop else { return };
        state.fail_unrepeatable();
        let wait = backoff.next(random());
        // The host knows when it will be back; it spreads its clients out itself.
        let wait = wished.unwrap_or(wait);
        let give_up = why.is_final() || state.options.attempts.is_some_and(|most| backoff.attempts() >= most);
        let attempt = backoff.attempts();
        let retry_in = (!give_up).then_some(wait);
        let gone = state.updates.send(Update::Disconnected { why, retry_in, attempt }).await.is_err();
        if give_up {
            state.fail_all();
            return;
        }
        if gone && commands.is_closed() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

impl State {
    /// Calls without a key may have been done: they are not sent again.
    fn fail_unrepeatable(&mut self) {
        let lost: Vec<u64> = self.calls.iter().filter(|(_, call)| call.key.is_none()).map(|(rid, _)| *rid).collect();
        for rid in lost {
            if let Some(call) = self.calls.remove(&rid) {
                let error = CallError::new(
                    ErrorCode::Unavailable,
                    "the connection broke; it is not known whether the call was done",
                )
                .hint("look before trying again, or call with a key");
                call.reply.send(Err(error)).ok();
            }
        }
    }

    fn fail_all(&mut self) {
        for (_, call) in self.calls.drain() {
            call.reply.send(Err(CallError::new(ErrorCode::Unavailable, "the connection has ended"))).ok();
        }
    }

    async fn open(&self) -> Result<Socket, Ended> {
        let url = self.options.url.trim_end_matches('/');
        let unreachable = |why: String| Ended::Unreachable { url: url.to_owned(), why };
        let address = match url.split_once("://") {
            Some(("http", rest)) => format!("ws://{rest}/api/v1/ws"),
            Some(("https", rest)) => format!("wss://{rest}/api/v1/ws"),
            _ => return Err(Ended::Protocol(format!("{url:?} is no address of a host"))),
        };
        let mut request = address.into_client_request().map_err(|error| Ended::Protocol(error.to_string()))?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().max_message_size(Some(256 << 20)).max_frame_size(Some(256 << 20));
        let connecting = connect_async_with_config(request, Some(config), true);
        match tokio::time::timeout(self.options.connect_timeout, connecting).await {
            Err(_) => Err(unreachable("no answer in time".into())),
            Ok(Err(tokio_tungstenite::tungstenite::Error::Http(response))) => {
                let status = response.status().as_u16();
                let code = if matches!(status, 401 | 403) { 4500 } else { 4014 };
                Err(Ended::Closed { code, reason: format!("HTTP {status}") })
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Ok(Ok((socket, _))) => Ok(socket),
        }
    }

    async fn send(socket: &mut Socket, frame: &ClientFrame) -> Result<(), Ended> {
        let text = serde_json::to_string(frame).map_err(|error| Ended::Protocol(error.to_string()))?;
        socket.send(Message::text(text)).await.map_err(|error| Ended::Broken(error.to_string()))
    }

    async fn connection(&mut self, commands: &mut mpsc::Receiver<Command>, steady_since: &mut Option<Instant>) -> Stop {
        match self.connected(commands, steady_since).await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn connected(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        steady_since: &mut Option<Instant>,
    ) -> Result<std::convert::Infallible, Stop> {
        let mut socket = self.open().await?;
        let from = self.cursor.as_ref().map_or(0, |cursor| cursor.seq);
        self.bases = self.rooms.iter().map(|room| (room.clone(), from)).collect();
        let hello = Hello {
            rid: None,
            v: PROTOCOL_VERSION,
            token: Some(self.options.token.clone()),
            client: ClientInfo {
                name: self.options.name.clone(),
                version: self.options.version.clone(),
                instance: Some(self.instance.clone()),
            },
            rooms: self.rooms.clone(),
            resume: self.cursor.clone(),
        };
        Self::send(&mut socket, &ClientFrame::Hello(hello)).await?;
        let mut silence = self.options.connect_timeout;
        let (mut welcomed, mut calling) = (false, true);
        let listener = self.updates.clone();
        loop {
            tokio::select! {
                message = tokio::time::timeout(silence, socket.next()) => {
                    let text = match message {
                        Err(_) => return Err(Ended::Silent.into()),
                        Ok(None) => return Err(Ended::Broken("the host closed it without a word".into()).into()),
                        Ok(Some(Err(error))) => return Err(Ended::Broken(error.to_string()).into()),
                        Ok(Some(Ok(Message::Close(frame)))) => {
                            let (code, reason) = frame.map_or((1005, "no reason".to_owned()), |f| (f.code.into(), f.reason.to_string()));
                            return Err(Ended::Closed { code, reason }.into());
                        }
                        Ok(Some(Ok(Message::Text(text)))) => text,
                        Ok(Some(Ok(_))) => continue,
                    };
                    match parse(&text).map_err(|error| Ended::Protocol(error.to_string()))? {
                        Frame::Control(Control::Connection(welcome)) => {
                            silence = Duration::from_millis(welcome.ping_ms) + Duration::from_secs(10);
                            welcomed = true;
                            self.updates.send(Update::Connected(welcome)).await.ok();
                            self.send_waiting(&mut socket).await?;
                        }
                        Frame::Control(Control::Synced { cursor }) => {
                            steady_since.get_or_insert_with(Instant::now);
                            self.hold = false;
                            self.cursor = Some(cursor.clone());
                            self.updates.send(Update::Synced(cursor)).await.ok();
                        }
                        Frame::Control(Control::Ping { sent }) => {
                            Self::send(&mut socket, &ClientFrame::Pong {}).await?;
                            let seen = self.cursor.as_ref().map_or(0, |cursor| cursor.seq);
                            if sent > seen {
                                return Err(Ended::Gap { room: "any".into(), said: sent, seen }.into());
                            }
                        }
                        Frame::Control(Control::Bye { code, reason, reconnect_ms }) => {
                            return Err(Stop::Ended(Ended::Closed { code, reason }, reconnect_ms.map(Duration::from_millis)));
                        }
                        Frame::Control(control) => self.control(control).await,
                        Frame::Event(event) => self.event(*event).await?,
                    }
                }
                command = commands.recv(), if welcomed && calling => match command {
                    Some(command) => self.command(&mut socket, command).await?,
                    // Nobody calls any more, but somebody may listen.
                    None => calling = false,
                },
                () = listener.closed(), if !calling => {
                    socket.close(None).await.ok();
                    return Err(Stop::Dropped);
                }
            }
        }
    }

    async fn send_waiting(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        let mut waiting: Vec<u64> = self.calls.keys().copied().collect();
        waiting.sort_unstable();
        for rid in waiting {
            let Some(call) = self.calls.get(&rid) else { continue };
            let frame = ClientFrame::Call {
                rid,
                method: call.method.clone(),
                params: call.params.clone(),
                key: call.key.clone(),
            };
            Self::send(socket, &frame).await?;
        }
        Ok(())
    }

    async fn command(&mut self, socket: &mut Socket, command: Command) -> Result<(), Ended> {
        match command {
            Command::Call(call) => {
                self.next_rid += 1;
                let rid = self.next_rid;
                let frame = ClientFrame::Call {
                    rid,
                    method: call.method.clone(),
                    params: call.params.clone(),
                    key: call.key.clone(),
                };
                self.calls.insert(rid, call);
                Self::send(socket, &frame).await
            }
            Command::Follow { rooms, resume } => {
                for room in &rooms {
                    if !self.rooms.contains(room) {
                        self.rooms.push(room.clone());
                    }
                    self.set_base(room, resume.as_ref().map_or(0, |cursor| cursor.seq));
                }
                // Replayed events of the new rooms are older than those of the others.
                if let Some(cursor) = &resume {
                    self.hold = true;
                    if self.cursor.as_ref().is_none_or(|held| held.seq > cursor.seq) {
                        self.cursor = Some(cursor.clone());
                    }
                    for room in &rooms {
                        self.last.remove(&room.to_string());
                    }
                }
                self.next_rid += 1;
                Self::send(socket, &ClientFrame::Subscribe { rid: Some(self.next_rid), rooms, resume }).await
            }
        }
    }

    async fn control(&mut self, control: Control) {
        match control {
            // Nothing was missed: the chain goes on from here. Otherwise the replay or the snapshot says.
            Control::Subscribed { room, head, mode } if mode == "live" => {
                self.last.entry(room.to_string()).or_insert(head);
            }
            Control::Reset { room, reason } => {
                self.last.clear();
                self.updates.send(Update::Reset { room, reason }).await.ok();
            }
            Control::Snapshot { room, at, state } => {
                // The room's last event is at or before the snapshot's place: the first event after it must agree.
                self.last.remove(room.to_string().trim_end_matches("/**"));
                self.set_base(&room, at);
                self.updates.send(Update::Snapshot { room, at, state }).await.ok();
            }
            Control::Left { room, code } => {
                self.rooms.retain(|known| *known != room);
                self.updates.send(Update::Left { room, code }).await.ok();
            }
            Control::Reply { rid, result, error } => {
                if let Some(call) = self.calls.remove(&rid) {
                    let reply = match (result, error) {
                        (_, Some(error)) => Err(error),
                        (Some(result), None) => Ok(result),
                        (None, None) => Err(CallError::new(ErrorCode::Internal, "the reply is empty")),
                    };
                    call.reply.send(reply).ok();
                }
            }
            _ => {}
        }
    }

    fn set_base(&mut self, room: &RoomFilter, base: u64) {
        match self.bases.iter_mut().find(|(known, _)| known == room) {
            Some((_, known)) => *known = base,
            None => self.bases.push((room.clone(), base)),
        }
    }

    /// Where the subscription of a room begins. The room of a run does not say its project: any project's will do.
    fn base_of(&self, room: &str) -> u64 {
        let exact = self.bases.iter().find(|(filter, _)| filter.to_string() == room).map(|(_, base)| *base);
        let of_trees = || {
            self.bases
                .iter()
                .filter(|(filter, _)| matches!(filter, RoomFilter::ProjectTree(_)))
                .map(|(_, base)| *base)
                .max()
        };
        exact.or_else(of_trees).unwrap_or(0)
    }

    async fn event(&mut self, event: crate::Received) -> Result<(), Ended> {
        let known = self.last.get(&event.room).copied();
        if known.is_some_and(|last| event.seq <= last) {
            return Ok(());
        }
        let fits = match known {
            Some(last) => event.prev == last,
            // The first event of a room that we see: what came before it must be in what we started from.
            None => event.prev <= self.base_of(&event.room),
        };
        if !fits {
            let (said, seen) = (event.prev, known.unwrap_or_else(|| self.base_of(&event.room)));
            let room = event.room;
            return Err(Ended::Gap { room, said, seen });
        }
        self.last.insert(event.room.clone(), event.seq);
        let cursor = event.cursor.clone();
        // The cursor moves only when the event was handed over.
        self.updates.send(Update::Event(event)).await.ok();
        if !self.hold && self.cursor.as_ref().is_none_or(|held| held.epoch != cursor.epoch || held.seq < cursor.seq) {
            self.cursor = Some(cursor);
        }
        Ok(())
    }
}
