//! The one list of methods.
//!
//! IPC, `call` frames, `POST /api/v1/call/<method>`, the CLI and the TypeScript client all come
//! from [`methods!`]: a method without a handler does not compile.

#[macro_use]
mod macros;
mod params;
mod reply;
mod team;

use std::{future::Future, sync::Arc};

use serde_json::value::RawValue;
use signalbox_model::{Actor, MemberId, ProjectId, Role, UnixMillis};

pub use params::*;
pub use reply::*;
pub use team::*;

use crate::{CallError, ErrorCode};

/// Events of one `event.publish_many` at most.
pub const PUBLISHED_AT_ONCE: usize = 1000;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Which member.
    pub member: MemberId,
    /// The name under which events show it.
    pub actor: Actor,
    /// What it may do.
    pub role: Role,
    /// Where; empty: everywhere.
    pub projects: Vec<ProjectId>,
    /// Idempotency key of this call.
    pub key: Option<String>,
    /// Where it calls from; none for the window of this machine.
    pub address: Option<Arc<str>>,
    /// Until when its token is good.
    pub expires_at: Option<UnixMillis>,
    /// How often rights had been changed on this host when the token was looked at.
    pub rights: u64,
}

impl Caller {
    /// Whether this member may see `project`.
    #[must_use]
    pub fn sees(&self, project: &ProjectId) -> bool {
        self.projects.is_empty() || self.projects.contains(project)
    }

    /// Refuses a project that this member may not see, in the words used for one that does not exist.
    ///
    /// # Errors
    /// `not_found`, so that nobody learns of other projects by asking.
    pub fn check_project(&self, project: &ProjectId) -> Result<(), CallError> {
        if self.sees(project) { Ok(()) } else { Err(CallError::not_found("project", project)) }
    }
}

/// What the list says of a method.
#[derive(Debug, Clone)]
pub struct MethodInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// The least role that may call it.
    pub role: Role,
    /// Whether it changes something: then a `key` makes it happen once.
    pub writes: bool,
    /// What it does, in a line.
    pub doc: &'static str,
    /// The TypeScript name of its parameters.
    pub params: fn(&ts_rs::Config) -> String,
    /// The TypeScript name of its reply.
    pub reply: fn(&ts_rs::Config) -> String,
    /// The JSON Schema of its parameters.
    pub params_schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// The JSON Schema of its reply.
    pub reply_schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

fn encode<T: serde::Serialize>(reply: &T) -> Result<Box<RawValue>, CallError> {
    serde_json::value::to_raw_value(reply)
        .map_err(|error| CallError::new(ErrorCode::Internal, format!("the reply could not be encoded: {error}")))
}

fn decode<'a, T: serde::Deserialize<'a>>(method: &str, params: Option<&'a RawValue>) -> Result<T, CallError> {
    let text = params.map_or("{}", RawValue::get);
    // A list would be taken for the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(CallError::bad_request(format!("params of {method}: an object is needed; nothing was done"))
            .hint(format!("see the schema at /api/v1/schemas/{method}.params.json")));
    }
    serde_json::from_str(text).map_err(|error| {
        CallError::bad_request(format!("params of {method}: {}; nothing was done", wrong::<T>(text, &error)))
            .hint(format!("see the schema at /api/v1/schemas/{method}.params.json"))
    })
}

/// What is wrong, and in which field. Where in the text means nothing to who gave an object to a client library. Parsed once more
/// for it: only who errs pays.
fn wrong<'a, T: serde::Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> String {
    let mut again = serde_json::Deserializer::from_str(text);
    let field = match serde_path_to_error::deserialize::<_, T>(&mut again) {
        Err(error) if error.path().iter().next().is_some() => format!("{}: ", error.path()),
        _ => String::new(),
    };
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    format!("{field}{}", said.strip_suffix(&place).unwrap_or(&said))
}

macro_rules! methods {
    ($( #[doc = $doc:literal] $handler:ident = $name:literal $role:ident $kind:ident ($params:ty) -> $reply:ty; )*) => {
        /// One function for each method. Implemented by the host.
        pub trait Handlers: Send + Sync {
            $(
                #[doc = $doc]
                fn $handler(&self, caller: &Caller, params: $params)
                    -> impl Future<Output = Result<$reply, CallError>> + Send;
            )*
        }

        /// Every method, in the order of the documentation.
        #[must_use]
        pub fn list() -> Vec<MethodInfo> {
            vec![$( MethodInfo {
                name: $name,
                role: Role::$role,
                writes: methods!(@writes $kind),
                doc: $doc.trim_ascii(),
                params: |cfg| <$params as ts_rs::TS>::name(cfg),
                reply: |cfg| <$reply as ts_rs::TS>::name(cfg),
                params_schema: |g| g.subschema_for::<$params>(),
                reply_schema: |g| g.subschema_for::<$reply>(),
            } ),*]
        }

        /// Visits the type of every parameter and reply.
        pub fn visit_types(visitor: &mut impl ts_rs::TypeVisitor) {
            $(
                visitor.visit::<$params>();
                visitor.visit::<$reply>();
            )*
        }

        /// The least role for a method, if there is such a method.
        #[must_use]
        pub fn role_of(method: &str) -> Option<Role> {
            match method { $( $name => Some(Role::$role), )* _ => None }
        }

        /// Whether a method changes something.
        #[must_use]
        pub fn writes(method: &str) -> bool {
            match method { $( $name => methods!(@writes $kind), )* _ => false }
        }

        /// Checks the role, decodes, calls the handler, encodes.
        ///
        /// # Errors
        /// `not_found` for an unknown method, `forbidden` for a role that is too low, `bad_request`
        /// for parameters that do not fit, and whatever the handler says.
        pub async fn dispatch<H: Handlers>(
            handlers: &H,
            caller: &Caller,
            method: &str,
            params: Option<&RawValue>,
        ) -> Result<Box<RawValue>, CallError> {
            let Some(least) = role_of(method) else {
                return Err(CallError::not_found("method", method).hint("GET /api/v1/openapi.json lists them"));
            };
            if caller.role < least {
                return Err(CallError::new(
                    ErrorCode::Forbidden,
                    format!("{method} needs the role {least:?}, this token has {:?}", caller.role).to_lowercase(),
                ));
            }
            match method {
                $( $name => {
                    let params: $params = decode(method, params)?;
                    // Boxed: forty handlers inline would make one future as large as the largest.
                    let reply = Box::pin(handlers.$handler(caller, params)).await?;
                    encode(&reply)
                } )*
                _ => unreachable!("role_of knows exactly these methods"),
            }
        }
    };
    (@writes read) => { false };
    (@writes write) => { true };
}

methods! {
    /// Opens a folder as a project, or gives the project that it already is.
    project_open = "project.open" Owner write (ProjectOpen) -> ProjectReply;
    /// Every project that the caller may see.
    project_list = "project.list" Viewer read (Nothing) -> ProjectList;
    /// One project.
    project_get = "project.get" Viewer read (ProjectRef) -> ProjectReply;
    /// Closes a project; its runs are kept.
    project_close = "project.close" Owner write (ProjectRef) -> ProjectReply;
    /// Trusts a project, or takes trust back: triggers and the programs that its settings name act only when trusted.
    project_trust = "project.trust" Owner write (ProjectTrust) -> ProjectReply;

    /// A project's workflows, the broken ones with what is wrong.
    workflow_list = "workflow.list" Viewer read (ProjectRef) -> WorkflowList;
    /// A workflow's text, its hash, its diagnostics and its graph.
    workflow_get = "workflow.get" Viewer read (WorkflowRef) -> WorkflowReply;
    /// Checks a workflow file or text without keeping anything.
    workflow_validate = "workflow.validate" Viewer read (WorkflowValidate) -> WorkflowReply;
    /// Writes a workflow file. `base_hash` is the hash of the text that was edited; `conflict` if the file changed since.
    workflow_save = "workflow.save" Operator write (WorkflowSave) -> WorkflowReply;

    /// Starts a run.
    run_start = "run.start" Operator write (RunStart) -> RunStarted;
    /// A run with its steps.
    run_get = "run.get" Viewer read (RunRef) -> RunReply;
    /// A project's runs, newest first, in pages.
    run_list = "run.list" Viewer read (RunList) -> RunPage;
    /// Cancels a run: asks its processes to end (SIGTERM), after 10 s kills them. `force` kills at once.
    run_cancel = "run.cancel" Operator write (RunCancel) -> RunReply;
    /// Pauses a run: what runs goes on, nothing new starts.
    run_pause = "run.pause" Operator write (RunRef) -> RunReply;
    /// Lets a paused run go on.
    run_resume = "run.resume" Operator write (RunRef) -> RunReply;
    /// Tries again: a step, a step and what follows, all that failed, or everything.
    run_retry = "run.retry" Operator write (RunRetry) -> RunReply;
    /// A page of a step's log.
    run_log = "run.log" Viewer read (RunLog) -> LogPage;
    /// The text of a blob, in pages: what was too large for an event.
    blob_text = "blob.text" Viewer read (BlobRead) -> BlobText;
    /// Searches the whole log of a step.
    run_log_search = "run.log_search" Viewer read (RunLogSearch) -> LogMatches;

    /// Questions that wait for a person, oldest first.
    approval_list = "approval.list" Viewer read (ApprovalList) -> Approvals;
    /// Answers a question. The first valid answer wins; `conflict` if it is settled.
    approval_answer = "approval.answer" Operator write (ApprovalAnswer) -> ApprovalReply;

    /// Questions of agents that wait for a person, oldest first.
    permission_list = "permission.list" Viewer read (PermissionList) -> Permissions;
    /// Answers an agent's question. The first valid answer wins; `conflict` if it is settled.
    permission_answer = "permission.answer" Operator write (PermissionAnswer) -> PermissionReply;

    /// Every event about a run, in its own room and in its project's, in order: what an export holds.
    run_events = "run.events" Viewer read (RunEvents) -> EventPage;
    /// What agents said and did in an attempt of a step: the newest events, in order.
    run_transcript = "run.transcript" Viewer read (RunTranscript) -> TranscriptPage;
    /// How files differ from the commit that a step began with.
    run_diff = "run.diff" Viewer read (RunDiff) -> DiffReply;
    /// A file as it is now where an agent works, or as the agent left it.
    run_file = "run.file" Viewer read (RunFile) -> FileText;

    /// Agents: which are installed, their version and sign-in, what is missing and how to get it.
    agent_list = "agent.list" Viewer read (AgentList) -> Agents;
    /// Starts an agent, asks it who it is, and ends it. Nothing is sent to a model.
    agent_test = "agent.test" Operator write (AgentRef) -> AgentTested;

    /// What agents used up, by day and agent, the newest day first.
    usage_report = "usage.report" Viewer read (UsageQuery) -> UsageReport;

    /// A project's risks that are not resolved, oldest first.
    risk_list = "risk.list" Viewer read (ProjectRef) -> Risks;
    /// Says that somebody knows of a risk.
    risk_acknowledge = "risk.acknowledge" Operator write (RiskRef) -> RiskReply;
    /// Says that a risk is over.
    risk_resolve = "risk.resolve" Operator write (RiskRef) -> RiskReply;

    /// Worktrees that Signalbox made in a project, and what each still holds.
    worktree_list = "worktree.list" Viewer read (ProjectRef) -> Worktrees;
    /// Merges the work of a worktree into the branch that is checked out. `conflict` if it does not fit: nothing is changed then.
    worktree_merge = "worktree.merge" Operator write (WorktreeRef) -> WorktreeMerged;
    /// Removes a worktree. Refused while it holds changes that are nowhere else, unless `discard` says so.
    worktree_remove = "worktree.remove" Owner write (WorktreeRemove) -> Worktrees;

    /// Posts an event of another program's type (`x_...`) to a project.
    event_publish = "event.publish" Operator write (EventPublish) -> Published;
    /// Posts up to 1,000 of them in one commit: all or none. Their places follow each other without a gap.
    event_publish_many = "event.publish_many" Operator write (EventPublishMany) -> PublishedMany;
    /// Events of some rooms in order, in pages.
    event_list = "event.list" Viewer read (EventList) -> EventPage;
    /// Full-text search over events, newest first.
    event_search = "event.search" Viewer read (EventSearch) -> EventPage;

    /// A project's queue.
    queue_get = "queue.get" Viewer read (ProjectRef) -> QueueReply;
    /// Moves a waiting run to another place.
    queue_move = "queue.move" Operator write (QueueMove) -> QueueReply;
    /// Stops taking runs from a project's queue.
    queue_pause = "queue.pause" Operator write (ProjectRef) -> QueueReply;
    /// Takes runs from it again.
    queue_resume = "queue.resume" Operator write (ProjectRef) -> QueueReply;

    /// Writes into a project's chat.
    chat_post = "chat.post" Operator write (ChatPost) -> ChatReply;
    /// Changes a message. Only who wrote it can.
    chat_edit = "chat.edit" Operator write (ChatEdit) -> ChatReply;
    /// Takes a message back. Only who wrote it, or an owner, can.
    chat_delete = "chat.delete" Operator write (ChatRef) -> ChatReply;
    /// A project's chat, in pages.
    chat_list = "chat.list" Viewer read (ChatList) -> ChatPage;
    /// Says how far the caller has read in a project. Never moves back.
    mark_set = "mark.set" Viewer write (MarkSet) -> MarkReply;
    /// What happened since the caller's mark that is for it, or that matters to everybody.
    away_list = "away.list" Viewer read (AwayList) -> Away;
    /// The caller's inbox, newest first.
    notice_list = "notice.list" Viewer read (NoticeList) -> Notices;
    /// Marks notices of the caller as read, on all of its devices.
    notice_read = "notice.read" Viewer write (NoticeRead) -> NoticesLeft;

    /// What the caller wants on every device, and when it is quiet.
    profile_get = "profile.get" Viewer read (Nothing) -> ProfileReply;
    /// Says when the caller is not to be disturbed.
    profile_update = "profile.update" Viewer write (ProfileUpdate) -> ProfileReply;

    /// Has a project's events posted to an address, at least once each and in order.
    webhook_create = "webhook.create" Owner write (WebhookCreate) -> WebhookCreated;
    /// A project's webhooks.
    webhook_list = "webhook.list" Operator read (ProjectRef) -> Webhooks;
    /// Deletes a webhook; what waits for it is not delivered.
    webhook_delete = "webhook.delete" Owner write (WebhookRef) -> WebhookReply;
    /// Posts a test to a webhook's address. A webhook that was disabled and takes it is active again.
    webhook_test = "webhook.test" Owner write (WebhookRef) -> WebhookTested;
    /// What became of a webhook's deliveries, newest first.
    webhook_deliveries = "webhook.deliveries" Operator read (WebhookDeliveries) -> Deliveries;

    /// Members: for owners those that they may change, for others those who may see one of their projects.
    member_list = "member.list" Viewer read (Nothing) -> Members;
    /// Makes a token for a new member. It is shown once and stored hashed.
    token_create = "token.create" Owner write (TokenCreate) -> TokenCreated;
    /// Revokes a member's token and closes its connections.
    token_revoke = "token.revoke" Owner write (MemberRef) -> MemberReply;
    /// Changes a member's name, role or projects. Its connections are closed at once, and come back with the new rights.
    member_update = "member.update" Owner write (MemberUpdate) -> MemberReply;
    /// Who did what, when and from where, the newest first.
    audit_list = "audit.list" Owner read (AuditList) -> AuditPage;
    /// Lets others reach this host, over TLS. It stays so, also after a restart, until `share.stop`.
    share_start = "share.start" Owner write (ShareStart) -> Sharing;
    /// Closes the way in for others; their connections end.
    share_stop = "share.stop" Owner write (Nothing) -> Sharing;
    /// Whether others can reach this host, and how.
    share_status = "share.status" Viewer read (Nothing) -> Sharing;
    /// Hosts that are announced in the local network. What they say of themselves is not proven.
    host_find = "host.find" Owner read (HostFind) -> FoundHosts;
    /// Makes an invitation. Its code is shown once and stored hashed.
    invite_create = "invite.create" Owner write (InviteCreate) -> InviteCreated;
    /// Invitations of the last 90 days, without their codes.
    invite_list = "invite.list" Owner read (Nothing) -> Invites;
    /// Takes an invitation back. Who joined with it stays.
    invite_revoke = "invite.revoke" Owner write (InviteRef) -> InviteReply;
    /// Makes a code with which a browser logs in once, within a minute, as the caller.
    login_code_create = "login_code.create" Viewer write (Nothing) -> LoginCode;
    /// The secrets that a project's workflows ask for, and where each comes from. Never a value.
    secret_list = "secret.list" Operator read (ProjectRef) -> Secrets;
    /// Puts a secret of a project into the keychain of the host's machine.
    secret_set = "secret.set" Owner write (SecretSet) -> Nothing;
    /// Takes a secret of a project out of the keychain.
    secret_remove = "secret.remove" Owner write (SecretRef) -> SecretRemoved;

    /// Who is connected, and how well.
    connection_list = "connection.list" Viewer read (Nothing) -> Connections;
    /// Closes a connection for good.
    connection_close = "connection.close" Owner write (ConnectionRef) -> Nothing;

    /// The host's state: version, log, engine, disk, limits.
    system_status = "system.status" Viewer read (Nothing) -> SystemReport;
    /// Every HTTP path and method.
    system_routes = "system.routes" Viewer read (Nothing) -> Routes;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let params = RawValue::from_string(text.to_owned()).unwrap();
        decode::<EventPublishMany>("event.publish_many", Some(&params)).unwrap_err().message
    }

    #[test]
    fn what_is_wrong_with_parameters_is_said_with_its_field() {
        let said_of =
            |fields: &str| said(&format!(r#"{{"project":"p","events":[{{"type":"x_a","data":1}},{{{fields}}}]}}"#));
        assert_eq!(
            said_of(r#""type":5,"data":1"#),
            "params of event.publish_many: events[1].type: invalid type: integer `5`, expected a string; nothing was done"
        );
        assert!(said_of(r#""type":"x_a","dota":1"#).contains("events[1].dota: unknown field `dota`"));
        assert_eq!(said("{}"), "params of event.publish_many: missing field `project`; nothing was done");
        assert_eq!(said("[]"), "params of event.publish_many: an object is needed; nothing was done");
    }
}
