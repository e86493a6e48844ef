//! The table behind [`Presence`](super::Presence): pure, the time is handed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;
use signalbox_model::{MemberId, PresenceState, Present, ProjectId, Room, RoomFilter};
use signalbox_wire::HostFrame;
use tokio::time::Instant;

use crate::{lookup::Lookup, mailbox::Topic, presence::GRACE};

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
    /// Changed by way of `take` and `put` alone, which keep up what follows.
    entries: BTreeMap<u64, Entry<L>>,
    lookup: Lookup,
    /// When something of an entry changes by itself.
    wakes: BTreeSet<(Instant, u64)>,
    /// What was told.
    told: BTreeMap<Room, BTreeMap<MemberId, Value>>,
    changed: BTreeSet<(Room, MemberId)>,
    /// The projects of runs that somebody is in.
    projects: HashMap<Room, ProjectId>,
    order: u64,
}

impl<L> Default for Table<L> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            lookup: Lookup::default(),
            wakes: BTreeSet::new(),
            told: BTreeMap::new(),
            changed: BTreeSet::new(),
            projects: HashMap::new(),
            order: 0,
        }
    }
}

/// What entries are looked up by.
#[derive(Debug, Hash)]
enum Key<'a> {
    Member(&'a MemberId),
    Follows(Covering<'a>),
    Heir(&'a MemberId, Device<'a>),
}

/// A filter as it is looked up: one that follows the feeds of some projects follows so many rooms.
#[derive(Debug, Hash)]
enum Covering<'a> {
    Room(&'a Room),
    Feed(&'a ProjectId),
    AllFeeds,
    Tree(&'a ProjectId),
}

/// What makes a connection the same device as another one, which takes over from it.
#[derive(Debug, Hash)]
enum Device<'a> {
    Instance(&'a str),
    /// Without a name, and its connection broke.
    Broken(&'a str),
}

fn covering(filter: &RoomFilter) -> impl Iterator<Item = Covering<'_>> {
    let (one, many) = match filter {
        RoomFilter::One(Room::Feed(project)) => (Some(Covering::Feed(project)), &[][..]),
        RoomFilter::One(room) => (Some(Covering::Room(room)), &[][..]),
        RoomFilter::ProjectTree(project) => (Some(Covering::Tree(project)), &[][..]),
        RoomFilter::Activity(None) => (Some(Covering::AllFeeds), &[][..]),
        RoomFilter::Activity(Some(projects)) => (None, &projects[..]),
    };
    one.into_iter().chain(many.iter().map(Covering::Feed))
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

/// Whether that room is `room`.
fn is_place(filter: &RoomFilter, room: &Room) -> bool {
    match (filter, room) {
        (_, Room::Member(_)) => false,
        (RoomFilter::One(one), room) => one == room,
        (RoomFilter::Activity(None), Room::Activity) => true,
        (RoomFilter::ProjectTree(tree), Room::Project(project)) => tree == project,
        (RoomFilter::Activity(_) | RoomFilter::ProjectTree(_), _) => false,
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
        let here = self.rooms.iter().any(|filter| is_place(filter, room)) || self.said.contains_key(room);
        here && sees(&self.who, room, projects)
    }

    fn places(&self) -> BTreeSet<Room> {
        self.rooms.iter().filter_map(place).chain(self.said.keys().cloned()).collect()
    }

    /// How recent what it shows in a room is.
    fn order(&self, room: &Room) -> u64 {
        self.said.get(room).map_or(self.order, |said| said.order)
    }

    /// What it shows in a room.
    fn state(&self, room: &Room) -> PresenceState {
        let mut state = self.said.get(room).map(|said| said.state.clone()).unwrap_or_default();
        if state.device.is_none() {
            state.device = Some(self.who.device.clone());
        }
        state.bounded()
    }

    /// When something of it changes by itself.
    fn wake(&self) -> Option<Instant> {
        self.said.values().filter_map(|said| said.typing_until).chain(self.until).min()
    }

    fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let device = match &self.who.instance {
            Some(instance) => Some(Device::Instance(instance)),
            None => self.link.is_none().then_some(Device::Broken(&self.who.device)),
        };
        let heir = device.map(|device| Key::Heir(&self.who.member, device));
        let follows = self.rooms.iter().flat_map(covering).map(Key::Follows);
        [Key::Member(&self.who.member)].into_iter().chain(heir).chain(follows)
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
    /// The entry, to be changed and put back.
    fn take(&mut self, id: u64) -> Option<Entry<L>> {
        let entry = self.entries.remove(&id)?;
        entry.keys().for_each(|key| self.lookup.remove(key, id));
        if let Some(wake) = entry.wake() {
            self.wakes.remove(&(wake, id));
        }
        Some(entry)
    }

    fn put(&mut self, id: u64, entry: Entry<L>) {
        entry.keys().for_each(|key| self.lookup.insert(key, id));
        if let Some(wake) = entry.wake() {
            self.wakes.insert((wake, id));
        }
        self.entries.insert(id, entry);
    }

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
        let mut entry = self.take(id).unwrap_or_else(|| Entry {
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
        let told: BTreeMap<&Room, _> = fresh.iter().flat_map(|filter| self.told_of(filter)).collect();
        let told = told.into_iter().filter(|(room, _)| sees(&entry.who, room, &self.projects));
        let told = told
            .flat_map(|(room, members)| members.iter().map(move |(member, value)| (room, member, value)))
            .map(|(room, member, value)| {
                let topic = Topic::Presence(room.clone(), member.clone());
                (topic, frame(room, member, Some(value), &value.name))
            })
            .collect();
        self.put(id, entry);
        self.touch(&member, touched);
        told
    }

    /// What was told of the rooms that `filter` covers.
    fn told_of(&self, filter: &RoomFilter) -> Vec<(&Room, &BTreeMap<MemberId, Value>)> {
        match filter {
            RoomFilter::One(room) => self.told.get_key_value(room).into_iter().collect(),
            _ => self.told.iter().filter(|(room, _)| filter.covers(room, project_of(room, &self.projects))).collect(),
        }
    }

    /// A device that is back takes over what it said before its connection broke, room by room as it joins them. `entry` is
    /// not in the table.
    fn inherit(&mut self, entry: &mut Entry<L>, fresh: &[RoomFilter], now: Instant) {
        let same = |other: &Entry<L>| {
            other.who.member == entry.who.member
                && match (&entry.who.instance, &other.who.instance) {
                    (Some(one), Some(other)) => one == other,
                    (None, None) => other.link.is_none() && other.who.device == entry.who.device,
                    _ => false,
                }
        };
        let device = entry.who.instance.as_deref().map_or(Device::Broken(&entry.who.device), Device::Instance);
        let older = self.lookup.of(Key::Heir(&entry.who.member, device));
        let older: Vec<u64> = older.filter(|id| self.entries.get(id).is_some_and(same)).collect();
        // Of those without a name one at a time: two that broke may be two devices.
        let count = if entry.who.instance.is_some() { older.len() } else { 1 };
        for id in older.into_iter().rev().take(count) {
            let Some(mut other) = self.take(id) else { continue };
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
            if !(other.rooms.is_empty() && other.said.is_empty()) {
                self.put(id, other);
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
        let may = |entry: &Entry<L>| !matches!(room, Room::Member(_)) && entry.follows(&room, &self.projects);
        if !self.entries.get(&id).is_some_and(may) {
            return false;
        }
        let Some(mut entry) = self.take(id) else { return false };
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
        self.put(id, entry);
        self.touch(&member, touched);
        true
    }

    pub(super) fn gone(&mut self, id: u64, on_purpose: bool, now: Instant) {
        let Some(mut entry) = self.take(id) else { return };
        if on_purpose {
            self.touch(&entry.who.member, entry.places());
            return;
        }
        entry.link = None;
        entry.until.get_or_insert(now + GRACE);
        self.put(id, entry);
    }

    /// Lets those go whose time is over, and those stop writing who did not say so again.
    fn expire(&mut self, now: Instant) {
        while let Some((wake, id)) = self.wakes.first().copied()
            && wake <= now
            && let Some(mut entry) = self.take(id)
        {
            if entry.until.is_some_and(|until| until <= now) {
                self.touch(&entry.who.member, entry.places());
                continue;
            }
            for (room, said) in &mut entry.said {
                if said.typing_until.is_some_and(|until| until <= now) {
                    (said.state.typing, said.typing_until) = (None, None);
                    self.changed.insert((room.clone(), entry.who.member.clone()));
                }
            }
            self.put(id, entry);
        }
    }

    fn value(&self, room: &Room, member: &MemberId) -> Option<Value> {
        let all = self.lookup.of(Key::Member(member)).filter_map(|id| self.entries.get(&id));
        let mine = all.filter(|entry| entry.who.member == *member && entry.is_in(room, &self.projects));
        let mut mine: Vec<(u64, &Entry<L>)> = mine.map(|entry| (entry.order(room), entry)).collect();
        // A program may have thousands of connections.
        let shown = mine.len().min(DEVICES);
        if mine.len() > shown {
            mine.select_nth_unstable_by_key(shown, |(order, _)| std::cmp::Reverse(*order));
        }
        mine.truncate(shown);
        mine.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        let (_, newest) = mine.first()?;
        let devices =
            if mine.len() > 1 { mine.iter().map(|(_, entry)| entry.state(room)).collect() } else { Vec::new() };
        Some(Value { name: newest.who.name.clone(), state: newest.state(room), devices })
    }

    pub(super) fn followers(&self, room: &Room) -> Vec<L> {
        let following = self.following(room);
        following.into_iter().filter_map(|id| self.entries.get(&id)?.link.clone()).collect()
    }

    /// Whether there is anybody to hear of it.
    pub(super) fn is_followed(&self, room: &Room) -> bool {
        self.coverings(room).flat_map(|covering| self.lookup.of(Key::Follows(covering))).any(|id| self.hears(id, room))
    }

    /// The filters that cover a room.
    fn coverings<'a>(&'a self, room: &'a Room) -> impl Iterator<Item = Covering<'a>> {
        let alone = match room {
            Room::Feed(project) => Covering::Feed(project),
            room => Covering::Room(room),
        };
        let feeds = room.is_of_feed().then_some(Covering::AllFeeds);
        let tree = project_of(room, &self.projects).map(Covering::Tree);
        [alone].into_iter().chain(feeds).chain(tree)
    }

    fn hears(&self, id: u64, room: &Room) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.link.is_some() && entry.follows(room, &self.projects))
    }

    fn following(&self, room: &Room) -> Vec<u64> {
        let found = self.coverings(room).flat_map(|covering| self.lookup.of(Key::Follows(covering)));
        let mut found: Vec<u64> = found.filter(|id| self.hears(*id, room)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    pub(super) fn flush(&mut self, now: Instant) -> (Vec<Message<L>>, Option<Instant>) {
        self.expire(now);
        let mut messages = Vec::new();
        for (room, member) in std::mem::take(&mut self.changed) {
            let key = (room, member);
            let value = self.value(&key.0, &key.1);
            let (room, member) = &key;
            let told = self.told.get(room);
            let before = told.and_then(|members| members.get(member));
            if value.as_ref() == before {
                continue;
            }
            let topic = Topic::Presence(room.clone(), member.clone());
            let message = match value {
                Some(value) => {
                    if before.is_none() && told.map_or(0, BTreeMap::len) >= MEMBERS {
                        continue;
                    }
                    let frame = frame(room, member, Some(&value), "");
                    self.told.entry(room.clone()).or_default().insert(member.clone(), value);
                    Message { topic, frame, left: false, to: self.followers(room) }
                }
                None => {
                    let mut name = String::new();
                    if let Some(members) = self.told.get_mut(room) {
                        name = members.remove(member).map(|value| value.name).unwrap_or_default();
                        if members.is_empty() {
                            self.told.remove(room);
                        }
                    }
                    Message { topic, frame: frame(room, member, None, &name), left: true, to: self.followers(room) }
                }
            };
            messages.push(message);
        }
        if self.projects.len() > 4 * (self.entries.len() + 64) {
            let places = self.entries.values().flat_map(Entry::places);
            let used: BTreeSet<Room> = self.told.keys().cloned().chain(places).collect();
            self.projects.retain(|room, _| used.contains(room));
        }
        (messages, self.wakes.first().map(|(wake, _)| *wake))
    }

    pub(super) fn present(&self, filter: &RoomFilter) -> Vec<Present> {
        let of = |(room, members)| {
            BTreeMap::iter(members).map(move |(member, value): (&MemberId, &Value)| (room, member, value))
        };
        let told = self.told_of(filter).into_iter().flat_map(of);
        told.map(|(room, member, value): (&Room, _, _)| Present {
            room: room.clone(),
            member: member.clone(),
            name: value.name.clone(),
            state: value.state.clone(),
            devices: value.devices.clone(),
        })
        .collect()
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.told.values().map(BTreeMap::len).sum())
    }
}

#[cfg(test)]
mod tests;
