//! What an agent has us do for it, if that is offered: files of its folder, and commands.
//!
//! Nothing here gives an agent more than its own process has; it takes less: only text files within its folder, nothing of
//! git's, and commands that carry the session's marker, so that they end with it. Each request has a task of its own,
//! because a command may take long; the number of both is bounded.

mod files;
mod terminals;

use std::{path::PathBuf, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use signalbox_process::Masker;
use tokio::{sync::mpsc, time::Instant};

use super::{Config, link::Link, messages};
use terminals::Terminals;

/// Requests that may be under way at once. More are refused.
const UNDER_WAY: usize = 64;
/// News of commands that may wait for the pump. Past it their output waits.
const NEWS: usize = 64;

/// JSON-RPC 2.0, section 5.1.
const BAD_PARAMS: i64 = -32602;
/// JSON-RPC 2.0, section 5.1.
const INTERNAL: i64 = -32603;
/// The Agent Client Protocol's code for what is not there.
const NOT_FOUND: i64 = -32002;

/// Why a request is refused: a code and a sentence for the agent.
pub(super) struct No {
    code: i64,
    message: String,
}

impl No {
    fn params(message: impl Into<String>) -> Self {
        Self { code: BAD_PARAMS, message: message.into() }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self { code: INTERNAL, message: message.into() }
    }

    fn not_found() -> Self {
        // These words, since some agents compare them.
        Self { code: NOT_FOUND, message: "Resource not found".into() }
    }
}

/// News of a command, for those who look at the tool call that shows it.
pub(super) enum News {
    /// It printed something.
    Output {
        /// Which terminal.
        terminal: String,
        /// What.
        text: String,
    },
    /// It ended.
    Ended {
        /// Which terminal.
        terminal: String,
        /// Its exit code; none: a signal ended it.
        code: Option<i32>,
    },
}

/// Takes the requests of one session.
pub(super) struct Errands {
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<Link>,
    folder: PathBuf,
    env: Vec<(String, String)>,
    marker: String,
    masker: Masker,
    terminals: Terminals,
    news: mpsc::Sender<News>,
}

/// Counts a request as under way, which is a sign that the agent waits for us.
struct UnderWay(Arc<Link>);

impl UnderWay {
    fn begin(link: &Arc<Link>) -> Option<Self> {
        let mut state = link.state();
        if state.errands >= UNDER_WAY {
            return None;
        }
        state.errands += 1;
        Some(Self(Arc::clone(link)))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.errands -= 1;
        state.heard = Instant::now();
    }
}

impl Errands {
    pub(super) fn new(config: &Config, link: &Arc<Link>) -> (Self, mpsc::Receiver<News>) {
        let (news, received) = mpsc::channel(NEWS);
        let shared = Shared {
            link: Arc::clone(link),
            folder: config.folder.clone(),
            env: config.env.clone(),
            marker: config.marker.clone(),
            masker: config.masker.clone(),
            terminals: Terminals::default(),
            news,
        };
        (Self { shared: Arc::new(shared) }, received)
    }

    /// Does what was asked, some time later, and answers.
    pub(super) fn take(&self, request: Value, method: String, params: Value) {
        let Some(under_way) = UnderWay::begin(&self.shared.link) else {
            let no = No::failed(format!("more than {UNDER_WAY} requests are under way: wait for some to be answered"));
            self.shared.link.send_now(refusal(&request, &no));
            return;
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let line = match shared.answer(&method, params).await {
                Ok(result) => json!({"jsonrpc": "2.0", "id": request, "result": result}).to_string(),
                Err(no) => refusal(&request, &no),
            };
            shared.link.send(line).await;
            drop(under_way);
        });
    }
}

fn refusal(request: &Value, no: &No) -> String {
    json!({"jsonrpc": "2.0", "id": request, "error": {"code": no.code, "message": no.message}}).to_string()
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, No> {
    serde_json::from_value(params).map_err(|error| No::params(format!("Invalid params: {error}")))
}

fn written(answer: &impl Serialize) -> Result<Value, No> {
    serde_json::to_value(answer).map_err(|error| No::failed(error.to_string()))
}

impl Shared {
    async fn answer(self: &Arc<Self>, method: &str, params: Value) -> Result<Value, No> {
        let names = messages::CLIENT_METHODS;
        if method == names.fs_read_text_file {
            let (folder, wanted) = (self.folder.clone(), read(params)?);
            return blocking(move || files::read(&folder, &wanted)).await.and_then(|answer| written(&answer));
        }
        if method == names.fs_write_text_file {
            let (folder, wanted) = (self.folder.clone(), read(params)?);
            return blocking(move || files::write(&folder, &wanted)).await.and_then(|answer| written(&answer));
        }
        if method == names.terminal_create {
            return written(&self.create(read(params)?)?);
        }
        if method == names.terminal_output {
            return written(&self.terminals.output(&read(params)?)?);
        }
        if method == names.terminal_wait_for_exit {
            return written(&self.terminals.wait(&read(params)?).await?);
        }
        if method == names.terminal_kill {
            return written(&self.terminals.kill(&read(params)?)?);
        }
        if method == names.terminal_release {
            return written(&self.terminals.release(&read(params)?)?);
        }
        Err(No { code: -32601, message: format!("Method not found: {method}") })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, No> + Send + 'static) -> Result<T, No> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(No::failed(error.to_string())))
}
