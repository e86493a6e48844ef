//! Rooms: an event is in exactly one; a subscription names one, or a project with all its runs.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{IdError, MemberId, ProjectId, RunId};

/// Where an event belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
#[ts(type = "string")]
pub enum Room {
    /// `host`: system status, projects, members, connections.
    Host,
    /// `activity`: the global feed that a person reads.
    Activity,
    /// `project/<id>`: state changes of a project.
    Project(ProjectId),
    /// `run/<id>`: the detail of one run.
    Run(RunId),
    /// `member/<id>`: what is for one member alone: its notices and how far it has read. Nobody else can join it.
    Member(MemberId),
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
#[ts(type = "string")]
pub enum RoomFilter {
    /// One room.
    One(Room),
    /// `project/<id>/**`: a project's room and the rooms of its runs, present and future.
    ProjectTree(ProjectId),
}

impl RoomFilter {
    /// Whether this asks for `room`, which belongs to `project` (none for `host`, `activity` and members).
    #[must_use]
    pub fn covers(&self, room: &Room, project: Option<&ProjectId>) -> bool {
        match self {
            Self::One(one) => one == room,
            Self::ProjectTree(tree) => project == Some(tree),
        }
    }
}

/// Why a text names no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// None of the five kinds.
    #[error("a room is 'host', 'activity', 'project/<id>', 'run/<id>' or 'member/<id>', found {0:?}")]
    Kind(String),
    /// The kind is right, the identifier is not.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Activity => f.write_str("activity"),
            Self::Project(id) => write!(f, "project/{id}"),
            Self::Run(id) => write!(f, "run/{id}"),
            Self::Member(id) => write!(f, "member/{id}"),
        }
    }
}

impl FromStr for Room {
    type Err = RoomError;
    fn from_str(text: &str) -> Result<Self, RoomError> {
        match text.split_once('/') {
            None if text == "host" => Ok(Self::Host),
            None if text == "activity" => Ok(Self::Activity),
            Some(("project", id)) => Ok(Self::Project(ProjectId::new(id)?)),
            Some(("run", id)) => Ok(Self::Run(RunId::new(id)?)),
            Some(("member", id)) => Ok(Self::Member(MemberId::new(id)?)),
            _ => Err(RoomError::Kind(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for RoomFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(room) => room.fmt(f),
            Self::ProjectTree(id) => write!(f, "project/{id}/**"),
        }
    }
}

impl FromStr for RoomFilter {
    type Err = RoomError;
    fn from_str(text: &str) -> Result<Self, RoomError> {
        if let Some(inner) = text.strip_suffix("/**") {
            return match inner.parse()? {
                Room::Project(id) => Ok(Self::ProjectTree(id)),
                _ => Err(RoomError::Kind(text.chars().take(80).collect())),
            };
        }
        Ok(Self::One(text.parse()?))
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = RoomError;
            fn try_from(text: String) -> Result<Self, RoomError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(room: $name) -> String {
                room.to_string()
            }
        }
    )*};
}
text_conversions!(Room, RoomFilter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in
            ["host", "activity", "project/checkout", "run/r_01jabcdef", "project/checkout/**", "member/m_01jabcdef"]
        {
            assert_eq!(text.parse::<RoomFilter>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "Host",
            "host/",
            "project",
            "project/",
            "project/*",
            "**",
            "run/r_01jabcdef/**",
            "member/m_01jabcdef/**",
            "member/me",
            "project/a/b",
            "project/a\n",
        ] {
            assert!(text.parse::<RoomFilter>().is_err(), "{text:?} passed");
        }
    }
}
