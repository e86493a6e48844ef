//! A repository: finding it, and what can be asked about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::run::{Call, Git};
use crate::text;
use crate::turn::{Held, Turn};

/// A folder with files of a repository: the project's own, or a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkout {
    /// Where its files are.
    pub folder: PathBuf,
    /// Where its index and its HEAD are.
    pub git_dir: PathBuf,
}

/// What a checkout is on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Head {
    /// The branch, without `refs/heads/`; `None` if HEAD is detached.
    pub branch: Option<String>,
    /// The commit; `None` if there is none yet.
    pub commit: Option<String>,
}

/// What somebody is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unfinished {
    /// A merge.
    Merge,
    /// A rebase, or the application of patches.
    Rebase,
    /// A cherry-pick.
    CherryPick,
    /// A revert.
    Revert,
}

impl Unfinished {
    /// The git command whose `--abort` undoes it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::CherryPick => "cherry-pick",
            Self::Revert => "revert",
        }
    }
}

/// A repository with a checkout. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    git: Git,
    pub(crate) project: Checkout,
    pub(crate) common: PathBuf,
    turn: Arc<Turn>,
}

impl Repository {
    /// Finds the repository that `folder` is in; `None` if it is in none.
    ///
    /// # Errors
    /// If git does not trust it, it is bare, or `folder` is not there.
    pub fn discover(git: &Git, folder: &Path) -> Result<Option<Self>> {
        let folder = folder.canonicalize().map_err(Error::reading(format!("opening {}", folder.display())))?;
        let ask = |what: &[&str]| Call::new(git, &folder, ["rev-parse"]).args(what).run();
        let bare = match ask(&["--is-bare-repository", "--is-inside-work-tree"]) {
            Ok(answer) => text::line(&answer.stdout),
            Err(Error::Refused { stderr, .. }) if stderr.contains("not a git repository") => return Ok(None),
            Err(error) => return Err(error),
        };
        if bare.lines().nth(1) != Some("true") {
            // Within .git of an ordinary repository there is no working tree either.
            return if bare.starts_with("true") { Err(Error::Bare { folder }) } else { Ok(None) };
        }
        // One at a time: a name may hold a line end.
        let path = |what: &str| {
            let answer = ask(&[what])?.stdout;
            let path = text::to_path(answer.strip_suffix(b"\n").unwrap_or(&answer));
            folder.join(path).canonicalize().map_err(Error::reading(format!("looking for {what}")))
        };
        let project = Checkout { folder: path("--show-toplevel")?, git_dir: path("--absolute-git-dir")? };
        let common = path("--git-common-dir")?;
        let turn = Turn::of(&common);
        Ok(Some(Self { git: git.clone(), project, common, turn }))
    }

    /// The checkout in which it was found.
    #[must_use]
    pub fn project(&self) -> &Checkout {
        &self.project
    }

    /// The program it is used with.
    #[must_use]
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Where branches and objects are kept, shared by all checkouts.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common
    }

    /// Waits until this process changes nothing else in the repository.
    pub(crate) fn turn(&self) -> Result<Held> {
        // As long as the longest that the one before may take.
        self.turn.take(self.git.deadlines().write)
    }

    /// A call about the repository as a whole.
    pub(crate) fn call<const N: usize>(&self, arguments: [&str; N]) -> Call<'_> {
        // From the top: some commands print names relative to where they are.
        self.call_in(&self.project, arguments)
    }

    /// A call in a checkout.
    pub(crate) fn call_in<'a, const N: usize>(&'a self, checkout: &'a Checkout, arguments: [&str; N]) -> Call<'a> {
        Call::new(&self.git, &checkout.folder, arguments).place(&checkout.git_dir, &checkout.folder)
    }

    /// What `checkout` is on.
    ///
    /// # Errors
    /// If git fails.
    pub fn head(&self, checkout: &Checkout) -> Result<Head> {
        let name = self.call_in(checkout, ["symbolic-ref", "--quiet", "HEAD"]).run_for(&[0, 1])?;
        let branch = text::line(&name.stdout).strip_prefix("refs/heads/").map(str::to_owned);
        let commit = self.call_in(checkout, ["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]).run_for(&[0, 1])?;
        let commit = Some(text::line(&commit.stdout)).filter(|hash| !hash.is_empty());
        Ok(Head { branch, commit })
    }

    /// The full hash of the commit that `name` means: a branch, a tag, a hash, `HEAD~2`.
    ///
    /// # Errors
    /// [`Error::NoSuch`], or [`Error::NoCommit`] if there is no commit at all.
    pub fn commit(&self, name: &str) -> Result<String> {
        match self.try_commit(name)? {
            Some(hash) => Ok(hash),
            None if name == "HEAD" => Err(Error::NoCommit { folder: self.project.folder.clone() }),
            None => Err(Error::NoSuch { name: name.to_owned() }),
        }
    }

    /// The same, `None` if there is none.
    pub(crate) fn try_commit(&self, name: &str) -> Result<Option<String>> {
        check_revision(name)?;
        let call =
            self.call(["rev-parse", "--quiet", "--verify", "--end-of-options"]).arg(format!("{name}^{{commit}}"));
        // 128: a hash that is well-formed and not there.
        let hash = text::line(&call.run_for(&[0, 1, 128])?.stdout);
        Ok(Some(hash).filter(|hash| hash.len() >= 40 && hash.bytes().all(|b| b.is_ascii_hexdigit())))
    }

    /// The commit of a branch; `None` if there is no such branch.
    ///
    /// # Errors
    /// If git fails, or the name is none.
    pub fn branch_commit(&self, branch: &str) -> Result<Option<String>> {
        self.try_commit(&format!("refs/heads/{branch}"))
    }

    /// Whether `ancestor` is `commit`, or in its history.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn contains(&self, commit: &str, ancestor: &str) -> Result<bool> {
        let (commit, ancestor) = (self.commit(commit)?, self.commit(ancestor)?);
        let answer = self.call(["merge-base", "--is-ancestor", &ancestor, &commit]).run_for(&[0, 1])?;
        Ok(answer.code == 0)
    }

    /// What somebody is in the middle of in `checkout`.
    #[must_use]
    pub fn unfinished(&self, checkout: &Checkout) -> Option<Unfinished> {
        let there = |name: &str| checkout.git_dir.join(name).exists();
        if there("rebase-merge") || there("rebase-apply") {
            Some(Unfinished::Rebase)
        } else if there("MERGE_HEAD") {
            Some(Unfinished::Merge)
        } else if there("CHERRY_PICK_HEAD") {
            Some(Unfinished::CherryPick)
        } else if there("REVERT_HEAD") {
            Some(Unfinished::Revert)
        } else {
            None
        }
    }

    /// Refuses when somebody is in the middle of something in `checkout`.
    pub(crate) fn finished(&self, checkout: &Checkout) -> Result<()> {
        match self.unfinished(checkout) {
            None => Ok(()),
            Some(what) => Err(Error::Unfinished { folder: checkout.folder.clone(), what: what.command() }),
        }
    }

    /// Whether the checkout holds submodules; their folders are empty in a new worktree.
    #[must_use]
    pub fn has_submodules(&self, checkout: &Checkout) -> bool {
        checkout.folder.join(".gitmodules").exists()
    }

    /// Whether only part of the files are checked out; new worktrees are the same.
    ///
    /// # Errors
    /// If git fails.
    pub fn is_sparse(&self, checkout: &Checkout) -> Result<bool> {
        let answer =
            self.call_in(checkout, ["config", "--type=bool", "--get", "core.sparseCheckout"]).run_for(&[0, 1])?;
        Ok(text::line(&answer.stdout) == "true")
    }
}

/// Refuses what git would take for an option, or for more than one revision.
pub(crate) fn check_revision(name: &str) -> Result<()> {
    let bad = name.is_empty() || name.starts_with('-') || name.contains(|c: char| c.is_control() || c == ' ');
    if bad { Err(Error::BadName { name: name.to_owned(), what: "revision" }) } else { Ok(()) }
}
