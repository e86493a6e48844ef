//! A step instance, its attempts, and what it prints.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{ApprovalId, RunId, StepKey, UnixMillis, Usage};

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A coding agent works.
    Agent,
    /// A program runs.
    Command,
    /// A person decides.
    Approval,
    /// Something is done in git.
    Git,
    /// Somebody is told.
    Notify,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Some of its needs are not done.
    Blocked,
    /// May start as soon as a slot is free.
    Ready,
    /// Waits for a time: back-off or a limit's reset.
    Scheduled,
    /// Asked to start; no sign of life yet.
    Starting,
    /// At work.
    Running,
    /// Waits for a person; holds no slot.
    WaitingInput,
    /// Its run is paused.
    Paused,
    /// Its own work is done, its checks run.
    Verifying,
    /// Being cancelled.
    Cancelling,
    /// Ended; see its conclusion.
    Done,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum StepConclusion {
    /// Its work and its checks succeeded.
    Success,
    /// Its work or a check failed.
    Failed,
    /// It ran out of time, or was silent for too long.
    TimedOut,
    /// A person cancelled it.
    Cancelled,
    /// Its own `if` said no.
    Skipped,
    /// Something that it needs did not succeed.
    Omitted,
    /// A person said no.
    Rejected,
    /// The host died while it ran: its outcome is unknown.
    Crashed,
    /// A newer run took the place of its run.
    Superseded,
}

impl StepConclusion {
    /// Whether steps that need this one may start (without a status function in their `if`).
    #[must_use]
    pub fn lets_pass(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }

    /// Whether a person would call this a failure (a cancelled or omitted step is none).
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Rejected | Self::Crashed)
    }
}

/// Why an attempt failed, as far as retry rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The command said so with its exit code or was ended by a signal that we did not send.
    Command,
    /// The process could not be started, or the host's own means failed.
    Infra,
    /// A usage or rate limit.
    RateLimit,
    /// Its time limit.
    Timeout,
    /// It was silent for longer than `stall.fail`.
    Stall,
    /// A check of `verify` failed.
    Verify,
    /// Its declared outputs are missing or malformed.
    Outputs,
    /// The host died while it ran.
    Crash,
    /// The agent failed: it broke the protocol, ended by itself, or reported an error.
    Agent,
    /// A budget was used up.
    Budget,
    /// Git refused: a conflict, or a branch that is not as expected.
    Git,
}

/// How a process came to its end when it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// It went when asked.
    Graceful,
    /// It had to be killed.
    Forced,
    /// Some of its processes could not be ended.
    Survivors,
}

/// A file kept from a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Artifact {
    /// Relative to the project folder, with `/`.
    pub path: String,
    /// Its content.
    #[serde(flatten)]
    pub blob: BlobRef,
}

/// Content kept outside the log, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct BlobRef {
    /// SHA-256 in lower-case hexadecimal.
    pub hash: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Media type (RFC 6838).
    pub media_type: String,
}

/// One try of a step. Older ones are kept with their logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Attempt {
    /// Counts from 1 within the step.
    pub number: u32,
    /// When it was asked to start.
    pub started_at: UnixMillis,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ended_at: Option<UnixMillis>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub conclusion: Option<StepConclusion>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cause: Option<FailureCause>,
    /// What happened, in a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message: Option<String>,
    /// The process's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub exit_code: Option<i32>,
    /// The signal that ended the process (Unix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub signal: Option<i32>,
    /// The process, while it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pid: Option<u32>,
    /// The process's start time in the system's own unit: a pid alone may be reused. Missing where the process was gone within
    /// milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pid_started: Option<u64>,
    /// How it was ended, if it was told to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub stopped: Option<StopKind>,
}

impl Attempt {
    /// An attempt that has just been asked to start.
    #[must_use]
    pub fn begin(number: u32, now: UnixMillis) -> Self {
        Self {
            number,
            started_at: now,
            ended_at: None,
            conclusion: None,
            cause: None,
            message: None,
            exit_code: None,
            signal: None,
            pid: None,
            pid_started: None,
            stopped: None,
        }
    }
}

/// An agent as a step shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StepAgent {
    /// Its id in the catalogue.
    pub id: String,
    /// What is shown.
    pub name: String,
    /// A script plays the agent: nothing of it came from a model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub rehearsal: bool,
    /// The agent's own id of the session, by which it can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub session: Option<String>,
    /// The branch of its worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub branch: Option<String>,
    /// The commit its worktree was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub base: Option<String>,
    /// What the branch was at when the step succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub head: Option<String>,
    /// The worktree's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub folder: Option<String>,
    /// What all its attempts used up.
    #[serde(default)]
    pub usage: Usage,
    /// Questions of it that wait for a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[ts(as = "Option<u32>", optional)]
    pub questions: u32,
}

/// A step instance's current state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Step {
    /// The run it belongs to.
    pub run: RunId,
    /// Its key: the id, and the matrix value in brackets.
    pub key: StepKey,
    /// Its id in the workflow.
    pub id: String,
    /// Its place in the run's list, from 0, stable over the run's life.
    pub index: u32,
    /// What is shown.
    pub title: String,
    /// What it does.
    pub kind: StepKind,
    /// Keys of the steps it needs.
    pub needs: Vec<StepKey>,
    /// Where it is.
    pub status: StepStatus,
    /// How it ended; present exactly when `status` is `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub conclusion: Option<StepConclusion>,
    /// Rises with every new attempt or reset, so that news of an older one is refused.
    pub generation: u64,
    /// Every try so far, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Attempt>>", optional)]
    pub attempts: Vec<Attempt>,
    /// When its first attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ended_at: Option<UnixMillis>,
    /// From start to end in milliseconds; present in `step_completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub duration_ms: Option<u64>,
    /// When it will go on; present while `scheduled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub due_at: Option<UnixMillis>,
    /// Automatic retries used in this round.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[ts(as = "Option<u32>", optional)]
    pub retries: u32,
    /// How often a rejection sent the run back to an earlier step.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[ts(as = "Option<u32>", optional)]
    pub rejections: u32,
    /// Silent for longer than `stall.warn`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub stalled: bool,
    /// Reported progress, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub progress: Option<f64>,
    /// The question it asks, while it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub approval: Option<ApprovalId>,
    /// The agent at work, or that worked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub agent: Option<StepAgent>,
    /// Values it handed on.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[ts(as = "Option<IndexMap<String, serde_json::Value>>", optional)]
    pub outputs: IndexMap<String, serde_json::Value>,
    /// Files kept from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Artifact>>", optional)]
    pub artifacts: Vec<Artifact>,
    /// Why it is where it is, in a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Where a line of a log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Signalbox itself: what it did and why.
    System,
    /// Lines of an agent's protocol, each with `->` (to the agent) or `<-` before it.
    Protocol,
}

/// A piece of what a step printed, in order of printing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LogChunk {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Where it came from.
    pub stream: LogStream,
    /// Bytes of this attempt's log before this piece.
    pub offset: u64,
    /// Lines of this attempt's log before this piece: the number of its first line, from 0.
    pub line: u64,
    /// Line ends in this piece.
    pub lines: u64,
    /// The text; for a large piece its beginning.
    pub text: String,
    /// The whole piece, when it is over 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub blob: Option<BlobRef>,
}

/// The verdict of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct VerifyResult {
    /// Which step was checked.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Which check, from 0.
    pub check: u32,
    /// What was checked, in words.
    pub what: String,
    /// Whether it held.
    pub passed: bool,
    /// Evidence or reason.
    pub detail: String,
    /// How long it took in milliseconds.
    pub duration_ms: u64,
}
