//! A host that others reach: over TLS, by invitation, with the rights that they have.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    process::Output,
};

use serde_json::{Value, json};

use crate::{
    secure::Door,
    support::{Host, PATIENCE, Project, command, guess_until_refused, request, run, stderr, stdout, until},
};

fn host() -> (Project, tempfile::TempDir, Host) {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(
        data.path(),
        &[project.path()],
        &[("SIGNALBOX_LIMITS_HELLO_MS", "1000"), ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")],
    );
    (project, data, host)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn publish(host: &Host, project: &str, n: usize, text: &str) {
    let params = json!({ "project": project, "type": "x_note", "data": { "n": n, "text": text } });
    host.call("event.publish", params).unwrap();
}

fn invite(host: &Host, params: Value) -> Value {
    host.call("invite.create", params).unwrap()
}

#[test]
fn nothing_is_shared_until_it_is_and_then_every_transport_works() {
    let (_project, _data, host) = host();
    let id = host.project_id();
    assert_eq!(host.call("share.status", json!({})).unwrap()["state"], "off");
    let door = Door::open(&host);
    assert_eq!(door.fingerprint.len(), 64);
    let status = host.call("share.status", json!({})).unwrap();
    assert_eq!(status["urls"], json!([format!("https://{}", door.address)]));
    assert_eq!(status["own_certificate"], false);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        assert_eq!(door.request_by(&[version], "GET", "/healthz", &[], b"").unwrap().status, 200, "{version:?}");
    }
    assert_eq!(door.call(&host.token, "project.list", json!({})).unwrap()["projects"][0]["id"], id.as_str());
    // The same events over both, large and small, and many at once.
    let room = format!("project/{id}/**");
    runtime().block_on(async {
        let mut socket = door.hello(&host.token, &[&room], None).await;
        let cursor = socket.next_of("synced").await["cursor"].as_str().unwrap().to_owned();
        let large = "x".repeat(100_000);
        for n in 0..300 {
            publish(&host, &id, n, if n % 20 == 0 { &large } else { "small" });
        }
        let mut seen = Vec::new();
        while seen.len() < 300 {
            let event = socket.next_of("x_note").await;
            assert_eq!(event["data"]["text"].as_str().unwrap().len(), if seen.len() % 20 == 0 { 100_000 } else { 5 });
            seen.push(event);
        }
        assert!(seen.iter().enumerate().all(|(n, event)| event["data"]["n"] == n));
        let mut streamed = Vec::new();
        door.sse(&format!("/api/v1/events?rooms={room}&after={cursor}"), &host.token, |frame| {
            if frame["type"] == "x_note" {
                streamed.push(frame);
            }
            streamed.len() < 300
        });
        assert_eq!(streamed, seen);
    });
}

#[test]
fn a_reader_that_stalls_over_tls_gets_the_rest_when_it_reads_on() {
    let (_project, _data, host) = host();
    let (id, door) = (host.project_id(), Door::open(&host));
    runtime().block_on(async {
        let mut socket = door.hello(&host.token, &[&format!("project/{id}")], None).await;
        socket.next_of("synced").await;
        // More than any socket buffer holds, unread.
        let large = "y".repeat(200_000);
        for n in 0..80 {
            publish(&host, &id, n, &large);
        }
        for n in 0..80 {
            let event = socket.next_of("x_note").await;
            assert_eq!((event["data"]["n"].as_u64(), event["data"]["text"].as_str()), (Some(n), Some(large.as_str())));
        }
    });
}

#[test]
fn only_its_own_names_pages_and_tokens_get_in() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let bearer = format!("Bearer {}", host.token);
    let port = door.address.split(':').nth(1).unwrap().to_owned();
    let local = host.address().to_owned();
    for foreign in [
        ("Host", "evil.example"),
        ("Host", format!("evil.example:{port}").as_str()),
        ("Host", "127.0.0.1"),
        // The other listener's name: each knows its own port.
        ("Host", local.as_str()),
        ("Origin", "null"),
        ("Origin", "https://evil.example"),
    ] {
        for path in ["/", "/healthz", "/api/v1/session", "/api/v1/join", "/api/v1/ws"] {
            let answer = door.request("GET", path, &[("Authorization", &bearer), foreign], b"").unwrap();
            assert_eq!(answer.status, 403, "{foreign:?} on {path}");
        }
    }
    let own = format!("https://{}", door.address);
    let good = door.request("GET", "/api/v1/session", &[("Authorization", &bearer), ("Origin", &own)], b"").unwrap();
    assert_eq!(good.status, 200);
    assert_eq!(door.request("GET", "/api/v1/session", &[], b"").unwrap().status, 401);
    runtime().block_on(async {
        assert_eq!(door.websocket("/api/v1/ws", &[("origin", "https://evil.example")]).await.err(), Some(403));
    });
}

#[test]
fn without_tls_one_is_told_and_a_slow_handshake_is_ended() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let answer = request(&door.address, "GET", "/", &[], b"").unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    // Nothing at all, and a hello that stops in the middle.
    for start in [&b""[..], &[22, 3, 1, 2, 0, 1, 0][..]] {
        let mut slow = TcpStream::connect(&door.address).unwrap();
        slow.set_read_timeout(Some(PATIENCE)).unwrap();
        slow.write_all(start).unwrap();
        let mut rest = Vec::new();
        // Ended by the host, with or without a reset.
        match slow.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
    assert_eq!(door.request("GET", "/healthz", &[], b"").unwrap().status, 200);
}

#[test]
fn what_is_shared_stays_so_after_a_restart_until_it_is_stopped() {
    let (_project, data, mut host) = host();
    let door = Door::open(&host);
    host.kill();
    drop(host);
    let host = Host::start(data.path(), &[]);
    let again = Door::of(&until("the host to be shared again", || {
        host.call("share.status", json!({})).ok().filter(|sharing| sharing["state"] == "on")
    }));
    assert_eq!(
        (again.address.as_str(), again.fingerprint.as_str()),
        (door.address.as_str(), door.fingerprint.as_str())
    );
    runtime().block_on(async {
        let mut socket = again.hello(&host.token, &["host"], None).await;
        socket.next_of("synced").await;
        assert_eq!(host.call("share.stop", json!({})).unwrap()["state"], "off");
        assert_eq!(socket.next_of("bye").await["code"], 4001);
        assert_eq!(socket.close_code().await, 4001);
    });
    assert!(TcpStream::connect(&again.address).is_err(), "the door is shut");
    assert_eq!(host.request("GET", "/healthz", &[], b"").status, 200, "this machine still reaches it");
    drop(host);
    let host = Host::start(data.path(), &[]);
    assert_eq!(host.call("share.status", json!({})).unwrap()["state"], "off");
    #[cfg(unix)]
    for file in ["key.pem", "certificate.pem"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.path().join("tls").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn an_address_that_is_taken_is_said_and_only_owners_share() {
    let (_project, _data, host) = host();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = host.call("share.start", json!({ "bind": "127.0.0.1", "port": port })).unwrap_err();
    assert_eq!(error["code"], "conflict");
    assert!(error["message"].as_str().unwrap().contains("in use"), "{error}");
    let error = host.call("share.start", json!({ "bind": "203.0.113.9", "port": 0 })).unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("no address of this machine"), "{error}");
    assert_eq!(host.call("share.start", json!({ "bind": "box.example" })).unwrap_err()["code"], "bad_request");
    assert_eq!(host.call("share.status", json!({})).unwrap()["state"], "off");
    let error = host.call("invite.create", json!({ "role": "viewer" })).unwrap_err();
    assert_eq!(error["code"], "conflict", "nobody could follow it");
    let token = host.call("token.create", json!({ "name": "Oda", "role": "operator" })).unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    for method in ["share.start", "share.stop", "invite.create", "invite.list", "audit.list"] {
        let path = format!("/api/v1/call/{method}");
        assert_eq!(host.request("POST", &path, &[("Authorization", &bearer)], b"{}").status, 403, "{method}");
    }
}

#[test]
fn somebody_joins_by_invitation_once() {
    let (_project, data, host) = host();
    let (id, door) = (host.project_id(), Door::open(&host));
    let made = invite(&host, json!({ "role": "operator", "projects": [id], "name": "for Ada" }));
    let code = made["code"].as_str().unwrap().to_owned();
    assert!(code.len() >= 26, "at least 128 bits");
    assert_eq!(made["link"], format!("https://{}/join#{code}.{}", door.address, door.fingerprint));
    assert_eq!(made["app_link"], format!("signalbox://join/{}#{code}.{}", door.address, door.fingerprint));
    assert!(made["qr"].as_str().unwrap().contains("<svg"));
    // In a URL a code is refused, right as it is.
    let answer = door.request("POST", &format!("/api/v1/join?code={code}"), &[], b"{}").unwrap();
    assert_eq!(answer.status, 401);
    let answer = door.post("/api/v1/join", &[], &json!({ "code": code, "name": "Ada" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let joined: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((joined["role"].as_str(), joined["projects"][0].as_str()), (Some("operator"), Some(id.as_str())));
    let token = joined["token"].as_str().unwrap();
    assert_eq!(door.call(token, "project.get", json!({ "project": id })).unwrap()["project"]["id"], id.as_str());
    let members = host.call("member.list", json!({})).unwrap();
    let ada = members["members"].as_array().unwrap().iter().find(|member| member["name"] == "Ada").unwrap().clone();
    assert_eq!(ada["invited_by"], "m_localowner");
    // A second time, and what is wrong in other ways.
    let refused = |code: &str| {
        let answer = door.post("/api/v1/join", &[], &json!({ "code": code, "name": "Eve" }));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body["error"]["details"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&code), (403, "used_up".into()));
    assert_eq!(refused("0".repeat(32).as_str()), (401, String::new()));
    let taken_back = invite(&host, json!({ "role": "viewer" }));
    host.call("invite.revoke", json!({ "invite": taken_back["invite"]["id"] })).unwrap();
    assert_eq!(refused(taken_back["code"].as_str().unwrap()), (403, "revoked".into()));
    let short = invite(&host, json!({ "role": "viewer", "ttl_ms": 1 }));
    until("it to expire", || (refused(short["code"].as_str().unwrap()) == (403, "expired".into())).then_some(()));
    let list = host.call("invite.list", json!({})).unwrap();
    assert_eq!(list["invites"].as_array().unwrap().len(), 3);
    let used = list["invites"].as_array().unwrap().iter().find(|invite| invite["name"] == "for Ada").unwrap();
    assert_eq!(used["joined"], json!([ada["id"]]));
    assert!(!list.to_string().contains(&code), "shown once");
    // Neither the code nor the token is anywhere in the data folder.
    for secret in [code.as_bytes(), token.as_bytes()] {
        for file in ["log.db", "log.db-wal", "share.json", "host.json"] {
            let content = std::fs::read(data.path().join(file)).unwrap_or_default();
            assert!(!content.windows(secret.len()).any(|window| window == secret), "{file}");
        }
    }
}

#[test]
fn an_invitation_gives_no_more_than_who_made_it_still_has() {
    let (_project, _data, host) = host();
    let sharing = host.call("share.start", json!({ "bind": "127.0.0.1", "port": 0 })).unwrap();
    let door = Door::of(&sharing);
    for (n, change) in ["revoke", "demote", "narrow"].into_iter().enumerate() {
        let (id, token) = host.member(&format!("giver {n}"), "owner", &[]);
        let made = host.call_as(&token, "invite.create", &json!({ "role": "owner", "uses": 2 })).unwrap();
        let join = |name: &str| door.post("/api/v1/join", &[], &json!({ "code": made["code"], "name": name })).status;
        assert_eq!(join(&format!("early {n}")), 200);
        let project = host.project_id();
        match change {
            "revoke" => host.call("token.revoke", json!({ "member": id })),
            "demote" => host.call("member.update", json!({ "member": id, "role": "operator" })),
            _ => host.call("member.update", json!({ "member": id, "projects": [project] })),
        }
        .unwrap();
        assert_eq!(join(&format!("late {n}")), 403, "{change}");
    }
    // A login code ends with its member as well.
    let (id, token) = host.member("leaver", "viewer", &[]);
    let code = host.call_as(&token, "login_code.create", &json!({})).unwrap()["code"].take();
    host.call("token.revoke", json!({ "member": id })).unwrap();
    let body = json!({ "code": code }).to_string();
    assert_eq!(host.request("POST", "/api/v1/login", &[], body.as_bytes()).status, 401);
}

#[test]
fn a_name_is_one_members_and_shows_something() {
    let (_project, _data, host) = host();
    let (id, _) = host.member("Ada", "operator", &[]);
    let refused = |method: &str, params: Value| host.call(method, params).unwrap_err()["code"].take();
    assert_eq!(refused("token.create", json!({ "name": "aDA", "role": "viewer" })), "conflict");
    let (other, _) = host.member("Bea", "viewer", &[]);
    assert_eq!(refused("member.update", json!({ "member": other, "name": "ada" })), "conflict");
    assert!(host.call("member.update", json!({ "member": id, "name": "ADA" })).is_ok(), "its own in another case");
    for name in ["\u{3164}", "\u{2800}", "x\u{ad}z", "a\u{fe0f}", "\u{e0041}a"] {
        assert_eq!(refused("token.create", json!({ "name": name, "role": "viewer" })), "bad_request", "{name:?}");
    }
    host.call("token.revoke", json!({ "member": id })).unwrap();
    assert!(host.call("token.create", json!({ "name": "Ada", "role": "viewer" })).is_ok(), "it is free again");
}

#[test]
fn a_browser_gets_a_cookie_and_never_the_token() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let code = invite(&host, json!({ "role": "viewer" }))["code"].clone();
    let own = format!("https://{}", door.address);
    let answer =
        door.post("/api/v1/join", &[("Origin", &own)], &json!({ "code": code, "name": "Bea", "session": true }));
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("token"));
    let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(door.request("GET", "/api/v1/session", &[("Cookie", pair)], b"").unwrap().status, 200);
}

#[test]
fn sixteen_who_redeem_one_use_at_once_make_one_member() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let code = invite(&host, json!({ "role": "viewer" }))["code"].as_str().unwrap().to_owned();
    let start = std::sync::Barrier::new(16);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..16)
            .map(|n| {
                let (door, code, start) = (&door, &code, &start);
                scope.spawn(move || {
                    start.wait();
                    door.post("/api/v1/join", &[], &json!({ "code": code, "name": format!("one of {n}") })).status
                })
            })
            .collect();
        each.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts = BTreeMap::new();
    statuses.iter().for_each(|status| *counts.entry(*status).or_insert(0) += 1);
    assert_eq!(counts, BTreeMap::from([(200, 1), (403, 15)]));
    assert_eq!(host.call("member.list", json!({})).unwrap()["members"].as_array().unwrap().len(), 2);
}

#[test]
fn guessing_invitations_gets_slower_and_names_that_mislead_are_refused() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let code = invite(&host, json!({ "role": "viewer", "uses": 3 }))["code"].clone();
    let join = |name: &str| {
        let answer = door.post("/api/v1/join", &[], &json!({ "code": code, "name": name }));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    for bad in ["", "a\r\nSet-Cookie: x=y", "a\u{0}b", "\u{202e}adA", "A\u{200b}da", "engine", &"x".repeat(61)] {
        assert_eq!(join(bad), (400, "bad_request".into()), "{bad:?}");
    }
    assert_eq!(join("__proto__").0, 200);
    assert_eq!(join("__PROTO__"), (409, "conflict".into()), "one name, one member");
    assert_eq!(join("<img src=x onerror=alert(1)>").0, 200);
    guess_until_refused(|n| {
        door.post("/api/v1/join", &[], &json!({ "code": format!("guess{n:027}"), "name": "x" })).status
    });
    let entries = host.call("audit.list", json!({ "limit": 500 })).unwrap();
    let joins = entries["entries"].as_array().unwrap().iter().filter(|entry| entry["method"] == "join");
    let outcomes: Vec<_> = joins.map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "ok").count(), 2);
    assert!(outcomes.iter().filter(|outcome| *outcome == "unauthorized").count() >= 5);
}

fn cli(home: &std::path::Path, arguments: &[&str]) -> Output {
    run(command(home).args(arguments).env("USER", "ada"))
}

#[test]
fn the_command_line_shares_invites_joins_and_follows() {
    let (_project, data, host) = host();
    let id = host.project_id();
    let told = cli(data.path(), &["share", "start", "127.0.0.1:0"]);
    assert!(stdout(&told).contains("https://127.0.0.1:"), "{}{}", stdout(&told), stderr(&told));
    let made = cli(data.path(), &["invite", "--role", "operator", "--project", &id, "--ttl", "1h"]);
    let link = stdout(&made)
        .lines()
        .find(|line| line.starts_with("https://"))
        .unwrap_or_else(|| panic!("{}", stderr(&made)))
        .to_owned();
    let as_json = cli(data.path(), &["invite", "--role", "viewer", "--json"]);
    let as_json: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert!(as_json["link"].as_str().unwrap().starts_with("https://") && as_json.get("qr").is_none(), "{as_json}");
    // Another person's machine.
    let home = tempfile::tempdir().unwrap();
    let other = |arguments: &[&str]| cli(home.path(), arguments);
    // A link that somebody changed on its way: the key does not fit, and the invitation is not used up.
    let (before, pin) = link.rsplit_once('.').unwrap();
    let forged = format!("{before}.{}", pin.chars().rev().collect::<String>());
    let refused = other(&["join", &forged]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("not the one of the invitation"), "{}", stderr(&refused));
    let joined = other(&["join", &link, "--as", "work"]);
    assert!(joined.status.success(), "{}", stderr(&joined));
    assert!(stdout(&joined).contains("You are ada"), "{}", stdout(&joined));
    // Under another name, or at another address under the same, the token of the one that is there would be lost.
    let again = other(&["join", &link]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("joining would lose its token"), "{}", stderr(&again));
    let again = other(&["join", &link, "--as", "work"]);
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    let listed = other(&["call", "--host", "work", "project.list"]);
    assert!(stdout(&listed).contains(&format!("{id:?}")), "{}{}", stdout(&listed), stderr(&listed));
    publish(&host, &id, 1, "hello");
    let tail = other(&[
        "tail",
        "--host",
        "work",
        "--json",
        "--no-follow",
        "--room",
        &format!("project/{id}"),
        "--after",
        &format!("{}.0", epoch(&host)),
    ]);
    assert!(stdout(&tail).contains("x_note"), "{}{}", stdout(&tail), stderr(&tail));
    let hosts: Value = serde_json::from_str(&stdout(&other(&["hosts", "--json", "--wait", "100"]))).unwrap();
    assert_eq!(
        (hosts["joined"][0]["name"].as_str(), hosts["joined"][0]["member"].as_str()),
        (Some("work"), Some("ada"))
    );
    assert_eq!(other(&["call", "--host", "elsewhere", "project.list"]).status.code(), Some(2));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = home.path().join("config/hosts.json");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Without the pin nobody vouches for this host.
    let url = link.split("/join").next().unwrap();
    let bare = run(command(home.path())
        .args(["call", "project.list"])
        .env("SIGNALBOX_URL", url)
        .env("SIGNALBOX_TOKEN", &host.token));
    assert_eq!(bare.status.code(), Some(3));
    assert!(stderr(&bare).contains("nobody vouches"), "{}", stderr(&bare));
    assert!(stdout(&cli(data.path(), &["share", "stop"])).contains("Not shared"));
}

fn epoch(host: &Host) -> String {
    host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap().to_owned()
}

#[test]
fn no_token_that_is_wrong_revoked_or_expired_opens_any_path() {
    let (_project, _data, host) = host();
    let door = Door::open(&host);
    let id = host.project_id();
    let (member, revoked) = host.member("gone", "owner", &[]);
    host.call("token.revoke", json!({ "member": member })).unwrap();
    let short = host.call("token.create", json!({ "name": "short", "role": "owner", "ttl_ms": 1 })).unwrap();
    let expired = short["token"].as_str().unwrap().to_owned();
    until("it to expire", || host.call_as(&expired, "project.list", &json!({})).err());
    let routes = host.call("system.routes", json!({})).unwrap();
    let mut guarded = 0;
    for route in routes["routes"].as_array().unwrap().iter().filter(|route| route["role"].is_string()) {
        let path = route["path"].as_str().unwrap().replace("{project}", &id).replace("{method}", "project.list");
        let path = path.replace("{hash}", &"0".repeat(64)).replace("{name}", "error");
        guarded += 1;
        for token in ["", "wrong", &revoked, &expired, "a.b.c"] {
            let bearer = format!("Bearer {token}");
            let cookie = format!("signalbox_session={token}");
            let method = route["method"].as_str().unwrap();
            let answer = door.request(method, &path, &[("Authorization", &bearer)], b"{}").unwrap();
            assert_eq!(answer.status, 401, "{method} {path} with {token:?}");
            // The handshake of the full WebSocket goes through, and its close code says no.
            if path != "/api/v1/ws" {
                let answer = door.request(method, &path, &[("Cookie", &cookie)], b"{}").unwrap();
                assert_eq!(answer.status, 401, "{method} {path} with the cookie {token:?}");
            }
        }
    }
    assert!(guarded >= 12);
    runtime().block_on(async {
        for (token, code) in [("", 4500), ("wrong", 4500), (&*revoked, 4500), (&*expired, 4005), ("a.b.c", 4500)] {
            let mut socket = door.hello(token, &["host"], None).await;
            assert_eq!(socket.close_code().await, code, "{token:?}");
        }
    });
}
