//! The table behind [`Presence`](super::Presence): pure, the time is handed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;
use signalbox_model::{MemberId, PresenceState, Present, ProjectId, Room, RoomFilter};
use signalbox_wire::HostFrame;
use tokio::time::Instant;

use crate::{mailbox::Topic, presence::GRACE};

/// Rooms about which one connection says something, at most; the one spoken of longest ago gives way.
const STATES: usize = 16;
/// Members of a room that are told about, at most. More than that nobody reads.
const MEMBERS: usize = 200;
/// Devices of a member that are told about, at most.
const DEVICES: usize = 8;
/// How long somebody is taken to write after saying so.
const TYPING: Duration = Duration::from_secs(10);

/// Whose connection.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) member: MemberId,
    pub(super) name: String,
    pub(super) device: String,
    pub(super) instance: Option<String>,
    /// The projects that the member may see; empty: all.
    pub(super) sees: Vec<ProjectId>,
}

#[derive(Debug, Clone)]
struct Said {
    state: PresenceState,
    /// Rises with everything that anybody says.
    order: u64,
    typing_until: Option<Instant>,
}

#[derive(Debug)]
struct Entry<L> {
    who: Who,
    rooms: Vec<RoomFilter>,
    said: BTreeMap<Room, Said>,
    /// When it came, in the order of what was said.
    order: u64,
    /// Where messages go; none: the connection broke, and it is here only for its grace.
    link: Option<L>,
    until: Option<Instant>,
}

/// What is known of a member in a room. Equal values are not told twice.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    name: String,
    state: PresenceState,
    devices: Vec<PresenceState>,
}

/// A message, and who gets it.
#[derive(Debug)]
pub(super) struct Message<L> {
    pub(super) topic: Topic,
    pub(super) frame: Bytes,
    pub(super) left: bool,
    pub(super) to: Vec<L>,
}

#[derive(Debug)]
pub(super) struct Table<L> {
    entries: BTreeMap<u64, Entry<L>>,
    /// What was told.
    told: BTreeMap<(Room, MemberId), Value>,
    changed: BTreeSet<(Room, MemberId)>,
    /// The projects of runs that somebody is in.
    projects: HashMap<Room, ProjectId>,
    order: u64,
}

impl<L> Default for Table<L> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            told: BTreeMap::new(),
            changed: BTreeSet::new(),
            projects: HashMap::new(),
            order: 0,
        }
    }
}

/// The room in which who follows `filter` is present. What is for one member alone has nobody to be seen by, and who follows
/// a part of the feed is seen in its projects.
fn place(filter: &RoomFilter) -> Option<Room> {
    match filter {
        RoomFilter::One(Room::Member(_)) | RoomFilter::Activity(Some(_)) => None,
        RoomFilter::One(room) => Some(room.clone()),
        RoomFilter::Activity(None) => Some(Room::Activity),
        RoomFilter::ProjectTree(project) => Some(Room::Project(project.clone())),
    }
}

fn project_of<'a>(room: &'a Room, projects: &'a HashMap<Room, ProjectId>) -> Option<&'a ProjectId> {
    match room {
        Room::Project(project) | Room::Feed(project) => Some(project),
        room => projects.get(room),
    }
}

/// Whether a member may see the room. What is not known to be of one of its projects, it may not.
fn sees(who: &Who, room: &Room, projects: &HashMap<Room, ProjectId>) -> bool {
    who.sees.is_empty() || project_of(room, projects).is_some_and(|project| who.sees.contains(project))
}

impl<L> Entry<L> {
    fn follows(&self, room: &Room, projects: &HashMap<Room, ProjectId>) -> bool {
        let project = project_of(room, projects);
        self.rooms.iter().any(|filter| filter.covers(room, project)) && sees(&self.who, room, projects)
    }

    fn is_in(&self, room: &Room, projects: &HashMap<Room, ProjectId>) -> bool {
        let here = self.rooms.iter().any(|filter| place(filter).as_ref() == Some(room)) || self.said.contains_key(room);
        here && sees(&self.who, room, projects)
    }

    fn places(&self) -> BTreeSet<Room> {
        self.rooms.iter().filter_map(place).chain(self.said.keys().cloned()).collect()
    }

    /// What it shows in a room, and how recent that is.
    fn state(&self, room: &Room) -> (u64, PresenceState) {
        let (order, mut state) =
            self.said.get(room).map_or((self.order, PresenceState::default()), |said| (said.order, said.state.clone()));
        if state.device.is_none() {
            state.device = Some(self.who.device.clone());
        }
        (order, state.bounded())
    }
}

fn frame(room: &Room, member: &MemberId, value: Option<&Value>, name: &str) -> Bytes {
    let frame = HostFrame::Presence {
        room: room.clone(),
        member: member.clone(),
        name: value.map_or(name, |value| &value.name).to_owned(),
        state: value.map(|value| value.state.clone()),
        devices: value.map(|value| value.devices.clone()).unwrap_or_default(),
    };
    Bytes::from(frame.to_json())
}

impl<L: Clone> Table<L> {
    fn touch(&mut self, member: &MemberId, rooms: impl IntoIterator<Item = Room>) {
        self.changed.extend(rooms.into_iter().map(|room| (room, member.clone())));
    }

    /// Returns what the connection is to be told of the rooms that are new to it.
    pub(super) fn follow(
        &mut self,
        id: u64,
        who: Who,
        link: &L,
        rooms: Vec<RoomFilter>,
        find: impl Fn(&Room) -> Option<ProjectId>,
        now: Instant,
    ) -> Vec<(Topic, Bytes)> {
        for room in rooms.iter().filter_map(place) {
            if matches!(room, Room::Run(_))
                && !self.projects.contains_key(&room)
                && let Some(project) = find(&room)
            {
                self.projects.insert(room, project);
            }
        }
        self.order += 1;
        let order = self.order;
        let member = who.member.clone();
        let mut entry = self.entries.remove(&id).unwrap_or_else(|| Entry {
            who,
            rooms: Vec::new(),
            said: BTreeMap::new(),
            order,
            link: None,
            until: None,
        });
        entry.link = Some(link.clone());
        let before = std::mem::replace(&mut entry.rooms, rooms);
        let fresh: Vec<RoomFilter> = entry.rooms.iter().filter(|room| !before.contains(room)).cloned().collect();
        let mut touched: BTreeSet<Room> = before.iter().filter_map(place).collect();
        let left: Vec<Room> = entry.said.keys().filter(|room| !entry.follows(room, &self.projects)).cloned().collect();
        for room in left {
            entry.said.remove(&room);
            touched.insert(room);
        }
        self.inherit(&mut entry, &fresh, now);
        touched.extend(entry.places());
        let told = self.told.iter().filter(|((room, _), _)| {
            let project = project_of(room, &self.projects);
            fresh.iter().any(|filter| filter.covers(room, project)) && sees(&entry.who, room, &self.projects)
        });
        let told = told
            .map(|((room, member), value)| {
                let topic = Topic::Presence(room.clone(), member.clone());
                (topic, frame(room, member, Some(value), &value.name))
            })
            .collect();
        self.entries.insert(id, entry);
        self.touch(&member, touched);
        told
    }

    /// A device that is back takes over what it said before its connection broke, room by room as it joins them.
    fn inherit(&mut self, entry: &mut Entry<L>, fresh: &[RoomFilter], now: Instant) {
        let same = |other: &Entry<L>| {
            other.who.member == entry.who.member
                && match (&entry.who.instance, &other.who.instance) {
                    (Some(one), Some(other)) => one == other,
                    (None, None) => other.link.is_none() && other.who.device == entry.who.device,
                    _ => false,
                }
        };
        let older: Vec<u64> = self.entries.iter().filter(|(_, other)| same(other)).map(|(id, _)| *id).collect();
        // Of those without a name one at a time: two that broke may be two devices.
        let count = if entry.who.instance.is_some() { older.len() } else { 1 };
        for id in older.into_iter().rev().take(count) {
            let Some(other) = self.entries.get_mut(&id) else { continue };
            let covered = |room: &Room| {
                let project = project_of(room, &self.projects);
                fresh.iter().any(|filter| filter.covers(room, project))
            };
            let (taken, kept) = std::mem::take(&mut other.said).into_iter().partition(|(room, _)| covered(room));
            other.said = kept;
            let taken: BTreeMap<Room, Said> = taken;
            for (room, said) in taken {
                entry.said.entry(room).or_insert(said);
            }
            other.rooms.retain(|room| !fresh.contains(room));
            // What is left of it goes when its time comes, also if its connection never says that it broke.
            other.link = None;
            other.until.get_or_insert(now + GRACE);
            entry.order = entry.order.min(other.order);
            if other.rooms.is_empty() && other.said.is_empty() {
                self.entries.remove(&id);
            }
        }
    }

    pub(super) fn say(
        &mut self,
        id: u64,
        room: Room,
        project: Option<ProjectId>,
        state: PresenceState,
        now: Instant,
    ) -> bool {
        if matches!(room, Room::Run(_))
            && let Some(project) = project
        {
            self.projects.entry(room.clone()).or_insert(project);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if matches!(room, Room::Member(_)) || !entry.follows(&room, &self.projects) {
            return false;
        }
        self.order += 1;
        let typing_until = state.typing.map(|_| now + TYPING);
        let member = entry.who.member.clone();
        entry.said.insert(room.clone(), Said { state, order: self.order, typing_until });
        let mut touched = vec![room];
        while entry.said.len() > STATES {
            let oldest = entry.said.iter().min_by_key(|(_, said)| said.order).map(|(room, _)| room.clone());
            let Some(oldest) = oldest else { break };
            entry.said.remove(&oldest);
            touched.push(oldest);
        }
        self.touch(&member, touched);
        true
    }

    pub(super) fn gone(&mut self, id: u64, on_purpose: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.link = None;
        if on_purpose {
            self.remove(id);
        } else {
            entry.until.get_or_insert(now + GRACE);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(entry) = self.entries.remove(&id) {
            self.touch(&entry.who.member, entry.places());
        }
    }

    /// Lets those go whose time is over, and those stop writing who did not say so again.
    fn expire(&mut self, now: Instant) {
        let over: Vec<u64> =
            self.entries.iter().filter(|(_, e)| e.until.is_some_and(|until| until <= now)).map(|(id, _)| *id).collect();
        for id in over {
            self.remove(id);
        }
        let mut touched = Vec::new();
        for entry in self.entries.values_mut() {
            for (room, said) in &mut entry.said {
                if said.typing_until.is_some_and(|until| until <= now) {
                    (said.state.typing, said.typing_until) = (None, None);
                    touched.push((room.clone(), entry.who.member.clone()));
                }
            }
        }
        self.changed.extend(touched);
    }

    fn next(&self) -> Option<Instant> {
        let ends = self.entries.values().filter_map(|entry| entry.until);
        let typing = self.entries.values().flat_map(|entry| entry.said.values()).filter_map(|said| said.typing_until);
        ends.chain(typing).min()
    }

    fn value(&self, room: &Room, member: &MemberId) -> Option<Value> {
        let mine = self.entries.values().filter(|e| e.who.member == *member && e.is_in(room, &self.projects));
        let mut states: Vec<(u64, &str, PresenceState)> = mine
            .map(|entry| {
                let (order, state) = entry.state(room);
                (order, entry.who.name.as_str(), state)
            })
            .collect();
        states.sort_by_key(|(order, ..)| std::cmp::Reverse(*order));
        let (_, name, state) = states.first()?;
        let (name, state) = ((*name).to_owned(), state.clone());
        let devices = if states.len() > 1 {
            states.into_iter().take(DEVICES).map(|(.., state)| state).collect()
        } else {
            Vec::new()
        };
        Some(Value { name, state, devices })
    }

    pub(super) fn followers(&self, room: &Room) -> Vec<L> {
        self.entries.values().filter(|e| e.follows(room, &self.projects)).filter_map(|e| e.link.clone()).collect()
    }

    pub(super) fn flush(&mut self, now: Instant) -> (Vec<Message<L>>, Option<Instant>) {
        self.expire(now);
        let mut messages = Vec::new();
        for (room, member) in std::mem::take(&mut self.changed) {
            let key = (room, member);
            let value = self.value(&key.0, &key.1);
            if value.as_ref() == self.told.get(&key) {
                continue;
            }
            let (room, member) = &key;
            let topic = Topic::Presence(room.clone(), member.clone());
            let message = match value {
                Some(value) => {
                    let in_room = self.told.keys().filter(|(of, _)| of == room).count();
                    if !self.told.contains_key(&key) && in_room >= MEMBERS {
                        continue;
                    }
                    let frame = frame(room, member, Some(&value), "");
                    self.told.insert(key.clone(), value);
                    Message { topic, frame, left: false, to: self.followers(&key.0) }
                }
                None => {
                    let name = self.told.remove(&key).map(|value| value.name).unwrap_or_default();
                    Message { topic, frame: frame(&key.0, &key.1, None, &name), left: true, to: self.followers(&key.0) }
                }
            };
            messages.push(message);
        }
        if self.projects.len() > 4 * (self.entries.len() + 64) {
            let told = &self.told;
            let entries = &self.entries;
            self.projects.retain(|room, _| {
                told.keys().any(|(of, _)| of == room) || entries.values().any(|entry| entry.places().contains(room))
            });
        }
        (messages, self.next())
    }

    pub(super) fn present(&self, filter: &RoomFilter) -> Vec<Present> {
        let wanted = self.told.iter().filter(|((room, _), _)| filter.covers(room, project_of(room, &self.projects)));
        wanted
            .map(|((room, member), value)| Present {
                room: room.clone(),
                member: member.clone(),
                name: value.name.clone(),
                state: value.state.clone(),
                devices: value.devices.clone(),
            })
            .collect()
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.told.len())
    }
}

#[cfg(test)]
mod tests;
