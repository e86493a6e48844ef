//! Printing that outlives its reader.

use std::{
    io::{ErrorKind, IsTerminal, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::End;

/// Says something to the person, on standard error; that nobody listens is no reason to stop.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        // Whole: standard error has no buffer, and would be called for each piece.
        let mut line = format!($($text)*);
        line.push('\n');
        std::io::stderr().lock().write_all(line.as_bytes()).ok();
    }};
}
pub(crate) use note;

/// Nobody reads standard output any more.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// Why something could not be printed, other than that.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Prints a line. Once nobody reads any more (`| head`) nothing is printed, and what was begun goes on to its end:
/// a process that is the host of a run must not vanish with its reader.
pub(crate) fn line(text: &str) {
    if CLOSED.load(Ordering::Relaxed) {
        return;
    }
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        CLOSED.store(true, Ordering::Relaxed);
        if error.kind() != ErrorKind::BrokenPipe {
            *FAILED.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
        }
    }
}

/// Whether nobody reads standard output any more: a command that only prints may end.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// How a command ended that ended so: what could not be printed counts, a reader who has seen enough does not.
pub(crate) fn checked(end: End) -> End {
    match FAILED.lock().unwrap_or_else(|e| e.into_inner()).take() {
        Some(error) if end == End::Success => {
            note!("signalbox: not everything could be printed: {error}");
            End::Failed
        }
        _ => end,
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
