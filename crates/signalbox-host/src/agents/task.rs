//! An attempt of a step that an agent does: its folder, its session, its turns, its checks, its end.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde_json::Value;
use signalbox_agent::{Config, Ending, Failure, McpServer, Session, Turn};
use signalbox_engine::{Input, Outcome, Phase};
use signalbox_model::{
    AgentError, AgentErrorKind, AgentSession, AgentState, Correction, EventData, FailureCause, LogStream, StepAgent,
    StopKind, Usage,
};
use signalbox_process::Masker;
use signalbox_workflow::{
    definition::{AgentMode, Budget, Permission},
    plan::Check,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Services, answer,
    budget::exceeded,
    policy::Policy,
    record::{About, Recorder},
    tools::AgentTools,
    workspace::{Place, Workspace},
};
use crate::{
    execute::{Job, Stop},
    script::{Draft, Script},
};

/// Updates of a session that may wait to be recorded. Past it the agent's output is not read.
const UPDATES: usize = 256;
/// How long an agent whose turn was cancelled may take to end it.
const CANCEL: Duration = Duration::from_secs(10);
/// How often an answer that does not fit its schema goes back, when the workflow does not say.
const SCHEMA_CORRECTIONS: u32 = 2;
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
pub(super) struct Failed {
    pub(super) cause: FailureCause,
    pub(super) message: String,
    /// Another agent might do better.
    pub(super) fall_back: bool,
    pub(super) resets_at: Option<i64>,
    pub(super) stopped: Option<StopKind>,
}

impl Failed {
    pub(super) fn new(cause: FailureCause, message: impl Into<String>) -> Self {
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
    pub(super) job: Arc<Job>,
    pub(super) prepared: Prepared,
    pub(super) services: Arc<Services>,
    began: Instant,
    /// What the agents used up that another took the place of, with all that the step had used before.
    spent: Mutex<Option<Usage>>,
}

impl Task {
    pub(crate) fn new(job: Job, prepared: Prepared, services: Arc<Services>) -> Self {
        Self { job: Arc::new(job), prepared, services, began: Instant::now(), spent: Mutex::default() }
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
            match self.with_agent(number, &id, &setting, &workspace).await {
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

    async fn with_agent(
        &self,
        number: usize,
        id: &str,
        setting: &Script,
        workspace: &Arc<Workspace>,
    ) -> Result<Outcome, Failed> {
        let folder = workspace.within(&setting.dir);
        let launch = self.services.catalogue.launch(id, self.prepared.mode, &setting.env).await;
        let launch = match launch {
            Ok(launch) => launch,
            Err(failure) => return Err(self.failure(failure).await),
        };
        let spent = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = self.prepared.previous.as_ref().map(|agent| agent.usage);
        let before = spent.or(earlier).unwrap_or_default();
        let agent = StepAgent {
            id: id.to_owned(),
            name: launch.name.clone(),
            rehearsal: launch.rehearsal,
            session: None,
            branch: workspace.branch.clone(),
            base: workspace.base.clone(),
            head: None,
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
                read_only: self.prepared.mode != AgentMode::Work
                    || workspace.read_only
                    || self.prepared.permissions.edit == Some(Permission::Deny),
            },
            about: self.prepared.about.clone(),
            session: OnceLock::new(),
            updates: sender.downgrade(),
            barriers: Mutex::default(),
            seen: Mutex::default(),
            agent: Mutex::new(agent),
            before,
            log: tokio::sync::Mutex::new(None),
            process: number,
            usage_changed: watch::channel((Usage::default(), 0)).0,
        });
        recorder.seen().session = Some(session);
        recorder.state(AgentState::Starting, None).await;
        for what in &workspace.not_carried {
            recorder.write(LogStream::Stderr, format!("not brought into the worktree: {what}")).await;
        }
        let resume = self.prepared.resume.clone().filter(|resume| resume.agent == id);
        let mut config = Config::new(launch.name, launch.argv, folder, format!("{}/agent", self.job.marker));
        config.env = launch.env;
        config.sign_in = launch.sign_in;
        config.resume = resume.as_ref().map(|resume| resume.session.clone());
        config.mode = launch.mode;
        config.model.clone_from(&self.prepared.model);
        config.offers = recorder.policy.offers(launch.offers);
        let tools = Arc::new(AgentTools::new(
            Arc::clone(&self.job),
            Arc::clone(&self.services.asks),
            self.prepared.about.clone(),
            id.to_owned(),
            self.prepared.schema.clone(),
            Arc::clone(workspace),
        ));
        let token = self.services.tokens.issue(&tools);
        config.masker = Masker::new(setting.secrets.iter().cloned().chain([token.clone()]));
        if let Some(url) = self.services.url() {
            let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
            let url = format!("{}/mcp", url.trim_end_matches('/'));
            config.mcp_servers = vec![McpServer { name: "signalbox".to_owned(), url, headers }];
        }
        let pump = tokio::spawn(Arc::clone(&recorder).run(updates));
        let mut stop = self.job.stop.clone();
        let started = tokio::select! {
            started = Session::start(config, sender) => Some(started),
            () = wanted(&mut stop, Stop::Terminate) => None,
        };
        let result = match started {
            None => Err(Failed { stopped: Some(StopKind::Graceful), ..Failed::new(FailureCause::Agent, "was ended") }),
            // One that does not even start cannot work, whatever the reason.
            Some(Err(failure)) => Err(Failed { fall_back: true, ..self.failure(failure).await }),
            Some(Ok(session)) => {
                recorder.session.set(session.clone()).ok();
                let result = self.with_session(&session, &recorder, workspace, resume.as_ref(), &tools).await;
                if *stop.borrow() == Stop::Kill {
                    self.sweep().await;
                }
                let closed = session.close().await;
                let stopped = match closed.how {
                    _ if closed.survivors => StopKind::Survivors,
                    Ending::Killed => StopKind::Forced,
                    Ending::ByItself | Ending::Quit | Ending::Terminated => StopKind::Graceful,
                };
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
        let agent = recorder.step_agent();
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(agent.usage);
        result.map(|outcome| Outcome { agent: Some(Box::new(agent)), ..outcome })
    }

    /// Whatever the agent left running ends with it: agents start commands in sessions of their own.
    async fn sweep(&self) {
        let marker = self.job.marker.clone();
        tokio::task::spawn_blocking(move || crate::execute::sweep(&marker)).await.ok();
    }

    async fn with_session(
        &self,
        session: &Session,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        resume: Option<&Resume>,
        tools: &AgentTools,
    ) -> Result<Outcome, Failed> {
        self.job.tell(Input::Started { at: self.job.at.clone(), process: None }).await;
        // Its session is known before it is told anything: after a crash it can go on.
        recorder.settle().await;
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
            prompt = feedback.prompt(self.prepared.schema.as_ref());
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
}

/// Waits until somebody wants an end as urgent as this.
pub(super) async fn wanted(stop: &mut watch::Receiver<Stop>, least: Stop) {
    if stop.wait_for(|stop| *stop >= least).await.is_err() {
        // The engine is gone: its processes are ended by who ends the host.
        std::future::pending::<()>().await;
    }
}
