//! What is wrong with a workflow file, where, and what to do about it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::at::{Position, lines};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// The workflow runs, but perhaps not as meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the rule, in kebab-case: `unknown-key`, `cycle`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Diagnostic {
    /// An error at `position`.
    #[must_use]
    pub fn error(code: &'static str, position: Position, message: impl Into<String>) -> Self {
        let position = if position == Position::UNKNOWN { Position::START } else { position };
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            hint: None,
            line: position.line,
            column: position.column,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The finding with the line of `source` it is about and a caret below the column.
    #[must_use]
    pub fn render(&self, source: &str, file: &str) -> String {
        use fmt::Write as _;
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{word}[{}]: {}\n", self.code, self.message);
        let width = self.line.to_string().len();
        let _ = writeln!(out, "{:width$}--> {file}:{}:{}", "", self.line, self.column);
        if let Some((_, line)) = lines(source).nth((self.line as usize).saturating_sub(1)) {
            // A caret after tabs or a very long line would stand anywhere but below its column.
            let before = (self.column as usize).saturating_sub(1);
            let from = before.saturating_sub(70);
            let shown: String =
                line.chars().skip(from).take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(out, "{:width$} |", "");
            let _ = writeln!(out, "{} | {}", self.line, shown.trim_end());
            let _ = writeln!(out, "{:width$} | {:2$}^", "", "", before - from);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{:width$} = help: {hint}", "");
        }
        out
    }
}

/// Everything found in one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether there is an error (warnings do not count).
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// All findings with their lines of `source`, and a last line that counts them.
    #[must_use]
    pub fn render(&self, source: &str, file: &str) -> String {
        let mut out: String = self.0.iter().map(|d| d.render(source, file) + "\n").collect();
        let errors = self.0.iter().filter(|d| d.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        let count = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        let parts: Vec<String> = [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
        out.push_str(&parts.join(", "));
        out
    }

    /// Puts the findings in the order of the file and drops repetitions.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by_key(|d| (d.line, d.column, d.severity));
        self.0.dedup();
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, iter: I) {
        self.0.extend(iter);
    }
}

impl fmt::Display for Diagnostics {
    /// One line per finding: for a log. A person gets [`Diagnostics::render`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "line {}: {}", d.line, d.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
