//! From words to an expression: recursive descent with a bound on its depth.

use serde_json::Value;

use super::{
    ast::{BinaryOp, Expr},
    function::Function,
    lexer::{Token, tokens},
};
use crate::near::nearest;

/// Longest expression, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 48;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// Where in the expression, in characters from 0.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

impl ExprError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

/// Parses what stands between `${{` and `}}`.
///
/// # Errors
/// If it is no expression, longer than [`MAX_LENGTH`] or nested deeper than [`MAX_DEPTH`].
pub fn parse(source: &str) -> Result<Expr, ExprError> {
    if source.len() > MAX_LENGTH {
        return Err(ExprError::new(0, format!("an expression has at most {MAX_LENGTH} bytes")));
    }
    let tokens = tokens(source)?;
    if tokens.is_empty() {
        return Err(ExprError::new(0, "the expression is empty"));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, end: source.trim_end().chars().count() };
    let expr = parser.binary(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => Err(ExprError::new(parser.offset(), "expected an operator or the end of the expression")),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    end: usize,
}

/// Operators by binding strength, weakest first.
fn level(op: BinaryOp) -> usize {
    match op {
        BinaryOp::Or => 0,
        BinaryOp::And => 1,
        _ => 2,
    }
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(_, offset)| *offset)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token, what: &str) -> Result<(), ExprError> {
        if self.take(token) { Ok(()) } else { Err(ExprError::new(self.offset(), format!("expected {what}"))) }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        if self.depth == MAX_DEPTH {
            return Err(ExprError::new(self.offset(), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn binary(&mut self, least: usize) -> Result<Expr, ExprError> {
        if least > 2 {
            return self.unary();
        }
        let mut left = self.binary(least + 1)?;
        let mut links = 0;
        while let Some(Token::Op(op)) = self.peek() {
            let op = *op;
            if level(op) != least {
                break;
            }
            links += 1;
            if least == 2 && links > 1 {
                return Err(ExprError::new(self.offset(), "comparisons do not chain; join them with `&&`"));
            }
            // A chain of `||` leans left, so its length is depth for everything that walks the tree.
            if links > MAX_DEPTH {
                return Err(ExprError::new(self.offset(), format!("more than {MAX_DEPTH} operators in a row")));
            }
            self.at += 1;
            let right = self.binary(least + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, ExprError> {
        if self.take(&Token::Not) {
            let inner = self.deeper(Self::unary)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        let mut expr = self.primary()?;
        let mut links = 0;
        loop {
            let key = if self.take(&Token::Dot) {
                let offset = self.offset();
                match self.peek().cloned() {
                    Some(Token::Word(name)) => {
                        self.at += 1;
                        Expr::Literal(Value::String(name))
                    }
                    _ => return Err(ExprError::new(offset, "expected a name after `.`; use ['...'] for other keys")),
                }
            } else if self.take(&Token::OpenIndex) {
                let key = self.deeper(|parser| parser.binary(0))?;
                self.expect(&Token::CloseIndex, "`]`")?;
                key
            } else {
                return Ok(expr);
            };
            links += 1;
            if links > MAX_DEPTH {
                return Err(ExprError::new(self.offset(), format!("a path has at most {MAX_DEPTH} parts")));
            }
            expr = Expr::Member(Box::new(expr), Box::new(key));
        }
    }

    fn primary(&mut self) -> Result<Expr, ExprError> {
        let offset = self.offset();
        let Some(token) = self.peek().cloned() else {
            return Err(ExprError::new(offset, "the expression ends too early"));
        };
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Expr::Literal(Value::String(text))),
            Token::Number(number) => Ok(Expr::Literal(Value::Number(number))),
            Token::Open => {
                let inner = self.deeper(|parser| parser.binary(0))?;
                self.expect(&Token::Close, "`)`")?;
                Ok(inner)
            }
            Token::Word(name) => match name.as_str() {
                "true" => Ok(Expr::Literal(Value::Bool(true))),
                "false" => Ok(Expr::Literal(Value::Bool(false))),
                "null" => Ok(Expr::Literal(Value::Null)),
                _ if self.take(&Token::Open) => self.call(&name, offset),
                _ => Ok(Expr::Name(name, offset)),
            },
            _ => Err(ExprError::new(offset, "expected a value")),
        }
    }

    fn call(&mut self, name: &str, offset: usize) -> Result<Expr, ExprError> {
        let Some(function) = Function::named(name) else {
            let names = Function::ALL.map(Function::name);
            let near = nearest(name, names).map_or_else(
                || format!("; there are {}", names.join(", ")),
                |near| format!("; did you mean `{near}()`?"),
            );
            return Err(ExprError::new(offset, format!("unknown function `{name}()`{near}")));
        };
        let mut arguments = Vec::new();
        if !self.take(&Token::Close) {
            loop {
                arguments.push(self.deeper(|parser| parser.binary(0))?);
                if !self.take(&Token::Comma) {
                    break;
                }
            }
            self.expect(&Token::Close, "`,` or `)`")?;
        }
        let arity = function.arity();
        if !arity.contains(&arguments.len()) {
            let takes = if arity.start() == arity.end() {
                arity.start().to_string()
            } else {
                format!("at least {}", arity.start())
            };
            let message = format!("`{name}()` takes {takes} argument(s), found {}", arguments.len());
            return Err(ExprError::new(offset, message));
        }
        Ok(Expr::Call(function, arguments, offset))
    }
}
