//! What an agent may have us do for it: a real process asks, files and commands are real.
#![cfg(unix)]

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use signalbox_agent::{Config, Direction, Offers, Session, Stop, Update};
use signalbox_process::{Masker, leftovers};
use tokio::sync::mpsc;

/// Longest wait of a test for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Asker {
    folder: tempfile::TempDir,
    config: Config,
}

struct Told {
    stop: Stop,
    /// What the client said it offers.
    capabilities: Value,
    answers: Vec<Value>,
    updates: Vec<Update>,
}

impl Asker {
    fn new(offers: Offers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/errands_agent.py");
        let marker = format!("asker-{}", folder.path().display());
        let mut config =
            Config::new("Asker", vec!["python3".into(), script.into()], folder.path().canonicalize().unwrap(), marker);
        config.offers = offers;
        Self { folder, config }
    }

    fn path(&self, name: &str) -> String {
        self.config.folder.join(name).display().to_string()
    }

    /// One prompt; the session and all its commands have ended when this returns.
    async fn ask(&self, todo: Value) -> Told {
        let (sender, mut receiver) = mpsc::channel(64);
        let updates = tokio::spawn(async move {
            let mut updates = Vec::new();
            while let Some(update) = receiver.recv().await {
                updates.push(update);
            }
            updates
        });
        let session = Session::start(self.config.clone(), sender).await.unwrap();
        let turn = tokio::time::timeout(PATIENCE, session.prompt(&todo.to_string())).await.expect("it ends").unwrap();
        session.close().await;
        drop(session);
        assert!(leftovers(&self.config.marker).is_empty());
        let updates = updates.await.unwrap();
        let text: String = updates
            .iter()
            .filter_map(|update| match update {
                Update::Text(text) => Some(text.text.as_str()),
                _ => None,
            })
            .collect();
        let mut told: Value = serde_json::from_str(&text).unwrap_or_default();
        let answers = told[1].as_array().cloned().unwrap_or_default();
        Told { stop: turn.stop, capabilities: told[0].take(), answers, updates }
    }
}

const ALL: Offers = Offers { read: true, write: true, terminals: true };

#[tokio::test]
async fn nothing_is_offered_unless_somebody_says_so() {
    let asker = Asker::new(Offers::default());
    std::fs::write(asker.folder.path().join("a"), "a").unwrap();
    let todo = json!([
        ["fs/read_text_file", {"path": asker.path("a")}],
        ["fs/write_text_file", {"path": asker.path("b"), "content": "b"}],
        ["terminal/create", {"command": "touch", "args": [asker.path("c")]}],
    ]);
    let told = asker.ask(todo.clone()).await;
    assert_eq!(told.capabilities["fs"], json!({"readTextFile": false, "writeTextFile": false}));
    assert_eq!(told.capabilities["terminal"], false);
    assert!(
        told.answers.len() == 3 && told.answers.iter().all(|answer| answer["code"] == -32601),
        "{:?}",
        told.answers
    );

    let mut some = Asker::new(Offers { read: true, ..Offers::default() });
    some.config.folder.clone_from(&asker.config.folder);
    let told = some.ask(todo).await;
    assert_eq!(told.capabilities["fs"], json!({"readTextFile": true, "writeTextFile": false}));
    assert_eq!(told.answers[0]["content"], "a");
    assert!(told.answers[1]["code"] == -32601 && told.answers[2]["code"] == -32601);
    assert_eq!(std::fs::read_dir(asker.folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_agent_that_wants_to_hear_of_it_is_told_that_its_session_is_over() {
    let told = Asker::new(Offers::default()).ask(json!([])).await;
    let raw = |wanted: Direction| {
        told.updates.iter().filter_map(move |update| match update {
            Update::Raw { direction, line, .. } if *direction == wanted => serde_json::from_str::<Value>(line).ok(),
            _ => None,
        })
    };
    let close = raw(Direction::ToAgent).next_back().unwrap();
    assert_eq!((&close["method"], &close["params"]["sessionId"]), (&json!("session/close"), &json!("s")));
    assert_eq!(raw(Direction::FromAgent).next_back().unwrap()["id"], close["id"]);
}

#[tokio::test]
async fn files_are_read_and_written_within_the_folder() {
    let asker = Asker::new(ALL);
    let told = asker
        .ask(json!([
            ["fs/read_text_file", {"path": asker.path("new/file.txt")}],
            ["fs/write_text_file", {"path": asker.path("new/file.txt"), "content": "one\ntwo\n"}],
            ["fs/read_text_file", {"path": asker.path("new/file.txt"), "line": 2}],
            ["fs/read_text_file", {"path": "/etc/hostname"}],
            ["fs/write_text_file", {"path": asker.path("../beside"), "content": "x"}],
            ["fs/write_text_file", {"path": 7}],
        ]))
        .await;
    assert_eq!(told.answers[0], json!({"code": -32002, "message": "Resource not found"}));
    assert_eq!(told.answers[1], json!({}));
    assert_eq!(told.answers[2]["content"], "two\n");
    for refused in &told.answers[3..] {
        assert_eq!(refused["code"], -32602, "{refused}");
    }
    assert_eq!(std::fs::read_to_string(asker.folder.path().join("new/file.txt")).unwrap(), "one\ntwo\n");
    assert!(!asker.folder.path().parent().unwrap().join("beside").exists());
}

#[tokio::test]
async fn commands_run_are_shown_and_end_with_their_terminal() {
    let mut asker = Asker::new(ALL);
    asker.config.masker = Masker::new(["hunter2-hunter2".to_owned()]);
    asker.config.env = vec![("OF_AGENT".into(), "hunter2-hunter2".into())];
    let call = |update: Value| json!(["call", update]);
    let told = asker
        .ask(json!([
            ["terminal/create", {"command": "sh", "args": ["-c", "echo $OF_AGENT $MORE; pwd; exit 3"],
                "env": [{"name": "MORE", "value": "more"}]}],
            call(json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "sh", "kind": "execute",
                "status": "in_progress", "content": [{"type": "terminal", "terminalId": "$T"}]})),
            ["terminal/wait_for_exit", {"terminalId": "$T"}],
            ["terminal/output", {"terminalId": "$T"}],
            ["terminal/release", {"terminalId": "$T"}],
            ["terminal/output", {"terminalId": "$T"}],
            call(json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed"})),
            // A line of the shell, which is cut in the middle of a letter.
            ["terminal/create", {"command": "printf 'ääää' && sleep 600", "outputByteLimit": 3}],
            ["later terminal/wait_for_exit", {"terminalId": "$T"}],
            ["terminal/kill", {"terminalId": "$T"}],
            ["terminal/wait_for_exit", {"terminalId": "$T"}],
            ["terminal/create", {"command": "no-such-program"}],
            ["terminal/wait_for_exit", {"terminalId": "t99"}],
        ]))
        .await;
    assert_eq!(told.capabilities["terminal"], true);
    assert_eq!(told.answers[1], json!({"exitCode": 3}));
    let output = format!("*** more\n{}\n", asker.config.folder.display());
    assert_eq!(told.answers[2]["output"], output);
    assert_eq!((&told.answers[2]["truncated"], &told.answers[2]["exitStatus"]["exitCode"]), (&json!(false), &json!(3)));
    assert_eq!(told.answers[3], json!({}));
    assert_eq!(told.answers[4]["code"], -32002);
    assert_eq!(told.answers[8], json!({"signal": "9"}), "{:?}", told.answers);
    assert!(told.answers[9]["message"].as_str().unwrap().contains("no-such-program"));
    assert_eq!(told.answers[10]["code"], -32002);
    let shown = told.updates.iter().rev().find_map(|update| match update {
        Update::Tool(tool) if tool.id == "c1" => Some((tool.output.clone(), tool.exit_code)),
        _ => None,
    });
    assert_eq!(shown, Some((Some(output), Some(3))));
}

#[tokio::test]
async fn what_floods_or_is_left_running_ends_with_the_session() {
    let asker = Asker::new(ALL);
    let told = asker
        .ask(json!([
            ["terminal/create", {"command": "sh", "args": ["-c", "head -c 30000000 /dev/zero | tr '\\0' x"]}],
            ["terminal/wait_for_exit", {"terminalId": "$T"}],
            ["terminal/output", {"terminalId": "$T"}],
            ["terminal/create", {"command": "setsid sleep 600"}],
            ["terminal/create", {"command": "sleep", "args": ["600"]}],
        ]))
        .await;
    assert_eq!(told.stop, Stop::EndTurn);
    assert_eq!(told.answers[2]["truncated"], true);
    assert_eq!(told.answers[2]["output"].as_str().unwrap().len(), 1024 * 1024);
    assert!(told.answers[3]["terminalId"].is_string() && told.answers[4]["terminalId"].is_string());
}

#[tokio::test]
async fn more_terminals_than_the_bound_are_refused() {
    let asker = Asker::new(ALL);
    let todo: Vec<Value> = (0..33).map(|_| json!(["terminal/create", {"command": "sleep", "args": ["600"]}])).collect();
    let told = asker.ask(Value::Array(todo)).await;
    assert!(told.answers[..32].iter().all(|answer| answer["terminalId"].is_string()));
    assert!(told.answers[32]["message"].as_str().unwrap().contains("release one first"), "{}", told.answers[32]);
}
