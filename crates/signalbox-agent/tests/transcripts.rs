//! What real agents sent, replayed through the reducer: nothing is lost, and what comes out is what happened.
//!
//! Each file of `transcripts/` is one session of an agent with a scripted model behind it: `NAME.acp.jsonl` a turn with
//! edits and commands, `-fs` the same with files offered to the agent, `cancel-*`, `kill-*`, `perm-*` and `permwait-*`
//! (a question answered no, cancelled, or not at all), `err-*` (the model refuses, or its stream breaks), `two-*` (two
//! prompts), `load-*` (the session again in another process), `v2-*` (the draft of the next version). A line is
//! `{"t": seconds, "dir": "->" to the agent | "<-" from it | "!!" a note, "msg": ...}`; long lists were cut.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use signalbox_agent::{Frame, PermissionAsked, Reducer, Refusal, Stop, ToolState, Turn, Update, UsageState, Withdrawn};
use signalbox_model::{OptionKind, PlanStatus, ToolDiff, ToolKind, ToolStatus};

/// What has no name in the reducer, and why it needs none.
const UNKNOWN: &[(&str, &str)] = &[
    ("_auth/status_update", "says how the agent is signed in, in its own words; the raw lines have it"),
    ("fs/read_text_file", "files are not offered; this agent was told otherwise for the recording"),
    ("fs/write_text_file", "files are not offered; this agent was told otherwise for the recording"),
    ("state_update", "draft of protocol 2, which is not asked for"),
    ("terminal_update", "draft of protocol 2, which is not asked for"),
    ("user_message", "draft of protocol 2, which is not asked for"),
];

struct Replay {
    name: String,
    updates: Vec<Update>,
    turns: Vec<Result<Turn, Refusal>>,
    /// What the frames said, counted without the reducer.
    said: [String; 2],
    questions: usize,
    calls: BTreeSet<String>,
}

fn replay(name: &str) -> Replay {
    let path = format!("{}/tests/transcripts/{name}.acp.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut reducer = Reducer::new("/srv/demo");
    let (mut updates, mut turns) = (Vec::new(), Vec::new());
    let (mut said, mut questions, mut calls, mut loading) = ([String::new(), String::new()], 0, BTreeSet::new(), false);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let frame = &line["msg"];
        match line["dir"].as_str().unwrap() {
            "->" => {
                reducer.outgoing(&frame.to_string(), &mut updates);
                match frame["method"].as_str() {
                    Some("session/load") => loading = true,
                    Some("session/prompt") => loading = false,
                    _ => {}
                }
            }
            "<-" => {
                let update = &frame["params"]["update"];
                let kind = update["sessionUpdate"].as_str().unwrap_or_default();
                match kind {
                    "agent_message_chunk" | "agent_thought_chunk" if !loading => {
                        let chunk = update["content"]["text"].as_str().unwrap_or_default();
                        said[usize::from(kind == "agent_thought_chunk")].push_str(chunk);
                    }
                    "tool_call" | "tool_call_update" if !loading => {
                        calls.insert(update["toolCallId"].as_str().unwrap().to_owned());
                    }
                    _ => {}
                }
                if frame["method"] == "session/request_permission" {
                    questions += 1;
                    let params = &frame["params"];
                    let call = params.get("toolCall").unwrap_or(&params["subject"]["toolCall"]);
                    calls.insert(call["toolCallId"].as_str().unwrap().to_owned());
                }
                if let Frame::Turn { result, .. } = reducer.incoming(&frame.to_string(), &mut updates) {
                    assert!(open(&updates).is_empty(), "{name}: open after a turn");
                    turns.push(result);
                }
            }
            _ => {}
        }
    }
    reducer.end(&mut updates);
    Replay { name: name.to_owned(), updates, turns, said, questions, calls }
}

/// Calls whose last state is not an end.
fn open(updates: &[Update]) -> Vec<String> {
    let mut last = BTreeMap::new();
    for update in updates {
        if let Update::Tool(tool) = update {
            last.insert(tool.id.clone(), tool.status);
        }
    }
    last.into_iter().filter(|(_, status)| !status.is_final()).map(|(id, _)| id).collect()
}

impl Replay {
    /// Messages, or thoughts, with what is only said again taken out.
    fn messages(&self, thoughts: bool) -> Vec<String> {
        let mut messages: Vec<(String, String)> = Vec::new();
        for update in &self.updates {
            let Update::Text(text) = update else { continue };
            if text.thought != thoughts {
                continue;
            }
            match messages.last_mut().filter(|last| last.0 == text.message) {
                Some(last) => last.1.push_str(&text.text),
                None => messages.push((text.message.clone(), text.text.clone())),
            }
        }
        messages.into_iter().map(|(_, text)| text).collect()
    }

    /// The last state of each call, in the order in which they were first seen.
    fn tools(&self) -> Vec<ToolState> {
        let mut tools: Vec<ToolState> = Vec::new();
        for update in &self.updates {
            let Update::Tool(tool) = update else { continue };
            match tools.iter_mut().find(|known| known.id == tool.id) {
                Some(known) => *known = (**tool).clone(),
                None => tools.push((**tool).clone()),
            }
        }
        tools
    }

    fn commands(&self) -> Vec<(ToolStatus, Option<i32>, Option<String>)> {
        let commands = self.tools().into_iter().filter(|tool| tool.kind == ToolKind::Execute);
        commands.map(|tool| (tool.status, tool.exit_code, tool.output)).collect()
    }

    fn diffs(&self) -> Vec<ToolDiff> {
        self.tools().into_iter().flat_map(|tool| tool.diffs).collect()
    }

    fn asked(&self) -> Vec<PermissionAsked> {
        let asked = self.updates.iter().filter_map(|update| match update {
            Update::Permission(asked) => Some((**asked).clone()),
            _ => None,
        });
        asked.collect()
    }

    fn withdrawn(&self) -> Vec<Withdrawn> {
        let withdrawn = self.updates.iter().filter_map(|update| match update {
            Update::PermissionWithdrawn { reason, .. } => Some(*reason),
            _ => None,
        });
        withdrawn.collect()
    }

    fn usage(&self) -> UsageState {
        let usage = self.updates.iter().rev().find_map(|update| match update {
            Update::Usage(usage) => Some((**usage).clone()),
            _ => None,
        });
        usage.unwrap_or_default()
    }

    fn retries(&self) -> Vec<String> {
        let retries = self.updates.iter().filter_map(|update| match update {
            Update::Retry { reason } => Some(reason.clone()),
            _ => None,
        });
        retries.collect()
    }

    fn plans(&self) -> Vec<Vec<PlanStatus>> {
        let plans = self.updates.iter().filter_map(|update| match update {
            Update::Plan(plan) => Some(plan.iter().map(|entry| entry.status).collect()),
            _ => None,
        });
        plans.collect()
    }

    fn info(&self) -> signalbox_agent::Info {
        let info = self.updates.iter().rev().find_map(|update| match update {
            Update::Info(info) => Some((**info).clone()),
            _ => None,
        });
        info.unwrap()
    }

    fn stops(&self) -> Vec<Stop> {
        self.turns.iter().map(|turn| turn.as_ref().unwrap().stop.clone()).collect()
    }
}

fn all() -> Vec<Replay> {
    let folder = format!("{}/tests/transcripts", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".acp.jsonl").map(str::to_owned))
        .collect();
    names.sort();
    assert_eq!(names.len(), 57);
    names.iter().map(|name| replay(name)).collect()
}

#[test]
fn nothing_that_agents_sent_is_lost() {
    let mut seen = BTreeSet::new();
    for replay in all() {
        let name = &replay.name;
        for update in &replay.updates {
            if let Update::Unknown { kind, json } = update {
                assert!(UNKNOWN.iter().any(|(known, _)| known == kind), "{name}: {kind} {json}");
                seen.insert(kind.clone());
            }
        }
        for (thoughts, said) in [false, true].into_iter().zip(&replay.said) {
            assert_eq!(replay.messages(thoughts).concat(), *said, "{name}");
        }
        assert!(open(&replay.updates).is_empty(), "{name}");
        assert_eq!(replay.asked().len(), replay.questions, "{name}");
        let calls: BTreeSet<String> = replay.tools().into_iter().map(|tool| tool.id).collect();
        assert_eq!(calls, replay.calls, "{name}");
    }
    assert_eq!(seen.len(), UNKNOWN.len(), "the list names what is not there: {seen:?}");
}

fn failing() -> Option<String> {
    Some("cat: no-such-file.txt: No such file or directory\n".into())
}

fn whole(old: Option<&str>, new: &str) -> ToolDiff {
    ToolDiff { path: "hello.txt".into(), old: old.map(Into::into), new: new.into(), cut: false }
}

#[test]
fn a_turn_of_gemini() {
    let gemini = replay("gemini");
    let info = gemini.info();
    assert_eq!((info.name.as_deref(), info.version.as_deref()), (Some("Gemini CLI"), Some("0.61.0")));
    assert_eq!((info.mode.as_deref(), info.model.as_deref()), (Some("default"), Some("gemini-2.5-flash")));
    assert_eq!(
        info.modes.iter().map(|mode| mode.id.as_str()).collect::<Vec<_>>(),
        ["default", "autoEdit", "yolo", "plan"]
    );
    assert!(info.resumable);
    assert_eq!(gemini.stops(), [Stop::EndTurn]);
    let messages = gemini.messages(false);
    assert_eq!(messages[0], "Writing the file.");
    assert_eq!(messages.last().unwrap(), "Done. hello.txt has two lines:\n\n```\nHello\nSECOND line\n```\n");
    // It never says what a command printed, nor that it failed.
    assert_eq!(gemini.commands(), [(ToolStatus::Completed, None, None), (ToolStatus::Completed, None, None)]);
    assert_eq!(
        gemini.diffs(),
        [whole(None, "Hello\nsecond line\n"), whole(Some("Hello\nsecond line\n"), "Hello\nSECOND line\n"),]
    );
    // Six of seven calls are first seen as a question; its answers have ids of their own.
    let asked = gemini.asked();
    assert_eq!((asked.len(), gemini.tools().len()), (6, 7));
    assert_eq!(asked[1].tool.title, "Writing to hello.txt");
    assert_eq!(asked[1].tool.diffs.len(), 1);
    let allow = asked[1].options.iter().find(|option| option.kind == OptionKind::AllowOnce).unwrap();
    assert_eq!((allow.id.as_str(), allow.name.as_str()), ("proceed_once", "Allow"));
    let usage = gemini.usage();
    assert_eq!((usage.usage.input_tokens, usage.usage.output_tokens), (102_206, 82));
    assert_eq!(usage.model.as_deref(), Some("gemini-2.5-flash"));
}

#[test]
fn a_turn_of_codex() {
    let codex = replay("codex");
    assert_eq!((codex.info().name.as_deref(), codex.info().mode.as_deref()), (Some("Codex"), Some("agent")));
    // Two places name the model: the setting is what can be set.
    assert_eq!(codex.info().model.as_deref(), Some("gpt-5.5"));
    assert!(codex.info().settings.iter().any(|setting| setting.id == "reasoning_effort" && setting.value == "medium"));
    assert_eq!(
        codex.commands(),
        [
            (ToolStatus::Completed, Some(0), Some("Hello\nSECOND line\nto-stderr\n".into())),
            (ToolStatus::Failed, Some(3), failing()),
        ]
    );
    assert_eq!(
        codex.diffs(),
        [whole(None, "Hello\nsecond line\n"), whole(Some("Hello\nsecond line\n"), "Hello\nSECOND line\n"),]
    );
    let read = codex.tools().into_iter().find(|tool| tool.kind == ToolKind::Read).unwrap();
    assert_eq!((read.locations[0].path.as_str(), read.output.as_deref()), ("hello.txt", Some("Hello\nsecond line\n")));
    let usage = codex.usage();
    assert_eq!((usage.usage.input_tokens, usage.usage.output_tokens), (88_822, 82));
    assert_eq!((usage.context_used, usage.context_size), (Some(11_542), Some(258_400)));
    assert!(codex.updates.contains(&Update::Title("[[full]] Create hello.txt".into())));
    assert_eq!(codex.turns[0].as_ref().unwrap().usage.tokens(), 88_904);
}

#[test]
fn a_turn_of_opencode() {
    let opencode = replay("opencode");
    let info = opencode.info();
    // Modes and models are among its settings only.
    assert_eq!((info.mode.as_deref(), info.model.as_deref()), (Some("build"), Some("fake/fake-model")));
    assert_eq!(info.modes.len(), 2);
    assert_eq!(
        opencode.commands(),
        [
            (ToolStatus::Completed, Some(0), Some("Hello\nSECOND line\nto-stderr\n".into())),
            (ToolStatus::Completed, Some(3), failing()),
        ]
    );
    assert_eq!(opencode.diffs(), [whole(Some("second line"), "SECOND line")]);
    assert_eq!(
        opencode.plans(),
        [vec![PlanStatus::InProgress, PlanStatus::Pending], vec![PlanStatus::Completed, PlanStatus::Completed],]
    );
    let usage = opencode.usage();
    assert_eq!((usage.usage.input_tokens, usage.usage.output_tokens), (8_393, 21));
    assert!((usage.usage.usd.unwrap() - 0.064_531).abs() < 1e-6);
    // The sum of money is of the whole session, the tokens are of one turn: both add up right.
    let two = replay("two-opencode").usage();
    assert_eq!((two.usage.input_tokens, two.usage.output_tokens), (7_785 + 7_899, 28));
    assert!((two.usage.usd.unwrap() - 0.031_288).abs() < 1e-6);
}

#[test]
fn a_turn_of_claude() {
    let claude = replay("claude");
    assert_eq!(
        claude.commands(),
        [
            (ToolStatus::Completed, None, Some("Hello\nSECOND line\nto-stderr\n".into())),
            (
                ToolStatus::Failed,
                Some(3),
                Some("Exit code 3\ncat: no-such-file.txt: No such file or directory\n".into())
            ),
        ]
    );
    assert_eq!(
        claude.diffs(),
        [whole(None, "Hello\nsecond line\n"), whole(Some("Hello\nsecond line"), "Hello\nSECOND line"),]
    );
    assert_eq!(
        claude.asked().iter().map(|asked| asked.tool.title.as_str()).collect::<Vec<_>>(),
        ["Write hello.txt", "Edit hello.txt", "cat no-such-file.txt; exit 3",]
    );
    let usage = claude.usage();
    assert_eq!((usage.usage.input_tokens, usage.usage.output_tokens), (96_246, 82));
    assert_eq!(usage.model.as_deref(), Some("claude-opus-5-5"));
    assert!((usage.usage.usd.unwrap() - 0.390_896).abs() < 1e-6);
    let two = replay("two-claude");
    assert_eq!(two.stops(), [Stop::EndTurn, Stop::EndTurn]);
    assert_eq!(two.usage().usage.input_tokens, 23_517 + 23_840);
}

#[test]
fn what_a_cancelled_turn_leaves_open_is_cancelled() {
    for agent in ["gemini", "codex", "opencode", "claude"] {
        let text = replay(&format!("cancel-text-{agent}"));
        assert_eq!(text.stops(), [Stop::Cancelled], "{agent}");
        let tool = replay(&format!("cancel-tool-{agent}"));
        assert_eq!(tool.stops(), [Stop::Cancelled], "{agent}");
        let ends: Vec<ToolStatus> = tool.tools().into_iter().map(|tool| tool.status).collect();
        let expected: &[ToolStatus] = match agent {
            // It says itself that the command was cancelled, as "completed".
            "gemini" => &[ToolStatus::Completed],
            "codex" => &[ToolStatus::Cancelled],
            "claude" => &[ToolStatus::Failed],
            // It was slow: there was no command yet.
            _ => &[],
        };
        assert_eq!(ends, expected, "{agent}");
    }
}

#[test]
fn a_question_that_was_refused_is_a_refused_call() {
    for agent in ["gemini", "codex", "opencode", "claude"] {
        let refused = replay(&format!("perm-reject_once-{agent}"));
        assert_eq!(refused.tools()[0].status, ToolStatus::Rejected, "{agent}");
        assert!(refused.withdrawn().is_empty(), "{agent}");
        let cancelled = replay(&format!("perm-cancelled-{agent}"));
        assert!(cancelled.tools()[0].status.is_final(), "{agent}");
    }
}

#[test]
fn a_question_that_nobody_answered_is_withdrawn() {
    assert_eq!(replay("permwait-codex").withdrawn(), [Withdrawn::ByAgent]);
    assert_eq!(replay("permwait-claude").withdrawn(), [Withdrawn::ByAgent]);
    // It waited until its process ended.
    assert_eq!(replay("permwait-gemini").withdrawn(), [Withdrawn::Exited]);
    assert!(replay("permwait-gemini").turns.is_empty());
}

#[test]
fn a_killed_agent_leaves_nothing_open() {
    for agent in ["gemini", "codex", "opencode", "claude"] {
        for signal in ["TERM", "KILL"] {
            let killed = replay(&format!("kill-{signal}-{agent}"));
            assert!(killed.tools()[0].status.is_final(), "{agent} {signal}");
        }
    }
}

#[test]
fn a_broken_stream_shows_what_was_said_again() {
    for agent in ["codex", "opencode", "claude"] {
        let broken = replay(&format!("err-drop-{agent}"));
        let repeated: BTreeSet<&str> = broken
            .updates
            .iter()
            .filter_map(|update| match update {
                Update::Text(text) if text.repeated => Some(text.message.as_str()),
                _ => None,
            })
            .collect();
        let again = broken.messages(false).iter().filter(|text| text.starts_with("This stream breaks off")).count() - 1;
        assert!(again >= 2, "{agent}: {again}");
        assert_eq!(repeated.len(), again, "{agent}");
    }
    // It gives up, and calls that the end of the turn: it is not.
    let codex = replay("err-drop-codex");
    assert_eq!(codex.retries().len(), 5);
    let lost = codex.turns[0].as_ref().unwrap_err();
    assert!(lost.message.contains("stream disconnected before completion"), "{lost:?}");
    assert_eq!(replay("err-drop-gemini").turns[0].as_ref().unwrap_err().code, 500);
}

#[test]
fn a_refusal_of_the_model_that_was_tried_again_is_no_failure() {
    for agent in ["gemini", "codex", "opencode", "claude"] {
        assert_eq!(replay(&format!("err-e429-{agent}")).stops(), [Stop::EndTurn], "{agent}");
    }
    assert!(replay("err-e429-codex").retries()[0].contains("429 Too Many Requests"));
}

#[test]
fn the_past_of_a_loaded_session_is_not_told_again() {
    for agent in ["gemini", "codex", "opencode", "claude"] {
        let loaded = replay(&format!("load-{agent}"));
        assert!(loaded.info().resumed && loaded.info().session.is_some(), "{agent}");
        assert!(loaded.tools().is_empty() && loaded.messages(false).is_empty(), "{agent}");
    }
}
