//! The host itself: members, health, what a restart found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{MemberId, ProjectId, RunId, StepKey, UnixMillis};

/// What a member may do; each includes what is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Runs, answers and chats.
    Operator,
    /// Shares and configures.
    Owner,
}

/// A person or a program that may connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Member {
    /// Its identifier.
    pub id: MemberId,
    /// What is shown.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ProjectId>>", optional)]
    pub projects: Vec<ProjectId>,
    /// Until when its token is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<UnixMillis>,
    /// Who made the invitation with which it joined; absent for who has a token made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub invited_by: Option<MemberId>,
    /// Who vouches for it: the issuer of the JWTs by which it comes. These say what it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub issuer: Option<String>,
    /// Its token no longer works.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub revoked: bool,
}

impl Member {
    /// Whether its token is good at `now`.
    #[must_use]
    pub fn is_active(&self, now: UnixMillis) -> bool {
        !self.revoked && self.expires_at.is_none_or(|until| until > now)
    }
}

/// The machine under the host. Only published when something changed enough to matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SystemStatus {
    /// Share of all cores in use, 0 to 1.
    pub cpu: f64,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// Memory of the machine, in bytes.
    pub memory_total: u64,
    /// Free space where the log lives, in bytes.
    pub disk_free: u64,
    /// Size of that disk, in bytes.
    pub disk_total: u64,
    /// Runs that are not done.
    pub active_runs: u32,
    /// Steps at work.
    pub active_steps: u32,
}

/// Whether a service of the host is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Works.
    Ok,
    /// Works, but a person should look.
    Degraded,
    /// Does not work.
    Down,
}

/// A service's health changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct HealthCheck {
    /// `log`, `engine`, `disk`, `websocket`.
    pub service: String,
    /// How it is.
    pub health: Health,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub detail: Option<String>,
}

/// The engine came back after its process had ended without a shutdown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub struct EngineRecovered {
    /// Runs that were not done.
    pub runs: u32,
    /// Steps whose outcome is unknown.
    pub crashed: Vec<RecoveredStep>,
    /// Steps that are repeated because their workflow says that is harmless (`idempotent`).
    pub repeated: Vec<RecoveredStep>,
    /// Processes of the dead host that had to be ended.
    pub ended_processes: u32,
}

/// A step that a restart touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RecoveredStep {
    /// Its run.
    pub run: RunId,
    /// Its key.
    pub step: StepKey,
}

/// Something failed that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ErrorReport {
    /// One of the protocol's error codes.
    pub code: String,
    /// What happened, and whether anything was lost.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hint: Option<String>,
}
