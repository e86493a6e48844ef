//! Unix. Finding processes by their environment needs `/proc`, that is Linux; elsewhere only the group is known.

use std::io::Read;

use rustix::process::{Pid, Signal as Sig, kill_process, kill_process_group, test_kill_process_group};

use super::Signal;
use crate::MARKER;

pub(crate) fn prepare(command: &mut tokio::process::Command) {
    // A group of its own: a signal reaches what the command started, and Ctrl-C at our terminal does not.
    command.process_group(0);
}

fn pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Returns whether there was anything to signal.
pub(crate) fn signal_group(group: u32, signal: Signal) -> bool {
    let signal = match signal {
        Signal::Terminate => Sig::TERM,
        Signal::Kill => Sig::KILL,
    };
    pid(group).is_some_and(|group| kill_process_group(group, signal).is_ok())
}

pub(crate) fn group_alive(group: u32) -> bool {
    pid(group).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// When a process started, in clock ticks since boot; none if there is no such process. With the pid this names a process for good.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    // One read: it is asked for each process that starts, and no line is longer than this.
    let mut line = [0; 1024];
    let length = std::fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line)).ok()?;
    let stat = String::from_utf8_lossy(&line[..length]);
    // The command's name may hold spaces and parentheses: fields are counted after the last ')'.
    let fields = &stat[stat.rfind(')')? + 2..];
    if fields.starts_with('Z') {
        return None;
    }
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Processes whose environment has a marker that `wanted` accepts.
fn marked(wanted: &dyn Fn(&str) -> bool) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let marker = |entry: &[u8]| {
        let value = entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok().map(wanted)
    };
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            // The environment of a zombie is empty, that of another user's process cannot be read: neither is ours to end.
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| marker(entry) == Some(true)))
        })
        .collect()
}

/// Kills what `wanted` accepts, until none is found.
fn end(wanted: &dyn Fn(&str) -> bool) -> (u32, bool) {
    let mut killed = std::collections::HashSet::new();
    let count = |killed: &std::collections::HashSet<u32>| u32::try_from(killed.len()).unwrap_or(u32::MAX);
    // A process that forks while it is being looked for is found in the next round.
    for _ in 0..50 {
        let found = marked(wanted);
        if found.is_empty() {
            return (count(&killed), false);
        }
        for process in found {
            if let Some(target) = pid(process) {
                kill_process(target, Sig::KILL).ok();
                killed.insert(process);
            }
        }
        wait_a_moment();
    }
    (count(&killed), !marked(wanted).is_empty())
}

/// Processes whose environment says that they belong to a step whose marker begins with `prefix`. Blocks.
#[must_use]
pub fn leftovers(prefix: &str) -> Vec<u32> {
    marked(&|marker| marker.starts_with(prefix))
}

/// Kills every process that [`leftovers`] finds, until none is found. Returns how many were killed, and whether some could not be. Blocks.
#[must_use]
pub fn end_all(prefix: &str) -> (u32, bool) {
    end(&|marker| marker.starts_with(prefix))
}

/// Kills every process with one of these markers: one look at the system for all of them. Returns as [`end_all`]. Blocks.
#[must_use]
pub fn end_each(markers: &std::collections::HashSet<String>) -> (u32, bool) {
    end(&|marker| markers.contains(marker))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the system tells nobody when somebody else's child is gone; bounded by the loop around it"
)]
fn wait_a_moment() {
    std::thread::sleep(std::time::Duration::from_millis(5));
}
