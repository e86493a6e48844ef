//! Identifiers, and the cursor that names a place in the log.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use ts_rs::TS;

use crate::text::travels_as_text;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}, found {found:?}")]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
    found: String,
}

fn checked(kind: &'static str, rule: &'static str, text: &str, ok: bool) -> Result<(), IdError> {
    if ok {
        return Ok(());
    }
    let found = text.chars().take(80).collect();
    Err(IdError { kind, rule, found })
}

// Shared: an event and all that is kept of it name the same run, step and member many times over.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, TS)]
        #[schemars(with = "String")]
        #[ts(type = "string")]
        pub struct $name(Arc<str>);

        travels_as_text!($name);

        impl $name {
            /// Checks `text` and takes it as an identifier.
            ///
            /// # Errors
            /// If `text` breaks the rule given in the type's description.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                let check: fn(&str) -> bool = $check;
                checked($kind, $rule, text, check(text))?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn token(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        (8..=40).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    })
}

fn slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Control characters would end a line of SSE, a header or a log; everything else is a person's own business.
fn line(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control)
}

id!(
    /// A run: `r_` and 8 to 40 lower-case letters or digits.
    RunId, "a run id", "'r_' and 8 to 40 lower-case letters or digits", |t| token(t, "r_")
);
id!(
    /// A question that waits for a person: `a_` and 8 to 40 lower-case letters or digits.
    ApprovalId, "an approval id", "'a_' and 8 to 40 lower-case letters or digits", |t| token(t, "a_")
);
id!(
    /// A question of an agent that waits for a person: `q_` and 8 to 40 lower-case letters or digits.
    PermissionId, "a permission id", "'q_' and 8 to 40 lower-case letters or digits", |t| token(t, "q_")
);
id!(
    /// A member (a person or a program): `m_` and 8 to 40 lower-case letters or digits.
    MemberId, "a member id", "'m_' and 8 to 40 lower-case letters or digits", |t| token(t, "m_")
);
id!(
    /// A chat message: `c_` and 8 to 40 lower-case letters or digits.
    ChatId, "a chat message id", "'c_' and 8 to 40 lower-case letters or digits", |t| token(t, "c_")
);
id!(
    /// A notice in a member's inbox: `n_` and 8 to 40 lower-case letters or digits.
    NoticeId, "a notice id", "'n_' and 8 to 40 lower-case letters or digits", |t| token(t, "n_")
);
id!(
    /// A webhook that the host calls: `w_` and 8 to 40 lower-case letters or digits.
    WebhookId, "a webhook id", "'w_' and 8 to 40 lower-case letters or digits", |t| token(t, "w_")
);
id!(
    /// An invitation: `i_` and 8 to 40 lower-case letters or digits.
    InviteId, "an invite id", "'i_' and 8 to 40 lower-case letters or digits", |t| token(t, "i_")
);
id!(
    /// A project: 1 to 64 lower-case letters, digits and inner hyphens, made from the folder's name.
    ProjectId, "a project id", "1 to 64 lower-case letters, digits and inner hyphens", slug
);
id!(
    /// A step instance: the step's id, and for a matrix step its value in brackets: `build[api]`. At most 200 bytes.
    StepKey, "a step key", "1 to 200 bytes without control characters", |t| line(t, 200)
);
id!(
    /// Who did something: a member's name, `engine`, or a source such as `git`. At most 120 bytes.
    Actor, "an actor", "1 to 120 bytes without control characters", |t| line(t, 120)
);
id!(
    /// The identity of one log: 4 to 16 lower-case letters or digits, chosen at random when the log is created,
    /// restored from an older copy, or found shorter than what was already handed out.
    Epoch, "an epoch", "4 to 16 lower-case letters or digits", |t| {
        (4..=16).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    }
);

impl Actor {
    /// The engine itself.
    #[must_use]
    pub fn engine() -> Self {
        Self("engine".into())
    }

    /// The host process, for what is not the engine's doing.
    #[must_use]
    pub fn host() -> Self {
        Self("host".into())
    }
}

impl RunId {
    /// The last six characters: enough to tell runs of one project apart at a glance.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[self.0.len() - 6..]
    }
}

/// A place in a log: everything up to and including `seq` was seen. Written `<epoch>.<seq>`.
///
/// One cursor serves any set of rooms on every transport.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema, TS)]
#[schemars(with = "String")]
#[ts(type = "string")]
pub struct Cursor {
    /// Which log.
    pub epoch: Epoch,
    /// The last event seen; 0 for none, at most 2^53-1.
    pub seq: u64,
}

travels_as_text!(Cursor);

/// Why a text is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not of the form `<epoch>.<seq>`.
    #[error("a cursor is '<epoch>.<seq>', found {0:?}")]
    Form(String),
    /// A sequence number that a JavaScript number cannot hold.
    #[error("a cursor's sequence number is at most {max}", max = Cursor::MAX_SEQ)]
    Range,
}

impl Cursor {
    /// The largest sequence number: 2^53-1, the largest integer that a JavaScript number holds exactly.
    pub const MAX_SEQ: u64 = (1 << 53) - 1;
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let form = || CursorError::Form(text.chars().take(60).collect());
        let (epoch, seq) = text.split_once('.').ok_or_else(form)?;
        let epoch = Epoch::new(epoch).map_err(|_| form())?;
        // `u64::from_str` takes a leading '+': the text of a cursor is canonical, so that equal cursors are equal texts.
        if !seq.bytes().all(|b| b.is_ascii_digit()) || (seq.len() > 1 && seq.starts_with('0')) {
            return Err(form());
        }
        let seq: u64 = seq.parse().map_err(|_| form())?;
        if seq > Self::MAX_SEQ {
            return Err(CursorError::Range);
        }
        Ok(Self { epoch, seq })
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;
    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_ids_are_refused() {
        for text in ["", "r_", "r_ABCDEFGH", "r_abcdefg\n", "r_../../etc", "__proto__", "constructor"] {
            assert!(RunId::new(text).is_err(), "{text:?} passed");
        }
        for text in ["", "-a", "a-", "A", "a/b", "a.b", "ä", &"a".repeat(65)] {
            assert!(ProjectId::new(text).is_err(), "{text:?} passed");
        }
        assert!(Actor::new("line\r\nbreak").is_err());
    }

    #[test]
    fn cursor_has_one_spelling() {
        for text in
            ["", "abcd", "abcd.", ".1", "abcd.+1", "abcd.01", "abcd.-1", "abcd.1.2", "ABCD.1", "abcd.9007199254740992"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text:?} passed");
        }
        assert_eq!("abcd.9007199254740991".parse::<Cursor>().unwrap().seq, Cursor::MAX_SEQ);
    }

    proptest! {
        #[test]
        fn cursor_round_trips(epoch in "[a-z0-9]{4,16}", seq in 0..=Cursor::MAX_SEQ) {
            let cursor = Cursor { epoch: Epoch::new(epoch).unwrap(), seq };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text in ".{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
