//! The window shows a host elsewhere, joined with a token that is kept in a real keychain.

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use signalbox_host::{Host, HostOptions, Settings};

use crate::{
    HELLO, SOON,
    app::{Running, Sandbox, until},
};

/// A Secret Service on the tests' own session bus.
pub(crate) fn keychain(folder: &Path) -> Running {
    let mut daemon = Command::new("gnome-keyring-daemon");
    daemon.args(["--foreground", "--unlock", "--components=secrets"]).env("XDG_DATA_HOME", folder.join("keyring"));
    daemon.env("XDG_RUNTIME_DIR", folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = Running(daemon.spawn().expect("gnome-keyring-daemon starts; `cargo xtask setup` installs it"));
    daemon.0.stdin.take().unwrap().write_all(b"pass").unwrap();
    until("the keychain", SOON, || {
        let answer = Command::new("dbus-send")
            .args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"])
            .args(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"])
            .output();
        String::from_utf8_lossy(&answer.ok()?.stdout).contains("true").then_some(())
    });
    daemon
}

pub(crate) async fn call(host: &Host, method: &str, params: Value) -> Value {
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let reply = host.call(&host.owner(), method, Some(&params)).await.unwrap();
    serde_json::from_str(reply.get()).unwrap()
}

pub(crate) async fn open(data: &Path, address: &str) -> (Host, SocketAddr) {
    let host = Host::open(HostOptions::new(data.to_owned(), Settings::default())).await.unwrap();
    let listening = signalbox_net::listen(&host, address, signalbox_net::Assets(&[])).await.unwrap();
    (host, listening.address)
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn a_host_elsewhere_is_joined_worked_on_lost_and_found_again() {
    let sandbox = Sandbox::new("elsewhere", &[("hello", HELLO)]);
    let warehouse = sandbox.project("warehouse", &[("hello", HELLO)]);
    let _keychain = keychain(sandbox.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let data = sandbox.path().join("elsewhere");
    let (host, address) = runtime.block_on(open(&data, "127.0.0.1:0"));
    let token = runtime.block_on(async {
        call(&host, "project.open", json!({ "path": warehouse })).await;
        let made = call(&host, "token.create", json!({ "name": "Ada", "role": "operator" })).await;
        made["token"].as_str().unwrap().to_owned()
    });
    {
        let app = sandbox.drive();
        app.wait("project-shop");
        app.click("host-join");
        app.fill("host-url", &format!("http://{address}"));
        app.fill("host-token", "wrong");
        app.click("host-submit");
        app.wait_text("problem", "does not accept this token");
        app.screenshot("desktop-join");
        app.fill("host-token", &token);
        app.fill("host-name", "Build box");
        app.click("host-submit");
        app.wait("project-warehouse");
        app.wait_text(&format!("host-{address}"), "Build box");
        app.click("project-warehouse");
        app.click("tab-workflows");
        app.click("run-workflow-hello");
        app.wait_state("node-greet", "running");
        app.wait_state("run-header", "success");
        app.screenshot("desktop-elsewhere");
        let runs = runtime.block_on(call(&host, "run.list", json!({ "project": "warehouse" })));
        assert_eq!(runs["runs"][0]["actor"], "Ada", "the run is on that host, in the name of that member");
        // The other host goes away and comes back on its address: the view stays, then goes on.
        runtime.block_on(host.close());
        app.wait("stale-banner");
        app.wait_state(&format!("host-{address}"), "reconnecting");
        app.screenshot("desktop-elsewhere-lost");
        let (_again, _) = runtime.block_on(open(&data, &address.to_string()));
        app.wait_gone("stale-banner");
        app.wait_state("run-header", "success");
    }
    // The next start shows it again: the token came from the keychain, and is in no file.
    let listed = std::fs::read_to_string(sandbox.path().join("data/hosts.json")).unwrap();
    assert!(listed.contains("Build box") && !listed.contains(&token), "{listed}");
    let app = sandbox.drive();
    app.wait("project-warehouse");
    app.click("host-own");
    app.wait("project-shop");
}
