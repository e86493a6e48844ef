//! The state of a room at an exact place in the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_model::{
    Activity, AgentSession, AgentUsage, Approval, ChatMessage, Cursor, FileDiff, HealthCheck, LogChunk, Member, Notice,
    Permission, Present, Profile, Project, QueueState, ReadMark, Risk, Run, Step, SystemStatus, UnixMillis,
};
use std::sync::Arc;
use ts_rs::TS;

/// A room's state.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Snapshot {
    /// Of `host`.
    Host(HostSnapshot),
    /// Of `activity`.
    Activity(ActivitySnapshot),
    /// Of `project/<id>`.
    Project(Box<ProjectSnapshot>),
    /// Of `run/<id>`.
    Run(Box<RunSnapshot>),
    /// Of `member/<id>`.
    Member(Box<MemberSnapshot>),
}

/// What is for one member alone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct MemberSnapshot {
    /// Notices that were not read, newest first, at most 100.
    pub notices: Vec<Notice>,
    /// How many were not read, in all.
    pub unread: u64,
    /// How far the member has read in each project.
    pub marks: Vec<ReadMark>,
    /// What the member wants on every device; absent: it has never said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub profile: Option<Profile>,
}

/// The host.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct HostSnapshot {
    /// The host's version.
    pub version: String,
    /// Every known project.
    pub projects: Vec<Project>,
    /// Every member.
    pub members: Vec<Member>,
    /// The machine, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub system: Option<SystemStatus>,
    /// Each service's health.
    pub health: Vec<HealthCheck>,
    /// Who follows this room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Present>>", optional)]
    pub presence: Vec<Present>,
}

/// A line of the feed with its place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct ActivityEntry {
    /// Its place in the log.
    pub seq: u64,
    /// When.
    pub ts: UnixMillis,
    /// The line.
    pub data: Activity,
}

/// The feed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct ActivitySnapshot {
    /// The last 100, oldest first.
    pub entries: Vec<ActivityEntry>,
}

/// A run with its steps.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct RunWithSteps {
    /// The run.
    pub run: Arc<Run>,
    /// Its steps, in the order of their index.
    pub steps: Vec<Arc<Step>>,
}

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct ProjectSnapshot {
    /// The project.
    pub project: Project,
    /// Runs that are not done and the last 50, newest first. Runs of over 1,000 steps come without steps: their own room has them.
    pub runs: Vec<RunWithSteps>,
    /// The queue.
    pub queue: QueueState,
    /// Open questions, oldest first.
    pub approvals: Vec<Arc<Approval>>,
    /// Open questions of agents, oldest first.
    pub permissions: Vec<Arc<Permission>>,
    /// Risks that are not resolved, oldest first.
    pub risks: Vec<Risk>,
    /// Who is here, and in the rooms of its runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Present>>", optional)]
    pub presence: Vec<Present>,
    /// The last 50 messages of its chat, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ChatMessage>>", optional)]
    pub chat: Vec<ChatMessage>,
}

/// The end of an attempt's log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct LogTail {
    /// Its last pieces, at most 64 KiB, oldest first.
    pub chunks: Vec<LogChunk>,
    /// Lines of the whole log so far.
    pub lines: u64,
    /// Bytes of the whole log so far.
    pub bytes: u64,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct RunSnapshot {
    /// The run.
    pub run: Arc<Run>,
    /// Its steps, in the order of their index.
    pub steps: Vec<Arc<Step>>,
    /// The end of the newest attempt's log of each step that is at work or failed.
    pub logs: Vec<LogTail>,
    /// Sessions of its agents, by step and attempt.
    pub sessions: Vec<AgentSession>,
    /// What its agents used up, by step and attempt.
    pub usage: Vec<AgentUsage>,
    /// How the files of each agent's newest attempt differ from its base.
    pub diffs: Vec<FileDiff>,
    /// The newest events of its agents, at most 500, in order; older ones come from `run.transcript`.
    #[ts(type = "Array<SignalboxEvent>")]
    pub transcript: Vec<serde_json::Value>,
    /// What its project's room tells of its checks, corrections, goal, commits and agents' questions: the newest 500, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(type = "Array<SignalboxEvent>", optional)]
    pub told: Vec<serde_json::Value>,
    /// Resume the run's project room from here: steps change there.
    pub cursor: Cursor,
    /// Who is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Present>>", optional)]
    pub presence: Vec<Present>,
}
