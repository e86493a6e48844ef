//! A committed event as subscribers receive it: JSON text, encoded once.

use std::sync::Arc;

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

/// Bytes of a frame between its values, but for these two.
const BETWEEN: usize = 74;
const RUN: &str = r#","run":"#;
const STEP: &str = r#","step":"#;

impl Parts<'_> {
    /// The frame's text. `kind`, epoch and room are of alphabets that need no escaping.
    pub(crate) fn encode(&self, epoch: &Epoch, room: &Room) -> Bytes {
        let (mut seq, mut prev, mut ts): (Digits, Digits, Digits) = Default::default();
        let (seq, ts) = (seq.of(self.seq), ts.of(self.ts.unsigned_abs()));
        let (kind_of_room, id_of_room) = room.name_parts();
        let prev = prev.of(self.prev);
        // As much memory as it takes, since thousands of frames are held for those who are behind; and put together by hand, since
        // the formatting machinery would take as long as all else outside SQLite.
        let values = [self.kind, seq, prev, epoch.as_str(), seq, kind_of_room, id_of_room, ts, self.actor, self.data];
        let of = |name: usize, value: Option<&str>| value.map_or(0, |value| name + value.len());
        let length = BETWEEN + values.iter().map(|value| value.len()).sum::<usize>();
        let length = length + of(RUN.len() + 2, self.run) + of(STEP.len() + 2, self.step) + usize::from(self.ts < 0);
        let mut out = String::with_capacity(length);
        out.push_str(r#"{"type":""#);
        out.push_str(self.kind);
        out.push_str(r#"","seq":"#);
        out.push_str(seq);
        out.push_str(r#","prev":"#);
        out.push_str(prev);
        out.push_str(r#","cursor":""#);
        out.push_str(epoch.as_str());
        out.push('.');
        out.push_str(seq);
        out.push_str(r#"","room":""#);
        out.push_str(kind_of_room);
        out.push_str(id_of_room);
        out.push_str(r#"","ts":"#);
        if self.ts < 0 {
            out.push('-');
        }
        out.push_str(ts);
        out.push_str(r#","actor":"#);
        push_json(&mut out, self.actor);
        if let Some(run) = self.run {
            out.push_str(RUN);
            push_json(&mut out, run);
        }
        if let Some(step) = self.step {
            out.push_str(STEP);
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

#[test]
fn a_frame_takes_no_more_memory_than_its_text() {
    let epoch = Epoch::new("eabc").unwrap();
    let parts = Parts { seq: 120, prev: 7, ts: -5, kind: "x_note", actor: "a", run: None, step: None, data: "{}" };
    let whole = Parts { run: Some("r1"), step: Some("s"), ts: 1, ..parts };
    for parts in [Parts { ..parts }, whole] {
        let Ok(bytes) = parts.encode(&epoch, &Room::Host).try_into_mut() else { panic!("nobody else has it") };
        assert_eq!(bytes.capacity(), bytes.len(), "{}", String::from_utf8_lossy(&bytes));
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&json["room"], &json["cursor"]), (&"host".into(), &"eabc.120".into()));
    }
}
