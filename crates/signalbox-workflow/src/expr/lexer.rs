//! Words and signs.

use super::{BinaryOp, ExprError};

/// A word or sign, and where it begins (in characters from 0).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(serde_json::Number),
    Op(BinaryOp),
    Not,
    Dot,
    Comma,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
}

pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, ExprError> {
    let chars: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let next = chars.get(at + 1).copied();
        let (token, length) = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenIndex, 1),
            ']' => (Token::CloseIndex, 1),
            ',' => (Token::Comma, 1),
            '.' => (Token::Dot, 1),
            '=' if next == Some('=') => (Token::Op(BinaryOp::Equal), 2),
            '!' if next == Some('=') => (Token::Op(BinaryOp::NotEqual), 2),
            '!' => (Token::Not, 1),
            '<' if next == Some('=') => (Token::Op(BinaryOp::LessOrEqual), 2),
            '<' => (Token::Op(BinaryOp::Less), 1),
            '>' if next == Some('=') => (Token::Op(BinaryOp::GreaterOrEqual), 2),
            '>' => (Token::Op(BinaryOp::Greater), 1),
            '&' if next == Some('&') => (Token::Op(BinaryOp::And), 2),
            '|' if next == Some('|') => (Token::Op(BinaryOp::Or), 2),
            '\'' => text(&chars, at)?,
            c if c.is_ascii_digit() || (c == '-' && next.is_some_and(|n| n.is_ascii_digit())) => number(&chars, at)?,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length =
                    chars[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).count();
                let word: String = chars[at..at + length].iter().collect();
                (if word == "in" { Token::Op(BinaryOp::In) } else { Token::Word(word) }, length)
            }
            '"' => return Err(ExprError::new(at, "texts are written in single quotes: 'like this'")),
            '=' => return Err(ExprError::new(at, "a comparison is written `==`")),
            c => return Err(ExprError::new(at, format!("unexpected {c:?}"))),
        };
        out.push((token, start));
        at += length;
    }
    Ok(out)
}

fn text(chars: &[char], start: usize) -> Result<(Token, usize), ExprError> {
    let mut out = String::new();
    let mut at = start + 1;
    while let Some(c) = chars.get(at) {
        if *c != '\'' {
            out.push(*c);
            at += 1;
        } else if chars.get(at + 1) == Some(&'\'') {
            out.push('\'');
            at += 2;
        } else {
            return Ok((Token::Text(out), at + 1 - start));
        }
    }
    Err(ExprError::new(start, "this text has no closing quote"))
}

fn number(chars: &[char], start: usize) -> Result<(Token, usize), ExprError> {
    let within = |at: usize| match chars[at] {
        // There is no `+` or `-` between values: here it is the sign of an exponent.
        '+' | '-' => matches!(chars[at - 1], 'e' | 'E'),
        c => c.is_ascii_alphanumeric() || c == '.',
    };
    let length = 1 + (start + 1..chars.len()).take_while(|at| within(*at)).count();
    let text: String = chars[start..start + length].iter().collect();
    // JSON's own rules: no leading zeros, no hexadecimal, nothing that is not finite.
    match serde_json::from_str(&text) {
        Ok(number) => Ok((Token::Number(number), length)),
        Err(_) => Err(ExprError::new(start, format!("{text:?} is not a number"))),
    }
}
