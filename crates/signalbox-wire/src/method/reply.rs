//! Replies of the methods.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use signalbox_model::{
    Approval, Cursor, Epoch, FileDiff, Health, HealthCheck, Invite, Member, MemberId, Permission, Project, ProjectId,
    QueueState, Risk, Role, Run, RunId, Step, StepKey, StepKind, SystemStatus, UnixMillis, Usage,
};
use ts_rs::TS;

use crate::Limits;

/// Where a secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// `SIGNALBOX_SECRET_<NAME>` in the environment of the host. It goes before the keychain.
    Environment,
    /// The keychain of the system.
    Keychain,
}

replies! {
    /// A project.
    ProjectReply {
        /// The project.
        project: Project,
    }
    /// Projects.
    ProjectList {
        /// By name.
        projects: Vec<Project>,
    }
    /// A secret that workflows ask for.
    SecretInfo {
        /// Its name.
        name: String,
        /// The workflows that ask for it.
        workflows: Vec<String>,
        /// Where it comes from; absent: it is not set, and steps that need it will fail.
        #[serde(default, skip_serializing_if = "Option::is_none")] source: Option<SecretSource>,
    }
    /// Secrets of a project.
    Secrets {
        /// By name.
        secrets: Vec<SecretInfo>,
        /// Why the keychain cannot be used; absent: it can.
        #[serde(default, skip_serializing_if = "Option::is_none")] keychain_error: Option<String>,
    }
    /// What became of a secret that was to be removed.
    SecretRemoved {
        /// Whether it was there.
        removed: bool,
    }
    /// A workflow in a list.
    WorkflowSummary {
        /// Its name.
        name: String,
        /// Its file, relative to the project folder.
        file: String,
        /// What it says of itself.
        #[serde(default, skip_serializing_if = "Option::is_none")] description: Option<String>,
        /// Whether it can be run.
        valid: bool,
        /// How many steps it names.
        steps: u32,
        /// What a person is asked before it starts.
        inputs: Vec<WorkflowInput>,
        /// What is wrong.
        diagnostics: Vec<Diagnostic>,
    }
    /// A value that a workflow asks for.
    WorkflowInput {
        /// Its name.
        name: String,
        /// `string`, `number`, `integer`, `boolean`, `array` or `enum`.
        kind: String,
        /// Must be given.
        required: bool,
        /// Several lines.
        multiline: bool,
        /// Choices of an `enum`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] values: Vec<String>,
        /// Taken when nothing is given.
        #[serde(default, skip_serializing_if = "Option::is_none")] default: Option<Value>,
        /// What it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")] description: Option<String>,
    }
    /// Something wrong, or doubtful, in a workflow.
    Diagnostic {
        /// `error` or `warning`.
        severity: String,
        /// Names the rule.
        code: String,
        /// What is wrong.
        message: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")] hint: Option<String>,
        /// The line, from 1; 0 if it is about the whole file.
        line: u32,
        /// The column, from 1.
        column: u32,
    }
    /// Workflows.
    WorkflowList {
        /// By name.
        workflows: Vec<WorkflowSummary>,
    }
    /// A step in a workflow's graph.
    GraphStep {
        /// Its id.
        id: String,
        /// What is shown.
        title: String,
        /// What it does.
        kind: StepKind,
        /// Ids of the steps that it needs.
        needs: Vec<String>,
        /// Runs once for each value of a matrix.
        matrix: bool,
        /// Its line in the text.
        line: u32,
    }
    /// A workflow.
    WorkflowReply {
        /// Its summary.
        workflow: WorkflowSummary,
        /// Its text.
        text: String,
        /// SHA-256 of the text.
        hash: String,
        /// Its steps.
        graph: Vec<GraphStep>,
    }
    /// A run was started, or put into the queue.
    RunStarted {
        /// Its id.
        run: RunId,
        /// Its number.
        number: u64,
        /// A place in the log before the run's first event: follow from here and miss nothing.
        cursor: Cursor,
    }
    /// A run.
    RunReply {
        /// The run.
        run: Arc<Run>,
        /// Its steps, in the order of their index.
        steps: Vec<Arc<Step>>,
    }
    /// Runs.
    RunPage {
        /// Newest first.
        runs: Vec<Arc<Run>>,
        /// Whether there are older ones.
        more: bool,
    }
    /// A line of a log.
    LogLine {
        /// Its number, from 0.
        n: u64,
        /// `stdout`, `stderr` or `system`.
        stream: String,
        /// The text without its end; cut at 16 KiB.
        text: String,
        /// How many bytes were cut.
        #[serde(default, skip_serializing_if = "Option::is_none")] cut: Option<u64>,
    }
    /// Lines of a log.
    LogPage {
        /// The attempt they are of.
        attempt: u32,
        /// In order.
        lines: Vec<LogLine>,
        /// Lines of the whole log so far.
        total_lines: u64,
        /// Bytes of the whole log so far.
        total_bytes: u64,
        /// Whether the log can grow.
        live: bool,
    }
    /// Matches in a log.
    LogMatches {
        /// The attempt that was searched.
        attempt: u32,
        /// The matching lines, in order.
        matches: Vec<LogLine>,
        /// How many lines match in all.
        total: u64,
        /// Lines of the whole log.
        total_lines: u64,
    }
    /// Questions.
    Approvals {
        /// Oldest first.
        approvals: Vec<Arc<Approval>>,
    }
    /// A question.
    ApprovalReply {
        /// As it is now.
        approval: Arc<Approval>,
    }
    /// Questions of agents.
    Permissions {
        /// Oldest first.
        permissions: Vec<Arc<Permission>>,
    }
    /// A question of an agent.
    PermissionReply {
        /// As it is now.
        permission: Arc<Permission>,
    }
    /// Events of a step's agent.
    TranscriptPage {
        /// In the order in which they happened.
        #[ts(type = "Array<SignalboxEvent>")] #[schemars(with = "Vec<Value>")] events: Vec<Box<RawValue>>,
        /// Whether there are older ones.
        more: bool,
    }
    /// Changes of a step.
    DiffReply {
        /// The attempt.
        attempt: u32,
        /// The commit they are compared with; absent: the step has no worktree.
        #[serde(default, skip_serializing_if = "Option::is_none")] base: Option<String>,
        /// By path.
        files: Vec<FileDiff>,
    }
    /// A part of a blob.
    BlobText {
        /// What is no UTF-8 is replaced.
        text: String,
        /// Bytes of the whole blob.
        bytes: u64,
        /// Where the next part begins; absent: this is the last.
        #[serde(default, skip_serializing_if = "Option::is_none")] next: Option<u64>,
    }
    /// A file of a step.
    FileText {
        /// Relative to the repository.
        path: String,
        /// Its text, at most 1 MiB; what is no UTF-8 is replaced. Absent: it is binary, or not there.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
        /// Bytes that it has.
        bytes: u64,
        /// It is no text.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        binary: bool,
        /// Only its beginning is here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        truncated: bool,
        /// It was there and is not any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        missing: bool,
        /// It was read from the folder that the step works in; false: that is gone, and this is from git.
        live: bool,
    }
    /// An agent of the catalogue.
    AgentInfo {
        /// Its id, as a workflow names it.
        id: String,
        /// What is shown.
        name: String,
        /// A script plays it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        rehearsal: bool,
        /// It comes from the settings.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        custom: bool,
        /// Whether it can be started.
        installed: bool,
        /// The program that is started.
        #[serde(default, skip_serializing_if = "Option::is_none")] program: Option<String>,
        /// Its version.
        #[serde(default, skip_serializing_if = "Option::is_none")] version: Option<String>,
        /// What is missing and how to get it.
        #[serde(default, skip_serializing_if = "Option::is_none")] missing: Option<String>,
        /// Whether it is signed in, as far as can be told without asking anybody, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")] sign_in: Option<String>,
        /// How to install it.
        #[serde(default, skip_serializing_if = "Option::is_none")] install: Option<String>,
        /// Its licence, in a few words.
        #[serde(default, skip_serializing_if = "Option::is_none")] licence: Option<String>,
    }
    /// Agents.
    Agents {
        /// Installed ones first, then by name.
        agents: Vec<AgentInfo>,
    }
    /// What an agent said of itself.
    AgentTested {
        /// Whether it answered as it should.
        ok: bool,
        /// Name and version, or what went wrong and what to do.
        message: String,
        /// How long it took to answer, in milliseconds.
        took_ms: u64,
    }
    /// What an agent used up on a day.
    DayUsage {
        /// When the day began (UTC). A use counts on the day on which its run was started.
        day: UnixMillis,
        /// The agent's id.
        agent: String,
        /// Attempts of steps.
        attempts: u32,
        /// Tokens and money.
        usage: Usage,
    }
    /// What agents used up.
    UsageReport {
        /// The newest day first, then by agent.
        days: Vec<DayUsage>,
    }
    /// Risks.
    Risks {
        /// Oldest first.
        risks: Vec<Risk>,
    }
    /// A risk.
    RiskReply {
        /// As it is now.
        risk: Risk,
    }
    /// A worktree.
    WorktreeInfo {
        /// Its branch.
        branch: String,
        /// Its folder.
        folder: String,
        /// The run it was made for, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")] run: Option<RunId>,
        /// Its run is not done.
        active: bool,
        /// Files in it that were changed and not committed.
        changes: u32,
        /// Commits on its branch that no other branch of the project has.
        commits: u32,
        /// The folder is gone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        missing: bool,
    }
    /// Work that was merged.
    WorktreeMerged {
        /// The branch it went into.
        into: String,
        /// The merge's commit; absent: all of it was there already.
        #[serde(default, skip_serializing_if = "Option::is_none")] commit: Option<String>,
        /// Files that it changed.
        files: u32,
    }
    /// Worktrees.
    Worktrees {
        /// By branch.
        worktrees: Vec<WorktreeInfo>,
    }
    /// An event was committed.
    Published {
        /// Its place.
        seq: u64,
        /// The same as a cursor.
        cursor: Cursor,
    }
    /// Events were committed, one behind the other.
    PublishedMany {
        /// The first one's place; the others follow it without a gap.
        first: u64,
        /// The last one's.
        last: u64,
        /// That as a cursor.
        cursor: Cursor,
    }
    /// A queue.
    QueueReply {
        /// As it is now.
        queue: QueueState,
    }
    /// Members.
    Members {
        /// By name.
        members: Vec<Member>,
    }
    /// A member.
    MemberReply {
        /// As it is now.
        member: Member,
    }
    /// A new token.
    TokenCreated {
        /// Shown once: it cannot be had again.
        token: String,
        /// Whose it is.
        member: Member,
    }
    /// A login code.
    LoginCode {
        /// Good once, for 60 s.
        code: String,
        /// Open this in a browser; absent while nothing listens.
        #[serde(default, skip_serializing_if = "Option::is_none")] url: Option<String>,
    }
    /// A connection.
    Connection {
        /// Its number.
        id: u64,
        /// Whose.
        member: MemberId,
        /// Their name.
        member_name: String,
        /// `ipc`, `websocket`, `websocket_naive` or `sse`.
        transport: String,
        /// Where from; absent for IPC.
        #[serde(default, skip_serializing_if = "Option::is_none")] address: Option<String>,
        /// The program.
        client: String,
        /// Since when.
        connected_at: UnixMillis,
        /// Which rooms.
        rooms: Vec<String>,
        /// Last measured round trip in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")] round_trip_ms: Option<f64>,
        /// Newest event sent.
        sent_seq: u64,
        /// How many events it is behind.
        lag: u64,
        /// About how many bytes it is behind: events that were not sent yet, and what its socket has not taken.
        #[serde(default)] #[ts(as = "Option<u64>")] lag_bytes: u64,
        /// Messages of presence and the like that were sent.
        #[serde(default)] #[ts(as = "Option<u64>")] ephemeral: u64,
        /// Those that were left out because the connection was slow: a newer one took their place, or there were too many.
        #[serde(default)] #[ts(as = "Option<u64>")] ephemeral_dropped: u64,
        /// Events sent.
        events: u64,
        /// Bytes sent.
        bytes: u64,
        /// How it joined: `resumed`, `snapshot`, or `reset` when what it held was no longer good.
        joined: String,
    }
    /// Connections.
    Connections {
        /// Oldest first.
        connections: Vec<Connection>,
    }
    /// How this host is shared.
    Sharing {
        /// `off`, `on`, or `failed`: it should be on, and `error` says why it is not.
        state: ShareState,
        /// Addresses by which others can reach it, the likeliest first. Empty unless it is on.
        urls: Vec<String>,
        /// Where the listener is bound.
        #[serde(default, skip_serializing_if = "Option::is_none")] address: Option<String>,
        /// SHA-256 of the certificate's public key (SubjectPublicKeyInfo), 64 hexadecimal digits: what links pin.
        #[serde(default, skip_serializing_if = "Option::is_none")] fingerprint: Option<String>,
        /// Whether the certificate is one of the owner's; else it was made here.
        #[serde(default, skip_serializing_if = "Option::is_none")] own_certificate: Option<bool>,
        /// Until when the certificate is good.
        #[serde(default, skip_serializing_if = "Option::is_none")] certificate_expires_at: Option<UnixMillis>,
        /// Since when it is on.
        #[serde(default, skip_serializing_if = "Option::is_none")] since: Option<UnixMillis>,
        /// Why it failed, and what to do.
        #[serde(default, skip_serializing_if = "Option::is_none")] error: Option<String>,
    }
    /// A new invitation. The code and what holds it are shown this once.
    InviteCreated {
        /// The invitation.
        invite: Invite,
        /// The code, for `POST /api/v1/join`.
        code: String,
        /// Opens the page that asks for a name; the likeliest of `links`.
        link: String,
        /// The same for each address of this host.
        links: Vec<String>,
        /// Opens the desktop app.
        app_link: String,
        /// `link` as a QR code, an SVG image.
        qr: String,
    }
    /// Invitations.
    Invites {
        /// The newest first.
        invites: Vec<Invite>,
    }
    /// An invitation.
    InviteReply {
        /// As it is now.
        invite: Invite,
    }
    /// Somebody did something.
    AuditEntry {
        /// Its number: later entries have larger ones.
        id: u64,
        /// When.
        at: UnixMillis,
        /// Who; absent for who was not recognised.
        #[serde(default, skip_serializing_if = "Option::is_none")] member: Option<MemberId>,
        /// Their name then.
        #[serde(default, skip_serializing_if = "Option::is_none")] name: Option<String>,
        /// The method, or `login`, `join`, `token.refused`.
        method: String,
        /// The project that it was done to.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
        /// What it was done to, such as `run=r_...`. Never a secret.
        #[serde(default, skip_serializing_if = "Option::is_none")] target: Option<String>,
        /// `ok`, or the error's code.
        outcome: String,
        /// Where from; absent for this machine's window.
        #[serde(default, skip_serializing_if = "Option::is_none")] address: Option<String>,
    }
    /// Some of the audit list.
    AuditPage {
        /// The newest first.
        entries: Vec<AuditEntry>,
        /// Whether there are older ones.
        more: bool,
    }
    /// A host on the local network. What it says of itself is not proven: only an invitation's link is.
    FoundHost {
        /// Its name.
        name: String,
        /// Addresses to try.
        urls: Vec<String>,
        /// The beginning of its fingerprint.
        fingerprint: String,
        /// Its version.
        version: String,
    }
    /// Hosts on the local network.
    FoundHosts {
        /// By name.
        hosts: Vec<FoundHost>,
    }
    /// The log, in figures.
    LogReport {
        /// Its identity.
        epoch: Epoch,
        /// The newest event.
        head: u64,
        /// The oldest event kept.
        oldest: u64,
        /// Size on disk in bytes.
        bytes: u64,
        /// `process` or `power`: what a committed event survives.
        durability: String,
        /// The version of the database's schema.
        schema: u32,
    }
    /// The host.
    SystemReport {
        /// `ok`, `degraded` or `down`: the worst of its services.
        status: Health,
        /// The host's version.
        version: String,
        /// Since when it runs.
        started_at: UnixMillis,
        /// Where its data lives; empty for members of some projects, as everything here that is not theirs.
        data_dir: String,
        /// The address it listens on; absent when it does not.
        #[serde(default, skip_serializing_if = "Option::is_none")] url: Option<String>,
        /// Each service.
        services: Vec<HealthCheck>,
        /// The log.
        log: LogReport,
        /// The machine, once measured.
        #[serde(default, skip_serializing_if = "Option::is_none")] system: Option<SystemStatus>,
        /// Connections of each transport.
        connections: u64,
        /// Runs that are not done.
        active_runs: u32,
        /// Steps that may run at once.
        slots: u32,
        /// The bounds of a connection.
        limits: Limits,
    }
    /// An HTTP path.
    Route {
        /// `GET`, `POST`.
        method: String,
        /// Its pattern.
        path: String,
        /// What it does.
        doc: String,
        /// The least role; absent: nobody needs a token.
        #[serde(default, skip_serializing_if = "Option::is_none")] role: Option<Role>,
    }
    /// HTTP paths and methods.
    Routes {
        /// Paths.
        routes: Vec<Route>,
        /// Methods with the least role for each.
        methods: Vec<Route>,
    }
    /// A step named with its run.
    StepRef {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
    }
}

/// Events, each exactly as subscribers receive it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct EventPage {
    /// In the order that the method promises.
    #[schemars(with = "Vec<Value>")]
    #[ts(type = "Array<SignalboxEvent>")]
    pub events: Vec<Box<RawValue>>,
    /// Go on from here.
    pub cursor: Cursor,
    /// Whether there are more.
    pub more: bool,
}

/// Whether a host is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ShareState {
    /// Only this machine reaches it.
    Off,
    /// Others reach it.
    On,
    /// It should be on and is not.
    Failed,
}
