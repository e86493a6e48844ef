//! Questions to people.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use signalbox_model::{
    Actor, Answer, Approval, ApprovalId, ApprovalState, Attempt, Decision, EventData, FormField, FormFieldKind,
    MemberId, NewEvent, Priority, Role, Room, RunId, StepConclusion, StepStatus,
};

use crate::{
    Context, Engine, Output, Refused,
    engine::Emit,
    finish::end_step,
    input::{Effect, StepAt, Timer},
    plan::OnTimeout,
    run::Ending,
};

/// Whether two are one: by member where both are known, else by name.
fn same_person(a: (&Actor, Option<&MemberId>), b: (&Actor, Option<&MemberId>)) -> bool {
    match (a.1, b.1) {
        (Some(a), Some(b)) => a == b,
        _ => a.0 == b.0,
    }
}

impl Engine {
    /// Opens the question of an approval step.
    pub(crate) fn ask(&mut self, id: &RunId, index: u32, cx: &mut Context<'_>, out: &mut Output) {
        let approval_id = cx.approval_id();
        let now = cx.now;
        let Some(run) = self.runs.get_mut(id) else { return };
        let text = cx.expressions.approval(run, index);
        let rules = run.plan.steps[index as usize].approval.clone().unwrap_or_default();
        let due = rules.timeout_ms.map(|ms| now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
        let approval = Approval {
            id: approval_id.clone(),
            project: run.run.project.clone(),
            run: id.clone(),
            run_number: run.run.number,
            workflow: run.run.workflow.clone(),
            step: run.steps[index as usize].step.key.clone(),
            question: text.question.clone(),
            show: text.show,
            form: rules.form,
            roles: rules.roles,
            min: rules.min.max(1),
            self_approval: rules.self_approval,
            state: ApprovalState::Open,
            answers: Vec::new(),
            opened_at: now,
            due_at: due,
            resolved_at: None,
            reason: None,
        };
        run.change(index, out, |state| {
            let step = &mut state.step;
            step.status = StepStatus::WaitingInput;
            step.approval = Some(approval_id.clone());
            step.started_at.get_or_insert(now);
            step.reason = Some("waits for an answer".into());
            step.attempts.push(Attempt::begin(u32::try_from(step.attempts.len()).unwrap_or(u32::MAX - 1) + 1, now));
        });
        say(out, &approval, EventData::ApprovalRequested, &Actor::engine());
        let line = format!("{} #{} asks: {}", run.run.workflow, run.run.number, text.question);
        out.activity(&run.run, "approval_requested", Priority::High, &Actor::engine(), line);
        if let Some(due) = due {
            out.effects.push(Effect::Arm { timer: Timer::Approval(run.at(index)), at: due });
        }
        run.approvals.insert(index, approval);
        self.questions.insert(approval_id, (id.clone(), index));
    }

    #[expect(clippy::too_many_arguments, reason = "an answer is all of these")]
    pub(crate) fn answer(
        &mut self,
        id: &ApprovalId,
        decision: Decision,
        form: IndexMap<String, Value>,
        (actor, member): (Actor, Option<MemberId>),
        role: Role,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let (run_id, index) =
            self.questions.get(id).cloned().ok_or_else(|| Refused::NotFound(format!("open question {id}")))?;
        let run = self.run_mut(&run_id)?;
        let Some(approval) = run.approvals.get_mut(&index).filter(|approval| approval.id == *id) else {
            return Err(Refused::Conflict("this question was asked anew: answer the new one".into()));
        };
        // Compared as it is kept: what the form filled in by itself makes no difference.
        let form = check_form(&approval.form, form, decision);
        let who = (&actor, member.as_ref());
        let same = |answer: &Answer| {
            same_person((&answer.actor, answer.member.as_ref()), who)
                && answer.decision == decision
                && form.as_ref().is_ok_and(|form| answer.form == *form)
        };
        if approval.answers.iter().any(same) {
            return Ok(());
        }
        if approval.state != ApprovalState::Open {
            return Err(Refused::Conflict(settled(approval)));
        }
        let allowed = if approval.roles.is_empty() { role >= Role::Operator } else { approval.roles.contains(&role) };
        if !allowed {
            let roles: Vec<String> = approval.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
            return Err(Refused::Forbidden(format!(
                "this question is for {}",
                if roles.is_empty() { "operators and owners".into() } else { roles.join(" or ") }
            )));
        }
        if !approval.self_approval && same_person((&run.run.actor, run.run.started_by.as_ref()), who) {
            return Err(Refused::Forbidden("who started the run may not answer this question".into()));
        }
        if approval.answers.iter().any(|answer| same_person((&answer.actor, answer.member.as_ref()), who)) {
            return Err(Refused::Conflict(format!("{actor} has answered this question already")));
        }
        approval.answers.push(Answer {
            actor: actor.clone(),
            member: member.clone(),
            decision,
            at: cx.now,
            form: form?,
        });
        // Nobody answers twice, so each yes is another person's.
        let approvals = approval.answers.iter().filter(|answer| answer.decision == Decision::Approve).count();
        let verdict = match decision {
            Decision::Reject => Some(false),
            Decision::Approve => (approvals >= approval.min as usize).then_some(true),
        };
        match verdict {
            Some(approved) => self.resolve(&run_id, index, approved, None, &actor, cx, out),
            None => say(out, &approval.clone(), EventData::ApprovalResolved, &actor),
        }
        Ok(())
    }

    pub(crate) fn approval_timed_out(
        &mut self,
        at: &StepAt,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        if run.steps[at.step as usize].step.status != StepStatus::WaitingInput {
            return Err(Refused::Stale);
        }
        let on_timeout =
            run.plan.steps[at.step as usize].approval.as_ref().map(|rules| rules.on_timeout).unwrap_or_default();
        let approved = match on_timeout {
            OnTimeout::KeepWaiting => return Err(Refused::Stale),
            OnTimeout::Approve => true,
            OnTimeout::Reject => false,
        };
        let reason = if approved { "nobody answered in time, which counts as yes" } else { "nobody answered in time" };
        self.resolve(&at.run, at.step, approved, Some(reason), &Actor::engine(), cx, out);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a verdict is all of these")]
    fn resolve(
        &mut self,
        id: &RunId,
        index: u32,
        approved: bool,
        reason: Option<&str>,
        actor: &Actor,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) {
        let now = cx.now;
        let Some(run) = self.runs.get_mut(id) else { return };
        let Some(approval) = run.approvals.get_mut(&index) else { return };
        approval.state = if approved { ApprovalState::Approved } else { ApprovalState::Rejected };
        approval.resolved_at = Some(now);
        approval.reason = reason.map(str::to_owned);
        say(out, approval, EventData::ApprovalResolved, actor);
        let form = approval.answers.last().map(|answer| answer.form.clone()).unwrap_or_default();
        let word = if approved { "approved" } else { "rejected" };
        let line = format!(
            "{} #{}: {} {word}{}",
            run.run.workflow,
            run.run.number,
            approval.step,
            reason.map(|r| format!(" ({r})")).unwrap_or_default()
        );
        out.activity(&run.run, "approval_resolved", Priority::Normal, actor, line);
        let conclusion = if approved { StepConclusion::Success } else { StepConclusion::Rejected };
        let rules = run.plan.steps[index as usize].approval.clone().unwrap_or_default();
        let rejections = run.steps[index as usize].step.rejections;
        let message = reason.map_or_else(|| format!("{word} by {actor}"), str::to_owned);
        run.change(index, out, |state| {
            let step = &mut state.step;
            step.status = StepStatus::Done;
            step.conclusion = Some(conclusion);
            step.outputs = form;
            step.reason = Some(message.clone());
            step.ended_at = Some(now);
            step.duration_ms = step.started_at.map(|started| u64::try_from(now - started).unwrap_or(0));
            if let Some(attempt) = step.attempts.last_mut() {
                attempt.ended_at = Some(now);
                attempt.conclusion = Some(conclusion);
                attempt.message = Some(message);
            }
        });
        let at = run.at(index);
        let back = rules.on_reject.filter(|back| !approved && rejections < back.max && !run.cancelling);
        self.release(&at);
        match back {
            Some(back) => self.rework(id, index, &back.rerun_from, cx, out),
            None => {
                self.after_done(id, index, cx, out);
                self.drain_unblocked(cx, out);
            }
        }
        self.settle(id, Emit::IfChanged, cx, out);
    }

    /// Goes back to `from`: what follows from it starts over. What is at work is ended first and starts over then, so
    /// that no step ever runs twice at the same time.
    fn rework(&mut self, id: &RunId, rejected: u32, from: &[u32], cx: &mut Context<'_>, out: &mut Output) {
        let Some(run) = self.runs.get_mut(id) else { return };
        let mut again = run.downstream(from);
        if !again.contains(&rejected) {
            again.push(rejected);
        }
        let (at_work, still): (Vec<u32>, Vec<u32>) =
            again.into_iter().partition(|index| crate::finish::at_work(&run.steps[*index as usize].step));
        run.change_silently(rejected, |state| state.step.rejections += 1);
        for index in at_work {
            end_step(run, index, Ending::Rework, false, cx.now, out);
        }
        self.reset(id, &still, cx, out);
    }
}

fn settled(approval: &Approval) -> String {
    let word = match approval.state {
        ApprovalState::Open => "open",
        ApprovalState::Approved => "approved",
        ApprovalState::Rejected => "rejected",
        ApprovalState::Void => "withdrawn",
    };
    match approval.answers.last() {
        Some(answer) => format!("this question was {word} by {}", answer.actor),
        None => format!("this question was {word}"),
    }
}

fn say(out: &mut Output, approval: &Approval, data: impl Fn(Arc<Approval>) -> EventData, actor: &Actor) {
    let event = NewEvent::new(Room::Project(approval.project.clone()), actor.clone(), data(Arc::new(approval.clone())));
    out.events.push(event.of_run(approval.run.clone()).of_step(approval.step.clone()));
}

/// The form as it is kept: known fields of the right kind, defaults filled in.
fn check_form(
    fields: &[FormField],
    mut form: IndexMap<String, Value>,
    decision: Decision,
) -> Result<IndexMap<String, Value>, Refused> {
    let mut kept = IndexMap::new();
    for field in fields {
        let value = form.shift_remove(&field.name).or_else(|| field.default.clone());
        let empty = value
            .as_ref()
            .is_none_or(|value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()));
        if empty {
            if field.required && decision == Decision::Approve {
                return Err(Refused::Invalid(format!(
                    "{} must be filled in",
                    field.title.as_ref().unwrap_or(&field.name)
                )));
            }
            continue;
        }
        let Some(value) = value else { continue };
        let fits = match field.kind {
            FormFieldKind::String => value.is_string(),
            FormFieldKind::Number => value.is_number(),
            FormFieldKind::Integer => value.is_i64() || value.is_u64(),
            FormFieldKind::Boolean => value.is_boolean(),
            FormFieldKind::Enum => value.as_str().is_some_and(|text| field.values.iter().any(|known| known == text)),
        };
        if !fits {
            let wanted = match field.kind {
                FormFieldKind::Enum => format!("one of {}", field.values.join(", ")),
                kind => format!("{kind:?}").to_lowercase(),
            };
            return Err(Refused::Invalid(format!("{} must be {wanted}", field.name)));
        }
        kept.insert(field.name.clone(), value);
    }
    match form.keys().next() {
        Some(unknown) => Err(Refused::Invalid(format!("the form has no field {unknown:?}"))),
        None => Ok(kept),
    }
}
