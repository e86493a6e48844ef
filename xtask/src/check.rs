//! `cargo xtask test`: every test, group by group, with a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    build,
    process::{Program, binary, cargo, find, npm},
    setup,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Ui,
    Lint,
    Rust,
    Browser,
    Desktop,
}

impl Group {
    /// In the order in which they run: the UI first, since the binaries embed it.
    const ALL: [Self; 5] = [Self::Ui, Self::Lint, Self::Rust, Self::Browser, Self::Desktop];

    fn name(self) -> &'static str {
        match self {
            Self::Ui => "ui",
            Self::Lint => "lint",
            Self::Rust => "rust",
            Self::Browser => "browser",
            Self::Desktop => "desktop",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Ui => "types, lint, unit tests and build of the page",
            Self::Lint => "generated types, format and clippy",
            Self::Rust => "unit and integration tests, documentation tests",
            Self::Browser => "the page in Chromium against a real host",
            Self::Desktop => "the real window, driven",
        }
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Ui => ui(),
            Self::Lint => lint(),
            Self::Rust => rust(),
            Self::Browser => browser(),
            Self::Desktop => desktop(),
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    let groups = chosen(arguments)?;
    let has = |group| groups.contains(&group);
    let compiles_app = has(Group::Lint) || has(Group::Rust) || has(Group::Browser) || has(Group::Desktop);
    setup::for_tests(compiles_app, has(Group::Desktop), has(Group::Browser))?;
    if compiles_app {
        build::ui()?;
    }
    let mut told = Vec::new();
    for group in groups {
        println!("\n== {}: {}\n", group.name(), group.what());
        let started = Instant::now();
        let result = group.run();
        if let Err(error) = &result {
            eprintln!("\n{} failed: {error:#}", group.name());
        }
        told.push((group, result.is_ok(), started.elapsed()));
    }
    println!("\n{:<10}{:<8}{:>8}  ", "group", "result", "time");
    for (group, passed, time) in &told {
        println!(
            "{:<10}{:<8}{:>8}  {}",
            group.name(),
            if *passed { "passed" } else { "FAILED" },
            clock(*time),
            group.what()
        );
    }
    let failed = told.iter().filter(|(_, passed, _)| !passed).count();
    println!("\n{} passed, {failed} failed", told.len() - failed);
    Ok(failed == 0)
}

fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn chosen(arguments: &[&str]) -> Result<Vec<Group>> {
    let mut chosen = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = match *argument {
            "--only" => arguments.next().copied(),
            other => other.strip_prefix("--only="),
        };
        let group = Group::ALL.into_iter().find(|group| Some(group.name()) == name);
        let Some(group) = group else {
            bail!(
                "{argument} {} is not understood; --only takes rust, ui, browser, desktop or lint",
                name.unwrap_or("")
            )
        };
        chosen.push(group);
    }
    Ok(Group::ALL.into_iter().filter(|group| chosen.is_empty() || chosen.contains(group)).collect())
}

fn ui() -> Result<()> {
    setup::node_modules("ui")?;
    npm("ui", &["run", "lint"]).run()?;
    npm("ui", &["test"]).run()?;
    build::ui()
}

fn lint() -> Result<()> {
    build::codegen_is_fresh()?;
    cargo(["fmt", "--all", "--check"]).run()?;
    cargo(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]).run()
}

/// The tests that drive the window are marked as ignored, so that nobody needs a display for the others.
fn rust() -> Result<()> {
    // The tests start the binaries.
    build::binaries()?;
    if find("cargo-nextest").is_some() {
        cargo(["nextest", "run", "--workspace", "--exclude", "xtask", "--no-fail-fast"]).run()?;
    } else {
        cargo(["test", "--workspace", "--exclude", "xtask", "--no-fail-fast", "--lib", "--bins", "--tests"]).run()?;
    }
    cargo(["test", "--workspace", "--exclude", "xtask", "--doc"]).run()
}

fn browser() -> Result<()> {
    build::binaries()?;
    let Some(browser) = setup::browser() else {
        bail!("no Chromium was found; install one, or name it in the variable CHROMIUM")
    };
    let playwright = if cfg!(windows) { "npx.cmd" } else { "npx" };
    let tests = Program::new(playwright).args(["--no-install", "playwright", "test"]).within("tests/browser");
    tests.env("CHROMIUM", browser).env("SIGNALBOX_BIN", binary("signalbox")).run()
}

fn desktop() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("The window is driven with WebKitWebDriver, which is there on Linux only: nothing to do here.");
        return Ok(());
    }
    build::binaries()?;
    window(&["--workspace", "--exclude", "xtask"], &["--ignored", "--test-threads=1", "--skip", FIGURES], &[])
}

/// Desktop tests that say how much, not whether: they take long, and a development build says nothing.
const FIGURES: &str = "bench::";

/// What the window costs and how it feels, measured by some of the desktop tests in a release build.
///
/// `part`: `rate`, `stream`, `log`, `graph` or `start`; none: all of them.
/// `events`: how many come into the page; none: as many as take about a minute.
pub(crate) fn window_figures(part: Option<&str>, events: Option<&str>) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("The window is driven with WebKitWebDriver, which is there on Linux only: not measured here.");
        return Ok(());
    }
    let chosen = match part {
        None => ["real_page", FIGURES].as_slice(),
        Some("rate") => &["real_page"],
        Some("stream") => &["bench::stream::"],
        Some("log") => &["bench::log::"],
        Some("graph") => &["bench::graph::"],
        Some("start") => &["bench::start::"],
        Some(other) => bail!("{other} is no part of it: rate, stream, log, graph or start"),
    };
    setup::for_tests(true, true, false)?;
    build::ui()?;
    let package = ["--release", "--package", "signalbox-desktop"];
    cargo([&["build"], &package[..], &["--features", "empty-window", "--example", "empty-window"]].concat()).run()?;
    let arguments = [&["--ignored", "--nocapture", "--test-threads=1"], chosen].concat();
    window(&package, &arguments, &[("SIGNALBOX_BENCH_EVENTS", events.unwrap_or("3000000"))])
}

/// Runs desktop tests.
fn window(packages: &[&str], arguments: &[&str], env: &[(&str, &str)]) -> Result<()> {
    let test = [&["test"], packages, &["--test", "desktop"]].concat();
    // Built before the display is there: a compiler's error is not to be looked for among its messages.
    cargo([&test[..], &["--no-run"]].concat()).run()?;
    // A display and a session bus of their own: the person's screen, tray and running app are left alone.
    let mut tests = Program::new("xvfb-run").args([
        "--auto-servernum",
        "--server-args=-screen 0 1400x900x24",
        "dbus-run-session",
        "--",
    ]);
    for (name, value) in env {
        tests = tests.env(name, value);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    tests.args([cargo]).args([&test[..], &["--"], arguments].concat()).run()
}
