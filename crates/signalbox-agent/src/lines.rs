//! Lines of the protocol out of a stream of bytes: lossy in encoding, bounded in length.

use serde_json::Value;

use crate::limits::{LINE, RAW};

/// A line, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its end. Bytes that are no UTF-8 became U+FFFD.
    Whole(String),
    /// A line over the limit: its beginning, and how long it was.
    TooLong {
        /// Its first [`RAW`] bytes.
        head: String,
        /// Bytes that it had.
        bytes: u64,
    },
}

/// Cuts a stream into lines. Holds at most `limit` bytes.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes of the present line that were thrown away.
    dropped: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(LINE)
    }
}

impl Lines {
    /// `limit` is the longest line in bytes, at least 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), buffer: Vec::new(), dropped: 0 }
    }

    /// Takes bytes as they were read, and hands each line that ends in them to `each`.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line)) {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..at]);
            bytes = &bytes[at + 1..];
            if let Some(line) = self.take() {
                each(line);
            }
        }
        self.keep(bytes);
    }

    /// What stands after the last line end, when nothing follows.
    pub fn finish(&mut self) -> Option<Line> {
        self.take()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.dropped == 0 && self.buffer.len() + bytes.len() <= self.limit {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        let kept = self.buffer.len() as u64;
        let room = RAW.min(self.limit).saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..room]);
        self.buffer.truncate(RAW.min(self.limit));
        self.buffer.shrink_to(RAW);
        self.dropped += kept + bytes.len() as u64 - self.buffer.len() as u64;
    }

    fn take(&mut self) -> Option<Line> {
        let dropped = std::mem::take(&mut self.dropped);
        let mut bytes = std::mem::take(&mut self.buffer);
        if dropped > 0 {
            let length = bytes.len() as u64 + dropped;
            return Some(Line::TooLong { head: String::from_utf8_lossy(&bytes).into_owned(), bytes: length });
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        Some(Line::Whole(
            String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
        ))
    }
}

/// What the beginning of a line that was cut off says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    /// Its `id`.
    pub id: Option<Value>,
    /// Its `method`.
    pub method: Option<String>,
}

impl Head {
    /// Reads the first members of a JSON object, as far as they are scalars and nothing is cut off.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut head = Self::default();
        let Some(mut rest) = text.trim_start().strip_prefix('{') else { return head };
        loop {
            let Some((Value::String(name), after)) = value(rest) else { return head };
            let Some(after) = after.trim_start().strip_prefix(':') else { return head };
            let Some((member, after)) = value(after) else { return head };
            match (name.as_str(), member) {
                ("id", id @ (Value::Number(_) | Value::String(_))) => head.id = Some(id),
                ("method", Value::String(method)) => head.method = Some(method),
                _ => {}
            }
            let Some(after) = after.trim_start().strip_prefix(',') else { return head };
            rest = after;
        }
    }
}

/// The JSON value at the beginning of the text, and what follows it.
fn value(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let first = values.next()?.ok()?;
    let end = values.byte_offset();
    Some((first, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit: usize, parts: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut got) = (Lines::new(limit), Vec::new());
        for part in parts {
            lines.push(part, |line| got.push(line));
        }
        got.extend(lines.finish());
        got
    }

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let text = "one\r\n\n  \ntwo \u{e4}\nlast".as_bytes();
        let whole: Vec<Line> = ["one", "two \u{e4}", "last"].map(|line| Line::Whole(line.to_owned())).to_vec();
        for cut in 0..text.len() {
            assert_eq!(lines(100, &[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn bad_bytes_become_replacement_characters() {
        assert_eq!(lines(100, &[b"a\xff\xfeb\n"]), [Line::Whole("a\u{fffd}\u{fffd}b".to_owned())]);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_is_not() {
        for size in 1..12 {
            let text = b"0123456789\nok\n";
            let parts: Vec<&[u8]> = text.chunks(size).collect();
            let head = "0123".to_owned();
            assert_eq!(lines(4, &parts), [Line::TooLong { head, bytes: 10 }, Line::Whole("ok".to_owned())], "{size}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_held() {
        let mut lines = Lines::new(1 << 20);
        for _ in 0..1000 {
            lines.push(&[b'x'; 65536], |_| {});
            assert!(lines.buffer.capacity() <= 2 << 20);
        }
        let Some(Line::TooLong { head, bytes }) = lines.finish() else { panic!("not cut") };
        assert_eq!((head.len(), bytes), (RAW, 65_536_000));
    }

    #[test]
    fn the_head_of_a_cut_line_tells_what_it_is() {
        let answer = Head::of(r#"{"jsonrpc":"2.0","id":7,"result":{"text":"aaaa"#);
        assert_eq!(answer, Head { id: Some(7.into()), method: None });
        let request = Head::of(r#"{"id":"x","jsonrpc":"2.0","method":"a/b","params":{"id":5"#);
        assert_eq!(request, Head { id: Some("x".into()), method: Some("a/b".into()) });
        assert_eq!(Head::of("[1"), Head::default());
        assert_eq!(Head::of(r#"{"result":"aaa"#), Head::default());
    }
}
