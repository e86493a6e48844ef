//! Finding a repository, and what it says of itself.

use std::path::Path;
use std::time::{Duration, Instant};

use signalbox_git::{Deadlines, Error, Git, Repository, Unfinished};

use crate::kit::{Kit, git, try_git};

#[test]
fn a_folder_in_none_is_none() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(Repository::discover(&Git::find().expect("git"), dir.path()).expect("works").is_none());
}

#[test]
fn it_is_found_from_a_folder_within() {
    let kit = Kit::new();
    let found = Repository::discover(kit.repository.git(), &kit.project().join("dir")).expect("works").expect("there");
    assert_eq!(found.project(), kit.repository.project());
}

#[test]
fn bare_and_empty_ones_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    git(dir.path(), &["init", "-q", "--bare"]);
    let answer = Repository::discover(&Git::find().expect("git"), dir.path());
    assert!(matches!(answer, Err(Error::Bare { .. })), "{answer:?}");

    let kit = Kit::empty();
    let head = kit.repository.head(kit.repository.project()).expect("works");
    assert_eq!((head.branch.as_deref(), head.commit), (Some("main"), None));
    assert!(matches!(kit.repository.commit("HEAD"), Err(Error::NoCommit { .. })));
    assert!(kit.repository.is_clean(kit.repository.project()).expect("works"));
}

#[test]
fn a_missing_program_is_told_from_a_missing_folder() {
    let answer = Git::at(Path::new("/nowhere/git"), Deadlines::default());
    assert!(matches!(answer, Err(Error::Missing { .. })), "{answer:?}");
    let answer = Repository::discover(&Git::find().expect("git"), Path::new("/nowhere"));
    assert!(matches!(answer, Err(Error::Io { .. })), "{answer:?}");
}

#[cfg(unix)]
#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("git");
    let pid = dir.path().join("pid");
    std::fs::write(&program, format!("#!/bin/sh\nsleep 600 & echo $! > {}\nwait\n", pid.display())).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    // A machine may be too busy for the program to begin before it is given up: then with more patience.
    let mut quick = Duration::from_millis(500);
    let child = loop {
        let answer = Git::at(&program, Deadlines { quick, ..Deadlines::default() });
        assert!(matches!(answer, Err(Error::Deadline { .. })), "{answer:?}");
        match std::fs::read_to_string(&pid) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            other => assert!(quick < Duration::from_secs(60), "it never began: {other:?}"),
        }
        quick *= 4;
    };
    // Killed, which the system carries out when it comes to it; at most its entry waits to be taken by the first process.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") || state.contains(") X ") {
            break;
        }
        assert!(Instant::now() < until, "it goes on: {state}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn an_old_one_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("git");
    std::fs::write(&program, "#!/bin/sh\necho git version 2.17.1\n").expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
        let answer = Git::at(&program, Deadlines::default());
        assert!(matches!(answer, Err(Error::TooOld { .. })), "{answer:?}");
    }
}

#[test]
fn a_detached_head_and_an_unfinished_merge_are_told() {
    let kit = Kit::new();
    let first = kit.head();
    git(&kit.project(), &["checkout", "-qb", "other"]);
    kit.commit("a.txt", "other\n");
    git(&kit.project(), &["checkout", "-q", "main"]);
    kit.commit("a.txt", "main\n");
    let project = kit.repository.project();
    assert_eq!(kit.repository.unfinished(project), None);
    assert!(!try_git(&kit.project(), &["merge", "other"]).0);
    assert_eq!(kit.repository.unfinished(project), Some(Unfinished::Merge));
    git(&kit.project(), &["merge", "--abort"]);
    git(&kit.project(), &["checkout", "-q", "--detach", &first]);
    let head = kit.repository.head(project).expect("works");
    assert_eq!((head.branch, head.commit), (None, Some(first)));
}

#[test]
fn history_and_old_files() {
    let kit = Kit::new();
    let first = kit.head();
    let second = kit.commit("x y\nz", "new\0\n");
    let log = kit.repository.log("HEAD", 10).expect("works");
    assert_eq!(log.iter().map(|c| &c.hash).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!(kit.repository.log(&format!("{first}..HEAD"), 10).expect("works").len(), 1);
    assert!(matches!(kit.repository.log("nothing", 1), Err(Error::NoSuch { .. })));
    assert!(matches!(kit.repository.log("--all", 1), Err(Error::BadName { .. })));
    let show = |commit: &str, path: &str, limit| kit.repository.show_file(commit, path, limit);
    assert_eq!(show("HEAD", "x y\nz", 100).expect("works").as_deref(), Some(&b"new\0\n"[..]));
    assert_eq!(show(&first, "x y\nz", 100).expect("works"), None);
    assert_eq!(show("HEAD", "dir", 100).expect("works"), None);
    assert!(matches!(show("HEAD", "a.txt", 3), Err(Error::TooLarge { .. })));
}

#[test]
fn branches_and_tags_are_never_moved() {
    let kit = Kit::new();
    let first = kit.head();
    kit.repository.create_branch("side", "HEAD").expect("made");
    kit.repository.tag("v1", "HEAD", None).expect("made");
    kit.repository.tag("v1-signed", "HEAD", Some(("Release\n", &crate::kit::author()))).expect("made");
    let second = kit.commit("c", "c");
    kit.repository.create_branch("side", &first).expect("is there");
    kit.repository.tag("v1", &first, None).expect("is there");
    kit.repository.tag("v1-signed", &first, None).expect("is there");
    assert!(matches!(kit.repository.create_branch("side", "HEAD"), Err(Error::Taken { .. })));
    assert!(matches!(kit.repository.tag("v1", "HEAD", None), Err(Error::Taken { .. })));
    assert!(matches!(kit.repository.create_branch("side/x", "HEAD"), Err(Error::NameClash { .. })));
    for bad in ["-x", "a..b", "a b", "x.lock", "", "HEAD", "a\0b"] {
        let answer = kit.repository.create_branch(bad, "HEAD");
        assert!(matches!(answer, Err(Error::BadName { .. })), "{bad:?}: {answer:?}");
    }
    assert!(matches!(kit.repository.delete_branch("side", &second), Err(Error::Moved { .. })));
    assert!(matches!(kit.repository.delete_branch("main", &second), Err(Error::BranchInUse { .. })));
    kit.repository.delete_branch("side", &first).expect("deleted");
    kit.repository.delete_branch("side", &first).expect("is gone");
}
