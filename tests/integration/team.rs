//! Several members on one host: who is here, what they say to each other, and what each still has to see.

use serde_json::{Value, json};

use crate::support::{Host, Project, Socket, until};

pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) token: String,
}

pub(crate) fn member(host: &Host, name: &str, role: &str, projects: &[&str]) -> Member {
    let made = host.call("token.create", json!({ "name": name, "role": role, "projects": projects })).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Member { id: text(&made["member"]["id"]), token: text(&made["token"]) }
}

impl Member {
    pub(crate) fn call(&self, host: &Host, method: &str, params: Value) -> Result<Value, Value> {
        let bearer = format!("Bearer {}", self.token);
        let path = format!("/api/v1/call/{method}");
        let response = host.request("POST", &path, &[("Authorization", &bearer)], params.to_string().as_bytes());
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status == 200 { Ok(body) } else { Err(body["error"].clone()) }
    }

    async fn hello(&self, host: &Host, name: &str, rooms: &[&str], resume: Option<&str>) -> Socket {
        let mut socket = host.websocket("/api/v1/ws", &[]).await.unwrap();
        let mut hello = json!({ "type": "hello", "rid": 1, "v": 1, "token": self.token, "rooms": rooms,
            "client": { "name": name, "version": "1", "instance": format!("{name}-{}", self.id) } });
        if let Some(resume) = resume {
            hello["resume"] = resume.into();
        }
        socket.send(&hello).await;
        socket
    }
}

fn start(env: &[(&str, &str)]) -> (Project, tempfile::TempDir, Host, String) {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], env);
    let id = host.project_id();
    (project, data, host, id)
}

/// The next word about somebody's presence in a room that `wanted` lets through.
async fn presence(socket: &mut Socket, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = socket.next_of("presence").await;
        if wanted(&frame) {
            return frame;
        }
    }
}

async fn synced(socket: &mut Socket) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let frame = socket.next().await.expect("the connection holds");
        frames.push(frame.clone());
        if frame["type"] == "synced" {
            return frames;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_see_each_other_come_look_answer_and_go() {
    let (_project, _data, host, id) = start(&[]);
    let (ann, ben) = (member(&host, "Ann", "operator", &[]), member(&host, "constructor", "viewer", &[&id]));
    let tree = format!("project/{id}/**");
    let room = format!("project/{id}");
    let mut owner = host.hello(&[&tree, "host"], None).await;
    synced(&mut owner).await;
    let mut first = ann.hello(&host, "ui", &[&tree], None).await;
    synced(&mut first).await;
    let here = presence(&mut owner, |frame| frame["member"] == ann.id && frame["room"] == room).await;
    assert_eq!((&here["name"], &here["state"]["device"]), (&json!("Ann"), &json!("ui/1")));

    // What is unknown is dropped, and what the member does is seen by the others, the limited one included.
    let mut second = ben.hello(&host, "ui", &[&tree], None).await;
    let frames = synced(&mut second).await;
    let snapshot =
        frames.iter().find(|frame| frame["type"] == "snapshot" && frame["state"]["of"] == "project").unwrap();
    let names: Vec<&Value> =
        snapshot["state"]["presence"].as_array().unwrap().iter().map(|present| &present["name"]).collect();
    assert!(names.contains(&&json!("Ann")), "{snapshot}");
    assert!(frames.iter().any(|frame| frame["type"] == "snapshot" && frame["state"]["of"] == "member"));
    first
        .send(&json!({ "type": "presence", "room": room, "state": { "approval": "a_12345678", "typing": true, "evil": { "x": 1 } } }))
        .await;
    for socket in [&mut owner, &mut second] {
        let seen = presence(socket, |frame| frame["member"] == ann.id && frame["state"]["typing"] == true).await;
        assert_eq!(seen["state"], json!({ "approval": "a_12345678", "typing": true, "device": "ui/1" }));
        assert!(seen.get("seq").is_none(), "presence has no place in the log");
    }
    // The host's room is not for who may see one project only: nobody is shown to them there, nor they to others.
    second.send(&json!({ "type": "presence", "room": "host", "state": { "typing": true } })).await;
    second.send(&json!({ "type": "presence", "room": room, "state": { "file": "src/lib.rs" } })).await;
    let seen = presence(&mut owner, |frame| frame["member"] == ben.id && frame["state"].get("file").is_some()).await;
    assert_eq!(seen["room"], room.as_str());

    // A connection that breaks and is back is not seen to go; one that leaves on purpose is, at once.
    drop(first);
    let mut first = ann.hello(&host, "ui", &[&tree], None).await;
    synced(&mut first).await;
    second.0.close(None).await.unwrap();
    let next = presence(&mut owner, |_| true).await;
    assert_eq!((&next["member"], next.get("state")), (&json!(ben.id), None), "the reconnect was not shown");
    // And who unsubscribes has left the room, not the host.
    first.send(&json!({ "type": "unsubscribe", "rid": 9, "rooms": [tree] })).await;
    let next = presence(&mut owner, |_| true).await;
    assert_eq!((&next["member"], next.get("state")), (&json!(ann.id), None));
    // Presence is in no log.
    assert!(host.events(&[&tree, "host"]).iter().all(|event| event["type"] != "presence"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_leaves_no_ghost() {
    let (_project, _data, host, id) =
        start(&[("SIGNALBOX_LIMITS_PING_MS", "1000"), ("SIGNALBOX_LIMITS_STALL_MS", "1000")]);
    let (ann, tree) = (member(&host, "Ann", "operator", &[]), format!("project/{id}/**"));
    let mut owner = host.hello(&[&tree], None).await;
    // It stays open and says nothing any more, as after a cable was pulled.
    let half_open = ann.hello(&host, "ui", &[&tree], None).await;
    let mut here = false;
    loop {
        let frame = owner.next().await.expect("the connection holds");
        if frame["type"] == "ping" {
            owner.send(&json!({ "type": "pong" })).await;
        }
        if frame["type"] == "presence" && frame["member"] == ann.id {
            if frame.get("state").is_none() {
                break;
            }
            here = true;
        }
    }
    assert!(here);
    drop(half_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_sent_events_and_the_naive_socket_show_presence_too() {
    let (_project, _data, host, id) = start(&[]);
    let ann = member(&host, "Ann", "viewer", &[]);
    let bearer = format!("Bearer {}", ann.token);
    let path = format!("/api/v1/projects/{id}/events");
    let mut naive = host
        .websocket(&format!("/api/v1/projects/{id}/ws"), &[("Authorization", &format!("Bearer {}", host.token))])
        .await
        .unwrap();
    let (address, wanted) = (host.address().to_owned(), ann.id.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut own = None;
        crate::support::sse(&address, &path, &[("Authorization", &bearer)], |cursor, frame| {
            if frame["type"] == "presence" && frame["member"] == wanted.as_str() {
                own = Some(cursor);
            }
            own.is_none()
        });
        own
    });
    presence(&mut naive, |frame| frame["member"] == ann.id).await;
    assert_eq!(reading.await.unwrap(), Some(None), "an ephemeral message moves no cursor");
}

#[test]
fn a_chat_belongs_to_those_who_may_see_the_project_and_each_message_to_its_author() {
    let (_project, _data, host, id) = start(&[]);
    let ann = member(&host, "Ann", "operator", &[]);
    let viewer = member(&host, "Ben Lee", "viewer", &[]);
    let hostile = "<script>alert(1)</script> \u{202e}@ben lee\r\n\u{1b}[31m @Nobody {{ x }} ${1+1}";
    let posted = ann.call(&host, "chat.post", json!({ "project": id, "text": hostile })).unwrap();
    let message = &posted["message"];
    assert_eq!(message["text"], hostile, "text stays text");
    assert_eq!(message["mentions"], json!([viewer.id]));
    assert_eq!((&message["author"], &message["author_name"]), (&json!(ann.id), &json!("Ann")));
    let (c1, code) = (message["id"].as_str().unwrap(), |error: Value| error["code"].as_str().unwrap().to_owned());

    assert_eq!(code(viewer.call(&host, "chat.post", json!({ "project": id, "text": "x" })).unwrap_err()), "forbidden");
    assert_eq!(code(host.call("chat.edit", json!({ "message": c1, "text": "y" })).unwrap_err()), "forbidden");
    for text in ["", "  \n", &"x".repeat(4097), "a\0b"] {
        let error = ann.call(&host, "chat.post", json!({ "project": id, "text": text })).unwrap_err();
        assert_eq!(code(error), "bad_request", "{text:?}");
    }
    let link = json!({ "project": id, "text": "x", "links": [{ "run": "r_00000000" }] });
    assert_eq!(code(ann.call(&host, "chat.post", link).unwrap_err()), "not_found");
    ann.call(&host, "chat.post", json!({ "project": id, "text": "x".repeat(4096), "reply_to": c1 })).unwrap();

    let edited = ann.call(&host, "chat.edit", json!({ "message": c1, "text": "needle before" })).unwrap();
    assert!(edited["message"]["edited_at"].is_number());
    ann.call(&host, "chat.edit", json!({ "message": c1, "text": "needle after" })).unwrap();
    let found =
        |text: &str| host.call("event.search", json!({ "text": text })).unwrap()["events"].as_array().unwrap().len();
    assert_eq!((found("needle after"), found("needle before"), found("alert")), (1, 0, 0), "only what stands is found");
    let page = viewer.call(&host, "chat.list", json!({ "project": id, "limit": 1 })).unwrap();
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["more"]), (1, &json!(true)));
    let before = &page["messages"][0]["id"];
    let page = viewer.call(&host, "chat.list", json!({ "project": id, "before": before })).unwrap();
    assert_eq!((&page["messages"][0]["id"], &page["more"]), (&json!(c1), &json!(false)));

    // An owner may take away what somebody else wrote; then nobody finds it, and nobody can bring it back.
    let deleted = host.call("chat.delete", json!({ "message": c1 })).unwrap();
    assert_eq!((&deleted["message"]["text"], &deleted["message"]["deleted"]), (&json!(""), &json!(true)));
    assert_eq!(found("needle"), 0);
    assert_eq!(code(ann.call(&host, "chat.edit", json!({ "message": c1, "text": "z" })).unwrap_err()), "conflict");
    // The same key twice is one message.
    let headers = [("Idempotency-Key", "once")];
    let one = host.call_with("chat.post", json!({ "project": id, "text": "a" }), &headers).unwrap();
    assert_eq!(one, host.call_with("chat.post", json!({ "project": id, "text": "a" }), &headers).unwrap());
}

#[test]
fn a_chat_of_another_project_is_as_if_it_were_not_there() {
    let (one, two) = (Project::new(&[]), Project::new(&[]));
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[one.path(), two.path()]);
    let projects = host.call("project.list", json!({})).unwrap();
    let id = |n: usize| projects["projects"][n]["id"].as_str().unwrap().to_owned();
    let ann = member(&host, "Ann", "operator", &[&id(0)]);
    let posted = host.call("chat.post", json!({ "project": id(1), "text": "secret @Ann" })).unwrap();
    assert!(posted["message"].get("mentions").is_none());
    let message = &posted["message"]["id"];
    for (method, params) in [
        ("chat.list", json!({ "project": id(1) })),
        ("chat.list", json!({ "project": id(0), "before": message })),
        ("chat.post", json!({ "project": id(1), "text": "x" })),
        ("chat.post", json!({ "project": id(0), "text": "x", "reply_to": message })),
        ("chat.delete", json!({ "message": message })),
        ("away.list", json!({ "project": id(1) })),
        ("event.list", json!({ "rooms": [format!("member/{}", posted["message"]["author"].as_str().unwrap())] })),
    ] {
        assert_eq!(ann.call(&host, method, params.clone()).unwrap_err()["code"], "not_found", "{method} {params}");
    }
    assert!(
        ann.call(&host, "event.search", json!({ "text": "secret" })).unwrap()["events"].as_array().unwrap().is_empty()
    );
}

#[test]
fn a_mention_that_is_edited_away_is_no_news_any_more() {
    let (_project, _data, host, id) = start(&[]);
    let (ann, ben) = (member(&host, "Ann", "operator", &[]), member(&host, "Ben", "viewer", &[]));
    let said = host.call("chat.post", json!({ "project": id, "text": "@ann @ben look" })).unwrap();
    let unread = |who: &Member| who.call(&host, "notice.list", json!({})).unwrap()["unread"].as_u64().unwrap();
    until("both to be told", || (unread(&ann) == 1 && unread(&ben) == 1).then_some(()));
    let edit = |text: &str| {
        let params = json!({ "message": said["message"]["id"], "text": text });
        host.call("chat.edit", params).unwrap()
    };
    edit("@ben look");
    until("Ann's notice to be taken back", || (unread(&ann) == 0).then_some(()));
    assert_eq!(unread(&ben), 1, "who is still mentioned still has it");
    let listed = ann.call(&host, "notice.list", json!({})).unwrap();
    assert_eq!(listed["notices"][0]["settled"], true, "{listed}");
}

#[test]
fn members_of_some_projects_are_told_of_the_host_what_is_theirs() {
    let project = Project::new(&[(
        "ask",
        "signalbox: 1\nname: ask\nsteps:\n  gate: { kind: approval, question: Go on, who: { roles: [operator, owner] } }\n",
    )]);
    let other = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path(), other.path()]);
    let list = host.call("project.list", json!({})).unwrap();
    let id = |of: &Project| {
        let path = std::fs::canonicalize(of.path()).unwrap();
        let all = list["projects"].as_array().unwrap();
        all.iter().find(|p| p["path"] == path.to_str().unwrap()).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let run = host.call("run.start", json!({ "project": id(&project), "workflow": "ask" })).unwrap();
    host.wait_step(run["run"].as_str().unwrap(), "gate", "waiting_input");
    let status = |who: &Member| who.call(&host, "system.status", json!({})).unwrap();
    let everywhere = status(&member(&host, "Ann", "viewer", &[]));
    let there = status(&member(&host, "Ben", "owner", &[&id(&project)]));
    let elsewhere = status(&member(&host, "Cid", "owner", &[&id(&other)]));
    let runs = |of: &Value| of["active_runs"].as_u64().unwrap();
    assert_eq!((runs(&everywhere), runs(&there), runs(&elsewhere)), (1, 1, 0));
    assert_eq!(everywhere["data_dir"], std::fs::canonicalize(data.path()).unwrap().to_str().unwrap());
    for narrow in [there, elsewhere] {
        assert_eq!((&narrow["data_dir"], narrow.get("url"), narrow.get("system")), (&json!(""), None, None));
        assert!(!narrow.to_string().contains(host.address()), "{narrow}");
        assert_eq!(narrow["log"]["epoch"], everywhere["log"]["epoch"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_a_member_waits_for_it_through_kill_9_and_is_read_once_for_all_devices() {
    let project = Project::new(&[(
        "ask",
        "signalbox: 1\nname: ask\nsteps:\n  gate: { kind: approval, question: \"Ship it?\", who: { roles: [operator, owner] } }\n",
    )]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path(), &[project.path()]);
    let id = host.project_id();
    let (ann, ben) = (member(&host, "Ann", "operator", &[]), member(&host, "Ben", "viewer", &[]));
    let first = ann.call(&host, "chat.post", json!({ "project": id, "text": "who knows?" })).unwrap();
    host.call("chat.post", json!({ "project": id, "text": "@ann @ben look", "reply_to": first["message"]["id"] }))
        .unwrap();
    host.call("chat.post", json!({ "project": id, "text": "and this", "reply_to": first["message"]["id"] })).unwrap();
    until("Ann's notices", || {
        let found = ann.call(&host, "notice.list", json!({})).unwrap();
        (found["unread"] == 2).then_some(())
    });
    host.kill();
    let host = Host::start(data.path(), &[project.path()]);
    let listed = ann.call(&host, "notice.list", json!({})).unwrap();
    let kinds: Vec<&Value> = listed["notices"].as_array().unwrap().iter().map(|notice| &notice["kind"]).collect();
    assert_eq!(kinds, [&json!("reply"), &json!("mention")]);
    assert!(listed["notices"].as_array().unwrap().iter().all(|notice| notice.get("delivered_at").is_none()));
    assert_eq!(ben.call(&host, "notice.list", json!({})).unwrap()["unread"], 1);

    // The first device has them as new; the second finds them, but not as new.
    let (mut phone, own) = (ann.hello(&host, "phone", &[], None).await, format!("member/{}", ann.id));
    let fresh = |frames: &[Value]| -> usize {
        let state = frames.iter().find(|frame| frame["room"] == own.as_str() && frame["type"] == "snapshot").unwrap();
        let notices = state["state"]["notices"].as_array().unwrap();
        assert_eq!(state["state"]["unread"], 2);
        notices.iter().filter(|notice| notice.get("delivered_at").is_none()).count()
    };
    let frames = synced(&mut phone).await;
    assert_eq!(fresh(&frames), 2);
    phone.next_of("notices_updated").await;
    let mut desk = ann.hello(&host, "desk", &[], None).await;
    let frames = synced(&mut desk).await;
    assert_eq!(fresh(&frames), 0);
    let cursor = frames.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    // Read on one is read on the other, and a mark set on one is told to the other at once. Nobody else hears of it.
    let mut others = host.hello(&[&format!("project/{id}/**"), "host", "activity"], None).await;
    synced(&mut others).await;
    ann.call(&host, "notice.read", json!({ "ids": [listed["notices"][0]["id"]] })).unwrap();
    for socket in [&mut phone, &mut desk] {
        let read = socket.next_of("notices_updated").await;
        assert_eq!(read["data"]["ids"], json!([listed["notices"][0]["id"]]));
    }
    let mark = ann.call(&host, "mark.set", json!({ "project": id, "cursor": cursor })).unwrap();
    let told = desk.next_of("mark_updated").await;
    assert_eq!(told["data"], mark["mark"]);
    // So it is with the hours in which it wants to be left alone.
    let quiet = json!({ "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" });
    let wish = json!({ "quiet": quiet, "through": ["risks"] });
    let profile = ann.call(&host, "profile.update", wish).unwrap();
    assert_eq!(desk.next_of("profile_updated").await["data"], profile["profile"]);
    assert!((7..=9).contains(&profile["quiet_times"].as_array().unwrap().len()), "{profile}");
    let nowhere = json!({ "quiet": { "from": "22:00", "to": "07:00", "time_zone": "Mars/Olympus" } });
    assert_eq!(ann.call(&host, "profile.update", nowhere).unwrap_err()["code"], "bad_request");
    assert_eq!(ann.call(&host, "profile.get", json!({})).unwrap()["profile"]["quiet"], quiet, "nothing was changed");
    assert!(ben.call(&host, "profile.get", json!({})).unwrap()["profile"].get("quiet").is_none());
    let epoch = cursor.split('.').next().unwrap();
    let back = ann.call(&host, "mark.set", json!({ "project": id, "cursor": format!("{epoch}.1") })).unwrap();
    assert_eq!(back, mark, "a mark never moves back");
    let ahead = json!({ "project": id, "cursor": format!("{epoch}.99999") });
    assert_eq!(ann.call(&host, "mark.set", ahead).unwrap_err()["code"], "bad_request");
    assert_eq!(ann.call(&host, "notice.read", json!({ "all_until": cursor })).unwrap()["unread"], 0);
    assert_eq!(ben.call(&host, "notice.list", json!({})).unwrap()["unread"], 1, "Ben's are Ben's");
    let ids: Vec<Value> = ben.call(&host, "notice.list", json!({})).unwrap()["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| notice["id"].clone())
        .collect();
    ann.call(&host, "notice.read", json!({ "ids": ids })).unwrap();
    assert_eq!(ben.call(&host, "notice.list", json!({})).unwrap()["unread"], 1, "and nobody else's to read");

    // A question is for those who may answer it, and over for all when one of them did.
    let run = host.start_run("ask", json!({}));
    host.wait_step(&run, "gate", "waiting_input");
    let question = until("the notice of the question", || {
        let found = ann.call(&host, "notice.list", json!({ "unread": true })).unwrap();
        found["notices"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&question["kind"], &question["step"]), (&json!("approval"), &json!("gate")));
    assert_eq!(
        ben.call(&host, "notice.list", json!({ "unread": true })).unwrap()["unread"],
        1,
        "viewers cannot answer"
    );
    let away = ann.call(&host, "away.list", json!({})).unwrap();
    assert_eq!(away["counts"], json!({ "question_waiting": 1 }), "what is before the mark does not count");
    assert_eq!((&away["items"][0]["to_me"], &away["items"][0]["priority"]), (&json!(true), &json!("high")));
    assert_eq!(
        host.call("notice.list", json!({})).unwrap()["unread"],
        0,
        "who started the run may not answer, and is not asked"
    );
    let dan = member(&host, "Dan", "operator", &[]);
    dan.call(&host, "approval.answer", json!({ "approval": question["approval"], "decision": "approve" })).unwrap();
    host.wait_done(&run);
    until("the question to be settled", || {
        let found = ann.call(&host, "notice.list", json!({})).unwrap();
        (found["unread"] == 0 && found["notices"][0]["settled"] == true).then_some(())
    });
    let away = ann.call(&host, "away.list", json!({ "project": id })).unwrap();
    assert_eq!(away["counts"], json!({ "question_answered": 1, "run_finished": 1 }));
    ann.call(&host, "mark.set", json!({ "project": id, "cursor": away["cursor"] })).unwrap();
    assert_eq!(ann.call(&host, "away.list", json!({})).unwrap()["items"], json!([]));
    // Others were told of the chat and the run, and of nothing that is Ann's alone.
    others.send(&json!({ "type": "call", "rid": 5, "method": "project.list" })).await;
    loop {
        let frame = others.next().await.unwrap();
        assert!(frame["room"].as_str().is_none_or(|room| room != own), "{frame}");
        if frame["type"] == "reply" {
            break;
        }
    }
    // After all of that the tables are what the log says.
    drop((phone, desk, others));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_host_is_told_how_the_connections_are() {
    let (_project, _data, host, id) = start(&[("SIGNALBOX_LIMITS_PING_MS", "300")]);
    let ann = member(&host, "Ann", "viewer", &[&id]);
    let _limited = ann.hello(&host, "phone", &[&format!("project/{id}/**")], None).await;
    let mut owner = host.hello(&["host"], None).await;
    let stats = loop {
        let frame = owner.next().await.expect("the connection holds");
        if frame["type"] == "ping" {
            owner.send(&json!({ "type": "pong" })).await;
        }
        if frame["type"] == "connection_stats" && frame["count"] == 2 {
            break frame;
        }
    };
    assert!(stats.get("seq").is_none() && stats["at"].is_number());
    let mine = stats["connections"].as_array().unwrap().iter().find(|c| c["client"] == "test/1").unwrap();
    assert!(mine["round_trip_ms"].as_f64().unwrap() > 0.0, "{mine}");
    for figure in ["lag", "lag_bytes", "events", "bytes", "ephemeral", "ephemeral_dropped"] {
        assert!(mine[figure].is_u64(), "{figure} in {mine}");
    }
    assert_eq!(mine["joined"], "snapshot");
    // Who may see one project sees its own connections, and is not told of the host's.
    let own = ann.call(&host, "connection.list", json!({})).unwrap();
    assert_eq!(own["connections"].as_array().unwrap().len(), 1);
}

/// The rules of <https://prometheus.io/docs/practices/naming/> and of the text format, by `promtool` if it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_keep_to_what_prometheus_expects() {
    let (_project, _data, host, id) = start(&[]);
    let mut socket = host.hello(&[&format!("project/{id}/**")], None).await;
    synced(&mut socket).await;
    host.call("event.publish", json!({ "project": id, "type": "x_a", "data": 1 })).unwrap();
    socket.next_of("x_a").await;
    let bearer = format!("Bearer {}", host.token);
    let text = until("the figures of a delivery", || {
        let text = host.request("GET", "/metrics", &[("Authorization", &bearer)], b"").text();
        let written = text.lines().find_map(|line| line.strip_prefix("signalbox_publish_to_write_seconds_count "));
        written.is_some_and(|count| count != "0").then_some(text)
    });
    let mut kind = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.split_once(' ').unwrap();
            assert_eq!(kind.1 == "counter", kind.0.ends_with("_total"), "{line}");
            assert!(kind.0.starts_with("signalbox_"), "{line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(kind.0), "{line} is of no family");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
    }
    for family in [
        "signalbox_commit_duration_seconds",
        "signalbox_connection_round_trip_seconds",
        "signalbox_publish_to_write_seconds",
    ] {
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with(&format!("{family}_bucket")))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(buckets.len() > 5 && buckets.is_sorted(), "{family}: {buckets:?}");
    }
    let piped = std::process::Stdio::piped;
    let mut promtool = std::process::Command::new("promtool");
    let spawned = promtool.args(["check", "metrics"]).stdin(piped()).stdout(piped()).stderr(piped()).spawn();
    match spawned {
        Ok(mut child) => {
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}{}", crate::support::stdout(&output), crate::support::stderr(&output));
        }
        Err(error) => eprintln!("promtool was not asked: {error} (Debian: apt-get install prometheus)"),
    }
}

#[test]
fn events_of_other_programs_are_held_to_the_schema_of_their_type() {
    let (project, _data, host, id) = start(&[]);
    let folder = project.path().join(".signalbox/schemas");
    std::fs::create_dir_all(&folder).unwrap();
    let schema = json!({ "type": "object", "required": ["service"], "properties": { "hosts": { "type": "array", "items": { "type": "string" } } } });
    std::fs::write(folder.join("x_deploy.json"), schema.to_string()).unwrap();
    let publish = |data: Value| host.call("event.publish", json!({ "project": id, "type": "x_deploy", "data": data }));
    publish(json!({ "service": "web", "hosts": ["a"] })).unwrap();
    let error = publish(json!({ "service": "web", "hosts": ["a", 7] })).unwrap_err();
    assert_eq!((&error["code"], &error["details"]["problems"][0]["path"]), (&json!("bad_request"), &json!("/hosts/1")));
    assert!(error["message"].as_str().unwrap().starts_with("data/hosts/1 does not fit"), "{error}");
    assert_eq!(publish(json!({})).unwrap_err()["code"], "bad_request");
    // Another type has no schema, and one that is broken is not passed over in silence.
    host.call("event.publish", json!({ "project": id, "type": "x_other", "data": 1 })).unwrap();
    std::fs::write(folder.join("x_deploy.json"), "{").unwrap();
    until("the broken schema is seen", || (publish(json!({})).unwrap_err()["code"] == "conflict").then_some(()));
    #[cfg(unix)]
    {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "{\"const\": \"a secret\"}").unwrap();
        std::fs::remove_file(folder.join("x_deploy.json")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.join("x_deploy.json")).unwrap();
        let error = publish(json!(1)).unwrap_err();
        assert!(error["code"] == "conflict" && !error.to_string().contains("a secret"), "{error}");
        // Nor does one that is there and cannot be looked at let everything pass.
        drop(outside);
        assert_eq!(publish(json!(1)).unwrap_err()["code"], "conflict");
        std::fs::remove_file(folder.join("x_deploy.json")).unwrap();
    }
    // One that is mended, changed and removed holds from then on, though nobody reads it anew for each event.
    for least in [1, 2] {
        let schema = json!({ "properties": { "n": { "minimum": least } } });
        std::fs::write(folder.join("x_deploy.json"), schema.to_string()).unwrap();
        let says = format!("less than the minimum of {least}");
        let refused = || publish(json!({ "n": 0 })).is_err_and(|error| error.to_string().contains(&says));
        until("the schema is seen", || refused().then_some(()));
    }
    std::fs::remove_file(folder.join("x_deploy.json")).unwrap();
    until("nothing holds any more", || publish(json!({ "n": 0 })).ok());
    let events = host.events(&[&format!("project/{id}")]);
    let held: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "x_deploy").map(|event| &event["data"]).collect();
    assert_eq!(held[0], &json!({ "service": "web", "hosts": ["a"] }));
    assert!(held[1..].iter().all(|data| **data == json!({ "n": 0 })), "{held:?}");
}
