use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value as Json;
use signalbox_model::RunId;

use super::*;

fn member(n: usize) -> MemberId {
    // Names that trip up tables made of objects.
    MemberId::new(["m_constructor", "m_prototype1", "m_hasownproperty"][n]).unwrap()
}

fn project(n: usize) -> ProjectId {
    ProjectId::new(["shop", "mill"][n]).unwrap()
}

fn run(n: usize) -> Room {
    Room::Run(RunId::new(format!("r_{n:08}")).unwrap())
}

/// Run n belongs to project n.
fn project_of_run(room: &Room) -> Option<ProjectId> {
    (0..2).find(|n| run(*n) == *room).map(project)
}

fn who(n: usize, device: usize) -> Who {
    Who {
        member: member(n),
        name: format!("__proto__{n}"),
        device: format!("device{device}/1"),
        instance: Some(format!("{n}-{device}")),
        // The last member may see one project only.
        sees: if n == 2 { vec![project(0)] } else { Vec::new() },
    }
}

/// The same of any room.
fn project_of_any(room: &Room) -> Option<ProjectId> {
    match room {
        Room::Project(project) | Room::Feed(project) => Some(project.clone()),
        room => project_of_run(room),
    }
}

/// Whether member `n` may see it.
fn may_see(n: usize, room: &Room) -> bool {
    n != 2 || project_of_any(room) == Some(project(0))
}

fn filters() -> [RoomFilter; FILTERS] {
    [
        RoomFilter::One(Room::Project(project(0))),
        RoomFilter::ProjectTree(project(0)),
        RoomFilter::ProjectTree(project(1)),
        RoomFilter::One(run(0)),
        RoomFilter::One(run(1)),
        RoomFilter::One(Room::Host),
        RoomFilter::One(Room::Feed(project(0))),
        RoomFilter::Activity(None),
        RoomFilter::Activity(Some(vec![project(0), project(1)])),
    ]
}

const FILTERS: usize = 9;

#[derive(Debug, Clone)]
enum Do {
    Follow { device: usize, rooms: Vec<usize> },
    Say { device: usize, room: usize, typing: bool, run: bool },
    Break { device: usize },
    Leave { device: usize },
    Wait { ms: u64 },
    Flush,
}

fn what() -> impl Strategy<Value = Do> {
    let device = 0..6usize;
    prop_oneof![
        4 => (device.clone(), proptest::collection::vec(0..FILTERS, 0..4)).prop_map(|(device, rooms)| Do::Follow { device, rooms }),
        4 => (device.clone(), 0..FILTERS, any::<bool>(), any::<bool>())
            .prop_map(|(device, room, typing, run)| Do::Say { device, room, typing, run }),
        2 => device.clone().prop_map(|device| Do::Break { device }),
        1 => device.prop_map(|device| Do::Leave { device }),
        3 => prop_oneof![Just(100), Just(5_000), Just(11_999), Just(12_001)].prop_map(|ms| Do::Wait { ms }),
        3 => Just(Do::Flush),
    ]
}

type Seen = BTreeMap<(String, String), Json>;

/// What a client keeps: the last word about each member and room.
fn keep(seen: &mut Seen, frame: &[u8]) {
    let frame: Json = serde_json::from_slice(frame).unwrap();
    let key = (frame["room"].as_str().unwrap().to_owned(), frame["member"].as_str().unwrap().to_owned());
    if frame.get("state").is_some() {
        seen.insert(key, json_state(&frame));
    } else {
        seen.remove(&key);
    }
}

fn json_state(frame: &Json) -> Json {
    serde_json::json!({ "state": frame["state"], "devices": frame.get("devices").cloned().unwrap_or(serde_json::json!([])) })
}

/// The model of one device: what its connection follows, and what broke and is still within its grace.
#[derive(Default)]
struct Device {
    connection: Option<(u64, BTreeSet<usize>)>,
    broken: Vec<(BTreeSet<usize>, Instant)>,
    seen: Seen,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whoever comes, goes, breaks and returns: each client's picture is what the rooms that it follows hold, who is in a
    /// room is who the rules say, and nobody learns of what they may not see.
    #[test]
    fn any_history_leaves_everybody_with_the_same_picture(steps in proptest::collection::vec(what(), 1..60)) {
        let mut table = Table::<usize>::default();
        let mut now = Instant::now();
        let mut devices: Vec<Device> = (0..6).map(|_| Device::default()).collect();
        let mut next = 0u64;
        let rooms = filters();
        let flush = |table: &mut Table<usize>, devices: &mut Vec<Device>, now| {
            let (messages, _) = table.flush(now);
            for message in messages {
                for to in message.to {
                    keep(&mut devices[to].seen, &message.frame);
                }
            }
        };
        for step in steps {
            match step {
                Do::Follow { device, rooms: wanted } => {
                    let wanted: BTreeSet<usize> = wanted.into_iter().collect();
                    let fresh: BTreeSet<usize>;
                    let id = match &mut devices[device].connection {
                        Some((id, held)) => {
                            fresh = wanted.difference(held).copied().collect();
                            let id = *id;
                            *held = wanted.clone();
                            id
                        }
                        None => {
                            next += 1;
                            fresh = wanted.clone();
                            devices[device].seen.clear();
                            devices[device].connection = Some((next, wanted.clone()));
                            next
                        }
                    };
                    for (held, _) in &mut devices[device].broken {
                        held.retain(|room| !fresh.contains(room));
                    }
                    // A client forgets the rooms that it leaves.
                    let follows = |room: &str| {
                        let room: Room = room.parse().unwrap();
                        let of = project_of_any(&room);
                        wanted.iter().any(|filter| rooms[*filter].covers(&room, of.as_ref()))
                    };
                    devices[device].seen.retain(|(room, _), _| follows(room));
                    let list = wanted.iter().map(|n| rooms[*n].clone()).collect();
                    let told = table.follow(id, who(device % 3, device / 3), &device, list, project_of_run, now);
                    for (_, frame) in told {
                        keep(&mut devices[device].seen, &frame);
                    }
                }
                Do::Say { device, room, typing, run: in_run } => {
                    let Some((id, _)) = devices[device].connection else { continue };
                    let room = match &rooms[room] {
                        RoomFilter::One(room) => room.clone(),
                        RoomFilter::Activity(_) => Room::Activity,
                        RoomFilter::ProjectTree(project) => Room::Project(project.clone()),
                    };
                    let state = PresenceState {
                        typing: typing.then_some(true),
                        file: in_run.then(|| "a.rs".to_owned()),
                        ..PresenceState::default()
                    };
                    let of = match &room { Room::Run(_) => project_of_run(&room), _ => None };
                    table.say(id, room, of, state, now);
                }
                Do::Break { device } => {
                    if let Some((id, held)) = devices[device].connection.take() {
                        table.gone(id, false, now);
                        devices[device].broken.push((held, now + GRACE));
                    }
                }
                Do::Leave { device } => {
                    if let Some((id, _)) = devices[device].connection.take() {
                        table.gone(id, true, now);
                    }
                }
                Do::Wait { ms } => now += Duration::from_millis(ms),
                Do::Flush => flush(&mut table, &mut devices, now),
            }
        }
        flush(&mut table, &mut devices, now);
        // Who is in the rooms that are followed by name, by the rules.
        let mut expected = BTreeSet::new();
        for (n, device) in devices.iter().enumerate() {
            let held = device.connection.iter().map(|(_, held)| held);
            let broken = device.broken.iter().filter(|(_, until)| *until > now).map(|(held, _)| held);
            for room in held.chain(broken).flatten() {
                let filter = &rooms[*room];
                if let Some(room) = place(filter).filter(|room| may_see(n % 3, room)) {
                    expected.insert((room.to_string(), member(n % 3).to_string()));
                }
            }
        }
        let told: BTreeSet<(String, String)> =
            table.told.iter().flat_map(|(room, members)| members.keys().map(|member| (room.to_string(), member.to_string()))).collect();
        prop_assert!(expected.is_subset(&told), "missing: {:?}", expected.difference(&told));
        // Beyond that only where somebody said something in a room of a project that it follows as a whole.
        for (room, who) in told.difference(&expected) {
            prop_assert!(room.starts_with("run/") || room.starts_with("activity/"), "{who} is a ghost in {room}");
        }
        // Every client has the picture of what it follows, and no more.
        for (n, device) in devices.iter().enumerate() {
            let Some((_, held)) = &device.connection else { continue };
            let mut picture = Seen::new();
            for room in held {
                for present in table.present(&rooms[*room]) {
                    if !may_see(n % 3, &present.room) {
                        continue;
                    }
                    let frame = serde_json::to_value(&present).unwrap();
                    picture.insert((present.room.to_string(), present.member.to_string()), json_state(&frame));
                }
            }
            let followed = |room: &str| {
                let room: Room = room.parse().unwrap();
                let of = project_of_any(&room);
                held.iter().any(|filter| rooms[*filter].covers(&room, of.as_ref()))
            };
            let seen: Seen = device.seen.iter().filter(|((room, _), _)| followed(room)).map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(seen, picture, "device {} of member {}", n, n % 3);
        }
        // Everybody leaves: nothing stays behind.
        for device in &mut devices {
            if let Some((id, _)) = device.connection.take() {
                table.gone(id, false, now);
            }
        }
        table.flush(now + GRACE);
        prop_assert_eq!(table.size(), (0, 0));
        prop_assert!(table.lookup.is_empty() && table.wakes.is_empty() && table.told.is_empty());
    }
}

fn flushed(table: &mut Table<usize>, now: Instant) -> Vec<(usize, Json)> {
    let (messages, _) = table.flush(now);
    let each = messages.iter().flat_map(|message| message.to.iter().map(|to| (*to, &message.frame)));
    each.map(|(to, frame)| (to, serde_json::from_slice(frame).unwrap())).collect()
}

#[test]
fn a_reconnect_within_the_grace_shows_nothing_and_one_after_it_does() {
    let (mut table, start) = (Table::<usize>::default(), Instant::now());
    let room = RoomFilter::ProjectTree(project(0));
    table.follow(1, who(0, 0), &0, vec![room.clone()], project_of_run, start);
    table.follow(2, who(1, 0), &1, vec![room.clone()], project_of_run, start);
    let looks = PresenceState { run: Some(RunId::new("r_00000000").unwrap()), ..PresenceState::default() };
    table.say(2, Room::Project(project(0)), None, looks, start);
    flushed(&mut table, start);
    table.gone(2, false, start);
    assert!(flushed(&mut table, start + Duration::from_secs(6)).is_empty());
    let told = table.follow(3, who(1, 0), &1, vec![room.clone()], project_of_run, start + Duration::from_secs(11));
    assert_eq!(told.len(), 2, "who comes back is told who is here");
    assert!(flushed(&mut table, start + Duration::from_secs(11)).is_empty());
    assert!(
        flushed(&mut table, start + Duration::from_secs(60)).is_empty(),
        "what broke first does not count any more"
    );
    table.gone(3, false, start + Duration::from_secs(60));
    let (_, next) = table.flush(start + Duration::from_secs(60));
    assert_eq!(next, Some(start + Duration::from_secs(72)));
    let left = flushed(&mut table, start + Duration::from_secs(72));
    assert_eq!(left.len(), 1);
    assert!(left[0].1.get("state").is_none() && left[0].0 == 0, "{left:?}");
}

#[test]
fn who_closes_on_purpose_is_gone_at_once_unless_another_device_is_here() {
    let (mut table, now) = (Table::<usize>::default(), Instant::now());
    let room = RoomFilter::ProjectTree(project(0));
    for (id, device) in [(1, 0), (2, 1)] {
        table.follow(id, who(0, device), &0, vec![room.clone()], project_of_run, now);
    }
    table.follow(3, who(1, 0), &1, vec![room], project_of_run, now);
    let both = flushed(&mut table, now);
    assert!(both.iter().any(|(_, frame)| frame["devices"].as_array().is_some_and(|devices| devices.len() == 2)));
    table.gone(1, true, now);
    let one = flushed(&mut table, now);
    assert!(one.iter().all(|(_, frame)| frame.get("state").is_some() && frame.get("devices").is_none()), "{one:?}");
    table.gone(2, true, now);
    let none = flushed(&mut table, now);
    assert!(none.iter().all(|(to, frame)| *to == 1 && frame.get("state").is_none()), "{none:?}");
}

#[test]
fn writing_ends_by_itself_and_a_burst_is_one_message() {
    let (mut table, now) = (Table::<usize>::default(), Instant::now());
    table.follow(1, who(0, 0), &0, vec![RoomFilter::One(Room::Host)], project_of_run, now);
    flushed(&mut table, now);
    for _ in 0..50 {
        table.say(1, Room::Host, None, PresenceState { typing: Some(true), ..PresenceState::default() }, now);
    }
    let writes = flushed(&mut table, now);
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["state"]["typing"], true);
    let ended = flushed(&mut table, now + TYPING);
    assert!(ended.len() == 1 && ended[0].1["state"].get("typing").is_none(), "{ended:?}");
}
