//! `signalbox run`: starts a workflow and follows it to its end.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use signalbox_client::{Client, Received, Update};
use signalbox_host::{Host, settings};
use signalbox_model::{
    Completion, LogChunk, LogStream, Room, RoomFilter, RunConclusion, Step, StepConclusion, StepStatus,
};
use signalbox_net::{Assets, listen};
use signalbox_wire::method::{ProjectReply, RunStarted};
use tokio::sync::mpsc;

use crate::{End, Target, logs, output, remote, serve};

/// What was asked for.
pub(crate) struct Wish {
    pub(crate) target: Target,
    pub(crate) workflow: String,
    pub(crate) project: Option<PathBuf>,
    pub(crate) inputs: Vec<String>,
    pub(crate) json: bool,
    pub(crate) detach: bool,
    pub(crate) logs: bool,
}

pub(crate) async fn run(wish: Wish) -> anyhow::Result<End> {
    // Without a host, this process is one for as long as the run takes: others can follow it all the same.
    let (own, options) = match remote::find(&wish.target) {
        Ok(options) => (None, options),
        Err(error) if error.is::<remote::Unreachable>() && wish.target.url.is_none() => {
            if wish.detach {
                bail!(error.context("--detach needs a host that goes on running"));
            }
            let host = own_host(&wish.target).await?;
            let mut target = wish.target.clone();
            target.url = host.url();
            target.token = Some(host.token().to_owned());
            (Some(host), remote::find(&target)?)
        }
        Err(error) => return Err(error),
    };
    let result = async {
        let (client, updates) = remote::reach(options).await?;
        follow(&wish, client, updates).await
    }
    .await;
    if let Some(host) = own {
        host.close().await;
    }
    result
}

async fn own_host(target: &Target) -> anyhow::Result<Host> {
    let dir = target.data_dir.clone().unwrap_or_else(settings::data_dir);
    let host = serve::open(Some(dir)).await?;
    if let Err(error) = listen(&host, "127.0.0.1:0", Assets(signalbox_assets::FILES)).await {
        host.close().await;
        return Err(error.into());
    }
    Ok(host)
}

fn inputs(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut inputs = Map::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            bail!(remote::Usage(format!("{text:?} is not NAME=VALUE")));
        };
        inputs.insert(name.to_owned(), Value::String(value.to_owned()));
    }
    Ok(inputs)
}

/// Where an input is no text, its value is read as JSON.
async fn typed(client: &Client, project: &Value, workflow: &str, mut inputs: Map<String, Value>) -> Map<String, Value> {
    if inputs.is_empty() {
        return inputs;
    }
    let known: Result<Value, _> = client.get("workflow.get", json!({ "project": project, "workflow": workflow })).await;
    for input in known.ok().as_ref().and_then(|known| known["workflow"]["inputs"].as_array()).into_iter().flatten() {
        let Some(value) = input["name"].as_str().and_then(|name| inputs.get_mut(name)) else { continue };
        let text = value.as_str().unwrap_or_default();
        match input["kind"].as_str() {
            Some("string" | "enum") => {}
            Some("array") if !text.starts_with('[') => *value = text.split(',').map(str::trim).collect(),
            // What is no JSON goes as it is: the host says what the input wants.
            _ => *value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        }
    }
    inputs
}

async fn follow(wish: &Wish, client: Client, mut updates: mpsc::Receiver<Update>) -> anyhow::Result<End> {
    let folder = wish.project.clone().unwrap_or_else(|| PathBuf::from("."));
    let folder = std::fs::canonicalize(&folder)
        .with_context(|| format!("the project folder {} cannot be opened", folder.display()))?;
    // A file may be named from where the person is.
    let file = std::fs::canonicalize(&wish.workflow)
        .ok()
        .filter(|path| path.is_file())
        .and_then(|path| path.strip_prefix(&folder).ok().map(|path| path.to_string_lossy().into_owned()));
    let named = || folder.join(&wish.workflow).is_file();
    if file.is_none() && !named() && !folder.join(".signalbox/workflows").is_dir() {
        // Else whoever is in the wrong folder has one project more.
        bail!(
            "there is no workflow {}: {} has no folder .signalbox/workflows; nothing was done\nhint: `signalbox init` makes one, --project names another folder",
            wish.workflow,
            folder.display()
        );
    }
    let workflow = file.unwrap_or_else(|| wish.workflow.clone());
    let project: ProjectReply = client.get("project.open", json!({ "path": folder })).await.map_err(remote::explain)?;
    let id = project.project.id;
    let inputs = typed(&client, &json!(id), &workflow, inputs(&wish.inputs)?).await;
    let params = json!({ "project": id, "workflow": workflow, "inputs": inputs });
    let started: RunStarted = client.get("run.start", params).await.map_err(remote::explain)?;
    if wish.detach {
        output::line(&if wish.json { serde_json::to_string(&started)? } else { started.run.to_string() });
        return Ok(End::Success);
    }
    let rooms = vec![RoomFilter::One(Room::Project(id)), RoomFilter::One(Room::Run(started.run.clone()))];
    client.follow(rooms, Some(started.cursor.clone())).await?;
    let mut screen = Screen::new(wish, &started);
    let mut interrupts = 0;
    loop {
        let update = tokio::select! {
            update = updates.recv() => update,
            () = serve::ended() => {
                interrupts += 1;
                screen.note(if interrupts == 1 { "Cancelling; Ctrl-C again ends its processes at once." } else { "Ending its processes." });
                let params = json!({ "run": started.run, "force": interrupts > 1 });
                if client.call("run.cancel", Some(params), None).await.is_err() && interrupts > 2 {
                    return Ok(End::Cancelled);
                }
                continue;
            }
        };
        match update {
            Some(Update::Event(event)) if event.run.as_deref() == Some(started.run.as_str()) => {
                if event.kind == "log" {
                    if wish.json {
                        output::line(&event.text);
                    }
                    // What goes over an agent's wire is for `signalbox tail`: here it would hide what a person looks for.
                    if let Ok(chunk) = serde_json::from_str::<LogChunk>(event.data.get())
                        && chunk.stream != LogStream::Protocol
                    {
                        let most = if wish.logs && !wish.json { u64::MAX } else { KEPT_LINES as u64 };
                        let lines = logs::lines(&client, started.run.as_str(), &chunk, most).await;
                        screen.log(chunk.step.as_str(), lines);
                    }
                    continue;
                }
                if let Some(conclusion) = screen.event(&event) {
                    screen.finish(conclusion);
                    return Ok(match conclusion {
                        RunConclusion::Success => End::Success,
                        RunConclusion::Cancelled => End::Cancelled,
                        _ => End::Failed,
                    });
                }
            }
            Some(Update::Left { room, code }) => bail!("the room {room} cannot be followed: {code}"),
            Some(Update::Disconnected { why, retry_in: Some(wait), .. }) => {
                screen.note(&format!("{why}; the run goes on, next attempt in {:.1} s", wait.as_secs_f64()));
            }
            Some(Update::Disconnected { why, retry_in: None, .. }) => bail!(why.to_string()),
            Some(_) => {}
            None => bail!("the connection has ended; the run goes on"),
        }
    }
}

/// What is kept of each step's output, to be shown if it fails.
const KEPT_LINES: usize = 20;

struct Screen {
    json: bool,
    logs: bool,
    bars: MultiProgress,
    overall: ProgressBar,
    steps: BTreeMap<String, ProgressBar>,
    tails: BTreeMap<String, VecDeque<String>>,
}

impl Screen {
    fn new(wish: &Wish, started: &RunStarted) -> Self {
        let shown = !wish.json && output::is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let overall = bars.add(ProgressBar::new(1));
        if let Ok(style) = ProgressStyle::with_template("{prefix:.bold} [{bar:30.green/dim}] {pos}/{len} {elapsed}") {
            overall.set_style(style.progress_chars("━━─"));
        }
        overall.set_prefix(format!("{} #{}", wish.workflow, started.number));
        // Each bar that ticks has a thread.
        if shown {
            overall.enable_steady_tick(Duration::from_millis(200));
        }
        let screen =
            Self { json: wish.json, logs: wish.logs, bars, overall, steps: BTreeMap::new(), tails: BTreeMap::new() };
        screen.note(&format!("{} #{} ({})", wish.workflow, started.number, started.run));
        screen
    }

    /// A line for the person, not for a program.
    fn note(&self, text: &str) {
        if !self.json {
            self.bars.suspend(|| output::note!("{text}"));
        }
    }

    fn event(&mut self, event: &Received) -> Option<RunConclusion> {
        if self.json {
            output::line(&event.text);
        }
        let data = event.data.get();
        match event.kind.as_str() {
            "run_updated" => {
                let run: signalbox_model::Run = serde_json::from_str(data).ok()?;
                self.overall.set_length(u64::from(run.steps_total));
                self.overall.set_position(u64::from(run.steps_done));
                if run.status == signalbox_model::RunStatus::Queued {
                    self.note(&format!("queued: {}", run.reason.unwrap_or_default()));
                }
            }
            "step_updated" if !self.bars.is_hidden() => self.step(&serde_json::from_str(data).ok()?),
            "step_completed" => self.step_done(&serde_json::from_str(data).ok()?),
            "approval_requested" => {
                let approval: signalbox_model::Approval = serde_json::from_str(data).ok()?;
                let fields: Vec<String> =
                    approval.form.iter().map(|field| format!("\"{}\":...", output::safe(&field.name))).collect();
                let form =
                    if fields.is_empty() { String::new() } else { format!(",\"form\":{{{}}}", fields.join(",")) };
                self.note(&format!(
                    "? {}: {}\n  answer in the app, or: signalbox call approval.answer '{{\"approval\":\"{}\",\"decision\":\"approve|reject\"{form}}}'",
                    approval.step, output::safe(&approval.question), approval.id
                ));
            }
            "permission_requested" => {
                let asked: signalbox_model::Permission = serde_json::from_str(data).ok()?;
                let options: Vec<&str> = asked.options.iter().map(|option| option.id.as_str()).collect();
                self.note(&format!(
                    "? {}: {}\n  answer in the app, or: signalbox call permission.answer '{{\"permission\":\"{}\",\"option\":\"{}\"}}'",
                    asked.step,
                    output::safe(&asked.title),
                    asked.id,
                    options.join("|")
                ));
            }
            "correction" => {
                let back: signalbox_model::Correction = serde_json::from_str(data).ok()?;
                let what = output::safe(back.feedback.lines().next().unwrap_or_default());
                self.note(&format!("! {}: correction {} of {}: {what}", back.step, back.number, back.max));
            }
            "completion" => {
                return serde_json::from_str::<Completion>(data).ok().map(|completion| completion.conclusion);
            }
            _ => {}
        }
        None
    }

    fn step(&mut self, step: &Step) {
        let at_work = matches!(
            step.status,
            StepStatus::Starting
                | StepStatus::Running
                | StepStatus::Verifying
                | StepStatus::Cancelling
                | StepStatus::WaitingInput
                | StepStatus::Scheduled
        );
        if !at_work {
            return;
        }
        let bars = &self.bars;
        let bar = self.steps.entry(step.key.to_string()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner:.cyan} {prefix} {wide_msg:.dim}") {
                bar.set_style(style);
            }
            bar.set_prefix(step.key.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if let Some(reason) = &step.reason {
            bar.set_message(output::safe(reason));
        }
    }

    fn step_done(&mut self, step: &Step) {
        if let Some(bar) = self.steps.remove(step.key.as_str()) {
            bar.finish_and_clear();
        }
        let (mark, word) = match step.conclusion {
            Some(StepConclusion::Success) => ("✓", ""),
            Some(StepConclusion::Skipped) => ("-", " skipped"),
            Some(StepConclusion::Omitted) => ("-", " omitted"),
            Some(StepConclusion::Cancelled | StepConclusion::Superseded) => ("■", " cancelled"),
            Some(StepConclusion::TimedOut) => ("✗", " timed out"),
            Some(StepConclusion::Rejected) => ("✗", " rejected"),
            Some(StepConclusion::Crashed) => ("!", " crashed"),
            Some(StepConclusion::Failed) | None => ("✗", " failed"),
        };
        let time =
            step.duration_ms.map(|ms| format!(" {:.1} s", Duration::from_millis(ms).as_secs_f64())).unwrap_or_default();
        let reason = step.reason.as_deref().map(|reason| format!(" ({})", output::safe(reason))).unwrap_or_default();
        self.note(&format!("{mark} {}{time}{word}{reason}", step.key));
        let failed = step.conclusion.is_some_and(StepConclusion::is_failure);
        let tail = self.tails.remove(step.key.as_str()).unwrap_or_default();
        if failed && !self.logs {
            for line in tail {
                self.note(&format!("  │ {line}"));
            }
        }
    }

    fn log(&mut self, step: &str, lines: Vec<String>) {
        let tail = self.tails.entry(step.to_owned()).or_default();
        for line in lines {
            // What was asked for goes where it can be piped; notes about the run stay on standard error.
            if self.logs && !self.json {
                self.bars.suspend(|| output::line(&format!("  {step} │ {line}")));
            }
            if let Some(bar) = self.steps.get(step) {
                bar.set_message(line.clone());
            }
            tail.push_back(line);
            if tail.len() > KEPT_LINES {
                tail.pop_front();
            }
        }
    }

    fn finish(&self, conclusion: RunConclusion) {
        self.overall.finish_and_clear();
        let word =
            serde_json::to_value(conclusion).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        self.note(&format!("{} {}", self.overall.prefix(), word.replace('_', " ")));
    }
}
