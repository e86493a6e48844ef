//! Worktrees: made, found again, and mended after a crash.
//!
//! A worktree is ready when its git directory holds `signalbox/base`, written last: before that nobody has worked in it, so
//! what is half made may be made anew. From then on nothing of it is thrown away.

use std::fs;
use std::path::{Path, PathBuf};

use crate::carry::Carry;
use crate::error::{Error, Result};
use crate::repository::{Checkout, Repository};
use crate::snapshot::remove_file;
use crate::text;

/// A worktree to be.
#[derive(Debug, Clone)]
pub struct WorktreeRequest {
    /// Its folder, outside of the project.
    pub folder: PathBuf,
    /// Its branch; see [`crate::branch_name`].
    pub branch: String,
    /// The commit to start from. Recorded before by the caller, so that it is the same when this is called again.
    pub base: String,
    /// Ignored files of the project that it needs.
    pub carry: Vec<Carry>,
}

/// How a worktree came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made now.
    Made,
    /// It was there and whole.
    Adopted,
    /// It was there in part: half made, or git did not know of it any more, or its folder was gone. What was committed on
    /// its branch is there; see also [`Worktree::set_aside`].
    Mended,
}

/// A worktree that one can work in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Where it is.
    pub checkout: Checkout,
    /// Its branch.
    pub branch: String,
    /// The commit it started from.
    pub base: String,
    /// How it came to be.
    pub origin: Origin,
    /// A folder that git did not know of any more was in its place; it was renamed to this, with all that it held.
    pub set_aside: Option<PathBuf>,
    /// Ignored files that were copied or linked.
    pub carried: Vec<String>,
    /// Ignored files that were to be, and why they are not.
    pub not_carried: Vec<String>,
}

/// A worktree as git knows it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) folder: PathBuf,
    pub(crate) git_dir: PathBuf,
    pub(crate) branch: Option<String>,
    pub(crate) head: Option<String>,
    pub(crate) locked: Option<String>,
    pub(crate) missing: bool,
    pub(crate) main: bool,
}

impl Listed {
    pub(crate) fn checkout(&self) -> Checkout {
        Checkout { folder: self.folder.clone(), git_dir: self.git_dir.clone() }
    }

    /// The commit it started from, if it is ready and ours.
    pub(crate) fn base(&self) -> Option<String> {
        let text = fs::read_to_string(self.git_dir.join("signalbox").join("base")).ok()?;
        Some(text.trim().to_owned()).filter(|hash| !hash.is_empty())
    }
}

impl Repository {
    /// Makes a worktree on a branch of its own, or finds the one that an earlier call made. Can be called again after a
    /// crash at any moment; calls of this process on one repository wait for each other.
    ///
    /// # Errors
    /// [`Error::Taken`] if the branch has another history, [`Error::NameClash`], [`Error::BranchInUse`],
    /// [`Error::FolderTaken`]; what is there stays as it is.
    pub fn add_worktree(&self, request: &WorktreeRequest) -> Result<Worktree> {
        self.check_branch(&request.branch)?;
        let base = self.commit(&request.base)?;
        let folder = settle(&request.folder)?;
        let _turn = self.turn()?;
        let mut set_aside = None;
        let mut mended = false;
        let listed = self.listed()?;
        if let Some(there) = listed.iter().find(|w| w.branch.as_deref() == Some(&*request.branch) && w.folder != folder)
        {
            if !there.missing || there.main {
                return Err(Error::BranchInUse { branch: request.branch.clone(), folder: there.folder.clone() });
            }
            self.forget(there)?;
            mended = true;
        }
        if let Some(there) = listed.into_iter().find(|w| w.folder == folder) {
            match self.state_of(&there) {
                State::Whole => {
                    let branch = there.branch.clone().unwrap_or_else(|| request.branch.clone());
                    let (base, origin) = (there.base().unwrap_or(base), Origin::Adopted);
                    let checkout = there.checkout();
                    let (carried, not_carried, set_aside) = Default::default();
                    return Ok(Worktree { checkout, branch, base, origin, set_aside, carried, not_carried });
                }
                State::CheckedOut => return self.ready(request, there.checkout(), base, Origin::Mended, None),
                State::Begun => {
                    // Nobody has worked there: it never was ready.
                    remove_folder(&folder)?;
                    self.forget(&there)?;
                }
                State::Gone => self.forget(&there)?,
                State::Replaced => {
                    set_aside = Some(put_aside(&folder)?);
                    self.forget(&there)?;
                }
            }
            mended = true;
        } else if fs::symlink_metadata(&folder).is_ok() && fs::remove_dir(&folder).is_err() {
            if !self.was_ours(&folder) {
                return Err(Error::FolderTaken { folder });
            }
            set_aside = Some(put_aside(&folder)?);
            mended = true;
        }
        mended |= self.create(&folder, &request.branch, &base)?;
        let checkout = self.listed()?.into_iter().find(|w| w.folder == folder).map(|w| w.checkout());
        let checkout = checkout.ok_or_else(|| Error::NotARepository { folder: folder.clone() })?;
        let origin = if mended { Origin::Mended } else { Origin::Made };
        self.ready(request, checkout, base, origin, set_aside)
    }

    /// Checks out `commit` in a folder of its own, on no branch: to look at, or to verify. It gets the ignored files that
    /// `carry` names, as far as they are there.
    ///
    /// # Errors
    /// [`Error::FolderTaken`] if something else is there.
    pub fn check_out(&self, commit: &str, folder: &Path, carry: &[Carry]) -> Result<Checkout> {
        let commit = self.commit(commit)?;
        let folder = settle(folder)?;
        let _turn = self.turn()?;
        let there = self.listed()?.into_iter().find(|w| w.folder == folder);
        if let Some(there) = there {
            if there.branch.is_some() || there.main {
                return Err(Error::FolderTaken { folder });
            }
            // What was checked out to be looked at can be checked out again.
            remove_folder(&folder)?;
            self.forget(&there)?;
        } else if fs::symlink_metadata(&folder).is_ok() && fs::remove_dir(&folder).is_err() {
            return Err(Error::FolderTaken { folder });
        }
        let call = self.call(["worktree", "add", "--detach", "--force"]).arg(&folder).arg(&commit);
        call.writes().deadline(self.git().deadlines().write).run()?;
        let made = self.listed()?.into_iter().find(|w| w.folder == folder).map(|w| w.checkout());
        let made = made.ok_or(Error::NotARepository { folder })?;
        self.carry(&made, carry)?;
        Ok(made)
    }

    /// The checkout that has `branch`; `None` if none has, or its folder is gone.
    ///
    /// # Errors
    /// If git fails.
    pub fn worktree_of(&self, branch: &str) -> Result<Option<Checkout>> {
        let there = self.listed()?.into_iter().find(|w| w.branch.as_deref() == Some(branch) && !w.missing);
        Ok(there.map(|there| there.checkout()))
    }

    /// All worktrees that git knows, the main one first.
    pub(crate) fn listed(&self) -> Result<Vec<Listed>> {
        // Before 2.36 a name with a line end could not be told.
        let zero = self.git().version() >= (2, 36);
        let call = self.call(["worktree", "list", "--porcelain"]);
        let answer = if zero { call.arg("-z").run()? } else { call.run()? };
        let end = if zero { 0 } else { b'\n' };
        let folders = self.git_dirs();
        let mut listed: Vec<Listed> = Vec::new();
        for line in answer.stdout.split(|b| *b == end) {
            let at = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
            let (key, value) = line.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            if key == b"worktree" {
                let folder = text::to_path(value);
                let main = listed.is_empty();
                // The main one's folder is named after its git directory; it is not always beside it.
                let folder =
                    if main && self.project.git_dir == self.common { self.project.folder.clone() } else { folder };
                let git_dir = match folders.iter().find(|(_, of)| *of == folder) {
                    Some((git_dir, _)) if !main => git_dir.clone(),
                    _ => self.common.clone(),
                };
                let missing = !folder.is_dir();
                listed.push(Listed { folder, git_dir, branch: None, head: None, locked: None, missing, main });
            } else if let Some(last) = listed.last_mut() {
                match key {
                    b"HEAD" => last.head = Some(text::line(value)).filter(|h| h.bytes().any(|b| b != b'0')),
                    b"branch" => last.branch = text::line(value).strip_prefix("refs/heads/").map(str::to_owned),
                    b"locked" => last.locked = Some(text::path_text(value)),
                    _ => {}
                }
            }
        }
        Ok(listed)
    }

    /// Each linked worktree's git directory, and its folder.
    fn git_dirs(&self) -> Vec<(PathBuf, PathBuf)> {
        let entries = fs::read_dir(self.common.join("worktrees")).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let git_dir = entry.path();
                let file = fs::read(git_dir.join("gitdir")).ok()?;
                let file = git_dir.join(text::to_path(file.strip_suffix(b"\n").unwrap_or(&file)));
                let folder = file.parent()?;
                Some((git_dir, folder.canonicalize().unwrap_or_else(|_| folder.to_owned())))
            })
            .collect()
    }

    fn state_of(&self, there: &Listed) -> State {
        if there.missing {
            return State::Gone;
        }
        if there.locked.as_deref() == Some("initializing") {
            return State::Begun;
        }
        let pointer = there.folder.join(".git");
        if pointer.is_dir() {
            // Somebody made another repository in its place.
            return State::Replaced;
        }
        let points_here = fs::read_to_string(&pointer).is_ok_and(|text| {
            let target = text.trim_end().strip_prefix("gitdir: ").map(|path| there.folder.join(path));
            target.and_then(|path| path.canonicalize().ok()) == there.git_dir.canonicalize().ok()
        });
        if !points_here {
            let text = [b"gitdir: ", text::path_bytes(&there.git_dir).as_slice(), b"\n"].concat();
            if fs::write(&pointer, text).is_err() {
                return State::Replaced;
            }
        }
        if there.base().is_some() { State::Whole } else { State::CheckedOut }
    }

    /// Whether the folder points to a git directory of this repository that is gone: `git worktree prune` was faster.
    fn was_ours(&self, folder: &Path) -> bool {
        let Ok(pointer) = fs::read_to_string(folder.join(".git")) else { return false };
        let Some(target) = pointer.trim_end().strip_prefix("gitdir: ") else { return false };
        let target = folder.join(target);
        !target.exists()
            && target.parent().is_some_and(|dir| dir.ends_with("worktrees"))
            && target.parent().and_then(Path::parent) == Some(self.common.as_path())
    }

    /// Makes the worktree; whether its branch was there already.
    fn create(&self, folder: &Path, branch: &str, base: &str) -> Result<bool> {
        let call = self.call(["worktree", "add", "--force"]).writes().deadline(self.git().deadlines().write);
        match self.branch_commit(branch)? {
            Some(tip) if !self.contains(&tip, base)? => {
                Err(Error::Taken { name: branch.to_owned(), why: format!("does not start from {base}") })
            }
            Some(_) => call.arg(folder).arg(branch).run().map(|_| true),
            None => {
                self.no_clash(branch)?;
                call.args(["--no-track", "-b", branch]).arg(folder).arg(base).run().map(|_| false)
            }
        }
    }

    fn ready(
        &self,
        request: &WorktreeRequest,
        checkout: Checkout,
        base: String,
        origin: Origin,
        set_aside: Option<PathBuf>,
    ) -> Result<Worktree> {
        let (carried, not_carried) = self.carry(&checkout, &request.carry)?;
        let folder = checkout.git_dir.join("signalbox");
        let write = || {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("base.new"), format!("{base}\n"))?;
            fs::rename(folder.join("base.new"), folder.join("base"))
        };
        write().map_err(Error::writing("marking the worktree as ready"))?;
        let branch = request.branch.clone();
        Ok(Worktree { checkout, branch, base, origin, set_aside, carried, not_carried })
    }

    /// Lets git forget a worktree whose folder is gone. Its branch stays.
    pub(crate) fn forget(&self, there: &Listed) -> Result<()> {
        if there.main {
            return Err(Error::FolderTaken { folder: there.folder.clone() });
        }
        // Twice: also if it is locked, which for one half made means "initializing".
        let call = self.call(["worktree", "remove", "--force", "--force"]).arg(&there.folder);
        if let Err(error) = call.writes().deadline(self.git().deadlines().write).run() {
            // Half made, it may lack what `worktree remove` wants to read first.
            let inside = there.git_dir.parent() == Some(self.common.join("worktrees").as_path());
            if !inside || !there.missing && there.folder.exists() {
                return Err(error);
            }
            remove_folder(&there.git_dir)?;
        }
        Ok(())
    }
}

/// What is left of a worktree.
enum State {
    /// All of it.
    Whole,
    /// Its files; it was not ready.
    CheckedOut,
    /// Some of its files; it was not ready.
    Begun,
    /// Nothing but what git knows.
    Gone,
    /// Something else is in its place.
    Replaced,
}

/// The folder by its full name; folders above are made.
fn settle(folder: &Path) -> Result<PathBuf> {
    let bad = || Error::BadName { name: folder.display().to_string(), what: "folder" };
    let (above, name) = folder.parent().zip(folder.file_name()).ok_or_else(bad)?;
    if !folder.is_absolute() {
        return Err(bad());
    }
    fs::create_dir_all(above).map_err(Error::reading(format!("making {}", above.display())))?;
    let above = above.canonicalize().map_err(Error::reading(format!("opening {}", above.display())))?;
    Ok(above.join(name))
}

fn put_aside(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..1000).map(|n| folder.with_file_name(format!("{name}.set-aside-{n}"))).find(|path| !path.exists());
    let free = free.ok_or_else(|| Error::FolderTaken { folder: folder.to_owned() })?;
    fs::rename(folder, &free).map_err(Error::writing(format!("renaming {}", folder.display())))?;
    Ok(free)
}

pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_ok_and(|data| !data.is_dir()) {
        return remove_file(folder);
    }
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::writing(format!("removing {}", folder.display()))(e))
        }
        _ => Ok(()),
    }
}
