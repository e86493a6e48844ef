//! What steps printed, in pages and by words.

use signalbox_model::{RunId, RunStatus, StepKey};
use signalbox_store::LogLines;
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{LogLine, LogMatches, LogPage, RunLog, RunLogSearch},
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
