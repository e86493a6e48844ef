//! Notifications as the session bus sees them, and the quiet in which there are none.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    ASKS, SOON,
    app::{App, Running, Sandbox, until},
};

fn ask(app: &App<'_>, waiting: &str) {
    app.click("side-shop");
    app.click("tab-workflows");
    app.click("run-workflow-asks");
    app.wait_state("node-decide", "waiting_input");
    app.wait_text("badge-inbox", waiting);
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn questions_are_notified_but_not_while_it_is_quiet_and_then_as_one() {
    let sandbox = Sandbox::new("quiet", &[("asks", ASKS)]);
    let heard = sandbox.path().join("heard");
    let mut monitor = Command::new("dbus-monitor");
    monitor.args(["--session", "interface='org.freedesktop.Notifications',member='Notify'"]);
    monitor.stdin(Stdio::null()).stdout(File::create(&heard).unwrap());
    let _monitor = Running(monitor.spawn().expect("dbus-monitor starts; `cargo xtask setup` installs it"));
    let told = |text: &str| fs::read_to_string(&heard).unwrap_or_default().matches(text).count();
    // It says what it is itself once it listens.
    until("the monitor to listen", SOON, || (told("NameLost") > 0).then_some(()));
    let app = sandbox.drive();
    ask(&app, "1");
    until("the notification", SOON, || (told("a question waits for you") == 1).then_some(()));
    assert!(told("Approve") > 0 && told("Reject") > 0, "its choices are buttons");
    app.click("nav-settings");
    app.click("mute-hour");
    app.wait_text("quiet-now", "Quiet until");
    ask(&app, "2");
    app.wait("quiet-mark");
    app.screenshot("desktop-quiet");
    app.click("nav-settings");
    app.click("unmute");
    app.wait_gone("quiet-mark");
    until("the one that tells of what was held back", SOON * 2, || (told("what you were spared") == 1).then_some(()));
    assert_eq!(told("a question waits for you"), 1, "the second one was held back");
    assert_eq!(told("1 question waits for you"), 1);
    assert_eq!(app.script("return window.problems", &json!([])), json!([]), "the page reported errors");
}
