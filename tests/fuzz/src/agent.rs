//! What a coding agent sends: from bytes to lines, and from frames of its protocol to updates.
//!
//! An input is a conversation: what stands behind `>` at the beginning of a line was sent by us, all else by the agent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use signalbox_agent::{
    Frame, Reducer, Update, limits,
    lines::{Line, Lines},
};

use crate::measure::bounded;

/// Longest line here, in bytes: short, so that many are cut.
const LINE: usize = 4096;

/// Every letter of a message comes out once and in order; whatever is open is closed when its turn ends; nothing that
/// comes out is over its limit; and it does not matter how the bytes are cut.
pub fn agent(data: &[u8]) {
    bounded(|| {
        let lines = lines(data, data.len().max(1));
        assert_eq!(lines, self::lines(data, 7), "lines depend on how bytes are cut");
        let mut watch = Watch::default();
        let mut reducer = Reducer::new("/srv/demo");
        let mut out = Vec::new();
        for line in &lines {
            let ended = match line {
                Line::Whole(line) => match line.strip_prefix('>') {
                    Some(ours) => {
                        reducer.outgoing(ours, &mut out);
                        watch.sent(ours);
                        false
                    }
                    None => {
                        watch.said(line);
                        matches!(reducer.incoming(line, &mut out), Frame::Turn { .. })
                    }
                },
                Line::TooLong { head, bytes } => {
                    assert!(*bytes > LINE as u64 && head.len() <= 3 * LINE);
                    reducer.incoming_too_long(head, *bytes, &mut out);
                    false
                }
            };
            watch.told(&out);
            out.clear();
            if ended {
                watch.all_closed();
            }
        }
        reducer.end(&mut out);
        watch.told(&out);
        watch.all_closed();
        assert!(!reducer.is_busy());
        if watch.comparable {
            assert_eq!(watch.heard, watch.expected, "text was lost, doubled or moved");
        }
    });
}

fn lines(data: &[u8], portion: usize) -> Vec<Line> {
    let (mut lines, mut got) = (Lines::new(LINE), Vec::new());
    for portion in data.chunks(portion) {
        lines.push(portion, |line| got.push(line));
    }
    got.extend(lines.finish());
    got
}

/// What must come out, found out in another way.
struct Watch {
    /// Whether the conversation is so plain that its text can be told without the reducer.
    comparable: bool,
    session: Option<String>,
    /// Messages and thoughts.
    expected: [String; 2],
    heard: [String; 2],
    open_calls: BTreeSet<String>,
    open_questions: BTreeMap<String, usize>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            comparable: true,
            session: None,
            expected: Default::default(),
            heard: Default::default(),
            open_calls: BTreeSet::new(),
            open_questions: BTreeMap::new(),
        }
    }
}

impl Watch {
    fn sent(&mut self, line: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(line) else { return };
        // A session that is loaded tells its past, and may get another name.
        if frame["method"].as_str().is_some_and(|method| method.starts_with("session/") && method != "session/prompt") {
            self.comparable = false;
        }
    }

    fn said(&mut self, line: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(line) else { return };
        if frame["method"] != "session/update" || !frame["id"].is_null() {
            return;
        }
        let (session, update) = (&frame["params"]["sessionId"], &frame["params"]["update"]);
        if let Some(session) = session.as_str() {
            self.comparable &= self.session.get_or_insert_with(|| session.to_owned()) == session;
        }
        let thought = match update["sessionUpdate"].as_str() {
            Some("agent_message_chunk") => 0,
            Some("agent_thought_chunk") => 1,
            _ => return,
        };
        match (update["content"]["type"].as_str(), update["content"]["text"].as_str()) {
            (Some("text"), Some(text)) => self.expected[thought].push_str(text),
            (Some("text"), None) => {}
            _ => self.comparable = false,
        }
    }

    fn told(&mut self, updates: &[Update]) {
        for update in updates {
            match update {
                Update::Text(text) => {
                    assert!(!text.text.is_empty() && text.text.len() <= limits::TEXT);
                    self.heard[usize::from(text.thought)].push_str(&text.text);
                }
                Update::Tool(tool) => {
                    let sizes = [tool.input.as_ref(), tool.output.as_ref()].into_iter().flatten();
                    assert!(sizes.map(String::len).all(|size| size <= limits::OUTPUT));
                    assert!(tool.id.len() <= limits::WORD && tool.title.len() <= limits::WORD);
                    if tool.status.is_final() {
                        self.open_calls.remove(&tool.id);
                    } else {
                        self.open_calls.insert(tool.id.clone());
                    }
                }
                Update::Permission(asked) => {
                    assert!(!asked.options.is_empty());
                    let known = self.open_questions.insert(asked.id.clone(), asked.options.len());
                    assert_eq!(known, None, "two questions with one name");
                }
                Update::PermissionWithdrawn { id, .. } => {
                    assert!(self.open_questions.remove(id).is_some(), "what was not asked cannot be taken back");
                }
                Update::Raw { line, bytes, .. } => assert!(line.len() as u64 <= (*bytes).max(3 * LINE as u64)),
                Update::Unknown { kind, json } => assert!(kind.len() <= limits::WORD + 32 && json.len() <= limits::RAW),
                Update::Plan(plan) => assert!(plan.len() <= limits::LIST),
                Update::Info(_) | Update::Usage(_) | Update::Title(_) | Update::Retry { .. } | Update::Stderr(_) => {}
            }
        }
    }

    fn all_closed(&self) {
        assert!(self.open_calls.is_empty(), "open after the end: {:?}", self.open_calls);
    }
}
