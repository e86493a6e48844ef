//! The feed that a person reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Actor, ProjectId, RunId, StepKey};

/// How much an activity matters; the order is the order of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Good to know.
    Low,
    /// Worth a look.
    Normal,
    /// Something failed, or somebody waits.
    High,
}

/// One line of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Activity {
    /// What kind of thing happened: `run_started`, `run_completed`, `approval_requested`, ...
    pub kind: String,
    /// How much it matters.
    pub priority: Priority,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub project: Option<ProjectId>,
    /// Who.
    pub actor: Actor,
    /// The line itself.
    pub text: String,
    /// The run it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub run: Option<RunId>,
    /// The step it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// Of a `notify` step: who is to be told, `desktop`, `team`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    pub to: Vec<String>,
}
