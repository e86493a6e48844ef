//! Scripts of command steps: an expression is never pasted into one.
//!
//! What stands in `${{ }}` may come from a person, an agent or a branch name. Pasted into a script, `"; rm -rf ~"`
//! would be a command. So the script gets a reference to an environment variable in its place, and the value travels
//! in the environment. For POSIX shells that is `${SIGNALBOX_EXPR_1}`: write `"${{ inputs.name }}"` in **double
//! quotes**, as every variable; unquoted, the shell splits the value at blanks; in single quotes it is not replaced.

use serde::{Deserialize, Serialize};

use crate::template::{Part, Template, TemplateError};

/// How a shell refers to an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// `${NAME}`
    Posix,
    /// `${env:NAME}`
    PowerShell,
    /// `%NAME%`. cmd.exe expands before it parses: a value with `&` or `|` in it is still dangerous there.
    Cmd,
}

impl Reference {
    /// The way of the shell whose program is `program`; POSIX if it is unknown.
    #[must_use]
    pub fn of_shell(program: Option<&str>) -> Self {
        let name = program.unwrap_or("sh").rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        match name.trim_end_matches(".exe") {
            "pwsh" | "powershell" => Self::PowerShell,
            "cmd" => Self::Cmd,
            _ => Self::Posix,
        }
    }

    fn to(self, variable: &str) -> String {
        match self {
            Self::Posix => format!("${{{variable}}}"),
            Self::PowerShell => format!("${{env:{variable}}}"),
            Self::Cmd => format!("%{variable}%"),
        }
    }
}

/// A script whose expressions were replaced by variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Script {
    /// The text for the shell.
    pub text: String,
    /// The variables that the text refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// A variable and the expression whose value it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// `SIGNALBOX_EXPR_1`, ...
    pub name: String,
    /// What stood between `${{` and `}}`.
    pub expr: String,
}

impl Script {
    /// Replaces each expression of `run`; the same expression twice is one variable.
    ///
    /// # Errors
    /// The first `${{ }}` that is no expression.
    pub fn compile(run: &str, reference: Reference) -> Result<Self, TemplateError> {
        let mut script = Self::default();
        for part in Template::parse(run)?.parts() {
            match part {
                Part::Text(text) => script.text.push_str(text),
                Part::Expr(slot) => {
                    let expr = slot.source.trim();
                    let known = script.variables.iter().position(|variable| variable.expr == expr);
                    let at = known.unwrap_or(script.variables.len());
                    let name = format!("SIGNALBOX_EXPR_{}", at + 1);
                    script.text.push_str(&reference.to(&name));
                    if known.is_none() {
                        script.variables.push(Variable { name, expr: expr.to_owned() });
                    }
                }
            }
        }
        Ok(script)
    }
}

/// Which `${{ }}` of `run` (from 0) stand in single quotes, where no shell replaces them. Looks at one line at a time:
/// a guess that is good enough for a warning.
pub(crate) fn in_single_quotes(run: &str) -> Vec<usize> {
    let mut out = Vec::new();
    let mut index = 0;
    for line in run.lines() {
        let (mut single, mut double, mut inside) = (false, false, false);
        let bytes = line.as_bytes();
        for i in 0..bytes.len() {
            if bytes[i..].starts_with(b"${{") {
                if single {
                    out.push(index);
                }
                index += 1;
                inside = true;
            } else if bytes[i..].starts_with(b"}}") {
                inside = false;
            } else if !inside && bytes[i] == b'\'' && !double {
                single = !single;
            } else if !inside && bytes[i] == b'"' && !single {
                double = !double;
            }
        }
    }
    out
}
