//! Which processor does what, and how many files this process may open.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// The cores of the server and of the load: different ones, so that neither takes time from the other.
pub(crate) struct Cores {
    pub(crate) server: Option<usize>,
    /// What this thread was bound to before.
    before: CpuSet,
}

impl Cores {
    /// Binds this thread, which will be the load, to the last core, and leaves the first to the server.
    pub(crate) fn part() -> anyhow::Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| before.is_set(*core));
        let (first, last) = (allowed.next(), allowed.next_back());
        if let (Some(server), Some(load)) = (first, last) {
            bind(load)?;
            eprintln!("  the servers run on core {server}, the load on core {load}");
        } else {
            eprintln!("  one core for the server and the load: they wait for each other, so compare ratios only");
        }
        Ok(Self { server: last.and(first), before })
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // Other parts of the bench may come after; that they have one core less is no reason to fail.
        sched_setaffinity(None, &self.before).ok();
    }
}

/// Binds this thread, and what it will start, to one core.
pub(crate) fn bind(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the limit of open files as far as it goes, and says how far that is.
pub(crate) fn files() -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX)))
}
