//! `cargo xtask run`: the app on a sample project.

use std::{
    env, fs,
    process::Child,
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    build,
    process::{Program, binary, target},
    sample::{self, Sample},
    setup,
};

/// Longest time until the host says where it listens: the first start of a large app on a busy machine.
const START: Duration = Duration::from_secs(60);

pub(crate) fn run(fresh: bool) -> Result<()> {
    let display = !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some_and(|v| !v.is_empty()));
    if display {
        setup::for_app()?;
    }
    build::ui()?;
    if display {
        build::binaries()?;
    } else {
        build::headless()?;
    }
    let sample = sample::make(&target().join("sample"), fresh)?;
    // What a host that was killed left behind would be taken for the new one's.
    fs::remove_file(sample.data.join("host.json")).ok();
    let mut host = if display {
        println!("\nOpening the app on the sample project {}.", sample.project.display());
        with_sample(Program::new(binary("signalbox-desktop")), &sample)
            .args(["--listen", "127.0.0.1:0"])
            .args([&sample.project])
            .start()?
    } else {
        println!(
            "\nThere is no display: the same page is served to a browser. Sample project: {}.",
            sample.project.display()
        );
        let serve = with_sample(Program::new(binary("signalbox")), &sample).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--project",
        ]);
        serve.args([&sample.project]).start()?
    };
    listening(&sample, &mut host)?;
    for workflow in sample::STARTED {
        let run =
            with_sample(Program::new(binary("signalbox")), &sample).args(["run", workflow, "--detach", "--project"]);
        run.args([&sample.project]).run()?;
    }
    if !display {
        println!("\nThe link above logs a browser in, once, within a minute. Another one:");
        println!("  SIGNALBOX_DATA_DIR={} {} login", sample.data.display(), binary("signalbox").display());
    }
    let status = host.wait().context("the app cannot be waited for")?;
    // Ctrl+C ends both of us; that is no failure.
    if status.code().is_some_and(|code| code != 0) {
        bail!("the app ended with {status}");
    }
    Ok(())
}

/// With folders of its own: the person's projects and settings are left alone.
fn with_sample(program: Program, sample: &Sample) -> Program {
    program.env("SIGNALBOX_DATA_DIR", &sample.data).env("SIGNALBOX_CONFIG_DIR", &sample.config)
}

fn listening(sample: &Sample, host: &mut Child) -> Result<()> {
    let file = sample.data.join("host.json");
    let (_never, tick) = channel::<()>();
    let until = Instant::now() + START;
    while Instant::now() < until {
        if fs::read_to_string(&file).is_ok_and(|text| text.contains("\"url\"")) {
            return Ok(());
        }
        if let Some(status) = host.try_wait()? {
            bail!("the app ended at once, with {status}; what it said is above");
        }
        if tick.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
    host.kill().ok();
    bail!("the app did not open its log within {} s; what it said is above", START.as_secs())
}
