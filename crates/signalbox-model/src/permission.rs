//! Questions of agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Actor, Location, PermissionId, ProjectId, RunId, StepKey, ToolDiff, ToolKind, UnixMillis};

/// What an answer means to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// Yes, this time.
    AllowOnce,
    /// Yes, and do not ask again.
    AllowAlways,
    /// No, this time.
    RejectOnce,
    /// No, and do not ask again.
    RejectAlways,
    /// An answer to a question that is no permission.
    Answer,
}

impl OptionKind {
    /// Whether it lets the agent go on with what it asked for.
    #[must_use]
    pub fn allows(self) -> bool {
        matches!(self, Self::AllowOnce | Self::AllowAlways | Self::Answer)
    }
}

/// A choice that the agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PermissionOption {
    /// As the agent names it.
    pub id: String,
    /// What is shown.
    pub name: String,
    /// What it means.
    pub kind: OptionKind,
}

/// Where a permission request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PermissionState {
    /// Waits for an answer.
    Open,
    /// Somebody, or a rule, chose an option.
    Answered,
    /// No longer asked: the turn or the process ended, or the agent took it back.
    Void,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PermissionTopic {
    /// An agent wants to use a tool.
    Tool,
    /// An agent asks a person something.
    Question,
    /// A budget is used up: whether to go on.
    Budget,
}

/// A question of an agent that waits, or waited, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Permission {
    /// Its identifier; asked anew, it gets a new one.
    pub id: PermissionId,
    /// The project.
    pub project: ProjectId,
    /// The run.
    pub run: RunId,
    /// The run's number, for a title that a person can read out.
    pub run_number: u64,
    /// The workflow's name.
    pub workflow: String,
    /// The step whose agent asks.
    pub step: StepKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The agent's id in the catalogue.
    pub agent: String,
    /// What is asked.
    pub topic: PermissionTopic,
    /// The question, or the tool call's title.
    pub title: String,
    /// What the tool does.
    pub kind: ToolKind,
    /// The tool call, by its id in the transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tool_call: Option<String>,
    /// What it would be called with: JSON text, at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub input: Option<String>,
    /// Places it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Location>>", optional)]
    pub locations: Vec<Location>,
    /// Changes it would make, as the agent tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ToolDiff>>", optional)]
    pub diffs: Vec<ToolDiff>,
    /// The choices; only one of these is a valid answer.
    pub options: Vec<PermissionOption>,
    /// An answer may be text of one's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub free_text: bool,
    /// Where it stands.
    pub state: PermissionState,
    /// The chosen option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub option: Option<String>,
    /// The answer in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub text: Option<String>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub by: Option<Actor>,
    /// Since when it waits.
    pub opened_at: UnixMillis,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resolved_at: Option<UnixMillis>,
    /// Why it was settled, when no person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}
