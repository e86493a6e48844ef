//! Disks that fail under a running host: full, read-only, slow; and files that somebody deleted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

use crate::support::{Host, Project, request, until};

const NO_LIMIT: (&str, &str) = ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0");

/// A small file system of its own. Only root may mount one; who may not skips the test.
struct Mount {
    folder: tempfile::TempDir,
    image: Option<PathBuf>,
}

fn done(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

impl Mount {
    fn memory(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = done("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", folder.path().to_str().unwrap()]);
        mounted.then_some(Self { folder, image: None })
    }

    /// On a file, by a real file system: one that can be made read-only under those who write.
    fn disk() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().with_extension("image");
        fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
        let this = Self { folder, image: Some(image.clone()) };
        let made = done("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        (made && this.mount()).then_some(this)
    }

    fn mount(&self) -> bool {
        let Some(image) = &self.image else { return false };
        done("mount", &["-o", "loop", image.to_str().unwrap(), self.folder.path().to_str().unwrap()])
    }

    fn unmount(&self) {
        done("umount", &["-l", self.folder.path().to_str().unwrap()]);
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(done("mount", &["-o", &options, self.folder.path().to_str().unwrap()]));
    }

    fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        data
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
        if let Some(image) = &self.image {
            fs::remove_file(image).ok();
        }
    }
}

fn ready(host: &Host) -> u16 {
    host.request("GET", "/readyz", &[], b"").status
}

/// The places of all events of a type.
fn places(host: &Host, id: &str, kind: &str) -> Vec<u64> {
    let all = host.events(&[&format!("project/{id}")]);
    all.iter().filter(|event| event["type"] == kind).map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_disk_that_turns_read_only_refuses_with_words_and_keeps_what_it_acknowledged() {
    let Some(mount) = Mount::disk() else {
        eprintln!("skipped: no right to mount a file system");
        return;
    };
    let project = Project::new(&[]);
    let settings = [NO_LIMIT, ("SIGNALBOX_LOG_DURABILITY", "power")];
    let host = Host::start_with(&mount.data(), &[project.path()], &settings);
    let id = host.project_id();
    let publish = |n: u64| host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n }));
    let acknowledged: Vec<u64> = (0..30).map(|n| publish(n).unwrap()["seq"].as_u64().unwrap()).collect();
    // What ext4 does to itself after an error of the disk.
    mount.remount("abort");
    for n in 30..33 {
        let error = publish(n).unwrap_err();
        assert_eq!(error["code"], "unavailable", "{error}");
        assert!(error["message"].as_str().unwrap().contains("not stored"), "{error}");
    }
    assert_eq!((ready(&host), host.request("GET", "/healthz", &[], b"").status), (503, 200));
    assert_eq!(places(&host, &id, "x_n"), acknowledged, "what is there can be read");
    drop(host);
    mount.unmount();
    until("the file system to be back", || mount.mount().then_some(()));
    let host = Host::start_with(&mount.data(), &[project.path()], &settings);
    assert_eq!(places(&host, &id, "x_n"), acknowledged, "durability = power");
    publish_one(&host, &id);
    drop(host);
}

fn publish_one(host: &Host, id: &str) {
    host.call("event.publish", json!({ "project": id, "type": "x_after", "data": 1 })).expect("it goes on");
}

/// Publishes until the disk is full; gives the places of what was acknowledged.
fn fill(mount: &Mount, host: &Host, id: &str) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let text = "x".repeat(60_000);
    let refused = loop {
        match host.call("event.publish", json!({ "project": id, "type": "x_fill", "data": text })) {
            Ok(reply) => acknowledged.push(reply["seq"].as_u64().unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(refused["code"], "unavailable", "{refused}");
    // The rest of the space, and what the WAL had already taken, so that nothing smaller fits either.
    fs::write(mount.data().join("filler"), vec![0; 8 << 20]).unwrap_err();
    let mut refusals = 0;
    while refusals < 5 {
        match host.call("event.publish", json!({ "project": id, "type": "x_fill", "data": 0 })) {
            Ok(reply) => acknowledged.push(reply["seq"].as_u64().unwrap()),
            Err(_) => refusals += 1,
        }
    }
    acknowledged
}

/// Waits until the engine cannot record what happened, and says so at once to whoever calls it.
fn engine_waits(host: &Host, run: &str) {
    until("the engine to wait", || {
        let asked = Instant::now();
        let answer = host.call("run.resume", json!({ "run": run }));
        assert!(asked.elapsed() < Duration::from_secs(5), "answered after {:?}: {answer:?}", asked.elapsed());
        answer.is_err_and(|error| error["code"] == "unavailable").then_some(())
    });
}

#[test]
fn a_host_whose_disk_is_full_can_be_stopped_and_started_again() {
    let Some(mount) = Mount::memory("4m") else {
        eprintln!("skipped: no right to mount a file system");
        return;
    };
    let workflow = "signalbox: 1\nname: one\nsteps:\n  one: { kind: command, run: 'touch begun; until test -e full; do sleep 0.05; done' }\n";
    let project = Project::new(&[("one", workflow)]);
    let mut host = Host::start_with(&mount.data(), &[project.path()], &[NO_LIMIT]);
    let id = host.project_id();
    let run = host.start_run("one", json!({}));
    until("the step", || project.path().join("begun").exists().then_some(()));
    host.wait_step(&run, "one", "running");
    let acknowledged = fill(&mount, &host, &id);
    fs::write(project.path().join("full"), "").unwrap();
    engine_waits(&host, &run);
    assert!(done("kill", &["-TERM", &host.pid().to_string()]));
    until("the host's end", || host.ended());
    fs::remove_file(mount.data().join("filler")).unwrap();
    mount.remount("size=30m");
    let host = Host::start_with(&mount.data(), &[project.path()], &[NO_LIMIT]);
    assert_eq!(places(&host, &id, "x_fill"), acknowledged);
    let found = host.wait_done(&run);
    assert_eq!(found["run"]["conclusion"], "crashed", "how its step ended was never recorded: {found}");
    drop(host);
}

#[test]
fn a_run_whose_steps_end_while_the_disk_is_full_goes_on_when_there_is_space() {
    let Some(mount) = Mount::memory("4m") else {
        eprintln!("skipped: no right to mount a file system");
        return;
    };
    let workflow = "signalbox: 1\nname: two\nsteps:\n  one: { kind: command, run: 'touch begun; until test -e full; do sleep 0.05; done; touch ended' }\n  loud: { kind: command, run: 'until test -e full; do sleep 0.05; done; echo said while it was full' }\n  two: { kind: command, needs: [one, loud], run: touch second }\n";
    let project = Project::new(&[("two", workflow)]);
    let host = Host::start_with(&mount.data(), &[project.path()], &[NO_LIMIT]);
    let id = host.project_id();
    let run = host.start_run("two", json!({}));
    let there = |name: &str| project.path().join(name).exists().then_some(());
    until("the first step", || there("begun"));
    host.wait_step(&run, "loud", "running");
    let acknowledged = fill(&mount, &host, &id);
    fs::write(project.path().join("full"), "").unwrap();
    until("the first step's end", || there("ended"));
    // Its end waits to be recorded. Others are not made to wait with it.
    engine_waits(&host, &run);
    let error = host.call("run.start", json!({ "project": id, "workflow": "two" })).unwrap_err();
    assert!(error["message"].is_string(), "{error}");
    let status = host.call("system.status", json!({})).unwrap();
    assert!(status.to_string().contains("disk that holds the log is full"), "{status}");
    assert_eq!(ready(&host), 503);
    assert!(there("second").is_none(), "nothing goes on that could not be recorded");
    fs::remove_file(mount.data().join("filler")).unwrap();
    mount.remount("size=30m");
    let done = host.wait_done(&run);
    assert_eq!(done["run"]["conclusion"], "success", "{done}");
    assert!(host.log_text(&run, "loud").contains("said while it was full"));
    assert!(there("second").is_some());
    assert_eq!(places(&host, &id, "x_fill"), acknowledged);
    assert_eq!(ready(&host), 200);
    let runs = host.call("run.list", json!({ "project": id })).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "the run that was refused does not exist");
    drop(host);
}

/// A disk that takes seconds for a commit cannot be had everywhere; a writer that has to wait that long can: somebody else
/// holds the database's lock.
#[test]
fn a_commit_that_takes_seconds_makes_nobody_wait_but_its_callers() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Arc::new(Host::start_with(data.path(), &[project.path()], &[NO_LIMIT]));
    let id = host.project_id();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut socket = runtime.block_on(async {
        let mut socket = host.hello(&[&format!("project/{id}")], None).await;
        socket.next_of("synced").await;
        socket
    });
    // The room is known to the writer: its first statement is a write, which waits.
    host.call("event.publish", json!({ "project": id, "type": "x_first", "data": 0 })).unwrap();
    let mut other = Connection::open(data.path().join("log.db")).unwrap();
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let callers: Vec<_> = (0..20)
        .map(|n: u64| {
            let (host, id) = (Arc::clone(&host), id.clone());
            std::thread::spawn(move || {
                let params = json!({ "project": id, "type": "x_n", "data": n });
                host.call("event.publish", params).unwrap()["seq"].as_u64().unwrap()
            })
        })
        .collect();
    let until_then = Instant::now() + Duration::from_secs(2);
    let mut looks = 0;
    while Instant::now() < until_then {
        let look = Instant::now();
        assert_eq!(host.request("GET", "/healthz", &[], b"").status, 200);
        assert!(places(&host, &id, "x_n").is_empty(), "nothing is shown that is not committed");
        assert!(look.elapsed() < Duration::from_millis(1500), "who only looks waits {:?}", look.elapsed());
        looks += 1;
    }
    assert!(looks > 1);
    assert!(callers.iter().all(|caller| !caller.is_finished()), "nothing is acknowledged that is not committed");
    drop(held);
    let mut acknowledged: Vec<u64> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    acknowledged.sort_unstable();
    assert_eq!(places(&host, &id, "x_n"), acknowledged);
    let seen: Vec<u64> = runtime.block_on(async {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            seen.push(socket.next_of("x_n").await["seq"].as_u64().unwrap());
        }
        seen
    });
    assert_eq!(seen, acknowledged);
}

#[test]
fn a_call_with_a_key_waits_for_the_databases_lock_too() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Arc::new(Host::start(data.path(), &[project.path()]));
    let id = host.project_id();
    let mut other = Connection::open(data.path().join("log.db")).unwrap();
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let caller = {
        let (host, params) = (Arc::clone(&host), json!({ "project": id, "type": "x_n", "data": 1 }));
        std::thread::spawn(move || host.call_with("event.publish", params, &[("Idempotency-Key", "slow")]))
    };
    let until_then = Instant::now() + Duration::from_secs(1);
    until("a second", || (Instant::now() > until_then || caller.is_finished()).then_some(()));
    drop(held);
    caller.join().unwrap().expect("a second is less than the five that a writer waits");
}

fn blob_file(data: &Path, hash: &str) -> PathBuf {
    data.join("blobs").join(&hash[..2]).join(&hash[2..])
}

#[test]
fn output_whose_file_was_deleted_is_said_to_be_gone_and_takes_nothing_with_it() {
    let workflow = "signalbox: 1\nname: loud\nsteps:\n  work: { kind: command, run: echo first; sleep 0.3; seq 1 20000; sleep 0.3; echo last }\n";
    let project = Project::new(&[("loud", workflow)]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path(), &[project.path()]);
    let run = host.start_run("loud", json!({}));
    host.wait_done(&run);
    let room = format!("run/{run}");
    let events = host.events(&[&room]);
    let blobs: Vec<&str> = events.iter().filter_map(|event| event["data"]["blob"]["hash"].as_str()).collect();
    assert!(!blobs.is_empty(), "no piece was large enough for a file of its own");
    blobs.iter().for_each(|hash| fs::remove_file(blob_file(data.path(), hash)).unwrap());
    for _ in 0..2 {
        assert_eq!(host.events(&[&room]), events, "the events are what they were");
        let text = host.log_text(&run, "work");
        assert!(
            text.starts_with("first") && text.contains("output are missing: their file was deleted"),
            "{text:.300}"
        );
        let end = host.call("run.log", json!({ "run": run, "step": "work", "offset": 20_000, "limit": 50 })).unwrap();
        let lines = end["lines"].as_array().unwrap();
        assert_eq!(lines.last().unwrap()["text"], "last", "what comes behind it keeps its place: {end}");
        let found = host.call("run.log_search", json!({ "run": run, "step": "work", "query": "last" })).unwrap();
        assert!(found.to_string().contains("last"), "{found}");
        let bearer = format!("Bearer {}", host.token);
        let path = format!("/api/v1/blobs/{}", blobs[0]);
        let answer = request(host.address(), "GET", &path, &[("Authorization", &bearer)], b"").unwrap();
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &error["error"]["code"]), (404, &json!("not_found")), "{error}");
        // The same after a restart.
        host.kill();
        host = Host::start(data.path(), &[project.path()]);
    }
}

/// What a run is to do is kept in a file of its own. Without it the run cannot go on, and must not seem to.
#[test]
fn an_unfinished_run_whose_plan_is_gone_or_broken_is_ended_and_not_shown_as_running() {
    let workflow = "signalbox: 1\nname: long\nsteps:\n  work: { kind: command, run: sleep 300 }\n  next: { kind: command, needs: [work], run: 'true' }\n";
    let project = Project::new(&[("long", workflow)]);
    for broken in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let mut host = Host::start(data.path(), &[project.path()]);
        let run = host.start_run("long", json!({}));
        host.wait_step(&run, "work", "running");
        let plan = host.run(&run)["run"]["plan"].as_str().unwrap().to_owned();
        host.kill();
        let file = blob_file(data.path(), &plan);
        if broken {
            fs::write(&file, "{ half a plan").unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let host = Host::start(data.path(), &[project.path()]);
        let found = host.wait_done(&run);
        assert_eq!(found["run"]["conclusion"], "crashed", "{found}");
        assert!(found["run"]["reason"].as_str().unwrap().contains("plan"), "{found}");
        let steps = found["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["status"] == "done"), "{found}");
        assert_eq!((&steps[0]["conclusion"], &steps[1]["conclusion"]), (&json!("crashed"), &json!("omitted")));
        // Others can run, and this one says why it cannot be tried again.
        let error = host.call("run.retry", json!({ "run": run, "scope": "failed" })).unwrap_err();
        assert!(error["message"].as_str().unwrap().contains("plan"), "{error}");
        let other = host.start_run("long", json!({}));
        host.wait_step(&other, "work", "running");
        host.call("run.cancel", json!({ "run": other, "force": true })).unwrap();
        host.wait_done(&other);
    }
}
