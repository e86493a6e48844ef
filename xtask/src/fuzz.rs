//! `cargo xtask fuzz`: long runs of the targets in `tests/fuzz`, with a seed of chance.

use anyhow::Result;

use crate::process::cargo;

/// In the development profile: its checks for overflow are part of what is looked for.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    cargo(["run", "--package", "signalbox-fuzz", "--"]).args(arguments.iter().copied()).run()
}
