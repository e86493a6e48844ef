//! Playing a scene: every action is really done, and told as an agent tells it.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_client_protocol::{
    Client,
    v1::{
        ConnectionTo,
        schema::{
            Content, ContentBlock, ContentChunk, Cost, Diff, MessageId, PermissionOption, PermissionOptionKind, Plan,
            PlanEntry, PlanEntryPriority, PlanEntryStatus, RequestPermissionOutcome, RequestPermissionRequest,
            SessionNotification, SessionUpdate, TextContent, ToolCall, ToolCallContent, ToolCallLocation,
            ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields, ToolKind as Kind, UsageUpdate,
        },
    },
};
use serde_json::{Value, json};
use signalbox_model::{PlanStatus, ToolKind};
use signalbox_process::{Handle, MARKER, Masker, Report, Spec, spawn};
use tokio::sync::{mpsc, watch};

use super::{
    agent::{Open, locked},
    script::{Action, Ask, Change, Edit, Fail, PlanLine, Scene, Used},
};
use crate::limits::tail;

/// Bytes of a command's output that are shown: its last ones.
const SHOWN: usize = 64 * 1024;
/// Longest file that is shown in a change, in bytes.
const DIFF: u64 = 1 << 20;

/// How a scene ended.
pub(super) enum End {
    Stop(String),
    Fail(Fail),
    Cancelled,
}

pub(super) struct Play {
    cx: ConnectionTo<Client>,
    open: Arc<Open>,
    cancelled: watch::Receiver<bool>,
    chunk: Duration,
    used: Used,
    messages: u32,
    /// The call that a permission was asked for: the next tool is that call.
    asked: Option<String>,
}

/// A command that ends with whoever runs it.
struct Running(Handle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl Play {
    pub(super) fn new(
        cx: ConnectionTo<Client>,
        open: Arc<Open>,
        cancelled: watch::Receiver<bool>,
        chunk_ms: u64,
    ) -> Self {
        let chunk = Duration::from_millis(chunk_ms);
        Self { cx, open, cancelled, chunk, used: Used::default(), messages: 0, asked: None }
    }

    /// Plays it; also gives what was used, for the answer.
    pub(super) async fn scene(mut self, scene: &Scene) -> (End, Value) {
        let end = self.actions(&scene.actions).await.unwrap_or_else(|| End::Stop("end_turn".to_owned()));
        let Used { input, output, cached, .. } = self.used;
        let used = json!({"inputTokens": input, "outputTokens": output, "totalTokens": input + output, "cachedReadTokens": cached});
        (end, if input + output > 0 { used } else { Value::Null })
    }

    async fn actions(&mut self, actions: &[Action]) -> Option<End> {
        for action in actions {
            if *self.cancelled.borrow() {
                return Some(End::Cancelled);
            }
            let end = match action {
                Action::Say(text) => self.say(text, false).await,
                Action::Think(text) => self.say(text, true).await,
                Action::Plan(lines) => {
                    self.plan(lines);
                    None
                }
                Action::Read(place) => {
                    self.read(&place.path, place.outside);
                    None
                }
                Action::Write(change) => {
                    self.write(change);
                    None
                }
                Action::Edit(edit) => {
                    self.edit(edit);
                    None
                }
                Action::Run(run) => self.run(&run.command).await,
                Action::Ask(ask) => Box::pin(self.ask(ask)).await,
                Action::Usage(used) => {
                    self.usage(used);
                    None
                }
                Action::WaitMs(millis) => self.pause(Duration::from_millis(*millis)).await,
                Action::Fail(fail) => Some(End::Fail(fail.clone())),
                Action::Stop(reason) => Some(End::Stop(reason.clone())),
            };
            if end.is_some() {
                return end;
            }
        }
        None
    }

    async fn pause(&mut self, time: Duration) -> Option<End> {
        if time.is_zero() {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => None,
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Some(End::Cancelled),
        }
    }

    fn tell(&self, update: SessionUpdate) {
        // The client is gone: then this process ends as well.
        self.cx.send_notification(SessionNotification::new(self.open.id.clone(), update)).ok();
    }

    async fn say(&mut self, text: &str, thought: bool) -> Option<End> {
        self.messages += 1;
        let id = format!("say-{}-{}", locked(&self.open.kept).prompts, self.messages);
        for word in text.split_inclusive(' ') {
            let chunk =
                ContentChunk::new(ContentBlock::Text(TextContent::new(word))).message_id(MessageId::new(id.clone()));
            self.tell(if thought {
                SessionUpdate::AgentThoughtChunk(chunk)
            } else {
                SessionUpdate::AgentMessageChunk(chunk)
            });
            let end = self.pause(self.chunk).await;
            if end.is_some() {
                return end;
            }
        }
        if !thought {
            locked(&self.open.kept).say(false, text);
        }
        None
    }

    fn plan(&self, lines: &[PlanLine]) {
        let entries = lines.iter().map(|line| {
            let (text, status) = match line {
                PlanLine::Text(text) => (text, PlanStatus::Pending),
                PlanLine::Entry(entry) => (&entry.text, entry.status),
            };
            let status = match status {
                PlanStatus::Pending => PlanEntryStatus::Pending,
                PlanStatus::InProgress => PlanEntryStatus::InProgress,
                PlanStatus::Completed => PlanEntryStatus::Completed,
            };
            PlanEntry::new(text, PlanEntryPriority::Medium, status)
        });
        self.tell(SessionUpdate::Plan(Plan::new(entries.collect())));
    }

    fn usage(&mut self, used: &Used) {
        self.used.input += used.input;
        self.used.output += used.output;
        self.used.cached += used.cached;
        let usd = {
            let mut kept = locked(&self.open.kept);
            kept.usd += used.usd;
            kept.usd
        };
        let context = used.context_used.unwrap_or(self.used.input + self.used.output);
        let update = UsageUpdate::new(context, used.context_size.unwrap_or(200_000));
        self.tell(SessionUpdate::UsageUpdate(if usd > 0.0 { update.cost(Cost::new(usd, "USD")) } else { update }));
    }

    /// The id of the next call.
    fn call(&mut self) -> String {
        self.asked.take().unwrap_or_else(|| {
            let mut kept = locked(&self.open.kept);
            kept.calls += 1;
            format!("call-{}", kept.calls)
        })
    }

    fn begin(&mut self, title: String, kind: Kind, place: Option<&Path>, input: Value) -> String {
        let id = self.call();
        let locations = place.map(ToolCallLocation::new).into_iter().collect();
        let call = ToolCall::new(id.clone(), title).kind(kind).status(ToolCallStatus::InProgress);
        self.tell(SessionUpdate::ToolCall(call.locations(locations).raw_input(input)));
        id
    }

    fn update(&self, id: &str, fields: ToolCallUpdateFields) {
        self.tell(SessionUpdate::ToolCallUpdate(ToolCallUpdate::new(id.to_owned(), fields)));
    }

    /// The end of a call: it worked, with this to show, or it did not, for this reason.
    fn end(&self, id: &str, outcome: Result<Vec<ToolCallContent>, String>) {
        let (status, content) = match outcome {
            Ok(content) => (ToolCallStatus::Completed, content),
            Err(why) => (ToolCallStatus::Failed, vec![shown(&why)]),
        };
        self.update(id, ToolCallUpdateFields::new().status(status).content(content));
    }

    fn may_change(&self) -> Result<(), String> {
        if locked(&self.open.kept).mode == "plan" {
            Err("in the mode plan nothing is changed".to_owned())
        } else {
            Ok(())
        }
    }

    fn read(&mut self, path: &str, outside: bool) {
        let file = within(&self.open.folder, path, outside);
        let id = self.begin(format!("Read {path}"), Kind::Read, file.as_deref().ok(), json!({"path": path}));
        let text =
            file.and_then(|file| std::fs::read(file).map_err(|error| format!("{path} could not be read: {error}")));
        self.end(&id, text.map(|text| vec![shown(tail(&String::from_utf8_lossy(&text), SHOWN))]));
    }

    fn write(&mut self, change: &Change) {
        let Change { path, text, outside } = change;
        let file = within(&self.open.folder, path, *outside);
        let id = self.begin(format!("Write {path}"), Kind::Edit, file.as_deref().ok(), json!({"path": path}));
        let outcome = self.may_change().and(file).and_then(|file| put(&file, path, text));
        self.end(&id, outcome);
    }

    fn edit(&mut self, edit: &Edit) {
        let Edit { path, find, replace, outside } = edit;
        let file = within(&self.open.folder, path, *outside);
        let id = self.begin(format!("Edit {path}"), Kind::Edit, file.as_deref().ok(), json!({"path": path}));
        let outcome = self.may_change().and(file).and_then(|file| {
            let old = std::fs::read_to_string(&file).map_err(|error| format!("{path} could not be read: {error}"))?;
            if !old.contains(find.as_str()) {
                return Err(format!("{path} does not contain what should be replaced"));
            }
            put(&file, path, &old.replacen(find, replace, 1))
        });
        self.end(&id, outcome);
    }

    async fn run(&mut self, command: &str) -> Option<End> {
        let input = json!({"command": command});
        let id = self.begin(command.to_owned(), Kind::Execute, None, input);
        let marker = std::env::var(MARKER).unwrap_or_else(|_| self.open.id.clone());
        let spec = Spec {
            argv: vec!["sh".into(), "-c".into(), command.into()],
            dir: self.open.folder.clone(),
            env: Vec::new(),
            marker,
            masker: Masker::default(),
            limit: None,
            log_so_far: (0, 0),
        };
        let (sender, mut reports) = mpsc::channel(16);
        let running = match self.may_change().and_then(|()| spawn(spec, sender).map_err(|error| error.to_string())) {
            Ok(handle) => Running(handle),
            Err(why) => {
                self.end(&id, Err(why));
                return None;
            }
        };
        let (mut output, mut stopped) = (String::new(), false);
        let mut cancelled = self.cancelled.clone();
        let exit = loop {
            tokio::select! {
                report = reports.recv() => match report {
                    Some(Report::Output(piece)) => {
                        output = tail(&(output + &piece.text), SHOWN).to_owned();
                        self.update(&id, ToolCallUpdateFields::new().content(vec![shown(&output)]));
                    }
                    Some(Report::Progress(_)) => {}
                    Some(Report::Exited(exit)) => break Some(exit),
                    None => break None,
                },
                _ = cancelled.wait_for(|cancelled| *cancelled), if !stopped => {
                    stopped = true;
                    running.0.kill();
                }
            }
        };
        let code = exit.and_then(|exit| exit.code);
        let status = if code == Some(0) && !stopped { ToolCallStatus::Completed } else { ToolCallStatus::Failed };
        let output = json!({"exit_code": code, "output": output});
        self.update(&id, ToolCallUpdateFields::new().status(status).raw_output(output));
        stopped.then_some(End::Cancelled)
    }

    async fn ask(&mut self, ask: &Ask) -> Option<End> {
        let free = locked(&self.open.kept).mode == "auto" || locked(&self.open.allowed).contains(&ask.kind);
        if free {
            return self.actions(&ask.then).await;
        }
        let id = self.call();
        let mut about =
            ToolCallUpdateFields::new().title(ask.title.clone()).kind(kind(ask.kind)).status(ToolCallStatus::Pending);
        match ask.then.first() {
            Some(Action::Write(change)) => {
                if let Ok(file) = within(&self.open.folder, &change.path, change.outside) {
                    about = about.content(vec![diff(&file, old_text(&file), &change.text)]);
                    about = about.locations(vec![ToolCallLocation::new(file)]);
                }
            }
            Some(Action::Edit(edit)) => {
                if let Ok(file) = within(&self.open.folder, &edit.path, edit.outside) {
                    about = about.content(vec![diff(&file, Some(edit.find.clone()), &edit.replace)]);
                    about = about.locations(vec![ToolCallLocation::new(file)]);
                }
            }
            Some(Action::Run(run)) => about = about.raw_input(json!({"command": run.command})),
            _ => {}
        }
        let options = vec![
            PermissionOption::new("allow", "Allow", PermissionOptionKind::AllowOnce),
            PermissionOption::new("always", "Always allow", PermissionOptionKind::AllowAlways),
            PermissionOption::new("reject", "Reject", PermissionOptionKind::RejectOnce),
        ];
        let call = ToolCallUpdate::new(id.clone(), about);
        let request = RequestPermissionRequest::new(self.open.id.clone(), call, options);
        let answer = self.cx.send_request(request).block_task();
        let outcome = tokio::select! {
            answer = answer => answer.map(|answer| answer.outcome),
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Ok(RequestPermissionOutcome::Cancelled),
        };
        let chosen = match outcome {
            Ok(RequestPermissionOutcome::Selected(selected)) => selected.option_id.to_string(),
            _ => {
                self.end(&id, Err("it was cancelled".to_owned()));
                return Some(End::Cancelled);
            }
        };
        if chosen == "always" {
            locked(&self.open.allowed).insert(ask.kind);
        }
        if chosen != "allow" && chosen != "always" {
            self.end(&id, Err("it was not allowed".to_owned()));
            return self.actions(&ask.otherwise).await;
        }
        self.asked = Some(id);
        let end = self.actions(&ask.then).await;
        if let Some(id) = self.asked.take() {
            self.end(&id, Ok(Vec::new()));
        }
        end
    }
}

fn kind(kind: ToolKind) -> Kind {
    match kind {
        ToolKind::Read => Kind::Read,
        ToolKind::Edit => Kind::Edit,
        ToolKind::Delete => Kind::Delete,
        ToolKind::Move => Kind::Move,
        ToolKind::Search => Kind::Search,
        ToolKind::Execute => Kind::Execute,
        ToolKind::Think => Kind::Think,
        ToolKind::Fetch => Kind::Fetch,
        ToolKind::SwitchMode => Kind::SwitchMode,
        ToolKind::Other => Kind::Other,
    }
}

fn shown(text: &str) -> ToolCallContent {
    ToolCallContent::Content(Content::new(ContentBlock::Text(TextContent::new(text))))
}

fn diff(file: &Path, old: Option<String>, new: &str) -> ToolCallContent {
    ToolCallContent::Diff(Diff::new(file, new).old_text(old))
}

fn old_text(file: &Path) -> Option<String> {
    let short = std::fs::metadata(file).is_ok_and(|file| file.len() <= DIFF);
    std::fs::read(file).ok().filter(|_| short).map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// Writes a file, and its folders if they are not there.
fn put(file: &Path, name: &str, text: &str) -> Result<Vec<ToolCallContent>, String> {
    let old = old_text(file);
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(file, text));
    match written {
        Ok(()) => Ok(vec![diff(file, old, text)]),
        Err(error) => Err(format!("{name} could not be written: {error}")),
    }
}

/// The file that a path names. Without `outside` it lies in the folder, whatever links there are on the way.
fn within(folder: &Path, path: &str, outside: bool) -> Result<PathBuf, String> {
    let folder = folder.canonicalize().map_err(|error| format!("the session's folder cannot be entered: {error}"))?;
    let mut file = folder.clone();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                file.pop();
            }
            Component::CurDir => {}
            part => file.push(part),
        }
    }
    if outside {
        return Ok(file);
    }
    // What is there on the way, with links followed, must be in the folder; a link that leads nowhere is not.
    let there = file.ancestors().find(|part| part.symlink_metadata().is_ok()).and_then(|part| part.canonicalize().ok());
    match there {
        Some(there) if there.starts_with(&folder) && file.starts_with(&folder) => Ok(file),
        _ => Err(format!("{path} lies outside of the session's folder")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        #[cfg(unix)]
        for (target, link) in [("..", "up"), ("../secret", "file"), ("../nowhere", "dangling"), ("sub", "fine")] {
            std::os::unix::fs::symlink(target, inside.join(link)).unwrap();
        }
        for path in ["a.txt", "sub/b/c.txt", "./a", "sub/../a.txt", "fine/a.txt"] {
            assert!(within(&inside, path, false).is_ok(), "{path}");
        }
        for path in ["../a.txt", "/etc/passwd", "sub/../../secret", "up/secret", "file", "dangling", "dangling/x"] {
            assert!(within(&inside, path, false).is_err(), "{path}");
            assert!(within(&inside, path, true).is_ok(), "{path}");
        }
    }
}
