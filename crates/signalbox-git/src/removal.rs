//! Worktrees that are left over: listed with what they hold, and removed without losing it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::repository::{Repository, Unfinished};
use crate::worktree::{Listed, remove_folder};

/// A worktree and what would be lost with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeInfo {
    /// Where it is.
    pub folder: PathBuf,
    /// Its branch; `None` if its HEAD is detached.
    pub branch: Option<String>,
    /// The commit it is on.
    pub head: Option<String>,
    /// The commit it started from, if Signalbox made it.
    pub base: Option<String>,
    /// Its folder is gone.
    pub missing: bool,
    /// Files with work that is in no commit; `None` if git could not tell.
    pub dirty: Option<Vec<String>>,
    /// Commits that are not in the branch that was asked about, and would change something there.
    pub unmerged: u64,
    /// What somebody is in the middle of there.
    pub unfinished: Option<Unfinished>,
}

/// How a worktree is to be removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Removal<'a> {
    /// Its branch goes too.
    pub delete_branch: bool,
    /// The branch that should hold its commits: with `delete_branch`, those that are not there are refused.
    pub merged_into: Option<&'a str>,
    /// Why its work may be lost, in a person's words. Without it nothing is lost.
    pub force: Option<&'a str>,
}

impl Repository {
    /// Worktrees whose branch begins with `prefix` (empty: all but the main one), with what they hold that is not in `into`.
    ///
    /// # Errors
    /// If git fails as a whole; one broken worktree only lacks its details.
    pub fn worktrees(&self, prefix: &str, into: &str) -> Result<Vec<WorktreeInfo>> {
        let ours = |w: &Listed| !w.main && w.branch.as_deref().unwrap_or_default().starts_with(prefix);
        let into = self.commit(into)?;
        Ok(self.listed()?.into_iter().filter(ours).map(|there| self.info(&there, &into)).collect())
    }

    fn info(&self, there: &Listed, into: &str) -> WorktreeInfo {
        let checkout = there.checkout();
        WorktreeInfo {
            dirty: if there.missing { Some(Vec::new()) } else { self.status(&checkout).ok().map(|s| s.files()) },
            unmerged: there.head.as_deref().map_or(0, |head| self.unmerged(head, into).unwrap_or(u64::MAX)),
            unfinished: self.unfinished(&checkout),
            folder: there.folder.clone(),
            branch: there.branch.clone(),
            head: there.head.clone(),
            base: there.base(),
            missing: there.missing,
        }
    }

    /// Commits of `tip` that are not in `into`; none if a merge would change nothing there, as after a squash.
    pub(crate) fn unmerged(&self, tip: &str, into: &str) -> Result<u64> {
        let count = self.call(["rev-list", "--count", tip, &format!("^{into}"), "--"]);
        let count = count.deadline(self.git().deadlines().scan).run()?;
        let count: u64 = crate::text::line(&count.stdout).parse().unwrap_or(u64::MAX);
        if count == 0 || self.git().version() < (2, 38) {
            return Ok(count);
        }
        let merged = self.merged_tree(into, tip)?;
        Ok(if merged.ok().is_some_and(|tree| self.tree_of(into).is_ok_and(|t| t == tree)) { 0 } else { count })
    }

    /// Removes the worktree in `folder`. Fine if it is gone already.
    ///
    /// # Errors
    /// Without a reason: [`Error::Dirty`] if it holds work that is in no commit, [`Error::Unmerged`] if commits would be on
    /// no branch any more, [`Error::Unfinished`] in the middle of a merge or rebase.
    pub fn remove_worktree(&self, folder: &Path, removal: Removal<'_>) -> Result<()> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let force = removal.force.map(str::trim).filter(|reason| !reason.is_empty());
        let _turn = self.turn()?;
        let Some(there) = self.listed()?.into_iter().find(|w| w.folder == folder) else {
            return if folder.exists() { Err(Error::FolderTaken { folder }) } else { Ok(()) };
        };
        if there.main {
            return Err(Error::FolderTaken { folder });
        }
        let checkout = there.checkout();
        match force {
            Some(reason) => tracing::info!(folder = %folder.display(), reason, "a worktree is removed by force"),
            None => {
                if !there.missing {
                    self.finished(&checkout)?;
                    let files = self.status(&checkout)?.files();
                    if !files.is_empty() {
                        return Err(Error::Dirty { folder, files });
                    }
                }
                self.nothing_lost(&there, removal)?;
            }
        }
        // Submodules make git refuse; what they hold was looked at above. Links within are not followed by this.
        self.forget(&there)?;
        remove_folder(&folder)?;
        match (&there.branch, &there.head) {
            (Some(branch), Some(head)) if removal.delete_branch => self.delete_branch_in_turn(branch, head),
            _ => Ok(()),
        }
    }

    fn nothing_lost(&self, there: &Listed, removal: Removal<'_>) -> Result<()> {
        let Some(head) = &there.head else { return Ok(()) };
        let (name, commits) = match (&there.branch, removal.delete_branch) {
            (Some(_), false) => return Ok(()),
            (Some(branch), true) => {
                let into = self.commit(removal.merged_into.unwrap_or("HEAD"))?;
                (branch.clone(), self.unmerged(head, &into)?)
            }
            // On no branch: whatever no branch or tag has is gone with the worktree.
            (None, _) => {
                let call = self.call(["rev-list", "--count", head, "--not", "--branches", "--tags", "--remotes"]);
                let count = call.deadline(self.git().deadlines().scan).run()?;
                let count = crate::text::line(&count.stdout).parse().unwrap_or(u64::MAX);
                (there.folder.display().to_string(), count)
            }
        };
        if commits == 0 { Ok(()) } else { Err(Error::Unmerged { name, commits }) }
    }

    /// Lets git forget worktrees whose folders are gone and whose branch begins with `prefix`. Branches stay. Says which.
    ///
    /// # Errors
    /// If git fails.
    pub fn prune_worktrees(&self, prefix: &str) -> Result<Vec<PathBuf>> {
        let _turn = self.turn()?;
        let gone = |w: &Listed| !w.main && w.missing && w.branch.as_deref().is_some_and(|b| b.starts_with(prefix));
        let mut forgotten = Vec::new();
        for there in self.listed()?.into_iter().filter(gone) {
            self.forget(&there)?;
            forgotten.push(there.folder);
        }
        Ok(forgotten)
    }
}
