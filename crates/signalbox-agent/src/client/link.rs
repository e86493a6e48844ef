//! What the handles of a session and its pump share: requests that wait, questions, signs of life, and the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use signalbox_model::{AgentErrorKind, Clock};
use signalbox_process::{Handle, Masker};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Closed, Config, Deadlines, Ending,
    messages::{self, Request},
};
use crate::{
    failure::{Failure, Refusal},
    limits,
    update::{Info, Outcome, Turn},
};

/// Bytes kept of the end of standard error.
const STDERR: usize = 8 * 1024;
/// After it was killed, the longest wait for the reader of its updates.
const READER: Duration = Duration::from_secs(2);

/// How much the session is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    No,
    /// Its standard input is closed.
    Quit,
    /// Nobody wants its updates any more.
    Abandon,
}

/// What answers a request.
pub(super) enum Reply {
    Answer(Result<Value, Refusal>),
    Turn(Result<Turn, Refusal>),
    TooLong,
}

/// How the process ended, and what was found after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exited {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) swept: u32,
    pub(super) survivors: bool,
}

pub(super) struct Link {
    pub(super) agent: String,
    clock: Arc<dyn Clock>,
    masker: Masker,
    handle: Handle,
    out: mpsc::Sender<String>,
    state: Mutex<State>,
    /// Counts cancellations and ends of turns.
    changes: watch::Sender<u64>,
    pub(super) stop: watch::Sender<Stop>,
    exited: watch::Sender<Option<Exited>>,
    closing: tokio::sync::Mutex<Option<Closed>>,
}

pub(super) struct State {
    next: u64,
    pending: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// The agent's ids of its open questions.
    pub(super) questions: HashMap<String, Value>,
    pub(super) info: Info,
    pub(super) not_resumed: Option<String>,
    stderr: String,
    /// The last sign of life.
    pub(super) heard: Instant,
    /// It waits for something else than its model: a tool, a person, or the reader of its updates.
    pub(super) busy: bool,
    pub(super) blocked: bool,
    /// Requests of the agent that we are busy with.
    pub(super) errands: usize,
    /// The prompt that is open.
    prompting: Option<u64>,
    cancelled_at: Option<Instant>,
}

impl State {
    /// The agent is silent for a good reason.
    fn waits_for_us(&self) -> bool {
        self.busy || self.blocked || self.errands > 0
    }
}

impl Link {
    pub(super) fn new(config: &Config, handle: Handle, out: mpsc::Sender<String>) -> Self {
        let state = State {
            next: 0,
            pending: BTreeMap::new(),
            questions: HashMap::new(),
            info: Info::default(),
            not_resumed: None,
            stderr: String::new(),
            heard: Instant::now(),
            busy: false,
            blocked: false,
            errands: 0,
            prompting: None,
            cancelled_at: None,
        };
        Self {
            agent: config.agent.clone(),
            clock: Arc::clone(&config.clock),
            masker: config.masker.clone(),
            handle,
            out,
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            stop: watch::Sender::new(Stop::No),
            exited: watch::Sender::new(None),
            closing: tokio::sync::Mutex::new(None),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds it can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn info(&self) -> Info {
        self.state().info.clone()
    }

    pub(super) fn stderr(&self) -> String {
        self.state().stderr.clone()
    }

    pub(super) fn heard_stderr(&self, text: &str) {
        let mut state = self.state();
        state.heard = Instant::now();
        state.stderr.push_str(text);
        if state.stderr.len() > 2 * STDERR {
            state.stderr = limits::tail(&state.stderr, STDERR).to_owned();
        }
    }

    /// Sends a line; false if the agent no longer reads.
    pub(super) async fn send(&self, line: String) -> bool {
        self.out.send(line).await.is_ok()
    }

    /// As the pump sends: an agent that asks faster than it listens gets no answer.
    pub(super) fn send_now(&self, line: String) {
        self.out.try_send(line).ok();
    }

    fn expect(&self) -> (u64, oneshot::Receiver<Reply>) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.pending.insert(id, sender);
        (id, receiver)
    }

    pub(super) fn reply(&self, id: u64, reply: Reply) {
        let sender = self.state().pending.remove(&id);
        if let Some(sender) = sender {
            self.turn_ended(Some(id));
            // Who asked may have stopped waiting.
            sender.send(reply).ok();
        }
    }

    /// Sends a request and waits for its answer. `what` names it for a person.
    pub(super) async fn request(&self, request: &Request, within: Duration, what: &str) -> Result<Value, Failure> {
        let refused = match self.ask(request, within, what).await? {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        Err(self.refused(what, &refused))
    }

    /// The same, with the agent's own refusal kept apart.
    pub(super) async fn ask(
        &self,
        request: &Request,
        within: Duration,
        what: &str,
    ) -> Result<Result<Value, Refusal>, Failure> {
        let (id, reply) = self.expect();
        let line = request.line(id);
        let answered = timeout(within, async { if self.send(line).await { reply.await.ok() } else { None } });
        let Ok(answered) = answered.await else {
            self.state().pending.remove(&id);
            let agent = &self.agent;
            let seconds = within.as_secs_f32();
            let message = format!(
                "{agent} gave no answer to {what} within {seconds} s: try again, or start it by hand to see what it waits for"
            );
            return Err(Failure::protocol(message));
        };
        match answered {
            Some(Reply::Answer(answer)) => Ok(answer),
            Some(Reply::TooLong) => Err(self.too_long(what)),
            Some(Reply::Turn(_)) | None => Err(self.gone(what).await),
        }
    }

    pub(super) fn refused(&self, what: &str, refusal: &Refusal) -> Failure {
        let failure = Failure::of_refusal(&self.agent, what, refusal, self.clock.now());
        let message = self.masker.mask(&failure.message);
        Failure { message, detail: failure.detail.map(|detail| self.masker.mask(&detail)), ..failure }
    }

    fn too_long(&self, what: &str) -> Failure {
        let limit = limits::LINE / (1024 * 1024);
        Failure::new(
            AgentErrorKind::Limit,
            format!("{}'s answer to {what} was over {limit} MiB and was not read", self.agent),
        )
    }

    /// The process ended, or will not be heard any more.
    async fn gone(&self, what: &str) -> Failure {
        self.handle_gone().await;
        let agent = &self.agent;
        if *self.stop.borrow() != Stop::No {
            return Failure::new(AgentErrorKind::Exited, format!("the session with {agent} was closed"));
        }
        let exit = *self.exited.borrow();
        let how = match exit {
            Some(Exited { signal: Some(signal), .. }) => format!("was ended by signal {signal}"),
            Some(Exited { code: Some(code), .. }) => format!("ended by itself with exit code {code}"),
            _ => "closed its output".to_owned(),
        };
        let stderr = self.stderr();
        let failure = Failure::new(AgentErrorKind::Exited, format!("{agent} {how} instead of answering {what}"));
        let failure = failure.with_stderr(&stderr);
        if what != PROMPT && Failure::wants_sign_in(&stderr) {
            let message = format!("{agent} {how}: it wants a sign-in. Sign in, then try again");
            return Failure { kind: AgentErrorKind::Auth, message, ..failure };
        }
        failure
    }

    async fn handle_gone(&self) {
        let mut exited = self.exited.subscribe();
        // The pump ends what is left of a process that closed its output: this ends in any case.
        exited.wait_for(Option::is_some).await.ok();
    }

    pub(super) async fn prompt(&self, request: Request, session: &str, deadlines: Deadlines) -> Result<Turn, Failure> {
        {
            let mut state = self.state();
            if state.prompting.is_some() {
                return Err(Failure::protocol(format!("{} is still at work on the prompt before", self.agent)));
            }
            state.prompting = Some(state.next);
            state.cancelled_at = None;
            state.heard = Instant::now();
        }
        let mut changes = self.changes.subscribe();
        let (id, mut reply) = self.expect();
        self.state().prompting = Some(id);
        if !self.send(request.line(id)).await {
            self.turn_ended(Some(id));
            return Err(self.gone(PROMPT).await);
        }
        let mut asked_to_stop = false;
        let reply = loop {
            let wake = self.wake(&deadlines);
            tokio::select! {
                reply = &mut reply => break reply.ok(),
                _ = changes.changed() => {}
                () = sleep_until(wake.unwrap_or_else(far)), if wake.is_some() => {
                    if let Some(failure) = self.overdue(&deadlines, asked_to_stop) {
                        self.state().pending.remove(&id);
                        self.turn_ended(Some(id));
                        return Err(failure);
                    }
                    if self.is_silent(&deadlines) && !asked_to_stop {
                        asked_to_stop = true;
                        self.cancel(session).await;
                    }
                }
            }
        };
        if asked_to_stop && matches!(reply, Some(Reply::Turn(_))) {
            return Err(self.silent(&deadlines));
        }
        match reply {
            Some(Reply::Turn(Ok(turn))) => Ok(turn),
            Some(Reply::Turn(Err(refusal)) | Reply::Answer(Err(refusal))) => Err(self.refused(PROMPT, &refusal)),
            Some(Reply::TooLong) => Err(self.too_long(PROMPT)),
            Some(Reply::Answer(Ok(_))) | None => Err(self.gone(PROMPT).await),
        }
    }

    /// The turn of this prompt ended, or nobody waits for its end any more. None: of any.
    fn turn_ended(&self, id: Option<u64>) {
        let mut state = self.state();
        if id.is_some() && state.prompting != id {
            return;
        }
        state.prompting = None;
        state.cancelled_at = None;
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state().cancelled_at.is_some()
    }

    /// When the next deadline of a prompt may be over.
    fn wake(&self, deadlines: &Deadlines) -> Option<Instant> {
        let state = self.state();
        let cancel = state.cancelled_at.map(|at| at + deadlines.cancel);
        let silence = deadlines
            .silence
            .map(|silence| if state.waits_for_us() { Instant::now() + silence } else { state.heard + silence });
        cancel.or(silence)
    }

    fn is_silent(&self, deadlines: &Deadlines) -> bool {
        let state = self.state();
        let quiet = |silence| state.heard + silence <= Instant::now();
        !state.waits_for_us() && deadlines.silence.is_some_and(quiet)
    }

    fn overdue(&self, deadlines: &Deadlines, silent: bool) -> Option<Failure> {
        let at = self.state().cancelled_at?;
        if at + deadlines.cancel > Instant::now() {
            return None;
        }
        if silent {
            return Some(self.silent(deadlines));
        }
        let (agent, seconds) = (&self.agent, deadlines.cancel.as_secs_f32());
        Some(Failure::protocol(format!("{agent} did not stop within {seconds} s of being asked: close the session")))
    }

    fn silent(&self, deadlines: &Deadlines) -> Failure {
        let seconds = deadlines.silence.unwrap_or_default().as_secs_f32();
        let agent = &self.agent;
        Failure::protocol(format!(
            "{agent} gave no sign of life for {seconds} s, though it had nothing to wait for: try again"
        ))
    }

    pub(super) async fn cancel(&self, session: &str) {
        let questions: Vec<Value> = {
            let mut state = self.state();
            if state.prompting.is_none() {
                return;
            }
            state.cancelled_at = state.cancelled_at.or(Some(Instant::now()));
            state.questions.drain().map(|(_, request)| request).collect()
        };
        self.changes.send_modify(|count| *count += 1);
        self.send(messages::cancel(session)).await;
        // Some wait for an answer for ever, and do not stop before they have it.
        for request in questions {
            self.send(messages::answer(&request, &Outcome::Cancelled)).await;
        }
    }

    pub(super) async fn answer(&self, question: &str, outcome: &Outcome) -> bool {
        let request = self.state().questions.remove(question);
        let Some(request) = request else { return false };
        self.send(messages::answer(&request, outcome)).await
    }

    /// Waits until the agent has said nothing for a while.
    pub(super) async fn quiet(&self, pause: Duration, longest: Duration) {
        let end = Instant::now() + longest;
        loop {
            let until = (self.state().heard + pause).min(end);
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    pub(super) async fn ended(&self) {
        self.handle_gone().await;
    }

    /// Kills it and gives up its updates.
    pub(super) fn abandon(&self) {
        self.stop.send_replace(Stop::Abandon);
        if self.exited.borrow().is_none() {
            self.handle.kill();
        }
    }

    pub(super) fn kill(&self) {
        self.handle.kill();
    }

    /// The pump is done: nothing more will come.
    pub(super) fn finish(&self, exited: Exited) {
        self.exited.send_replace(Some(exited));
        // Who waits for an answer is told by the loss of its other end.
        let pending = std::mem::take(&mut self.state().pending);
        drop(pending);
        self.state().questions.clear();
        self.turn_ended(None);
    }

    pub(super) async fn close(&self, session: &str, closes: bool, deadlines: Deadlines) -> Closed {
        let mut closing = self.closing.lock().await;
        if let Some(closed) = *closing {
            return closed;
        }
        let how = self.end(session, closes, &deadlines).await;
        let exited = *self.exited.borrow();
        let (code, signal, swept, survivors) =
            exited.map_or((None, None, 0, true), |exited| (exited.code, exited.signal, exited.swept, exited.survivors));
        let closed = Closed { how, code, signal, swept, survivors };
        *closing = Some(closed);
        closed
    }

    async fn end(&self, session: &str, closes: bool, deadlines: &Deadlines) -> Ending {
        if self.exited.borrow().is_some() {
            return Ending::ByItself;
        }
        let mut changes = self.changes.subscribe();
        let stopped = async {
            self.cancel(session).await;
            while self.state().prompting.is_some() {
                changes.changed().await.ok();
            }
        };
        timeout(deadlines.cancel, stopped).await.ok();
        if closes {
            // Whatever it says to that: its process ends now.
            self.ask(&messages::close_session(session), deadlines.quit, "the end of its session").await.ok();
        }
        self.stop.send_if_modified(|stop| std::mem::replace(stop, Stop::Quit.max(*stop)) != *stop);
        if timeout(deadlines.quit, self.handle_gone()).await.is_ok() {
            return Ending::Quit;
        }
        self.handle.terminate();
        if timeout(deadlines.terminate, self.handle_gone()).await.is_ok() {
            return Ending::Terminated;
        }
        self.handle.kill();
        if timeout(READER, self.handle_gone()).await.is_err() {
            // It is gone, but nobody reads its last updates.
            self.abandon();
            self.handle_gone().await;
        }
        Ending::Killed
    }
}

/// How a prompt is called in a failure.
const PROMPT: &str = "the prompt";

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60 * 60 * 24 * 365)
}
