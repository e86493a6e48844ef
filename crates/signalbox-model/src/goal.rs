//! What a run is measured by: its goal, the risks on the way, the commits it made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Actor, ProjectId, RunId, StepKey, UnixMillis};

/// One piece of evidence of a goal's check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Evidence {
    /// What was checked, in words.
    pub what: String,
    /// Whether it held.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
    /// How long it took in milliseconds.
    pub duration_ms: u64,
}

/// Whether a run reached the goal that was frozen when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GoalVerdict {
    /// The goal, as it was when the run started.
    pub statement: String,
    /// The landing step that waits for it; absent at the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// Whether all of it held.
    pub passed: bool,
    /// What was checked, in order, up to the first that failed.
    pub evidence: Vec<Evidence>,
}

/// How bad a risk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// Where a risk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RiskState {
    /// Nobody has seen to it.
    Open,
    /// Somebody knows.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Something that may go wrong, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Risk {
    /// Unique in the project; raised again, it is the same.
    pub id: String,
    /// The project.
    pub project: ProjectId,
    /// What kind, a word: `goal`, `forbidden_path`, `budget`, `conflict`, `worktree`, `agent`.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// What, in a sentence.
    pub title: String,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub advice: String,
    /// The run it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub run: Option<RunId>,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// Where it stands.
    pub state: RiskState,
    /// When it was raised.
    pub raised_at: UnixMillis,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub by: Option<Actor>,
}

/// A commit that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Commit {
    /// Its full hash.
    pub hash: String,
    /// The branch it is on.
    pub branch: String,
    /// Its message's first line.
    pub subject: String,
    /// Files it changed.
    pub files: u32,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// The step that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
}
