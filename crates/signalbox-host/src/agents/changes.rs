//! The diff of a step as it grows: events for the files that changed since the last look.

use std::{collections::HashMap, sync::Arc, time::Duration};

use signalbox_model::{EventData, FileDiff, FileStatus};
use tokio::{sync::watch, time::MissedTickBehavior};

use super::workspace::Workspace;
use crate::execute::Job;

/// How often a worktree is looked at while its agent works.
const LOOK: Duration = Duration::from_secs(1);
/// Files whose patches are told one by one; of a step that changes more, the rest is counted by `git` alone.
const FILES: usize = 500;

/// Tells what changes until `ended` says that the work has ended, and once more then.
pub(crate) async fn follow(job: Arc<Job>, workspace: Arc<Workspace>, mut ended: watch::Receiver<bool>) {
    if !workspace.own {
        return;
    }
    let mut told: HashMap<String, FileDiff> = HashMap::new();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = tick.tick() => false,
            over = ended.wait_for(|ended| *ended) => { drop(over); true }
        };
        let there = Arc::clone(&workspace);
        let looked = tokio::task::spawn_blocking(move || there.look(last)).await;
        match looked {
            Ok(Ok(Some(files))) => tell(&job, files, &mut told).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(step = %job.key, error, "a worktree could not be compared with its base"),
            Err(_) => return,
        }
        if last {
            return;
        }
    }
}

async fn tell(job: &Job, files: Vec<FileDiff>, told: &mut HashMap<String, FileDiff>) {
    let (step, attempt) = job.key_and_attempt();
    let mut now = HashMap::new();
    let mut events = Vec::new();
    for mut file in files.into_iter().take(FILES) {
        file.step.clone_from(&step);
        file.attempt = attempt;
        let before = told.remove(&file.path);
        if before.as_ref() != Some(&file) {
            let mut event = file.clone();
            (event.patch, event.blob) = job.large(event.patch, "text/x-diff; charset=utf-8").await;
            events.push(job.of_run(EventData::FileDiff(event)));
        }
        now.insert(file.path.clone(), file);
    }
    // What is no longer among the changes was undone.
    for (_, gone) in told.drain() {
        let undone = FileDiff {
            status: FileStatus::Unchanged,
            added: 0,
            removed: 0,
            patch: String::new(),
            old_path: None,
            ..gone
        };
        events.push(job.of_run(EventData::FileDiff(undone)));
    }
    *told = now;
    job.append_all(events).await;
}
