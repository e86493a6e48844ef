//! Steps whose work is an agent's: it may wait for a person in the middle, and its work is checked while its session
//! lives, so that what a check finds can go back to it.

use signalbox_model::{StepAgent, StepStatus};

use crate::{
    Context, Engine, Output, Refused,
    input::{Effect, Phase, StepAt, Timer},
    run::needs_slot,
};

impl Engine {
    /// What a step at work does now. News that comes while it is being ended changes nothing.
    pub(crate) fn phase(
        &mut self,
        at: &StepAt,
        phase: Phase,
        reason: Option<String>,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let step = &run.steps[at.step as usize].step;
        let before = step.status;
        let works = matches!(before, StepStatus::Running | StepStatus::WaitingInput | StepStatus::Verifying);
        if !works || !crate::finish::at_work(step) {
            return Err(Refused::Stale);
        }
        let status = match phase {
            Phase::Working => StepStatus::Running,
            Phase::Waiting => StepStatus::WaitingInput,
            Phase::Checking => StepStatus::Verifying,
        };
        if status == before && step.reason == reason {
            return Ok(());
        }
        let spec = &run.plan.steps[at.step as usize];
        let (kind, stall) = (spec.kind, spec.stall);
        run.change(at.step, out, |state| {
            state.step.status = status;
            state.step.reason = reason;
            state.step.stalled = false;
            state.last_alive = cx.now;
        });
        // Silence counts from now on; while it waited or was checked nobody looked.
        let silence = stall.warn_ms.or(stall.fail_ms).filter(|_| status == StepStatus::Running && before != status);
        if let Some(silence) = silence {
            let due = cx.now.saturating_add(i64::try_from(silence).unwrap_or(i64::MAX));
            out.effects.push(Effect::Arm { timer: Timer::Stall(at.clone()), at: due });
        }
        // Who waits for a person holds no slot. It takes one again without waiting, even if that is one too many: its
        // process is there already.
        let holds = status != StepStatus::WaitingInput && needs_slot(kind);
        let state = &mut run.steps[at.step as usize];
        if state.slot != holds {
            state.slot = holds;
            self.used = if holds { self.used.saturating_add(1) } else { self.used.saturating_sub(1) };
        }
        let id = at.run.clone();
        self.settle(&id, crate::engine::Emit::IfChanged, cx, out);
        Ok(())
    }

    /// Who works for a step.
    pub(crate) fn agent(&mut self, at: &StepAt, agent: StepAgent, out: &mut Output) -> Result<(), Refused> {
        let run = self.run_at(at)?;
        let step = &run.steps[at.step as usize].step;
        if !crate::finish::at_work(step) {
            return Err(Refused::Stale);
        }
        if step.agent.as_ref() != Some(&agent) {
            run.change(at.step, out, |state| state.step.agent = Some(agent));
        }
        Ok(())
    }
}
