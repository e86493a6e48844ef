//! Questions that wait for a person.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Actor, ApprovalId, MemberId, ProjectId, Role, RunId, StepKey, UnixMillis};

/// What a person may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Do not.
    Reject,
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Waits for answers.
    Open,
    /// Enough people said yes.
    Approved,
    /// Somebody said no, or time ran out and the workflow says that means no.
    Rejected,
    /// No longer asked: its run was cancelled, or it was asked anew.
    Void,
}

/// The kind of a form's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FormFieldKind {
    /// Text.
    String,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// One of `values`.
    Enum,
}

/// A field that a person fills in with the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FormField {
    /// Its name in `steps.<id>.form`.
    pub name: String,
    /// Its kind.
    pub kind: FormFieldKind,
    /// What is shown; the name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub title: Option<String>,
    /// Several lines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub multiline: bool,
    /// Must be filled in to approve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub required: bool,
    /// Choices of an `enum`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    pub values: Vec<String>,
    /// What the field holds at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub default: Option<serde_json::Value>,
}

/// One member's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Answer {
    /// Who.
    pub actor: Actor,
    /// Which member that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub member: Option<MemberId>,
    /// What.
    pub decision: Decision,
    /// When.
    pub at: UnixMillis,
    /// The filled-in form.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[ts(as = "Option<IndexMap<String, serde_json::Value>>", optional)]
    pub form: IndexMap<String, serde_json::Value>,
}

/// A question that waits, or waited, for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Approval {
    /// Its identifier; asked anew, it gets a new one.
    pub id: ApprovalId,
    /// The project.
    pub project: ProjectId,
    /// The run.
    pub run: RunId,
    /// The run's number, for a title that a person can read out.
    pub run_number: u64,
    /// The workflow's name.
    pub workflow: String,
    /// The step that asks.
    pub step: StepKey,
    /// The question.
    pub question: String,
    /// What to look at before answering: label and text.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[ts(as = "Option<IndexMap<String, String>>", optional)]
    pub show: IndexMap<String, String>,
    /// What to fill in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<FormField>>", optional)]
    pub form: Vec<FormField>,
    /// Roles that may answer; empty: operator and owner.
    pub roles: Vec<Role>,
    /// How many approvals it takes, at least 1.
    pub min: u32,
    /// Whether who started the run may answer.
    pub self_approval: bool,
    /// Where it stands.
    pub state: ApprovalState,
    /// Answers so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Answer>>", optional)]
    pub answers: Vec<Answer>,
    /// Since when it waits.
    pub opened_at: UnixMillis,
    /// When time runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub due_at: Option<UnixMillis>,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resolved_at: Option<UnixMillis>,
    /// Why it was settled, when no person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}
