//! The text of a step's log, by line, put together from its pieces.

use rusqlite::params;
use signalbox_model::{LogChunk, LogStream, RunId, StepKey};

use crate::{Reader, StoreError};

/// Longest text given for one line, in bytes; the rest is counted.
const LINE_BYTES: usize = 16 * 1024;

/// How much there is of an attempt's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogIndex {
    /// Lines, an unfinished last one included.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLines {
    /// Its number, from 0.
    pub n: u64,
    /// Where it came from.
    pub stream: LogStream,
    /// Its text without the line's end, at most 16 KiB.
    pub text: String,
    /// Bytes left out at its end.
    pub cut: u64,
}

/// Puts pieces together to lines and hands each finished one on.
struct Assembler<F> {
    n: u64,
    stream: LogStream,
    text: String,
    cut: u64,
    open: bool,
    emit: F,
}

impl<F: FnMut(LogLines) -> bool> Assembler<F> {
    fn end_line(&mut self) -> bool {
        let text = std::mem::take(&mut self.text);
        let more = (self.emit)(LogLines { n: self.n, stream: self.stream, text, cut: std::mem::take(&mut self.cut) });
        self.n += 1;
        self.open = false;
        more
    }

    fn add(&mut self, text: &str) {
        self.open = true;
        let mut room = LINE_BYTES.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&text[..room]);
        self.cut += (text.len() - room) as u64;
    }

    /// Returns whether more is wanted.
    fn piece(&mut self, first_line: u64, stream: LogStream, text: &str) -> bool {
        if self.open && first_line > self.n && !self.end_line() {
            return false;
        }
        self.n = self.n.max(first_line);
        if !self.open {
            self.stream = stream;
        }
        let mut rest = text;
        while let Some(end) = rest.find('\n') {
            self.add(&rest[..end]);
            if !self.end_line() {
                return false;
            }
            self.stream = stream;
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            self.add(rest);
        }
        true
    }
}

impl Reader<'_> {
    /// The newest attempt that printed something; 0 for none.
    ///
    /// # Errors
    /// If the database cannot be read; so for every method here.
    pub fn last_logged_attempt(&self, run: &RunId, step: &StepKey) -> Result<u32, StoreError> {
        let last: Option<u32> = self
            .connection()
            .prepare_cached("SELECT max(attempt) FROM chunks WHERE run = ?1 AND step = ?2")?
            .query_row(params![run.as_str(), step.as_str()], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// How much there is of an attempt's log.
    pub fn log_index(&self, run: &RunId, step: &StepKey, attempt: u32) -> Result<LogIndex, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT line, lines, offset, bytes, seq FROM chunks WHERE run = ?1 AND step = ?2 AND attempt = ?3
             ORDER BY line DESC, offset DESC LIMIT 1",
        )?;
        let mut rows = statement.query(params![run.as_str(), step.as_str(), attempt])?;
        let Some(row) = rows.next()? else { return Ok(LogIndex::default()) };
        let (line, lines, offset, bytes, seq): (u64, u64, u64, u64, u64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let unfinished = !self.chunk_text(seq)?.1.ends_with('\n');
        Ok(LogIndex { lines: line + lines + u64::from(unfinished), bytes: offset + bytes })
    }

    fn chunk_text(&self, seq: u64) -> Result<(LogChunk, String), StoreError> {
        let data: String = self
            .connection()
            .prepare_cached("SELECT data FROM events WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))?;
        let mut chunk: LogChunk = serde_json::from_str(&data)?;
        let text = match &chunk.blob {
            None => std::mem::take(&mut chunk.text),
            Some(blob) => match self.blobs().get(&blob.hash) {
                Ok(content) => String::from_utf8_lossy(&content).into_owned(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // A deleted file must not take the rest of the log with it.
                    let mut text = format!("[{} bytes of output are missing: their file was deleted]", blob.bytes);
                    text.extend(std::iter::repeat_n('\n', usize::try_from(chunk.lines.max(1)).unwrap_or(1)));
                    text
                }
                Err(error) => return Err(error.into()),
            },
        };
        Ok((chunk, text))
    }

    /// Walks an attempt's log from line `from` on, until `emit` returns false.
    pub fn walk_log(
        &self,
        run: &RunId,
        step: &StepKey,
        attempt: u32,
        from: u64,
        mut emit: impl FnMut(LogLines) -> bool,
    ) -> Result<(), StoreError> {
        let key = params![run.as_str(), step.as_str(), attempt, from];
        // A line may begin in an earlier piece: the last one that starts before it.
        let start: Option<u64> = self
            .connection()
            .prepare_cached(
                "SELECT max(line) FROM chunks WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND line < max(?4, 1)",
            )?
            .query_row(key, |row| row.get(0))?;
        let mut statement = self.connection().prepare_cached(
            "SELECT seq FROM chunks WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND line >= ?4 ORDER BY line, offset",
        )?;
        let mut rows = statement.query(params![run.as_str(), step.as_str(), attempt, start.unwrap_or(0)])?;
        let mut assembler = Assembler {
            n: start.unwrap_or(0),
            stream: LogStream::Stdout,
            text: String::new(),
            cut: 0,
            open: false,
            emit: |line: LogLines| line.n < from || emit(line),
        };
        while let Some(row) = rows.next()? {
            let (chunk, text) = self.chunk_text(row.get(0)?)?;
            if !assembler.piece(chunk.line, chunk.stream, &text) {
                return Ok(());
            }
        }
        if assembler.open {
            assembler.end_line();
        }
        Ok(())
    }

    /// The last pieces of an attempt's log, at most `bytes` of text and at least one, oldest first.
    pub fn log_tail(&self, run: &RunId, step: &StepKey, attempt: u32, bytes: u64) -> Result<Vec<LogChunk>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT seq FROM chunks WHERE run = ?1 AND step = ?2 AND attempt = ?3 ORDER BY line DESC, offset DESC",
        )?;
        let mut rows = statement.query(params![run.as_str(), step.as_str(), attempt])?;
        let mut chunks = Vec::new();
        let mut taken = 0u64;
        while let Some(row) = rows.next()? {
            let data: String = self
                .connection()
                .prepare_cached("SELECT data FROM events WHERE seq = ?1")?
                .query_row([row.get::<_, u64>(0)?], |row| row.get(0))?;
            let chunk: LogChunk = serde_json::from_str(&data)?;
            taken += chunk.text.len() as u64;
            if taken > bytes && !chunks.is_empty() {
                break;
            }
            chunks.push(chunk);
        }
        chunks.reverse();
        Ok(chunks)
    }
}
