//! Starting a process and following it to its end.

use std::{ffi::OsString, path::PathBuf, process::Stdio, sync::LazyLock, time::Duration};

use signalbox_model::LogStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    MARKER, Masker, Piece, Progress,
    output::{Assembler, KEPT, PIECE},
    platform::{self, Signal},
};

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Where it runs.
    pub dir: PathBuf,
    /// Added to this process's environment.
    pub env: Vec<(String, String)>,
    /// Names host, run, step and attempt: every process that inherits it can be found and ended.
    pub marker: String,
    /// Secret values, masked in its output.
    pub masker: Masker,
    /// Output kept at most, in bytes; none: 1 GiB.
    pub limit: Option<u64>,
    /// Bytes and lines that the attempt's log holds already.
    pub log_so_far: (u64, u64),
}

/// Why a process could not be started. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The folder is not there.
    #[error("the folder {} does not exist or cannot be entered", .0.display())]
    Folder(PathBuf),
    /// The system refused.
    #[error("{program} could not be started: {source}")]
    System {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Bytes of output dropped for the limit.
    pub dropped: u64,
}

/// News of a process, in order. [`Report::Exited`] is the last.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It printed something.
    Output(Piece),
    /// It says how far it is.
    Progress(Progress),
    /// It ended, and all its output was reported.
    Exited(Exit),
}

/// A process that was started. Dropping it lets the process go on.
#[derive(Debug, Clone, Copy)]
pub struct Handle {
    /// Its id, which is also its group's.
    pub pid: u32,
}

impl Handle {
    /// Asks its group to end (SIGTERM).
    pub fn terminate(&self) {
        platform::signal_group(self.pid, Signal::Terminate);
    }

    /// Ends its group (SIGKILL).
    pub fn kill(&self) {
        platform::signal_group(self.pid, Signal::Kill);
    }
}

/// Variables of this process that no step inherits. Secrets of the host reach a step only by name, through [`Spec::env`], where they
/// are masked. Looked up once: this process does not change its own environment.
static KEPT_BACK: LazyLock<Vec<OsString>> = LazyLock::new(|| {
    let is_secret = |name: &str| name.starts_with("SIGNALBOX_SECRET_") || name == "SIGNALBOX_TOKEN";
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_str().is_some_and(is_secret)).collect()
});

/// Output is handed on at the latest after this time.
const DELAY: Duration = Duration::from_millis(50);

/// How long output may still come after the process ended, from what it left running in the background.
const LINGER: Duration = Duration::from_millis(500);

/// A process that is spoken with: its standard input and output are the caller's.
#[derive(Debug)]
pub struct Dialogue {
    /// By which it is ended.
    pub handle: Handle,
    /// Its standard input; dropped, the process reads an end of file.
    pub stdin: ChildStdin,
    /// Its standard output. What left the process's group may keep it open after [`Report::Exited`].
    pub stdout: ChildStdout,
}

/// Starts a process. Its news goes to `reports`, which must be read: a full channel stops the process's output.
///
/// # Errors
/// If it could not be started.
pub fn spawn(spec: Spec, reports: mpsc::Sender<Report>) -> Result<Handle, SpawnError> {
    let (handle, follow) = spawn_within(spec, reports)?;
    tokio::spawn(follow);
    Ok(handle)
}

/// The same without a task of its own, for who has one: the process is read from and waited for while the future is polled. Once that is
/// dropped, the process goes on, nobody reads what it prints, and its end is not reported.
///
/// # Errors
/// If it could not be started.
pub fn spawn_within(
    spec: Spec,
    reports: mpsc::Sender<Report>,
) -> Result<(Handle, impl Future<Output = ()> + Send + 'static), SpawnError> {
    let (child, handle) = start(&spec, Stdio::null())?;
    Ok((handle, follow(child, handle.pid, assembler(spec), reports)))
}

/// Starts a process that speaks a protocol over its standard input and output. All else is as with [`spawn`], but that
/// `reports` has of its output only what it writes to standard error.
///
/// # Errors
/// If it could not be started.
pub fn spawn_dialogue(spec: Spec, reports: mpsc::Sender<Report>) -> Result<Dialogue, SpawnError> {
    let (mut child, handle) = start(&spec, Stdio::piped())?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        handle.kill();
        let source = std::io::Error::other("the system gave it no pipes");
        return Err(SpawnError::System { program: spec.argv[0].to_string_lossy().into_owned(), source });
    };
    tokio::spawn(follow(child, handle.pid, assembler(spec), reports));
    Ok(Dialogue { handle, stdin, stdout })
}

fn assembler(spec: Spec) -> Assembler {
    Assembler::new(spec.masker, spec.limit.unwrap_or(KEPT), spec.log_so_far)
}

/// What every process of ours has in common: its group, its marker, and no secret that it was not given.
fn start(spec: &Spec, stdin: Stdio) -> Result<(Child, Handle), SpawnError> {
    if !spec.dir.is_dir() {
        return Err(SpawnError::Folder(spec.dir.clone()));
    }
    let mut argv = spec.argv.iter();
    let program = argv.next().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(argv).current_dir(&spec.dir).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in &*KEPT_BACK {
        command.env_remove(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value))).env(MARKER, &spec.marker);
    platform::prepare(&mut command);
    let child = command
        .spawn()
        .map_err(|source| SpawnError::System { program: program.to_string_lossy().into_owned(), source })?;
    let pid = child.id().unwrap_or_default();
    Ok((child, Handle { pid }))
}

struct Follower {
    assembler: Assembler,
    progress: Vec<Progress>,
    reports: mpsc::Sender<Report>,
}

impl Follower {
    async fn flush(&mut self, partial: bool, last: bool) {
        for piece in self.assembler.take(partial, last, &mut self.progress) {
            // Nobody listens any more: the output is read all the same, so that the process is not stopped by a full pipe.
            self.reports.send(Report::Output(piece)).await.ok();
        }
        for progress in self.progress.drain(..) {
            self.reports.send(Report::Progress(progress)).await.ok();
        }
    }
}

/// What a stream's buffer takes before it has printed more at once: most processes print little or nothing.
const FIRST: usize = 1024;

/// One of a process's outputs, up to its end.
struct Stream<S> {
    open: Option<S>,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Stream<S> {
    fn new(open: Option<S>) -> Self {
        Self { open, buffer: Vec::with_capacity(FIRST) }
    }

    /// What came; nothing at the end, and then no more.
    async fn read(&mut self) -> &[u8] {
        let Some(open) = &mut self.open else { return std::future::pending().await };
        let was_full = self.buffer.len() == self.buffer.capacity();
        self.buffer.clear();
        if was_full && self.buffer.capacity() < PIECE {
            self.buffer.reserve_exact(2 * self.buffer.capacity());
        }
        match open.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => self.open = None,
            Ok(_) => {}
        }
        &self.buffer
    }
}

async fn follow(mut child: Child, pid: u32, assembler: Assembler, reports: mpsc::Sender<Report>) {
    let (mut stdout, mut stderr) = (Stream::new(child.stdout.take()), Stream::new(child.stderr.take()));
    let mut follower = Follower { assembler, progress: Vec::new(), reports };
    let mut flush_at: Option<Instant> = None;
    let mut status = None;
    let mut linger_until: Option<Instant> = None;
    let far = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365);
    while status.is_none() || stdout.open.is_some() || stderr.open.is_some() {
        tokio::select! {
            biased;
            read = stdout.read(), if stdout.open.is_some() => follower.assembler.push(LogStream::Stdout, read),
            read = stderr.read(), if stderr.open.is_some() => follower.assembler.push(LogStream::Stderr, read),
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.ok());
                linger_until = Some(Instant::now() + LINGER);
            }
            () = sleep_until(flush_at.unwrap_or(far)), if flush_at.is_some() => {
                flush_at = None;
                follower.flush(true, false).await;
            }
            () = sleep_until(linger_until.unwrap_or(far)), if linger_until.is_some() => {
                // What the process left in its group keeps our pipes open: its attempt is over, so is theirs.
                linger_until = None;
                platform::signal_group(pid, Signal::Kill);
                if !platform::group_alive(pid) {
                    // It left the group: stop listening; the sweep of the step's marker ends it.
                    stdout.open = None;
                    stderr.open = None;
                } else {
                    linger_until = Some(Instant::now() + LINGER);
                }
            }
        }
        if follower.assembler.waiting() >= PIECE {
            let partial = follower.assembler.waiting() >= 2 * PIECE;
            follower.flush(partial, false).await;
            flush_at = None;
        }
        if follower.assembler.waiting() > 0 && flush_at.is_none() {
            flush_at = Some(Instant::now() + DELAY);
        }
    }
    follower.flush(true, true).await;
    platform::signal_group(pid, Signal::Kill);
    let status = status.flatten();
    #[cfg(unix)]
    let signal = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
    #[cfg(not(unix))]
    let signal = None;
    let exit = Exit { code: status.and_then(|status| status.code()), signal, dropped: follower.assembler.dropped() };
    follower.reports.send(Report::Exited(exit)).await.ok();
}
