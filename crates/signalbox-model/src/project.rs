//! A project: a folder that was opened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{ProjectId, UnixMillis};

/// A folder that was opened, usually a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Project {
    /// Stable while the project is known to this host.
    pub id: ProjectId,
    /// The folder's name, as shown.
    pub name: String,
    /// The folder's absolute path on the host.
    pub path: String,
    /// Whether triggers and programs named by the project's own settings may act.
    pub trusted: bool,
    /// False once closed: its runs are kept, its room stays readable.
    pub open: bool,
    /// When it was first opened.
    pub opened_at: UnixMillis,
}

/// A workflow's file was saved through the host. Who did is the event's actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct WorkflowSaved {
    /// The project.
    pub project: ProjectId,
    /// The workflow's name.
    pub workflow: String,
    /// The hash of its text, as in `workflow.get`.
    pub hash: String,
}
