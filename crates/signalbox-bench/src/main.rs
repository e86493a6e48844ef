//! What Signalbox costs beside the least that the same work can cost.
//!
//! A figure alone says more about the machine than about the program, so each one stands beside a floor: the same
//! rows by a bare SQLite loop, the same processes by a bare loop that spawns them. Both run in this process, or both as
//! processes of their own, in turn, several rounds; the least of each counts, since everything else on the machine can
//! only add to it.
//!
//! `signalbox-bench [log] [replay] [fanout] [engine] [scale [--events N]] [sockets [--secs N] [--peers]] [--rounds N]`;
//! without names: all of them.

mod engine;
mod fanout;
mod log;
mod replay;
mod scale;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(not(target_os = "linux"))]
mod sockets_elsewhere;
#[cfg(not(target_os = "linux"))]
use sockets_elsewhere as sockets;
mod table;

use anyhow::{Context, bail};
use tokio::runtime::Runtime;

use crate::table::Row;

/// Rounds, unless the command line says how many.
const ROUNDS: u32 = 5;

type Bench = fn(&Runtime, u32) -> anyhow::Result<Vec<Row>>;

const ALL: [(&str, Bench); 6] = [
    ("log", log::bench),
    ("replay", replay::bench),
    ("fanout", fanout::bench),
    ("engine", engine::bench),
    ("scale", scale::bench),
    ("sockets", sockets::bench),
];

fn main() -> anyhow::Result<()> {
    let (mut rounds, mut names): (Option<u32>, _) = (None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = Some(arguments.next().context("--rounds needs a number")?.parse()?),
            "--" => {}
            // The parts take these from the arguments themselves.
            "--events" | "--secs" | "--part" => drop(arguments.next()),
            "--peers" => {}
            scale::KILLED => return scale::be_killed(arguments.next().context("which folder?")?.as_ref()),
            name if ALL.iter().any(|(known, _)| *known == name) => names.push(argument),
            other if sockets::become_server(other, &mut arguments)? => return Ok(()),
            other => bail!("{other:?} is not one of {}", ALL.map(|(name, _)| name).join(", ")),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut rows, load) = (Vec::new(), table::load());
    for (name, bench) in ALL {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            eprintln!("{name} ...");
            rows.extend(
                bench(&runtime, rounds.unwrap_or(ROUNDS).max(1))
                    .with_context(|| format!("{name} could not be measured"))?,
            );
        }
    }
    let said =
        rounds.map_or(format!("{ROUNDS} rounds (sockets {})", sockets::ROUNDS), |rounds| format!("{rounds} rounds"));
    table::print(&rows, &said, &load);
    Ok(())
}
