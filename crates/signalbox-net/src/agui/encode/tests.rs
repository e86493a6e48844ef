use super::*;

const RUN: &str = "r_00000000";

fn encoder() -> Encoder {
    Encoder::new("t".into(), "page-run".into(), RunId::new(RUN).unwrap())
}

/// Holds a stream to the rules of the npm client's `verify.ts`.
fn verify(events: &[Value]) {
    let (mut steps, mut texts, mut tools) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut begun, mut over) = (false, false);
    for event in events {
        assert!(!over, "{event} after the end");
        let text = |field: &str| event[field].as_str().unwrap_or_else(|| panic!("{field} of {event}")).to_owned();
        match event["type"].as_str().unwrap() {
            "RUN_STARTED" => assert!(!std::mem::replace(&mut begun, true)),
            "RUN_FINISHED" => {
                assert!(steps.is_empty() && texts.is_empty() && tools.is_empty(), "{steps:?} {texts:?} {tools:?}");
                over = true;
            }
            "RUN_ERROR" => over = true,
            "STEP_STARTED" => assert!(steps.insert(text("stepName"))),
            "STEP_FINISHED" => assert!(steps.remove(&text("stepName"))),
            "TEXT_MESSAGE_START" => assert!(texts.insert(text("messageId"))),
            "TEXT_MESSAGE_CONTENT" => assert!(texts.contains(&text("messageId")) && !text("delta").is_empty()),
            "TEXT_MESSAGE_END" => assert!(texts.remove(&text("messageId"))),
            "TOOL_CALL_START" => assert!(tools.insert(text("toolCallId"))),
            "TOOL_CALL_ARGS" => assert!(tools.contains(&text("toolCallId"))),
            "TOOL_CALL_END" => assert!(tools.remove(&text("toolCallId"))),
            "TOOL_CALL_RESULT" | "STATE_SNAPSHOT" | "STATE_DELTA" | "CUSTOM" => assert!(begun),
            other => panic!("{other} is not known to both clients"),
        }
        assert!(begun || event["type"] == "RUN_ERROR");
    }
    assert!(over, "the stream has an end");
}

fn snapshot(status: &str, transcript: Vec<Value>) -> Value {
    json!({ "type": "snapshot", "room": format!("run/{RUN}"), "at": 10, "state": { "of": "run",
        "run": { "id": RUN, "status": status, "conclusion": if status == "done" { json!("success") } else { json!("none") } },
        "steps": [{ "key": "a/b", "status": if status == "done" { "done" } else { "running" }, "generation": 1, "attempts": [{}] }],
        "transcript": transcript } })
}

fn event(seq: u64, kind: &str, data: Value) -> Value {
    json!({ "type": kind, "seq": seq, "prev": 0, "cursor": format!("abcd.{seq}"), "room": "x", "ts": 5, "actor": "a", "run": RUN, "data": data })
}

fn said(seq: u64, id: &str, offset: u64, text: &str) -> Value {
    event(
        seq,
        "agent_message",
        json!({ "step": "a/b", "attempt": 1, "id": id, "from": "agent", "offset": offset, "text": text }),
    )
}

fn tool(seq: u64, status: &str) -> Value {
    let data = json!({ "step": "a/b", "attempt": 1, "id": "t1", "title": "ls", "status": status, "input": "{\"a\":1}", "output": "out" });
    event(seq, "tool_call", data)
}

fn all(frames: &[Value]) -> Vec<Value> {
    let mut encoder = encoder();
    frames.iter().flat_map(|frame| encoder.take(frame.to_string().as_bytes())).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn a_run_is_told_from_its_snapshot_to_its_end_and_everything_open_is_closed() {
    let done = json!({ "run": RUN, "key": "a/b", "status": "done", "generation": 2, "attempts": [{}] });
    let events = all(&[
        said(9, "m1", 0, "before the snapshot"),
        snapshot("running", vec![said(8, "m1", 0, "one ")]),
        said(11, "m1", 4, "two"),
        said(11, "m1", 4, "two"),
        tool(12, "in_progress"),
        said(13, "m2", 0, "three"),
        tool(14, "completed"),
        tool(15, "completed"),
        event(16, "permission_requested", json!({ "id": "q_00000000", "run": RUN })),
        json!({ "type": "run_updated", "seq": 17, "data": { "id": "r_11111111", "status": "running" } }),
        event(18, "step_completed", done.clone()),
        event(19, "completion", json!({ "run": RUN, "conclusion": "success" })),
        said(20, "m3", 0, "too late"),
    ]);
    verify(&events);
    assert_eq!(
        types(&events),
        [
            "RUN_STARTED",
            "STATE_SNAPSHOT",
            "STEP_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TOOL_CALL_START",
            "TEXT_MESSAGE_END",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TOOL_CALL_ARGS",
            "TOOL_CALL_END",
            "TOOL_CALL_RESULT",
            "CUSTOM",
            "STATE_DELTA",
            "TEXT_MESSAGE_END",
            "STEP_FINISHED",
            "RUN_FINISHED",
        ]
    );
    assert_eq!(events[0], json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "page-run" }));
    assert_eq!(events[14]["delta"][0]["path"], "/steps/a~1b");
    assert_eq!(events[5]["metadata"]["signalbox"]["cursor"], "abcd.11");
}

#[test]
fn a_run_that_ended_or_failed_and_a_stream_that_breaks_have_an_end() {
    verify(&all(&[snapshot("done", vec![said(8, "m1", 0, "one"), tool(9, "in_progress")])]));
    let failed = all(&[
        snapshot("running", vec![]),
        said(11, "m1", 0, "x"),
        event(12, "completion", json!({ "run": RUN, "conclusion": "timed_out" })),
    ]);
    verify(&failed);
    assert_eq!(failed.last().unwrap()["code"], "timed_out");
    let mut early = encoder();
    verify(&early.fail("closed", "x"));
    let mut late = encoder();
    let mut events = late.take(snapshot("running", vec![]).to_string().as_bytes());
    events.extend(late.fail("closed", "x"));
    verify(&events);
    assert!(late.is_over());
}
