//! A repository in a folder that goes away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use signalbox_git::{Author, Carry, Git, Repository, Worktree, WorktreeRequest, branch_name, folder_name};
use tempfile::TempDir;

pub(crate) struct Kit {
    pub(crate) dir: TempDir,
    pub(crate) repository: Repository,
}

/// Runs git as a person or an agent would, and gives what it prints.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let (ok, text) = try_git(folder, arguments);
    assert!(ok, "git {arguments:?} in {}: {text}", folder.display());
    text
}

pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .args(["-c", "user.name=Person", "-c", "user.email=person@example.com", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git runs");
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    (output.status.success(), text.trim_end().to_owned())
}

pub(crate) fn author() -> Author {
    Author { name: "Signalbox".into(), email: "signalbox@example.com".into(), at: Some(1_700_000_000_000) }
}

impl Kit {
    /// A project on `main` with `a.txt`, `dir/b.txt` and a `.gitignore`.
    pub(crate) fn new() -> Self {
        let kit = Self::empty();
        kit.write(".gitignore", "node_modules/\n.env*\nbuild/\n");
        kit.write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        kit.write("dir/b.txt", "b\n");
        git(&kit.project(), &["add", "-A"]);
        git(&kit.project(), &["commit", "-qm", "first"]);
        kit
    }

    /// A project without a commit.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let project = dir.path().join("project");
        fs::create_dir(&project).expect("a folder");
        git(&project, &["init", "-q", "-b", "main"]);
        let repository = Repository::discover(&Git::find().expect("git"), &project).expect("works").expect("there");
        Self { dir, repository }
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.repository.project().folder.clone()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.project(), path, text.as_bytes());
    }

    pub(crate) fn commit(&self, path: &str, text: &str) -> String {
        self.write(path, text);
        git(&self.project(), &["add", "-A"]);
        git(&self.project(), &["commit", "-qm", path]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        git(&self.project(), &["rev-parse", "HEAD"])
    }

    pub(crate) fn request(&self, step: &str) -> WorktreeRequest {
        WorktreeRequest {
            folder: self.dir.path().join("worktrees").join(folder_name("r_1", step)),
            branch: branch_name("r_1", step),
            base: self.head(),
            carry: Vec::new(),
        }
    }

    pub(crate) fn worktree(&self, step: &str) -> Worktree {
        self.repository.add_worktree(&self.request(step)).expect("a worktree")
    }

    pub(crate) fn carrying(&self, step: &str, carry: Vec<Carry>) -> Worktree {
        self.repository.add_worktree(&WorktreeRequest { carry, ..self.request(step) }).expect("a worktree")
    }
}

pub(crate) fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
    fs::write(file, bytes).expect("written");
}
