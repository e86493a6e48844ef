//! Two windows and two browsers, each on a machine of its own, on one host: what one does the others see, who is cut off
//! says so and how old its view is, and all hold the same again afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    app::{Page, Running, Sandbox, until},
    machines::{self, HUB, Machine},
};

/// Its last step ends when the file is there: it is at work for as long as somebody is away.
const SHIP: &str = r#"signalbox: 1
name: ship
steps:
  build: { kind: command, run: "for n in 1 2 3; do echo built $n; done" }
  approve: { kind: approval, needs: [build], question: "Ship it?", who: { roles: [operator, owner], self_approval: true } }
  roll_out: { kind: command, needs: [approve], run: "until [ -e go-on ]; do echo rolling; sleep 0.5; done" }
  tell: { kind: command, needs: [roll_out], run: "echo shipped" }
"#;

/// With a cable pulled for this long, unless `SIGNALBOX_CUT_SECONDS` says otherwise.
const CUT: u64 = 25;
/// Often enough that a window of the short form notices its host's silence: it waits for a ping and 10 s more.
const PING: u64 = 3_000;
const LONG: Duration = Duration::from_secs(90);

fn cut_for() -> Duration {
    let told = std::env::var("SIGNALBOX_CUT_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(told.unwrap_or(CUT))
}

/// A session bus of one machine, with nothing on it: no keychain, no other copy of the app.
fn bus(folder: &Path) -> (Running, String) {
    let config = folder.join("bus.conf");
    let socket = folder.join("bus");
    let address = format!("unix:path={}", socket.display());
    let text = format!(
        "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>"
    );
    fs::write(&config, text).unwrap();
    let mut daemon = Command::new("dbus-daemon");
    daemon.arg("--nofork").arg(format!("--config-file={}", config.display())).stdin(Stdio::null());
    let daemon = Running(daemon.spawn().expect("dbus-daemon starts; `cargo xtask setup` installs it"));
    until("the session bus", LONG, || socket.exists().then_some(()));
    (daemon, address)
}

/// The headless host on the hub, asked through its command line.
struct Server {
    sandbox: Sandbox,
    _process: Running,
}

fn signalbox() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_signalbox-desktop")).with_file_name("signalbox")
}

impl Server {
    fn start(hub: &Machine) -> Self {
        let mut sandbox = Sandbox::new("hub", &[("ship", SHIP)]).on(hub);
        if cut_for() < Duration::from_secs(45) {
            sandbox = sandbox.env("SIGNALBOX_LIMITS_PING_MS", PING.to_string());
        }
        let mut serve = sandbox.command(&signalbox().to_string_lossy());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--project"]).arg(sandbox.path().join("shop"));
        let process = Running(serve.stdout(Stdio::null()).spawn().unwrap());
        until("the host", LONG, || sandbox.host_pid());
        Self { sandbox, _process: process }
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        let mut call = self.sandbox.command(&signalbox().to_string_lossy());
        let done = call.args(["call", method, &params.to_string()]).output().unwrap();
        assert!(done.status.success(), "{method}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    fn invite(&self) -> String {
        self.call("invite.create", &json!({ "role": "operator" }))["link"].as_str().unwrap().to_owned()
    }
}

/// Where a window is and what it holds, as its own screen says.
#[derive(Debug, PartialEq)]
struct Held(Vec<(String, String, String)>);

/// Room, last event and digest of all that everybody has; none while the window is not up to date.
fn held(page: &Page) -> Option<Held> {
    let found = page.script(
        "return document.querySelector('[data-testid=held]')?.dataset.phase !== 'live' ? null :\
         [...document.querySelectorAll('[data-testid^=\"held-\"]')].map((row) =>\
         [row.dataset.testid.slice(5), row.dataset.seq ?? '', row.dataset.digest ?? ''])",
        &json!([]),
    );
    let rows: Vec<(String, String, String)> = serde_json::from_value(found).ok()?;
    // A member's own room is nobody else's, and runs are joined by who looks at them.
    let rows: Vec<_> =
        rows.into_iter().filter(|(room, ..)| !room.starts_with("member/") && !room.starts_with("run/")).collect();
    rows.iter().any(|(room, ..)| room == "project/shop").then_some(Held(rows))
}

/// Waits until all four hold the same, and gives it.
fn same(pages: &[&Page]) -> Held {
    for page in pages {
        page.click("nav-system");
        page.wait("held");
    }
    until("four views that are equal", LONG, || {
        let first = held(pages[0])?;
        pages[1..].iter().all(|page| held(page).as_ref() == Some(&first)).then_some(first)
    })
}

fn open_run(page: &Page, number: usize) {
    page.click("side-shop");
    let row = format!("run-{number}");
    page.wait(&row);
    // The row changes its place and size when its run goes on: a click into that moment hits nothing, for people too.
    until("the run to be opened", LONG, || {
        if page.attribute("run-header", "data-state").is_some() {
            return Some(());
        }
        page.attribute(&row, "data-state")?;
        page.click_if_there(&row);
        None
    });
}

fn start(page: &Page) {
    page.click("side-shop");
    page.click("tab-workflows");
    page.click("run-workflow-ship");
    page.wait_state("node-approve", "waiting_input");
}

fn approve(page: &Page) {
    page.click("nav-inbox");
    page.wait_text("view-inbox", "Ship it?");
    page.click("approve");
}

fn say(page: &Page, text: &str) {
    page.click("side-shop");
    page.click("tab-chat");
    page.fill("chat-text", text);
    page.click("chat-send");
}

#[test]
#[ignore = "needs a display: cargo xtask test --only desktop"]
fn four_viewers_on_four_machines_see_the_same_and_who_was_cut_off_catches_up() {
    let machines = match machines::network(4) {
        Ok(machines) => machines,
        Err(why) => {
            eprintln!("SKIPPED: machines of their own need network namespaces, which are not permitted here ({why})");
            return;
        }
    };
    let [hub, a, b, c, d] = machines.as_slice() else { unreachable!() };
    let server = Server::start(hub);
    server.call("share.start", &json!({ "bind": HUB, "port": 0 }));
    let go_on = server.sandbox.path().join("shop/go-on");

    // Each joins as a person would: the windows by the link, the browsers by opening it.
    let folders: Vec<Sandbox> =
        [(a, "ada"), (b, "bea")].map(|(machine, name)| Sandbox::new(name, &[]).on(machine)).into();
    let mut buses = Vec::new();
    let folders: Vec<Sandbox> = folders
        .into_iter()
        .map(|sandbox| {
            let (daemon, address) = bus(sandbox.path());
            buses.push(daemon);
            sandbox.env("DBUS_SESSION_BUS_ADDRESS", address)
        })
        .collect();
    let windows: Vec<_> = folders.iter().map(Sandbox::drive).collect();
    for (window, name) in windows.iter().zip(["Ada", "Bea"]) {
        window.click("host-join");
        window.fill("host-url", &server.invite());
        window.fill("host-name", name);
        window.click("host-submit");
        // Without a keychain it says that the token is not kept.
        window.click("host-show");
        window.wait("project-shop");
    }
    let profiles = [(c, "cem"), (d, "dan")].map(|(machine, name)| Sandbox::new(name, &[]).on(machine));
    let browsers = profiles.each_ref().map(Sandbox::browse);
    for (browser, name) in browsers.iter().zip(["Cem", "Dan"]) {
        browser.go(&server.invite());
        browser.fill("join-name", name);
        browser.click("join-submit");
        browser.ready();
        browser.wait("project-shop");
    }
    let [ada, bea] = [&*windows[0], &*windows[1]];
    let [cem, dan] = [&browsers[0], &browsers[1]];
    let all = [ada, bea, cem, dan];
    same(&all);
    ada.screenshot("four-together");

    // A window is cut off, then a browser; each time the others go on: one starts, one approves, one chats.
    for (round, (away, cable, starts, approves, chats)) in
        [(bea, b, ada, cem, dan), (dan, d, cem, bea, ada)].into_iter().enumerate()
    {
        fs::remove_file(&go_on).ok();
        let number = round + 1;
        start(starts);
        // Everybody sees it, also who will be away in a moment.
        for page in all {
            open_run(page, number);
            page.wait_state("node-approve", "waiting_input");
        }
        let before = away.attribute("run-header", "data-state");
        cable.cut();
        let began = Instant::now();
        approve(approves);
        open_run(approves, number);
        approves.wait_state("node-roll_out", "running");
        say(chats, &format!("Round {number}: who was away reads this later"));
        // Who is away is told so, with how old the view is, the attempt, and when the next one comes.
        until("the light to doubt the host, or more", LONG, || {
            let light = away.script("return document.querySelector('[data-testid=light]')?.textContent", &json!([]));
            light.as_str().is_some_and(|text| !text.contains("Live")).then_some(())
        });
        away.screenshot(&format!("four-doubt-{}", if round == 0 { "window" } else { "browser" }));
        until("the window to notice", LONG, || (away.attribute("stale-banner", "role")? == "status").then_some(()));
        away.wait_text("stale-banner", "Showing last known data of ");
        away.wait_text("stale-banner", "reconnecting in ");
        away.wait_text("light", "Reconnecting");
        assert_eq!(away.attribute("run-header", "data-state"), before, "the view stays as it was");
        // It tries again by itself, and waits longer each time.
        until("a third attempt", LONG, || {
            let text =
                away.script("return document.querySelector('[data-testid=stale-attempt]')?.textContent", &json!([]));
            let attempt: u32 = text.as_str()?.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()?;
            (attempt >= 3).then_some(())
        });
        away.wait_text("stale-banner", "reconnecting in ");
        away.screenshot(&format!("four-away-{}", if round == 0 { "window" } else { "browser" }));
        until("the time without a network to be over", LONG * 2, || (began.elapsed() >= cut_for()).then_some(()));
        // What happens in the last moment before the cable is back counts like everything else.
        fs::write(&go_on, "").unwrap();
        open_run(starts, number);
        starts.wait_state("run-header", "success");
        cable.mend();
        let mended = Instant::now();
        away.wait_state("run-header", "success");
        away.wait_gone("stale-banner");
        eprintln!(
            "away for {:.1} s ({}); up to date {:.1} s after the network was back",
            (mended - began).as_secs_f32(),
            if round == 0 { "window" } else { "browser" },
            mended.elapsed().as_secs_f32()
        );
        open_run(away, number);
        away.click("side-shop");
        away.click("tab-chat");
        away.wait_text("chat", &format!("Round {number}: who was away reads this later"));
        away.screenshot(&format!("four-back-{}", if round == 0 { "window" } else { "browser" }));
        let equal = same(&all);
        eprintln!("all four hold {equal:?}");
    }
    for (page, name) in all.into_iter().zip(["ada", "bea", "cem", "dan"]) {
        page.screenshot(&format!("four-end-{name}"));
        assert_eq!(page.attribute("held", "data-gaps").as_deref(), Some("0"), "{name} found a loss");
        assert_eq!(page.errors(), Vec::<String>::new(), "the page of {name} reported errors");
    }
    // What the host has is what they hold: its newest event of the project is theirs.
    let log = server.call("event.list", &json!({ "rooms": ["project/shop"], "limit": 1000 }));
    let newest = log["events"].as_array().and_then(|events| events.last()).map(|event| event["seq"].to_string());
    let shown = held(ada).and_then(|held| held.0.into_iter().find(|(room, ..)| room == "project/shop"));
    assert_eq!(shown.map(|(_, seq, _)| seq), newest);
}
