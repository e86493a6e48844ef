//! The rehearsal agent as a real process, driven through a session: every action is really done and told.
#![cfg(unix)]

use std::time::Duration;

use signalbox_agent::{
    Config, Failure, Outcome, PermissionAsked, Session, Stop, ToolState, Turn, Update, Withdrawn, rehearsal,
};
use signalbox_model::{AgentErrorKind, OptionKind, PlanEntry, PlanStatus, ToolDiff, ToolKind, ToolStatus};
use signalbox_process::leftovers;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longest wait of a test for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    folder: TempDir,
    marker: String,
}

struct Rehearsal {
    session: Session,
    updates: mpsc::Receiver<Update>,
}

impl Stage {
    fn new(script: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        if let Some(script) = script {
            std::fs::write(folder.path().join("script.yaml"), script).unwrap();
        }
        let marker = format!("rehearsal-{}", folder.path().display());
        Self { folder, marker }
    }

    fn config(&self) -> Config {
        let mut argv = vec![env!("CARGO_BIN_EXE_rehearsal-for-tests").into()];
        let script = self.folder.path().join("script.yaml");
        if script.exists() {
            argv.push(script.into());
        }
        let mut config = Config::new("Rehearsal", argv, self.folder.path().join("work"), self.marker.clone());
        let state = self.folder.path().join("state").to_str().unwrap().to_owned();
        config.env = vec![(rehearsal::STATE.into(), state)];
        config
    }

    async fn start(&self, config: Config) -> Rehearsal {
        // Room for everything that a test makes: it looks at it afterwards.
        let (sender, updates) = mpsc::channel(100_000);
        let session = tokio::time::timeout(PATIENCE, Session::start(config, sender)).await.unwrap().unwrap();
        Rehearsal { session, updates }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("work").join(name)).unwrap()
    }
}

impl Rehearsal {
    async fn prompt(&self, text: &str) -> Result<Turn, Failure> {
        tokio::time::timeout(PATIENCE, self.session.prompt(text)).await.unwrap()
    }

    /// Waits until something was told.
    async fn wait_for<T>(&mut self, wanted: impl Fn(&Update) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(&self.updates.recv().await.expect("it is told before the end")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it is told")
    }

    async fn question(&mut self) -> PermissionAsked {
        let asked = |update: &Update| match update {
            Update::Permission(asked) => Some((**asked).clone()),
            _ => None,
        };
        self.wait_for(asked).await
    }

    /// Ends the session and gives what was told since it was looked at last.
    async fn end(mut self) -> Vec<Update> {
        self.session.close().await;
        drop(self.session);
        let mut updates = Vec::new();
        while let Some(update) = self.updates.recv().await {
            updates.push(update);
        }
        updates
    }
}

fn tools(updates: &[Update]) -> Vec<ToolState> {
    let mut tools: Vec<ToolState> = Vec::new();
    for update in updates {
        let Update::Tool(tool) = update else { continue };
        match tools.iter_mut().find(|known| known.id == tool.id) {
            Some(known) => *known = (**tool).clone(),
            None => tools.push((**tool).clone()),
        }
    }
    tools
}

fn said(updates: &[Update], thought: bool) -> Vec<String> {
    let mut said: Vec<(String, String)> = Vec::new();
    for update in updates {
        let Update::Text(text) = update else { continue };
        if text.thought == thought {
            match said.last_mut().filter(|last| last.0 == text.message) {
                Some(last) => last.1.push_str(&text.text),
                None => said.push((text.message.clone(), text.text.clone())),
            }
        }
    }
    said.into_iter().map(|(_, text)| text).collect()
}

/// One prompt to a script, and what was told.
async fn play(script: &str) -> (Result<Turn, Failure>, Vec<Update>, Stage) {
    let stage = Stage::new(Some(script));
    let rehearsal = stage.start(stage.config()).await;
    let turn = rehearsal.prompt("go").await;
    (turn, rehearsal.end().await, stage)
}

#[tokio::test]
async fn it_says_thinks_plans_and_counts() {
    let (turn, updates, _) = play(
        "scenes: [{ chunk_ms: 1, do: [{ think: one two }, { say: three four }, { say: five },
           { plan: [a, { text: b, status: completed }] }, { usage: { input: 100, output: 20, cached: 30, usd: 0.5, context_size: 1000 } }] }]",
    )
    .await;
    let turn = turn.unwrap();
    assert_eq!(
        (turn.stop, turn.usage.input_tokens, turn.usage.output_tokens, turn.usage.cached_tokens),
        (Stop::EndTurn, 100, 20, 30)
    );
    assert_eq!(
        (said(&updates, true), said(&updates, false)),
        (vec!["one two".into()], vec!["three four".into(), "five".into()])
    );
    let plan = vec![
        PlanEntry { text: "a".into(), status: PlanStatus::Pending },
        PlanEntry { text: "b".into(), status: PlanStatus::Completed },
    ];
    assert!(updates.contains(&Update::Plan(plan)));
    let usage = updates
        .iter()
        .rev()
        .find_map(|update| if let Update::Usage(usage) = update { Some(usage) } else { None })
        .unwrap();
    assert_eq!(
        (usage.usage.input_tokens, usage.usage.usd, usage.context_used, usage.context_size),
        (100, Some(0.5), Some(120), Some(1000))
    );
    let info = updates.iter().find_map(|update| match update {
        Update::Info(info) if info.session.is_some() => Some(info),
        _ => None,
    });
    let info = info.unwrap();
    assert_eq!(
        (info.name.as_deref(), info.rehearsal, info.resumable, info.resumed),
        (Some("Rehearsal"), true, true, false)
    );
    assert_eq!(info.modes.iter().map(|mode| mode.id.as_str()).collect::<Vec<_>>(), ["default", "plan", "auto"]);
    assert!(!updates.iter().any(|update| matches!(update, Update::Unknown { .. })));
}

#[tokio::test]
async fn it_really_writes_edits_and_reads() {
    let (turn, updates, stage) = play(
        "scenes: [{ do: [{ write: { path: a/b.txt, text: \"one\\ntwo\\n\" } }, { edit: { path: a/b.txt, find: two, replace: three } },
           { read: { path: a/b.txt } }, { edit: { path: a/b.txt, find: nowhere, replace: x } }, { read: { path: none } }] }]",
    )
    .await;
    assert_eq!(turn.unwrap().stop, Stop::EndTurn);
    assert_eq!(stage.file("a/b.txt"), "one\nthree\n");
    let tools = tools(&updates);
    let ends: Vec<(ToolKind, ToolStatus)> = tools.iter().map(|tool| (tool.kind, tool.status)).collect();
    assert_eq!(
        ends,
        [
            (ToolKind::Edit, ToolStatus::Completed),
            (ToolKind::Edit, ToolStatus::Completed),
            (ToolKind::Read, ToolStatus::Completed),
            (ToolKind::Edit, ToolStatus::Failed),
            (ToolKind::Read, ToolStatus::Failed),
        ]
    );
    let (old, new) = (Some("one\ntwo\n".into()), "one\nthree\n".into());
    assert_eq!(tools[1].diffs, [ToolDiff { path: "a/b.txt".into(), old, new, cut: false }]);
    assert_eq!((tools[0].diffs[0].old.as_ref(), tools[0].locations[0].path.as_str()), (None, "a/b.txt"));
    assert_eq!(tools[2].output.as_deref(), Some("one\nthree\n"));
    assert!(tools[3].output.as_ref().unwrap().contains("does not contain"));
}

#[tokio::test]
async fn it_stays_in_its_folder_unless_told_otherwise() {
    let (_, updates, stage) = play(
        "scenes: [{ do: [{ write: { path: ../out.txt, text: x } }, { read: { path: /etc/passwd } },
           { write: { path: ../allowed.txt, text: y, outside: true } }] }]",
    )
    .await;
    let ends: Vec<ToolStatus> = tools(&updates).iter().map(|tool| tool.status).collect();
    assert_eq!(ends, [ToolStatus::Failed, ToolStatus::Failed, ToolStatus::Completed]);
    assert!(!stage.folder.path().join("out.txt").exists());
    assert_eq!(stage.file("../allowed.txt"), "y");
}

#[tokio::test]
async fn it_really_runs_commands() {
    let (_, updates, stage) = play(
        "scenes: [{ do: [{ run: { command: 'echo out; echo err >&2; pwd > where; exit 3' } }, { run: { command: seq 1 30000 } }] }]",
    )
    .await;
    let tools = tools(&updates);
    assert_eq!((tools[0].kind, tools[0].status, tools[0].exit_code), (ToolKind::Execute, ToolStatus::Failed, Some(3)));
    let output = tools[0].output.as_ref().unwrap();
    assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    let folder = stage.folder.path().join("work").canonicalize().unwrap();
    assert_eq!(stage.file("where").trim(), folder.to_str().unwrap());
    assert_eq!((tools[1].status, tools[1].exit_code), (ToolStatus::Completed, Some(0)));
    assert!(tools[1].output.as_ref().unwrap().ends_with("29999\n30000\n") && tools[1].output_bytes.is_some());
}

const ASKS: &str = "scenes: [{ do: [{ ask: { title: Write it, kind: edit, then: [{ write: { path: a.txt, text: a } }],
    otherwise: [{ say: so be it }] } }, { say: done }] }]";

#[tokio::test]
async fn it_goes_on_only_with_a_permission() {
    for (kind, written, words) in
        [(OptionKind::AllowOnce, true, vec!["done"]), (OptionKind::RejectOnce, false, vec!["so be it", "done"])]
    {
        let stage = Stage::new(Some(ASKS));
        let mut rehearsal = stage.start(stage.config()).await;
        let session = rehearsal.session.clone();
        let turn = tokio::spawn(async move { session.prompt("go").await });
        let asked = rehearsal.question().await;
        assert_eq!(
            (asked.tool.title.as_str(), asked.tool.kind, asked.tool.diffs.len()),
            ("Write it", ToolKind::Edit, 1)
        );
        assert_eq!(asked.tool.locations[0].path, "a.txt");
        assert!(!stage.folder.path().join("work/a.txt").exists());
        let option = asked.options.iter().find(|option| option.kind == kind).unwrap();
        assert!(rehearsal.session.answer(&asked.id, &Outcome::Selected(option.id.clone())).await);
        assert_eq!(turn.await.unwrap().unwrap().stop, Stop::EndTurn);
        let updates = rehearsal.end().await;
        assert_eq!(stage.folder.path().join("work/a.txt").exists(), written);
        // The question's call is the call that was made, and a refused one is no failure.
        let calls = tools(&updates);
        let status = if written { ToolStatus::Completed } else { ToolStatus::Rejected };
        assert_eq!((calls.len(), calls[0].status, &calls[0].id), (1, status, &asked.tool.id));
        assert_eq!(said(&updates, false), words);
    }
}

#[tokio::test]
async fn its_modes_do_not_ask_or_change_nothing() {
    let stage = Stage::new(Some(ASKS));
    let auto = stage.start(Config { mode: Some("auto".into()), ..stage.config() }).await;
    assert_eq!(auto.session.info().mode.as_deref(), Some("auto"));
    auto.prompt("go").await.unwrap();
    assert!(!auto.end().await.iter().any(|update| matches!(update, Update::Permission(_))));
    assert_eq!(stage.file("a.txt"), "a");
    let stage =
        Stage::new(Some("scenes: [{ do: [{ write: { path: a.txt, text: a } }, { run: { command: touch b } }] }]"));
    let plan = stage.start(stage.config()).await;
    plan.session.set_mode("plan").await.unwrap();
    assert_eq!(plan.session.info().mode.as_deref(), Some("plan"));
    assert!(
        plan.session
            .set_mode("fly")
            .await
            .unwrap_err()
            .message
            .contains("Rehearsal has no mode fly: it has default, plan, auto")
    );
    plan.prompt("go").await.unwrap();
    assert!(tools(&plan.end().await).iter().all(|tool| tool.status == ToolStatus::Failed));
    assert_eq!(std::fs::read_dir(stage.folder.path().join("work")).unwrap().count(), 0);
}

#[tokio::test]
async fn it_fails_and_stops_as_it_is_told() {
    let (turn, _, _) = play("scenes: [{ do: [{ fail: { code: 429, message: try again in 5 minutes } }] }]").await;
    let failure = turn.unwrap_err();
    assert_eq!((failure.kind, failure.resets_at.is_some()), (AgentErrorKind::RateLimit, true));
    for (reason, stop) in
        [("refusal", Stop::Refusal), ("max_tokens", Stop::MaxTokens), ("bored", Stop::Other("bored".into()))]
    {
        let (turn, updates, _) = play(&format!("scenes: [{{ do: [{{ stop: {reason} }}, {{ say: never }}] }}]")).await;
        assert_eq!(turn.unwrap().stop, stop);
        assert!(said(&updates, false).is_empty());
    }
}

#[tokio::test]
async fn a_cancelled_command_is_killed_with_its_children() {
    let stage = Stage::new(Some(
        "scenes: [{ do: [{ run: { command: 'sleep 600 & echo ready; sleep 600' } }, { say: never }] }]",
    ));
    let mut rehearsal = stage.start(stage.config()).await;
    let session = rehearsal.session.clone();
    let turn = tokio::spawn(async move { session.prompt("go").await });
    rehearsal.wait_for(|update| matches!(update, Update::Tool(tool) if tool.output.is_some()).then_some(())).await;
    rehearsal.session.cancel().await;
    let turn = tokio::time::timeout(PATIENCE, turn).await.unwrap().unwrap();
    assert_eq!(turn.unwrap().stop, Stop::Cancelled);
    // Only the agent itself is left, as soon as the system has seen to it.
    let alone = async {
        while leftovers(&stage.marker).len() != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, alone).await.unwrap();
    let updates = rehearsal.end().await;
    assert_eq!(tools(&updates)[0].status, ToolStatus::Failed);
    assert!(said(&updates, false).is_empty() && leftovers(&stage.marker).is_empty());
}

#[tokio::test]
async fn what_it_says_waits_or_asks_can_be_cancelled() {
    for (script, seen) in [
        ("scenes: [{ chunk_ms: 60000, do: [{ say: one two three }] }]", "text"),
        ("scenes: [{ do: [{ say: one }, { wait_ms: 600000 }] }]", "text"),
        (ASKS, "question"),
    ] {
        let stage = Stage::new(Some(script));
        let mut rehearsal = stage.start(stage.config()).await;
        let session = rehearsal.session.clone();
        let turn = tokio::spawn(async move { session.prompt("go").await });
        let reached = |update: &Update| match update {
            Update::Text(_) => (seen == "text").then_some(()),
            Update::Permission(_) => Some(()),
            _ => None,
        };
        rehearsal.wait_for(reached).await;
        rehearsal.session.cancel().await;
        let turn = tokio::time::timeout(PATIENCE, turn).await.unwrap().unwrap();
        assert_eq!(turn.unwrap().stop, Stop::Cancelled, "{script}");
        let updates = rehearsal.end().await;
        let withdrawn = Update::PermissionWithdrawn { id: "q1".into(), reason: Withdrawn::Cancelled };
        assert_eq!(updates.contains(&withdrawn), seen == "question");
    }
}

const TURNS: &str = "scenes: [{ times: 1, do: [{ say: first }, { usage: { input: 1, output: 1, usd: 1.0 } }] },
    { do: [{ say: second }, { usage: { input: 1, output: 1, usd: 0.5 } }] }]";

#[tokio::test]
async fn a_session_goes_on_in_another_process() {
    let stage = Stage::new(Some(TURNS));
    let first = stage.start(stage.config()).await;
    first.prompt("go").await.unwrap();
    let id = first.session.id().to_owned();
    assert_eq!(said(&first.end().await, false), ["first"]);
    let again = stage.start(Config { resume: Some(id.clone()), ..stage.config() }).await;
    let info = again.session.info();
    assert_eq!((info.resumed, info.not_resumed, again.session.id()), (true, None, id.as_str()));
    again.prompt("go").await.unwrap();
    assert_eq!(said(&again.end().await, false), ["second"]);
    let unknown = stage.start(Config { resume: Some("rehearsal-gone".into()), ..stage.config() }).await;
    let info = unknown.session.info();
    assert!(!info.resumed && info.not_resumed.unwrap().contains("Resource not found"));
    unknown.prompt("go").await.unwrap();
    assert_eq!(said(&unknown.end().await, false), ["first"]);
}

#[tokio::test]
async fn a_corrected_turn_is_another_scene() {
    let stage = Stage::new(Some(TURNS));
    let rehearsal = stage.start(stage.config()).await;
    rehearsal.prompt("go").await.unwrap();
    rehearsal.prompt("the check failed").await.unwrap();
    let updates = rehearsal.end().await;
    assert_eq!(said(&updates, false), ["first", "second"]);
    let usage =
        updates.iter().rev().find_map(|update| if let Update::Usage(usage) = update { Some(usage) } else { None });
    let usage = usage.unwrap();
    assert_eq!((usage.usage.input_tokens, usage.usage.usd), (2, Some(1.5)));
}

#[tokio::test]
async fn without_a_script_it_does_something_sensible() {
    let stage = Stage::new(None);
    let rehearsal = stage.start(Config { mode: Some("auto".into()), ..stage.config() }).await;
    let prompt = "Goal: be faster. Write plan.md and answer with JSON:\n```json\n{\"type\": \"object\", \"required\": [\"summary\"], \"properties\": {\"summary\": {\"type\": \"string\"}}}\n```";
    let turn = rehearsal.prompt(prompt).await.unwrap();
    assert!(turn.stop == Stop::EndTurn && turn.usage.tokens() > 0);
    let updates = rehearsal.end().await;
    assert_eq!(said(&updates, false).last().unwrap(), "```json\n{\n  \"summary\": \"rehearsal\"\n}\n```\n");
    assert!(stage.file("plan.md").starts_with("# Goal: be faster\n"), "{}", stage.file("plan.md"));
    assert!(updates.iter().any(|update| matches!(update, Update::Plan(_))));
    assert_eq!(tools(&updates)[0].status, ToolStatus::Completed);
}
