//! Integration tests: the real `signalbox` binary, real sockets, real processes.
//!
//! One binary, so that it links once. Each file of `tests/integration` is a module here; the first
//! test makes sure that none is forgotten.
#[path = "integration/agents.rs"]
mod agents;
#[path = "integration/attacks.rs"]
mod attacks;
#[path = "integration/attacks_bytes.rs"]
mod attacks_bytes;
#[path = "integration/bad_input.rs"]
mod bad_input;
#[path = "integration/boundaries.rs"]
mod boundaries;
#[path = "integration/command_line.rs"]
mod command_line;
#[path = "integration/crash.rs"]
mod crash;
#[path = "integration/crash_clients.rs"]
mod crash_clients;
#[path = "integration/crash_clock.rs"]
mod crash_clock;
#[path = "integration/crash_disk.rs"]
mod crash_disk;
#[cfg(target_os = "linux")]
#[path = "integration/crash_files.rs"]
mod crash_files;
#[path = "integration/engine.rs"]
mod engine;
#[path = "integration/examples.rs"]
mod examples;
#[path = "integration/isolation.rs"]
mod isolation;
#[path = "integration/pitfalls.rs"]
mod pitfalls;
#[path = "integration/programs.rs"]
mod programs;
#[path = "integration/protection.rs"]
mod protection;
#[path = "integration/proxy.rs"]
mod proxy;
#[path = "integration/publishing.rs"]
mod publishing;
#[path = "integration/real_agents.rs"]
mod real_agents;
#[path = "integration/rights.rs"]
mod rights;
#[cfg(target_os = "linux")]
#[path = "integration/secrets.rs"]
mod secrets;
#[path = "integration/secure.rs"]
mod secure;
#[path = "integration/sharing.rs"]
mod sharing;
#[path = "integration/streams.rs"]
mod streams;
#[path = "integration/support.rs"]
mod support;
#[path = "integration/team.rs"]
mod team;
#[path = "integration/webhooks.rs"]
mod webhooks;

#[test]
fn no_file_of_tests_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let runner = std::fs::read_to_string(root.join("runner.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("integration")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            runner.contains(&format!("integration/{name}")),
            "tests/integration/{name} is in no module of the runner"
        );
    }
}
