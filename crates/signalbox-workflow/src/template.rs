//! Texts with `${{ }}` in them.
//!
//! A text that is one expression and nothing else keeps the expression's kind: `"${{ inputs.stacks }}"` is a list.
//! Otherwise the values are put into the text: text as it is, `null` as nothing, numbers and `true`/`false` as
//! written, lists and objects as JSON. `$${{` stands for a literal `${{`.

use serde_json::Value;

use crate::expr::{self, Context, Expr, ExprError, Function, evaluate};

/// A text with expressions, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Taken as it is.
    Text(String),
    /// Replaced by its value.
    Expr(Slot),
}

/// An expression in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// What stands between `${{` and `}}`.
    pub source: String,
    /// The same, parsed.
    pub expr: Expr,
    /// Which `${{` of the text this is, from 0.
    pub index: usize,
}

/// A `${{ }}` that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct TemplateError {
    /// Which `${{` of the text, from 0.
    pub index: usize,
    /// What stands in it.
    pub source_text: String,
    /// What is wrong.
    pub error: ExprError,
}

/// A part of a value that only the executor can complete.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Text.
    Text(String),
    /// The value of the secret of this name.
    Secret(String),
    /// SHA-256 in hexadecimal over the files that match these patterns.
    HashFiles(Vec<String>),
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// The first `${{ }}` that is no expression or not closed.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_all(text).map_err(|mut errors| errors.swap_remove(0))
    }

    /// Like [`parse`](Self::parse), but reports every `${{ }}` that is wrong; the list is never empty.
    pub(crate) fn parse_all(text: &str) -> Result<Self, Vec<TemplateError>> {
        let (mut parts, mut errors) = (Vec::new(), Vec::new());
        let (mut literal, mut rest, mut index) = (String::new(), text, 0);
        while let Some(at) = rest.find("${{") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${{");
                rest = &from[3..];
                continue;
            }
            literal.push_str(before);
            let inner = &from[3..];
            let Some(end) = closing(inner) else {
                let source_text = inner.to_owned();
                errors.push(TemplateError {
                    index,
                    source_text,
                    error: ExprError { offset: 0, message: "this `${{` has no `}}`".into() },
                });
                return Err(errors);
            };
            let source = inner[..end].to_owned();
            match expr::parse(&source) {
                Ok(expr) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Expr(Slot { source, expr, index }));
                }
                Err(error) => errors.push(TemplateError { index, source_text: source, error }),
            }
            index += 1;
            rest = &inner[end + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if errors.is_empty() { Ok(Self { parts }) } else { Err(errors) }
    }

    /// The pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The expressions in order.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(slot) => Some(slot),
            Part::Text(_) => None,
        })
    }

    /// The expression, if the text is one and nothing else.
    #[must_use]
    pub fn whole(&self) -> Option<&Expr> {
        match self.parts.as_slice() {
            [Part::Expr(slot)] => Some(&slot.expr),
            _ => None,
        }
    }

    /// The value: of any kind if the text is one expression, else text.
    #[must_use]
    pub fn value(&self, context: &dyn Context) -> Value {
        match self.whole() {
            Some(expr) => evaluate(expr, context),
            None => Value::String(self.text(context)),
        }
    }

    /// The value as text.
    #[must_use]
    pub fn text(&self, context: &dyn Context) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(slot) => out.push_str(&as_text(&evaluate(&slot.expr, context))),
            }
        }
        out
    }

    /// The value as pieces: `${{ secrets.X }}` and `${{ hash_files(...) }}` are left to who holds secrets and files.
    #[must_use]
    pub fn pieces(&self, context: &dyn Context) -> Vec<Piece> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Piece::Text(text.clone()),
                Part::Expr(slot) => piece(&slot.expr, context),
            })
            .collect()
    }
}

/// The name of the secret, if the expression is `secrets.NAME` and nothing else.
pub(crate) fn secret_name(expr: &Expr) -> Option<String> {
    let Expr::Member(base, key) = expr else { return None };
    match (&**base, &**key) {
        (Expr::Name(root, _), Expr::Literal(Value::String(name))) if root == "secrets" => Some(name.clone()),
        _ => None,
    }
}

pub(crate) fn piece(expr: &Expr, context: &dyn Context) -> Piece {
    if let Some(name) = secret_name(expr) {
        return Piece::Secret(name);
    }
    if let Expr::Call(Function::HashFiles, patterns, _) = expr {
        return Piece::HashFiles(patterns.iter().map(|pattern| as_text(&evaluate(pattern, context))).collect());
    }
    Piece::Text(as_text(&evaluate(expr, context)))
}

/// A value as text: see the module's description.
#[must_use]
pub fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Where the `}}` that ends an expression stands: one inside a quoted text does not count.
fn closing(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut quoted = false;
    (0..bytes.len()).find(|&i| {
        quoted ^= bytes[i] == b'\'';
        !quoted && bytes[i..].starts_with(b"}}")
    })
}
