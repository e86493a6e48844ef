//! The methods. Each reads like its description in the list of methods.

use std::{collections::HashMap, path::Path, sync::Arc};

use signalbox_engine::{Input, NewRun, Scope};
use signalbox_model::{RiskState, RunId, RunStatus, StepKey};
use signalbox_store::{KeyClaim, Reader, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode, Handlers,
    method::{self, *},
};
use signalbox_workflow::{ProjectContext, plan::resolve};

use crate::{Host, host::store_error, ids, plan, runtime::Applied, secrets, sharing::check_everywhere, workflows};

pub(crate) type Reply<T> = Result<T, CallError>;

impl Host {
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Reply<T> {
        self.inner.store.read(read).map_err(store_error)
    }

    /// A run that the caller may see.
    pub(crate) fn visible_run(&self, caller: &Caller, id: &RunId) -> Reply<Arc<signalbox_model::Run>> {
        let run = self.read(|reader| reader.run(id))?.filter(|run| caller.sees(&run.project));
        run.ok_or_else(|| CallError::not_found("run", id))
    }

    pub(crate) fn run_reply(&self, id: &RunId) -> Reply<RunReply> {
        self.read(|reader| {
            let run = reader.run(id)?.ok_or_else(|| StoreError::NotFound(format!("run {id}")))?;
            Ok(RunReply { run, steps: reader.steps(id)? })
        })
    }

    /// Applies an input of the engine and gives the run as it is then.
    async fn change_run(&self, caller: &Caller, run: &RunId, input: Input) -> Reply<RunReply> {
        self.visible_run(caller, run)?;
        self.inner.engine.apply(input, None, None).await?;
        self.run_reply(run)
    }

    /// Starts a run of a workflow that was read.
    pub(crate) async fn start_run(
        &self,
        caller: &Caller,
        project: &signalbox_model::Project,
        workflow: &workflows::Workflow,
        inputs: indexmap::IndexMap<String, serde_json::Value>,
        reuse: HashMap<String, Arc<signalbox_model::Step>>,
    ) -> Reply<RunStarted> {
        let Some(definition) = workflow.definition.as_ref().filter(|_| workflow.is_valid()) else {
            return Err(workflow.refusal());
        };
        let context =
            ProjectContext { id: project.id.to_string(), name: project.name.clone(), path: project.path.clone() };
        let plan = resolve(definition, &inputs, &context).map_err(|error| {
            CallError::bad_request(error.to_string()).details(serde_json::json!({ "problems": error.0 }))
        })?;
        let content =
            serde_json::to_vec(&plan).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))?;
        let blobs = self.inner.store.blobs().clone();
        let blob = tokio::task::spawn_blocking(move || blobs.put(&content, "application/json"))
            .await
            .map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping; nothing was started"))?
            .map_err(|error| {
                CallError::new(
                    ErrorCode::Unavailable,
                    format!("the run's plan could not be stored: {error}; nothing was started"),
                )
            })?;
        let _one_at_a_time = self.inner.numbers.lock().await;
        let number = self.read(|reader| reader.last_run_number(&project.id))? + 1;
        let id = ids::run(self.inner.clock.now());
        let started = RunStarted { run: id.clone(), number, cursor: self.inner.store.cursor() };
        let key = caller.key.clone().map(|key| {
            let reply = serde_json::to_string(&started).unwrap_or_default();
            KeyClaim { member: caller.member.clone(), key, reply: Box::new(move |_| reply) }
        });
        let new = NewRun {
            id,
            number,
            project: project.id.clone(),
            workflow: workflow.name.clone(),
            file: workflow.file.clone(),
            plan: Arc::new(plan::engine_plan(&plan)),
            plan_key: blob.hash,
            inputs: plan.inputs.clone(),
            goal: plan.goal.as_ref().map(|goal| goal.statement.clone()),
            actor: caller.actor.clone(),
            member: Some(caller.member.clone()),
            group: plan::group(&plan),
            reuse,
        };
        match self.inner.engine.apply(Input::Submit(Box::new(new)), Some(Arc::new(plan)), key).await? {
            Applied::Now => Ok(started),
            Applied::Before(reply) => {
                serde_json::from_str(&reply).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
            }
        }
    }

    pub(crate) fn known_step(&self, run: &RunId, step: &StepKey) -> Reply<Arc<signalbox_model::Step>> {
        let found = self.read(|reader| reader.steps(run))?.into_iter().find(|known| known.key == *step);
        found.ok_or_else(|| CallError::not_found("step", step))
    }

    async fn change_queue(
        &self,
        caller: &Caller,
        project: &signalbox_model::ProjectId,
        input: Input,
    ) -> Reply<QueueReply> {
        self.project(caller, project)?;
        self.inner.engine.apply(input, None, None).await?;
        Ok(QueueReply { queue: self.read(|reader| reader.queue(project))? })
    }
}

pub(crate) fn bounded(limit: Option<u32>, default: u32, most: u32) -> Reply<usize> {
    match limit.unwrap_or(default) {
        limit if (1..=most).contains(&limit) => Ok(limit as usize),
        limit => Err(CallError::bad_request(format!("limit is {limit}, it must be 1 to {most}"))),
    }
}

/// A number to compare with stored ones. SQLite's end at 2^63-1 and refuse what is beyond, so for these the largest does
/// as well: no event, run or line has it.
pub(crate) fn stored(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}

pub(crate) fn raw(frame: &signalbox_store::Frame) -> Reply<Box<serde_json::value::RawValue>> {
    let text = String::from_utf8_lossy(&frame.json).into_owned();
    serde_json::value::RawValue::from_string(text)
        .map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
}

impl Handlers for Host {
    async fn project_open(&self, caller: &Caller, params: ProjectOpen) -> Reply<ProjectReply> {
        check_everywhere(caller)?;
        Ok(Self::project_reply(self.open_project(caller, &params.path, params.trust).await?))
    }

    async fn project_list(&self, caller: &Caller, _: Nothing) -> Reply<ProjectList> {
        let mut projects = self.read(|reader| reader.projects())?;
        projects.retain(|project| caller.sees(&project.id));
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(ProjectList { projects })
    }

    async fn project_get(&self, caller: &Caller, params: ProjectRef) -> Reply<ProjectReply> {
        Ok(Self::project_reply(Arc::unwrap_or_clone(self.project(caller, &params.project)?)))
    }

    async fn project_close(&self, caller: &Caller, params: ProjectRef) -> Reply<ProjectReply> {
        let project = self.project(caller, &params.project)?;
        let active = self.read(|reader| reader.active_runs(Some(&project.id)))?;
        if let Some(run) = active.first() {
            return Err(CallError::conflict(format!("{} #{} is not done", run.workflow, run.number))
                .hint("wait for it, or cancel it first"));
        }
        let closed = signalbox_model::Project { open: false, ..Arc::unwrap_or_clone(project) };
        Ok(Self::project_reply(self.put_project(caller, closed).await?))
    }

    async fn project_trust(&self, caller: &Caller, params: ProjectTrust) -> Reply<ProjectReply> {
        let project = self.project(caller, &params.project)?;
        if project.trusted == params.trusted {
            return Ok(Self::project_reply(Arc::unwrap_or_clone(project)));
        }
        let changed = signalbox_model::Project { trusted: params.trusted, ..Arc::unwrap_or_clone(project) };
        Ok(Self::project_reply(self.put_project(caller, changed).await?))
    }

    async fn workflow_list(&self, caller: &Caller, params: ProjectRef) -> Reply<WorkflowList> {
        let project = self.project(caller, &params.project)?;
        let can = self.capabilities().await;
        let workflows = tokio::task::spawn_blocking(move || {
            workflows::list(Path::new(&project.path), &can).iter().map(workflows::Workflow::summary).collect()
        });
        Ok(WorkflowList { workflows: workflows.await.unwrap_or_default() })
    }

    async fn workflow_get(&self, caller: &Caller, params: WorkflowRef) -> Reply<WorkflowReply> {
        let project = self.present_project(caller, &params.project)?;
        Ok(workflows::find(&project, &params.workflow, &self.capabilities().await)?.reply())
    }

    async fn workflow_validate(&self, caller: &Caller, params: WorkflowValidate) -> Reply<WorkflowReply> {
        let project = self.project(caller, &params.project)?;
        let can = self.capabilities().await;
        match (params.path, params.text) {
            (Some(path), None) => Ok(workflows::find(&project, &path, &can)?.reply()),
            (None, Some(text)) => Ok(workflows::read_text("text".into(), None, text, &can).reply()),
            _ => Err(CallError::bad_request("give either path or text")),
        }
    }

    async fn workflow_save(&self, caller: &Caller, params: WorkflowSave) -> Reply<WorkflowReply> {
        let project = self.present_project(caller, &params.project)?;
        let can = self.capabilities().await;
        let (id, name) = (params.project.clone(), params.workflow.clone());
        let saved = tokio::task::spawn_blocking(move || {
            workflows::save(&project, &params.workflow, &params.text, params.base_hash.as_deref(), &can)
                .map(|workflow| workflow.reply())
        });
        let saved = saved.await.unwrap_or_else(|_| {
            Err(CallError::new(ErrorCode::Unavailable, "the host is stopping; nothing was written"))
        })?;
        self.tell_saved(caller, id, name, &saved.hash).await;
        Ok(saved)
    }

    async fn run_start(&self, caller: &Caller, params: RunStart) -> Reply<RunStarted> {
        let project = self.present_project(caller, &params.project)?;
        let workflow = workflows::find(&project, &params.workflow, &self.capabilities().await)?;
        self.start_run(caller, &project, &workflow, params.inputs, HashMap::new()).await
    }

    async fn run_get(&self, caller: &Caller, params: RunRef) -> Reply<RunReply> {
        self.visible_run(caller, &params.run)?;
        self.run_reply(&params.run)
    }

    async fn run_list(&self, caller: &Caller, params: RunList) -> Reply<RunPage> {
        self.project(caller, &params.project)?;
        let limit = bounded(params.limit, 50, 200)?;
        let mut runs =
            self.read(|reader| reader.runs(&params.project, params.before.map(stored), params.status, limit + 1))?;
        let more = runs.len() > limit;
        runs.truncate(limit);
        Ok(RunPage { runs, more })
    }

    async fn run_cancel(&self, caller: &Caller, params: RunCancel) -> Reply<RunReply> {
        let input = Input::Cancel {
            run: params.run.clone(),
            actor: caller.actor.clone(),
            force: params.force.unwrap_or(false),
        };
        let run = self.visible_run(caller, &params.run)?;
        if run.status == RunStatus::Done {
            return Err(CallError::conflict(format!("run #{} has ended already", run.number)));
        }
        self.change_run(caller, &params.run, input).await
    }

    async fn run_pause(&self, caller: &Caller, params: RunRef) -> Reply<RunReply> {
        let input = Input::Pause { run: params.run.clone(), actor: caller.actor.clone() };
        self.change_run(caller, &params.run, input).await
    }

    async fn run_resume(&self, caller: &Caller, params: RunRef) -> Reply<RunReply> {
        let input = Input::Resume { run: params.run.clone(), actor: caller.actor.clone() };
        self.change_run(caller, &params.run, input).await
    }

    async fn run_retry(&self, caller: &Caller, params: RunRetry) -> Reply<RunReply> {
        let run = self.visible_run(caller, &params.run)?;
        let index = match &params.step {
            Some(step) => Some(self.known_step(&params.run, step)?.index),
            None => None,
        };
        let named = || index.ok_or_else(|| CallError::bad_request("this scope needs a step"));
        let scope = match params.scope {
            RetryScope::Step => Scope::Step(named()?),
            RetryScope::From => Scope::From(named()?),
            RetryScope::Failed => Scope::Failed,
            RetryScope::All => Scope::All,
        };
        if params.definition == Some(RetryDefinition::Latest) {
            return self.retry_latest(caller, &run, params.scope, params.step.as_ref()).await;
        }
        self.change_run(
            caller,
            &params.run,
            Input::Retry { run: params.run.clone(), scope, actor: caller.actor.clone() },
        )
        .await
    }

    async fn run_log(&self, caller: &Caller, params: RunLog) -> Reply<LogPage> {
        self.log_page(caller, params).await
    }

    async fn blob_text(&self, caller: &Caller, params: BlobRead) -> Reply<BlobText> {
        self.blob_page(caller, params).await
    }

    async fn run_log_search(&self, caller: &Caller, params: RunLogSearch) -> Reply<LogMatches> {
        self.search_log(caller, params).await
    }

    async fn approval_list(&self, caller: &Caller, params: ApprovalList) -> Reply<Approvals> {
        let all = params.all.unwrap_or(false);
        let mut approvals =
            self.read(|reader| if all { reader.all_approvals(200) } else { reader.open_approvals() })?;
        approvals
            .retain(|a| caller.sees(&a.project) && params.project.as_ref().is_none_or(|project| a.project == *project));
        Ok(Approvals { approvals })
    }

    async fn approval_answer(&self, caller: &Caller, params: ApprovalAnswer) -> Reply<ApprovalReply> {
        let find = |host: &Self| host.read(|reader| reader.approval(&params.approval));
        let known = find(self)?.filter(|approval| caller.sees(&approval.project));
        let known = known.ok_or_else(|| CallError::not_found("question", &params.approval))?;
        let input = Input::Answer {
            approval: params.approval.clone(),
            decision: params.decision,
            form: params.form.clone(),
            actor: caller.actor.clone(),
            member: Some(caller.member.clone()),
            role: caller.role,
        };
        match self.inner.engine.apply(input, None, None).await {
            Ok(_) => {}
            // The run has ended and was forgotten: the log still knows how the question was settled.
            Err(error) if error.code == ErrorCode::NotFound => {
                let same = known.answers.iter().any(|a| {
                    // Answers of before members were noted have a name only.
                    let same = a.member.as_ref().map_or(a.actor == caller.actor, |member| *member == caller.member);
                    same && a.decision == params.decision && a.form == params.form
                });
                if !same {
                    return Err(CallError::conflict("this question is settled")
                        .details(serde_json::json!({ "approval": known })));
                }
            }
            Err(error) => return Err(error),
        }
        find(self)?
            .map(|approval| ApprovalReply { approval })
            .ok_or_else(|| CallError::not_found("question", &params.approval))
    }

    async fn permission_list(&self, caller: &Caller, params: PermissionList) -> Reply<Permissions> {
        self.list_permissions(caller, &params)
    }

    async fn permission_answer(&self, caller: &Caller, params: PermissionAnswer) -> Reply<PermissionReply> {
        self.answer_permission(caller, params).await
    }

    async fn run_events(&self, caller: &Caller, params: RunEvents) -> Reply<EventPage> {
        self.events_of_run(caller, params).await
    }

    async fn run_transcript(&self, caller: &Caller, params: RunTranscript) -> Reply<TranscriptPage> {
        self.transcript_page(caller, &params)
    }

    async fn run_diff(&self, caller: &Caller, params: RunDiff) -> Reply<DiffReply> {
        self.diff_reply(caller, &params)
    }

    async fn run_file(&self, caller: &Caller, params: RunFile) -> Reply<FileText> {
        self.file_text(caller, params).await
    }

    async fn agent_list(&self, _: &Caller, params: AgentList) -> Reply<Agents> {
        Ok(self.list_agents(params.refresh.unwrap_or(false)).await)
    }

    async fn agent_test(&self, _: &Caller, params: AgentRef) -> Reply<AgentTested> {
        self.test_agent(&params.agent).await
    }

    async fn usage_report(&self, caller: &Caller, params: UsageQuery) -> Reply<UsageReport> {
        self.report_usage(caller, &params)
    }

    async fn risk_list(&self, caller: &Caller, params: ProjectRef) -> Reply<Risks> {
        self.project(caller, &params.project)?;
        Ok(Risks { risks: self.read(|reader| reader.open_risks(&params.project))? })
    }

    async fn risk_acknowledge(&self, caller: &Caller, params: RiskRef) -> Reply<RiskReply> {
        self.change_risk(caller, &params, RiskState::Acknowledged).await
    }

    async fn risk_resolve(&self, caller: &Caller, params: RiskRef) -> Reply<RiskReply> {
        self.change_risk(caller, &params, RiskState::Resolved).await
    }

    async fn worktree_list(&self, caller: &Caller, params: ProjectRef) -> Reply<Worktrees> {
        self.list_worktrees(caller, &params.project).await
    }

    async fn worktree_merge(&self, caller: &Caller, params: WorktreeRef) -> Reply<WorktreeMerged> {
        self.merge_worktree(caller, &params).await
    }

    async fn worktree_remove(&self, caller: &Caller, params: WorktreeRemove) -> Reply<Worktrees> {
        self.remove_worktree(caller, params).await
    }

    fn event_publish(&self, caller: &Caller, params: EventPublish) -> impl Future<Output = Reply<Published>> + Send {
        self.publish_event(caller, params)
    }

    fn event_publish_many(
        &self,
        caller: &Caller,
        params: EventPublishMany,
    ) -> impl Future<Output = Reply<PublishedMany>> + Send {
        self.publish_events(caller, params)
    }

    async fn event_list(&self, caller: &Caller, params: EventList) -> Reply<EventPage> {
        self.list_events(caller, params).await
    }

    async fn event_search(&self, caller: &Caller, params: EventSearch) -> Reply<EventPage> {
        self.search_events(caller, params).await
    }

    async fn queue_get(&self, caller: &Caller, params: ProjectRef) -> Reply<QueueReply> {
        self.project(caller, &params.project)?;
        Ok(QueueReply { queue: self.read(|reader| reader.queue(&params.project))? })
    }

    async fn queue_move(&self, caller: &Caller, params: QueueMove) -> Reply<QueueReply> {
        let run = self.visible_run(caller, &params.run)?;
        self.change_queue(caller, &run.project, Input::QueueMove { run: params.run, position: params.position }).await
    }

    async fn queue_pause(&self, caller: &Caller, params: ProjectRef) -> Reply<QueueReply> {
        let input = Input::QueuePause { project: params.project.clone(), paused: true };
        self.change_queue(caller, &params.project, input).await
    }

    async fn queue_resume(&self, caller: &Caller, params: ProjectRef) -> Reply<QueueReply> {
        let input = Input::QueuePause { project: params.project.clone(), paused: false };
        self.change_queue(caller, &params.project, input).await
    }

    async fn chat_post(&self, caller: &Caller, params: ChatPost) -> Reply<ChatReply> {
        self.post_chat(caller, params).await
    }

    async fn chat_edit(&self, caller: &Caller, params: ChatEdit) -> Reply<ChatReply> {
        self.edit_chat(caller, params).await
    }

    async fn chat_delete(&self, caller: &Caller, params: ChatRef) -> Reply<ChatReply> {
        self.delete_chat(caller, params).await
    }

    async fn chat_list(&self, caller: &Caller, params: ChatList) -> Reply<ChatPage> {
        self.list_chat(caller, &params)
    }

    async fn mark_set(&self, caller: &Caller, params: MarkSet) -> Reply<MarkReply> {
        self.set_mark(caller, params).await
    }

    async fn profile_get(&self, caller: &Caller, _: Nothing) -> Reply<ProfileReply> {
        self.get_profile(caller)
    }

    async fn profile_update(&self, caller: &Caller, params: ProfileUpdate) -> Reply<ProfileReply> {
        self.update_profile(caller, params).await
    }

    async fn away_list(&self, caller: &Caller, params: AwayList) -> Reply<Away> {
        self.list_away(caller, params).await
    }

    async fn notice_list(&self, caller: &Caller, params: NoticeList) -> Reply<Notices> {
        self.list_notices(caller, &params)
    }

    async fn notice_read(&self, caller: &Caller, params: NoticeRead) -> Reply<NoticesLeft> {
        self.read_notices(caller, params).await
    }

    async fn webhook_create(&self, caller: &Caller, params: WebhookCreate) -> Reply<WebhookCreated> {
        self.create_webhook(caller, params).await
    }

    async fn webhook_list(&self, caller: &Caller, params: ProjectRef) -> Reply<Webhooks> {
        self.list_webhooks(caller, &params)
    }

    async fn webhook_delete(&self, caller: &Caller, params: WebhookRef) -> Reply<WebhookReply> {
        self.delete_webhook(caller, &params).await
    }

    async fn webhook_test(&self, caller: &Caller, params: WebhookRef) -> Reply<WebhookTested> {
        self.test_webhook(caller, &params).await
    }

    async fn webhook_deliveries(&self, caller: &Caller, params: WebhookDeliveries) -> Reply<Deliveries> {
        self.list_deliveries(caller, &params)
    }

    async fn member_list(&self, caller: &Caller, _: Nothing) -> Reply<Members> {
        self.list_members(caller)
    }

    async fn token_create(&self, caller: &Caller, params: TokenCreate) -> Reply<TokenCreated> {
        self.create_token(caller, params).await
    }

    async fn token_revoke(&self, caller: &Caller, params: MemberRef) -> Reply<MemberReply> {
        self.revoke_member(caller, &params.member).await
    }

    async fn member_update(&self, caller: &Caller, params: MemberUpdate) -> Reply<MemberReply> {
        self.update_member(caller, params).await
    }

    async fn audit_list(&self, caller: &Caller, params: AuditList) -> Reply<AuditPage> {
        self.list_audit(caller, &params)
    }

    async fn share_start(&self, caller: &Caller, params: ShareStart) -> Reply<Sharing> {
        self.start_sharing(caller, params).await
    }

    async fn share_stop(&self, caller: &Caller, _: Nothing) -> Reply<Sharing> {
        self.stop_sharing(caller).await
    }

    async fn share_status(&self, _: &Caller, _: Nothing) -> Reply<Sharing> {
        Ok(self.share_reply())
    }

    async fn host_find(&self, _: &Caller, params: HostFind) -> Reply<FoundHosts> {
        crate::discovery::find(&params).await
    }

    async fn invite_create(&self, caller: &Caller, params: InviteCreate) -> Reply<InviteCreated> {
        self.create_invite(caller, params).await
    }

    async fn invite_list(&self, caller: &Caller, _: Nothing) -> Reply<Invites> {
        self.list_invites(caller)
    }

    async fn invite_revoke(&self, caller: &Caller, params: InviteRef) -> Reply<InviteReply> {
        self.revoke_invite(caller, params).await
    }

    async fn login_code_create(&self, caller: &Caller, _: Nothing) -> Reply<LoginCode> {
        let code = self.inner.codes.create(caller.member.clone(), self.inner.clock.now());
        let url = self.url().map(|url| format!("{url}/#code={code}"));
        Ok(LoginCode { code, url })
    }

    async fn secret_list(&self, caller: &Caller, params: ProjectRef) -> Reply<Secrets> {
        Ok(secrets::list(&self.project(caller, &params.project)?.path).await)
    }

    async fn secret_set(&self, caller: &Caller, params: SecretSet) -> Reply<Nothing> {
        let project = self.project(caller, &params.project)?;
        secrets::set(&project.path, &params.name, params.value).await?;
        Ok(Nothing {})
    }

    async fn secret_remove(&self, caller: &Caller, params: SecretRef) -> Reply<SecretRemoved> {
        let project = self.project(caller, &params.project)?;
        Ok(SecretRemoved { removed: secrets::remove(&project.path, &params.name).await? })
    }

    async fn connection_list(&self, caller: &Caller, _: Nothing) -> Reply<Connections> {
        self.measure_lag();
        let seen = |connection: &signalbox_stream::Connection| {
            caller.projects.is_empty() || connection.who.member == caller.member
        };
        Ok(Connections { connections: self.inner.connections.report(usize::MAX, seen) })
    }

    async fn connection_close(&self, caller: &Caller, params: ConnectionRef) -> Reply<Nothing> {
        self.close_connection(caller, &params)
    }

    async fn system_status(&self, caller: &Caller, _: Nothing) -> Reply<SystemReport> {
        self.report(caller).await
    }

    async fn system_routes(&self, _: &Caller, _: Nothing) -> Reply<Routes> {
        let routes =
            signalbox_wire::document::ROUTES.iter().map(signalbox_wire::document::HttpRoute::to_route).collect();
        let methods = method::list()
            .into_iter()
            .map(|info| Route {
                method: "call".into(),
                path: info.name.into(),
                doc: info.doc.into(),
                role: Some(info.role),
            })
            .collect();
        Ok(Routes { routes, methods })
    }
}
