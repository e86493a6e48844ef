//! From a definition and its inputs to a plan.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::Value;
use signalbox_model::{FormField, FormFieldKind, StepKey, StepKind};

mod agents;

pub(crate) use self::agents::{GOAL_STEP, nearest_workers};

use super::{
    Carried, Check, Command, Gate, Goal, Group, Instance, MAX_INSTANCES, MAX_MATRIX, Notice, Plan, PlannedStep,
    Problem, ProjectContext, ResolveError, Rework, Work, matrix::combinations,
};
use crate::{
    At,
    check::value_problem,
    definition::{Definition, Input, InputType, Matrix, Step, Verify},
    expr::Context,
    hash,
    near::nearest,
    script::{Reference, Script},
    template::{Template, TemplateError, as_text},
};

/// Makes the plan of a run.
///
/// `definition` must have passed [`crate::check()`]; what that refuses is refused here too, with less to say about it.
///
/// # Errors
/// Everything that is wrong with `inputs`, or with the instances that they lead to.
pub fn resolve(
    definition: &Definition,
    inputs: &IndexMap<String, Value>,
    project: &ProjectContext,
) -> Result<Plan, ResolveError> {
    let inputs = complete(definition, inputs).map_err(ResolveError)?;
    let env = definition.env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let mut plan = Plan {
        definition_hash: hash::of(&serde_json::to_value(definition).unwrap_or_default()),
        workflow: definition.name.to_string(),
        inputs,
        project: project.clone(),
        env,
        concurrency: None,
        goal: None,
        carry: carried(definition),
        steps: Vec::with_capacity(definition.steps.len()),
        instances: Vec::new(),
    };
    fill(definition, &mut plan).map_err(|problem| ResolveError(vec![problem]))?;
    Ok(plan)
}

fn carried(definition: &Definition) -> Carried {
    let texts = |patterns: &[At<String>]| patterns.iter().map(|pattern| (**pattern).clone()).collect();
    let carry = definition.defaults.carry.as_ref();
    carry.map_or_else(Carried::default, |carry| Carried { copy: texts(&carry.copy), link: texts(&carry.link) })
}

fn complete(definition: &Definition, given: &IndexMap<String, Value>) -> Result<IndexMap<String, Value>, Vec<Problem>> {
    let mut problems = Vec::new();
    let names: Vec<&str> = definition.inputs.keys().map(|name| name.as_str()).collect();
    for name in given.keys().filter(|name| !names.contains(&name.as_str())) {
        let near = nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
        let message = format!("the workflow has no input {name:?}{}", near.unwrap_or_default());
        problems.push(Problem { input: Some(name.clone()), message });
    }
    let mut out = IndexMap::new();
    for (name, input) in &definition.inputs {
        let value = match given.get(name.as_str()) {
            Some(value) if !value.is_null() => value,
            _ if input.required => {
                problems.push(Problem {
                    input: Some(name.to_string()),
                    message: format!("input {:?} is required", **name),
                });
                continue;
            }
            _ => input.default.as_deref().unwrap_or(&Value::Null),
        };
        if let Some(problem) = value_problem(input, value).filter(|_| !value.is_null()) {
            problems.push(Problem { input: Some(name.to_string()), message: format!("input {:?} {problem}", **name) });
        }
        out.insert(name.to_string(), value.clone());
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

/// What is known before the run, and the values of one matrix instance.
struct Known<'a> {
    plan: &'a Plan,
    matrix: Option<&'a IndexMap<String, Value>>,
    /// A variable's own value is asked for: variables do not read variables, and those of a file that was not checked
    /// could read each other for ever.
    of_variable: bool,
}

impl<'a> Known<'a> {
    fn new(plan: &'a Plan, matrix: Option<&'a IndexMap<String, Value>>) -> Self {
        Self { plan, matrix, of_variable: false }
    }
}

impl Context for Known<'_> {
    fn lookup(&self, root: &str, path: &[&str]) -> Value {
        let Some((first, rest)) = path.split_first() else { return Value::Null };
        let value = match root {
            "inputs" => self.plan.inputs.get(*first).cloned(),
            "matrix" => self.matrix.and_then(|matrix| matrix.get(*first)).cloned(),
            "project" => self.plan.project.get(first),
            "env" if !self.of_variable => {
                let inside = Known { of_variable: true, ..*self };
                self.plan.env.get(*first).and_then(|text| Some(Template::parse(text).ok()?.value(&inside)))
            }
            "secrets" => Some("***".into()),
            _ => None,
        };
        rest.iter().try_fold(value.unwrap_or(Value::Null), |value, key| value.get(key).cloned()).unwrap_or(Value::Null)
    }
}

impl ProjectContext {
    /// `project.<name>`
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        match name {
            "id" => Some(self.id.as_str().into()),
            "name" => Some(self.name.as_str().into()),
            "path" => Some(self.path.as_str().into()),
            _ => None,
        }
    }
}

fn problem(message: impl Into<String>) -> Problem {
    Problem { input: None, message: message.into() }
}

fn unparsable(error: TemplateError) -> Problem {
    problem(format!("an expression cannot be read: {error}"))
}

fn fill(definition: &Definition, plan: &mut Plan) -> Result<(), Problem> {
    if let Some(concurrency) = &definition.concurrency {
        let name = Template::parse(&concurrency.group).map_err(unparsable)?.text(&Known::new(plan, None));
        plan.concurrency = Some(Group { name, max: (*concurrency.max).max(1), on_conflict: concurrency.on_conflict });
    }
    for (id, step) in definition.steps.iter() {
        let planned = planned_step(definition, id, step)?;
        plan.steps.push(planned);
    }
    if let Some(goal) = &definition.goal_check {
        // Frozen here: whatever the workflow file says later, this is what the run is measured by.
        let statement = Template::parse(&goal.statement).map_err(unparsable)?.text(&Known::new(plan, None));
        let shell = definition.defaults.shell.as_deref().and_then(|shell| shell.first()).map(String::as_str);
        let reference = Reference::of_shell(shell);
        let accept = goal.accept.iter().map(|check| planned_check(check, reference)).collect::<Result<_, _>>()?;
        plan.goal = Some(Goal { statement, accept });
    }
    let mut keys = HashSet::new();
    for (index, (id, step)) in definition.steps.iter().enumerate() {
        for matrix in instances(plan, id, step)? {
            let known = Known::new(plan, matrix.as_ref().map(|(_, values)| values));
            let text = match &matrix {
                Some((key, _)) => format!("{}[{key}]", **id),
                None => id.to_string(),
            };
            let title = match &step.title {
                Some(title) => Template::parse(title).map_err(unparsable)?.text(&known),
                None => text.clone(),
            };
            let key = StepKey::new(&text).map_err(|error| problem(error.to_string()))?;
            if !keys.insert(key.clone()) {
                return Err(problem(format!(
                    "step {:?} has two instances with the key {text:?}; its matrix values or its `key` must differ",
                    **id
                )));
            }
            plan.instances.push(Instance {
                key,
                step: index,
                title,
                matrix: matrix.map(|(_, values)| values).unwrap_or_default(),
            });
        }
        if plan.instances.len() > MAX_INSTANCES {
            return Err(problem(format!("the run has more than {MAX_INSTANCES} step instances")));
        }
    }
    if plan.goal.as_ref().is_some_and(|goal| !goal.accept.is_empty()) {
        agents::add_goal_step(definition, plan)?;
    }
    Ok(())
}

type Combination = (String, IndexMap<String, Value>);

/// One entry per instance: the text in brackets and the values, or nothing for a step without a matrix.
fn instances(plan: &Plan, id: &str, step: &Step) -> Result<Vec<Option<Combination>>, Problem> {
    let Some(matrix) = &step.matrix else { return Ok(vec![None]) };
    let axes = axes(plan, id, matrix)?;
    let Some(combinations) = combinations(&axes, MAX_MATRIX) else {
        return Err(problem(format!("the matrix of step {id:?} has more than {MAX_MATRIX} combinations")));
    };
    let key = matrix.key.as_deref().map(|key| Template::parse(key)).transpose().map_err(unparsable)?;
    Ok(combinations
        .into_iter()
        .map(|values| {
            let text = match &key {
                Some(key) => key.text(&Known::new(plan, Some(&values))),
                None => values.values().map(as_text).collect::<Vec<_>>().join(","),
            };
            Some((text, values))
        })
        .collect())
}

fn axes(plan: &Plan, id: &str, matrix: &Matrix) -> Result<Vec<(String, Vec<Value>)>, Problem> {
    let mut out = Vec::new();
    for (name, axis) in &matrix.axes {
        let values = match &**axis {
            Value::String(text) => Template::parse(text).map_err(unparsable)?.value(&Known::new(plan, None)),
            other => other.clone(),
        };
        let Value::Array(values) = values else {
            return Err(problem(format!("axis {:?} of step {id:?} is not a list", **name)));
        };
        if values.is_empty() {
            return Err(problem(format!("axis {:?} of step {id:?} is empty: there is nothing to run", **name)));
        }
        if values.iter().any(|value| value.is_array() || value.is_object() || value.is_null()) {
            return Err(problem(format!("axis {:?} of step {id:?} must hold text, numbers, true or false", **name)));
        }
        out.push((name.to_string(), values));
    }
    Ok(out)
}

fn planned_step(definition: &Definition, id: &str, step: &Step) -> Result<PlannedStep, Problem> {
    let defaults = &definition.defaults;
    let place =
        |name: &str| definition.steps.get_index_of(name).ok_or_else(|| problem(format!("there is no step {name:?}")));
    let is_question = *step.kind == StepKind::Approval;
    let own_timeout = step.timeout.as_deref().copied();
    let timeout = if is_question { own_timeout } else { own_timeout.or(defaults.timeout) };
    let shell = step.shell.as_deref().or(defaults.shell.as_deref()).cloned();
    let reference = Reference::of_shell(shell.as_ref().and_then(|shell| shell.first()).map(String::as_str));
    let retry = step.retry.as_deref().or(defaults.retry.as_deref()).filter(|_| !is_question).cloned();
    Ok(PlannedStep {
        id: id.to_owned(),
        needs: step.needs.iter().map(|need| place(need)).collect::<Result<_, _>>()?,
        condition: step.condition.as_deref().map(|text| condition(text)).transpose()?,
        is_matrix: step.matrix.is_some(),
        max_parallel: step.matrix.as_ref().and_then(|m| m.max_parallel.as_deref().copied()),
        continue_on_error: step.continue_on_error,
        timeout_ms: timeout.map(crate::duration::Span::millis),
        stall: step.stall.as_deref().or(defaults.stall.as_deref()).copied().unwrap_or_default(),
        retry,
        verify: step.verify.iter().map(|check| planned_check(check, reference)).collect::<Result<_, _>>()?,
        files: step
            .outputs
            .iter()
            .flat_map(|o| &o.files)
            .map(|(name, path)| (name.to_string(), path.to_string()))
            .collect(),
        work: work(definition, id, step, shell, reference)?,
    })
}

fn condition(text: &str) -> Result<String, Problem> {
    let template = Template::parse(text).map_err(unparsable)?;
    let mut slots = template.slots();
    match (slots.next(), template.whole()) {
        (Some(slot), Some(_)) => Ok(slot.source.trim().to_owned()),
        _ => Err(problem(format!("`if` is one expression, not {text:?}"))),
    }
}

fn planned_check(check: &Verify, reference: Reference) -> Result<Check, Problem> {
    match (&check.run, &check.file_exists, &check.diff) {
        (Some(run), _, _) => Ok(Check::Run {
            script: Script::compile(run, reference).map_err(unparsable)?,
            timeout_ms: check.timeout.map(crate::duration::Span::millis),
        }),
        (_, Some(path), _) => Ok(Check::FileExists(path.to_string())),
        (_, _, Some(diff)) => Ok(Check::Diff((**diff).clone())),
        _ => Err(problem("a check is one of `run`, `diff` and `file_exists`")),
    }
}

fn work(
    definition: &Definition,
    id: &str,
    step: &Step,
    shell: Option<Vec<String>>,
    reference: Reference,
) -> Result<Work, Problem> {
    match *step.kind {
        StepKind::Command => {
            let run = step.run.as_deref().ok_or_else(|| problem(format!("step {id:?} has no `run`")))?;
            Ok(Work::Command(Command {
                script: Script::compile(run, reference).map_err(unparsable)?,
                shell,
                working_dir: step.working_dir.as_deref().or(definition.defaults.working_dir.as_deref()).cloned(),
                env: step.env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                idempotent: step.idempotent.as_deref().copied().unwrap_or(false),
                from: step.from.as_ref().map(|from| agents::place(definition, from)).transpose()?,
                artifacts: step.artifacts.iter().map(|artifact| artifact.path.to_string()).collect(),
            }))
        }
        StepKind::Approval => {
            let who = step.who.as_deref().ok_or_else(|| problem(format!("step {id:?} has no `who`")))?;
            let rework = step.on_reject.as_deref().map(|on_reject| {
                let target = on_reject.rerun_from.as_str();
                let from = definition
                    .steps
                    .get_index_of(target)
                    .ok_or_else(|| problem(format!("there is no step {target:?}")))?;
                Ok::<_, Problem>(Rework {
                    from,
                    feedback: on_reject.feedback_as.as_deref().cloned(),
                    max: *on_reject.max,
                })
            });
            Ok(Work::Approval(Gate {
                question: step.question.as_deref().cloned(),
                show: step
                    .show
                    .iter()
                    .map(|show| show.trim().trim_start_matches("steps."))
                    .map(|path| (path.to_owned(), format!("steps.{path}")))
                    .collect(),
                roles: who.roles.clone(),
                min: who.min.max(1),
                self_approval: who.self_approval,
                on_timeout: step.on_timeout.as_deref().copied().unwrap_or_default(),
                form: step.form.iter().map(|(name, input)| field(name, input)).collect(),
                on_reject: rework.transpose()?,
            }))
        }
        StepKind::Notify => Ok(Work::Notify(Notice {
            to: step.to.iter().map(|to| **to).collect(),
            message: step.message.as_deref().cloned().unwrap_or_default(),
        })),
        StepKind::Agent => agents::agent(definition, id, step).map(|work| Work::Agent(Box::new(work))),
        StepKind::Git => agents::git(definition, id, step).map(Work::Git),
    }
}

fn field(name: &str, input: &Input) -> FormField {
    FormField {
        name: name.to_owned(),
        kind: match *input.kind {
            InputType::String | InputType::Array => FormFieldKind::String,
            InputType::Number => FormFieldKind::Number,
            InputType::Integer => FormFieldKind::Integer,
            InputType::Boolean => FormFieldKind::Boolean,
            InputType::Enum => FormFieldKind::Enum,
        },
        title: input.title.clone(),
        multiline: input.multiline,
        required: input.required,
        values: input.values.clone(),
        default: input.default.as_deref().cloned(),
    }
}
