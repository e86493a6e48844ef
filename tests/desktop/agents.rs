//! The twelve stages with the rehearsal agent, in the real window.

use std::{fs, path::Path, process::Command};

use crate::app::Sandbox;

const WORKFLOW: &str = include_str!("../../crates/signalbox-workflow/src/templates/generate-app.yaml");
const SCRIPT: &str = include_str!("../../crates/signalbox-workflow/src/templates/generate-app.rehearsal.yaml");

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").arg("-C").arg(folder).args(arguments).status().unwrap();
    assert!(status.success(), "git {arguments:?}");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn twelve_stages_of_agents_are_watched_answered_corrected_and_landed() {
    let sandbox = Sandbox::new("agents", &[("generate-app", WORKFLOW)]);
    let project = sandbox.path().join("shop");
    fs::create_dir_all(project.join(".signalbox/rehearsal")).unwrap();
    fs::write(project.join(".signalbox/rehearsal/generate-app.yaml"), SCRIPT).unwrap();
    git(&project, &["init", "-q", "-b", "main"]);
    git(
        &project,
        &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "first"],
    );
    let app = sandbox.drive();
    app.click("project-shop");
    app.click("tab-workflows");
    app.click("run-workflow-generate-app");
    app.fill("field-idea", "A list of things to do");
    app.click("run-submit");
    app.wait_state("node-requirements", "waiting_input");
    app.screenshot("desktop-agents-start");
    app.click("node-requirements");
    app.wait_text("transcript", "what a person wants");
    app.screenshot("desktop-agents-permission");
    app.click("option-allow");
    app.wait_state("node-approve_requirements", "waiting_input");
    app.click("nav-inbox");
    app.wait_text("view-inbox", "Are these the right requirements?");
    app.screenshot("desktop-agents-inbox");
    app.click("approve");
    app.back();
    app.wait_state("node-architecture", "success");
    app.screenshot("desktop-agents-middle");
    app.wait_state("node-tests", "success");
    app.click("node-tests");
    app.wait_text("transcript", "requirement 4 has no test");
    app.screenshot("desktop-agents-correction");
    app.click("agent-tab-changes");
    app.screenshot("desktop-agents-changes");
    app.wait_state("run-header", "success");
    app.screenshot("desktop-agents-end");
    assert!(project.join("docs/final-check.md").exists(), "it landed in the project");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_change_that_is_too_large_for_an_event_is_loaded_in_the_window() {
    let workflow = "signalbox: 1\nname: large\nenv: { REHEARSAL_SCRIPT: \"${{ project.path }}/.git/script.yaml\" }\n\
        steps:\n  a: { kind: agent, agent: { id: rehearsal }, prompt: go }\n";
    let sandbox = Sandbox::new("large", &[("large", workflow)]);
    let project = sandbox.path().join("shop");
    git(&project, &["init", "-q", "-b", "main"]);
    git(
        &project,
        &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "first"],
    );
    fs::write(project.join(".git/script.yaml"), "scenes: [{ do: [{ run: { command: seq 1 20000 > big.txt } }] }]\n")
        .unwrap();
    let app = sandbox.drive();
    app.click("project-shop");
    app.click("tab-workflows");
    app.click("run-workflow-large");
    app.wait_state("run-header", "success");
    app.click("node-a");
    app.click("agent-tab-changes");
    app.click("diff-big.txt");
    app.click("diff-load");
    app.wait_gone("diff-load");
    // Some locales set the thousands apart.
    app.wait_text("changes", "400 lines left");
    app.screenshot("desktop-agents-large");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
}
