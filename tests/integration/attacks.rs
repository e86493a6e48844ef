//! What somebody does who means harm, and what comes of it. Which attack is held by which test:
//!
//! | attack | test |
//! |---|---|
//! | no token, a wrong, revoked or expired one, on every path | `protection::no_token_and_a_wrong_one_are_refused_on_every_path`, `sharing::no_token_that_is_wrong_revoked_or_expired_opens_any_path`, `no_path_is_missing_in_the_list_of_routes`, `mcp_and_webhooks_take_no_token_of_a_member` |
//! | ids of another project, in every method | `ids_of_another_project_are_as_if_they_were_not_there_in_every_method`, `isolation` |
//! | DNS rebinding, pages of other sites, `Origin: null` | `protection::a_foreign_host_or_origin_is_refused_on_every_path_loopback_included`, `sharing::only_its_own_names_pages_and_tokens_get_in` |
//! | a token in the URL, or as a WebSocket subprotocol | `protection::a_token_in_the_url_is_refused_even_if_it_is_right`, `a_token_is_nothing_in_a_path_or_a_subprotocol` |
//! | line ends in what is repeated in headers and streams | `line_ends_stay_within_what_they_came_in`, `protection::line_breaks_in_headers_and_hostile_names_do_no_harm` |
//! | oversized bodies and frames | `attacks_bytes::bodies_that_are_too_large_or_compressed_are_not_taken`, `protection::malformed_oversized_and_silent_clients_are_closed_with_their_code` |
//! | compressed bombs | `attacks_bytes::bodies_that_are_too_large_or_compressed_are_not_taken`, `attacks_bytes::compression_of_frames_is_not_negotiated` |
//! | deep JSON, requests of thousands of parts | `attacks_bytes::json_that_is_deep_is_refused_and_the_host_goes_on`, `attacks_bytes::requests_of_thousands_of_parts_are_refused_or_bounded` |
//! | slow headers, bodies, frames and handshakes | `attacks_bytes::who_sends_drop_by_drop_is_not_waited_for`, `attacks_bytes::a_frame_that_never_ends_is_no_sign_of_life`, `sharing::without_tls_one_is_told_and_a_slow_handshake_is_ended` |
//! | a login code or an invitation used again, guessed | `protection::a_login_code_works_once_and_its_cookie_is_locked_down`, `protection::guessing_codes_gets_slower`, `sharing::somebody_joins_by_invitation_once`, `sharing::sixteen_who_redeem_one_use_at_once_make_one_member`, `sharing::guessing_invitations_gets_slower_and_names_that_mislead_are_refused` |
//! | an open connection after its rights are gone | `protection::a_viewer_sees_and_cannot_act_and_a_revoked_one_is_out_at_once`, `rights::a_change_in_the_middle_of_a_replay_cuts_it_off_and_the_client_goes_on_with_what_is_left`, `rights` |
//! | the answer to somebody else's question, by a key that was used | `a_key_gives_the_answer_of_its_own_method_only` |
//! | names that mislead | `names_that_look_like_another_members_are_refused`, `sharing::a_name_is_one_members_and_shows_something` |
//! | paths that lead out | `paths_do_not_lead_out` |
//! | request smuggling, method override, huge headers | `attacks_bytes::requests_that_two_readers_would_read_differently_are_refused`, `attacks_bytes::a_method_is_what_the_request_line_says`, `attacks_bytes::huge_headers_are_refused` |
//! | webhooks into the host's network, unsigned or repeated ones | `webhooks` |

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::support::{Host, PATIENCE, Project, Response, sse};

const WORKFLOW: &str = "signalbox: 1
name: hello
steps:
  say: { kind: command, run: \"printf 'x%.0s' $(seq 30000)\" }
  ask: { kind: approval, needs: [say], question: Go on, who: { roles: [operator, owner], self_approval: true } }
";

pub(crate) fn start(env: &[(&str, &str)]) -> (Project, tempfile::TempDir, Host) {
    let project = Project::new(&[("hello", WORKFLOW)]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], env);
    (project, data, host)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn bearer(host: &Host) -> String {
    format!("Bearer {}", host.token)
}

#[test]
fn no_path_is_missing_in_the_list_of_routes() {
    let (_project, _data, host) = start(&[]);
    let routes = host.call("system.routes", json!({})).unwrap();
    let listed: BTreeSet<&str> =
        routes["routes"].as_array().unwrap().iter().map(|route| route["path"].as_str().unwrap()).collect();
    let source = include_str!("../../crates/signalbox-net/src/http.rs");
    let served: BTreeSet<&str> =
        source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(served.len() > 15);
    let hidden: Vec<_> = served.difference(&listed).collect();
    assert!(hidden.is_empty(), "served and not listed, so that no test of all paths knows them: {hidden:?}");
}

#[test]
fn mcp_and_webhooks_take_no_token_of_a_member() {
    let (_project, _data, host) = start(&[]);
    let bearer = bearer(&host);
    let id = host.project_id();
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} }).to_string();
    for headers in [vec![], vec![("Authorization", bearer.as_str())], vec![("Authorization", "Bearer wrong")]] {
        for method in ["POST", "GET", "DELETE"] {
            let status = host.request(method, "/mcp", &headers, initialize.as_bytes()).status;
            assert!(matches!(status, 401 | 403), "{method} /mcp with {headers:?}: {status}");
        }
    }
    // Four guesses are free; a member's token is no signature.
    for headers in [vec![], vec![("Authorization", bearer.as_str())], vec![("X-Hub-Signature-256", "sha256=")]] {
        let status = host.request("POST", &format!("/api/v1/hooks/{id}/hello"), &headers, b"{}").status;
        assert_eq!(status, 401, "{headers:?}");
    }
}

/// Parameters for a method from its schema: names of things are filled in, the rest by its type if it is needed.
fn params(schema: &Value, ids: &BTreeMap<&str, Value>) -> (Value, bool) {
    let needed: Vec<&str> =
        schema["required"].as_array().map_or(Vec::new(), |all| all.iter().filter_map(Value::as_str).collect());
    let (mut made, mut names) = (json!({}), false);
    let Some(properties) = schema["properties"].as_object() else { return (made, false) };
    for (name, of) in properties {
        if let Some(id) = ids.get(name.as_str()) {
            made[name] = id.clone();
            names = true;
        } else if needed.contains(&name.as_str()) {
            made[name] = plain(name, of, schema);
        }
    }
    (made, names)
}

/// Something that fits.
fn plain(name: &str, of: &Value, schema: &Value) -> Value {
    if let Some(name) = of["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return plain(name, &schema["$defs"][name], schema);
    }
    let choice = of["enum"][0].clone();
    let one_of = of["oneOf"][0]["const"].clone();
    match name {
        "step" | "StepKey" => json!("say"),
        "url" => json!("http://127.0.0.1:9/"),
        "type" => json!("x_note"),
        "cursor" | "Cursor" | "all_until" => json!("abcdefghij.1"),
        "path" => json!("/nowhere"),
        _ if !choice.is_null() => choice,
        _ if !one_of.is_null() => one_of,
        _ => match of["type"].as_str() {
            Some("boolean") => json!(true),
            Some("integer") => json!(1),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => json!("some_words"),
        },
    }
}

#[test]
fn ids_of_another_project_are_as_if_they_were_not_there_in_every_method() {
    let (theirs, ours) = (Project::new(&[("hello", WORKFLOW)]), Project::new(&[("hello", WORKFLOW)]));
    let data = tempfile::tempdir().unwrap();
    let env = [("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"), ("SIGNALBOX_WEBHOOKS_ALLOW_PRIVATE", "true")];
    let host = Host::start_with(data.path(), &[theirs.path(), ours.path()], &env);
    let list = host.call("project.list", json!({})).unwrap();
    let id = |project: &Project| {
        let path = std::fs::canonicalize(project.path()).unwrap();
        let all = list["projects"].as_array().unwrap();
        all.iter().find(|p| p["path"] == path.to_str().unwrap()).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (their, our) = (id(&theirs), id(&ours));
    let run = host.call("run.start", json!({ "project": their, "workflow": "hello" })).unwrap()["run"].take();
    let run = run.as_str().unwrap();
    host.wait_step(run, "ask", "waiting_input");
    let (member, _) = host.member("theirs", "operator", &[&their]);
    let (_, token) = host.member("ours", "owner", &[&our]);
    let chat = host.call("chat.post", json!({ "project": their, "text": "between us" })).unwrap();
    let hook = host.call("webhook.create", json!({ "project": their, "url": "http://127.0.0.1:9/" })).unwrap();
    let invite = host.call("invite.create", json!({ "role": "viewer", "projects": [their] }));
    let approvals = host.call("approval.list", json!({ "project": their })).unwrap();
    let blob = host.events(&[&format!("run/{run}")]);
    let blob = blob.iter().find_map(|event| event["data"]["blob"]["hash"].as_str()).expect("a blob").to_owned();
    // Each with something of the same form that is not there.
    let nowhere = |id: &Value| {
        let mut text = id.as_str().unwrap().to_owned();
        let last = text.pop().unwrap();
        text.push(if last == '0' { '1' } else { '0' });
        json!(text)
    };
    let mut there: BTreeMap<&str, Value> = BTreeMap::from([
        ("project", json!(their)),
        ("projects", json!([their])),
        ("rooms", json!([format!("project/{their}/**"), format!("run/{run}")])),
        ("run", json!(run)),
        ("approval", approvals["approvals"][0]["id"].clone()),
        ("permission", json!("q_00000000000000000000")),
        ("member", json!(member)),
        ("message", chat["message"]["id"].clone()),
        ("before_message", chat["message"]["id"].clone()),
        ("reply_to", chat["message"]["id"].clone()),
        ("webhook", hook["webhook"]["id"].clone()),
        ("hash", json!(blob)),
        ("branch", json!("main")),
        ("risk", json!("disk")),
    ]);
    // Invitations need a shared host to be made; their ids are guessed then.
    there.insert("invite", invite.map_or(json!("i_00000000000000000000"), |made| made["invite"]["id"].clone()));
    let absent: BTreeMap<&str, Value> = there
        .iter()
        .map(|(name, value)| {
            let value = match *name {
                "projects" => json!(["no-such-project"]),
                "project" => json!("no-such-project"),
                "rooms" => {
                    json!(["project/no-such-project/**", format!("run/{}", nowhere(&json!(run)).as_str().unwrap())])
                }
                _ => nowhere(value),
            };
            (*name, value)
        })
        .collect();
    let rooms = [format!("project/{their}/**")];
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let lasting = |events: Vec<Value>| events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let before = lasting(host.events(&rooms));
    let bearer = bearer(&host);
    let openapi = host.request("GET", "/api/v1/openapi.json", &[("Authorization", &bearer)], b"");
    let openapi: Value = serde_json::from_slice(&openapi.body).unwrap();
    let methods = openapi["paths"].as_object().unwrap().keys().filter_map(|path| path.strip_prefix("/api/v1/call/"));
    let (mut asked, mut without) = (0, Vec::new());
    for method in methods {
        let schema =
            host.request("GET", &format!("/api/v1/schemas/{method}.params.json"), &[("Authorization", &bearer)], b"");
        let mut schema: Value = serde_json::from_slice(&schema.body).unwrap();
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")).map(str::to_owned) {
            let defs = schema["$defs"].clone();
            schema = defs[&name].clone();
            schema["$defs"] = defs;
        }
        let (wanted, names) = params(&schema, &there);
        if !names {
            without.push(method.to_owned());
            continue;
        }
        asked += 1;
        let other = params(&schema, &absent).0;
        let (said, expected) = (host.call_as(&token, method, &wanted), host.call_as(&token, method, &other));
        let mut words = match &said {
            Ok(reply) | Err(reply) => reply.to_string(),
        };
        for (name, value) in &there {
            let (value, instead) = (value.to_string(), absent[name].to_string());
            words = words.replace(value.trim_matches(['"', '[', ']']), instead.trim_matches(['"', '[', ']']));
        }
        // What comes first in a list of rooms is named.
        let expected_words = match &expected {
            Ok(reply) | Err(reply) => reply.to_string(),
        };
        assert_eq!(words, expected_words, "{method} {wanted}");
        assert!(!words.contains("between us"), "{method}: {words}");
        if let Err(error) = &said {
            let code = error["code"].as_str().unwrap();
            assert!(matches!(code, "not_found" | "forbidden"), "{method} {wanted}: {error}");
        } else {
            // An answer, and nothing in it: lists that are asked for one thing that is not there.
            let empty = ["notice.read", "event.search", "audit.list", "approval.list", "permission.list"];
            assert!(empty.contains(&method), "{method} {wanted}: {said:?}");
        }
    }
    assert!(asked > 45, "{asked}");
    // A method that is new and names a thing by a name that is not in the table above is found here.
    let harmless = [
        "agent.list",
        "agent.test",
        "connection.close",
        "connection.list",
        "host.find",
        "invite.list",
        "login_code.create",
        "member.list",
        "notice.list",
        "notice.read",
        "profile.get",
        "profile.update",
        "project.list",
        "project.open",
        "share.start",
        "share.status",
        "share.stop",
        "system.routes",
        "system.status",
    ];
    without.retain(|method| !harmless.contains(&method.as_str()));
    assert!(without.is_empty(), "methods that no name of a thing was put into: {without:?}");
    assert_eq!(lasting(host.events(&rooms)), before, "nothing has happened in their project");
    let still = host.call("webhook.list", json!({ "project": their })).unwrap();
    assert_eq!(still["webhooks"].as_array().unwrap().len(), 1);
    // Those that name something otherwise: a folder, a connection, all of a host.
    let open = json!({ "path": theirs.path() });
    assert_eq!(host.call_as(&token, "project.open", &open).unwrap_err()["code"], "forbidden");
    for method in ["share.start", "share.stop"] {
        assert_eq!(host.call_as(&token, method, &json!({})).unwrap_err()["code"], "forbidden", "{method}");
    }
    let theirs = runtime().block_on(async {
        let mut socket = host.hello(&["host"], None).await;
        let connection = socket.next_of("connection").await["connection"].clone();
        let error = host.call_as(&token, "connection.close", &json!({ "connection": connection })).unwrap_err();
        socket.next_of("synced").await;
        error
    });
    assert_eq!(theirs["code"], "not_found");
}

#[test]
fn a_token_is_nothing_in_a_path_or_a_subprotocol() {
    let (_project, _data, host) = start(&[]);
    let (id, token) = (host.project_id(), host.token.clone());
    for path in [
        format!("/api/v1/events/{token}?rooms=activity"),
        format!("/api/v1/call/project.list/{token}"),
        format!("/{token}/api/v1/session"),
    ] {
        for method in ["GET", "POST"] {
            let answer = host.request(method, &path, &[("Accept", "application/json")], b"{}");
            assert!(matches!(answer.status, 401 | 404 | 405), "{method} {path}: {}", answer.status);
        }
    }
    for name in ["token", "access_token", "TOKEN", "authorization", "code"] {
        for path in ["/api/v1/session", "/api/v1/events", "/api/v1/ws", "/metrics", "/api/v1/openapi.json"] {
            let bearer = bearer(&host);
            let path = format!("{path}?rooms=activity&{name}={token}");
            let answer = host.request("GET", &path, &[("Authorization", &bearer)], b"");
            assert_eq!(answer.status, 401, "{path}: refused even beside a right header");
        }
    }
    runtime().block_on(async {
        let protocols = format!("signalbox.v1, bearer.{token}, {token}");
        let offered = [("sec-websocket-protocol", protocols.as_str())];
        assert_eq!(host.websocket(&format!("/api/v1/projects/{id}/ws"), &offered).await.err(), Some(401));
        let mut socket = host.websocket("/api/v1/ws", &offered).await.unwrap();
        socket
            .send(&json!({ "type": "hello", "v": 1, "client": { "name": "t", "version": "1" }, "rooms": ["host"] }))
            .await;
        assert_eq!(socket.close_code().await, 4500);
    });
    // What is answered names one protocol, and never what was offered beside it.
    let request = format!(
        "GET /api/v1/ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {token}, signalbox.v1\r\n\r\n",
        host.address()
    );
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("sec-websocket-protocol: signalbox.v1\r\n") && !head.contains(&token), "{head}");
}

#[test]
fn line_ends_stay_within_what_they_came_in() {
    let (_project, _data, host) = start(&[]);
    let id = host.project_id();
    let evil = "a\r\n\r\nevent: evil\r\ndata: {\"type\":\"evil\"}\r\nid: evil.1\u{2028}\u{85}\n\ndata: {}\n\n";
    let publish = |kind: &str, text: &str| {
        let params = json!({ "project": id, "type": kind, "data": { "text": text, text: 1 }, "priority": "high", "text": "a line" });
        host.call("event.publish", params)
    };
    publish("x_evil", evil).unwrap();
    host.call("chat.post", json!({ "project": id, "text": evil })).unwrap();
    for kind in ["x_a\r\nb", "x_a\nid: 1", "x_\u{2028}", "x_a b"] {
        assert_eq!(publish(kind, "").unwrap_err()["code"], "bad_request", "{kind:?}");
    }
    let refused = |method: &str, params: Value| host.call(method, params).unwrap_err()["code"].take();
    let url = "https://example.com/\r\nX-Injected: 1";
    assert_eq!(refused("webhook.create", json!({ "project": id, "url": url })), "bad_request");
    assert_eq!(refused("token.create", json!({ "name": "a\r\nSet-Cookie: x=y", "role": "viewer" })), "bad_request");
    assert_eq!(refused("workflow.get", json!({ "project": id, "workflow": "a\r\nb" })), "bad_request");
    let run = host.start_run("hello", json!({}));
    host.wait_step(&run, "ask", "waiting_input");
    let file = json!({ "run": run, "step": "say", "path": "a\r\nContent-Type: text/html" });
    assert!(matches!(refused("run.file", file).as_str(), Some("bad_request" | "not_found")));
    // A text for the feed, the answer's words, the name of a client, a key.
    let text = json!({ "project": id, "type": "x_line", "data": {}, "priority": "high", "text": evil });
    host.call("event.publish", text).ok();
    runtime().block_on(async {
        let mut socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
        let client = json!({ "name": evil, "version": evil, "instance": evil });
        socket
            .send(&json!({ "type": "hello", "v": 1, "token": host.token, "client": client, "rooms": ["host"] }))
            .await;
        socket.next_of("synced").await;
        let listed = host.call("connection.list", json!({})).unwrap().to_string();
        assert!(!listed.contains("\\r") && !listed.contains("\\n"), "{listed}");
    });
    // Each message of the stream is one that the host made: an id and data, or data alone.
    let epoch = host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap().to_owned();
    let (bearer, mut kinds) = (bearer(&host), BTreeSet::new());
    let path = format!("/api/v1/events?rooms=project/{id}/**,activity,host&after={epoch}.0");
    sse(host.address(), &path, &[("Authorization", &bearer)], |cursor, frame| {
        kinds.insert(frame["type"].as_str().expect("every message is a frame").to_owned());
        assert!(cursor.is_none_or(|cursor| cursor.starts_with(&epoch)));
        frame["type"] != "synced"
    });
    assert!(kinds.contains("x_evil") && kinds.contains("chat_message") && !kinds.contains("evil"), "{kinds:?}");
    // Paths and parameters that are repeated in an answer are in its body, as JSON.
    for path in [
        "/api/v1/call/a%0d%0aX-Injected:%201",
        "/api/v1/schemas/a%0d%0aX-Injected:%201",
        "/api/v1/%0d%0aX-Injected:%201",
    ] {
        let answer = host.request("POST", path, &[("Authorization", &bearer)], b"{}");
        assert!(!answer.head.to_lowercase().contains("x-injected"), "{}", answer.head);
    }
}

#[test]
fn names_that_look_like_another_members_are_refused() {
    let (_project, _data, host) = start(&[]);
    host.member("scope", "viewer", &[]);
    host.member("Ada", "owner", &[]);
    let create = |name: &str| host.call("token.create", json!({ "name": name, "role": "viewer" }));
    // All of it Cyrillic, and in capitals; then a single letter of another script, which no name has.
    for name in ["\u{455}\u{441}\u{43e}\u{440}\u{435}", "\u{405}\u{421}\u{41e}\u{420}\u{415}", "scope"] {
        assert_eq!(create(name).unwrap_err()["code"], "conflict", "{name:?}");
    }
    for name in ["\u{410}da", "Ad\u{251}\u{430}", "Ad\u{200b}a", "\u{202e}adA", "A\u{34f}da", "a\u{7}b"] {
        assert_eq!(create(name).unwrap_err()["code"], "bad_request", "{name:?}");
    }
    for name in ["__proto__", "constructor", "toString", "Иван", "李雷", "Ivan (Иван)"] {
        let made = create(name).unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(made["member"]["name"], name);
    }
    let (id, _) = host.member("Bea", "viewer", &[]);
    let renamed = host.call("member.update", json!({ "member": id, "name": "\u{405}\u{441}\u{43e}\u{440}\u{435}" }));
    assert_eq!(renamed.unwrap_err()["code"], "conflict");
}

#[test]
fn paths_do_not_lead_out() {
    let (project, data, host) = start(&[]);
    let bearer = bearer(&host);
    std::fs::write(data.path().join("outside.txt"), "not yours").unwrap();
    let get =
        |path: &str| host.request("GET", path, &[("Authorization", &bearer), ("Accept", "application/json")], b"");
    let secret = |answer: &Response| {
        let text = answer.text();
        text.contains("not yours") || text.contains(&host.token) || text.contains("root:")
    };
    for climb in ["..", "%2e%2e", "..%2f..", "%2e%2e%2f", "....//", "..%5c", "..%00", "%252e%252e"] {
        for path in [
            format!("/api/v1/blobs/{climb}/host.json"),
            format!("/api/v1/blobs/{climb}%2fhost.json"),
            format!("/assets/{climb}/{climb}/etc/passwd"),
            format!("/{climb}/{climb}/{climb}/etc/passwd"),
            format!("/api/v1/schemas/{climb}%2foutside.txt"),
            format!("/api/v1/projects/{climb}/events"),
        ] {
            let answer = get(&path);
            assert!((400..500).contains(&answer.status) && !secret(&answer), "{path}: {}", answer.status);
        }
    }
    for hash in ["", ".", "..", "A".repeat(64).as_str(), "0".repeat(63).as_str(), "0".repeat(65).as_str(), "%00"] {
        assert!((400..500).contains(&get(&format!("/api/v1/blobs/{hash}")).status), "{hash}");
    }
    let run = host.start_run("hello", json!({}));
    host.wait_step(&run, "ask", "waiting_input");
    std::os::unix::fs::symlink("/etc/passwd", project.path().join("link")).unwrap();
    for path in
        ["../outside.txt", "/etc/passwd", "link", "a/../../x", "./../x", ".git/config", "a\0b", "\\..\\x", "C:\\x"]
    {
        let file = host.call("run.file", json!({ "run": run, "step": "say", "path": path }));
        assert!(
            matches!(file.unwrap_err()["code"].as_str(), Some("bad_request" | "not_found" | "forbidden")),
            "{path:?}"
        );
        let id = host.project_id();
        for (method, params) in [
            ("workflow.validate", json!({ "project": id, "path": path })),
            ("workflow.get", json!({ "project": id, "workflow": path })),
            ("workflow.save", json!({ "project": id, "workflow": path, "text": "x" })),
            ("run.start", json!({ "project": id, "workflow": path })),
        ] {
            let answer = host.call(method, params);
            let said = answer.as_ref().map_or_else(Value::to_string, Value::to_string);
            // `link` is a name that a workflow may have: its file is elsewhere.
            let fine = method == "workflow.validate" || (method, path) == ("workflow.save", "link");
            assert!(answer.is_err() || fine, "{method} {path:?}: {said}");
            assert!(!said.contains("root:") && !said.contains("not yours"), "{method} {path:?}: {said}");
        }
    }
}

#[test]
fn a_key_gives_the_answer_of_its_own_method_only() {
    let (_project, _data, host) = start(&[]);
    let id = host.project_id();
    let key = [("Idempotency-Key", "one")];
    let made = host.call_with("token.create", json!({ "name": "Ada", "role": "viewer" }), &key).unwrap();
    let token = made["token"].as_str().unwrap();
    let chat = json!({ "project": id, "text": "hello" });
    let said = host.call_with("chat.post", chat.clone(), &key).unwrap();
    assert!(!said.to_string().contains(token) && said["message"]["text"] == "hello", "{said}");
    assert_eq!(host.call_with("chat.post", chat, &key).unwrap(), said, "once, all the same");
    assert_eq!(host.call_with("token.create", json!({ "name": "Ada", "role": "viewer" }), &key).unwrap(), made);
    // A list is not an object whose fields come in their order.
    for list in [json!([]), json!([id, "x_a", 1]), json!(null), json!("a"), json!(1)] {
        for method in ["project.list", "event.publish", "notice.list"] {
            assert_eq!(host.call(method, list.clone()).unwrap_err()["code"], "bad_request", "{method} {list}");
        }
    }
}
