//! The functions of the language.

use std::ops::RangeInclusive;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// All needs succeeded or were skipped by their own `if`.
    Success,
    /// A need failed, timed out, crashed, was rejected or was left out because of such a one.
    Failure,
    /// True: runs whatever happened.
    Always,
    /// The run is being cancelled, or a need was cancelled.
    Cancelled,
    /// No need failed; skipped and left-out ones do not count.
    NoneFailed,
    /// At least one need succeeded.
    AnySuccess,
    /// `contains(list or text or object, item or part or key)`.
    Contains,
    /// `starts_with(text, beginning)`.
    StartsWith,
    /// The value as JSON text.
    ToJson,
    /// The value of a JSON text; `null` if it is none.
    FromJson,
    /// SHA-256 over the files that match the patterns, in hexadecimal.
    HashFiles,
    /// The first value that is neither `null` nor `''`.
    Default,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Success,
        Self::Failure,
        Self::Always,
        Self::Cancelled,
        Self::NoneFailed,
        Self::AnySuccess,
        Self::Contains,
        Self::StartsWith,
        Self::ToJson,
        Self::FromJson,
        Self::HashFiles,
        Self::Default,
    ];

    /// The name in an expression.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Always => "always",
            Self::Cancelled => "cancelled",
            Self::NoneFailed => "none_failed",
            Self::AnySuccess => "any_success",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::ToJson => "to_json",
            Self::FromJson => "from_json",
            Self::HashFiles => "hash_files",
            Self::Default => "default",
        }
    }

    /// The function of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// How many arguments it takes.
    #[must_use]
    pub fn arity(self) -> RangeInclusive<usize> {
        match self {
            Self::Contains | Self::StartsWith => 2..=2,
            Self::ToJson | Self::FromJson => 1..=1,
            Self::HashFiles => 1..=16,
            Self::Default => 2..=16,
            _ => 0..=0,
        }
    }

    /// Whether it asks for the outcome of the needs.
    #[must_use]
    pub fn is_status(self) -> bool {
        self.arity() == (0..=0)
    }
}
