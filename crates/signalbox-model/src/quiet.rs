//! When a member wants to be left alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{MemberId, UnixMillis};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Hours in which a member is not disturbed, by the clock on a wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When they begin, `22:00`.
    pub from: String,
    /// When they end, `07:00`; on the next day if that is not after `from`.
    pub to: String,
    /// The days on which they begin; none: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Weekday>>", optional)]
    pub days: Vec<Weekday>,
    /// Where the clock hangs: a name of the IANA time zone database, `Europe/Berlin`.
    pub time_zone: String,
}

/// A kind of notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum NewsKind {
    /// A step or an agent asks.
    Questions,
    /// Something may go wrong.
    Risks,
    /// A workflow's message.
    Messages,
}

/// What a member wants on every device. Only notifications are held back: the inbox and the feed have everything at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Profile {
    /// Whose.
    pub member: MemberId,
    /// Hours without notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub quiet: Option<QuietHours>,
    /// No notifications until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub muted_until: Option<UnixMillis>,
    /// What is notified all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<NewsKind>>", optional)]
    pub through: Vec<NewsKind>,
}

impl Profile {
    /// Of a member who has asked for nothing.
    #[must_use]
    pub fn plain(member: MemberId) -> Self {
        Self { member, quiet: None, muted_until: None, through: Vec::new() }
    }
}

/// A time without notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct QuietTime {
    /// Its first moment.
    pub from: UnixMillis,
    /// The first moment after it.
    pub until: UnixMillis,
}
