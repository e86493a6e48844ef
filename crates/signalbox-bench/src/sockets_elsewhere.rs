//! The part `sockets` where it cannot be measured: it needs Linux's epoll and its processor time of threads.

use tokio::runtime::Runtime;

use crate::table::Row;

/// None is measured.
pub(crate) const ROUNDS: u32 = 0;

pub(crate) fn become_server(_: &str, _: &mut impl Iterator<Item = String>) -> anyhow::Result<bool> {
    Ok(false)
}

pub(crate) fn bench(_: &Runtime, _: u32) -> anyhow::Result<Vec<Row>> {
    eprintln!("  not available: the processor time of a server is measured on Linux only");
    Ok(Vec::new())
}
