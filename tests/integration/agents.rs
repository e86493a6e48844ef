//! Steps of agents, with the rehearsal agent: a real process that speaks the real protocol and really writes files.

use std::{fs, path::Path, process::Command, thread};

use serde_json::{Value, json};

use crate::support::{Host, Project, until};

/// A git repository with a workflow, and a script of what the agent plays.
pub(crate) struct Studio {
    pub(crate) project: Project,
    data: tempfile::TempDir,
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Studio {
    pub(crate) fn new(steps: &str, scenes: &str) -> Self {
        let project = Project::new(&[]);
        let workflow = format!(
            "signalbox: 1\nname: w\nenv: {{ REHEARSAL_SCRIPT: \"${{{{ project.path }}}}/.git/rehearsal.yaml\" }}\n\
             defaults: {{ agent: {{ id: rehearsal }} }}\n{steps}"
        );
        project.workflow("w", &workflow);
        let folder = project.path();
        git(folder, &["init", "-q", "-b", "main"]);
        for (key, value) in [("user.name", "A"), ("user.email", "a@example.org")] {
            git(folder, &["config", key, value]);
        }
        fs::write(folder.join("README.md"), "hello\n").unwrap();
        fs::write(folder.join(".git/rehearsal.yaml"), format!("scenes:\n{scenes}")).unwrap();
        git(folder, &["add", "-A"]);
        git(folder, &["commit", "-qm", "first"]);
        Self { project, data: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn host(&self) -> Host {
        // Waiting for a condition asks often.
        let env = [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")];
        Host::start_with(self.data.path(), &[self.project.path()], &env)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    fn has(&self, path: &str) -> bool {
        self.project.path().join(path).exists()
    }
}

fn question(host: &Host) -> Value {
    until("a question", || host.call("permission.list", json!({})).unwrap()["permissions"].get(0).cloned())
}

fn allow(host: &Host, question: &Value) -> Result<Value, Value> {
    host.call("permission.answer", json!({ "permission": question["id"], "option": "allow" }))
}

pub(crate) fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

pub(crate) fn everything(host: &Host, run: &str) -> Vec<Value> {
    host.events(&[&format!("project/{}", host.project_id()), &format!("run/{run}")])
}

#[test]
fn a_goal_becomes_a_checked_corrected_and_landed_change() {
    let studio = Studio::new(
        r#"
goal_check: { statement: "There is a greeting", accept: [{ file_exists: greeting.txt }] }
steps:
  plan:
    kind: agent
    agent: { mode: plan }
    prompt: Make a plan
    outputs: { schema: { type: object, required: [summary], properties: { summary: { type: string } } } }
  build:
    kind: agent
    needs: [plan]
    prompt: "Build: ${{ steps.plan.outputs.summary }}"
    verify:
      - { run: "grep -q good greeting.txt || { echo it is not good; exit 1; }" }
      - { diff: { max_files: 3, deny: [".github/**"] } }
    correct: { max: 2 }
  test: { kind: command, needs: [build], from: build, run: "cat greeting.txt" }
  land: { kind: git, needs: [test], action: merge, from: build, message: "Greet" }
"#,
        r#"
  - when: Make a plan
    do:
      - think: What is there?
      - say: '{"summary": 7}'
  - when: does not fit
    do:
      - say: "```json\n{\"summary\": \"write a greeting\"}\n```"
  - when: it is not good
    do:
      - edit: { path: greeting.txt, find: bad, replace: good }
      - usage: { input: 50, output: 5 }
  - when: "Build: write a greeting"
    do:
      - plan: [Write it]
      - ask: { title: Look around, kind: execute, then: [{ run: { command: ls } }] }
      - write: { path: greeting.txt, text: "bad\n" }
      - usage: { input: 100, output: 10, usd: 0.5 }
      - say: Done.
"#,
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let asked = question(&host);
    assert_eq!((asked["step"].as_str(), asked["title"].as_str()), (Some("build"), Some("Look around")));
    assert_eq!(host.step(&run, "build")["status"], "waiting_input");
    let wrong = host.call("permission.answer", json!({ "permission": asked["id"], "option": "whatever" })).unwrap_err();
    assert_eq!(wrong["code"], "bad_request", "only what the agent offered: {wrong}");
    allow(&host, &asked).unwrap();
    let done = host.wait_done(&run);
    let events = everything(&host, &run);
    assert_eq!(done["run"]["conclusion"], "success", "{:#?}", of_type(&events, "agent_error"));
    assert_eq!(host.log_text(&run, "test"), "good");
    assert!(studio.has("greeting.txt"), "it landed in the checkout");
    assert!(git(studio.project.path(), &["log", "-1", "--format=%s"]).starts_with("Greet"));

    let corrections = of_type(&events, "correction");
    let told: Vec<&str> = corrections.iter().map(|data| data["step"].as_str().unwrap()).collect();
    assert_eq!(told, ["plan", "build"]);
    let patch = of_type(&events, "file_diff");
    assert!(patch.iter().any(|diff| diff["patch"].as_str().unwrap().contains("+good")), "{patch:#?}");
    assert!(of_type(&events, "goal_check").iter().all(|verdict| verdict["passed"] == true));
    assert_eq!(of_type(&events, "goal_check").len(), 2, "before landing and at the end");
    let build = host.step(&run, "build");
    assert_eq!(build["agent"]["usage"]["input_tokens"], 150);
    assert_eq!(build["agent"]["rehearsal"], true);
    let used = host.call("usage.report", json!({ "project": host.project_id(), "days": 2 })).unwrap();
    assert_eq!(
        (used["days"][0]["agent"].as_str(), used["days"][0]["usage"]["input_tokens"].as_u64()),
        (Some("rehearsal"), Some(150))
    );
    // Nothing is left of the work but its commits.
    until("the worktrees to be tidied", || {
        let left = host.call("worktree.list", json!({ "project": host.project_id() })).unwrap();
        left["worktrees"].as_array().unwrap().is_empty().then_some(())
    });
    let said: String = of_type(&events, "agent_message")
        .iter()
        .filter(|m| m["step"] == "build" && m["from"] == "agent")
        .map(|message| message["text"].as_str().unwrap())
        .collect();
    assert_eq!(said, "Done.");
    drop(host);
    crate::crash::check_log(studio.data(), &[]);
}

#[test]
fn of_many_answers_at_the_same_instant_one_counts() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, prompt: go }\n",
        "  - do: [{ ask: { title: May I, kind: execute, then: [{ write: { path: a.txt, text: yes } }] } }]\n",
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let asked = question(&host);
    let members: Vec<String> = (0..8)
        .map(|n| {
            let made = host.call("token.create", json!({ "name": format!("m{n}"), "role": "operator" })).unwrap();
            made["token"].as_str().unwrap().to_owned()
        })
        .collect();
    let viewer = host.call("token.create", json!({ "name": "eve", "role": "viewer" })).unwrap();
    let params = |option: &str| json!({ "permission": asked["id"], "option": option }).to_string();
    let answer = |token: &str, option: &str| {
        let bearer = format!("Bearer {token}");
        host.request("POST", "/api/v1/call/permission.answer", &[("Authorization", &bearer)], params(option).as_bytes())
            .status
    };
    assert_eq!(answer(viewer["token"].as_str().unwrap(), "allow"), 403);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let all: Vec<_> = members
            .iter()
            .enumerate()
            .map(|(n, token)| scope.spawn(move || answer(token, if n % 2 == 0 { "allow" } else { "reject" })))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    host.wait_done(&run);
    let events = everything(&host, &run);
    assert_eq!(of_type(&events, "permission_resolved").len(), 1);
    let winner = &of_type(&events, "permission_resolved")[0];
    assert_eq!(winner["state"], "answered");
    assert!(winner["by"].as_str().unwrap().starts_with('m'));
    assert!(host.call("permission.list", json!({})).unwrap()["permissions"].as_array().unwrap().is_empty());
}

/// Processes of this machine whose command line has a word.
pub(crate) fn processes(word: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(word)).count()
}

#[test]
fn cancelling_in_the_middle_of_a_turn_leaves_no_process_and_no_question() {
    let studio = Studio::new(
        "steps:\n  run: { kind: agent, prompt: run }\n  ask: { kind: agent, prompt: ask }\n",
        "  - { when: run, do: [{ run: { command: sleep 31415926 } }] }\n  - { when: ask, do: [{ ask: { title: May I } }] }\n",
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    question(&host);
    until("the command to run", || (processes("31415926") > 0).then_some(()));
    host.call("run.cancel", json!({ "run": run })).unwrap();
    let done = host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "cancelled");
    until("the command's end", || (processes("31415926") == 0).then_some(()));
    assert!(host.call("permission.list", json!({})).unwrap()["permissions"].as_array().unwrap().is_empty());
    let events = everything(&host, &run);
    assert_eq!(of_type(&events, "permission_resolved")[0]["state"], "void");
    let open = of_type(&events, "tool_call");
    assert!(
        open.iter().rev().take(1).all(|call| !["pending", "in_progress"].contains(&call["status"].as_str().unwrap())),
        "no tool call stays open: {open:#?}"
    );
}

#[test]
fn after_a_kill_of_the_host_the_session_goes_on() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, prompt: work }\n",
        r#"
  - when: interrupted
    do: [{ write: { path: after.txt, text: after } }, { say: It goes on. }]
  - when: work
    do: [{ write: { path: before.txt, text: before } }, { run: { command: sleep 27182818 } }]
"#,
    );
    let mut host = studio.host();
    let run = host.start_run("w", json!({}));
    until("the command to run", || (processes("27182818") > 0).then_some(()));
    host.kill();
    let host = studio.host();
    let done = host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "success", "{done:#}");
    assert_eq!(processes("27182818"), 0);
    let step = host.step(&run, "a");
    assert_eq!(step["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(step["attempts"][0]["conclusion"], "crashed");
    let events = everything(&host, &run);
    assert!(
        of_type(&events, "agent_session").iter().any(|session| session["resumed"] == true && session["attempt"] == 2)
    );
    // What it had done before is still there, and both are on its branch.
    let branch = step["agent"]["branch"].as_str().unwrap();
    let files = git(studio.project.path(), &["ls-tree", "--name-only", branch]);
    assert!(files.contains("before.txt") && files.contains("after.txt"), "{files}");
}

#[test]
fn what_an_agent_must_not_do_ends_its_step_with_the_reason() {
    let studio = Studio::new(
        r#"
steps:
  looks:    { kind: agent, isolation: shared_ro, prompt: writes though it may not, continue_on_error: true }
  outside:  { kind: agent, prompt: leaves its folder, continue_on_error: true }
  forbidden: { kind: agent, prompt: touches what is forbidden, verify: [{ diff: { deny: ["deploy/**"] } }], continue_on_error: true }
  greedy:   { kind: agent, prompt: uses too much, budget: { tokens: 100, on_exceed: fail }, continue_on_error: true }
"#,
        r#"
  - when: writes though
    do: [{ write: { path: a.txt, text: x } }]
  - when: leaves its folder
    do: [{ write: { path: PROJECT/stolen.txt, text: x, outside: true } }]
  - when: forbidden
    do: [{ write: { path: deploy/key.txt, text: x } }]
  - when: too much
    do: [{ usage: { input: 90, output: 20 } }, { wait_ms: 60000 }]
"#,
    );
    let script = studio.project.path().join(".git/rehearsal.yaml");
    let text = fs::read_to_string(&script).unwrap();
    fs::write(&script, text.replace("PROJECT", &studio.project.path().to_string_lossy())).unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    host.wait_done(&run);
    for (step, cause, words) in [
        ("looks", "verify", "only looks"),
        ("outside", "verify", "stolen.txt"),
        ("forbidden", "verify", "deploy/key.txt may not be changed"),
        ("greedy", "budget", "110 of 100 tokens"),
    ] {
        let found = host.step(&run, step);
        assert_eq!(found["conclusion"], "failed", "{found:#}");
        let last = found["attempts"].as_array().unwrap().last().unwrap();
        assert_eq!(last["cause"], cause, "{found:#}");
        assert!(last["message"].as_str().unwrap().contains(words), "{step}: {}", last["message"]);
    }
    let risks = host.call("risk.list", json!({ "project": host.project_id() })).unwrap()["risks"].clone();
    let kinds: Vec<&str> = risks.as_array().unwrap().iter().map(|risk| risk["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"forbidden_path") && kinds.contains(&"budget"), "{kinds:?}");
    let first = json!({ "project": host.project_id(), "risk": risks[0]["id"] });
    assert_eq!(host.call("risk.acknowledge", first.clone()).unwrap()["risk"]["state"], "acknowledged");
    host.call("risk.resolve", first).unwrap();
    let left = host.call("risk.list", json!({ "project": host.project_id() })).unwrap();
    assert_eq!(left["risks"].as_array().unwrap().len(), risks.as_array().unwrap().len() - 1);
}

#[test]
fn a_person_who_works_in_the_project_meanwhile_disturbs_nobody() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, prompt: go }\n",
        "  - do: [{ ask: { title: May I, kind: execute } }, { write: { path: a.txt, text: x } }]\n",
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let asked = question(&host);
    fs::write(studio.project.path().join("mine.txt"), "a person's").unwrap();
    fs::write(studio.project.path().join("README.md"), "changed by a person").unwrap();
    allow(&host, &asked).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
}

#[test]
fn the_work_of_several_lands_as_one_or_not_at_all() {
    let studio = Studio::new(
        r#"
steps:
  one: { kind: agent, prompt: one }
  two: { kind: agent, prompt: two }
  land: { kind: git, needs: [one, two], action: merge, verify: [{ run: test -f one && test -f two }] }
  three: { kind: agent, needs: [land], prompt: three }
  four: { kind: agent, needs: [land], prompt: four }
  clash: { kind: git, needs: [three, four], action: merge }
"#,
        r#"
  - { when: one, do: [{ write: { path: one, text: "1\n" } }] }
  - { when: two, do: [{ write: { path: two, text: "2\n" } }] }
  - { when: three, do: [{ write: { path: same, text: "3\n" } }, { write: { path: three, text: "3\n" } }] }
  - { when: four, do: [{ write: { path: same, text: "4\n" } }] }
"#,
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "failed");
    let landed = host.step(&run, "land")["outputs"].clone();
    assert_eq!(landed["commits"].as_array().map(Vec::len), Some(2), "{landed}");
    assert_eq!(git(studio.project.path(), &["rev-parse", "main"]), landed["commit"], "no part of the clash landed");
    assert!(studio.has("one") && studio.has("two") && !studio.has("three") && !studio.has("same"));
    let commits = of_type(&everything(&host, &run), "commit").into_iter().filter(|c| c["branch"] == "main").count();
    assert_eq!(commits, 2);
    let why = host.step(&run, "clash")["reason"].as_str().unwrap().to_owned();
    assert!(why.contains("conflicts with main and the work of") && why.contains("nothing was landed"), "{why}");
    assert_eq!(git(studio.project.path(), &["for-each-ref", "refs/signalbox"]), "", "no merge is held any more");
}

#[test]
fn a_large_change_is_read_in_pages_over_any_transport() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, prompt: go }\n",
        "  - do: [{ run: { command: seq 1 20000 > big.txt } }]\n",
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    let events = everything(&host, &run);
    let diff = of_type(&events, "file_diff").into_iter().rfind(|diff| diff["path"] == "big.txt").unwrap().clone();
    let blob = &diff["blob"];
    let (mut whole, mut offset) = (String::new(), Some(0));
    while let Some(at) = offset {
        let page = host.call("blob.text", json!({ "hash": blob["hash"], "offset": at, "limit": 10_000 })).unwrap();
        assert_eq!(page["bytes"], blob["bytes"]);
        whole.push_str(page["text"].as_str().unwrap());
        offset = page["next"].as_u64();
    }
    assert_eq!(whole.len() as u64, blob["bytes"].as_u64().unwrap());
    assert!(whole.contains("\n+1\n") && whole.ends_with("\n+20000\n"), "{}", &whole[whole.len() - 50..]);
    for hash in ["0".repeat(64), "../../host.json".into()] {
        assert_eq!(host.call("blob.text", json!({ "hash": hash })).unwrap_err()["code"], "not_found", "{hash}");
    }
}

#[test]
fn work_that_conflicts_is_not_landed_and_not_lost() {
    let studio = Studio::new(
        r#"
steps:
  one: { kind: agent, prompt: one }
  two: { kind: agent, prompt: two }
  land_one: { kind: git, needs: [one], action: merge, from: one }
  land_two: { kind: git, needs: [two, land_one], action: merge, from: two }
"#,
        r#"
  - { when: one, do: [{ write: { path: README.md, text: "one\n" } }] }
  - { when: two, do: [{ write: { path: README.md, text: "two\n" } }] }
"#,
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let done = host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "failed");
    let land = host.step(&run, "land_two");
    let why = land["reason"].as_str().unwrap();
    assert!(why.contains("README.md") && why.contains("nothing was lost"), "{why}");
    assert_eq!(fs::read_to_string(studio.project.path().join("README.md")).unwrap(), "one\n");
    let id = host.project_id();
    let left = host.call("worktree.list", json!({ "project": id })).unwrap();
    let left = left["worktrees"].as_array().unwrap();
    let two = left.iter().find(|tree| tree["branch"].as_str().unwrap().ends_with("/two")).expect("its work is kept");
    assert_eq!(two["commits"], 1);
    let remove = |discard: bool| {
        host.call("worktree.remove", json!({ "project": id, "branch": two["branch"], "discard": discard }))
    };
    assert_eq!(remove(false).unwrap_err()["code"], "conflict");
    // By hand it conflicts as well, until a person has made room for it.
    let merge = || host.call("worktree.merge", json!({ "project": id, "branch": two["branch"] }));
    assert!(merge().unwrap_err()["message"].as_str().unwrap().contains("README.md"));
    git(studio.project.path(), &["reset", "-q", "--hard", "HEAD~1"]);
    let merged = merge().unwrap();
    assert_eq!((merged["into"].as_str(), merged["files"].as_u64()), (Some("main"), Some(1)));
    assert_eq!(fs::read_to_string(studio.project.path().join("README.md")).unwrap(), "two\n");
    assert!(merge().unwrap()["commit"].is_null(), "all of it is there already");
    assert!(remove(false).is_ok(), "nothing is lost by it any more");
}

#[test]
fn a_goal_that_is_not_reached_blocks_the_landing() {
    let studio = Studio::new(
        r#"
goal_check: { statement: "The file says yes", accept: [{ run: "grep -q yes a.txt" }] }
steps:
  a: { kind: agent, prompt: go }
  land: { kind: git, needs: [a], action: merge }
"#,
        "  - do: [{ write: { path: a.txt, text: no } }, { say: The goal is reached. }]\n",
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    host.wait_done(&run);
    let land = host.step(&run, "land");
    assert_eq!(land["conclusion"], "failed");
    assert!(land["reason"].as_str().unwrap().contains("nothing was landed"), "{land:#}");
    assert!(!studio.has("a.txt"));
    let events = everything(&host, &run);
    let verdict = of_type(&events, "goal_check")[0];
    assert_eq!((verdict["passed"].as_bool(), verdict["step"].as_str()), (Some(false), Some("land")));
    assert_eq!(of_type(&events, "risk_alert")[0]["kind"], "goal");
}

#[test]
fn a_rejected_plan_goes_back_to_its_agent_with_the_remark() {
    let studio = Studio::new(
        r#"
steps:
  plan: { kind: agent, prompt: Make a plan, outputs: { files: { text: plan.md } } }
  look:
    kind: approval
    needs: [plan]
    question: Good?
    show: [plan.files.text]
    who: { roles: [owner], self_approval: true }
    form: { note: { type: string } }
    on_reject: { rerun_from: plan, feedback_as: "${{ approval.note }}", max: 2 }
"#,
        r#"
  - { when: shorter please, do: [{ write: { path: plan.md, text: short } }] }
  - { when: Make a plan, do: [{ write: { path: plan.md, text: a long plan } }] }
"#,
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let asked =
        || until("the question", || host.call("approval.list", json!({})).unwrap()["approvals"].get(0).cloned());
    let first = asked();
    assert_eq!(first["show"]["plan.files.text"], "a long plan", "a file is shown from where the agent wrote it");
    let no = json!({ "approval": first["id"], "decision": "reject", "form": { "note": "shorter please" } });
    host.call("approval.answer", no).unwrap();
    let second = until("the second question", || Some(asked()).filter(|second| second["id"] != first["id"]));
    assert_eq!(second["show"]["plan.files.text"], "short");
    host.call("approval.answer", json!({ "approval": second["id"], "decision": "approve" })).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    let events = everything(&host, &run);
    assert!(of_type(&events, "agent_session").iter().any(|session| session["resumed"] == true), "in the same session");
}

#[test]
fn another_agent_takes_the_place_of_one_that_cannot_work() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, agent: { id: broken, fallback: [rehearsal] }, prompt: go }\n",
        "  - do: [{ say: I am here. }]\n",
    );
    let config = studio.data.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("settings.toml"), "[agents.broken]\ncommand = [\"/nowhere/agent\"]\n").unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
    assert_eq!(host.step(&run, "a")["agent"]["id"], "rehearsal");
    let events = everything(&host, &run);
    assert_eq!(of_type(&events, "agent_error")[0]["kind"], "missing");
}

#[test]
fn what_an_agent_used_up_before_another_took_its_place_is_counted() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, agent: { id: rehearsal, fallback: [second] }, prompt: go, correct: { max: 1 }, \
         verify: [{ run: test -f done }] }\n  b: { kind: agent, needs: [a], prompt: odd }\n",
        "  - { when: odd, do: [{ stop: out_of_ideas }] }\n  \
         - { times: 1, do: [{ usage: { input: 100, output: 20 } }, { run: { command: \"[ -f met ] && touch done; touch met\" } }] }\n  \
         - do: [{ fail: { code: -32000, message: Sign in. } }]\n",
    );
    let config = studio.data.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("settings.toml"), "[agents.second]\nlike = \"rehearsal\"\n").unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "failed");
    let agent = host.step(&run, "a")["agent"].clone();
    assert_eq!(agent["id"], "second", "{:#}", host.step(&run, "a"));
    let usage = &agent["usage"];
    assert_eq!((usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()), (Some(200), Some(40)), "{usage}");
    // An agent's word is all there is of this step, and that word is not known.
    let why = host.step(&run, "b")["reason"].as_str().unwrap().to_owned();
    assert!(why.contains("a reason that is not known: out_of_ideas"), "{why}");
}

#[test]
fn an_agent_has_tools_of_signalbox_and_nobody_else_has_them() {
    let studio = Studio::new(
        r#"
steps:
  a:
    kind: agent
    agent: { id: tools }
    prompt: go
    outputs: { schema: { type: object, required: [verdict], properties: { verdict: { enum: [pass, fail] } } } }
"#,
        "  - do: []\n",
    );
    let config = studio.data.path().join("config");
    fs::create_dir_all(&config).unwrap();
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/mcp_agent.py");
    fs::write(config.join("settings.toml"), format!("[agents.tools]\ncommand = [\"python3\", \"{agent}\"]\n")).unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let asked = question(&host);
    assert_eq!((asked["topic"].as_str(), asked["title"].as_str()), (Some("question"), Some("Which colour?")));
    let blue = asked["options"][1]["id"].clone();
    let answer = json!({ "permission": asked["id"], "option": blue, "text": "the dark one" });
    host.call("permission.answer", answer).unwrap();
    let done = host.wait_done(&run);
    let events = everything(&host, &run);
    let said: String = of_type(&events, "agent_message")
        .iter()
        .filter(|m| m["from"] == "agent")
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert_eq!(done["run"]["conclusion"], "success", "{said}");
    for line in [
        "server signalbox",
        "tools report_progress ask_person wait_for_answer raise_risk deliver_file submit_verdict",
        "stranger {'status': 401}",
        "outside error: ",
        "bad error: the JSON of your answer does not fit its schema",
        r#"good {"accepted":true}"#,
        r#""choice":"blue","text":"the dark one""#,
    ] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    let step = host.step(&run, "a");
    assert_eq!(step["outputs"]["verdict"], "pass");
    assert_eq!(step["artifacts"][0]["path"], "report.md");
    assert_eq!(of_type(&events, "risk_alert")[0]["title"], "It may rain");
    assert!(of_type(&events, "progress_update").iter().any(|progress| progress["value"] == 0.5));
    let protocol = host.log_text(&run, "a");
    assert!(protocol.contains("mcpServers") && !protocol.contains("sbx_agent_"), "its token is masked");
}

#[test]
fn a_step_is_cancelled_while_its_agent_starts_and_nothing_is_left() {
    let studio = Studio::new(
        "steps:\n  a: { kind: agent, agent: { id: deaf }, prompt: go }\n  b: { kind: agent, agent: { id: deaf }, prompt: go, timeout: 1s }\n",
        "  - do: []\n",
    );
    let config = studio.data.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("settings.toml"), "[agents.deaf]\ncommand = [\"sleep\", \"16180339\"]\n").unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    until("its process", || (processes("16180339") > 0).then_some(()));
    host.wait_step(&run, "b", "done");
    assert_eq!(host.step(&run, "b")["conclusion"], "timed_out");
    host.call("run.cancel", json!({ "run": run })).unwrap();
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "cancelled");
    until("the end of its processes", || (processes("16180339") == 0).then_some(()));
    let figures = host.call("system.status", json!({})).unwrap();
    assert_eq!(figures["active_steps"].as_u64().unwrap_or(0), 0, "its slot is free again: {figures}");
}

#[test]
fn work_lands_wherever_its_agent_put_it_and_landing_again_is_no_failure() {
    let studio = Studio::new(
        r#"
steps:
  switch: { kind: agent, prompt: switch, permissions: { execute: allow } }
  detach: { kind: agent, prompt: detach, permissions: { execute: allow } }
  format: { kind: command, needs: [switch], from: switch, run: "echo made > generated.txt" }
  land_one: { kind: git, needs: [format], action: merge, from: switch }
  land_two: { kind: git, needs: [detach, land_one], action: merge, from: detach }
"#,
        r#"
  - when: switch
    do:
      - run: { command: "git switch -qc elsewhere; echo one > one.txt; git add -A; git -c user.name=B -c user.email=b@example.org commit -qm one; echo two > two.txt" }
  - when: detach
    do:
      - run: { command: "git switch -q --detach; echo three > three.txt; git add -A; git -c user.name=B -c user.email=b@example.org commit -qm three" }
"#,
    );
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let done = host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "success", "{done:#}");
    for file in ["one.txt", "two.txt", "generated.txt", "three.txt"] {
        assert!(studio.has(file), "{file} did not land");
    }
    // The run is tidied up; to land once more finds all of it there.
    until("the worktrees to be tidied", || {
        let left = host.call("worktree.list", json!({ "project": host.project_id() })).unwrap();
        left["worktrees"].as_array().unwrap().is_empty().then_some(())
    });
    host.call("run.retry", json!({ "run": run, "scope": "from", "step": "land_two" })).unwrap();
    until("the second end", || {
        let step = host.step(&run, "land_two");
        (step["attempts"].as_array().unwrap().len() == 2 && step["status"] == "done").then_some(())
    });
    assert_eq!(host.wait_done(&run)["run"]["conclusion"], "success");
}

#[test]
fn every_template_runs_with_the_rehearsal_agent_as_it_is_delivered() {
    for (name, inputs) in [
        ("ship-feature", json!({ "goal": "A greeting" })),
        ("fix-issue", json!({ "issue": "It crashes" })),
        ("review-branch", json!({})),
        ("deploy-infrastructure", json!({ "goal": "One server" })),
        ("nightly-maintenance", json!({})),
    ] {
        let studio = Studio::new("steps:\n  x: { kind: command, run: x }\n", "  - do: []\n");
        let init = crate::support::command(studio.data())
            .args(["init", "--template", name])
            .arg(studio.project.path())
            .output();
        assert!(init.unwrap().status.success());
        let host = studio.host();
        let run = host.start_run(name, inputs);
        until(&format!("the end of {name}"), || {
            for asked in host.call("permission.list", json!({})).unwrap()["permissions"].as_array().unwrap() {
                allow(&host, asked).ok();
            }
            for asked in host.call("approval.list", json!({})).unwrap()["approvals"].as_array().unwrap() {
                host.call("approval.answer", json!({ "approval": asked["id"], "decision": "approve" })).ok();
            }
            (host.run(&run)["run"]["status"] == "done").then_some(())
        });
        let done = host.run(&run);
        let reasons: Vec<&Value> = done["steps"].as_array().unwrap().iter().map(|step| &step["reason"]).collect();
        assert_eq!(done["run"]["conclusion"], "success", "{name}: {reasons:#?}");
    }
}

#[test]
fn files_and_commands_through_the_host_and_ignored_files_in_every_worktree() {
    let studio = Studio::new(
        r#"
steps:
  make:
    kind: agent
    agent: { id: asker }
    prompt: >-
      [["fs/write_text_file", {"path": "$F/made.txt", "content": "made\n"}],
       ["terminal/create", {"command": "sh", "args": ["-c", "cat .env deps/lib; pwd; exit 4"]}],
       ["call", {"sessionUpdate": "tool_call", "toolCallId": "c", "title": "look", "kind": "execute",
                 "status": "in_progress", "content": [{"type": "terminal", "terminalId": "$T"}]}],
       ["terminal/wait_for_exit", {"terminalId": "$T"}],
       ["call", {"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed"}],
       ["fs/read_text_file", {"path": "/etc/hostname"}]]
    verify: [{ run: test -f .env && test -f deps/lib }]
  careful:
    kind: agent
    needs: [make]
    agent: { id: asker }
    permissions: { execute: ask }
    prompt: '[["terminal/create", {"command": "touch", "args": ["$F/sneaked"]}]]'
  land: { kind: git, needs: [careful], action: merge, from: make, verify: [{ run: test -f .env && test -f deps/lib }] }
"#,
        "  - do: []\n",
    );
    let project = studio.project.path();
    let file = project.join(".signalbox/workflows/w.yaml");
    let defaults = "defaults: { permissions: { execute: allow }, carry: { copy: [.env], link: [deps] }, ";
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("defaults: { ", defaults)).unwrap();
    fs::write(project.join(".gitignore"), ".env\ndeps/\n").unwrap();
    git(project, &["add", "-A"]);
    git(project, &["commit", "-qm", "ignore"]);
    fs::write(project.join(".env"), "of the env\n").unwrap();
    fs::create_dir(project.join("deps")).unwrap();
    fs::write(project.join("deps/lib"), "of the library\n").unwrap();
    let config = studio.data.path().join("config");
    fs::create_dir_all(&config).unwrap();
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/../signalbox-agent/tests/fixtures/errands_agent.py");
    let settings = format!("[agents.asker]\ncommand = [\"python3\", \"{agent}\"]\nfiles = true\nterminals = true\n");
    fs::write(config.join("settings.toml"), settings).unwrap();
    let host = studio.host();
    let run = host.start_run("w", json!({}));
    let done = host.wait_done(&run);
    let events = everything(&host, &run);
    assert_eq!(done["run"]["conclusion"], "success", "{events:#?}");
    let call = of_type(&events, "tool_call").into_iter().rfind(|call| call["id"] == "c").unwrap().clone();
    let output = call["output"].as_str().unwrap();
    assert!(output.starts_with("of the env\nof the library\n/"), "{output}");
    assert_eq!(call["exit_code"], 4);
    let said: String = of_type(&events, "agent_message")
        .iter()
        .filter(|m| m["from"] == "agent")
        .map(|m| m["text"].to_string())
        .collect();
    assert!(said.contains("is outside of the folder of this session"), "{said}");
    assert!(
        said.contains("Method not found: terminal/create"),
        "where a person is to be asked it is not offered: {said}"
    );
    assert_eq!(fs::read_to_string(project.join("made.txt")).unwrap(), "made\n");
    assert!(!git(project, &["ls-files"]).contains("deps"), "what is ignored is not landed");
    // Looked at over its shoulder: what git knows, and nothing else.
    let file = |path: &str| host.call("run.file", json!({ "run": run, "step": "make", "path": path }));
    assert_eq!(file("made.txt").unwrap()["text"], "made\n");
    assert_eq!(file("README.md").unwrap()["text"], "hello\n");
    for path in [".env", "deps/lib", "../../config/settings.toml", "/etc/passwd", ".git/config", "none.txt"] {
        assert_eq!(file(path).unwrap_err()["code"], "not_found", "{path}");
    }
}
