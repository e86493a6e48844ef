//! What can be wrong with a workflow that decodes: everything is reported at once, with its place.

mod agent;
mod graph;
mod inputs;
mod scope;
mod step;

use std::collections::BTreeSet;

pub(crate) use self::inputs::value_problem;
use self::{
    graph::Graph,
    scope::{Scope, Source},
};
use crate::{
    at::Position,
    definition::{Definition, StepKind},
    diagnostic::{Diagnostic, Diagnostics},
    near::nearest,
    plan::GOAL_STEP,
};

/// The version of the file format that this program reads.
pub const FORMAT: u32 = 1;
/// Most steps of one file.
pub const MAX_STEPS: usize = 10_000;

/// What can start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TriggerKind {
    /// A person or a program.
    Manual,
    /// A time table.
    Schedule,
    /// Changed files.
    File,
    /// A commit.
    Commit,
    /// A call from outside.
    Webhook,
}

/// What the host that will run a workflow is able to do.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// Kinds of steps that it executes.
    pub kinds: Vec<StepKind>,
    /// Agents that are installed, by id.
    pub agents: BTreeSet<String>,
    /// Agents that are known, installed or not.
    pub known_agents: BTreeSet<String>,
    /// What starts runs.
    pub triggers: BTreeSet<TriggerKind>,
    /// Whether checks of a `diff` can be made; those of `run` and `file_exists` always can.
    pub diff_checks: bool,
}

impl Capabilities {
    /// Commands, approvals and notifications, started by hand.
    #[must_use]
    pub fn basic() -> Self {
        Self {
            kinds: vec![StepKind::Command, StepKind::Approval, StepKind::Notify],
            agents: BTreeSet::new(),
            known_agents: BTreeSet::new(),
            triggers: BTreeSet::from([TriggerKind::Manual]),
            diff_checks: false,
        }
    }

    /// Every kind of step, with these agents, started by hand or by a webhook.
    #[must_use]
    pub fn with_agents(agents: BTreeSet<String>) -> Self {
        Self {
            kinds: vec![StepKind::Agent, StepKind::Command, StepKind::Approval, StepKind::Git, StepKind::Notify],
            known_agents: agents.clone(),
            agents,
            triggers: BTreeSet::from([TriggerKind::Manual, TriggerKind::Webhook]),
            diff_checks: true,
        }
    }
}

/// Checks what `definition`, decoded from `text`, means.
#[must_use]
pub fn check(definition: &Definition, text: &str, capabilities: &Capabilities) -> Diagnostics {
    let mut found = Diagnostics::default();
    if *definition.signalbox != FORMAT {
        let message =
            format!("file format {} is not known; this version of Signalbox reads {FORMAT}", *definition.signalbox);
        found.push(
            Diagnostic::error("format-version", definition.signalbox.position(), message)
                .hint(if *definition.signalbox > FORMAT { "update Signalbox" } else { "write `signalbox: 1`" }),
        );
        return found;
    }
    let mut checker = Checker { definition, text, capabilities, found, graph: Graph::default() };
    checker.workflow();
    checker.graph = Graph::build(definition, &mut checker.found);
    for (id, step) in definition.steps.iter() {
        checker.step(id, step);
    }
    checker.shared_folders();
    checker.found.sort();
    checker.found
}

struct Checker<'a> {
    definition: &'a Definition,
    text: &'a str,
    capabilities: &'a Capabilities,
    found: Diagnostics,
    graph: Graph,
}

impl Checker<'_> {
    fn error(&mut self, code: &'static str, position: Position, message: impl Into<String>, hint: impl Into<String>) {
        self.found.push(Diagnostic::error(code, position, message).hint(hint));
    }

    fn workflow(&mut self) {
        let definition = self.definition;
        if !is_id(&definition.name) {
            let message = format!("{:?} cannot be a workflow's name", *definition.name);
            self.error("bad-name", definition.name.position(), message, ID_RULE);
        }
        for name in definition.secrets.iter().chain(definition.env.keys()) {
            self.variable_name(name, name.position());
        }
        for (name, input) in &definition.inputs {
            self.input_name(name, name.position());
            self.found.extend(inputs::check(name, input));
        }
        for (name, value) in &definition.env {
            self.template(value, &Scope::new("env", Source::WorkflowEnv));
            let _ = name;
        }
        if let Some(concurrency) = &definition.concurrency {
            self.template(&concurrency.group, &Scope::new("concurrency.group", Source::Static));
            if !(1..=1000).contains(&*concurrency.max) {
                self.error(
                    "out-of-range",
                    concurrency.max.position(),
                    "`max` is 1 to 1000",
                    "write `max: 1` for one run at a time",
                );
            }
        }
        self.defaults();
        self.triggers();
        if let Some(goal) = &definition.goal_check {
            self.template(&goal.statement, &Scope::new("goal_check.statement", Source::Static));
            if !self.capabilities.kinds.contains(&StepKind::Agent) {
                self.error(
                    "unsupported",
                    goal.position(),
                    "this version of Signalbox does not run `goal_check` yet",
                    "remove it, or put its commands into a last step of kind command",
                );
            }
            let taken = definition.steps.keys().find(|id| id.as_str() == GOAL_STEP).filter(|_| !goal.accept.is_empty());
            if let Some(id) = taken {
                let message = format!("{GOAL_STEP:?} is the name of the step that checks the goal");
                self.error("bad-step-id", id.position(), message, "give yours another name");
            }
            for check in &goal.accept {
                self.verify(check, &Scope { changes: true, ..Scope::new("goal_check.accept", Source::Static) });
            }
        }
        if definition.steps.is_empty() {
            self.error(
                "no-steps",
                definition.steps.position(),
                "there are no steps",
                "add one: `steps: { test: { kind: command, run: make test } }`",
            );
        }
        if definition.steps.len() > MAX_STEPS {
            self.error(
                "too-many-steps",
                definition.steps.position(),
                format!("there are more than {MAX_STEPS} steps"),
                "split the workflow",
            );
        }
    }

    fn defaults(&mut self) {
        let defaults = &self.definition.defaults;
        if let Some(retry) = &defaults.retry {
            self.retry(retry);
        }
        if let Some(stall) = &defaults.stall {
            self.stall(stall);
        }
        if let Some(agent) = defaults.agent.as_ref().filter(|agent| agent.session.is_some()) {
            let message = "a session is continued by one step, not by all";
            self.error("no-session", agent.position(), message, "write `session` in the step");
        }
        for pattern in defaults.carry.iter().flat_map(|carry| carry.copy.iter().chain(&carry.link)) {
            let mut parts = pattern.trim_end_matches('/').split('/');
            if parts.any(|part| matches!(part, "" | "." | ".." | ".git")) {
                let message = format!("{:?} is no pattern of files within the repository", **pattern);
                self.error(
                    "bad-path",
                    pattern.position(),
                    message,
                    "write it as `.env`, `**/node_modules` or `web/dist`",
                );
            }
        }
        if let Some(shell) = &defaults.shell {
            self.shell(shell);
        }
        if let Some(dir) = &defaults.working_dir {
            self.relative_path(dir, dir.position());
            self.template(dir, &Scope::new("defaults.working_dir", Source::Static));
        }
    }

    fn triggers(&mut self) {
        let Some(triggers) = &self.definition.triggers else { return };
        let all = (triggers.schedule.iter().map(|t| (TriggerKind::Schedule, t.position(), "schedule")))
            .chain(triggers.file.iter().map(|t| (TriggerKind::File, t.position(), "file")))
            .chain(triggers.commit.iter().map(|t| (TriggerKind::Commit, t.position(), "commit")))
            .chain(triggers.webhook.iter().map(|t| (TriggerKind::Webhook, t.position(), "webhook")));
        for (kind, position, name) in all.collect::<Vec<_>>() {
            if !self.capabilities.triggers.contains(&kind) {
                let message = format!("this version of Signalbox does not act on `{name}` triggers yet");
                self.error(
                    "unsupported",
                    position,
                    message,
                    "remove it and start runs by hand or with `signalbox run`",
                );
            }
        }
    }

    fn input_name(&mut self, name: &str, position: Position) {
        if !is_id(name) {
            self.error("bad-name", position, format!("{name:?} cannot be an input's name"), ID_RULE);
        }
    }

    fn variable_name(&mut self, name: &str, position: Position) {
        let mut bytes = name.bytes();
        let ok = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !ok {
            self.error(
                "bad-name",
                position,
                format!("{name:?} cannot be a variable's name"),
                "use letters, digits and `_`, not starting with a digit",
            );
        } else if name.starts_with("SIGNALBOX_") {
            self.error(
                "bad-name",
                position,
                format!("{name:?} is reserved"),
                "names that begin with SIGNALBOX_ are set by Signalbox itself",
            );
        }
    }
}

const ID_RULE: &str = "begin with a lower-case letter, then up to 62 lower-case letters, digits, `-` or `_`";

/// `[a-z][a-z0-9_-]{0,62}`
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}
