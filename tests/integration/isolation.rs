//! Who sees what: an oracle says which events a member may see, and every way to read is held against it, exactly.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Host, Project, Socket, sse};

const WORKFLOW: &str = "signalbox: 1
name: hello
steps:
  say: { kind: command, run: \"echo SECRET-OF-$WHERE; printf 'x%.0s' $(seq 30000) > big.txt; cat big.txt\", env: { WHERE: \"NAME\" } }
  ask: { kind: approval, needs: [say], question: Go on in NAME, who: { roles: [operator, owner], self_approval: true } }
";

/// A project, and what occurs nowhere but in it.
struct Place {
    folder: Project,
    id: String,
    marker: &'static str,
    run: String,
    blob: Option<String>,
}

struct Member {
    id: String,
    name: String,
    token: String,
    role: &'static str,
    /// Empty: all.
    projects: Vec<String>,
}

struct World {
    places: Vec<Place>,
    _data: tempfile::TempDir,
    host: Host,
    members: Vec<Member>,
    /// Before everything that the oracle is asked about.
    start: String,
}

/// The oracle: by the room alone, as the log has it.
fn may_see(member: &Member, event: &Value, runs: &BTreeMap<String, String>) -> bool {
    let room = event["room"].as_str().unwrap();
    let project = match room.split_once('/') {
        Some(("project" | "activity", id)) => id.to_owned(),
        Some(("run", id)) => runs[id].clone(),
        Some(("member", id)) => return id == member.id,
        _ => return member.projects.is_empty(),
    };
    member.projects.is_empty() || member.projects.contains(&project)
}

fn cursor(event: &Value) -> String {
    event["cursor"].as_str().unwrap().to_owned()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl World {
    fn new() -> Self {
        let markers = ["alpha", "beta", "gamma"];
        let folders: Vec<Project> =
            markers.map(|marker| Project::new(&[("hello", &WORKFLOW.replace("NAME", marker))])).into();
        let data = tempfile::tempdir().unwrap();
        let paths: Vec<&std::path::Path> = folders.iter().map(Project::path).collect();
        let host = Host::start_with(data.path(), &paths, &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
        let list = host.call("project.list", json!({})).unwrap();
        let id = |folder: &Project| {
            let path = std::fs::canonicalize(folder.path()).unwrap();
            let found = list["projects"].as_array().unwrap().iter().find(|p| p["path"] == path.to_str().unwrap());
            found.unwrap()["id"].as_str().unwrap().to_owned()
        };
        let places: Vec<Place> = folders
            .into_iter()
            .zip(markers)
            .map(|(folder, marker)| Place { id: id(&folder), folder, marker, run: String::new(), blob: None })
            .collect();
        let sets = [vec![], vec![0], vec![1], vec![0, 1]];
        let mut members = Vec::new();
        for role in ["viewer", "operator", "owner"] {
            for set in &sets {
                let projects: Vec<String> = set.iter().map(|at: &usize| places[*at].id.clone()).collect();
                let name = format!("{role} of {set:?}");
                let named: Vec<&str> = projects.iter().map(String::as_str).collect();
                let (id, token) = host.member(&name, role, &named);
                members.push(Member { id, name, token, role, projects });
            }
        }
        let status = host.call("system.status", json!({})).unwrap();
        let start = format!("{}.{}", status["log"]["epoch"].as_str().unwrap(), status["log"]["head"]);
        Self { places, _data: data, host, members, start }
    }

    /// Something of everything, in every project.
    fn work(&mut self) {
        for at in 0..self.places.len() {
            let (id, marker) = (self.places[at].id.clone(), self.places[at].marker);
            for n in 0..3 {
                let data = json!({ "n": n, "text": format!("memo of {marker}") });
                let params = json!({ "project": id, "type": "x_note", "data": data, "priority": "normal", "text": format!("an entry of {marker}") });
                self.host.call("event.publish", params).unwrap();
            }
            let run = self.host.call("run.start", json!({ "project": id, "workflow": "hello" })).unwrap();
            let run = run["run"].as_str().unwrap().to_owned();
            self.host.wait_step(&run, "ask", "waiting_input");
            let log = self.host.events(&[&format!("run/{run}")]);
            self.places[at].blob =
                log.iter().find_map(|event| event["data"]["blob"]["hash"].as_str().map(str::to_owned));
            self.places[at].run = run;
        }
        let answers = self.host.call("approval.list", json!({})).unwrap();
        for approval in answers["approvals"].as_array().unwrap() {
            if approval["project"] != self.places[1].id.as_str() {
                let params = json!({ "approval": approval["id"], "decision": "approve" });
                self.host.call("approval.answer", params).unwrap();
            }
        }
        for place in [&self.places[0], &self.places[2]] {
            self.host.wait_done(&place.run);
        }
    }

    fn rooms(&self) -> Vec<String> {
        let mut rooms = vec!["host".to_owned(), "activity".to_owned()];
        rooms.extend(self.places.iter().map(|place| format!("project/{}/**", place.id)));
        rooms
    }

    /// Everything after the start, as the owner at the machine reads it.
    fn log(&self) -> Vec<Value> {
        let rooms = self.rooms();
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        let start: u64 = self.start.split('.').nth(1).unwrap().parse().unwrap();
        let mut events = self.host.events(&rooms);
        // What the host says of the machine comes when it comes.
        events.retain(|event| event["seq"].as_u64().unwrap() > start && lasting(event));
        events
    }

    fn runs(&self) -> BTreeMap<String, String> {
        self.places.iter().map(|place| (place.run.clone(), place.id.clone())).collect()
    }

    fn hidden<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Place> {
        self.places.iter().filter(|place| !member.projects.is_empty() && !member.projects.contains(&place.id))
    }

    /// Nothing that was said to a member has a word of what it may not see.
    fn check_words(&self, member: &Member, what: &str, text: &str) {
        for place in self.hidden(member) {
            let path = place.folder.path().file_name().unwrap().to_str().unwrap();
            for word in [place.marker, place.run.as_str(), path] {
                assert!(
                    word.is_empty() || !text.contains(word),
                    "{}: {what} speaks of {word}: {text:.2000}",
                    member.name
                );
            }
        }
    }

    /// What is in the log for this member alone. Its room is joined for it over WebSocket.
    fn own(&self, member: &Member) -> Vec<String> {
        let params = json!({ "rooms": [format!("member/{}", member.id)], "after": self.start, "limit": 1000 });
        let page = self.host.call_as(&member.token, "event.list", &params).unwrap();
        self.check_words(member, "its own room", &page.to_string());
        page["events"].as_array().unwrap().iter().map(cursor).collect()
    }

    fn allowed(&self, member: &Member, log: &[Value]) -> Vec<String> {
        let runs = self.runs();
        log.iter().filter(|event| may_see(member, event, &runs)).map(cursor).collect()
    }
}

fn lasting(event: &Value) -> bool {
    !matches!(event["type"].as_str(), Some("system_status" | "health_check"))
}

/// Reads until an event with this cursor, or a `synced` at or after it; the events, and all text.
async fn read_until(socket: &mut Socket, last: u64) -> (Vec<String>, String) {
    let (mut events, mut text) = (Vec::new(), String::new());
    loop {
        let frame = socket.next().await.expect("the connection holds");
        // The answer to a call names what was asked for.
        if frame["type"] != "left" && frame["type"] != "reply" {
            text.push_str(&frame.to_string());
        }
        if frame["seq"].is_u64() && lasting(&frame) {
            events.push(cursor(&frame));
        }
        if frame["type"] == "ping" {
            socket.send(&json!({ "type": "pong" })).await;
        }
        let at = match frame["type"].as_str() {
            Some("synced") => frame["cursor"].as_str().unwrap().split('.').nth(1).unwrap().parse().unwrap(),
            // The answer to a call that was made when all had happened.
            Some("reply") => last,
            _ => 0,
        };
        if at >= last {
            return (events, text);
        }
    }
}

fn seq(cursor: &str) -> u64 {
    cursor.split('.').nth(1).unwrap().parse().unwrap()
}

#[test]
fn every_way_to_read_gives_each_member_exactly_what_the_oracle_says() {
    let mut world = World::new();
    let rooms = world.rooms();
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let runtime = runtime();
    // Live, from before anything happens: the full protocol, and the naive one of each project.
    let mut live: Vec<Socket> = Vec::new();
    let mut naive: Vec<Vec<Option<Socket>>> = Vec::new();
    runtime.block_on(async {
        for member in &world.members {
            let mut socket = world.host.hello_as(&member.token, &rooms, None).await;
            socket.next_of("synced").await;
            live.push(socket);
            let bearer = format!("Bearer {}", member.token);
            let mut each = Vec::new();
            for place in &world.places {
                let path = format!("/api/v1/projects/{}/ws", place.id);
                let opened = world.host.websocket(&path, &[("authorization", &bearer)]).await;
                let seen = member.projects.is_empty() || member.projects.contains(&place.id);
                assert_eq!(opened.as_ref().err(), (!seen).then_some(&404), "{} on {path}", member.name);
                let mut opened = opened.ok();
                if let Some(socket) = &mut opened {
                    socket.next_of("synced").await;
                }
                each.push(opened);
            }
            naive.push(each);
        }
    });
    world.work();
    let log = world.log();
    let last = log.last().unwrap()["seq"].as_u64().unwrap();
    let types: BTreeSet<&str> = log.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in ["x_note", "activity_created", "run_updated", "log", "approval_requested", "completion"] {
        assert!(types.contains(kind), "the script shows {kind}");
    }
    for ((member, socket), naive) in world.members.iter().zip(&mut live).zip(&mut naive) {
        let shared = world.allowed(member, &log);
        let mut wanted = shared.clone();
        wanted.extend(world.own(member));
        wanted.sort_by_key(|cursor| seq(cursor));
        runtime.block_on(async {
            // A call that is answered last: what comes before it on the connection is everything.
            let call = json!({ "type": "call", "rid": 99, "method": "system.routes" });
            let (mut events, mut text) = (Vec::new(), String::new());
            // The fan-out and the answers are two writers: ask until the newest has come, or cannot.
            until_newest(socket, &call, wanted.last().map_or(0, |cursor| seq(cursor)), &mut events, &mut text).await;
            assert_eq!(events, wanted, "{}: live", member.name);
            world.check_words(member, "live", &text);
            for (place, socket) in world.places.iter().zip(naive) {
                let Some(socket) = socket else { continue };
                let runs = world.runs();
                let of_place = log.iter().filter(|event| {
                    let room = event["room"].as_str().unwrap();
                    room == format!("project/{}", place.id)
                        || room == format!("activity/{}", place.id)
                        || room.strip_prefix("run/").is_some_and(|run| runs[run] == place.id)
                });
                let wanted: Vec<String> = of_place.map(cursor).collect();
                let (mut events, mut text) = (Vec::new(), String::new());
                until_newest(socket, &call, wanted.last().map_or(0, |cursor| seq(cursor)), &mut events, &mut text)
                    .await;
                assert_eq!(events, wanted, "{}: naive, {}", member.name, place.id);
                world.check_words(member, "naive", &text);
            }
            // Replayed, and as a snapshot.
            let mut replay = world.host.hello_as(&member.token, &rooms, Some(&world.start)).await;
            let (events, text) = read_until(&mut replay, wanted.last().map_or(0, |cursor| seq(cursor))).await;
            assert_eq!(events, wanted, "{}: replay", member.name);
            world.check_words(member, "replay", &text);
            let mut fresh = world.host.hello_as(&member.token, &rooms, None).await;
            let (_, text) = read_until(&mut fresh, last).await;
            world.check_words(member, "snapshot", &text);
            let own = world.places.iter().filter(|p| member.projects.is_empty() || member.projects.contains(&p.id));
            own.for_each(|place| assert!(text.contains(&place.run), "{}: a snapshot of its own", member.name));
        });
        check_pages(&world, member, &log, &shared);
        check_sse(&world, member, &shared);
        check_others(&world, member);
    }
}

/// Asks again and again until the newest event is there.
async fn until_newest(socket: &mut Socket, call: &Value, newest: u64, events: &mut Vec<String>, text: &mut String) {
    for _ in 0..1000 {
        socket.send(call).await;
        let (more, words) = read_until(socket, u64::MAX).await;
        events.extend(more);
        text.push_str(&words);
        if events.last().map_or(0, |cursor| seq(cursor)) >= newest {
            return;
        }
    }
    panic!("the newest event did not come");
}

/// `event.list` and `event.search`.
fn check_pages(world: &World, member: &Member, log: &[Value], wanted: &[String]) {
    let mut listed = Vec::new();
    for room in world.rooms() {
        let place = world.places.iter().find(|place| room == format!("project/{}/**", place.id));
        let seen = match place {
            Some(place) => member.projects.is_empty() || member.projects.contains(&place.id),
            // Of the feed everybody has the part that is theirs.
            None => member.projects.is_empty() || room == "activity",
        };
        let page = world.host.call_as(
            &member.token,
            "event.list",
            &json!({ "rooms": [room], "after": world.start, "limit": 1000 }),
        );
        match page {
            Ok(page) => {
                assert!(seen, "{} lists {room}", member.name);
                listed.extend(page["events"].as_array().unwrap().iter().filter(|event| lasting(event)).map(cursor));
            }
            Err(error) => {
                assert!(!seen, "{} cannot list {room}: {error}", member.name);
                assert_eq!(error["code"], if place.is_some() { "not_found" } else { "forbidden" });
            }
        }
    }
    // A project's part of the feed is listed with the project too.
    listed.sort_by_key(|cursor| seq(cursor));
    listed.dedup();
    assert_eq!(listed, wanted, "{}: event.list", member.name);
    let words = ["memo", "entry"];
    for word in words {
        let found = world.host.call_as(&member.token, "event.search", &json!({ "text": word, "limit": 200 })).unwrap();
        let mut found: Vec<String> = found["events"].as_array().unwrap().iter().map(cursor).collect();
        found.sort_by_key(|cursor| seq(cursor));
        let runs = world.runs();
        let hits = log.iter().filter(|event| {
            let own = event["data"]["text"].as_str().unwrap_or_default();
            own.split(' ').any(|w| w == word) && event["type"] != "log" && may_see(member, event, &runs)
        });
        let hits: Vec<String> = hits.map(cursor).collect();
        assert_eq!(found, hits, "{}: a search for {word}", member.name);
        assert!(!hits.is_empty(), "{}: the oracle has nothing on {word}", member.name);
    }
    for place in &world.places {
        let answer =
            world.host.call_as(&member.token, "event.search", &json!({ "text": place.marker, "limit": 200 })).unwrap();
        world.check_words(member, "search", &answer.to_string());
    }
}

fn check_sse(world: &World, member: &Member, wanted: &[String]) {
    let bearer = format!("Bearer {}", member.token);
    let headers = [("Authorization", bearer.as_str())];
    for room in world.rooms() {
        let seen = match world.places.iter().find(|place| room == format!("project/{}/**", place.id)) {
            Some(place) => member.projects.is_empty() || member.projects.contains(&place.id),
            None => member.projects.is_empty() || room == "activity",
        };
        if !seen {
            let status = world.host.request("GET", &format!("/api/v1/events?rooms={room}"), &headers, b"").status;
            assert!(matches!(status, 403 | 404), "{}: {status} for {room}", member.name);
        }
    }
    let own: Vec<String> = if member.projects.is_empty() {
        world.rooms()
    } else {
        let own = member.projects.iter().map(|id| format!("project/{id}/**"));
        own.chain(["activity".to_owned()]).collect()
    };
    let path = format!("/api/v1/events?rooms={}&after={}", own.join(","), world.start);
    let mut events = Vec::new();
    sse(world.host.address(), &path, &headers, |id, frame| {
        if frame["type"] == "synced" {
            return false;
        }
        if frame["seq"].is_u64() && lasting(&frame) {
            assert_eq!(id.as_deref(), frame["cursor"].as_str());
            events.push(cursor(&frame));
        }
        world.check_words(member, "sse", &frame.to_string());
        true
    });
    assert_eq!(events, wanted, "{}: server-sent events", member.name);
}

/// Calls and paths that name what is another's: answered in the words of what does not exist.
fn check_others(world: &World, member: &Member) {
    let approval = |run: &str| {
        let all = world.host.call("approval.list", json!({ "all": true })).unwrap();
        let found =
            all["approvals"].as_array().unwrap().iter().find(|approval| approval["run"] == run).unwrap().clone();
        found["id"].as_str().unwrap().to_owned()
    };
    for place in world.hidden(member) {
        let run_steps = json!({ "run": place.run, "step": "say" });
        let names = [
            (place.id.clone(), "no-such-project".to_owned()),
            (place.run.clone(), "r_0000000000000000000000".to_owned()),
            (approval(&place.run), "a_00000000000000000000".to_owned()),
        ];
        let mut calls = vec![
            ("run.log", run_steps.clone()),
            ("run.transcript", run_steps.clone()),
            ("run.events", json!({ "run": place.run })),
            ("run.diff", run_steps.clone()),
            ("run.log_search", json!({ "run": place.run, "step": "say", "query": "x" })),
            ("run.file", json!({ "run": place.run, "step": "say", "path": "big.txt" })),
            ("workflow.get", json!({ "project": place.id, "workflow": "hello" })),
            ("workflow.validate", json!({ "project": place.id, "path": "hello" })),
            ("event.list", json!({ "rooms": [format!("project/{}", place.id)] })),
            ("event.list", json!({ "rooms": [format!("run/{}", place.run)] })),
            ("event.search", json!({ "text": "note", "project": place.id })),
            ("usage.report", json!({ "project": place.id })),
        ];
        for method in ["project.get", "workflow.list", "run.list", "risk.list", "worktree.list", "queue.get"] {
            calls.push((method, json!({ "project": place.id })));
        }
        calls.push(("run.get", json!({ "run": place.run })));
        calls.push(("chat.list", json!({ "project": place.id })));
        if member.role != "viewer" {
            calls.push(("run.start", json!({ "project": place.id, "workflow": "hello" })));
            calls.push(("approval.answer", json!({ "approval": approval(&place.run), "decision": "approve" })));
            calls.push(("event.publish", json!({ "project": place.id, "type": "x_note", "data": {} })));
            let events = json!([{ "type": "x_note", "data": {} }]);
            calls.push(("event.publish_many", json!({ "project": place.id, "events": events })));
            calls.push(("secret.list", json!({ "project": place.id })));
            for method in ["run.cancel", "run.pause", "run.resume"] {
                calls.push((method, json!({ "run": place.run })));
            }
        }
        if member.role == "owner" {
            calls.push(("audit.list", json!({ "project": place.id })));
            calls.push(("webhook.list", json!({ "project": place.id })));
            calls.push(("project.close", json!({ "project": place.id })));
        }
        for (method, params) in calls {
            let theirs = world.host.call_as(&member.token, method, &params);
            let theirs = theirs.expect_err(&format!("{}: {method} {params}", member.name)).to_string();
            let (mut absent, mut expected) = (params.to_string(), theirs.clone());
            for (there, nowhere) in &names {
                (absent, expected) = (absent.replace(there, nowhere), expected.replace(there, nowhere));
            }
            let absent: Value = serde_json::from_str(&absent).unwrap();
            let nobodys = world.host.call_as(&member.token, method, &absent).unwrap_err().to_string();
            assert_eq!(expected, nobodys, "{}: {method}", member.name);
            assert!(theirs.contains("not_found"), "{}: {method}: {theirs}", member.name);
        }
        let bearer = format!("Bearer {}", member.token);
        let headers = [("Authorization", bearer.as_str())];
        let blob = place.blob.as_ref().expect("thirty thousand bytes are a blob");
        let get = |hash: &str| world.host.request("GET", &format!("/api/v1/blobs/{hash}"), &headers, b"").status;
        // What is printed is the same in each project, so its content may well be one's own too.
        let own = world.places.iter().any(|p| p.blob.as_ref() == Some(blob) && member.projects.contains(&p.id));
        assert_eq!(get(blob), if own { 200 } else { 404 }, "{}", member.name);
    }
    for method in
        ["project.list", "approval.list", "permission.list", "usage.report", "connection.list", "system.routes"]
    {
        let answer = world.host.call_as(&member.token, method, &json!({})).unwrap();
        world.check_words(member, method, &answer.to_string());
    }
    let others = world.members.iter().filter(|other| other.id != member.id).map(|other| other.id.as_str());
    for other in others.chain(["m_localowner"]) {
        let params = json!({ "rooms": [format!("member/{other}")] });
        let error = world.host.call_as(&member.token, "event.list", &params).unwrap_err();
        assert!(matches!(error["code"].as_str(), Some("not_found" | "forbidden")), "{}: {error}", member.name);
    }
    for method in ["member.list", "invite.list"] {
        if method == "invite.list" && member.role != "owner" {
            continue;
        }
        let answer = world.host.call_as(&member.token, method, &json!({})).unwrap();
        // The names of members in this world are made of their projects' places, not of what is secret in them.
        world.check_words(member, method, &answer.to_string());
        if method == "member.list" {
            let ids: Vec<&str> = (answer["members"].as_array().unwrap().iter())
                .map(|listed| {
                    for id in listed["projects"].as_array().into_iter().flatten() {
                        let id = id.as_str().unwrap().to_owned();
                        assert!(member.projects.is_empty() || member.projects.contains(&id), "{}: {id}", member.name);
                    }
                    listed["id"].as_str().unwrap()
                })
                .collect();
            let shares = |other: &Member| {
                let (mine, theirs) = (&member.projects, &other.projects);
                match member.role == "owner" {
                    true => mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|id| mine.contains(id))),
                    false => mine.is_empty() || theirs.is_empty() || theirs.iter().any(|id| mine.contains(id)),
                }
            };
            for other in &world.members {
                assert_eq!(ids.contains(&other.id.as_str()), shares(other), "{} lists {}", member.name, other.name);
            }
        }
    }
}
