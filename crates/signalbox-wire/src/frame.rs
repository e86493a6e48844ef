//! Frames: JSON texts with a `type`, the same over IPC and WebSocket.
//!
//! Events are frames too; the log encodes them once (`signalbox-store`), so they are not among
//! the variants of [`HostFrame`].

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signalbox_model::{Cursor, Epoch, MemberId, PresenceState, Role, Room, RoomFilter, UnixMillis};
use ts_rs::TS;

use crate::{CallError, method::Connection, snapshot::Snapshot};

/// Who connects: shown to the other members and in the list of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ClientInfo {
    /// The program's name, at most 60 bytes.
    pub name: String,
    /// Its version, at most 60 bytes.
    pub version: String,
    /// Names this running instance: a second connection of the same instance closes the first. At most 60 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub instance: Option<String>,
}

/// The first frame of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Hello {
    /// Echoed in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rid: Option<u64>,
    /// The protocol version, 1.
    pub v: u32,
    /// The token; absent where the transport already proved who it is (IPC, a cookie, an `Authorization` header).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub token: Option<String>,
    /// Who connects.
    pub client: ClientInfo,
    /// Rooms to join at once, at most `limits.rooms`.
    #[serde(default)]
    pub rooms: Vec<RoomFilter>,
    /// The last place seen; absent: a snapshot of each room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resume: Option<Cursor>,
}

/// What a client sends.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// Joins rooms.
    Subscribe {
        /// Echoed in the answer.
        rid: Option<u64>,
        /// Which.
        rooms: Vec<RoomFilter>,
        /// The last place seen; absent: a snapshot of each.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        resume: Option<Cursor>,
    },
    /// Leaves rooms.
    Unsubscribe {
        /// Echoed in the answer.
        rid: Option<u64>,
        /// Which.
        rooms: Vec<RoomFilter>,
    },
    /// Calls a method.
    Call {
        /// Echoed in the `reply`.
        rid: u64,
        /// Which method.
        method: String,
        /// Its parameters; absent means none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        params: Option<serde_json::Value>,
        /// Idempotency key, at most 100 bytes: the same key twice is done once, and answered alike.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        key: Option<String>,
    },
    /// Answers a `ping`.
    Pong {},
    /// Says what this member looks at, in a room that this connection follows. Never stored; the last one counts.
    Presence {
        /// Where.
        room: Room,
        /// What. Unknown keys are dropped, longer texts are cut.
        state: PresenceState,
    },
    /// Lets the host send `batches` more batches of frames. Only IPC asks for it.
    Credit {
        /// How many more.
        batches: u32,
    },
}

/// A `call` as a transport reads it: its parameters are left as they are, for the method to read. The same text as a
/// [`ClientFrame`] gives the same.
#[derive(Debug, Deserialize)]
pub struct CallFrame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Echoed in the `reply`.
    pub rid: u64,
    /// Which method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Its parameters; absent means none.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// Idempotency key.
    #[serde(borrow, default)]
    pub key: Option<Cow<'a, str>>,
}

impl<'a> CallFrame<'a> {
    /// Reads a frame if it is a call; whatever else it is, and whatever is wrong with it, a [`ClientFrame`] says.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|frame: &Self| frame.kind == "call")
    }
}

/// The bounds of a connection. A client that keeps to them is never closed for their sake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Limits {
    /// Largest frame from a client, in bytes.
    pub frame_bytes: u64,
    /// Largest `data` of a posted event, in bytes.
    pub event_bytes: u64,
    /// Most bytes on their way to one connection.
    pub outbound_bytes: u64,
    /// Most rooms of one connection.
    pub rooms: u64,
    /// Time for `hello`, in milliseconds.
    pub hello_ms: u64,
    /// Calls per second and member; 0: no limit.
    pub calls_per_second: u64,
    /// Connections of one member; 0: no limit.
    pub connections_per_member: u64,
    /// Connections of the host; 0: no limit.
    pub connections: u64,
    /// Most events that a resume replays; further behind means `reset` and a snapshot.
    pub replay_events: u64,
}

/// How a room was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum SubscribeMode {
    /// The events missed follow; what the client holds stays good.
    Resumed,
    /// A snapshot follows.
    Snapshot,
    /// Nothing was missed.
    Live,
}

/// What the host sends beside events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum HostFrame {
    /// Welcome: the first frame of a host.
    Connection {
        /// Of the `hello`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        rid: Option<u64>,
        /// This log.
        epoch: Epoch,
        /// Its newest event.
        head: u64,
        /// The host's version.
        version: String,
        /// Names this connection in `connection.list`.
        connection: u64,
        /// Who the token says it is.
        member: MemberId,
        /// Its name.
        member_name: String,
        /// Its role.
        role: Role,
        /// The bounds.
        limits: Limits,
        /// A `ping` comes at least this often, in milliseconds.
        ping_ms: u64,
    },
    /// A room was joined.
    Subscribed {
        /// Of the `subscribe`; absent for rooms of the `hello`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        rid: Option<u64>,
        /// Which.
        room: RoomFilter,
        /// How.
        mode: SubscribeMode,
        /// The newest event of this room when it was joined; 0 for none. For a project with its runs: of the project's own room.
        head: u64,
    },
    /// What the client holds of a room is no longer good; a snapshot follows.
    Reset {
        /// Which.
        room: RoomFilter,
        /// `epoch_changed`, `too_old`, `too_far_behind`, `future` or `slow`.
        reason: String,
    },
    /// A room's state at `at`; events after it follow.
    Snapshot {
        /// Which.
        room: RoomFilter,
        /// Everything up to this event is in it.
        at: u64,
        /// The state.
        state: Snapshot,
    },
    /// The view is complete up to here.
    Synced {
        /// Of the `subscribe`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        rid: Option<u64>,
        /// Resume from here.
        cursor: Cursor,
    },
    /// Answer with `pong` or any other frame.
    Ping {
        /// The newest event of the host, so that an idle client knows how far the log is.
        head: u64,
        /// The newest event sent to this client: if it has not seen it, something was lost.
        sent: u64,
    },
    /// The answer to a call, or to an `unsubscribe`.
    Reply {
        /// Of the call.
        rid: u64,
        /// What it gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<serde_json::Value>")]
        #[ts(type = "unknown", optional)]
        result: Option<Box<RawValue>>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        error: Option<CallError>,
    },
    /// A room was left, by wish or by force.
    Left {
        /// Which.
        room: RoomFilter,
        /// `unsubscribed`, `forbidden`, `not_found`.
        code: String,
    },
    /// The client is far behind: events come from disk, or a `reset` follows.
    Lagging {
        /// How many events behind.
        behind: u64,
    },
    /// Somebody's presence: all of it, in place of what was said before. Never stored. Each room that is joined begins
    /// with those who are in it; who loses a connection forgets whom it saw.
    Presence {
        /// Where.
        room: Room,
        /// Who.
        member: MemberId,
        /// Their name.
        name: String,
        /// What they look at, on the device that spoke last; absent: they left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        state: Option<PresenceState>,
        /// Each device, the one that spoke last first, if there are several; at most 8.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(as = "Option<Vec<PresenceState>>", optional)]
        devices: Vec<PresenceState>,
    },
    /// Who is connected, and how well: at most every 5 s to those who follow the room `host`. Never stored.
    ConnectionStats {
        /// `host`.
        room: Room,
        /// When it was measured.
        at: UnixMillis,
        /// How many connections there are.
        count: u64,
        /// The first 200 of them, oldest first.
        connections: Vec<Connection>,
    },
    /// The host is about to close the connection.
    Bye {
        /// The close code that follows.
        code: u16,
        /// Its name.
        reason: String,
        /// Wait this long before connecting again, in milliseconds; absent: do not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        reconnect_ms: Option<u64>,
    },
}

impl HostFrame {
    /// The frame as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            // Reached only by a non-finite number in a snapshot: say so rather than send half a frame.
            format!(
                r#"{{"type":"error","data":{{"code":"internal","message":"a frame could not be encoded: {error}"}}}}"#
            )
        })
    }
}
