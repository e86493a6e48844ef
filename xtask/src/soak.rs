//! `cargo xtask soak`: hours of kills, stalls and cuts against the real host; see `tests/soak`.

use anyhow::{Result, bail};

use crate::process::{Program, cargo, target};

/// Builds host and soak in release, since a thousand clients are to be kept up with, and runs it.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let valued = arguments.iter().filter(|name| **name != "--team").step_by(2);
    if valued.into_iter().any(|name| !["--minutes", "--seed", "--clients"].contains(name)) {
        bail!("soak takes --team, --minutes N, --seed S and --clients N");
    }
    cargo(["build", "--release", "--package", "signalbox-cli", "--package", "signalbox-soak"]).run()?;
    let release = target().join("release");
    let binary = |name: &str| release.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    Program::new(binary("signalbox-soak"))
        .args(["--bin".as_ref(), binary("signalbox").as_os_str()])
        .args(arguments.iter().copied())
        .run()
}
