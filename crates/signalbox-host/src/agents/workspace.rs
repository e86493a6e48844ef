//! Where a step works: the project's folder, or a worktree of its own that holds the work of the steps before it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use signalbox_git::{
    Author, Carry, Checkout, CheckoutState, DiffOptions, FileChange, Git, Merge, MergeRequest, Removal, Repository,
    Watch, WorktreeInfo, WorktreeRequest, branch_name, changed_outside, folder_name,
};
use signalbox_model::{Commit, FileDiff, RunId, StepKey};
use signalbox_workflow::definition::Isolation;

/// The folder, among the worktrees, of merged trees that are being verified.
pub(crate) const MERGED: &str = "merged";

/// The work of a step in a worktree.
#[derive(Debug, Clone)]
pub(crate) struct Theirs {
    pub(crate) step: StepKey,
    pub(crate) branch: String,
    pub(crate) base: String,
    /// What its branch was at when the step succeeded.
    pub(crate) head: Option<String>,
}

/// Where a step is to work.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) project: PathBuf,
    pub(crate) isolation: Isolation,
    /// The work it starts from; none: the project as it is.
    pub(crate) sources: Vec<Theirs>,
    /// It goes on in the folder of another step.
    pub(crate) shared: Option<Theirs>,
    /// What its own earlier attempt left.
    pub(crate) before: Option<Theirs>,
    pub(crate) attempt: u32,
    /// What git ignores and a worktree needs.
    pub(crate) carry: Vec<Carry>,
}

/// A place to work in.
pub(crate) struct Workspace {
    /// The project's place in it.
    pub(crate) folder: PathBuf,
    pub(crate) branch: Option<String>,
    pub(crate) base: Option<String>,
    /// It is a worktree, not the project's own folder.
    pub(crate) own: bool,
    /// Nothing may change here.
    pub(crate) read_only: bool,
    /// What of that could not be brought, and why.
    pub(crate) not_carried: Vec<String>,
    git: Option<InGit>,
    project: PathBuf,
}

struct InGit {
    repository: Repository,
    checkout: Checkout,
    watch: Mutex<Option<Watch>>,
    /// What it looked like before, where nothing may change.
    before: Option<CheckoutState>,
    /// What the project's own folder looked like, while the step has no business there.
    project_before: Option<CheckoutState>,
}

/// What a step changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) paths: Vec<String>,
}

/// Branches of steps begin with this.
const PREFIX: &str = "signalbox/";

/// One landing at a time for each branch.
type Turns = Mutex<HashMap<(PathBuf, String), Arc<tokio::sync::Mutex<()>>>>;

/// Makes and finds worktrees.
pub(crate) struct Worktrees {
    root: PathBuf,
    git: OnceLock<Result<Git, String>>,
    turns: Turns,
}

impl Worktrees {
    /// Worktrees lie under `root`, outside of every project.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, git: OnceLock::new(), turns: Mutex::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn git(&self) -> Result<&Git, String> {
        self.git.get_or_init(|| Git::find().map_err(|error| told(&error))).as_ref().map_err(Clone::clone)
    }

    /// The repository that a project is in. Blocks.
    pub(crate) fn repository(&self, project: &Path) -> Result<Option<Repository>, String> {
        Repository::discover(self.git()?, project).map_err(|error| told(&error))
    }

    /// The worktrees of steps in a project's repository. Blocks.
    pub(crate) fn list(&self, project: &Path) -> Result<Vec<WorktreeInfo>, String> {
        let Some(repository) = self.repository(project)? else { return Ok(Vec::new()) };
        let text = |error: signalbox_git::Error| told(&error);
        let head = repository.head(repository.project()).map_err(text)?;
        let Some(into) = head.branch.or(head.commit) else { return Ok(Vec::new()) };
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let all = repository.worktrees("", &into).map_err(text)?;
        // By their folder: what an agent has checked out there may have any name, or none.
        let ours = all.into_iter().filter_map(|mut info| {
            // A merged tree that is being verified, or was when the host ended, holds nothing of anybody.
            let within = info.folder.strip_prefix(&root).ok().filter(|within| !within.starts_with(MERGED))?;
            let made_as = format!("{PREFIX}{}", within.to_string_lossy());
            info.branch.get_or_insert(made_as);
            Some(info)
        });
        Ok(ours.collect())
    }

    /// Merges a step's branch into what the project has checked out, with what is in its folder and not committed. The hash
    /// is empty if all of it was there already. Blocks.
    ///
    /// # Errors
    /// Why it does not fit; nothing was changed then.
    pub(crate) fn merge(&self, project: &Path, branch: &str, folder: &str, message: &str) -> Result<Commit, String> {
        const TRIES: usize = 10;
        let text = |error: signalbox_git::Error| told(&error);
        let repository = self.needed(project)?;
        let into = repository.head(repository.project()).map_err(text)?.branch;
        let into = into.ok_or("the project is on no branch: check one out first")?;
        if let Some(checkout) = repository.worktree_of(branch).map_err(text)?.filter(|c| c.folder == Path::new(folder))
        {
            repository.commit_all(&checkout, message, &author()).map_err(text)?;
        }
        let wanted = MergeRequest {
            into: into.clone(),
            onto: None,
            from: branch.to_owned(),
            squash: false,
            message: message.to_owned(),
            author: author(),
        };
        for _ in 0..TRIES {
            let (base, hash, files, added, removed) = match repository.merge(&wanted).map_err(text)? {
                Merge::Merged { base, commit, files, added, removed, .. } => (base, commit, files, added, removed),
                Merge::UpToDate { .. } => (String::new(), String::new(), 0, 0, 0),
                Merge::Conflicts { files, .. } => {
                    return Err(format!("it conflicts with {into} in {}", files.join(", ")));
                }
            };
            let subject = message.lines().next().unwrap_or_default().to_owned();
            let commit = Commit { hash, branch: into.clone(), subject, files, added, removed, step: None };
            if commit.hash.is_empty() {
                return Ok(commit);
            }
            match repository.land(&into, &base, &commit.hash) {
                Ok(_) => return Ok(commit),
                Err(signalbox_git::Error::Moved { .. }) => {}
                Err(error) => return Err(text(error)),
            }
        }
        Err(format!("{into} moved {TRIES} times meanwhile"))
    }

    /// Removes a worktree with its branch. Blocks.
    ///
    /// # Errors
    /// If it holds what is nowhere else, and that is not to be discarded.
    pub(crate) fn remove(&self, project: &Path, folder: &str, discard: bool) -> Result<(), String> {
        let repository = self.needed(project)?;
        let head = repository.head(repository.project()).map_err(|error| told(&error))?;
        let into = head.branch.or(head.commit);
        let removal = Removal {
            delete_branch: true,
            merged_into: into.as_deref(),
            force: discard.then_some("a person said that it may be lost"),
        };
        repository.remove_worktree(Path::new(folder), removal).map_err(|error| told(&error))
    }

    /// Removes the worktrees of a run that ended, as far as all that they hold is in the project. Blocks.
    pub(crate) fn tidy(&self, project: &Path, run: &RunId) {
        let found = match self.list(project) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(error, "worktrees could not be listed");
                return;
            }
        };
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone()).join(run.as_str());
        let done = |info: &WorktreeInfo| {
            info.folder.starts_with(&root) && info.unmerged == 0 && info.dirty.as_ref().is_none_or(Vec::is_empty)
        };
        for info in found.iter().filter(|info| done(info)) {
            if let Err(error) = self.remove(project, &info.folder.to_string_lossy(), false) {
                tracing::debug!(error, "a worktree stays");
            }
        }
        // Gone only if nothing is left in it.
        std::fs::remove_dir(&root).ok();
    }

    /// Whose turn it is to land on a branch.
    pub(crate) fn turn(&self, repository: &Repository, branch: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry((repository.common_dir().to_owned(), branch.to_owned())).or_default())
    }

    /// Makes a place to work in, or finds the one that an earlier attempt had. Blocks.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(crate) fn make(&self, place: &Place, run: &RunId, key: &StepKey) -> Result<Workspace, String> {
        if let Some(shared) = &place.shared {
            let repository = self.needed(&place.project)?;
            return Self::existing(repository, &place.project, shared, false);
        }
        match place.isolation {
            Isolation::Worktree => {
                let repository = self.needed(&place.project)?;
                self.worktree(repository, place, run, key)
            }
            // To look at the work of one step, its own folder is the place.
            Isolation::SharedRo if place.sources.len() == 1 => {
                let repository = self.needed(&place.project)?;
                Self::existing(repository, &place.project, &place.sources[0], true)
            }
            Isolation::SharedRo if place.sources.len() > 1 => {
                let repository = self.needed(&place.project)?;
                let mut made = self.worktree(repository, place, run, key)?;
                made.read_only = true;
                Ok(made)
            }
            Isolation::SharedRo => self.shared(&place.project, true),
            Isolation::SharedRw => self.shared(&place.project, false),
        }
    }

    fn needed(&self, project: &Path) -> Result<Repository, String> {
        self.repository(project)?.ok_or_else(|| {
            format!(
                "{} is in no git repository, and the step wants a worktree: run `git init` and make a first commit, or \
                 write `isolation: shared_rw`",
                project.display()
            )
        })
    }

    fn shared(&self, project: &Path, read_only: bool) -> Result<Workspace, String> {
        let folder = project.to_owned();
        let git = match self.repository(project) {
            Ok(Some(repository)) => {
                let checkout = repository.project().clone();
                let head = repository.head(&checkout).map_err(|error| told(&error))?;
                let before = read_only.then(|| repository.checkout_state(&checkout)).transpose();
                let before = before.map_err(|error| told(&error))?;
                // Without a commit there is nothing to compare with.
                let watch = head.commit.as_deref().and_then(|commit| repository.watch(&checkout, commit).ok());
                Some((
                    InGit { repository, checkout, watch: Mutex::new(watch), before, project_before: None },
                    head.commit,
                ))
            }
            // Git is not needed to work in a folder.
            _ => None,
        };
        let (git, base) = git.map_or((None, None), |(git, base)| (Some(git), base));
        Ok(Workspace {
            folder: folder.clone(),
            branch: None,
            base,
            own: false,
            read_only,
            not_carried: Vec::new(),
            git,
            project: folder,
        })
    }

    fn existing(repository: Repository, project: &Path, theirs: &Theirs, read_only: bool) -> Result<Workspace, String> {
        let known = repository.worktree_of(&theirs.branch).map_err(|error| told(&error))?;
        let checkout = known.ok_or_else(|| format!("the worktree of step {} is gone", theirs.step))?;
        let before = read_only.then(|| repository.checkout_state(&checkout)).transpose();
        let before = before.map_err(|error| told(&error))?;
        let project_before = Some(repository.checkout_state(repository.project()).map_err(|error| told(&error))?);
        let watch = repository.watch(&checkout, &theirs.base).map_err(|error| told(&error))?;
        let folder = place_of(&repository, project, &checkout);
        Ok(Workspace {
            folder,
            branch: Some(theirs.branch.clone()),
            base: Some(theirs.base.clone()),
            own: true,
            read_only,
            not_carried: Vec::new(),
            git: Some(InGit { repository, checkout, watch: Mutex::new(Some(watch)), before, project_before }),
            project: project.to_owned(),
        })
    }

    fn worktree(&self, repository: Repository, place: &Place, run: &RunId, key: &StepKey) -> Result<Workspace, String> {
        let text = |error: signalbox_git::Error| told(&error);
        let tip = |branch: &str| repository.branch_commit(branch).map_err(text);
        let mut tips = Vec::new();
        for source in &place.sources {
            tips.push(tip(&source.branch)?.ok_or_else(|| format!("the branch of step {} is gone", source.step))?);
        }
        let start = match tips.first() {
            Some(first) => first.clone(),
            None => repository.commit("HEAD").map_err(text)?,
        };
        // Its earlier attempt's folder is its own still, unless what it starts from has changed meanwhile.
        let again = place.before.as_ref().filter(|before| {
            tips.iter().all(|tip| repository.contains(&before.base, tip).unwrap_or(false)) || tips.is_empty()
        });
        let name = match (&place.before, again) {
            (Some(_), None) => format!("{key}.{}", place.attempt),
            _ => key.to_string(),
        };
        let branch = again.map_or_else(|| branch_name(run.as_str(), &name), |before| before.branch.clone());
        let folder = self.root.join(folder_name(run.as_str(), &name));
        let request = WorktreeRequest { folder, branch: branch.clone(), base: start, carry: place.carry.clone() };
        let made = repository.add_worktree(&request).map_err(text)?;
        // The work of the others is merged into it, one after the other.
        for (source, _) in place.sources.iter().zip(&tips).skip(1) {
            let message = format!("Take up the work of step {}\n", source.step);
            let wanted = MergeRequest {
                into: branch.clone(),
                onto: None,
                from: source.branch.clone(),
                squash: false,
                message,
                author: author(),
            };
            match repository.merge(&wanted).map_err(text)? {
                Merge::Merged { base, commit, .. } => {
                    repository.land(&branch, &base, &commit).map_err(text)?;
                }
                Merge::UpToDate { .. } => {}
                Merge::Conflicts { files, .. } => {
                    return Err(format!(
                        "the work of steps {} does not fit together: both changed {}",
                        place.sources.iter().map(|s| s.step.as_str()).collect::<Vec<_>>().join(", "),
                        files.join(", ")
                    ));
                }
            }
        }
        let base = match again {
            Some(before) => before.base.clone(),
            None => tip(&branch)?.unwrap_or(made.base),
        };
        let project_before = Some(repository.checkout_state(repository.project()).map_err(text)?);
        let watch = repository.watch(&made.checkout, &base).map_err(text)?;
        let folder = place_of(&repository, &place.project, &made.checkout);
        Ok(Workspace {
            folder,
            branch: Some(branch),
            base: Some(base),
            own: true,
            read_only: false,
            not_carried: made.not_carried,
            git: Some(InGit {
                repository,
                checkout: made.checkout,
                watch: Mutex::new(Some(watch)),
                before: None,
                project_before,
            }),
            project: place.project.clone(),
        })
    }
}

/// A project may be a folder within its repository: then it is the same folder within a worktree.
fn place_of(repository: &Repository, project: &Path, checkout: &Checkout) -> PathBuf {
    let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    match project.strip_prefix(&repository.project().folder) {
        Ok(within) if within.as_os_str().is_empty() => checkout.folder.clone(),
        Ok(within) => checkout.folder.join(within),
        Err(_) => checkout.folder.clone(),
    }
}

/// What git refused, and what to do about it.
pub(crate) fn told(error: &signalbox_git::Error) -> String {
    let advice = error.advice();
    if advice.is_empty() { error.to_string() } else { format!("{error}. {advice}") }
}

/// Who commits what agents did.
pub(crate) fn author() -> Author {
    Author { name: "Signalbox".into(), email: "signalbox@localhost".into(), at: None }
}

impl Workspace {
    /// A folder of the project, in this place.
    pub(crate) fn within(&self, dir: &Path) -> PathBuf {
        match dir.strip_prefix(&self.project) {
            Ok(within) if !within.as_os_str().is_empty() => self.folder.join(within),
            _ => self.folder.clone(),
        }
    }

    /// What differs from the base, if anything changed since the last look, or at the `last` one. Blocks.
    pub(crate) fn look(&self, last: bool) -> Result<Option<Vec<FileDiff>>, String> {
        let Some(git) = &self.git else { return Ok(None) };
        let mut watch = git.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watch) = watch.as_mut() else { return Ok(None) };
        if !watch.poll().map_err(|error| told(&error))? && !last {
            return Ok(None);
        }
        let diff = watch.diff(&DiffOptions::default()).map_err(|error| told(&error))?;
        Ok(Some(diff.files.into_iter().map(file_diff).collect()))
    }

    /// Every file that the step changed. Blocks.
    pub(crate) fn changes(&self) -> Result<Changes, String> {
        let Some(git) = &self.git else { return Ok(Changes::default()) };
        if let Some(before) = &git.before {
            let now = git.repository.checkout_state(&git.checkout).map_err(|error| told(&error))?;
            return Ok(Changes { paths: changed_outside(before, &now) });
        }
        let files = self.look(true)?.unwrap_or_default();
        let names = files.into_iter().flat_map(|file| std::iter::once(file.path).chain(file.old_path));
        Ok(Changes { paths: names.collect() })
    }

    /// What changed in the project's own folder while the step had another. Blocks.
    pub(crate) fn changed_outside(&self) -> Vec<String> {
        let Some((git, before)) = self.git.as_ref().and_then(|git| Some((git, git.project_before.as_ref()?))) else {
            return Vec::new();
        };
        match git.repository.checkout_state(git.repository.project()) {
            Ok(now) => changed_outside(before, &now),
            Err(error) => {
                tracing::warn!(%error, "whether the project's folder changed could not be seen");
                Vec::new()
            }
        }
    }

    /// What the step's branch is at. Blocks.
    pub(crate) fn tip(&self) -> Option<String> {
        self.git.as_ref()?.repository.branch_commit(self.branch.as_deref()?).ok().flatten()
    }

    /// Commits what is there onto the step's branch. Blocks.
    pub(crate) fn commit(&self, message: &str) -> Result<Option<Commit>, String> {
        let Some(git) = self.git.as_ref().filter(|_| self.own && !self.read_only) else { return Ok(None) };
        let text = |error: signalbox_git::Error| told(&error);
        let made = git.repository.commit_all(&git.checkout, message, &author()).map_err(text)?;
        // An agent may have gone on elsewhere: its work belongs on the step's branch, wherever it put it.
        if let Some(branch) = &self.branch {
            git.repository.follow(branch, &git.checkout).map_err(|error| {
                format!("the agent left its branch, and {error}; its work is kept in {}", self.folder.display())
            })?;
        }
        Ok(made.map(|made| Commit {
            hash: made.hash,
            branch: self.branch.clone().or(made.branch).unwrap_or_default(),
            subject: made.subject,
            files: made.files,
            added: made.added,
            removed: made.removed,
            step: None,
        }))
    }
}

fn file_diff(change: FileChange) -> FileDiff {
    let cut = change.patch_bytes > change.patch.len() as u64;
    let mut patch = String::from_utf8_lossy(&change.patch).into_owned();
    if cut {
        patch.push_str("\n... the rest is not shown: the change is too large\n");
    }
    FileDiff {
        // Filled in by who tells it.
        step: StepKey::new("?").unwrap_or_else(|_| unreachable!("a mark is a key")),
        attempt: 0,
        path: change.path,
        old_path: change.old_path,
        status: change.status,
        added: change.added,
        removed: change.removed,
        binary: change.binary,
        patch,
        blob: None,
    }
}
