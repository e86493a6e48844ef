//! Inputs made by their grammar: of what chance alone changes in a text, little would parse.

use std::fmt::Write as _;

use crate::{expression::FUNCTIONS, random::Random};

/// An expression, mostly one that parses.
#[must_use]
pub fn expression(random: &mut Random) -> Vec<u8> {
    let depth = random.below(6);
    let text = expr(random, depth);
    let text = if random.percent(30) { format!("a ${{{{ {text} }}}} b") } else { text };
    text.into_bytes()
}

fn expr(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.percent(15) {
        return leaf(random);
    }
    let depth = depth - 1;
    match random.below(7) {
        0 => format!("!{}", expr(random, depth)),
        1 => format!("({})", expr(random, depth)),
        2 => format!("{}.{}", expr(random, depth), random.choose(&["a", "list", "outputs", "true", "x-y"])),
        3 => format!("{}[{}]", leaf(random), expr(random, depth)),
        4 | 5 => {
            let function = random.choose(&FUNCTIONS);
            let (least, most) = (*function.arity().start(), *function.arity().end());
            let count = least + random.below((most - least).min(3) + 1);
            let arguments: Vec<String> = (0..count).map(|_| expr(random, depth)).collect();
            format!("{}({})", function.name(), arguments.join(", "))
        }
        _ => {
            let op = random.choose(&["||", "&&", "==", "!=", "<", "<=", ">", ">=", "in"]);
            format!("{} {op} {}", expr(random, depth), expr(random, depth))
        }
    }
}

fn leaf(random: &mut Random) -> String {
    let leaves = [
        "inputs.a",
        "inputs.list",
        "inputs",
        "steps.a.outputs",
        "matrix.n",
        "run.number",
        "unknown",
        "'it''s'",
        "''",
        "'}}'",
        "'ä\u{202e}'",
        "1",
        "-0.5",
        "1e300",
        "1e-7",
        "0",
        "18446744073709551615",
        "9007199254740993",
        "true",
        "false",
        "null",
        "secrets.X",
        "success()",
    ];
    random.choose(&leaves).to_owned()
}

/// A workflow file, mostly one that is checked and not refused at once.
#[must_use]
pub fn workflow(random: &mut Random) -> Vec<u8> {
    let mut out = String::from("signalbox: 1\nname: w\n");
    if random.percent(60) {
        out.push_str("inputs:\n  a: { type: string, default: x }\n  list: { type: array, items: string }\n  n: { type: integer, required: true }\n");
    }
    if random.percent(40) {
        let _ = writeln!(out, "env:\n  A: {}\n  B: \"b\"", quoted(random));
    }
    if random.percent(20) {
        let _ = writeln!(out, "concurrency: {{ group: {}, max: {} }}", quoted(random), random.below(4));
    }
    if random.percent(20) {
        out.push_str("defaults: { timeout: 5m, retry: { max: 1, causes: [infra] }, working_dir: . }\n");
    }
    out.push_str("steps:\n");
    let steps = 1 + random.below(6);
    for step in 0..steps {
        let _ = writeln!(out, "  s{step}:");
        // Mostly to what stands before: what stands after may make a circle.
        let needs: Vec<String> = (0..random.below(3))
            .map(|_| {
                let end = if random.percent(90) { step } else { steps };
                format!("s{}", random.below(end))
            })
            .collect();
        if !needs.is_empty() && (step > 0 || random.percent(20)) {
            let _ = writeln!(out, "    needs: [{}]", needs.join(", "));
        }
        if random.percent(25) {
            let depth = random.below(3);
            let _ = writeln!(out, "    if: {}", serde_json::json!(format!("${{{{ {} }}}}", expr(random, depth))));
        }
        if random.percent(25) {
            let axis = random.choose(&[
                "[1, 2]",
                "[a, b, a]",
                "\"${{ inputs.list }}\"",
                "[]",
                "[true]",
                "[[1]]",
                "\"${{ inputs.a }}\"",
            ]);
            let _ = writeln!(
                out,
                "    matrix: {{ axes: {{ stack: {axis}, n: [1, 2.5] }}, key: \"${{{{ matrix.stack }}}}-${{{{ matrix.n }}}}\" }}"
            );
        }
        let _ = match random.below(5) {
            0 => writeln!(
                out,
                "    kind: approval\n    question: {}\n    who: {{ roles: [operator], min: {} }}\n    form: {{ a: {{ type: string }} }}",
                quoted(random),
                random.below(3)
            ),
            1 => writeln!(out, "    kind: notify\n    to: [team]\n    message: {}", quoted(random)),
            _ => writeln!(out, "    kind: command\n    run: {}\n    env: {{ E: {} }}", quoted(random), quoted(random)),
        };
    }
    out.into_bytes()
}

fn quoted(random: &mut Random) -> String {
    let depth = random.below(3);
    serde_json::json!(format!("{} ${{{{ {} }}}}", random.choose(&["", "x", "'", "ü"]), expr(random, depth))).to_string()
}
