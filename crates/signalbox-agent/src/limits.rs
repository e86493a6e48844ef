//! How much is kept of what an agent sends. Nothing that it does makes this crate hold more.

/// Longest line of the protocol that is read, in bytes. One agent sends lines of half a megabyte in every session.
pub const LINE: usize = 16 * 1024 * 1024;
/// Longest line that [`crate::Update::Raw`] hands on, in bytes.
pub const RAW: usize = 64 * 1024;
/// Longest piece of text that is handed on at once, in bytes.
pub const TEXT: usize = 16 * 1024;
/// Bytes kept of what a tool was called with.
pub const INPUT: usize = 16 * 1024;
/// Bytes kept of what a tool printed: the last ones.
pub const OUTPUT: usize = 16 * 1024;
/// Bytes kept of each side of a change.
pub const DIFF: usize = 16 * 1024;
/// Bytes kept of all changes of one tool call.
pub const DIFFS: usize = 256 * 1024;
/// Longest title, name, id, path or word, in bytes.
pub const WORD: usize = 2048;
/// Places, choices, options or plan entries kept of one list.
pub const LIST: usize = 256;
/// Tool calls that are remembered. Beyond that the oldest are forgotten; one that is open is closed first.
pub const CALLS: usize = 512;
/// Questions that may be open at once. The agent is told that one beyond is cancelled.
pub const QUESTIONS: usize = 64;

/// The beginning of a text that may be too long.
pub(crate) fn head(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The end of a text that may be too long.
pub(crate) fn tail(text: &str, limit: usize) -> &str {
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// A word that may be too long.
pub(crate) fn word(text: &str) -> String {
    head(text, WORD).to_owned()
}
