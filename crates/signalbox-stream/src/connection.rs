//! Who is connected: for limits, for the list, and for closing from outside.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
};

use signalbox_model::{MemberId, UnixMillis};
use signalbox_wire::{CloseCode, method};
use tokio::sync::Notify;

use crate::{Mailbox, Outlet, Presence, Topic, lookup::Lookup};

/// How somebody is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The window of the desktop app.
    Ipc,
    /// A WebSocket that said `hello`.
    WebSocket,
    /// A WebSocket of one project that says nothing.
    NaiveWebSocket,
    /// Server-sent events.
    Sse,
}

impl Transport {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::WebSocket => "websocket",
            Self::NaiveWebSocket => "websocket_naive",
            Self::Sse => "sse",
        }
    }
}

/// Who wants to be listed.
#[derive(Debug, Clone)]
pub struct Registration {
    /// How.
    pub transport: Transport,
    /// Who.
    pub member: MemberId,
    /// Their name.
    pub member_name: String,
    /// The program, `name/version`.
    pub client: String,
    /// Names the running instance; a second connection of the same one closes the first.
    pub instance: Option<String>,
    /// Where from.
    pub address: Option<String>,
    /// When.
    pub now: UnixMillis,
}

/// One connection. Its task keeps the figures; others read them.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    /// Who and how.
    pub who: Registration,
    /// Newest event that its own task sent.
    pub sent: AtomicU64,
    /// Events committed after the last one looked at, when it was last looked.
    pub lag: AtomicU64,
    /// What its own task sent.
    tally: [AtomicU64; 2],
    /// Where the fan-out writes to it, and counts that by itself: what it needs for a delivery lies in one place.
    outlet: OnceLock<Arc<Outlet>>,
    /// Last round trip in microseconds; 0: not measured.
    pub round_trip_us: AtomicU64,
    /// About how many bytes it is behind, when that was last looked at.
    pub lag_bytes: AtomicU64,
    /// Messages that are worth sending only while they are new.
    pub mailbox: Mailbox,
    /// The member closed it on purpose.
    left: AtomicBool,
    /// Rooms joined, and how.
    pub rooms: Mutex<(Vec<String>, &'static str)>,
    /// Why it is to be closed, and who waits for that: less memory than a channel, and there are thousands.
    close: OnceLock<CloseCode>,
    closing: Notify,
    sealed: AtomicBool,
}

impl Connection {
    /// Asks the connection's task to close it.
    pub fn close(&self, code: CloseCode) {
        if self.close.set(code).is_ok() {
            self.closing.notify_waiters();
        }
    }

    /// Waits until the connection is to be closed, and says why.
    pub async fn closed(&self) -> CloseCode {
        loop {
            // Made before looking: what is said after that wakes it.
            let closing = self.closing.notified();
            if let Some(code) = self.close.get() {
                return *code;
            }
            closing.await;
        }
    }

    /// Leaves an ephemeral message for it, unless nothing more may be said to it.
    pub(crate) fn leave_message(&self, topic: Topic, message: bytes::Bytes, must: bool) {
        if !self.is_sealed() {
            self.mailbox.put(topic, message, must);
        }
    }

    /// Notes that the member closed it on purpose: others see at once that it is gone.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Whether nothing more may be said to it, but goodbye.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
        // With that of `attach`: whichever comes second sees the other.
        fence(Ordering::SeqCst);
        if let Some(outlet) = self.outlet.get() {
            outlet.seal();
        }
    }

    /// From now on the fan-out may write to it through this outlet.
    pub(crate) fn attach(&self, outlet: &Arc<Outlet>) {
        self.outlet.get_or_init(|| Arc::clone(outlet));
        fence(Ordering::SeqCst);
        if self.is_sealed() {
            outlet.seal();
        }
    }

    /// Counts what its own task sent: events and their bytes.
    pub fn count(&self, events: u64, bytes: u64) {
        self.tally[0].fetch_add(events, Ordering::Relaxed);
        self.tally[1].fetch_add(bytes, Ordering::Relaxed);
    }

    /// All that was sent to it.
    #[must_use]
    pub fn sent(&self) -> Sent {
        let by_fanout = self.outlet.get().map(|outlet| outlet.delivered()).unwrap_or_default();
        let own = |index: usize| self.tally[index].load(Ordering::Relaxed);
        Sent {
            newest: self.sent.load(Ordering::Relaxed).max(by_fanout.newest),
            events: own(0) + by_fanout.events,
            bytes: own(1) + by_fanout.bytes,
        }
    }
}

/// What was sent to a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// The newest event; 0 for none.
    pub newest: u64,
    /// Events.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The host has too many.
    Host,
    /// The member has too many.
    Member,
}

/// The connections in the order in which they came. Letting one in looks at no others than those it may be in the way of.
#[derive(Debug, Default)]
struct List {
    all: BTreeMap<u64, Arc<Connection>>,
    of_members: HashMap<MemberId, u64>,
    instances: Lookup,
}

/// What makes a connection the same instance as another one.
fn instance(who: &Registration) -> Option<(&MemberId, &str)> {
    Some((&who.member, who.instance.as_deref()?))
}

impl List {
    fn add(&mut self, connection: Arc<Connection>) {
        *self.of_members.entry(connection.who.member.clone()).or_default() += 1;
        if let Some(key) = instance(&connection.who) {
            self.instances.insert(key, connection.id);
        }
        self.all.insert(connection.id, connection);
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.all.remove(&id) else { return };
        if let Some(count) = self.of_members.get_mut(&connection.who.member) {
            *count -= 1;
            if *count == 0 {
                self.of_members.remove(&connection.who.member);
            }
        }
        if let Some(key) = instance(&connection.who) {
            self.instances.remove(key, id);
        }
    }

    fn of_member(&self, member: &MemberId) -> u64 {
        self.of_members.get(member).copied().unwrap_or_default()
    }

    /// Those of the same instance.
    fn same(&self, who: &Registration) -> Vec<Arc<Connection>> {
        let Some(key) = instance(who) else { return Vec::new() };
        let found = self.instances.of(key).filter_map(|id| self.all.get(&id));
        found.filter(|other| instance(&other.who) == Some(key)).cloned().collect()
    }
}

/// Every connection of the host.
#[derive(Debug, Default)]
pub struct Connections {
    next: AtomicU64,
    list: Mutex<List>,
    presence: Arc<Presence>,
    /// Ephemeral messages of connections that are gone: sent, left out.
    ephemeral: [AtomicU64; 2],
}

/// Keeps a connection listed.
#[derive(Debug)]
pub struct Listed {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl std::ops::Deref for Listed {
    type Target = Arc<Connection>;
    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.list().remove(self.connection.id);
        let (sent, dropped) = self.connection.mailbox.figures();
        self.connections.ephemeral[0].fetch_add(sent, Ordering::Relaxed);
        self.connections.ephemeral[1].fetch_add(dropped, Ordering::Relaxed);
        self.connections.presence.gone(self.connection.id, self.connection.left.load(Ordering::Relaxed));
    }
}

impl Connections {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Lists a connection; an older one of the same instance is closed. 0 switches a limit off.
    ///
    /// # Errors
    /// If a limit is reached.
    pub fn register(self: &Arc<Self>, who: Registration, per_member: u64, per_host: u64) -> Result<Listed, Refused> {
        let mut list = self.list();
        for connection in list.same(&who) {
            // Who is not in the list any more is not found by a seal that comes before its task has ended.
            connection.seal();
            connection.close(CloseCode::Kicked);
            list.remove(connection.id);
        }
        if per_host > 0 && list.all.len() as u64 >= per_host {
            return Err(Refused::Host);
        }
        if per_member > 0 && list.of_member(&who.member) >= per_member {
            return Err(Refused::Member);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Arc::new(Connection {
            id,
            who,
            sent: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            tally: Default::default(),
            outlet: OnceLock::new(),
            round_trip_us: AtomicU64::new(0),
            lag_bytes: AtomicU64::new(0),
            mailbox: Mailbox::default(),
            left: AtomicBool::new(false),
            rooms: Mutex::new((Vec::new(), "live")),
            close: OnceLock::new(),
            closing: Notify::new(),
            sealed: AtomicBool::new(false),
        });
        list.add(Arc::clone(&connection));
        Ok(Listed { connections: Arc::clone(self), connection })
    }

    /// Who is here, of all that are connected.
    #[must_use]
    pub fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// Ephemeral messages of all connections, also those that are gone: sent, and left out.
    #[must_use]
    pub fn ephemeral(&self) -> (u64, u64) {
        let mut figures = (self.ephemeral[0].load(Ordering::Relaxed), self.ephemeral[1].load(Ordering::Relaxed));
        self.each(|connection| {
            let (sent, dropped) = connection.mailbox.figures();
            figures = (figures.0 + sent, figures.1 + dropped);
        });
        figures
    }

    /// Looks at all of them, oldest first. Meanwhile none comes and none goes: `look` has to be quick.
    pub fn each(&self, look: impl FnMut(&Connection)) {
        self.list().all.values().map(|connection| &**connection).for_each(look);
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.list().all.get(&id).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list().all.len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list().all.is_empty()
    }

    /// Whether there is one that `which` picks.
    #[must_use]
    pub fn any(&self, which: impl Fn(&Connection) -> bool) -> bool {
        self.list().all.values().any(|connection| which(connection))
    }

    /// How many of them are a member's.
    #[must_use]
    pub fn of_member(&self, member: &MemberId) -> u64 {
        self.list().of_member(member)
    }

    /// How many there are of each transport.
    #[must_use]
    pub fn by_transport(&self) -> HashMap<Transport, u64> {
        let mut counts = HashMap::new();
        self.each(|connection| *counts.entry(connection.who.transport).or_default() += 1);
        counts
    }

    /// Closes every connection that `which` picks.
    pub fn close(&self, code: CloseCode, which: impl Fn(&Connection) -> bool) -> usize {
        let chosen: Vec<Arc<Connection>> = self.list().all.values().filter(|c| which(c)).cloned().collect();
        chosen.iter().for_each(|connection| connection.close(code));
        chosen.len()
    }

    /// From now on no event that is committed later reaches the connections that `which` picks, and no answer: only the
    /// goodbye of [`close`](Self::close), which has to follow.
    pub fn seal(&self, which: impl Fn(&Connection) -> bool) {
        self.list().all.values().filter(|c| which(c)).for_each(|c| c.seal());
    }

    /// The list as `connection.list` gives it, of the oldest `most` that `which` picks.
    #[must_use]
    pub fn report(&self, most: usize, which: impl Fn(&Connection) -> bool) -> Vec<method::Connection> {
        let chosen: Vec<Arc<Connection>> = self.list().all.values().filter(|c| which(c)).take(most).cloned().collect();
        chosen
            .iter()
            .map(|c| {
                let (rooms, joined) = c.rooms.lock().unwrap_or_else(|e| e.into_inner()).clone();
                let round_trip = c.round_trip_us.load(Ordering::Relaxed);
                let sent = c.sent();
                let (ephemeral, ephemeral_dropped) = c.mailbox.figures();
                method::Connection {
                    id: c.id,
                    member: c.who.member.clone(),
                    member_name: c.who.member_name.clone(),
                    transport: c.who.transport.as_str().to_owned(),
                    address: c.who.address.clone(),
                    client: c.who.client.clone(),
                    connected_at: c.who.now,
                    rooms,
                    #[expect(clippy::cast_precision_loss, reason = "microseconds of a round trip")]
                    round_trip_ms: (round_trip > 0).then_some(round_trip as f64 / 1000.0),
                    sent_seq: sent.newest,
                    lag: c.lag.load(Ordering::Relaxed),
                    lag_bytes: c.lag_bytes.load(Ordering::Relaxed),
                    ephemeral,
                    ephemeral_dropped,
                    events: sent.events,
                    bytes: sent.bytes,
                    joined: joined.to_owned(),
                }
            })
            .collect()
    }
}
