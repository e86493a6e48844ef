//! Links of the scheme `signalbox:`, given to a second start as the system does it, and through the system itself.

use std::{ffi::OsStr, fs};

use serde_json::json;

use crate::{
    HELLO, SOON,
    app::{App, Sandbox, until},
};

fn link_of(app: &App<'_>, id: &str) -> String {
    let found = app.script("return document.querySelector(arguments[0])?.value ?? ''", &json!([format!("#{id}")]));
    found.as_str().unwrap_or_default().to_owned()
}

fn follow(sandbox: &Sandbox, link: &str) {
    let mut second = sandbox.start(&[OsStr::new(link)]);
    let status = until("the second copy to end", SOON, || second.0.try_wait().unwrap());
    assert!(status.success(), "the second copy ended with {status}");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn links_ask_before_joining_open_runs_and_are_refused_with_a_reason() {
    let sandbox = Sandbox::new("links", &[("hello", HELLO)]);
    let app = sandbox.drive();
    app.click("side-shop");
    app.click("tab-workflows");
    app.click("run-workflow-hello");
    app.wait_state("run-header", "success");
    let path = app.script("return location.pathname", &json!([]));
    let run = path.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    app.click("nav-settings");

    let invitation = format!("signalbox://join/127.0.0.1:9#abcdefgh1234.{}", "a".repeat(64));
    follow(&sandbox, &invitation);
    app.wait("join-host");
    assert_eq!(link_of(&app, "host-url"), invitation, "the dialog is filled in");
    app.screenshot("desktop-link-join");
    // Nothing was joined by the link alone; a person says who they are, and that they want it.
    assert!(!sandbox.path().join("data/hosts.json").exists());
    app.fill("host-name", "Ada");
    app.click("host-submit");
    app.wait_text("problem", "cannot be reached");
    app.click("host-cancel");
    app.wait_gone("join-host");

    follow(&sandbox, &format!("signalbox://run/this/shop/{run}"));
    app.wait_state("run-header", "success");
    for (link, why) in [
        (format!("signalbox://run/192.168.1.7:7118/shop/{run}"), "not joined here"),
        ("signalbox://run/this/../settings".to_owned(), "damaged"),
        ("signalbox://join/good@evil:7118#abcdefgh1234".to_owned(), "damaged"),
        ("signalbox://call/run.start".to_owned(), "does not do"),
    ] {
        follow(&sandbox, &link);
        app.wait_text("toast-error", why);
        if why == "not joined here" {
            app.screenshot("desktop-link-refused");
        }
        app.click("toast-dismiss");
        app.wait_gone("toast-error");
    }
    app.wait_state("run-header", "success");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn the_system_opens_links_with_the_app_once_it_has_run() {
    let sandbox = Sandbox::new("handler", &[("hello", HELLO)]).usual();
    let app = sandbox.drive();
    let applications = sandbox.path().join("XDG_DATA_HOME/applications");
    until("the app to be known to the system", SOON, || {
        let file = fs::read_to_string(applications.join("signalbox-desktop-handler.desktop")).ok()?;
        let list = fs::read_to_string(sandbox.path().join("XDG_CONFIG_HOME/mimeapps.list")).ok()?;
        (file.contains("x-scheme-handler/signalbox") && list.contains("signalbox-desktop-handler.desktop"))
            .then_some(())
    });
    let invitation = "signalbox://join/127.0.0.1:9#abcdefgh1234";
    let mut open = sandbox.command("xdg-open").arg(invitation).spawn().unwrap();
    app.wait("join-host");
    assert_eq!(link_of(&app, "host-url"), invitation);
    until("xdg-open to end", SOON, || open.try_wait().unwrap());
}
