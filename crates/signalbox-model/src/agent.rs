//! What a coding agent says, does and uses, as events: upserts by id, whatever protocol it speaks.
//!
//! All of them name the step and the attempt. Pieces of text are appended in order; everything else is the entity's new
//! state and replaces what was known under its id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{BlobRef, StepKey, UnixMillis};

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The agent's.
    Agent,
    /// What the agent was told: the step's prompt, a correction, an answer.
    Prompt,
}

/// A piece of a message or of a thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentText {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The message it belongs to, unique within the attempt.
    pub id: String,
    /// Whose it is.
    pub from: Speaker,
    /// Bytes of this message before this piece.
    pub offset: u64,
    /// The text; for a large piece its beginning.
    pub text: String,
    /// The whole piece, when it is over 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub blob: Option<BlobRef>,
    /// The agent said this before, and says it again because its connection to the model broke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub repeated: bool,
}

/// Where an agent's session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Its process was started; no answer yet.
    Starting,
    /// It works.
    Running,
    /// It waits for a person.
    Waiting,
    /// It waits for the next prompt.
    Idle,
    /// It ended.
    Closed,
}

/// A mode or a model that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentChoice {
    /// As the agent names it.
    pub id: String,
    /// What is shown.
    pub name: String,
}

/// An agent's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentSession {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The agent's id in the catalogue.
    pub agent: String,
    /// The name it gives itself, or the catalogue's.
    pub name: String,
    /// Its version, when it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub version: Option<String>,
    /// A script plays the agent: nothing of it came from a model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub rehearsal: bool,
    /// Where it is.
    pub state: AgentState,
    /// The agent's own id of the session, by which it can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub session: Option<String>,
    /// It goes on with a session that was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub resumed: bool,
    /// The mode it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mode: Option<String>,
    /// Modes that it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<AgentChoice>>", optional)]
    pub modes: Vec<AgentChoice>,
    /// The model, when it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub model: Option<String>,
    /// The folder it works in.
    pub folder: String,
    /// The branch of its worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub branch: Option<String>,
    /// The commit its worktree was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub base: Option<String>,
    /// Why it is where it is, in a sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Reads files.
    Read,
    /// Changes files.
    Edit,
    /// Deletes files.
    Delete,
    /// Moves files.
    Move,
    /// Looks for something.
    Search,
    /// Runs a program.
    Execute,
    /// Thinks.
    Think,
    /// Reads from the network.
    Fetch,
    /// Changes its own mode.
    SwitchMode,
    /// Anything else.
    #[default]
    Other,
}

/// Where a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    /// Not begun: its input is being written, or it waits for a permission.
    #[default]
    Pending,
    /// At work.
    InProgress,
    /// The agent says that it is done; that is no proof of success.
    Completed,
    /// It failed.
    Failed,
    /// A person or a rule refused it.
    Rejected,
    /// The turn was cancelled before it ended.
    Cancelled,
    /// The turn ended and the agent never said how the call did.
    Unknown,
}

impl ToolStatus {
    /// Whether it is at its end.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }
}

/// A place that a tool call is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Location {
    /// The file, relative to the session's folder where it lies in it.
    pub path: String,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub line: Option<u32>,
}

/// A change as the agent tells it. A hint: what really changed says [`FileDiff`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ToolDiff {
    /// The file.
    pub path: String,
    /// What was there; absent for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub old: Option<String>,
    /// What is there now.
    pub new: String,
    /// Something was left out: an agent's text was over 16 KiB.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub cut: bool,
}

/// A use of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ToolCall {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Unique within the attempt.
    pub id: String,
    /// What it does.
    pub kind: ToolKind,
    /// What is shown.
    pub title: String,
    /// Where it is.
    pub status: ToolStatus,
    /// Places it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Location>>", optional)]
    pub locations: Vec<Location>,
    /// What it was called with: JSON text, at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub input: Option<String>,
    /// What came out, at most its last 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub output: Option<String>,
    /// Bytes that came out in all, when `output` holds only the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub output_bytes: Option<u64>,
    /// Exit code of what it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub exit_code: Option<i32>,
    /// Changes as the agent tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ToolDiff>>", optional)]
    pub diffs: Vec<ToolDiff>,
}

/// Where an entry of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Not begun.
    Pending,
    /// At work.
    InProgress,
    /// Done.
    Completed,
}

/// An entry of an agent's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PlanEntry {
    /// What.
    pub text: String,
    /// Where it is.
    pub status: PlanStatus,
}

/// An agent's own plan. Each replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentPlan {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Its entries, in order.
    pub entries: Vec<PlanEntry>,
}

/// What happened to a file since the base commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// Its content changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another name.
    Renamed,
    /// It is as it was in the base commit: an earlier change was undone.
    Unchanged,
}

/// How a file in a step's folder differs from the base commit, as git sees it. Upsert by `path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileDiff {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The file, relative to the repository, with `/`.
    pub path: String,
    /// Its name before, if it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub old_path: Option<String>,
    /// What happened.
    pub status: FileStatus,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// It is not text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub binary: bool,
    /// The change in unified form; for a large one its beginning.
    pub patch: String,
    /// The whole patch, when it is over 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub blob: Option<BlobRef>,
}

/// What was used up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub struct Usage {
    /// Tokens that went in, cached ones included.
    pub input_tokens: u64,
    /// Tokens that came out, thoughts included.
    pub output_tokens: u64,
    /// Of those that went in: read from a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[ts(as = "Option<u64>", optional)]
    pub cached_tokens: u64,
    /// Money, in US dollars, as the agent reckons it; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub usd: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Usage {
    /// Tokens in both directions.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Adds what was used elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.usd = match (self.usd, other.usd) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
        };
    }
}

/// What an attempt used up so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentUsage {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The agent's id in the catalogue.
    pub agent: String,
    /// The model, when it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub model: Option<String>,
    /// The whole attempt's use so far.
    #[serde(flatten)]
    pub usage: Usage,
    /// Tokens in the agent's context now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub context_used: Option<u64>,
    /// Tokens that the context holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub context_size: Option<u64>,
}

/// What kind of failure an agent met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum AgentErrorKind {
    /// It is not installed, or could not be started.
    Missing,
    /// It wants a sign-in.
    Auth,
    /// A usage or rate limit.
    RateLimit,
    /// The model could not be reached, or its connection broke.
    Network,
    /// It broke the protocol, or gave no answer in time.
    Protocol,
    /// Its process ended by itself.
    Exited,
    /// A limit of Signalbox: a budget, or the size of what it sent.
    Limit,
    /// Anything else that it reported.
    Agent,
}

/// A failure of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AgentError {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What kind.
    pub kind: AgentErrorKind,
    /// What happened and what to do, for a person.
    pub message: String,
    /// The agent's own words: its error answer, or the end of what it wrote to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub detail: Option<String>,
    /// When a usage limit ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resets_at: Option<UnixMillis>,
}

/// A failed check went back to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Correction {
    /// Which step.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Counts from 1 within the attempt.
    pub number: u32,
    /// At most this many.
    pub max: u32,
    /// What the agent was told.
    pub feedback: String,
}
