//! The vocabulary that every other crate shares: identifiers, rooms, cursors, the states of
//! runs and steps, and the events that carry them.
//!
//! This crate reads no clock, does no I/O and knows no transport. What is here is what the
//! log stores and what subscribers receive, so a change is a change of the published contract
//! (`docs/protocol.md`).

pub mod activity;
pub mod agent;
pub mod approval;
pub mod clock;
pub mod event;
pub mod goal;
pub mod id;
pub mod invite;
pub mod json;
pub mod permission;
pub mod project;
pub mod quiet;
pub mod room;
pub mod run;
pub mod step;
pub mod system;
pub mod team;
mod text;
pub mod webhook;

pub use activity::{Activity, Priority};
pub use agent::{
    AgentChoice, AgentError, AgentErrorKind, AgentPlan, AgentSession, AgentState, AgentText, AgentUsage, Correction,
    FileDiff, FileStatus, Location, PlanEntry, PlanStatus, Speaker, ToolCall, ToolDiff, ToolKind, ToolStatus, Usage,
};
pub use approval::{Answer, Approval, ApprovalState, Decision, FormField, FormFieldKind};
pub use clock::{Clock, ManualClock, SystemClock};
pub use event::{CustomType, Event, EventBody, EventData, EventError, NewEvent};
pub use goal::{Commit, Evidence, GoalVerdict, Risk, RiskState, Severity};
pub use id::{
    Actor, ApprovalId, ChatId, Cursor, CursorError, Epoch, IdError, InviteId, MemberId, NoticeId, PermissionId,
    ProjectId, RunId, StepKey, WebhookId,
};
pub use invite::{Invite, InviteState};
pub use json::Json;
pub use permission::{OptionKind, Permission, PermissionOption, PermissionState, PermissionTopic};
pub use project::{Project, WorkflowSaved};
pub use quiet::{NewsKind, Profile, QuietHours, QuietTime, Weekday};
pub use room::{Room, RoomError, RoomFilter};
pub use run::{Completion, Progress, QueueState, QueuedRun, Run, RunConclusion, RunStatus};
pub use step::{
    Artifact, Attempt, BlobRef, FailureCause, LogChunk, LogStream, Step, StepAgent, StepConclusion, StepKind,
    StepStatus, StopKind, VerifyResult,
};
pub use system::{EngineRecovered, ErrorReport, Health, HealthCheck, Member, Role, SystemStatus};
pub use team::{
    AwayItem, AwayKind, ChatLink, ChatMessage, Notice, NoticeKind, NoticesUpdated, PresenceState, Present, ReadMark,
};
pub use webhook::{Delivery, DeliveryState, Webhook, WebhookState};

/// Milliseconds since 1970-01-01T00:00:00Z. For display and timers only: order is given by `seq`.
pub type UnixMillis = i64;
