//! Steps whose work is an agent's.

use signalbox_engine::{Input, Outcome, Phase, Scope, Stall, StepAt, Survived, Timer};
use signalbox_model::{
    FailureCause, RunConclusion, RunId, RunStatus, StepAgent, StepConclusion, StepKind, StepStatus, Usage,
};

use crate::world::*;

fn agent_world() -> (World, RunId, StepAt) {
    let mut w = World::new(1);
    let mut plan = commands(&[&[], &[]]);
    plan.steps[0] = step(0, StepKind::Agent, vec![]);
    plan.steps[0].stall = Stall { warn_ms: Some(10_000), fail_ms: Some(30_000) };
    let run = w.submit(1, plan, None);
    let at = w.working[0].clone();
    w.apply(Input::Started { at: at.clone(), process: None }).unwrap();
    (w, run, at)
}

fn phase(w: &mut World, at: &StepAt, phase: Phase) {
    w.apply(Input::Phase { at: at.clone(), phase, reason: None }).unwrap();
}

fn agent(session: Option<&str>) -> Box<StepAgent> {
    Box::new(StepAgent {
        id: "a".into(),
        name: "A".into(),
        rehearsal: false,
        session: session.map(str::to_owned),
        branch: None,
        base: None,
        head: None,
        folder: None,
        usage: Usage::default(),
        questions: 0,
    })
}

#[test]
fn an_agent_that_waits_for_a_person_holds_no_slot_and_is_not_silent() {
    let (mut w, run, at) = agent_world();
    assert_eq!(w.started.len(), 1, "one slot, one step");
    phase(&mut w, &at, Phase::Waiting);
    assert_eq!(w.step(&run, 0).status, StepStatus::WaitingInput);
    assert_eq!(w.started.len(), 2, "the other step has its slot");
    w.now += 100_000;
    assert!(w.apply(Input::Timer(Timer::Stall(at.clone()))).is_err(), "who waits for a person is not silent");
    phase(&mut w, &at, Phase::Working);
    assert_eq!(w.step(&run, 0).status, StepStatus::Running);
    assert_eq!(w.engine.used_slots(), 2, "its process is there: it does not wait for the slot");
    // Silence counts from now on.
    assert!(w.timers.iter().any(|(due, timer)| *timer == Timer::Stall(at.clone()) && *due == w.now + 10_000));
    w.now += 9_000;
    w.apply(Input::Timer(Timer::Stall(at.clone()))).unwrap();
    assert!(!w.step(&run, 0).stalled);
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    assert_eq!(w.engine.used_slots(), 0);
}

#[test]
fn a_run_whose_agent_waits_can_be_cancelled() {
    let (mut w, run, at) = agent_world();
    phase(&mut w, &at, Phase::Waiting);
    w.apply(Input::Cancel { run: run.clone(), actor: actor("bob"), force: false }).unwrap();
    assert_eq!(w.step(&run, 0).status, StepStatus::Cancelling, "its process has to end first");
    assert!(w.apply(Input::Phase { at: at.clone(), phase: Phase::Working, reason: None }).is_err());
    w.finish();
    assert_eq!(w.step(&run, 0).conclusion, Some(StepConclusion::Cancelled));
    assert_eq!(w.engine.used_slots(), 0);
}

#[test]
fn the_end_of_a_limit_is_waited_for_and_is_no_retry() {
    let (mut w, run, at) = agent_world();
    let due = w.now + 3_600_000;
    let failure = Some((FailureCause::RateLimit, "the limit of five hours is reached".to_owned()));
    w.working.retain(|working| *working != at);
    w.apply(Input::Finished { at, outcome: Outcome { failure, resets_at: Some(due), ..Outcome::default() } }).unwrap();
    assert_eq!(w.step(&run, 0).status, StepStatus::Scheduled);
    assert_eq!((w.step(&run, 0).due_at, w.step(&run, 0).retries), (Some(due), 0));
    // A restart does not forget it, whatever the retry rules say.
    w.restart(Survived::No { ended: 0 });
    assert!(w.timers.iter().any(|(when, timer)| matches!(timer, Timer::Retry(_)) && *when == due));
    w.finish();
    assert_eq!(w.step(&run, 0).conclusion, Some(StepConclusion::Success));
}

#[test]
fn after_a_crash_an_agent_goes_on_in_its_session_if_it_has_one() {
    for (session, status) in [(Some("s1"), RunStatus::Running), (None, RunStatus::Done)] {
        let mut w = World::new(2);
        let mut plan = commands(&[&[]]);
        plan.steps[0] = step(0, StepKind::Agent, vec![]);
        let run = w.submit(1, plan, None);
        let at = w.working[0].clone();
        w.apply(Input::Started { at: at.clone(), process: None }).unwrap();
        w.apply(Input::Agent { at: at.clone(), agent: agent(session) }).unwrap();
        phase(&mut w, &at, Phase::Waiting);
        w.restart(Survived::No { ended: 1 });
        assert_eq!(w.runs[&run].status, status);
        let attempts = &w.step(&run, 0).attempts;
        assert_eq!(attempts[0].conclusion, Some(StepConclusion::Crashed));
        if session.is_some() {
            assert_eq!(attempts.len(), 2);
            assert_eq!(w.step(&run, 0).agent.as_ref().unwrap().session.as_deref(), session);
        } else {
            assert_eq!(w.step(&run, 0).conclusion, Some(StepConclusion::Crashed));
            w.apply(Input::Retry { run: run.clone(), scope: Scope::Failed, actor: actor("bob") }).unwrap();
        }
        w.finish();
        assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    }
}

#[test]
fn a_commit_that_failed_forgets_nothing_of_an_agent_that_waits() {
    let (mut w, run, at) = agent_world();
    phase(&mut w, &at, Phase::Waiting);
    w.restart(Survived::Yes);
    assert_eq!(w.step(&run, 0).status, StepStatus::WaitingInput);
    phase(&mut w, &at, Phase::Working);
    w.finish();
    assert_eq!(w.runs[&run].conclusion, Some(RunConclusion::Success));
    assert_eq!(w.engine.used_slots(), 0);
}

#[test]
fn why_an_agent_failed_is_said() {
    let (mut w, run, at) = agent_world();
    phase(&mut w, &at, Phase::Checking);
    assert_eq!(w.step(&run, 0).status, StepStatus::Verifying);
    let failure = Some((FailureCause::Verify, "the check `make test` failed".to_owned()));
    w.working.retain(|working| *working != at);
    w.apply(Input::Finished { at, outcome: Outcome { failure, ..Outcome::default() } }).unwrap();
    let ended = w.step(&run, 0);
    assert_eq!(ended.conclusion, Some(StepConclusion::Failed));
    assert_eq!(ended.attempts[0].cause, Some(FailureCause::Verify));
    assert_eq!(ended.reason.as_deref(), Some("the check `make test` failed"));
}
