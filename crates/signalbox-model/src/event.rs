//! Events: what the log stores and what every subscriber receives.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    Activity, Actor, AgentError, AgentPlan, AgentSession, AgentText, AgentUsage, Approval, ChatMessage, Commit,
    Completion, Correction, EngineRecovered, ErrorReport, FileDiff, GoalVerdict, HealthCheck, Json, LogChunk, Member,
    Notice, NoticesUpdated, Permission, Profile, Progress, Project, QueueState, ReadMark, Risk, Room, Run, RunId, Step,
    StepKey, SystemStatus, ToolCall, UnixMillis, VerifyResult, Webhook, WorkflowSaved,
};

/// Why stored or received event data is not what its type says.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The data has the wrong shape for its type.
    #[error("event of type {kind:?} has the wrong shape: {source}")]
    Shape {
        /// The event's type.
        kind: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No such type; types of other programs begin with `x_`.
    #[error("unknown event type {0:?}; types of other programs are 'x_' and 1 to 60 lower-case letters, digits or '_'")]
    UnknownType(String),
}

macro_rules! event_types {
    ($( $(#[$doc:meta])* $variant:ident($data:ty) = $name:literal ),* $(,)?) => {
        /// The data of each event type of Signalbox itself. The wire form is `"type"` and `"data"`.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(tag = "type", content = "data")]
        pub enum EventData {
            $( $(#[$doc])* #[serde(rename = $name)] $variant($data), )*
        }

        impl EventData {
            /// Every type's name.
            pub const TYPES: &'static [&'static str] = &[$($name),*];

            /// The type's name on the wire.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// The data alone, as JSON text.
            ///
            /// # Errors
            /// Never for the types here, unless a number is not finite.
            pub fn data_json(&self) -> serde_json::Result<String> {
                match self { $( Self::$variant(data) => serde_json::to_string(data), )* }
            }

            fn parse(kind: &str, data: &str) -> Option<serde_json::Result<Self>> {
                match kind {
                    $( $name => Some(serde_json::from_str(data).map(Self::$variant)), )*
                    _ => None,
                }
            }

            /// The JSON Schema of each type's data, by name.
            #[must_use]
            pub fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$( ($name, generator.subschema_for::<$data>()) ),*]
            }
        }
    };
}

event_types! {
    /// A run's new state. Room: project.
    RunUpdated(Arc<Run>) = "run_updated",
    /// A step's new state. Room: project.
    StepUpdated(Arc<Step>) = "step_updated",
    /// A step ended: its last state, with `conclusion` and `duration_ms`. Room: project.
    StepCompleted(Arc<Step>) = "step_completed",
    /// A piece of a step's output. Room: run.
    Log(LogChunk) = "log",
    /// A run ended. Room: project.
    Completion(Completion) = "completion",
    /// Progress of a step, run, task or project. Room: project.
    ProgressUpdate(Progress) = "progress_update",
    /// A question waits for a person. Room: project.
    ApprovalRequested(Arc<Approval>) = "approval_requested",
    /// A question got an answer, was settled, or is no longer asked. Room: project.
    ApprovalResolved(Arc<Approval>) = "approval_resolved",
    /// A check's verdict. Room: project.
    VerifyResult(VerifyResult) = "verify_result",
    /// An agent's session began, changed or ended. Room: run.
    AgentSession(AgentSession) = "agent_session",
    /// A piece of what an agent said, or was told. Room: run.
    AgentMessage(AgentText) = "agent_message",
    /// A piece of what an agent thought. Room: run.
    AgentThought(AgentText) = "agent_thought",
    /// A tool call's new state. Room: run.
    ToolCall(Arc<ToolCall>) = "tool_call",
    /// An agent's plan. Room: run.
    PlanUpdate(AgentPlan) = "plan_update",
    /// How a file differs from the step's base commit. Room: run.
    FileDiff(FileDiff) = "file_diff",
    /// What an attempt used up so far. Room: run.
    UsageUpdate(AgentUsage) = "usage_update",
    /// An agent failed. Room: run.
    AgentError(AgentError) = "agent_error",
    /// An agent asks a person. Room: project.
    PermissionRequested(Arc<Permission>) = "permission_requested",
    /// An agent's question was answered, or is no longer asked. Room: project.
    PermissionResolved(Arc<Permission>) = "permission_resolved",
    /// A failed check went back to the agent. Room: project.
    Correction(Correction) = "correction",
    /// Whether the goal was reached. Room: project.
    GoalCheck(GoalVerdict) = "goal_check",
    /// A risk was raised, acknowledged or resolved. Room: project.
    RiskAlert(Risk) = "risk_alert",
    /// A run made a commit. Room: project.
    Commit(Commit) = "commit",
    /// A chat message's new state. Room: project.
    ChatMessage(ChatMessage) = "chat_message",
    /// A webhook's new state. Room: project.
    WebhookUpdated(Webhook) = "webhook_updated",
    /// Something for one member. Room: member.
    Notice(Notice) = "notice",
    /// Notices were delivered, read or settled. Room: member.
    NoticesUpdated(NoticesUpdated) = "notices_updated",
    /// A member has read further, on whichever device. Room: member.
    MarkUpdated(ReadMark) = "mark_updated",
    /// A member wants to be notified otherwise. Room: member.
    ProfileUpdated(Profile) = "profile_updated",
    /// The queue's new order. Room: project.
    QueueUpdate(QueueState) = "queue_update",
    /// A project was opened, closed, renamed or trusted. Room: host.
    ProjectUpdated(Project) = "project_updated",
    /// A workflow's file was saved through the host. Room: project.
    WorkflowUpdated(WorkflowSaved) = "workflow_updated",
    /// A line for the feed. Room: activity.
    ActivityCreated(Activity) = "activity_created",
    /// The machine's state changed. Room: host.
    SystemStatus(SystemStatus) = "system_status",
    /// A service's health changed. Room: host.
    HealthCheck(HealthCheck) = "health_check",
    /// A member was added, changed or revoked. Room: host.
    MemberUpdated(Member) = "member_updated",
    /// The engine came back and says what it found. Room: host.
    EngineRecovered(EngineRecovered) = "engine_recovered",
    /// Something failed that a person should know. Any room.
    Error(ErrorReport) = "error",
}

/// The type of another program's event: `x_` and 1 to 60 lower-case letters, digits or `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CustomType(Arc<str>);

impl CustomType {
    /// Checks `name`.
    ///
    /// # Errors
    /// If it is not `x_` and 1 to 60 lower-case letters, digits or `_`.
    pub fn new(name: &str) -> Result<Self, EventError> {
        let ok = name.strip_prefix("x_").is_some_and(|rest| {
            (1..=60).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if ok { Ok(Self(name.into())) } else { Err(EventError::UnknownType(name.chars().take(80).collect())) }
    }

    /// The name, with its `x_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an event says: of our own types, or another program's.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "to box it costs each event of a run a piece of memory, and saves moving it once or twice"
)]
pub enum EventBody {
    /// A type of Signalbox.
    Known(EventData),
    /// A type of another program, its data as it was posted.
    Custom(CustomType, Json),
}

impl EventBody {
    /// The type's name on the wire.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Known(data) => data.type_name(),
            Self::Custom(kind, _) => kind.as_str(),
        }
    }

    /// The data alone, as JSON text.
    ///
    /// # Errors
    /// As [`EventData::data_json`].
    pub fn data_json(&self) -> serde_json::Result<String> {
        match self {
            Self::Known(data) => data.data_json(),
            Self::Custom(_, data) => Ok(data.as_str().to_owned()),
        }
    }

    /// Reads what [`type_name`](Self::type_name) and [`data_json`](Self::data_json) wrote.
    ///
    /// # Errors
    /// If the type is unknown or the data has the wrong shape.
    pub fn parse(kind: &str, data: &str) -> Result<Self, EventError> {
        let shape = |source| EventError::Shape { kind: kind.to_owned(), source };
        if let Some(known) = EventData::parse(kind, data) {
            return known.map(Self::Known).map_err(shape);
        }
        let kind_checked = CustomType::new(kind)?;
        Ok(Self::Custom(kind_checked, serde_json::from_str(data).map_err(shape)?))
    }
}

impl From<EventData> for EventBody {
    fn from(data: EventData) -> Self {
        Self::Known(data)
    }
}

/// An event that is yet to be committed: the log gives it `seq`, `prev` and `ts`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Where it belongs.
    pub room: Room,
    /// Who did it.
    pub actor: Actor,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The step it is about.
    pub step: Option<StepKey>,
    /// What it says.
    pub body: EventBody,
}

impl NewEvent {
    /// An event about nothing but its room.
    #[must_use]
    pub fn new(room: Room, actor: Actor, body: impl Into<EventBody>) -> Self {
        Self { room, actor, run: None, step: None, body: body.into() }
    }

    /// Says which run it is about.
    #[must_use]
    pub fn of_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Says which step it is about.
    #[must_use]
    pub fn of_step(mut self, step: StepKey) -> Self {
        self.step = Some(step);
        self
    }
}

/// A committed event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the log, from 1, contiguous over the host.
    pub seq: u64,
    /// The event before it in the same room; 0 for the room's first.
    pub prev: u64,
    /// When it was committed.
    pub ts: UnixMillis,
    /// The rest, as it was handed over.
    pub event: NewEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own() {
        let mut names = EventData::TYPES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventData::TYPES.len());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name} is not snake_case");
        }
    }

    #[test]
    fn custom_types_keep_to_their_prefix() {
        assert!(CustomType::new("x_deploy_1").is_ok());
        for name in ["x_", "deploy", "run_updated", "x_Deploy", "x_a-b", "x_a\n"] {
            assert!(CustomType::new(name).is_err(), "{name:?} passed");
        }
    }
}
