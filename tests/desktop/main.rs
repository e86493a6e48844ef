//! Desktop tests: the real app in a real window, driven through WebDriver.
//!
//! They need a display and a session bus of their own and are therefore marked as ignored:
//! `cargo xtask test --only desktop` gives them both. Pictures are left in `target/screenshots`.
#![cfg(target_os = "linux")]

mod agents;
mod app;
mod bench;
mod elsewhere;
mod four;
mod hosts;
mod links;
mod machines;
mod processes;
mod quiet;
mod rate;
mod webdriver;

use std::time::Duration;

use app::{Sandbox, until};

const HELLO: &str = r#"signalbox: 1
name: hello
steps:
  greet: { kind: command, run: "for n in 1 2 3 4; do echo hello $n; sleep 0.3; done" }
  both: { kind: command, needs: [greet], matrix: { axes: { part: [left, right] }, key: "${{ matrix.part }}" }, run: "echo ${{ matrix.part }}" }
  last: { kind: command, needs: [both], run: "echo done" }
"#;

const ASKS: &str = r#"signalbox: 1
name: asks
steps:
  before: { kind: command, run: "echo before" }
  decide: { kind: approval, needs: [before], question: "Shall it go on?", who: { roles: [operator, owner], self_approval: true } }
  after: { kind: command, needs: [decide], run: "echo after" }
"#;

const SLOW: &str = r#"signalbox: 1
name: slow
steps:
  wait: { kind: command, run: "exec sleep 300" }
"#;

/// Longest wait for something that takes moments on an idle machine.
const SOON: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_project_given_as_argument_is_shown_and_a_workflow_runs_to_its_end() {
    let sandbox = Sandbox::new("run", &[("hello", HELLO)]);
    let app = sandbox.drive();
    app.click("project-shop");
    app.click("tab-workflows");
    app.screenshot("desktop-workflows");
    app.click("run-workflow-hello");
    // Seen at work and not only at the end: the window is live.
    app.wait_state("node-greet", "running");
    app.screenshot("desktop-running");
    for step in ["greet", "last"] {
        app.wait_state(&format!("node-{step}"), "success");
    }
    app.wait_state("run-header", "success");
    app.click("node-greet");
    app.wait_text("log", "hello 4");
    app.screenshot("desktop-finished");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_question_is_answered_in_the_inbox() {
    let sandbox = Sandbox::new("ask", &[("asks", ASKS)]);
    let app = sandbox.drive();
    app.click("project-shop");
    app.click("tab-workflows");
    app.click("run-workflow-asks");
    app.wait_state("node-decide", "waiting_input");
    app.click("nav-inbox");
    app.wait_text("view-inbox", "Shall it go on?");
    app.screenshot("desktop-inbox");
    app.click("approve");
    app.wait("inbox-empty");
    app.back();
    app.wait_state("run-header", "success");
    app.screenshot("desktop-answered");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_second_copy_hands_its_project_over_and_ends() {
    let sandbox = Sandbox::new("second", &[("hello", HELLO)]);
    let app = sandbox.drive();
    let other = sandbox.project("warehouse", &[("hello", HELLO)]);
    let mut second = sandbox.start(&[other.as_os_str()]);
    let status = until("the second copy to end", SOON, || second.0.try_wait().unwrap());
    assert!(status.success(), "the second copy ended with {status}");
    app.wait("project-warehouse");
    app.wait("project-shop");
    app.screenshot("desktop-second");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn told_to_end_it_closes_its_host_and_ends_its_processes_and_the_next_start_shows_the_run() {
    let sandbox = Sandbox::new("end", &[("slow", SLOW)]);
    let pid = {
        let app = sandbox.drive();
        app.click("project-shop");
        app.click("tab-workflows");
        app.click("run-workflow-slow");
        app.wait_state("node-wait", "running");
        let pid = sandbox.host_pid().unwrap();
        app::signal(pid, "TERM");
        pid
    };
    until("the app to end", SOON, || (!app::alive(pid)).then_some(()));
    assert!(sandbox.host_pid().is_none(), "host.json is left behind: the host was not closed");
    let app = sandbox.drive();
    app.click("project-shop");
    app.wait("run-1");
    app.screenshot("desktop-next-start");
}
