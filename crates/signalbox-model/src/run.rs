//! A run of a workflow, its progress and its place in the queue.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Actor, MemberId, ProjectId, RunId, StepKey, UnixMillis};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waits for its concurrency group.
    Queued,
    /// Some step is ready or at work.
    Running,
    /// Nothing is at work and something waits for a person.
    WaitingInput,
    /// Nothing is at work and something waits for a time.
    Scheduled,
    /// A person paused it: what runs goes on, nothing new starts.
    Paused,
    /// Being cancelled.
    Cancelling,
    /// Ended; see its conclusion.
    Done,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunConclusion {
    /// Every step succeeded, was skipped by its own `if`, or was allowed to fail.
    Success,
    /// A step failed.
    Failed,
    /// A step ran out of time.
    TimedOut,
    /// A person cancelled it.
    Cancelled,
    /// A person said no.
    Rejected,
    /// The outcome of a step is unknown, because the host died while it ran.
    Crashed,
    /// Its concurrency group was full and says `skip`.
    Skipped,
    /// A newer run of its concurrency group took its place (`cancel_running`).
    Superseded,
}

/// A run's current state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Run {
    /// Its identifier.
    pub id: RunId,
    /// Counts from 1 within the project.
    pub number: u64,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's file, relative to the project folder; absent for a text handed over by a caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub file: Option<String>,
    /// SHA-256 of the resolved plan, the key under which it is kept.
    pub plan: String,
    /// Where it is.
    pub status: RunStatus,
    /// How it ended; present exactly when `status` is `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub conclusion: Option<RunConclusion>,
    /// Rises with every change, so that a late answer to an older state is refused.
    pub generation: u64,
    /// The values it was started with; secrets masked.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[ts(as = "Option<IndexMap<String, serde_json::Value>>", optional)]
    pub inputs: IndexMap<String, serde_json::Value>,
    /// What it is to reach, as it was when it started; absent: its workflow names no goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub goal: Option<String>,
    /// Who started it.
    pub actor: Actor,
    /// Which member that is: names are not theirs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub started_by: Option<MemberId>,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// When its first step started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ended_at: Option<UnixMillis>,
    /// Finished steps through all steps, 0 to 1.
    pub progress: f64,
    /// How many step instances it has.
    pub steps_total: u32,
    /// How many of them are done.
    pub steps_done: u32,
    /// The step that runs, waits or failed: what a list shows beside the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub current_step: Option<StepKey>,
    /// The concurrency group it is in, if its workflow names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub group: Option<String>,
    /// Its place among the waiting runs of its group, from 1; present while `queued`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub queue_position: Option<u32>,
    /// A person paused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub paused: bool,
    /// Why it is where it is, in a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}

/// A run ended: what a person wants to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Completion {
    /// Which run.
    pub run: RunId,
    /// Its number in the project.
    pub number: u64,
    /// Its workflow.
    pub workflow: String,
    /// How it ended.
    pub conclusion: RunConclusion,
    /// From the first step's start to the end, in milliseconds.
    pub duration_ms: u64,
    /// Steps that failed, timed out, crashed or were rejected.
    pub failed_steps: Vec<StepKey>,
    /// What a person should do next, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub needs: Option<String>,
}

/// Progress of a step, a run, a task or a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Progress {
    /// What it is about: `step`, `run`, `task` or `project`.
    pub of: String,
    /// 0 to 1.
    pub value: f64,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub text: Option<String>,
    /// Estimated time left in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub eta_ms: Option<u64>,
}

/// The queue of a project: its new order, and why each run waits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub struct QueueState {
    /// Nothing is taken from a paused queue.
    pub paused: bool,
    /// Waiting runs, next first.
    pub runs: Vec<QueuedRun>,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct QueuedRun {
    /// Which run.
    pub run: RunId,
    /// Its concurrency group.
    pub group: String,
    /// Why it waits, for a person.
    pub reason: String,
}
