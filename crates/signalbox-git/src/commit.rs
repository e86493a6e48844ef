//! Checkpoints: everything in a worktree, as a commit.
//!
//! Made of git's inner commands rather than of `git commit`, so that it works whatever state the index is in, asks for no
//! identity, and moves the branch only if nobody else moved it meanwhile.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use signalbox_model::UnixMillis;

use crate::error::{Error, Result};
use crate::repository::{Checkout, Repository};
use crate::run::Call;
use crate::snapshot::{copy_index, remove_file};
use crate::text;
use crate::turn::{Turn, pause};

/// What our lock on an index says, so that one left by a crash is told from another program's.
const LOCK: &[u8] = b"signalbox\n";

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// When; the same commit made again, after a crash, then has the same hash. `None`: git takes the clock's time.
    pub at: Option<UnixMillis>,
}

impl Author {
    /// Lets `call` commit as this author.
    pub(crate) fn variables<'g>(&self, call: Call<'g>) -> Call<'g> {
        // Git takes these out of names; a name of nothing else would be refused.
        let clean = |text: &str, instead: &str| {
            let text: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
            if text.trim().is_empty() { instead.to_owned() } else { text.trim().to_owned() }
        };
        let (name, email) = (clean(&self.name, "Signalbox"), clean(&self.email, "signalbox@localhost"));
        let call = call.variable("GIT_AUTHOR_NAME", &name).variable("GIT_COMMITTER_NAME", &name);
        let call = call.variable("GIT_AUTHOR_EMAIL", &email).variable("GIT_COMMITTER_EMAIL", &email);
        match self.at {
            None => call,
            Some(at) => {
                let date = format!("@{} +0000", at.div_euclid(1000).max(0));
                call.variable("GIT_AUTHOR_DATE", &date).variable("GIT_COMMITTER_DATE", &date)
            }
        }
    }
}

/// A commit that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its full hash.
    pub hash: String,
    /// The branch it is on; `None` if HEAD was detached.
    pub branch: Option<String>,
    /// Its message's first line.
    pub subject: String,
    /// Files it changed.
    pub files: u32,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Folders that hold repositories of their own, which a commit cannot contain. They are still there.
    pub left_out: Vec<String>,
    /// Some files could not be read, and are not in it: what git said.
    pub unread: Option<String>,
}

/// Holds the lock of an index; lets go of it when dropped.
struct IndexLock {
    file: PathBuf,
    index: PathBuf,
    done: bool,
}

impl IndexLock {
    /// Takes the lock. It must be this process's turn at the checkout.
    fn take(checkout: &Checkout, patience: Duration) -> Result<Self> {
        let (file, index) = (checkout.git_dir.join("index.lock"), checkout.git_dir.join("index"));
        if fs::read(&file).is_ok_and(|text| text == LOCK) {
            remove_file(&file)?;
        }
        let until = Instant::now() + patience;
        loop {
            match fs::File::options().write(true).create_new(true).open(&file) {
                Ok(mut lock) => {
                    let lock_is = Self { file, index, done: false };
                    lock.write_all(LOCK).map_err(Error::reading("locking the index"))?;
                    return Ok(lock_is);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    if Instant::now() >= until {
                        return Err(Error::Locked { file, stderr: String::new() });
                    }
                    pause(Duration::from_millis(50));
                }
                Err(e) => return Err(Error::reading("locking the index")(e)),
            }
        }
    }

    /// Puts `new` in the index's place, and lets go.
    fn replace(mut self, new: &std::path::Path) -> Result<()> {
        copy_index(new, &self.file)?;
        fs::rename(&self.file, &self.index).map_err(Error::writing("writing the index"))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Repository {
    /// Commits everything in `checkout` onto what it is on: what is changed, new and gone, ignored files not. `None` if
    /// that is nothing. For folders of agents: in a person's own it would take what they have staged.
    ///
    /// # Errors
    /// [`Error::Unfinished`] in the middle of a merge or rebase, [`Error::Locked`] while another git writes there,
    /// [`Error::Moved`] if somebody commits at the same moment.
    pub fn commit_all(&self, checkout: &Checkout, message: &str, author: &Author) -> Result<Option<Checkpoint>> {
        let scratch = checkout.git_dir.join("signalbox");
        let _turn = Turn::of(&scratch.join("commit")).take(self.git().deadlines().scan)?;
        self.finished(checkout)?;
        let lock = IndexLock::take(checkout, self.git().deadlines().lock)?;
        fs::create_dir_all(&scratch).map_err(Error::reading(format!("making {}", scratch.display())))?;
        let index = scratch.join("commit-index");
        remove_file(&scratch.join("commit-index.lock"))?;
        if !copy_index(&checkout.git_dir.join("index"), &index)? {
            remove_file(&index)?;
        }
        let head = self.head(checkout)?;
        let made = self.commit_index(checkout, &index, head.commit.as_deref(), message, author)?;
        let Some(mut made) = made else { return Ok(None) };
        let subject: String = made.subject.chars().filter(|c| !c.is_control()).collect();
        self.in_checkout_move_head(checkout, &made.hash, head.commit.as_deref(), &format!("commit: {subject}"))?;
        made.branch = head.branch;
        // After this moment the commit is there whatever happens; a lost index is only a slower `git status`.
        lock.replace(&index)?;
        Ok(Some(made))
    }

    fn commit_index(
        &self,
        checkout: &Checkout,
        index: &std::path::Path,
        parent: Option<&str>,
        message: &str,
        author: &Author,
    ) -> Result<Option<Checkpoint>> {
        let scan = self.git().deadlines().scan;
        let call = |call: Call<'_>| call.variable("GIT_INDEX_FILE", index).writes().deadline(scan).run_for(&[0, 1]);
        let added = call(self.call_in(checkout, ["add", "--all", "--ignore-errors"]))?;
        let left_out = self.leave_out_repositories(checkout, index, parent)?;
        let tree = text::line(
            &self.call_in(checkout, ["write-tree"]).variable("GIT_INDEX_FILE", index).writes().run()?.stdout,
        );
        let before = match parent {
            Some(parent) => self.tree_of(parent)?,
            None => self.empty_tree()?,
        };
        if tree == before {
            return Ok(None);
        }
        let hash = self.commit_tree(&tree, parent.as_slice(), message, author)?;
        let (files, lines_added, lines_removed) = self.extent(&before, &tree)?;
        Ok(Some(Checkpoint {
            hash,
            branch: None,
            subject: message.lines().next().unwrap_or_default().to_owned(),
            files,
            added: lines_added,
            removed: lines_removed,
            left_out,
            unread: (added.code != 0).then_some(added.stderr),
        }))
    }

    /// Takes repositories out of the index that somebody made or cloned within the folder. Committed, they would be names
    /// of commits that nobody else has.
    fn leave_out_repositories(
        &self,
        checkout: &Checkout,
        index: &std::path::Path,
        parent: Option<&str>,
    ) -> Result<Vec<String>> {
        let base = match parent {
            Some(parent) => parent.to_owned(),
            None => self.empty_tree()?,
        };
        let call =
            self.call_in(checkout, ["diff-index", "--cached", "--raw", "-z", "--no-renames", "--diff-filter=A", &base]);
        let answer = call.variable("GIT_INDEX_FILE", index).deadline(self.git().deadlines().scan).run()?;
        let mut records = text::zero_list(&answer.stdout);
        let mut found = Vec::new();
        while let (Some(meta), Some(path)) = (records.next(), records.next()) {
            if meta.starts_with(b":000000 160000 ") {
                found.push(path.to_vec());
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let modules = self.call_in(checkout, ["config", "-z", "--file", ".gitmodules", "--get-regexp", r"\.path$"]);
        let modules = modules.run_for(&[0, 1])?.stdout;
        let known: Vec<&[u8]> = text::zero_list(&modules).filter_map(|e| e.splitn(2, |b| *b == b'\n').nth(1)).collect();
        found.retain(|path| !known.contains(&path.as_slice()));
        if !found.is_empty() {
            let call = self.call_in(checkout, ["update-index", "--force-remove", "-z", "--stdin"]);
            let list = found.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
            call.variable("GIT_INDEX_FILE", index).input(list).writes().run()?;
        }
        Ok(found.iter().map(|path| text::path_text(path)).collect())
    }

    /// Moves what HEAD is on from `old` to `new`, or refuses.
    fn in_checkout_move_head(&self, checkout: &Checkout, new: &str, old: Option<&str>, why: &str) -> Result<()> {
        let zeros = "0".repeat(new.len());
        let call = self.call_in(checkout, ["update-ref", "-m", why, "HEAD", new, old.unwrap_or(&zeros)]).writes();
        let Err(error) = call.run() else { return Ok(()) };
        let head = self.head(checkout)?;
        if head.commit.as_deref() == old {
            return Err(error);
        }
        Err(Error::Moved {
            branch: head.branch.unwrap_or_else(|| "HEAD".into()),
            expected: old.unwrap_or_default().to_owned(),
            found: head.commit.unwrap_or_default(),
        })
    }

    /// Removes locks in a worktree's own git directory. Only for when no process works there any more: what was killed in
    /// the middle of a git command leaves its lock behind. Says which.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn clear_stale_locks(&self, checkout: &Checkout) -> Result<Vec<PathBuf>> {
        let locks = ["index.lock", "HEAD.lock"].map(|name| checkout.git_dir.join(name));
        let stale: Vec<PathBuf> = locks.into_iter().filter(|lock| lock.exists()).collect();
        stale.iter().try_for_each(|lock| remove_file(lock))?;
        Ok(stale)
    }

    /// Makes a commit of a tree.
    pub(crate) fn commit_tree(&self, tree: &str, parents: &[&str], message: &str, author: &Author) -> Result<String> {
        let call = author.variables(self.call(["commit-tree", "--no-gpg-sign", tree])).writes();
        let call = parents.iter().fold(call, |call, parent| call.args(["-p", parent]));
        let mut message = message.replace('\0', "").trim().to_owned();
        message.push('\n');
        Ok(text::line(&call.args(["-F", "-"]).input(message.into_bytes()).run()?.stdout))
    }

    /// The tree of a commit.
    pub(crate) fn tree_of(&self, commit: &str) -> Result<String> {
        Ok(text::line(&self.call(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]).run()?.stdout))
    }

    fn empty_tree(&self) -> Result<String> {
        Ok(text::line(
            &self.call(["hash-object", "-w", "-t", "tree", "--stdin"]).input(Vec::new()).writes().run()?.stdout,
        ))
    }

    /// Files, lines added and lines removed between two trees.
    pub(crate) fn extent(&self, from: &str, to: &str) -> Result<(u32, u64, u64)> {
        let call = self.call([
            "diff-tree",
            "-r",
            "--numstat",
            "-z",
            "--find-renames",
            "--no-ext-diff",
            "--no-textconv",
            from,
            to,
        ]);
        let answer = call.deadline(self.git().deadlines().scan).run()?;
        let mut extent = (0_u32, 0_u64, 0_u64);
        for record in text::zero_list(&answer.stdout) {
            let record = String::from_utf8_lossy(record);
            let fields: Vec<&str> = record.splitn(3, '\t').collect();
            // Names of a rename stand alone, and a name may hold tabs: only two numbers, or two dashes, are a count.
            let number = |text: &str| if text == "-" { Some(0) } else { text.parse::<u64>().ok() };
            if let [added, removed, _] = fields.as_slice()
                && let (Some(added), Some(removed)) = (number(added), number(removed))
            {
                extent = (extent.0 + 1, extent.1 + added, extent.2 + removed);
            }
        }
        Ok(extent)
    }
}
