//! The shape of an expression.

use serde_json::Value;

use super::Function;

/// An expression, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A value written out.
    Literal(Value),
    /// A name of a context: `inputs`, `steps`; with where it stands, in characters from 0.
    Name(String, usize),
    /// `a.b` or `a['b']`.
    Member(Box<Expr>, Box<Expr>),
    /// `!a`.
    Not(Box<Expr>),
    /// `a == b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `contains(a, b)`; with where it stands, in characters from 0.
    Call(Function, Vec<Expr>, usize),
}

/// An operator between two values, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`
    In,
}

/// A part of a path, if it is known without evaluating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// `.name`, `['name']`
    Key(String),
    /// `[0]`, or something that has to be evaluated.
    Dynamic,
}

/// A path that an expression reads: `steps.plan.outputs.summary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `steps`
    pub root: String,
    /// `plan`, `outputs`, `summary`
    pub path: Vec<Segment>,
    /// Where it begins in the expression, in characters from 0.
    pub offset: usize,
}

impl Reference {
    /// The path's part at `index`, if it is a fixed name.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&str> {
        match self.path.get(index) {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }
}

impl Expr {
    /// Every path the expression reads, left to right.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut out = Vec::new();
        self.collect(&mut out);
        out
    }

    fn collect(&self, out: &mut Vec<Reference>) {
        match self {
            Self::Literal(_) => {}
            Self::Name(root, offset) => out.push(Reference { root: root.clone(), path: Vec::new(), offset: *offset }),
            Self::Member(base, key) => {
                let before = out.len();
                base.collect(out);
                let segment = match &**key {
                    Self::Literal(Value::String(name)) => Segment::Key(name.clone()),
                    _ => Segment::Dynamic,
                };
                // Only a chain of names is a path: in `from_json(x).y` the part after the call belongs to no context.
                if base.is_path() && out.len() > before {
                    out[before].path.push(segment);
                }
                key.collect(out);
            }
            Self::Not(inner) => inner.collect(out),
            Self::Binary(_, left, right) => {
                left.collect(out);
                right.collect(out);
            }
            Self::Call(_, arguments, _) => arguments.iter().for_each(|argument| argument.collect(out)),
        }
    }

    fn is_path(&self) -> bool {
        match self {
            Self::Name(..) => true,
            Self::Member(base, _) => base.is_path(),
            _ => false,
        }
    }

    /// Every function the expression calls, with where the call stands.
    #[must_use]
    pub fn calls(&self) -> Vec<(Function, usize)> {
        let mut out = Vec::new();
        self.walk(&mut |expr| {
            if let Self::Call(function, _, offset) = expr {
                out.push((*function, *offset));
            }
        });
        out
    }

    /// Whether it asks for the outcome of the needs, which replaces the rule that all of them must have succeeded.
    #[must_use]
    pub fn uses_status_function(&self) -> bool {
        self.calls().iter().any(|(function, _)| function.is_status())
    }

    fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        match self {
            Self::Literal(_) | Self::Name(..) => {}
            Self::Member(a, b) | Self::Binary(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Self::Not(a) => a.walk(visit),
            Self::Call(_, arguments, _) => arguments.iter().for_each(|argument| argument.walk(visit)),
        }
    }
}
