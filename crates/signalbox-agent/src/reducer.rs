//! From frames of the Agent Client Protocol (version 1) to updates: a pure state machine without a clock, a process or a
//! lock, so that what real agents sent can be replayed through it.
//!
//! What it holds to was measured on real agents and not only read in the specification: a tool call may be seen first in
//! a request for permission; updates come before, within and after their turn; what is open when a turn ends is closed
//! here; a text that begins again is a repetition after a broken connection; whatever has no name here is kept as
//! [`Update::Unknown`].

mod fields;
mod session;
mod speech;
mod terminals;
mod tools;
mod usage;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use signalbox_model::{OptionKind, PermissionOption, PlanEntry, PlanStatus, ToolStatus, Usage};

use crate::{
    Offers,
    failure::Refusal,
    limits::{self, head, word},
    update::{Direction, Info, PermissionAsked, Stop, Turn, Update, Withdrawn},
};
use fields::{list, object, text};
use speech::Speech;
use tools::Calls;
use usage::Meter;

/// What a frame asks of the connection, beyond the updates that it made.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Nothing.
    Nothing,
    /// A request of ours was answered.
    Answer {
        /// Its id.
        id: u64,
        /// The answer.
        result: Result<Value, Refusal>,
    },
    /// A prompt of ours was answered.
    Turn {
        /// Its id.
        id: u64,
        /// How the turn ended. An error also if the agent said that all was well but its model was lost.
        result: Result<Turn, Refusal>,
    },
    /// A question to a person: to be answered when there is an answer.
    Question {
        /// As in [`PermissionAsked::id`].
        id: String,
        /// The agent's id of its request.
        request: Value,
    },
    /// The agent took a question back: it is to be answered as cancelled.
    Withdrawn {
        /// As in [`PermissionAsked::id`].
        id: String,
    },
    /// A question that cannot be asked: to be answered as cancelled.
    Unanswerable {
        /// The agent's id of its request.
        request: Value,
    },
    /// A request for something that is offered: to be done and answered.
    Wish {
        /// The agent's id of its request.
        request: Value,
        /// What it asks for.
        method: String,
        /// With what.
        params: Value,
    },
    /// A request for something that is not offered: to be refused.
    NotOffered {
        /// The agent's id of its request.
        request: Value,
        /// What it asked for.
        method: String,
    },
    /// An answer to a request of ours was too long to be read.
    AnswerTooLong {
        /// The request's id.
        id: u64,
    },
}

/// A request of ours that waits for its answer.
#[derive(Debug)]
struct Sent {
    method: String,
    /// What it sets, or the session that it names.
    about: Option<String>,
    value: Option<String>,
}

/// A question that waits.
#[derive(Debug)]
struct Question {
    request: Value,
    call: String,
    /// Options by which a person says no.
    rejects: Vec<String>,
}

/// Requests of ours that may wait at once. The oldest is forgotten: its answer is then no news.
const SENT: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Reducer {
    info: Info,
    offers: Offers,
    sent: BTreeMap<u64, Sent>,
    /// The prompt that waits for its answer.
    turn: Option<u64>,
    cancelling: bool,
    /// The session's past is being told again: it is known already.
    replaying: bool,
    prompted: bool,
    speech: Speech,
    calls: Calls,
    meter: Meter,
    plan: Vec<PlanEntry>,
    questions: HashMap<String, Question>,
    asked: u64,
    /// The agent's model was lost for good in this turn, in the agent's words.
    lost: Option<String>,
    trouble: Option<String>,
}

impl Reducer {
    /// `folder` is where the session works: paths in it become relative to it.
    #[must_use]
    pub fn new(folder: &str) -> Self {
        Self {
            info: Info::default(),
            offers: Offers::default(),
            sent: BTreeMap::new(),
            turn: None,
            cancelling: false,
            replaying: false,
            prompted: false,
            speech: Speech::default(),
            calls: Calls::new(folder),
            meter: Meter::default(),
            plan: Vec::new(),
            questions: HashMap::new(),
            asked: 0,
            lost: None,
            trouble: None,
        }
    }

    /// What is known of the agent and its session.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Open questions, by their ids.
    pub fn questions(&self) -> impl Iterator<Item = &str> {
        self.questions.keys().map(String::as_str)
    }

    /// Whether a tool call or a question is open: the agent then waits for something else than its model.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.questions.is_empty() || self.calls.any_open()
    }

    /// Takes a line that we sent.
    pub fn outgoing(&mut self, line: &str, out: &mut Vec<Update>) {
        out.push(raw(Direction::ToAgent, line, line.len() as u64));
        let Ok(Value::Object(frame)) = serde_json::from_str(line) else { return };
        let params = object(frame.get("params"));
        match (text(frame.get("method")), frame.get("id").and_then(Value::as_u64)) {
            (Some(method), Some(id)) => self.requested(method, id, params, out),
            (Some("session/cancel"), None) => self.cancelling = self.turn.is_some(),
            (Some(_), None) => {}
            (None, _) => self.answered(frame.get("id").unwrap_or(&Value::Null), object(frame.get("result")), out),
        }
    }

    fn requested(&mut self, method: &str, id: u64, params: &Map<String, Value>, out: &mut Vec<Update>) {
        let about = ["modeId", "modelId", "configId", "sessionId"].iter().find_map(|key| text(params.get(*key)));
        let sent = Sent { method: word(method), about: about.map(word), value: text(params.get("value")).map(word) };
        match method {
            "session/prompt" => {
                self.speech.boundary(out);
                self.turn = Some(id);
                self.prompted = true;
                self.replaying = false;
                self.cancelling = false;
                self.lost = None;
                self.trouble = None;
                self.meter.begin_turn();
            }
            "session/load" => {
                self.replaying = true;
                self.info.session.clone_from(&sent.about);
            }
            "session/resume" => self.info.session.clone_from(&sent.about),
            _ => {}
        }
        self.sent.insert(id, sent);
        while self.sent.len() > SENT {
            self.sent.pop_first();
        }
    }

    /// We answered a request of the agent.
    fn answered(&mut self, request: &Value, result: &Map<String, Value>, out: &mut Vec<Update>) {
        let Some(id) = self.question_of(request) else { return };
        let Some(question) = self.questions.remove(&id) else { return };
        let chosen = text(object(result.get("outcome")).get("optionId"));
        if chosen.is_none() {
            out.push(Update::PermissionWithdrawn { id, reason: Withdrawn::Cancelled });
        }
        if chosen.is_some_and(|chosen| question.rejects.iter().any(|option| option == chosen)) {
            self.calls.refused(&question.call);
        }
    }

    fn question_of(&self, request: &Value) -> Option<String> {
        self.questions.iter().find(|(_, question)| question.request == *request).map(|(id, _)| id.clone())
    }

    /// Takes a line of the agent.
    pub fn incoming(&mut self, line: &str, out: &mut Vec<Update>) -> Frame {
        out.push(raw(Direction::FromAgent, line, line.len() as u64));
        // What is no JSON object is chatter on the wrong stream; it is kept as it was.
        let Ok(Value::Object(frame)) = serde_json::from_str(line) else { return Frame::Nothing };
        match (text(frame.get("method")), frame.get("id").filter(|id| !id.is_null())) {
            (Some(method), Some(request)) => self.request(method, request, &frame, out),
            (Some(method), None) => self.notification(method, &frame, out),
            (None, Some(id)) => self.answer(id, &frame, out),
            (None, None) => Frame::Nothing,
        }
    }

    /// Says what the agent may have us do for it.
    #[must_use]
    pub fn offering(mut self, offers: Offers) -> Self {
        self.offers = offers;
        self
    }

    /// A command printed something that runs for the agent in a terminal of ours.
    pub fn terminal_printed(&mut self, terminal: &str, text: &str, out: &mut Vec<Update>) {
        self.calls.terminal_printed(terminal, text, out);
    }

    /// It ended.
    pub fn terminal_ended(&mut self, terminal: &str, code: Option<i32>, out: &mut Vec<Update>) {
        self.calls.terminal_ended(terminal, code, out);
    }

    /// Takes what is left of a line of the agent that was over the limit.
    pub fn incoming_too_long(&mut self, beginning: &str, bytes: u64, out: &mut Vec<Update>) -> Frame {
        out.push(raw(Direction::FromAgent, beginning, bytes));
        out.push(Update::Unknown { kind: "line_too_long".into(), json: head(beginning, 1024).to_owned() });
        let start = crate::lines::Head::of(beginning);
        match (start.method, start.id) {
            (Some(method), Some(request)) => Frame::NotOffered { request, method },
            (None, Some(id)) => match id.as_u64().filter(|id| self.sent.contains_key(id)) {
                Some(id) => {
                    self.sent.remove(&id);
                    self.end_turn(id, false, out);
                    Frame::AnswerTooLong { id }
                }
                None => Frame::Nothing,
            },
            _ => Frame::Nothing,
        }
    }

    /// The process ended, or its pipe did: nothing more will come.
    pub fn end(&mut self, out: &mut Vec<Update>) {
        self.speech.boundary(out);
        self.calls.close(self.cancelling, out);
        self.withdraw_all(Withdrawn::Exited, out);
        self.turn = None;
    }

    fn withdraw_all(&mut self, reason: Withdrawn, out: &mut Vec<Update>) {
        let mut ids: Vec<String> = self.questions.drain().map(|(id, _)| id).collect();
        ids.sort_unstable();
        out.extend(ids.into_iter().map(|id| Update::PermissionWithdrawn { id, reason }));
    }

    fn request(&mut self, method: &str, request: &Value, frame: &Map<String, Value>, out: &mut Vec<Update>) -> Frame {
        if self.offers.has(method) {
            let params = frame.get("params").cloned().unwrap_or_default();
            return Frame::Wish { request: request.clone(), method: method.to_owned(), params };
        }
        if method != "session/request_permission" {
            out.push(unknown(method, frame.get("params")));
            return Frame::NotOffered { request: request.clone(), method: word(method) };
        }
        let params = object(frame.get("params"));
        let options = options(params.get("options"));
        if options.is_empty() || self.questions.len() >= limits::QUESTIONS || self.question_of(request).is_some() {
            out.push(unknown(method, frame.get("params")));
            return Frame::Unanswerable { request: request.clone() };
        }
        self.speech.boundary(out);
        self.asked += 1;
        let id = format!("q{}", self.asked);
        // The next version of the protocol has it one level deeper.
        let about = params.get("toolCall").or_else(|| params.get("subject")?.get("toolCall"));
        let tool = self.calls.merge(object(about), &id, out);
        let rejects = options.iter().filter(|option| !option.kind.allows()).map(|option| option.id.clone()).collect();
        let question = Question { request: request.clone(), call: tool.id.clone(), rejects };
        self.questions.insert(id.clone(), question);
        out.push(Update::Permission(Box::new(PermissionAsked { id: id.clone(), tool, options })));
        Frame::Question { id, request: request.clone() }
    }

    fn notification(&mut self, method: &str, frame: &Map<String, Value>, out: &mut Vec<Update>) -> Frame {
        let params = object(frame.get("params"));
        match method {
            "session/update" => {
                let named = text(params.get("sessionId"));
                let ours = match (&self.info.session, named) {
                    (Some(session), Some(named)) => session == named,
                    // Some speak before they answer `session/new`.
                    _ => true,
                };
                let update = object(params.get("update"));
                match text(update.get("sessionUpdate")) {
                    Some(kind) if ours => self.update(kind, update, out),
                    Some(kind) => out.push(unknown(&format!("{kind} of another session"), params.get("update"))),
                    None => out.push(unknown(method, frame.get("params"))),
                }
            }
            "$/cancel_request" => {
                let withdrawn = params.get("requestId").and_then(|request| self.question_of(request));
                if let Some(id) = withdrawn {
                    self.questions.remove(&id);
                    out.push(Update::PermissionWithdrawn { id: id.clone(), reason: Withdrawn::ByAgent });
                    return Frame::Withdrawn { id };
                }
            }
            "_session/retrying" => {
                let words: Vec<&str> = ["category", "detail"].iter().filter_map(|key| text(params.get(*key))).collect();
                out.push(Update::Retry { reason: word(&words.join(": ")) });
            }
            _ => out.push(unknown(method, frame.get("params"))),
        }
        Frame::Nothing
    }

    fn update(&mut self, kind: &str, update: &Map<String, Value>, out: &mut Vec<Update>) {
        let known_already = self.replaying;
        match kind {
            "agent_message_chunk" | "agent_thought_chunk" => {
                if let Some(usage) = object(update.get("_meta")).get("usage").and_then(usage::tokens) {
                    self.meter.add_step(usage, out);
                }
                if !known_already {
                    let said = fields::content(update.get("content"));
                    self.speech.say(text(update.get("messageId")), kind == "agent_thought_chunk", &said, out);
                }
            }
            // What we said ourselves, and what a person can be offered to type: the raw lines have both.
            "user_message_chunk" | "available_commands_update" => {}
            "tool_call" | "tool_call_update" if known_already => {}
            "tool_call" | "tool_call_update" => {
                self.speech.boundary(out);
                if text(update.get("toolCallId")).is_none() {
                    return out.push(unknown(kind, Some(&Value::Object(update.clone()))));
                }
                if let Some(plan) = fields::todos(object(update.get("rawInput"))) {
                    self.plan(plan, out);
                }
                self.calls.merge(update, "", out);
            }
            "plan" if known_already => {}
            "plan" => {
                let entries = list(update.get("entries")).iter().take(limits::LIST);
                let plan = entries.filter_map(|entry| fields::plan_entry(object(Some(entry)))).collect();
                self.speech.boundary(out);
                self.plan(plan, out);
            }
            "usage_update" => self.meter.context(update, self.prompted, out),
            "current_mode_update" => {
                if let Some(mode) = text(update.get("currentModeId")) {
                    self.info.mode = Some(word(mode));
                    self.tell(out);
                }
            }
            "config_option_update" => {
                session::settings(&mut self.info, update);
                self.tell(out);
            }
            "session_info_update" => self.session_info(update, out),
            _ => out.push(unknown(kind, Some(&Value::Object(update.clone())))),
        }
    }

    fn plan(&mut self, plan: Vec<PlanEntry>, out: &mut Vec<Update>) {
        if plan != self.plan {
            self.plan.clone_from(&plan);
            out.push(Update::Plan(plan));
        }
    }

    fn session_info(&mut self, update: &Map<String, Value>, out: &mut Vec<Update>) {
        if let Some(title) = text(update.get("title")) {
            out.push(Update::Title(word(title)));
        }
        // Codex says here what it says nowhere else: that its connection broke, and that it gave up.
        let codex = object(object(update.get("_meta")).get("codex"));
        let error = object(codex.get("error"));
        if let Some(message) = text(error.get("message")) {
            let detail = text(error.get("additionalDetails")).unwrap_or_default();
            self.trouble = Some(word(if detail.is_empty() { message } else { detail }));
            if error.get("willRetry") == Some(&Value::Bool(true)) {
                out.push(Update::Retry { reason: word(&format!("{message}: {detail}")) });
            }
        }
        match text(object(codex.get("threadStatus")).get("type")) {
            Some("systemError") => {
                self.lost = Some(self.trouble.clone().unwrap_or_else(|| "the agent reports a system error".to_owned()));
            }
            Some("active") => self.lost = None,
            _ => {}
        }
    }

    fn answer(&mut self, id: &Value, frame: &Map<String, Value>, out: &mut Vec<Update>) -> Frame {
        let Some((id, sent)) = id.as_u64().and_then(|id| Some((id, self.sent.remove(&id)?))) else {
            // An answer to nothing, or a second one.
            return Frame::Nothing;
        };
        let result = match frame.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(Refusal::of(error)),
            None => Ok(frame.get("result").cloned().unwrap_or_default()),
        };
        // The end of a turn that nobody waited for any more says nothing of the present one.
        if sent.method == "session/prompt" && self.turn == Some(id) {
            let result = result.and_then(|result| {
                let turn = self.turn_of(object(Some(&result)), out);
                match self.lost.take() {
                    Some(message) if turn.stop == Stop::EndTurn => Err(Refusal { code: 0, message, data: Value::Null }),
                    _ => Ok(turn),
                }
            });
            let cancelled = self.cancelling || matches!(&result, Ok(Turn { stop: Stop::Cancelled, .. }));
            self.end_turn(id, cancelled, out);
            return Frame::Turn { id, result };
        }
        if let Ok(result) = &result {
            let before = self.info.clone();
            session::answered(&mut self.info, &sent.method, sent.about, sent.value, object(Some(result)));
            if self.info != before {
                self.tell(out);
            }
        } else if matches!(sent.method.as_str(), "session/load" | "session/resume") {
            self.info.session = None;
            self.replaying = false;
        }
        Frame::Answer { id, result }
    }

    fn turn_of(&mut self, result: &Map<String, Value>, out: &mut Vec<Update>) -> Turn {
        let stop = match text(result.get("stopReason")).unwrap_or_default() {
            "end_turn" => Stop::EndTurn,
            "max_tokens" => Stop::MaxTokens,
            "max_turn_requests" => Stop::MaxTurns,
            "refusal" => Stop::Refusal,
            "cancelled" => Stop::Cancelled,
            other => Stop::Other(word(other)),
        };
        let usage: Usage = self.meter.end_turn(result, out);
        Turn { stop, usage }
    }

    fn end_turn(&mut self, id: u64, cancelled: bool, out: &mut Vec<Update>) {
        if self.turn != Some(id) {
            return;
        }
        self.turn = None;
        self.cancelling = false;
        self.speech.boundary(out);
        self.calls.close(cancelled, out);
        self.withdraw_all(if cancelled { Withdrawn::Cancelled } else { Withdrawn::TurnEnded }, out);
    }

    fn tell(&mut self, out: &mut Vec<Update>) {
        out.push(Update::Info(Box::new(self.info.clone())));
    }
}

fn raw(direction: Direction, line: &str, bytes: u64) -> Update {
    Update::Raw { direction, line: head(line, limits::RAW).to_owned(), bytes }
}

fn unknown(kind: &str, value: Option<&Value>) -> Update {
    let json = value.map(Value::to_string).unwrap_or_default();
    Update::Unknown { kind: word(kind), json: head(&json, limits::RAW).to_owned() }
}

fn options(value: Option<&Value>) -> Vec<PermissionOption> {
    let mut options: Vec<PermissionOption> = Vec::new();
    for option in list(value).iter().take(limits::LIST) {
        let option = object(Some(option));
        // Cut, an id would be another one: such an option cannot be chosen.
        let Some(id) = text(option.get("optionId")).filter(|id| id.len() <= limits::WORD) else { continue };
        if options.iter().any(|known| known.id == id) {
            continue;
        }
        let kind = match text(option.get("kind")).unwrap_or_default() {
            "allow_once" => OptionKind::AllowOnce,
            "allow_always" => OptionKind::AllowAlways,
            "reject_once" => OptionKind::RejectOnce,
            "reject_always" => OptionKind::RejectAlways,
            _ => OptionKind::Answer,
        };
        let name = word(text(option.get("name")).unwrap_or(id));
        options.push(PermissionOption { id: id.to_owned(), name, kind });
    }
    options
}

/// The word of a plan's entry for where it is.
fn plan_status(word: &str) -> PlanStatus {
    match word {
        "in_progress" | "inProgress" | "active" => PlanStatus::InProgress,
        "completed" | "complete" | "done" | "cancelled" => PlanStatus::Completed,
        _ => PlanStatus::Pending,
    }
}

/// The word of a tool call for where it is; none if it says nothing that is known.
fn tool_status(word: &str) -> Option<ToolStatus> {
    Some(match word {
        "pending" => ToolStatus::Pending,
        "in_progress" | "inProgress" | "running" => ToolStatus::InProgress,
        "completed" => ToolStatus::Completed,
        "failed" | "error" => ToolStatus::Failed,
        "cancelled" | "canceled" => ToolStatus::Cancelled,
        "rejected" | "declined" => ToolStatus::Rejected,
        _ => return None,
    })
}
