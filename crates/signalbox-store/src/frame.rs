//! A committed event as subscribers receive it: JSON text, encoded once.

use std::{fmt::Write, sync::Arc};

use bytes::Bytes;
use signalbox_model::{Epoch, ProjectId, Room, UnixMillis};

/// A room as the log knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// The row's id.
    pub id: i64,
    /// Which room.
    pub room: Room,
    /// The project that it belongs to; none for `host` and `activity`.
    pub project: Option<ProjectId>,
}

/// A committed event, encoded.
#[derive(Debug)]
pub struct Frame {
    /// Its place.
    pub seq: u64,
    /// Its room.
    pub room: Arc<RoomInfo>,
    /// The whole frame, JSON.
    pub json: Bytes,
}

impl Frame {
    /// The event's type.
    #[must_use]
    pub fn kind(&self) -> &str {
        // The text begins with it, see `Parts::encode`.
        let rest = self.json.strip_prefix(br#"{"type":""#).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }
}

/// The columns of an event.
pub(crate) struct Parts<'a> {
    pub(crate) seq: u64,
    pub(crate) prev: u64,
    pub(crate) ts: UnixMillis,
    pub(crate) kind: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) run: Option<&'a str>,
    pub(crate) step: Option<&'a str>,
    pub(crate) data: &'a str,
}

impl Parts<'_> {
    /// The frame's text. `kind`, epoch and room are of alphabets that need no escaping.
    pub(crate) fn encode(&self, epoch: &Epoch, room: &Room) -> Bytes {
        let mut out = String::with_capacity(self.data.len() + 256);
        let mut digits = Digits::default();
        // Piece by piece: the formatting machinery would take as long as the rest of an append outside SQLite.
        out.push_str(r#"{"type":""#);
        out.push_str(self.kind);
        out.push_str(r#"","seq":"#);
        let seq = digits.of(self.seq);
        out.push_str(seq);
        let place = out.len() - seq.len()..out.len();
        out.push_str(r#","prev":"#);
        out.push_str(digits.of(self.prev));
        out.push_str(r#","cursor":""#);
        out.push_str(epoch.as_str());
        out.push('.');
        out.extend_from_within(place);
        out.push_str(r#"","room":""#);
        let _ = write!(out, "{room}");
        out.push_str(r#"","ts":"#);
        if self.ts < 0 {
            out.push('-');
        }
        out.push_str(digits.of(self.ts.unsigned_abs()));
        out.push_str(r#","actor":"#);
        push_json(&mut out, self.actor);
        if let Some(run) = self.run {
            out.push_str(r#","run":"#);
            push_json(&mut out, run);
        }
        if let Some(step) = self.step {
            out.push_str(r#","step":"#);
            push_json(&mut out, step);
        }
        out.push_str(r#","data":"#);
        out.push_str(self.data);
        out.push('}');
        Bytes::from(out)
    }
}

/// Room for a number as text.
#[derive(Default)]
pub(crate) struct Digits([u8; 20]);

impl Digits {
    pub(crate) fn of(&mut self, mut number: u64) -> &str {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            if number == 0 {
                return std::str::from_utf8(&self.0[at..]).unwrap_or("0");
            }
        }
    }
}

fn push_json(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}
