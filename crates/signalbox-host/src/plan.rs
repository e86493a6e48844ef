//! From the workflow's plan to the engine's.

use std::{collections::HashMap, sync::Arc};

use signalbox_engine as engine;
use signalbox_model::{FailureCause, Step, StepConclusion, StepKey};
use signalbox_workflow::{
    self as workflow,
    definition::{Backoff, OnConflict, OnTimeout, RetryCause},
    expr,
    plan::Work,
};

/// The engine's view of a plan: one entry per instance, in the same order.
pub(crate) fn engine_plan(plan: &workflow::Plan) -> engine::Plan {
    let mut instances_of = vec![Vec::new(); plan.steps.len()];
    for (index, instance) in (0u32..).zip(&plan.instances) {
        instances_of[instance.step].push(index);
    }
    let steps = plan
        .instances
        .iter()
        .map(|instance| {
            let step = &plan.steps[instance.step];
            let condition = step.condition.as_deref().and_then(|text| expr::parse(text).ok());
            let matrix = u32::try_from(instance.step).ok().filter(|_| step.is_matrix);
            engine::StepPlan {
                key: instance.key.to_string(),
                id: step.id.clone(),
                title: instance.title.clone(),
                kind: step.work.kind(),
                needs: step.needs.iter().flat_map(|need| instances_of[*need].iter().copied()).collect(),
                condition: step.condition.is_some(),
                status_function: condition.is_some_and(|condition| condition.uses_status_function()),
                continue_on_error: step.continue_on_error,
                idempotent: match &step.work {
                    Work::Command(command) => command.idempotent,
                    // It only looks.
                    Work::Goal { .. } => true,
                    _ => false,
                },
                timeout_ms: step.timeout_ms,
                stall: engine::Stall {
                    warn_ms: step.stall.warn.map(workflow::Span::millis),
                    fail_ms: step.stall.fail.map(workflow::Span::millis),
                },
                retry: step.retry.as_ref().map(retry).unwrap_or_default(),
                checks: checks(step),
                matrix: matrix.zip(step.max_parallel),
                approval: approval(step, &instances_of),
            }
        })
        .collect();
    engine::Plan { steps }
}

/// Checks that the engine asks for after the step's own work. An agent is checked while its session lives, a landing
/// before it lands: they see to their checks themselves.
fn checks(step: &workflow::PlannedStep) -> u32 {
    match step.work {
        Work::Agent(_) | Work::Git(_) | Work::Goal { .. } => 0,
        Work::Command(_) | Work::Approval(_) | Work::Notify(_) => u32::try_from(step.verify.len()).unwrap_or(u32::MAX),
    }
}

fn retry(retry: &workflow::definition::Retry) -> engine::Retry {
    engine::Retry {
        max: retry.max,
        causes: retry.causes.iter().map(|cause| self::cause(*cause)).collect(),
        initial_ms: retry.initial.millis(),
        exponential: retry.backoff == Backoff::Exponential,
        cap_ms: retry.cap.millis(),
        jitter: retry.jitter,
    }
}

fn cause(cause: RetryCause) -> FailureCause {
    match cause {
        RetryCause::Command => FailureCause::Command,
        RetryCause::Infra => FailureCause::Infra,
        RetryCause::RateLimit => FailureCause::RateLimit,
        RetryCause::Timeout => FailureCause::Timeout,
        RetryCause::Stall => FailureCause::Stall,
        RetryCause::Verify => FailureCause::Verify,
        RetryCause::Agent => FailureCause::Agent,
    }
}

fn approval(step: &workflow::PlannedStep, instances_of: &[Vec<u32>]) -> Option<engine::ApprovalPlan> {
    let Work::Approval(gate) = &step.work else { return None };
    Some(engine::ApprovalPlan {
        roles: gate.roles.clone(),
        min: gate.min,
        self_approval: gate.self_approval,
        timeout_ms: step.timeout_ms,
        on_timeout: match gate.on_timeout {
            OnTimeout::Reject => engine::OnTimeout::Reject,
            OnTimeout::Approve => engine::OnTimeout::Approve,
            OnTimeout::KeepWaiting => engine::OnTimeout::KeepWaiting,
        },
        on_reject: gate
            .on_reject
            .as_ref()
            .map(|back| engine::OnReject { rerun_from: instances_of[back.from].clone(), max: back.max }),
        form: gate.form.clone(),
    })
}

/// The concurrency group of a plan.
pub(crate) fn group(plan: &workflow::Plan) -> Option<engine::Group> {
    plan.concurrency.as_ref().map(|group| engine::Group {
        name: group.name.clone(),
        max: group.max,
        on_conflict: match group.on_conflict {
            OnConflict::Queue => engine::Conflict::Queue,
            OnConflict::Skip => engine::Conflict::Skip,
            OnConflict::CancelRunning => engine::Conflict::CancelRunning,
        },
    })
}

/// Steps of an earlier run whose results still hold under a new plan: they succeeded, what they do has not changed,
/// and nothing they need runs again. From `again` on everything runs again.
pub(crate) fn reusable(
    old: &workflow::Plan,
    new: &workflow::Plan,
    steps: &[Arc<Step>],
    again: Option<&StepKey>,
) -> HashMap<String, Arc<Step>> {
    let print = |plan: &workflow::Plan, instance: &workflow::Instance| {
        let step = &plan.steps[instance.step];
        serde_json::to_string(&(&step.work, &step.condition, &step.verify, &plan.env, &instance.matrix))
            .unwrap_or_default()
    };
    let before: HashMap<&str, String> = old.instances.iter().map(|i| (i.key.as_str(), print(old, i))).collect();
    let engine = engine_plan(new);
    let mut kept = HashMap::new();
    // A step is kept only if all its needs are: repeated until nothing changes, since needs may stand in any order.
    loop {
        let count = kept.len();
        for (instance, planned) in new.instances.iter().zip(&engine.steps) {
            let key = instance.key.as_str();
            let done = steps.iter().find(|s| s.key == instance.key && s.conclusion == Some(StepConclusion::Success));
            let needs = planned.needs.iter().all(|need| kept.contains_key(&engine.steps[*need as usize].key));
            if let Some(done) = done
                && needs
                && again != Some(&instance.key)
                && before.get(key) == Some(&print(new, instance))
            {
                kept.insert(key.to_owned(), Arc::clone(done));
            }
        }
        if kept.len() == count {
            return kept;
        }
    }
}
