//! The language of `${{ }}`.

use proptest::prelude::*;
use serde_json::{Value, json};
use signalbox_workflow::{
    expr::{Context, Outcome, evaluate, parse},
    script::{Reference, Script},
    template::{Piece, Template},
};

struct World;

impl Context for World {
    fn lookup(&self, root: &str, path: &[&str]) -> Value {
        let all = json!({
            "inputs": { "n": 3, "s": "abc", "list": ["a", "b"], "no": false, "quote": "it's" },
            "steps": { "build": { "outputs": { "json": "{\"x\":[1,2]}", "deep": { "a": [10, 20] } } } },
        });
        path.iter().try_fold(&all[root], |value, key| value.get(key)).cloned().unwrap_or(Value::Null)
    }
    fn outcome(&self) -> Outcome {
        Outcome { success: false, failure: true, cancelled: false, any_success: true }
    }
    fn hash_files(&self, patterns: &[String]) -> Option<String> {
        Some(patterns.join("+"))
    }
}

fn value(source: &str) -> Value {
    evaluate(&parse(source).unwrap_or_else(|e| panic!("{source}: {e}")), &World)
}

#[test]
fn values() {
    for (source, expected) in [
        ("1", json!(1)),
        ("-1.5", json!(-1.5)),
        ("'it''s'", json!("it's")),
        ("null", json!(null)),
        ("inputs.n == 3.0", json!(true)),
        ("inputs.n == '3'", json!(false)),
        ("inputs.n < '4'", json!(false)),
        ("'a' < 'b'", json!(true)),
        ("2 >= 2 && 2 <= 2 && 3 > 2", json!(true)),
        ("inputs.s || false", json!(true)),
        ("!inputs.missing.deeper", json!(true)),
        ("!''", json!(true)),
        ("'a' in inputs.list", json!(true)),
        ("'n' in inputs", json!(true)),
        ("'bc' in inputs.s", json!(true)),
        ("contains(inputs.list, 'c')", json!(false)),
        ("starts_with(inputs.s, 'ab')", json!(true)),
        ("from_json(steps.build.outputs.json).x[1]", json!(2)),
        ("from_json('{')", json!(null)),
        ("to_json(inputs.list)", json!("[\"a\",\"b\"]")),
        ("steps.build.outputs['deep'].a[0]", json!(10)),
        ("steps.build.outputs.deep.a[9]", json!(null)),
        ("default(inputs.missing, '', 'x')", json!("x")),
        ("default(inputs.no, true)", json!(false)),
        ("hash_files('a', 'b')", json!("a+b")),
        ("success() || failure() && !cancelled()", json!(true)),
        ("none_failed()", json!(false)),
        ("any_success()", json!(true)),
        ("always()", json!(true)),
        ("true || true && false", json!(true)),
        ("(true || true) && false", json!(false)),
        ("inputs.list == from_json('[\"a\",\"b\"]')", json!(true)),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn what_is_no_expression() {
    for source in [
        "",
        " ",
        "1 2",
        "a.",
        "a[",
        "a[1",
        "(1",
        "f()",
        "'x",
        "\"x\"",
        "a = b",
        "1 < 2 < 3",
        "contains(1)",
        "always(1)",
        "01",
        "&",
        "a..b",
        "!",
    ] {
        assert!(parse(source).is_err(), "{source:?} passed");
    }
    for deep in [
        "(".repeat(200),
        "!".repeat(200) + "1",
        "a".to_owned() + &"[a".repeat(200),
        "a".to_owned() + &".a".repeat(200),
        "1".to_owned() + &" || 1".repeat(200),
    ] {
        assert!(parse(&deep).is_err());
    }
}

#[test]
fn doubling_quotes_cannot_fill_the_memory() {
    let source = format!("{}'\"'{}", "to_json(".repeat(40), ")".repeat(40));
    let text = value(&source);
    assert!(text.to_string().len() < 3 << 20);
}

#[test]
fn texts_keep_kinds_where_they_can() {
    let text = |source: &str| Template::parse(source).unwrap().value(&World);
    assert_eq!(text("${{ inputs.list }}"), json!(["a", "b"]));
    assert_eq!(text("x ${{ inputs.n }} ${{ inputs.missing }}${{ inputs.list }}"), json!("x 3 [\"a\",\"b\"]"));
    assert_eq!(text("$${{ a }} ${{ '}}' }}"), json!("${{ a }} }}"));
    assert_eq!(text("plain $ { }"), json!("plain $ { }"));
    assert!(Template::parse("${{ 1").is_err());
    let pieces = Template::parse("Bearer ${{ secrets.TOKEN }}").unwrap().pieces(&World);
    assert_eq!(pieces, [Piece::Text("Bearer ".into()), Piece::Secret("TOKEN".into())]);
}

#[test]
fn expressions_are_never_pasted_into_scripts() {
    let script =
        Script::compile("echo \"${{ inputs.s }}\" \"${{inputs.n}}\" \"${{ inputs.s }}\" ${HOME}", Reference::Posix)
            .unwrap();
    assert_eq!(script.text, "echo \"${SIGNALBOX_EXPR_1}\" \"${SIGNALBOX_EXPR_2}\" \"${SIGNALBOX_EXPR_1}\" ${HOME}");
    assert_eq!(script.variables.iter().map(|v| v.expr.as_str()).collect::<Vec<_>>(), ["inputs.s", "inputs.n"]);
    assert_eq!(Reference::of_shell(Some("C:\\x\\pwsh.exe")), Reference::PowerShell);
    assert_eq!(Script::compile("${{ 1 }}", Reference::PowerShell).unwrap().text, "${env:SIGNALBOX_EXPR_1}");
}

#[test]
fn status_functions_are_seen() {
    assert!(parse("!(a == 1 || failure())").unwrap().uses_status_function());
    assert!(!parse("contains(a, 'failure()')").unwrap().uses_status_function());
}

#[test]
fn nested_defaults_take_time_by_their_length_and_not_by_its_power() {
    let nested = "default(null, ".repeat(40) + "''" + &")".repeat(40);
    assert_eq!(value(&nested), json!(""));
}

#[test]
fn exponents_have_signs() {
    assert_eq!((value("1e-7 < 1E+2"), value("2e3 == 2000")), (json!(true), json!(true)));
    assert!(parse("1-2").is_err() && parse("1e-").is_err());
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error(source in ".{0,60}") {
        if let Ok(expr) = parse(&source) {
            let _ = evaluate(&expr, &World);
        }
    }

    #[test]
    fn likely_texts_have_a_value(words in prop::collection::vec(prop::sample::select(vec![
        "inputs.n", "inputs.list", "steps", "'x'", "1", "null", "==", "<", "in", "&&", "||", "!", "(", ")", "[", "]", ".", "a",
        "contains(", "to_json(", "from_json(", "default(", ",", "success()",
    ]), 0..16)) {
        if let Ok(expr) = parse(&words.join(" ")) {
            let _ = evaluate(&expr, &World);
        }
    }

    #[test]
    fn a_written_text_is_its_value(text in "[^\\r\\n]{0,40}") {
        let source = format!("'{}'", text.replace('\'', "''"));
        prop_assert_eq!(evaluate(&parse(&source).unwrap(), &World), Value::String(text));
    }

    #[test]
    fn any_text_is_a_template_or_an_error(text in "[${}a ']{0,40}") {
        let _ = Template::parse(&text);
        let _ = Script::compile(&text, Reference::Posix);
    }
}
