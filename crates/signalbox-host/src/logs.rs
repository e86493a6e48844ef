//! What steps printed, in pages and by words.

use signalbox_model::{RunId, RunStatus, StepKey};
use signalbox_store::{LogLines, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{BlobRead, BlobText, LogLine, LogMatches, LogPage, RunLog, RunLogSearch},
};

use crate::{
    Host,
    handlers::{Reply, bounded, stored},
};

impl Host {
    fn step_attempt(&self, run: &RunId, step: &StepKey, attempt: Option<u32>) -> Reply<u32> {
        match attempt {
            Some(attempt) => Ok(attempt),
            None => self.read(|reader| reader.last_logged_attempt(run, step)).map(|last| last.max(1)),
        }
    }

    pub(crate) async fn log_page(&self, caller: &Caller, params: RunLog) -> Reply<LogPage> {
        let run = self.visible_run(caller, &params.run)?;
        let step = self.known_step(&params.run, &params.step)?;
        let limit = bounded(params.limit, 1000, 5000)?;
        let attempt = self.step_attempt(&params.run, &params.step, params.attempt)?;
        let live = run.status != RunStatus::Done && step.status != signalbox_model::StepStatus::Done;
        let host = self.clone();
        let read = move || {
            host.read(|reader| {
                let index = reader.log_index(&params.run, &params.step, attempt)?;
                let from = params.offset.map_or_else(|| index.lines.saturating_sub(limit as u64), stored);
                let (mut lines, mut bytes) = (Vec::new(), 0);
                reader.walk_log(&params.run, &params.step, attempt, from, |line| {
                    bytes += line.text.len();
                    lines.push(log_line(line));
                    lines.len() < limit && bytes < 4 * 1024 * 1024
                })?;
                Ok(LogPage { attempt, lines, total_lines: index.lines, total_bytes: index.bytes, live })
            })
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(CallError::new(ErrorCode::Unavailable, "the host is stopping")))
    }

    /// The content of a blob: it belongs to whoever may see one of the projects that name it.
    ///
    /// # Errors
    /// `not_found`, also for one that is there but not for this caller.
    pub async fn blob(&self, caller: &Caller, hash: &str) -> Result<Vec<u8>, CallError> {
        let (host, caller, wanted) = (self.clone(), caller.clone(), hash.to_owned());
        let read = move || -> Result<Option<Vec<u8>>, StoreError> {
            let store = host.store();
            let projects = store.read(|reader| reader.projects_of_blob(&wanted))?;
            if !projects.iter().any(|project| caller.sees(project)) || !host.holds(&caller) {
                return Ok(None);
            }
            Ok(store.blobs().get(&wanted).ok())
        };
        let content = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).flatten();
        content.ok_or_else(|| CallError::not_found("blob", hash.chars().take(64).collect::<String>()))
    }

    pub(crate) async fn blob_page(&self, caller: &Caller, params: BlobRead) -> Reply<BlobText> {
        const PAGE: u32 = 256 * 1024;
        let limit = bounded(params.limit, PAGE, PAGE)?.max(4);
        let content = self.blob(caller, &params.hash).await?;
        let from = usize::try_from(params.offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let (text, next) = text_page(&content, from, limit);
        Ok(BlobText { text, bytes: content.len() as u64, next: next.map(|next| next as u64) })
    }

    pub(crate) async fn search_log(&self, caller: &Caller, params: RunLogSearch) -> Reply<LogMatches> {
        self.visible_run(caller, &params.run)?;
        self.known_step(&params.run, &params.step)?;
        if params.query.is_empty() || params.query.len() > 200 {
            return Err(CallError::bad_request("query must have 1 to 200 bytes"));
        }
        let limit = bounded(params.limit, 1000, 10_000)?;
        let attempt = self.step_attempt(&params.run, &params.step, params.attempt)?;
        let host = self.clone();
        let read = move || {
            let exact = params.case_sensitive.unwrap_or(false);
            let wanted = if exact { params.query.clone() } else { params.query.to_lowercase() };
            host.read(|reader| {
                let (mut matches, mut total, mut total_lines) = (Vec::new(), 0, 0);
                reader.walk_log(&params.run, &params.step, attempt, stored(params.from_line.unwrap_or(0)), |line| {
                    total_lines = line.n + 1;
                    let hit =
                        if exact { line.text.contains(&wanted) } else { line.text.to_lowercase().contains(&wanted) };
                    if hit {
                        total += 1;
                        if matches.len() < limit {
                            matches.push(log_line(line));
                        }
                    }
                    true
                })?;
                Ok(LogMatches { attempt, matches, total, total_lines })
            })
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(CallError::new(ErrorCode::Unavailable, "the host is stopping")))
    }
}

fn log_line(line: LogLines) -> LogLine {
    let stream = match line.stream {
        signalbox_model::LogStream::Stdout => "stdout",
        signalbox_model::LogStream::Stderr => "stderr",
        signalbox_model::LogStream::System => "system",
        signalbox_model::LogStream::Protocol => "protocol",
    };
    LogLine { n: line.n, stream: stream.to_owned(), text: line.text, cut: (line.cut > 0).then_some(line.cut) }
}

/// At most `limit` bytes from `from` on, as text, and where the next part begins: never within a letter.
fn text_page(content: &[u8], from: usize, limit: usize) -> (String, Option<usize>) {
    let from = from.min(content.len());
    let mut end = from.saturating_add(limit).min(content.len());
    if end < content.len() {
        // A letter has at most four bytes, of which all but the first look like this (RFC 3629, section 3).
        let whole = (end.saturating_sub(3).max(from + 1)..=end).rev().find(|at| content[*at] & 0xC0 != 0x80);
        end = whole.unwrap_or(end);
    }
    (String::from_utf8_lossy(&content[from..end]).into_owned(), (end < content.len()).then_some(end))
}

#[cfg(test)]
mod tests {
    use super::text_page;

    #[test]
    fn pages_of_a_text_add_up_to_it_whatever_their_size() {
        let text = "aä€😀\n".repeat(7);
        for limit in 4..20 {
            let (mut all, mut at) = (String::new(), Some(0));
            while let Some(from) = at {
                let (page, next) = text_page(text.as_bytes(), from, limit);
                assert!(page.len() <= limit && next.is_none_or(|next| next > from));
                all.push_str(&page);
                at = next;
            }
            assert_eq!(all, text, "{limit}");
        }
        assert_eq!(text_page(b"abc", 9, 4), (String::new(), None));
        assert_eq!(text_page(&[0x80; 9], 0, 4).1, Some(4), "what is no text is cut anywhere");
    }
}
