//! The engine against random graphs, outcomes and orders of events.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use proptest::prelude::*;
use signalbox_engine::{
    ApprovalPlan, ApprovalText, ConditionError, Conflict, Context, Effect, Engine, Expressions, Group, Input, NewRun,
    OnReject, Outcome, Output, Plan, Refused, Restored, Retry, RunState, Scope, Stall, StepAt, StepPlan, Survived,
    Timer,
};
use signalbox_model::{
    Actor, Approval, ApprovalState, Decision, EventBody, EventData, FailureCause, ProjectId, Role, Run, RunConclusion,
    RunId, RunStatus, Step, StepConclusion, StepKind, StepStatus,
};

struct Conditions(HashMap<u32, bool>);

impl Expressions for Conditions {
    fn condition(&self, _: &RunState, step: u32) -> Result<bool, ConditionError> {
        Ok(self.0.get(&step).copied().unwrap_or(true))
    }
    fn approval(&self, _: &RunState, _: u32) -> ApprovalText {
        ApprovalText { question: "go on?".into(), ..ApprovalText::default() }
    }
}

fn step(index: usize, kind: StepKind, needs: Vec<u32>) -> StepPlan {
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

fn commands(needs: &[&[u32]]) -> Plan {
    Plan { steps: needs.iter().enumerate().map(|(i, n)| step(i, StepKind::Command, n.to_vec())).collect() }
}

/// Keeps what the log would keep, and plays the host.
struct World {
    engine: Engine,
    now: i64,
    random: u64,
    conditions: Conditions,
    plans: HashMap<RunId, (Arc<Plan>, u32)>,
    runs: HashMap<RunId, Run>,
    steps: HashMap<(RunId, u32), Step>,
    approvals: HashMap<String, Approval>,
    working: Vec<StepAt>,
    checking: Vec<StepAt>,
    timers: Vec<(i64, Timer)>,
    ended: Vec<RunId>,
    started: Vec<(String, u32)>,
}

impl World {
    fn new(slots: u32) -> Self {
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

    fn apply(&mut self, input: Input) -> Result<(), Refused> {
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

    fn take(&mut self, out: Output) {
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

    fn submit(&mut self, n: u64, plan: Plan, group: Option<Group>) -> RunId {
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
            inputs: Default::default(),
            actor: actor("alice"),
            group,
            reuse: HashMap::new(),
        })))
        .unwrap();
        id
    }

    /// One thing happens: a process ends, checks end, or a time comes.
    fn happen(&mut self, pick: usize, code: i32) -> bool {
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

    fn step(&self, run: &RunId, index: u32) -> &Step {
        &self.steps[&(run.clone(), index)]
    }

    fn conclusions(&self, run: &RunId) -> Vec<Option<StepConclusion>> {
        (0..self.plans[run].0.steps.len() as u32).map(|i| self.step(run, i).conclusion).collect()
    }

    fn finish(&mut self) {
        for n in 0..100_000 {
            if !self.happen(n, 0) {
                return;
            }
        }
        panic!("never ends");
    }

    fn restored(&self) -> Vec<Restored> {
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

    fn restart(&mut self, survived: Survived) {
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

fn actor(name: &str) -> Actor {
    Actor::new(name).unwrap()
}

use StepConclusion as C;

#[test]
fn a_chain_runs_in_order_and_ends() {
    let mut w = World::new(2);
    let run = w.submit(1, commands(&[&[], &[0], &[1]]), None);
    assert_eq!(w.runs[&run].started_at, Some(w.now), "the start is said when it is, not with the first end");
    w.finish();
    assert_eq!(w.started.iter().map(|(_, i)| *i).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    assert_eq!(w.ended, [run]);
}

#[test]
fn failure_omits_what_follows_and_nothing_else() {
    let mut w = World::new(2);
    let run = w.submit(1, commands(&[&[], &[0], &[1], &[]]), None);
    let first = w.working.iter().position(|at| at.step == 0).unwrap();
    w.happen(first, 1);
    w.finish();
    assert_eq!(w.conclusions(&run), [Some(C::Failed), Some(C::Omitted), Some(C::Omitted), Some(C::Success)]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Failed));
    w.apply(Input::Retry { run: run.clone(), scope: Scope::Failed, actor: actor("bob") }).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    assert_eq!(w.step(&run, 0).attempts.len(), 2);
    assert_eq!(w.step(&run, 3).attempts.len(), 1, "what succeeded is not repeated");
}

#[test]
fn skipped_by_its_own_if_lets_followers_go_on() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[], &[0], &[1]]);
    plan.steps[1].condition = true;
    w.conditions.0.insert(1, false);
    let run = w.submit(1, plan, None);
    w.finish();
    assert_eq!(w.conclusions(&run), [Some(C::Success), Some(C::Skipped), Some(C::Success)]);
}

#[test]
fn a_status_function_replaces_the_join() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[], &[0]]);
    plan.steps[1].condition = true;
    plan.steps[1].status_function = true;
    let run = w.submit(1, plan, None);
    w.happen(0, 1);
    w.finish();
    assert_eq!(w.conclusions(&run), [Some(C::Failed), Some(C::Success)]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Failed));
}

#[test]
fn retries_wait_and_keep_their_attempts() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[]]);
    plan.steps[0].retry = Retry {
        max: 2,
        causes: vec![FailureCause::Command],
        initial_ms: 1000,
        exponential: true,
        cap_ms: 60_000,
        jitter: 0.0,
    };
    let run = w.submit(1, plan, None);
    w.happen(0, 1);
    assert_eq!(w.step(&run, 0).due_at, Some(2_000));
    assert_eq!(w.runs[&run].status, RunStatus::Scheduled);
    w.happen(0, 0);
    w.happen(0, 1);
    assert_eq!(w.step(&run, 0).due_at, Some(w.now + 2_000));
    w.finish();
    assert_eq!(w.step(&run, 0).attempts.len(), 3);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn a_command_that_says_no_is_not_retried_for_other_causes() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[]]);
    plan.steps[0].retry =
        Retry { max: 2, causes: vec![FailureCause::Infra], initial_ms: 1, exponential: false, cap_ms: 1, jitter: 0.0 };
    let run = w.submit(1, plan, None);
    w.happen(0, 1);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Failed));
}

#[test]
fn out_of_time_is_asked_then_killed_then_timed_out() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[]]);
    plan.steps[0].timeout_ms = Some(5_000);
    let run = w.submit(1, plan, None);
    let at = w.working[0].clone();
    w.apply(Input::Started { at: at.clone(), process: Some((7, None)) }).unwrap();
    w.now += 5_000;
    w.apply(Input::Timer(Timer::Timeout(at.clone()))).unwrap();
    assert_eq!(w.step(&run, 0).status, StepStatus::Cancelling);
    assert!(w.timers.iter().any(|(when, timer)| *timer == Timer::Kill(at.clone()) && *when == w.now + 10_000));
    w.apply(Input::Finished { at, outcome: Outcome { signal: Some(15), ..Outcome::default() } }).unwrap();
    assert_eq!(w.conclusions(&run), [Some(C::TimedOut)]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::TimedOut));
}

#[test]
fn silence_warns_and_then_ends_it_but_output_is_life() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[]]);
    plan.steps[0].stall = Stall { warn_ms: Some(10_000), fail_ms: Some(30_000) };
    let run = w.submit(1, plan, None);
    let at = w.working[0].clone();
    w.apply(Input::Started { at: at.clone(), process: None }).unwrap();
    w.now += 9_000;
    w.apply(Input::Alive { at: at.clone() }).unwrap();
    w.now += 2_000;
    w.apply(Input::Timer(Timer::Stall(at.clone()))).unwrap();
    assert!(!w.step(&run, 0).stalled);
    w.now += 9_000;
    w.apply(Input::Timer(Timer::Stall(at.clone()))).unwrap();
    assert!(w.step(&run, 0).stalled);
    w.apply(Input::Alive { at: at.clone() }).unwrap();
    assert!(!w.step(&run, 0).stalled);
    w.now += 30_000;
    w.apply(Input::Timer(Timer::Stall(at.clone()))).unwrap();
    assert_eq!(w.step(&run, 0).status, StepStatus::Cancelling);
}

fn approval_world(min: u32, self_approval: bool) -> (World, RunId, signalbox_model::ApprovalId) {
    let mut w = World::new(2);
    let mut plan = commands(&[&[], &[0], &[1]]);
    plan.steps[1] = step(1, StepKind::Approval, vec![0]);
    let rules = plan.steps[1].approval.as_mut().unwrap();
    (rules.min, rules.self_approval) = (min, self_approval);
    rules.on_reject = Some(OnReject { rerun_from: vec![0], max: 1 });
    let run = w.submit(1, plan, None);
    w.finish();
    assert_eq!(w.runs[&run].status, RunStatus::WaitingInput);
    assert_eq!(w.engine.used_slots(), 0, "a question holds no slot");
    let id = w.step(&run, 1).approval.clone().unwrap();
    (w, run, id)
}

fn answer(id: &signalbox_model::ApprovalId, who: &str, decision: Decision, role: Role) -> Input {
    Input::Answer { approval: id.clone(), decision, form: Default::default(), actor: actor(who), role }
}

#[test]
fn the_first_valid_answer_wins_and_repeating_it_is_harmless() {
    let (mut w, run, id) = approval_world(1, true);
    assert!(matches!(w.apply(answer(&id, "eve", Decision::Approve, Role::Viewer)), Err(Refused::Forbidden(_))));
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    assert!(matches!(w.apply(answer(&id, "carol", Decision::Reject, Role::Owner)), Err(Refused::Conflict(_))));
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn a_quorum_counts_people_and_self_approval_can_be_forbidden() {
    let (mut w, run, id) = approval_world(2, false);
    assert!(matches!(w.apply(answer(&id, "alice", Decision::Approve, Role::Owner)), Err(Refused::Forbidden(_))));
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    assert_eq!(w.step(&run, 1).status, StepStatus::WaitingInput);
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    assert_eq!(w.step(&run, 1).status, StepStatus::WaitingInput);
    w.apply(answer(&id, "carol", Decision::Approve, Role::Operator)).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn a_rejection_sends_the_run_back_as_often_as_allowed() {
    let (mut w, run, id) = approval_world(1, true);
    w.apply(answer(&id, "bob", Decision::Reject, Role::Operator)).unwrap();
    w.finish();
    let again = w.step(&run, 1).approval.clone().unwrap();
    assert_ne!(again, id, "it is asked anew");
    assert_eq!(w.step(&run, 0).attempts.len(), 2);
    assert!(w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).is_err(), "the old question is closed");
    w.apply(answer(&again, "bob", Decision::Reject, Role::Operator)).unwrap();
    w.finish();
    assert_eq!(w.conclusions(&run), [Some(C::Success), Some(C::Rejected), Some(C::Omitted)]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Rejected));
}

#[test]
fn cancelling_closes_questions_and_ends_everything() {
    let (mut w, run, id) = approval_world(1, true);
    w.apply(Input::Cancel { run: run.clone(), actor: actor("bob"), force: false }).unwrap();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Cancelled));
    assert_eq!(w.approvals[id.as_str()].state, ApprovalState::Void);
    assert!(w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).is_err());
}

#[test]
fn a_full_group_queues_skips_or_supersedes() {
    for (on_conflict, second, first) in [
        (Conflict::Queue, RunStatus::Queued, RunStatus::Running),
        (Conflict::Skip, RunStatus::Done, RunStatus::Running),
        (Conflict::CancelRunning, RunStatus::Queued, RunStatus::Cancelling),
    ] {
        let mut w = World::new(2);
        let group = || Some(Group { name: "g".into(), max: 1, on_conflict });
        let a = w.submit(1, commands(&[&[]]), group());
        let b = w.submit(2, commands(&[&[]]), group());
        assert_eq!((w.runs[&b].status, w.runs[&a].status), (second, first), "{on_conflict:?}");
        w.finish();
        assert!(w.runs.values().all(|run| run.status == RunStatus::Done));
        if on_conflict == Conflict::Skip {
            assert_eq!(w.runs[&b].conclusion, Some(RunConclusion::Skipped));
        } else {
            assert_eq!(w.runs[&b].conclusion, Some(RunConclusion::Success));
        }
        if on_conflict == Conflict::CancelRunning {
            assert_eq!(w.runs[&a].conclusion, Some(RunConclusion::Superseded));
        }
    }
}

#[test]
fn a_paused_run_finishes_what_runs_and_starts_nothing() {
    let mut w = World::new(2);
    let run = w.submit(1, commands(&[&[], &[0]]), None);
    w.apply(Input::Pause { run: run.clone(), actor: actor("bob") }).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].status, RunStatus::Paused);
    w.apply(Input::Resume { run: run.clone(), actor: actor("bob") }).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn after_a_crash_only_what_is_idempotent_is_repeated() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[], &[], &[0]]);
    plan.steps[1].idempotent = true;
    let run = w.submit(1, plan, None);
    w.restart(Survived::No { ended: 0 });
    assert_eq!(w.step(&run, 0).conclusion, Some(C::Crashed));
    assert_eq!(w.step(&run, 1).attempts.len(), 2);
    w.finish();
    assert_eq!(w.conclusions(&run), [Some(C::Crashed), Some(C::Success), Some(C::Omitted)]);
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Crashed));
}

/// a -> gate (rerun a); a -> c, which still runs when the answer is no.
#[test]
fn going_back_ends_what_runs_before_it_starts_over() {
    let mut w = World::new(1);
    let mut plan = commands(&[&[], &[0], &[0]]);
    plan.steps[1] = step(1, StepKind::Approval, vec![0]);
    plan.steps[1].approval.as_mut().unwrap().on_reject = Some(OnReject { rerun_from: vec![0], max: 1 });
    let run = w.submit(1, plan, None);
    assert!(w.happen(0, 0));
    let id = w.step(&run, 1).approval.clone().unwrap();
    assert_eq!(w.step(&run, 2).status, StepStatus::Starting);
    let old = w.working[0].clone();
    w.apply(answer(&id, "bob", Decision::Reject, Role::Operator)).unwrap();
    assert_eq!(w.step(&run, 2).status, StepStatus::Cancelling);
    assert_eq!(w.working, [old], "the only slot is still taken");
    w.finish();
    assert_eq!(w.step(&run, 2).attempts.len(), 2);
    assert_eq!(w.runs[&run].status, RunStatus::WaitingInput);
}

#[test]
fn what_needs_no_slot_does_not_wait_behind_what_does() {
    let mut w = World::new(1);
    let mut plan = Plan { steps: (0..70).map(|i| step(i, StepKind::Command, vec![])).collect() };
    plan.steps.push(step(70, StepKind::Approval, vec![]));
    let run = w.submit(1, plan, None);
    assert_eq!(w.step(&run, 70).status, StepStatus::WaitingInput);
}

#[test]
fn the_same_answer_twice_is_one_even_if_the_form_has_defaults() {
    let mut w = World::new(1);
    let mut plan = Plan { steps: vec![step(0, StepKind::Approval, vec![])] };
    plan.steps[0].approval.as_mut().unwrap().form = vec![signalbox_model::FormField {
        name: "p".into(),
        kind: signalbox_model::FormFieldKind::String,
        title: None,
        multiline: false,
        required: false,
        values: vec![],
        default: Some("x".into()),
    }];
    plan.steps.push(step(1, StepKind::Command, vec![0]));
    let run = w.submit(1, plan, None);
    let id = w.step(&run, 0).approval.clone().unwrap();
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
}

#[test]
fn a_new_engine_remembers_that_a_step_is_being_cancelled() {
    let mut w = World::new(1);
    let run = w.submit(1, commands(&[&[]]), None);
    w.apply(Input::Cancel { run: run.clone(), actor: actor("bob"), force: false }).unwrap();
    w.restart(Survived::Yes);
    let at = w.working[0].clone();
    w.apply(Input::Finished { at, outcome: Outcome { signal: Some(15), ..Outcome::default() } }).unwrap();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Cancelled));
}

#[test]
fn a_new_engine_remembers_that_a_step_is_out_of_time() {
    let mut w = World::new(1);
    let mut plan = commands(&[&[]]);
    plan.steps[0].timeout_ms = Some(1000);
    let run = w.submit(1, plan, None);
    let at = w.working[0].clone();
    w.apply(Input::Started { at: at.clone(), process: None }).unwrap();
    w.apply(Input::Timer(Timer::Timeout(at.clone()))).unwrap();
    w.restart(Survived::Yes);
    w.apply(Input::Finished { at, outcome: Outcome { signal: Some(15), ..Outcome::default() } }).unwrap();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::TimedOut));
}

#[test]
fn a_restart_remembers_that_a_run_was_superseded() {
    let mut w = World::new(2);
    let group = || Some(Group { name: "g".into(), max: 1, on_conflict: Conflict::CancelRunning });
    let a = w.submit(1, commands(&[&[]]), group());
    let _b = w.submit(2, commands(&[&[]]), group());
    w.restart(Survived::No { ended: 1 });
    w.finish();
    assert_eq!(w.runs[&a].conclusion, Some(RunConclusion::Superseded));
}

#[test]
fn a_retry_waits_for_its_group() {
    let mut w = World::new(4);
    let group = || Some(Group { name: "g".into(), max: 1, on_conflict: Conflict::Queue });
    let a = w.submit(1, commands(&[&[]]), group());
    w.happen(0, 1);
    assert_eq!(w.runs[&a].conclusion, Some(RunConclusion::Failed));
    let b = w.submit(2, commands(&[&[]]), group());
    let _ = w.apply(Input::Retry { run: a.clone(), scope: Scope::All, actor: actor("bob") });
    let running = [&a, &b].iter().filter(|id| w.runs[**id].status == RunStatus::Running).count();
    assert_eq!(running, 1);
}

#[test]
fn checks_are_made_again_after_a_restart() {
    let mut w = World::new(1);
    let mut plan = commands(&[&[]]);
    plan.steps[0].checks = 1;
    let run = w.submit(1, plan, None);
    w.happen(0, 0);
    assert_eq!(w.step(&run, 0).status, StepStatus::Verifying);
    w.restart(Survived::No { ended: 0 });
    assert_eq!(w.step(&run, 0).status, StepStatus::Verifying, "checks are repeated");
}

#[test]
fn a_cancelled_run_is_cancelled_even_if_its_step_may_fail() {
    let mut w = World::new(1);
    let mut plan = commands(&[&[]]);
    plan.steps[0].continue_on_error = true;
    let run = w.submit(1, plan, None);
    w.apply(Input::Cancel { run: run.clone(), actor: actor("bob"), force: false }).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Cancelled));
}

#[test]
fn a_question_gives_back_its_place_in_the_matrix() {
    let mut w = World::new(1);
    let mut plan = Plan { steps: vec![step(0, StepKind::Approval, vec![]), step(1, StepKind::Approval, vec![])] };
    plan.steps[0].matrix = Some((0, 1));
    plan.steps[1].matrix = Some((0, 1));
    let run = w.submit(1, plan, None);
    let id = w.step(&run, 0).approval.clone().unwrap();
    w.apply(answer(&id, "bob", Decision::Approve, Role::Operator)).unwrap();
    assert_eq!(w.step(&run, 1).status, StepStatus::WaitingInput);
}

#[test]
fn a_waiting_run_with_a_clean_up_step_can_be_cancelled() {
    let mut w = World::new(2);
    let group = || Some(Group { name: "g".into(), max: 1, on_conflict: Conflict::Queue });
    let _a = w.submit(1, commands(&[&[]]), group());
    let mut plan = commands(&[&[]]);
    plan.steps[0].condition = true;
    plan.steps[0].status_function = true;
    let b = w.submit(2, plan, group());
    w.apply(Input::Cancel { run: b.clone(), actor: actor("bob"), force: false }).unwrap();
    w.finish();
    assert_eq!(w.runs[&b].status, RunStatus::Done);
}

#[test]
fn a_run_that_is_skipped_says_that_it_ended() {
    let mut w = World::new(2);
    let group = || Some(Group { name: "g".into(), max: 1, on_conflict: Conflict::Skip });
    let _a = w.submit(1, commands(&[&[]]), group());
    let b = w.submit(2, commands(&[&[]]), group());
    assert!(w.ended.contains(&b), "Effect::Ended");
}

#[test]
fn a_run_that_has_nothing_left_to_do_leaves_its_group() {
    let mut w = World::new(2);
    let group = || Some(Group { name: "g".into(), max: 1, on_conflict: Conflict::Queue });
    let a = w.submit(1, commands(&[&[]]), group());
    w.finish();
    let old = Arc::new(w.step(&a, 0).clone());
    let id = RunId::new("r_00000009").unwrap();
    let plan = Arc::new(commands(&[&[]]));
    w.plans.insert(id.clone(), (Arc::clone(&plan), 1));
    w.apply(Input::Submit(Box::new(NewRun {
        id: id.clone(),
        number: 9,
        project: ProjectId::new("demo").unwrap(),
        workflow: "w".into(),
        file: None,
        plan,
        plan_key: String::new(),
        inputs: Default::default(),
        actor: actor("alice"),
        group: group(),
        reuse: HashMap::from([("s0".to_owned(), old)]),
    })))
    .unwrap();
    assert_eq!(w.runs[&id].status, RunStatus::Done);
    let c = w.submit(3, commands(&[&[]]), group());
    assert_eq!(w.runs[&c].status, RunStatus::Running, "the group is free; ended: {:?}", w.ended);
}

#[test]
fn a_matrix_goes_on_after_cancel_and_retry() {
    let mut w = World::new(4);
    let mut plan = commands(&[&[], &[], &[]]);
    for s in &mut plan.steps {
        s.matrix = Some((0, 1));
    }
    let run = w.submit(1, plan, None);
    w.apply(Input::Cancel { run: run.clone(), actor: actor("bob"), force: false }).unwrap();
    w.finish();
    w.apply(Input::Retry { run: run.clone(), scope: Scope::All, actor: actor("bob") }).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn a_matrix_goes_on_after_a_restart() {
    let mut w = World::new(2);
    let mut plan = commands(&[&[], &[], &[]]);
    for s in &mut plan.steps {
        s.matrix = Some((0, 1));
        s.idempotent = true;
    }
    let run = w.submit(1, plan, None);
    w.restart(Survived::No { ended: 0 });
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

#[test]
fn a_retry_by_hand_may_be_rejected_as_often_again() {
    let (mut w, run, id) = approval_world(1, true);
    w.apply(answer(&id, "bob", Decision::Reject, Role::Operator)).unwrap();
    w.finish();
    let again = w.step(&run, 1).approval.clone().unwrap();
    w.apply(answer(&again, "bob", Decision::Reject, Role::Operator)).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Rejected));
    w.apply(Input::Retry { run: run.clone(), scope: Scope::All, actor: actor("bob") }).unwrap();
    w.finish();
    let third = w.step(&run, 1).approval.clone().unwrap();
    w.apply(answer(&third, "bob", Decision::Reject, Role::Operator)).unwrap();
    w.finish();
    assert_eq!(w.runs[&run].status, RunStatus::WaitingInput, "a new round may go back again");
}

#[test]
fn ten_thousand_steps_are_not_quadratic() {
    let mut w = World::new(2);
    let run = w.submit(1, commands(&vec![&[] as &[u32]; 10_000]), None);
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    let mut w = World::new(2);
    let needs: Vec<Vec<u32>> = (0..10_000u32).map(|i| if i == 0 { vec![] } else { vec![i - 1] }).collect();
    let run = w.submit(1, commands(&needs.iter().map(Vec::as_slice).collect::<Vec<_>>()), None);
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop::collection::vec(
        (prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0u8..10, any::<bool>(), 0u32..2, 0u32..3),
        1..14,
    )
    .prop_map(|specs| {
        let steps = specs
            .into_iter()
            .enumerate()
            .map(|(i, (needs, kind, idempotent, checks, retries))| {
                let mut needs: Vec<u32> =
                    if i == 0 { vec![] } else { needs.iter().map(|n| n.index(i) as u32).collect() };
                needs.sort_unstable();
                needs.dedup();
                let kind = if kind == 0 { StepKind::Notify } else { StepKind::Command };
                StepPlan {
                    idempotent,
                    checks: if kind == StepKind::Command { checks } else { 0 },
                    matrix: (i % 3 == 0).then_some((0, 1)),
                    retry: Retry {
                        max: retries,
                        causes: vec![FailureCause::Command, FailureCause::Verify],
                        initial_ms: 10,
                        exponential: true,
                        cap_ms: 100,
                        jitter: 0.5,
                    },
                    ..step(i, kind, needs)
                }
            })
            .collect();
        Plan { steps }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, with restarts and cancellations in between: every run ends, in a true state.
    #[test]
    fn every_run_ends(plans in prop::collection::vec(any_plan(), 1..4), happenings in prop::collection::vec((0usize..50, 0u8..24), 0..120)) {
        let mut w = World::new(2);
        let group = Some(Group { name: "g".into(), max: 2, on_conflict: Conflict::Queue });
        let ids: Vec<RunId> = plans.into_iter().enumerate().map(|(n, plan)| w.submit(n as u64 + 1, plan, group.clone())).collect();
        for (pick, what) in happenings {
            match what {
                0 => { let _ = w.apply(Input::Cancel { run: ids[pick % ids.len()].clone(), actor: actor("bob"), force: pick % 2 == 0 }); }
                1 => w.restart(Survived::No { ended: 0 }),
                2 => w.restart(Survived::Yes),
                3 => { let _ = w.apply(Input::Retry { run: ids[pick % ids.len()].clone(), scope: Scope::Failed, actor: actor("bob") }); }
                4 => { let _ = w.apply(Input::Pause { run: ids[pick % ids.len()].clone(), actor: actor("bob") }); }
                5 => { let _ = w.apply(Input::Resume { run: ids[pick % ids.len()].clone(), actor: actor("bob") }); }
                code => { w.happen(pick, i32::from(code % 5 == 0)); }
            }
        }
        for id in &ids {
            let _ = w.apply(Input::Resume { run: id.clone(), actor: actor("bob") });
        }
        w.finish();
        prop_assert!(w.working.is_empty() && w.engine.used_slots() == 0, "slots come back");
        for id in &ids {
            let run = &w.runs[id];
            prop_assert_eq!(run.status, RunStatus::Done, "{:?}", run);
            prop_assert!(run.conclusion.is_some());
            prop_assert_eq!(run.steps_done, run.steps_total);
            let state = w.engine.run(id).unwrap();
            prop_assert_eq!(state.run(), run, "the entity in the log is the engine's");
            for (index, step) in state.steps().enumerate() {
                prop_assert_eq!(step, w.step(id, index as u32));
                if step.conclusion == Some(C::Success) && run.conclusion == Some(RunConclusion::Success) {
                    for need in &w.plans[id].0.steps[index].needs {
                        prop_assert!(w.step(id, *need).conclusion.unwrap().lets_pass());
                    }
                }
            }
        }
    }

    /// The same with questions that may send the run back: nothing runs twice at once, nothing is left behind.
    #[test]
    fn going_back_at_any_moment_ends_well(mut plan in any_plan(), gates in prop::collection::vec((0usize..14, any::<prop::sample::Index>(), any::<bool>()), 1..4), happenings in prop::collection::vec((0usize..50, 0u8..24), 0..120)) {
        for (at, from, matrix) in gates {
            let index = at % plan.steps.len();
            let needs = plan.steps[index].needs.clone();
            // Only what comes before it may run again: any of its needs, or itself.
            let target = if needs.is_empty() { index as u32 } else { needs[from.index(needs.len())] };
            plan.steps[index] = step(index, StepKind::Approval, needs);
            plan.steps[index].matrix = matrix.then_some((7, 1));
            plan.steps[index].approval.as_mut().unwrap().on_reject = Some(OnReject { rerun_from: vec![target], max: 2 });
        }
        let mut w = World::new(2);
        let id = w.submit(1, plan, None);
        for (pick, what) in happenings {
            let open: Vec<_> = w.approvals.values().filter(|a| a.state == ApprovalState::Open).map(|a| a.id.clone()).collect();
            match what {
                0 => { let _ = w.apply(Input::Cancel { run: id.clone(), actor: actor("bob"), force: false }); }
                1 => w.restart(Survived::No { ended: 0 }),
                2 => w.restart(Survived::Yes),
                3 => { let _ = w.apply(Input::Retry { run: id.clone(), scope: Scope::Failed, actor: actor("bob") }); }
                4..10 if !open.is_empty() => {
                    let decision = if what < 8 { Decision::Reject } else { Decision::Approve };
                    w.apply(answer(&open[pick % open.len()], "bob", decision, Role::Owner)).unwrap();
                }
                code => { w.happen(pick, i32::from(code % 5 == 0)); }
            }
        }
        for _ in 0..200 {
            w.finish();
            let open: Vec<_> = w.approvals.values().filter(|a| a.state == ApprovalState::Open).map(|a| a.id.clone()).collect();
            let Some(question) = open.first() else { break };
            w.apply(answer(question, "bob", Decision::Approve, Role::Owner)).unwrap();
        }
        prop_assert!(w.working.is_empty() && w.engine.used_slots() == 0, "slots come back");
        prop_assert_eq!(w.runs[&id].status, RunStatus::Done, "{:#?}", w.engine.run(&id).unwrap().steps().map(|s| (s.key.to_string(), s.status)).collect::<Vec<_>>());
        for (index, step) in w.engine.run(&id).unwrap().steps().enumerate() {
            prop_assert_eq!(step, w.step(&id, index as u32));
        }
    }
}
