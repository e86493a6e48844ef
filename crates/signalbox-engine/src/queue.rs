//! Concurrency groups and each project's queue.

use std::collections::{BTreeMap, HashSet, VecDeque};

use signalbox_model::{ProjectId, QueueState, QueuedRun, Room, Run, RunId, StepStatus};

use crate::{
    Context, Engine, Output, Refused,
    engine::Emit,
    plan::{Conflict, Group},
};

#[derive(Debug, Clone, Default)]
struct GroupState {
    max: u32,
    active: VecDeque<RunId>,
    waiting: VecDeque<RunId>,
}

/// Groups of all projects, and what has just become free to go on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queues {
    groups: BTreeMap<(ProjectId, String), GroupState>,
    paused: HashSet<ProjectId>,
    /// Steps whose needs are all done since the last look.
    pub(crate) unblocked: VecDeque<(RunId, u32)>,
}

/// What a new run may do.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) queued: bool,
    pub(crate) skip: bool,
    pub(crate) cancel_others: bool,
    pub(crate) reason: Option<String>,
}

/// The group of runs whose workflow names none: it is never full, but a paused queue holds it as well.
const NO_GROUP: &str = "";

fn group_of(run: &Run) -> (ProjectId, String) {
    (run.project.clone(), run.group.clone().unwrap_or_else(|| NO_GROUP.to_owned()))
}

impl Queues {
    pub(crate) fn admit(&mut self, run: &Run, group: Option<&Group>) -> Admission {
        let paused = self.paused.contains(&run.project);
        let state = self.groups.entry(group_of(run)).or_default();
        state.max = group.map_or(u32::MAX, |group| group.max.max(1));
        let full = state.active.len() >= state.max as usize || !state.waiting.is_empty();
        if !paused && !full {
            state.active.push_back(run.id.clone());
            return Admission::default();
        }
        let name = run.group.as_deref().unwrap_or("the project");
        let conflict = group.map_or(Conflict::Queue, |group| group.on_conflict);
        if full && conflict == Conflict::Skip {
            let reason = Some(format!("{name} already has {} at work, and the workflow says skip", state.active.len()));
            return Admission { skip: true, reason, ..Admission::default() };
        }
        state.waiting.push_back(run.id.clone());
        let reason =
            Some(if paused { "the queue is paused".to_owned() } else { format!("waits for its turn in {name}") });
        Admission {
            queued: true,
            reason,
            cancel_others: full && conflict == Conflict::CancelRunning,
            ..Admission::default()
        }
    }

    /// Puts a run back where the log says it was.
    pub(crate) fn restore(&mut self, run: &Run, queued: bool, max: u32) {
        let state = self.groups.entry(group_of(run)).or_default();
        state.max = max.max(1);
        if queued {
            state.waiting.push_back(run.id.clone());
        } else {
            state.active.push_back(run.id.clone());
        }
    }

    /// How many runs of a done run's group may run at once: for its retry, when the group is not known any more.
    pub(crate) fn learn(&mut self, run: &Run, max: u32) {
        let state = self.groups.entry(group_of(run)).or_default();
        if state.max == 0 {
            state.max = max.max(1);
        }
    }

    pub(crate) fn restore_paused(&mut self, project: ProjectId) {
        self.paused.insert(project);
    }

    /// Orders waiting runs as they were shown.
    pub(crate) fn restore_order(&mut self, project: &ProjectId, order: &[RunId]) {
        for ((of, _), group) in &mut self.groups {
            if of == project {
                let place = |id: &RunId| order.iter().position(|known| known == id).unwrap_or(usize::MAX);
                group.waiting.make_contiguous().sort_by_key(place);
            }
        }
    }

    pub(crate) fn active_of(&self, project: &ProjectId, group: &str) -> Vec<RunId> {
        self.groups
            .get(&(project.clone(), group.to_owned()))
            .map(|group| group.active.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// A run is done, or will never start. Returns whether the queue changed.
    pub(crate) fn leave(&mut self, run: &Run) -> bool {
        let key = group_of(run);
        let Some(state) = self.groups.get_mut(&key) else { return false };
        state.active.retain(|id| *id != run.id);
        let before = state.waiting.len();
        state.waiting.retain(|id| *id != run.id);
        let changed = before != state.waiting.len();
        if state.active.is_empty() && state.waiting.is_empty() {
            self.groups.remove(&key);
        }
        changed
    }

    /// Takes a done run in again (retry). Returns whether it has to wait for its turn.
    pub(crate) fn reenter(&mut self, run: &Run) -> bool {
        let paused = self.paused.contains(&run.project);
        let state = self.groups.entry(group_of(run)).or_default();
        if state.max == 0 {
            state.max = u32::MAX;
        }
        if state.active.contains(&run.id) || state.waiting.contains(&run.id) {
            return false;
        }
        let full = state.active.len() >= state.max as usize || !state.waiting.is_empty();
        let line = if paused || full { &mut state.waiting } else { &mut state.active };
        line.push_back(run.id.clone());
        paused || full
    }

    /// Takes the next runs of a project that may start.
    fn next(&mut self, project: &ProjectId) -> Vec<RunId> {
        let mut found = Vec::new();
        if self.paused.contains(project) {
            return found;
        }
        for (_, state) in self.groups.iter_mut().filter(|((of, _), _)| of == project) {
            while state.active.len() < state.max as usize {
                let Some(id) = state.waiting.pop_front() else { break };
                state.active.push_back(id.clone());
                found.push(id);
            }
        }
        found
    }

    pub(crate) fn state(&self, project: &ProjectId) -> QueueState {
        let paused = self.paused.contains(project);
        let mut runs = Vec::new();
        for ((_, name), group) in self.groups.iter().filter(|((of, _), _)| of == project) {
            for (place, run) in group.waiting.iter().enumerate() {
                let reason = if paused {
                    "the queue is paused".to_owned()
                } else {
                    format!("{} of {} at work, {place} before it", group.active.len(), group.max)
                };
                runs.push(QueuedRun { run: run.clone(), group: name.clone(), reason });
            }
        }
        QueueState { paused, runs }
    }
}

impl Engine {
    pub(crate) fn show_queue(&mut self, project: &ProjectId, out: &mut Output, cx: &mut Context<'_>) {
        let state = self.queues.state(project);
        let mut places = BTreeMap::<String, u32>::new();
        for waiting in &state.runs {
            let place = places.entry(waiting.group.clone()).or_default();
            *place += 1;
            let Some(run) = self.runs.get_mut(&waiting.run) else { continue };
            if run.run.queue_position != Some(*place) {
                run.run.queue_position = Some(*place);
                run.settle(out, cx.now, Emit::Always);
            }
        }
        out.event(
            Room::Project(project.clone()),
            &signalbox_model::Actor::engine(),
            signalbox_model::EventData::QueueUpdate(state),
        );
    }

    /// Lets waiting runs of a project in, as far as their groups have room.
    pub(crate) fn admit_waiting(&mut self, project: &ProjectId, cx: &mut Context<'_>, out: &mut Output) {
        let next = self.queues.next(project);
        if next.is_empty() {
            return;
        }
        for id in &next {
            let Some(run) = self.runs.get_mut(id) else { continue };
            run.queued = false;
            run.run.queue_position = None;
            run.run.reason = None;
            let free: Vec<u32> = (0..run.tally.total)
                .filter(|i| {
                    run.steps[*i as usize].remaining == 0 && run.steps[*i as usize].step.status == StepStatus::Blocked
                })
                .collect();
            for index in free {
                self.unblock(id, index, cx, out);
            }
            self.drain_unblocked(cx, out);
            self.settle(id, Emit::Always, cx, out);
        }
        self.show_queue(project, out, cx);
    }

    pub(crate) fn queue_move(
        &mut self,
        id: &RunId,
        position: u32,
        cx: &mut Context<'_>,
        out: &mut Output,
    ) -> Result<(), Refused> {
        let run = self.run_mut(id)?.run.clone();
        let state = self.queues.groups.get_mut(&group_of(&run));
        let place = state.as_ref().and_then(|state| state.waiting.iter().position(|waiting| waiting == id));
        let (Some(state), Some(place)) = (state, place) else {
            return Err(Refused::Conflict(format!("run #{} does not wait in a queue", run.number)));
        };
        state.waiting.remove(place);
        let to = (position.max(1) as usize - 1).min(state.waiting.len());
        state.waiting.insert(to, id.clone());
        self.show_queue(&run.project, out, cx);
        Ok(())
    }

    pub(crate) fn queue_pause(&mut self, project: &ProjectId, paused: bool, cx: &mut Context<'_>, out: &mut Output) {
        let changed =
            if paused { self.queues.paused.insert(project.clone()) } else { self.queues.paused.remove(project) };
        if changed {
            self.show_queue(project, out, cx);
        }
        if !paused {
            self.admit_waiting(project, cx, out);
        }
    }
}
