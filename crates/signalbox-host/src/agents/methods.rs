//! The methods that are about agents.

use std::{path::PathBuf, sync::Arc};

use signalbox_model::{EventData, NewEvent, ProjectId, RiskState, Room, RunId, StepKey, Usage};
use signalbox_store::Batch;
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{
        DayUsage, DiffReply, PermissionAnswer, PermissionList, PermissionReply, Permissions, RiskRef, RiskReply,
        RunDiff, RunTranscript, TranscriptPage, UsageQuery, UsageReport, WorktreeInfo, WorktreeMerged, WorktreeRef,
        WorktreeRemove, Worktrees,
    },
};

use crate::{
    AgentTools, Host,
    handlers::{Reply, bounded, raw, stored},
    host::store_error,
};

impl Host {
    /// The tools of the agent that has this token.
    #[must_use]
    pub fn agent_tools(&self, token: &str) -> Option<Arc<AgentTools>> {
        self.inner.services.tokens.find(token)
    }

    pub(crate) fn list_permissions(&self, caller: &Caller, params: &PermissionList) -> Reply<Permissions> {
        let mut permissions = self.read(|reader| reader.open_permissions())?;
        permissions.retain(|open| {
            caller.sees(&open.project) && params.project.as_ref().is_none_or(|project| open.project == *project)
        });
        Ok(Permissions { permissions })
    }

    pub(crate) async fn answer_permission(&self, caller: &Caller, params: PermissionAnswer) -> Reply<PermissionReply> {
        let PermissionAnswer { permission, option, text } = params;
        let permission = self.inner.asks.answer(caller, &permission, option, text).await?;
        Ok(PermissionReply { permission })
    }

    pub(crate) fn transcript_page(&self, caller: &Caller, params: &RunTranscript) -> Reply<TranscriptPage> {
        self.visible_run(caller, &params.run)?;
        self.known_step(&params.run, &params.step)?;
        let limit = bounded(params.limit, 500, 2_000)?;
        let before = params.before.map_or(u64::MAX, stored);
        let mut frames = self.read(|reader| reader.transcript(&params.run, Some(&params.step), before, limit + 1))?;
        let more = frames.len() > limit;
        if more {
            frames.remove(0);
        }
        Ok(TranscriptPage { events: frames.iter().map(|frame| raw(frame)).collect::<Result<_, _>>()?, more })
    }

    pub(crate) fn diff_reply(&self, caller: &Caller, params: &RunDiff) -> Reply<DiffReply> {
        self.visible_run(caller, &params.run)?;
        let step = self.known_step(&params.run, &params.step)?;
        let newest = u32::try_from(step.attempts.len()).unwrap_or(u32::MAX);
        let attempt = params.attempt.unwrap_or(newest);
        let sessions = self.read(|reader| reader.agent_sessions(&params.run))?;
        let of_attempt = |step: &StepKey, number: u32| *step == params.step && number == attempt;
        let base = sessions.into_iter().find(|session| of_attempt(&session.step, session.attempt));
        let files = self.read(|reader| reader.file_diffs(&params.run, &params.step, attempt))?;
        Ok(DiffReply { attempt, base: base.and_then(|session| session.base), files })
    }

    pub(crate) async fn change_risk(&self, caller: &Caller, params: &RiskRef, state: RiskState) -> Reply<RiskReply> {
        self.project(caller, &params.project)?;
        let known = self.read(|reader| reader.risk(&params.project, &params.risk))?;
        let mut risk = known.ok_or_else(|| CallError::not_found("risk", &params.risk))?;
        if risk.state == state {
            return Ok(RiskReply { risk });
        }
        if risk.state == RiskState::Resolved {
            return Err(CallError::conflict("this risk is resolved already"));
        }
        risk.state = state;
        risk.by = Some(caller.actor.clone());
        let data = EventData::RiskAlert(risk.clone());
        let event = NewEvent::new(Room::Project(params.project.clone()), caller.actor.clone(), data);
        self.inner.store.append(Batch::of(vec![event])).await.map_err(store_error)?;
        Ok(RiskReply { risk })
    }

    pub(crate) async fn list_worktrees(&self, caller: &Caller, project: &ProjectId) -> Reply<Worktrees> {
        let folder = PathBuf::from(&self.project(caller, project)?.path);
        let services = Arc::clone(&self.inner.services);
        let found = tokio::task::spawn_blocking(move || services.worktrees.list(&folder)).await;
        let found = found.map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping"))?;
        let found = found.map_err(|why| CallError::new(ErrorCode::Unavailable, why))?;
        let active = self.read(|reader| reader.active_runs(Some(project)))?;
        let mut worktrees: Vec<WorktreeInfo> = found
            .into_iter()
            .map(|info| {
                let branch = info.branch.unwrap_or_default();
                let run = branch.split('/').nth(1).and_then(|id| RunId::new(id).ok());
                WorktreeInfo {
                    active: run.as_ref().is_some_and(|run| active.iter().any(|active| active.id == *run)),
                    run,
                    branch,
                    folder: info.folder.to_string_lossy().into_owned(),
                    changes: info.dirty.map_or(0, |files| u32::try_from(files.len()).unwrap_or(u32::MAX)),
                    commits: u32::try_from(info.unmerged).unwrap_or(u32::MAX),
                    missing: info.missing,
                }
            })
            .collect();
        worktrees.sort_by(|a, b| a.branch.cmp(&b.branch));
        Ok(Worktrees { worktrees })
    }

    pub(crate) async fn remove_worktree(&self, caller: &Caller, params: WorktreeRemove) -> Reply<Worktrees> {
        let WorktreeRemove { project, branch, discard } = params;
        let known = self.list_worktrees(caller, &project).await?;
        let known = known.worktrees.into_iter().find(|known| known.branch == branch);
        let known = known.ok_or_else(|| CallError::not_found("worktree", &branch))?;
        let discard = discard.unwrap_or(false);
        if known.active {
            return Err(CallError::conflict("its run is not done").hint("wait for it, or cancel it first"));
        }
        if (known.changes > 0 || known.commits > 0) && !discard {
            let holds = format!("{} changed files and {} commits that are nowhere else", known.changes, known.commits);
            let hint = "merge its branch, or remove it with `discard`: then they are lost";
            return Err(CallError::conflict(format!("it holds {holds}")).hint(hint));
        }
        let folder = PathBuf::from(&self.project(caller, &project)?.path);
        let services = Arc::clone(&self.inner.services);
        let removed = tokio::task::spawn_blocking(move || services.worktrees.remove(&folder, &known.folder, discard));
        let removed = removed.await.map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping"))?;
        removed.map_err(|why| CallError::conflict(format!("it was not removed: {why}")))?;
        self.list_worktrees(caller, &project).await
    }

    /// Merges a step's work by hand.
    pub(crate) async fn merge_worktree(&self, caller: &Caller, params: &WorktreeRef) -> Reply<WorktreeMerged> {
        let known = self.list_worktrees(caller, &params.project).await?;
        let known = known.worktrees.into_iter().find(|known| known.branch == params.branch);
        let known = known.ok_or_else(|| CallError::not_found("worktree", &params.branch))?;
        if known.active {
            return Err(CallError::conflict("its run is not done").hint("wait for it, or cancel it first"));
        }
        let folder = PathBuf::from(&self.project(caller, &params.project)?.path);
        let (services, branch, actor) = (Arc::clone(&self.inner.services), params.branch.clone(), caller.actor.clone());
        let merging = move || {
            let message = format!("Merge {branch} by {actor}\n");
            services.worktrees.merge(&folder, &branch, &known.folder, &message)
        };
        let merged = tokio::task::spawn_blocking(merging).await;
        let merged = merged.map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping"))?;
        let commit = merged.map_err(|why| CallError::conflict(why).hint("nothing was changed"))?;
        let into = commit.branch.clone();
        if commit.hash.is_empty() {
            return Ok(WorktreeMerged { into, commit: None, files: 0 });
        }
        let (hash, files) = (commit.hash.clone(), commit.files);
        let room = Room::Project(params.project.clone());
        let event = NewEvent::new(room, caller.actor.clone(), EventData::Commit(commit));
        self.inner.store.append(Batch::of(vec![event])).await.map_err(store_error)?;
        Ok(WorktreeMerged { into, commit: Some(hash), files })
    }

    pub(crate) fn report_usage(&self, caller: &Caller, params: &UsageQuery) -> Reply<UsageReport> {
        const DAY: i64 = 24 * 3600 * 1000;
        if let Some(project) = &params.project {
            self.project(caller, project)?;
        }
        let days = match params.days.unwrap_or(30) {
            days if (1..=366).contains(&days) => i64::from(days),
            days => return Err(CallError::bad_request(format!("days is {days}, it must be 1 to 366"))),
        };
        let day_of = |at: i64| at.div_euclid(DAY) * DAY;
        let since = day_of(self.inner.clock.now()) - (days - 1) * DAY;
        let used = self.read(|reader| reader.usage_since(params.project.as_ref(), since))?;
        let mut found = std::collections::BTreeMap::<(i64, String), (u32, Usage)>::new();
        for use_of in used.into_iter().filter(|use_of| caller.sees(&use_of.project)) {
            // Negative, so that the newest day comes first.
            let (attempts, usage) = found.entry((-day_of(use_of.started), use_of.usage.agent)).or_default();
            *attempts += 1;
            usage.add(&use_of.usage.usage);
        }
        let days =
            found.into_iter().map(|((day, agent), (attempts, usage))| DayUsage { day: -day, agent, attempts, usage });
        Ok(UsageReport { days: days.collect() })
    }
}
