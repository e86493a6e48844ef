//! Plans: inputs, matrices, order, storage.

use indexmap::IndexMap;
use serde_json::{Value, json};
use signalbox_workflow::{
    Capabilities, Definition, Plan, ProjectContext, ResolveError, load, parse, plan::Work, resolve,
};

fn definition(text: &str) -> Definition {
    load(text, &Capabilities::basic()).unwrap_or_else(|found| panic!("{}", found.render(text, "w.yaml"))).definition
}

fn plan(text: &str, inputs: Value) -> Result<Plan, ResolveError> {
    let inputs: IndexMap<String, Value> = serde_json::from_value(inputs).unwrap();
    let project = ProjectContext { id: "shop".into(), name: "Shop".into(), path: "/p".into() };
    resolve(&definition(text), &inputs, &project)
}

const MATRIX: &str = "
signalbox: 1
name: w
inputs:
  stacks: { type: array, items: string, default: [api, web] }
  level: { type: enum, values: [low, high], default: low }
  count: { type: integer }
concurrency: { group: \"${{ project.id }}-${{ inputs.level }}\", on_conflict: cancel_running }
env: { MODE: \"${{ inputs.level }}\" }
defaults: { timeout: 10m, retry: { max: 2 } }
steps:
  build: { kind: command, run: \"make ${{ matrix.stack }}\", title: \"Build ${{ matrix.stack }}\", matrix: { axes: { stack: \"${{ inputs.stacks }}\" }, max_parallel: 1 } }
  test: { kind: command, run: x, needs: [build], matrix: { axes: { os: [linux, mac], v: [1, 2] } } }
  ask: { kind: approval, needs: [test], who: { roles: [owner] }, on_reject: { rerun_from: build } }
";

#[test]
fn instances_are_keyed_by_value_in_a_fixed_order() {
    let plan = plan(MATRIX, json!({})).unwrap();
    let keys: Vec<&str> = plan.instances.iter().map(|instance| instance.key.as_str()).collect();
    assert_eq!(
        keys,
        ["build[api]", "build[web]", "test[linux,1]", "test[linux,2]", "test[mac,1]", "test[mac,2]", "ask"]
    );
    assert_eq!(plan.instances[0].title, "Build api");
    assert_eq!(plan.instances[2].matrix_key(), Some("linux,1"));
    assert_eq!(plan.steps[1].needs, [0]);
    assert_eq!(plan.steps[0].max_parallel, Some(1));
    assert_eq!(plan.steps[0].timeout_ms, Some(600_000));
    assert_eq!(plan.steps[2].timeout_ms, None, "the default is about attempts, not about people");
    assert!(plan.steps[2].retry.is_none());
    assert_eq!(plan.concurrency.as_ref().unwrap().name, "shop-low");
    let Work::Command(command) = &plan.steps[0].work else { panic!() };
    assert_eq!(command.script.text, "make ${SIGNALBOX_EXPR_1}");
}

#[test]
fn a_plan_is_stored_by_its_hash() {
    let one = plan(MATRIX, json!({})).unwrap();
    let stored = serde_json::to_string(&one).unwrap();
    let back: Plan = serde_json::from_str(&stored).unwrap();
    assert_eq!(back, one);
    assert_eq!(back.hash(), one.hash());
    let other = plan(MATRIX, json!({ "level": "high" })).unwrap();
    assert_ne!(other.hash(), one.hash());
    assert_eq!(other.definition_hash, one.definition_hash);
}

#[test]
fn inputs_are_checked() {
    for (inputs, words) in [
        (json!({ "stack": [] }), "did you mean \"stacks\""),
        (json!({ "stacks": "api" }), "must be a list"),
        (json!({ "stacks": [1] }), "list of string"),
        (json!({ "level": "mid" }), "one of low, high"),
        (json!({ "count": 1.5 }), "integer"),
        (json!({ "stacks": [] }), "nothing to run"),
        (json!({ "stacks": ["a", "a"] }), "must differ"),
        (json!({ "stacks": ["a\n"] }), "control"),
    ] {
        let error = plan(MATRIX, inputs.clone()).unwrap_err().to_string();
        assert!(error.contains(words), "{inputs}: {error}");
    }
    let error = plan("signalbox: 1\nname: w\ninputs: { a: { type: string, required: true } }\nsteps: { a: { kind: command, run: x } }", json!({})).unwrap_err();
    assert_eq!(error.0[0].input.as_deref(), Some("a"));
}

#[test]
fn a_matrix_is_bounded() {
    let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let error = plan(MATRIX, json!({ "stacks": many })).unwrap_err().to_string();
    assert!(error.contains("256"), "{error}");
}

#[test]
fn ten_thousand_steps_are_read_in_reasonable_time() {
    let mut text = "signalbox: 1\nname: w\nsteps:\n  s0: { kind: command, run: x }\n".to_owned();
    for n in 1..10_000 {
        text += &format!("  s{n}: {{ kind: command, run: x, needs: [s{}] }}\n", n - 1);
    }
    assert_eq!(plan(&text, json!({})).unwrap().instances.len(), 10_000);
}

#[test]
fn a_definition_written_as_json_is_the_same_workflow() {
    let one = definition(MATRIX);
    assert_eq!(definition(&serde_json::to_string(&one).unwrap()), one);
}

#[test]
fn the_schema_describes_the_file() {
    let schema = signalbox_workflow::json_schema();
    assert_eq!(schema["properties"]["steps"]["additionalProperties"]["$ref"], "#/$defs/Step");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["$defs"]["Step"]["properties"]["if"]["description"].is_string());
}

/// `run.retry` by the latest definition asks for a plan before it knows whether the file is right.
#[test]
fn variables_of_an_unchecked_file_cannot_read_each_other_for_ever() {
    let text = "signalbox: 1\nname: w\nenv: { A: \"${{ env.B }}x\", B: \"${{ env.A }}y\" }\n\
                concurrency: { group: \"${{ env.A }}\" }\nsteps:\n  a: { kind: command, run: x }\n";
    assert!(load(text, &Capabilities::basic()).is_err());
    let plan = resolve(&parse(text).unwrap(), &IndexMap::new(), &ProjectContext::default()).unwrap();
    assert_eq!(plan.concurrency.unwrap().name, "x");
}
