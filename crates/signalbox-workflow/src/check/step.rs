//! One step: its keys, its values, its neighbours.

use serde_json::Value;

use super::{
    Checker, ID_RULE, did_you_mean, is_id,
    scope::{Scope, Source},
};
use crate::{
    at::{At, Position},
    definition::{Definition, InputType, Isolation, Matrix, OnTimeout, Retry, Stall, Step, StepKind, Verify},
    diagnostic::Diagnostic,
    script::in_single_quotes,
    template::Template,
};

/// A key of a step, where it is written (if it is), and the kinds it goes with.
type KeyUse = (&'static str, Option<Position>, &'static [StepKind]);

const WORKING: &[StepKind] = &[StepKind::Agent, StepKind::Command, StepKind::Git];

fn keys(step: &Step) -> Vec<KeyUse> {
    use StepKind::{Agent, Approval, Command, Git, Notify};
    fn at<T>(value: Option<&At<T>>) -> Option<Position> {
        value.map(At::position)
    }
    vec![
        ("env", step.env.keys().next().map(At::position), WORKING),
        ("timeout", at(step.timeout.as_ref()), &[Agent, Command, Git, Approval]),
        ("stall", at(step.stall.as_ref()), WORKING),
        ("retry", at(step.retry.as_ref()), &[Agent, Command, Git, Notify]),
        ("verify", at(step.verify.first()), WORKING),
        ("run", at(step.run.as_ref()), &[Command]),
        ("shell", at(step.shell.as_ref()), &[Command]),
        ("working_dir", at(step.working_dir.as_ref()), &[Command, Agent]),
        ("idempotent", at(step.idempotent.as_ref()), &[Command]),
        ("artifacts", at(step.artifacts.first()), WORKING),
        ("outputs", at(step.outputs.as_ref()), &[Agent, Command]),
        ("agent", at(step.agent.as_ref()), &[Agent]),
        ("prompt", at(step.prompt.as_ref()), &[Agent]),
        ("isolation", at(step.isolation.as_ref()), &[Agent]),
        ("permissions", at(step.permissions.as_ref()), &[Agent]),
        ("budget", at(step.budget.as_ref()), &[Agent]),
        ("correct", at(step.correct.as_ref()), &[Agent]),
        ("question", at(step.question.as_ref()), &[Approval]),
        ("show", at(step.show.first()), &[Approval]),
        ("who", at(step.who.as_ref()), &[Approval]),
        ("on_timeout", at(step.on_timeout.as_ref()), &[Approval]),
        ("form", step.form.keys().next().map(At::position), &[Approval]),
        ("on_reject", at(step.on_reject.as_ref()), &[Approval]),
        ("action", at(step.action.as_ref()), &[Git]),
        ("from", at(step.from.as_ref()), WORKING),
        ("name", at(step.name.as_ref()), &[Git]),
        ("into", at(step.into.as_ref()), &[Git]),
        ("to", at(step.to.first()), &[Notify]),
        ("message", at(step.message.as_ref()), &[Notify, Git]),
    ]
}

fn word(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Agent => "agent",
        StepKind::Command => "command",
        StepKind::Approval => "approval",
        StepKind::Git => "git",
        StepKind::Notify => "notify",
    }
}

impl Checker<'_> {
    pub(super) fn step(&mut self, id: &At<String>, step: &At<Step>) {
        if !is_id(id) {
            self.error("bad-step-id", id.position(), format!("{:?} cannot be a step's id", **id), ID_RULE);
        }
        let kind = *step.kind;
        if !self.capabilities.kinds.contains(&kind) {
            let message = format!("this version of Signalbox does not run steps of kind `{}` yet", word(kind));
            let known: Vec<&str> = self.capabilities.kinds.iter().map(|k| word(*k)).collect();
            self.error("unsupported", step.kind.position(), message, format!("it runs {}", known.join(", ")));
        }
        self.keys_of_kind(id, step, kind);
        self.common(id, step);
        match kind {
            StepKind::Command => self.command(id, step),
            StepKind::Approval => self.approval(id, step),
            StepKind::Notify => self.notify(id, step),
            StepKind::Agent => self.agent(id, step),
            StepKind::Git => self.git(id, step),
        }
    }

    fn keys_of_kind(&mut self, id: &At<String>, step: &At<Step>, kind: StepKind) {
        for (key, position, kinds) in keys(step) {
            let Some(position) = position.filter(|_| !kinds.contains(&kind)) else { continue };
            let of: Vec<&str> = kinds.iter().map(|k| word(*k)).collect();
            let (code, hint) = match (kind, key) {
                (StepKind::Approval, "retry") => (
                    "retry-on-approval",
                    "a question is not retried; `on_reject` says what happens after a \"no\"".to_owned(),
                ),
                _ => ("key-of-other-kind", format!("it goes with steps of kind {}", of.join(", "))),
            };
            self.error(
                code,
                position,
                format!("step {:?} is of kind `{}`, which has no `{key}`", **id, word(kind)),
                hint,
            );
        }
        let needed: &[(&str, bool, &str)] = match kind {
            StepKind::Command => &[("run", step.run.is_some(), "add `run: make test`")],
            StepKind::Approval => &[("who", step.who.is_some(), "add `who: { roles: [operator, owner] }`")],
            StepKind::Notify => &[
                ("to", !step.to.is_empty(), "add `to: [desktop]`"),
                ("message", step.message.is_some(), "add `message: ...`"),
            ],
            StepKind::Agent => &[
                (
                    "agent",
                    !self.definition.agents_of(step).is_empty(),
                    "add `agent: { id: ... }`, here or under `defaults`",
                ),
                ("prompt", step.prompt.is_some(), "add `prompt: ...`"),
            ],
            StepKind::Git => &[("action", step.action.is_some(), "add `action: merge`")],
        };
        for (key, given, hint) in needed {
            if !given {
                let message = format!("step {:?} of kind `{}` has no `{key}`", **id, word(kind));
                self.error("missing-key", id.position(), message, *hint);
            }
        }
    }

    fn common(&mut self, id: &At<String>, step: &At<Step>) {
        if let Some(title) = &step.title {
            self.template(title, &Scope::new("title", Source::Instance).of(id, step));
        }
        if let Some(condition) = &step.condition {
            let scope = Scope { condition: true, ..Scope::new("if", Source::Step).of(id, step) };
            if self.template(condition, &scope).is_some_and(|template| template.whole().is_none()) {
                let text = condition.trim();
                self.error(
                    "bad-condition",
                    condition.position(),
                    "`if` is one expression and nothing else",
                    format!("write `if: \"${{{{ {text} }}}}\"`"),
                );
            }
        }
        for (name, value) in &step.env {
            self.variable_name(name, name.position());
            self.template(value, &Scope::new("env", Source::StepEnv).of(id, step));
        }
        if let Some(retry) = &step.retry {
            self.retry(retry);
        }
        if let Some(stall) = &step.stall {
            self.stall(stall);
        }
        for check in &step.verify {
            let changes = matches!(*step.kind, StepKind::Agent | StepKind::Git);
            self.verify(check, &Scope { changes, ..Scope::new("verify", Source::StepEnv).of(id, step) });
        }
        for artifact in &step.artifacts {
            self.relative_path(&artifact.path, artifact.path.position());
            self.template(&artifact.path, &Scope::new("artifacts", Source::Step).of(id, step));
        }
        for (name, path) in step.outputs.iter().flat_map(|outputs| &outputs.files) {
            self.input_name(name, name.position());
            self.relative_path(path, path.position());
        }
        if let Some(matrix) = &step.matrix {
            self.matrix(id, step, matrix);
        }
    }

    fn matrix(&mut self, id: &str, step: &Step, matrix: &At<Matrix>) {
        if matrix.axes.is_empty() {
            self.error("empty-matrix", matrix.position(), "the matrix has no axes", "add `axes: { name: [a, b] }`");
        }
        for (name, values) in &matrix.axes {
            self.input_name(name, name.position());
            match &**values {
                Value::Array(items) => {
                    if items.is_empty() {
                        self.error(
                            "empty-matrix",
                            values.position(),
                            format!("axis {:?} has no values", **name),
                            "add a value",
                        );
                    }
                    for (i, item) in items.iter().enumerate() {
                        if item.is_object() || item.is_array() || item.is_null() {
                            self.error(
                                "bad-matrix",
                                values.position(),
                                "a value of a matrix is text, a number, true or false",
                                "write plain values",
                            );
                        } else if items[..i].contains(item) {
                            self.error(
                                "duplicate-matrix-key",
                                values.position(),
                                format!("axis {:?} holds {item} twice", **name),
                                "each value makes one instance; keep one of the two",
                            );
                        }
                    }
                }
                Value::String(text) => {
                    let scope = Scope::new("matrix.axes", Source::Static);
                    let placed = values.clone().map(|_| text.clone());
                    if self.template(&placed, &scope).is_some_and(|template: Template| template.whole().is_none()) {
                        self.error(
                            "bad-matrix",
                            values.position(),
                            "an axis is a list, or one `${{ }}` that gives one",
                            "write `[a, b]`",
                        );
                    }
                }
                _ => self.error(
                    "bad-matrix",
                    values.position(),
                    "an axis is a list, or one `${{ }}` that gives one",
                    "write `[a, b]`",
                ),
            }
        }
        if let Some(key) = &matrix.key {
            self.template(key, &Scope::new("matrix.key", Source::Instance).of(id, step));
        }
        if let Some(max) = matrix.max_parallel.as_ref().filter(|max| ***max == 0) {
            self.error(
                "out-of-range",
                max.position(),
                "`max_parallel` is at least 1",
                "remove it for as many as the host allows",
            );
        }
    }

    fn command(&mut self, id: &str, step: &Step) {
        if let Some(run) = &step.run {
            self.script(run, &Scope::new("run", Source::StepEnv).of(id, step));
        }
        if let Some(shell) = &step.shell {
            self.shell(shell);
        }
        self.working_dir(id, step);
        self.from(id, step);
    }

    pub(super) fn working_dir(&mut self, id: &str, step: &Step) {
        if let Some(dir) = &step.working_dir {
            self.relative_path(dir, dir.position());
            self.template(dir, &Scope::new("working_dir", Source::Step).of(id, step));
        }
    }

    fn script(&mut self, run: &At<String>, scope: &Scope<'_>) {
        if run.trim().is_empty() {
            self.error("empty-script", run.position(), "the script is empty", "write what is to be done");
        }
        if self.template(run, scope).is_none() {
            return;
        }
        for index in in_single_quotes(run) {
            let place = self.locate(run.position(), index, "", 0);
            self.found.push(
                Diagnostic::error(
                    "single-quotes",
                    place,
                    "the shell does not replace this: it stands in single quotes",
                )
                .warning()
                .hint("an expression arrives as an environment variable; put it in double quotes"),
            );
        }
    }

    fn approval(&mut self, id: &str, step: &Step) {
        if let Some(question) = &step.question {
            self.template(question, &Scope::new("question", Source::Step).of(id, step));
        }
        if let Some(who) = &step.who {
            if who.roles.is_empty() {
                self.error(
                    "nobody-may-answer",
                    who.position(),
                    "`roles` is empty: nobody could answer",
                    "add `roles: [operator, owner]`",
                );
            }
            if !(1..=20).contains(&who.min) {
                self.error("out-of-range", who.position(), "`min` is 1 to 20", "write `min: 1`");
            }
        }
        if let Some(on_timeout) =
            step.on_timeout.as_ref().filter(|o| step.timeout.is_none() && ***o != OnTimeout::KeepWaiting)
        {
            self.error(
                "no-timeout",
                on_timeout.position(),
                "`on_timeout` without `timeout` never happens",
                "add `timeout: 24h`",
            );
        }
        for (name, field) in &step.form {
            self.input_name(name, name.position());
            if *field.kind == InputType::Array {
                self.error(
                    "bad-input",
                    field.kind.position(),
                    "a field of a form cannot be a list",
                    "ask for text, or for one of several `values`",
                );
            }
            self.found.extend(super::inputs::check(name, field));
        }
        for show in &step.show {
            let text = show.trim().trim_start_matches("steps.");
            let reference = At::nowhere(format!("${{{{ steps.{text} }}}}"));
            let before = std::mem::take(&mut self.found);
            self.template(&reference, &Scope::new("show", Source::Step).of(id, step));
            let found = std::mem::replace(&mut self.found, before);
            // The expression was made up here, so the place is the entry itself.
            self.found.extend(found.into_iter().map(|d| Diagnostic {
                line: show.position().line,
                column: show.position().column,
                ..d
            }));
        }
        let Some(on_reject) = &step.on_reject else { return };
        let target = &on_reject.rerun_from;
        if !self.definition.steps.contains_key(target.as_str()) {
            let hint =
                did_you_mean(target, self.definition.steps.keys().map(|k| k.as_str()), "name a step of this file");
            self.error("unknown-step", target.position(), format!("there is no step {:?}", **target), hint);
        } else if !self.graph.is_before(target, id) {
            let message =
                format!("step {:?} does not come before {id:?}, so it cannot run again because of it", **target);
            self.error(
                "not-upstream",
                target.position(),
                message,
                format!("name a step that {id:?} needs, directly or through others"),
            );
        }
        if let Some(feedback) = &on_reject.feedback_as {
            self.template(feedback, &Scope::new("feedback_as", Source::Feedback).of(id, step));
        }
        if !(1..=100).contains(&*on_reject.max) {
            self.error("out-of-range", on_reject.max.position(), "`max` is 1 to 100", "write `max: 3`");
        }
    }

    fn notify(&mut self, id: &str, step: &Step) {
        if let Some(message) = &step.message {
            self.template(message, &Scope::new("message", Source::Step).of(id, step));
        }
    }

    pub(super) fn verify(&mut self, check: &At<Verify>, scope: &Scope<'_>) {
        let given = [check.run.is_some(), check.diff.is_some(), check.file_exists.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            self.error(
                "bad-check",
                check.position(),
                "a check is exactly one of `run`, `diff` and `file_exists`",
                "write one list entry per check",
            );
        }
        if let Some(run) = &check.run {
            self.script(run, scope);
        }
        if let Some(path) = &check.file_exists {
            self.relative_path(path, path.position());
        }
        if let Some(diff) = check.diff.as_ref().filter(|_| !self.capabilities.diff_checks || !scope.changes) {
            self.error(
                "unsupported",
                diff.position(),
                "a `diff` can be checked where a step's changes are known: of an agent, before landing, of the goal",
                "use `run` with a git command",
            );
        }
    }

    pub(super) fn retry(&mut self, retry: &At<Retry>) {
        if retry.max > 100 {
            self.error("out-of-range", retry.position(), "`max` is 0 to 100", "write `max: 1`");
        }
        if !(0.0..=1.0).contains(&retry.jitter) {
            self.error("out-of-range", retry.position(), "`jitter` is 0 to 1", "write `jitter: 0.2`");
        }
        if retry.causes.is_empty() && retry.max > 0 {
            self.error(
                "no-causes",
                retry.position(),
                "`causes` is empty: nothing would be retried",
                "name causes, or write `max: 0`",
            );
        }
    }

    pub(super) fn stall(&mut self, stall: &At<Stall>) {
        if let (Some(warn), Some(fail)) = (stall.warn, stall.fail)
            && warn >= fail
        {
            self.error(
                "stall-order",
                stall.position(),
                "`warn` must be shorter than `fail`",
                "a person needs time between the two",
            );
        }
    }

    pub(super) fn shell(&mut self, shell: &At<Vec<String>>) {
        if shell.first().is_none_or(|program| program.trim().is_empty()) {
            self.error("empty-shell", shell.position(), "the shell is empty", "write `shell: [bash, -e, -c]`");
        }
    }

    /// A step must not be able to name what is not the project's.
    pub(super) fn relative_path(&mut self, path: &str, position: Position) {
        let absolute = path.starts_with(['/', '\\']) || path.get(1..2) == Some(":");
        if path.is_empty() || absolute || path.split(['/', '\\']).any(|part| part == "..") {
            self.error(
                "bad-path",
                position,
                format!("{path:?} is not a path inside the project"),
                "write it relative to the project's folder, without `..`",
            );
        }
    }

    /// Agents that write to the project's own folder at the same time would undo each other's work. Commands run there
    /// too; what they write is their author's business.
    pub(super) fn shared_folders(&mut self) {
        let definition: &Definition = self.definition;
        let session = |step: &'_ Step| step.agent.as_ref().and_then(|agent| agent.session.clone());
        let continued: Vec<_> = definition.steps.iter().filter_map(|(id, step)| Some((id, session(step)?))).collect();
        for (i, (id, of)) in continued.iter().enumerate() {
            let apart = |other: &str| self.graph.is_before(other, id) || self.graph.is_before(id, other);
            let other = continued[..i].iter().find(|(other, same)| **same == **of && !apart(other));
            if let Some((other, _)) = other {
                let message = format!(
                    "steps {:?} and {:?} may go on in the session of {:?} at the same time",
                    ***other, ***id, **of
                );
                self.error("shared-session", of.position(), message, "let one need the other");
            }
        }
        let shared = |step: &Step| {
            *step.kind == StepKind::Agent
                && step
                    .isolation
                    .as_ref()
                    .or(definition.defaults.isolation.as_ref())
                    .is_some_and(|i| **i == Isolation::SharedRw)
        };
        let writers: Vec<_> = definition.steps.iter().filter(|(_, step)| shared(step)).collect();
        for (i, (id, step)) in writers.iter().enumerate() {
            let alone = step.matrix.as_ref().is_none_or(|m| m.max_parallel.as_ref().is_some_and(|max| **max == 1));
            let other = writers[..i]
                .iter()
                .find(|(other, _)| !self.graph.is_before(other, id) && !self.graph.is_before(id, other));
            let message = match other {
                Some((other, _)) => {
                    format!("steps {:?} and {:?} may write to the project's folder at the same time", ***other, ***id)
                }
                None if !alone => {
                    format!("instances of {:?} may write to the project's folder at the same time", ***id)
                }
                None => continue,
            };
            let hint = "write `isolation: worktree`, or let one need the other (a matrix: `max_parallel: 1`)";
            self.error("shared-folder", id.position(), message, hint);
        }
    }
}
