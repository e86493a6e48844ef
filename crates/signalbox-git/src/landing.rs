//! Landing: a branch into the branch it came from.
//!
//! A merge is computed without touching any checkout; its commit waits under `refs/signalbox/merge` while it is verified; and
//! it lands only if the branch is still where the merge was computed from. Of two that land at once exactly one does, and
//! the other merges again onto what is there then. Verifying takes minutes, so this is not a lock: who wants an order among
//! several keeps a queue for each base branch.

use std::collections::HashMap;

use crate::commit::Author;
use crate::error::{Changed, Error, Result};
use crate::repository::{Checkout, Repository};
use crate::text;
use crate::worktree::Listed;

/// What to merge.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    /// The branch to land on.
    pub into: String,
    /// A commit to merge into instead of where that branch is: for a landing that is made of several merges.
    pub onto: Option<String>,
    /// The branch, or commit, that lands.
    pub from: String,
    /// All of it as one commit with one parent.
    pub squash: bool,
    /// The commit's message.
    pub message: String,
    /// The commit's author.
    pub author: Author,
}

/// What a merge would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// A commit that can be checked out, verified and landed.
    Merged {
        /// Where the branch to land on was.
        base: String,
        /// The commit that lands.
        commit: String,
        /// Its tree.
        tree: String,
        /// Files it changes there.
        files: u32,
        /// Lines added.
        added: u64,
        /// Lines removed.
        removed: u64,
    },
    /// People or agents have to decide. Nothing was changed.
    Conflicts {
        /// Where the branch to land on was.
        base: String,
        /// The files in question.
        files: Vec<String>,
        /// What git says about them.
        messages: String,
    },
    /// All of it is there already.
    UpToDate {
        /// Where the branch to land on is.
        base: String,
    },
}

/// Whether a commit landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// It is in the branch.
    Yes,
    /// It is not.
    No,
    /// It is not, but the branch's checkout has its files already: git was interrupted. To land it again settles this.
    HalfWay,
}

/// How it landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HowLanded {
    /// It was in the branch before.
    Before,
    /// The branch is checked out nowhere and was moved.
    Moved,
    /// The branch is checked out here, and its files were brought up to date.
    CheckedOut(Checkout),
}

const OLDEST_TO_MERGE: (u32, u32) = (2, 38);

impl Repository {
    /// Computes a merge without touching any checkout or branch.
    ///
    /// # Errors
    /// If one of the branches is not there, they have no history in common, or git is older than 2.38.
    pub fn merge(&self, request: &MergeRequest) -> Result<Merge> {
        self.git().needs(OLDEST_TO_MERGE, "merge without a checkout")?;
        self.check_branch(&request.into)?;
        let base = self.branch_commit(&request.into)?;
        let mut base = base.ok_or_else(|| Error::NoSuch { name: request.into.clone() })?;
        if let Some(onto) = &request.onto {
            base = self.commit(onto)?;
        }
        let from = match self.branch_commit(&request.from)? {
            Some(commit) => commit,
            None => self.commit(&request.from)?,
        };
        if self.contains(&base, &from)? {
            return Ok(Merge::UpToDate { base });
        }
        let tree = match self.merged_tree(&base, &from)? {
            Ok(tree) => tree,
            Err((files, messages)) => return Ok(Merge::Conflicts { base, files, messages }),
        };
        let before = self.tree_of(&base)?;
        if request.squash && tree == before {
            return Ok(Merge::UpToDate { base });
        }
        let parents: &[&str] = if request.squash { &[&base] } else { &[&base, &from] };
        let commit = self.commit_tree(&tree, parents, &request.message, &request.author)?;
        // Until it has landed nothing else names it, and an agent's `git gc` would take it away.
        self.call(["update-ref", &kept(&commit), &commit]).writes().run()?;
        let (files, added, removed) = self.extent(&before, &tree)?;
        Ok(Merge::Merged { base, commit, tree, files, added, removed })
    }

    /// The tree of a merge, or the files in conflict and what git says.
    pub(crate) fn merged_tree(&self, base: &str, from: &str) -> Result<Result<String, (Vec<String>, String)>> {
        let call = self.call(["merge-tree", "--write-tree", "-z", "--name-only", "--messages", base, from]);
        let call = call.setting("merge.conflictStyle=merge").writes().deadline(self.git().deadlines().write);
        let answer = call.run_for(&[0, 1])?;
        let mut parts = answer.stdout.split(|b| *b == 0);
        let tree = parts.next().map(text::line).unwrap_or_default();
        if tree.len() < 40 {
            return Err(Error::Unreadable { command: "merge-tree".into(), what: tree });
        }
        if answer.code == 0 {
            return Ok(Ok(tree));
        }
        let files: Vec<String> = parts.by_ref().take_while(|part| !part.is_empty()).map(text::path_text).collect();
        // Then: number of names, names, kind, sentence. Only sentences end with a line end.
        let messages =
            parts.filter(|part| part.ends_with(b"\n")).map(|part| String::from_utf8_lossy(part).into_owned());
        let messages = messages.filter(|m| m.starts_with("CONFLICT")).collect::<String>();
        Ok(Err((files, messages)))
    }

    /// Gives up a merge that will not land.
    ///
    /// # Errors
    /// If git fails.
    pub fn forget_merge(&self, commit: &str) -> Result<()> {
        let commit = self.commit(commit)?;
        self.call(["update-ref", "-d", &kept(&commit)]).writes().run().map(drop)
    }

    /// Whether `commit` is in `branch`, asked of git: for after a crash.
    ///
    /// # Errors
    /// If the commit is not there.
    pub fn landed(&self, branch: &str, commit: &str) -> Result<Landed> {
        self.check_branch(branch)?;
        let commit = self.commit(commit)?;
        let Some(tip) = self.branch_commit(branch)? else { return Ok(Landed::No) };
        if self.contains(&tip, &commit)? {
            return Ok(Landed::Yes);
        }
        if let Some(there) = self.checked_out(branch)?
            && !self.in_the_way(&there.checkout(), &tip, &commit)?.already.is_empty()
        {
            return Ok(Landed::HalfWay);
        }
        Ok(Landed::No)
    }

    /// Lets `commit` be what `branch` is at, if that is still at `expected`, which must be in its history. Where the branch
    /// is checked out the files are brought up to date; a person's own changes to other files stay. Can be called again
    /// after a crash.
    ///
    /// # Errors
    /// [`Error::Moved`] if somebody else was first, [`Error::DirtyCheckout`] if files of the checkout would be overwritten,
    /// [`Error::Unfinished`] if somebody is in the middle of a merge or rebase of that branch.
    pub fn land(&self, branch: &str, expected: &str, commit: &str) -> Result<HowLanded> {
        self.check_branch(branch)?;
        let (expected, commit) = (self.commit(expected)?, self.commit(commit)?);
        let _turn = self.turn()?;
        let found = self.branch_commit(branch)?.unwrap_or_default();
        if !found.is_empty() && self.contains(&found, &commit)? {
            self.forget_merge(&commit)?;
            return Ok(HowLanded::Before);
        }
        if found != expected {
            return Err(Error::Moved { branch: branch.to_owned(), expected, found });
        }
        if !self.contains(&commit, &expected)? {
            return Err(Error::Taken { name: branch.to_owned(), why: format!("{expected} is not in what would land") });
        }
        let how = match self.checked_out(branch)? {
            None => {
                self.move_ref(&format!("refs/heads/{branch}"), &commit, Some(&expected), "merge: landed by Signalbox")?;
                HowLanded::Moved
            }
            Some(there) => {
                let checkout = there.checkout();
                self.finished(&checkout)?;
                self.land_in(&checkout, branch, &expected, &commit)?;
                HowLanded::CheckedOut(checkout)
            }
        };
        self.forget_merge(&commit)?;
        Ok(how)
    }

    fn land_in(&self, checkout: &Checkout, branch: &str, expected: &str, commit: &str) -> Result<()> {
        let way = self.in_the_way(checkout, expected, commit)?;
        if !way.dirty.is_empty() {
            return Err(Error::DirtyCheckout { folder: checkout.folder.clone(), files: way.dirty });
        }
        if !way.already.is_empty() {
            // Interrupted in the middle: these files have their new content. Told to the index, git goes on from here.
            let list = way.already.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
            let call = self.call_in(checkout, ["update-index", "--add", "--remove", "-z", "--stdin"]);
            call.input(list).writes().deadline(self.git().deadlines().scan).run()?;
        }
        // Git's own rules hold as well: it overwrites no change, no unknown and no ignored file.
        let call = self.call_in(
            checkout,
            ["merge", "--ff-only", "--no-overwrite-ignore", "--no-autostash", "--no-stat", "--quiet"],
        );
        let done = call.arg(commit).writes().deadline(self.git().deadlines().write).run();
        let found = self.branch_commit(branch)?.unwrap_or_default();
        match done {
            Ok(_) if found == commit => Ok(()),
            Ok(_) => Err(Error::Moved { branch: branch.to_owned(), expected: expected.to_owned(), found }),
            Err(Error::Refused { stderr, .. }) if stderr.contains("would be overwritten") => {
                let files = stderr.lines().filter_map(|l| l.strip_prefix('\t')).map(str::to_owned).collect();
                Err(Error::DirtyCheckout { folder: checkout.folder.clone(), files })
            }
            Err(_) if found != expected && found != commit => {
                Err(Error::Moved { branch: branch.to_owned(), expected: expected.to_owned(), found })
            }
            Err(Error::Refused { command, code, stderr, .. }) => {
                // It looks before it writes.
                Err(Error::Refused { command, code, stderr, changed: Changed::Maybe })
            }
            Err(error) => Err(error),
        }
    }

    /// The checkout that has `branch`, or is in the middle of a rebase of it.
    fn checked_out(&self, branch: &str) -> Result<Option<Listed>> {
        let full = format!("refs/heads/{branch}");
        for there in self.listed()? {
            if there.branch.as_deref() == Some(branch) && !there.missing {
                return Ok(Some(there));
            }
            for folder in ["rebase-merge", "rebase-apply"] {
                let name = std::fs::read_to_string(there.git_dir.join(folder).join("head-name"));
                if name.is_ok_and(|name| name.trim() == full) {
                    return Err(Error::Unfinished { folder: there.folder, what: "rebase" });
                }
            }
        }
        Ok(None)
    }

    /// Files of a checkout that are not as it was, and that landing would write.
    fn in_the_way(&self, checkout: &Checkout, from: &str, to: &str) -> Result<InTheWay> {
        let call = self.call(["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", from, to]);
        let answer = call.deadline(self.git().deadlines().scan).run()?;
        let mut records = text::zero_list(&answer.stdout);
        let mut written: HashMap<&[u8], String> = HashMap::new();
        while let (Some(meta), Some(path)) = (records.next(), records.next()) {
            let hash = String::from_utf8_lossy(meta).split(' ').nth(3).unwrap_or_default().to_owned();
            written.insert(path, hash);
        }
        let mut way = InTheWay::default();
        for (_, path) in self.raw_status(checkout)? {
            let path = path.strip_suffix(b"/").unwrap_or(&path);
            let within = |a: &[u8], b: &[u8]| a.strip_prefix(b).is_some_and(|rest| rest.starts_with(b"/"));
            match written.get(path) {
                Some(new) if self.file_hash(checkout, path)? == *new => way.already.push(path.to_vec()),
                // A file where a folder is to be, or the other way round.
                None if !written.keys().any(|w| within(w, path) || within(path, w)) => {}
                _ => way.dirty.push(text::path_text(path)),
            }
        }
        Ok(way)
    }

    /// The hash that a file of a checkout would have in git; zeros if it is gone.
    fn file_hash(&self, checkout: &Checkout, path: &[u8]) -> Result<String> {
        let file = checkout.folder.join(text::to_path(path));
        let zeros = "0".repeat(self.project_hash_len());
        let Ok(data) = file.symlink_metadata() else { return Ok(zeros) };
        let call = self.call_in(checkout, ["hash-object"]);
        let answer = if data.is_symlink() {
            let target = std::fs::read_link(&file).map_err(Error::reading("reading a link"))?;
            call.args(["-t", "blob", "--stdin"]).input(text::path_bytes(&target)).run()?
        } else if data.is_file() {
            call.arg("--").arg(text::to_path(path)).run()?
        } else {
            return Ok(String::new());
        };
        Ok(text::line(&answer.stdout))
    }

    fn project_hash_len(&self) -> usize {
        let sha256 = self.call(["rev-parse", "--show-object-format"]).run();
        if sha256.is_ok_and(|answer| text::line(&answer.stdout) == "sha256") { 64 } else { 40 }
    }
}

/// Files of a checkout that landing would write and that are not as they were.
#[derive(Default)]
struct InTheWay {
    /// They have other content.
    dirty: Vec<String>,
    /// They have the new content already.
    already: Vec<Vec<u8>>,
}

/// Keeps a merge from being tidied away.
fn kept(commit: &str) -> String {
    format!("refs/signalbox/merge/{commit}")
}
