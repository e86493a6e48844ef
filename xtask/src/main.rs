//! The project's chores: `cargo xtask setup | run | test | build | codegen | bench | agents | programs | fuzz | soak`.
//!
//! It builds in seconds and needs nothing but Rust; what else a chore needs, it installs or names.

mod agents;
mod build;
mod check;
mod fuzz;
mod process;
mod programs;
mod run;
mod sample;
mod setup;
mod soak;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  setup              installs what is missing, and says what
  run [--fresh]      builds everything and opens the app on a sample project with running workflows;
                     without a display: serves the same UI and prints a link that logs a browser in
  test [--only G]    runs every test; G is rust, ui, browser, desktop or lint, may be given several times
  build              builds the UI and the release binaries
  codegen [--check]  writes the TypeScript types of the protocol, or says whether they are up to date
  bench [PART]       runs the benchmarks: log, replay, fanout, sockets, scale, engine, window;
                     window takes a part too: rate, stream, log, graph, start
  agents [ID]        installs real coding agents below target and tests them, with a scripted model behind them
  programs           installs clients that others wrote (npm, PyPI) below target and tests with them
  fuzz [TARGET] [--seconds N] [--seed S]
                     gives everything that takes bytes from outside anything, for N seconds a target
  soak [--team] [--minutes N] [--seed S] [--clients N]
                     kills, stalls and cuts for N minutes, and holds what everybody saw against the log (Linux);
                     --team: clients of many members, and how they come back after a restart";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match chore(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does one chore; false if it ran to its end and found failures, which it has told.
fn chore(arguments: &[&str]) -> Result<bool> {
    match arguments {
        ["setup"] => setup::everything(),
        ["run"] => run::run(false),
        ["run", "--fresh"] => run::run(true),
        ["test", rest @ ..] => return check::run(rest),
        ["build"] => build::release(),
        ["codegen"] => build::codegen(),
        ["codegen", "--check"] => build::codegen_is_fresh(),
        ["bench", "window"] => check::window_figures(None, None),
        ["bench", "window", "--events", events] => check::window_figures(None, Some(events)),
        ["bench", "window", part] => check::window_figures(Some(part), None),
        ["bench", "window", part, "--events", events] => check::window_figures(Some(part), Some(events)),
        ["bench", rest @ ..] => {
            // At once: apart, the crates that both use would get other features and be built twice.
            process::cargo(["build", "--release", "--package", "signalbox-bench", "--package", "signalbox-cli"])
                .run()?;
            let binary =
                process::target().join("release/signalbox-bench").with_extension(std::env::consts::EXE_EXTENSION);
            process::Program::new(binary).args(rest.iter().copied()).run()?;
            if rest.is_empty() { check::window_figures(None, None) } else { Ok(()) }
        }
        ["agents", rest @ ..] => agents::run(rest),
        ["programs"] => programs::run(),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["soak", rest @ ..] => soak::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("{:?} is no chore\n\n{USAGE}", other.join(" ")),
    }?;
    Ok(true)
}
