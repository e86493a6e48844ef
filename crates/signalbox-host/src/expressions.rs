//! What expressions see of a run.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use signalbox_engine::{ApprovalText, ConditionError, Expressions, RunState};
use signalbox_model::{RunId, Step, StepConclusion};
use signalbox_workflow::{
    Plan,
    expr::{Context, Outcome, evaluate, parse, truthy},
    plan::Work,
    template::{Template, as_text},
};

/// The plans of the runs that the engine knows.
#[derive(Debug, Default)]
pub(crate) struct Plans(pub(crate) HashMap<RunId, Arc<Plan>>);

/// A run as seen from one of its steps.
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a RunState,
    pub(crate) step: u32,
    /// The step's own variables, where they are in sight: not while they are made.
    pub(crate) env: Option<&'a IndexMap<String, String>>,
}

impl View<'_> {
    fn instances(&self, id: &str) -> impl Iterator<Item = (&signalbox_workflow::Instance, &Step)> {
        let step = self.plan.steps.iter().position(|step| step.id == id);
        self.plan.instances.iter().zip(self.run.steps()).filter(move |(instance, _)| Some(instance.step) == step)
    }

    fn of_step(&self, id: &str, field: &str) -> Value {
        let Some(planned) = self.plan.steps.iter().find(|step| step.id == id) else { return Value::Null };
        let value = |step: &Step| match field {
            "conclusion" => step.conclusion.and_then(|c| serde_json::to_value(c).ok()).unwrap_or_default(),
            "status" => serde_json::to_value(step.status).unwrap_or_default(),
            "outputs" | "form" => {
                step.outputs.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>().into()
            }
            "files" => {
                planned.files.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect::<Map<_, _>>().into()
            }
            _ => Value::Null,
        };
        if planned.is_matrix {
            let each = self
                .instances(id)
                .map(|(instance, step)| (instance.matrix_key().unwrap_or_default().to_owned(), value(step)));
            Value::Object(each.collect())
        } else {
            self.instances(id).next().map(|(_, step)| value(step)).unwrap_or_default()
        }
    }

    /// The worktree in which a step worked: its own, or of the step whose work it took.
    fn folder(&self, id: &str) -> Option<String> {
        let planned = self.plan.steps.iter().find(|step| step.id == id)?;
        let of = match &planned.work {
            Work::Command(command) => &self.plan.steps.get(command.from?)?.id,
            _ => id,
        };
        self.instances(of).next().and_then(|(_, step)| step.agent.as_ref()?.folder.clone())
    }

    fn matrix(&self) -> Option<&IndexMap<String, Value>> {
        self.plan.instances.get(self.step as usize).map(|instance| &instance.matrix)
    }

    /// The text with its expressions replaced.
    pub(crate) fn text(&self, template: &str) -> String {
        match Template::parse(template) {
            Ok(template) => template.text(self),
            // Checked when the workflow was loaded; shown as written rather than lost.
            Err(_) => template.to_owned(),
        }
    }
}

impl Context for View<'_> {
    fn lookup(&self, root: &str, path: &[&str]) -> Value {
        let run = self.run.run();
        let (value, used) = match (root, path) {
            ("inputs", []) => {
                (self.plan.inputs.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>().into(), 0)
            }
            ("inputs", [name, ..]) => (self.plan.inputs.get(*name).cloned().unwrap_or_default(), 1),
            ("matrix", [name, ..]) => (self.matrix().and_then(|m| m.get(*name)).cloned().unwrap_or_default(), 1),
            ("project", [name, ..]) => (self.plan.project.get(name).unwrap_or_default(), 1),
            ("env", [name, ..]) => {
                let own = self.env.and_then(|env| env.get(*name));
                let outer = View { env: None, ..*self };
                (own.or_else(|| self.plan.env.get(*name)).map(|text| outer.text(text).into()).unwrap_or_default(), 1)
            }
            ("secrets", [_, ..]) => ("***".into(), 1),
            ("run", [name, ..]) => (
                match *name {
                    "id" => run.id.as_str().into(),
                    "short_id" => run.id.short().into(),
                    "number" => run.number.into(),
                    "actor" => run.actor.as_str().into(),
                    "workflow" => run.workflow.as_str().into(),
                    "conclusion" => run_conclusion(self.run),
                    _ => Value::Null,
                },
                1,
            ),
            ("steps", [id, field, ..]) => (self.of_step(id, field), 2),
            ("approval", [name, ..]) => (self.last_answer(name), 1),
            _ => (Value::Null, path.len()),
        };
        path[used.min(path.len())..].iter().try_fold(value, |value, key| value.get(key).cloned()).unwrap_or_default()
    }

    fn outcome(&self) -> Outcome {
        let Some(planned) = self.plan.instances.get(self.step as usize).map(|i| &self.plan.steps[i.step]) else {
            return Outcome::default();
        };
        let mut outcome =
            Outcome { success: true, failure: false, cancelled: self.run.is_cancelling(), any_success: false };
        for need in &planned.needs {
            let tolerated = self.plan.steps[*need].continue_on_error;
            for (_, step) in self.instances(&self.plan.steps[*need].id) {
                match step.conclusion {
                    Some(StepConclusion::Success) => outcome.any_success = true,
                    Some(StepConclusion::Skipped) => {}
                    Some(StepConclusion::Cancelled | StepConclusion::Superseded) => {
                        outcome.cancelled = true;
                        outcome.success = false;
                    }
                    _ if tolerated => {}
                    _ => {
                        outcome.failure = true;
                        outcome.success = false;
                    }
                }
            }
        }
        outcome
    }

    fn hash_files(&self, patterns: &[String]) -> Option<String> {
        crate::files::hash_files(std::path::Path::new(&self.plan.project.path), patterns)
    }
}

impl View<'_> {
    fn last_answer(&self, field: &str) -> Value {
        let approvals =
            (0..).map_while(|index| self.run.step(index).map(|_| index)).filter_map(|index| self.run.approval(index));
        let last = approvals.filter_map(|approval| approval.answers.last()).max_by_key(|answer| answer.at);
        last.map(|answer| match field {
            "actor" => json!(answer.actor),
            "decision" => json!(answer.decision),
            name => answer.form.get(name).cloned().unwrap_or_default(),
        })
        .unwrap_or_default()
    }
}

/// While a run is not done: what it would be if it ended now.
fn run_conclusion(run: &RunState) -> Value {
    let failed = run.steps().any(|step| step.conclusion.is_some_and(StepConclusion::is_failure));
    match run.run().conclusion {
        Some(conclusion) => serde_json::to_value(conclusion).unwrap_or_default(),
        None if run.is_cancelling() => "cancelled".into(),
        None => if failed { "failed" } else { "success" }.into(),
    }
}

impl Expressions for Plans {
    fn condition(&self, run: &RunState, step: u32) -> Result<bool, ConditionError> {
        let plan = self.0.get(&run.run().id).ok_or_else(|| ConditionError("the run's plan is not loaded".into()))?;
        let planned = plan.instances.get(step as usize).map(|instance| &plan.steps[instance.step]);
        let Some(text) = planned.and_then(|step| step.condition.as_deref()) else { return Ok(true) };
        let expr = parse(text).map_err(|error| ConditionError(error.to_string()))?;
        Ok(truthy(&evaluate(&expr, &View { plan, run, step, env: None })))
    }

    fn approval(&self, run: &RunState, step: u32) -> ApprovalText {
        let Some(plan) = self.0.get(&run.run().id) else { return ApprovalText::default() };
        let Some(instance) = plan.instances.get(step as usize) else { return ApprovalText::default() };
        let view = View { plan, run, step, env: None };
        let Work::Approval(gate) = &plan.steps[instance.step].work else { return ApprovalText::default() };
        let show = gate.show.iter().map(|(label, source)| {
            let value = parse(source).map(|expr| evaluate(&expr, &view)).unwrap_or_default();
            // A file is shown by its content, as far as a person would read it: from where the step worked.
            let text = as_text(&value);
            let step = label.split('.').next().unwrap_or_default();
            let worked = view.folder(step);
            let folder = worked.as_deref().unwrap_or(&plan.project.path);
            let file = label
                .contains(".files.")
                .then(|| crate::files::read_text(std::path::Path::new(folder), &text))
                .flatten();
            (label.clone(), file.unwrap_or(text))
        });
        let question = gate.question.as_deref().map_or_else(|| instance.title.clone(), |text| view.text(text));
        ApprovalText { question, show: show.collect() }
    }
}
