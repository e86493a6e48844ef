//! What Linux tells of a process and of all that it started.

use std::fs;

/// Pids with their parents'.
fn parents() -> Vec<(u64, u64)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let parent = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        Some((pid, status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?))
    };
    entries.filter_map(parent).collect()
}

/// A process and all that it started and they did.
pub(crate) fn family(pid: u64) -> Vec<u64> {
    let parents = parents();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        at += 1;
    }
    family
}

/// The first of a process' family that runs `program`.
pub(crate) fn running(pid: u64, program: &str) -> Option<u64> {
    let is = |pid: &u64| {
        let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        path.file_name().is_some_and(|name| name.to_string_lossy() == program)
    };
    family(pid).into_iter().find(is)
}

/// Memory of a process and all that it started, in MiB, what they share counted once (`Pss`). 0 where that is not told.
pub(crate) fn memory(pid: u64) -> u64 {
    let kib = |pid: &u64| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
    };
    family(pid).iter().filter_map(kib).sum::<u64>() / 1024
}

/// When a process was started, in Unix milliseconds, to 10 or 20 of them.
#[expect(clippy::disallowed_methods, reason = "held against the clock of a page, which is this one")]
pub(crate) fn began(pid: u64) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Field 22, in ticks of 10 ms since the machine began (proc_pid_stat(5)); the name, field 2, may hold spaces.
    let ticks: f64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let up: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    (now - (up - ticks / 100.0)) * 1000.0
}
