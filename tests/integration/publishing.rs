//! Events of other programs, many at a time: by a call, and from standard input.

use std::{
    io::Write,
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::support::{Host, Project, command, stderr, stdout, until};

/// Those of this type, in order: place and data.
fn held(host: &Host, kind: &str) -> Vec<(u64, Value)> {
    let events = host.events(&[&format!("project/{}", host.project_id())]);
    let of = events.into_iter().filter(|event| event["type"] == kind);
    of.map(|event| (event["seq"].as_u64().unwrap(), event["data"].clone())).collect()
}

#[test]
fn several_events_are_one_commit_in_order_and_all_or_none() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let publish = |events: &Value| host.call("event.publish_many", json!({ "project": id, "events": events }));
    let ticks = |range: std::ops::Range<u64>| {
        Value::from_iter(range.map(|n| match n % 3 {
            0 => json!({ "type": "x_tick", "data": n, "priority": "low", "text": format!("tick {n}") }),
            _ => json!({ "type": "x_tick", "data": n }),
        }))
    };
    let done = publish(&ticks(0..1000)).unwrap();
    let (first, last) = (done["first"].as_u64().unwrap(), done["last"].as_u64().unwrap());
    assert_eq!(held(&host, "x_tick"), (0..1000).map(|n| (first + n, json!(n))).collect::<Vec<_>>());
    assert_eq!(last, first + 999, "lines of the activity feed come after them");
    assert!(done["cursor"].as_str().unwrap().ends_with(&format!(".{last}")), "{done}");
    let feed = host.events(&["activity"]);
    let told: Vec<&str> =
        feed.iter().filter_map(|event| event["data"]["text"].as_str()).filter(|t| t.starts_with("tick")).collect();
    assert_eq!(told.len(), 334);
    assert_eq!(told[1], "tick 3");

    // What is wrong is named, and nothing of the call is in the log.
    let folder = project.path().join(".signalbox/schemas");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("x_deploy.json"), r#"{"required":["service"]}"#).unwrap();
    let deploy = |data: Value| json!({ "type": "x_deploy", "data": data });
    let refused = publish(&json!([deploy(json!({ "service": "web" })), deploy(json!({}))])).unwrap_err();
    assert_eq!(refused["code"], "bad_request");
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("events[1]: data does not fit") && message.ends_with("nothing was published"),
        "{message}"
    );
    let large = json!([deploy(json!({ "service": 1 })), { "type": "x_tick", "data": "x".repeat(300_000) }]);
    let refused = publish(&large).unwrap_err();
    assert_eq!(refused["code"], "limit_exceeded");
    assert!(refused["message"].as_str().unwrap().starts_with("events[1]: "), "{refused}");
    assert_eq!(publish(&json!([{ "type": "tick", "data": 1 }])).unwrap_err()["code"], "bad_request");
    for count in [0, 1001] {
        let refused = publish(&ticks(0..count)).unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains("1 to 1000"), "{refused}");
    }
    assert_eq!((held(&host, "x_deploy").len(), held(&host, "x_tick").len()), (0, 1000));

    // A key makes all of them happen once.
    let params = json!({ "project": id, "events": ticks(2000..2010) });
    let once = || host.call_with("event.publish_many", params.clone(), &[("Idempotency-Key", "one")]).unwrap();
    assert_eq!(once(), once());
    assert_eq!(held(&host, "x_tick").len(), 1010);
    let (_, viewer) = host.member("Vera", "viewer", &[]);
    let refused = host.call_as(&viewer, "event.publish_many", &json!({ "project": id, "events": ticks(0..1) }));
    assert_eq!(refused.unwrap_err()["code"], "forbidden");
}

fn lines(url: &str, token: &str, data: &Path, id: &str) -> (Child, ChildStdin) {
    let mut command = command(data);
    command.args(["publish", "x_line", "--lines", "--project", id, "--url", url, "--token", token]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

#[test]
fn lines_of_standard_input_are_events_as_they_come() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let (child, mut input) = lines(&host.url, &host.token, data.path(), &id);
    writeln!(input, "{{\"n\":0}}\n").unwrap();
    // Not only when the input ends.
    until("the first line", || (held(&host, "x_line").len() == 1).then_some(()));
    for n in 1..3000 {
        writeln!(input, "{{ \"n\": {n}, \"text\": {:?} }}", "ü".repeat(n % 200)).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let events = held(&host, "x_line");
    assert_eq!(
        events.iter().map(|(_, data)| data["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        (0..3000).collect::<Vec<_>>()
    );
    assert_eq!(said["published"], 3000);
    assert!(said["cursor"].as_str().unwrap().ends_with(&format!(".{}", events.last().unwrap().0)), "{said}");

    // More than a host takes of a member at once: the command keeps to its pace, and is never sent away.
    let (child, mut input) = lines(&host.url, &host.token, data.path(), &id);
    let many = (0..80_000).map(|n| format!("{n}\n")).collect::<String>();
    input.write_all(many.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(said["published"], 80_000);
    let last = events.last().unwrap().0 + 80_000;
    assert!(said["cursor"].as_str().unwrap().ends_with(&format!(".{last}")), "{said}");

    // What came before a line that is none is published, and that is said.
    let large = format!("\"{}\"", "x".repeat(70_000));
    let deep = "[".repeat(500) + &"]".repeat(500);
    let bad: [(&[u8], &str); 6] = [
        (b"not JSON", "line 3 is not JSON"),
        (b"1e999", "line 3 is not JSON"),
        (br#""\ud800""#, "line 3 is not JSON"),
        (deep.as_bytes(), "line 3 is not JSON"),
        (b"\"\xff\"", "line 3 is not UTF-8"),
        (large.as_bytes(), "line 3 has 70102 bytes, the host takes 64512 at once"),
    ];
    for (line, said) in bad {
        let (child, mut input) = lines(&host.url, &host.token, data.path(), &id);
        input.write_all(b"1\n2\n").unwrap();
        input.write_all(line).unwrap();
        // The command may have ended already.
        input.write_all(b"\n4\n").ok();
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(stderr(&output).contains(said), "{} for {said}", stderr(&output));
        assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap()["published"], 2);
    }
    let newest = host.call("event.publish", json!({ "project": id, "type": "x_line", "data": 0 })).unwrap();
    assert_eq!(newest["seq"], last + 2 * 6 + 1, "what came after it is not");
}

/// An address that stays the same while the host behind it comes and goes.
fn forward(to: &Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            // Nobody listens while there is no host: then the client is cut off as well.
            let (Ok(client), Ok(host)) = (client, TcpStream::connect(to.lock().unwrap().as_str())) else { continue };
            for (mut from, mut into) in [(client.try_clone().unwrap(), host.try_clone().unwrap()), (host, client)] {
                std::thread::spawn(move || {
                    std::io::copy(&mut from, &mut into).ok();
                    into.shutdown(Shutdown::Both).ok();
                });
            }
        }
    });
    address
}

#[test]
fn lines_are_events_once_though_the_host_is_killed_while_they_come() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let address = Arc::new(Mutex::new(String::new()));
    let lasting = forward(&address);
    let start = || {
        let env = [("SIGNALBOX_HOST_ALLOWED_HOSTS", lasting.as_str()), ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")];
        let host = Host::start_with(data.path(), &[project.path()], &env);
        host.address().clone_into(&mut address.lock().unwrap());
        host
    };
    let mut host = start();
    let id = host.project_id();
    let (_, token) = host.member("Otto", "operator", &[]);
    let (child, mut input) = lines(&format!("http://{lasting}"), &token, data.path(), &id);
    let mut written = 0;
    for _ in 0..3 {
        let before = held(&host, "x_line").len();
        for _ in 0..5_000 {
            writeln!(input, "{written}").unwrap();
            written += 1;
        }
        until("some of them", || (held(&host, "x_line").len() > before).then_some(()));
        host.kill();
        host = start();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen: Vec<u64> = held(&host, "x_line").iter().map(|(_, n)| n.as_u64().unwrap()).collect();
    assert_eq!(seen.len(), written, "none lost, none twice");
    assert!(seen.into_iter().eq(0..written as u64), "in order");
}
