//! One run: its steps, who waits for whom, and what its entities say.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use signalbox_model::{
    Approval, FailureCause, Run, RunStatus, Step, StepConclusion, StepKey, StepKind, StepStatus, UnixMillis,
};

use crate::{
    Context, Output,
    engine::Emit,
    input::{NewRun, StepAt},
    plan::Plan,
    status::{Tally, run_conclusion, run_status},
};

/// Why a step is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Cancelled,
    Superseded,
    Timeout,
    Stall,
    /// A "no" sent the run back to a step before it: it is not done, it starts over.
    Rework,
}

impl Ending {
    /// What the open attempt of a step that is being ended will say when it has ended. It is recorded at once, so that
    /// a restart between the wish and the end does not forget the wish.
    pub(crate) fn conclusion(self) -> (StepConclusion, Option<FailureCause>) {
        match self {
            Self::Cancelled => (StepConclusion::Cancelled, None),
            Self::Superseded | Self::Rework => (StepConclusion::Superseded, None),
            Self::Timeout => (StepConclusion::TimedOut, Some(FailureCause::Timeout)),
            Self::Stall => (StepConclusion::TimedOut, Some(FailureCause::Stall)),
        }
    }

    fn recorded(step: &Step, cancelling: bool) -> Option<Self> {
        if step.status != StepStatus::Cancelling {
            return None;
        }
        let attempt = step.attempts.last()?;
        Some(match (attempt.conclusion?, attempt.cause) {
            (StepConclusion::TimedOut, Some(FailureCause::Stall)) => Self::Stall,
            (StepConclusion::TimedOut, _) => Self::Timeout,
            (StepConclusion::Superseded, _) if cancelling => Self::Superseded,
            (StepConclusion::Superseded, _) => Self::Rework,
            _ => Self::Cancelled,
        })
    }
}

/// Whether a step of this kind occupies the machine.
pub(crate) fn needs_slot(kind: StepKind) -> bool {
    matches!(kind, StepKind::Agent | StepKind::Command | StepKind::Git)
}

#[derive(Debug, Clone)]
pub(crate) struct StepState {
    pub(crate) step: Step,
    /// Needs that are not done.
    pub(crate) remaining: u32,
    pub(crate) last_alive: UnixMillis,
    pub(crate) ending: Option<Ending>,
    /// Told to end at once already.
    pub(crate) killed: bool,
    /// Holds one of the host's slots.
    pub(crate) slot: bool,
}

/// A run that is not done, or was done not long ago.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(crate) run: Run,
    pub(crate) plan: Arc<Plan>,
    pub(crate) steps: Vec<StepState>,
    pub(crate) dependents: Arc<Vec<Vec<u32>>>,
    pub(crate) tally: Tally,
    pub(crate) approvals: HashMap<u32, Approval>,
    pub(crate) queued: bool,
    pub(crate) cancelling: bool,
    pub(crate) superseded: bool,
    /// Ready steps that need a slot, in order, those of a full matrix left out.
    pub(crate) ready: VecDeque<u32>,
    /// The same for steps that need none: they must not wait behind those that do.
    pub(crate) ready_slotless: VecDeque<u32>,
    /// Steps at work of each matrix, and those that wait for their matrix.
    pub(crate) matrices: HashMap<u32, (u32, VecDeque<u32>)>,
    /// As last shown to the world.
    shown: (RunStatus, u32, Option<StepKey>),
    /// Whether the world knows when it started.
    shown_start: bool,
}

fn dependents_of(plan: &Plan) -> Vec<Vec<u32>> {
    let mut dependents = vec![Vec::new(); plan.steps.len()];
    for (index, step) in (0u32..).zip(&plan.steps) {
        for need in &step.needs {
            dependents[*need as usize].push(index);
        }
    }
    dependents
}

impl RunState {
    pub(crate) fn new(new: NewRun, now: UnixMillis) -> (Self, HashMap<String, Arc<Step>>) {
        let NewRun { id, number, project, workflow, file, plan, plan_key, inputs, goal, actor, member, group, reuse } =
            new;
        let steps: Vec<StepState> = (0u32..)
            .zip(&plan.steps)
            .map(|(index, spec)| StepState {
                step: Step {
                    run: id.clone(),
                    key: step_key(&spec.key),
                    id: spec.id.clone(),
                    index,
                    title: spec.title.clone(),
                    kind: spec.kind,
                    needs: spec.needs.iter().map(|need| step_key(&plan.steps[*need as usize].key)).collect(),
                    status: StepStatus::Blocked,
                    conclusion: None,
                    generation: 1,
                    attempts: Vec::new(),
                    started_at: None,
                    ended_at: None,
                    duration_ms: None,
                    due_at: None,
                    retries: 0,
                    rejections: 0,
                    stalled: false,
                    progress: None,
                    approval: None,
                    agent: None,
                    outputs: Default::default(),
                    artifacts: Vec::new(),
                    reason: None,
                },
                remaining: u32::try_from(spec.needs.len()).unwrap_or(u32::MAX),
                last_alive: now,
                ending: None,
                killed: false,
                slot: false,
            })
            .collect();
        let total = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let run = Run {
            id,
            number,
            project,
            workflow,
            file,
            plan: plan_key,
            status: RunStatus::Running,
            conclusion: None,
            generation: 0,
            inputs,
            goal,
            actor,
            started_by: member,
            created_at: now,
            started_at: None,
            ended_at: None,
            progress: 0.0,
            steps_total: total,
            steps_done: 0,
            current_step: None,
            group: group.map(|group| group.name),
            queue_position: None,
            paused: false,
            reason: None,
        };
        let state = Self {
            dependents: Arc::new(dependents_of(&plan)),
            plan,
            steps,
            tally: Tally { total, ..Tally::default() },
            approvals: HashMap::new(),
            queued: false,
            cancelling: false,
            superseded: false,
            ready: VecDeque::new(),
            ready_slotless: VecDeque::new(),
            matrices: HashMap::new(),
            shown: (RunStatus::Done, 0, None),
            shown_start: false,
            run,
        };
        (state, reuse)
    }

    /// Puts a run together from what the log knows of it.
    pub(crate) fn restored(
        run: Run,
        plan: Arc<Plan>,
        steps: Vec<Step>,
        approvals: Vec<Approval>,
        now: UnixMillis,
    ) -> Self {
        let total = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let shown = (run.status, run.steps_done, run.current_step.clone());
        let shown_start = run.started_at.is_some();
        let mut state = Self {
            dependents: Arc::new(dependents_of(&plan)),
            tally: Tally { total, ..Tally::default() },
            queued: run.status == RunStatus::Queued,
            cancelling: run.status == RunStatus::Cancelling,
            superseded: false,
            approvals: HashMap::new(),
            ready: VecDeque::new(),
            ready_slotless: VecDeque::new(),
            matrices: HashMap::new(),
            steps: steps
                .into_iter()
                .map(|step| {
                    let ending = Ending::recorded(&step, run.status == RunStatus::Cancelling);
                    StepState { step, remaining: 0, last_alive: now, ending, killed: false, slot: false }
                })
                .collect(),
            plan,
            shown,
            shown_start,
            run,
        };
        // A run that is ended for a newer one has steps that say so from the first moment on.
        state.superseded = state.cancelling
            && state
                .steps
                .iter()
                .any(|s| s.ending == Some(Ending::Superseded) || s.step.conclusion == Some(StepConclusion::Superseded));
        for approval in approvals {
            let index = state.steps.iter().position(|s| s.step.approval.as_ref() == Some(&approval.id));
            if let Some(index) = index.and_then(|index| u32::try_from(index).ok()) {
                state.approvals.insert(index, approval);
            }
        }
        for index in 0..total {
            state.count(index, 1);
            state.recount_needs(index);
        }
        state
    }

    /// The run as it is.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Its steps as they are.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|state| &state.step)
    }

    /// A step as it is.
    #[must_use]
    pub fn step(&self, index: u32) -> Option<&Step> {
        self.steps.get(index as usize).map(|state| &state.step)
    }

    /// The question that a step asks or asked last.
    #[must_use]
    pub fn approval(&self, index: u32) -> Option<&Approval> {
        self.approvals.get(&index)
    }

    /// Whether somebody wants it to end.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.cancelling
    }

    /// Queues a step whose status is `ready`.
    pub(crate) fn enqueue(&mut self, index: u32) {
        self.queue_of(index).push_back(index);
    }

    /// The same, before all others.
    pub(crate) fn enqueue_first(&mut self, index: u32) {
        self.queue_of(index).push_front(index);
    }

    fn queue_of(&mut self, index: u32) -> &mut VecDeque<u32> {
        if needs_slot(self.plan.steps[index as usize].kind) { &mut self.ready } else { &mut self.ready_slotless }
    }

    /// The next step that may start. Without a free slot only one that needs none.
    pub(crate) fn next_ready(&mut self, slot_free: bool) -> Option<u32> {
        self.ready_slotless.pop_front().or_else(|| if slot_free { self.ready.pop_front() } else { None })
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.ready_slotless.is_empty()
    }

    /// Takes steps out of every queue.
    pub(crate) fn dequeue(&mut self, gone: impl Fn(u32) -> bool) {
        let waiting = self.matrices.values_mut().map(|(_, waiting)| waiting);
        for queue in waiting.chain([&mut self.ready, &mut self.ready_slotless]) {
            queue.retain(|index| !gone(*index));
        }
    }

    pub(crate) fn at(&self, index: u32) -> StepAt {
        StepAt { run: self.run.id.clone(), step: index, generation: self.steps[index as usize].step.generation }
    }

    pub(crate) fn recount_needs(&mut self, index: u32) {
        let needs = &self.plan.steps[index as usize].needs;
        let open = needs.iter().filter(|need| self.steps[**need as usize].step.status != StepStatus::Done).count();
        self.steps[index as usize].remaining = u32::try_from(open).unwrap_or(u32::MAX);
    }

    fn count(&mut self, index: u32, by: i32) {
        let tolerated = self.plan.steps[index as usize].continue_on_error;
        let step = &self.steps[index as usize].step;
        self.tally.count(step.status, step.conclusion, tolerated, by);
    }

    /// Changes a step and says so. The tally follows.
    pub(crate) fn change(&mut self, index: u32, out: &mut Output, change: impl FnOnce(&mut StepState)) {
        self.count(index, -1);
        change(&mut self.steps[index as usize]);
        self.count(index, 1);
        out.step(&self.run, &self.steps[index as usize].step);
    }

    /// Changes a step without saying so: for what is said later in the same output.
    pub(crate) fn change_silently(&mut self, index: u32, change: impl FnOnce(&mut StepState)) {
        self.count(index, -1);
        change(&mut self.steps[index as usize]);
        self.count(index, 1);
    }

    pub(crate) fn say(&self, index: u32, out: &mut Output) {
        out.step(&self.run, &self.steps[index as usize].step);
    }

    /// Whether what needs this step may go on.
    pub(crate) fn passes(&self, index: u32) -> bool {
        self.steps[index as usize].step.conclusion.is_some_and(|conclusion| {
            conclusion.lets_pass() || (self.plan.steps[index as usize].continue_on_error && conclusion.is_failure())
        })
    }

    /// Everything that follows from these steps, themselves included.
    pub(crate) fn downstream(&self, from: &[u32]) -> Vec<u32> {
        let mut found = vec![false; self.steps.len()];
        let mut open = from.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut found[index as usize], true) {
                open.extend(&self.dependents[index as usize]);
            }
        }
        (0u32..).zip(found).filter(|(_, found)| *found).map(|(index, _)| index).collect()
    }

    /// Brings the run's own state in line with its steps', and says so if a person would see a difference.
    /// Returns whether the run has just ended.
    pub(crate) fn settle(&mut self, out: &mut Output, now: UnixMillis, emit: Emit) -> bool {
        let was_done = self.run.status == RunStatus::Done;
        let status = run_status(&self.tally, self.queued, self.run.paused, self.cancelling);
        self.run.status = status;
        self.run.steps_done = self.tally.done;
        self.run.progress =
            if self.tally.total == 0 { 1.0 } else { f64::from(self.tally.done) / f64::from(self.tally.total) };
        if status == RunStatus::Done {
            if self.run.conclusion.is_none() {
                self.run.conclusion = Some(run_conclusion(&self.tally, self.cancelling, self.superseded));
            }
            self.run.ended_at.get_or_insert(now);
            self.cancelling = false;
        } else {
            self.run.conclusion = None;
            self.run.ended_at = None;
        }
        let coarse = self.tally.total.div_ceil(50).max(1);
        let moved = self.shown.1.abs_diff(self.tally.done) >= coarse;
        let started = self.run.started_at.is_some() != self.shown_start;
        if emit == Emit::Always || status != self.shown.0 || moved || started {
            self.run.current_step = self.current();
            self.show(out);
        }
        status == RunStatus::Done && !was_done
    }

    fn show(&mut self, out: &mut Output) {
        self.run.generation += 1;
        self.shown_start = self.run.started_at.is_some();
        self.shown = (self.run.status, self.run.steps_done, self.run.current_step.clone());
        out.run(&self.run);
    }

    /// The step that a list names: one that failed, else one that waits for a person, else one at work.
    fn current(&self) -> Option<StepKey> {
        let rank = |step: &Step| match (step.status, step.conclusion) {
            (StepStatus::Done, Some(conclusion)) if conclusion.is_failure() => 0,
            (StepStatus::WaitingInput, _) => 1,
            (StepStatus::Cancelling, _) => 2,
            (StepStatus::Running | StepStatus::Starting | StepStatus::Verifying, _) => 3,
            (StepStatus::Scheduled, _) => 4,
            _ => 9,
        };
        let best = self.steps.iter().map(|state| &state.step).min_by_key(|step| (rank(step), step.index))?;
        (rank(best) < 9).then(|| best.key.clone())
    }

    pub(crate) fn failed_steps(&self) -> Vec<StepKey> {
        self.steps
            .iter()
            .filter(|state| state.step.conclusion.is_some_and(StepConclusion::is_failure))
            .map(|state| state.step.key.clone())
            .collect()
    }

    pub(crate) fn context<'a>(&'a self, cx: &'a Context<'_>) -> &'a dyn crate::Expressions {
        cx.expressions
    }
}

fn step_key(text: &str) -> StepKey {
    // Keys are checked when the workflow is loaded; one that slipped through is cut rather than lost.
    StepKey::new(text).unwrap_or_else(|_| {
        let cut: String = text.chars().filter(|c| !c.is_control()).take(50).collect();
        StepKey::new(format!("step-{cut}"))
            .unwrap_or_else(|_| unreachable!("50 characters without control characters are a key"))
    })
}
