//! The value of an expression.

use serde_json::Value;

use super::{
    ast::{BinaryOp, Expr},
    function::Function,
};

/// Longest text that an expression makes, in bytes. `to_json` of a longer one is `null`: nested calls double every
/// quote, and an expression must not be able to fill the memory.
const MAX_TEXT: usize = 1 << 20;

/// What the needs of a step came to; the ground of the status functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// All needs succeeded or were skipped by their own `if` (or were allowed to fail).
    pub success: bool,
    /// A need failed, or was left out because of a failure.
    pub failure: bool,
    /// A need was cancelled, or the run is being cancelled.
    pub cancelled: bool,
    /// At least one need succeeded.
    pub any_success: bool,
}

/// What an expression may ask for.
pub trait Context {
    /// The value at `path` below the context `root`: `steps`, `["plan", "outputs"]`. What does not exist is `null`.
    ///
    /// Called with as many fixed names as the expression gives, so that a large context need not be built as a whole.
    fn lookup(&self, root: &str, path: &[&str]) -> Value;

    /// What the needs came to.
    fn outcome(&self) -> Outcome {
        Outcome { success: true, ..Outcome::default() }
    }

    /// SHA-256 in hexadecimal over the files that match; `None` where files are out of reach.
    fn hash_files(&self, patterns: &[String]) -> Option<String> {
        let _ = patterns;
        None
    }
}

/// Whether a value counts as true: everything but `false`, `null`, `0` and `''`.
#[must_use]
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// The value of `expr`. Total: there is always one.
pub fn evaluate(expr: &Expr, context: &dyn Context) -> Value {
    match expr {
        Expr::Literal(value) => value.clone(),
        Expr::Name(root, _) => context.lookup(root, &[]),
        Expr::Member(base, key) => member(expr, base, key, context),
        Expr::Not(inner) => Value::Bool(!truthy(&evaluate(inner, context))),
        Expr::Binary(op, left, right) => binary(*op, left, right, context),
        Expr::Call(function, arguments, _) => call(*function, arguments, context),
    }
}

fn member(expr: &Expr, base: &Expr, key: &Expr, context: &dyn Context) -> Value {
    let mut path = Vec::new();
    if let Some(root) = fixed_path(expr, &mut path) {
        return context.lookup(root, &path);
    }
    let (base, key) = (evaluate(base, context), evaluate(key, context));
    let found = match (&base, &key) {
        (Value::Object(map), Value::String(key)) => map.get(key),
        (Value::Array(items), Value::Number(n)) => n.as_u64().and_then(|n| items.get(usize::try_from(n).ok()?)),
        _ => None,
    };
    found.cloned().unwrap_or(Value::Null)
}

fn fixed_path<'a>(expr: &'a Expr, path: &mut Vec<&'a str>) -> Option<&'a str> {
    match expr {
        Expr::Name(root, _) => Some(root),
        Expr::Member(base, key) => {
            let root = fixed_path(base, path)?;
            let Expr::Literal(Value::String(key)) = &**key else { return None };
            path.push(key);
            Some(root)
        }
        _ => None,
    }
}

fn binary(op: BinaryOp, left: &Expr, right: &Expr, context: &dyn Context) -> Value {
    let left = evaluate(left, context);
    let result = match op {
        BinaryOp::And => truthy(&left) && truthy(&evaluate(right, context)),
        BinaryOp::Or => truthy(&left) || truthy(&evaluate(right, context)),
        _ => {
            let right = evaluate(right, context);
            match op {
                BinaryOp::Equal => equal(&left, &right),
                BinaryOp::NotEqual => !equal(&left, &right),
                BinaryOp::In => holds(&right, &left),
                _ => ordered(op, &left, &right),
            }
        }
    };
    Value::Bool(result)
}

fn ordered(op: BinaryOp, left: &Value, right: &Value) -> bool {
    let ordering = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    ordering.is_some_and(|ordering| match op {
        BinaryOp::Less => ordering.is_lt(),
        BinaryOp::LessOrEqual => ordering.is_le(),
        BinaryOp::Greater => ordering.is_gt(),
        _ => ordering.is_ge(),
    })
}

/// Like `==` of JSON values, but `1` equals `1.0`.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Array(items), part) => items.iter().any(|item| equal(item, part)),
        (Value::Object(map), Value::String(key)) => map.contains_key(key),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => false,
    }
}

fn call(function: Function, arguments: &[Expr], context: &dyn Context) -> Value {
    let argument = |i: usize| arguments.get(i).map_or(Value::Null, |expr| evaluate(expr, context));
    let outcome = context.outcome();
    match function {
        Function::Success => Value::Bool(outcome.success),
        Function::Failure => Value::Bool(outcome.failure),
        Function::Always => Value::Bool(true),
        Function::Cancelled => Value::Bool(outcome.cancelled),
        Function::NoneFailed => Value::Bool(!outcome.failure && !outcome.cancelled),
        Function::AnySuccess => Value::Bool(outcome.any_success),
        Function::Contains => Value::Bool(holds(&argument(0), &argument(1))),
        Function::StartsWith => match (argument(0), argument(1)) {
            (Value::String(text), Value::String(start)) => Value::Bool(text.starts_with(&start)),
            _ => Value::Bool(false),
        },
        Function::ToJson => {
            let text = argument(0).to_string();
            if text.len() > MAX_TEXT { Value::Null } else { Value::String(text) }
        }
        Function::FromJson => match argument(0) {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            _ => Value::Null,
        },
        Function::HashFiles => {
            let patterns: Vec<String> =
                (0..arguments.len()).filter_map(|i| argument(i).as_str().map(str::to_owned)).collect();
            context.hash_files(&patterns).map_or(Value::Null, Value::String)
        }
        Function::Default => {
            // Each once: nested, a second look at the last one would double the work at every level.
            let mut chosen = Value::Null;
            for at in 0..arguments.len() {
                chosen = argument(at);
                if !chosen.is_null() && chosen.as_str() != Some("") {
                    break;
                }
            }
            chosen
        }
    }
}
