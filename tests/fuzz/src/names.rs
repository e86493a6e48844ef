//! Names: cursors, rooms, ids, durations.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};
use signalbox_model::{
    Actor, ApprovalId, Cursor, CustomType, Epoch, EventBody, MemberId, ProjectId, Room, RoomFilter, RunId, StepKey,
};
use signalbox_workflow::Span;

use crate::{bytes::text, measure::bounded};

/// A text is a name or refused; a name has one spelling, in JSON as well; and none breaks a line, a header or a path.
pub fn name(data: &[u8]) {
    let text = text(data);
    bounded(|| {
        one_spelling::<Cursor>(&text, |_| true);
        one_spelling::<Room>(&text, |_| true);
        one_spelling::<RoomFilter>(&text, |_| true);
        one_spelling::<RunId>(&text, plain);
        one_spelling::<ApprovalId>(&text, plain);
        one_spelling::<MemberId>(&text, plain);
        one_spelling::<ProjectId>(&text, plain);
        one_spelling::<Epoch>(&text, plain);
        one_spelling::<StepKey>(&text, |key| key.len() <= 200);
        one_spelling::<Actor>(&text, |actor| actor.len() <= 120);
        if let Ok(kind) = CustomType::new(&text) {
            assert!(kind.as_str() == text && text.starts_with("x_") && text.len() <= 62);
        }
        // A duration may be written in several ways; how it is shown is one of them.
        if let Ok(span) = text.parse::<Span>() {
            assert!((1..=365 * 86_400_000).contains(&span.millis()), "{span} is out of range");
            assert_eq!(span.to_string().parse::<Span>().ok(), Some(span));
            assert_eq!(Span::from_millis(span.millis()), span);
        }
        let (kind, data) = text.split_once('\n').unwrap_or((&text, "null"));
        if let Ok(body) = EventBody::parse(kind, data) {
            let written = body.data_json().expect("what was read can be written");
            let again = EventBody::parse(body.type_name(), &written).expect("what was written can be read");
            assert_eq!(again, body);
        }
    });
}

fn plain(id: &str) -> bool {
    id.len() <= 64 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn one_spelling<T>(text: &str, fits: fn(&str) -> bool)
where
    T: FromStr<Err: Display> + Display + PartialEq + Serialize + DeserializeOwned,
{
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    let in_json = serde_json::from_str::<T>(&quoted);
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            assert!(fits(text) && !text.is_empty() && !text.chars().any(char::is_control), "{text:?} passed");
            assert!(in_json.is_ok_and(|same| same == name), "{text:?} is refused in JSON");
            assert_eq!(serde_json::to_string(&name).expect("a name is JSON"), quoted);
        }
        Err(error) => {
            assert!(in_json.is_err(), "{text:?} passes in JSON only");
            let error = error.to_string();
            assert!(error.len() < 1000 && !error.contains(['\n', '\r', '\0']), "{error:?}");
        }
    }
}
