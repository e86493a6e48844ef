//! A short form of `cargo xtask soak --team`: a hundred clients, some seconds, one `kill -9`.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn a_hundred_clients_come_back_after_a_kill_and_have_seen_everything_once() {
    let soak = env!("CARGO_BIN_EXE_signalbox-soak");
    let output = Command::new(soak)
        .args(["--team", "--minutes", "0.1", "--clients", "100", "--seed", "20260101"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    // The table is below what was said on the way.
    let row =
        |name: &str| text.lines().rev().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!((row("lost, doubled").as_str(), row("violations").as_str()), ("0, 0", "0"), "{text}");
    assert!(row("after SIGKILL").starts_with("everybody complete"), "{text}");
}
