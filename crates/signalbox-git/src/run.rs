//! Calling the program: its environment, its deadline, its output.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Changed, Error, Result};
use crate::text;
use crate::turn::pause;

/// The oldest git that will do.
const OLDEST: (u32, u32) = (2, 30);
/// What is kept of standard error.
const STDERR_KEPT: usize = 4 * 1024;
/// What is kept of standard output, unless told otherwise.
const OUTPUT_KEPT: usize = 64 * 1024 * 1024;
/// Pieces of output that may wait to be looked at, 32 KiB each.
const PIECES: usize = 8;
/// How long to wait for the rest of the output of a git that ended, when something it left behind holds the pipe.
const GRACE: Duration = Duration::from_millis(300);

/// Variables of the host's own environment that a person sets to say where git and its settings are. All other `GIT_*` say
/// which repository, index or objects somebody else is just working on: a hook that starts Signalbox would pass them on.
const KEPT: [&str; 7] = [
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
];

/// Settings that hold for every call, whatever the person's or the repository's own say.
const SETTINGS: [&str; 16] = [
    // Names come as they are.
    "core.quotepath=off",
    // Would start a program of the repository's choice, and one that stays.
    "core.fsmonitor=false",
    // What Signalbox commits, checks out and lands by itself must not be stopped, changed or slowed down by hooks meant for
    // a person at a terminal. Checks belong into the workflow, where one sees them.
    "core.hooksPath=/dev/null",
    // A failed sign-in to a key would block a checkpoint; and the agent's work is not the person's signature.
    "commit.gpgsign=false",
    "tag.gpgsign=false",
    "merge.verifySignatures=false",
    // A file with mixed line ends has to get into a checkpoint like any other.
    "core.safecrlf=false",
    // Would hide changes.
    "core.ignoreStat=false",
    "core.splitIndex=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "color.ui=false",
    "advice.addEmbeddedRepo=false",
    // Tidying up in the background would keep pipes open and hold locks.
    "gc.auto=0",
    "maintenance.auto=false",
    "log.showSignature=false",
];

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A question that is answered from a few files: 15 s.
    pub quick: Duration,
    /// What looks at the whole working tree: 2 minutes.
    pub scan: Duration,
    /// What writes a working tree, or merges: 10 minutes.
    pub write: Duration,
    /// How long to wait for a lock of somebody else: 10 s.
    pub lock: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            quick: Duration::from_secs(15),
            scan: Duration::from_secs(120),
            write: Duration::from_secs(600),
            lock: Duration::from_secs(10),
        }
    }
}

/// The program.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    version: (u32, u32),
    deadlines: Deadlines,
}

impl Git {
    /// Finds `git` on the PATH.
    ///
    /// # Errors
    /// If there is none, or an old one.
    pub fn find() -> Result<Self> {
        Self::at(Path::new("git"), Deadlines::default())
    }

    /// Takes the program at `program`.
    ///
    /// # Errors
    /// If it is not there, or too old.
    pub fn at(program: &Path, deadlines: Deadlines) -> Result<Self> {
        let git = Self { program: program.to_owned(), version: (0, 0), deadlines };
        let answer = Call::new(&git, Path::new("."), ["--version"]).run()?;
        let found = text::line(&answer.stdout);
        let version = parse_version(&found)
            .ok_or_else(|| Error::Unreadable { command: "--version".into(), what: found.clone() })?;
        let git = Self { version, ..git };
        git.needs(OLDEST, "work with")?;
        Ok(git)
    }

    /// Its version: major and minor.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// How long calls may take.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Refuses if it is older than `needed`.
    pub(crate) fn needs(&self, needed: (u32, u32), what: &'static str) -> Result<()> {
        if self.version >= needed {
            return Ok(());
        }
        let show = |(major, minor)| format!("{major}.{minor}");
        Err(Error::TooOld { found: show(self.version), needed: show(needed), what })
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.strip_prefix("git version ")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What a call gave.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A call that is being put together.
pub(crate) struct Call<'g> {
    git: &'g Git,
    folder: &'g Path,
    place: Vec<OsString>,
    settings: Vec<&'static str>,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    input: Option<Vec<u8>>,
    deadline: Duration,
    limit: usize,
    writes: bool,
}

enum News {
    Out(Vec<u8>),
    Err(Vec<u8>),
    OutEnd,
    ErrEnd,
}

impl<'g> Call<'g> {
    pub(crate) fn new<A: AsRef<OsStr>>(git: &'g Git, folder: &'g Path, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            git,
            folder,
            place: Vec::new(),
            settings: Vec::new(),
            arguments: arguments.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            variables: Vec::new(),
            input: None,
            deadline: git.deadlines.quick,
            limit: OUTPUT_KEPT,
            writes: false,
        }
    }

    /// Works with this git directory and this folder, whatever is in the folder.
    pub(crate) fn place(mut self, git_dir: &Path, folder: &Path) -> Self {
        self.place = vec![text::option("--git-dir", git_dir), text::option("--work-tree", folder)];
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(crate) fn setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn input(mut self, input: Vec<u8>) -> Self {
        self.input = Some(input);
        self
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// It changes something, so it takes locks and a failure may leave something behind.
    pub(crate) fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// Calls; exit code 0 or an error.
    pub(crate) fn run(self) -> Result<Output> {
        self.run_for(&[0])
    }

    /// Calls; one of these exit codes or an error. Waits for locks of others.
    pub(crate) fn run_for(self, codes: &[i32]) -> Result<Output> {
        let until = Instant::now() + self.git.deadlines.lock;
        let mut wait = Duration::from_millis(20);
        loop {
            let mut stdout = Vec::new();
            let mut over = false;
            let (code, stderr) = self.once(&mut |piece| {
                over |= stdout.len() + piece.len() > self.limit;
                if !over {
                    stdout.extend_from_slice(piece);
                }
            })?;
            if over {
                return Err(Error::TooLarge { command: self.shown(), limit: self.limit });
            }
            if codes.contains(&code) {
                return Ok(Output { code, stdout, stderr });
            }
            let error = self.refusal(code, stderr);
            if !matches!(error, Error::Locked { .. }) || Instant::now() >= until {
                return Err(error);
            }
            pause(wait);
            wait = (wait * 2).min(Duration::from_millis(200));
        }
    }

    /// Calls, and hands out standard output as it comes. Exit code 0 or an error.
    pub(crate) fn stream(self, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        match self.once(sink)? {
            (0, _) => Ok(()),
            (code, stderr) => Err(self.refusal(code, stderr)),
        }
    }

    fn shown(&self) -> String {
        let words = self.arguments.iter().take(3).map(|a| a.to_string_lossy().into_owned());
        words.collect::<Vec<_>>().join(" ")
    }

    fn changed(&self) -> Changed {
        if self.writes { Changed::Maybe } else { Changed::No }
    }

    fn refusal(&self, code: i32, stderr: String) -> Error {
        if let Some(file) = locked_file(&stderr) {
            return Error::Locked { file, stderr };
        }
        if stderr.contains("detected dubious ownership") || stderr.contains("unsafe repository") {
            return Error::Untrusted { folder: self.folder.to_owned(), stderr };
        }
        Error::Refused { command: self.shown(), code, changed: self.changed(), stderr }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.git.program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") && !KEPT.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_EDITOR", ":").env("GIT_PAGER", "cat");
        // Nothing here may ask on a screen either.
        command.env_remove("SSH_ASKPASS").env("GIT_ASKPASS", "true");
        if !self.writes {
            // A question must not hold the index's lock while an agent wants it.
            command.env("GIT_OPTIONAL_LOCKS", "0");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.arg("--no-pager").args(&self.place);
        for setting in SETTINGS.iter().chain(&self.settings) {
            command.arg("-c").arg(setting);
        }
        command.args(&self.arguments).current_dir(self.folder);
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        own_group(&mut command);
        command
    }

    fn once(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(i32, String)> {
        let started = Instant::now();
        let mut child = self.command().spawn().map_err(|source| match source.kind() {
            // The folder that is not there gives the same error as the program that is not there.
            std::io::ErrorKind::NotFound if self.folder.is_dir() => {
                Error::Missing { program: self.git.program.display().to_string() }
            }
            _ => Error::Io {
                what: format!("opening {}, which is gone or no folder,", self.folder.display()),
                source,
                changed: Changed::No,
            },
        })?;
        let (send, news) = sync_channel(PIECES);
        if let Some(pipe) = child.stdout.take() {
            read(pipe, send.clone(), News::Out, News::OutEnd);
        }
        if let Some(pipe) = child.stderr.take() {
            read(pipe, send.clone(), News::Err, News::ErrEnd);
        }
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), self.input.clone()) {
            // Git that stops reading its input says why on standard error.
            thread::spawn(move || drop(pipe.write_all(&input)));
        }
        let mut stderr = Vec::new();
        let mut open = 2;
        let mut look = Duration::from_millis(1);
        let mut ended: Option<Instant> = None;
        loop {
            let left = self.deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                let _ = end(&mut child);
                return Err(Error::Deadline {
                    command: self.shown(),
                    after: self.deadline,
                    changed: self.changed(),
                    stderr: text::tail(&stderr, STDERR_KEPT),
                });
            }
            // While pipes are open an end is heard of by them; `look` is for what holds them, or closed them, and lives.
            let wait = if open == 0 { look } else { Duration::from_millis(50) };
            match news.recv_timeout(wait.min(left)) {
                Ok(News::Out(piece)) => sink(&piece),
                Ok(News::Err(piece)) => {
                    stderr.extend_from_slice(&piece);
                    if stderr.len() > 16 * STDERR_KEPT {
                        stderr.drain(..stderr.len() - STDERR_KEPT);
                    }
                }
                Ok(News::OutEnd | News::ErrEnd) => open -= 1,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    look = (look * 2).min(Duration::from_millis(50));
                    if ended.is_none() && has_ended(&mut child) {
                        ended = Some(Instant::now());
                    }
                }
            }
            let over = ended.is_some_and(|since| open == 0 || since.elapsed() > GRACE);
            if over || (open == 0 && has_ended(&mut child)) {
                // What it left behind in its group ends too: nothing of a call outlives it.
                let status = end(&mut child).map_err(Error::reading("waiting for git"))?;
                return Ok((status.code().unwrap_or(-1), text::tail(&stderr, STDERR_KEPT)));
            }
        }
    }
}

fn read(mut pipe: impl Read + Send + 'static, send: SyncSender<News>, piece: fn(Vec<u8>) -> News, last: News) {
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    if send.send(piece(buffer.get(..n).unwrap_or_default().to_vec())).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = send.send(last);
    });
}

/// The lock file that git could not make, if that is what it says.
fn locked_file(stderr: &str) -> Option<PathBuf> {
    let line = stderr.lines().find(|l| l.contains(".lock': File exists"))?;
    let from = line.find("Unable to create '")? + "Unable to create '".len();
    let rest = line.get(from..)?;
    Some(PathBuf::from(rest.get(..rest.find("': File exists")?)?))
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// Whether it has ended, without taking its number back: until then its group's number cannot be another's.
#[cfg(unix)]
fn has_ended(child: &mut Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else { return true };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Ends it and all of its group, and waits for it.
fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    #[cfg(unix)]
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("git version 2.47.3"), Some((2, 47)));
        assert_eq!(parse_version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(parse_version("git version 2.45.2.windows.1"), Some((2, 45)));
        assert_eq!(parse_version("tig 3"), None);
    }

    #[test]
    fn a_lock_is_told_from_other_failures() {
        let said = "fatal: Unable to create '/a b/.git/index.lock': File exists.\n\nAnother git process";
        assert_eq!(locked_file(said), Some(PathBuf::from("/a b/.git/index.lock")));
        assert_eq!(locked_file("fatal: not a git repository"), None);
    }
}
