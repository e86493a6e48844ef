//! Uses of tools: upserts by id, wherever a call is seen first, and their end.

use indexmap::IndexMap;
use regex_lite::Regex;
use serde_json::{Map, Value};
use signalbox_model::{Location, ToolDiff, ToolKind, ToolStatus};
use std::sync::LazyLock;

use super::{
    fields::{content, list, object, text},
    terminals::Terminals,
    tool_status,
};
use crate::{
    limits::{self, head, tail, word},
    update::{ToolState, Update},
};

/// All that are remembered.
#[derive(Debug)]
pub(super) struct Calls {
    /// The session's folder with a slash at its end.
    folder: String,
    calls: IndexMap<String, Call>,
    terminals: Terminals,
}

#[derive(Debug, Default)]
struct Call {
    state: ToolState,
    /// A person said no: what the agent then calls a failure is a refusal.
    refused: bool,
    /// Output came in pieces to be appended.
    streamed: bool,
    /// The terminal of ours that shows its output.
    terminal: Option<String>,
}

impl Calls {
    pub(super) fn new(folder: &str) -> Self {
        let folder = folder.trim_end_matches('/');
        Self { folder: format!("{folder}/"), calls: IndexMap::new(), terminals: Terminals::default() }
    }

    pub(super) fn any_open(&self) -> bool {
        self.calls.values().any(|call| !call.state.status.is_final())
    }

    /// A person said no to it.
    pub(super) fn refused(&mut self, id: &str) {
        if let Some(call) = self.calls.get_mut(id) {
            call.refused = true;
        }
    }

    /// The turn ended: nothing more will be said of what is open.
    pub(super) fn close(&mut self, cancelled: bool, out: &mut Vec<Update>) {
        for call in self.calls.values_mut().filter(|call| !call.state.status.is_final()) {
            call.state.status = match (call.refused, cancelled) {
                (true, _) => ToolStatus::Rejected,
                (false, true) => ToolStatus::Cancelled,
                (false, false) => ToolStatus::Unknown,
            };
            out.push(Update::Tool(Box::new(call.state.clone())));
        }
    }

    /// What an update, a call or a question says of a call. `otherwise` is its id if it has none.
    pub(super) fn merge(&mut self, update: &Map<String, Value>, otherwise: &str, out: &mut Vec<Update>) -> ToolState {
        let id = word(text(update.get("toolCallId")).unwrap_or(otherwise));
        while self.calls.len() >= limits::CALLS && !self.calls.contains_key(&id) {
            self.forget_one(out);
        }
        let mut new = false;
        let call = self.calls.entry(id.clone()).or_insert_with(|| {
            new = true;
            Call { state: ToolState { id: id.clone(), title: id, ..ToolState::default() }, ..Call::default() }
        });
        let before = call.state.clone();
        call.merge(update, &self.folder);
        if let Some(terminal) = &call.terminal {
            self.terminals.show(terminal, &mut call.state);
        }
        if new || call.state != before {
            out.push(Update::Tool(Box::new(call.state.clone())));
        }
        call.state.clone()
    }

    pub(super) fn terminal_printed(&mut self, terminal: &str, text: &str, out: &mut Vec<Update>) {
        self.terminals.printed(terminal, text);
        self.show(terminal, out);
    }

    pub(super) fn terminal_ended(&mut self, terminal: &str, code: Option<i32>, out: &mut Vec<Update>) {
        self.terminals.ended(terminal, code);
        self.show(terminal, out);
    }

    fn show(&mut self, terminal: &str, out: &mut Vec<Update>) {
        let shown = self.calls.values_mut().filter(|call| call.terminal.as_deref() == Some(terminal));
        for call in shown {
            self.terminals.show(terminal, &mut call.state);
            out.push(Update::Tool(Box::new(call.state.clone())));
        }
    }

    fn forget_one(&mut self, out: &mut Vec<Update>) {
        let oldest = self.calls.values().position(|call| call.state.status.is_final()).unwrap_or(0);
        if let Some((_, mut call)) = self.calls.shift_remove_index(oldest)
            && !call.state.status.is_final()
        {
            call.state.status = ToolStatus::Unknown;
            out.push(Update::Tool(Box::new(call.state)));
        }
    }
}

impl Call {
    /// Only members that are there change anything.
    fn merge(&mut self, update: &Map<String, Value>, folder: &str) {
        let state = &mut self.state;
        let title = text(update.get("title")).filter(|title| !title.trim().is_empty());
        if let Some(title) = title.or_else(|| text(update.get("name")).filter(|_| state.title == state.id)) {
            state.title = word(title);
        }
        if let Some(kind) = text(update.get("kind")) {
            state.kind = tool_kind(kind);
        }
        let locations: Vec<Location> = list(update.get("locations"))
            .iter()
            .take(limits::LIST)
            .filter_map(|place| location(place, folder))
            .collect();
        if !locations.is_empty() {
            state.locations = locations;
        }
        match update.get("rawInput") {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) if members.is_empty() => {}
            Some(input) => state.input = Some(head(&input.to_string(), limits::INPUT).to_owned()),
        }
        let status = text(update.get("status")).and_then(tool_status);
        if let Some(status) = status {
            // What is over stays over, also when news of its course comes late.
            if status.is_final() || !state.status.is_final() {
                state.status = status;
            }
            if self.refused && state.status == ToolStatus::Failed {
                state.status = ToolStatus::Rejected;
            }
        }
        let meta = object(update.get("_meta"));
        self.content(update, folder);
        self.stream(meta);
        self.outcome(update.get("rawOutput"), meta);
    }

    /// `content` replaces what was there. But a change that was seen once is kept: some put a sentence in its place.
    fn content(&mut self, update: &Map<String, Value>, folder: &str) {
        let mut said = Vec::new();
        let mut diffs: Vec<ToolDiff> = Vec::new();
        for block in list(update.get("content")).iter().take(limits::LIST) {
            let block = object(Some(block));
            match text(block.get("type")) {
                Some("diff") => diffs.extend(diff(block, folder)),
                Some("terminal") => self.terminal = text(block.get("terminalId")).map(word),
                Some("content") => said.push(content(block.get("content"))),
                _ => {}
            }
        }
        let mut room = limits::DIFFS;
        diffs.retain(|diff| {
            let size = diff.new.len() + diff.old.as_ref().map_or(0, String::len);
            let fits = size <= room;
            room -= size.min(room);
            fits
        });
        if !diffs.is_empty() {
            self.state.diffs = diffs;
        }
        // Before a call is at work its text is a description of it, or its input on the way.
        let described = self.state.status == ToolStatus::Pending || self.streamed;
        let said = said.join("\n");
        if !described && !said.trim().is_empty() {
            self.printed(without_fence(&said));
        }
    }

    /// Output that is appended: how Codex shows a terminal.
    fn stream(&mut self, meta: &Map<String, Value>) {
        for key in ["terminal_output_delta", "terminal_output"] {
            let Some(more) = text(object(meta.get(key)).get("data")).filter(|more| !more.is_empty()) else { continue };
            let (so_far, bytes) = match (self.streamed, self.state.output.take()) {
                (true, Some(so_far)) => {
                    let bytes = self.state.output_bytes.unwrap_or(so_far.len() as u64);
                    (so_far, bytes)
                }
                _ => (String::new(), 0),
            };
            self.streamed = true;
            // Only the end is kept: do not join what is thrown away at once.
            let whole = so_far + tail(more, limits::OUTPUT);
            self.keep(&whole, bytes + more.len() as u64);
        }
    }

    /// Where each agent hides the exit code, and the output if it is nowhere else.
    fn outcome(&mut self, raw: Option<&Value>, meta: &Map<String, Value>) {
        let terminal = object(meta.get("terminal_exit"));
        let raw_object = object(raw);
        let metadata = object(raw_object.get("metadata"));
        let code = [
            terminal.get("exit_code"),
            raw_object.get("exit_code"),
            raw_object.get("exitCode"),
            raw_object.get("returncode"),
            metadata.get("exit"),
            metadata.get("exit_code"),
        ];
        if let Some(code) = code.into_iter().flatten().find_map(Value::as_i64).and_then(|code| i32::try_from(code).ok())
        {
            self.state.exit_code = Some(code);
        }
        if !matches!(self.state.status, ToolStatus::Completed | ToolStatus::Failed) {
            return;
        }
        if self.state.output.is_none() {
            let said = ["output", "aggregated_output", "stdout", "formatted_output"];
            let output = text(raw).or_else(|| said.iter().find_map(|key| text(raw_object.get(*key))));
            if let Some(output) = output.filter(|output| !output.trim().is_empty()) {
                self.printed(output);
            }
        }
        if self.state.exit_code.is_none() && self.state.kind == ToolKind::Execute {
            self.state.exit_code = self.state.output.as_deref().and_then(exit_code).or_else(|| exit_code(text(raw)?));
        }
    }

    fn printed(&mut self, output: &str) {
        self.keep(output, output.len() as u64);
    }

    fn keep(&mut self, output: &str, bytes: u64) {
        let kept = tail(output, limits::OUTPUT);
        self.state.output_bytes = (bytes > kept.len() as u64).then_some(bytes);
        self.state.output = Some(kept.to_owned());
    }
}

fn tool_kind(word: &str) -> ToolKind {
    match word {
        "read" => ToolKind::Read,
        "edit" => ToolKind::Edit,
        "delete" => ToolKind::Delete,
        "move" => ToolKind::Move,
        "search" => ToolKind::Search,
        "execute" => ToolKind::Execute,
        "think" => ToolKind::Think,
        "fetch" => ToolKind::Fetch,
        "switch_mode" => ToolKind::SwitchMode,
        _ => ToolKind::Other,
    }
}

fn relative(path: &str, folder: &str) -> String {
    match path.strip_prefix(folder) {
        Some("") => ".".to_owned(),
        Some(within) => word(within),
        None if path.len() + 1 == folder.len() && folder.starts_with(path) => ".".to_owned(),
        None => word(path),
    }
}

fn location(place: &Value, folder: &str) -> Option<Location> {
    let place = object(Some(place));
    let path = text(place.get("path")).filter(|path| !path.is_empty())?;
    let line = place.get("line").and_then(Value::as_u64).and_then(|line| u32::try_from(line).ok());
    Some(Location { path: relative(path, folder), line: line.filter(|line| *line > 0) })
}

fn diff(block: &Map<String, Value>, folder: &str) -> Option<ToolDiff> {
    let path = text(block.get("path")).filter(|path| !path.is_empty())?;
    let (old, new) = (text(block.get("oldText")), text(block.get("newText")).unwrap_or_default());
    // Some say that a new file was empty before.
    let added = text(object(block.get("_meta")).get("kind")) == Some("add");
    let old = old.filter(|old| !(added && old.is_empty()));
    let cut = new.len() > limits::DIFF || old.is_some_and(|old| old.len() > limits::DIFF);
    Some(ToolDiff {
        path: relative(path, folder),
        old: old.map(|old| head(old, limits::DIFF).to_owned()),
        new: head(new, limits::DIFF).to_owned(),
        cut,
    })
}

/// A text that is one fenced block and nothing else, without its fence.
fn without_fence(said: &str) -> &str {
    let fenced = said.trim().strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match fenced.and_then(|rest| rest.split_once('\n')) {
        Some((language, body)) if !language.contains('`') && !body.contains("\n```") => body,
        _ => said,
    }
}

fn exit_code(output: &str) -> Option<i32> {
    static CODE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?im)^\s*(?:command failed with )?exit code:?\s+(-?\d{1,10})\.?\s*$").expect("a constant pattern")
    });
    CODE.captures(output)?[1].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn calls() -> Calls {
        Calls::new("/srv/demo")
    }

    fn merge(calls: &mut Calls, update: &Value) -> ToolState {
        calls.merge(update.as_object().unwrap(), "x", &mut Vec::new())
    }

    #[test]
    fn only_what_is_there_changes() {
        let mut calls = calls();
        merge(&mut calls, &json!({"toolCallId": "a", "title": "Run", "kind": "execute", "status": "in_progress"}));
        let state = merge(
            &mut calls,
            &json!({"toolCallId": "a", "content": [{"type": "content", "content": {"type": "text", "text": "hi"}}]}),
        );
        assert_eq!((state.title.as_str(), state.kind, state.output.as_deref()), ("Run", ToolKind::Execute, Some("hi")));
        let state =
            merge(&mut calls, &json!({"toolCallId": "a", "status": "exploded", "kind": "juggle", "content": []}));
        assert_eq!(
            (state.status, state.kind, state.output.as_deref()),
            (ToolStatus::InProgress, ToolKind::Other, Some("hi"))
        );
    }

    #[test]
    fn a_diff_survives_the_sentence_that_replaces_it() {
        let mut calls = calls();
        let diff = json!({"type": "diff", "path": "/srv/demo/a/b.txt", "oldText": null, "newText": "x"});
        merge(&mut calls, &json!({"toolCallId": "a", "status": "pending", "content": [diff]}));
        let state = merge(
            &mut calls,
            &json!({"toolCallId": "a", "status": "completed",
            "content": [{"type": "content", "content": {"type": "text", "text": "Replaced 1 occurrence"}}]}),
        );
        assert_eq!(state.diffs, [ToolDiff { path: "a/b.txt".into(), old: None, new: "x".into(), cut: false }]);
        assert_eq!(state.output.as_deref(), Some("Replaced 1 occurrence"));
    }

    #[test]
    fn what_is_too_much_is_cut_and_says_so() {
        let mut calls = calls();
        let long = "ä".repeat(40_000);
        let state = merge(
            &mut calls,
            &json!({"toolCallId": "a", "status": "in_progress", "rawInput": {"x": long},
            "content": [{"type": "content", "content": {"type": "text", "text": long}},
                {"type": "diff", "path": "a", "oldText": long, "newText": "n"}]}),
        );
        assert_eq!((state.output.unwrap().len(), state.output_bytes), (limits::OUTPUT, Some(80_000)));
        assert_eq!(state.input.unwrap().len(), limits::INPUT);
        assert!(state.diffs[0].cut && state.diffs[0].old.as_ref().unwrap().len() == limits::DIFF);
    }

    #[test]
    fn streamed_output_is_appended_and_its_end_kept() {
        let mut calls = calls();
        let more = "0123456789".repeat(1000);
        for _ in 0..4 {
            merge(&mut calls, &json!({"toolCallId": "a", "_meta": {"terminal_output_delta": {"data": more}}}));
        }
        let state = merge(
            &mut calls,
            &json!({"toolCallId": "a", "status": "failed", "_meta": {"terminal_exit": {"exit_code": 3}}}),
        );
        assert_eq!(
            (state.output.unwrap().len(), state.output_bytes, state.exit_code),
            (limits::OUTPUT, Some(40_000), Some(3))
        );
    }

    #[test]
    fn exit_codes_are_found_where_agents_hide_them() {
        for (code, update) in [
            (Some(3), json!({"rawOutput": {"exit_code": 3}})),
            (Some(3), json!({"rawOutput": {"metadata": {"exit": 3}, "output": "x"}})),
            (Some(3), json!({"rawOutput": "Exit code 3\ncat: no"})),
            (
                Some(3),
                json!({"content": [{"type": "content", "content": {"type": "text", "text": "Command: x\nExit Code: 3\nSignal: (none)"}}]}),
            ),
            (
                None,
                json!({"content": [{"type": "content", "content": {"type": "text", "text": "the exit code was 3"}}]}),
            ),
        ] {
            let mut update = update.as_object().unwrap().clone();
            update.insert("toolCallId".into(), "a".into());
            update.insert("kind".into(), "execute".into());
            update.insert("status".into(), "completed".into());
            assert_eq!(calls().merge(&update, "x", &mut Vec::new()).exit_code, code, "{update:?}");
        }
    }

    #[test]
    fn a_refused_call_did_not_fail() {
        let mut calls = calls();
        merge(&mut calls, &json!({"toolCallId": "a", "status": "pending"}));
        merge(&mut calls, &json!({"toolCallId": "b", "status": "pending"}));
        calls.refused("a");
        calls.refused("b");
        assert_eq!(merge(&mut calls, &json!({"toolCallId": "a", "status": "failed"})).status, ToolStatus::Rejected);
        let mut out = Vec::new();
        calls.close(false, &mut out);
        assert!(matches!(out.as_slice(), [Update::Tool(b)] if b.id == "b" && b.status == ToolStatus::Rejected));
    }

    #[test]
    fn many_calls_are_forgotten_and_open_ones_closed_first() {
        let mut calls = calls();
        let mut out = Vec::new();
        for n in 0..limits::CALLS + 10 {
            calls.merge(json!({"toolCallId": n.to_string(), "status": "pending"}).as_object().unwrap(), "x", &mut out);
        }
        let closed =
            out.iter().filter(|update| matches!(update, Update::Tool(tool) if tool.status == ToolStatus::Unknown));
        assert_eq!((closed.count(), calls.calls.len()), (10, limits::CALLS));
    }
}
