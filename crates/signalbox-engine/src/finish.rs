//! One attempt, from its start to its end.

use signalbox_model::{
    Actor, Attempt, FailureCause, Priority, RunId, Step, StepAgent, StepConclusion, StepKind, StepStatus, UnixMillis,
};

use crate::{
    Context, Engine, Output, Refused,
    engine::Emit,
    input::{Effect, Outcome, StepAt, Timer},
    run::{Ending, RunState},
};

/// How long a command that was asked to end has before it is killed, in milliseconds.
pub(crate) const GRACE_MS: i64 = 10_000;

/// How an attempt ended, before retry rules are applied.
struct End {
    conclusion: StepConclusion,
    cause: Option<FailureCause>,
    message: Option<String>,
}

impl End {
    fn success() -> Self {
        Self { conclusion: StepConclusion::Success, cause: None, message: None }
    }

    fn failure(cause: FailureCause, message: String) -> Self {
        Self { conclusion: StepConclusion::Failed, cause: Some(cause), message: Some(message) }
    }

    fn of(outcome: &Outcome) -> Self {
        if let Some((cause, message)) = &outcome.failure {
            return Self::failure(*cause, message.clone());
        }
        match (outcome.code, outcome.signal, &outcome.bad_outputs) {
            (Some(0), _, None) => Self::success(),
            (Some(0), _, Some(why)) => Self::failure(FailureCause::Outputs, why.clone()),
            (Some(code), _, _) => Self::failure(FailureCause::Command, format!("exited with code {code}")),
            (None, Some(signal), _) => Self::failure(FailureCause::Command, format!("was ended by signal {signal}")),
            (None, None, _) => Self::failure(FailureCause::Infra, "its end was not observed".into()),
        }
    }
}

/// Whether something outside works for the step. A question waits as well, but nothing works for it.
pub(crate) fn at_work(step: &Step) -> bool {
    match step.status {
        StepStatus::Starting | StepStatus::Running | StepStatus::Verifying | StepStatus::Cancelling => true,
        StepStatus::WaitingInput => step.kind != StepKind::Approval,
        _ => false,
    }
}

fn after(now: UnixMillis, ms: u64) -> UnixMillis {
    now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl Engine {
    /// Gives a ready step its next attempt.
    pub(crate) fn start(&mut self, id: &RunId, index: u32, slot: bool, cx: &mut Context<'_>, out: &mut Output) {
        let Some(run) = self.runs.get_mut(id) else { return };
        let now = cx.now;
        run.run.started_at.get_or_insert(now);
        if run.plan.steps[index as usize].kind == StepKind::Approval {
            self.ask(id, index, cx, out);
            return;
        }
        if slot {
            self.used += 1;
        }
        let Some(run) = self.runs.get_mut(id) else { return };
        run.change(index, out, |state| {
            let step = &mut state.step;
            step.status = StepStatus::Starting;
            step.started_at.get_or_insert(now);
            step.reason = None;
            step.progress = None;
            step.stalled = false;
            let number = u32::try_from(step.attempts.len()).unwrap_or(u32::MAX - 1) + 1;
            step.attempts.push(Attempt::begin(number, now));
            state.slot = slot;
            state.last_alive = now;
            state.ending = None;
            state.killed = false;
        });
        let at = run.at(index);
        let attempt = run.steps[index as usize].step.attempts.len();
        out.effects.push(Effect::Start { at: at.clone(), attempt: u32::try_from(attempt).unwrap_or(u32::MAX) });
        let spec = &run.plan.steps[index as usize];
        if let Some(timeout) = spec.timeout_ms {
            out.effects.push(Effect::Arm { timer: Timer::Timeout(at.clone()), at: after(now, timeout) });
        }
        if let Some(silence) = spec.stall.warn_ms.or(spec.stall.fail_ms) {
            out.effects.push(Effect::Arm { timer: Timer::Stall(at), at: after(now, silence) });
        }
    }

    pub(crate) fn started(
        &mut self,
        at: &StepAt,
        process: Option<(u32, Option<u64>)>,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let status = run.steps[at.step as usize].step.status;
        if !matches!(status, StepStatus::Starting | StepStatus::Cancelling) {
            return Err(Refused::Stale);
        }
        run.change(at.step, out, |state| {
            if status == StepStatus::Starting {
                state.step.status = StepStatus::Running;
            }
            state.last_alive = cx.now;
            if let (Some(attempt), Some((pid, started))) = (state.step.attempts.last_mut(), process) {
                attempt.pid = Some(pid);
                attempt.pid_started = started;
            }
        });
        // The wish to end it came before there was something to end.
        if status == StepStatus::Cancelling {
            let killed = run.steps[at.step as usize].killed;
            out.effects.push(if killed { Effect::Kill(at.clone()) } else { Effect::Terminate(at.clone()) });
        }
        Ok(())
    }

    pub(crate) fn start_failed(
        &mut self,
        at: &StepAt,
        message: String,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        if !matches!(run.steps[at.step as usize].step.status, StepStatus::Starting | StepStatus::Cancelling) {
            return Err(Refused::Stale);
        }
        let end = Self::ending(run, at.step).unwrap_or_else(|| End::failure(FailureCause::Infra, message));
        self.end_attempt(at, end, &Outcome::default(), cx, out);
        Ok(())
    }

    /// What a wish to end the step makes of its end.
    fn ending(run: &RunState, index: u32) -> Option<End> {
        let state = &run.steps[index as usize];
        let spec = &run.plan.steps[index as usize];
        let ending = state.ending?;
        let (conclusion, cause) = ending.conclusion();
        let message = match ending {
            Ending::Cancelled | Ending::Superseded => None,
            Ending::Rework => Some("an earlier step runs again".to_owned()),
            Ending::Timeout => Some(format!("ran longer than its limit of {} s", spec.timeout_ms.unwrap_or(0) / 1000)),
            Ending::Stall => Some(format!("was silent for {} s", spec.stall.fail_ms.unwrap_or(0) / 1000)),
        };
        Some(End { conclusion, cause, message })
    }

    pub(crate) fn finished(
        &mut self,
        at: &StepAt,
        outcome: Outcome,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        if !at_work(&run.steps[at.step as usize].step) {
            return Err(Refused::Stale);
        }
        let end = Self::ending(run, at.step).unwrap_or_else(|| End::of(&outcome));
        let checks = run.plan.steps[at.step as usize].checks;
        if end.conclusion == StepConclusion::Success && checks > 0 {
            let attempt = u32::try_from(run.steps[at.step as usize].step.attempts.len()).unwrap_or(u32::MAX);
            run.change(at.step, out, |state| {
                state.step.status = StepStatus::Verifying;
                state.step.outputs = outcome.outputs;
                state.step.artifacts = outcome.artifacts;
                if let Some(attempt) = state.step.attempts.last_mut() {
                    attempt.exit_code = outcome.code;
                }
            });
            out.effects.push(Effect::Check { at: at.clone(), attempt });
            return Ok(());
        }
        self.end_attempt(at, end, &outcome, cx, out);
        Ok(())
    }

    pub(crate) fn checked(
        &mut self,
        at: &StepAt,
        failure: Option<String>,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let state = &run.steps[at.step as usize];
        if !matches!(state.step.status, StepStatus::Verifying | StepStatus::Cancelling) {
            return Err(Refused::Stale);
        }
        let outcome = Outcome {
            code: state.step.attempts.last().and_then(|attempt| attempt.exit_code),
            outputs: state.step.outputs.clone(),
            artifacts: state.step.artifacts.clone(),
            ..Outcome::default()
        };
        let end = Self::ending(run, at.step).unwrap_or_else(|| match failure {
            None => End::success(),
            Some(why) => End::failure(FailureCause::Verify, why),
        });
        self.end_attempt(at, end, &outcome, cx, out);
        Ok(())
    }

    /// Closes the attempt; then another one, or the step's end.
    fn end_attempt(&mut self, at: &StepAt, end: End, outcome: &Outcome, cx: &mut Context<'_>, out: &mut Output) {
        self.release(at);
        let random = (cx.random)();
        let now = cx.now;
        let Some(run) = self.runs.get_mut(&at.run) else { return };
        let spec = run.plan.steps[at.step as usize].clone();
        let rework = run.steps[at.step as usize].ending == Some(Ending::Rework);
        let close = |state: &mut crate::run::StepState| {
            if let Some(attempt) = state.step.attempts.last_mut() {
                attempt.ended_at = Some(now);
                attempt.conclusion = Some(end.conclusion);
                attempt.cause = end.cause;
                attempt.message.clone_from(&end.message);
                attempt.exit_code = outcome.code.or(attempt.exit_code);
                attempt.signal = outcome.signal;
                attempt.stopped = outcome.stopped;
            }
            state.ending = None;
            state.step.stalled = false;
            if let Some(agent) = &outcome.agent {
                state.step.agent = Some(StepAgent::clone(agent));
            }
            state.step.outputs.clone_from(&outcome.outputs);
            state.step.artifacts.clone_from(&outcome.artifacts);
        };
        let retries = run.steps[at.step as usize].step.retries;
        // A limit that ends at a known time is waited for: that is no try.
        let reset = outcome.resets_at.filter(|_| end.cause == Some(FailureCause::RateLimit) && !run.cancelling);
        let again = end.cause.is_some_and(|cause| spec.retry.causes.contains(&cause))
            && retries < spec.retry.max
            && !run.cancelling;
        if rework {
            run.change_silently(at.step, close);
            self.reset(&at.run, &[at.step], cx, out);
        } else if let Some(due) = reset {
            run.change(at.step, out, |state| {
                close(state);
                state.step.generation += 1;
                state.step.status = StepStatus::Scheduled;
                state.step.due_at = Some(due);
                state.step.reason.clone_from(&end.message);
            });
            let timer = Timer::Retry(run.at(at.step));
            out.effects.push(Effect::Arm { timer, at: due });
        } else if again {
            let wait = spec.retry.wait_ms(retries, random);
            let due = after(now, wait);
            run.change(at.step, out, |state| {
                close(state);
                state.step.generation += 1;
                state.step.retries += 1;
                state.step.status = StepStatus::Scheduled;
                state.step.due_at = Some(due);
                let why = end.message.as_deref().unwrap_or("failed");
                state.step.reason = Some(format!("{why}; retry {} of {}", retries + 1, spec.retry.max));
            });
            let timer = Timer::Retry(run.at(at.step));
            out.effects.push(Effect::Arm { timer, at: due });
        } else {
            run.change(at.step, out, |state| {
                close(state);
                let step = &mut state.step;
                step.status = StepStatus::Done;
                step.conclusion = Some(end.conclusion);
                step.reason.clone_from(&end.message);
                step.ended_at = Some(now);
                step.duration_ms = step.started_at.map(|started| u64::try_from(now - started).unwrap_or(0));
                if end.conclusion == StepConclusion::Success {
                    step.progress = step.progress.map(|_| 1.0);
                }
            });
            self.after_done(&at.run, at.step, cx, out);
            self.drain_unblocked(cx, out);
        }
        self.settle(&at.run, Emit::IfChanged, cx, out);
    }

    /// Gives back the slot and the place in the matrix.
    pub(crate) fn release(&mut self, at: &StepAt) {
        let Some(run) = self.runs.get_mut(&at.run) else { return };
        let state = &mut run.steps[at.step as usize];
        if std::mem::take(&mut state.slot) {
            self.used = self.used.saturating_sub(1);
        }
        if let Some((matrix, _)) = run.plan.steps[at.step as usize].matrix
            && let Some((running, waiting)) = run.matrices.get_mut(&matrix)
        {
            *running = running.saturating_sub(1);
            if let Some(next) = waiting.pop_front() {
                run.enqueue_first(next);
                self.hungry.insert((run.run.created_at, at.run.clone()));
            }
        }
    }

    pub(crate) fn timed_out(&mut self, at: &StepAt, cx: &mut Context<'_>, out: &mut Output) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let step = &run.steps[at.step as usize].step;
        if !at_work(step) || step.status == StepStatus::Cancelling {
            return Err(Refused::Stale);
        }
        end_step(run, at.step, Ending::Timeout, false, cx.now, out);
        Ok(())
    }

    pub(crate) fn check_stall(&mut self, at: &StepAt, cx: &mut Context<'_>, out: &mut Output) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let stall = run.plan.steps[at.step as usize].stall;
        let state = &run.steps[at.step as usize];
        // The clock stands still while checks run: they have a limit of their own.
        if !matches!(state.step.status, StepStatus::Starting | StepStatus::Running) {
            return Err(Refused::Stale);
        }
        let since = state.last_alive;
        let reached = |ms: Option<u64>| ms.is_some_and(|ms| cx.now >= after(since, ms));
        if reached(stall.fail_ms) {
            end_step(run, at.step, Ending::Stall, false, cx.now, out);
            return Ok(());
        }
        let mut next = stall.fail_ms;
        if reached(stall.warn_ms) {
            if !state.step.stalled {
                let text = format!(
                    "{} #{}: {} has been silent for {} s",
                    run.run.workflow,
                    run.run.number,
                    state.step.key,
                    stall.warn_ms.unwrap_or(0) / 1000
                );
                run.change(at.step, out, |state| {
                    state.step.stalled = true;
                    state.step.reason = Some("no output for a while".into());
                });
                out.activity(&run.run, "step_stalled", Priority::High, &Actor::engine(), text);
            }
        } else {
            next = stall.warn_ms;
        }
        // After the warning the next look is at the earliest moment at which silence could be reached again.
        let next =
            next.or(stall.warn_ms).map(|ms| after(since.max(cx.now - i64::try_from(ms).unwrap_or(0) + 1000), ms));
        if let Some(next) = next {
            out.effects.push(Effect::Arm { timer: Timer::Stall(at.clone()), at: next.max(cx.now + 1000) });
        }
        Ok(())
    }

    pub(crate) fn cancel(
        &mut self,
        id: &RunId,
        actor: &Actor,
        force: bool,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_mut(id)?;
        if run.run.status == signalbox_model::RunStatus::Done {
            return Err(Refused::Conflict(format!("run #{} has ended already", run.run.number)));
        }
        let first = !run.cancelling;
        let text = format!("{} #{} is being cancelled by {actor}", run.run.workflow, run.run.number);
        if first {
            run.run.reason = Some(format!("cancelled by {actor}"));
            out.activity(&run.run.clone(), "run_cancelled", Priority::Normal, actor, text);
        }
        // A second wish, or a forced one, also ends what was to run because of the cancellation.
        self.end_run(id, Ending::Cancelled, force || !first, cx, out)
    }

    pub(crate) fn end_run(
        &mut self,
        id: &RunId,
        ending: Ending,
        force: bool,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_mut(id)?;
        run.cancelling = true;
        run.superseded |= ending == Ending::Superseded;
        run.queued = false;
        run.run.queue_position = None;
        run.run.paused = false;
        let conclusion =
            if ending == Ending::Superseded { StepConclusion::Superseded } else { StepConclusion::Cancelled };
        let now = cx.now;
        let mut ended = Vec::new();
        for index in 0..run.tally.total {
            let step = &run.steps[index as usize].step;
            let status = step.status;
            if at_work(step) {
                end_step(run, index, ending, force, now, out);
                continue;
            }
            // What may want to run because of the cancellation waits for its needs; see `unblock`.
            let waits = status == StepStatus::Blocked && run.plan.steps[index as usize].status_function && !force;
            match status {
                StepStatus::Done => {}
                StepStatus::Blocked if waits => {}
                _ => {
                    if status == StepStatus::WaitingInput {
                        void_question(run, index, "its run was cancelled", now, out);
                    }
                    run.change(index, out, |state| {
                        state.step.status = StepStatus::Done;
                        state.step.conclusion = Some(conclusion);
                        state.step.due_at = None;
                        state.step.ended_at = Some(now);
                        state.step.reason = None;
                    });
                    ended.push(index);
                }
            }
        }
        run.dequeue(|_| true);
        for index in ended {
            let at = self.runs.get(id).map(|run| run.at(index));
            at.into_iter().for_each(|at| self.release(&at));
            self.after_done(id, index, cx, out);
        }
        self.drain_unblocked(cx, out);
        self.settle(id, Emit::Always, cx, out);
        Ok(())
    }

    pub(crate) fn pause(
        &mut self,
        id: &RunId,
        paused: bool,
        actor: &Actor,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_mut(id)?;
        if run.cancelling || run.run.status == signalbox_model::RunStatus::Done {
            return Err(Refused::Conflict(format!("run #{} is ending", run.run.number)));
        }
        if run.run.paused != paused {
            run.run.paused = paused;
            run.run.reason = paused.then(|| format!("paused by {actor}"));
            if !paused && run.has_ready() {
                let key = (run.run.created_at, id.clone());
                self.hungry.insert(key);
            }
            self.settle(id, Emit::Always, cx, out);
        }
        Ok(())
    }
}

/// Asks a step that is at work to end, or ends it.
pub(crate) fn end_step(run: &mut RunState, index: u32, ending: Ending, force: bool, now: UnixMillis, out: &mut Output) {
    let at = run.at(index);
    let state = &mut run.steps[index as usize];
    // The first reason stays: a timeout during a cancellation is still a cancellation. But a step that was to start
    // over does not when its run is being ended, and one that was to fail does not fail when it starts over.
    let replaced = state.ending == Some(Ending::Rework) || ending == Ending::Rework;
    if state.ending.is_none() || replaced {
        state.ending = Some(ending);
        if let Some(attempt) = state.step.attempts.last_mut() {
            let (conclusion, cause) = ending.conclusion();
            (attempt.conclusion, attempt.cause) = (Some(conclusion), cause);
        }
    }
    if state.step.status == StepStatus::Cancelling {
        if replaced {
            run.say(index, out);
        }
        let state = &mut run.steps[index as usize];
        if force && !state.killed {
            state.killed = true;
            out.effects.push(Effect::Kill(at));
        }
        return;
    }
    state.killed = force;
    run.change(index, out, |state| {
        state.step.status = StepStatus::Cancelling;
        state.step.reason = Some(
            match ending {
                Ending::Cancelled => "being cancelled",
                Ending::Superseded => "being ended for a newer run",
                Ending::Timeout => "out of time, being ended",
                Ending::Stall => "silent for too long, being ended",
                Ending::Rework => "being ended, since an earlier step runs again",
            }
            .into(),
        );
    });
    if force {
        out.effects.push(Effect::Kill(at));
    } else {
        out.effects.push(Effect::Terminate(at.clone()));
        out.effects.push(Effect::Arm { timer: Timer::Kill(at), at: now.saturating_add(GRACE_MS) });
    }
}

/// Closes the question of a step that no longer waits for it.
pub(crate) fn void_question(run: &mut RunState, index: u32, reason: &str, now: UnixMillis, out: &mut Output) {
    use signalbox_model::{ApprovalState, EventData, NewEvent, Room};
    let Some(approval) = run.approvals.get_mut(&index).filter(|approval| approval.state == ApprovalState::Open) else {
        return;
    };
    approval.state = ApprovalState::Void;
    approval.resolved_at = Some(now);
    approval.reason = Some(reason.to_owned());
    let data = EventData::ApprovalResolved(std::sync::Arc::new(approval.clone()));
    let event = NewEvent::new(Room::Project(run.run.project.clone()), Actor::engine(), data);
    out.events.push(event.of_run(run.run.id.clone()).of_step(approval.step.clone()));
}
