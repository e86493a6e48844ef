//! The rehearsal agent: a script plays a coding agent. It speaks the real protocol and really writes files and runs
//! commands, but no model is behind it, and it says so: its name is [`NAME`].
//!
//! It is for the first run without any account, for demonstrations and for tests. It speaks through the connection of the
//! official crate, so that what [`crate::Session`] sends is read by code that is not ours.
//!
//! ```yaml
//! chunk_ms: 15                    # between words of what it says; a scene may have its own
//! scenes:                         # a prompt plays the first that fits and has times left; else the last that fits
//!   - when: tests                 # in the prompt's text; `/.../` is a regular expression; left out: any prompt
//!     times: 1
//!     do:
//!       - think: A first attempt.
//!       - plan: [Write the file, { text: Check it, status: pending }]
//!       - write: { path: a.txt, text: "one\n" }
//!       - ask: { title: Run the tests, kind: execute, then: [{ run: { command: make test } }] }
//!       - usage: { input: 1200, output: 300, usd: 0.01 }
//!       - say: Done.
//! ```

mod agent;
mod builtin;
mod instance;
mod play;
mod script;
mod state;

use std::path::PathBuf;

use futures_util::{sink, stream};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

pub use script::{Action, Ask, Change, Edit, Fail, Place, PlanLine, Run, Scene, Script, ScriptError, Used};

/// What the rehearsal agent calls itself.
pub const NAME: &str = "rehearsal";
/// Names the folder in which sessions are kept so that they can be resumed.
pub const STATE: &str = "SIGNALBOX_REHEARSAL_STATE";

/// Why the rehearsal agent stopped before its client did.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the client failed: {0}")]
pub struct Broken(String);

/// Plays an agent over these streams until `input` ends. Without a script any prompt is answered sensibly: it says what
/// it would do, makes a plan, writes a file, and answers a JSON Schema with an instance of it.
///
/// # Errors
/// If the connection breaks.
pub async fn run(
    script: Option<Script>,
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> Result<(), Broken> {
    run_in(script, state_folder(), input, output).await
}

/// As [`run`], with the folder in which sessions are kept; none: they cannot be resumed.
///
/// # Errors
/// If the connection breaks.
pub async fn run_in(
    script: Option<Script>,
    state: Option<PathBuf>,
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> Result<(), Broken> {
    let lines = stream::unfold(BufReader::new(input), |mut input| async move {
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(String::from_utf8_lossy(&line).trim().to_owned()), input)),
            Err(error) => Some((Err(error), input)),
        }
    });
    let sink = sink::unfold(output, |mut output, line: String| async move {
        output.write_all(format!("{line}\n").as_bytes()).await?;
        output.flush().await?;
        Ok::<_, std::io::Error>(output)
    });
    let transport = agent_client_protocol::Lines::new(Box::pin(sink), Box::pin(lines));
    agent::serve(script, state, transport).await.map_err(|error| Broken(error.to_string()))
}

/// As [`run`], over this process's standard input and output.
///
/// # Errors
/// If the connection breaks.
pub async fn run_stdio(script: Option<Script>) -> Result<(), Broken> {
    run(script, tokio::io::stdin(), tokio::io::stdout()).await
}

fn state_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let local = || named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    named(STATE).or_else(|| Some(local()?.join("signalbox/rehearsal")))
}
