//! A value and where it stands in the file.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
    ops::Deref,
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::Spanned;

/// A place in a text: line and column count characters from 1. [`Position::UNKNOWN`] is 0, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl Position {
    /// No place: the value did not come from a text.
    pub const UNKNOWN: Self = Self { line: 0, column: 0 };
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// The lines of a text, each with the byte at which it begins, as YAML counts them (1.2.2, section 5.4): a line ends with
/// LF, CR LF or CR. What follows the last end is a line too, mostly an empty one.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let rest = &text[start..];
        let end = rest.find(['\n', '\r']);
        next = end.map(|end| start + end + if rest[end..].starts_with("\r\n") { 2 } else { 1 });
        Some((start, &rest[..end.unwrap_or(rest.len())]))
    })
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: small(location.line()), column: small(location.column()) }
    }
}

/// A value that remembers where it was written. Equality, hash, order and JSON are the value's own.
#[derive(Debug, Clone, Default)]
pub struct At<T> {
    value: T,
    position: Position,
}

impl<T> At<T> {
    /// A value that stands nowhere.
    pub fn nowhere(value: T) -> Self {
        Self { value, position: Position::UNKNOWN }
    }

    /// Where it was written; for an alias the place that uses it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), position: self.position }
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: Hash> Hash for At<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl std::borrow::Borrow<str> for At<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, position: spanned.referenced.into() })
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
