//! Frames, as the host reads those of clients and as the client reads those of hosts.

use serde_json::{Map, Value};
use signalbox_client::Recognised;
use signalbox_wire::{CallFrame, ClientFrame, HostFrame};

use crate::{bytes::text, measure::bounded};

/// A client's frame is read or refused, and what was read is written as what is read the same.
pub fn client(data: &[u8]) {
    let text = text(data);
    bounded(|| {
        let Ok(frame) = serde_json::from_str::<ClientFrame>(&text) else { return };
        if let ClientFrame::Call { rid, method, params, key } = &frame {
            let call = CallFrame::read(&text).expect("a call is read as one");
            let given = call.params.map(|params| serde_json::from_str::<Value>(params.get()).expect("it was read"));
            assert_eq!(
                (call.rid, &*call.method, &given, call.key.as_deref()),
                (*rid, &**method, params, key.as_deref())
            );
        } else {
            assert!(CallFrame::read(&text).is_none(), "{text} is no call");
        }
        let written = serde_json::to_string(&frame).expect("what was read can be written");
        let again: ClientFrame = serde_json::from_str(&written).expect("what was written can be read");
        assert_eq!(written, serde_json::to_string(&again).expect("it was written before"));
    });
}

/// Types of frames that the client acts on; others are left alone.
const KNOWN: [&str; 9] = ["connection", "subscribed", "reset", "snapshot", "synced", "ping", "reply", "left", "bye"];

/// A host's frame means the same whatever the order of its fields and whatever fields it has beside those known, and a
/// type that is not known is ignored.
pub fn host(data: &[u8]) {
    let text = text(data);
    bounded(|| {
        let read = signalbox_client::recognise(&text);
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(&text) else { return };
        let kind = object.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_event = object.get("seq").is_some_and(Value::is_number);
        // Which of two values of one field counts is nobody's promise.
        let plain = text.matches("\"type\"").count() == 1 && text.matches("\"seq\"").count() <= 1;
        if plain && !kind.is_empty() && !is_event && !KNOWN.contains(&kind.as_str()) {
            assert_eq!(read.as_ref().ok(), Some(&Recognised::Unknown), "the type {kind:?} is not ignored: {read:?}");
        }
        // What the host's own types say is understood: a host sends nothing else.
        if let Ok(frame) = serde_json::from_str::<HostFrame>(&text) {
            let written = frame.to_json();
            let again = signalbox_client::recognise(&written);
            let expected = if KNOWN.contains(&kind.as_str()) { Recognised::Control } else { Recognised::Unknown };
            assert_eq!(again.ok(), Some(expected), "{written}");
        }
        let Ok(read) = read else { return };
        if !plain {
            return;
        }
        let mut turned: Map<String, Value> = object.into_iter().rev().collect();
        turned.insert("of_a_later_version".into(), serde_json::json!({ "seq": 1, "type": "x" }));
        let turned = format!(" {}", serde_json::to_string(&turned).expect("it was JSON"));
        let again = signalbox_client::recognise(&turned);
        assert_eq!(again.ok(), Some(read), "{turned}");
    });
}
