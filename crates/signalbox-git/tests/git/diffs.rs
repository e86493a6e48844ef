//! What differs in a worktree, as seen by somebody who must not disturb.

use std::fs;

use signalbox_git::{Diff, DiffOptions, Mode, Worktree};
use signalbox_model::FileStatus;

use crate::kit::{Kit, author, git, write};

fn diff(kit: &Kit, tree: &Worktree) -> Diff {
    kit.repository.diff(&tree.checkout, &tree.base, &DiffOptions::default()).expect("a difference")
}

fn names(diff: &Diff) -> Vec<(&str, FileStatus)> {
    diff.files.iter().map(|f| (f.path.as_str(), f.status)).collect()
}

#[test]
fn committed_or_not_known_or_not() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    write(folder, "committed", b"1\n");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "the agent commits by itself"]);
    write(folder, "staged", b"1\n2\n");
    git(folder, &["add", "staged"]);
    write(folder, "unknown", b"x");
    write(folder, ".env", b"ignored");
    write(folder, "a.txt", b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n");
    fs::remove_file(folder.join("dir/b.txt")).expect("removed");
    let index = fs::read(tree.checkout.git_dir.join("index")).expect("an index");
    let diff = diff(&kit, &tree);
    let expected = [
        ("a.txt", FileStatus::Modified),
        ("committed", FileStatus::Added),
        ("dir/b.txt", FileStatus::Deleted),
        ("staged", FileStatus::Added),
        ("unknown", FileStatus::Added),
    ];
    assert_eq!(names(&diff), expected);
    assert_eq!(diff.lines(), (5, 2));
    let patch = String::from_utf8_lossy(&diff.files[0].patch);
    assert!(patch.contains("@@ -2,7 +2,7 @@") && patch.contains("\n-5\n+five\n"), "{patch}");
    // The agent's own index was not touched, and nothing got into the repository.
    assert_eq!(fs::read(tree.checkout.git_dir.join("index")).expect("an index"), index);
    let (known, _) = crate::kit::try_git(folder, &["cat-file", "-e", &diff.files[4].hash]);
    assert!(!known, "an unknown file's content is in the repository");
}

#[test]
fn odd_names_and_kinds() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    for name in ["with space", "grün", "line\nend", "tab\tquote\"back\\slash", " -option", "日本/語"] {
        write(folder, name, b"x\n");
    }
    write(folder, "image", b"\0\x01\x02");
    write(folder, "windows", b"1\r\n2\r\n");
    let diff = diff(&kit, &tree);
    let mut seen: Vec<_> = diff.files.iter().map(|f| f.path.as_str()).collect();
    seen.sort_unstable();
    let mut expected =
        ["with space", "grün", "line\nend", "tab\tquote\"back\\slash", " -option", "日本/語", "image", "windows"];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let of = |path: &str| diff.files.iter().find(|f| f.path == path).expect("listed");
    assert!(of("image").binary && !of("grün").binary);
    assert!(String::from_utf8_lossy(&of("windows").patch).contains("+1\r\n+2\r\n"));
}

#[cfg(unix)]
#[test]
fn renames_links_and_rights() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let kit = Kit::new();
    symlink("a.txt", kit.project().join("link")).expect("made");
    kit.commit("tool", "#!/bin/sh\n");
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    fs::rename(folder.join("a.txt"), folder.join("dir/moved\n")).expect("renamed");
    fs::remove_file(folder.join("link")).expect("removed");
    write(folder, "link", b"a file now\n");
    symlink("/nowhere", folder.join("dangling")).expect("made");
    fs::set_permissions(folder.join("tool"), fs::Permissions::from_mode(0o755)).expect("set");
    write(folder, "secret", b"x");
    fs::set_permissions(folder.join("secret"), fs::Permissions::from_mode(0o000)).expect("set");
    let diff = diff(&kit, &tree);
    let of = |path: &str| diff.files.iter().find(|f| f.path == path).expect("listed");
    assert_eq!((of("dir/moved\n").status, of("dir/moved\n").old_path.as_deref()), (FileStatus::Renamed, Some("a.txt")));
    assert_eq!((of("link").old_mode, of("link").mode), (Some(Mode::Link), Some(Mode::File)));
    assert_eq!(of("dangling").mode, Some(Mode::Link));
    assert_eq!((of("tool").mode, of("tool").added), (Some(Mode::Executable), 0));
    assert!(String::from_utf8_lossy(&of("tool").patch).contains("new mode 100755"));
    assert!(String::from_utf8_lossy(&of("link").patch).contains("+a file now"));
}

#[test]
fn a_look_costs_nothing_when_nothing_happened_and_tells_what_was_undone() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let mut watch = kit.repository.watch(&tree.checkout, &tree.base).expect("watches");
    assert!(watch.poll().expect("looks"), "the first look always");
    assert!(!watch.poll().expect("looks"));
    write(&tree.checkout.folder, "a.txt", b"new\n");
    assert!(watch.poll().expect("looks"));
    let first = watch.diff(&DiffOptions::default()).expect("a difference");
    assert!(!watch.poll().expect("looks"));
    // Same length, same second.
    write(&tree.checkout.folder, "a.txt", b"now\n");
    assert!(watch.poll().expect("looks"));
    // A commit changes nothing about the files.
    git(&tree.checkout.folder, &["commit", "-qam", "x"]);
    assert!(!watch.poll().expect("looks"));
    git(&tree.checkout.folder, &["checkout", "-q", &tree.base, "--", "a.txt"]);
    let last = watch.diff(&DiffOptions::default()).expect("a difference");
    assert_eq!(last.files, []);
    let told: Vec<_> = last.since(&first).into_iter().map(|f| (f.path, f.status)).collect();
    assert_eq!(told, [("a.txt".to_owned(), FileStatus::Unchanged)]);
}

#[test]
fn changes_cannot_be_hidden_by_the_index() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    git(&tree.checkout.folder, &["update-index", "--assume-unchanged", "a.txt"]);
    git(&tree.checkout.folder, &["update-index", "--skip-worktree", "dir/b.txt"]);
    write(&tree.checkout.folder, "a.txt", b"hidden\n");
    write(&tree.checkout.folder, "dir/b.txt", b"hidden\n");
    let seen = diff(&kit, &tree);
    assert_eq!(names(&seen), [("a.txt", FileStatus::Modified), ("dir/b.txt", FileStatus::Modified)]);
}

#[test]
fn it_works_while_the_agent_holds_the_index_and_tidies_up() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    write(folder, "work", b"x\n");
    git(folder, &["add", "-A"]);
    let mut watch = kit.repository.watch(&tree.checkout, &tree.base).expect("watches");
    assert_eq!(watch.diff(&DiffOptions::default()).expect("a difference").files.len(), 1);
    git(folder, &["reset", "-q"]);
    git(folder, &["gc", "-q", "--prune=now"]);
    write(folder, "more", b"y\n");
    fs::write(tree.checkout.git_dir.join("index.lock"), "").expect("written");
    assert_eq!(watch.diff(&DiffOptions::default()).expect("a difference").files.len(), 2);
    // Private objects half gone, as after a full disk.
    fs::remove_dir_all(tree.checkout.git_dir.join("signalbox/objects")).expect("removed");
    fs::write(tree.checkout.git_dir.join("signalbox/index.lock"), "").expect("written");
    let mut watch = kit.repository.watch(&tree.checkout, &tree.base).expect("watches");
    assert_eq!(watch.diff(&DiffOptions::default()).expect("a difference").files.len(), 2);
}

#[test]
fn a_merge_in_conflict_and_a_repository_within_are_shown() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    kit.commit("a.txt", "main\n");
    write(folder, "a.txt", b"branch\n");
    git(folder, &["commit", "-qam", "x"]);
    assert!(!crate::kit::try_git(folder, &["merge", "main"]).0);
    git(folder, &["init", "-q", "cloned"]);
    write(folder, "cloned/file", b"x");
    git(&folder.join("cloned"), &["add", "-A"]);
    git(&folder.join("cloned"), &["commit", "-qm", "x"]);
    // One without a commit cannot be named at all.
    git(folder, &["init", "-q", "begun"]);
    write(folder, "begun/file", b"x");
    let seen = diff(&kit, &tree);
    assert!(String::from_utf8_lossy(&seen.files[0].patch).contains("+<<<<<<< HEAD"));
    let cloned = seen.files.iter().find(|f| f.path == "cloned").expect("listed");
    assert_eq!(cloned.mode, Some(Mode::Repository));
    assert!(seen.unread.is_some_and(|said| said.contains("begun")));
}

#[test]
fn large_changes_are_cut_and_counted() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    write(&tree.checkout.folder, "large", text.as_bytes());
    let options = DiffOptions { file_limit: 1000, ..DiffOptions::default() };
    let diff = kit.repository.diff(&tree.checkout, &tree.base, &options).expect("a difference");
    let file = &diff.files[0];
    assert_eq!((file.patch.len(), file.added), (1000, 20_000));
    assert!(file.patch_bytes > text.len() as u64);
}

#[test]
fn a_checkpoint_leaves_the_same_difference() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    write(&tree.checkout.folder, "work", b"x\n");
    let before = diff(&kit, &tree);
    kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works").expect("a commit");
    assert_eq!(diff(&kit, &tree), before);
}
