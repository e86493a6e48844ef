//! What people get wrong: each a clear error, with nothing lost and nothing half-done.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::json;

use crate::support::{Host, Project, command, run, stderr, stdout};

fn validate(text: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.yaml");
    fs::write(&file, text).unwrap();
    let output = run(command(dir.path()).args(["validate"]).arg(&file));
    (output.status.code().unwrap(), stdout(&output) + &stderr(&output))
}

#[test]
fn broken_workflows_are_refused_with_their_line() {
    let head = "signalbox: 1\nname: w\nsteps:\n";
    let cases = [
        ("signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: [\n", "w.yaml:", ""),
        (&format!("{head}  a: {{ kind: command, run: x, tiemout: 1m }}\n"), "w.yaml:4:", "timeout"),
        (
            &format!(
                "{head}  a: {{ kind: command, run: x, needs: [b] }}\n  b: {{ kind: command, run: x, needs: [a] }}\n"
            ),
            "w.yaml:",
            "a",
        ),
        (&format!("{head}  a: {{ kind: command, run: x, needs: [nothing] }}\n"), "w.yaml:4:", "nothing"),
        (&format!("{head}  a: {{ kind: command, run: 'echo ${{{{ inputs.missing }}}}' }}\n"), "w.yaml:4:", "missing"),
        (&format!("{head}  a: {{ kind: command, run: x }}\n  a: {{ kind: command, run: y }}\n"), "w.yaml:", "a"),
        ("signalbox: 7\nname: w\nsteps:\n  a: { kind: command, run: x }\n", "w.yaml:1:", "7"),
        (&format!("{head}  a: {{ kind: approval, title: hm }}\n"), "w.yaml:4:", "who"),
    ];
    for (text, place, word) in cases {
        let (code, output) = validate(text);
        assert_eq!(code, 1, "{text}\n{output}");
        assert!(
            output.contains(place) && output.contains(word),
            "expected {place} and {word:?} for\n{text}\ngot\n{output}"
        );
    }
    let (code, _) = validate(&format!("{head}  a: {{ kind: command, run: x }}\n"));
    assert_eq!(code, 0);
}

#[test]
fn a_broken_workflow_is_listed_with_its_findings_and_starts_nothing() {
    let project = Project::new(&[("bad", "signalbox: 1\nname: bad\nsteps:\n  a: { kind: command }\n")]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let list = host.call("workflow.list", json!({ "project": id })).unwrap();
    assert_eq!(list["workflows"][0]["valid"], false);
    assert_eq!(list["workflows"][0]["diagnostics"][0]["line"], 4);
    let error = host.call("run.start", json!({ "project": id, "workflow": "bad" })).unwrap_err();
    assert_eq!(error["code"], "bad_request");
    assert!(error["details"]["diagnostics"].is_array());
    assert!(host.call("run.list", json!({ "project": id })).unwrap()["runs"].as_array().unwrap().is_empty());
    for (workflow, code) in
        [("../../etc/passwd", "bad_request"), ("nothing", "not_found"), ("/etc/passwd.yaml", "bad_request")]
    {
        let error = host.call("run.start", json!({ "project": id, "workflow": workflow })).unwrap_err();
        assert_eq!(error["code"], code, "{workflow}: {error}");
    }
}

#[test]
fn two_people_saving_one_workflow_lose_nothing() {
    let project = Project::new(&[("w", "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: x }\n")]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let base = host.call("workflow.get", json!({ "project": id, "workflow": "w" })).unwrap()["hash"].clone();
    let save = |text: &str| {
        host.call("workflow.save", json!({ "project": id, "workflow": "w", "text": text, "base_hash": base }))
    };
    save("signalbox: 1\nname: w\nsteps:\n  mine: { kind: command, run: x }\n").unwrap();
    let error = save("signalbox: 1\nname: w\nsteps:\n  theirs: { kind: command, run: x }\n").unwrap_err();
    assert_eq!(error["code"], "conflict");
    assert!(error["details"]["text"].as_str().unwrap().contains("mine"), "the other text is shown");
    assert!(fs::read_to_string(project.path().join(".signalbox/workflows/w.yaml")).unwrap().contains("mine"));
}

#[test]
fn a_project_folder_that_went_away_is_said_so_and_its_runs_are_kept() {
    let project = Project::new(&[("w", "signalbox: 1\nname: w\nsteps:\n  a: { kind: command, run: 'true' }\n")]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let run = host.start_run("w", json!({}));
    host.wait_done(&run);
    let path = project.path().to_owned();
    drop(project);
    let error = host.call("run.start", json!({ "project": id, "workflow": "w" })).unwrap_err();
    assert!(
        error["message"].as_str().unwrap().contains(path.to_str().unwrap()) && error["hint"].is_string(),
        "{error}"
    );
    assert_eq!(host.run(&run)["run"]["conclusion"], "success");
    let error = host.call("project.open", json!({ "path": "/no/such/folder" })).unwrap_err();
    assert_eq!(error["code"], "not_found");
}

fn serve(data: &Path, listen: &str) -> (i32, String) {
    let output = run(command(data).args(["serve", "--listen", listen]));
    (output.status.code().unwrap(), stderr(&output))
}

#[test]
fn a_second_copy_a_used_port_and_a_newer_log_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[]);
    let (code, text) = serve(data.path(), "127.0.0.1:0");
    assert_eq!(code, 1);
    assert!(text.contains("another Signalbox") && text.contains(&host.pid().to_string()), "{text}");
    let other = tempfile::tempdir().unwrap();
    let (code, text) = serve(other.path(), host.address());
    assert_eq!(code, 1);
    assert!(text.contains("in use") && text.contains("--listen"), "{text}");
    let (code, text) = serve(other.path(), "nonsense");
    assert_eq!(code, 1);
    assert!(text.contains("no address"), "{text}");
    drop(host);
    // The host was killed, so its last commits are still beside the database: SQLite would mend it with them.
    for beside in ["log.db-wal", "log.db-shm"] {
        fs::remove_file(data.path().join(beside)).unwrap();
    }
    fs::write(data.path().join("log.db"), b"this is no database, it is a text of some length").unwrap();
    let (code, text) = serve(data.path(), "127.0.0.1:0");
    assert_eq!(code, 1);
    assert!(text.contains("damaged"), "{text}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_said_so() {
    // Root may write everywhere; a file where the folder should be stops root as well.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let output =
        run(command(dir.path()).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(file.join("data")));
    let (code, text) = (output.status.code().unwrap(), stderr(&output));
    assert_eq!(code, 1);
    assert!(text.contains("data folder") && text.contains("nothing was changed"), "{text}");
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    // A file system of its own that is really full. Only root can mount one; elsewhere the limit is simulated by nobody.
    let mount = tempfile::tempdir().unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(mount.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            std::process::Command::new("umount").args(["-l"]).arg(&self.0).status().ok();
        }
    }
    let _unmount = Unmount(mount.path().to_owned());
    let data = mount.path().join("data");
    fs::create_dir(&data).unwrap();
    let project = Project::new(&[]);
    let host = Host::start_with(&data, &[project.path()], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
    let id = host.project_id();
    let text = "x".repeat(60_000);
    let mut acknowledged = Vec::new();
    let error = loop {
        match host.call("event.publish", json!({ "project": id, "type": "x_fill", "data": text })) {
            Ok(reply) => acknowledged.push(reply["seq"].as_u64().unwrap()),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 200, "the disk never got full");
    };
    assert_eq!(error["code"], "unavailable", "{error}");
    assert!(error["message"].as_str().unwrap().contains("not stored"), "{error}");
    assert_eq!(host.request("GET", "/readyz", &[], b"").status, 503);
    assert_eq!(host.request("GET", "/healthz", &[], b"").status, 200);
    let stored = host.events(&[&format!("project/{id}")]);
    let seqs: Vec<u64> =
        stored.iter().filter(|event| event["type"] == "x_fill").map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, acknowledged);
    let grown =
        std::process::Command::new("mount").args(["-o", "remount,size=20m"]).arg(mount.path()).status().unwrap();
    assert!(grown.success());
    host.call("event.publish", json!({ "project": id, "type": "x_after", "data": 1 }))
        .expect("with space it goes on by itself");
    assert_eq!(host.request("GET", "/readyz", &[], b"").status, 200);
}
