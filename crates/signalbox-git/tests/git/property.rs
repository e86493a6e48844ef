//! Whatever happens to the files, the difference turns the base into what is there.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use signalbox_git::DiffOptions;

use crate::kit::{Kit, author, git, write};

#[derive(Debug, Clone)]
enum Edit {
    Write(usize, Vec<u8>),
    Append(usize, u8),
    Delete(usize),
    Rename(usize, usize),
    Link(usize),
    Commit,
    Checkpoint,
    Stage,
}

const NAMES: [&str; 8] = ["a.txt", "dir/b.txt", "new", "dir", "sp ace/x", "line\nend", "tab\t\"q\"", "ü/deep/er"];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let name = 0..NAMES.len();
    let bytes = prop_oneof![
        proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), b'a'..b'e'], 0..60),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n".to_vec()),
    ];
    let edit = prop_oneof![
        4 => (name.clone(), bytes).prop_map(|(n, b)| Edit::Write(n, b)),
        2 => (name.clone(), any::<u8>()).prop_map(|(n, b)| Edit::Append(n, b)),
        2 => name.clone().prop_map(Edit::Delete),
        2 => (name.clone(), name.clone()).prop_map(|(a, b)| Edit::Rename(a, b)),
        1 => name.prop_map(Edit::Link),
        1 => Just(Edit::Commit),
        1 => Just(Edit::Checkpoint),
        1 => Just(Edit::Stage),
    ];
    proptest::collection::vec(edit, 1..12)
}

fn clear(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// Makes room for `name`: files in the place of its folders go.
fn room(folder: &Path, name: &str) {
    let mut above = folder.to_owned();
    let parts: Vec<_> = Path::new(name).components().collect();
    for part in &parts[..parts.len() - 1] {
        above.push(part);
        if !above.is_dir() || above.is_symlink() {
            clear(&above);
            fs::create_dir(&above).expect("made");
        }
    }
    clear(&folder.join(name));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_difference_applied_to_the_base_is_the_tree(edits in edits()) {
        let kit = Kit::new();
        let tree = kit.worktree("s");
        let folder = &tree.checkout.folder;
        let mut watch = kit.repository.watch(&tree.checkout, &tree.base).expect("watches");
        let options = DiffOptions { binary: true, ..DiffOptions::default() };
        let mut known = watch.diff(&options).expect("a difference");
        for edit in edits {
            match edit {
                Edit::Write(n, bytes) => { room(folder, NAMES[n]); write(folder, NAMES[n], &bytes); }
                Edit::Append(n, byte) => {
                    let path = folder.join(NAMES[n]);
                    if path.is_file() && !path.is_symlink() {
                        let mut bytes = fs::read(&path).expect("read");
                        bytes.push(byte);
                        fs::write(&path, bytes).expect("written");
                    }
                }
                Edit::Delete(n) => clear(&folder.join(NAMES[n])),
                Edit::Rename(a, b) if a != b => {
                    let from = folder.join(NAMES[a]);
                    if from.is_file() {
                        let aside = kit.dir.path().join("aside");
                        fs::rename(from, &aside).expect("renamed");
                        room(folder, NAMES[b]);
                        fs::rename(aside, folder.join(NAMES[b])).expect("renamed");
                    }
                }
                Edit::Rename(..) => {}
                #[cfg(unix)]
                Edit::Link(n) => { room(folder, NAMES[n]); std::os::unix::fs::symlink("target", folder.join(NAMES[n])).expect("made"); }
                #[cfg(not(unix))]
                Edit::Link(_) => {}
                Edit::Commit => { git(folder, &["add", "-A"]); git(folder, &["commit", "-qm", "x", "--allow-empty"]); }
                Edit::Checkpoint => { kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works"); }
                Edit::Stage => { git(folder, &["add", "-A"]); }
            }
            // Told step by step, one knows the same as who looks at the end.
            let now = watch.diff(&options).expect("a difference");
            for change in now.since(&known) {
                known.files.retain(|f| f.path != change.path);
                if change.status != signalbox_model::FileStatus::Unchanged {
                    known.files.push(change);
                }
            }
            known.files.sort_by(|a, b| a.path.cmp(&b.path));
            let mut sorted = now.files;
            sorted.sort_by(|a, b| a.path.cmp(&b.path));
            prop_assert_eq!(&known.files, &sorted);
        }
        let diff = watch.diff(&options).expect("a difference");
        let patch: Vec<u8> = diff.files.iter().flat_map(|f| f.patch.clone()).collect();
        let applied = kit.repository.check_out(&tree.base, &kit.dir.path().join("applied"), &[]).expect("checked out");
        fs::write(kit.dir.path().join("patch"), &patch).expect("written");
        if !patch.is_empty() {
            git(&applied.folder, &["apply", "--index", "--whitespace=nowarn", &kit.dir.path().join("patch").to_string_lossy()]);
        }
        prop_assert_eq!(git(&applied.folder, &["write-tree"]), diff.tree.clone());
        git(folder, &["add", "-A"]);
        prop_assert_eq!(git(folder, &["write-tree"]), diff.tree);
    }
}
