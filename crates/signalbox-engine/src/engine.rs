//! All runs of a host: what each input does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use signalbox_model::{
    Activity, Actor, ApprovalId, Completion, EventBody, EventData, NewEvent, Priority, ProjectId, QueueState, Room,
    Run, RunConclusion, RunId, RunStatus, Step, StepConclusion, StepStatus, UnixMillis,
};

use crate::{
    ApprovalText, Group,
    input::{Effect, Input, StepAt, Timer},
    queue::Queues,
    run::{Ending, RunState, needs_slot},
};

/// Whether a run says how it is although a person would see no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emit {
    Always,
    IfChanged,
}

/// Answers questions about a workflow's expressions. As pure as the engine: the same state, the same answer.
pub trait Expressions {
    /// The value of a step's `if`.
    ///
    /// # Errors
    /// A sentence for a person, if it has none.
    fn condition(&self, run: &RunState, step: u32) -> Result<bool, ConditionError>;

    /// The texts of an approval.
    fn approval(&self, run: &RunState, step: u32) -> ApprovalText;
}

/// Why an `if` has no value, in a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConditionError(pub String);

/// What an input is applied with.
pub struct Context<'a> {
    /// The time.
    pub now: UnixMillis,
    /// Random numbers, for ids and jitter.
    pub random: &'a mut dyn FnMut() -> u64,
    /// The workflows' expressions.
    pub expressions: &'a dyn Expressions,
}

impl Context<'_> {
    pub(crate) fn approval_id(&mut self) -> ApprovalId {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bits = u128::from((self.random)()) << 64 | u128::from((self.random)());
        let mut text = String::from("a_");
        for _ in 0..20 {
            text.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        ApprovalId::new(text).unwrap_or_else(|_| unreachable!("20 letters of the alphabet are an id"))
    }
}

/// What is to be committed, and then done.
#[derive(Debug, Default)]
pub struct Output {
    /// To be committed as one unit.
    pub events: Vec<NewEvent>,
    /// To be done after that, in order.
    pub effects: Vec<Effect>,
}

impl Output {
    pub(crate) fn event(&mut self, room: Room, actor: &Actor, data: EventData) {
        self.events.push(NewEvent::new(room, actor.clone(), data));
    }

    pub(crate) fn run(&mut self, run: &Run) {
        let room = Room::Project(run.project.clone());
        let data = EventData::RunUpdated(Arc::new(run.clone()));
        self.events.push(NewEvent::new(room, Actor::engine(), data).of_run(run.id.clone()));
    }

    pub(crate) fn step(&mut self, run: &Run, step: &Step) {
        let data = Arc::new(step.clone());
        let data =
            if step.status == StepStatus::Done { EventData::StepCompleted(data) } else { EventData::StepUpdated(data) };
        let room = Room::Project(run.project.clone());
        self.events.push(NewEvent::new(room, Actor::engine(), data).of_run(run.id.clone()).of_step(step.key.clone()));
    }

    /// Where the last event about each step of the run is, if it says that it is ready.
    fn ready_steps_of(&self, run: &RunId) -> HashMap<u32, usize> {
        let mut places = HashMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let EventBody::Known(EventData::StepUpdated(step) | EventData::StepCompleted(step)) = &event.body else {
                continue;
            };
            if step.run != *run {
                continue;
            }
            if step.status == StepStatus::Ready {
                places.insert(step.index, place);
            } else {
                places.remove(&step.index);
            }
        }
        places
    }

    pub(crate) fn activity(&mut self, run: &Run, kind: &str, priority: Priority, actor: &Actor, text: String) {
        let activity = Activity {
            kind: kind.to_owned(),
            priority,
            project: Some(run.project.clone()),
            actor: actor.clone(),
            text,
            run: Some(run.id.clone()),
            step: None,
            to: Vec::new(),
        };
        self.event(Room::Feed(run.project.clone()), actor, EventData::ActivityCreated(activity));
    }
}

/// Why an input was refused. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such run, step or question, or it ended long ago.
    #[error("there is no {0}")]
    NotFound(String),
    /// It does not fit the present state.
    #[error("{0}")]
    Conflict(String),
    /// The role, or the rules of the question, do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// What was handed over is malformed.
    #[error("{0}")]
    Invalid(String),
    /// News of a generation that is over. Harmless.
    #[error("that is over")]
    Stale,
}

/// Every run that is not done, the queues, and the host's slots.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) runs: BTreeMap<RunId, RunState>,
    pub(crate) questions: HashMap<ApprovalId, (RunId, u32)>,
    pub(crate) queues: Queues,
    pub(crate) slots: u32,
    pub(crate) used: u32,
    /// Runs that may have a step to start, in the order in which they were started.
    pub(crate) hungry: BTreeSet<(UnixMillis, RunId)>,
}

impl Engine {
    /// An engine without runs that lets `slots` steps run at once (at least 1).
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            runs: BTreeMap::new(),
            questions: HashMap::new(),
            queues: Queues::default(),
            slots: slots.max(1),
            used: 0,
            hungry: BTreeSet::new(),
        }
    }

    /// A run, unless it ended and was forgotten.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&RunState> {
        self.runs.get(id)
    }

    /// Every run it knows.
    pub fn runs(&self) -> impl Iterator<Item = &RunState> {
        self.runs.values()
    }

    /// A project's queue.
    #[must_use]
    pub fn queue(&self, project: &ProjectId) -> QueueState {
        self.queues.state(project)
    }

    /// Steps that hold a slot.
    #[must_use]
    pub fn used_slots(&self) -> u32 {
        self.used
    }

    /// Forgets runs that are done: call after their last effects were performed.
    pub fn forget_done(&mut self) {
        let done: Vec<RunId> =
            self.runs.values().filter(|run| run.run.status == RunStatus::Done).map(|run| run.run.id.clone()).collect();
        for id in done {
            if let Some(run) = self.runs.remove(&id) {
                self.hungry.remove(&(run.run.created_at, id.clone()));
                self.questions.retain(|_, (of, _)| *of != id);
            }
        }
    }

    /// The clock was set by so many milliseconds, or the machine slept: that is no time in which a step was silent.
    pub fn clock_was_set(&mut self, by: UnixMillis) {
        for state in self.runs.values_mut().flat_map(|run| &mut run.steps) {
            state.last_alive = state.last_alive.saturating_add(by);
        }
    }

    /// Applies an input.
    ///
    /// # Errors
    /// If it is refused. Then nothing changed.
    pub fn apply(&mut self, input: Input, cx: &mut Context<'_>) -> Result<Output, Refused> {
        let mut out = Output::default();
        match input {
            Input::Submit(new) => self.submit(*new, cx, &mut out)?,
            Input::Started { at, process } => self.started(&at, process, cx, &mut out)?,
            Input::StartFailed { at, message } => self.start_failed(&at, message, cx, &mut out)?,
            Input::Finished { at, outcome } => self.finished(&at, outcome, cx, &mut out)?,
            Input::Checked { at, failure } => self.checked(&at, failure, cx, &mut out)?,
            Input::Alive { at } => {
                let state = self.step_mut(&at)?;
                state.last_alive = cx.now;
                if state.step.stalled {
                    let run = self.run_mut(&at.run)?;
                    run.change(at.step, &mut out, |state| {
                        state.step.stalled = false;
                        state.step.reason = None;
                    });
                }
            }
            Input::Phase { at, phase, reason } => self.phase(&at, phase, reason, cx, &mut out)?,
            Input::Agent { at, agent } => self.agent(&at, *agent, &mut out)?,
            Input::Progress { value, .. } if !value.is_finite() => {
                return Err(Refused::Invalid("progress is a number from 0 to 1".into()));
            }
            Input::Progress { at, value } => {
                let run = self.run_at(&at)?;
                let state = &run.steps[at.step as usize];
                // A percent is what a bar can show.
                if state.step.status == StepStatus::Running
                    && state.step.progress.is_none_or(|shown| (shown - value).abs() >= 0.01 || value >= 1.0)
                    && state.step.progress != Some(value)
                {
                    run.change(at.step, &mut out, |state| state.step.progress = Some(value.clamp(0.0, 1.0)));
                }
            }
            Input::Timer(timer) => self.timer(timer, cx, &mut out)?,
            Input::Answer { approval, decision, form, actor, member, role } => {
                self.answer(&approval, decision, form, (actor, member), role, cx, &mut out)?;
            }
            Input::Cancel { run, actor, force } => self.cancel(&run, &actor, force, cx, &mut out)?,
            Input::Pause { run, actor } => self.pause(&run, true, &actor, cx, &mut out)?,
            Input::Resume { run, actor } => self.pause(&run, false, &actor, cx, &mut out)?,
            Input::Retry { run, scope, actor } => self.retry(&run, scope, &actor, cx, &mut out)?,
            Input::QueueMove { run, position } => self.queue_move(&run, position, cx, &mut out)?,
            Input::QueuePause { project, paused } => self.queue_pause(&project, paused, cx, &mut out),
        }
        self.dispatch(cx, &mut out);
        Ok(out)
    }

    pub(crate) fn run_mut(&mut self, id: &RunId) -> Result<&mut RunState, Refused> {
        self.runs.get_mut(id).ok_or_else(|| Refused::NotFound(format!("active run {id}")))
    }

    /// The run, if the step's generation is still the one meant.
    pub(crate) fn run_at(&mut self, at: &StepAt) -> Result<&mut RunState, Refused> {
        let run = self.runs.get_mut(&at.run).ok_or(Refused::Stale)?;
        match run.steps.get(at.step as usize) {
            Some(state) if state.step.generation == at.generation => Ok(run),
            _ => Err(Refused::Stale),
        }
    }

    fn step_mut(&mut self, at: &StepAt) -> Result<&mut crate::run::StepState, Refused> {
        let index = at.step as usize;
        Ok(&mut self.run_at(at)?.steps[index])
    }

    fn submit(&mut self, new: crate::NewRun, cx: &mut Context<'_>, out: &mut Output) -> Result<(), Refused> {
        if self.runs.contains_key(&new.id) {
            return Err(Refused::Conflict(format!("run {} exists", new.id)));
        }
        let group = new.group.clone();
        let actor = new.actor.clone();
        let (mut run, reuse) = RunState::new(new, cx.now);
        let id = run.run.id.clone();
        let text = format!("{} #{} was started", run.run.workflow, run.run.number);
        let admission = self.queues.admit(&run.run, group.as_ref());
        run.queued = admission.queued;
        run.run.reason = admission.reason;
        if admission.skip {
            for index in 0..run.tally.total {
                run.change_silently(index, |state| {
                    state.step.status = StepStatus::Done;
                    state.step.conclusion = Some(StepConclusion::Skipped);
                    state.step.ended_at = Some(cx.now);
                });
            }
            run.run.conclusion = Some(RunConclusion::Skipped);
        }
        for index in 0..run.tally.total {
            let key = &run.plan.steps[index as usize].key;
            let Some(old) = reuse.get(key).filter(|old| old.conclusion == Some(StepConclusion::Success)) else {
                continue;
            };
            let old = Arc::clone(old);
            run.change_silently(index, |state| {
                state.step = Step { run: state.step.run.clone(), index, generation: 1, ..(*old).clone() };
                state.step.reason = Some("taken over from an earlier run".into());
            });
        }
        for index in 0..run.tally.total {
            run.recount_needs(index);
        }
        // The run first: its steps' events and its room refer to it.
        let ended_at_once = run.settle(out, cx.now, Emit::Always);
        let first_step = out.events.len();
        self.runs.insert(id.clone(), run);
        let free: Vec<u32> = {
            let run = &self.runs[&id];
            (0..run.tally.total)
                .filter(|i| {
                    run.steps[*i as usize].remaining == 0 && run.steps[*i as usize].step.status == StepStatus::Blocked
                })
                .collect()
        };
        if !admission.queued && !admission.skip {
            for index in free {
                self.unblock(&id, index, cx, out);
            }
            self.drain_unblocked(cx, out);
        }
        // Steps that said nothing so far are shown as they are: a run is seen whole from its first moment.
        let said: std::collections::HashSet<_> =
            out.events[first_step..].iter().filter_map(|event| event.step.clone()).collect();
        let run = self.run_mut(&id)?;
        let mut silent = Output::default();
        for index in 0..run.tally.total {
            if !said.contains(&run.steps[index as usize].step.key) {
                run.say(index, &mut silent);
            }
        }
        out.events.splice(first_step..first_step, silent.events);
        out.activity(&run.run.clone(), "run_started", Priority::Low, &actor, text);
        if let Some(group) = group.filter(|_| admission.cancel_others) {
            self.supersede(&id, &group, cx, out)?;
        }
        if admission.queued {
            self.show_queue(&self.runs[&id].run.project.clone(), out, cx);
        }
        if ended_at_once {
            self.run_ended(&id, cx, out);
        } else {
            self.settle(&id, Emit::IfChanged, cx, out);
        }
        Ok(())
    }

    fn supersede(&mut self, new: &RunId, group: &Group, cx: &mut Context<'_>, out: &mut Output) -> Result<(), Refused> {
        let project = self.runs[new].run.project.clone();
        for old in self.queues.active_of(&project, &group.name) {
            if old != *new {
                self.end_run(&old, Ending::Superseded, false, cx, out)?;
            }
        }
        Ok(())
    }

    /// Brings a run in line with its steps; when it has ended, says so and lets the next one in.
    pub(crate) fn settle(&mut self, id: &RunId, emit: Emit, cx: &mut Context<'_>, out: &mut Output) {
        let Some(run) = self.runs.get_mut(id) else { return };
        if run.settle(out, cx.now, emit) {
            self.run_ended(id, cx, out);
        }
    }

    /// A run has just ended: says how, and lets the next one in.
    fn run_ended(&mut self, id: &RunId, cx: &mut Context<'_>, out: &mut Output) {
        let Some(run) = self.runs.get(id) else { return };
        let (entity, failed) = (run.run.clone(), run.failed_steps());
        let conclusion = entity.conclusion.unwrap_or(RunConclusion::Success);
        let duration = entity.ended_at.unwrap_or(cx.now) - entity.started_at.unwrap_or(entity.created_at);
        let needs = match conclusion {
            RunConclusion::Crashed => Some("the outcome of a step is unknown: look at it, then retry it".to_owned()),
            RunConclusion::Failed | RunConclusion::TimedOut => {
                failed.first().map(|step| format!("look at the log of {step}"))
            }
            _ => None,
        };
        let word = serde_json::to_value(conclusion)
            .ok()
            .and_then(|v| v.as_str().map(|s| s.replace('_', " ")))
            .unwrap_or_default();
        let completion = Completion {
            run: entity.id.clone(),
            number: entity.number,
            workflow: entity.workflow.clone(),
            conclusion,
            duration_ms: u64::try_from(duration).unwrap_or(0),
            failed_steps: failed.clone(),
            needs,
        };
        let room = Room::Project(entity.project.clone());
        out.events
            .push(NewEvent::new(room, Actor::engine(), EventData::Completion(completion)).of_run(entity.id.clone()));
        let (priority, text) = match failed.first() {
            Some(step) => (Priority::High, format!("{} #{} {word} at {step}", entity.workflow, entity.number)),
            None => (Priority::Normal, format!("{} #{}: {word}", entity.workflow, entity.number)),
        };
        out.activity(&entity, "run_completed", priority, &Actor::engine(), text);
        out.effects.push(Effect::Ended(entity.id.clone()));
        self.hungry.remove(&(entity.created_at, entity.id.clone()));
        let changed = self.queues.leave(&entity);
        self.admit_waiting(&entity.project, cx, out);
        if changed {
            self.show_queue(&entity.project, out, cx);
        }
    }

    /// A step's needs are done: it becomes ready, or is skipped or omitted. Returns whether it is done by that.
    pub(crate) fn unblock(&mut self, id: &RunId, index: u32, cx: &mut Context<'_>, out: &mut Output) {
        let Some(run) = self.runs.get_mut(id) else { return };
        let plan = Arc::clone(&run.plan);
        let spec = &plan.steps[index as usize];
        let passes = spec.needs.iter().all(|need| run.passes(*need));
        let verdict = if run.cancelling && !spec.status_function {
            Err((StepConclusion::Cancelled, None))
        } else if !passes && !spec.status_function {
            let cause =
                spec.needs.iter().find(|need| !run.passes(**need)).map(|need| plan.steps[*need as usize].key.clone());
            Err((StepConclusion::Omitted, cause.map(|key| format!("{key} did not succeed"))))
        } else if spec.condition {
            match run.context(cx).condition(run, index) {
                Ok(true) => Ok(()),
                Ok(false) if passes => Err((StepConclusion::Skipped, Some("its `if` is false".to_owned()))),
                Ok(false) => Err((StepConclusion::Omitted, None)),
                Err(error) => Err((StepConclusion::Failed, Some(format!("its `if` cannot be evaluated: {error}")))),
            }
        } else {
            Ok(())
        };
        match verdict {
            Ok(()) => {
                run.change_silently(index, |state| state.step.status = StepStatus::Ready);
                run.enqueue(index);
                self.hungry.insert((run.run.created_at, id.clone()));
            }
            Err((conclusion, reason)) => {
                run.change(index, out, |state| {
                    state.step.status = StepStatus::Done;
                    state.step.conclusion = Some(conclusion);
                    state.step.reason = reason;
                    state.step.ended_at = Some(cx.now);
                });
                self.after_done(id, index, cx, out);
            }
        }
    }

    /// Tells what needs a done step. Iterative, since a chain may be thousands of steps long.
    pub(crate) fn after_done(&mut self, id: &RunId, index: u32, _: &mut Context<'_>, _: &mut Output) {
        let Some(run) = self.runs.get_mut(id) else { return };
        let dependents = Arc::clone(&run.dependents);
        for dependent in &dependents[index as usize] {
            let state = &mut run.steps[*dependent as usize];
            state.remaining = state.remaining.saturating_sub(1);
            if state.remaining == 0 && state.step.status == StepStatus::Blocked {
                self.queues.unblocked.push_back((id.clone(), *dependent));
            }
        }
    }

    /// Unblocks what [`after_done`](Self::after_done) found.
    pub(crate) fn drain_unblocked(&mut self, cx: &mut Context<'_>, out: &mut Output) {
        while let Some((id, index)) = self.queues.unblocked.pop_front() {
            let blocked = self.runs.get(&id).is_some_and(|run| {
                let state = &run.steps[index as usize];
                state.remaining == 0 && state.step.status == StepStatus::Blocked && !run.queued
            });
            if blocked {
                self.unblock(&id, index, cx, out);
            }
        }
    }

    /// Starts what may start, as far as slots go, and shows what has to wait for one.
    pub(crate) fn dispatch(&mut self, cx: &mut Context<'_>, out: &mut Output) {
        loop {
            self.drain_unblocked(cx, out);
            let mut progressed = false;
            let hungry: Vec<(UnixMillis, RunId)> = self.hungry.iter().cloned().collect();
            for (created, id) in hungry {
                let Some(run) = self.runs.get_mut(&id) else {
                    self.hungry.remove(&(created, id));
                    continue;
                };
                if run.run.paused && !run.cancelling {
                    continue;
                }
                let mut started = false;
                let slots = self.slots;
                while let Some(index) = self.runs.get_mut(&id).and_then(|run| run.next_ready(self.used < slots)) {
                    let Some(run) = self.runs.get_mut(&id) else { break };
                    if run.steps[index as usize].step.status != StepStatus::Ready {
                        continue;
                    }
                    let spec = &run.plan.steps[index as usize];
                    let slot = needs_slot(spec.kind);
                    if let Some((matrix, max)) = spec.matrix {
                        let (running, waiting) = run.matrices.entry(matrix).or_default();
                        if *running >= max {
                            waiting.push_back(index);
                            continue;
                        }
                        *running += 1;
                    }
                    started = true;
                    self.start(&id, index, slot, cx, out);
                }
                if self.runs.get(&id).is_some_and(|run| !run.has_ready()) {
                    self.hungry.remove(&(created, id.clone()));
                }
                if started {
                    progressed = true;
                    self.settle(&id, Emit::IfChanged, cx, out);
                }
                if self.used >= self.slots && self.hungry.len() > 64 {
                    break;
                }
            }
            if !progressed && self.queues.unblocked.is_empty() {
                break;
            }
        }
        self.show_waiting(out);
    }

    /// Steps that became ready and could not start yet are shown as ready, once.
    fn show_waiting(&mut self, out: &mut Output) {
        for (_, id) in self.hungry.iter().take(64) {
            let Some(run) = self.runs.get_mut(id) else { continue };
            // Only those not shown before; a step is marked by its reason.
            let unshown = |index: &&u32| run.steps[**index as usize].step.reason.is_none();
            let fresh: Vec<u32> = (run.ready.iter().rev().take_while(unshown))
                .chain(run.ready_slotless.iter().rev().take_while(unshown))
                .copied()
                .collect();
            if fresh.is_empty() {
                continue;
            }
            let reason = if run.run.paused { "the run is paused" } else { "waits for a free slot" };
            // Most became ready just now: then it is said at once why they do not start.
            let said = out.ready_steps_of(id);
            for index in fresh {
                run.change_silently(index, |state| state.step.reason = Some(reason.into()));
                let step = &run.steps[index as usize].step;
                match said.get(&index) {
                    Some(place) => out.events[*place].body = EventData::StepUpdated(Arc::new(step.clone())).into(),
                    None => out.step(&run.run, step),
                }
            }
        }
    }

    pub(crate) fn timer(&mut self, timer: Timer, cx: &mut Context<'_>, out: &mut Output) -> Result<(), Refused> {
        match timer {
            Timer::Timeout(at) => self.timed_out(&at, cx, out),
            Timer::Stall(at) => self.check_stall(&at, cx, out),
            Timer::Retry(at) => {
                let run = self.run_at(&at)?;
                if run.steps[at.step as usize].step.status != StepStatus::Scheduled {
                    return Err(Refused::Stale);
                }
                run.change_silently(at.step, |state| {
                    state.step.status = StepStatus::Ready;
                    state.step.due_at = None;
                    state.step.reason = None;
                });
                run.enqueue(at.step);
                let key = (run.run.created_at, at.run.clone());
                self.hungry.insert(key);
                Ok(())
            }
            Timer::Approval(at) => self.approval_timed_out(&at, cx, out),
            Timer::Kill(at) => {
                let run = self.run_at(&at)?;
                let state = &mut run.steps[at.step as usize];
                if state.step.status != StepStatus::Cancelling || state.killed {
                    return Err(Refused::Stale);
                }
                state.killed = true;
                out.effects.push(Effect::Kill(at));
                Ok(())
            }
        }
    }
}
