//! An attempt of a step that an agent does: its folder, its session, its turns, its checks, its end.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use indexmap::IndexMap;
use serde_json::Value;
use signalbox_agent::{Config, Failure, McpServer, Session, Stop as TurnStop, Turn};
use signalbox_engine::{Input, Outcome, Phase};
use signalbox_model::{
    AgentError, AgentErrorKind, AgentSession, AgentState, Artifact, Commit, Correction, EventData, FailureCause, LogStream,
    OptionKind, Permission, PermissionOption, PermissionState, PermissionTopic, Risk, RiskState, Severity, StepAgent,
    StopKind, ToolKind, Usage,
};
use signalbox_workflow::{
    definition::{AgentMode, Budget, OnExceed},
    plan::Check,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Services, answer,
    policy::Policy,
    tools::AgentTools,
    record::{About, Recorder},
    workspace::{Changes, Place, Workspace},
};
use crate::{
    execute::{Job, Stop},
    files::collect_artifacts,
    ids,
    script::{Draft, Script},
};

/// Updates of a session that may wait to be recorded. Past it the agent's output is not read.
const UPDATES: usize = 256;
/// How long an agent whose turn was cancelled may take to end it.
const CANCEL: Duration = Duration::from_secs(10);
/// How often an answer that does not fit its schema goes back, when the workflow does not say.
const SCHEMA_CORRECTIONS: u32 = 2;
/// Feedback is cut at this many bytes: an agent needs the beginning and the end of what a check printed.
const FEEDBACK: usize = 12 * 1024;
/// What a session that was interrupted is told.
pub(crate) const GO_ON: &str = "You were interrupted. Look at what is done already, and go on with your task.";

/// What the engine's loop hands over.
pub(crate) struct Prepared {
    pub(crate) agents: Vec<String>,
    pub(crate) mode: AgentMode,
    pub(crate) model: Option<String>,
    pub(crate) prompt: String,
    pub(crate) schema: Option<Value>,
    pub(crate) permissions: signalbox_workflow::definition::Permissions,
    pub(crate) budget: Budget,
    pub(crate) correct: u32,
    pub(crate) artifacts: Vec<String>,
    /// The environment of the agent, and its folder within the project.
    pub(crate) setting: Result<Draft, String>,
    pub(crate) checks: Vec<(Check, Result<Draft, String>)>,
    pub(crate) place: Place,
    pub(crate) about: About,
    /// What worked for the step before.
    pub(crate) previous: Option<StepAgent>,
    /// The session to go on with, and what it is told.
    pub(crate) resume: Option<Resume>,
}

/// A session to go on with.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    pub(crate) agent: String,
    pub(crate) session: String,
    /// What it is told; none: the step's own prompt, because another step began the session.
    pub(crate) prompt: Option<String>,
}

/// Why an attempt did not succeed.
struct Failed {
    cause: FailureCause,
    message: String,
    /// Another agent might do better.
    fall_back: bool,
    resets_at: Option<i64>,
    stopped: Option<StopKind>,
}

impl Failed {
    fn new(cause: FailureCause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), fall_back: false, resets_at: None, stopped: None }
    }
}

/// How a turn came to its end.
enum Ended {
    Turn(Turn),
    /// Somebody wants the step to end.
    Stopped,
    /// What it may use is used up.
    Budget(String),
}

pub(crate) struct Task {
    job: Arc<Job>,
    prepared: Prepared,
    services: Arc<Services>,
    began: Instant,
}

impl Task {
    pub(crate) fn new(job: Job, prepared: Prepared, services: Arc<Services>) -> Self {
        Self { job: Arc::new(job), prepared, services, began: Instant::now() }
    }

    /// Works to the attempt's end and tells the engine.
    pub(crate) async fn run(self) {
        let at = self.job.at.clone();
        let result = self.attempt().await;
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(failed) => Outcome {
                failure: Some((failed.cause, failed.message)),
                resets_at: failed.resets_at,
                stopped: failed.stopped,
                ..Outcome::default()
            },
        };
        self.job.tell(Input::Finished { at, outcome }).await;
    }

    async fn attempt(&self) -> Result<Outcome, Failed> {
        let setting = match self.prepared.setting.clone() {
            Ok(draft) => draft.complete().await,
            Err(why) => Err(why),
        };
        let setting = setting.map_err(|why| Failed::new(FailureCause::Infra, why))?;
        let place = self.prepared.place.clone();
        let (workspaces, job) = (Arc::clone(&self.services), Arc::clone(&self.job));
        let made = tokio::task::spawn_blocking(move || workspaces.worktrees.make(&place, &job.at.run, &job.key));
        let workspace = match made.await {
            Ok(made) => made.map_err(|why| Failed::new(FailureCause::Git, why))?,
            Err(_) => return Err(Failed::new(FailureCause::Infra, "the host is stopping")),
        };
        let workspace = Arc::new(workspace);
        let mut tried = Vec::new();
        for (number, id) in self.agents().into_iter().enumerate() {
            match self.with_agent(&id, &setting, &workspace).await {
                Err(failed) if failed.fall_back && number + 1 < self.prepared.agents.len() => {
                    tried.push(format!("{id}: {}", failed.message));
                }
                Err(mut failed) => {
                    if !tried.is_empty() {
                        failed.message = format!("{} (before that {})", failed.message, tried.join("; "));
                    }
                    return Err(failed);
                }
                Ok(outcome) => return Ok(outcome),
            }
        }
        Err(Failed::new(FailureCause::Agent, "no agent is named"))
    }

    /// The agents to try, in order: the one whose session goes on first.
    fn agents(&self) -> Vec<String> {
        let mut agents = self.prepared.agents.clone();
        if let Some(resume) = &self.prepared.resume
            && let Some(at) = agents.iter().position(|id| *id == resume.agent)
        {
            agents.swap(0, at);
        }
        agents
    }

    async fn with_agent(&self, id: &str, setting: &Script, workspace: &Arc<Workspace>) -> Result<Outcome, Failed> {
        let folder = workspace.within(&setting.dir);
        let launch = self.services.catalogue.launch(id, self.prepared.mode, &setting.env).await;
        let launch = match launch {
            Ok(launch) => launch,
            Err(failure) => return Err(self.failure(failure).await),
        };
        let before = self.prepared.previous.as_ref().map(|agent| agent.usage).unwrap_or_default();
        let agent = StepAgent {
            id: id.to_owned(),
            name: launch.name.clone(),
            rehearsal: launch.rehearsal,
            session: None,
            branch: workspace.branch.clone(),
            base: workspace.base.clone(),
            folder: Some(folder.to_string_lossy().into_owned()),
            usage: before,
            questions: 0,
        };
        let (step, attempt) = self.job.key_and_attempt();
        let session = AgentSession {
            step,
            attempt,
            agent: id.to_owned(),
            name: launch.name.clone(),
            version: None,
            rehearsal: launch.rehearsal,
            state: AgentState::Starting,
            session: None,
            resumed: false,
            mode: None,
            modes: Vec::new(),
            model: None,
            folder: folder.to_string_lossy().into_owned(),
            branch: workspace.branch.clone(),
            base: workspace.base.clone(),
            reason: None,
        };
        let (sender, updates) = mpsc::channel(UPDATES);
        let recorder = Arc::new(Recorder {
            job: Arc::clone(&self.job),
            asks: Arc::clone(&self.services.asks),
            policy: Policy {
                permissions: self.prepared.permissions.clone(),
                folder: workspace.folder.clone(),
                read_only: self.prepared.mode != AgentMode::Work || workspace.read_only,
            },
            about: self.prepared.about.clone(),
            session: OnceLock::new(),
            updates: sender.downgrade(),
            barriers: Mutex::default(),
            seen: Mutex::default(),
            agent: Mutex::new(agent),
            before,
            log: tokio::sync::Mutex::new(None),
            usage_changed: watch::channel(Usage::default()).0,
        });
        recorder.seen().session = Some(session);
        recorder.state(AgentState::Starting, None).await;
        let resume = self.prepared.resume.clone().filter(|resume| resume.agent == id);
        let mut config = Config::new(launch.argv, folder);
        config.env = launch.env;
        config.marker.clone_from(&self.job.marker);
        config.secrets.clone_from(&setting.secrets);
        config.resume = resume.as_ref().map(|resume| resume.session.clone());
        config.mode = launch.mode;
        config.model.clone_from(&self.prepared.model);
        let tools = Arc::new(AgentTools::new(
            Arc::clone(&self.job),
            Arc::clone(&self.services.asks),
            self.prepared.about.clone(),
            id.to_owned(),
            self.prepared.schema.clone(),
            Arc::clone(workspace),
        ));
        let token = self.services.tokens.issue(&tools);
        if let Some(url) = self.services.url() {
            config.mcp = vec![McpServer::new("signalbox", format!("{url}/mcp"))
                .header("Authorization", format!("Bearer {token}"))];
        }
        let pump = tokio::spawn(Arc::clone(&recorder).run(updates));
        let mut stop = self.job.stop.clone();
        let started = tokio::select! {
            started = Session::start(config, sender) => Some(started),
            () = wanted(&mut stop, Stop::Terminate) => None,
        };
        let result = match started {
            None => Err(Failed { stopped: Some(StopKind::Graceful), ..Failed::new(FailureCause::Agent, "was ended") }),
            Some(Err(failure)) => Err(self.failure(failure).await),
            Some(Ok(session)) => {
                let session = Arc::new(session);
                recorder.session.set(Arc::clone(&session)).ok();
                let result = self.with_session(&session, &recorder, workspace, resume.as_ref(), &tools).await;
                let stopped = session.close(*stop.borrow() == Stop::Kill).await;
                match result {
                    Err(failed) if failed.stopped.is_some() => Err(Failed { stopped: Some(stopped), ..failed }),
                    result => result,
                }
            }
        };
        self.services.tokens.revoke(&token);
        tools.end().await;
        // The session is gone, so its updates end.
        pump.await.ok();
        self.sweep().await;
        recorder.state(AgentState::Closed, result.as_ref().err().map(|failed| failed.message.clone())).await;
        result.map(|outcome| Outcome { agent: Some(Box::new(recorder.step_agent())), ..outcome })
    }

    /// Whatever the agent left running ends with it: agents start commands in sessions of their own.
    async fn sweep(&self) {
        let marker = self.job.marker.clone();
        tokio::task::spawn_blocking(move || crate::execute::sweep(&marker)).await.ok();
    }

    async fn with_session(
        &self,
        session: &Arc<Session>,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        resume: Option<&Resume>,
        tools: &AgentTools,
    ) -> Result<Outcome, Failed> {
        self.job.tell(Input::Started { at: self.job.at.clone(), process: session.process() }).await;
        recorder.tell_agent().await;
        let (end, ended) = watch::channel(false);
        let watcher = tokio::spawn(super::changes::follow(Arc::clone(&self.job), Arc::clone(workspace), ended));
        let resumed = recorder.seen().session.as_ref().is_some_and(|session| session.resumed);
        let prompt = self.first_prompt(resume, resumed);
        let result = self.turns(session, recorder, workspace, prompt, tools).await;
        end.send_replace(true);
        watcher.await.ok();
        result
    }

    fn first_prompt(&self, resume: Option<&Resume>, resumed: bool) -> String {
        let own = || {
            let schema = self.prepared.schema.as_ref().map(answer::instruction).unwrap_or_default();
            format!("{}{schema}", self.prepared.prompt)
        };
        match resume.and_then(|resume| resume.prompt.clone()) {
            Some(prompt) if resumed => prompt,
            // A new session knows nothing of the task that this is a remark on.
            Some(prompt) if prompt != GO_ON => format!("{}\n\n{prompt}", own()),
            _ => own(),
        }
    }

    async fn turns(
        &self,
        session: &Session,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        mut prompt: String,
        tools: &AgentTools,
    ) -> Result<Outcome, Failed> {
        let mut budget = self.prepared.budget.clone();
        let most = match self.prepared.correct {
            0 if self.prepared.schema.is_some() => SCHEMA_CORRECTIONS,
            most => most,
        };
        let mut corrections = 0;
        loop {
            recorder.prompt(&prompt).await;
            recorder.state(AgentState::Running, None).await;
            let turn = match self.turn(session, recorder, &prompt, &budget).await? {
                Ended::Turn(turn) => turn,
                Ended::Stopped => {
                    let failed = Failed::new(FailureCause::Agent, "was ended");
                    return Err(Failed { stopped: Some(StopKind::Graceful), ..failed });
                }
                Ended::Budget(what) => {
                    budget = self.over_budget(recorder, &budget, &what).await?;
                    prompt = GO_ON.to_owned();
                    continue;
                }
            };
            recorder.settle().await;
            recorder.state(AgentState::Idle, None).await;
            let verdict = self.judge(&turn, recorder, workspace, tools).await?;
            let feedback = match verdict {
                Ok(outcome) => return Ok(outcome),
                Err(feedback) => feedback,
            };
            if corrections >= most || *self.job.stop.borrow() != Stop::No {
                let cause = if feedback.of_answer { FailureCause::Outputs } else { FailureCause::Verify };
                let after = if corrections > 0 { format!(" after {corrections} corrections") } else { String::new() };
                return Err(Failed::new(cause, format!("{}{after}", feedback.short)));
            }
            corrections += 1;
            prompt = feedback.prompt();
            let (step, attempt) = self.job.key_and_attempt();
            let data = Correction { step, attempt, number: corrections, max: most, feedback: feedback.short.clone() };
            self.job.append_all(vec![self.job.of_project(EventData::Correction(data))]).await;
            recorder.phase(Phase::Working, Some(format!("correction {corrections} of {most}"))).await;
        }
    }

    /// One turn. It ends when the agent says so, when somebody wants the step to end, or when a budget is used up.
    async fn turn(
        &self,
        session: &Session,
        recorder: &Recorder,
        prompt: &str,
        budget: &Budget,
    ) -> Result<Ended, Failed> {
        let mut stop = self.job.stop.clone();
        let mut usage = recorder.usage_changed.subscribe();
        let turn = session.prompt(prompt);
        tokio::pin!(turn);
        let why = tokio::select! {
            turn = &mut turn => return self.turn_ended(turn).await.map(Ended::Turn),
            () = wanted(&mut stop, Stop::Terminate) => None,
            what = exceeded(&mut usage, &recorder.before, budget, self.began) => Some(what),
        };
        session.cancel().await;
        tokio::select! {
            _ = &mut turn => {}
            () = wanted(&mut stop, Stop::Kill) => {}
            () = tokio::time::sleep(CANCEL) => {}
        }
        Ok(why.map_or(Ended::Stopped, Ended::Budget))
    }

    async fn turn_ended(&self, turn: Result<Turn, Failure>) -> Result<Turn, Failed> {
        match turn {
            Ok(turn) => Ok(turn),
            Err(failure) => Err(self.failure(failure).await),
        }
    }

    /// Records what went wrong with an agent, and what it means for the step.
    async fn failure(&self, failure: Failure) -> Failed {
        let (step, attempt) = self.job.key_and_attempt();
        let Failure { kind, message, detail, resets_at } = failure;
        let data = AgentError { step, attempt, kind, message: message.clone(), detail, resets_at };
        self.job.append_all(vec![self.job.of_run(EventData::AgentError(data))]).await;
        let cause = match kind {
            AgentErrorKind::RateLimit => FailureCause::RateLimit,
            AgentErrorKind::Network => FailureCause::Infra,
            _ => FailureCause::Agent,
        };
        let fall_back = matches!(
            kind,
            AgentErrorKind::Missing
                | AgentErrorKind::Auth
                | AgentErrorKind::RateLimit
                | AgentErrorKind::Network
                | AgentErrorKind::Protocol
        );
        Failed { fall_back, resets_at, ..Failed::new(cause, message) }
    }

    /// A budget is used up: asks whether to go on, if the workflow says so.
    async fn over_budget(&self, recorder: &Arc<Recorder>, budget: &Budget, what: &str) -> Result<Budget, Failed> {
        let failed = || Failed::new(FailureCause::Budget, format!("the budget is used up: {what}"));
        self.risk(
            "budget",
            Severity::Warning,
            format!("{}: the budget is used up", self.job.key),
            what,
            "raise the budget, or end the step",
        )
        .await;
        if budget.on_exceed == OnExceed::Fail {
            return Err(failed());
        }
        let (step, attempt) = self.job.key_and_attempt();
        let option = |id: &str, name: &str, kind| PermissionOption { id: id.into(), name: name.into(), kind };
        let question = Permission {
            id: ids::permission(),
            project: self.job.project.clone(),
            run: self.job.at.run.clone(),
            run_number: self.prepared.about.run_number,
            workflow: self.prepared.about.workflow.clone(),
            step,
            attempt,
            agent: recorder.step_agent().id,
            topic: PermissionTopic::Budget,
            title: format!("The budget is used up: {what}. Go on with as much again?"),
            kind: ToolKind::Other,
            tool_call: None,
            input: None,
            locations: Vec::new(),
            diffs: Vec::new(),
            options: vec![
                option("go_on", "Go on", OptionKind::AllowOnce),
                option("stop", "End the step", OptionKind::RejectOnce),
            ],
            free_text: false,
            state: PermissionState::Open,
            option: None,
            text: None,
            by: None,
            opened_at: self.job.clock.now(),
            resolved_at: None,
            reason: None,
        };
        let id = question.id.clone();
        let Ok(answer) = self.services.asks.ask(question).await else { return Err(failed()) };
        recorder.phase(Phase::Waiting, Some(format!("the budget is used up: {what}"))).await;
        let mut stop = self.job.stop.clone();
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            () = wanted(&mut stop, Stop::Terminate) => {
                self.services.asks.withdraw(&id, "the step was ended").await;
                let failed = Failed::new(FailureCause::Budget, "was ended");
                return Err(Failed { stopped: Some(StopKind::Graceful), ..failed });
            }
        };
        if answer.and_then(|answer| answer.option).as_deref() != Some("go_on") {
            return Err(failed());
        }
        recorder.phase(Phase::Working, None).await;
        let more = &self.prepared.budget;
        Ok(Budget {
            usd: budget.usd.zip(more.usd).map(|(now, more)| now + more),
            tokens: budget.tokens.zip(more.tokens).map(|(now, more)| now.saturating_add(more)),
            wall: budget
                .wall
                .zip(more.wall)
                .map(|(now, more)| signalbox_workflow::Span::from_millis(now.millis().saturating_add(more.millis()))),
            on_exceed: budget.on_exceed,
        })
    }

    async fn risk(&self, kind: &str, severity: Severity, title: String, evidence: &str, advice: &str) {
        let risk = Risk {
            id: format!("{kind}/{}/{}", self.job.at.run, self.job.key),
            project: self.job.project.clone(),
            kind: kind.to_owned(),
            severity,
            title,
            evidence: evidence.to_owned(),
            advice: advice.to_owned(),
            run: Some(self.job.at.run.clone()),
            step: Some(self.job.key.clone()),
            state: RiskState::Open,
            raised_at: self.job.clock.now(),
            by: None,
        };
        self.job.append_all(vec![self.job.of_project(EventData::RiskAlert(risk))]).await;
    }

    /// What the turn is worth: the step's result, or what the agent has to mend.
    async fn judge(
        &self,
        turn: &Turn,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        tools: &AgentTools,
    ) -> Result<Result<Outcome, Feedback>, Failed> {
        let checked = !self.prepared.checks.is_empty() || self.prepared.schema.is_some();
        // Without checks there is nothing but the agent's word. It must at least say that it is done.
        match &turn.stop {
            TurnStop::Refusal => return Err(Failed::new(FailureCause::Agent, "the agent refused to go on")),
            TurnStop::MaxTokens | TurnStop::MaxTurns if !checked => {
                return Err(Failed::new(
                    FailureCause::Agent,
                    "the agent reached a limit of its own before it was done",
                ));
            }
            TurnStop::Cancelled if !checked => {
                return Err(Failed::new(FailureCause::Agent, "the agent ended its turn before it was done"));
            }
            _ => {}
        }
        recorder.phase(Phase::Checking, None).await;
        let changes = self.changes(workspace).await?;
        self.refuse_outside(recorder, workspace).await?;
        if recorder.policy.read_only && workspace.own && !changes.paths.is_empty() {
            let list = changes.paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let why = format!("the step only looks, but its agent changed {list}");
            self.risk(
                "forbidden_path",
                Severity::Warning,
                format!("{}: {why}", self.job.key),
                &list,
                "look at the diff",
            )
            .await;
            return Err(Failed::new(FailureCause::Verify, why));
        }
        let outputs = match (&self.prepared.schema, tools.verdict()) {
            (None, _) => IndexMap::new(),
            (Some(_), Some(verdict)) => verdict,
            (Some(schema), None) => match answer::outputs(&recorder.messages(), schema) {
                Ok(outputs) => outputs,
                Err(why) => return Ok(Err(Feedback { short: why, printed: String::new(), of_answer: true })),
            },
        };
        {
            // Checks write to the same log: until they are through nothing else does.
            let mut log = recorder.log.lock().await;
            let before = self.job.log_so_far().await;
            let checks = self.in_workspace(workspace);
            let verdict = self.job.verify(&workspace.folder, checks, &changes.paths).await;
            *log = None;
            if let Err(short) = verdict {
                let printed = self.printed_since(before.0).await;
                return Ok(Err(Feedback { short, printed, of_answer: false }));
            }
        }
        self.accept(recorder, workspace, outputs, tools.delivered()).await.map(Ok)
    }

    fn in_workspace(&self, workspace: &Workspace) -> Vec<(Check, Result<Draft, String>)> {
        let moved = |draft: &Result<Draft, String>| draft.clone().map(|draft| draft.moved_to(&workspace.folder));
        self.prepared.checks.iter().map(|(check, draft)| (check.clone(), moved(draft))).collect()
    }

    async fn changes(&self, workspace: &Arc<Workspace>) -> Result<Changes, Failed> {
        let workspace = Arc::clone(workspace);
        let changes = tokio::task::spawn_blocking(move || workspace.changes()).await;
        changes
            .unwrap_or_else(|_| Err("the host is stopping".into()))
            .map_err(|why| Failed::new(FailureCause::Git, why))
    }

    /// An agent with a folder of its own has no business in the project's. People have: only what its own tools named
    /// counts against it.
    async fn refuse_outside(&self, recorder: &Recorder, workspace: &Arc<Workspace>) -> Result<(), Failed> {
        let there = Arc::clone(workspace);
        let mut changed = tokio::task::spawn_blocking(move || there.changed_outside()).await.unwrap_or_default();
        {
            let seen = recorder.seen();
            changed.retain(|file| seen.named.contains(file.as_str()));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let list = changed.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let what = format!("its agent changed {list} in the project's own folder");
        let advice = "look at these files: `git status` shows them; nothing of the step was landed";
        self.risk(
            "forbidden_path",
            Severity::Critical,
            format!("{}: changes outside of its worktree", self.job.key),
            &what,
            advice,
        )
        .await;
        Err(Failed::new(FailureCause::Verify, format!("{what}, outside of the step's worktree; {advice}")))
    }

    /// The end of what the checks printed, for the agent to read.
    async fn printed_since(&self, offset: u64) -> String {
        let (store, run, key, attempt) =
            (self.job.store.clone(), self.job.at.run.clone(), self.job.key.clone(), self.job.attempt);
        let read = move || {
            store.read(|reader| {
                let chunks = reader.log_tail(&run, &key, attempt, FEEDBACK as u64)?;
                let ours = chunks.into_iter().filter(|chunk| {
                    chunk.offset >= offset && matches!(chunk.stream, LogStream::Stdout | LogStream::Stderr)
                });
                Ok(ours.map(|chunk| chunk.text).collect::<String>())
            })
        };
        tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Keeps what the agent did.
    async fn accept(
        &self,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        outputs: IndexMap<String, Value>,
        delivered: Vec<Artifact>,
    ) -> Result<Outcome, Failed> {
        let there = Arc::clone(workspace);
        let message = format!(
            "{} (Signalbox run #{})\n\nDone by {} in step {}.\n",
            self.job.key,
            self.prepared.about.run_number,
            recorder.step_agent().name,
            self.job.key
        );
        let commit = tokio::task::spawn_blocking(move || there.commit(&message)).await;
        let commit = commit.unwrap_or_else(|_| Err("the host is stopping".into()));
        if let Some(commit) = commit.map_err(|why| Failed::new(FailureCause::Git, why))? {
            let data = Commit { step: Some(self.job.key.clone()), ..commit };
            self.job.append_all(vec![self.job.of_project(EventData::Commit(data))]).await;
        }
        let (folder, patterns, blobs) =
            (workspace.folder.clone(), self.prepared.artifacts.clone(), self.job.store.blobs().clone());
        let kept = tokio::task::spawn_blocking(move || collect_artifacts(&folder, &patterns, &blobs)).await;
        let kept = kept.unwrap_or_else(|_| Err("the host is stopping".into()));
        let bad_outputs = kept.as_ref().err().cloned();
        Ok(Outcome { code: Some(0), outputs, artifacts: kept.unwrap_or_default(), bad_outputs, ..Outcome::default() })
    }
}

/// What an agent has to mend.
struct Feedback {
    short: String,
    printed: String,
    /// Its answer is wrong, not its work.
    of_answer: bool,
}

impl Feedback {
    fn prompt(&self) -> String {
        if self.of_answer {
            return format!("{}\nSend your answer again, corrected.", self.short);
        }
        let mut text = format!("Your work was checked, and {}.\n", self.short);
        if !self.printed.is_empty() {
            let mut from = self.printed.len().saturating_sub(FEEDBACK);
            while !self.printed.is_char_boundary(from) {
                from += 1;
            }
            text.push_str("This is the end of what it printed:\n\n```\n");
            text.push_str(&self.printed[from..]);
            text.push_str("\n```\n");
        }
        text.push_str("\nMend it. The same check will be made again when you are done.");
        text
    }
}

/// Waits until somebody wants an end as urgent as this.
async fn wanted(stop: &mut watch::Receiver<Stop>, least: Stop) {
    if stop.wait_for(|stop| *stop >= least).await.is_err() {
        // The engine is gone: its processes are ended by who ends the host.
        std::future::pending::<()>().await;
    }
}

/// Waits until a budget is used up, and says which.
async fn exceeded(usage: &mut watch::Receiver<Usage>, before: &Usage, budget: &Budget, began: Instant) -> String {
    let wall = budget.wall.map(|wall| (began + Duration::from_millis(wall.millis()), wall));
    loop {
        let mut used = *before;
        used.add(&usage.borrow_and_update());
        if let Some(tokens) = budget.tokens.filter(|tokens| used.tokens() > *tokens) {
            return format!("{} of {tokens} tokens", used.tokens());
        }
        if let Some((limit, usd)) = budget.usd.zip(used.usd).filter(|(limit, usd)| usd > limit) {
            return format!("{usd:.2} of {limit:.2} US dollars");
        }
        tokio::select! {
            changed = usage.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep_until(wall.map_or_else(Instant::now, |(due, _)| due)), if wall.is_some() => {
                let limit = wall.map(|(_, wall)| wall.to_string()).unwrap_or_default();
                return format!("it worked longer than {limit}");
            }
        }
    }
}
