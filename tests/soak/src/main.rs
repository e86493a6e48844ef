//! Hours of bad luck: `cargo xtask soak --minutes N [--seed S] [--clients N]`.
//!
//! A real host in a folder of its own, publishers, up to a thousand readers of every kind, and runs of workflows; and
//! meanwhile `kill -9` of the host, of steps and of clients, sleeps, stalls, half-open sockets and cuts. At the end
//! everybody's view is held against the log: every acknowledged event once on every reader that was there, in one order,
//! byte for byte; derived tables equal to a replay; every run in a true state; nothing left running or open.
//!
//! With `--team`: a thousand clients of some dozen members under the limits that a host has by itself, an orderly and a
//! violent restart, and what a reconnect storm costs; see `team.rs`.
//!
//! The same seed gives every part the same wishes. The moments at which they come true are the machine's.

#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod play;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod publish;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
mod runs;
#[cfg(target_os = "linux")]
mod team;
#[cfg(target_os = "linux")]
mod track;
#[cfg(target_os = "linux")]
mod truth;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(target_os = "linux")]
mod world;

/// Handles, memory and processes are read from /proc.
#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("The soak looks at the host through /proc, which is there on Linux only: nothing was done.");
    std::process::ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    let outcome = arguments().and_then(|wanted| play::play(&wanted));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone)]
struct Wanted {
    minutes: f64,
    seed: u64,
    clients: u64,
    binary: std::path::PathBuf,
    /// The team's room: a thousand members' clients, and orderly and violent restarts, each with its reconnect storm.
    team: bool,
}

#[cfg(target_os = "linux")]
fn arguments() -> anyhow::Result<Wanted> {
    use anyhow::{Context, bail};
    use signalbox_model::Clock;
    let beside = std::env::current_exe()?.with_file_name("signalbox");
    let seed = signalbox_model::SystemClock.now().unsigned_abs() % 1_000_000;
    let mut wanted = Wanted { minutes: 5.0, seed, clients: 200, binary: beside, team: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--team" {
            wanted.team = true;
            continue;
        }
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--minutes" => wanted.minutes = value()?.parse().context("--minutes")?,
            "--seed" => wanted.seed = value()?.parse().context("--seed")?,
            "--clients" => wanted.clients = value()?.parse().context("--clients")?,
            "--bin" => wanted.binary = value()?.into(),
            other => bail!("{other:?} is not one of --team, --minutes N, --seed S, --clients N, --bin FILE"),
        }
    }
    let least = if wanted.team { 0.1 } else { 0.5 };
    if !wanted.minutes.is_finite() || wanted.minutes < least || !(1..=5_000).contains(&wanted.clients) {
        bail!("{least} minutes are the least, and 1 to 5000 clients");
    }
    if !wanted.binary.is_file() {
        bail!("{} is not there: build it with `cargo build -p signalbox-cli`", wanted.binary.display());
    }
    Ok(wanted)
}
