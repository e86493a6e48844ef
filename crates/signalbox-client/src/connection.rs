//! The connection: made, kept, made again.

use std::{collections::HashMap, time::Duration};

use signalbox_model::{Cursor, RoomFilter};
use signalbox_wire::{CallError, ClientFrame, ClientInfo, ErrorCode, Hello, PROTOCOL_VERSION};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Backoff, Call, Command, Ended, Link, Options, Update,
    backoff::STEADY,
    frames::{Control, Frame, parse},
};

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
        let mut link = Link::open(&self.options).await?;
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
        link.send(&ClientFrame::Hello(hello)).await?;
        let mut silence = self.options.connect_timeout;
        let (mut welcomed, mut calling) = (false, true);
        let listener = self.updates.clone();
        loop {
            tokio::select! {
                frame = tokio::time::timeout(silence, link.next()) => {
                    let text = frame.map_err(|_| Ended::Silent)??;
                    match parse(&text).map_err(|error| Ended::Protocol(error.to_string()))? {
                        Frame::Control(Control::Connection(welcome)) => {
                            silence = Duration::from_millis(welcome.ping_ms) + Duration::from_secs(10);
                            welcomed = true;
                            self.updates.send(Update::Connected(welcome)).await.ok();
                            self.send_waiting(&mut link).await?;
                        }
                        Frame::Control(Control::Synced { cursor }) => {
                            steady_since.get_or_insert_with(Instant::now);
                            self.hold = false;
                            self.cursor = Some(cursor.clone());
                            self.updates.send(Update::Synced(cursor)).await.ok();
                        }
                        Frame::Control(Control::Ping { sent }) => {
                            link.send(&ClientFrame::Pong {}).await?;
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
                    Some(command) => self.command(&mut link, command).await?,
                    // Nobody calls any more, but somebody may listen.
                    None => calling = false,
                },
                () = listener.closed(), if !calling => {
                    link.close().await;
                    return Err(Stop::Dropped);
                }
            }
        }
    }

    async fn send_waiting(&mut self, link: &mut Link) -> Result<(), Ended> {
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
            link.send(&frame).await?;
        }
        Ok(())
    }

    async fn command(&mut self, link: &mut Link, command: Command) -> Result<(), Ended> {
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
                link.send(&frame).await
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
                        self.forget(room);
                    }
                }
                self.next_rid += 1;
                link.send(&ClientFrame::Subscribe { rid: Some(self.next_rid), rooms, resume }).await
            }
        }
    }

    async fn control(&mut self, control: Control) {
        match control {
            // Nothing was missed: the chain goes on from here. Otherwise the replay or the snapshot says.
            Control::Subscribed { room, head, mode } if mode == "live" => {
                self.last.entry(room.to_string()).or_insert(head);
            }
            // A room that the host joined for us goes on from where we were, as the others do.
            Control::Subscribed { room, mode, .. } if mode == "resumed" => {
                let from = self.cursor.as_ref().map_or(0, |cursor| cursor.seq);
                if self.bases.iter().all(|(known, _)| *known != room) {
                    self.set_base(&room, from);
                }
            }
            Control::Reset { room, reason } => {
                self.last.clear();
                self.updates.send(Update::Reset { room, reason }).await.ok();
            }
            Control::Snapshot { room, at, state } => {
                // The room's last event is at or before the snapshot's place: the first event after it must agree.
                self.forget(&room);
                self.set_base(&room, at);
                if self.wants(&room.to_string()) {
                    self.updates.send(Update::Snapshot { room, at, state }).await.ok();
                }
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

    /// Whether a room was asked for. The member's own is joined by the host, and its chain is checked all the same.
    fn wants(&self, room: &str) -> bool {
        !room.starts_with("member/") || self.rooms.iter().any(|known| known.to_string() == room)
    }

    /// The chain of a room begins anew.
    fn forget(&mut self, room: &RoomFilter) {
        if matches!(room, RoomFilter::Activity(_)) {
            self.last.retain(|known, _| !known.starts_with("activity/"));
        }
        self.last.remove(room.to_string().trim_end_matches("/**"));
    }

    fn set_base(&mut self, room: &RoomFilter, base: u64) {
        match self.bases.iter_mut().find(|(known, _)| known == room) {
            Some((_, known)) => *known = base,
            None => self.bases.push((room.clone(), base)),
        }
    }

    /// Where the subscription of a room begins. The room of a run does not say its project: any project's will do. Rooms of
    /// the feed are of the whole feed too.
    fn base_of(&self, room: &str) -> u64 {
        let feed = room.starts_with("activity/");
        let exact = self.bases.iter().find(|(filter, _)| filter.to_string() == room).map(|(_, base)| *base);
        let of_trees = || {
            self.bases
                .iter()
                .filter(|(filter, _)| match filter {
                    RoomFilter::ProjectTree(_) => true,
                    RoomFilter::Activity(_) => feed,
                    RoomFilter::One(_) => false,
                })
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
        if self.wants(&event.room) {
            self.updates.send(Update::Event(event)).await.ok();
        }
        if !self.hold && self.cursor.as_ref().is_none_or(|held| held.epoch != cursor.epoch || held.seq < cursor.seq) {
            self.cursor = Some(cursor);
        }
        Ok(())
    }
}
