//! The examples of `docs/protocol.md`, each run as it stands there.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::support::{Host, Project, command, run, stderr, stdout};

/// The code block after the marker `<!-- example: NAME -->`.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let marker = format!("<!-- example: {name} -->");
    let after = text.split(&marker).nth(1).unwrap_or_else(|| panic!("docs/protocol.md has no example {name}"));
    let block = after.split("```").nth(1).unwrap();
    block.split_once('\n').unwrap().1.to_owned()
}

fn host() -> (Project, tempfile::TempDir, Host) {
    let project =
        Project::new(&[("hello", "signalbox: 1\nname: hello\nsteps:\n  a: { kind: command, run: 'echo hello' }\n")]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    (project, data, host)
}

fn with_environment(command: &mut Command, host: &Host) -> std::process::Output {
    let bin = Path::new(crate::support::binary()).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    run(command
        .env("PATH", path)
        .env("SIGNALBOX_DATA_DIR", &host.data)
        .env("SIGNALBOX_URL", &host.url)
        .env("SIGNALBOX_TOKEN", &host.token)
        .env("PROJECT", host.project_id()))
}

#[test]
fn shell() {
    let (_project, data, host) = host();
    let file = data.path().join("example.sh");
    std::fs::write(&file, example("shell")).unwrap();
    let output = with_environment(Command::new("sh").arg("-e").arg(&file), &host);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"type\":\"completion\""), "{}", stdout(&output));
}

#[test]
fn python() {
    let (_project, data, host) = host();
    let file = data.path().join("example.py");
    std::fs::write(&file, example("python")).unwrap();
    let output = with_environment(Command::new("python3").arg(&file), &host);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("completion success"), "{}", stdout(&output));
}

#[test]
fn node() {
    let (_project, data, host) = host();
    let file = data.path().join("example.mjs");
    std::fs::write(&file, example("node")).unwrap();
    let output = with_environment(Command::new("node").arg(&file), &host);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("completion success"), "{}", stdout(&output));
}

#[test]
fn the_documents_of_the_host_are_the_ones_that_the_command_line_prints() {
    let (_project, data, host) = host();
    let bearer = format!("Bearer {}", host.token);
    for name in ["openapi", "asyncapi"] {
        let served = host.request("GET", &format!("/api/v1/{name}.json"), &[("Authorization", &bearer)], b"");
        let printed = run(command(data.path()).args(["schema", name]));
        let (served, printed): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&served.body).unwrap(), serde_json::from_slice(&printed.stdout).unwrap());
        assert_eq!(served, printed);
    }
    assert_eq!(host.call("system.status", json!({})).unwrap()["status"], "ok");
}
