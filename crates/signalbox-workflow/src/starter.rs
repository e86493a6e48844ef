//! The workflow that `signalbox init` writes: the checks that a project already has, side by side.

use std::fmt::Write as _;

use serde_json::Value;

/// What has to be known of a project's folder.
pub trait Folder {
    /// Whether there is a file or folder at `path`, relative to the project, with `/`.
    fn has(&self, path: &str) -> bool;
    /// The text of a file; `None` if it cannot be read.
    fn read(&self, path: &str) -> Option<String>;
}

/// A workflow to start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// The file's text: valid, with comments.
    pub text: String,
    /// What was recognised, for a person: `Rust (Cargo.toml)`.
    pub found: Vec<String>,
}

struct Check {
    id: &'static str,
    run: String,
    title: &'static str,
    needs: Option<&'static str>,
}

#[derive(Default)]
struct Recognised {
    checks: Vec<Check>,
    found: Vec<String>,
}

impl Recognised {
    fn check(&mut self, id: &'static str, title: &'static str, run: impl Into<String>) {
        self.checks.push(Check { id, run: run.into(), title, needs: None });
    }
}

/// Looks at the folder and writes a workflow that fits.
#[must_use]
pub fn starter(folder: &dyn Folder) -> Starter {
    let mut recognised = Recognised::default();
    cargo(folder, &mut recognised);
    javascript(folder, &mut recognised);
    python(folder, &mut recognised);
    go(folder, &mut recognised);
    make(folder, &mut recognised);
    let text = if recognised.checks.is_empty() { first_steps() } else { checks(&recognised.checks) };
    Starter { text, found: recognised.found }
}

fn cargo(folder: &dyn Folder, out: &mut Recognised) {
    if !folder.has("Cargo.toml") {
        return;
    }
    out.found.push("Rust (Cargo.toml)".to_owned());
    let all =
        if folder.read("Cargo.toml").is_some_and(|text| text.contains("[workspace]")) { " --workspace" } else { "" };
    out.check("rust-format", "Rust: format", "cargo fmt --all -- --check");
    out.check("rust-lint", "Rust: lint", format!("cargo clippy{all} --all-targets -- -D warnings"));
    out.check("rust-test", "Rust: test", format!("cargo test{all}"));
}

const JS_INSTALL: &str = "js-install";

fn javascript(folder: &dyn Folder, out: &mut Recognised) {
    if !folder.has("package.json") {
        return;
    }
    let manager = [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn")];
    let manager = manager.iter().find(|(lock, _)| folder.has(lock)).map_or("npm", |(_, name)| name);
    out.found.push(format!("JavaScript (package.json, {manager})"));
    let package: Value =
        folder.read("package.json").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let scripts = package.get("scripts");
    let has = |name: &str| {
        let script = scripts.and_then(|scripts| scripts.get(name)).and_then(Value::as_str).unwrap_or_default();
        // What `npm init` writes is no test.
        !script.trim().is_empty() && !script.contains("no test specified")
    };
    let known = [
        ("lint", "js-lint", "JavaScript: lint"),
        ("typecheck", "js-typecheck", "JavaScript: types"),
        ("type-check", "js-typecheck", "JavaScript: types"),
        ("test", "js-test", "JavaScript: test"),
        ("build", "js-build", "JavaScript: build"),
    ];
    let first = out.checks.len();
    for (script, id, title) in known {
        if has(script) && !out.checks[first..].iter().any(|check| check.id == id) {
            out.check(id, title, format!("{manager} run {script}"));
        }
    }
    let depends = |key: &str| package.get(key).and_then(Value::as_object).is_some_and(|packages| !packages.is_empty());
    if out.checks.len() == first || !(depends("dependencies") || depends("devDependencies")) {
        return;
    }
    // A fresh checkout has none of its packages. What is in place stays: `npm ci` alone would delete it every time.
    let run = match (manager, folder.has("package-lock.json")) {
        ("npm", true) => "npm ls --depth 0 || npm ci --no-audit --no-fund".to_owned(),
        ("npm", false) => "npm ls --depth 0 || npm install --no-audit --no-fund --no-package-lock".to_owned(),
        _ => format!("{manager} install --frozen-lockfile"),
    };
    for check in &mut out.checks[first..] {
        check.needs = Some(JS_INSTALL);
    }
    let title = "JavaScript: packages";
    out.checks.insert(first, Check { id: JS_INSTALL, run, title, needs: None });
}

fn python(folder: &dyn Folder, out: &mut Recognised) {
    let file = ["pyproject.toml", "setup.py", "requirements.txt"].into_iter().find(|file| folder.has(file));
    let Some(file) = file else { return };
    out.found.push(format!("Python ({file})"));
    let said = ["pyproject.toml", "setup.cfg", "tox.ini", "setup.py", "requirements.txt", "requirements-dev.txt"]
        .map(|file| folder.read(file).unwrap_or_default())
        .join("\n");
    let python = if folder.has("uv.lock") { "uv run python" } else { "python3" };
    if said.contains("ruff") || folder.has("ruff.toml") {
        out.check("python-lint", "Python: lint", format!("{python} -m ruff check ."));
    }
    if said.contains("pytest") || folder.has("pytest.ini") || folder.has("conftest.py") {
        out.check("python-test", "Python: test", format!("{python} -m pytest"));
    } else {
        out.check("python-test", "Python: test", format!("{python} -m unittest discover"));
    }
}

fn go(folder: &dyn Folder, out: &mut Recognised) {
    if folder.has("go.mod") {
        out.found.push("Go (go.mod)".to_owned());
        out.check("go-vet", "Go: vet", "go vet ./...");
        out.check("go-test", "Go: test", "go test ./...");
    }
}

fn make(folder: &dyn Folder, out: &mut Recognised) {
    let Some(text) = folder.read("Makefile").or_else(|| folder.read("makefile")) else { return };
    let has = |target: &str| {
        text.lines().any(|line| {
            line.strip_prefix(target)
                .is_some_and(|rest| rest.trim_start().starts_with(':') && !rest.trim_start().starts_with(":="))
        })
    };
    let known =
        [("lint", "make-lint", "make lint"), ("test", "make-test", "make test"), ("check", "make-check", "make check")];
    let targets: Vec<_> = known.into_iter().filter(|(target, ..)| has(target)).collect();
    if !targets.is_empty() {
        out.found.push("Make (Makefile)".to_owned());
    }
    for (_, id, run) in targets {
        out.check(id, run, run);
    }
}

const HEAD: &str = "\
# A Signalbox workflow. `signalbox validate` with this file says whether it is right, `signalbox run` with its name
# starts it. `signalbox schema workflow` prints its schema, for an editor.
signalbox: 1
";

fn checks(checks: &[Check]) -> String {
    let mut out = format!("{HEAD}name: check\ndescription: Everything that must hold before a change is shared.\n");
    out.push_str("\ndefaults:\n  # Longest time of one attempt, and what silence means.\n  timeout: 30m\n  stall: { warn: 5m, fail: 20m }\n");
    out.push_str("\n# Steps that do not need one another run side by side, as many as the host has slots.\nsteps:\n");
    for check in checks {
        let _ = write!(out, "  {}:\n    kind: command\n    title: {}\n", check.id, quoted(check.title));
        if let Some(need) = check.needs {
            let _ = writeln!(out, "    needs: [{need}]");
        }
        let _ = writeln!(out, "    run: {}", quoted(&check.run));
        out.push_str("    idempotent: true # may run again by itself after a crash\n\n");
    }
    let needs = checks.iter().map(|check| check.id).collect::<Vec<_>>().join(", ");
    let _ = write!(
        out,
        "  # Tells how it went, whatever happened before.\n  tell:\n    kind: notify\n    needs: [{needs}]\n    if: \"${{{{ always() }}}}\"\n    to: [desktop]\n    message: \"Checks of ${{{{ project.name }}}}: ${{{{ run.conclusion }}}}\"\n"
    );
    out
}

fn first_steps() -> String {
    format!(
        "{HEAD}name: first-steps
description: One command, then a question to a person. Change both.

inputs:
  who: {{ type: string, default: world, description: Who is greeted }}

steps:
  hello:
    kind: command
    # An expression arrives as an environment variable: keep it in double quotes.
    run: echo \"Hello, ${{{{ inputs.who }}}}\"
    idempotent: true # may run again by itself after a crash

  # The run waits here, for days if need be, and holds no slot.
  approve:
    kind: approval
    needs: [hello]
    question: Shall the workflow go on?
    who: {{ roles: [operator, owner], self_approval: true }}
"
    )
}

/// As a double-quoted YAML scalar: JSON's form is one.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
