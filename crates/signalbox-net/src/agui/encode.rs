//! Frames of a run in, AG-UI events out.
//!
//! The rules that the npm client enforces (`verify.ts`): a run begins with `RUN_STARTED`; what is opened is closed before
//! `RUN_FINISHED`; no content without a start; names of open steps are unique. No field is ever `null`, and only types that
//! both 0.0.58 and 1.0 know are sent; everything else is `CUSTOM`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use signalbox_model::RunId;

/// What is open of a step's attempt.
#[derive(Debug, Default)]
struct Open {
    message: Option<String>,
    tools: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Tool {
    told: bool,
    ended: bool,
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Encoder {
    thread: String,
    id: String,
    run: RunId,
    /// The run's snapshot was told.
    begun: bool,
    over: bool,
    /// Open steps, by their key.
    steps: BTreeMap<String, Open>,
    tools: BTreeMap<String, Tool>,
    /// The newest state of each step, so that one that came twice is told once.
    generations: BTreeMap<String, (u64, String)>,
    /// Events up to here are in the snapshot.
    at: u64,
    /// Messages whose bytes were told, as far as they are known.
    said: BTreeMap<String, u64>,
}

/// Messages remembered at most; past it the oldest ones by name go.
const SAID: usize = 10_000;

impl Encoder {
    pub(super) fn new(thread: String, id: String, run: RunId) -> Self {
        Self {
            thread,
            id,
            run,
            begun: false,
            over: false,
            steps: BTreeMap::new(),
            tools: BTreeMap::new(),
            generations: BTreeMap::new(),
            at: 0,
            said: BTreeMap::new(),
        }
    }

    /// Whether the run's end was told.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The end, because nothing more can be told.
    pub(super) fn fail(&mut self, code: &str, message: &str) -> Vec<Value> {
        let mut out = Vec::new();
        if !self.begun {
            out.push(self.started());
        }
        self.error(code, message, &mut out);
        out
    }

    fn error(&mut self, code: &str, message: &str, out: &mut Vec<Value>) {
        self.close_all(out);
        out.push(json!({ "type": "RUN_ERROR", "message": message, "code": code }));
        self.over = true;
    }

    fn started(&mut self) -> Value {
        self.begun = true;
        json!({ "type": "RUN_STARTED", "threadId": self.thread, "runId": self.id })
    }

    /// What a frame of the host is to the page.
    pub(super) fn take(&mut self, frame: &[u8]) -> Vec<Value> {
        let mut out = Vec::new();
        let Ok(frame) = serde_json::from_slice::<Value>(frame) else { return out };
        if self.over {
            return out;
        }
        match frame["type"].as_str().unwrap_or_default() {
            "snapshot" if frame["state"]["of"] == "run" => self.snapshot(&frame, &mut out),
            "left" => self.error("not_found", "the run is not there any more", &mut out),
            _ if frame.get("seq").is_some() && self.begun => self.event(&frame, &mut out),
            _ => {}
        }
        out
    }

    fn snapshot(&mut self, frame: &Value, out: &mut Vec<Value>) {
        let state = &frame["state"];
        self.at = frame["at"].as_u64().unwrap_or(0);
        if !self.begun {
            out.push(self.started());
        }
        let steps = state["steps"].as_array().cloned().unwrap_or_default();
        let by_key: Map<String, Value> =
            steps.iter().map(|step| (step["key"].as_str().unwrap_or_default().to_owned(), step.clone())).collect();
        out.push(json!({ "type": "STATE_SNAPSHOT", "snapshot": { "run": state["run"], "steps": by_key } }));
        for step in &steps {
            self.step(step, false, out);
        }
        // Of what agents said before, the newest is told again.
        for event in state["transcript"].as_array().into_iter().flatten() {
            self.of_agent(event, out);
        }
        let done: Vec<String> = steps
            .iter()
            .filter(|step| step["status"] == "done")
            .filter_map(|step| step["key"].as_str().map(str::to_owned))
            .collect();
        for key in done {
            self.close_step(&key, out);
        }
        if state["run"]["status"] == "done" {
            let conclusion = state["run"]["conclusion"].as_str().unwrap_or("failed").to_owned();
            self.end(&conclusion, &json!({ "run": self.run, "conclusion": conclusion }), out);
        }
    }

    fn event(&mut self, event: &Value, out: &mut Vec<Value>) {
        let of_run = event["run"] == self.run.as_str() || event["data"]["run"] == self.run.as_str();
        let seen = event["seq"].as_u64().is_some_and(|seq| seq <= self.at);
        let is_run = event["type"] == "run_updated" && event["data"]["id"] == self.run.as_str();
        if seen || !(of_run || is_run) {
            return;
        }
        let data = &event["data"];
        match event["type"].as_str().unwrap_or_default() {
            "run_updated" => out.push(delta(event, vec![json!({ "op": "replace", "path": "/run", "value": data })])),
            "step_updated" | "step_completed" => {
                let key = data["key"].as_str().unwrap_or_default();
                let path = format!("/steps/{}", key.replace('~', "~0").replace('/', "~1"));
                out.push(delta(event, vec![json!({ "op": "add", "path": path, "value": data })]));
                self.step(data, true, out);
            }
            "completion" => {
                let conclusion = data["conclusion"].as_str().unwrap_or("failed").to_owned();
                self.end(&conclusion, data, out);
            }
            "agent_message" | "tool_call" => self.of_agent(event, out),
            kind => {
                let mut custom = json!({ "type": "CUSTOM", "name": format!("signalbox.{kind}"), "value": data });
                place(event, &mut custom);
                out.push(custom);
            }
        }
    }

    /// Opens and closes a step. One that is done is closed at once only if `close` says so.
    fn step(&mut self, step: &Value, close: bool, out: &mut Vec<Value>) {
        let (Some(key), Some(status)) = (step["key"].as_str(), step["status"].as_str()) else { return };
        let now = (step["generation"].as_u64().unwrap_or(0), status.to_owned());
        if self.generations.insert(key.to_owned(), now.clone()).as_ref() == Some(&now) {
            return;
        }
        let began = step["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty());
        match status {
            "done" => {
                if began && !close {
                    self.open_step(key, out);
                }
                if close {
                    self.close_step(key, out);
                }
            }
            "starting" | "running" | "verifying" | "waiting_input" | "cancelling" => self.open_step(key, out),
            _ => {}
        }
    }

    fn open_step(&mut self, key: &str, out: &mut Vec<Value>) {
        if !self.steps.contains_key(key) {
            self.steps.insert(key.to_owned(), Open::default());
            out.push(json!({ "type": "STEP_STARTED", "stepName": key }));
        }
    }

    fn close_step(&mut self, key: &str, out: &mut Vec<Value>) {
        let Some(open) = self.steps.remove(key) else { return };
        if let Some(message) = open.message {
            out.push(json!({ "type": "TEXT_MESSAGE_END", "messageId": message }));
        }
        for tool in open.tools {
            self.tools.entry(tool.clone()).or_default().ended = true;
            out.push(json!({ "type": "TOOL_CALL_END", "toolCallId": tool }));
        }
        out.push(json!({ "type": "STEP_FINISHED", "stepName": key }));
    }

    fn close_all(&mut self, out: &mut Vec<Value>) {
        let keys: Vec<String> = self.steps.keys().cloned().collect();
        for key in keys {
            self.close_step(&key, out);
        }
    }

    fn end(&mut self, conclusion: &str, result: &Value, out: &mut Vec<Value>) {
        if conclusion != "success" {
            return self.error(conclusion, &format!("the run ended: {}", conclusion.replace('_', " ")), out);
        }
        self.close_all(out);
        out.push(json!({ "type": "RUN_FINISHED", "threadId": self.thread, "runId": self.id, "result": result }));
        self.over = true;
    }

    fn of_agent(&mut self, event: &Value, out: &mut Vec<Value>) {
        let data = &event["data"];
        let (Some(step), Some(id)) = (data["step"].as_str(), data["id"].as_str()) else { return };
        let id = format!("{step}#{}:{id}", data["attempt"].as_u64().unwrap_or(1));
        // What an agent says after its step is done is of no open step.
        if event["type"] == "agent_message" {
            self.text(step, id, event, out);
        } else if event["type"] == "tool_call" {
            self.tool(step, id, data, out);
        }
    }

    fn text(&mut self, step: &str, id: String, event: &Value, out: &mut Vec<Value>) {
        let data = &event["data"];
        let text = data["text"].as_str().unwrap_or_default();
        let (offset, told) = (data["offset"].as_u64().unwrap_or(0), self.said.get(&id).copied());
        if text.is_empty() || data["repeated"] == true || told.is_some_and(|told| offset < told) {
            return;
        }
        self.open_step(step, out);
        let Some(open) = self.steps.get_mut(step) else { return };
        if open.message.as_ref() != Some(&id) {
            if let Some(before) = open.message.replace(id.clone()) {
                out.push(json!({ "type": "TEXT_MESSAGE_END", "messageId": before }));
            }
            let role = if data["from"] == "prompt" { "user" } else { "assistant" };
            out.push(json!({ "type": "TEXT_MESSAGE_START", "messageId": id, "role": role }));
        }
        let mut content = json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": text });
        place(event, &mut content);
        out.push(content);
        if self.said.len() >= SAID {
            self.said.pop_first();
        }
        self.said.insert(id, offset + text.len() as u64);
    }

    fn tool(&mut self, step: &str, id: String, data: &Value, out: &mut Vec<Value>) {
        let tool = self.tools.entry(id.clone()).or_default();
        if tool.ended {
            return;
        }
        if !std::mem::replace(&mut tool.told, true) {
            self.open_step(step, out);
            let name = data["title"].as_str().filter(|title| !title.is_empty()).unwrap_or("tool");
            out.push(json!({ "type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": name }));
            if let Some(open) = self.steps.get_mut(step) {
                open.tools.insert(id.clone());
            }
        }
        let status = data["status"].as_str().unwrap_or_default();
        if matches!(status, "pending" | "in_progress") {
            return;
        }
        // Its input is whole only now.
        if let Some(input) = data["input"].as_str().filter(|input| !input.is_empty()) {
            out.push(json!({ "type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": input }));
        }
        out.push(json!({ "type": "TOOL_CALL_END", "toolCallId": id }));
        let output = data["output"].as_str().filter(|output| !output.is_empty()).unwrap_or(status);
        out.push(json!({
            "type": "TOOL_CALL_RESULT", "messageId": format!("{id}:result"), "toolCallId": id, "content": output, "role": "tool",
        }));
        if let Some(open) = self.steps.get_mut(step) {
            open.tools.remove(&id);
        }
        self.tools.entry(id).or_default().ended = true;
    }
}

fn delta(event: &Value, patch: Vec<Value>) -> Value {
    let mut delta = json!({ "type": "STATE_DELTA", "delta": patch });
    place(event, &mut delta);
    delta
}

/// Says which event of the log it is.
fn place(event: &Value, out: &mut Value) {
    if let Some(at) = event["ts"].as_i64() {
        out["timestamp"] = json!(at);
    }
    if let Some(cursor) = event["cursor"].as_str() {
        out["metadata"] = json!({ "signalbox": { "cursor": cursor } });
    }
}

#[cfg(test)]
mod tests;
