//! Expressions, templates and scripts.

use serde_json::{Value, json};
use signalbox_workflow::{
    Capabilities,
    expr::{self, BinaryOp, Context, Expr, Function, Outcome, evaluate, truthy},
    load,
    script::{Reference, Script},
    template::{Template, as_text},
};

use crate::{bytes::text, measure::bounded, workflow::check_places};

/// Largest value that an expression of ours may come to, as JSON text. Texts that it makes end at 1 MiB.
const LARGEST: usize = 8 * 1024 * 1024;

/// What parses has a value, quickly; it can be written, and what was written is the same expression; the checker finds
/// what it finds within the file.
pub fn expression(data: &[u8]) {
    let text = text(data);
    bounded(|| {
        if let Ok(parsed) = expr::parse(&text) {
            check(&parsed);
        }
        if let Err(error) = expr::parse(&text) {
            assert!(error.offset <= text.chars().count(), "the error is outside of the text: {error:?}");
        }
        template(&text);
        in_a_file(&text);
    });
}

fn check(parsed: &Expr) {
    let value = evaluate(parsed, &Some);
    assert_eq!(value, evaluate(parsed, &Some), "it has two values");
    assert!(value.to_string().len() <= LARGEST, "its value is very large");
    std::hint::black_box(truthy(&value));
    evaluate(parsed, &Nothing);
    std::hint::black_box((parsed.references(), parsed.calls()));
    let written = written(parsed, 0);
    match expr::parse(&written) {
        Ok(again) => assert_eq!(placeless(&again), placeless(parsed), "{written}"),
        // Numbers may get longer by being written out.
        Err(error) => assert!(written.len() > expr::MAX_LENGTH, "{written} is no expression: {error}"),
    }
}

fn template(text: &str) {
    if let Ok(template) = Template::parse(text) {
        let shown = template.text(&Some);
        let value = template.value(&Some);
        if template.whole().is_some() {
            assert_eq!(shown, as_text(&value));
        } else {
            assert_eq!(value, Value::String(shown));
        }
        std::hint::black_box(template.pieces(&Some));
    }
    for reference in [Reference::Posix, Reference::PowerShell, Reference::Cmd] {
        let Ok(script) = Script::compile(text, reference) else { continue };
        for variable in &script.variables {
            // What stands in the script is a name of ours, and the expression stays outside of it.
            assert!(expr::parse(&variable.expr).is_ok(), "{variable:?}");
            assert!(script.text.contains(&variable.name));
        }
    }
}

/// The same text where a file may have it.
fn in_a_file(text: &str) {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let file = format!(
        "signalbox: 1\nname: w\ninputs: {{ a: {{ type: string }} }}\nsteps:\n  a: {{ kind: command, run: {} }}\n  \
         b:\n    kind: notify\n    needs: [a]\n    if: {}\n    to: [team]\n    message: {}\n",
        quoted(text),
        quoted(&format!("${{{{ {text} }}}}")),
        quoted(&format!("so: ${{{{ {text} }}}} and {text}")),
    );
    match load(&file, &Capabilities::basic()) {
        Ok(loaded) => check_places(&loaded.warnings, &file),
        Err(found) => check_places(&found, &file),
    }
}

/// Something of each kind.
struct Some;

impl Context for Some {
    fn lookup(&self, root: &str, path: &[&str]) -> Value {
        let value = match root {
            "inputs" => {
                json!({ "a": "text", "n": 1.5, "list": ["a", 1, null], "on": true, "zero": 0, "no": "", "deep": { "a": [{}] } })
            }
            "steps" => json!({ "a": { "conclusion": "success", "outputs": { "x": "}}'${{" }, "form": {} } }),
            "matrix" => json!({ "stack": "api", "n": -1 }),
            "run" => json!({ "number": 18_446_744_073_709_551_615_u64, "conclusion": null }),
            _ => Value::Null,
        };
        path.iter().try_fold(value, |value, key| value.get(key).cloned()).unwrap_or(Value::Null)
    }
    fn hash_files(&self, patterns: &[String]) -> Option<String> {
        Option::Some(format!("{:064}", patterns.len()))
    }
}

/// Nothing at all, when everything failed.
struct Nothing;

impl Context for Nothing {
    fn lookup(&self, _: &str, _: &[&str]) -> Value {
        Value::Null
    }
    fn outcome(&self) -> Outcome {
        Outcome { failure: true, ..Outcome::default() }
    }
}

fn strength(op: BinaryOp) -> usize {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And => 2,
        _ => 3,
    }
}

fn sign(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "||",
        BinaryOp::And => "&&",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessOrEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterOrEqual => ">=",
        BinaryOp::In => "in",
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && text != "in"
}

/// An expression as a person writes it, with no more parentheses than it needs. `outer` is how strongly what stands
/// around it binds: 0 nothing, 1 to 3 operators, 4 `!`, 5 a path.
#[must_use]
pub fn written(expr: &Expr, outer: usize) -> String {
    let (text, own) = match expr {
        Expr::Literal(Value::String(text)) => (format!("'{}'", text.replace('\'', "''")), 5),
        Expr::Literal(value) => (value.to_string(), 5),
        Expr::Name(name, _) => (name.clone(), 5),
        Expr::Member(base, key) => {
            let base = written(base, 5);
            match &**key {
                Expr::Literal(Value::String(name)) if is_word(name) => {
                    // `0.a` would be a number that is none.
                    let gap = if base.ends_with(|c: char| c.is_ascii_digit()) { " " } else { "" };
                    (format!("{base}{gap}.{name}"), 5)
                }
                key => (format!("{base}[{}]", written(key, 0)), 5),
            }
        }
        Expr::Not(inner) => (format!("!{}", written(inner, 4)), 4),
        Expr::Binary(op, left, right) => {
            let own = strength(*op);
            // Chains lean left; comparisons do not chain.
            let of_left = if own == 3 { 4 } else { own };
            (format!("{} {} {}", written(left, of_left), sign(*op), written(right, own + 1)), own)
        }
        Expr::Call(function, arguments, _) => {
            let arguments: Vec<String> = arguments.iter().map(|argument| written(argument, 0)).collect();
            (format!("{}({})", function.name(), arguments.join(", ")), 5)
        }
    };
    if own < outer { format!("({text})") } else { text }
}

fn placeless(expr: &Expr) -> Expr {
    let boxed = |expr: &Expr| Box::new(placeless(expr));
    match expr {
        Expr::Literal(value) => Expr::Literal(value.clone()),
        Expr::Name(name, _) => Expr::Name(name.clone(), 0),
        Expr::Member(base, key) => Expr::Member(boxed(base), boxed(key)),
        Expr::Not(inner) => Expr::Not(boxed(inner)),
        Expr::Binary(op, left, right) => Expr::Binary(*op, boxed(left), boxed(right)),
        Expr::Call(function, arguments, _) => Expr::Call(*function, arguments.iter().map(placeless).collect(), 0),
    }
}

/// Every function, for who makes expressions.
pub const FUNCTIONS: [Function; 12] = Function::ALL;
