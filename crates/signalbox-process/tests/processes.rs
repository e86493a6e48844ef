//! Real processes: what they print arrives whole, and none outlives its step.
#![cfg(unix)]

use std::time::Duration;

use signalbox_process::{Exit, Handle, Masker, Report, Spec, end_all, leftovers, spawn, spawn_dialogue, start_time};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

fn spec(script: &str, marker: &str) -> Spec {
    Spec {
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        dir: std::env::temp_dir(),
        env: vec![("SECRET".into(), "hunter2-hunter2".into())],
        marker: marker.into(),
        masker: Masker::new(["hunter2-hunter2".to_owned()]),
        limit: None,
        log_so_far: (0, 0),
    }
}

fn start(script: &str, marker: &str) -> (Handle, mpsc::Receiver<Report>) {
    let (sender, receiver) = mpsc::channel(64);
    (spawn(spec(script, marker), sender).unwrap(), receiver)
}

async fn finish(mut reports: mpsc::Receiver<Report>) -> (String, Exit) {
    let mut text = String::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(20), reports.recv()).await.expect("it ends").expect("an exit") {
            Report::Output(piece) => text.push_str(&piece.text),
            Report::Progress(_) => {}
            Report::Exited(exit) => return (text, exit),
        }
    }
}

#[tokio::test]
async fn output_and_exit_code_arrive_and_secrets_do_not() {
    let (_, reports) = start("echo one; echo $SECRET; printf unfinished; exit 3", "t/output");
    let (text, exit) = finish(reports).await;
    assert_eq!(text, "one\n***\nunfinished");
    assert_eq!((exit.code, exit.signal), (Some(3), None));
}

#[tokio::test]
async fn much_output_arrives_whole_and_in_order() {
    let (_, reports) = start("seq 1 200000", "t/much");
    let (text, _) = finish(reports).await;
    assert!(text.lines().map(|line| line.parse::<u32>().unwrap()).eq(1..=200_000));
}

#[tokio::test]
async fn a_process_that_ignores_the_request_is_killed_with_its_children() {
    let marker = format!("t/stubborn-{}", std::process::id());
    let (handle, mut reports) = start("trap '' TERM; sleep 600 & echo ready; while :; do sleep 600; done", &marker);
    assert!(matches!(reports.recv().await, Some(Report::Output(_))));
    assert_eq!(start_time(handle.pid).is_some(), cfg!(target_os = "linux"));
    handle.terminate();
    handle.kill();
    let (_, exit) = finish(reports).await;
    assert_eq!(exit.signal, Some(9));
    assert!(!end_all(&marker).1);
    assert!(leftovers(&marker).is_empty());
}

#[tokio::test]
async fn who_leaves_the_group_is_found_by_its_marker() {
    let marker = format!("t/daemon-{}", std::process::id());
    let (_, reports) = start("setsid sleep 600 >/dev/null 2>&1 & echo $!", &marker);
    finish(reports).await;
    // `setsid` in the background may not have left the group yet when the shell ends: either way nothing may remain.
    let (_, survivors) = end_all(&marker);
    assert!(!survivors);
    assert!(leftovers(&marker).is_empty());
}

#[tokio::test]
async fn what_stays_in_the_background_does_not_hold_up_the_end() {
    let marker = format!("t/background-{}", std::process::id());
    let (_, reports) = start("sleep 600 & echo started", &marker);
    let (text, exit) = finish(reports).await;
    assert_eq!((text.as_str(), exit.code), ("started\n", Some(0)));
    assert!(leftovers(&marker).is_empty());
}

#[tokio::test]
async fn a_missing_program_or_folder_is_said_so() {
    let (sender, _receiver) = mpsc::channel(1);
    let missing = Spec { argv: vec!["/no/such/program".into()], ..spec("", "t/none") };
    assert!(spawn(missing, sender.clone()).unwrap_err().to_string().contains("/no/such/program could not be started"));
    let nowhere = Spec { dir: "/no/such/folder".into(), ..spec("true", "t/none") };
    assert!(spawn(nowhere, sender).unwrap_err().to_string().contains("/no/such/folder"));
}

#[tokio::test]
async fn a_dialogue_has_its_pipes_and_standard_error_comes_in_pieces() {
    let marker = format!("t/dialogue-{}", std::process::id());
    let (sender, reports) = mpsc::channel(64);
    let script = "echo $SECRET >&2; while read line; do echo \"got $line\"; done; echo $SIGNALBOX_STEP; exit 4";
    let mut dialogue = spawn_dialogue(spec(script, &marker), sender).unwrap();
    dialogue.stdin.write_all(b"one\ntwo\n").await.unwrap();
    drop(dialogue.stdin);
    let mut said = String::new();
    dialogue.stdout.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, format!("got one\ngot two\n{marker}\n"));
    let (text, exit) = finish(reports).await;
    assert_eq!((text.as_str(), exit.code), ("***\n", Some(4)));
    assert!(leftovers(&marker).is_empty());
}
