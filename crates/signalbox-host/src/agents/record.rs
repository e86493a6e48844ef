//! From what an agent's session tells to events in the log, and answers to what it asks.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use signalbox_agent::limits::LINE;
use signalbox_agent::{Direction, Info, Outcome, PermissionAsked, Session, Text, ToolState, Update, UsageState};
use signalbox_engine::{Input, Phase};
use signalbox_model::{
    AgentError, AgentErrorKind, AgentPlan, AgentSession, AgentState, AgentText, AgentUsage, BlobRef, EventData,
    LogStream, NewEvent, Permission, PermissionId, PermissionTopic, Speaker, StepAgent, ToolCall, Usage,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    asks::{Asks, by_rule, question},
    policy::{Policy, Verdict},
};
use crate::{execute::Job, ids};

/// Updates recorded in one transaction at most.
const BATCH: usize = 256;
/// Protocol lines kept of one attempt, in bytes. What comes after is counted and not kept.
const PROTOCOL_LIMIT: u64 = 64 * 1024 * 1024;
/// Protocol lines are handed on when this many bytes wait, or after [`DELAY`].
const PIECE: usize = 32 * 1024;
const DELAY: Duration = Duration::from_millis(100);
/// Text of the current turn that is kept for reading the answer from it, in bytes.
const ANSWER: usize = 1024 * 1024;
/// How often the engine learns of an agent's use.
const TELL_USAGE: Duration = Duration::from_secs(2);

/// The kind of an update of our own, that says how far the recording is.
const BARRIER: &str = "signalbox/barrier";

/// What the run's number and names are, for questions.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) run_number: u64,
    pub(crate) workflow: String,
}

/// What the recorder and the task that drives the session both know.
#[derive(Default)]
pub(crate) struct Seen {
    /// Messages of the current turn, oldest first, by id.
    messages: Vec<(String, String)>,
    /// Bytes of each message so far, for the offsets of its pieces.
    offsets: HashMap<String, u64>,
    pub(crate) usage: Usage,
    open_tools: HashSet<String>,
    pub(crate) session: Option<AgentSession>,
    pub(crate) resumable: bool,
    /// Questions by the session's own id of them.
    questions: HashMap<String, PermissionId>,
    /// What its tools were called with, and the places they named: of one that may change nothing all of it, else what
    /// names the project's own folder.
    pub(crate) named: String,
}

/// Text kept of what tools named, in bytes.
const NAMED: usize = 256 * 1024;

pub(crate) struct Recorder {
    pub(crate) job: Arc<Job>,
    pub(crate) asks: Arc<Asks>,
    pub(crate) policy: Policy,
    pub(crate) about: About,
    pub(crate) session: OnceLock<Session>,
    /// Into the channel that is recorded; weak, so that it ends with the session.
    pub(crate) updates: mpsc::WeakSender<Update>,
    pub(crate) barriers: Mutex<HashMap<String, oneshot::Sender<()>>>,
    pub(crate) seen: Mutex<Seen>,
    /// As the step shows it; changed and told from here.
    pub(crate) agent: Mutex<StepAgent>,
    /// What earlier attempts used up.
    pub(crate) before: Usage,
    /// Where the attempt's log goes on; none: look. Held while somebody else writes to it.
    pub(crate) log: tokio::sync::Mutex<Option<(u64, u64)>>,
    /// Counts the processes of the attempt, from 0: an agent that takes another's place begins its messages anew.
    pub(crate) process: usize,
    /// What the attempt used up, and the tokens in its context: within a turn most agents tell only those.
    pub(crate) usage_changed: watch::Sender<(Usage, u64)>,
}

/// Protocol lines that wait to be stored.
#[derive(Default)]
struct Lines {
    waiting: String,
    since: Option<Instant>,
    kept: u64,
    dropped: u64,
}

impl Recorder {
    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn step_agent(&self) -> StepAgent {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the step's branch is at.
    pub(crate) fn has_head(&self, head: Option<String>) {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).head = head;
    }

    fn of_run(&self, data: EventData) -> NewEvent {
        self.job.of_run(data)
    }

    /// Records what the session tells until it ends.
    pub(crate) async fn run(self: Arc<Self>, mut updates: mpsc::Receiver<Update>) {
        let mut taken = Vec::with_capacity(BATCH);
        let mut lines = Lines::default();
        let (mut alive_at, mut told_at) = (Instant::now(), Instant::now());
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = lines.since.map(|since| since + DELAY);
            tokio::select! {
                count = updates.recv_many(&mut taken, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    let mut events = Vec::with_capacity(count);
                    for update in taken.drain(..) {
                        self.take(update, &mut events, &mut lines).await;
                    }
                    self.job.append_all(events).await;
                    if lines.waiting.len() >= PIECE {
                        self.flush(&mut lines).await;
                    }
                    if self.job.watched && alive_at.elapsed() > Duration::from_secs(1) {
                        alive_at = Instant::now();
                        self.job.tell(Input::Alive { at: self.job.at.clone() }).await;
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.flush(&mut lines).await;
                }
                _ = tick.tick() => {
                    // While a tool is at work its silence is no silence of the agent.
                    let busy = !self.seen().open_tools.is_empty();
                    if busy && self.job.watched {
                        self.job.tell(Input::Alive { at: self.job.at.clone() }).await;
                    }
                    if told_at.elapsed() >= TELL_USAGE {
                        told_at = Instant::now();
                        self.tell_agent().await;
                    }
                }
            }
        }
        self.flush(&mut lines).await;
        if lines.dropped > 0 {
            let text = format!("{} bytes of the protocol came after that and were not kept\n", lines.dropped);
            self.write(LogStream::System, text).await;
        }
        let open: Vec<PermissionId> = self.seen().questions.drain().map(|(_, id)| id).collect();
        for id in open {
            self.asks.withdraw(&id, "the agent has ended").await;
        }
        self.tell_agent().await;
    }

    /// Tells the engine who works and what was used, if that changed.
    pub(crate) async fn tell_agent(&self) {
        let agent = {
            let seen = self.seen();
            let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
            agent.usage = self.before;
            agent.usage.add(&seen.usage);
            agent.questions = u32::try_from(seen.questions.len()).unwrap_or(u32::MAX);
            agent.clone()
        };
        self.job.tell(Input::Agent { at: self.job.at.clone(), agent: Box::new(agent) }).await;
    }

    async fn take(self: &Arc<Self>, update: Update, events: &mut Vec<NewEvent>, lines: &mut Lines) {
        match update {
            Update::Info(info) => self.info(*info, events),
            Update::Text(text) => self.text(text, events).await,
            Update::Tool(tool) => events.push(self.tool(*tool)),
            Update::Plan(entries) => {
                let (step, attempt) = self.job.key_and_attempt();
                events.push(self.of_run(EventData::PlanUpdate(AgentPlan { step, attempt, entries })));
            }
            Update::Usage(usage) => events.push(self.usage(*usage)),
            Update::Permission(asked) => {
                // What was said before the question is seen before it.
                self.job.append_all(std::mem::take(events)).await;
                self.permission(*asked).await;
            }
            Update::PermissionWithdrawn { id, .. } => {
                let known = self.seen().questions.remove(&id);
                if let Some(known) = known {
                    self.asks.withdraw(&known, "the agent no longer waits for an answer").await;
                    self.asked_less().await;
                }
            }
            Update::Title(title) => {
                let mut seen = self.seen();
                if let Some(session) = &mut seen.session {
                    session.reason = Some(title);
                    events.push(self.of_run(EventData::AgentSession(session.clone())));
                }
            }
            Update::Retry { reason } => {
                let mut seen = self.seen();
                if let Some(session) = &mut seen.session {
                    session.reason = Some(format!("tries again: {reason}"));
                    events.push(self.of_run(EventData::AgentSession(session.clone())));
                }
            }
            Update::Raw { direction, line, bytes } => {
                if direction == Direction::FromAgent && bytes > LINE as u64 {
                    let message = format!(
                        "the agent sent a line of {bytes} bytes, more than the {LINE} that are read: what it said in it is missing"
                    );
                    let (step, attempt) = self.job.key_and_attempt();
                    let (kind, detail, resets_at) = (AgentErrorKind::Limit, None, None);
                    let error = AgentError { step, attempt, kind, message, detail, resets_at };
                    events.push(self.of_run(EventData::AgentError(error)));
                }
                let arrow = if direction == Direction::ToAgent { "->" } else { "<-" };
                let cut = if bytes > line.len() as u64 { format!(" ... {bytes} bytes") } else { String::new() };
                lines.push(&format!("{arrow} {line}{cut}\n"));
            }
            Update::Unknown { kind, json } if kind == BARRIER => {
                self.job.append_all(std::mem::take(events)).await;
                let waits = self.barriers.lock().unwrap_or_else(PoisonError::into_inner).remove(&json);
                waits.map(|waits| waits.send(()));
            }
            Update::Unknown { kind, .. } => {
                tracing::debug!(step = %self.job.key, kind, "an unknown update of an agent")
            }
            Update::Stderr(text) => {
                self.flush(lines).await;
                self.write(LogStream::Stderr, text).await;
            }
        }
    }

    fn info(&self, info: Info, events: &mut Vec<NewEvent>) {
        let session = {
            let mut seen = self.seen();
            seen.resumable = info.resumable;
            let Some(session) = &mut seen.session else { return };
            if let Some(name) = info.name {
                session.name = name;
            }
            session.version = info.version;
            session.rehearsal |= info.rehearsal;
            session.session = info.session;
            session.resumed = info.resumed;
            session.mode = info.mode;
            session.modes = info.modes;
            session.model = info.model;
            if info.not_resumed.is_some() {
                session.reason = info.not_resumed;
            }
            session.clone()
        };
        {
            let resumable = self.seen().resumable;
            let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
            agent.name.clone_from(&session.name);
            agent.rehearsal = session.rehearsal;
            agent.session = session.session.clone().filter(|_| resumable);
        }
        events.push(self.of_run(EventData::AgentSession(session)));
    }

    /// Says where the session is.
    pub(crate) async fn state(&self, state: AgentState, reason: Option<String>) {
        let event = {
            let mut seen = self.seen();
            let Some(session) = &mut seen.session else { return };
            session.state = state;
            session.reason = reason;
            self.of_run(EventData::AgentSession(session.clone()))
        };
        self.job.append_all(vec![event]).await;
    }

    /// An id that is unique within the attempt, from one that is unique within the process.
    fn own_id(&self, id: String) -> String {
        if self.process == 0 { id } else { format!("{}-{id}", self.process + 1) }
    }

    async fn text(&self, text: Text, events: &mut Vec<NewEvent>) {
        let Text { message, thought, text, repeated } = text;
        let message = self.own_id(message);
        let offset = {
            let mut seen = self.seen();
            let key = if thought { format!("thought/{message}") } else { message.clone() };
            let so_far = seen.offsets.entry(key).or_default();
            let offset = *so_far;
            *so_far += text.len() as u64;
            if !thought {
                seen.keep(&message, &text);
            }
            offset
        };
        let data = self.piece(message, Speaker::Agent, offset, text, repeated).await;
        events.push(self.of_run(if thought { EventData::AgentThought(data) } else { EventData::AgentMessage(data) }));
    }

    async fn piece(&self, id: String, from: Speaker, offset: u64, text: String, repeated: bool) -> AgentText {
        let (step, attempt) = self.job.key_and_attempt();
        let (text, blob): (String, Option<BlobRef>) = self.job.large(text, "text/plain; charset=utf-8").await;
        AgentText { step, attempt, id, from, offset, text, blob, repeated }
    }

    /// Records what the agent is told. A new turn begins.
    pub(crate) async fn prompt(&self, text: &str) {
        let id = format!("prompt-{}", ids::token(8));
        {
            let mut seen = self.seen();
            seen.messages.clear();
        }
        let data = self.piece(id, Speaker::Prompt, 0, text.to_owned(), false).await;
        self.job.append_all(vec![self.of_run(EventData::AgentMessage(data))]).await;
    }

    /// Waits until everything that the session has told so far is recorded.
    pub(crate) async fn settle(&self) {
        let Some(updates) = self.updates.upgrade() else { return };
        let (done, wait) = oneshot::channel();
        let id = ids::token(16);
        self.barriers.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), done);
        if updates.send(Update::Unknown { kind: BARRIER.to_owned(), json: id }).await.is_ok() {
            wait.await.ok();
        }
    }

    /// What the agent said in this turn, a text for each message.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.seen().messages.iter().map(|(_, text)| text.clone()).collect()
    }

    fn tool(&self, tool: ToolState) -> NewEvent {
        let (step, attempt) = self.job.key_and_attempt();
        {
            let mut seen = self.seen();
            let project = self.job.folder.to_string_lossy();
            let places = tool.locations.iter().map(|location| &location.path).chain(tool.diffs.iter().map(|d| &d.path));
            for text in tool.input.iter().chain(places).filter(|text| self.policy.read_only || text.contains(&*project))
            {
                if seen.named.len() + text.len() < NAMED {
                    seen.named.push_str(text);
                    seen.named.push('\n');
                }
            }
            if tool.status.is_final() {
                seen.open_tools.remove(&tool.id);
            } else {
                seen.open_tools.insert(tool.id.clone());
            }
        }
        let ToolState { id, kind, title, status, locations, input, output, output_bytes, exit_code, diffs } = tool;
        let id = self.own_id(id);
        let call = ToolCall {
            step,
            attempt,
            id,
            kind,
            title,
            status,
            locations,
            input,
            output,
            output_bytes,
            exit_code,
            diffs,
        };
        self.of_run(EventData::ToolCall(Arc::new(call)))
    }

    fn usage(&self, state: UsageState) -> NewEvent {
        let (step, attempt) = self.job.key_and_attempt();
        let UsageState { usage, model, context_used, context_size } = state;
        let model = {
            let mut seen = self.seen();
            seen.usage = usage;
            model.or_else(|| seen.session.as_ref().and_then(|session| session.model.clone()))
        };
        self.usage_changed.send_replace((usage, context_used.unwrap_or(0)));
        let agent = self.step_agent().id;
        self.of_run(EventData::UsageUpdate(AgentUsage {
            step,
            attempt,
            agent,
            model,
            usage,
            context_used,
            context_size,
        }))
    }

    async fn permission(self: &Arc<Self>, asked: PermissionAsked) {
        let PermissionAsked { id, tool, options } = asked;
        let agent = self.step_agent().id;
        let permission = Permission {
            kind: tool.kind,
            tool_call: Some(self.own_id(tool.id)),
            input: tool.input,
            locations: tool.locations,
            diffs: tool.diffs,
            options,
            ..question(&self.job, &self.about, &agent, PermissionTopic::Tool, tool.title)
        };
        let paths: Vec<&str> = (permission.locations.iter().map(|location| location.path.as_str()))
            .chain(permission.diffs.iter().map(|diff| diff.path.as_str()))
            .collect();
        let verdict = self.policy.judge(permission.kind, &paths);
        let allow = match &verdict {
            Verdict::Allow => Some(true),
            Verdict::Deny(_) => Some(false),
            Verdict::Ask => None,
        };
        if let Some(chosen) = allow.and_then(|allow| by_rule(&permission, allow)) {
            let chosen = chosen.to_owned();
            if let Verdict::Deny(why) = &verdict {
                self.write(LogStream::System, format!("refused {:?}: {why}\n", permission.title)).await;
            }
            self.reply(&id, Outcome::Selected(chosen)).await;
            return;
        }
        // No option says what the rule says: a person decides.
        self.ask(id, permission).await;
    }

    async fn ask(self: &Arc<Self>, id: String, permission: Permission) {
        let known = permission.id.clone();
        let title = permission.title.clone();
        let choices: Vec<&str> = permission.options.iter().map(|option| option.name.as_str()).collect();
        let text = format!(
            "{} #{}: {} asks: {} ({})",
            permission.workflow,
            permission.run_number,
            permission.step,
            permission.title,
            choices.join(" / ")
        );
        let receiver = loop {
            match self.asks.ask(permission.clone()).await {
                Ok(receiver) => break receiver,
                // The agent waits in any case: it may as well wait until its question can be recorded.
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(error) => {
                    tracing::error!(%error, step = %self.job.key, "an agent's question could not be recorded");
                    self.reply(&id, Outcome::Cancelled).await;
                    return;
                }
            }
        };
        self.seen().questions.insert(id.clone(), known);
        self.job.activity("permission_requested", text).await;
        self.tell_agent().await;
        self.phase(Phase::Waiting, Some(format!("asks: {title}"))).await;
        self.state(AgentState::Waiting, None).await;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // Withdrawn: whoever did that has told the agent, or there is none any more.
            let Ok(answer) = receiver.await else { return };
            this.seen().questions.remove(&id);
            if let Some(option) = answer.option {
                this.reply(&id, Outcome::Selected(option)).await;
            }
            this.asked_less().await;
        });
    }

    async fn asked_less(&self) {
        self.tell_agent().await;
        if self.seen().questions.is_empty() {
            self.phase(Phase::Working, None).await;
            self.state(AgentState::Running, None).await;
        }
    }

    async fn reply(&self, id: &str, outcome: Outcome) {
        let Some(session) = self.session.get() else { return };
        if !session.answer(id, &outcome).await {
            tracing::debug!(step = %self.job.key, "an answer came too late for its agent");
        }
    }

    pub(crate) async fn phase(&self, phase: Phase, reason: Option<String>) {
        self.job.tell(Input::Phase { at: self.job.at.clone(), phase, reason }).await;
    }

    async fn flush(&self, lines: &mut Lines) {
        lines.since = None;
        if !lines.waiting.is_empty() {
            let text = std::mem::take(&mut lines.waiting);
            self.write(LogStream::Protocol, text).await;
        }
    }

    /// Adds whole lines to the attempt's log.
    pub(crate) async fn write(&self, stream: LogStream, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut at = self.log.lock().await;
        let (offset, line) = match *at {
            Some(known) => known,
            None => self.job.log_so_far().await,
        };
        let lines = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        *at = Some((offset + text.len() as u64, line + lines));
        self.job.log(signalbox_process::Piece { stream, offset, line, lines, text }).await;
    }
}

impl Seen {
    fn keep(&mut self, message: &str, text: &str) {
        match self.messages.last_mut().filter(|(id, _)| id == message) {
            Some((_, so_far)) if so_far.len() + text.len() <= ANSWER => so_far.push_str(text),
            Some(_) => {}
            None => {
                let kept: usize = self.messages.iter().map(|(_, text)| text.len()).sum();
                if kept > ANSWER {
                    self.messages.remove(0);
                }
                self.messages.push((message.to_owned(), text.to_owned()));
            }
        }
    }
}

impl Lines {
    fn push(&mut self, line: &str) {
        let bytes = line.len() as u64;
        if self.kept + bytes > PROTOCOL_LIMIT {
            if self.dropped == 0 {
                self.waiting.push_str("the limit of kept protocol lines is reached; what follows is not kept\n");
            }
            self.dropped += bytes;
            return;
        }
        self.kept += bytes;
        self.since.get_or_insert_with(Instant::now);
        self.waiting.push_str(line);
    }
}
