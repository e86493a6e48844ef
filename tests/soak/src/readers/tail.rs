//! Readers in a process of their own: `signalbox tail --json`, killed now and then.

use std::process::Stdio;

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::{
    host::signal,
    readers::{Habit, Reader, Report, called},
    world::{Phase, count},
};

/// An event takes 256 KiB at most; a line of a killed process may be half.
const LINE: usize = 1 << 20;

pub(crate) async fn follow(mut reader: Reader) -> Report {
    let mut phase = reader.world.phase.subscribe();
    while called(&mut phase).await {
        reader.come_back(None);
        match start(&reader) {
            Ok((mut child, lines)) => {
                let killed = session(&mut reader, BufReader::with_capacity(LINE, lines), &mut child).await;
                child.kill().await.ok();
                if killed {
                    count(&reader.world.counters.client_kills);
                }
            }
            Err(error) => reader.wrong(&format!("`signalbox tail` cannot be started: {error}")),
        }
        if !reader.world.is_away() {
            let wait = reader.random.millis(100, 3_000);
            tokio::time::sleep(wait).await;
        }
    }
    reader.report()
}

fn start(reader: &Reader) -> std::io::Result<(Child, ChildStdout)> {
    let mut command = Command::new(&reader.world.binary);
    command.args(["tail", "--json"]).env("SIGNALBOX_URL", reader.world.proxy_url());
    command.env("SIGNALBOX_TOKEN", &reader.world.known().token);
    for room in reader.rooms() {
        command.args(["--room", room]);
    }
    if let Some(cursor) = reader.cursor() {
        command.args(["--after", &cursor]);
        count(&reader.world.counters.resumes);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    count(&reader.world.counters.connects);
    let lines = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
    Ok((child, lines))
}

/// Reads until it ends or is killed; true if it was killed.
async fn session(reader: &mut Reader, mut lines: BufReader<ChildStdout>, child: &mut Child) -> bool {
    let world = std::sync::Arc::clone(&reader.world);
    let (wait, mut habit) = reader.habit();
    let mut at = tokio::time::Instant::now() + wait;
    let mut line = Vec::new();
    loop {
        let storm = world.is(Phase::Storm);
        tokio::select! {
            read = lines.read_until(b'\n', &mut line) => {
                // Its end without our doing: there was no host when it began.
                if read.is_err() || !line.ends_with(b"\n") {
                    return false;
                }
                line.pop();
                let text = String::from_utf8_lossy(&line).into_owned();
                line.clear();
                if let Err(what) = reader.frame(None, &text) {
                    reader.wrong(&what);
                    return false;
                }
            }
            () = tokio::time::sleep_until(at), if storm => {
                let (wait, next) = reader.habit();
                at = tokio::time::Instant::now() + wait;
                match std::mem::replace(&mut habit, next) {
                    // Its pipe fills, and so does its socket.
                    Habit::Stall(time) | Habit::Leave(time) => {
                        count(&reader.world.counters.stalls);
                        reader.linger(time).await;
                    }
                    Habit::HalfOpen(time) => {
                        if let Some(pid) = child.id() {
                            signal(pid, Signal::STOP);
                            reader.linger(time).await;
                            signal(pid, Signal::CONT);
                        }
                    }
                    _ => {
                        if let Some(pid) = child.id() {
                            signal(pid, Signal::KILL);
                        }
                        // What it had said before it died counts; half a line does not.
                        return drain(reader, lines, line).await;
                    }
                }
            }
            () = world.sent_away() => return false,
        }
    }
}

async fn drain(reader: &mut Reader, mut lines: BufReader<ChildStdout>, mut line: Vec<u8>) -> bool {
    while lines.read_until(b'\n', &mut line).await.is_ok() && line.ends_with(b"\n") {
        line.pop();
        let text = String::from_utf8_lossy(&line).into_owned();
        line.clear();
        if let Err(what) = reader.frame(None, &text) {
            reader.wrong(&what);
            break;
        }
    }
    true
}
