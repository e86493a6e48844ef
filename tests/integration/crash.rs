//! `kill -9` of the host at random moments: nothing acknowledged is lost, nothing finished is repeated, nothing lives on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use signalbox_model::SystemClock;
use signalbox_store::{Durability, Options, Store};

use crate::support::{Host, Project, until};

const WORKFLOW: &str = r#"
signalbox: 1
name: steps
steps:
  one:   { kind: command, run: "echo one >> marks; sleep 0.05" }
  two:   { kind: command, needs: [one], run: "echo two >> marks; sleep 0.05" }
  again: { kind: command, needs: [one], idempotent: true, run: "echo again >> marks; sleep 0.2" }
  child: { kind: command, needs: [two], run: "sleep 300 & echo child >> marks; sleep 0.1; kill $!" }
  end:   { kind: command, needs: [again, child], run: "echo end >> marks" }
"#;

/// Kills of one test. The soak command makes more.
const KILLS: u64 = 50;

fn marks(project: &Project, mark: &str) -> usize {
    let text = std::fs::read_to_string(project.path().join("marks")).unwrap_or_default();
    text.lines().filter(|line| *line == mark).count()
}

pub(crate) fn check_log(data: &std::path::Path, acknowledged: &[(u64, u64)]) {
    let store = Store::open(Options {
        dir: data.to_owned(),
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        publish: Box::new(|_| {}),
    })
    .unwrap();
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new(), "derived tables equal a replay of the log");
    let seqs: Vec<u64> = acknowledged.iter().map(|(seq, _)| *seq).collect();
    let frames = store.read(|reader| reader.events_by_seq(&seqs, |_| true)).unwrap();
    assert_eq!(frames.len(), acknowledged.len(), "an acknowledged event is missing");
    for (frame, (seq, n)) in frames.iter().zip(acknowledged) {
        let value: Value = serde_json::from_slice(&frame.json).unwrap();
        assert_eq!((value["seq"].as_u64(), value["data"].as_u64()), (Some(*seq), Some(*n)));
    }
    store.close();
}

#[test]
fn pitfall_11_killed_at_fifty_random_moments_it_loses_nothing_and_repeats_nothing() {
    let project = Project::new(&[("steps", WORKFLOW)]);
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    let mut runs: Vec<String> = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut crashed_steps = 0;
    for round in 0..KILLS {
        let mut host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
        let id = host.project_id();
        // What the last kill left unfinished goes on by itself: no run may be in an untrue state.
        runs.push(host.start_run("steps", json!({})));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_millis(random >> 54);
        let start = std::time::Instant::now();
        let mut n = round * 100_000;
        while start.elapsed() < life {
            n += 1;
            let reply = host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
            acknowledged.push((reply["seq"].as_u64().unwrap(), n));
        }
        host.kill();
        drop(host);
        if round % 10 == 9 {
            check_log(data.path(), &acknowledged);
        }
    }
    let host = Host::start(data.path(), &[project.path()]);
    let mut success: HashMap<&str, usize> = HashMap::new();
    let mut attempts: HashMap<&str, usize> = HashMap::new();
    for run in &runs {
        let found = host.wait_done(run);
        for step in found["steps"].as_array().unwrap() {
            let key = ["one", "two", "again", "child", "end"].into_iter().find(|key| step["key"] == *key).unwrap();
            let tries = step["attempts"].as_array().map_or(0, Vec::len);
            *attempts.entry(key).or_default() += tries;
            match step["conclusion"].as_str().unwrap() {
                "success" => *success.entry(key).or_default() += 1,
                "crashed" => {
                    crashed_steps += 1;
                    assert_ne!(key, "again", "what is idempotent is repeated, not given up");
                    assert_eq!(tries, 1, "what is not idempotent is never repeated by itself");
                }
                "omitted" => {}
                other => panic!("{key} of {run} ended {other}: {step}"),
            }
            if key != "again" {
                assert!(tries <= 1, "{key} was tried {tries} times");
            }
        }
    }
    assert!(crashed_steps > 0, "no kill hit a step: the test shows nothing");
    for key in ["one", "two", "child", "end"] {
        let seen = marks(&project, key);
        assert!(seen >= *success.get(key).unwrap_or(&0), "{key} is said to have succeeded more often than it ran");
        assert!(seen <= *attempts.get(key).unwrap_or(&0), "{key} ran {seen} times in {} attempts", attempts[key]);
    }
    let prefix = signalbox_process_marker(data.path());
    until("every process of the steps to be gone", || signalbox_process::leftovers(&prefix).is_empty().then_some(()));
    drop(host);
    check_log(data.path(), &acknowledged);
}

/// The beginning of the marker of this host's processes: see `signalbox-host`.
fn signalbox_process_marker(data: &std::path::Path) -> String {
    let path = std::fs::canonicalize(data).unwrap();
    format!("{}/", &signalbox_store::blob::hash(path.to_string_lossy().as_bytes())[..16])
}

#[test]
fn an_approval_outlives_its_host_and_is_answered_after_the_restart() {
    let workflow = "signalbox: 1\nname: ask\nsteps:\n  gate: { kind: approval, title: Go on?, who: { roles: [owner], min: 1, self_approval: true } }\n  after: { kind: command, needs: [gate], run: 'true' }\n";
    let project = Project::new(&[("ask", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path(), &[project.path()]);
    let run = host.start_run("ask", json!({}));
    host.wait_step(&run, "gate", "waiting_input");
    host.kill();
    drop(host);
    let host = Host::start(data.path(), &[project.path()]);
    let open = host.call("approval.list", json!({})).unwrap();
    assert_eq!(open["approvals"].as_array().unwrap().len(), 1);
    let answer = json!({ "approval": open["approvals"][0]["id"], "decision": "approve" });
    host.call("approval.answer", answer).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
}

#[test]
fn a_restarted_host_says_what_it_found() {
    let workflow = "signalbox: 1\nname: long\nsteps:\n  work: { kind: command, run: 'sleep 300' }\n";
    let project = Project::new(&[("long", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path(), &[project.path()]);
    let run = host.start_run("long", json!({}));
    host.wait_step(&run, "work", "running");
    host.kill();
    drop(host);
    let host = Host::start(data.path(), &[project.path()]);
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "crashed");
    let events = host.events(&["host"]);
    let recovered = events.iter().rfind(|event| event["type"] == "engine_recovered").unwrap();
    assert_eq!(recovered["data"]["crashed"][0]["step"], "work");
    assert!(recovered["data"]["ended_processes"].as_u64().unwrap() >= 1, "{recovered}");
    let retried = host.call("run.retry", json!({ "run": run, "scope": "failed" })).unwrap();
    assert_eq!(retried["run"]["status"], "running");
    host.call("run.cancel", json!({ "run": run, "force": true })).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "cancelled");
}
