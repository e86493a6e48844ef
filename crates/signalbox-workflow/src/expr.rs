//! Expressions: what stands inside `${{ }}`.
//!
//! Pure, total and small: no loops, no errors while evaluating, bounded depth and size. The rules that a reader may
//! not expect, all of them chosen so that nothing is converted silently:
//!
//! - What does not exist is `null`; so is the result of an operation on values it does not fit.
//! - `==` compares kind and value: `1 == '1'` is false, `1 == 1.0` is true, lists and objects compare by content.
//! - `<` and its kin compare two numbers or two texts (by code point); anything else is false.
//! - False are `false`, `null`, `0` and `''`; everything else is true, empty lists and objects included.
//! - `&&`, `||` and `!` give `true` or `false`, never an operand: `default(a, b)` chooses a value.
//! - `x in list` looks for an equal item, `x in object` for a key, `x in text` for a part.
//! - Strings are written in single quotes; `''` inside is one quote.

mod ast;
mod eval;
mod function;
mod lexer;
mod parser;

pub use ast::{BinaryOp, Expr, Reference, Segment};
pub use eval::{Context, Outcome, evaluate, truthy};
pub use function::Function;
pub use parser::{ExprError, MAX_DEPTH, MAX_LENGTH, parse};
