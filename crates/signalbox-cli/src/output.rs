//! Printing that ends quietly when nobody reads any more.

use std::io::{IsTerminal, Write};

/// Prints a line. A closed pipe (`| head`) ends the process as it ends every other tool.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Whether a person sees standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Text of others for a terminal: without control characters, which could pretend to be something else.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
