//! What comes in, and what is to be done.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use signalbox_model::{
    Actor, ApprovalId, Artifact, Decision, FailureCause, MemberId, ProjectId, Role, RunId, Step, StepAgent, StopKind,
    UnixMillis,
};

use crate::{Group, Plan};

/// Names one generation of one step. News of an older generation is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepAt {
    /// The run.
    pub run: RunId,
    /// The step's index.
    pub step: u32,
    /// Which generation.
    pub generation: u64,
}

/// A run that somebody wants.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// A new id.
    pub id: RunId,
    /// Its number in the project.
    pub number: u64,
    /// The project.
    pub project: ProjectId,
    /// The workflow's name.
    pub workflow: String,
    /// Its file.
    pub file: Option<String>,
    /// What to do.
    pub plan: Arc<Plan>,
    /// The key under which the plan is kept.
    pub plan_key: String,
    /// Its inputs, secrets masked.
    pub inputs: IndexMap<String, serde_json::Value>,
    /// What it is to reach.
    pub goal: Option<String>,
    /// Who wants it.
    pub actor: Actor,
    /// Which member that is.
    pub member: Option<MemberId>,
    /// Its concurrency group.
    pub group: Option<Group>,
    /// Finished steps of an earlier run whose results still hold, by key.
    pub reuse: HashMap<String, Arc<Step>>,
}

/// How a step's own work ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Values handed on.
    pub outputs: IndexMap<String, serde_json::Value>,
    /// Files kept.
    pub artifacts: Vec<Artifact>,
    /// The declared outputs are missing or malformed: why.
    pub bad_outputs: Option<String>,
    /// How it was ended, if it was told to.
    pub stopped: Option<StopKind>,
    /// It failed for a reason that no exit code tells: which kind, and in a sentence.
    pub failure: Option<(FailureCause, String)>,
    /// A limit ends then: the step waits for it, and this is no retry.
    pub resets_at: Option<UnixMillis>,
    /// The agent at its end.
    pub agent: Option<Box<StepAgent>>,
}

/// What a step with an agent is doing while it is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It works.
    Working,
    /// It waits for a person and holds no slot.
    Waiting,
    /// What it did is being checked.
    Checking,
}

impl Outcome {
    /// Exit code 0 and nothing else.
    #[must_use]
    pub fn success() -> Self {
        Self { code: Some(0), ..Self::default() }
    }
}

/// How much of a run to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This step.
    Step(u32),
    /// This step and what follows from it.
    From(u32),
    /// All that failed, was cancelled or omitted.
    Failed,
    /// Everything.
    All,
}

/// What happened, or what somebody wants.
#[derive(Debug, Clone)]
pub enum Input {
    /// Start a run.
    Submit(Box<NewRun>),
    /// A step's process is there.
    Started {
        /// Which.
        at: StepAt,
        /// Its process, if it has one.
        process: Option<(u32, Option<u64>)>,
    },
    /// A step could not be started.
    StartFailed {
        /// Which.
        at: StepAt,
        /// Why, for a person.
        message: String,
    },
    /// A step's own work ended.
    Finished {
        /// Which.
        at: StepAt,
        /// How.
        outcome: Outcome,
    },
    /// Its checks are through.
    Checked {
        /// Which.
        at: StepAt,
        /// Why it did not pass; none if it did.
        failure: Option<String>,
    },
    /// It gave a sign of life.
    Alive {
        /// Which.
        at: StepAt,
    },
    /// A step with an agent does something else now.
    Phase {
        /// Which.
        at: StepAt,
        /// What.
        phase: Phase,
        /// Why, for a person.
        reason: Option<String>,
    },
    /// The agent of a step, its session, and what it used up.
    Agent {
        /// Which.
        at: StepAt,
        /// As it is now.
        agent: Box<StepAgent>,
    },
    /// It says how far it is, 0 to 1.
    Progress {
        /// Which.
        at: StepAt,
        /// How far.
        value: f64,
    },
    /// A time has come.
    Timer(Timer),
    /// Somebody answers a question.
    Answer {
        /// Which.
        approval: ApprovalId,
        /// Yes or no.
        decision: Decision,
        /// The filled-in form.
        form: IndexMap<String, serde_json::Value>,
        /// Who.
        actor: Actor,
        /// Which member that is.
        member: Option<MemberId>,
        /// With which role.
        role: Role,
    },
    /// End a run.
    Cancel {
        /// Which.
        run: RunId,
        /// Who wants it.
        actor: Actor,
        /// At once.
        force: bool,
    },
    /// Start nothing new in a run.
    Pause {
        /// Which.
        run: RunId,
        /// Who wants it.
        actor: Actor,
    },
    /// Go on.
    Resume {
        /// Which.
        run: RunId,
        /// Who wants it.
        actor: Actor,
    },
    /// Try again.
    Retry {
        /// Which run.
        run: RunId,
        /// How much of it.
        scope: Scope,
        /// Who wants it.
        actor: Actor,
    },
    /// Give a waiting run another place in its group.
    QueueMove {
        /// Which.
        run: RunId,
        /// From 1.
        position: u32,
    },
    /// Take no more runs from a project's queue, or take them again.
    QueuePause {
        /// The project.
        project: ProjectId,
        /// Whether to stop.
        paused: bool,
    },
}

/// A time to wait for. One that no longer matters is ignored when it comes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The attempt's time is over.
    Timeout(StepAt),
    /// Perhaps it is silent for too long.
    Stall(StepAt),
    /// Time for another attempt.
    Retry(StepAt),
    /// The question's time is over.
    Approval(StepAt),
    /// It was asked to end and had time to.
    Kill(StepAt),
}

/// What is to be done, after the events are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a step's work; answer with `Started` or `StartFailed`, then `Finished`.
    Start {
        /// Which.
        at: StepAt,
        /// The attempt's number, from 1.
        attempt: u32,
    },
    /// Run a step's checks; answer with `Checked`.
    Check {
        /// Which.
        at: StepAt,
        /// The attempt's number, from 1.
        attempt: u32,
    },
    /// Ask its processes to end.
    Terminate(StepAt),
    /// End its processes.
    Kill(StepAt),
    /// Send [`Input::Timer`] at this time.
    Arm {
        /// What for.
        timer: Timer,
        /// When.
        at: UnixMillis,
    },
    /// The run is done: nothing of it may be left running.
    Ended(RunId),
}
