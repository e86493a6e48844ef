//! The methods that are about agents.

use std::sync::Arc;

use signalbox_model::{EventData, NewEvent, RiskState, Room, StepKey};
use signalbox_store::Batch;
use signalbox_wire::{
    CallError, Caller,
    method::{
        DiffReply, PermissionAnswer, PermissionList, PermissionReply, Permissions, RiskRef, RiskReply, RunDiff,
        RunTranscript, TranscriptPage,
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
}
