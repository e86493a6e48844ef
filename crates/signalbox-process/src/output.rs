//! From bytes to pieces of text: lines kept whole where possible, counted, masked, bounded.

use signalbox_model::LogStream;

use crate::Masker;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it came from.
    pub stream: LogStream,
    /// Bytes before it.
    pub offset: u64,
    /// Number of its first line, from 0.
    pub line: u64,
    /// Line ends in it.
    pub lines: u64,
    /// The text.
    pub text: String,
}

/// Progress that the process reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// 0 to 1.
    pub value: f64,
    /// What is being done.
    pub text: Option<String>,
}

/// Largest piece in bytes.
pub(crate) const PIECE: usize = 32 * 1024;

/// Output of one attempt, kept up to this many bytes by default. What is beyond is read and dropped, and the log says so.
pub(crate) const KEPT: u64 = 1024 * 1024 * 1024;

/// What one stream has printed and nobody has got yet, in the order in which it is made ready.
#[derive(Default)]
struct Raw {
    /// A character of which the rest is missing.
    bytes: Vec<u8>,
    /// With progress sequences in it.
    text: String,
    /// Without: what may be the beginning of a secret, whatever stood between its letters.
    clean: String,
}

/// Turns what the process prints into pieces. Public for the fuzz targets alone.
pub struct Assembler {
    masker: Masker,
    stdout: Raw,
    stderr: Raw,
    offset: u64,
    line: u64,
    /// The stream whose line is not finished.
    open: Option<LogStream>,
    limit: u64,
    dropped: u64,
}

impl Assembler {
    /// `limit` bytes are kept; `offset` and `line` go on from an earlier log.
    #[must_use]
    pub fn new(masker: Masker, limit: u64, (offset, line): (u64, u64)) -> Self {
        Self { masker, stdout: Raw::default(), stderr: Raw::default(), offset, line, open: None, limit, dropped: 0 }
    }

    fn raw(&mut self, stream: LogStream) -> &mut Raw {
        match stream {
            LogStream::Stderr => &mut self.stderr,
            LogStream::Stdout | LogStream::System | LogStream::Protocol => &mut self.stdout,
        }
    }

    /// Takes bytes as they were read.
    pub fn push(&mut self, stream: LogStream, bytes: &[u8]) {
        let raw = self.raw(stream);
        raw.bytes.extend_from_slice(bytes);
        // All but a cut-off character at the end becomes text; what is no UTF-8 becomes U+FFFD.
        let mut rest = raw.bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    raw.text.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    raw.text.push_str(std::str::from_utf8(good).unwrap_or_default());
                    let Some(length) = error.error_len() else {
                        rest = bad;
                        break;
                    };
                    raw.text.push('\u{fffd}');
                    rest = &bad[length..];
                }
            }
        }
        raw.bytes = rest.to_vec();
    }

    /// Bytes of text that wait.
    pub(crate) fn waiting(&self) -> usize {
        [&self.stdout, &self.stderr].iter().map(|raw| raw.text.len() + raw.clean.len()).sum()
    }

    /// Hands out what waits: whole lines, or everything if `partial`. What may be the beginning of a secret or of an
    /// escape sequence stays unless `last`.
    pub fn take(&mut self, partial: bool, last: bool, progress: &mut Vec<Progress>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let raw = self.raw(stream);
            if last && !raw.bytes.is_empty() {
                raw.bytes.clear();
                raw.text.push('\u{fffd}');
            }
            let (clean, open) = strip_progress(&raw.text, last, progress);
            raw.clean.push_str(&clean);
            raw.text = open.to_owned();
            let end = if partial { raw.clean.len() } else { raw.clean.rfind('\n').map_or(0, |at| at + 1) };
            if end == 0 {
                continue;
            }
            let mut text = std::mem::take(&mut raw.clean);
            if !last {
                let end = end - self.masker.held_back(&text[..end]);
                self.raw(stream).clean = text.split_off(end);
            }
            let text = self.masker.mask(&text);
            self.cut(stream, &text, &mut pieces);
        }
        pieces
    }

    /// A line of our own.
    pub(crate) fn system(&mut self, text: &str) -> Piece {
        let text = format!("{text}\n");
        let mut pieces = Vec::new();
        self.number(LogStream::System, &text, &mut pieces);
        pieces.swap_remove(0)
    }

    fn cut(&mut self, stream: LogStream, text: &str, pieces: &mut Vec<Piece>) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.offset >= self.limit {
                if self.dropped == 0 {
                    let notice = self.system(&format!(
                        "[signalbox] the log of this attempt has reached its limit of {} bytes: further output is dropped",
                        self.limit
                    ));
                    pieces.push(notice);
                }
                self.dropped += rest.len() as u64;
                return;
            }
            let mut end = rest.len().min(PIECE);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            if end < rest.len()
                && let Some(line_end) = rest[..end].rfind('\n')
            {
                end = line_end + 1;
            }
            self.number(stream, &rest[..end], pieces);
            rest = &rest[end..];
        }
    }

    fn number(&mut self, stream: LogStream, text: &str, pieces: &mut Vec<Piece>) {
        // The other stream left a line unfinished: this is a new line all the same.
        if self.open.is_some_and(|open| open != stream) {
            self.line += 1;
        }
        let lines = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        pieces.push(Piece { stream, offset: self.offset, line: self.line, lines, text: text.to_owned() });
        self.offset += text.len() as u64;
        self.line += lines;
        self.open = (!text.ends_with('\n')).then_some(stream);
    }

    /// Bytes that were dropped for the limit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

const OSC_PROGRESS: &str = "\u{1b}]9;4;";
/// Longest body of a progress sequence, in bytes. What is longer is no progress, and shown.
const OSC_BODY: usize = 200;

/// Takes progress sequences (`ESC ] 9 ; 4 ; state ; percent [; text] BEL`, as terminals know them; the text is our
/// own addition; they may end with `ESC \`, or with the next sequence) out of the text. Also gives the end of the text
/// that is an unfinished one, unless nothing will follow.
fn strip_progress<'a>(text: &'a str, last: bool, progress: &mut Vec<Progress>) -> (String, &'a str) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if !last && OSC_PROGRESS.starts_with(rest) {
            return (out, rest);
        }
        let Some(body) = rest.strip_prefix(OSC_PROGRESS) else {
            out.push('\u{1b}');
            rest = &rest[1..];
            continue;
        };
        match body.find(['\u{7}', '\u{1b}']).filter(|end| *end < OSC_BODY) {
            // An ESC is the end, or the first half of it: that depends on what follows.
            Some(end) if !last && body[end..] == *"\u{1b}" => return (out, rest),
            Some(end) => {
                progress.extend(progress_of(&body[..end]));
                let tail = &body[end..];
                rest = tail.strip_prefix('\u{7}').or_else(|| tail.strip_prefix("\u{1b}\\")).unwrap_or(tail);
            }
            None if !last && body.len() < OSC_BODY => return (out, rest),
            None => {
                out.push_str(OSC_PROGRESS);
                rest = body;
            }
        }
    }
    out.push_str(rest);
    (out, "")
}

/// What the body of a sequence says: only state 1 is a percentage.
fn progress_of(body: &str) -> Option<Progress> {
    let mut fields = body.splitn(3, ';');
    let state = fields.next().unwrap_or_default();
    let percent: f64 = fields.next()?.parse().ok()?;
    let text = fields.next().filter(|text| !text.is_empty()).map(str::to_owned);
    (state == "1" && percent.is_finite()).then(|| Progress { value: (percent / 100.0).clamp(0.0, 1.0), text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(assembler: &mut Assembler, progress: &mut Vec<Progress>) -> Vec<Piece> {
        assembler.take(true, true, progress)
    }

    #[test]
    fn streams_that_interrupt_each_other_get_lines_of_their_own() {
        let mut a = Assembler::new(Masker::default(), KEPT, (0, 0));
        let mut p = Vec::new();
        a.push(LogStream::Stdout, b"half");
        let first = a.take(true, false, &mut p);
        a.push(LogStream::Stderr, b"error\n");
        let second = a.take(true, false, &mut p);
        assert_eq!((first[0].line, second[0].line), (0, 1));
        a.push(LogStream::Stdout, b"rest\n");
        assert_eq!(a.take(true, false, &mut p)[0].line, 2);
    }

    #[test]
    fn progress_is_reported_and_not_shown_also_when_cut() {
        let mut a = Assembler::new(Masker::default(), KEPT, (0, 0));
        let mut p = Vec::new();
        let mut shown = String::new();
        for part in ["build\n\u{1b}", "]9;4;1;4", "0;linking\u{7}", "done\n"] {
            a.push(LogStream::Stdout, part.as_bytes());
            shown.extend(a.take(true, false, &mut p).into_iter().map(|piece| piece.text));
        }
        assert_eq!(shown, "build\ndone\n");
        assert_eq!(p, [Progress { value: 0.4, text: Some("linking".into()) }]);
    }

    #[test]
    fn progress_is_taken_out_wherever_its_end_is_cut_and_hides_no_secret() {
        let whole = "a\u{1b}]9;4;1;40\u{1b}\\b sec\u{1b}]9;4;1;50\u{7}ret\n";
        for cut in 0..whole.len() {
            let mut a = Assembler::new(Masker::new(["secret".to_owned()]), KEPT, (0, 0));
            let mut p = Vec::new();
            a.push(LogStream::Stdout, &whole.as_bytes()[..cut]);
            let mut pieces = a.take(true, false, &mut p);
            a.push(LogStream::Stdout, &whole.as_bytes()[cut..]);
            pieces.extend(all(&mut a, &mut p));
            assert_eq!(pieces.into_iter().map(|piece| piece.text).collect::<String>(), "ab ***\n", "cut at {cut}");
            assert_eq!(p.len(), 2);
        }
    }

    #[test]
    fn output_over_the_limit_is_dropped_and_the_log_says_so_once() {
        let mut a = Assembler::new(Masker::default(), 10, (0, 0));
        let mut p = Vec::new();
        a.push(LogStream::Stdout, b"0123456789\n");
        assert_eq!(all(&mut a, &mut p).len(), 1);
        a.push(LogStream::Stdout, b"more\n");
        let notice = all(&mut a, &mut p);
        assert!(notice[0].text.contains("limit of 10 bytes"));
        a.push(LogStream::Stdout, b"more\n");
        assert!(all(&mut a, &mut p).is_empty());
        assert_eq!(a.dropped(), 10);
    }

    proptest! {
        /// However reads are cut: the text is whole, offsets are contiguous, lines are counted.
        #[test]
        fn pieces_add_up(text in "[a-zäß\n]{0,200}", cuts in prop::collection::vec(1usize..20, 0..40)) {
            let mut a = Assembler::new(Masker::default(), KEPT, (0, 0));
            let mut p = Vec::new();
            let (mut pieces, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                a.push(LogStream::Stdout, now);
                pieces.extend(a.take(cut % 2 == 0, false, &mut p));
                rest = later;
            }
            a.push(LogStream::Stdout, rest);
            pieces.extend(all(&mut a, &mut p));
            let (mut offset, mut line) = (0, 0);
            for piece in &pieces {
                prop_assert_eq!((piece.offset, piece.line), (offset, line));
                offset += piece.text.len() as u64;
                line += piece.lines;
            }
            prop_assert_eq!(pieces.into_iter().map(|piece| piece.text).collect::<String>(), text);
        }
    }
}
