//! The hand-over between a connection's own task and the fan-out, step by step: whoever writes, and whatever the socket
//! takes, each client gets whole frames, each event of its rooms once, in order.

use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use serde_json::Value;
use signalbox_model::{
    Actor, Cursor, CustomType, EventBody, EventData, MemberId, NewEvent, Project, ProjectId, Role, Room, RoomFilter,
    SystemClock,
};
use signalbox_store::{Batch, Durability, Options, Store};
use signalbox_stream::{
    Connections, Fanout, Feed, FeedError, Framing, Hub, Listed, Outlet, Pipe, Registration, Session, Transport,
};
use signalbox_wire::Caller;
use tokio::sync::Notify;

const PROJECTS: [&str; 2] = ["a", "b"];

/// A frame is a line.
const LINES: Framing = Framing { kind: 0, encode: line, overhead: 1 };

fn line(frame: &[u8], out: &mut BytesMut) {
    out.put_slice(frame);
    out.put_u8(b'\n');
}

/// A socket whose other end takes what the test says.
#[derive(Clone, Default)]
struct Socket(Arc<Inner>);

#[derive(Default)]
struct Inner {
    buffer: Mutex<(Vec<u8>, usize)>,
    room: Notify,
}

impl Socket {
    /// The socket takes so many bytes more.
    fn allow(&self, bytes: usize) {
        let mut buffer = self.0.buffer.lock().unwrap();
        buffer.1 = buffer.1.saturating_add(bytes).min(1 << 40);
        self.0.room.notify_waiters();
    }

    fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.buffer.lock().unwrap().0)
    }
}

impl Pipe for Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.buffer.lock().unwrap();
        let count = bytes.len().min(buffer.1);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.1 -= count;
        buffer.0.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        Box::pin(async {
            let notified = self.0.room.notified();
            if self.0.buffer.lock().unwrap().1 == 0 {
                notified.await;
            }
            Ok(())
        })
    }
}

fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

fn event(name: &str, n: u64) -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "n": n }).into());
    NewEvent::new(Room::Project(project(name)), Actor::new("tester").unwrap(), body)
}

struct Host {
    store: Store,
    hub: Arc<Hub>,
    fanout: Arc<Fanout>,
    connections: Arc<Connections>,
    counted: Arc<AtomicU64>,
}

impl Host {
    async fn open(dir: &Path, ring: usize) -> Self {
        let hub = Hub::with_capacity(ring);
        let sink = Arc::clone(&hub);
        let store = Store::open(Options {
            dir: dir.to_owned(),
            durability: Durability::Process,
            clock: Arc::new(SystemClock),
            publish: Box::new(move |frames| sink.publish(frames)),
        })
        .unwrap();
        hub.start_at(store.head());
        for name in PROJECTS {
            let (id, name, path) = (project(name), name.into(), "/".into());
            let data = Project { id, name, path, trusted: false, open: true, opened_at: 0 };
            let opened = NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(data));
            store.append(Batch::of(vec![opened])).await.unwrap();
        }
        let counted = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&counted);
        let on_sent = Box::new(move |events, _| {
            sum.fetch_add(events, Ordering::Relaxed);
        });
        let fanout = Fanout::new(&hub, on_sent);
        Self { store, hub, fanout, connections: Arc::default(), counted }
    }

    async fn publish(&self, name: &str, n: u64) -> u64 {
        let seq = self.store.append(Batch::of(vec![event(name, n)])).await.unwrap().last;
        // Acknowledged before it is published: wait for the ring, which the steps of the tests look into.
        while self.hub.head() < seq {
            tokio::task::yield_now().await;
        }
        seq
    }

    fn connect(&self, replay: u64) -> Client {
        self.connect_with(replay, Duration::from_secs(3600))
    }

    fn connect_with(&self, replay: u64, stall: Duration) -> Client {
        let caller = Caller {
            member: MemberId::new("m_aaaaaaaa").unwrap(),
            actor: Actor::new("tester").unwrap(),
            role: Role::Owner,
            projects: Vec::new(),
            key: None,
            address: None,
            expires_at: None,
            rights: 0,
        };
        let who = Registration {
            transport: Transport::WebSocket,
            member: caller.member.clone(),
            member_name: "tester".into(),
            client: "test".into(),
            instance: None,
            address: None,
            now: 0,
        };
        let listed = self.connections.register(who, 0, 0).unwrap();
        let socket = Socket::default();
        let outlet = Arc::new(Outlet::new(socket.clone()));
        let session = Session::new(Arc::clone(&self.hub), self.store.clone(), caller, replay, 16);
        let (fanout, connection) = (Arc::clone(&self.fanout), Arc::clone(&listed));
        let feed = Feed::new(session, fanout, Arc::clone(&outlet), connection, LINES, stall);
        Client { socket, outlet, feed, _listed: listed, rest: Vec::new(), view: View::default() }
    }

    /// Lets everybody run, and every socket take what comes, until all are up to date.
    async fn settle(&self, clients: &mut [Client]) {
        let settled = async {
            let mut moved = true;
            while moved || !clients.iter().all(|client| client.outlet.is_live()) {
                moved = self.fanout.step();
                for client in clients.iter_mut() {
                    client.socket.allow(1 << 30);
                    if !client.outlet.is_live() {
                        // As long as a read of the log may take, but not for ever: others may have to move first.
                        let error = tokio::time::timeout(Duration::from_millis(20), client.run_until_live()).await;
                        error.unwrap_or(Ok(())).expect("the feed goes on");
                        // It asks to be let in, which is the next step's work.
                        moved = true;
                    }
                    moved |= client.read();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("open and silent");
    }
}

/// What a client knows, checked with each frame.
#[derive(Default)]
struct View {
    /// The newest event of each project, once there was a snapshot or a first event.
    last: [Option<u64>; 2],
    /// Rooms that were left, and not seen again since: the cursor says nothing of them.
    left: [bool; 2],
    /// Leaves that were not confirmed yet: what comes before the confirmation belongs to an earlier stay.
    leaving: [u32; 2],
    /// The events seen since then.
    seen: [Vec<u64>; 2],
    said: Vec<u64>,
    newest: u64,
    synced: u64,
    resets: Vec<String>,
    cursor: Option<Cursor>,
}

impl View {
    fn take(&mut self, frame: &[u8]) {
        let text = String::from_utf8_lossy(frame);
        let frame: Value = serde_json::from_slice(frame).unwrap_or_else(|error| panic!("{error}: {text}"));
        let at = usize::from(frame["room"].as_str().is_some_and(|room| room.starts_with("project/b")));
        match frame["type"].as_str().unwrap() {
            // On its way when the room was left.
            "x_test" if self.left[at] => {}
            "x_test" => {
                let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
                assert!(seq > self.newest, "{seq} after {}: out of order, or twice", self.newest);
                if let Some(last) = self.last[at] {
                    assert!(prev <= last && last < seq, "{}: a gap: {prev} after {last}", PROJECTS[at]);
                    assert!(prev == last || self.seen[at].is_empty(), "{}: a gap: {prev}, {last}", PROJECTS[at]);
                }
                self.newest = seq;
                self.last[at] = Some(seq);
                self.seen[at].push(seq);
                self.cursor = Some(frame["cursor"].as_str().unwrap().parse().unwrap());
            }
            "snapshot" => {
                self.last[at] = frame["at"].as_u64();
                self.left[at] = self.leaving[at] > 0;
                self.seen[at].clear();
            }
            "synced" => {
                self.synced += 1;
                self.cursor = Some(frame["cursor"].as_str().unwrap().parse().unwrap());
            }
            "reset" => self.resets.push(frame["reason"].as_str().unwrap().to_owned()),
            "said" => self.said.push(frame["n"].as_u64().unwrap()),
            "left" => self.leaving[at] -= 1,
            "subscribed" | "lagging" => {}
            other => panic!("unexpected {other}"),
        }
    }
}

struct Client {
    socket: Socket,
    outlet: Arc<Outlet>,
    feed: Feed,
    _listed: Listed,
    rest: Vec<u8>,
    view: View,
}

impl Client {
    fn allowing(self, bytes: usize) -> Self {
        self.socket.allow(bytes);
        self
    }

    async fn run_until_live(&mut self) -> Result<(), FeedError> {
        let outlet = Arc::clone(&self.outlet);
        let mut run = std::pin::pin!(self.feed.run());
        std::future::poll_fn(|cx| match run.as_mut().poll(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending if outlet.is_live() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Lets the connection's task run for a while.
    async fn poll(&mut self) {
        // What it reads from the log comes from another thread: let that end too.
        for _ in 0..50 {
            let mut run = std::pin::pin!(self.feed.run());
            let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            match polled {
                Poll::Ready(error) => panic!("the feed ended: {error}"),
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
    }

    async fn join(&mut self, names: &[usize], resume: Option<Cursor>) {
        let rooms = names.iter().map(|at| filter(PROJECTS[*at])).collect();
        self.feed.join(None, rooms, resume).await.unwrap();
    }

    /// Takes what arrived. True if that was anything.
    fn read(&mut self) -> bool {
        let received = self.socket.received();
        self.rest.extend_from_slice(&received);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let frame: Vec<u8> = self.rest.drain(..=end).collect();
            self.view.take(&frame[..end]);
        }
        !received.is_empty()
    }
}

fn filter(name: &str) -> RoomFilter {
    RoomFilter::One(Room::Project(project(name)))
}

#[tokio::test]
async fn who_is_up_to_date_is_written_to_by_the_fan_out_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 1000).await;
    let mut clients = [host.connect(100).allowing(1 << 20), host.connect(100).allowing(1 << 20)];
    for client in &mut clients {
        client.join(&[0], None).await;
    }
    host.settle(&mut clients).await;
    assert_eq!(host.fanout.live(), (2, 1), "both are in one channel");
    let seq = host.publish("a", 1).await;
    host.publish("b", 2).await;
    host.fanout.step();
    for client in &mut clients {
        assert!(client.read(), "without its task");
        assert_eq!(client.view.seen[0], [seq]);
    }
    assert_eq!(host.counted.load(Ordering::Relaxed), 2);
    drop(clients);
    host.fanout.step();
    assert_eq!(host.fanout.live(), (0, 0), "who is gone leaves nothing behind");
}

#[tokio::test]
async fn a_socket_that_takes_half_a_piece_gets_the_rest_from_its_task_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 1000).await;
    let mut clients = [host.connect(100).allowing(1 << 20)];
    clients[0].join(&[0], None).await;
    host.settle(&mut clients).await;
    let [client] = &mut clients;
    client.socket.0.buffer.lock().unwrap().1 = 100;
    let first = host.publish("a", 1).await;
    host.fanout.step();
    assert!(!client.outlet.is_live() && client.outlet.unsent() > 0);
    let second = host.publish("a", 2).await;
    host.fanout.step();
    // An answer of the task goes behind the rest of the piece, not into it.
    client.feed.say(br#"{"type":"said","n":7}"#).unwrap();
    client.socket.allow(10);
    client.poll().await;
    host.settle(&mut clients).await;
    let [client] = &mut clients;
    assert_eq!(client.view.seen[0], [first, second]);
    assert_eq!(client.view.said, [7]);
    assert!(client.outlet.is_live(), "it is up to date again");
}

#[tokio::test]
async fn who_was_live_in_a_quiet_room_does_not_look_through_what_others_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 10).await;
    let mut clients = [host.connect(5).allowing(1 << 20)];
    clients[0].join(&[0], None).await;
    host.settle(&mut clients).await;
    for n in 0..100 {
        host.publish("b", n).await;
        host.fanout.step();
    }
    // More than the ring and the replay limit hold: had it stayed where it was, it would get a snapshot.
    clients[0].join(&[1], None).await;
    host.publish("a", 1).await;
    host.settle(&mut clients).await;
    assert!(clients[0].view.resets.is_empty(), "{:?}", clients[0].view.resets);
    assert_eq!(clients[0].view.seen[0].len(), 1);
}

#[tokio::test]
async fn a_fan_out_that_was_overtaken_by_the_ring_loses_nobody_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 10).await;
    let mut clients = [host.connect(1000).allowing(1 << 20), host.connect(1000).allowing(1 << 20)];
    clients[0].join(&[0], None).await;
    clients[1].join(&[0, 1], None).await;
    host.settle(&mut clients).await;
    let mut expected = Vec::new();
    for n in 0..50 {
        expected.push(host.publish("a", n).await);
    }
    host.fanout.step();
    host.settle(&mut clients).await;
    for client in &clients {
        assert_eq!(client.view.seen[0], expected);
        assert!(client.outlet.is_live());
    }
}

#[tokio::test]
async fn a_socket_that_takes_nothing_ends_its_feed_after_the_stall_limit_and_trickling_does_not_help() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 1000).await;
    for trickle in [0, 1] {
        let mut client = host.connect_with(100, Duration::from_millis(100));
        client.join(&[0], None).await;
        let socket = client.socket.clone();
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                socket.allow(trickle);
            }
        };
        let error = tokio::select! {
            error = client.feed.run() => error,
            () = dripping => unreachable!("it never ends"),
        };
        assert!(matches!(error, FeedError::Stalled), "{error}");
    }
}

#[tokio::test]
async fn a_broken_connection_ends_its_feed_and_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 1000).await;
    let mut clients = vec![host.connect(100).allowing(1 << 20), host.connect(100).allowing(1 << 20)];
    for client in &mut clients {
        client.join(&[0], None).await;
    }
    host.settle(&mut clients).await;
    clients[0].outlet.abort();
    let seq = host.publish("a", 1).await;
    host.fanout.step();
    assert!(matches!(clients[0].feed.run().await, FeedError::Socket(_)));
    clients.remove(0);
    host.settle(&mut clients).await;
    assert_eq!(clients[0].view.seen[0], [seq]);
    assert_eq!(host.fanout.live(), (1, 1));
}

#[tokio::test]
async fn pitfall_09_a_late_answer_does_not_pass_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(dir.path(), 1000).await;
    let mut client = host.connect(100);
    // The socket takes nothing while the room is joined, left and joined again, with an event in each stay and between.
    client.join(&[0], None).await;
    host.publish("a", 1).await;
    client.poll().await;
    client.feed.leave(&[filter("a")]);
    host.publish("a", 2).await;
    client.poll().await;
    client.join(&[0], None).await;
    let last = host.publish("a", 3).await;
    client.socket.allow(1 << 20);
    let mut order = Vec::new();
    while order.last().is_none_or(|(_, seq)| *seq != Some(last)) {
        client.poll().await;
        client.rest.extend(client.socket.received());
        while let Some(end) = client.rest.iter().position(|byte| *byte == b'\n') {
            let frame: Vec<u8> = client.rest.drain(..=end).collect();
            let frame: Value = serde_json::from_slice(&frame[..end]).unwrap();
            order.push((frame["type"].as_str().unwrap().to_owned(), frame["seq"].as_u64()));
        }
    }
    let kinds: Vec<&str> = order.iter().map(|(kind, _)| kind.as_str()).filter(|kind| *kind != "x_test").collect();
    let stay = ["subscribed", "snapshot", "synced"];
    assert_eq!(kinds, [&stay[..], &["left"], &stay[..]].concat(), "{order:?}");
    let left = order.iter().position(|(kind, _)| kind == "left").unwrap();
    let after: Vec<u64> = order[left..].iter().filter_map(|(_, seq)| *seq).collect();
    assert_eq!(after, [last], "the second stay begins with its own snapshot: {order:?}");
}

/// What happens to one of the clients, or to the host.
#[derive(Debug, Clone)]
enum Act {
    Publish { project: usize, count: u64 },
    Step,
    Poll { client: usize },
    Allow { client: usize, bytes: usize },
    Join { client: usize, project: usize },
    Leave { client: usize, project: usize },
    Say { client: usize },
    Reconnect { client: usize },
}

const CLIENTS: usize = 3;

fn act() -> impl Strategy<Value = Act> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => (0..2usize, 1u64..6).prop_map(|(project, count)| Act::Publish { project, count }),
        4 => Just(Act::Step),
        4 => client.clone().prop_map(|client| Act::Poll { client }),
        4 => (client.clone(), prop_oneof![1usize..40, 40usize..2000]).prop_map(|(client, bytes)| Act::Allow { client, bytes }),
        1 => (client.clone(), 0..2usize).prop_map(|(client, project)| Act::Join { client, project }),
        1 => (client.clone(), 0..2usize).prop_map(|(client, project)| Act::Leave { client, project }),
        2 => client.clone().prop_map(|client| Act::Say { client }),
        1 => client.prop_map(|client| Act::Reconnect { client }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Against the simplest model there is, the list of what was published: any order of commits, rounds of the fan-out,
    /// turns of the tasks, bytes taken, rooms joined and left, answers and reconnects, with a ring that is soon overtaken.
    #[test]
    fn any_interleaving_gives_each_client_its_rooms_once_and_in_order(
        ring in 4usize..40,
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(dir.path(), ring, acts));
    }
}

async fn run(dir: &Path, ring: usize, acts: Vec<Act>) {
    let host = Host::open(dir, ring).await;
    let mut published: [Vec<u64>; 2] = Default::default();
    let mut clients: Vec<Client> = Vec::new();
    let mut rooms: [[bool; 2]; CLIENTS] = [[true, false], [false, true], [true, true]];
    let mut said = [0; CLIENTS];
    for mine in &rooms {
        let mut client = host.connect(10_000).allowing(500);
        let names: Vec<usize> = (0..2).filter(|at| mine[*at]).collect();
        client.join(&names, None).await;
        clients.push(client);
    }
    for act in acts {
        match act {
            Act::Publish { project, count } => {
                for n in 0..count {
                    published[project].push(host.publish(PROJECTS[project], n).await);
                }
            }
            Act::Step => {
                host.fanout.step();
            }
            Act::Poll { client } => clients[client].poll().await,
            Act::Allow { client, bytes } => clients[client].socket.allow(bytes),
            Act::Join { client, project } if !rooms[client][project] => {
                rooms[client][project] = true;
                // A room that was left before starts anew: the snapshot that comes says from where.
                clients[client].join(&[project], None).await;
            }
            Act::Leave { client, project } if rooms[client] == [true, true] => {
                rooms[client][project] = false;
                clients[client].feed.leave(&[filter(PROJECTS[project])]);
                clients[client].view.left[project] = true;
                clients[client].view.leaving[project] += 1;
            }
            Act::Join { .. } | Act::Leave { .. } => {}
            Act::Say { client } => {
                said[client] += 1;
                let frame = format!(r#"{{"type":"said","n":{}}}"#, said[client]);
                clients[client].feed.say(frame.as_bytes()).unwrap();
            }
            Act::Reconnect { client } => {
                // What was on its way is lost with the connection, as a client would lose it: half a frame is nothing.
                clients[client].read();
                let mut view = std::mem::take(&mut clients[client].view);
                let cursor = view.cursor.clone();
                view.newest = cursor.as_ref().map_or(0, |cursor| cursor.seq);
                for at in 0..2 {
                    // A snapshot that no `synced` followed is not known to be whole: what came after the cursor comes again.
                    if view.last[at].is_some_and(|last| last > view.newest) {
                        view.last[at] = None;
                        view.seen[at].clear();
                    }
                }
                said[client] = 0;
                view.said.clear();
                view.leaving = [0, 0];
                let mut next = host.connect(10_000).allowing(500);
                let (anew, known): (Vec<usize>, Vec<usize>) =
                    (0..2).filter(|at| rooms[client][*at]).partition(|at| view.left[*at]);
                next.join(&known, cursor).await;
                if !anew.is_empty() {
                    next.join(&anew, None).await;
                }
                next.view = view;
                clients[client] = next;
            }
        }
        for client in &mut clients {
            client.read();
        }
    }
    host.settle(&mut clients).await;
    for (client, rooms) in clients.iter().zip(rooms) {
        for (at, name) in PROJECTS.iter().enumerate().filter(|(at, _)| rooms[*at]) {
            let (seen, last) = (&client.view.seen[at], published[at].last().copied());
            if let (Some(first), Some(newest)) = (seen.first(), last) {
                let since: Vec<u64> = published[at].iter().copied().filter(|seq| seq >= first).collect();
                assert_eq!(*seen, since, "{name}");
                assert_eq!(client.view.last[at], Some(newest), "{name}");
            } else if let (Some(known), Some(newest)) = (client.view.last[at], last) {
                assert!(known >= newest, "{name}: {newest} never came, {known} is the newest known");
            }
        }
        assert!(client.view.synced > 0);
        assert!(client.outlet.is_live(), "who is up to date is live: {:?}", client.outlet);
    }
    for (client, count) in clients.iter().zip(said) {
        assert_eq!(client.view.said, (1..=count).collect::<Vec<u64>>());
    }
    assert_eq!(host.fanout.live().0, CLIENTS);
    drop(clients);
    host.fanout.step();
    assert_eq!((host.fanout.live(), host.hub.subscriptions(), host.connections.len()), ((0, 0), 0, 0));
}
