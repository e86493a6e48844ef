//! Webhooks that others call, and webhooks that the host calls.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use serde_json::{Value, json};

use crate::support::{Host, Project, Response, until};

const SECRET: &str = "a secret of forty letters, more or less..";

/// HMAC-SHA256 by another implementation than the host's.
fn hmac(secret: &str, content: &[u8]) -> String {
    let script = "import hashlib,hmac,sys;print(hmac.new(sys.argv[1].encode(),sys.stdin.buffer.read(),hashlib.sha256).hexdigest())";
    let mut child = Command::new("python3")
        .args(["-c", script, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    child.stdin.take().unwrap().write_all(content).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn seconds() -> i64 {
    signalbox_model::Clock::now(&signalbox_model::SystemClock) / 1000
}

fn hook(host: &Host, project: &str, name: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    host.request("POST", &format!("/api/v1/hooks/{project}/{name}"), headers, body)
}

fn start(trusted: bool) -> (Project, tempfile::TempDir, Host, String) {
    let project = Project::new(&[(
        "deploy",
        "signalbox: 1\nname: deploy\ntriggers: { webhook: { name: push } }\ninputs:\n  payload: { type: string }\n  event: { type: string, default: none }\nsteps:\n  show: { kind: command, run: 'printf \"%s\" \"$P\" | wc -c', env: { P: '${{ inputs.payload }}' } }\n",
    )]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_SECRET_HOOK_PUSH", SECRET)]);
    let id = host.project_id();
    host.call("project.trust", json!({ "project": id, "trusted": trusted })).unwrap();
    (project, data, host, id)
}

#[test]
fn a_signed_call_starts_what_waits_for_it_and_the_same_delivery_twice_is_one() {
    let (_project, _data, host, id) = start(true);
    let body = br#"{"ref":"refs/heads/main"}"#;
    let tag = format!("sha256={}", hmac(SECRET, body));
    let headers = [("X-Hub-Signature-256", tag.as_str()), ("X-GitHub-Delivery", "d-1"), ("X-GitHub-Event", "push")];
    let first = hook(&host, &id, "push", &headers, body);
    assert_eq!(first.status, 200, "{}", first.text());
    let first: Value = serde_json::from_slice(&first.body).unwrap();
    let again: Value = serde_json::from_slice(&hook(&host, &id, "push", &headers, body).body).unwrap();
    assert_eq!(first, again);
    let run = first["runs"][0]["run"].as_str().unwrap();
    let done = host.wait_done(run);
    assert_eq!(done["run"]["conclusion"], "success", "{done}");
    assert_eq!(done["run"]["inputs"]["event"], "push");
    assert_eq!(host.log_text(run, "show").trim(), body.len().to_string());
    assert_eq!(host.call("run.list", json!({ "project": id })).unwrap()["runs"].as_array().unwrap().len(), 1);
    let room = format!("project/{id}");
    let events = host.events(&[&room]);
    let told: Vec<&Value> = events.iter().filter(|event| event["type"] == "x_hook_push").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["data"]["payload"]["ref"], &told[0]["actor"]),
        (&json!("refs/heads/main"), &json!("webhook push"))
    );

    // With a time: good for five minutes, and the delivery's id belongs to what is signed.
    let signed = |at: i64, delivery: &str| {
        let mut content = format!("{at}.{delivery}.").into_bytes();
        content.extend_from_slice(body);
        format!("t={at},v1={}", hmac(SECRET, &content))
    };
    let call = |signature: &str, delivery: &str| {
        let headers = [("X-Signalbox-Signature", signature), ("X-Signalbox-Delivery", delivery)];
        hook(&host, &id, "push", &headers, body).status
    };
    assert_eq!(call(&signed(seconds(), "d-2"), "d-2"), 200);
    assert_eq!(call(&signed(seconds(), "d-2"), "d-3"), 401, "another delivery under the same signature");
    // Whoever saw a call makes no other of it with an id that nobody signed.
    let runs =
        || host.call("run.list", json!({ "project": id, "limit": 100 })).unwrap()["runs"].as_array().unwrap().len();
    let now = seconds();
    let mut content = format!("{now}.").into_bytes();
    content.extend_from_slice(body);
    let signature = format!("t={now},v1={}", hmac(SECRET, &content));
    let seen = |headers: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> =
            [("X-Signalbox-Signature", signature.as_str())].into_iter().chain(headers.iter().copied()).collect();
        assert_eq!(hook(&host, &id, "push", &all, body).status, 200);
        runs()
    };
    let once = seen(&[]);
    assert_eq!(seen(&[("X-GitHub-Delivery", "other")]), once);
    assert_eq!(seen(&[("Idempotency-Key", "another")]), once);
    assert_eq!(call(&signed(seconds() - 600, "d-4"), "d-4"), 401, "too old");
    assert_eq!(call(&signed(seconds() + 600, "d-5"), "d-5"), 401, "of the future");
}

#[test]
fn what_is_not_signed_does_nothing_and_learns_nothing() {
    let (_project, _data, host, id) = start(false);
    let body = b"{}";
    let tag = format!("sha256={}", hmac(SECRET, body));
    let text = |project: &str, name: &str, headers: &[(&str, &str)]| {
        let answer = hook(&host, project, name, headers, body);
        (answer.status, answer.text())
    };
    let good = [("X-Hub-Signature-256", tag.as_str())];
    let wrong = text(&id, "push", &[("X-Hub-Signature-256", "sha256=00")]);
    assert_eq!(wrong.0, 401);
    // The same words for a project, a hook and a secret that are not there; more guesses than that have to wait.
    assert_eq!(text(&id, "push", &[]), wrong);
    assert_eq!(text("nothing", "push", &good), wrong);
    assert_eq!(text(&id, "pull", &good), wrong);
    let untrusted = text(&id, "push", &good);
    assert_eq!(untrusted.0, 409, "{}", untrusted.1);
    assert!(untrusted.1.contains("not trusted"));
    // Who guesses waits; some of these were guesses already.
    until("a guess that has to wait", || (text(&id, "push", &[]).0 == 429).then_some(()));
    let room = format!("project/{id}");
    assert!(host.events(&[&room]).iter().all(|event| !event["type"].as_str().unwrap().starts_with("x_hook")));
    assert!(host.call("run.list", json!({ "project": id })).unwrap()["runs"].as_array().unwrap().is_empty());
}

/// Heads and bodies.
type Got = Arc<Mutex<Vec<(String, String)>>>;

/// A receiver that answers with the status that it is told to.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    got: Got,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in?a=b", listener.local_addr().unwrap());
        let (status, got) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let (answers, kept) = (Arc::clone(&status), Arc::clone(&got));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if let Some(request) = stream.ok().and_then(|stream| Self::serve(stream, &answers)) {
                    kept.lock().unwrap().push(request);
                }
            }
        });
        Self { url, status, got }
    }

    fn serve(stream: impl Read + Write, status: &AtomicU16) -> Option<(String, String)> {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} x\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
        Some((head.to_lowercase(), String::from_utf8(body).ok()?))
    }

    /// The numbers of the `x_n` events that arrived, in order.
    fn numbers(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        let events = got.iter().map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
        events.filter(|event| event["type"] == "x_n").map(|event| event["data"].as_u64().unwrap()).collect()
    }
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
    line.to_owned()
}

const OPEN: [(&str, &str); 3] = [
    ("SIGNALBOX_WEBHOOKS_ALLOW_PRIVATE", "true"),
    ("SIGNALBOX_WEBHOOKS_RETRY_MS", "20"),
    ("SIGNALBOX_WEBHOOKS_GIVE_UP_AFTER_S", "3600"),
];

fn publish(host: &Host, id: &str, n: u64) {
    host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
}

#[test]
fn a_receiver_gets_every_event_in_order_through_failures_and_kill_9() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start_with(data.path(), &[project.path()], &OPEN);
    let (id, receiver) = (host.project_id(), Receiver::start());
    publish(&host, &id, 0);
    let made = host.call("webhook.create", json!({ "project": id, "url": receiver.url, "types": ["x_n"] })).unwrap();
    let (secret, hook) = (made["secret"].as_str().unwrap().to_owned(), made["webhook"]["id"].clone());
    publish(&host, &id, 1);
    until("the first delivery", || (receiver.numbers() == [1]).then_some(()));
    let (head, body) = receiver.got.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /in?a=b http/1.1"), "{head}");
    let signature = header(&head, "x-signalbox-signature");
    let (at, tag) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let content = format!("{at}.{}.{body}", header(&head, "x-signalbox-delivery"));
    assert_eq!(hmac(&secret, content.as_bytes()), tag, "another implementation finds the signature right");
    assert!(at.parse::<i64>().unwrap().abs_diff(seconds()) < 300);

    // It fails, then the host is killed; both come back, and nothing is missing.
    receiver.status.store(500, Ordering::SeqCst);
    (2..=4).for_each(|n| publish(&host, &id, n));
    until("some attempts", || (receiver.numbers().iter().filter(|n| **n == 2).count() >= 3).then_some(()));
    let listed = host.call("webhook.deliveries", json!({ "webhook": hook })).unwrap();
    assert_eq!(
        (&listed["deliveries"][0]["state"], &listed["deliveries"][0]["status"]),
        (&json!("retrying"), &json!(500))
    );
    assert_eq!(listed["waiting"], 3);
    host.kill();
    receiver.status.store(302, Ordering::SeqCst);
    let host = Host::start_with(data.path(), &[project.path()], &OPEN);
    until("a redirect that is not followed", || {
        let listed = host.call("webhook.deliveries", json!({ "webhook": hook })).unwrap();
        (listed["deliveries"][0]["status"] == 302).then_some(())
    });
    receiver.status.store(204, Ordering::SeqCst);
    until("the rest", || (receiver.numbers().ends_with(&[2, 3, 4])).then_some(()));
    until("the deliveries to be recorded", || {
        let listed = host.call("webhook.deliveries", json!({ "webhook": hook })).unwrap();
        (listed["waiting"] == 0).then_some(())
    });
    let mut distinct = receiver.numbers();
    distinct.dedup();
    assert_eq!(distinct, [1, 2, 3, 4], "in order, each at least once");
    // Attempts of one delivery have one id, and no two deliveries share one.
    let got = receiver.got.lock().unwrap().clone();
    let ids: std::collections::BTreeMap<String, String> =
        got.iter().map(|(head, body)| (header(head, "x-signalbox-delivery"), body.clone())).collect();
    assert_eq!(ids.len(), 4);
    // The secret is shown once, and is in no event, list or log.
    let shown = host.call("webhook.list", json!({ "project": id })).unwrap().to_string();
    let events = serde_json::to_string(&host.events(&[&format!("project/{id}")])).unwrap();
    assert!(!shown.contains(&secret) && !events.contains(&secret));
    host.call("webhook.delete", json!({ "webhook": hook })).unwrap();
    publish(&host, &id, 5);
    assert_eq!(host.call("webhook.list", json!({ "project": id })).unwrap()["webhooks"], json!([]));
    assert_eq!(host.call("webhook.test", json!({ "webhook": hook })).unwrap_err()["code"], "not_found");
    assert!(!receiver.numbers().contains(&5));
}

#[test]
fn one_that_fails_for_too_long_is_switched_off_told_of_and_brought_back_by_a_test() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let env = [OPEN[0], OPEN[1], ("SIGNALBOX_WEBHOOKS_GIVE_UP_AFTER_S", "0")];
    let host = Host::start_with(data.path(), &[project.path()], &env);
    let (id, receiver) = (host.project_id(), Receiver::start());
    receiver.status.store(503, Ordering::SeqCst);
    let made = host.call("webhook.create", json!({ "project": id, "url": receiver.url, "types": ["x_n"] })).unwrap();
    let hook = made["webhook"]["id"].clone();
    publish(&host, &id, 1);
    let notice = until("the owner's notice", || {
        let listed = host.call("notice.list", json!({ "unread": true })).unwrap();
        listed["notices"].as_array().unwrap().iter().find(|notice| notice["kind"] == "webhook").cloned()
    });
    assert!(notice["text"].as_str().unwrap().contains("503"), "{notice}");
    let risks = host.call("risk.list", json!({ "project": id })).unwrap();
    assert_eq!(risks["risks"][0]["kind"], "webhook");
    assert_eq!(host.call("webhook.list", json!({ "project": id })).unwrap()["webhooks"][0]["state"], "disabled");
    publish(&host, &id, 2);
    assert_eq!(host.call("webhook.test", json!({ "webhook": hook })).unwrap()["delivery"]["state"], "failed");
    receiver.status.store(200, Ordering::SeqCst);
    assert_eq!(host.call("webhook.test", json!({ "webhook": hook })).unwrap()["delivery"]["state"], "delivered");
    until("what waited", || receiver.numbers().ends_with(&[1, 2]).then_some(()));
    // Those that nobody has resolved.
    let risks = || host.call("risk.list", json!({ "project": id })).unwrap()["risks"].as_array().unwrap().len();
    assert_eq!(risks(), 0, "it works again");
    // Switched off once more, and then deleted: nothing to worry about either.
    receiver.status.store(503, Ordering::SeqCst);
    publish(&host, &id, 3);
    until("the risk", || (risks() == 1).then_some(()));
    host.call("webhook.delete", json!({ "webhook": hook })).unwrap();
    assert_eq!(risks(), 0);
}

#[test]
fn the_time_after_which_one_is_given_up_goes_on_over_a_restart() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start_with(data.path(), &[project.path()], &OPEN);
    let (id, receiver) = (host.project_id(), Receiver::start());
    receiver.status.store(503, Ordering::SeqCst);
    let made = host.call("webhook.create", json!({ "project": id, "url": receiver.url, "types": ["x_n"] })).unwrap();
    let hook = made["webhook"]["id"].clone();
    publish(&host, &id, 1);
    let newest = |host: &Host| {
        host.call("webhook.deliveries", json!({ "webhook": hook })).unwrap()["deliveries"].get(0).cloned()
    };
    let before = until("a second of failures", || {
        let found = newest(&host)?;
        let lasted = found["at"].as_i64()? - found["first_at"].as_i64()?;
        (lasted >= 1000).then_some(found)
    });
    host.kill();
    let env = [OPEN[0], OPEN[1], ("SIGNALBOX_WEBHOOKS_GIVE_UP_AFTER_S", "1")];
    let host = Host::start_with(data.path(), &[project.path()], &env);
    let after = until("it to be given up", || newest(&host).filter(|found| found["state"] == "failed"));
    assert_eq!(after["first_at"], before["first_at"]);
    let more = after["attempts"].as_u64().unwrap() - before["attempts"].as_u64().unwrap();
    assert!((1..=2).contains(&more), "one more attempt was enough, or one was under way: {before} {after}");
}

/// A receiver over TLS, with a certificate of an authority of its own: gives its port, and what it got.
fn secret_receiver(folder: &std::path::Path) -> (u16, Got) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("authority.pem"), authority.as_ref().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let status = AtomicU16::new(200);
            if let Some(request) = Receiver::serve(rustls::StreamOwned::new(session, stream), &status) {
                kept.lock().unwrap().push(request);
            }
        }
    });
    (port, got)
}

#[test]
fn over_tls_only_a_receiver_with_a_trusted_certificate_gets_anything() {
    let (project, folder) = (Project::new(&[]), tempfile::tempdir().unwrap());
    let (port, got) = secret_receiver(folder.path());
    let authority = folder.path().join("authority.pem");
    for (trusted, name, delivered) in [
        (None, "localhost", false),
        (Some(authority.as_path()), "localhost", true),
        // Its certificate is for another name.
        (Some(authority.as_path()), "127.0.0.1", false),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut env = OPEN.to_vec();
        if let Some(file) = trusted {
            env.push(("SIGNALBOX_WEBHOOKS_CA_FILE", file.to_str().unwrap()));
        }
        let host = Host::start_with(data.path(), &[project.path()], &env);
        let id = host.project_id();
        let params = json!({ "project": id, "url": format!("https://{name}:{port}/in"), "types": ["x_n"] });
        let made = host.call("webhook.create", params).unwrap();
        let tested = host.call("webhook.test", json!({ "webhook": made["webhook"]["id"] })).unwrap();
        let state = if delivered { "delivered" } else { "failed" };
        assert_eq!(tested["delivery"]["state"], state, "{trusted:?} {name}: {tested}");
        let before = got.lock().unwrap().len();
        assert_eq!(before, usize::from(delivered || name == "127.0.0.1"), "{trusted:?} {name}");
        if !delivered {
            let why = tested["delivery"]["error"].as_str().unwrap();
            assert!(why.contains("TLS failed") && why.contains("certificate"), "{why}");
            continue;
        }
        let (head, body) = got.lock().unwrap()[0].clone();
        assert!(head.contains("x-signalbox-signature:") && body.contains("webhook_test"), "{head}{body}");
    }
    // A file that cannot be used is named, and nothing goes out.
    let data = tempfile::tempdir().unwrap();
    let mut env = OPEN.to_vec();
    env.push(("SIGNALBOX_WEBHOOKS_CA_FILE", "/nowhere/authority.pem"));
    let host = Host::start_with(data.path(), &[project.path()], &env);
    let params = json!({ "project": host.project_id(), "url": format!("https://localhost:{port}/in") });
    let made = host.call("webhook.create", params).unwrap();
    let tested = host.call("webhook.test", json!({ "webhook": made["webhook"]["id"] })).unwrap();
    assert!(tested["delivery"]["error"].as_str().unwrap().contains("/nowhere/authority.pem"), "{tested}");
}

#[test]
fn a_webhook_does_not_reach_into_the_network_of_the_host() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    for url in [
        host.url.clone(),
        "http://localhost:1/".into(),
        "http://[::1]/".into(),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://2130706433/".into(),
        "http://0x7f.1/".into(),
        "http://[::ffff:10.0.0.1]/".into(),
        "file:///etc/passwd".into(),
        "http://user:pass@example.com/".into(),
    ] {
        let error = host.call("webhook.create", json!({ "project": id, "url": url })).unwrap_err();
        assert_eq!(error["code"], "bad_request", "{url}: {error}");
    }
    let viewer = crate::team::member(&host, "Ann", "operator", &[]);
    let params = json!({ "project": id, "url": "https://example.com" });
    assert_eq!(viewer.call(&host, "webhook.create", params).unwrap_err()["code"], "forbidden");
}
