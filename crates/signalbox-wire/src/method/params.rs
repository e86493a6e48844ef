//! Parameters of the methods.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signalbox_model::{
    ApprovalId, Cursor, Decision, InviteId, Json, MemberId, PermissionId, Priority, ProjectId, Role, RoomFilter, RunId,
    RunStatus, StepKey,
};
use ts_rs::TS;

params! {
    /// No parameters, or no result.
    Nothing {}
    /// A folder to open.
    ProjectOpen {
        /// An absolute path on the host.
        path: String,
        /// Trust it at once.
        #[serde(default, skip_serializing_if = "Option::is_none")] trust: Option<bool>,
    }
    /// Names a project.
    ProjectRef {
        /// Its id.
        project: ProjectId,
    }
    /// Trust or distrust.
    ProjectTrust {
        /// Its id.
        project: ProjectId,
        /// Whether it is trusted from now on.
        trusted: bool,
    }
    /// Names a workflow.
    WorkflowRef {
        /// The project.
        project: ProjectId,
        /// The workflow's name: its file's name without `.yaml`.
        workflow: String,
    }
    /// A file or a text to check; exactly one of `path` and `text`.
    WorkflowValidate {
        /// The project.
        project: ProjectId,
        /// A file within the project folder, relative to it.
        #[serde(default, skip_serializing_if = "Option::is_none")] path: Option<String>,
        /// The text itself.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// Names a secret of a project.
    SecretRef {
        /// The project.
        project: ProjectId,
        /// Its name, as workflows write it.
        name: String,
    }
    /// A secret's value.
    SecretSet {
        /// The project.
        project: ProjectId,
        /// Its name, as workflows write it: letters, digits, `_`.
        name: String,
        /// Its value, 1 to 2,560 bytes. It is in no event, no log and no reply.
        value: String,
    }
    /// A workflow's new text.
    WorkflowSave {
        /// The project.
        project: ProjectId,
        /// The workflow's name.
        workflow: String,
        /// The whole text.
        text: String,
        /// Hash of the text that was edited, from `workflow.get`; absent to create a file that must not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")] base_hash: Option<String>,
    }
    /// What to run.
    RunStart {
        /// The project.
        project: ProjectId,
        /// The workflow's name, or a file within the project folder.
        workflow: String,
        /// Values for its inputs.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        #[ts(as = "Option<IndexMap<String, Value>>", optional)]
        inputs: IndexMap<String, Value>,
    }
    /// Names a run.
    RunRef {
        /// Its id.
        run: RunId,
    }
    /// Which runs.
    RunList {
        /// The project.
        project: ProjectId,
        /// Only runs before this one, by number.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<u64>,
        /// Only these states.
        #[serde(default, skip_serializing_if = "Option::is_none")] status: Option<RunStatus>,
        /// At most this many, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which run to cancel.
    RunCancel {
        /// Its id.
        run: RunId,
        /// Kill at once.
        #[serde(default, skip_serializing_if = "Option::is_none")] force: Option<bool>,
    }
    /// What to try again.
    RunRetry {
        /// The run.
        run: RunId,
        /// How much of it.
        scope: RetryScope,
        /// The step, for the scopes `step` and `from`.
        #[serde(default, skip_serializing_if = "Option::is_none")] step: Option<StepKey>,
        /// By which definition; `pinned` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] definition: Option<RetryDefinition>,
    }
    /// Which part of a log. Lines count from 0.
    RunLog {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The attempt, from 1; the newest if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] attempt: Option<u32>,
        /// The first line wanted; absent: the last `limit` lines.
        #[serde(default, skip_serializing_if = "Option::is_none")] offset: Option<u64>,
        /// At most this many lines, 1 to 5,000; 1,000 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// What to look for in a log.
    RunLogSearch {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The attempt, from 1; the newest if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] attempt: Option<u32>,
        /// The text, 1 to 200 bytes.
        query: String,
        /// Whether upper and lower case differ.
        #[serde(default, skip_serializing_if = "Option::is_none")] case_sensitive: Option<bool>,
        /// Only lines from this one on.
        #[serde(default, skip_serializing_if = "Option::is_none")] from_line: Option<u64>,
        /// At most this many matches, 1 to 10,000; 1,000 if absent. All are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which questions.
    ApprovalList {
        /// Only of this project.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
        /// The settled ones as well: the last 200.
        #[serde(default, skip_serializing_if = "Option::is_none")] all: Option<bool>,
    }
    /// An answer.
    ApprovalAnswer {
        /// To which question.
        approval: ApprovalId,
        /// Yes or no.
        decision: Decision,
        /// The filled-in form.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        #[ts(as = "Option<IndexMap<String, Value>>", optional)]
        form: IndexMap<String, Value>,
    }
    /// Which questions of agents.
    PermissionList {
        /// Only of this project.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
    }
    /// An answer to an agent.
    PermissionAnswer {
        /// To which question.
        permission: PermissionId,
        /// One of the options that it offers.
        #[serde(default, skip_serializing_if = "Option::is_none")] option: Option<String>,
        /// An answer in words, where the question takes one; at most 8 KiB.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// Which part of a transcript.
    RunTranscript {
        /// Of this run.
        run: RunId,
        /// Of this step.
        step: StepKey,
        /// Only events before this one, by `seq`; absent: the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<u64>,
        /// At most this many, 1 to 2,000; 500 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which events of a run.
    RunEvents {
        /// Of this run.
        run: RunId,
        /// Only events after this cursor; absent: from the first on.
        #[serde(default, skip_serializing_if = "Option::is_none")] after: Option<Cursor>,
        /// At most this many, 1 to 1,000; 200 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which changes.
    RunDiff {
        /// Of this run.
        run: RunId,
        /// Of this step.
        step: StepKey,
        /// The attempt, from 1; the newest if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] attempt: Option<u32>,
    }
    /// Which part of a blob.
    BlobRead {
        /// Its SHA-256, as the event names it.
        hash: String,
        /// From this byte on; 0 if absent. A page's `next` never cuts a letter.
        #[serde(default, skip_serializing_if = "Option::is_none")] offset: Option<u64>,
        /// At most this many bytes, 4 to 262,144; 262,144 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which file of a step.
    RunFile {
        /// Of this run.
        run: RunId,
        /// Of this step.
        step: StepKey,
        /// The attempt, from 1; the newest if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] attempt: Option<u32>,
        /// Relative to the repository, or to the folder that the step works in. Only files that git knows or the step
        /// changed: what git ignores is not shown.
        path: String,
    }
    /// Which agents.
    AgentList {
        /// Look again, instead of telling what was found lately.
        #[serde(default, skip_serializing_if = "Option::is_none")] refresh: Option<bool>,
    }
    /// An agent.
    AgentRef {
        /// Its id in the catalogue.
        agent: String,
    }
    /// Which use of agents.
    UsageQuery {
        /// Only of this project; absent: of all that the caller may see.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
        /// So many days back, today included, 1 to 366; 30 if absent. Days are those of UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")] days: Option<u32>,
    }
    /// A risk.
    RiskRef {
        /// Its project.
        project: ProjectId,
        /// Its id.
        risk: String,
    }
    /// A worktree.
    WorktreeRef {
        /// Its project.
        project: ProjectId,
        /// Its branch.
        branch: String,
    }
    /// A worktree to remove.
    WorktreeRemove {
        /// Its project.
        project: ProjectId,
        /// Its branch.
        branch: String,
        /// Also if it holds changes or commits that are nowhere else: they are lost.
        #[serde(default, skip_serializing_if = "Option::is_none")] discard: Option<bool>,
    }
    /// An event of another program.
    EventPublish {
        /// Into this project's room.
        project: ProjectId,
        /// `x_` and 1 to 60 lower-case letters, digits or `_`.
        #[serde(rename = "type")] kind: String,
        /// Any JSON, at most `limits.event_bytes`.
        #[ts(as = "Value")] data: Json,
        /// Also put a line of this priority into the activity feed.
        #[serde(default, skip_serializing_if = "Option::is_none")] priority: Option<Priority>,
        /// That line's text; the event's type if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// Events of another program that are committed together.
    EventPublishMany {
        /// Into this project's room.
        project: ProjectId,
        /// 1 to 1,000, in order.
        events: Vec<NewCustomEvent>,
    }
    /// One of several events.
    NewCustomEvent {
        /// As for `event.publish`.
        #[serde(rename = "type")] kind: String,
        /// As for `event.publish`.
        #[ts(as = "Value")] data: Json,
        /// As for `event.publish`.
        #[serde(default, skip_serializing_if = "Option::is_none")] priority: Option<Priority>,
        /// As for `event.publish`.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// Which events.
    EventList {
        /// Of these rooms.
        rooms: Vec<RoomFilter>,
        /// After this place; absent: from the oldest kept.
        #[serde(default, skip_serializing_if = "Option::is_none")] after: Option<Cursor>,
        /// At most this many, 1 to 1,000; 200 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// What to search events for.
    EventSearch {
        /// Words, all of which must occur; the last may be the beginning of one.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
        /// Only these types, at most 100.
        #[serde(default, skip_serializing_if = "Option::is_none")] types: Option<Vec<String>>,
        /// Only of this project and its runs.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
        /// Only events before this sequence number.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<u64>,
        /// At most this many, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// A waiting run's new place.
    QueueMove {
        /// Which run.
        run: RunId,
        /// Its place among the waiting runs of its group, from 1.
        position: u32,
    }
    /// A new member.
    TokenCreate {
        /// Its name, 1 to 60 bytes.
        name: String,
        /// Its role.
        role: Role,
        /// Only these projects, at most 1,000; absent or empty: all.
        #[serde(default, skip_serializing_if = "Option::is_none")] projects: Option<Vec<ProjectId>>,
        /// For how long, in milliseconds; absent: until revoked.
        #[serde(default, skip_serializing_if = "Option::is_none")] ttl_ms: Option<u64>,
    }
    /// Names a member.
    MemberRef {
        /// Its id.
        member: MemberId,
    }
    /// A change of a member: what is absent stays.
    MemberUpdate {
        /// Its id.
        member: MemberId,
        /// Its new name, 1 to 60 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")] name: Option<String>,
        /// Its new role.
        #[serde(default, skip_serializing_if = "Option::is_none")] role: Option<Role>,
        /// Its new projects; empty: all.
        #[serde(default, skip_serializing_if = "Option::is_none")] projects: Option<Vec<ProjectId>>,
    }
    /// Where to be reached by others.
    ShareStart {
        /// An address of this machine, or 0.0.0.0 or [::] for all; `share.bind` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] bind: Option<String>,
        /// The port, 0 for a free one; `share.port` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] port: Option<u16>,
    }
    /// A new invitation.
    InviteCreate {
        /// The role of who joins with it.
        role: Role,
        /// Only these projects; absent or empty: all.
        #[serde(default, skip_serializing_if = "Option::is_none")] projects: Option<Vec<ProjectId>>,
        /// For how long, in milliseconds, at most 90 days; a week if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] ttl_ms: Option<u64>,
        /// How many may join with it, 1 to 1,000; 1 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] uses: Option<u32>,
        /// For whom it is meant, at most 60 bytes: shown in the list.
        #[serde(default, skip_serializing_if = "Option::is_none")] name: Option<String>,
    }
    /// Names an invitation.
    InviteRef {
        /// Its id.
        invite: InviteId,
    }
    /// Which entries of the audit list.
    AuditList {
        /// Only entries with a smaller id.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<u64>,
        /// At most this many, 1 to 500; 100 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
        /// Only what this member did.
        #[serde(default, skip_serializing_if = "Option::is_none")] member: Option<MemberId>,
        /// Only what was done to this project.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
    }
    /// How to look for hosts.
    HostFind {
        /// How long to listen for answers, in milliseconds, 100 to 10,000; 2,000 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] wait_ms: Option<u64>,
    }
    /// Names a connection.
    ConnectionRef {
        /// Its number from `connection.list`.
        connection: u64,
    }
}

/// How much of a run to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RetryScope {
    /// One step.
    Step,
    /// One step and everything that follows from it.
    From,
    /// Everything that failed, and what was omitted for it.
    Failed,
    /// The whole run.
    All,
}

/// By which definition to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RetryDefinition {
    /// The one that the run was started with.
    Pinned,
    /// The workflow file as it is now.
    Latest,
}
