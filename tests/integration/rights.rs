//! What a member may do changes while it is connected.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Host, Project, Socket, sse, until};

struct World {
    _projects: [Project; 2],
    _data: tempfile::TempDir,
    host: Host,
    /// Their ids.
    a: String,
    b: String,
}

fn world() -> World {
    let projects = [Project::new(&[]), Project::new(&[])];
    let data = tempfile::tempdir().unwrap();
    let folders = [projects[0].path(), projects[1].path()];
    let limits = [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")];
    let host = Host::start_with(data.path(), &folders, &limits);
    let list = host.call("project.list", json!({})).unwrap();
    let id = |path: &std::path::Path| {
        let path = std::fs::canonicalize(path).unwrap();
        let found = list["projects"].as_array().unwrap().iter().find(|p| p["path"] == path.to_str().unwrap()).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let (a, b) = (id(folders[0]), id(folders[1]));
    World { _projects: projects, _data: data, host, a, b }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl World {
    fn publish(&self, project: &str, n: usize, text: &str) {
        let params = json!({ "project": project, "type": "x_note", "data": { "n": n, "text": text } });
        self.host.call("event.publish", params).unwrap();
    }

    /// The place in the log at which a member was changed last.
    fn changed_at(&self, member: &str) -> u64 {
        let events = self.host.events(&["host"]);
        let last = events.iter().rev().find(|e| e["type"] == "member_updated" && e["data"]["id"] == member).unwrap();
        last["seq"].as_u64().unwrap()
    }

    fn rooms(&self) -> [String; 2] {
        [format!("project/{}/**", self.a), format!("project/{}/**", self.b)]
    }
}

/// Everything up to the end of the connection, and its close code.
async fn rest(socket: &mut Socket) -> (Vec<Value>, u16) {
    let mut frames = Vec::new();
    loop {
        match socket.next().await {
            Ok(frame) => frames.push(frame),
            Err(code) => return (frames, code),
        }
    }
}

fn newest(frames: &[Value], room: &str) -> u64 {
    frames.iter().filter(|f| f["room"] == room).filter_map(|f| f["seq"].as_u64()).max().unwrap_or(0)
}

#[test]
fn no_event_after_the_change_reaches_a_live_connection_by_the_rights_from_before() {
    let world = world();
    let (room_b, rooms) = (format!("project/{}", world.b), world.rooms());
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Events all the time, in both projects, from two sides.
        for project in [&world.a, &world.b] {
            let (world, done) = (&world, &done);
            scope.spawn(move || {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    world.publish(project, n, "live");
                    n += 1;
                }
            });
        }
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..12 {
                let (id, token) = world.host.member(&format!("member {round}"), "viewer", &[&world.a, &world.b]);
                runtime().block_on(async {
                    let mut socket = world.host.hello_as(&token, &rooms, None).await;
                    socket.next_of("synced").await;
                    // Somewhere in the stream of events, a different place each time.
                    for _ in 0..round {
                        socket.next_of("x_note").await;
                    }
                    let change = if round % 3 == 2 {
                        ("token.revoke", json!({ "member": id }), 4503)
                    } else {
                        ("member.update", json!({ "member": id, "projects": [world.a] }), 4014)
                    };
                    let host = &world.host;
                    tokio::task::block_in_place(|| host.call(change.0, change.1).unwrap());
                    let (frames, code) = rest(&mut socket).await;
                    assert_eq!(code, change.2);
                    assert_eq!(frames.last().unwrap()["type"], "bye");
                    let (seen, at) = (newest(&frames, &room_b), world.changed_at(&id));
                    assert!(seen < at, "the event {seen} was committed after the change at {at}");
                });
            }
        }));
        done.store(true, Ordering::Relaxed);
        rounds.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn a_change_in_the_middle_of_a_replay_cuts_it_off_and_the_client_goes_on_with_what_is_left() {
    let world = world();
    let (id, token) = world.host.member("Rea", "viewer", &[&world.a, &world.b]);
    let rooms = world.rooms();
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let large = "r".repeat(60_000);
    for n in 0..400 {
        world.publish(if n % 2 == 0 { &world.a } else { &world.b }, n, &large);
    }
    let epoch = world.host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap().to_owned();
    runtime().block_on(async {
        // More than the sockets hold: the replay is stuck while the rights change.
        let mut socket = world.host.hello_as(&token, &rooms, Some(&format!("{epoch}.0"))).await;
        socket.next_of("x_note").await;
        let host = &world.host;
        let change = json!({ "member": id, "projects": [world.a] });
        tokio::task::block_in_place(|| host.call("member.update", change).unwrap());
        let at = world.changed_at(&id);
        tokio::task::block_in_place(|| world.publish(&world.b, 1000, "after"));
        let (frames, code) = rest(&mut socket).await;
        assert!(frames.iter().all(|frame| frame["data"]["n"] != 1000));
        let cut = frames.iter().filter(|frame| frame["type"] == "x_note").count();
        assert!(cut < 399, "it was cut off in the middle");
        // The host waits for who does not read, but not for ever: then there is no room for a goodbye.
        assert!(matches!(code, 4014 | 1006), "{code}");
        let seen = frames.iter().filter_map(|frame| frame["seq"].as_u64()).max().unwrap_or(0);
        assert!(seen < at);
        let resumed = Some(format!("{epoch}.{seen}"));
        let mut socket = world.host.hello_as(&token, &rooms, resumed.as_deref()).await;
        let left = socket.next_of("left").await;
        assert_eq!((left["room"].as_str(), left["code"].as_str()), (Some(rooms[1]), Some("not_found")));
        let mut of_a = Vec::new();
        loop {
            let frame = socket.next().await.unwrap();
            match frame["type"].as_str().unwrap() {
                "x_note" => of_a.push(frame),
                "synced" => break,
                _ => {}
            }
        }
        assert!(of_a.iter().all(|event| event["room"] == format!("project/{}", world.a)));
        let before = frames.iter().filter(|f| f["type"] == "x_note" && f["room"] == format!("project/{}", world.a));
        let all: Vec<u64> = before.chain(&of_a).filter_map(|event| event["data"]["n"].as_u64()).collect();
        // The first one of all was read before.
        let whole: Vec<u64> = (2..400).step_by(2).collect();
        assert_eq!(all, whole, "nothing lost, nothing twice");
    });
}

#[test]
fn server_sent_events_end_with_the_rights_and_do_not_come_back() {
    let world = world();
    let (id, token) = world.host.member("Sue", "viewer", &[&world.a]);
    let bearer = format!("Bearer {token}");
    let path = format!("/api/v1/projects/{}/events", world.a);
    let headers = [("Authorization", bearer.as_str())];
    let mut last = 0;
    // The stream itself ends: nothing else ends this loop.
    sse(world.host.address(), &path, &headers, |_, frame| {
        last = frame["seq"].as_u64().unwrap_or(last);
        if frame["type"] == "synced" {
            world.publish(&world.a, 1, "before");
        }
        if frame["type"] == "x_note" {
            world.host.call("member.update", json!({ "member": id, "projects": [world.b] })).unwrap();
            world.publish(&world.a, 2, "after");
        }
        assert_ne!(frame["data"]["n"], 2);
        true
    });
    assert!(last < world.changed_at(&id));
    assert_eq!(world.host.request("GET", &path, &headers, b"").status, 404);
}

#[test]
fn a_new_role_holds_at_once_and_the_last_owner_stays_one() {
    let world = world();
    let (id, token) = world.host.member("Rolf", "operator", &[]);
    let note = json!({ "project": world.a, "type": "x_note", "data": {} });
    assert!(world.host.call_as(&token, "event.publish", &note).is_ok());
    runtime().block_on(async {
        let mut socket = world.host.hello_as(&token, &["host"], None).await;
        socket.next_of("synced").await;
        let host = &world.host;
        let change = json!({ "member": id, "role": "viewer" });
        tokio::task::block_in_place(|| host.call("member.update", change).unwrap());
        socket.send(&json!({ "type": "call", "rid": 7, "method": "event.publish", "params": note })).await;
        let (frames, code) = rest(&mut socket).await;
        assert_eq!(code, 4014);
        assert!(frames.iter().all(|frame| frame["rid"] != 7));
        let mut socket = world.host.hello_as(&token, &["host"], None).await;
        assert_eq!(socket.next_of("connection").await["role"], "viewer");
    });
    assert_eq!(world.host.call_as(&token, "event.publish", &note).unwrap_err()["code"], "forbidden");
    let owner = "m_localowner";
    for (method, params) in [
        ("token.revoke", json!({ "member": owner })),
        ("member.update", json!({ "member": owner, "role": "operator" })),
        ("member.update", json!({ "member": owner, "projects": [world.a] })),
    ] {
        assert_eq!(world.host.call(method, params.clone()).unwrap_err()["code"], "conflict", "{method} {params}");
    }
    let renamed = world.host.call("member.update", json!({ "member": owner, "name": "The owner" })).unwrap();
    assert_eq!(renamed["member"]["name"], "The owner");
    world.host.call("token.revoke", json!({ "member": id })).unwrap();
    let error = world.host.call("member.update", json!({ "member": id, "role": "owner" })).unwrap_err();
    assert_eq!(error["code"], "conflict", "who was revoked stays so");
}

#[test]
fn an_owner_of_some_projects_gives_no_more_than_it_has() {
    let world = world();
    let (_, token) = world.host.member("Olga", "owner", &[&world.a]);
    let (other, _) = world.host.member("Otto", "viewer", &[&world.b]);
    let (everywhere, _) = world.host.member("Emma", "viewer", &[]);
    let call = |method: &str, params: Value| world.host.call_as(&token, method, &params);
    let made = call("token.create", json!({ "name": "Mia", "role": "owner" })).unwrap();
    assert_eq!(made["member"]["projects"], json!([world.a]), "all of hers, not all there are");
    for (method, params) in [
        ("token.create", json!({ "name": "x", "role": "viewer", "projects": [world.b] })),
        ("member.update", json!({ "member": other, "role": "owner" })),
        ("member.update", json!({ "member": everywhere, "projects": [world.a] })),
        ("member.update", json!({ "member": made["member"]["id"], "projects": [world.b] })),
        ("token.revoke", json!({ "member": other })),
        ("project.trust", json!({ "project": world.b, "trusted": true })),
    ] {
        let error = call(method, params.clone()).unwrap_err();
        assert_eq!(error["code"], "not_found", "{method} {params}: {error}");
    }
    for (method, params) in [
        ("share.start", json!({})),
        ("share.stop", json!({})),
        ("project.open", json!({ "path": "/" })),
        ("event.list", json!({ "rooms": ["host"] })),
    ] {
        assert_eq!(call(method, params).unwrap_err()["code"], "forbidden", "{method}");
    }
    let names: Vec<Value> = call("member.list", json!({})).unwrap()["members"].as_array().unwrap().clone();
    let names: Vec<&str> = names.iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Mia", "Olga"]);
    assert_eq!(call("audit.list", json!({})).unwrap_err()["code"], "bad_request");
    assert!(call("audit.list", json!({ "project": world.a })).is_ok());
}

#[test]
fn a_token_that_runs_out_ends_its_connections() {
    let world = world();
    let made = world.host.call("token.create", json!({ "name": "short", "role": "viewer", "ttl_ms": 2500 })).unwrap();
    let token = made["token"].as_str().unwrap();
    runtime().block_on(async {
        let mut socket = world.host.hello_as(token, &["host"], None).await;
        socket.next_of("synced").await;
        let (frames, code) = rest(&mut socket).await;
        assert_eq!((code, frames.last().unwrap()["code"].as_u64()), (4005, Some(4005)));
        let mut socket = world.host.hello_as(token, &["host"], None).await;
        assert_eq!(socket.close_code().await, 4005);
    });
}

#[test]
fn one_key_makes_one_token_however_often_it_is_asked() {
    let world = world();
    let params = json!({ "name": "robot", "role": "viewer" });
    let key = [("Idempotency-Key", "make-robot-1")];
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| world.host.call_with("token.create", params.clone(), &key).unwrap()))
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let members = world.host.call("member.list", json!({})).unwrap();
    let robots = members["members"].as_array().unwrap().iter().filter(|member| member["name"] == "robot").count();
    assert_eq!(robots, 1);
    // After a restart the token is nowhere: that is said, and nothing is made.
    let World { host, _data: data, .. } = world;
    drop(host);
    let host = Host::start(data.path(), &[]);
    let error = host.call_with("token.create", params, &key).unwrap_err();
    assert_eq!(error["code"], "conflict", "{error}");
    let members = host.call("member.list", json!({})).unwrap();
    assert_eq!(members["members"].as_array().unwrap().iter().filter(|member| member["name"] == "robot").count(), 1);
}

#[test]
fn the_audit_list_says_who_did_what_and_holds_no_secret() {
    let world = world();
    let (id, token) = world.host.member("Ada", "operator", &[]);
    let start = json!({ "project": world.a, "workflow": "nothing" });
    world.host.call_as(&token, "run.start", &start).unwrap_err();
    world.host.call_as(&token, "project.list", &json!({})).unwrap();
    world.host.call_as(&token, "event.publish", &json!({ "project": world.a, "type": "x_a", "data": {} })).unwrap();
    world.host.call_as("wrong", "project.list", &json!({})).unwrap_err();
    world.host.call_as(&token, "token.create", &json!({ "name": "x", "role": "owner" })).unwrap_err();
    world.host.call("token.revoke", json!({ "member": id })).unwrap();
    let list = until("the entries", || {
        let list = world.host.call("audit.list", json!({ "limit": 500 })).unwrap();
        list.to_string().contains("token.refused").then_some(list)
    });
    let entries = list["entries"].as_array().unwrap();
    let find = |method: &str, member: &str| {
        let found = entries.iter().find(|entry| entry["method"] == method && entry["member"] == member);
        found.unwrap_or_else(|| panic!("{method} by {member} in {list:#}")).clone()
    };
    let entry = find("run.start", &id);
    assert_eq!((entry["outcome"].as_str(), entry["project"].as_str()), (Some("not_found"), Some(world.a.as_str())));
    assert_eq!((entry["target"].as_str(), entry["address"].as_str()), (Some("workflow=nothing"), Some("127.0.0.1")));
    assert_eq!(find("token.create", &id)["outcome"], "forbidden");
    assert_eq!(find("token.revoke", "m_localowner")["target"], format!("member={id}"));
    for absent in ["event.publish", "project.list"] {
        assert!(entries.iter().all(|entry| entry["method"] != absent), "{absent}");
    }
    assert!(!list.to_string().contains(&token) && !list.to_string().contains(&world.host.token));
    // In pages, the newest first, and it outlives the host.
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let mut params = json!({ "limit": 2 });
        if let Some(before) = before {
            params["before"] = json!(before);
        }
        let page = world.host.call("audit.list", params).unwrap();
        ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        before = ids.last().copied();
        if page["more"] != true {
            break;
        }
    }
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]));
    assert!(ids.len() >= entries.len());
    let World { host, _data: data, a, .. } = world;
    drop(host);
    let host = Host::start(data.path(), &[]);
    let kept = host.call("audit.list", json!({ "member": id, "project": a })).unwrap();
    assert_eq!(kept["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_company_makes_its_own_tokens_and_they_end_when_they_say() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let secret = b"what the company signs its tokens with";
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("secret");
    std::fs::write(&file, secret).unwrap();
    let project = Project::new(&[]);
    let host = Host::start_with(
        data.path(),
        &[project.path()],
        &[
            ("SIGNALBOX_AUTH_JWT_SECRET_FILE", file.to_str().unwrap()),
            ("SIGNALBOX_AUTH_JWT_ISSUER", "https://id.example"),
        ],
    );
    let id = host.project_id();
    let now = signalbox_model::Clock::now(&signalbox_model::SystemClock) / 1000;
    let sign = |claims: Value, key: &[u8]| {
        let mut all = json!({ "iss": "https://id.example", "sub": "ada", "role": "operator", "exp": now + 3600 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        encode(&Header::new(Algorithm::HS256), &all, &EncodingKey::from_secret(key)).unwrap()
    };
    let token = sign(json!({ "name": "Ada", "projects": [id] }), secret);
    assert!(host.call_as(&token, "project.get", &json!({ "project": id })).is_ok());
    assert_eq!(host.call_as(&token, "audit.list", &json!({})).unwrap_err()["code"], "forbidden");
    let forged = sign(json!({ "role": "owner" }), b"what somebody else signs their tokens with");
    assert_eq!(host.call_as(&forged, "project.list", &json!({})).unwrap_err()["code"], "unauthorized");
    let members = host.call("member.list", json!({})).unwrap();
    let ada = members["members"].as_array().unwrap().iter().find(|member| member["name"] == "Ada").unwrap().clone();
    assert_eq!((ada["issuer"].as_str(), ada["role"].as_str()), (Some("https://id.example"), Some("operator")));
    let change = json!({ "member": ada["id"], "role": "owner" });
    assert_eq!(host.call("member.update", change).unwrap_err()["code"], "conflict", "its token says what it may do");
    runtime().block_on(async {
        let short = sign(json!({ "exp": now + 3 }), secret);
        let mut socket = host.hello_as(&short, &["activity"], None).await;
        socket.next_of("connection").await;
        assert_eq!(socket.close_code().await, 4005);
        let mut socket = host.hello_as(&token, &[&format!("project/{id}")], None).await;
        socket.next_of("synced").await;
        tokio::task::block_in_place(|| host.call("token.revoke", json!({ "member": ada["id"] })).unwrap());
        assert_eq!(socket.close_code().await, 4503);
    });
    assert_eq!(
        host.call_as(&token, "project.list", &json!({})).unwrap_err()["code"],
        "unauthorized",
        "revoked is revoked"
    );
}
