//! Settings, hooks and variables of others do not get in the way.

use std::fs;
use std::process::Command;

use signalbox_git::{DiffOptions, Merge, MergeRequest};

use crate::kit::{Kit, author, git, write};

/// Everything once: worktree, difference, checkpoint, merge, landing.
fn all_of_it(kit: &Kit) {
    let tree = kit.worktree("s");
    let folder = &tree.checkout.folder;
    assert!(kit.repository.is_clean(&tree.checkout).expect("works"));
    write(folder, "new file", b"1\r\n2\n");
    fs::rename(folder.join("a.txt"), folder.join("moved.txt")).expect("renamed");
    let diff = kit.repository.diff(&tree.checkout, &tree.base, &DiffOptions::default()).expect("a difference");
    let names: Vec<_> = diff.files.iter().map(|f| (f.path.as_str(), f.old_path.as_deref())).collect();
    assert_eq!(names, [("moved.txt", Some("a.txt")), ("new file", None)]);
    let patch = String::from_utf8_lossy(&diff.files[1].patch).into_owned();
    assert!(patch.starts_with("diff --git a/new file b/new file\n"), "{patch}");
    let done = kit.repository.commit_all(&tree.checkout, "# not a comment", &author()).expect("works").expect("one");
    assert_eq!((done.files, done.subject.as_str()), (2, "# not a comment"));
    let request = MergeRequest {
        into: "main".into(),
        onto: None,
        from: tree.branch.clone(),
        squash: false,
        message: "land".into(),
        author: author(),
    };
    let Merge::Merged { base, commit, .. } = kit.repository.merge(&request).expect("works") else { panic!("merges") };
    kit.repository.land("main", &base, &commit).expect("landed");
    assert_eq!(kit.repository.log("main", 1).expect("works")[0].hash, commit);
    assert!(kit.repository.is_clean(kit.repository.project()).expect("works"));
}

#[test]
fn hostile_settings() {
    let kit = Kit::new();
    let marker = kit.dir.path().join("ran");
    let program = format!("touch {} && false", marker.display());
    let settings = [
        ("core.fsmonitor", program.as_str()),
        ("commit.gpgsign", "true"),
        ("tag.gpgsign", "true"),
        ("gpg.program", "false"),
        ("user.useConfigOnly", "true"),
        ("merge.conflictStyle", "zdiff3"),
        ("merge.ff", "false"),
        ("merge.verifySignatures", "true"),
        ("merge.autoStash", "true"),
        ("merge.renames", "false"),
        ("core.safecrlf", "true"),
        ("core.autocrlf", "input"),
        ("core.quotepath", "true"),
        ("core.splitIndex", "true"),
        ("core.untrackedCache", "true"),
        ("core.pager", "false"),
        ("core.editor", "false"),
        ("core.abbrev", "5"),
        ("core.commentChar", "#"),
        ("color.ui", "always"),
        ("diff.external", &program),
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.renames", "false"),
        ("diff.context", "0"),
        ("diff.ignoreSubmodules", "all"),
        ("status.short", "true"),
        ("status.branch", "true"),
        ("status.showUntrackedFiles", "no"),
        ("status.relativePaths", "true"),
        ("status.showStash", "true"),
        ("log.showSignature", "true"),
        ("log.decorate", "full"),
        ("checkout.defaultRemote", "nowhere"),
        ("branch.autoSetupMerge", "always"),
        ("worktree.guessRemote", "true"),
        ("i18n.commitEncoding", "ISO-8859-1"),
        ("alias.status", "!false"),
        ("alias.merge", "!false"),
        ("advice.detachedHead", "true"),
        ("gc.auto", "1"),
        ("index.threads", "true"),
        ("submodule.recurse", "true"),
    ];
    for (name, value) in settings {
        git(&kit.project(), &["config", name, value]);
    }
    all_of_it(&kit);
    assert!(!marker.exists(), "a program of the settings was run");
}

#[cfg(unix)]
#[test]
fn hooks_do_not_run() {
    use std::os::unix::fs::PermissionsExt;
    let kit = Kit::new();
    let marker = kit.dir.path().join("ran");
    let hooks = kit.dir.path().join("hooks");
    let names = [
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-merge",
        "pre-merge-commit",
        "reference-transaction",
        "post-index-change",
        "update",
    ];
    for name in names {
        for folder in [&hooks, &kit.project().join(".git/hooks")] {
            write(folder, name, format!("#!/bin/sh\ntouch {}\nexit 1\n", marker.display()).as_bytes());
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).expect("set");
        }
    }
    all_of_it(&kit);
    git(&kit.project(), &["config", "core.hooksPath", &hooks.to_string_lossy()]);
    let tree = kit.worktree("t");
    write(&tree.checkout.folder, "x", b"x");
    kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works").expect("one");
    assert!(!marker.exists(), "a hook was run");
}

/// In a process of its own: variables belong to a whole process.
#[test]
fn variables_of_the_host_do_not_leak() {
    const HERE: &str = "SIGNALBOX_GIT_TEST_IN_CHILD";
    if std::env::var_os(HERE).is_some() {
        return all_of_it(&Kit::new());
    }
    let dir = tempfile::tempdir().expect("a folder");
    // The child's own calls of git, which set the scene, are shielded by the hostile values being wrong only for ours:
    // so they are set through a wrapper that is first on the PATH for them alone.
    let wrapper = dir.path().join("git");
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v git"]).output().expect("sh").stdout)
        .expect("text");
    let hostile = [
        "GIT_DIR=/nowhere",
        "GIT_WORK_TREE=/nowhere",
        "GIT_INDEX_FILE=/nowhere/index",
        "GIT_OBJECT_DIRECTORY=/nowhere",
        "GIT_NAMESPACE=x",
        "GIT_CONFIG_COUNT=1",
        "GIT_CONFIG_KEY_0=core.bare",
        "GIT_CONFIG_VALUE_0=true",
        "GIT_PREFIX=dir/",
        "GIT_LITERAL_PATHSPECS=1",
        "GIT_EXTERNAL_DIFF=false",
        "GIT_DEFAULT_HASH=sha256",
        "GIT_CEILING_DIRECTORIES=/",
        "GIT_TRACE=1",
        "GIT_COMMON_DIR=/nowhere",
        "GIT_DIFF_OPTS=--unified=0",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES=/nowhere",
    ];
    // The scene is set by calls that carry `-c user.name`; they get a clean environment.
    let unset: String = hostile.iter().map(|v| format!("-u {} ", v.split_once('=').expect("a value").0)).collect();
    let text = format!("#!/bin/sh\nif [ \"$2\" = user.name=Person ]; then exec env {unset} {real}\nfi\nexec {real}\n");
    let text = text.replace(&format!("{real}\n"), &format!("{} \"$@\"\n", real.trim()));
    write(dir.path(), "git", text.as_bytes());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("set");
    }
    let path = std::env::join_paths(
        std::iter::once(dir.path().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut child = Command::new(std::env::current_exe().expect("a name"));
    child.args(["--exact", "hostile::variables_of_the_host_do_not_leak", "--nocapture"]).env(HERE, "1");
    child.env("PATH", path.expect("a path")).envs(hostile.iter().filter_map(|v| v.split_once('=')));
    let output = child.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
