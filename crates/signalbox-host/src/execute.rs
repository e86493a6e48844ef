//! Doing the work of a step: processes, checks, notifications.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use serde_json::Value;
use signalbox_engine::{Input, Outcome, StepAt};
use signalbox_model::{
    Activity, Actor, BlobRef, Clock, EventData, LogChunk, NewEvent, Priority, ProjectId, Risk, RiskState, Room,
    Severity, StepKey, StopKind, VerifyResult,
};
use signalbox_process::{Exit, Handle, Masker, Piece, Report, Spec, end_all, leftovers, spawn_within};
use signalbox_store::{Batch, Store};
use signalbox_workflow::{definition::DiffRule, plan::Check};
use tokio::sync::{mpsc, watch};

use crate::{
    agents::{Services, workspace::Place},
    files::{collect_artifacts, matches_path, within},
    script::{Draft, Script},
};

/// Pieces longer than this go into a blob; the event keeps the beginning.
const INLINE: usize = 16 * 1024;
const PREVIEW: usize = 2 * 1024;
/// Reports of one process that may wait to be stored. Past it the process's output is not read.
const REPORTS: usize = 32;
/// Largest file of outputs, in bytes.
const OUTPUT_FILE: u64 = 1024 * 1024;

/// How much somebody wants a step to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    No,
    Terminate,
    Kill,
}

/// What a step's task needs.
pub(crate) struct Job {
    pub(crate) at: StepAt,
    pub(crate) attempt: u32,
    pub(crate) key: StepKey,
    pub(crate) project: ProjectId,
    pub(crate) folder: PathBuf,
    pub(crate) marker: String,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: watch::Receiver<Stop>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) log_limit: u64,
    /// Whether the engine wants to know of signs of life.
    pub(crate) watched: bool,
}

impl Job {
    pub(crate) async fn tell(&self, input: Input) {
        // The engine is gone only when the host stops: then the next start settles what this step was.
        self.inputs.send(input).await.ok();
    }

    /// An event of the run's room.
    pub(crate) fn of_run(&self, data: EventData) -> NewEvent {
        NewEvent::new(Room::Run(self.at.run.clone()), Actor::engine(), data)
    }

    /// An event of the project's room.
    pub(crate) fn of_project(&self, data: EventData) -> NewEvent {
        NewEvent::new(Room::Project(self.project.clone()), Actor::engine(), data)
    }

    pub(crate) fn key_and_attempt(&self) -> (StepKey, u32) {
        (self.key.clone(), self.attempt)
    }

    async fn append(&self, event: NewEvent) {
        self.append_all(vec![event]).await;
    }

    /// Appends events about the step, as one unit.
    pub(crate) async fn append_all(&self, events: Vec<NewEvent>) {
        if events.is_empty() {
            return;
        }
        let about = |event: NewEvent| event.of_run(self.at.run.clone()).of_step(self.key.clone());
        let events: Vec<NewEvent> = events.into_iter().map(about).collect();
        let mut wait = Duration::from_millis(200);
        // What was read from the process is nowhere else: keep it until it can be stored.
        loop {
            match self.store.append(Batch::of(events.clone())).await {
                Ok(_) => return,
                Err(error) if error.is_transient() => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                Err(error) => {
                    tracing::error!(%error, step = %self.key, "what a step did could not be stored");
                    return;
                }
            }
        }
    }

    /// A risk of this step. Raised again it is the same.
    pub(crate) fn risk(&self, kind: &str, severity: Severity, title: String, evidence: &str, advice: &str) -> Risk {
        Risk {
            id: format!("{kind}/{}/{}", self.at.run, self.key),
            project: self.project.clone(),
            kind: kind.to_owned(),
            severity,
            title,
            evidence: evidence.to_owned(),
            advice: advice.to_owned(),
            run: Some(self.at.run.clone()),
            step: Some(self.key.clone()),
            state: RiskState::Open,
            raised_at: self.clock.now(),
            by: None,
        }
    }

    /// A line for the feed, of what a person should look at.
    pub(crate) async fn activity(&self, kind: &str, text: String) {
        let activity = Activity {
            kind: kind.to_owned(),
            priority: Priority::High,
            project: Some(self.project.clone()),
            actor: Actor::engine(),
            text,
            run: Some(self.at.run.clone()),
            step: Some(self.key.clone()),
            to: Vec::new(),
        };
        let room = Room::feed(activity.project.clone());
        self.append(NewEvent::new(room, Actor::engine(), EventData::ActivityCreated(activity))).await;
    }

    /// Text for an event: of a large one the beginning, with the whole in a blob.
    pub(crate) async fn large(&self, text: String, media_type: &'static str) -> (String, Option<BlobRef>) {
        if text.len() <= INLINE {
            return (text, None);
        }
        let blobs = self.store.blobs().clone();
        let content = text.clone();
        let put = tokio::task::spawn_blocking(move || blobs.put(content.as_bytes(), media_type)).await;
        match put {
            Ok(Ok(blob)) => {
                let mut end = PREVIEW;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                (text[..end].to_owned(), Some(blob))
            }
            // The event can hold it as well; only the database grows faster.
            _ => (text, None),
        }
    }

    pub(crate) async fn log(&self, piece: Piece) {
        let Piece { stream, offset, line, lines, text } = piece;
        let (text, blob) = self.large(text, "text/plain; charset=utf-8").await;
        let chunk = LogChunk { step: self.key.clone(), attempt: self.attempt, stream, offset, line, lines, text, blob };
        self.append(self.of_run(EventData::Log(chunk))).await;
    }

    /// Runs a script to its end. None: it could not be started, and the reason is given.
    async fn run(
        &self,
        script: &Script,
        limit: Option<Duration>,
        announce: bool,
    ) -> Result<(Exit, Option<StopKind>), String> {
        // A step's script is the first of its attempt; its checks write on behind it.
        let log_so_far = if announce { (0, 0) } else { self.log_so_far().await };
        let (sender, mut reports) = mpsc::channel(REPORTS);
        let spec = Spec {
            argv: script.argv.iter().map(Into::into).collect(),
            dir: script.dir.clone(),
            env: script.env.clone(),
            marker: self.marker.clone(),
            masker: Masker::new(script.secrets.iter().cloned()),
            limit: Some(self.log_limit),
            log_so_far,
        };
        let (handle, output) = spawn_within(spec, sender).map_err(|error| error.to_string())?;
        let mut alive_at = tokio::time::Instant::now();
        let store = async {
            if announce {
                self.tell(Input::Started { at: self.at.clone(), process: Some((handle.pid, None)) }).await;
            }
            loop {
                match reports.recv().await {
                    Some(Report::Output(piece)) => {
                        self.log(piece).await;
                        if self.watched && alive_at.elapsed() > Duration::from_secs(1) {
                            alive_at = tokio::time::Instant::now();
                            self.tell(Input::Alive { at: self.at.clone() }).await;
                        }
                    }
                    Some(Report::Progress(progress)) => {
                        self.tell(Input::Progress { at: self.at.clone(), value: progress.value }).await;
                        self.say_progress(progress).await;
                    }
                    Some(Report::Exited(exit)) => break Some(exit),
                    None => break None,
                }
            }
        };
        let follow = async { tokio::join!(output, store).1 };
        tokio::pin!(follow);
        // Beside it: a wish to end the process is served also while its output waits to be stored, and however much it prints.
        let ended = tokio::task::coop::unconstrained(end_when_asked(handle, self.stop.clone(), limit));
        let (exit, asked) = tokio::select! {
            biased;
            exit = &mut follow => (exit, *self.stop.borrow()),
            () = ended => (follow.await, Stop::Kill),
        };
        let exit = exit.ok_or("the process's end was not observed")?;
        Ok((exit, self.stopped(asked).await))
    }

    async fn say_progress(&self, progress: signalbox_process::Progress) {
        let data =
            signalbox_model::Progress { of: "step".into(), value: progress.value, text: progress.text, eta_ms: None };
        self.append(self.of_project(EventData::ProgressUpdate(data))).await;
    }

    pub(crate) async fn log_so_far(&self) -> (u64, u64) {
        let (store, run, key, attempt) = (self.store.clone(), self.at.run.clone(), self.key.clone(), self.attempt);
        let read = move || store.read(|reader| reader.log_index(&run, &key, attempt));
        tokio::task::spawn_blocking(read)
            .await
            .ok()
            .and_then(Result::ok)
            .map_or((0, 0), |index| (index.bytes, index.lines))
    }

    /// After an end that was wished for: how it came, and that really nothing is left.
    async fn stopped(&self, asked: Stop) -> Option<StopKind> {
        if asked == Stop::No {
            return None;
        }
        let marker = self.marker.clone();
        let (killed, survivors) = tokio::task::spawn_blocking(move || end_all(&marker)).await.unwrap_or((0, false));
        Some(match (asked, survivors) {
            (_, true) => StopKind::Survivors,
            (Stop::Kill, _) => StopKind::Forced,
            _ if killed > 0 => StopKind::Forced,
            _ => StopKind::Graceful,
        })
    }

    /// A `command` step.
    pub(crate) async fn command(self, draft: Result<Draft, String>, artifacts: Vec<String>) {
        let output = std::env::temp_dir().join(format!("signalbox-output-{}", crate::ids::token(16)));
        let result = match complete(draft).await {
            Ok(mut script) => {
                script.env.push(("SIGNALBOX_OUTPUT".into(), output.to_string_lossy().into_owned()));
                self.run(&script, None, true).await.map(|ended| (ended, script))
            }
            Err(message) => Err(message),
        };
        let ((exit, stopped), script) = match result {
            Ok(ended) => ended,
            Err(message) => {
                self.tell(Input::StartFailed { at: self.at.clone(), message }).await;
                return;
            }
        };
        let (file, folder, blobs) = (output.clone(), script.dir.clone(), self.store.blobs().clone());
        let masker = Masker::new(script.secrets.iter().cloned());
        // Most steps hand nothing on: they need not wait for another thread to find that out.
        let nothing = artifacts.is_empty() && std::fs::symlink_metadata(&file).is_err();
        let collect = move || {
            let outputs = read_outputs(&file, &masker);
            std::fs::remove_file(&file).ok();
            (outputs, collect_artifacts(&folder, &artifacts, &blobs))
        };
        // Outputs and artifacts of a failed attempt are kept as well: they are what a person looks at.
        let (outputs, kept) = if nothing {
            (Ok(IndexMap::new()), Ok(Vec::new()))
        } else {
            let collected = tokio::task::spawn_blocking(collect).await;
            collected.unwrap_or_else(|_| (Err("its outputs could not be read".into()), Ok(Vec::new())))
        };
        let bad_outputs = outputs.as_ref().err().or(kept.as_ref().err()).cloned();
        let outcome = Outcome {
            code: exit.code,
            signal: exit.signal,
            outputs: outputs.unwrap_or_default(),
            artifacts: kept.unwrap_or_default(),
            bad_outputs,
            stopped,
            ..Outcome::default()
        };
        self.tell(Input::Finished { at: self.at.clone(), outcome }).await;
    }

    /// A `command` step in the worktree of another step.
    pub(crate) async fn command_in(
        self,
        draft: Result<Draft, String>,
        artifacts: Vec<String>,
        place: Place,
        services: Arc<Services>,
    ) {
        match self.folder_of(place, services).await {
            Ok(folder) => self.command(draft.map(|draft| draft.moved_to(&folder)), artifacts).await,
            Err(message) => self.tell(Input::StartFailed { at: self.at.clone(), message }).await,
        }
    }

    /// The checks of a step that worked in the worktree of another one.
    pub(crate) async fn checks_in(
        self,
        dir: PathBuf,
        checks: Vec<(Check, Result<Draft, String>)>,
        place: Place,
        services: Arc<Services>,
    ) {
        let within = dir.strip_prefix(&place.project).map(Path::to_owned).unwrap_or_default();
        match self.folder_of(place, services).await {
            Ok(folder) => {
                let moved = |(check, draft): (Check, Result<Draft, String>)| {
                    (check, draft.map(|draft| draft.moved_to(&folder)))
                };
                let checks = checks.into_iter().map(moved).collect();
                self.checks(folder.join(within), checks).await;
            }
            Err(why) => self.tell(Input::Checked { at: self.at.clone(), failure: Some(why) }).await,
        }
    }

    async fn folder_of(&self, place: Place, services: Arc<Services>) -> Result<PathBuf, String> {
        let (run, key) = (self.at.run.clone(), self.key.clone());
        let made = tokio::task::spawn_blocking(move || services.worktrees.make(&place, &run, &key)).await;
        made.unwrap_or_else(|_| Err("the host is stopping".into())).map(|made| made.folder)
    }

    /// The checks of a step that ended, in order, up to the first that fails.
    pub(crate) async fn checks(self, folder: PathBuf, checks: Vec<(Check, Result<Draft, String>)>) {
        let failure = self.verify(&folder, checks, &[]).await.err();
        self.tell(Input::Checked { at: self.at.clone(), failure }).await;
    }

    /// Makes checks in order, up to the first that fails. `changes` is what the step changed, for checks of the diff.
    ///
    /// # Errors
    /// Which one failed, and why.
    pub(crate) async fn verify(
        &self,
        folder: &Path,
        checks: Vec<(Check, Result<Draft, String>)>,
        changes: &[String],
    ) -> Result<(), String> {
        for (number, (check, draft)) in (0u32..).zip(checks) {
            let started = self.clock.now();
            let (what, verdict) = self.check(folder, &check, draft, changes).await;
            let result = VerifyResult {
                step: self.key.clone(),
                attempt: self.attempt,
                check: number,
                what: what.clone(),
                passed: verdict.is_ok(),
                detail: verdict.as_ref().err().cloned().unwrap_or_default(),
                duration_ms: u64::try_from(self.clock.now() - started).unwrap_or(0),
            };
            self.append(self.of_project(EventData::VerifyResult(result))).await;
            verdict.map_err(|why| format!("the check `{what}` failed: {why}"))?;
        }
        Ok(())
    }

    /// Makes one check. What was checked, in words, and whether it held.
    pub(crate) async fn check(
        &self,
        folder: &Path,
        check: &Check,
        draft: Result<Draft, String>,
        changes: &[String],
    ) -> (String, Result<(), String>) {
        match check {
            Check::Run { script: source, timeout_ms } => {
                let what = source.text.lines().next().unwrap_or_default().to_owned();
                let limit = timeout_ms.map(Duration::from_millis);
                let verdict = match complete(draft).await {
                    Err(why) => Err(why),
                    Ok(script) => match self.run(&script, limit, false).await {
                        Ok((Exit { code: Some(0), .. }, _)) => Ok(()),
                        Ok((Exit { code: Some(code), .. }, _)) => Err(format!("it exited with code {code}")),
                        Ok((_, Some(_))) => Err("it was ended, or ran longer than its limit".into()),
                        Ok((exit, _)) => Err(format!("it was ended by signal {}", exit.signal.unwrap_or(0))),
                        Err(why) => Err(why),
                    },
                };
                (what, verdict)
            }
            Check::FileExists(path) => {
                let found = within(folder, path).is_some_and(|path| path.exists());
                (format!("file {path} exists"), if found { Ok(()) } else { Err("there is no such file".into()) })
            }
            Check::Diff(rule) => check_diff(rule, changes),
        }
    }
}

fn check_diff(rule: &DiffRule, changes: &[String]) -> (String, Result<(), String>) {
    let mut what = Vec::new();
    what.extend(rule.max_files.map(|max| format!("at most {max} files changed")));
    what.extend((!rule.deny.is_empty()).then(|| format!("nothing changed in {}", rule.deny.join(", "))));
    let denied = changes.iter().find(|path| rule.deny.iter().any(|pattern| matches_path(pattern, path)));
    let verdict = match (denied, rule.max_files) {
        (Some(path), _) => Err(format!("{path} may not be changed")),
        (None, Some(max)) if changes.len() > max as usize => {
            Err(format!("{} files changed, at most {max} may", changes.len()))
        }
        _ => Ok(()),
    };
    (what.join(", "), verdict)
}

async fn complete(draft: Result<Draft, String>) -> Result<Script, String> {
    draft?.complete().await
}

/// Passes wishes to end a process on to it, up to the last one; at the limit that is ours.
async fn end_when_asked(handle: Handle, mut stop: watch::Receiver<Stop>, limit: Option<Duration>) {
    let asked = async {
        loop {
            let now = *stop.borrow_and_update();
            end(handle, now);
            if now == Stop::Kill {
                return;
            }
            if stop.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    match limit {
        None => asked.await,
        Some(limit) => {
            if tokio::time::timeout(limit, asked).await.is_err() {
                end(handle, Stop::Kill);
            }
        }
    }
}

fn end(handle: Handle, stop: Stop) {
    match stop {
        Stop::No => {}
        Stop::Terminate => handle.terminate(),
        Stop::Kill => handle.kill(),
    }
}

/// Ends everything that carries the marker's prefix. Blocks.
pub(crate) fn sweep(prefix: &str) -> u32 {
    if leftovers(prefix).is_empty() {
        return 0;
    }
    let (ended, survivors) = end_all(prefix);
    if survivors {
        tracing::warn!(prefix, "some processes could not be ended");
    }
    ended
}

/// `key=value` lines. A value that is JSON (a number, `true`, a list, an object, a quoted text) keeps its kind.
fn read_outputs(file: &Path, masker: &Masker) -> Result<IndexMap<String, Value>, String> {
    let mut text = String::new();
    match std::fs::File::open(file) {
        Ok(open) => {
            open.take(OUTPUT_FILE + 1)
                .read_to_string(&mut text)
                .map_err(|error| format!("its outputs cannot be read: {error}"))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(IndexMap::new()),
        Err(error) => return Err(format!("its outputs cannot be read: {error}")),
    }
    if text.len() as u64 > OUTPUT_FILE {
        return Err(format!(
            "its outputs are larger than {OUTPUT_FILE} bytes: write them to a file and keep it as an artifact"
        ));
    }
    let mut outputs = IndexMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!(
                "line {} of its outputs is not key=value: {:?}",
                number + 1,
                line.chars().take(80).collect::<String>()
            ));
        };
        let value = masker.mask(value);
        let parsed = serde_json::from_str(&value).unwrap_or_else(|_| Value::String(value));
        outputs.insert(key.trim().to_owned(), parsed);
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_keep_their_kind_and_a_malformed_line_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "version=1.2.3\ncount=4\nlist=[1,2]\n\nurl=http://x/?a=b\n").unwrap();
        let outputs = read_outputs(file.path(), &Masker::default()).unwrap();
        assert_eq!(
            serde_json::to_string(&outputs).unwrap(),
            r#"{"version":"1.2.3","count":4,"list":[1,2],"url":"http://x/?a=b"}"#
        );
        std::fs::write(file.path(), "a=1\nbroken\n").unwrap();
        assert!(read_outputs(file.path(), &Masker::default()).unwrap_err().contains("line 2"));
    }
}
