//! Workflow files: read, checked, planned.

use std::collections::{BTreeSet, HashSet};

use indexmap::IndexMap;
use serde_json::{Value, json};
use signalbox_workflow::{
    Capabilities, Definition, Diagnostics, Plan, ProjectContext, Severity, TriggerKind, Work,
    at::lines,
    definition::{InputType, ItemType},
    expr, load, parse, resolve,
};

use crate::{bytes::text, measure::bounded};

/// A file is a workflow or has findings, each at a line that it has; a workflow has a plan, and what the plan refers to
/// exists. Nothing of it takes long, also not for a file that was made for it.
pub fn workflow(data: &[u8]) {
    let text = text(data);
    bounded(|| {
        for capabilities in [Capabilities::basic(), everything()] {
            match load(&text, &capabilities) {
                Err(found) => {
                    assert!(found.has_errors(), "refused without an error");
                    check_places(&found, &text);
                }
                Ok(loaded) => {
                    assert!(!loaded.warnings.has_errors(), "accepted with an error");
                    check_places(&loaded.warnings, &text);
                    if capabilities.agents.is_empty() {
                        check_plan(&loaded.definition);
                    }
                }
            }
        }
        // Also one that was not checked may be asked for its plan.
        if let Ok(definition) = parse(&text) {
            serde_json::to_string(&definition).expect("a definition is JSON");
            resolve(&definition, &inputs(&definition), &project()).ok();
            resolve(&definition, &IndexMap::new(), &project()).ok();
        }
    });
}

/// Every finding stands in the file.
pub(crate) fn check_places(found: &Diagnostics, text: &str) {
    let lines: Vec<&str> = lines(text).map(|(_, line)| line).collect();
    for finding in found {
        let place = format!("{finding:?}");
        let line = (finding.line as usize).checked_sub(1).and_then(|line| lines.get(line));
        let line = line.unwrap_or_else(|| panic!("the file has {} lines: {place}", lines.len()));
        let column = finding.column as usize;
        assert!((1..=line.chars().count() + 1).contains(&column), "the line is not that long: {place}");
        assert!(!finding.message.is_empty() && !finding.code.is_empty(), "{place}");
    }
    let rendered = found.render(text, "w.yaml");
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    assert!(errors == 0 || rendered.contains("error["), "{rendered}");
}

fn everything() -> Capabilities {
    let triggers = BTreeSet::from([
        TriggerKind::Manual,
        TriggerKind::Schedule,
        TriggerKind::File,
        TriggerKind::Commit,
        TriggerKind::Webhook,
    ]);
    Capabilities { triggers, ..Capabilities::with_agents(["claude", "codex", "gemini"].map(str::to_owned).into()) }
}

fn project() -> ProjectContext {
    ProjectContext { id: "project".into(), name: "Project".into(), path: "/project".into() }
}

/// A value for each input that has none.
fn inputs(definition: &Definition) -> IndexMap<String, Value> {
    let without = definition.inputs.iter().filter(|(_, input)| input.required || input.default.is_none());
    let value = |input: &signalbox_workflow::definition::Input| match *input.kind {
        InputType::String => json!("text"),
        InputType::Number => json!(1.5),
        InputType::Integer => json!(3),
        InputType::Boolean => json!(true),
        InputType::Enum => input.values.first().map_or(Value::Null, |first| json!(first)),
        InputType::Array => match input.items.as_deref() {
            Some(ItemType::Number | ItemType::Integer) => json!([1, 2]),
            Some(ItemType::Boolean) => json!([true, false]),
            _ => json!(["api", "web"]),
        },
    };
    without.map(|(name, input)| (name.to_string(), value(input))).collect()
}

fn check_plan(definition: &Definition) {
    let plan = match resolve(definition, &inputs(definition), &project()) {
        Ok(plan) => plan,
        Err(error) => {
            // What the values of a matrix come to is known only with the inputs.
            let depends = definition.steps.values().any(|step| step.matrix.is_some());
            assert!(depends, "a workflow without errors has no plan: {error}");
            return;
        }
    };
    let steps = plan.steps.len();
    // The goal, if it has checks, is checked by a step of its own, after those of the file.
    let goal = usize::from(plan.goal.as_ref().is_some_and(|goal| !goal.accept.is_empty()));
    assert_eq!(steps, definition.steps.len() + goal);
    for (at, step) in plan.steps.iter().enumerate() {
        assert!(step.needs.iter().all(|need| *need < steps && *need != at), "{:?} needs {:?}", step.id, step.needs);
        let names: Vec<&str> = step.needs.iter().map(|need| plan.steps[*need].id.as_str()).collect();
        if let Some((_, written)) = definition.steps.get_index(at) {
            let written: Vec<&str> = written.needs.iter().map(|need| need.as_str()).collect();
            assert_eq!(names, written);
        }
        if let Some(condition) = &step.condition {
            assert!(expr::parse(condition).is_ok(), "{condition:?}");
        }
        match &step.work {
            Work::Command(command) => {
                for variable in &command.script.variables {
                    assert!(expr::parse(&variable.expr).is_ok(), "{variable:?}");
                }
            }
            Work::Approval(gate) => {
                assert!(gate.min >= 1 && gate.on_reject.as_ref().is_none_or(|rework| rework.from < steps));
                assert!(gate.show.values().all(|shown| expr::parse(shown).is_ok()), "{:?}", gate.show);
            }
            Work::Agent(work) => {
                let before = |other: &usize| *other < steps && *other != at;
                assert!(!work.agents.is_empty() && work.from.iter().chain(&work.session).all(before));
            }
            Work::Git(work) => assert!(work.from.iter().all(|from| *from < steps && *from != at)),
            Work::Goal { from } => assert!(at == steps - 1 && from.iter().all(|from| *from < at)),
            Work::Notify(_) => {}
        }
    }
    assert!(in_order(&plan), "its steps wait for each other");
    let mut keys = HashSet::new();
    for instance in &plan.instances {
        assert!(instance.step < steps && keys.insert(&instance.key), "{instance:?}");
    }
    assert!((0..steps).all(|at| plan.instances.iter().any(|instance| instance.step == at)), "a step has no instance");
    let stored = serde_json::to_string(&plan).expect("a plan is JSON");
    let again: Plan = serde_json::from_str(&stored).expect("a stored plan can be read");
    assert_eq!(again, plan);
    assert_eq!(again.hash(), plan.hash());
}

fn in_order(plan: &Plan) -> bool {
    let mut done = vec![false; plan.steps.len()];
    loop {
        let ready = (0..done.len()).filter(|at| !done[*at] && plan.steps[*at].needs.iter().all(|need| done[*need]));
        let ready: Vec<usize> = ready.collect();
        if ready.is_empty() {
            return done.iter().all(|done| *done);
        }
        ready.into_iter().for_each(|at| done[at] = true);
    }
}
