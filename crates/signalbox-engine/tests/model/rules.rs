//! One rule each.

use std::{collections::HashMap, sync::Arc};

use signalbox_engine::{
    Conflict, Group, Input, NewRun, OnReject, Outcome, Plan, Refused, Retry, Scope, Stall, Survived, Timer,
};
use signalbox_model::{
    ApprovalState, Decision, FailureCause, ProjectId, Role, RunConclusion, RunId, RunStatus, StepConclusion, StepKind,
    StepStatus,
};

use crate::world::*;

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
fn a_person_is_told_by_member_and_not_by_name() {
    let (mut w, run, id) = approval_world(2, false);
    let by = |name: &str, who: &str| Input::Answer {
        approval: id.clone(),
        decision: Decision::Approve,
        form: Default::default(),
        actor: actor(name),
        member: Some(member(who)),
        role: Role::Owner,
    };
    let renamed = w.apply(by("somebody else", "alice"));
    assert!(matches!(renamed, Err(Refused::Forbidden(_))), "who started it stays who it is under another name");
    w.apply(by("alice", "bob")).unwrap();
    w.apply(by("carol", "bob")).unwrap();
    assert_eq!(w.step(&run, 1).status, StepStatus::WaitingInput, "one person's yes counts once");
    w.apply(by("alice", "carol")).unwrap();
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
        goal: None,
        inputs: Default::default(),
        actor: actor("alice"),
        member: None,
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
