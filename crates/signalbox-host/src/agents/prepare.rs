//! What the engine's loop knows of a run, put together for the task that does a step's work.

use signalbox_git::Carry;
use signalbox_model::{Approval, ApprovalState, Attempt, FailureCause, Step, StepAgent};
use signalbox_workflow::{
    PlannedStep,
    definition::Isolation,
    plan::{AgentWork, Check, GitWork, Work},
    script::Script as Source,
};

use super::{
    landing,
    record::About,
    task::{GO_ON, Prepared, Resume},
    workspace::{Place, Theirs},
};
use crate::{
    expressions::View,
    script::{Draft, Setting},
};

/// What is done in worktrees, of one step.
pub(crate) fn theirs(step: &Step) -> Option<Theirs> {
    let agent = step.agent.as_ref()?;
    Some(Theirs {
        step: step.key.clone(),
        branch: agent.branch.clone()?,
        base: agent.base.clone().unwrap_or_default(),
        head: agent.head.clone(),
    })
}

/// The work of all instances of these steps.
pub(crate) fn sources(view: &View<'_>, steps: &[usize]) -> Vec<Theirs> {
    let instances = view.plan.instances.iter().zip(view.run.steps());
    instances.filter(|(instance, _)| steps.contains(&instance.step)).filter_map(|(_, step)| theirs(step)).collect()
}

/// The drafts of a step's checks.
pub(crate) fn checks(view: &View<'_>, checks: &[Check], setting: Setting<'_>) -> Vec<(Check, Result<Draft, String>)> {
    let draft = |check: &Check| match check {
        Check::Run { script, .. } => Draft::new(view, script, setting),
        Check::FileExists(_) | Check::Diff(_) => Err(String::new()),
    };
    checks.iter().map(|check| (check.clone(), draft(check))).collect()
}

/// Everything that an agent's task needs to know of its run.
pub(crate) fn agent(view: &View<'_>, planned: &PlannedStep, work: &AgentWork) -> Option<Prepared> {
    let step = view.run.step(view.step)?;
    let run = view.run.run();
    let setting = Setting { shell: None, dir: work.working_dir.as_deref(), env: &work.env };
    let begun = work.session.and_then(|begun| begun_by(view, begun));
    let place = Place {
        project: view.plan.project.path.clone().into(),
        isolation: if work.session.is_some() { Isolation::Worktree } else { work.isolation },
        sources: sources(view, &work.from),
        shared: begun.and_then(theirs),
        before: theirs(step),
        attempt: u32::try_from(step.attempts.len()).unwrap_or(u32::MAX),
        carry: carry(view),
    };
    let begun = begun.and_then(|begun| begun.agent.as_ref());
    Some(Prepared {
        agents: work.agents.clone(),
        mode: work.mode,
        model: work.model.clone(),
        prompt: view.text(&work.prompt),
        schema: work.schema.clone(),
        permissions: work.permissions.clone(),
        budget: work.budget.clone(),
        correct: work.correct,
        artifacts: work.artifacts.iter().map(|pattern| view.text(pattern)).collect(),
        setting: Draft::new(view, &Source::default(), setting),
        checks: checks(view, &planned.verify, setting),
        place,
        about: About { run_number: run.number, workflow: run.workflow.clone() },
        previous: step.agent.clone(),
        resume: resume(view, step, begun),
    })
}

/// The step that began the session which this one goes on with.
fn begun_by<'a>(view: &View<'a>, index: usize) -> Option<&'a Step> {
    view.plan.instances.iter().zip(view.run.steps()).find(|(instance, _)| instance.step == index).map(|(_, step)| step)
}

/// Whether an earlier session goes on, and with what words.
fn resume(view: &View<'_>, step: &Step, begun: Option<&StepAgent>) -> Option<Resume> {
    let session = |agent: &StepAgent, prompt: Option<String>| {
        let session = agent.session.clone()?;
        Some(Resume { agent: agent.id.clone(), session, prompt })
    };
    // The newest attempt is the one that begins.
    let before = step.attempts.len().checked_sub(2).and_then(|index| step.attempts.get(index));
    let (Some(before), Some(own)) = (before, step.agent.as_ref()) else {
        return begun.and_then(|begun| session(begun, None));
    };
    if let Some(feedback) = feedback(view, before) {
        return session(own, Some(feedback));
    }
    let interrupted = matches!(
        before.cause,
        Some(
            FailureCause::Crash
                | FailureCause::RateLimit
                | FailureCause::Infra
                | FailureCause::Timeout
                | FailureCause::Stall
                | FailureCause::Budget
        )
    );
    if interrupted { session(own, Some(GO_ON.to_owned())) } else { begun.and_then(|begun| session(begun, None)) }
}

/// What a person said who sent the run back to this step after its last attempt.
fn feedback(view: &View<'_>, before: &Attempt) -> Option<String> {
    let planned = view.plan.instances.get(view.step as usize)?.step;
    let mut newest: Option<(&Approval, Option<&str>)> = None;
    for (index, instance) in (0u32..).zip(&view.plan.instances) {
        let Work::Approval(gate) = &view.plan.steps[instance.step].work else { continue };
        let Some(back) = gate.on_reject.as_ref().filter(|back| back.from == planned) else { continue };
        let Some(approval) = view.run.approval(index).filter(|approval| approval.state == ApprovalState::Rejected)
        else {
            continue;
        };
        let after = approval.resolved_at >= before.ended_at;
        if after && newest.is_none_or(|(known, _)| known.resolved_at < approval.resolved_at) {
            newest = Some((approval, back.feedback.as_deref()));
        }
    }
    let (approval, template) = newest?;
    let by = approval.answers.last().map_or("Somebody", |answer| answer.actor.as_str());
    let said = template.map(|template| view.text(template)).filter(|said| !said.trim().is_empty());
    Some(match said {
        Some(said) => format!("{by} looked at your work and rejected it:\n\n{said}\n\nChange it accordingly."),
        None => format!("{by} looked at your work and rejected it without giving a reason. Do it again, better."),
    })
}

/// The place of the work of these steps: one step's own folder, or a worktree in which the work of several is merged.
pub(crate) fn place(view: &View<'_>, steps: &[usize]) -> Place {
    let sources = sources(view, steps);
    Place {
        project: view.plan.project.path.clone().into(),
        isolation: Isolation::Worktree,
        shared: (sources.len() == 1).then(|| sources[0].clone()),
        before: view.run.step(view.step).and_then(theirs),
        attempt: view.run.step(view.step).map_or(1, |step| u32::try_from(step.attempts.len()).unwrap_or(u32::MAX)),
        carry: carry(view),
        sources,
    }
}

/// What every worktree of the run gets.
fn carry(view: &View<'_>) -> Vec<Carry> {
    let carried = &view.plan.carry;
    let (copies, links) = (carried.copy.iter().cloned(), carried.link.iter().cloned());
    copies.map(Carry::Copy).chain(links.map(Carry::Link)).collect()
}

/// The goal and its checks.
pub(crate) fn goal(view: &View<'_>) -> Option<landing::Goal> {
    let goal = view.plan.goal.as_ref()?;
    let none = indexmap::IndexMap::new();
    let setting = Setting { shell: None, dir: None, env: &none };
    Some(landing::Goal { statement: goal.statement.clone(), accept: checks(view, &goal.accept, setting) })
}

/// Everything that a git step's task needs to know of its run.
pub(crate) fn git(view: &View<'_>, planned: &PlannedStep, work: &GitWork) -> landing::Prepared {
    let none = indexmap::IndexMap::new();
    let setting = Setting { shell: None, dir: None, env: &none };
    let text = |text: &Option<String>| text.as_deref().map(|text| view.text(text));
    let run = view.run.run();
    landing::Prepared {
        action: work.action,
        project: view.plan.project.path.clone().into(),
        sources: sources(view, &work.from),
        message: text(&work.message),
        name: text(&work.name),
        into: text(&work.into),
        checks: checks(view, &planned.verify, setting),
        goal: goal(view).filter(|goal| !goal.accept.is_empty()),
        carry: carry(view),
        run_number: run.number,
        workflow: run.workflow.clone(),
    }
}
