//! A session with an agent: its process, what it is told, and what it tells.

mod errands;
mod link;
mod messages;
mod pump;
mod setup;

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use signalbox_model::{Clock, SystemClock};
use signalbox_process::{Masker, Spec, spawn_dialogue};
use tokio::sync::mpsc;

use crate::{
    Failure,
    update::{Info, Outcome, Turn, Update},
};
use link::Link;

/// Lines that may wait to be written to the agent. Past it who wants to say something waits.
const OUTGOING: usize = 256;
/// Pieces of the agent's standard error that may wait. Past it that is not read.
const REPORTS: usize = 32;

/// What to start, and how.
#[derive(Clone)]
pub struct Config {
    /// The agent's name, for what a person reads.
    pub agent: String,
    /// The program and its arguments. It speaks the protocol over its standard input and output.
    pub argv: Vec<OsString>,
    /// Added to this process's environment.
    pub env: Vec<(String, String)>,
    /// The folder that the session works in: absolute.
    pub folder: PathBuf,
    /// Marks every process of the agent; no process of anything else may have the same.
    pub marker: String,
    /// Secret values, masked in everything that comes out.
    pub masker: Masker,
    /// How long to wait for what.
    pub deadlines: Deadlines,
    /// Go on with this session, if the agent can.
    pub resume: Option<String>,
    /// Servers of the Model Context Protocol that the agent may use. Left out if it cannot: see [`Info::mcp_over_http`].
    pub mcp_servers: Vec<McpServer>,
    /// Ways to sign in that need no person, by the agent's ids, best first. Tried only if it wants a sign-in.
    pub sign_in: Vec<String>,
    /// The mode to set, by the agent's id.
    pub mode: Option<String>,
    /// The model to set, by the agent's id.
    pub model: Option<String>,
    /// Other settings, by the agent's ids: id and value.
    pub options: Vec<(String, String)>,
    /// What the agent may have us do for it.
    pub offers: Offers,
    /// For the time at which a usage limit ends.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// An agent with the usual deadlines and nothing else set.
    #[must_use]
    pub fn new(agent: impl Into<String>, argv: Vec<OsString>, folder: PathBuf, marker: impl Into<String>) -> Self {
        Self {
            agent: agent.into(),
            argv,
            env: Vec::new(),
            folder,
            marker: marker.into(),
            masker: Masker::default(),
            deadlines: Deadlines::default(),
            resume: None,
            mcp_servers: Vec::new(),
            sign_in: Vec::new(),
            mode: None,
            model: None,
            options: Vec::new(),
            offers: Offers::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// How long to wait for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For its first answer. Some take 11 s on an idle machine.
    pub initialize: Duration,
    /// For each other answer before the first prompt, and when a mode or a model is set.
    pub session: Duration,
    /// For any sign of life while a prompt is open and neither a tool call nor a question is. None: for ever.
    pub silence: Option<Duration>,
    /// For the end of a turn that was cancelled.
    pub cancel: Duration,
    /// For its end after its standard input was closed.
    pub quit: Duration,
    /// For its end after it was asked to (SIGTERM).
    pub terminate: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            initialize: Duration::from_secs(60),
            session: Duration::from_secs(60),
            silence: Some(Duration::from_secs(15 * 60)),
            cancel: Duration::from_secs(5),
            quit: Duration::from_secs(3),
            terminate: Duration::from_secs(2),
        }
    }
}

/// A server of the Model Context Protocol, over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Its name, as the agent shows it.
    pub name: String,
    /// Where it listens.
    pub url: String,
    /// Sent with every request: name and value. Its secrets belong into [`Config::masker`].
    pub headers: Vec<(String, String)>,
}

/// What an agent may have its client do for it. Nothing, unless somebody says so: the agents that were measured work
/// better by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// Read text files within the session's folder, of at most 8 MiB.
    pub read: bool,
    /// Write text files there, but none of git's.
    pub write: bool,
    /// Run commands. They are processes of the session and end with it.
    pub terminals: bool,
}

impl Offers {
    /// Whether requests of this method are served.
    #[must_use]
    pub fn has(self, method: &str) -> bool {
        let names = messages::CLIENT_METHODS;
        let terminals = [
            names.terminal_create,
            names.terminal_output,
            names.terminal_wait_for_exit,
            names.terminal_kill,
            names.terminal_release,
        ];
        (self.read && method == names.fs_read_text_file)
            || (self.write && method == names.fs_write_text_file)
            || (self.terminals && terminals.contains(&method))
    }
}

/// How an agent's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// What it took.
    pub how: Ending,
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Processes that it had left behind and that were killed.
    pub swept: u32,
    /// Some of those could not be killed.
    pub survivors: bool,
}

/// What it took to end an agent's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It had ended before.
    ByItself,
    /// It ended when its standard input was closed.
    Quit,
    /// It ended when it was asked to.
    Terminated,
    /// It was killed.
    Killed,
}

/// Ends the agent of a session that nobody waits for any more.
struct GivenUp(Option<Arc<Link>>);

impl GivenUp {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.abandon();
        }
    }
}

/// A session with an agent. Clones are handles of the same session; when the last one is dropped, the agent and all that
/// it started are killed.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    config: Config,
    session: String,
    closes: bool,
    set_by: setup::SetBy,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("agent", &self.inner.config.agent)
            .field("id", &self.inner.session)
            .finish()
    }
}

impl Session {
    /// Starts an agent and opens a session with it. What it tells goes to `updates`, in order, from the first line on: it
    /// must be read while this waits, since a full channel stops the reading of the agent.
    ///
    /// # Errors
    /// [`Failure`] if the agent could not be started, gave no answer in time, wants a sign-in or another version of the
    /// protocol, or does not have what is to be set. Nothing of it runs then.
    pub async fn start(config: Config, updates: mpsc::Sender<Update>) -> Result<Self, Failure> {
        setup::check(&config)?;
        let spec = Spec {
            argv: config.argv.clone(),
            dir: config.folder.clone(),
            env: config.env.clone(),
            marker: config.marker.clone(),
            masker: config.masker.clone(),
            limit: None,
            log_so_far: (0, 0),
        };
        let (reports, news) = mpsc::channel(REPORTS);
        let dialogue = spawn_dialogue(spec, reports).map_err(|error| setup::not_started(&config, &error))?;
        let link = pump::start(&config, dialogue, news, updates);
        // Whoever gives this up in the middle leaves no process behind.
        let given_up = GivenUp(Some(Arc::clone(&link)));
        let opened = setup::open(&link, &config).await;
        given_up.not();
        match opened {
            Ok(opened) => {
                let inner =
                    Inner { link, config, session: opened.session, closes: opened.closes, set_by: opened.set_by };
                Ok(Self { inner: Arc::new(inner) })
            }
            Err(failure) => {
                link.abandon();
                link.ended().await;
                Err(failure.with_stderr(&link.stderr()))
            }
        }
    }

    /// The agent's own id of the session, by which it can be resumed.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.session
    }

    /// What is known of the agent and its session now.
    #[must_use]
    pub fn info(&self) -> Info {
        self.inner.link.info()
    }

    /// Tells the agent something and waits for the end of its turn. All updates of the turn are in the channel before
    /// this returns. One prompt at a time.
    ///
    /// # Errors
    /// [`Failure`] if the agent answers with an error, falls silent, breaks the protocol or ends.
    pub async fn prompt(&self, text: &str) -> Result<Turn, Failure> {
        let Inner { link, config, session, .. } = &*self.inner;
        link.prompt(messages::prompt(session, text), session, config.deadlines)
            .await
            .map_err(|failure| failure.with_stderr(&link.stderr()))
    }

    /// Asks the agent to end its turn, and answers each open question as cancelled. [`Session::prompt`] returns when the
    /// turn has ended, at the latest after [`Deadlines::cancel`].
    pub async fn cancel(&self) {
        self.inner.link.cancel(&self.inner.session).await;
    }

    /// Answers a question. Returns whether it was still open.
    pub async fn answer(&self, question: &str, outcome: &Outcome) -> bool {
        self.inner.link.answer(question, outcome).await
    }

    /// Sets the mode, by the agent's id.
    ///
    /// # Errors
    /// [`Failure`] if the agent does not have it, or does not answer.
    pub async fn set_mode(&self, mode: &str) -> Result<(), Failure> {
        let Inner { link, config, session, set_by, .. } = &*self.inner;
        setup::set_mode(link, config, session, set_by, mode).await
    }

    /// Sets the model, by the agent's id.
    ///
    /// # Errors
    /// [`Failure`] if the agent does not take it, or does not answer.
    pub async fn set_model(&self, model: &str) -> Result<(), Failure> {
        let Inner { link, config, session, set_by, .. } = &*self.inner;
        setup::set_model(link, config, session, set_by, model).await
    }

    /// Sets something else that the agent offers ([`Info::settings`]).
    ///
    /// # Errors
    /// [`Failure`] if the agent does not take it, or does not answer.
    pub async fn set_option(&self, option: &str, value: &str) -> Result<(), Failure> {
        let Inner { link, config, session, .. } = &*self.inner;
        setup::set_option(link, config, session, option, value).await
    }

    /// Ends the agent: cancels its turn, closes the session if the agent wants to hear of that, closes its standard input,
    /// asks its group to end, kills it, each of the last three only if what came before did not do; then kills whatever it
    /// left behind. May be called again: the answer is the same.
    pub async fn close(&self) -> Closed {
        let Inner { link, config, session, closes, .. } = &*self.inner;
        link.close(session, *closes, config.deadlines).await
    }

    /// Waits until the agent's process has ended, by itself or not, and all its updates are in the channel.
    pub async fn ended(&self) {
        self.inner.link.ended().await;
    }
}
