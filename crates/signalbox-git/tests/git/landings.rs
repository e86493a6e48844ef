//! Landings.

use std::fs;

use signalbox_git::{Error, HowLanded, Landed, Merge, MergeRequest, Worktree};

use crate::kit::{Kit, author, git, try_git, write};

fn request(from: &str) -> MergeRequest {
    let (into, from, message) = ("main".into(), from.into(), "Land it".into());
    MergeRequest { into, onto: None, from, squash: false, message, author: author() }
}

fn work(kit: &Kit, step: &str, path: &str, text: &str) -> Worktree {
    let tree = kit.worktree(step);
    write(&tree.checkout.folder, path, text.as_bytes());
    kit.repository.commit_all(&tree.checkout, step, &author()).expect("works").expect("a commit");
    tree
}

fn merged(kit: &Kit, request: &MergeRequest) -> (String, String) {
    match kit.repository.merge(request).expect("works") {
        Merge::Merged { base, commit, .. } => (base, commit),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_merge_is_verified_then_lands_in_the_checkout() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "new", "x\n");
    kit.commit("other", "meanwhile");
    kit.write("mine", "a person's own");
    kit.write("dir/b.txt", "edited by a person");
    let (base, commit) = merged(&kit, &request(&tree.branch));
    // The same again has the same hash, and garbage collection leaves it alone.
    assert_eq!(merged(&kit, &request(&tree.branch)), (base.clone(), commit.clone()));
    git(&kit.project(), &["gc", "-q", "--prune=now"]);
    let verify = kit.repository.check_out(&commit, &kit.dir.path().join("verify"), &[]).expect("checked out");
    assert!(verify.folder.join("new").exists() && verify.folder.join("other").exists());
    assert!(!kit.project().join("new").exists());
    assert_eq!(kit.repository.landed("main", &commit).expect("works"), Landed::No);
    let how = kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!(how, HowLanded::CheckedOut(kit.repository.project().clone()));
    assert_eq!(kit.head(), commit);
    assert_eq!(git(&kit.project(), &["status", "--porcelain"]), " M dir/b.txt\n?? mine");
    assert!(kit.project().join("new").exists());
    assert_eq!(kit.repository.landed("main", &commit).expect("works"), Landed::Yes);
    assert_eq!(kit.repository.land("main", &base, &commit).expect("landed"), HowLanded::Before);
    assert_eq!(git(&kit.project(), &["for-each-ref", "refs/signalbox"]), "");
    assert!(matches!(kit.repository.merge(&request(&tree.branch)), Ok(Merge::UpToDate { .. })));
    assert_eq!(kit.repository.worktrees("signalbox/", "main").expect("listed")[0].unmerged, 0);
}

#[test]
fn a_branch_that_is_checked_out_nowhere_is_moved() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "new", "x\n");
    git(&kit.project(), &["checkout", "-q", "--detach"]);
    let (base, commit) = merged(&kit, &request(&tree.branch));
    assert_eq!(kit.repository.land("main", &base, &commit).expect("landed"), HowLanded::Moved);
    assert!(!kit.project().join("new").exists());
    assert_eq!(git(&kit.project(), &["rev-parse", "main"]), commit);
}

#[test]
fn squashed_it_is_one_commit_and_counts_as_merged() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "new", "x\n");
    write(&tree.checkout.folder, "new", b"y\n");
    kit.repository.commit_all(&tree.checkout, "two", &author()).expect("works").expect("a commit");
    let (base, commit) = merged(&kit, &MergeRequest { squash: true, ..request(&tree.branch) });
    kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!(git(&kit.project(), &["rev-list", "--count", "main"]), "2");
    assert_eq!(kit.repository.worktrees("signalbox/", "main").expect("listed")[0].unmerged, 0);
    let again = kit.repository.merge(&MergeRequest { squash: true, ..request(&tree.branch) }).expect("works");
    assert!(matches!(again, Merge::UpToDate { .. }), "{again:?}");
}

#[test]
fn a_conflict_names_the_files_and_changes_nothing() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "a.txt", "branch\n");
    write(&tree.checkout.folder, "line\nend", b"theirs");
    kit.repository.commit_all(&tree.checkout, "two", &author()).expect("works").expect("a commit");
    kit.write("line\nend", "ours");
    let main = kit.commit("a.txt", "main\n");
    match kit.repository.merge(&request(&tree.branch)).expect("works") {
        Merge::Conflicts { files, messages, base } => {
            assert_eq!((files, base), (vec!["a.txt".to_owned(), "line\nend".to_owned()], main.clone()));
            assert!(messages.contains("CONFLICT (content)"), "{messages}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((kit.head(), git(&kit.project(), &["status", "--porcelain"])), (main, String::new()));
    assert!(tree.checkout.folder.join("a.txt").exists());
}

#[test]
fn of_two_at_once_one_lands_and_the_other_merges_again() {
    let kit = Kit::new();
    let trees = [work(&kit, "one", "1", "x"), work(&kit, "two", "2", "x")];
    let both: Vec<_> = trees.iter().map(|t| merged(&kit, &request(&t.branch))).collect();
    let kit = &kit;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> =
            both.iter().map(|(base, commit)| scope.spawn(move || kit.repository.land("main", base, commit))).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    let lost = outcomes.iter().position(|o| matches!(o, Err(Error::Moved { .. }))).expect("one was late");
    let (base, commit) = merged(kit, &request(&trees[lost].branch));
    kit.repository.land("main", &base, &commit).expect("landed");
    assert!(kit.project().join("1").exists() && kit.project().join("2").exists());
}

#[test]
fn a_persons_changes_are_never_overwritten() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    for path in ["a.txt", "dir/b.txt", "fresh", "ignored.log", "folder/file"] {
        write(&tree.checkout.folder, path, b"by the agent\n");
    }
    git(&tree.checkout.folder, &["rm", "-q", "--cached", "-f", "dir/b.txt"]);
    fs::remove_file(tree.checkout.folder.join("dir/b.txt")).expect("removed");
    kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works").expect("a commit");
    let (base, commit) = merged(&kit, &request(&tree.branch));
    let refused = |path: &str| {
        let answer = kit.repository.land("main", &base, &commit);
        assert!(
            matches!(&answer, Err(Error::DirtyCheckout { files, .. }) if files.iter().any(|f| f.contains(path))),
            "{path}: {answer:?}"
        );
        assert_eq!(kit.head(), base);
    };
    kit.write("a.txt", "by a person\n");
    refused("a.txt");
    git(&kit.project(), &["add", "a.txt"]);
    refused("a.txt");
    git(&kit.project(), &["reset", "-q", "--hard"]);
    kit.write("dir/b.txt", "edited, and to be deleted");
    refused("dir/b.txt");
    git(&kit.project(), &["reset", "-q", "--hard"]);
    kit.write("fresh", "by a person\n");
    refused("fresh");
    fs::remove_file(kit.project().join("fresh")).expect("removed");
    kit.write("folder", "a file in the place of a folder");
    refused("folder");
    fs::remove_file(kit.project().join("folder")).expect("removed");
    write(&kit.project(), ".git/info/exclude", b"*.log\n");
    kit.write("ignored.log", "git would overwrite it by itself");
    refused("ignored.log");
    assert_eq!(
        fs::read_to_string(kit.project().join("ignored.log")).expect("kept"),
        "git would overwrite it by itself"
    );
    fs::remove_file(kit.project().join("ignored.log")).expect("removed");
    kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!(git(&kit.project(), &["status", "--porcelain"]), "");
}

/// Git killed in the middle of bringing the checkout up to date: some files are new, index and branch are not.
#[test]
fn a_landing_cut_short_is_settled() {
    let kit = Kit::new();
    let tree = kit.worktree("s");
    for path in ["a.txt", "fresh", "other"] {
        write(&tree.checkout.folder, path, b"new\n");
    }
    fs::remove_file(tree.checkout.folder.join("dir/b.txt")).expect("removed");
    kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works").expect("a commit");
    let (base, commit) = merged(&kit, &request(&tree.branch));
    kit.write("a.txt", "new\n");
    kit.write("fresh", "new\n");
    fs::remove_file(kit.project().join("dir/b.txt")).expect("removed");
    assert_eq!(kit.repository.landed("main", &commit).expect("works"), Landed::HalfWay);
    kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!((kit.head(), git(&kit.project(), &["status", "--porcelain"])), (commit, String::new()));
}

/// The same, one step later: files and index are new, the branch is not.
#[test]
fn a_landing_cut_short_before_the_branch_is_settled() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "a.txt", "new\n");
    let (base, commit) = merged(&kit, &request(&tree.branch));
    git(&kit.project(), &["read-tree", "-m", "-u", &base, &commit]);
    assert_eq!(kit.repository.landed("main", &commit).expect("works"), Landed::HalfWay);
    kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!((kit.head(), git(&kit.project(), &["status", "--porcelain"])), (commit, String::new()));
}

#[test]
fn somebody_in_the_middle_of_something_is_left_alone() {
    let kit = Kit::new();
    let tree = work(&kit, "s", "new", "x");
    git(&kit.project(), &["checkout", "-qb", "side"]);
    kit.commit("a.txt", "side\n");
    git(&kit.project(), &["checkout", "-q", "main"]);
    kit.commit("a.txt", "main\n");
    let (base, commit) = merged(&kit, &request(&tree.branch));
    assert!(!try_git(&kit.project(), &["merge", "side"]).0);
    let answer = kit.repository.land("main", &base, &commit);
    assert!(matches!(answer, Err(Error::Unfinished { what: "merge", .. })), "{answer:?}");
    git(&kit.project(), &["merge", "--abort"]);
    assert!(!try_git(&kit.project(), &["rebase", "side"]).0);
    let answer = kit.repository.land("main", &base, &commit);
    assert!(matches!(answer, Err(Error::Unfinished { what: "rebase", .. })), "{answer:?}");
    assert_eq!(git(&kit.project(), &["rev-parse", "main"]), base);
}

#[test]
fn what_has_no_common_history_or_is_no_branch_is_refused() {
    let kit = Kit::new();
    let first = kit.head();
    assert!(matches!(kit.repository.merge(&request("nothing")), Err(Error::NoSuch { .. })));
    assert!(matches!(
        kit.repository.merge(&MergeRequest { into: "nothing".into(), ..request("main") }),
        Err(Error::NoSuch { .. })
    ));
    git(&kit.project(), &["checkout", "-q", "--orphan", "unrelated"]);
    git(&kit.project(), &["commit", "-qm", "unrelated"]);
    let answer = kit.repository.merge(&request("unrelated"));
    assert!(matches!(&answer, Err(Error::Refused { stderr, .. }) if stderr.contains("unrelated")), "{answer:?}");
    let unrelated = kit.head();
    let answer = kit.repository.land("main", &first, &unrelated);
    assert!(matches!(answer, Err(Error::Taken { .. })), "{answer:?}");
}
