//! Who gets in, and who does not.

use serde_json::{Value, json};

use crate::support::{Host, Project, Socket, guess_until_refused, request};

fn host() -> (Project, tempfile::TempDir, Host) {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_LIMITS_HELLO_MS", "500")]);
    (project, data, host)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Every path of the list of routes, with something put in for its parameters.
fn paths(host: &Host) -> Vec<(String, String, bool)> {
    let routes = host.call("system.routes", json!({})).unwrap();
    let each = routes["routes"].as_array().unwrap().iter().map(|route| {
        let path = route["path"].as_str().unwrap();
        let path = path.replace("{project}", &host.project_id()).replace("{method}", "project.list");
        let path = path.replace("{hash}", &"0".repeat(64)).replace("{name}", "error");
        (route["method"].as_str().unwrap().to_owned(), path, route["role"].is_string())
    });
    each.collect()
}

#[test]
fn no_token_and_a_wrong_one_are_refused_on_every_path() {
    let (_project, _data, host) = host();
    let mut guarded = 0;
    for (method, path, needs_token) in paths(&host) {
        if !needs_token {
            continue;
        }
        guarded += 1;
        for headers in [
            &[][..],
            &[("Authorization", "Bearer wrong")][..],
            &[("Authorization", "Basic abc")][..],
            &[("Cookie", "signalbox_session=wrong")][..],
        ] {
            let status = host.request(&method, &path, headers, b"{}").status;
            // A WebSocket is refused after the handshake, by its close code; without one it is told to upgrade.
            let upgrade = path == "/api/v1/ws" && !headers.iter().any(|(name, _)| *name == "Authorization");
            assert_eq!(status, if upgrade { 426 } else { 401 }, "{method} {path} with {headers:?}");
        }
    }
    assert!(guarded >= 12);
}

#[test]
fn a_foreign_host_or_origin_is_refused_on_every_path_loopback_included() {
    let (_project, _data, host) = host();
    let bearer = format!("Bearer {}", host.token);
    for (method, path, _) in paths(&host) {
        for foreign in
            [("Host", "evil.example"), ("Host", "127.0.0.1"), ("Origin", "http://evil.example"), ("Origin", "null")]
        {
            let response = host.request(&method, &path, &[("Authorization", &bearer), foreign], b"{}");
            assert_eq!(response.status, 403, "{method} {path} with {foreign:?}");
        }
    }
    runtime().block_on(async {
        let origin = [("origin", "http://evil.example")];
        assert_eq!(host.websocket("/api/v1/ws", &origin).await.err(), Some(403), "cross-site WebSocket hijacking");
    });
}

#[test]
fn a_token_in_the_url_is_refused_even_if_it_is_right() {
    let (_project, _data, host) = host();
    for path in ["/api/v1/events?rooms=activity&token=", "/api/v1/health?access_token=", "/api/v1/ws?token="] {
        let response = host.request("GET", &format!("{path}{}", host.token), &[], b"");
        assert_eq!(response.status, 401, "{path}");
        assert!(response.text().contains("not taken from the URL") || path.contains("ws"), "{}", response.text());
    }
}

#[test]
fn a_login_code_works_once_and_its_cookie_is_locked_down() {
    let (_project, data, mut host) = host();
    let code = host.call("login_code.create", json!({})).unwrap()["code"].as_str().unwrap().to_owned();
    let body = json!({ "code": code }).to_string();
    let first = host.request("POST", "/api/v1/login", &[], body.as_bytes());
    assert_eq!(first.status, 200);
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(host.request("GET", "/api/v1/session", &[("Cookie", &pair)], b"").status, 200);
    assert_eq!(host.request("POST", "/api/v1/login", &[], body.as_bytes()).status, 401, "a replayed code");
    // A browser stays logged in when the host restarts; the token of host.json does not.
    let old = host.token.clone();
    host.kill();
    drop(host);
    let host = Host::start(data.path(), &[]);
    assert_eq!(host.request("GET", "/api/v1/session", &[("Cookie", &pair)], b"").status, 200);
    assert_eq!(host.request("GET", "/api/v1/session", &[("Authorization", &format!("Bearer {old}"))], b"").status, 401);
    assert_eq!(host.request("POST", "/api/v1/logout", &[("Cookie", &pair)], b"").status, 200);
    assert_eq!(host.request("GET", "/api/v1/session", &[("Cookie", &pair)], b"").status, 401);
}

#[test]
fn guessing_codes_gets_slower() {
    let (_project, _data, host) = host();
    guess_until_refused(|n| {
        host.request("POST", "/api/v1/login", &[], json!({ "code": format!("guess{n}") }).to_string().as_bytes()).status
    });
}

#[test]
fn a_viewer_sees_and_cannot_act_and_a_revoked_one_is_out_at_once() {
    let (_project, _data, host) = host();
    let id = host.project_id();
    let made = host.call("token.create", json!({ "name": "eve", "role": "viewer", "projects": [id] })).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let call = |method: &str, params: Value| {
        host.request(
            "POST",
            &format!("/api/v1/call/{method}"),
            &[("Authorization", &bearer)],
            params.to_string().as_bytes(),
        )
        .status
    };
    assert_eq!(call("project.get", json!({ "project": id })), 200);
    assert_eq!(call("run.start", json!({ "project": id, "workflow": "w" })), 403);
    assert_eq!(call("token.create", json!({ "name": "x", "role": "owner" })), 403);
    assert_eq!(call("project.get", json!({ "project": "another" })), 404);
    assert_eq!(call("event.list", json!({ "rooms": ["host"] })), 403);
    assert_eq!(host.request("GET", "/metrics", &[("Authorization", &bearer)], b"").status, 403);
    runtime().block_on(async {
        let mut socket: Socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
        socket.send(&json!({ "type": "hello", "v": 1, "token": token, "client": { "name": "t", "version": "1" }, "rooms": [format!("project/{id}"), "host"] })).await;
        assert_eq!(socket.next_of("left").await["room"], "host");
        socket.next_of("synced").await;
        host.call("token.revoke", json!({ "member": made["member"]["id"] })).unwrap();
        assert_eq!(socket.close_code().await, 4503);
    });
    assert_eq!(call("project.get", json!({ "project": id })), 401);
}

#[test]
fn malformed_oversized_and_silent_clients_are_closed_with_their_code() {
    let (_project, _data, host) = host();
    runtime().block_on(async {
        let hello = json!({ "type": "hello", "v": 1, "token": host.token, "client": { "name": "t", "version": "1" }, "rooms": ["host"] });
        let big = json!({ "type": "call", "rid": 1, "method": "x".repeat(70_000) });
        let cases = [
            (vec![], 4502),
            (vec![json!({ "type": "pong" })], 4502),
            (vec![json!({ "type": "hello", "v": 9, "token": host.token, "client": { "name": "t", "version": "1" } })], 4506),
            (vec![json!({ "type": "hello", "v": 1, "token": "wrong", "client": { "name": "t", "version": "1" } })], 4500),
            (vec![json!({ "type": "hello", "v": 1, "client": { "name": "t", "version": "1" } })], 4500),
            (vec![json!({ "type": "hello" })], 4501),
            (vec![hello.clone(), json!({ "type": "nonsense" })], 4501),
            (vec![hello.clone(), json!([1, 2, 3])], 4501),
            (vec![hello.clone(), hello.clone()], 4501),
            (vec![hello.clone(), big], 4501),
        ];
        for (frames, code) in cases {
            let mut socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
            for frame in &frames {
                socket.send(frame).await;
            }
            assert_eq!(socket.close_code().await, code, "{:.200}", json!(frames).to_string());
        }
        // A thousand rooms are refused, and the connection goes on.
        let mut socket = host.hello(&["host"], None).await;
        socket.next_of("synced").await;
        let rooms: Vec<String> = (0..1000).map(|n| format!("project/p{n}")).collect();
        socket.send(&json!({ "type": "subscribe", "rid": 5, "rooms": rooms })).await;
        assert_eq!(socket.next_of("reply").await["error"]["code"], "limit_exceeded");
        socket.send(&json!({ "type": "call", "rid": 6, "method": "project.list" })).await;
        assert!(socket.next_of("reply").await["result"]["projects"].is_array());
    });
}

#[test]
fn too_many_calls_are_told_when_to_try_again() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "5")]);
    let bearer = format!("Bearer {}", host.token);
    let answers: Vec<_> =
        (0..40).map(|_| host.request("GET", "/api/v1/session", &[("Authorization", &bearer)], b"")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    let error: Value = serde_json::from_slice(&refused[0].body).unwrap();
    assert!(error["error"]["retry_after_ms"].as_u64().unwrap() > 0);
    drop(project);
}

#[test]
fn the_same_instance_connecting_again_closes_the_first() {
    let (_project, _data, host) = host();
    runtime().block_on(async {
        let hello = json!({ "type": "hello", "v": 1, "token": host.token, "client": { "name": "t", "version": "1", "instance": "one" }, "rooms": ["host"] });
        let mut first = host.websocket("/api/v1/ws", &[]).await.unwrap();
        first.send(&hello).await;
        first.next_of("synced").await;
        let mut second = host.websocket("/api/v1/ws", &[]).await.unwrap();
        second.send(&hello).await;
        second.next_of("synced").await;
        assert_eq!(first.close_code().await, 4503);
    });
}

#[test]
fn line_breaks_in_headers_and_hostile_names_do_no_harm() {
    let (_project, _data, host) = host();
    let id = host.project_id();
    for name in ["__proto__", "constructor", "a\r\nb", "\u{202e}evil"] {
        let result = host.call("event.publish", json!({ "project": id, "type": "x_name", "data": { name: name } }));
        assert!(result.is_ok(), "{name:?}");
        let misleads = name.contains(['\r', '\u{202e}']);
        assert!(host.call("token.create", json!({ "name": name, "role": "viewer" })).is_ok() != misleads, "{name:?}");
    }
    // One event is one SSE message, whatever is in it.
    let bearer = format!("Bearer {}", host.token);
    let mut messages = 0;
    let cursor = format!("{}.0", host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap());
    crate::support::sse(
        host.address(),
        &format!("/api/v1/events?rooms=project/{id}&after={cursor}"),
        &[("Authorization", &bearer)],
        |_, frame| {
            messages += usize::from(frame["type"] == "x_name");
            frame["type"] != "synced"
        },
    );
    assert_eq!(messages, 4);
    assert!(request(host.address(), "GET", "/healthz", &[("X-Test", "a\r\nInjected: 1")], b"").is_some());
}

#[test]
fn metrics_have_a_listener_of_their_own_if_wished() {
    let data = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: the setting takes no 0, since a scraper must know it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let host = Host::start_with(data.path(), &[], &[("SIGNALBOX_HOST_METRICS_LISTEN", &free)]);
    host.call("project.list", json!({})).unwrap();
    let answer = request(&free, "GET", "/metrics", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for name in [
        "signalbox_log_head",
        "signalbox_connections{transport=\"websocket\"}",
        "signalbox_call_duration_seconds_bucket",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    assert_eq!(host.request("GET", "/metrics", &[], b"").status, 401);
}
