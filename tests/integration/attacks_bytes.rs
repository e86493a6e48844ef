//! Attacks by how a request is written: large, deep, slow, forbidden or ambiguous bytes. The list is in `attacks.rs`.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    attacks::{bearer, runtime, start},
    support::{Host, PATIENCE, parse_response, until},
};

/// What must be true of the host after all this: it answers, and nothing of it has ended.
fn is_well(host: &mut Host) {
    assert!(host.ended().is_none(), "the host has ended");
    assert_eq!(host.request("GET", "/healthz", &[], b"").status, 200);
    host.call("project.list", json!({})).unwrap();
}

/// Bytes as they are; gives everything that comes until the host closes.
fn raw(host: &Host, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).ok();
    let mut all = Vec::new();
    // A reset ends it as well.
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "open and silent after {:?}",
            String::from_utf8_lossy(&all)
        );
    }
    all
}

#[test]
fn bodies_that_are_too_large_or_compressed_are_not_taken() {
    let (_project, _data, mut host) = start(&[("SIGNALBOX_LIMITS_BODY_BYTES", "20000")]);
    let (bearer, id) = (bearer(&host), host.project_id());
    let routes = host.call("system.routes", json!({})).unwrap();
    let posts = routes["routes"].as_array().unwrap().iter().filter(|route| route["method"] == "POST");
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(30_000));
    for route in posts {
        let path = route["path"].as_str().unwrap().replace("{project}", &id).replace("{method}", "event.publish");
        let path = path.replace("{name}", "hello");
        let answer = host.request("POST", &path, &[("Authorization", &bearer)], large.as_bytes());
        // Those that look at the token of another kind first do not come to the body.
        assert!(matches!(answer.status, 413 | 401 | 403) || path == "/api/v1/logout", "{path}: {}", answer.status);
        for encoding in ["gzip", "br", "deflate, gzip", "GZIP", "zstd"] {
            let headers = [("Authorization", bearer.as_str()), ("Content-Encoding", encoding)];
            let answer = host.request("POST", &path, &headers, b"\x1f\x8b\x08\x00");
            assert_eq!(answer.status, 415, "{path} with {encoding}");
        }
    }
    let plain = [("Authorization", bearer.as_str()), ("Content-Encoding", "identity")];
    assert_eq!(host.request("POST", "/api/v1/call/project.list", &plain, b"{}").status, 200);
    // A length that is said and never comes costs nothing: it is refused, or waited for as long as any body.
    let huge = format!(
        "POST /api/v1/call/project.list HTTP/1.1\r\nHost: {}\r\nAuthorization: {bearer}\r\nContent-Length: 999999999999\r\n\r\n{{",
        host.address()
    );
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(huge.as_bytes()).unwrap();
    is_well(&mut host);
    drop(stream);
}

#[test]
fn compression_of_frames_is_not_negotiated() {
    let (_project, _data, mut host) = start(&[]);
    let request = format!(
        "GET /api/v1/ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
        host.address()
    );
    // A frame with the bit that says it is compressed (RFC 7692, section 6): refused, not unpacked.
    let mut bytes = request.into_bytes();
    bytes.extend([0xc1, 0x85, 0, 0, 0, 0, 0x4a, 0x4c, 0x4a, 0x06, 0x00]);
    let answer = raw(&host, &bytes);
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(text.starts_with("http/1.1 101") && !text.contains("sec-websocket-extensions"), "{text}");
    let code = answer.windows(4).any(|bytes| bytes[2..] == 4501u16.to_be_bytes());
    assert!(code, "closed with 4501: {answer:?}");
    is_well(&mut host);
}

#[test]
fn json_that_is_deep_is_refused_and_the_host_goes_on() {
    let (_project, _data, mut host) = start(&[]);
    let (bearer, id) = (bearer(&host), host.project_id());
    let deep = |n: usize, open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    for inner in [deep(100_000, "[", "]"), deep(60_000, "{\"a\":", "}"), "[".repeat(200_000)] {
        for (path, body) in [
            ("/api/v1/call/event.publish", format!("{{\"project\":\"{id}\",\"type\":\"x_deep\",\"data\":{inner}}}")),
            (
                "/api/v1/call/run.start",
                format!("{{\"project\":\"{id}\",\"workflow\":\"hello\",\"inputs\":{{\"a\":{inner}}}}}"),
            ),
            ("/api/v1/call/project.list", inner.clone()),
            ("/api/v1/login", inner.clone()),
            ("/api/v1/join", inner.clone()),
            (&*format!("/api/v1/agui/{id}"), format!("{{\"threadId\":\"t\",\"runId\":\"r\",\"state\":{inner}}}")),
        ] {
            let answer = host.request("POST", path, &[("Authorization", &bearer)], body.as_bytes());
            assert!((400..500).contains(&answer.status), "{path}: {} {:.200}", answer.status, answer.text());
        }
    }
    runtime().block_on(async {
        let mut socket = host.hello(&["host"], None).await;
        socket.next_of("synced").await;
        let frame = format!(
            "{{\"type\":\"call\",\"rid\":1,\"method\":\"event.publish\",\"params\":{}}}",
            deep(20_000, "[", "]")
        );
        socket.0.send(Message::text(frame)).await.unwrap();
        // Refused as a call, or with the connection.
        let refused = loop {
            match socket.next().await {
                Ok(frame) if frame["type"] == "reply" => break frame["error"]["code"] == "bad_request",
                Ok(_) => {}
                Err(code) => break code == 4501,
            }
        };
        assert!(refused, "a deep frame is taken");
    });
    // A workflow's text, which is YAML, and an expression in it.
    for text in [
        "[".repeat(50_000),
        format!(
            "signalbox: 1\nname: a\nsteps:\n  b: {{ kind: command, run: \"${{{{ {} }}}}\" }}\n",
            "(".repeat(20_000)
        ),
    ] {
        let found = host.call("workflow.validate", json!({ "project": id, "text": text }));
        let refused = match &found {
            Ok(reply) => reply.to_string().contains("\"severity\":\"error\""),
            Err(error) => error["code"] == "bad_request",
        };
        assert!(refused, "{found:?}");
    }
    is_well(&mut host);
}

#[test]
fn requests_of_thousands_of_parts_are_refused_or_bounded() {
    let (_project, _data, mut host) = start(&[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
    let (bearer, id) = (bearer(&host), host.project_id());
    let many = |make: &dyn Fn(usize) -> String| -> Vec<String> { (0..5000).map(make).collect() };
    let rooms = many(&|n| format!("project/p{n}"));
    let same = many(&|_| format!("project/{id}"));
    let code = |method: &str, params: Value| match host.call(method, params) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error["code"].as_str().unwrap().to_owned(),
    };
    let refused = |code: &str| matches!(code, "bad_request" | "limit_exceeded" | "not_found");
    for (method, params) in [
        ("event.list", json!({ "rooms": rooms })),
        ("event.list", json!({ "rooms": same })),
        ("token.create", json!({ "name": "x", "role": "viewer", "projects": many(&|n| format!("p{n}")) })),
        ("token.create", json!({ "name": "x", "role": "viewer", "projects": many(&|_| id.clone()) })),
        ("invite.create", json!({ "role": "viewer", "projects": many(&|_| id.clone()) })),
        ("notice.read", json!({ "ids": many(&|n| format!("n_{n:020}")) })),
        (
            "webhook.create",
            json!({ "project": id, "url": "https://example.com/", "types": many(&|n| format!("x_{n}")) }),
        ),
        (
            "run.start",
            json!({ "project": id, "workflow": "hello", "inputs": many(&|n| format!("i{n}")).into_iter().map(|name| (name, json!(1))).collect::<serde_json::Map<_, _>>() }),
        ),
        ("event.search", json!({ "types": many(&|n| format!("x_{n}")) })),
        ("event.search", json!({ "text": many(&|n| format!("word{n}")).join(" ") })),
        (
            "chat.post",
            json!({ "project": id, "text": "x", "links": many(&|n| format!("f{n}")).iter().map(|path| json!({ "path": path })).collect::<Vec<_>>() }),
        ),
    ] {
        let code = code(method, params);
        assert!(refused(&code) || method == "invite.create", "{method}: {code}");
    }
    let path =
        format!("/api/v1/events?rooms={}", (0..2000).map(|n| format!("project/p{n}")).collect::<Vec<_>>().join(","));
    let answer = host.request("GET", &path, &[("Authorization", &bearer)], b"");
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    runtime().block_on(async {
        let rooms: Vec<String> = (0..1000).map(|n| format!("project/p{n}")).collect();
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        let mut socket = host.hello(&rooms, None).await;
        assert_eq!(socket.close_code().await, 4501, "a thousand rooms in the hello");
    });
    is_well(&mut host);
}

#[test]
fn who_sends_drop_by_drop_is_not_waited_for() {
    // A body has three times as long as a header.
    let (_project, _data, mut host) = start(&[("SIGNALBOX_LIMITS_HELLO_MS", "500")]);
    let head = format!("POST /api/v1/call/project.list HTTP/1.1\r\nHost: {}\r\n", host.address());
    let body = format!("{head}Authorization: {}\r\nContent-Length: 1000\r\n\r\n", bearer(&host));
    for (what, at_once) in [("nothing", String::new()), ("a header", head), ("a body", body)] {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        stream.write_all(at_once.as_bytes()).unwrap();
        let start = Instant::now();
        let mut all = Vec::new();
        // A byte now and then, for as long as it is taken.
        loop {
            assert!(start.elapsed() < PATIENCE, "{what} is waited for");
            let mut some = [0; 1024];
            match stream.read(&mut some) {
                Ok(0) => break,
                Ok(bytes) => all.extend_from_slice(&some[..bytes]),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    if what != "nothing" && stream.write_all(b"x").is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        let status = parse_response(&all).map(|answer| answer.status);
        assert!(matches!(status, None | Some(400 | 408)), "{what}: {status:?}");
    }
    is_well(&mut host);
}

#[test]
fn a_connection_may_wait_between_two_requests_but_not_within_one() {
    let limits = [("SIGNALBOX_LIMITS_HELLO_MS", "300"), ("SIGNALBOX_LIMITS_IDLE_MS", "3000")];
    let (_project, _data, mut host) = start(&limits);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", host.address());
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = |sent: &str| {
        stream.write_all(sent.as_bytes()).unwrap();
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut some) {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => all.extend_from_slice(&some[..bytes]),
            }
            if let Some(answer) = parse_response(&all) {
                return Some(answer.status);
            }
        }
    };
    assert_eq!(answer(&request), Some(200));
    // As long as three headers may take.
    let (waited, pause) = (Instant::now(), Duration::from_millis(900));
    until("the pause", || (waited.elapsed() > pause).then_some(()));
    assert_eq!(answer(&request), Some(200), "a proxy keeps its connections");
    let begun = Instant::now();
    assert_eq!(answer("GET /healthz HTTP/1.1\r\n"), None, "the second header is not waited for either");
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    let mut idle = TcpStream::connect(host.address()).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    idle.write_all(request.as_bytes()).unwrap();
    let (mut all, begun) = (Vec::new(), Instant::now());
    idle.read_to_end(&mut all).unwrap();
    assert_eq!(parse_response(&all).unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(3000), "not closed before its time: {:?}", begun.elapsed());
    is_well(&mut host);
}

#[test]
fn a_stream_goes_on_whatever_is_sent_after_its_request() {
    let (_project, _data, mut host) = start(&[("SIGNALBOX_LIMITS_HELLO_MS", "300")]);
    let id = host.project_id();
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /api/v1/events?rooms=project/{id} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\r\n",
        host.address(),
        bearer(&host)
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    let mut read_until = |stream: &mut TcpStream, wanted: &str| {
        let mut some = [0; 4096];
        while !String::from_utf8_lossy(&all).contains(wanted) {
            let bytes = stream.read(&mut some).unwrap();
            assert!(bytes > 0, "the stream ended before {wanted}");
            all.extend_from_slice(&some[..bytes]);
        }
    };
    read_until(&mut stream, "synced");
    // The beginning of another request, of which there is time enough for three.
    stream.write_all(b"\r\nGET /").unwrap();
    let (waited, pause) = (Instant::now(), Duration::from_millis(900));
    until("the pause", || (waited.elapsed() > pause).then_some(()));
    host.call("event.publish", json!({ "project": id, "type": "x_later", "data": 1 })).unwrap();
    read_until(&mut stream, "x_later");
    is_well(&mut host);
}

#[test]
fn a_frame_that_never_ends_is_no_sign_of_life() {
    let (_project, _data, mut host) =
        start(&[("SIGNALBOX_LIMITS_PING_MS", "200"), ("SIGNALBOX_LIMITS_STALL_MS", "300")]);
    let request = format!(
        "GET /api/v1/ws HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        host.address(),
        bearer(&host)
    );
    let hello = br#"{"type":"hello","v":1,"client":{"name":"t","version":"1"},"rooms":["host"]}"#;
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = request.into_bytes();
    bytes.extend([0x81, 0x80 | u8::try_from(hello.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(hello);
    // A frame of thirty thousand bytes, of which one comes now and then.
    bytes.extend([0x81, 0x80 | 126, 0x75, 0x30, 0, 0, 0, 0]);
    stream.write_all(&bytes).unwrap();
    let (start, mut all) = (Instant::now(), Vec::new());
    loop {
        assert!(start.elapsed() < PATIENCE, "a frame that drips keeps a connection open");
        let mut some = [0; 4096];
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(bytes) => all.extend_from_slice(&some[..bytes]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                stream.write_all(b" ").ok();
            }
            Err(_) => break,
        }
    }
    assert!(String::from_utf8_lossy(&all).contains("no_pong"), "{}", String::from_utf8_lossy(&all));
    is_well(&mut host);
}

#[test]
fn frames_that_the_protocol_forbids_close_the_connection() {
    let (_project, _data, mut host) = start(&[]);
    runtime().block_on(async {
        let frames = [
            // A continuation of nothing, a fragment that another message interrupts, an unknown opcode, binary.
            vec![Message::Frame(Frame::message("x", OpCode::Data(Data::Continue), true))],
            vec![
                Message::Frame(Frame::message("{", OpCode::Data(Data::Text), false)),
                Message::Frame(Frame::message("{}", OpCode::Data(Data::Text), true)),
            ],
            vec![Message::binary(vec![0xff; 10])],
            vec![Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true))],
        ];
        for messages in frames {
            let mut socket = host.hello(&["host"], None).await;
            socket.next_of("synced").await;
            for message in messages.clone() {
                socket.0.send(message).await.ok();
            }
            assert_eq!(socket.close_code().await, 4501, "{messages:?}");
        }
    });
    is_well(&mut host);
}

#[test]
fn requests_that_two_readers_would_read_differently_are_refused() {
    let (_project, _data, mut host) = start(&[("SIGNALBOX_LIMITS_HELLO_MS", "2000")]);
    let (address, bearer) = (host.address().to_owned(), bearer(&host));
    let common = format!("Host: {address}\r\nAuthorization: {bearer}\r\nConnection: close\r\n");
    let path = "POST /api/v1/call/project.list HTTP/1.1";
    let smuggled = format!("GET /api/v1/session HTTP/1.1\r\n{common}\r\n");
    let cases = [
        // Two lengths, lengths that are none, both ways to say where a body ends (RFC 9112, section 6.3).
        format!("{path}\r\n{common}Content-Length: 2\r\nContent-Length: 30\r\n\r\n{{}}"),
        format!("{path}\r\n{common}Content-Length: 2, 30\r\n\r\n{{}}"),
        format!("{path}\r\n{common}Content-Length: +2\r\n\r\n{{}}"),
        format!("{path}\r\n{common}Content-Length: 0x2\r\n\r\n{{}}"),
        format!("{path}\r\n{common}Content-Length: -1\r\n\r\n{{}}"),
        format!("{path}\r\n{common}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{path}\r\n{common}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{path}\r\n{common}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
        format!("{path}\r\n{common}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n"),
        // A blank before the colon, a name with a blank, a folded line, a bare line feed within a value (section 5).
        format!("{path}\r\n{common}Content-Length : 2\r\n\r\n{{}}"),
        format!("{path}\r\n{common}X-A: b\r\n folded\r\n\r\n"),
        format!("{path}\r\n{common}X-A\0: b\r\n\r\n"),
        format!("{path}\r\n{common}X-A: b\rc\r\n\r\n"),
        // Several hosts, none, one in the line that is not ours.
        format!(
            "{path}\r\nHost: {address}\r\nHost: evil.example\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n"
        ),
        format!("{path}\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n"),
        format!(
            "POST http://evil.example/api/v1/call/project.list HTTP/1.1\r\nHost: evil.example\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n"
        ),
        // No request at all.
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("GET /api/v1/session HTTP/9.9\r\n{common}\r\n"),
        format!("GET  /api/v1/session  HTTP/1.1\r\n{common}\r\n"),
    ];
    for case in cases {
        let answer = raw(&host, case.as_bytes());
        let status = parse_response(&answer).map(|answer| answer.status);
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{case:?}: {status:?}");
    }
    // With both, the length is not believed and the connection ends: what follows is never a request.
    let both = format!(
        "{path}\r\nHost: {address}\r\nAuthorization: {bearer}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answer = String::from_utf8_lossy(&raw(&host, both.as_bytes())).into_owned();
    assert!(!answer.contains("member_name"), "a smuggled request was answered: {answer}");
    is_well(&mut host);
}

#[test]
fn a_method_is_what_the_request_line_says() {
    let (_project, _data, host) = start(&[]);
    let bearer = bearer(&host);
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let headers = [("Authorization", bearer.as_str()), (name, "POST")];
        assert_eq!(host.request("GET", "/api/v1/call/project.list", &headers, b"{}").status, 405, "{name}");
        assert_eq!(host.request("GET", "/api/v1/call/project.list?_method=POST", &headers, b"").status, 405);
    }
    for method in ["TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let answer = host.request(method, "/api/v1/call/project.list", &[("Authorization", &bearer)], b"{}");
        assert_eq!(answer.status, 405, "{method}");
        assert!(!answer.text().contains(&host.token), "{method} repeats what it was sent");
        assert!(!answer.head.to_lowercase().contains("access-control-allow"), "no other site is let in");
    }
    let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n", host.address());
    let status = parse_response(&raw(&host, connect.as_bytes())).map(|answer| answer.status);
    assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");
}

#[test]
fn huge_headers_are_refused() {
    let (_project, _data, mut host) = start(&[]);
    let address = host.address().to_owned();
    let large = format!(
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-A: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    let many: String = (0..1000).map(|n| format!("X-{n}: a\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{many}\r\n");
    let line = format!("GET /{} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", "a".repeat(200_000));
    for request in [large, many, line] {
        let status = parse_response(&raw(&host, request.as_bytes())).map(|answer| answer.status);
        assert!(matches!(status, None | Some(400 | 413 | 414 | 431)), "{status:?}");
    }
    is_well(&mut host);
    until("the connections to be gone", || {
        let list = host.call("connection.list", json!({})).unwrap();
        list["connections"].as_array().unwrap().is_empty().then_some(())
    });
}
