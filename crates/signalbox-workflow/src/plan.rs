//! The plan of a run: every step instance, known before the first one starts, and stored with the run.

mod make;
mod matrix;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signalbox_model::{FormField, Role, StepKey, StepKind};

pub use self::make::resolve;
pub(crate) use self::make::{GOAL_STEP, nearest_workers};
use crate::{
    definition::{
        AgentMode, Budget, GitAction, Isolation, NotifyTarget, OnConflict, OnTimeout, Permissions, Retry, Stall,
    },
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
    /// The goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// What git ignores and every worktree gets.
    #[serde(default, skip_serializing_if = "Carried::is_empty")]
    pub carry: Carried,
    /// The steps, in the order of the file.
    pub steps: Vec<PlannedStep>,
    /// Their instances: those of one step stand together, in the order of `steps`.
    pub instances: Vec<Instance>,
}

/// Files that git ignores and every worktree of a run gets, as patterns relative to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// Copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<String>,
    /// Linked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<String>,
}

impl Carried {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copy.is_empty() && self.link.is_empty()
    }
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
    /// Lets an agent work.
    Agent(Box<AgentWork>),
    /// Does something in git.
    Git(GitWork),
    /// Checks whether the run reached its goal.
    Goal {
        /// Steps whose work was not landed, as indices of [`Plan::steps`]: the goal is checked where it is.
        from: Vec<usize>,
    },
}

impl Work {
    /// The kind as a word.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Command(_) | Self::Goal { .. } => StepKind::Command,
            Self::Agent(_) => StepKind::Agent,
            Self::Git(_) => StepKind::Git,
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
    /// The step in whose worktree it runs, as an index of [`Plan::steps`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// May be repeated after a crash of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Files to keep, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// What an agent is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentWork {
    /// Agents by id: the first, and those that take its place when it cannot work.
    pub agents: Vec<String>,
    /// How freely it works.
    pub mode: AgentMode,
    /// The model, as the agent names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The step whose session is continued, as an index of [`Plan::steps`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<usize>,
    /// The task, as written.
    pub prompt: String,
    /// Where it works.
    pub isolation: Isolation,
    /// Steps whose work it starts from, as indices of [`Plan::steps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<usize>,
    /// Folder relative to the project, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The step's own variables, as written.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// What it may do without asking.
    pub permissions: Permissions,
    /// What it may use up.
    pub budget: Budget,
    /// How often a failed check goes back to it.
    pub correct: u32,
    /// JSON Schema of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Files to keep, as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// What is done in git.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GitWork {
    /// What.
    pub action: GitAction,
    /// Steps whose work is taken, as indices of [`Plan::steps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<usize>,
    /// The message, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The tag's or branch's name, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The branch it goes into, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// The goal, as it was when the run started, and the checks that say whether it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// In words.
    pub statement: String,
    /// The host runs these, in order.
    pub accept: Vec<Check>,
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
