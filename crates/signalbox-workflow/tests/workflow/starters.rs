//! What `signalbox init` writes.

use std::collections::HashMap;

use signalbox_workflow::{
    Capabilities, load,
    starter::{Folder, starter},
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
