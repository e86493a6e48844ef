//! Expressions: do they parse, and may they read what they read, where they stand?

use super::{Checker, did_you_mean};
use crate::{
    at::{At, Position, lines},
    definition::Step,
    diagnostic::Diagnostic,
    expr::{Expr, Function, Reference, Segment},
    template::{Slot, Template, secret_name},
};

/// What an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// What is known before the run: `inputs`, `env`, `project`.
    Static,
    /// `env` of the workflow: `inputs`, `project`, `secrets`.
    WorkflowEnv,
    /// What is known before the run, and the instance's `matrix`.
    Instance,
    /// Everything but secrets and files.
    Step,
    /// Everything.
    StepEnv,
    /// What a step reads, and `approval`.
    Feedback,
}

impl Source {
    fn roots(self) -> &'static [&'static str] {
        match self {
            Self::Static => &["inputs", "env", "project"],
            Self::WorkflowEnv => &["inputs", "project", "secrets"],
            Self::Instance => &["inputs", "env", "project", "matrix"],
            Self::Step => &["inputs", "env", "project", "run", "steps", "matrix"],
            Self::StepEnv => &["inputs", "env", "project", "run", "steps", "matrix", "secrets"],
            Self::Feedback => &["inputs", "env", "project", "run", "steps", "matrix", "approval"],
        }
    }
}

/// Where an expression stands.
pub(super) struct Scope<'a> {
    pub(super) key: &'a str,
    pub(super) source: Source,
    pub(super) step: Option<(&'a str, &'a Step)>,
    /// Status functions mean something only in `if`.
    pub(super) condition: bool,
    /// What a step changed is known here.
    pub(super) changes: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(key: &'a str, source: Source) -> Self {
        Self { key, source, step: None, condition: false, changes: false }
    }

    pub(super) fn of(mut self, id: &'a str, step: &'a Step) -> Self {
        self.step = Some((id, step));
        self
    }
}

const ROOTS: [&str; 8] = ["inputs", "env", "project", "run", "steps", "matrix", "approval", "secrets"];

impl Checker<'_> {
    /// Checks every expression of a text; `None` if one does not parse.
    pub(super) fn template(&mut self, text: &At<String>, scope: &Scope<'_>) -> Option<Template> {
        match Template::parse_all(text) {
            Ok(template) => {
                for slot in template.slots() {
                    self.slot(text.position(), slot, scope);
                }
                Some(template)
            }
            Err(errors) => {
                for error in errors {
                    let place = self.locate(text.position(), error.index, &error.source_text, error.error.offset);
                    self.error(
                        "bad-expression",
                        place,
                        error.error.message,
                        "an expression looks like `${{ inputs.name == 'x' }}`",
                    );
                }
                None
            }
        }
    }

    fn slot(&mut self, scalar: Position, slot: &Slot, scope: &Scope<'_>) {
        for reference in slot.expr.references() {
            if let Some(mut diagnostic) = self.reference(&reference, Position::START, &slot.expr, scope) {
                // Only now: finding the place reads the whole text.
                let place = self.locate(scalar, slot.index, &slot.source, reference.offset);
                (diagnostic.line, diagnostic.column) = (place.line, place.column);
                self.found.push(diagnostic);
            }
        }
        for (function, offset) in slot.expr.calls() {
            if function.is_status() && !scope.condition {
                let place = self.locate(scalar, slot.index, &slot.source, offset);
                let message = format!("`{}()` can only be asked in `if`", function.name());
                self.error(
                    "status-function",
                    place,
                    message,
                    "read `steps.<id>.conclusion` or `run.conclusion` instead",
                );
            }
            let alone = matches!(slot.expr, Expr::Call(Function::HashFiles, ..));
            if function == Function::HashFiles && (scope.source != Source::StepEnv || !alone) {
                let place = self.locate(scalar, slot.index, &slot.source, offset);
                self.error(
                    "hash-files",
                    place,
                    "`hash_files()` stands alone in a `${{ }}` of a step's `env` or `run`",
                    "put it into `env` and read the variable",
                );
            }
        }
    }

    fn reference(&self, reference: &Reference, place: Position, whole: &Expr, scope: &Scope<'_>) -> Option<Diagnostic> {
        let root = reference.root.as_str();
        if !ROOTS.contains(&root) {
            let hint =
                did_you_mean(root, ROOTS, "there are inputs, env, project, run, steps, matrix, approval and secrets");
            return Some(
                Diagnostic::error("unknown-name", place, format!("{root:?} is not known in expressions")).hint(hint),
            );
        }
        if !scope.source.roots().contains(&root) {
            return Some(self.out_of_scope(root, place, scope));
        }
        let fixed = ["approval", "run", "project"].contains(&root);
        let Some(Segment::Key(key)) = reference.path.first() else {
            let message = format!("`{root}` is read without a fixed name");
            return (!fixed && root != "inputs" && root != "matrix")
                .then(|| Diagnostic::error("unknown-name", place, message).hint(format!("write `{root}.<name>`")));
        };
        let definition = self.definition;
        let unknown = |what: &str, known: Vec<&str>, otherwise: &str| {
            (!known.contains(&key.as_str())).then(|| {
                Diagnostic::error("unknown-name", place, format!("there is no {what} {key:?}"))
                    .hint(did_you_mean(key, known, otherwise))
            })
        };
        match root {
            "inputs" => {
                unknown("input", definition.inputs.keys().map(|k| k.as_str()).collect(), "declare it under `inputs`")
            }
            "secrets" if secret_name(whole).is_none() => Some(
                Diagnostic::error("secret-in-expression", place, "a secret stands alone in its `${{ }}`")
                    .hint(format!("write `${{{{ secrets.{key} }}}}`")),
            ),
            "secrets" => unknown(
                "secret",
                definition.secrets.iter().map(|k| k.as_str()).collect(),
                "declare its name under `secrets`",
            ),
            "env" => {
                let own = scope.step.filter(|_| scope.key != "env").map(|(_, step)| step.env.keys());
                let names = definition.env.keys().chain(own.into_iter().flatten()).map(|k| k.as_str()).collect();
                unknown(
                    "variable",
                    names,
                    "declare it under `env`; variables of the system are read by the command itself",
                )
            }
            "project" => unknown("property of project", vec!["id", "name", "path"], "there are id, name and path"),
            "run" => unknown(
                "property of run",
                vec!["id", "number", "short_id", "conclusion", "actor"],
                "there are id, number, short_id, conclusion and actor",
            ),
            "matrix" => {
                let Some(axes) = scope.step.and_then(|(_, step)| step.matrix.as_ref()) else {
                    let message = "`matrix` is read in a step that has none";
                    return Some(
                        Diagnostic::error("no-matrix", place, message)
                            .hint("give the step a `matrix`, or remove the reference"),
                    );
                };
                unknown("axis", axes.axes.keys().map(|k| k.as_str()).collect(), "declare it under `matrix.axes`")
            }
            "approval" => {
                let form =
                    scope.step.map(|(_, step)| step.form.keys().map(|k| k.as_str()).collect()).unwrap_or_default();
                unknown("field", form, "declare it under `form`")
            }
            _ => self.step_reference(key, reference, place, scope),
        }
    }

    fn step_reference(
        &self,
        id: &str,
        reference: &Reference,
        place: Position,
        scope: &Scope<'_>,
    ) -> Option<Diagnostic> {
        let (own, _) = scope.step?;
        let steps = &self.definition.steps;
        let Some(step) = steps.get(id) else {
            let hint = did_you_mean(id, steps.keys().map(|k| k.as_str()), "name a step of this file");
            return Some(Diagnostic::error("unknown-step", place, format!("there is no step {id:?}")).hint(hint));
        };
        if !self.graph.is_before(id, own) {
            let message = format!("step {own:?} reads step {id:?}, which does not come before it");
            return Some(
                Diagnostic::error("not-upstream", place, message).hint(format!("add {id:?} to `needs` of {own:?}")),
            );
        }
        let part = reference.key(1)?;
        let known = ["conclusion", "outputs", "form", "files"];
        if !known.contains(&part) {
            let hint = did_you_mean(part, known, "there are conclusion, outputs, form and files");
            return Some(Diagnostic::error("unknown-name", place, format!("a step has no {part:?}")).hint(hint));
        }
        let name = reference.key(2)?;
        let missing = match part {
            "form" => !step.form.contains_key(name),
            "files" => !step.outputs.as_ref().is_some_and(|outputs| outputs.files.contains_key(name)),
            _ => false,
        };
        missing.then(|| {
            let place_of = if part == "form" { "form" } else { "outputs.files" };
            Diagnostic::error("unknown-name", place, format!("step {id:?} declares no {name:?}"))
                .hint(format!("declare it under `{place_of}` of step {id:?}"))
        })
    }

    fn out_of_scope(&self, root: &str, place: Position, scope: &Scope<'_>) -> Diagnostic {
        let message = format!("`{root}` cannot be read in `{}`", scope.key);
        let readable = scope.source.roots().iter().map(|r| format!("`{r}`")).collect::<Vec<_>>().join(", ");
        let (code, why) = match (root, scope.source) {
            ("secrets", _) => {
                ("secret-in-text", "a secret is handed over as `env` of the workflow or of a step".to_owned())
            }
            (_, Source::Static | Source::Instance) => {
                ("not-known-yet", format!("everything here must be known before the run starts: {readable}"))
            }
            _ => ("out-of-scope", format!("here you can read {readable}")),
        };
        Diagnostic::error(code, place, message).hint(why)
    }

    /// The place of character `offset` in the `index`-th `${{` of the scalar at `scalar`.
    ///
    /// The scalar's text went through YAML (folding, escapes), so the source is searched for the marks themselves.
    pub(super) fn locate(&self, scalar: Position, index: usize, source: &str, offset: usize) -> Position {
        let fallback = scalar;
        let Some(start) = byte_of(self.text, scalar) else { return fallback };
        let mut at = start;
        let mut seen = 0;
        let mark = loop {
            let Some(found) = self.text[at..].find("${{") else { return fallback };
            let mark = at + found;
            at = mark + 3;
            if self.text[..mark].ends_with('$') {
                continue;
            }
            if seen == index {
                break mark;
            }
            seen += 1;
        };
        // Verbatim in the source: point at the very character. Otherwise at the mark.
        let verbatim = self.text[mark + 3..].starts_with(source);
        let target = if verbatim {
            source.char_indices().nth(offset).map_or(mark + 3 + source.len(), |(i, _)| mark + 3 + i)
        } else {
            mark
        };
        position_of(self.text, target)
    }
}

fn byte_of(text: &str, position: Position) -> Option<usize> {
    if position == Position::UNKNOWN {
        return None;
    }
    let (start, line) = lines(text).nth((position.line as usize).saturating_sub(1))?;
    let column = (position.column as usize).saturating_sub(1);
    Some(start + line.char_indices().nth(column).map_or(line.len(), |(i, _)| i))
}

fn position_of(text: &str, byte: usize) -> Position {
    let (line, start) =
        lines(text).map(|(start, _)| start).take_while(|start| *start <= byte).enumerate().last().unwrap_or_default();
    let (line, column) = (line + 1, text[start..byte].chars().count() + 1);
    Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
}
