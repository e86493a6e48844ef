//! What a disk can do to the log: torn ends, missing files, older and newer copies. Nothing may be made up, and a log that
//! lost what was handed out must say so by a new epoch.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use signalbox_model::{Cursor, RoomFilter, SystemClock};
use signalbox_store::{Durability, Options, Resume, Store, StoreError};

use crate::support::{Host, Project, command, run, stderr, until};

fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(Options {
        dir: dir.to_owned(),
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        publish: Box::new(|_| {}),
    })
}

/// A data folder as `kill -9` left it, and what its host had acknowledged.
struct Killed {
    data: tempfile::TempDir,
    project: String,
    epoch: String,
    /// `seq` and number of each event, in order.
    acknowledged: Vec<(u64, u64)>,
    /// The newest event that may have been handed out.
    handed_out: u64,
}

/// Publishes `events` events of some hundred bytes, and kills the host.
fn killed(events: u64) -> Killed {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
    let id = host.project_id();
    let mut acknowledged = Vec::new();
    for n in 0..events {
        let params = json!({ "project": id, "type": "x_n", "data": { "n": n, "filler": "x".repeat(600) } });
        acknowledged.push((host.call("event.publish", params).unwrap()["seq"].as_u64().unwrap(), n));
    }
    let status = host.call("system.status", json!({})).unwrap();
    host.kill();
    let epoch = status["log"]["epoch"].as_str().unwrap().to_owned();
    let handed_out = status["log"]["head"].as_u64().unwrap();
    Killed { data, project: id, epoch, acknowledged, handed_out }
}

/// A copy to damage.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes the folder what the copy says, in the same files: a copy elsewhere would be another log.
fn put_back(copy: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        if !copy.join(entry.file_name()).exists() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for entry in fs::read_dir(copy).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::write(folder.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
}

fn cut(file: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}

/// What the log says of an event: its number, or none if it is not there.
fn number(store: &Store, seq: u64) -> Result<Option<u64>, StoreError> {
    let frames = store.read(|reader| reader.events_by_seq(&[seq], |_| true))?;
    let Some(frame) = frames.first() else { return Ok(None) };
    let value: Value = serde_json::from_slice(&frame.json).expect("an event is whole");
    assert_eq!(value["data"]["filler"].as_str().map(str::len), Some(600), "half an event: {value}");
    Ok(value["data"]["n"].as_u64())
}

/// The log holds a beginning of what was acknowledged and nothing else, and has a new epoch if that is not all.
fn check_beginning(killed: &Killed, dir: &Path, what: &str) -> u64 {
    let store = open(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    let head = store.head();
    for (seq, n) in &killed.acknowledged {
        let found = number(&store, *seq).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, (*seq <= head).then_some(*n), "{what}: event {seq} of a log that ends at {head}");
    }
    let same = store.epoch().as_str() == killed.epoch;
    assert_eq!(same, head >= killed.handed_out, "{what}: the log ends at {head}, {} was handed out", killed.handed_out);
    let cursor = Cursor { epoch: killed.epoch.parse().unwrap(), seq: killed.handed_out };
    let room: RoomFilter = format!("project/{}", killed.project).parse().unwrap();
    let resume = store.read(|reader| reader.resume(&[room], &cursor, 1000)).unwrap();
    assert_eq!(matches!(resume, Resume::Yes { missed: 0 }), same, "{what}: {resume:?}");
    assert_eq!(store.rebuild_differences().unwrap(), Vec::<String>::new(), "{what}");
    store.close();
    head
}

#[test]
fn a_wal_cut_anywhere_leaves_a_true_beginning_and_a_new_epoch() {
    let killed = killed(60);
    let whole = copy(killed.data.path());
    let folder = killed.data.path();
    assert_eq!(check_beginning(&killed, folder, "untouched"), killed.handed_out, "kill -9 takes nothing");
    let length = fs::metadata(whole.path().join("log.db-wal")).unwrap().len();
    let (mut random, mut heads) = (0x2545_f491_4f6c_dd1du64, Vec::new());
    let mut places: Vec<u64> = (0..24)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % length
        })
        .collect();
    places.extend([0, 1, 31, 32, 33, length - 1]);
    for place in places {
        put_back(whole.path(), folder);
        cut(&folder.join("log.db-wal"), place);
        heads.push(check_beginning(&killed, folder, &format!("cut at {place} of {length}")));
    }
    assert!(heads.iter().any(|head| *head > 5 && *head < killed.handed_out), "no cut was in the middle: {heads:?}");
    // The same for what a crash of the machine leaves: the last page is there, but not what was written to it.
    for torn in [100, 2000, 4096 + 24] {
        put_back(whole.path(), folder);
        let file = folder.join("log.db-wal");
        let mut bytes = fs::read(&file).unwrap();
        let from = bytes.len() - torn;
        bytes[from..].fill(0);
        fs::write(&file, bytes).unwrap();
        let head = check_beginning(&killed, folder, &format!("the last {torn} bytes of the WAL are zeros"));
        assert!(head < killed.handed_out);
    }
}

#[test]
fn a_host_on_a_shortened_log_starts_and_resets_who_was_ahead() {
    let killed = killed(30);
    let wal = killed.data.path().join("log.db-wal");
    cut(&wal, fs::metadata(&wal).unwrap().len() * 2 / 3);
    let host = Host::start(killed.data.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let room = format!("project/{}", killed.project);
        let cursor = format!("{}.{}", killed.epoch, killed.handed_out);
        let mut socket = host.hello(&[&room], Some(&cursor)).await;
        let welcome = socket.next_of("connection").await;
        assert_ne!(welcome["epoch"], killed.epoch);
        assert_eq!(socket.next_of("reset").await["reason"], "epoch_changed");
        let snapshot = socket.next_of("snapshot").await;
        assert!(snapshot["at"].as_u64().unwrap() <= welcome["head"].as_u64().unwrap());
        let params = json!({ "project": killed.project, "type": "x_after", "data": 1 });
        let seq = host.call("event.publish", params).unwrap()["seq"].clone();
        assert_eq!(socket.next_of("x_after").await["seq"], seq, "it goes on");
    });
}

/// The same with everything in the database and nothing in the WAL, as a stop leaves it.
fn stopped(events: u64) -> Killed {
    let killed = killed(events);
    let store = open(killed.data.path()).unwrap();
    store.close();
    assert_eq!(fs::metadata(killed.data.path().join("log.db-wal")).map_or(0, |data| data.len()), 0);
    killed
}

/// Either the log is refused as damaged, or what it says of each event is what was acknowledged, or an error.
fn check_honest(killed: &Killed, dir: &Path, what: &str) -> bool {
    let store = match open(dir) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error, StoreError::Damaged(_)), "{what}: {error}");
            return false;
        }
    };
    for (seq, n) in &killed.acknowledged {
        match number(&store, *seq) {
            Ok(Some(found)) => assert_eq!(found, *n, "{what}: event {seq}"),
            Ok(None) if *seq > store.head() => assert_ne!(store.epoch().as_str(), killed.epoch, "{what}: event {seq}"),
            // A row that SQLite does not find in its page any more: the event after it names it, so every reader sees a gap,
            // or is damaged itself, which is said.
            Ok(None) => {
                if let Ok(frames) = store.read(|reader| reader.events_by_seq(&[seq + 1], |_| true)) {
                    let next: Value = serde_json::from_slice(&frames[0].json).unwrap();
                    assert_eq!(next["prev"], *seq, "{what}: event {seq} is gone and nobody says so");
                }
            }
            Err(_) => {}
        }
    }
    true
}

#[test]
fn a_torn_last_page_of_the_database_is_refused_or_told_but_never_made_up() {
    let killed = stopped(80);
    let length = fs::metadata(killed.data.path().join("log.db")).unwrap().len();
    for torn in [1, 700, 2048, 4095, 4096, 3 * 4096 + 17] {
        let copy = copy(killed.data.path());
        cut(&copy.path().join("log.db"), length - torn);
        check_honest(&killed, copy.path(), &format!("{torn} bytes were cut off"));
    }
}

#[test]
fn a_last_page_that_ends_in_zeros_is_refused_or_told_but_never_handed_out() {
    let killed = stopped(80);
    for zeros in [64, 700, 2048, 4096] {
        let copy = copy(killed.data.path());
        let file = copy.path().join("log.db");
        let mut bytes = fs::read(&file).unwrap();
        let from = bytes.len() - zeros;
        bytes[from..].fill(0);
        fs::write(&file, bytes).unwrap();
        check_honest(&killed, copy.path(), &format!("the last {zeros} bytes are zeros"));
    }
}

#[test]
fn a_database_that_is_cut_in_half_is_refused_with_words() {
    let killed = stopped(80);
    let file = killed.data.path().join("log.db");
    cut(&file, fs::metadata(&file).unwrap().len() / 2);
    let before = fs::read(&file).unwrap();
    let output = run(command(killed.data.path()).args(["serve", "--listen", "127.0.0.1:0"]));
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("damaged") && text.contains("Restore a copy"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), before, "what is left is for a person to look at");
}

#[test]
fn a_newer_database_is_refused_by_the_host_and_left_as_it_is() {
    let killed = stopped(5);
    let file = killed.data.path().join("log.db");
    let db = Connection::open(&file).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    db.execute("CREATE TABLE tomorrow (x)", []).unwrap();
    drop(db);
    let before = fs::read(&file).unwrap();
    let output = run(command(killed.data.path()).args(["serve", "--listen", "127.0.0.1:0"]));
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("schema 99") && text.contains("nothing was changed"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!killed.data.path().join("host.json").exists() || fs::read(&file).unwrap() == before);
}

fn saved(killed: &Killed, names: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let file = |name: &&str| killed.data.path().join(name);
    names.iter().map(|name| (file(name), fs::read(file(name)).unwrap())).collect()
}

/// Lets the log grow after a copy was taken; gives what was handed out since.
fn grow(killed: &Killed) -> Cursor {
    let mut host = Host::start(killed.data.path(), &[]);
    let params = json!({ "project": killed.project, "type": "x_later", "data": 1 });
    let reply = host.call("event.publish", params).unwrap();
    std::process::Command::new("kill").arg("-TERM").arg(host.pid().to_string()).status().unwrap();
    crate::support::until("the host's end", || host.ended());
    reply["cursor"].as_str().unwrap().parse().unwrap()
}

fn check_restored(killed: &Killed, saved: &[(PathBuf, Vec<u8>)], cursor: &Cursor) {
    for beside in ["log.db-wal", "log.db-shm"] {
        fs::remove_file(killed.data.path().join(beside)).ok();
    }
    for (file, bytes) in saved {
        fs::write(file, bytes).unwrap();
    }
    let mut host = Host::start(killed.data.path(), &[]);
    let epoch = host.call("system.status", json!({})).unwrap()["log"]["epoch"].as_str().unwrap().to_owned();
    assert_ne!(epoch, cursor.epoch.as_str(), "the epoch of a restored copy");
    // Events with the same numbers as those that somebody saw: only the epoch tells them apart.
    let params = json!({ "project": killed.project, "type": "x_other", "data": 2 });
    host.call("event.publish", params).unwrap();
    let page = host.call("event.list", json!({ "rooms": [format!("project/{}", killed.project)], "limit": 1000 }));
    assert!(page.unwrap()["events"].as_array().unwrap().iter().all(|event| event["type"] != "x_later"));
    host.kill();
}

#[test]
fn an_older_database_put_back_under_its_newer_mark_gets_a_new_epoch() {
    let killed = stopped(10);
    let copy = saved(&killed, &["log.db"]);
    let cursor = grow(&killed);
    check_restored(&killed, &copy, &cursor);
}

#[test]
fn an_older_database_put_back_without_any_mark_gets_a_new_epoch() {
    let killed = stopped(10);
    let copy = saved(&killed, &["log.db"]);
    let cursor = grow(&killed);
    fs::remove_file(killed.data.path().join("log.mark")).unwrap();
    check_restored(&killed, &copy, &cursor);
}

#[test]
fn a_copy_restored_whole_with_its_mark_gets_a_new_epoch() {
    let killed = stopped(10);
    let copy = saved(&killed, &["log.db", "log.mark"]);
    let cursor = grow(&killed);
    check_restored(&killed, &copy, &cursor);
}

#[test]
fn a_whole_folder_copied_elsewhere_while_it_is_in_use_is_a_log_of_its_own() {
    let killed = stopped(10);
    // The copy is of a moment; the original goes on.
    let elsewhere = copy(killed.data.path());
    let cursor = grow(&killed);
    let host = Host::start(elsewhere.path(), &[]);
    let params = json!({ "project": killed.project, "type": "x_other", "data": 1 });
    let reply = host.call("event.publish", params).unwrap();
    let other: Cursor = reply["cursor"].as_str().unwrap().parse().unwrap();
    assert_ne!(other.epoch, cursor.epoch, "{other} and {cursor} are different events");
}

/// What makes each write to the log's write-ahead log slow, for `LD_PRELOAD`.
#[cfg(target_os = "linux")]
fn slow_disk(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("slow.c"), folder.join("slow.so"));
    fs::write(&source, include_str!("../slow_disk.c")).unwrap();
    // The compiler that SQLite was built with.
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let built =
        std::process::Command::new(cc).args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// A commit takes more than a second: whoever publishes waits for it, nobody else does, and nothing is lost or doubled. With one
/// thread for everything that is not the log: a commit that held it would hold everybody.
#[cfg(target_os = "linux")]
#[test]
fn a_slow_disk_slows_who_writes_and_nobody_else() {
    const COUNT: u64 = 4;
    const WRITE: Duration = Duration::from_millis(300);
    let (data, folder, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Project::new(&[]));
    drop(Host::start(data.path(), &[project.path()]));
    let library = slow_disk(folder.path());
    let (library, delay) = (library.to_str().unwrap(), WRITE.as_millis().to_string());
    let env = [
        ("LD_PRELOAD", library),
        ("SLOW_MS", &delay),
        ("TOKIO_WORKER_THREADS", "1"),
        ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"),
    ];
    let host = Host::start_with(data.path(), &[project.path()], &env);
    let id = host.project_id();
    let publish = |n: u64| host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
    // From the first one on the host knows how slow the disk is.
    publish(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (longest, mut acknowledged) = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let seqs: Vec<u64> = (1..COUNT).map(|n| publish(n)["seq"].as_u64().unwrap()).collect();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            seqs
        });
        let mut longest = Duration::ZERO;
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let start = Instant::now();
            host.call("project.list", json!({})).unwrap();
            longest = longest.max(start.elapsed());
        }
        (longest, publishing.join().unwrap())
    });
    // A commit is four writes at least.
    assert!(longest < 2 * WRITE, "a call that writes nothing took {longest:?}");
    let stored: Vec<u64> = host
        .events(&[&format!("project/{id}")])
        .iter()
        .filter(|event| event["type"] == "x_n" && event["data"] != 0)
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    acknowledged.sort_unstable();
    assert_eq!(stored, acknowledged, "everything acknowledged is there once, and nothing else");
}

/// The disk takes seconds until it has what it was given, as many do under load. The write-ahead log is copied into the database
/// meanwhile, but nobody who publishes waits for that.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_takes_long_to_sync_stalls_nobody_at_eight_megabytes() {
    const SYNC: Duration = Duration::from_secs(3);
    /// Twelve megabytes: the log is copied from eight on.
    const COUNT: usize = 240;
    let (data, folder, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Project::new(&[]));
    drop(Host::start(data.path(), &[project.path()]));
    let (library, delay) = (slow_disk(folder.path()), SYNC.as_millis().to_string());
    let slowed = folder.path().join("slowed");
    let env = [
        ("SLOWED", slowed.to_str().unwrap()),
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("SLOW_SYNC_MS", &delay),
        ("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0"),
    ];
    let mut host = Host::start_with(data.path(), &[project.path()], &env);
    let (id, filler) = (host.project_id(), "x".repeat(50_000));
    let mut longest = Duration::ZERO;
    let mut acknowledged = Vec::new();
    for _ in 0..COUNT {
        let start = Instant::now();
        let reply = host.call("event.publish", json!({ "project": id, "type": "x_n", "data": filler })).unwrap();
        longest = longest.max(start.elapsed());
        acknowledged.push(reply["seq"].as_u64().unwrap());
    }
    assert!(longest < SYNC, "somebody who published waited {longest:?}");
    until("something to wait for", || slowed.exists().then_some(()));
    // In the middle of it.
    host.kill();
    let log = open(data.path()).unwrap();
    let tree = [RoomFilter::ProjectTree(id.parse().unwrap())];
    let stored = log.read(|reader| reader.events(&tree, 0, log.head(), 10_000)).unwrap();
    let seqs: Vec<u64> = stored.frames.iter().filter(|frame| frame.kind() == "x_n").map(|frame| frame.seq).collect();
    assert_eq!(seqs, acknowledged, "everything acknowledged is there once");
}
