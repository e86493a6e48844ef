//! The command line as people type it.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Host, Project, binary, command, run, stderr, stdout};

const OK: &str = "signalbox: 1\nname: ok\ninputs: { n: { type: integer, default: 1 } }\nsteps:\n  a: { kind: command, run: 'echo hello ${{ inputs.n }}' }\n";
const BAD: &str = "signalbox: 1\nname: bad\nsteps:\n  a: { kind: command, run: 'echo the reason; exit 7' }\n";

#[test]
fn run_hosts_itself_or_joins_the_host_and_its_exit_code_tells_the_outcome() {
    let project = Project::new(&[("ok", OK), ("bad", BAD)]);
    let data = tempfile::tempdir().unwrap();
    let go = |arguments: &[&str]| run(command(data.path()).current_dir(project.path()).arg("run").args(arguments));
    assert_eq!(go(&["ok"]).status.code(), Some(0));
    let failed = go(&["bad"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        stderr(&failed).contains("the reason") && stderr(&failed).contains("exited with code 7"),
        "{}",
        stderr(&failed)
    );
    assert_eq!(go(&["nothing"]).status.code(), Some(1));
    assert_eq!(go(&["ok", "--input", "n=many"]).status.code(), Some(2));
    assert_eq!(go(&["ok", "--detach"]).status.code(), Some(3));
    assert!(!data.path().join("host.json").exists());
    let host = Host::start(data.path(), &[]);
    let json = go(&[".signalbox/workflows/ok.yaml", "--json", "-i", "n=5"]);
    assert_eq!(json.status.code(), Some(0), "{}", stderr(&json));
    let events: Vec<Value> = stdout(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.last().unwrap()["type"], "completion");
    assert!(events.iter().any(|event| event["type"] == "log" && event["data"]["text"] == "hello 5\n"));
    let detached = go(&["ok", "--detach"]);
    let id = stdout(&detached).trim().to_owned();
    assert_eq!(host.wait_done(&id)["run"]["number"], 4, "numbers go on from host to host");
}

#[test]
fn call_publish_login_and_tokens_talk_to_the_running_host() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let cli = |arguments: &[&str]| run(command(data.path()).args(arguments));
    let list: Value = serde_json::from_slice(&cli(&["call", "project.list"]).stdout).unwrap();
    let id = list["projects"][0]["id"].as_str().unwrap().to_owned();
    let published = cli(&["publish", "x_note", "--project", &id, "--data", "{\"a\":1}"]);
    assert!(serde_json::from_slice::<Value>(&published.stdout).unwrap()["seq"].is_u64());
    assert_eq!(cli(&["publish", "note", "--project", &id]).status.code(), Some(2));
    assert_eq!(cli(&["call", "no.such"]).status.code(), Some(1));
    assert_eq!(cli(&["call", "project.get", "{"]).status.code(), Some(2));
    assert!(stdout(&cli(&["login"])).contains("/#code="));
    let token: Value =
        serde_json::from_slice(&cli(&["token", "create", "--role", "viewer", "--ttl", "30d"]).stdout).unwrap();
    let other = Command::new(binary())
        .args(["call", "project.list", "--url", &host.url, "--token", token["token"].as_str().unwrap()])
        .env("SIGNALBOX_DATA_DIR", data.path().join("elsewhere"))
        .output()
        .unwrap();
    assert!(other.status.success(), "{}", stderr(&other));
    assert_eq!(cli(&["tail", "--no-follow", "--room", "nonsense"]).status.code(), Some(2));
    let empty = tempfile::tempdir().unwrap();
    let none = run(command(empty.path()).args(["call", "project.list"]));
    assert_eq!(none.status.code(), Some(3));
    assert!(stderr(&none).contains("signalbox serve"), "{}", stderr(&none));
}

#[test]
fn init_recognises_projects_writes_once_and_what_it_writes_is_valid() {
    let data = tempfile::tempdir().unwrap();
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("cargo", &[("Cargo.toml", "[package]\nname = \"x\"\n")]),
        ("npm", &[("package.json", "{\"scripts\":{\"test\":\"node --test\",\"lint\":\"eslint .\"}}")]),
        ("pytest", &[("pyproject.toml", "[tool.pytest.ini_options]\n")]),
        ("go ", &[("go.mod", "module x\n")]),
        ("make", &[("Makefile", "test:\n\ttrue\n")]),
    ];
    for (word, files) in cases {
        let project = Project::new(&[]);
        for (name, text) in files {
            std::fs::write(project.path().join(name), text).unwrap();
        }
        let go = || run(command(data.path()).current_dir(project.path()).arg("init"));
        let first = go();
        assert!(first.status.success(), "{}", stderr(&first));
        let file = project.path().join(".signalbox/workflows/check.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(word), "{word} in\n{text}");
        let valid = run(command(data.path()).arg("validate").arg(&file));
        assert!(valid.status.success(), "{}", stdout(&valid));
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(go().status.code(), Some(1), "what is there is not overwritten");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}

#[test]
fn a_run_in_the_wrong_folder_makes_no_project_of_it() {
    let (data, folder) = (tempfile::tempdir().unwrap(), Project::new(&[]));
    let host = Host::start(data.path(), &[]);
    let go = |workflow: &str| run(command(data.path()).current_dir(folder.path()).args(["run", workflow]));
    let refused = go("ship");
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("there is no workflow ship"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("nothing was done"), "{}", stderr(&refused));
    assert_eq!(host.call("project.list", json!({})).unwrap()["projects"], json!([]));
    // A file that is named is enough.
    std::fs::write(
        folder.path().join("ship.yaml"),
        "signalbox: 1\nname: ship\nsteps:\n  one: { kind: command, run: 'true' }\n",
    )
    .unwrap();
    let done = go("ship.yaml");
    assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
    // Also from elsewhere, by its place in the folder.
    let elsewhere = ["run", "ship.yaml", "--project", folder.path().to_str().unwrap()];
    let done = run(command(data.path()).current_dir(data.path()).args(elsewhere));
    assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
}

#[test]
fn schemas_and_settings_are_printed() {
    let data = tempfile::tempdir().unwrap();
    for name in ["workflow", "openapi", "asyncapi", "run_updated", "client-frame", "run.start.params"] {
        let output = run(command(data.path()).args(["schema", name]));
        assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap().is_object(), "{name}");
    }
    assert_eq!(run(command(data.path()).args(["schema", "nothing"])).status.code(), Some(2));
    let settings = stdout(&run(command(data.path()).args(["doctor", "--settings"])));
    assert!(settings.contains("SIGNALBOX_LIMITS_CALLS_PER_SECOND"));
    std::fs::create_dir_all(data.path().join("config")).unwrap();
    std::fs::write(data.path().join("config/settings.toml"), "[limits]\nrums = 3\n").unwrap();
    let wrong = run(command(data.path()).args(["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("line 2") && stderr(&wrong).contains("rums"), "{}", stderr(&wrong));
}

#[test]
fn ctrl_c_cancels_the_run_and_says_so_with_its_exit_code() {
    let project = Project::new(&[(
        "long",
        "signalbox: 1\nname: long\nsteps:\n  a: { kind: command, run: 'echo on; sleep 300' }\n",
    )]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let mut child = command(data.path()).current_dir(project.path()).args(["run", "long"]).spawn().unwrap();
    let id = crate::support::until("the run", || {
        let runs = host.call("run.list", json!({ "project": host.project_id() })).unwrap();
        let run = runs["runs"][0]["id"].as_str()?.to_owned();
        (host.log_text(&run, "a") == "on").then_some(run)
    });
    Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(host.run(&id)["run"]["conclusion"], "cancelled");
}

#[test]
fn what_a_step_prints_is_shown_whole_however_much_it_is() {
    let project = Project::new(&[(
        "seq",
        "signalbox: 1\nname: seq\nsteps:\n  a: { kind: command, run: \"seq 1 60000; exit 3\" }\n",
    )]);
    let data = tempfile::tempdir().unwrap();
    let run_it = |arguments: &[&str]| run(command(data.path()).args(arguments).current_dir(project.path()));
    let numbers = |text: &str| -> Vec<u32> {
        text.lines().filter_map(|line| line.rsplit_once("│ ")?.1.trim().parse().ok()).collect()
    };
    let output = run_it(&["run", "seq", "--logs"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(numbers(&stdout(&output)), (1..=60_000).collect::<Vec<u32>>(), "{}", stderr(&output));
    // Without --logs the last lines of what failed.
    let output = run_it(&["run", "seq"]);
    assert_eq!(numbers(&stderr(&output)), (59_981..=60_000).collect::<Vec<u32>>());
    // The whole log afterwards, as a person reads it.
    let _host = Host::start(data.path(), &[]);
    let output = run_it(&["tail", "--no-follow"]);
    let twice: Vec<u32> = (1..=60_000).chain(1..=60_000).collect();
    assert_eq!(numbers(&stdout(&output)), twice);
}

#[test]
fn a_reader_that_leaves_ends_nothing_and_leaves_nothing_behind() {
    let project = Project::new(&[(
        "talk",
        "signalbox: 1\nname: talk\nsteps:\n  a: { kind: command, run: \"for i in $(seq 300); do echo line $i; done; touch done\" }\n",
    )]);
    let data = tempfile::tempdir().unwrap();
    let script = |text: &str| {
        let mut shell = std::process::Command::new("sh");
        for (name, value) in command(data.path()).get_envs() {
            if let Some(value) = value {
                shell.env(name, value)
            } else {
                shell.env_remove(name)
            };
        }
        stdout(&run(shell.args(["-c", text, binary()]).current_dir(project.path())))
    };
    // Both outputs are closed under a process that is the host of its run: the run goes on to its end, and so does the host.
    let said = script("{ \"$0\" run talk --logs; echo \"code $?\" >&3; } 3>code 2>&1 | head -1; cat code");
    assert!(said.contains("code 0"), "{said}");
    assert!(project.path().join("done").exists());
    assert!(!data.path().join("host.json").exists());
    let said = script("\"$0\" run talk --json > /dev/full; echo \"code $?\"");
    assert!(said.contains("code 1"), "what could not be printed is no success: {said}");
}

#[test]
fn a_host_that_was_killed_is_not_taken_for_one_that_runs() {
    let project =
        Project::new(&[("quick", "signalbox: 1\nname: quick\nsteps:\n  a: { kind: command, run: \"echo hi\" }\n")]);
    let data = tempfile::tempdir().unwrap();
    Host::start(data.path(), &[project.path()]).kill();
    assert!(data.path().join("host.json").exists());
    let doctor = stdout(&run(command(data.path()).arg("doctor")));
    assert!(doctor.contains("none runs on this data folder"), "{doctor}");
    let tail = run(command(data.path()).arg("tail"));
    assert_eq!(tail.status.code(), Some(3), "{}", stderr(&tail));
    let output = run(command(data.path()).args(["run", "quick"]).current_dir(project.path()));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = run(command(data.path()).args(["run", "quik"]).current_dir(project.path()));
    assert!(stderr(&output).contains("there are quick"), "{}", stderr(&output));
}

/// Every event of the run, as every other way to read has it: the oracle is the project's whole list.
#[test]
fn export_writes_every_event_of_a_run_and_nothing_of_others() {
    const LOUD: &str = "signalbox: 1\nname: loud\nsteps:\n  a: { kind: command, run: 'echo \"</script>\"; seq 1 9000' }\n  b: { kind: command, needs: [a], run: 'echo done' }\n";
    let project = Project::new(&[("loud", LOUD), ("ok", OK)]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let start = |workflow: &str| {
        let run = host.call("run.start", json!({ "project": host.project_id(), "workflow": workflow })).unwrap();
        run["run"].as_str().unwrap().to_owned()
    };
    let runs = [start("ok"), start("loud"), start("ok")];
    runs.iter().for_each(|run| drop(host.wait_done(run)));
    let run_id = runs[1].as_str();
    let wanted: Vec<Value> = host
        .events(&[&format!("project/{}/**", host.project_id())])
        .into_iter()
        .filter(|event| event["run"] == run_id)
        .collect();
    assert!(wanted.iter().any(|event| event["data"]["blob"].is_object()), "one text is long");
    let out = tempfile::tempdir().unwrap();
    let export = |run_id: &str, name: &str| {
        run(command(data.path()).args(["export", run_id, "--out"]).arg(out.path().join(name)))
    };
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    assert_eq!(export(run_id, "run.jsonl").status.code(), Some(0));
    assert_eq!(lines(&std::fs::read_to_string(out.path().join("run.jsonl")).unwrap()), wanted);
    assert_eq!(lines(&stdout(&run(command(data.path()).args(["export", run_id, "--out", "-"])))), wanted);

    assert_eq!(export(run_id, "run.html").status.code(), Some(0));
    let page = std::fs::read_to_string(out.path().join("run.html")).unwrap();
    let (_, after) = page.split_once("id=\"recording\">").unwrap();
    // Nothing within the data ends it.
    let recording: Value = serde_json::from_str(after.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(recording["events"], json!(wanted));
    let blobs = recording["blobs"].as_object().unwrap();
    for blob in wanted.iter().map(|event| &event["data"]["blob"]).filter(|blob| blob.is_object()) {
        let text = blobs[blob["hash"].as_str().unwrap()].as_str().unwrap();
        assert_eq!(text.len() as u64, blob["bytes"], "long texts are whole");
    }

    // What cannot be is said, and leaves nothing behind.
    for (run_id, name, code) in [(run_id, "run.txt", 2), ("r_00000000", "none.html", 1), (run_id, "no/folder.html", 1)]
    {
        assert_eq!(export(run_id, name).status.code(), Some(code), "{name}");
    }
    let mut left: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["run.html", "run.jsonl"]);
}
