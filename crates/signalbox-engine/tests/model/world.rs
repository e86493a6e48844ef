//! A host that keeps what the log would keep, and plays the processes.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use signalbox_engine::{
    ApprovalPlan, ApprovalText, ConditionError, Context, Effect, Engine, Expressions, Group, Input, NewRun, Outcome,
    Output, Phase, Plan, Refused, Restored, Retry, RunState, Stall, StepAt, StepPlan, Survived, Timer,
};
use signalbox_model::{
    Actor, Approval, Decision, EventBody, EventData, MemberId, ProjectId, Role, Run, RunId, Step, StepConclusion,
    StepKind, StepStatus,
};

pub(crate) struct Conditions(pub(crate) HashMap<u32, bool>);

impl Expressions for Conditions {
    fn condition(&self, _: &RunState, step: u32) -> Result<bool, ConditionError> {
        Ok(self.0.get(&step).copied().unwrap_or(true))
    }
    fn approval(&self, _: &RunState, _: u32) -> ApprovalText {
        ApprovalText { question: "go on?".into(), ..ApprovalText::default() }
    }
}

pub(crate) fn step(index: usize, kind: StepKind, needs: Vec<u32>) -> StepPlan {
    StepPlan {
        key: format!("s{index}"),
        id: format!("s{index}"),
        title: format!("s{index}"),
        kind,
        needs,
        condition: false,
        status_function: false,
        continue_on_error: false,
        idempotent: false,
        timeout_ms: None,
        stall: Stall::default(),
        retry: Retry::default(),
        checks: 0,
        matrix: None,
        approval: (kind == StepKind::Approval).then(|| ApprovalPlan {
            min: 1,
            self_approval: true,
            ..ApprovalPlan::default()
        }),
    }
}

pub(crate) fn commands(needs: &[&[u32]]) -> Plan {
    Plan { steps: needs.iter().enumerate().map(|(i, n)| step(i, StepKind::Command, n.to_vec())).collect() }
}

/// Keeps what the log would keep, and plays the host.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: i64,
    pub(crate) random: u64,
    pub(crate) conditions: Conditions,
    pub(crate) plans: HashMap<RunId, (Arc<Plan>, u32)>,
    pub(crate) runs: HashMap<RunId, Run>,
    pub(crate) steps: HashMap<(RunId, u32), Step>,
    pub(crate) approvals: HashMap<String, Approval>,
    pub(crate) working: Vec<StepAt>,
    pub(crate) checking: Vec<StepAt>,
    pub(crate) timers: Vec<(i64, Timer)>,
    pub(crate) ended: Vec<RunId>,
    pub(crate) started: Vec<(String, u32)>,
}

impl World {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            engine: Engine::new(slots),
            now: 1_000,
            random: 42,
            conditions: Conditions(HashMap::new()),
            plans: HashMap::new(),
            runs: HashMap::new(),
            steps: HashMap::new(),
            approvals: HashMap::new(),
            working: Vec::new(),
            checking: Vec::new(),
            timers: Vec::new(),
            ended: Vec::new(),
            started: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, input: Input) -> Result<(), Refused> {
        let random = Cell::new(self.random);
        let mut next = || {
            random.set(random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            random.get()
        };
        let mut cx = Context { now: self.now, random: &mut next, expressions: &self.conditions };
        let out = self.engine.apply(input, &mut cx);
        self.random = random.get();
        self.take(out?);
        Ok(())
    }

    pub(crate) fn take(&mut self, out: Output) {
        for event in out.events {
            let EventBody::Known(data) = event.body else { panic!("the engine posts no custom events") };
            match data {
                EventData::RunUpdated(run) => {
                    let old = self.runs.insert(run.id.clone(), (*run).clone());
                    assert!(old.is_none_or(|old| old.generation < run.generation), "a run's generation rises");
                }
                EventData::StepUpdated(step) | EventData::StepCompleted(step) => {
                    assert_eq!(step.status == StepStatus::Done, step.conclusion.is_some(), "{step:?}");
                    let old = self.steps.insert((step.run.clone(), step.index), (*step).clone());
                    if let Some(old) = old {
                        assert!(old.generation <= step.generation);
                        assert!(
                            old.status != StepStatus::Done || old.generation < step.generation,
                            "done is immutable: {old:?} -> {step:?}"
                        );
                        assert!(old.attempts.len() <= step.attempts.len(), "attempts are kept");
                    }
                }
                EventData::ApprovalRequested(approval) | EventData::ApprovalResolved(approval) => {
                    self.approvals.insert(approval.id.to_string(), (*approval).clone());
                }
                _ => {}
            }
        }
        for effect in out.effects {
            match effect {
                Effect::Start { at, .. } => {
                    let plan = &self.plans[&at.run].0;
                    for need in &plan.steps[at.step as usize].needs {
                        let need = &self.steps[&(at.run.clone(), *need)];
                        assert_eq!(need.status, StepStatus::Done, "started before its needs");
                    }
                    let twice = self.working.iter().chain(&self.checking).any(|w| w.run == at.run && w.step == at.step);
                    assert!(!twice, "started while its earlier attempt is at work");
                    self.started.push((plan.steps[at.step as usize].key.clone(), at.step));
                    self.working.push(at);
                }
                Effect::Check { at, .. } => self.checking.push(at),
                Effect::Arm { timer, at } => self.timers.push((at, timer)),
                Effect::Ended(run) => self.ended.push(run),
                Effect::Terminate(_) | Effect::Kill(_) => {}
            }
        }
        let slots = self
            .working
            .iter()
            .chain(&self.checking)
            .filter(|at| matches!(self.plans[&at.run].0.steps[at.step as usize].kind, StepKind::Command));
        assert!(slots.count() <= 2.max(self.engine.used_slots() as usize));
    }

    pub(crate) fn submit(&mut self, n: u64, plan: Plan, group: Option<Group>) -> RunId {
        let id = RunId::new(format!("r_{n:08}")).unwrap();
        let plan = Arc::new(plan);
        self.plans.insert(id.clone(), (Arc::clone(&plan), group.as_ref().map_or(u32::MAX, |g| g.max)));
        self.apply(Input::Submit(Box::new(NewRun {
            id: id.clone(),
            number: n,
            project: ProjectId::new("demo").unwrap(),
            workflow: "w".into(),
            file: None,
            plan,
            plan_key: String::new(),
            goal: None,
            inputs: Default::default(),
            actor: actor("alice"),
            member: Some(member("alice")),
            group,
            reuse: HashMap::new(),
        })))
        .unwrap();
        id
    }

    /// One thing happens: a process ends, checks end, or a time comes.
    pub(crate) fn happen(&mut self, pick: usize, code: i32) -> bool {
        if !self.working.is_empty() && (pick % 4 != 3 || self.checking.is_empty()) {
            let at = self.working.swap_remove(pick % self.working.len());
            let _ = self.apply(Input::Started { at: at.clone(), process: Some((1, None)) });
            let outcome = Outcome { code: Some(code), ..Outcome::default() };
            self.apply(Input::Finished { at, outcome }).unwrap();
            return true;
        }
        if !self.checking.is_empty() {
            let at = self.checking.swap_remove(pick % self.checking.len());
            self.apply(Input::Checked { at, failure: (code != 0).then(|| "no".into()) }).unwrap();
            return true;
        }
        if !self.timers.is_empty() {
            self.timers.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            let (at, timer) = self.timers.pop().unwrap();
            self.now = self.now.max(at);
            let _ = self.apply(Input::Timer(timer));
            return true;
        }
        false
    }

    /// An agent at work does something else.
    pub(crate) fn change_phase(&mut self, pick: usize) {
        let agents =
            self.working.iter().filter(|at| self.plans[&at.run].0.steps[at.step as usize].kind == StepKind::Agent);
        let agents: Vec<StepAt> = agents.cloned().collect();
        let Some(at) = agents.get(pick % agents.len().max(1)) else { return };
        let phase = [Phase::Working, Phase::Waiting, Phase::Checking][pick % 3];
        let _ = self.apply(Input::Started { at: at.clone(), process: None });
        let _ = self.apply(Input::Phase { at: at.clone(), phase, reason: None });
    }

    pub(crate) fn step(&self, run: &RunId, index: u32) -> &Step {
        &self.steps[&(run.clone(), index)]
    }

    pub(crate) fn conclusions(&self, run: &RunId) -> Vec<Option<StepConclusion>> {
        (0..self.plans[run].0.steps.len() as u32).map(|i| self.step(run, i).conclusion).collect()
    }

    pub(crate) fn finish(&mut self) {
        for n in 0..100_000 {
            if !self.happen(n, 0) {
                return;
            }
        }
        panic!("never ends");
    }

    pub(crate) fn restored(&self) -> Vec<Restored> {
        self.runs
            .values()
            .map(|run| {
                let (plan, max) = &self.plans[&run.id];
                Restored {
                    run: run.clone(),
                    plan: Arc::clone(plan),
                    steps: (0..plan.steps.len() as u32).map(|i| self.step(&run.id, i).clone()).collect(),
                    approvals: self.approvals.values().filter(|a| a.run == run.id).cloned().collect(),
                    group_max: *max,
                }
            })
            .collect()
    }

    pub(crate) fn restart(&mut self, survived: Survived) {
        let mut n = 0;
        let mut random = || {
            n += 1;
            n
        };
        let mut cx = Context { now: self.now, random: &mut random, expressions: &self.conditions };
        let (engine, out) = Engine::restore(
            2,
            self.restored(),
            &[(ProjectId::new("demo").unwrap(), self.engine.queue(&ProjectId::new("demo").unwrap()))],
            survived,
            &mut cx,
        );
        self.engine = engine;
        self.timers.clear();
        if survived != Survived::Yes {
            self.working.clear();
            self.checking.clear();
        }
        self.take(out);
    }
}

pub(crate) fn actor(name: &str) -> Actor {
    Actor::new(name).unwrap()
}

pub(crate) fn member(name: &str) -> MemberId {
    MemberId::new(format!("m_{name:0>8}")).unwrap()
}

pub(crate) fn answer(id: &signalbox_model::ApprovalId, who: &str, decision: Decision, role: Role) -> Input {
    let member = Some(member(who));
    Input::Answer { approval: id.clone(), decision, form: Default::default(), actor: actor(who), member, role }
}
