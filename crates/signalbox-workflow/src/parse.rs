//! From text to structs.

use serde_saphyr::{Error as Yaml, MessageFormatter as _, UserMessageFormatter};

use crate::{
    at::Position,
    check::{Capabilities, check},
    definition::Definition,
    diagnostic::{Diagnostic, Diagnostics},
    near::nearest,
};

/// Longest text of a workflow file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A workflow without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the file says.
    pub definition: Definition,
    /// What a person should know all the same.
    pub warnings: Diagnostics,
}

/// Reads a workflow and checks everything that can be checked before a run.
///
/// # Errors
/// Everything that is wrong with it: at least one finding is an error, some may be warnings.
pub fn load(text: &str, capabilities: &Capabilities) -> Result<Loaded, Diagnostics> {
    let definition = parse(text)?;
    let found = check(&definition, text, capabilities);
    if found.has_errors() { Err(found) } else { Ok(Loaded { definition, warnings: found }) }
}

/// Reads a workflow without checking what it means.
///
/// # Errors
/// The first thing that is not YAML or not of the file's format.
pub fn parse(text: &str) -> Result<Definition, Diagnostics> {
    let mut found = Diagnostics::default();
    if text.len() > MAX_BYTES {
        found.push(
            Diagnostic::error("too-large", Position::START, format!("the file has more than {MAX_BYTES} bytes"))
                .hint("keep long texts and scripts in files of their own"),
        );
        return Err(found);
    }
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    // `no` and `on` stay text where no type says otherwise.
    options.strict_booleans = true;
    options.alias_limits.max_total_replayed_events = 20_000;
    options.alias_limits.max_replay_stack_depth = 16;
    match serde_saphyr::from_str_with_options::<Definition>(text, options) {
        Ok(definition) => Ok(definition),
        Err(error) => {
            found.push(explain(&error, text));
            Err(found)
        }
    }
}

fn explain(error: &Yaml, text: &str) -> Diagnostic {
    let error = match error.without_snippet() {
        Yaml::AliasError { error, .. } => error.without_snippet(),
        error => error,
    };
    let position = error.location().map_or_else(|| end_of(text), Position::from);
    match error {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            unknown("unknown-key", &format!("unknown key {field:?}"), field, expected, position)
        }
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            unknown("unknown-value", &format!("{variant:?} is not known here"), variant, expected, position)
        }
        Yaml::SerdeMissingField { field, .. } => {
            Diagnostic::error("missing-key", position, format!("key {field:?} is missing"))
        }
        Yaml::DuplicateMappingKey { key, .. } => Diagnostic::error(
            "duplicate-key",
            position,
            key.as_ref()
                .map_or_else(|| "this key is given twice".to_owned(), |key| format!("key {key:?} is given twice")),
        )
        .hint("keep one of the two"),
        Yaml::Budget { .. }
        | Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasExpansionLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. }
        | Yaml::AliasReplayCounterOverflow { .. } => {
            Diagnostic::error("too-complex", position, "anchors and aliases unfold to more than a workflow may hold")
                .hint("write the values out, or give them once as `defaults` or `env`")
        }
        Yaml::InvalidBooleanStrict { .. } => {
            Diagnostic::error("wrong-type", position, "this must be `true` or `false`")
        }
        Yaml::NullIntoString { .. } => Diagnostic::error("wrong-type", position, "this is empty; it must be text")
            .hint("write \"\" for an empty text"),
        Yaml::SerdeInvalidType { unexpected, expected, .. } | Yaml::SerdeInvalidValue { unexpected, expected, .. } => {
            Diagnostic::error("wrong-type", position, format!("this is {unexpected}; it must be {expected}"))
        }
        Yaml::Unexpected { expected, .. } => {
            let expected = match *expected {
                "mapping start" => "keys and values (`key: value`)",
                "sequence start" => "a list (`[a, b]`)",
                "string scalar" => "text",
                other => other,
            };
            Diagnostic::error("wrong-type", position, format!("expected {expected}"))
        }
        Yaml::MultipleDocuments { .. } => {
            Diagnostic::error("malformed", position, "a file holds one workflow").hint("remove what follows `---`")
        }
        Yaml::Eof { .. } => Diagnostic::error("malformed", position, "the file is empty or ends too early")
            .hint("`signalbox init` writes a workflow to start from"),
        Yaml::Message { msg, .. } => Diagnostic::error("wrong-value", position, msg.clone()),
        other => {
            let message = UserMessageFormatter.format_message(other).into_owned();
            Diagnostic::error("malformed", position, format!("not valid YAML: {message}"))
        }
    }
}

fn unknown(code: &'static str, message: &str, word: &str, expected: &[&'static str], position: Position) -> Diagnostic {
    let mut known = expected.to_vec();
    known.sort_unstable();
    let list = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? expected one of: {list}"),
        None => format!("expected one of: {list}"),
    };
    Diagnostic::error(code, position, message).hint(hint)
}

fn end_of(text: &str) -> Position {
    let line = text.lines().count().max(1);
    let column = text.lines().last().map_or(0, |l| l.chars().count()) + 1;
    Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
}
