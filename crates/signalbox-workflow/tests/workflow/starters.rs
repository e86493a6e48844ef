//! What `signalbox init` writes.

use std::collections::HashMap;

use signalbox_workflow::{
    Capabilities, ProjectContext, load,
    plan::{Work, resolve},
    starter::{Folder, starter},
    templates::{TEMPLATES, find},
};

struct Fake(HashMap<&'static str, &'static str>);

impl Folder for Fake {
    fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).map(|text| (*text).to_owned())
    }
}

fn steps(files: &[(&'static str, &'static str)]) -> Vec<String> {
    let starter = starter(&Fake(files.iter().copied().collect()));
    let loaded = load(&starter.text, &Capabilities::basic())
        .unwrap_or_else(|found| panic!("{}\n{}", starter.text, found.render(&starter.text, "w.yaml")));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.definition.steps.keys().map(|id| id.to_string()).collect()
}

#[test]
fn every_starter_passes_its_own_check() {
    let package =
        r#"{"scripts":{"lint":"eslint .","test":"echo \"Error: no test specified\" && exit 1","build":"vite build"}}"#;
    let depends = r#"{"scripts":{"test":"vitest run"},"devDependencies":{"vitest":"^4"}}"#;
    for (files, expected) in [
        (vec![], vec!["hello", "approve"]),
        (vec![("Cargo.toml", "[workspace]")], vec!["rust-format", "rust-lint", "rust-test", "tell"]),
        (vec![("package.json", package), ("pnpm-lock.yaml", "")], vec!["js-lint", "js-build", "tell"]),
        (vec![("package.json", depends), ("package-lock.json", "{}")], vec!["js-install", "js-test", "tell"]),
        (vec![("package.json", "{")], vec!["hello", "approve"]),
        (vec![("pyproject.toml", "[tool.pytest]\n[tool.ruff]")], vec!["python-lint", "python-test", "tell"]),
        (vec![("setup.py", "")], vec!["python-test", "tell"]),
        (vec![("go.mod", ""), ("Makefile", "test: all\nlint := x\n")], vec!["go-vet", "go-test", "make-test", "tell"]),
    ] {
        assert_eq!(steps(&files), expected);
    }
}

#[test]
fn every_template_passes_the_check_and_makes_a_plan() {
    let capabilities = Capabilities::with_agents(["rehearsal".to_owned()].into());
    for template in TEMPLATES {
        let loaded = load(template.text, &capabilities)
            .unwrap_or_else(|found| panic!("{}", found.render(template.text, template.name)));
        assert!(loaded.warnings.is_empty(), "{}: {}", template.name, loaded.warnings);
        assert_eq!(**loaded.definition.name, *template.name);
        let required = loaded.definition.inputs.iter().filter(|(_, input)| input.required);
        let inputs = required.map(|(name, _)| (name.to_string(), "a thing".into())).collect();
        let plan = resolve(&loaded.definition, &inputs, &ProjectContext::default());
        assert!(plan.is_ok(), "{}: {plan:?}", template.name);
    }
}

#[test]
fn work_flows_along_the_needs_of_the_stages() {
    let template = find("generate-app").unwrap();
    let capabilities = Capabilities::with_agents(["rehearsal".to_owned()].into());
    let definition = load(template.text, &capabilities).unwrap().definition;
    let plan =
        resolve(&definition, &[("idea".to_owned(), "a thing".into())].into(), &ProjectContext::default()).unwrap();
    let names = |from: &[usize]| from.iter().map(|index| plan.steps[*index].id.clone()).collect::<Vec<_>>();
    let from = |id: &str| match &plan.steps.iter().find(|step| step.id == id).unwrap().work {
        Work::Agent(work) => names(&work.from),
        Work::Git(work) => names(&work.from),
        Work::Goal { from } => names(from),
        _ => Vec::new(),
    };
    assert_eq!(from("requirements"), Vec::<String>::new());
    // Through the approval between.
    assert_eq!(from("architecture"), ["requirements"]);
    assert_eq!(from("tests"), ["backend", "frontend"]);
    assert_eq!(from("land"), ["final_check"]);
    let goal = plan.steps.iter().find(|step| step.id == "goal-check").unwrap();
    assert_eq!(names(&goal.needs), ["land"], "after all that works, whoever is told of it");
    // What was landed is in the project itself.
    assert_eq!(from("goal-check"), Vec::<String>::new());
}
