//! A step of any kind: one struct, so that every key keeps its place in the file (serde's tagged enums lose it).
//! Which keys go with which kind is the business of [`crate::check`].

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signalbox_model::{Role, StepKind};

use super::{Budget, Input, Isolation, Permissions, Retry, Stall};
use crate::{at::At, duration::Span};

/// Text. A plain number, `true` or `no` in YAML is taken as it is written.
pub type Scalar = String;

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does.
    pub kind: At<StepKind>,
    /// What is shown instead of its id; may hold `${{ }}` of `inputs`, `env`, `project` and `matrix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<At<String>>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Ids of the steps that come before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<At<String>>,
    /// Condition: `${{ ... }}`. A status function in it replaces the rule that all needs must have succeeded.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<At<String>>,
    /// One instance per combination of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<At<Matrix>>,
    /// Environment variables. A value may hold `${{ }}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<At<String>, At<Scalar>>,
    /// Longest time of one attempt; of an approval: until `on_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Span>>,
    /// What silence means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<At<Stall>>,
    /// When a failed attempt is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<At<Retry>>,
    /// A failure of this step does not fail the run, and later steps go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// Checks that Signalbox itself runs after the step's own work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<At<Verify>>,

    /// command: the script. `${{ }}` arrives in it as environment variables: write `"${{ x }}"` in double quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<At<String>>,
    /// command: program and arguments of the shell; the script's text follows, so the last one is mostly `-c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<At<Vec<String>>>,
    /// command: folder, relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<At<String>>,
    /// command: doing it twice does no harm, so that it may be repeated after a crash of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<At<bool>>,
    /// Files to keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<At<ArtifactSpec>>,
    /// What it hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<At<Outputs>>,

    /// agent: which one, and how; `defaults.agent` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<At<Agent>>,
    /// agent: the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<At<String>>,
    /// agent: where it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<At<Isolation>>,
    /// agent: what it may do without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<At<Permissions>>,
    /// agent: what it may use up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<At<Budget>>,
    /// agent: how often a failed `verify` goes back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<At<Correct>>,

    /// approval: the question; the title if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<At<String>>,
    /// approval: what to look at before answering: `<step>.files.<name>`, `<step>.outputs.<name>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<At<String>>,
    /// approval: who may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<At<Who>>,
    /// approval: what happens when nobody answered within `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<At<OnTimeout>>,
    /// approval: what to fill in: `${{ steps.<id>.form.<name> }}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub form: IndexMap<At<String>, Input>,
    /// approval: what happens after a "no"; without it the step ends as `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_reject: Option<At<OnReject>>,

    /// git: what is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<At<GitAction>>,
    /// git: the step whose work is taken. command: the step in whose worktree it runs. agent: the step whose work it
    /// starts from; the nearest agents before it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<At<String>>,
    /// git: the tag's or branch's name; may hold `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// git merge: the branch that it goes into; the one that is checked out in the project if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<At<String>>,

    /// notify: who is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<At<NotifyTarget>>,
    /// notify: what; git: the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<At<String>>,
}

/// One instance of the step per combination of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Values by name: a list, or `${{ }}` of `inputs`, `env` and `project` that gives one.
    pub axes: IndexMap<At<String>, At<Value>>,
    /// How many instances run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<At<u32>>,
    /// What stands in brackets in an instance's key; its values joined by commas if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<At<String>>,
}

/// A check: exactly one of `run`, `diff` and `file_exists`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// A command that must exit with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<At<String>>,
    /// Longest time of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Limits of what the step may have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<At<DiffRule>>,
    /// A file that must exist, relative to the step's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_exists: Option<At<String>>,
}

/// Limits of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffRule {
    /// Most files that may have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u32>,
    /// Patterns of files that may not have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// A failed check goes back to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correct {
    /// How often.
    pub max: u32,
}

/// Files to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSpec {
    /// A file, relative to the step's folder; `*` and `**` are allowed.
    pub path: At<String>,
}

/// What a step hands on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outputs {
    /// JSON Schema of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Files by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub files: IndexMap<At<String>, At<String>>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its id in the catalogue; that of `defaults.agent` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<At<String>>,
    /// How freely it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AgentMode>,
    /// The model, as the agent names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Others that take its place when it cannot work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<At<String>>,
    /// The step whose session is continued, in its folder; a step before this one, of kind agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<At<String>>,
}

/// How freely an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentMode {
    /// It plans and changes nothing.
    Plan,
    /// It looks and changes nothing.
    ReadOnly,
    /// It works.
    Work,
}

/// Who may answer an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Roles, at least one.
    pub roles: Vec<Role>,
    /// How many must say yes, 1 to 20.
    #[serde(default = "one")]
    pub min: u32,
    /// Whether who started the run may answer.
    #[serde(default)]
    pub self_approval: bool,
}

fn one() -> u32 {
    1
}

/// What happens when nobody answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// That is a "no".
    #[default]
    Reject,
    /// That is a "yes".
    Approve,
    /// The question stays open.
    KeepWaiting,
}

/// What happens after a "no".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnReject {
    /// The step that runs again, with everything after it.
    pub rerun_from: At<String>,
    /// What it is told: `${{ approval.<field> }}` of the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback_as: Option<At<String>>,
    /// How often, 1 to 100; after that a "no" ends the step as `rejected`.
    #[serde(default = "three")]
    pub max: At<u32>,
}

fn three() -> At<u32> {
    At::nowhere(3)
}

/// What a git step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitAction {
    /// Merges a step's branch.
    Merge,
    /// Commits.
    Commit,
    /// Tags.
    Tag,
    /// Makes a branch.
    Branch,
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyTarget {
    /// A notification on every desktop app that has this host, its own or joined. It is in the activity feed as well.
    Desktop,
    /// Everybody, in the activity feed.
    Team,
}

impl NotifyTarget {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Team => "team",
        }
    }
}
