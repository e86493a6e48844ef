//! Going on from the log: after a restart, or after a commit failed.

use std::sync::Arc;

use signalbox_model::{
    Actor, Approval, ApprovalState, EngineRecovered, EventData, FailureCause, ProjectId, QueueState, Room, Run,
    RunStatus, Step, StepConclusion, StepKind, StepStatus,
};

use crate::{
    Context, Engine, Output, Plan,
    engine::Emit,
    input::{Effect, Timer},
    run::{RunState, needs_slot},
};

/// A run as the log knows it.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The run.
    pub run: Run,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// Its steps, by index.
    pub steps: Vec<Step>,
    /// Its questions.
    pub approvals: Vec<Approval>,
    /// Runs of its group at once.
    pub group_max: u32,
}

/// What became of the processes since the log was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survived {
    /// They are as they were: only the engine is new.
    Yes,
    /// They are gone with their host; this many leftovers had to be ended.
    No {
        /// How many.
        ended: u32,
    },
}

const RESUMED: &str = "its session goes on after a restart of the host";
const REPEATED: &str = "repeated after a restart of the host";
/// The longest wait for the reset of an agent's limit, in milliseconds: a week.
const LONGEST_RESET: i64 = 7 * 24 * 3600 * 1000;

/// Steps of a run that a restart has ended, and those that start over.
#[derive(Default)]
struct Lost {
    ended: Vec<u32>,
    over: Vec<u32>,
}

impl Engine {
    /// An engine that goes on where the log ends.
    pub fn restore(
        slots: u32,
        runs: Vec<Restored>,
        queues: &[(ProjectId, QueueState)],
        survived: Survived,
        cx: &mut Context<'_>,
    ) -> (Self, Output) {
        let mut engine = Self::new(slots);
        let mut out = Output::default();
        let mut report =
            EngineRecovered { runs: u32::try_from(runs.len()).unwrap_or(u32::MAX), ..EngineRecovered::default() };
        for (project, queue) in queues {
            if queue.paused {
                engine.queues.restore_paused(project.clone());
            }
        }
        let mut ids = Vec::new();
        for restored in runs {
            let id = restored.run.id.clone();
            let done = restored.run.status == RunStatus::Done;
            if !done {
                engine.queues.restore(&restored.run, restored.run.status == RunStatus::Queued, restored.group_max);
            }
            let run = RunState::restored(restored.run, restored.plan, restored.steps, restored.approvals, cx.now);
            for (index, approval) in &run.approvals {
                engine.questions.insert(approval.id.clone(), (id.clone(), *index));
            }
            engine.runs.insert(id.clone(), run);
            ids.push((id, done));
        }
        for (project, queue) in queues {
            let order: Vec<_> = queue.runs.iter().map(|waiting| waiting.run.clone()).collect();
            engine.queues.restore_order(project, &order);
        }
        // First what each run has lost, then what follows from it: a run that ends lets others in, and those must have
        // been looked at before.
        let active: Vec<_> = ids.into_iter().filter(|(_, done)| !done).map(|(id, _)| id).collect();
        let lost: Vec<Lost> =
            active.iter().map(|id| engine.restore_run(id, survived, &mut report, cx, &mut out)).collect();
        for (id, lost) in active.iter().zip(lost) {
            for index in lost.ended {
                engine.after_done(id, index, cx, &mut out);
            }
            engine.reset(id, &lost.over, cx, &mut out);
            engine.drain_unblocked(cx, &mut out);
            engine.settle(id, Emit::IfChanged, cx, &mut out);
        }
        if let Survived::No { ended } = survived {
            report.ended_processes = ended;
            if report.runs > 0 || ended > 0 {
                out.event(Room::Host, &Actor::engine(), EventData::EngineRecovered(report));
            }
        }
        let projects: Vec<ProjectId> = queues.iter().map(|(project, _)| project.clone()).collect();
        for project in projects {
            engine.admit_waiting(&project, cx, &mut out);
        }
        engine.dispatch(cx, &mut out);
        (engine, out)
    }

    /// Takes a run back that had been forgotten, so that it can be retried. Without effect if it is known.
    pub fn load(&mut self, restored: Restored, cx: &Context<'_>) {
        let id = restored.run.id.clone();
        if self.runs.contains_key(&id) || restored.run.status != RunStatus::Done {
            return;
        }
        self.queues.learn(&restored.run, restored.group_max);
        let run = RunState::restored(restored.run, restored.plan, restored.steps, restored.approvals, cx.now);
        for (index, approval) in &run.approvals {
            self.questions.insert(approval.id.clone(), (id.clone(), *index));
        }
        self.runs.insert(id, run);
    }

    fn restore_run(
        &mut self,
        id: &signalbox_model::RunId,
        survived: Survived,
        report: &mut EngineRecovered,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Lost {
        let now = cx.now;
        let mut lost = Lost::default();
        let Some(run) = self.runs.get_mut(id) else { return lost };
        let total = run.tally.total;
        for index in 0..total {
            let at = run.at(index);
            let step = run.steps[index as usize].step.clone();
            match step.status {
                StepStatus::Done | StepStatus::Paused => {}
                StepStatus::Blocked => {
                    if run.steps[index as usize].remaining == 0 && !run.queued {
                        self.queues.unblocked.push_back((id.clone(), index));
                    }
                }
                StepStatus::Ready => {
                    run.enqueue(index);
                    self.hungry.insert((run.run.created_at, id.clone()));
                }
                StepStatus::Scheduled => {
                    // A clock that was set back meanwhile makes no wait longer than it may be.
                    let spec = &run.plan.steps[index as usize];
                    let cap = i64::try_from(spec.retry.cap_ms).unwrap_or(i64::MAX);
                    let cap = if spec.kind == StepKind::Agent { cap.max(LONGEST_RESET) } else { cap };
                    let due = step.due_at.unwrap_or(now).min(now.saturating_add(cap));
                    out.effects.push(Effect::Arm { timer: Timer::Retry(at), at: due });
                }
                StepStatus::WaitingInput if !crate::finish::at_work(&step) => {
                    if let Some((matrix, _)) = run.plan.steps[index as usize].matrix {
                        run.matrices.entry(matrix).or_default().0 += 1;
                    }
                    let open = run.approvals.get(&index).filter(|approval| approval.state == ApprovalState::Open);
                    if let Some(due) = open.and_then(|approval| approval.due_at) {
                        out.effects.push(Effect::Arm { timer: Timer::Approval(at), at: due });
                    }
                }
                StepStatus::Starting
                | StepStatus::Running
                | StepStatus::WaitingInput
                | StepStatus::Verifying
                | StepStatus::Cancelling => {
                    // Checks are made again: they look, they do not work.
                    let checks_again = survived != Survived::Yes
                        && step.status == StepStatus::Verifying
                        && run.plan.steps[index as usize].checks > 0;
                    if checks_again {
                        let attempt = u32::try_from(step.attempts.len()).unwrap_or(u32::MAX);
                        out.effects.push(Effect::Check { at: at.clone(), attempt });
                    }
                    if survived == Survived::Yes || checks_again {
                        let spec = &run.plan.steps[index as usize];
                        if needs_slot(spec.kind) && step.status != StepStatus::WaitingInput {
                            run.steps[index as usize].slot = true;
                            self.used += 1;
                        }
                        if let Some((matrix, _)) = spec.matrix {
                            run.matrices.entry(matrix).or_default().0 += 1;
                        }
                        if let Some(ms) = spec.timeout_ms {
                            let started = step.attempts.last().map_or(now, |attempt| attempt.started_at);
                            let due = started.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
                            out.effects.push(Effect::Arm { timer: Timer::Timeout(at), at: due });
                        }
                        if step.status == StepStatus::Cancelling {
                            // Its end was asked for already; that it was given time is not known any more.
                            let due = now.saturating_add(crate::finish::GRACE_MS);
                            out.effects.push(Effect::Arm { timer: Timer::Kill(run.at(index)), at: due });
                        }
                        let stall = run.plan.steps[index as usize].stall;
                        if let Some(silence) = stall.warn_ms.or(stall.fail_ms) {
                            let due = now.saturating_add(i64::try_from(silence).unwrap_or(i64::MAX));
                            out.effects.push(Effect::Arm { timer: Timer::Stall(run.at(index)), at: due });
                        }
                        continue;
                    }
                    let being_ended = step.status == StepStatus::Cancelling;
                    let spec = &run.plan.steps[index as usize];
                    let named = signalbox_model::system::RecoveredStep { run: id.clone(), step: step.key.clone() };
                    // A notification that is sent twice does no harm; one that is not sent may.
                    // An agent that can take up its session again goes on in it. What a landing did can be read from git.
                    let resumes = step.agent.as_ref().is_some_and(|agent| agent.session.is_some());
                    let harmless = spec.idempotent || matches!(spec.kind, StepKind::Notify | StepKind::Git) || resumes;
                    let repeat = harmless && !being_ended && !run.cancelling;
                    // One that was being ended has ended the way it was meant to; of any other nobody knows.
                    let ending = run.steps[index as usize].ending;
                    let (conclusion, cause) = ending
                        .map_or((StepConclusion::Crashed, Some(FailureCause::Crash)), crate::run::Ending::conclusion);
                    let message = if ending.is_some() {
                        "the host ended while it was being ended"
                    } else {
                        "the host ended while it ran: its outcome is unknown"
                    };
                    let close = |step: &mut Step| {
                        if let Some(attempt) = step.attempts.last_mut() {
                            attempt.ended_at = Some(now);
                            attempt.conclusion = Some(conclusion);
                            attempt.cause = cause;
                            attempt.message = Some(message.to_owned());
                        }
                        step.stalled = false;
                    };
                    if ending == Some(crate::run::Ending::Rework) {
                        run.change_silently(index, |state| close(&mut state.step));
                        lost.over.push(index);
                    } else if repeat {
                        run.change(index, out, |state| {
                            close(&mut state.step);
                            state.step.generation += 1;
                            state.step.status = StepStatus::Ready;
                            state.step.reason = Some(if resumes { RESUMED } else { REPEATED }.into());
                        });
                        run.enqueue(index);
                        self.hungry.insert((run.run.created_at, id.clone()));
                        report.repeated.push(named);
                    } else {
                        run.change(index, out, |state| {
                            close(&mut state.step);
                            let step = &mut state.step;
                            step.status = StepStatus::Done;
                            step.conclusion = Some(conclusion);
                            step.reason = Some(message.to_owned());
                            step.ended_at = Some(now);
                            step.duration_ms = step.started_at.map(|started| u64::try_from(now - started).unwrap_or(0));
                        });
                        report.crashed.push(named);
                        lost.ended.push(index);
                    }
                }
            }
        }
        lost
    }
}
