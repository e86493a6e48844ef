//! Inputs and fields of forms.

use serde_json::Value;

use crate::{
    definition::{Input, InputType, ItemType},
    diagnostic::Diagnostic,
};

pub(super) fn check(name: &str, input: &Input) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let at = input.kind.position();
    let kind = *input.kind;
    if kind == InputType::Enum && input.values.is_empty() {
        found.push(
            Diagnostic::error("bad-input", at, format!("{name:?} is an enum without choices"))
                .hint("add `values: [a, b]`"),
        );
    }
    if kind != InputType::Enum && !input.values.is_empty() {
        found.push(
            Diagnostic::error("bad-input", at, format!("{name:?} has `values` but is a {}", kind.name()))
                .hint("write `type: enum`"),
        );
    }
    if kind == InputType::Array && input.items.is_none() {
        found.push(
            Diagnostic::error("bad-input", at, format!("{name:?} is an array of nothing")).hint("add `items: string`"),
        );
    }
    if let Some(items) = input.items.as_ref().filter(|_| kind != InputType::Array) {
        found.push(
            Diagnostic::error("bad-input", items.position(), "`items` is for arrays").hint("write `type: array`"),
        );
    }
    if let Some(default) = &input.default {
        if let Some(problem) = value_problem(input, default) {
            found.push(
                Diagnostic::error("bad-default", default.position(), format!("the default {problem}"))
                    .hint("make it fit, or remove it"),
            );
        }
        if input.required {
            let message = format!("{name:?} is required and has a default, which is never used");
            found.push(
                Diagnostic::error("unused-default", default.position(), message)
                    .warning()
                    .hint("remove one of the two"),
            );
        }
    }
    found
}

/// Why `value` is not a value of `input`, as the end of a sentence; `None` if it is one.
pub(crate) fn value_problem(input: &Input, value: &Value) -> Option<String> {
    let whole =
        |v: &Value| v.is_i64() || v.is_u64() || v.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() < 9.0e15);
    let fits = match *input.kind {
        InputType::String => value.is_string(),
        InputType::Number => value.is_number(),
        InputType::Integer => whole(value),
        InputType::Boolean => value.is_boolean(),
        InputType::Enum => {
            let ok = value.as_str().is_some_and(|text| input.values.iter().any(|choice| choice == text));
            return (!ok).then(|| format!("must be one of {}, not {}", input.values.join(", "), shown(value)));
        }
        InputType::Array => {
            let Some(items) = value.as_array() else { return Some(format!("must be a list, not {}", shown(value))) };
            let wrong = items.iter().find(|item| match input.items.as_deref() {
                Some(ItemType::Number) => !item.is_number(),
                Some(ItemType::Integer) => !whole(item),
                Some(ItemType::Boolean) => !item.is_boolean(),
                Some(ItemType::String) | None => !item.is_string(),
            })?;
            let kind = match input.items.as_deref() {
                Some(ItemType::Number) => "number",
                Some(ItemType::Integer) => "integer",
                Some(ItemType::Boolean) => "boolean",
                Some(ItemType::String) | None => "string",
            };
            return Some(format!("must be a list of {kind} values, but holds {}", shown(wrong)));
        }
    };
    (!fits).then(|| format!("must be of type {}, not {}", input.kind.name(), shown(value)))
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 40 { text.chars().take(40).chain(['…']).collect() } else { text }
}
