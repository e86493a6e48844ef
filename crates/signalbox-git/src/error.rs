//! What can go wrong, whether anything was changed by then, and what to do.

use std::path::PathBuf;
use std::time::Duration;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether a failed operation left something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// All is as it was.
    No,
    /// It may have been done in part or in full; calling it again settles it.
    Maybe,
}

/// Why an operation failed. [`Error::advice`] says what to do, [`Error::changed`] whether anything was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program is not there.
    #[error("git was not found ({program})")]
    Missing {
        /// What was looked for.
        program: String,
    },
    /// The program is too old.
    #[error("git {found} is too old to {what}: it takes {needed}")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: String,
        /// What for.
        what: &'static str,
    },
    /// The folder is in no repository.
    #[error("{} is in no git repository", folder.display())]
    NotARepository {
        /// Which folder.
        folder: PathBuf,
    },
    /// The repository belongs to somebody else, and git refuses to touch it.
    #[error("git does not trust {}: it belongs to another user", folder.display())]
    Untrusted {
        /// Which folder.
        folder: PathBuf,
        /// What git said.
        stderr: String,
    },
    /// The repository has no working tree.
    #[error("{} is a bare repository", folder.display())]
    Bare {
        /// Which folder.
        folder: PathBuf,
    },
    /// The repository has no commit yet.
    #[error("{} has no commit yet", folder.display())]
    NoCommit {
        /// Which folder.
        folder: PathBuf,
    },
    /// Somebody is in the middle of something there.
    #[error("{} is in the middle of a {what}", folder.display())]
    Unfinished {
        /// Which folder.
        folder: PathBuf,
        /// Of what: `merge`, `rebase`, `cherry-pick`, `revert`.
        what: &'static str,
    },
    /// There is no such commit, branch or tag.
    #[error("there is no commit {name:?}")]
    NoSuch {
        /// What was asked for.
        name: String,
    },
    /// A name that git does not take.
    #[error("{name:?} is no valid {what}")]
    BadName {
        /// The name.
        name: String,
        /// Of what.
        what: &'static str,
    },
    /// A branch or tag of that name exists and is something else.
    #[error("{name} exists already and {why}")]
    Taken {
        /// The branch or tag.
        name: String,
        /// In which way it is something else.
        why: String,
    },
    /// Git keeps branches as files in folders: `a` and `a/b` cannot both be.
    #[error("the branch {branch} cannot be made while {other} exists")]
    NameClash {
        /// The new one.
        branch: String,
        /// The one in its way.
        other: String,
    },
    /// The branch is checked out in another folder.
    #[error("the branch {branch} is checked out in {}", folder.display())]
    BranchInUse {
        /// Which branch.
        branch: String,
        /// Where.
        folder: PathBuf,
    },
    /// Something else is in the folder that a worktree was to go to.
    #[error("{} exists and is no worktree of this repository", folder.display())]
    FolderTaken {
        /// Which folder.
        folder: PathBuf,
    },
    /// A branch is not where it was expected: somebody else was first.
    #[error("{branch} is at {found}, not at {expected}")]
    Moved {
        /// Which branch.
        branch: String,
        /// Where it should have been.
        expected: String,
        /// Where it is; empty if it is gone.
        found: String,
    },
    /// A checkout holds changes of its own to files that would have been written.
    #[error("{} holds changes of its own to {}", folder.display(), listed(files))]
    DirtyCheckout {
        /// Which checkout.
        folder: PathBuf,
        /// Those files.
        files: Vec<String>,
    },
    /// A worktree holds work that is in no commit.
    #[error("{} holds work that is in no commit: {}", folder.display(), listed(files))]
    Dirty {
        /// Which worktree.
        folder: PathBuf,
        /// The files.
        files: Vec<String>,
    },
    /// Commits would be on no branch any more.
    #[error("{commits} commits of {name} are not merged")]
    Unmerged {
        /// The branch, or the worktree's folder.
        name: String,
        /// How many.
        commits: u64,
    },
    /// Somebody holds git's lock, or died with it.
    #[error("{} is locked", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// What git said.
        stderr: String,
    },
    /// A call took too long and was ended.
    #[error("git {command} was ended: it took longer than {} s", after.as_secs_f32())]
    Deadline {
        /// Which command.
        command: String,
        /// How long it was given.
        after: Duration,
        /// Whether it could have changed something.
        changed: Changed,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// More came out than is kept.
    #[error("git {command} gave more than {limit} bytes")]
    TooLarge {
        /// Which command.
        command: String,
        /// What is kept.
        limit: usize,
    },
    /// Git refused.
    #[error("git {command} failed ({code}): {stderr}")]
    Refused {
        /// Which command.
        command: String,
        /// Its exit code; -1 if a signal ended it.
        code: i32,
        /// Whether it could have changed something.
        changed: Changed,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// Git's answer could not be read.
    #[error("git {command} gave an answer that cannot be read: {what}")]
    Unreadable {
        /// Which command.
        command: String,
        /// What is wrong with it.
        what: String,
    },
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
        /// Whether something could have been changed.
        changed: Changed,
    },
}

/// At most five names, and how many more there are.
fn listed(files: &[String]) -> String {
    let shown: Vec<&str> = files.iter().take(5).map(String::as_str).collect();
    match files.len() {
        0..=5 => shown.join(", "),
        n => format!("{} and {} more", shown.join(", "), n - 5),
    }
}

impl Error {
    /// Whether the failed operation may have changed something.
    #[must_use]
    pub fn changed(&self) -> Changed {
        match self {
            Self::Deadline { changed, .. } | Self::Refused { changed, .. } | Self::Io { changed, .. } => *changed,
            _ => Changed::No,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Missing { .. } => "Install git, or put it on the PATH.".into(),
            Self::TooOld { needed, .. } => format!("Install git {needed} or newer."),
            Self::NotARepository { .. } => "Run `git init` there and make a first commit.".into(),
            Self::Untrusted { folder, .. } => format!(
                "If the folder is yours to trust, run `git config --global --add safe.directory '{}'`.",
                folder.display()
            ),
            Self::Bare { .. } => "Choose a folder with a checkout of it.".into(),
            Self::NoCommit { .. } => "Make a first commit: a worktree starts from one.".into(),
            Self::Unfinished { what, .. } => format!("Finish it, or undo it with `git {what} --abort`."),
            Self::NoSuch { .. } | Self::BadName { .. } => "Correct the name.".into(),
            Self::Taken { .. } => "Rename or delete it, or choose another name.".into(),
            Self::NameClash { other, .. } => format!("Rename {other} (`git branch -m`)."),
            Self::BranchInUse { folder, .. } => {
                format!("Finish the work in {}, or remove that worktree.", folder.display())
            }
            Self::FolderTaken { folder } => format!("Move {} out of the way.", folder.display()),
            Self::Moved { .. } => "Merge again, onto where the branch is now.".into(),
            Self::DirtyCheckout { .. } => "Commit or stash them, then land again. Nothing was overwritten.".into(),
            Self::Dirty { .. } => "Commit or discard it, or remove the worktree with a reason.".into(),
            Self::Unmerged { .. } => "Merge them, keep the branch, or say why they may go.".into(),
            Self::Locked { file, .. } => {
                format!("Wait for the other git program; if none runs, delete {}.", file.display())
            }
            Self::Deadline { .. } => "Try again; a slow disk or a program that git calls may be the cause.".into(),
            Self::TooLarge { .. } => "Ignore generated files (.gitignore), or look at fewer of them.".into(),
            Self::Refused { .. } | Self::Unreadable { .. } => "Look at what git says.".into(),
            Self::Io { .. } => "Look at the folder's rights and at free disk space.".into(),
        }
    }

    /// Git's own words, if there are any.
    #[must_use]
    pub fn stderr(&self) -> Option<&str> {
        match self {
            Self::Untrusted { stderr, .. }
            | Self::Locked { stderr, .. }
            | Self::Deadline { stderr, .. }
            | Self::Refused { stderr, .. } => Some(stderr),
            _ => None,
        }
    }

    /// For `map_err`: the system refused something that changes nothing.
    pub(crate) fn reading(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source, changed: Changed::No }
    }

    /// For `map_err`: the system refused something in the middle of a change.
    pub(crate) fn writing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source, changed: Changed::Maybe }
    }
}
