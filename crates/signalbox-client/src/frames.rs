//! Frames as they are received: read as far as the client needs, kept whole otherwise.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use signalbox_model::{Cursor, Epoch, RoomFilter, UnixMillis};
use signalbox_wire::CallError;

/// The host's welcome.
#[derive(Debug, Clone, Deserialize)]
pub struct Welcome {
    /// The log.
    pub epoch: Epoch,
    /// Its newest event.
    pub head: u64,
    /// The host's version.
    pub version: String,
    /// A ping comes at least this often, in milliseconds.
    pub ping_ms: u64,
    /// Who we are.
    pub member_name: String,
    /// What the host takes.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of a host, as far as a client minds them; 0: there is none, or the host does not say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest frame, in bytes.
    pub frame_bytes: u64,
    /// Calls per second and member.
    pub calls_per_second: u64,
}

/// An event as it was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its type.
    pub kind: String,
    /// Its place.
    pub seq: u64,
    /// The event before it in its room.
    pub prev: u64,
    /// Its cursor.
    pub cursor: Cursor,
    /// Its room.
    pub room: String,
    /// When it was committed.
    pub ts: UnixMillis,
    /// Who did it.
    pub actor: String,
    /// The run it is about.
    pub run: Option<String>,
    /// The step it is about.
    pub step: Option<String>,
    /// What it says, JSON.
    pub data: Box<RawValue>,
    /// The whole frame.
    pub text: String,
}

impl Received {
    /// Reads an event as `event.list` gives it.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let EventFrame { kind, seq, prev, cursor, room, ts, actor, run, step, data } = serde_json::from_str(text)?;
        Ok(Self { kind, seq, prev, cursor, room, ts, actor, run, step, data, text: text.to_owned() })
    }
}

#[derive(Debug, Deserialize)]
struct EventFrame {
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    prev: u64,
    cursor: Cursor,
    room: String,
    ts: UnixMillis,
    actor: String,
    run: Option<String>,
    step: Option<String>,
    data: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Control {
    Connection(Welcome),
    Subscribed {
        room: RoomFilter,
        head: u64,
        mode: String,
    },
    Reset {
        room: RoomFilter,
        reason: String,
    },
    Snapshot {
        room: RoomFilter,
        at: u64,
        state: Box<RawValue>,
    },
    Synced {
        cursor: Cursor,
    },
    Ping {
        sent: u64,
    },
    Reply {
        rid: u64,
        result: Option<Box<RawValue>>,
        error: Option<CallError>,
    },
    Left {
        room: RoomFilter,
        code: String,
    },
    Bye {
        code: u16,
        reason: String,
        reconnect_ms: Option<u64>,
    },
    #[serde(other)]
    Unknown,
}

pub(crate) enum Frame {
    Event(Box<Received>),
    Control(Control),
}

/// What decides how a frame is read. `seq` is raw: a type that is not known yet may have one of another kind.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
}

pub(crate) fn parse(text: &str) -> Result<Frame, serde_json::Error> {
    let probe: Probe<'_> = serde_json::from_str(text)?;
    if probe.seq.is_some_and(|seq| seq.get().bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(Frame::Event(Box::new(Received::parse(text)?)));
    }
    // A snapshot's state is raw text, which a tagged enum cannot hold: read it by its own shape.
    if matches!(&*probe.kind, "snapshot" | "reply") {
        return raw(text).map(Frame::Control);
    }
    serde_json::from_str(text).map(Frame::Control)
}

fn raw(text: &str) -> Result<Control, serde_json::Error> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        room: Option<RoomFilter>,
        at: Option<u64>,
        state: Option<Box<RawValue>>,
        rid: Option<u64>,
        result: Option<Box<RawValue>>,
        error: Option<CallError>,
    }
    let raw: Raw = serde_json::from_str(text)?;
    Ok(match (raw.kind.as_str(), raw.room, raw.at, raw.state, raw.rid) {
        ("snapshot", Some(room), Some(at), Some(state), _) => Control::Snapshot { room, at, state },
        ("reply", _, _, _, Some(rid)) => Control::Reply { rid, result: raw.result, error: raw.error },
        _ => Control::Unknown,
    })
}

/// What a text of the host is to this client. For the fuzz targets, which hold it to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// An event.
    Event,
    /// A frame that it acts on, or knows and leaves alone.
    Control,
    /// Of a type that it does not know: ignored.
    Unknown,
}

/// Reads a text as the connection does.
///
/// # Errors
/// If it is no frame; the connection ends then.
pub fn recognise(text: &str) -> Result<Recognised, serde_json::Error> {
    Ok(match parse(text)? {
        Frame::Event(_) => Recognised::Event,
        Frame::Control(Control::Unknown) => Recognised::Unknown,
        Frame::Control(_) => Recognised::Control,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_same_in_any_order_and_a_later_type_is_ignored() {
        for text in [
            r#"{"type":"reply","rid":1,"result":{"a":1}}"#,
            r#"{ "rid": 1, "result": {"a":1}, "type": "reply" }"#,
            r#"{"state":{},"at":1,"new":[],"room":"activity","type":"snapshot"}"#,
        ] {
            assert_eq!(recognise(text).unwrap(), Recognised::Control, "{text}");
        }
        for text in [r#"{"type":"later","seq":"s-1"}"#, r#"{"seq":null,"type":"later","rid":{}}"#] {
            assert_eq!(recognise(text).unwrap(), Recognised::Unknown, "{text}");
        }
        // What has a number is an event: one that is not whole must not be passed over.
        assert!(recognise(r#"{"type":"later","seq":1}"#).is_err());
    }
}
