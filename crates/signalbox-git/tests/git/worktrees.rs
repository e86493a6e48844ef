//! Worktrees: made, found again, mended, listed, removed.

use std::fs;
use std::path::Path;

use signalbox_git::{Carry, Error, Origin, Removal, WorktreeRequest, changed_outside};

use crate::kit::{Kit, author, git, write};

#[test]
fn it_starts_from_the_base_and_is_found_again() {
    let kit = Kit::new();
    let request = kit.request("build[api]");
    kit.commit("later", "later");
    let made = kit.repository.add_worktree(&request).expect("made");
    assert_eq!((made.origin, &made.base), (Origin::Made, &request.base));
    assert!(made.checkout.folder.join("a.txt").exists() && !made.checkout.folder.join("later").exists());
    write(&made.checkout.folder, "work", b"in progress");
    let again = kit.repository.add_worktree(&request).expect("found");
    assert_eq!((again.origin, again.checkout), (Origin::Adopted, made.checkout.clone()));
    assert!(made.checkout.folder.join("work").exists());
}

#[test]
fn eight_at_once() {
    let kit = Kit::new();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let kit = &kit;
                    move || kit.worktree(&format!("step[{n}]"))
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.join().expect("no panic").origin, Origin::Made);
        }
    });
    assert_eq!(kit.repository.worktrees("signalbox/", "main").expect("listed").len(), 8);
}

/// Git that was killed in the middle of `worktree add`: part of the files, and the lock that says "initializing".
#[test]
fn one_half_made_is_made_anew() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    fs::remove_dir_all(made.checkout.git_dir.join("signalbox")).expect("removed");
    fs::write(made.checkout.git_dir.join("locked"), "initializing").expect("written");
    fs::write(made.checkout.git_dir.join("index.lock"), "").expect("written");
    fs::remove_file(made.checkout.git_dir.join("index")).expect("removed");
    fs::remove_file(made.checkout.folder.join("a.txt")).expect("removed");
    let again = kit.worktree("s");
    assert_eq!(again.origin, Origin::Mended);
    assert!(again.checkout.folder.join("a.txt").exists());
    assert!(kit.repository.is_clean(&again.checkout).expect("works"));
    assert_eq!(kit.worktree("s").origin, Origin::Adopted);
}

/// Killed even earlier: git's folder exists with nothing in it but the lock.
#[test]
fn one_hardly_begun_is_made_anew() {
    let kit = Kit::new();
    let request = kit.request("s");
    git(&kit.project(), &["branch", &request.branch]);
    let admin = kit.project().join(".git/worktrees/s");
    write(&admin, "locked", b"initializing");
    write(&admin, "gitdir", format!("{}/.git\n", request.folder.display()).as_bytes());
    let made = kit.repository.add_worktree(&request).expect("made");
    assert!(made.checkout.folder.join("a.txt").exists());
}

#[test]
fn after_the_branch_but_before_the_folder() {
    let kit = Kit::new();
    let request = kit.request("s");
    git(&kit.project(), &["branch", &request.branch]);
    assert_eq!(kit.repository.add_worktree(&request).expect("made").origin, Origin::Mended);
}

#[test]
fn after_the_folder_but_before_what_is_carried() {
    let kit = Kit::new();
    kit.write(".env", "SECRET=1");
    let request = WorktreeRequest { carry: vec![Carry::Copy(".env".into())], ..kit.request("s") };
    git(&kit.project(), &["worktree", "add", "-q", "-b", &request.branch, &request.folder.to_string_lossy()]);
    let made = kit.repository.add_worktree(&request).expect("made");
    assert_eq!((made.origin, made.carried), (Origin::Mended, vec![".env".to_owned()]));
}

#[test]
fn a_folder_that_is_gone_comes_back_with_its_commits() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    write(&made.checkout.folder, "work", b"done");
    kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    fs::remove_dir_all(&made.checkout.folder).expect("removed");
    let again = kit.worktree("s");
    assert_eq!(again.origin, Origin::Mended);
    assert!(again.checkout.folder.join("work").exists());
}

#[test]
fn a_folder_that_git_forgot_is_set_aside_not_deleted() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    write(&made.checkout.folder, "work", b"only here");
    fs::remove_dir_all(&made.checkout.git_dir).expect("removed");
    let again = kit.worktree("s");
    let aside = again.set_aside.expect("set aside");
    assert_eq!(fs::read(aside.join("work")).expect("kept"), b"only here");
    assert!(again.checkout.folder.join("a.txt").exists());
}

#[test]
fn an_agent_that_deletes_dot_git_does_not_reach_the_repository_around() {
    let kit = Kit::new();
    // The folder of worktrees lies in another repository, as in a home folder under git.
    git(kit.dir.path(), &["init", "-q"]);
    let made = kit.worktree("s");
    fs::remove_file(made.checkout.folder.join(".git")).expect("removed");
    write(&made.checkout.folder, "work", b"x");
    let checkpoint = kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    assert_eq!(checkpoint.branch, Some(made.branch.clone()));
    // And it is mended when somebody asks for it again.
    assert_eq!(kit.worktree("s").origin, Origin::Adopted);
    assert_eq!(git(&made.checkout.folder, &["rev-parse", "--abbrev-ref", "HEAD"]), made.branch);
}

#[test]
fn what_is_in_the_way_stays_as_it_is() {
    let kit = Kit::new();
    let request = kit.request("s");
    write(&request.folder, "mine", b"x");
    let answer = kit.repository.add_worktree(&request);
    assert!(matches!(answer, Err(Error::FolderTaken { .. })), "{answer:?}");
    assert!(request.folder.join("mine").exists());

    let first = kit.head();
    git(&kit.project(), &["checkout", "-q", "--orphan", "unrelated"]);
    git(&kit.project(), &["commit", "-qm", "unrelated"]);
    git(&kit.project(), &["branch", &kit.request("t").branch]);
    git(&kit.project(), &["checkout", "-q", "main"]);
    let answer = kit.repository.add_worktree(&WorktreeRequest { base: first, ..kit.request("t") });
    assert!(matches!(answer, Err(Error::Taken { .. })), "{answer:?}");
}

#[test]
fn names_that_clash_are_told() {
    let kit = Kit::new();
    git(&kit.project(), &["branch", "signalbox"]);
    let answer = kit.repository.add_worktree(&kit.request("s"));
    assert!(matches!(&answer, Err(Error::NameClash { other, .. }) if other == "signalbox"), "{answer:?}");
    git(&kit.project(), &["branch", "-m", "signalbox", "signalbox/r_1/s/deeper"]);
    let answer = kit.repository.add_worktree(&kit.request("s"));
    assert!(matches!(&answer, Err(Error::NameClash { other, .. }) if other == "signalbox/r_1/s/deeper"), "{answer:?}");
}

#[test]
fn a_branch_in_use_is_not_taken_away() {
    let kit = Kit::new();
    let request = kit.request("s");
    git(&kit.project(), &["checkout", "-qb", &request.branch]);
    let answer = kit.repository.add_worktree(&request);
    assert!(matches!(answer, Err(Error::BranchInUse { .. })), "{answer:?}");
}

#[cfg(unix)]
#[test]
fn ignored_files_are_carried_and_stay_ignored() {
    let kit = Kit::new();
    kit.commit("packages/web/package.json", "{}");
    kit.write(".env", "A=1");
    kit.write(".env.local", "B=1");
    kit.write("node_modules/left-pad/index.js", "x");
    kit.write("packages/web/node_modules/right-pad/index.js", "x");
    kit.write("build/cache/big.bin", "x");
    kit.write("build/other", "x");
    kit.write("untracked", "is no business of a worktree");
    let carry = vec![
        Carry::Copy(".env*".into()),
        Carry::Link("**/node_modules".into()),
        Carry::Copy("build/cache/*.bin".into()),
        Carry::Copy("untracked".into()),
        Carry::Copy("../outside".into()),
        Carry::Copy("/etc/passwd".into()),
    ];
    let made = kit.carrying("s", carry);
    let expected =
        [".env", ".env.local", "node_modules", "packages/web/node_modules", "build/cache/big.bin"].map(str::to_owned);
    assert_eq!(made.carried, expected);
    assert_eq!(made.not_carried.len(), 2, "{:?}", made.not_carried);
    let folder = &made.checkout.folder;
    assert!(folder.join("node_modules/left-pad/index.js").exists() && !folder.join("build/other").exists());
    assert!(folder.join("node_modules/left-pad").is_symlink());
    // A rule that ends with `/` matches no link: nothing of it may become part of the work.
    assert!(kit.repository.is_clean(&made.checkout).expect("works"));
    assert_eq!(kit.repository.diff(&made.checkout, &made.base, &Default::default()).expect("works").files, []);
    // Deleting what was linked does not empty the project's own.
    fs::remove_dir_all(folder.join("node_modules")).expect("removed");
    assert!(kit.project().join("node_modules/left-pad/index.js").exists());
    kit.repository.remove_worktree(folder, Removal::default()).expect("removed");
    assert!(kit.project().join("packages/web/node_modules/right-pad/index.js").exists());
}

#[test]
fn the_list_tells_what_would_be_lost_and_removing_refuses() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    let (folder, list) =
        (&made.checkout.folder, || kit.repository.worktrees("signalbox/r_1/", "main").expect("listed").remove(0));
    assert_eq!((list().dirty, list().unmerged, list().base), (Some(vec![]), 0, Some(made.base.clone())));
    write(folder, "work", b"x");
    assert_eq!(list().dirty, Some(vec!["work".to_owned()]));
    let answer = kit.repository.remove_worktree(folder, Removal::default());
    assert!(matches!(answer, Err(Error::Dirty { .. })), "{answer:?}");
    let answer = kit.repository.remove_worktree(folder, Removal { force: Some(" "), ..Removal::default() });
    assert!(matches!(answer, Err(Error::Dirty { .. })), "a blank is no reason: {answer:?}");

    kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    assert_eq!((list().dirty, list().unmerged), (Some(vec![]), 1));
    let with_branch = Removal { delete_branch: true, merged_into: Some("main"), force: None };
    let answer = kit.repository.remove_worktree(folder, with_branch);
    assert!(matches!(answer, Err(Error::Unmerged { commits: 1, .. })), "{answer:?}");
    assert!(folder.join("work").exists());
    kit.repository.remove_worktree(folder, Removal::default()).expect("its branch keeps the commits");
    kit.repository.remove_worktree(folder, Removal::default()).expect("is gone already");
    assert!(!folder.exists());
    assert_eq!(git(&kit.project(), &["rev-list", "--count", &made.branch]), "2");

    kit.worktree("s");
    let with_force = Removal { force: Some("superseded"), ..with_branch };
    kit.repository.remove_worktree(folder, with_force).expect("removed");
    assert_eq!(git(&kit.project(), &["branch", "--list", "signalbox/*"]), "");
}

#[test]
fn commits_on_no_branch_are_not_lost() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    git(&made.checkout.folder, &["checkout", "-q", "--detach"]);
    write(&made.checkout.folder, "work", b"x");
    let checkpoint = kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    assert_eq!(checkpoint.branch, None);
    let answer = kit.repository.remove_worktree(&made.checkout.folder, Removal::default());
    assert!(matches!(answer, Err(Error::Unmerged { commits: 1, .. })), "{answer:?}");
}

#[test]
fn missing_folders_are_listed_and_pruned() {
    let kit = Kit::new();
    let made = kit.worktree("s");
    fs::remove_dir_all(&made.checkout.folder).expect("removed");
    assert!(kit.repository.worktrees("signalbox/", "main").expect("listed")[0].missing);
    assert_eq!(kit.repository.prune_worktrees("other/").expect("works"), Vec::<std::path::PathBuf>::new());
    assert_eq!(kit.repository.prune_worktrees("signalbox/").expect("works"), [made.checkout.folder]);
    assert_eq!(git(&kit.project(), &["rev-parse", "--abbrev-ref", &made.branch]), made.branch);
}

#[test]
fn the_project_is_never_removed() {
    let kit = Kit::new();
    let force = Removal { force: Some("because"), ..Removal::default() };
    assert!(kit.repository.remove_worktree(&kit.project(), force).is_err());
    assert!(kit.repository.remove_worktree(Path::new("/tmp"), force).is_err());
    assert!(kit.project().join("a.txt").exists());
}

#[test]
fn submodules_are_empty_in_a_worktree_and_do_not_hinder() {
    let (kit, module) = (Kit::new(), Kit::new());
    let path = module.project().to_string_lossy().into_owned();
    git(&kit.project(), &["-c", "protocol.file.allow=always", "submodule", "add", "-q", &path, "module"]);
    git(&kit.project(), &["commit", "-qm", "module"]);
    assert!(kit.repository.has_submodules(kit.repository.project()));
    let made = kit.worktree("s");
    assert!(kit.repository.is_clean(&made.checkout).expect("works"));
    git(&made.checkout.folder, &["-c", "protocol.file.allow=always", "submodule", "update", "-q", "--init"]);
    assert_eq!(kit.repository.diff(&made.checkout, &made.base, &Default::default()).expect("works").files, []);
    write(&made.checkout.folder, "work", b"x");
    let checkpoint = kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    assert_eq!((checkpoint.files, checkpoint.left_out), (1, vec![]));
    kit.repository.remove_worktree(&made.checkout.folder, Removal::default()).expect("removed");
    assert!(!made.checkout.folder.exists());
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let kit = Kit::new();
    git(&kit.project(), &["sparse-checkout", "set", "dir"]);
    let made = kit.worktree("s");
    let diff = kit.repository.diff(&made.checkout, &made.base, &Default::default()).expect("works");
    assert_eq!(diff.files, []);
    write(&made.checkout.folder, "dir/new", b"x");
    let checkpoint = kit.repository.commit_all(&made.checkout, "work", &author()).expect("works").expect("a commit");
    assert_eq!(checkpoint.files, 1);
}

#[test]
fn a_commit_is_checked_out_to_be_verified_again_and_again() {
    let kit = Kit::new();
    let folder = kit.dir.path().join("verify");
    let checkout = kit.repository.check_out("HEAD", &folder, &[]).expect("checked out");
    write(&checkout.folder, "left over", b"x");
    let checkout = kit.repository.check_out("HEAD", &folder, &[]).expect("checked out");
    assert!(checkout.folder.join("a.txt").exists() && !checkout.folder.join("left over").exists());
    let step = kit.worktree("s").checkout.folder;
    assert!(matches!(kit.repository.check_out("HEAD", &step, &[]), Err(Error::FolderTaken { .. })));
}

#[test]
fn an_edit_outside_of_the_worktree_is_noticed() {
    let kit = Kit::new();
    kit.write("mine", "a person's own work");
    let look = || kit.repository.checkout_state(kit.repository.project()).expect("works");
    let before = look();
    let made = kit.worktree("s");
    write(&made.checkout.folder, "a.txt", b"within");
    kit.repository.commit_all(&made.checkout, "work", &author()).expect("works");
    assert_eq!(changed_outside(&before, &look()), Vec::<String>::new());
    kit.write("a.txt", "outside");
    kit.write("mine", "also outside");
    assert_eq!(changed_outside(&before, &look()), ["a.txt", "mine"]);
    git(&kit.project(), &["checkout", "-q", "a.txt"]);
    fs::remove_file(kit.project().join("mine")).expect("removed");
    git(&kit.project(), &["commit", "-q", "--allow-empty", "-m", "x"]);
    assert_eq!(changed_outside(&before, &look()), ["HEAD", "mine"]);
}
