//! Runs that were at work and whose plan is gone: its file was deleted, or cannot be read.
//!
//! Nobody knows what such a run was to do next, so it cannot go on. It must not stay as it was either: `running`, without a
//! process, for ever.

use std::sync::Arc;

use signalbox_model::{
    Activity, Actor, Approval, ApprovalState, Completion, EventData, FailureCause, NewEvent, Priority, Room, Run,
    RunConclusion, RunStatus, Step, StepConclusion, StepStatus, UnixMillis,
};

const WHY: &str = "its plan is gone or cannot be read, so it cannot go on; start it anew";

/// What ends the run: of each step that was at work the outcome is unknown, the others are omitted.
pub(crate) fn end(mut run: Run, steps: Vec<Step>, approvals: Vec<Approval>, now: UnixMillis) -> Vec<NewEvent> {
    let room = Room::Project(run.project.clone());
    let event = |data| NewEvent::new(room.clone(), Actor::engine(), data).of_run(run.id.clone());
    let mut events = Vec::new();
    for mut approval in approvals.into_iter().filter(|approval| approval.state == ApprovalState::Open) {
        approval.state = ApprovalState::Void;
        approval.resolved_at = Some(now);
        approval.reason = Some(WHY.to_owned());
        let step = approval.step.clone();
        events.push(event(EventData::ApprovalResolved(Arc::new(approval))).of_step(step));
    }
    let mut failed = Vec::new();
    for mut step in steps {
        if step.status != StepStatus::Done {
            let at_work = matches!(
                step.status,
                StepStatus::Starting | StepStatus::Running | StepStatus::Verifying | StepStatus::Cancelling
            );
            let conclusion = if at_work { StepConclusion::Crashed } else { StepConclusion::Omitted };
            if let Some(attempt) = step.attempts.last_mut().filter(|_| at_work) {
                attempt.ended_at = Some(now);
                attempt.conclusion = Some(conclusion);
                attempt.cause = Some(FailureCause::Crash);
                attempt.message = Some("the host ended while it ran: its outcome is unknown".to_owned());
            }
            step.status = StepStatus::Done;
            step.conclusion = Some(conclusion);
            step.reason = Some(format!("the run ended: {WHY}"));
            step.ended_at = Some(now);
            step.duration_ms = step.started_at.map(|started| u64::try_from(now - started).unwrap_or(0));
            step.due_at = None;
            step.stalled = false;
            let key = step.key.clone();
            events.push(event(EventData::StepCompleted(Arc::new(step.clone()))).of_step(key));
        }
        if step.conclusion.is_some_and(StepConclusion::is_failure) {
            failed.push(step.key);
        }
    }
    let completion = Completion {
        run: run.id.clone(),
        number: run.number,
        workflow: run.workflow.clone(),
        conclusion: RunConclusion::Crashed,
        duration_ms: u64::try_from(now - run.started_at.unwrap_or(run.created_at)).unwrap_or(0),
        failed_steps: failed,
        needs: Some(WHY.to_owned()),
    };
    let activity = Activity {
        kind: "run_completed".into(),
        priority: Priority::High,
        project: Some(run.project.clone()),
        actor: Actor::engine(),
        text: format!("{} #{} crashed: {WHY}", run.workflow, run.number),
        run: Some(run.id.clone()),
        step: None,
        to: Vec::new(),
    };
    run.status = RunStatus::Done;
    run.conclusion = Some(RunConclusion::Crashed);
    run.generation += 1;
    run.ended_at = Some(now);
    run.steps_done = run.steps_total;
    run.progress = 1.0;
    run.current_step = None;
    run.queue_position = None;
    run.paused = false;
    run.reason = Some(WHY.to_owned());
    let of = run.id.clone();
    let event = |room, data| NewEvent::new(room, Actor::engine(), data).of_run(of.clone());
    events.push(event(room.clone(), EventData::RunUpdated(Arc::new(run))));
    events.push(event(room, EventData::Completion(completion)));
    let feed = Room::feed(activity.project.clone());
    events.push(NewEvent::new(feed, Actor::engine(), EventData::ActivityCreated(activity)));
    events
}
