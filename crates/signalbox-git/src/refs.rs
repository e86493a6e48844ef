//! Branches, tags, history and old versions of files.

use crate::error::{Error, Result};
use crate::repository::{Repository, check_revision};
use crate::text;

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its full hash.
    pub hash: String,
    /// The commits before it.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Its message's first line.
    pub subject: String,
}

impl Repository {
    /// The newest `limit` commits of `range`: a commit, or `from..to`.
    ///
    /// # Errors
    /// If there is no such commit.
    pub fn log(&self, range: &str, limit: u32) -> Result<Vec<LogEntry>> {
        check_revision(range)?;
        let call =
            self.call(["log", "-z", "--no-show-signature", "--no-notes", "--format=%H%x1f%P%x1f%an%x1f%at%x1f%s"]);
        let call = call.arg(format!("--max-count={limit}")).args(["--end-of-options", range, "--"]);
        let answer = call.deadline(self.git().deadlines().scan).run().map_err(|error| match error {
            Error::Refused { stderr, .. } if stderr.contains("bad revision") || stderr.contains("unknown revision") => {
                Error::NoSuch { name: range.to_owned() }
            }
            other => other,
        })?;
        text::zero_list(&answer.stdout)
            .map(|record| {
                let record = String::from_utf8_lossy(record);
                let mut parts = record.splitn(5, '\u{1f}');
                let mut next = || parts.next().unwrap_or_default().to_owned();
                let (hash, parents, author, at, subject) = (next(), next(), next(), next(), next());
                let at = at.parse::<i64>().map_err(|_| Error::Unreadable { command: "log".into(), what: at })?;
                let parents = parents.split_whitespace().map(str::to_owned).collect();
                Ok(LogEntry { hash, parents, author, at: at.saturating_mul(1000), subject })
            })
            .collect()
    }

    /// The content of `path` in `commit`; `None` if it is no file there.
    ///
    /// # Errors
    /// If there is no such commit, or the file is larger than `limit` bytes.
    pub fn show_file(&self, commit: &str, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let commit = self.commit(commit)?;
        let name = format!("{commit}:{path}");
        let kind = self.call(["cat-file", "-t", &name]).run_for(&[0, 128])?;
        if kind.code != 0 || text::line(&kind.stdout) != "blob" {
            return Ok(None);
        }
        Ok(Some(self.call(["cat-file", "blob", &name]).limit(limit).run()?.stdout))
    }

    /// Makes a branch at `commit`. Fine if it is there already and at that commit.
    ///
    /// # Errors
    /// [`Error::Taken`] if it is elsewhere, [`Error::NameClash`] if another branch is in its way.
    pub fn create_branch(&self, branch: &str, commit: &str) -> Result<()> {
        self.check_branch(branch)?;
        let commit = self.commit(commit)?;
        let _turn = self.turn()?;
        match self.branch_commit(branch)? {
            Some(there) if there == commit => return Ok(()),
            Some(there) => return Err(Error::Taken { name: branch.to_owned(), why: format!("is at {there}") }),
            None => {}
        }
        self.no_clash(branch)?;
        self.move_ref(&format!("refs/heads/{branch}"), &commit, None, "branch: created by Signalbox")
    }

    /// Lets `branch` be at what `checkout` is on, and the checkout be on that branch: for the worktree of an agent that went on
    /// under another name, or on none. No file changes.
    ///
    /// # Errors
    /// [`Error::Taken`] if the branch holds something that the checkout's commit does not, [`Error::BranchInUse`] if it is
    /// checked out elsewhere; [`Error::NoCommit`].
    pub fn follow(&self, branch: &str, checkout: &crate::Checkout) -> Result<()> {
        let head = self.head(checkout)?;
        if head.branch.as_deref() == Some(branch) {
            return Ok(());
        }
        let commit = head.commit.ok_or_else(|| Error::NoCommit { folder: checkout.folder.clone() })?;
        match self.branch_commit(branch)? {
            None => self.create_branch(branch, &commit)?,
            Some(old) => {
                if !self.contains(&commit, &old)? {
                    let why = format!("is at {old}, which is not in {commit}");
                    return Err(Error::Taken { name: branch.to_owned(), why });
                }
                let _turn = self.turn()?;
                if let Some(there) = self.listed()?.into_iter().find(|w| w.branch.as_deref() == Some(branch)) {
                    return Err(Error::BranchInUse { branch: branch.to_owned(), folder: there.folder });
                }
                self.move_ref(&format!("refs/heads/{branch}"), &commit, Some(&old), "branch: followed by Signalbox")?;
            }
        }
        let name = format!("refs/heads/{branch}");
        self.call_in(checkout, ["symbolic-ref", "-m", "branch: followed by Signalbox", "HEAD", &name])
            .writes()
            .run()?;
        Ok(())
    }

    /// Deletes a branch that is still at `expected`.
    ///
    /// # Errors
    /// [`Error::Moved`] if it is not, [`Error::BranchInUse`] if it is checked out somewhere.
    pub fn delete_branch(&self, branch: &str, expected: &str) -> Result<()> {
        let _turn = self.turn()?;
        self.delete_branch_in_turn(branch, expected)
    }

    pub(crate) fn delete_branch_in_turn(&self, branch: &str, expected: &str) -> Result<()> {
        self.check_branch(branch)?;
        let expected = self.commit(expected)?;
        if let Some(there) = self.listed()?.into_iter().find(|w| w.branch.as_deref() == Some(branch)) {
            return Err(Error::BranchInUse { branch: branch.to_owned(), folder: there.folder });
        }
        let name = format!("refs/heads/{branch}");
        match self.branch_commit(branch)? {
            None => return Ok(()),
            Some(found) if found != expected => {
                return Err(Error::Moved { branch: branch.to_owned(), expected, found });
            }
            Some(_) => {}
        }
        self.call(["update-ref", "-d", &name, &expected]).writes().run().map(drop)
    }

    /// Puts a tag on `commit`; with a message it is an annotated one. Fine if it is there already and on that commit.
    ///
    /// # Errors
    /// [`Error::Taken`] if a tag of that name is on another commit: a tag is never moved.
    pub fn tag(&self, name: &str, commit: &str, message: Option<(&str, &crate::Author)>) -> Result<()> {
        let full = format!("refs/tags/{name}");
        self.check_name(&full, "tag")?;
        let commit = self.commit(commit)?;
        let _turn = self.turn()?;
        match self.try_commit(&full)? {
            Some(there) if there == commit => return Ok(()),
            Some(there) => return Err(Error::Taken { name: name.to_owned(), why: format!("is on {there}") }),
            None => {}
        }
        let call = self.call(["tag", "--no-sign"]).writes();
        let call = match message {
            Some((message, author)) => {
                author.variables(call).args(["--annotate", "--cleanup=verbatim", "--file=-"]).input(message.into())
            }
            None => call,
        };
        call.args([name, &commit]).run().map(drop)
    }

    /// Moves a ref from `expected` (`None`: it must not be there) to `commit`, or refuses.
    pub(crate) fn move_ref(&self, name: &str, commit: &str, expected: Option<&str>, why: &str) -> Result<()> {
        let zeros = "0".repeat(commit.len());
        let call = self.call(["update-ref", "--create-reflog", "-m", why, "--", name, commit]).writes();
        match call.arg(expected.unwrap_or(&zeros)).run() {
            Ok(_) => Ok(()),
            // Whatever the words are: if it is no longer where it was expected, somebody else was first.
            Err(Error::Refused { stderr, command, code, changed }) => {
                let found = self.try_commit(name)?;
                if found.as_deref() == expected {
                    return Err(Error::Refused { command, code, changed, stderr });
                }
                let branch = name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
                let expected = expected.unwrap_or_default().to_owned();
                Err(Error::Moved { branch, expected, found: found.unwrap_or_default() })
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses a name that git does not take for a branch.
    pub(crate) fn check_branch(&self, branch: &str) -> Result<()> {
        if branch.starts_with('-') || branch == "HEAD" {
            return Err(Error::BadName { name: branch.to_owned(), what: "name of a branch" });
        }
        self.check_name(&format!("refs/heads/{branch}"), "name of a branch")
    }

    fn check_name(&self, full: &str, what: &'static str) -> Result<()> {
        let bad = || Error::BadName { name: full.rsplit_once("refs/").map_or(full, |(_, n)| n).to_owned(), what };
        if full.contains('\0') {
            return Err(bad());
        }
        if self.call(["check-ref-format", full]).run_for(&[0, 1])?.code == 0 { Ok(()) } else { Err(bad()) }
    }

    /// Refuses if a branch is where a folder for `branch` would have to be, or the other way round.
    pub(crate) fn no_clash(&self, branch: &str) -> Result<()> {
        let clash = |other: String| Error::NameClash { branch: branch.to_owned(), other };
        for (at, _) in branch.match_indices('/') {
            let above = branch.get(..at).unwrap_or_default();
            if self.branch_commit(above)?.is_some() {
                return Err(clash(above.to_owned()));
            }
        }
        let below = format!("refs/heads/{branch}/");
        let answer = self.call(["for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", &below]).run()?;
        match text::line(&answer.stdout) {
            none if none.is_empty() => Ok(()),
            other => Err(clash(other)),
        }
    }
}
