//! The file's structs: what can be written, nothing else. Unknown keys are errors.

mod input;
mod step;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use signalbox_model::StepKind;

pub use self::{
    input::{Input, InputType, ItemType},
    step::{
        Agent, AgentMode, ArtifactSpec, Correct, DiffRule, GitAction, Matrix, NotifyTarget, OnReject, OnTimeout,
        Outputs, Scalar, Step, Verify, Who,
    },
};
use crate::{at::At, duration::Span};

/// A workflow: `.signalbox/workflows/<name>.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Version of the file format: 1.
    pub signalbox: At<u32>,
    /// Name of the workflow, unique in the project: lower-case letters, digits, `-` and `_`.
    pub name: At<String>,
    /// What it does, for the people who start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Values that are given when a run is started: `${{ inputs.<name> }}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<At<String>, Input>,
    /// What starts a run. Without it: by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<At<Triggers>>,
    /// Which runs may not run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Values for every step that does not set its own.
    #[serde(default)]
    pub defaults: Defaults,
    /// Environment variables of every step. A value may hold `${{ }}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<At<String>, At<Scalar>>,
    /// Names of secrets that `env` may use as `${{ secrets.<NAME> }}`; the values live in the system's keychain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<At<String>>,
    /// The goal, and the checks that say whether it was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_check: Option<At<GoalCheck>>,
    /// The steps by id. Order in the file means nothing: `needs` does.
    pub steps: At<IndexMap<At<String>, At<Step>>>,
}

/// What starts a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// A person or a program may start it.
    #[serde(default = "yes")]
    pub manual: bool,
    /// At given times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<At<Schedule>>,
    /// When files change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<At<FileTrigger>>,
    /// When a commit arrives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commit: Vec<At<CommitTrigger>>,
    /// When a webhook is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<At<Webhook>>,
}

fn yes() -> bool {
    true
}

/// A time table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA name of the time zone; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    /// When the run before is not done yet.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What a schedule does when the run before is not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// This time is left out.
    #[default]
    Skip,
    /// The new run waits.
    Queue,
    /// Both run.
    Allow,
}

/// A trigger by files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileTrigger {
    /// Patterns relative to the project folder.
    pub paths: Vec<String>,
    /// How long it must be quiet before the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Span>,
}

/// A trigger by commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitTrigger {
    /// Branches; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
}

/// A trigger by a call of `POST /api/v1/hooks/<project>/<name>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The last part of the address.
    pub name: String,
}

/// Runs of one group do not run at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Name of the group within the project; may hold `${{ }}` of `inputs`, `env` and `project`.
    pub group: At<String>,
    /// How many may run at the same time, at least 1.
    #[serde(default = "one")]
    pub max: At<u32>,
    /// What happens to a run that finds the group full.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

fn one() -> At<u32> {
    At::nowhere(1)
}

/// What happens to a run that finds its group full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It waits.
    #[default]
    Queue,
    /// It ends at once as `skipped`.
    Skip,
    /// The oldest run of the group is cancelled.
    CancelRunning,
}

/// Values for every step that does not set its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Longest time of one attempt. Approvals have their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What silence means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<At<Stall>>,
    /// When a failed attempt is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<At<Retry>>,
    /// Which agent works, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<At<Agent>>,
    /// Where an agent works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<At<Isolation>>,
    /// Files that git ignores and a worktree needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carry: Option<Carry>,
    /// What an agent may do without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// What an agent may use up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The shell of command steps: program and arguments; the script's text follows, so the last one is mostly `-c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<At<Vec<String>>>,
    /// Folder of command steps, relative to the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<At<String>>,
}

impl Definition {
    /// The agents of a step by id: the first, then those that take its place.
    #[must_use]
    pub fn agents_of<'a>(&'a self, step: &'a Step) -> Vec<&'a At<String>> {
        let (own, default) = (step.agent.as_deref(), self.defaults.agent.as_deref());
        let id = own.and_then(|own| own.id.as_ref()).or(default.and_then(|default| default.id.as_ref()));
        // Fallbacks belong to the agent that they stand in for.
        let of = if own.is_some_and(|own| own.id.is_some() || !own.fallback.is_empty()) { own } else { default };
        id.into_iter().chain(of.iter().flat_map(|of| &of.fallback)).collect()
    }

    /// How freely a step's agent works.
    #[must_use]
    pub fn mode_of(&self, step: &Step) -> AgentMode {
        let mode = |agent: Option<&Agent>| agent.and_then(|agent| agent.mode);
        mode(step.agent.as_deref()).or(mode(self.defaults.agent.as_deref())).unwrap_or(AgentMode::Work)
    }
}

/// What silence means. Any output is a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// After this long the step is shown as stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<Span>,
    /// After this long it is ended as `timed_out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<Span>,
}

/// When a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often, 0 to 100.
    pub max: u32,
    /// How the delay grows.
    #[serde(default)]
    pub backoff: Backoff,
    /// The first delay.
    #[serde(default = "ten_seconds")]
    pub initial: Span,
    /// The longest delay.
    #[serde(default = "five_minutes")]
    pub cap: Span,
    /// Share of the delay that chance may add or take, 0 to 1.
    #[serde(default)]
    pub jitter: f64,
    /// Failures that are repeated.
    #[serde(default = "harmless_causes")]
    pub causes: Vec<RetryCause>,
}

fn ten_seconds() -> Span {
    Span::from_millis(10_000)
}
fn five_minutes() -> Span {
    Span::from_millis(300_000)
}
fn harmless_causes() -> Vec<RetryCause> {
    vec![RetryCause::Infra, RetryCause::RateLimit, RetryCause::Timeout]
}

/// How the delay between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// Doubles each time.
    #[default]
    Exponential,
    /// Stays the same.
    Constant,
}

/// Why an attempt failed, as far as a workflow can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryCause {
    /// The command ended with another exit code than 0.
    Command,
    /// The process could not be started.
    Infra,
    /// A usage limit.
    RateLimit,
    /// `timeout` ran out.
    Timeout,
    /// `stall.fail` ran out.
    Stall,
    /// A check of `verify` failed.
    Verify,
    /// The agent failed: it ended by itself, broke its protocol, or reported an error.
    Agent,
}

/// Where an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In a git worktree of its own.
    Worktree,
    /// In the project's folder, without writing.
    SharedRo,
    /// In the project's folder.
    SharedRw,
}

/// Files and folders that git ignores and that every worktree of the run gets from the project, by patterns relative to the
/// repository: `*` and `?` within a name, `**` for any folders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Carry {
    /// Copied, e.g. `.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<At<String>>,
    /// Linked, e.g. `node_modules`: what is changed in them is changed for the project too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<At<String>>,
}

/// What an agent may do, by kind of tool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Permissions {
    /// Read files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Permission>,
    /// Change files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Permission>,
    /// Run programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execute: Option<Permission>,
    /// Read from the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Permission>,
    /// Everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Permission>,
}

/// What happens when an agent wants to use a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It may.
    Allow,
    /// A person is asked.
    Ask,
    /// It may not.
    Deny,
}

/// What an agent may use up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Span>,
    /// What happens then.
    pub on_exceed: OnExceed,
}

/// What happens when a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// A person is asked.
    #[default]
    Pause,
    /// The step fails.
    Fail,
}

/// The goal, frozen when a run starts, and the checks that say whether it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoalCheck {
    /// The goal in words.
    pub statement: At<String>,
    /// Checks that the host runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<At<Verify>>,
}
