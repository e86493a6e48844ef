//! The plan of a run: every step instance, known before the first one starts, and stored with the run.

mod make;
mod matrix;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signalbox_model::{FormField, Role, StepKey, StepKind};

pub use self::make::resolve;
use crate::{
    definition::{NotifyTarget, OnConflict, OnTimeout, Retry, Stall},
    hash,
    script::Script,
};

/// Most step instances of one run.
pub const MAX_INSTANCES: usize = 10_000;
/// Most instances of one step.
pub const MAX_MATRIX: usize = 256;

/// The project, as expressions see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProjectContext {
    /// `project.id`
    pub id: String,
    /// `project.name`
    pub name: String,
    /// `project.path`: the folder's absolute path.
    pub path: String,
}

/// What a run will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// SHA-256 of the definition it was made from.
    pub definition_hash: String,
    /// The workflow's name.
    pub workflow: String,
    /// `inputs`, defaults filled in.
    #[serde(default)]
    pub inputs: IndexMap<String, Value>,
    /// `project`
    pub project: ProjectContext,
    /// `env` of the workflow, as written.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// The concurrency group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Group>,
    /// The steps, in the order of the file.
    pub steps: Vec<PlannedStep>,
    /// Their instances: those of one step stand together, in the order of `steps`.
    pub instances: Vec<Instance>,
}

/// A concurrency group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name within the project.
    pub name: String,
    /// How many runs at the same time, at least 1.
    pub max: u32,
    /// What happens to a run that finds it full.
    pub on_conflict: OnConflict,
}

/// A step, defaults filled in. Texts are as written: their expressions are evaluated when the step starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its id.
    pub id: String,
    /// Steps it needs, as indices of [`Plan::steps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<usize>,
    /// `if`, without `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether it has a matrix (perhaps of one instance): `steps.<id>.outputs` is then an object by matrix value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_matrix: bool,
    /// How many instances may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// A failure does not fail the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// Longest time of one attempt in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What silence means.
    #[serde(default)]
    pub stall: Stall,
    /// When a failed attempt is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Checks after its own work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Check>,
    /// `outputs.files`: paths by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub files: IndexMap<String, String>,
    /// What it does.
    pub work: Work,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Runs a script.
    Command(Command),
    /// Asks a person.
    Approval(Gate),
    /// Tells somebody.
    Notify(Notice),
}

impl Work {
    /// The kind as a word.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Command(_) => StepKind::Command,
            Self::Approval(_) => StepKind::Approval,
            Self::Notify(_) => StepKind::Notify,
        }
    }
}

/// A command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// What the shell gets.
    pub script: Script,
    /// Program and arguments of the shell; absent: the host's `sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Folder relative to the project, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The step's own variables, as written.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// May be repeated after a crash of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Files to keep, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The question, as written; absent: the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What to look at: expressions by label.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub show: IndexMap<String, String>,
    /// Who may answer.
    pub roles: Vec<Role>,
    /// How many must say yes, at least 1.
    pub min: u32,
    /// Whether who started the run may answer.
    pub self_approval: bool,
    /// What happens when time runs out.
    pub on_timeout: OnTimeout,
    /// What to fill in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<FormField>,
    /// What happens after a "no".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_reject: Option<Rework>,
}

/// Going back after a "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rework {
    /// The step that runs again, as an index of [`Plan::steps`].
    pub from: usize,
    /// What it is told, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// How often.
    pub max: u32,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Who is told.
    pub to: Vec<NotifyTarget>,
    /// What, as written.
    pub message: String,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A command that must exit with 0.
    Run {
        /// What the shell gets.
        script: Script,
        /// Longest time in milliseconds.
        timeout_ms: Option<u64>,
    },
    /// A file that must exist, relative to the step's folder.
    FileExists(String),
    /// Limits of a change.
    Diff(crate::definition::DiffRule),
}

/// A step instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// `build`, `build[api]`
    pub key: StepKey,
    /// Which step, as an index of [`Plan::steps`].
    pub step: usize,
    /// What is shown.
    pub title: String,
    /// `matrix`
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub matrix: IndexMap<String, Value>,
}

impl Instance {
    /// What stands in the brackets of the key.
    #[must_use]
    pub fn matrix_key(&self) -> Option<&str> {
        let (_, rest) = self.key.as_str().split_once('[')?;
        rest.strip_suffix(']')
    }
}

impl Plan {
    /// SHA-256 in hexadecimal: the key under which it is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hash::of(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ResolveError(pub Vec<Problem>);

/// One thing that is wrong with what was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The input it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}
