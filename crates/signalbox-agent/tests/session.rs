//! A session with a real process at its other end: whatever that does ends in a clear failure, or is survived.
#![cfg(unix)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use signalbox_agent::{Config, Ending, Failure, Outcome, Session, Stop, Turn, Update, Withdrawn, limits};
use signalbox_model::{AgentErrorKind, ManualClock, ToolStatus};
use signalbox_process::{Masker, leftovers};
use tokio::{sync::mpsc, task::JoinHandle};

/// Longest wait of a test for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Agent {
    session: Session,
    marker: String,
    updates: JoinHandle<Vec<Update>>,
    seen: mpsc::UnboundedReceiver<Update>,
}

fn config(mode: &str) -> Config {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/odd_agent.py");
    let argv = vec!["python3".into(), script.into(), mode.into()];
    let marker = format!("odd-agent-{mode}-{}", std::process::id());
    let mut config = Config::new("Odd", argv, std::env::temp_dir(), marker);
    config.clock = Arc::new(ManualClock::new(1_000_000));
    config
}

async fn start(config: Config) -> Result<Agent, Failure> {
    let marker = config.marker.clone();
    let (sender, mut receiver) = mpsc::channel(64);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test looks at what comes while it comes; it ends with the session"
    )]
    let (copy, seen) = mpsc::unbounded_channel();
    let updates = tokio::spawn(async move {
        let mut updates = Vec::new();
        while let Some(update) = receiver.recv().await {
            if !matches!(update, Update::Raw { .. }) {
                copy.send(update.clone()).ok();
            }
            updates.push(update);
        }
        updates
    });
    let session =
        tokio::time::timeout(PATIENCE, Session::start(config, sender)).await.expect("a deadline of its own")?;
    Ok(Agent { session, marker, updates, seen })
}

impl Agent {
    async fn prompt(&self) -> Result<Turn, Failure> {
        tokio::time::timeout(PATIENCE, self.session.prompt("do it")).await.expect("a deadline of its own")
    }

    /// Waits until something was told.
    async fn wait_for(&mut self, wanted: impl Fn(&Update) -> bool) -> Update {
        let found = async {
            loop {
                let update = self.seen.recv().await.expect("it is told before the end");
                if wanted(&update) {
                    return update;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it is told")
    }

    /// Ends the session; nothing of it may be left.
    async fn end(self) -> (Vec<Update>, signalbox_agent::Closed) {
        let closed = tokio::time::timeout(PATIENCE, self.session.close()).await.expect("it ends");
        assert!(!closed.survivors && leftovers(&self.marker).is_empty());
        drop(self.session);
        (self.updates.await.unwrap(), closed)
    }
}

/// One prompt, and what was told of it.
async fn turn(mode: &str) -> (Result<Turn, Failure>, Vec<Update>) {
    let agent = start(config(mode)).await.unwrap();
    let turn = agent.prompt().await;
    (turn, agent.end().await.0)
}

fn said(updates: &[Update]) -> String {
    let said = updates.iter().filter_map(|update| match update {
        Update::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    said.collect()
}

fn unknown(updates: &[Update]) -> Vec<&str> {
    let unknown = updates.iter().filter_map(|update| match update {
        Update::Unknown { kind, .. } => Some(kind.as_str()),
        _ => None,
    });
    unknown.collect()
}

fn tools(updates: &[Update]) -> Vec<(String, ToolStatus, Option<String>)> {
    let tools = updates.iter().filter_map(|update| match update {
        Update::Tool(tool) => Some((tool.id.clone(), tool.status, tool.output.clone())),
        _ => None,
    });
    tools.collect()
}

fn raw(updates: &[Update], wanted: &str) -> bool {
    updates.iter().any(|update| matches!(update, Update::Raw { line, .. } if line.contains(wanted)))
}

/// The most memory this process ever used, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn oddities_are_survived_and_the_turn_is_whole() {
    for (mode, text, kinds) in [
        ("plain", "first last", &[][..]),
        ("banner", "first last", &[]),
        ("early", "before the session/new answer first last", &[]),
        ("unknown_update", "first last", &["brand_new_thing"]),
        ("bad_update", "first last", &["tool_call"]),
        ("orphan_update", "first last", &[]),
        ("bad_status", "first last", &[]),
        ("garbage", "first last", &[]),
        ("utf8", "first bad \u{fffd}\u{fffd} bytes last", &[]),
        ("stray_response", "first last", &[]),
        ("null_id", "first last", &[]),
        ("unknown_request", "first x1 -32601 last", &["vendor/ask"]),
        ("unknown_note", "first last", &["vendor/tell"]),
        ("big", "first last", &["line_too_long"]),
        ("huge_request", "first -32601 last", &["line_too_long"]),
        ("deep", "first last", &[]),
        ("other_session", "first last", &["agent_message_chunk of another session"]),
        ("bad_usage", "first last", &[]),
        ("twice", "first last", &[]),
    ] {
        let (turn, updates) = turn(mode).await;
        assert_eq!(turn.map(|turn| turn.stop), Ok(Stop::EndTurn), "{mode}");
        assert_eq!(said(&updates), text, "{mode}");
        assert_eq!(unknown(&updates), kinds, "{mode}");
        assert!(tools(&updates).last().is_none_or(|(_, status, _)| status.is_final()), "{mode}");
    }
}

#[tokio::test]
async fn chatter_on_the_wrong_stream_is_kept() {
    let (_, updates) = turn("garbage").await;
    assert!(raw(&updates, "debug: not json") && raw(&updates, "{\"jsonrpc\": oops}"));
    let (_, updates) = turn("banner").await;
    assert!(raw(&updates, "Loading the model, please wait..."));
}

#[tokio::test]
async fn what_is_said_after_the_end_is_heard() {
    let mut agent = start(config("late")).await.unwrap();
    assert_eq!(agent.prompt().await.unwrap().stop, Stop::EndTurn);
    agent.wait_for(|update| matches!(update, Update::Text(text) if text.text == " after the end")).await;
    agent.end().await;
}

#[tokio::test]
async fn a_reason_to_stop_that_is_new_is_no_failure() {
    let (turn, _) = turn("stop_reason").await;
    assert_eq!(turn.unwrap().stop, Stop::Other("brand_new_reason".into()));
}

#[tokio::test]
async fn what_keeps_a_session_from_beginning_is_said_clearly() {
    for (mode, kind, words) in [
        (
            "v2answer",
            AgentErrorKind::Protocol,
            "speaks version 2 of the Agent Client Protocol, and Signalbox version 1",
        ),
        ("v99", AgentErrorKind::Protocol, "speaks version 99"),
        ("no_version", AgentErrorKind::Protocol, "does not say which version"),
        (
            "autherr",
            AgentErrorKind::Auth,
            "Odd is not signed in, or its key was refused: sign in, then try again. It offers: A",
        ),
        ("deaf", AgentErrorKind::Protocol, "no answer to its first request within 1 s"),
        ("newhang", AgentErrorKind::Protocol, "no answer to the request for a session within 1 s"),
        ("exit_at_once", AgentErrorKind::Auth, "ended by itself with exit code 41: it wants a sign-in"),
    ] {
        let mut config = config(mode);
        if ["deaf", "newhang"].contains(&mode) {
            (config.deadlines.initialize, config.deadlines.session) = (Duration::from_secs(1), Duration::from_secs(1));
            if mode == "newhang" {
                config.deadlines.initialize = PATIENCE;
            }
        }
        let marker = config.marker.clone();
        let failure = start(config).await.err().expect(mode);
        assert_eq!(failure.kind, kind, "{mode}: {failure:?}");
        assert!(failure.message.contains(words), "{mode}: {failure:?}");
        assert!(leftovers(&marker).is_empty(), "{mode}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_said_clearly() {
    let missing = Config { argv: vec!["no-such-agent".into()], ..config("plain") };
    let failure = start(missing).await.err().unwrap();
    assert_eq!(failure.kind, AgentErrorKind::Missing);
    assert_eq!(failure.message, "Odd is not installed: there is no program no-such-agent");
    let nowhere = Config { folder: "/no/such/folder".into(), ..config("plain") };
    assert!(start(nowhere).await.err().unwrap().message.contains("/no/such/folder does not exist"));
    let mode = Config { mode: Some("plan".into()), ..config("plain") };
    assert!(start(mode).await.err().unwrap().message.contains("Odd has no modes"));
    let mut model = Config { model: Some("big".into()), ..config("plain") };
    model.deadlines.session = Duration::from_secs(1);
    assert!(start(model).await.err().unwrap().message.contains("no answer to the change of its model"));
}

#[tokio::test]
async fn a_session_that_cannot_be_resumed_is_a_new_one_and_says_so() {
    for (mode, words) in [("load_refused", "no such session"), ("plain", "it cannot resume sessions")] {
        let agent = start(Config { resume: Some("old".into()), ..config(mode) }).await.unwrap();
        let info = agent.session.info();
        assert_eq!((info.session.as_deref(), info.resumed), (Some("s1"), false), "{mode}");
        let why = info.not_resumed.unwrap();
        assert!(why.starts_with("Odd began a new session: ") && why.contains(words), "{why}");
        agent.end().await;
    }
}

#[tokio::test]
async fn a_session_is_loaded_where_it_cannot_be_resumed_and_its_past_is_not_told_again() {
    let agent = start(Config { resume: Some("s1".into()), ..config("load") }).await.unwrap();
    let info = agent.session.info();
    assert_eq!((info.session.as_deref(), info.resumed, info.not_resumed), (Some("s1"), true, None));
    agent.prompt().await.unwrap();
    let (updates, _) = agent.end().await;
    assert_eq!((said(&updates).as_str(), tools(&updates).len()), ("first last", 0));
    assert!(raw(&updates, "after the answer"));
}

#[tokio::test]
async fn an_agent_that_ends_in_a_turn_is_a_failure_at_once() {
    let (turn, updates) = turn("exit").await;
    let failure = turn.unwrap_err();
    assert_eq!(failure.kind, AgentErrorKind::Exited);
    assert_eq!(failure.message, "Odd ended by itself with exit code 3 instead of answering the prompt");
    assert_eq!(failure.detail.as_deref(), Some("Traceback: it went wrong"));
    assert_eq!(tools(&updates).last().unwrap().1, ToolStatus::Unknown);
    let (turn, _) = self::turn("crash").await;
    assert!(turn.unwrap_err().message.contains("ended by signal 11"));
    let (turn, _) = self::turn("mute").await;
    assert_eq!(turn.unwrap_err().kind, AgentErrorKind::Exited);
}

#[tokio::test]
async fn a_limit_says_when_it_ends() {
    let (turn, _) = turn("rate_limit").await;
    let failure = turn.unwrap_err();
    assert_eq!((failure.kind, failure.resets_at), (AgentErrorKind::RateLimit, Some(1_090_000)));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_a_failure_at_once() {
    let (turn, _) = turn("huge_answer").await;
    let failure = turn.unwrap_err();
    assert_eq!(failure.kind, AgentErrorKind::Limit);
    assert!(failure.message.contains("over 16 MiB"), "{failure}");
}

#[tokio::test]
async fn silence_ends_a_turn_and_a_tool_at_work_is_not_silence() {
    let impatient = |mode| {
        let mut config = config(mode);
        config.deadlines.silence = Some(Duration::from_millis(700));
        config.deadlines.cancel = Duration::from_millis(200);
        config
    };
    let agent = start(impatient("silent")).await.unwrap();
    let failure = agent.prompt().await.unwrap_err();
    assert_eq!(failure.kind, AgentErrorKind::Protocol);
    assert!(failure.message.contains("no sign of life for 0.7 s"), "{failure}");
    agent.end().await;
    let agent = start(impatient("busy")).await.unwrap();
    assert_eq!(agent.prompt().await.unwrap().stop, Stop::EndTurn);
    agent.end().await;
}

#[tokio::test]
async fn cancel_answers_what_is_open() {
    let mut agent = start(config("waits")).await.unwrap();
    let session = agent.session.clone();
    let turn = tokio::spawn(async move { session.prompt("do it").await });
    agent.wait_for(|update| matches!(update, Update::Permission(_))).await;
    let second = agent.session.prompt("and this").await.unwrap_err();
    assert!(second.message.contains("still at work"), "{second}");
    agent.session.cancel().await;
    assert_eq!(turn.await.unwrap().unwrap().stop, Stop::Cancelled);
    assert!(!agent.session.answer("q1", &Outcome::Selected("yes".into())).await, "it is answered");
    let (updates, _) = agent.end().await;
    assert!(updates.contains(&Update::PermissionWithdrawn { id: "q1".into(), reason: Withdrawn::Cancelled }));
    assert!(raw(&updates, r#""id":0,"result":{"outcome":{"outcome":"cancelled"}}"#));
    assert_eq!(tools(&updates).last().unwrap().1, ToolStatus::Cancelled);
}

#[tokio::test]
async fn an_agent_that_does_not_stop_is_a_failure() {
    let mut config = config("no_cancel");
    config.deadlines.cancel = Duration::from_millis(300);
    let mut agent = start(config).await.unwrap();
    let session = agent.session.clone();
    let turn = tokio::spawn(async move { session.prompt("do it").await });
    agent.wait_for(|update| matches!(update, Update::Text(_))).await;
    agent.session.cancel().await;
    assert!(turn.await.unwrap().unwrap_err().message.contains("did not stop within 0.3 s"));
    agent.end().await;
}

#[tokio::test]
async fn a_hundred_thousand_pieces_arrive_whole_in_bounded_memory() {
    let before = peak();
    let mut agent = start(config("flood")).await.unwrap();
    agent.seen.close();
    // What comes is counted here and not kept.
    agent.updates.abort();
    agent.session.close().await;
    let (sender, mut receiver) = mpsc::channel(64);
    let session = Session::start(config("flood"), sender).await.unwrap();
    let reader = tokio::spawn(async move {
        let (mut next, mut rest, mut pieces) = (0u32, String::new(), 0);
        while let Some(update) = receiver.recv().await {
            let Update::Text(text) = update else { continue };
            pieces += 1;
            rest.push_str(&text.text);
            while let Some((word, after)) = rest.split_once(' ') {
                if word != "first" {
                    assert_eq!(word.parse(), Ok(next));
                    next += 1;
                }
                rest = after.to_owned();
            }
        }
        (next, rest, pieces)
    });
    let turn = tokio::time::timeout(PATIENCE, session.prompt("do it")).await.expect("it is quick").unwrap();
    assert_eq!(turn.stop, Stop::EndTurn);
    session.close().await;
    drop(session);
    let (words, rest, pieces) = reader.await.unwrap();
    assert_eq!((words, rest.as_str()), (100_000, "last"));
    assert!(pieces < 5_000, "{pieces} pieces");
    assert!(peak() - before < 64 << 20, "{} MiB", (peak() - before) >> 20);
}

#[tokio::test]
async fn a_huge_message_takes_bounded_memory() {
    let before = peak();
    let (turn, updates) = turn("huge").await;
    assert_eq!(turn.unwrap().stop, Stop::EndTurn);
    assert_eq!(said(&updates), "first last");
    assert!(updates.iter().any(
        |update| matches!(update, Update::Raw { bytes, line, .. } if *bytes > 50_000_000 && line.len() <= limits::RAW)
    ));
    assert!(peak() - before < 64 << 20, "{} MiB", (peak() - before) >> 20);
    let (_, updates) = self::turn("large").await;
    assert_eq!(said(&updates).len(), "first  last".len() + 10_000_000);
}

#[tokio::test]
async fn who_does_not_read_slows_the_agent_down_and_can_still_end_it() {
    let (sender, mut receiver) = mpsc::channel(16);
    let mut config = config("flood");
    let soon = Duration::from_millis(300);
    (config.deadlines.cancel, config.deadlines.quit, config.deadlines.terminate) = (soon, soon, soon);
    let session = Session::start(config, sender).await.unwrap();
    let prompt = session.clone();
    let turn = tokio::spawn(async move { prompt.prompt("do it").await });
    while receiver.len() < 16 {
        tokio::task::yield_now().await;
    }
    let before = peak();
    let closed = tokio::time::timeout(PATIENCE, session.close()).await.expect("it ends");
    assert!(!closed.survivors);
    assert!(turn.await.unwrap().is_err());
    assert!(peak() - before < 16 << 20, "{} MiB", (peak() - before) >> 20);
    receiver.close();
}

#[tokio::test]
async fn a_flood_of_states_is_thinned_and_its_end_comes() {
    let (_, updates) = turn("tool_flood").await;
    let tools = tools(&updates);
    assert!(tools.len() < 1_000, "{}", tools.len());
    assert_eq!(tools.last().unwrap(), &("t1".into(), ToolStatus::Completed, Some("the end".into())));
    let (_, updates) = turn("many_calls").await;
    let ends = self::tools(&updates).into_iter().filter(|(_, status, _)| status.is_final()).count();
    assert_eq!(ends, 5_000);
}

#[tokio::test]
async fn more_questions_than_anybody_can_answer_are_cancelled() {
    let (turn, updates) = turn("many_questions").await;
    assert_eq!(turn.unwrap().stop, Stop::EndTurn);
    assert_eq!(said(&updates), "first 236 last");
    let asked = updates.iter().filter(|update| matches!(update, Update::Permission(_))).count();
    let withdrawn = updates.iter().filter(|update| matches!(update, Update::PermissionWithdrawn { .. })).count();
    assert_eq!((asked, withdrawn), (limits::QUESTIONS, limits::QUESTIONS));
}

#[tokio::test]
async fn a_session_ends_with_as_much_force_as_it_takes() {
    for (mode, how) in [("plain", Ending::Quit), ("lingers", Ending::Terminated), ("stubborn", Ending::Killed)] {
        let mut config = config(mode);
        if mode != "plain" {
            config.deadlines.quit = Duration::from_millis(300);
        }
        if mode == "stubborn" {
            config.deadlines.terminate = Duration::from_millis(300);
        }
        let agent = start(config).await.unwrap();
        agent.prompt().await.unwrap();
        let again = agent.session.clone();
        let (_, closed) = agent.end().await;
        assert_eq!(closed.how, how, "{mode}");
        assert_eq!(again.close().await, closed, "{mode}");
    }
    let agent = start(config("exit")).await.unwrap();
    agent.prompt().await.unwrap_err();
    assert_eq!(agent.end().await.1.how, Ending::ByItself);
}

#[tokio::test]
async fn what_left_its_group_is_swept() {
    let agent = start(config("orphan")).await.unwrap();
    agent.prompt().await.unwrap();
    assert_eq!(leftovers(&agent.marker).len(), 2);
    let (_, closed) = agent.end().await;
    assert_eq!((closed.how, closed.swept), (Ending::Quit, 1));
}

#[tokio::test]
async fn what_goes_on_talking_after_the_agent_ended_does_not_hold_up_the_end() {
    let (sender, mut receiver) = mpsc::channel(64);
    let config = config("loud_orphan");
    let marker = config.marker.clone();
    let session = Session::start(config, sender).await.unwrap();
    let reader = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let turn = tokio::time::timeout(PATIENCE, session.prompt("do it")).await.expect("it ends");
    assert_eq!(turn.unwrap_err().kind, AgentErrorKind::Exited);
    assert_eq!(session.close().await.how, Ending::ByItself);
    assert!(leftovers(&marker).is_empty());
    drop(session);
    reader.await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_dropped_leaves_nothing() {
    let agent = start(config("orphan")).await.unwrap();
    agent.prompt().await.unwrap();
    let (marker, updates) = (agent.marker.clone(), agent.updates);
    drop(agent.session);
    // The channel closes when all is over.
    tokio::time::timeout(PATIENCE, updates).await.unwrap().unwrap();
    assert!(leftovers(&marker).is_empty());
}

#[tokio::test]
async fn secrets_are_masked_in_everything() {
    let mut config = config("exit");
    config.masker = Masker::new(["it went wrong".to_owned(), "first".to_owned()]);
    let agent = start(config).await.unwrap();
    let failure = agent.prompt().await.unwrap_err();
    assert_eq!(failure.detail.as_deref(), Some("Traceback: ***"));
    let (updates, _) = agent.end().await;
    let all = format!("{updates:?}");
    assert!(!all.contains("first ") && !all.contains("it went wrong"), "{all}");
    assert_eq!(said(&updates), "*** ");
    let mut config = self::config("says_key");
    config.masker = Masker::new(["first".to_owned()]);
    let agent = start(config).await.unwrap();
    let failure = agent.prompt().await.unwrap_err();
    assert_eq!((failure.kind, failure.detail.as_deref()), (AgentErrorKind::Agent, Some("*** is no good key")));
    agent.end().await;
}
