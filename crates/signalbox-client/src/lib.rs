//! A client that resumes.
//!
//! [`connect`] gives a [`Client`] for calls and a stream of [`Update`]s. When the connection breaks
//! the client comes back with full jitter, for as long as it takes, and goes on where it was: an
//! event is handed out once, and a hole in a room's chain (`prev`) means a resume, never silence.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use signalbox_client::{Options, Update, connect};
//!
//! let mut options = Options::new("http://127.0.0.1:7117", "the token");
//! options.rooms = vec!["project/checkout/**".parse()?];
//! let (client, mut updates) = connect(options);
//! while let Some(update) = updates.recv().await {
//!     match update {
//!         Update::Event(event) => println!("{} {}", event.seq, event.kind),
//!         Update::Synced(cursor) => println!("complete up to {cursor}"),
//!         _ => {}
//!     }
//! }
//! # drop(client);
//! # Ok(())
//! # }
//! ```

mod backoff;
mod connection;
mod frames;
mod join;
mod link;
mod stream;
mod tls;

use std::time::Duration;

use serde_json::value::RawValue;
use signalbox_model::{Cursor, RoomFilter};
use signalbox_wire::{CallError, ErrorCode};
use tokio::sync::{mpsc, oneshot};

pub use backoff::Backoff;
pub use frames::{Limits, Received, Welcome};
#[doc(hidden)]
pub use frames::{Recognised, recognise};
pub use join::{JoinError, JoinLink, Joined, Known, join};
pub use link::Link;
pub use tls::{NoPin, Pin};

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// The host's base address, `http://127.0.0.1:7117`.
    pub url: String,
    /// The token.
    pub token: String,
    /// The key that the host must have; none: over `https` the public must vouch for it.
    pub pin: Option<Pin>,
    /// The program's name, shown to others.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Rooms to follow.
    pub rooms: Vec<RoomFilter>,
    /// Go on from here; none: a snapshot of each room.
    pub resume: Option<Cursor>,
    /// Give up after this many attempts in a row that failed; none: never.
    pub attempts: Option<u32>,
    /// The longest wait for a connection and its welcome.
    pub connect_timeout: Duration,
}

impl Options {
    /// Follows nothing yet, and never gives up.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            pin: None,
            name: "signalbox-client".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            rooms: Vec::new(),
            resume: None,
            attempts: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Nobody listens there, or the network is down.
    #[error("the host at {url} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The host closed it.
    #[error("the host closed the connection: {reason} ({code})")]
    Closed {
        /// The close code.
        code: u16,
        /// Its name.
        reason: String,
    },
    /// The host was silent for longer than its pings allow.
    #[error("the host was silent for too long")]
    Silent,
    /// An event was missing: the connection is made anew, from the last event that was whole.
    #[error("an event was missing in the room {room}: its chain says {said}, the last one seen is {seen}")]
    Gap {
        /// Where.
        room: String,
        /// What the event says came before it.
        said: u64,
        /// What did.
        seen: u64,
    },
    /// The host spoke in a way that is not of this protocol.
    #[error("the host does not speak this protocol: {0}")]
    Protocol(String),
}

impl Ended {
    /// Whether coming back can help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            // We did say it: it came too late, on a machine that slept or was busy.
            Self::Closed { code, .. } if *code == signalbox_wire::CloseCode::NoHello.code() => false,
            Self::Closed { code, .. } => !signalbox_wire::CloseCode::may_reconnect(*code),
            Self::Protocol(_) => true,
            _ => false,
        }
    }
}

/// News, in order.
#[derive(Debug)]
pub enum Update {
    /// Connected.
    Connected(Welcome),
    /// What was held of a room is no longer good; a snapshot follows.
    Reset {
        /// Which.
        room: RoomFilter,
        /// Why.
        reason: String,
    },
    /// A room's state.
    Snapshot {
        /// Which.
        room: RoomFilter,
        /// Everything up to this event is in it.
        at: u64,
        /// The state: see [`signalbox_wire::snapshot::Snapshot`].
        state: Box<RawValue>,
    },
    /// An event.
    Event(Received),
    /// The view is complete up to here.
    Synced(Cursor),
    /// A room cannot be followed: `forbidden`, `not_found`.
    Left {
        /// Which.
        room: RoomFilter,
        /// Why.
        code: String,
    },
    /// The connection ended; the next attempt is made after `retry_in`.
    Disconnected {
        /// Why.
        why: Ended,
        /// How long until the next attempt; none: there will be none, and this is the last update.
        retry_in: Option<Duration>,
        /// How many attempts failed in a row.
        attempt: u32,
    },
}

pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) params: Option<serde_json::Value>,
    pub(crate) key: Option<String>,
    pub(crate) reply: oneshot::Sender<Result<Box<RawValue>, CallError>>,
}

pub(crate) enum Command {
    Call(Call),
    Follow { rooms: Vec<RoomFilter>, resume: Option<Cursor> },
}

/// Calls methods over the connection. Cheap to clone. The connection ends when every clone and the receiver of updates are gone.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(call) => write!(f, "Call({})", call.method),
            Self::Follow { rooms, .. } => write!(f, "Follow({rooms:?})"),
        }
    }
}

fn gone() -> CallError {
    CallError::new(ErrorCode::Unavailable, "the connection has ended; it is not known whether the call was done")
}

impl Client {
    /// Calls a method. It waits while the connection is being made. A call that was sent when the connection broke is
    /// sent again only if it has a key, since the host then does it once.
    ///
    /// # Errors
    /// What the host says, or `unavailable` if the connection ended.
    pub async fn call(
        &self,
        method: &str,
        params: Option<serde_json::Value>,
        key: Option<String>,
    ) -> Result<Box<RawValue>, CallError> {
        let (reply, answer) = oneshot::channel();
        let call = Call { method: method.to_owned(), params, key, reply };
        self.commands.send(Command::Call(call)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Whether the connection has ended for good: every call fails from now on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Calls a method whose reply is of type `T`.
    ///
    /// # Errors
    /// As [`call`](Self::call), and `internal` if the reply has another shape.
    pub async fn get<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: serde_json::Value,
    ) -> Result<T, CallError> {
        let reply = self.call(method, Some(params), None).await?;
        serde_json::from_str(reply.get()).map_err(|error| {
            CallError::new(ErrorCode::Internal, format!("the reply to {method} has another shape: {error}"))
        })
    }

    /// Follows more rooms, from a cursor or with a snapshot.
    ///
    /// # Errors
    /// If the connection has ended for good.
    pub async fn follow(&self, rooms: Vec<RoomFilter>, resume: Option<Cursor>) -> Result<(), CallError> {
        self.commands.send(Command::Follow { rooms, resume }).await.map_err(|_| gone())
    }
}

/// Updates that may wait to be taken. Past it the connection is not read: the rest waits in the host's log.
const UPDATES: usize = 256;

/// Connects, and stays connected.
#[must_use]
pub fn connect(options: Options) -> (Client, mpsc::Receiver<Update>) {
    let (commands, command_queue) = mpsc::channel(64);
    let (updates, receiver) = mpsc::channel(UPDATES);
    tokio::spawn(connection::run(options, command_queue, updates));
    (Client { commands }, receiver)
}
