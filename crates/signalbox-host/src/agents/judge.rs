//! What a turn of an agent is worth: its answer, its changes, the step's checks.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use signalbox_agent::{Stop as TurnStop, Turn};
use signalbox_engine::{Outcome, Phase};
use signalbox_model::{Artifact, Commit, EventData, FailureCause, LogStream, Severity};
use signalbox_workflow::plan::Check;

use super::{
    answer,
    record::Recorder,
    task::{Failed, Task},
    tools::AgentTools,
    workspace::{Changes, Workspace},
};
use crate::{files::collect_artifacts, script::Draft};

/// Feedback is cut at this many bytes: an agent needs the end of what a check printed.
const FEEDBACK: usize = 12 * 1024;

impl Task {
    /// What the turn is worth: the step's result, or what the agent has to mend.
    pub(super) async fn judge(
        &self,
        turn: &Turn,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        tools: &AgentTools,
    ) -> Result<Result<Outcome, Feedback>, Failed> {
        let checked = !self.prepared.checks.is_empty() || self.prepared.schema.is_some();
        // Without checks there is nothing but the agent's word. It must at least say that it is done.
        match &turn.stop {
            TurnStop::Refusal => return Err(Failed::new(FailureCause::Agent, "the agent refused to go on")),
            TurnStop::MaxTokens | TurnStop::MaxTurns if !checked => {
                return Err(Failed::new(
                    FailureCause::Agent,
                    "the agent reached a limit of its own before it was done",
                ));
            }
            TurnStop::Other(word) if !checked => {
                let why = format!("the agent ended its turn for a reason that is not known: {word}");
                return Err(Failed::new(FailureCause::Agent, why));
            }
            TurnStop::Cancelled if !checked => {
                return Err(Failed::new(FailureCause::Agent, "the agent ended its turn before it was done"));
            }
            _ => {}
        }
        recorder.phase(Phase::Checking, None).await;
        let mut changes = self.changes(workspace).await?;
        self.refuse_outside(recorder, workspace).await?;
        if recorder.policy.read_only && !workspace.own {
            // People work in the project's folder as well: only what the agent's own tools named counts against it.
            let seen = recorder.seen();
            changes.paths.retain(|path| seen.named.contains(path.as_str()));
        }
        if recorder.policy.read_only && !changes.paths.is_empty() {
            let list = changes.paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let why = format!("the step only looks, but its agent changed {list}");
            self.risk(
                "forbidden_path",
                Severity::Warning,
                format!("{}: {why}", self.job.key),
                &list,
                "look at the diff",
            )
            .await;
            return Err(Failed::new(FailureCause::Verify, why));
        }
        let outputs = match (&self.prepared.schema, tools.verdict()) {
            (None, _) => IndexMap::new(),
            (Some(_), Some(verdict)) => verdict,
            (Some(schema), None) => match answer::outputs(&recorder.messages(), schema) {
                Ok(outputs) => outputs,
                Err(why) => return Ok(Err(Feedback { short: why, printed: String::new(), of_answer: true })),
            },
        };
        {
            // Checks write to the same log: until they are through nothing else does.
            let mut log = recorder.log.lock().await;
            let before = self.job.log_so_far().await;
            let checks = self.in_workspace(workspace);
            let verdict = self.job.verify(&workspace.folder, checks, &changes.paths).await;
            *log = None;
            if let Err(short) = verdict {
                let printed = self.printed_since(before.0).await;
                return Ok(Err(Feedback { short, printed, of_answer: false }));
            }
        }
        self.accept(recorder, workspace, outputs, tools.delivered()).await.map(Ok)
    }

    fn in_workspace(&self, workspace: &Workspace) -> Vec<(Check, Result<Draft, String>)> {
        let moved = |draft: &Result<Draft, String>| draft.clone().map(|draft| draft.moved_to(&workspace.folder));
        self.prepared.checks.iter().map(|(check, draft)| (check.clone(), moved(draft))).collect()
    }

    async fn changes(&self, workspace: &Arc<Workspace>) -> Result<Changes, Failed> {
        let workspace = Arc::clone(workspace);
        let changes = tokio::task::spawn_blocking(move || workspace.changes()).await;
        changes
            .unwrap_or_else(|_| Err("the host is stopping".into()))
            .map_err(|why| Failed::new(FailureCause::Git, why))
    }

    /// An agent with a folder of its own has no business in the project's. People have: only what its own tools named
    /// counts against it.
    async fn refuse_outside(&self, recorder: &Recorder, workspace: &Arc<Workspace>) -> Result<(), Failed> {
        let there = Arc::clone(workspace);
        let mut changed = tokio::task::spawn_blocking(move || there.changed_outside()).await.unwrap_or_default();
        {
            let seen = recorder.seen();
            changed.retain(|file| seen.named.contains(file.as_str()));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let list = changed.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let what = format!("its agent changed {list} in the project's own folder");
        let advice = "look at these files: `git status` shows them; nothing of the step was landed";
        self.risk(
            "forbidden_path",
            Severity::Critical,
            format!("{}: changes outside of its worktree", self.job.key),
            &what,
            advice,
        )
        .await;
        Err(Failed::new(FailureCause::Verify, format!("{what}, outside of the step's worktree; {advice}")))
    }

    /// The end of what the checks printed, for the agent to read.
    async fn printed_since(&self, offset: u64) -> String {
        let (store, run, key, attempt) =
            (self.job.store.clone(), self.job.at.run.clone(), self.job.key.clone(), self.job.attempt);
        let read = move || {
            store.read(|reader| {
                let chunks = reader.log_tail(&run, &key, attempt, FEEDBACK as u64)?;
                let ours = chunks.into_iter().filter(|chunk| {
                    chunk.offset >= offset && matches!(chunk.stream, LogStream::Stdout | LogStream::Stderr)
                });
                Ok(ours.map(|chunk| chunk.text).collect::<String>())
            })
        };
        tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Keeps what the agent did.
    async fn accept(
        &self,
        recorder: &Arc<Recorder>,
        workspace: &Arc<Workspace>,
        outputs: IndexMap<String, Value>,
        delivered: Vec<Artifact>,
    ) -> Result<Outcome, Failed> {
        let there = Arc::clone(workspace);
        let message = format!(
            "{} (Signalbox run #{})\n\nDone by {} in step {}.\n",
            self.job.key,
            self.prepared.about.run_number,
            recorder.step_agent().name,
            self.job.key
        );
        let commit = tokio::task::spawn_blocking(move || there.commit(&message).map(|made| (made, there.tip()))).await;
        let commit = commit.unwrap_or_else(|_| Err("the host is stopping".into()));
        let (commit, head) = commit.map_err(|why| Failed::new(FailureCause::Git, why))?;
        recorder.has_head(head);
        if let Some(commit) = commit {
            let data = Commit { step: Some(self.job.key.clone()), ..commit };
            self.job.append_all(vec![self.job.of_project(EventData::Commit(data))]).await;
        }
        let (folder, patterns, blobs) =
            (workspace.folder.clone(), self.prepared.artifacts.clone(), self.job.store.blobs().clone());
        let kept = tokio::task::spawn_blocking(move || collect_artifacts(&folder, &patterns, &blobs)).await;
        let kept = kept.unwrap_or_else(|_| Err("the host is stopping".into()));
        let bad_outputs = kept.as_ref().err().cloned();
        Ok(Outcome {
            code: Some(0),
            outputs,
            artifacts: delivered.into_iter().chain(kept.unwrap_or_default()).collect(),
            bad_outputs,
            ..Outcome::default()
        })
    }

    pub(super) async fn risk(&self, kind: &str, severity: Severity, title: String, evidence: &str, advice: &str) {
        let risk = self.job.risk(kind, severity, title, evidence, advice);
        self.job.append_all(vec![self.job.of_project(EventData::RiskAlert(risk))]).await;
    }
}

/// What an agent has to mend.
pub(super) struct Feedback {
    pub(super) short: String,
    printed: String,
    /// Its answer is wrong, not its work.
    pub(super) of_answer: bool,
}

impl Feedback {
    pub(super) fn prompt(&self, schema: Option<&Value>) -> String {
        if self.of_answer {
            let wanted = schema.map(answer::instruction).unwrap_or_default();
            return format!("{}\nSend your answer again, corrected.{wanted}", self.short);
        }
        let mut text = format!("Your work was checked, and {}.\n", self.short);
        if !self.printed.is_empty() {
            let mut from = self.printed.len().saturating_sub(FEEDBACK);
            while !self.printed.is_char_boundary(from) {
                from += 1;
            }
            text.push_str("This is the end of what it printed:\n\n```\n");
            text.push_str(&self.printed[from..]);
            text.push_str("\n```\n");
        }
        text.push_str("\nMend it. The same check will be made again when you are done.");
        text
    }
}
