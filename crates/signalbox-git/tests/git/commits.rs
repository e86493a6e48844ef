//! Checkpoints.

use std::fs;

use signalbox_git::{Author, Deadlines, Error, Git, Repository};

use crate::kit::{Kit, author, git, try_git, write};

#[test]
fn everything_gets_in_and_the_checkout_is_clean_after() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    assert_eq!(kit.repository.commit_all(&tree.checkout, "nothing", &author()).expect("works"), None);
    write(folder, "new\nline", b"1\n2\n");
    write(folder, "a.txt", b"");
    git(folder, &["rm", "-q", "dir/b.txt"]);
    let done = kit.repository.commit_all(&tree.checkout, "Subject\n\nBody\n", &author()).expect("works").expect("one");
    assert_eq!((done.files, done.added, done.removed), (3, 2, 10));
    assert_eq!((done.subject.as_str(), done.branch.as_deref()), ("Subject", Some(tree.branch.as_str())));
    assert_eq!(git(folder, &["status", "--porcelain"]), "");
    assert_eq!(
        git(folder, &["log", "-1", "--format=%H %an %ae %at %B"]),
        format!("{} Signalbox signalbox@example.com 1700000000 Subject\n\nBody", done.hash)
    );
    assert_eq!(kit.repository.commit_all(&tree.checkout, "nothing", &author()).expect("works"), None);
    // The agent goes on as before.
    write(folder, "more", b"x");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "by the agent"]);
    assert_eq!(git(folder, &["rev-list", "--count", "HEAD"]), "3");
}

#[test]
fn the_first_commit_of_all() {
    let kit = Kit::empty();
    kit.write("a", "a");
    let done = kit.repository.commit_all(kit.repository.project(), "first", &author()).expect("works").expect("one");
    assert_eq!(done.hash, kit.head());
    assert_eq!((done.files, done.added), (1, 1));
    assert_eq!(git(&kit.project(), &["status", "--porcelain"]), "");
}

#[test]
fn a_repository_within_is_left_out_and_stays() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    git(folder, &["init", "-q", "cloned"]);
    write(folder, "cloned/file", b"x");
    git(&folder.join("cloned"), &["add", "-A"]);
    git(&folder.join("cloned"), &["commit", "-qm", "x"]);
    assert_eq!(kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works"), None);
    write(folder, "work", b"x");
    let done = kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works").expect("one");
    assert_eq!((done.files, done.left_out), (1, vec!["cloned".to_owned()]));
    assert!(folder.join("cloned/file").exists());
}

#[test]
fn an_unfinished_merge_is_not_committed_over() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    kit.commit("a.txt", "main\n");
    write(&tree.checkout.folder, "a.txt", b"branch\n");
    git(&tree.checkout.folder, &["commit", "-qam", "x"]);
    assert!(!try_git(&tree.checkout.folder, &["merge", "main"]).0);
    let answer = kit.repository.commit_all(&tree.checkout, "x", &author());
    assert!(matches!(answer, Err(Error::Unfinished { what: "merge", .. })), "{answer:?}");
}

#[test]
fn locks_of_others_are_respected_and_our_own_are_not() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    write(&tree.checkout.folder, "work", b"x");
    let lock = tree.checkout.git_dir.join("index.lock");
    fs::write(&lock, "").expect("written");
    let deadlines = Deadlines { lock: std::time::Duration::from_millis(100), ..Deadlines::default() };
    let git = Git::at(std::path::Path::new("git"), deadlines).expect("git");
    let impatient = Repository::discover(&git, &kit.project()).expect("works").expect("there");
    let answer = impatient.commit_all(&tree.checkout, "x", &author());
    assert!(matches!(answer, Err(Error::Locked { .. })), "{answer:?}");
    assert_eq!(impatient.clear_stale_locks(&tree.checkout).expect("works"), std::slice::from_ref(&lock));
    // One that a crash of ours left behind.
    fs::write(&lock, "signalbox\n").expect("written");
    assert!(impatient.commit_all(&tree.checkout, "x", &author()).expect("works").is_some());
    assert!(!lock.exists());
}

/// Killed after the commit and before the index was written: the next one must not undo it.
#[test]
fn a_crash_between_commit_and_index_undoes_nothing() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let index = tree.checkout.git_dir.join("index");
    let before = fs::read(&index).expect("an index");
    write(&tree.checkout.folder, "work", b"x");
    kit.repository.commit_all(&tree.checkout, "one", &author()).expect("works").expect("one");
    fs::write(&index, before).expect("written");
    fs::write(tree.checkout.git_dir.join("index.lock"), "signalbox\n").expect("written");
    assert_eq!(kit.repository.commit_all(&tree.checkout, "again", &author()).expect("works"), None);
    write(&tree.checkout.folder, "more", b"y");
    let done = kit.repository.commit_all(&tree.checkout, "two", &author()).expect("works").expect("one");
    assert_eq!(done.files, 1);
    assert_eq!(git(&tree.checkout.folder, &["ls-tree", "--name-only", "HEAD", "work", "more"]), "more\nwork");
}

#[test]
fn names_of_authors_are_made_acceptable() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    for (n, name) in ["<>", "", "A <b>\n c"].into_iter().enumerate() {
        write(&tree.checkout.folder, "work", n.to_string().as_bytes());
        let author = Author { name: name.into(), email: String::new(), at: None };
        kit.repository.commit_all(&tree.checkout, "x\0y", &author).expect("works").expect("one");
    }
    assert_eq!(git(&tree.checkout.folder, &["log", "-1", "--format=%an|%s"]), "A b c|xy");
}
