//! What an agent may ask of Signalbox while it works: tools, offered to its session over MCP with a token of its own.

use std::{
    collections::HashMap,
    path::{Component, Path},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};
use signalbox_engine::Input;
use signalbox_model::{
    Artifact, EventData, OptionKind, Permission, PermissionId, PermissionOption, PermissionTopic, Progress, Risk,
    Severity,
};
use tokio::sync::oneshot;

use super::{
    answer,
    asks::{Answer, Asks, question},
    record::About,
    workspace::Workspace,
};
use crate::{execute::Job, files::collect_artifacts, ids};

/// How long a call waits for a person before it says that there is no answer yet. Agents give up on tools that take longer.
const PATIENCE: Duration = Duration::from_secs(45);
/// Questions of one agent that may be open at once.
const QUESTIONS: usize = 8;
/// Risks that one attempt may raise.
const RISKS: usize = 50;
/// Files that one attempt may deliver.
const FILES: usize = 200;
const TEXT: usize = 8 * 1024;

/// A tool, as an agent sees it.
#[derive(Debug, Clone)]
pub struct ToolInfo {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the agent.
    pub about: &'static str,
    /// JSON Schema of its parameters.
    pub schema: Value,
}

/// The tools of one attempt of a step.
pub struct AgentTools {
    pub(crate) job: Arc<Job>,
    pub(crate) asks: Arc<Asks>,
    pub(crate) about: About,
    pub(crate) agent: String,
    pub(crate) schema: Option<Value>,
    pub(crate) workspace: Arc<Workspace>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    verdict: Option<IndexMap<String, Value>>,
    delivered: Vec<Artifact>,
    risks: usize,
    questions: HashMap<PermissionId, oneshot::Receiver<Answer>>,
}

/// Who may use which tools: one token for each attempt at work.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, Arc<AgentTools>>>);

impl Tokens {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<AgentTools>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new token for these tools. It is good until [`revoke`](Self::revoke).
    pub(crate) fn issue(&self, tools: &Arc<AgentTools>) -> String {
        let token = format!("sbx_agent_{}", ids::token(32));
        self.map().insert(signalbox_store::blob::hash(token.as_bytes()), Arc::clone(tools));
        token
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.map().remove(&signalbox_store::blob::hash(token.as_bytes()));
    }

    /// The tools that a token opens. Looked up by its hash, so that how long it takes says nothing of other tokens.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<AgentTools>> {
        self.map().get(&signalbox_store::blob::hash(token.as_bytes())).cloned()
    }
}

#[derive(Deserialize)]
struct ReportProgress {
    value: f64,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct AskPerson {
    question: String,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Deserialize)]
struct WaitForAnswer {
    question_id: String,
}

#[derive(Deserialize)]
struct RaiseRisk {
    title: String,
    evidence: String,
    #[serde(default)]
    severity: Option<Severity>,
    #[serde(default)]
    advice: Option<String>,
}

#[derive(Deserialize)]
struct DeliverFile {
    path: String,
}

fn parse<'a, T: Deserialize<'a>>(arguments: &'a Value) -> Result<T, String> {
    T::deserialize(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

fn short(text: &str, what: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err(format!("{what} is empty")),
        text if text.len() > TEXT => Err(format!("{what} has {} bytes, at most {TEXT} are allowed", text.len())),
        text => Ok(text.to_owned()),
    }
}

impl AgentTools {
    pub(crate) fn new(
        job: Arc<Job>,
        asks: Arc<Asks>,
        about: About,
        agent: String,
        schema: Option<Value>,
        workspace: Arc<Workspace>,
    ) -> Self {
        Self { job, asks, about, agent, schema, workspace, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict that the agent submitted, which replaces what it says.
    pub(crate) fn verdict(&self) -> Option<IndexMap<String, Value>> {
        self.state().verdict.clone()
    }

    /// The files that it delivered.
    pub(crate) fn delivered(&self) -> Vec<Artifact> {
        self.state().delivered.clone()
    }

    /// Takes back what it asked and nobody answered.
    pub(crate) async fn end(&self) {
        let open: Vec<PermissionId> = self.state().questions.drain().map(|(id, _)| id).collect();
        for id in open {
            self.asks.withdraw(&id, "the agent has ended").await;
        }
    }

    /// The tools, in the order in which they are shown.
    #[must_use]
    pub fn list(&self) -> Vec<ToolInfo> {
        let text = |about: &str| json!({ "type": "string", "description": about });
        let mut tools = vec![
            ToolInfo {
                name: "report_progress",
                about: "Says how far you are. It is shown to the people who wait for you.",
                schema: json!({ "type": "object", "required": ["value"], "properties": {
                    "value": { "type": "number", "minimum": 0, "maximum": 1, "description": "0 to 1" },
                    "text": text("what you are doing, in a few words") } }),
            },
            ToolInfo {
                name: "ask_person",
                about: "Asks a person something that you cannot find out yourself. Waits for up to 45 seconds; if there is no \
                        answer by then, call wait_for_answer, or go on with something else first.",
                schema: json!({ "type": "object", "required": ["question"], "properties": {
                    "question": text("the question, with all that is needed to answer it"),
                    "options": { "type": "array", "items": { "type": "string" }, "maxItems": 8,
                        "description": "answers to choose from; without them, or beside them, an answer is free text" } } }),
            },
            ToolInfo {
                name: "wait_for_answer",
                about: "Waits for the answer to an earlier question, for up to 45 seconds.",
                schema: json!({ "type": "object", "required": ["question_id"], "properties": {
                    "question_id": text("as ask_person gave it") } }),
            },
            ToolInfo {
                name: "raise_risk",
                about: "Tells the people something that may go wrong, with what you saw.",
                schema: json!({ "type": "object", "required": ["title", "evidence"], "properties": {
                    "title": text("what may go wrong, in a sentence"), "evidence": text("what you saw"),
                    "severity": { "enum": ["info", "warning", "critical"] },
                    "advice": text("what should be done") } }),
            },
            ToolInfo {
                name: "deliver_file",
                about: "Keeps a file of your folder as a result of your step, for people to read or download.",
                schema: json!({ "type": "object", "required": ["path"], "properties": {
                    "path": text("relative to your folder") } }),
            },
        ];
        if let Some(schema) = &self.schema {
            tools.push(ToolInfo {
                name: "submit_verdict",
                about: "Hands in the answer of your step. The arguments are the answer. A later one replaces an earlier one.",
                schema: schema.clone(),
            });
        }
        tools
    }

    /// Does what an agent wants.
    ///
    /// # Errors
    /// What was wrong, in words for the agent.
    pub async fn call(self: &Arc<Self>, tool: &str, arguments: Value) -> Result<Value, String> {
        match tool {
            "report_progress" => self.progress(parse(&arguments)?).await,
            "ask_person" => self.ask(parse(&arguments)?).await,
            "wait_for_answer" => self.wait(parse(&arguments)?).await,
            "raise_risk" => self.risk(parse(&arguments)?).await,
            "deliver_file" => self.deliver(parse(&arguments)?).await,
            "submit_verdict" => self.submit(&arguments),
            _ => Err(format!("there is no tool {tool:?}")),
        }
    }

    async fn progress(&self, report: ReportProgress) -> Result<Value, String> {
        if !(0.0..=1.0).contains(&report.value) {
            return Err("value is a number from 0 to 1".into());
        }
        self.job.tell(Input::Progress { at: self.job.at.clone(), value: report.value }).await;
        let text = report.text.map(|text| text.chars().take(200).collect());
        let data = Progress { of: "step".into(), value: report.value, text, eta_ms: None };
        self.job.append_all(vec![self.job.of_project(EventData::ProgressUpdate(data))]).await;
        Ok(json!({ "shown": true }))
    }

    async fn ask(self: &Arc<Self>, ask: AskPerson) -> Result<Value, String> {
        let title = short(&ask.question, "question")?;
        if self.state().questions.len() >= QUESTIONS {
            return Err(format!("{QUESTIONS} questions are open already: wait for an answer first"));
        }
        if ask.options.len() > 8 {
            return Err("at most 8 options".into());
        }
        let options = ask.options.iter().enumerate().map(|(number, name)| {
            let name = short(name, "an option")?;
            Ok(PermissionOption { id: format!("option-{}", number + 1), name, kind: OptionKind::Answer })
        });
        let options: Vec<PermissionOption> = options.collect::<Result<_, String>>()?;
        let asked = question(&self.job, &self.about, &self.agent, PermissionTopic::Question, title.clone());
        let permission = Permission { options, free_text: true, ..asked };
        let id = permission.id.clone();
        let text = format!("{} #{}: {} asks: {title}", self.about.workflow, self.about.run_number, self.job.key);
        let receiver = self.asks.ask(permission).await.map_err(|error| error.to_string())?;
        self.job.activity("question_asked", text).await;
        self.answer(id, receiver).await
    }

    async fn wait(self: &Arc<Self>, wait: WaitForAnswer) -> Result<Value, String> {
        let id = PermissionId::new(&wait.question_id).map_err(|error| error.to_string())?;
        let known = self.state().questions.remove(&id);
        match known {
            Some(receiver) => self.answer(id, receiver).await,
            None => Err("there is no such open question, or somebody waits for it already".into()),
        }
    }

    async fn answer(&self, id: PermissionId, mut receiver: oneshot::Receiver<Answer>) -> Result<Value, String> {
        match tokio::time::timeout(PATIENCE, &mut receiver).await {
            Err(_) => {
                self.state().questions.insert(id.clone(), receiver);
                Ok(json!({ "answered": false, "question_id": id, "next": "call wait_for_answer" }))
            }
            Ok(Err(_)) => Err("the question was withdrawn".into()),
            Ok(Ok(Answer { option, text, by })) => {
                let known = self.job.store.read(|reader| reader.permission(&id)).ok().flatten();
                let chosen = option.and_then(|option| {
                    let known = known.as_ref()?;
                    known.options.iter().find(|offer| offer.id == option).map(|offer| offer.name.clone())
                });
                Ok(json!({ "answered": true, "by": by, "choice": chosen, "text": text }))
            }
        }
    }

    async fn risk(&self, raise: RaiseRisk) -> Result<Value, String> {
        let number = {
            let mut state = self.state();
            if state.risks >= RISKS {
                return Err(format!("{RISKS} risks were raised already"));
            }
            state.risks += 1;
            state.risks
        };
        let id = format!("agent/{}/{}/{}/{number}", self.job.at.run, self.job.key, self.job.attempt);
        let severity = raise.severity.unwrap_or(Severity::Warning);
        let risk = Risk {
            id,
            ..self.job.risk(
                "agent",
                severity,
                short(&raise.title, "title")?,
                &short(&raise.evidence, "evidence")?,
                raise.advice.as_deref().unwrap_or_default(),
            )
        };
        let id = risk.id.clone();
        let text = format!("{}: {}", self.job.key, risk.title);
        self.job.append_all(vec![self.job.of_project(EventData::RiskAlert(risk))]).await;
        self.job.activity("risk_raised", text).await;
        Ok(json!({ "risk": id }))
    }

    async fn deliver(&self, deliver: DeliverFile) -> Result<Value, String> {
        let path = Path::new(&deliver.path);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        // No pattern: one call delivers one file.
        if !inside || deliver.path.contains('*') || deliver.path.is_empty() {
            return Err("path is a file of your folder, relative to it, without `..`".into());
        }
        if self.state().delivered.len() >= FILES {
            return Err(format!("{FILES} files were delivered already"));
        }
        let folder = self.workspace.folder.clone();
        let real = folder.join(path).canonicalize().map_err(|error| format!("{}: {error}", deliver.path))?;
        if !real.starts_with(folder.canonicalize().unwrap_or_else(|_| folder.clone())) || !real.is_file() {
            return Err(format!("{} is no file of your folder", deliver.path));
        }
        let (blobs, pattern) = (self.job.store.blobs().clone(), deliver.path.clone());
        let kept = tokio::task::spawn_blocking(move || collect_artifacts(&folder, &[pattern], &blobs)).await;
        let kept = kept.unwrap_or_else(|_| Err("the host is stopping".into()))?;
        let mut state = self.state();
        for artifact in kept {
            state.delivered.retain(|known| known.path != artifact.path);
            state.delivered.push(artifact);
        }
        Ok(json!({ "kept": deliver.path }))
    }

    fn submit(&self, arguments: &Value) -> Result<Value, String> {
        let schema = self.schema.as_ref().ok_or("this step asks for no verdict")?;
        let outputs = answer::checked(arguments.clone(), schema)?;
        self.state().verdict = Some(outputs);
        Ok(json!({ "accepted": true }))
    }
}
