//! Workflows on a real host: what steps do, hand on, print, and how they end.

use std::time::{Duration, Instant};

use serde_json::json;
use signalbox_process::leftovers;

use crate::support::{Host, Project, until};

fn start(workflow: &str, env: &[(&str, &str)]) -> (Project, tempfile::TempDir, Host) {
    let project = Project::new(&[("w", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], env);
    (project, data, host)
}

#[test]
fn values_files_and_checks_go_from_step_to_step() {
    let (_project, _data, host) = start(
        r#"
signalbox: 1
name: w
inputs: { who: { type: string, default: "a; echo injected" } }
env: { GREETING: "hello ${{ inputs.who }}" }
steps:
  make:
    kind: command
    run: |
      echo "version=1.2" >> "$SIGNALBOX_OUTPUT"
      echo 'list=["x","y"]' >> "$SIGNALBOX_OUTPUT"
      mkdir -p out && echo "<p>report</p>" > out/report.html
    artifacts: [{ path: out/*.html }]
    verify: [{ file_exists: out/report.html }, { run: "grep -q report out/report.html" }]
  use:
    kind: command
    needs: [make]
    run: echo "${{ steps.make.outputs.version }} ${{ inputs.who }} $GREETING"
  skip: { kind: command, needs: [make], if: "${{ steps.make.outputs.version == '2' }}", run: exit 1 }
  tell: { kind: notify, needs: [use, skip], if: "${{ always() }}", to: [team], message: "it was a ${{ run.conclusion }}" }
"#,
        &[],
    );
    let run = host.start_run("w", json!({}));
    let found = host.wait_done(&run);
    assert_eq!(found["run"]["conclusion"], "success", "{found}");
    let make = host.step(&run, "make");
    assert_eq!(make["outputs"], json!({ "version": 1.2, "list": ["x", "y"] }));
    assert_eq!(make["artifacts"][0]["path"], "out/report.html");
    assert_eq!(host.step(&run, "skip")["conclusion"], "skipped");
    let blob = make["artifacts"][0]["hash"].as_str().unwrap();
    let bearer = format!("Bearer {}", host.token);
    let content = host.request("GET", &format!("/api/v1/blobs/{blob}"), &[("Authorization", &bearer)], b"");
    assert_eq!((content.status, content.text().as_str()), (200, "<p>report</p>\n"));
    // An expression is a value in the environment, never a piece of the script.
    assert_eq!(host.log_text(&run, "use"), "1.2 a; echo injected hello a; echo injected");
    let activity = host.events(&["activity"]);
    assert!(activity.iter().any(|event| event["data"]["text"] == "it was a success"));
}

#[test]
fn a_failure_is_shown_where_it_happened_and_can_be_retried_from_there() {
    let (project, _data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'echo a >> ran' }\n  b: { kind: command, needs: [a], run: 'echo why it failed >&2; test -f fixed' }\n  c: { kind: command, needs: [b], run: 'echo c >> ran' }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    let found = host.wait_done(&run);
    assert_eq!((&found["run"]["conclusion"], &found["run"]["current_step"]), (&json!("failed"), &json!("b")));
    assert_eq!(host.step(&run, "c")["conclusion"], "omitted");
    assert_eq!(host.log_text(&run, "b"), "why it failed");
    assert_eq!(host.step(&run, "b")["attempts"][0]["exit_code"], 1);
    std::fs::write(project.path().join("fixed"), "").unwrap();
    host.call("run.retry", json!({ "run": run, "scope": "from", "step": "b" })).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    assert_eq!(std::fs::read_to_string(project.path().join("ran")).unwrap(), "a\nc\n", "a was not repeated");
    assert_eq!(host.step(&run, "b")["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn retry_by_the_latest_definition_takes_over_what_still_holds() {
    let (project, _data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'echo a >> ran' }\n  b: { kind: command, needs: [a], run: 'exit 1' }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    host.wait_done(&run);
    project.workflow("w", "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'echo a >> ran' }\n  b: { kind: command, needs: [a], run: 'echo b >> ran' }\n");
    let again = host.call("run.retry", json!({ "run": run, "scope": "failed", "definition": "latest" })).unwrap();
    let again = again["run"]["id"].as_str().unwrap().to_owned();
    assert_ne!(again, run);
    assert_eq!(host.wait_done(&again)["run"]["conclusion"], "success");
    assert_eq!(std::fs::read_to_string(project.path().join("ran")).unwrap(), "a\nb\n");
}

#[test]
fn cancel_ends_every_process_also_those_that_hide() {
    let (_project, data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  stubborn: { kind: command, run: \"trap '' TERM; setsid sleep 300 & echo ready; while :; do sleep 300; done\" }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    until("the first line", || (host.log_text(&run, "stubborn") == "ready").then_some(()));
    host.call("run.cancel", json!({ "run": run })).unwrap();
    assert_eq!(host.run(&run)["run"]["status"], "cancelling");
    host.call("run.cancel", json!({ "run": run, "force": true })).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "cancelled");
    assert_eq!(host.step(&run, "stubborn")["attempts"][0]["stopped"], "forced");
    let prefix =
        &signalbox_store::blob::hash(std::fs::canonicalize(data.path()).unwrap().to_string_lossy().as_bytes())[..16];
    assert!(leftovers(prefix).is_empty());
}

#[test]
fn a_timeout_ends_the_step_and_a_retry_waits_its_time() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  slow: { kind: command, run: 'sleep 300', timeout: 300ms, retry: { max: 1, initial: 200ms, causes: [timeout] } }\n",
        &[],
    );
    let start = Instant::now();
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "timed_out");
    assert!(start.elapsed() >= Duration::from_millis(700));
    assert_eq!(host.step(&run, "slow")["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn secrets_reach_the_step_and_nothing_else() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nsecrets: [DEPLOY]\nsteps:\n  a: { kind: command, env: { KEY: '${{ secrets.DEPLOY }}' }, run: 'echo \"key is $KEY\"; test -z \"$SIGNALBOX_SECRET_OTHER$SIGNALBOX_SECRET_DEPLOY\"; test \"$KEY\" = tok-98765; echo \"out=$KEY\" >> $SIGNALBOX_OUTPUT' }\n",
        &[("SIGNALBOX_SECRET_DEPLOY", "tok-98765"), ("SIGNALBOX_SECRET_OTHER", "not declared")],
    );
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    assert_eq!(host.log_text(&run, "a"), "key is ***");
    let everything =
        serde_json::to_string(&host.events(&[&format!("project/{}/**", host.project_id()), "activity", "host"]))
            .unwrap();
    assert!(!everything.contains("tok-98765"));
}

#[test]
fn a_missing_secret_is_said_before_anything_runs() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nsecrets: [NOT_SET]\nsteps:\n  a: { kind: command, env: { KEY: '${{ secrets.NOT_SET }}' }, run: 'echo ran' }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "failed");
    assert!(host.step(&run, "a")["reason"].as_str().unwrap().contains("SIGNALBOX_SECRET_NOT_SET"));
}

#[test]
fn runs_of_a_full_group_wait_and_can_be_moved() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nconcurrency: { group: one, max: 1, on_conflict: queue }\nsteps:\n  gate: { kind: approval, who: { roles: [owner], min: 1, self_approval: true } }\n",
        &[],
    );
    let runs: Vec<String> = (0..3).map(|_| host.start_run("w", json!({}))).collect();
    host.wait_step(&runs[0], "gate", "waiting_input");
    assert_eq!(host.run(&runs[2])["run"]["queue_position"], 2);
    host.call("queue.move", json!({ "run": runs[2], "position": 1 })).unwrap();
    let answer = |run: &str| {
        let gate = host.wait_step(run, "gate", "waiting_input");
        host.call("approval.answer", json!({ "approval": gate["approval"], "decision": "approve" })).unwrap();
        host.wait_done(run);
    };
    answer(&runs[0]);
    host.wait_step(&runs[2], "gate", "waiting_input");
    assert_eq!(host.run(&runs[1])["run"]["status"], "queued");
    answer(&runs[2]);
    answer(&runs[1]);
}

#[test]
fn much_output_is_kept_whole_paged_and_searched() {
    let (_project, _data, host) =
        start("signalbox: 1\nname: w\nsteps:\n  talk: { kind: command, run: 'seq 1 300000' }\n", &[]);
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    let page = host.call("run.log", json!({ "run": run, "step": "talk", "offset": 299_990, "limit": 100 })).unwrap();
    assert_eq!(page["total_lines"], 300_000);
    assert_eq!(page["lines"][0], json!({ "n": 299_990, "stream": "stdout", "text": "299991" }));
    assert_eq!(page["lines"].as_array().unwrap().len(), 10);
    let found = host.call("run.log_search", json!({ "run": run, "step": "talk", "query": "99999" })).unwrap();
    assert_eq!(found["total"], 3);
    assert_eq!(found["matches"][2]["n"], 299_998);
}

#[test]
fn progress_and_a_key_that_is_used_twice() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: \"printf '\\\\033]9;4;1;40;linking\\\\007'; sleep 0.2\" }\n",
        &[],
    );
    let params = json!({ "project": host.project_id(), "workflow": "w" });
    let first = host.call_with("run.start", params.clone(), &[("Idempotency-Key", "k1")]).unwrap();
    let second = host.call_with("run.start", params, &[("Idempotency-Key", "k1")]).unwrap();
    assert_eq!(first, second, "the same key twice is one run");
    let run = first["run"].as_str().unwrap();
    host.wait_done(run);
    let events = host.events(&[&format!("project/{}", host.project_id())]);
    let progress = events.iter().find(|event| event["type"] == "progress_update").unwrap();
    assert_eq!(progress["data"], json!({ "of": "step", "value": 0.4, "text": "linking" }));
    assert_eq!(
        host.call("run.list", json!({ "project": host.project_id() })).unwrap()["runs"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn failure_asks_about_what_a_step_needs_and_what_that_needed() {
    let (_project, _data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'exit 1' }\n  b: { kind: command, needs: [a], run: 'true' }\n  fine: { kind: command, run: 'true' }\n  after_b: { kind: command, needs: [b], if: '${{ failure() }}', run: 'true' }\n  after_fine: { kind: command, needs: [fine], if: '${{ failure() }}', run: 'true' }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    host.wait_done(&run);
    let conclusion = |key: &str| host.step(&run, key)["conclusion"].as_str().unwrap().to_owned();
    assert_eq!(
        ["a", "b", "after_b", "fine", "after_fine"].map(conclusion),
        ["failed", "omitted", "success", "success", "skipped"]
    );
}

#[test]
fn the_same_key_at_the_same_moment_from_many_is_one_run_with_one_answer() {
    let (_project, _data, host) = start("signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'true' }\n", &[]);
    let params = json!({ "project": host.project_id(), "workflow": "w" });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| host.call_with("run.start", params.clone(), &[("Idempotency-Key", "same")]).unwrap())
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let runs = host.call("run.list", json!({ "project": host.project_id() })).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    host.wait_done(answers[0]["run"].as_str().unwrap());
}

#[test]
fn what_a_step_leaves_running_is_ended_also_outside_its_group() {
    let (_project, data, host) = start(
        "signalbox: 1\nname: w\nsteps:\n  leaves: { kind: command, run: \"setsid sh -c 'touch away; exec sleep 300' >/dev/null 2>&1 & while ! test -e away; do sleep 0.01; done\", verify: [ { run: \"true\" } ] }\n  waits: { kind: command, needs: [leaves], run: \"exec sleep 300\" }\n",
        &[],
    );
    let run = host.start_run("w", json!({}));
    host.wait_step(&run, "waits", "running");
    let mark = signalbox_store::blob::hash(std::fs::canonicalize(data.path()).unwrap().to_string_lossy().as_bytes())
        [..16]
        .to_owned();
    // The run goes on: what the first step left is gone, what the second one does is not.
    until("the leftover's end", || (leftovers(&mark).len() == 1).then_some(()));
    assert_eq!(host.step(&run, "waits")["status"], "running");
    host.call("run.cancel", json!({ "run": run, "force": true })).unwrap();
    host.wait_done(&run);
}

/// What became of several steps is committed together where nothing is later for it: no state is left out for that.
#[test]
fn each_state_of_a_short_step_is_in_the_log() {
    let steps: String = (0..40).map(|n| format!("  s{n}: {{ kind: command, run: 'true' }}\n")).collect();
    let workflow = format!("signalbox: 1\nname: w\nsteps:\n{steps}");
    let (_project, _data, host) = start(&workflow, &[("SIGNALBOX_ENGINE_SLOTS", "12")]);
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    let events = host.events(&[&format!("project/{}", host.project_id())]);
    for key in (0..40).map(|n| format!("s{n}")) {
        let of_step: Vec<_> = events.iter().filter(|event| event["step"] == key.as_str()).collect();
        let states: Vec<&str> = of_step.iter().map(|event| event["data"]["status"].as_str().unwrap()).collect();
        assert_eq!(states, ["ready", "starting", "running", "done"], "{key}");
        let last = of_step.last().unwrap();
        assert_eq!(last["data"]["attempts"][0]["exit_code"], 0, "{last}");
    }
}

/// Nothing follows that its news could be committed with.
#[test]
fn a_long_step_is_said_to_run_at_once() {
    let workflow =
        "signalbox: 1\nname: w\nsteps:\n  long: { kind: command, run: 'while ! test -e go; do sleep 0.01; done' }\n";
    let (project, _data, host) = start(workflow, &[]);
    let run = host.start_run("w", json!({}));
    let long = host.wait_step(&run, "long", "running");
    assert!(long["attempts"][0]["pid"].is_u64(), "{long}");
    assert_eq!(long["attempts"][0]["pid_started"].is_u64(), cfg!(target_os = "linux"), "{long}");
    let events = host.events(&[&format!("project/{}", host.project_id())]);
    let at = |status: &str| {
        let found = events.iter().find(|event| event["step"] == "long" && event["data"]["status"] == status);
        found.unwrap()["ts"].as_i64().unwrap()
    };
    // Room for a machine that does much else; it is 4 ms.
    assert!(at("running") - at("starting") < 2000, "{events:?}");
    std::fs::write(project.path().join("go"), "").unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
}
