//! Rooms: an event is in exactly one; a subscription names one, or a project with all its runs.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use ts_rs::TS;

use crate::{IdError, MemberId, ProjectId, RunId, text::travels_as_text};

/// Where an event belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, TS)]
#[schemars(with = "String")]
#[ts(type = "string")]
pub enum Room {
    /// `host`: system status, projects, members, connections.
    Host,
    /// `activity`: what the feed that a person reads says of no project in particular.
    Activity,
    /// `activity/<project>`: what it says of one.
    Feed(ProjectId),
    /// `project/<id>`: state changes of a project.
    Project(ProjectId),
    /// `run/<id>`: the detail of one run.
    Run(RunId),
    /// `member/<id>`: what is for one member alone: its notices and how far it has read. Nobody else can join it.
    Member(MemberId),
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, TS)]
#[schemars(with = "String")]
#[ts(type = "string")]
pub enum RoomFilter {
    /// One room.
    One(Room),
    /// `activity`: the feed, of all projects and of none in particular; or of these alone, for a member who sees no others.
    /// A client always asks for all: the host gives what its member may see.
    Activity(Option<Vec<ProjectId>>),
    /// `project/<id>/**`: a project's room, its feed, and the rooms of its runs, present and future.
    ProjectTree(ProjectId),
}

travels_as_text!(Room, RoomFilter);

impl Room {
    /// Whether it is of the feed.
    #[must_use]
    pub fn is_of_feed(&self) -> bool {
        matches!(self, Self::Activity | Self::Feed(_))
    }

    /// Where the feed speaks of `project`, or of none in particular.
    #[must_use]
    pub fn feed(project: Option<ProjectId>) -> Self {
        project.map_or(Self::Activity, Self::Feed)
    }
}

impl RoomFilter {
    /// What a member gets who may see these projects; none means all.
    #[must_use]
    pub fn seen_by(self, projects: &[ProjectId]) -> Self {
        match self {
            Self::Activity(_) if !projects.is_empty() => Self::Activity(Some(projects.to_vec())),
            filter => filter,
        }
    }

    /// Whether this asks for `room`, which belongs to `project` (none for `host`, `activity` and members).
    #[must_use]
    pub fn covers(&self, room: &Room, project: Option<&ProjectId>) -> bool {
        match self {
            Self::One(one) => one == room,
            Self::Activity(None) => room.is_of_feed(),
            Self::Activity(Some(projects)) => matches!(room, Room::Feed(of) if projects.contains(of)),
            Self::ProjectTree(tree) => project == Some(tree),
        }
    }
}

/// Why a text names no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// None of the six kinds.
    #[error(
        "a room is 'host', 'activity', 'activity/<project>', 'project/<id>', 'run/<id>' or 'member/<id>', found {0:?}"
    )]
    Kind(String),
    /// The kind is right, the identifier is not.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Room {
    /// The room's name in two pieces, of which the first has the `/` between them; the second is empty where there is one of the
    /// kind.
    #[must_use]
    pub fn name_parts(&self) -> (&'static str, &str) {
        match self {
            Self::Host => ("host", ""),
            Self::Activity => ("activity", ""),
            Self::Feed(id) => ("activity/", id.as_str()),
            Self::Project(id) => ("project/", id.as_str()),
            Self::Run(id) => ("run/", id.as_str()),
            Self::Member(id) => ("member/", id.as_str()),
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = self.name_parts();
        f.write_str(kind)?;
        f.write_str(id)
    }
}

impl FromStr for Room {
    type Err = RoomError;
    fn from_str(text: &str) -> Result<Self, RoomError> {
        match text.split_once('/') {
            None if text == "host" => Ok(Self::Host),
            None if text == "activity" => Ok(Self::Activity),
            Some(("activity", id)) => Ok(Self::Feed(ProjectId::new(id)?)),
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
            Self::Activity(_) => f.write_str("activity"),
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
        Ok(match text.parse()? {
            Room::Activity => Self::Activity(None),
            room => Self::One(room),
        })
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
        for text in [
            "host",
            "activity",
            "activity/checkout",
            "project/checkout",
            "run/r_01jabcdef",
            "project/checkout/**",
            "member/m_01jabcdef",
        ] {
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
            "activity/",
            "activity/**",
            "activity/checkout/**",
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
