//! Random graphs, outcomes and orders of events.

use proptest::prelude::*;
use signalbox_engine::{Conflict, Group, Input, OnReject, Plan, Retry, Scope, StepPlan, Survived};
use signalbox_model::{
    ApprovalState, Decision, FailureCause, Role, RunConclusion, RunId, RunStatus, StepConclusion, StepKind,
};

use crate::world::*;

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
                let kind = match kind {
                    0 => StepKind::Notify,
                    1..=3 => StepKind::Agent,
                    _ => StepKind::Command,
                };
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
                6..=8 => w.change_phase(pick),
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
                if step.conclusion == Some(StepConclusion::Success) && run.conclusion == Some(RunConclusion::Success) {
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
                6..=8 => w.change_phase(pick),
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
