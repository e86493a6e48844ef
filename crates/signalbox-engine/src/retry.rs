//! Trying again: a done step gets a new generation; its old attempts stay.

use std::collections::HashSet;

use signalbox_model::{Actor, Priority, RunId, StepConclusion, StepStatus};

use crate::{Context, Engine, Output, Refused, engine::Emit, input::Scope};

impl Engine {
    pub(crate) fn retry(
        &mut self,
        id: &RunId,
        scope: Scope,
        actor: &Actor,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_mut(id)?;
        if run.cancelling {
            return Err(Refused::Conflict(format!(
                "run #{} is being cancelled: wait until it has ended",
                run.run.number
            )));
        }
        let known =
            |index: u32| (index < run.tally.total).then_some(index).ok_or_else(|| Refused::NotFound("step".into()));
        let again = match scope {
            Scope::Step(index) => vec![known(index)?],
            Scope::From(index) => run.downstream(&[known(index)?]),
            Scope::All => (0..run.tally.total).collect(),
            Scope::Failed => {
                let failed: Vec<u32> = (0..run.tally.total)
                    .filter(|index| {
                        run.steps[*index as usize].step.conclusion.is_some_and(|conclusion| {
                            conclusion.is_failure()
                                || matches!(
                                    conclusion,
                                    StepConclusion::Cancelled | StepConclusion::Omitted | StepConclusion::Superseded
                                )
                        })
                    })
                    .collect();
                run.downstream(&failed)
            }
        };
        if again.is_empty() {
            return Err(Refused::Conflict(format!("nothing of run #{} failed", run.run.number)));
        }
        let busy = again
            .iter()
            .map(|index| &run.steps[*index as usize].step)
            .find(|step| !matches!(step.status, StepStatus::Done | StepStatus::Blocked));
        if let Some(step) = busy {
            return Err(Refused::Conflict(format!("step {} has not ended: wait for it or cancel the run", step.key)));
        }
        let was_done = run.run.status == signalbox_model::RunStatus::Done;
        run.superseded = false;
        run.run.reason = None;
        for index in &again {
            // A new round: a "no" may send it back as often as the workflow says.
            run.change_silently(*index, |state| state.step.rejections = 0);
        }
        let entity = run.run.clone();
        out.activity(
            &entity,
            "run_retried",
            Priority::Low,
            actor,
            format!("{} #{} was retried", entity.workflow, entity.number),
        );
        let queued = was_done && self.queues.reenter(&entity);
        if let Some(run) = self.runs.get_mut(id).filter(|_| queued) {
            run.queued = true;
            run.run.reason =
                Some(format!("waits for its turn in {}", entity.group.as_deref().unwrap_or("the project")));
        }
        self.reset(id, &again, cx, out);
        self.settle(id, Emit::Always, cx, out);
        if queued {
            self.show_queue(&entity.project, out, cx);
        }
        Ok(())
    }

    /// Gives each of these steps a new generation; those whose needs are done become ready.
    pub(crate) fn reset(&mut self, id: &RunId, indexes: &[u32], cx: &mut Context<'_>, out: &mut Output) {
        let now = cx.now;
        let members: HashSet<u32> = indexes.iter().copied().collect();
        let Some(run) = self.runs.get_mut(id) else { return };
        run.dequeue(|index| members.contains(&index));
        let held: Vec<u32> = indexes
            .iter()
            .copied()
            .filter(|i| run.steps[*i as usize].step.status == StepStatus::WaitingInput)
            .collect();
        for index in held {
            let at = self.runs.get(id).map(|run| run.at(index));
            at.into_iter().for_each(|at| self.release(&at));
        }
        let Some(run) = self.runs.get_mut(id) else { return };
        for index in indexes {
            if run.steps[*index as usize].step.status == StepStatus::WaitingInput {
                crate::finish::void_question(run, *index, "it is asked anew", now, out);
            }
            run.change(*index, out, |state| {
                let step = &mut state.step;
                step.status = StepStatus::Blocked;
                step.conclusion = None;
                step.generation += 1;
                step.started_at = None;
                step.ended_at = None;
                step.duration_ms = None;
                step.due_at = None;
                step.retries = 0;
                step.stalled = false;
                step.progress = None;
                step.outputs.clear();
                step.artifacts.clear();
                step.reason = None;
                state.ending = None;
            });
        }
        for index in 0..run.tally.total {
            run.recount_needs(index);
        }
        let free: Vec<u32> =
            indexes.iter().copied().filter(|index| run.steps[*index as usize].remaining == 0).collect();
        for index in free {
            self.queues.unblocked.push_back((id.clone(), index));
        }
        self.drain_unblocked(cx, out);
    }
}
