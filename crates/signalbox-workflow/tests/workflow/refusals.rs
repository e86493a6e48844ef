//! A table of everything that is refused: code, line, and what the person reads.

use std::collections::BTreeSet;

use proptest::prelude::*;
use signalbox_workflow::{Capabilities, Diagnostics, TriggerKind, load, parse};

const EXAMPLE: &str = include_str!("../files/ship-feature.yaml");

fn everything() -> Capabilities {
    use TriggerKind::{Commit, File, Manual, Schedule, Webhook};
    let triggers = BTreeSet::from([Manual, Schedule, File, Commit, Webhook]);
    Capabilities { triggers, ..Capabilities::with_agents(["claude", "codex", "gemini"].map(str::to_owned).into()) }
}

#[test]
fn the_example_of_the_design_is_right_for_a_host_that_can_do_everything() {
    let loaded = load(EXAMPLE, &everything()).unwrap_or_else(|found| panic!("{}", found.render(EXAMPLE, "w.yaml")));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

#[test]
fn what_this_version_cannot_do_is_named_line_by_line() {
    let found = load(EXAMPLE, &Capabilities::basic()).unwrap_err();
    assert!(found.iter().all(|d| d.code == "unsupported" && d.hint.is_some()), "{}", found.render(EXAMPLE, "w.yaml"));
    let lines: Vec<u32> = found.iter().map(|d| d.line).collect();
    assert_eq!(lines, [8, 9, 10, 11, 20, 24, 38, 45, 48, 63], "{}", found.render(EXAMPLE, "w.yaml"));
}

/// A workflow whose steps begin in line 4.
fn with_steps(steps: &str) -> String {
    format!("signalbox: 1\nname: w\nsteps:\n{steps}")
}

fn refused(text: &str, code: &str, line: u32, words: &str) {
    let found: Diagnostics = match load(text, &everything()) {
        Err(found) => found,
        Ok(loaded) => loaded.warnings,
    };
    let rendered = found.render(text, "w.yaml");
    let hit = found.iter().find(|d| d.code == code && d.line == line);
    let hit = hit.unwrap_or_else(|| panic!("no {code} in line {line} for:\n{text}\nfound:\n{rendered}"));
    let said = format!("{} {}", hit.message, hit.hint.as_deref().unwrap_or_default());
    assert!(said.contains(words), "{said:?} does not say {words:?}");
    assert!(rendered.contains("w.yaml:"), "{rendered}");
}

#[test]
fn malformed_files() {
    for (text, code, line, words) in [
        ("", "malformed", 1, "signalbox init"),
        ("signalbox: 1\nname: a\nsteps: []\n", "wrong-type", 3, "key: value"),
        ("signalbox: 1\nname: \"a\nsteps: x\n", "malformed", 3, "YAML"),
        ("signalbox: 1\nname: a\nname: b\nsteps: {}\n", "duplicate-key", 3, "name"),
        ("signalbox: 1\nname: a\nstpes: {}\n", "unknown-key", 3, "did you mean `steps`"),
        ("signalbox: 1\nname: a\n", "missing-key", 2, "steps"),
        ("signalbox: 2\nname: a\nsteps: {}\n", "format-version", 1, "update Signalbox"),
        ("signalbox: 1\nname: a\nsteps: {}\n", "no-steps", 3, "no steps"),
        ("signalbox: 1\nname: a\nsteps: {}\n---\na: 1\n", "malformed", 5, "one workflow"),
        ("signalbox: 1\nname: a\ndefaults: { timeout: 5 }\nsteps: {}\n", "wrong-value", 3, "45m"),
    ] {
        refused(text, code, line, words);
    }
}

#[test]
fn alias_bombs() {
    let mut text =
        "signalbox: 1\nname: a\ninputs:\n  a: { type: string, default: &a [x, x, x, x, x, x, x, x, x, x] }\n"
            .to_owned();
    for (from, to) in ["a", "b", "c", "d", "e", "f", "g"].iter().zip(["b", "c", "d", "e", "f", "g", "h"]) {
        let list = [
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
            format!("*{from}"),
        ]
        .join(", ");
        text += &format!("  {to}: {{ type: string, default: &{to} [{list}] }}\n");
    }
    text += "steps: {}\n";
    let found = parse(&text).unwrap_err();
    assert_eq!(found.iter().next().unwrap().code, "too-complex", "{found}");
}

#[test]
fn steps() {
    let command =
        |more: &str| with_steps(&format!("  a: {{ kind: command, run: x }}\n  b: {{ kind: command, run: x{more} }}\n"));
    for (text, code, line, words) in [
        (with_steps("  a: { kind: comand, run: x }\n"), "unknown-value", 4, "did you mean `command`"),
        (with_steps("  a: { kind: command, rnu: x }\n"), "unknown-key", 4, "did you mean `run`"),
        (with_steps("  a: { kind: command }\n"), "missing-key", 4, "no `run`"),
        (with_steps("  A: { kind: command, run: x }\n"), "bad-step-id", 4, "lower-case"),
        (command(", needs: [c]"), "unknown-step", 5, "\"c\""),
        (command(", needs: [b]"), "cycle", 5, "itself"),
        (command(", needs: [a, a]"), "duplicate-need", 5, "twice"),
        (command(", prompt: hi"), "key-of-other-kind", 5, "agent"),
        (command(", working_dir: ../x"), "bad-path", 5, "inside the project"),
        (
            "signalbox: 1\nname: a\ndefaults: { carry: { link: [../x] } }\nsteps: { a: { kind: command, run: x } }\n"
                .into(),
            "bad-path",
            3,
            "within the repository",
        ),
        (
            with_steps("  a: { kind: command, run: x }\n  l: { kind: git, needs: [a], action: merge }\n"),
            "no-worktree",
            5,
            "nothing to take",
        ),
        (command(", shell: []"), "empty-shell", 5, "bash"),
        (command(", env: { 1A: x }"), "bad-name", 5, "variable"),
        (command(", env: { SIGNALBOX_X: x }"), "bad-name", 5, "reserved"),
        (command(", retry: { max: 101 }"), "out-of-range", 5, "100"),
        (command(", stall: { warn: 5m, fail: 5m }"), "stall-order", 5, "shorter"),
        (command(", verify: [{ timeout: 5m }]"), "bad-check", 5, "exactly one"),
        (with_steps("  a: { kind: notify, to: [desktop] }\n"), "missing-key", 4, "message"),
        (
            with_steps("  a: { kind: agent, agent: { id: cluade }, prompt: x }\n"),
            "unknown-agent",
            4,
            "did you mean `claude`",
        ),
    ] {
        refused(&text, code, line, words);
    }
}

#[test]
fn a_cycle_is_named_the_way_work_flows() {
    let text = with_steps(
        "  a: { kind: command, run: x, needs: [c] }\n  b: { kind: command, run: x, needs: [a] }\n  c:\n    kind: command\n    run: x\n    needs: [b]\n",
    );
    let found = load(&text, &everything()).unwrap_err();
    assert_eq!(found.iter().count(), 1, "{found}");
    refused(&text, "cycle", 5, "a -> b -> c -> a");
}

#[test]
fn approvals() {
    let gate = |more: &str| {
        with_steps(&format!(
            "  a: {{ kind: command, run: x }}\n  z: {{ kind: command, run: x }}\n  g: {{ kind: approval, needs: [a]{more} }}\n"
        ))
    };
    let who = ", who: { roles: [owner] }";
    for (more, code, words) in [
        (String::new(), "missing-key", "no `who`"),
        (format!("{who}, retry: {{ max: 1 }}"), "retry-on-approval", "on_reject"),
        (", who: { roles: [] }".to_owned(), "nobody-may-answer", "roles"),
        (", who: { roles: [boss] }".to_owned(), "unknown-value", "operator"),
        (", who: { roles: [owner], min: 0 }".to_owned(), "out-of-range", "min"),
        (format!("{who}, on_reject: {{ rerun_from: z }}"), "not-upstream", "does not come before"),
        (format!("{who}, on_reject: {{ rerun_from: nope }}"), "unknown-step", "nope"),
        (
            format!("{who}, on_reject: {{ rerun_from: a, feedback_as: \"${{{{ approval.x }}}}\" }}"),
            "unknown-name",
            "form",
        ),
        (format!("{who}, on_timeout: approve"), "no-timeout", "24h"),
        (format!("{who}, show: [z.outputs.x]"), "not-upstream", "add"),
        (format!("{who}, form: {{ a: {{ type: array, items: string }} }}"), "bad-input", "form"),
    ] {
        refused(&gate(&more), code, 6, words);
    }
}

#[test]
fn expressions_are_checked_where_they_stand() {
    let run = |text: &str| {
        with_steps(&format!(
            "  a:\n    kind: command\n    run: x\n  b:\n    kind: command\n    run: |\n      true\n      {text}\n"
        ))
    };
    for (text, code, words) in [
        ("echo \"${{ inputs.x }}\"", "unknown-name", "no input \"x\""),
        ("echo \"${{ steps.a.outputs.x }}\"", "not-upstream", "add \"a\" to `needs`"),
        ("echo \"${{ steps.nope.outputs.x }}\"", "unknown-step", "nope"),
        ("echo \"${{ env.X }}\"", "unknown-name", "variable"),
        ("echo \"${{ secrets.X }}\"", "unknown-name", "secret"),
        ("echo \"${{ default(secrets.X, 1) }}\"", "secret-in-expression", "alone"),
        ("echo \"${{ input.x }}\"", "unknown-name", "did you mean `inputs`"),
        ("echo \"${{ run.nmuber }}\"", "unknown-name", "did you mean `number`"),
        ("echo \"${{ matrix.x }}\"", "no-matrix", "matrix"),
        ("echo \"${{ success() }}\"", "status-function", "if"),
        ("echo \"${{ succes() }}\"", "bad-expression", "did you mean `success()`"),
        ("echo \"${{ 1 + }}\"", "bad-expression", "unexpected"),
        ("echo \"${{ 1 == 1 == 1 }}\"", "bad-expression", "chain"),
        ("echo \"${{ run.id \"", "bad-expression", "no `}}`"),
        ("echo '${{ run.id }}'", "single-quotes", "double quotes"),
    ] {
        refused(&run(text), code, 11, words);
    }
    let text = run("echo \"${{ run.id }} ${{ run.number == \"1\" }}\"");
    let found = load(&text, &everything()).unwrap_err();
    let at = found.iter().next().unwrap();
    assert_eq!((at.line, at.column), (11, 45), "{}", found.render(&text, "w.yaml"));
}

#[test]
fn conditions_and_matrices() {
    let step = |more: &str| {
        with_steps(&format!("  a: {{ kind: command, run: x }}\n  b: {{ kind: command, run: x, needs: [a], {more} }}\n"))
    };
    for (more, code, words) in [
        ("if: always()", "bad-condition", "${{ always() }}"),
        ("if: \"a ${{ always() }}\"", "bad-condition", "one expression"),
        ("if: \"${{ hash_files('x') == 'y' }}\"", "hash-files", "env"),
        ("matrix: { axes: {} }", "empty-matrix", "axes"),
        ("matrix: { axes: { x: [] } }", "empty-matrix", "no values"),
        ("matrix: { axes: { x: [a, a] } }", "duplicate-matrix-key", "twice"),
        ("matrix: { axes: { x: [{ a: b }] } }", "bad-matrix", "plain"),
        ("matrix: { axes: { x: \"${{ steps.a.outputs.list }}\" } }", "not-known-yet", "before the run"),
        ("matrix: { axes: { x: [a] }, max_parallel: 0 }", "out-of-range", "at least 1"),
        ("matrix: { axes: { x: [a] }, key: \"${{ matrix.y }}\" }", "unknown-name", "axis"),
    ] {
        refused(&step(more), code, 5, words);
    }
}

#[test]
fn inputs_and_folders() {
    let head = |input: &str| {
        format!("signalbox: 1\nname: w\ninputs:\n  a: {{ {input} }}\nsteps:\n  a: {{ kind: command, run: x }}\n")
    };
    for (input, code, words) in [
        ("type: text", "unknown-value", "string"),
        ("type: enum", "bad-input", "values"),
        ("type: array", "bad-input", "items"),
        ("type: string, default: no", "ok", ""),
        ("type: boolean, default: no", "bad-default", "boolean"),
        ("type: integer, default: 1.5", "bad-default", "integer"),
        ("type: enum, values: [x], default: y", "bad-default", "one of x"),
    ] {
        let text = head(input);
        if code == "ok" {
            assert!(load(&text, &everything()).is_ok(), "{text}");
        } else {
            refused(&text, code, 4, words);
        }
    }
    let agents = "  a: { kind: agent, agent: { id: claude }, prompt: x, isolation: shared_rw }\n  b: { kind: agent, agent: { id: codex }, prompt: x, isolation: shared_rw }\n";
    refused(&with_steps(agents), "shared-folder", 5, "worktree");
    let in_order = agents.replace("id: codex }", "id: codex }, needs: [a]");
    assert!(load(&with_steps(&in_order), &everything()).is_ok());
}

#[test]
fn several_findings_come_at_once_in_the_order_of_the_file() {
    let text = with_steps("  A: { kind: command }\n  b: { kind: command, run: \"${{ x }} ${{ y }}\", needs: [q] }\n");
    let found = load(&text, &everything()).unwrap_err();
    let codes: Vec<&str> = found.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["bad-step-id", "missing-key", "unknown-name", "unknown-name", "unknown-step"]);
}

#[test]
fn a_finding_shows_the_line_and_a_caret() {
    let text = with_steps("  build: { kind: command, run: x, tiemout: 5m }\n");
    let found = parse(&text).unwrap_err();
    let shown = found.render(&text, "w.yaml");
    let start = "error[unknown-key]: unknown key \"tiemout\"\n --> w.yaml:4:35\n  |\n4 |   build: { kind: command, run: x, tiemout: 5m }\n  |                                   ^\n  = help: did you mean `timeout`?";
    assert!(shown.starts_with(start), "{shown}");
    assert!(shown.ends_with("1 error"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_a_workflow_or_findings(text in "(signalbox: 1\nname: a\nsteps:\n  )?[a-z:\\-\\[\\]{}&*!|>'\"#%@`, \n\t$0-9]{0,120}") {
        if let Err(found) = load(&text, &everything()) {
            prop_assert!(found.has_errors());
            for d in &found {
                prop_assert!(d.line >= 1 && d.column >= 1);
            }
            let _ = found.render(&text, "w.yaml");
        }
    }
}

#[test]
fn lines_are_those_of_yaml_also_with_old_line_ends() {
    let text = with_steps("  a: { kind: command, run: \"${{ nothing.x }}\" }\n");
    for end in ["\r", "\r\n"] {
        let text = text.replace('\n', end);
        let found = load(&text, &Capabilities::basic()).unwrap_err();
        let first = found.iter().next().unwrap();
        assert_eq!((first.line, first.column), (4, 33), "{}", found.render(&text, "w.yaml"));
        assert!(found.render(&text, "w.yaml").contains("nothing.x"));
    }
}

#[test]
fn an_agent_must_be_known_and_one_of_a_step_must_be_there() {
    let text =
        |agent: &str| format!("signalbox: 1\nname: w\nsteps:\n  a: {{ kind: agent, agent: {agent}, prompt: go }}\n");
    let can = Capabilities {
        known_agents: ["claude", "codex"].map(str::to_owned).into(),
        ..Capabilities::with_agents(["claude".to_owned()].into())
    };
    let codes = |agent: &str| match load(&text(agent), &can) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>(),
    };
    assert_eq!(codes("{ id: claude }"), Vec::<String>::new());
    assert_eq!(codes("{ id: codex }"), ["missing-agent"]);
    assert_eq!(codes("{ id: codex, fallback: [claude] }"), Vec::<String>::new());
    assert_eq!(codes("{ id: claud }"), ["unknown-agent"]);
}
