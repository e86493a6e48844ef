//! This program as the rehearsal agent: whatever program holds a host can play it.

use std::path::Path;

use signalbox_agent::rehearsal::{self, Script};

/// Plays the rehearsal agent over standard input and output until the input ends. Without a script, `REHEARSAL_SCRIPT`
/// may name one; without that any prompt is answered sensibly.
///
/// # Errors
/// If the script cannot be read, or is none; or if the connection breaks.
pub async fn play(script: Option<&Path>) -> Result<(), String> {
    let named = std::env::var_os("REHEARSAL_SCRIPT").filter(|path| !path.is_empty());
    // A script that a workflow names for all its steps may be missing in some projects: the built-in one plays then.
    let path =
        script.map(Path::to_owned).or_else(|| named.map(Into::into).filter(|path: &std::path::PathBuf| path.exists()));
    let script = match path {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("the script {} cannot be read: {error}", path.display()))?;
            Some(Script::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    rehearsal::run(script, tokio::io::stdin(), tokio::io::stdout()).await.map_err(|error| error.to_string())
}
