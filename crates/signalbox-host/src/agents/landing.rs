//! Steps that do something in git, above all landing: one at a time for each branch, verified on the merged tree.

use std::{path::PathBuf, sync::Arc};

use signalbox_engine::{Input, Outcome, Phase};
use signalbox_git::{Carry, Checkout, Error, Merge, MergeRequest, Removal, Repository};
use signalbox_model::{Commit, EventData, Evidence, FailureCause, GoalVerdict, Severity};
use signalbox_workflow::{definition::GitAction, plan::Check};

use super::{
    Services,
    workspace::{MERGED, Place, Theirs, author, told},
};
use crate::{execute::Job, script::Draft};

/// How often a merge is made anew because the branch moved meanwhile.
const TRIES: u32 = 10;

type Checks = Vec<(Check, Result<Draft, String>)>;

/// The goal of the run and its checks.
pub(crate) struct Goal {
    pub(crate) statement: String,
    pub(crate) accept: Checks,
}

/// What the engine's loop hands over for a git step.
pub(crate) struct Prepared {
    pub(crate) action: GitAction,
    pub(crate) project: PathBuf,
    pub(crate) sources: Vec<Theirs>,
    pub(crate) message: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) into: Option<String>,
    pub(crate) checks: Checks,
    pub(crate) goal: Option<Goal>,
    /// What git ignores and a worktree needs.
    pub(crate) carry: Vec<Carry>,
    pub(crate) run_number: u64,
    pub(crate) workflow: String,
}

type Failed = (FailureCause, String);

fn git(error: impl std::fmt::Display) -> Failed {
    (FailureCause::Git, error.to_string())
}

fn refused(error: Error) -> Failed {
    git(told(&error))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failed> + Send + 'static) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err((FailureCause::Infra, "the host is stopping".to_owned())))
}

/// Does a git step and tells the engine.
pub(crate) async fn run(job: Job, prepared: Prepared, services: Arc<Services>) {
    let at = job.at.clone();
    job.tell(Input::Started { at: at.clone(), process: None }).await;
    let task = Task { job, prepared, services };
    let outcome = match task.act().await {
        Ok(outputs) => Outcome { code: Some(0), outputs, ..Outcome::default() },
        Err(failure) => Outcome { failure: Some(failure), ..Outcome::default() },
    };
    task.job.tell(Input::Finished { at, outcome }).await;
}

struct Task {
    job: Job,
    prepared: Prepared,
    services: Arc<Services>,
}

/// What would land: merges, each onto the one before.
struct Landing {
    /// Where the branch was.
    base: String,
    /// What it will be at.
    last: String,
    merges: Vec<Commit>,
}

type Outputs = indexmap::IndexMap<String, serde_json::Value>;

/// `commits` are the merges, oldest first; none: all of it was there already.
fn outputs(into: &str, merges: &[Commit]) -> Outputs {
    let hashes: Vec<serde_json::Value> = merges.iter().map(|merge| merge.hash.as_str().into()).collect();
    Outputs::from([
        ("branch".to_owned(), into.into()),
        ("commit".to_owned(), hashes.last().cloned().unwrap_or_default()),
        ("commits".to_owned(), hashes.into()),
    ])
}

impl Task {
    async fn act(&self) -> Result<Outputs, Failed> {
        let (services, project) = (Arc::clone(&self.services), self.prepared.project.clone());
        let repository = blocking(move || services.worktrees.repository(&project).map_err(git)).await?;
        let repository =
            repository.ok_or_else(|| git(format!("{} is in no git repository", self.prepared.project.display())))?;
        match self.prepared.action {
            GitAction::Merge => self.merge(&repository).await,
            GitAction::Commit => self.commit().await,
            GitAction::Tag | GitAction::Branch => self.name(&repository).await,
        }
    }

    /// The branch that work lands on: the named one, else what is checked out in the project.
    async fn into(&self, repository: &Repository) -> Result<String, Failed> {
        if let Some(into) = &self.prepared.into {
            return Ok(into.clone());
        }
        let there = repository.clone();
        let head = blocking(move || there.head(there.project()).map_err(refused)).await?;
        head.branch.ok_or_else(|| git("the project is on no branch: check one out, or name one with `into`"))
    }

    async fn merge(&self, repository: &Repository) -> Result<Outputs, Failed> {
        if self.prepared.sources.is_empty() {
            return Err(git("there is no work to merge: no agent with a worktree comes before this step"));
        }
        let into = self.into(repository).await?;
        let turn = self.services.worktrees.turn(repository, &into);
        // Landings on one branch wait for each other, so that each is verified on what the one before left.
        let _turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                let reason = Some(format!("waits for another landing on {into}"));
                self.job.tell(Input::Phase { at: self.job.at.clone(), phase: Phase::Working, reason }).await;
                turn.lock().await
            }
        };
        for _ in 0..TRIES {
            let Some(landing) = self.prepare(repository, &into).await? else { return Ok(outputs(&into, &[])) };
            if let Some(merges) = self.land(repository, &into, landing).await? {
                return Ok(outputs(&into, &merges));
            }
            // Somebody committed meanwhile: merged and verified again, on what is there now.
        }
        Err(git(format!("{into} moved {TRIES} times while the merge was verified; nothing was landed")))
    }

    fn message(&self, source: &Theirs) -> String {
        self.prepared.message.clone().unwrap_or_else(|| {
            format!("Merge {} of {} #{}", source.step, self.prepared.workflow, self.prepared.run_number)
        })
    }

    /// Merges the work of all sources, one onto the other, without touching the branch; none if all of it is there.
    async fn prepare(&self, repository: &Repository, into: &str) -> Result<Option<Landing>, Failed> {
        let mut landing: Option<Landing> = None;
        for source in &self.prepared.sources {
            if !self.is_there(repository, into, source).await? {
                continue;
            }
            let message = self.message(source);
            let wanted = MergeRequest {
                into: into.to_owned(),
                onto: landing.as_ref().map(|landing| landing.last.clone()),
                from: source.branch.clone(),
                squash: false,
                message: format!("{message}\n"),
                author: author(),
            };
            let there = repository.clone();
            match blocking(move || there.merge(&wanted).map_err(refused)).await? {
                Merge::UpToDate { .. } => {}
                Merge::Conflicts { files, messages, .. } => {
                    let before = landing.take().map(|landing| landing.merges).unwrap_or_default();
                    let failed = self.conflict(source, into, &before, &files, &messages).await;
                    self.forget(repository, &before).await?;
                    return Err(failed);
                }
                Merge::Merged { base, commit, files, added, removed, .. } => {
                    let landing =
                        landing.get_or_insert_with(|| Landing { base, last: String::new(), merges: Vec::new() });
                    landing.last.clone_from(&commit);
                    let subject = message.lines().next().unwrap_or_default().to_owned();
                    let step = Some(source.step.clone());
                    let branch = into.to_owned();
                    landing.merges.push(Commit { hash: commit, branch, subject, files, added, removed, step });
                }
            }
        }
        Ok(landing)
    }

    /// Verifies what would land, and lets all of it land at once or nothing; none if the branch has moved meanwhile.
    async fn land(&self, repository: &Repository, into: &str, landing: Landing) -> Result<Option<Vec<Commit>>, Failed> {
        let Landing { base, last, merges } = landing;
        if let Err(failed) = self.verify(repository, &base, &last).await {
            self.forget(repository, &merges).await?;
            return Err(failed);
        }
        let (there, branch) = (repository.clone(), into.to_owned());
        let landed = blocking(move || Ok(there.land(&branch, &base, &last))).await?;
        self.forget(repository, &merges).await?;
        match landed {
            Ok(_) => {
                let events = merges.iter().map(|commit| self.job.of_project(EventData::Commit(commit.clone())));
                self.job.append_all(events.collect()).await;
                Ok(Some(merges))
            }
            Err(Error::Moved { .. }) => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    /// What landed is held by its branch, and what did not need not be held.
    async fn forget(&self, repository: &Repository, merges: &[Commit]) -> Result<(), Failed> {
        let (there, hashes) = (repository.clone(), merges.iter().map(|merge| merge.hash.clone()).collect::<Vec<_>>());
        blocking(move || hashes.iter().try_for_each(|hash| there.forget_merge(hash).map_err(refused))).await
    }

    /// Whether there is something to land. What commands left in the step's folder is committed first; and a branch that is
    /// gone is fine if all of it is in already.
    async fn is_there(&self, repository: &Repository, into: &str, source: &Theirs) -> Result<bool, Failed> {
        let (there, into, source) = (repository.clone(), into.to_owned(), source.clone());
        blocking(move || {
            if let Some(checkout) = there.worktree_of(&source.branch).map_err(refused)? {
                let message = format!("{}: what was added after it\n", source.step);
                there.commit_all(&checkout, &message, &author()).map_err(refused)?;
                return Ok(true);
            }
            if there.branch_commit(&source.branch).map_err(refused)?.is_some() {
                return Ok(true);
            }
            let landed = |head: &String| there.contains(&format!("refs/heads/{into}"), head).unwrap_or(false);
            if source.head.as_ref().is_some_and(landed) {
                return Ok(false);
            }
            Err(git(format!("the branch {} is gone; let step {} run again", source.branch, source.step)))
        })
        .await
    }

    async fn conflict(
        &self,
        source: &Theirs,
        into: &str,
        before: &[Commit],
        files: &[String],
        messages: &str,
    ) -> Failed {
        let list = files.join(", ");
        let others: Vec<&str> = before.iter().filter_map(|merge| Some(merge.step.as_ref()?.as_str())).collect();
        let with = match others.as_slice() {
            [] => into.to_owned(),
            others => format!("{into} and the work of {}", others.join(", ")),
        };
        let why = format!("the work of {} conflicts with {with} in {list}", source.step);
        let advice = format!(
            "nothing was landed and nothing was lost: merge branch {} by hand, or let the step run again on what {into} is now",
            source.branch
        );
        self.risk("conflict", why.clone(), messages, &advice).await;
        (FailureCause::Git, format!("{why}; {advice}"))
    }

    async fn risk(&self, kind: &str, title: String, evidence: &str, advice: &str) {
        self.job.append_all(vec![risk(&self.job, kind, title, evidence, advice)]).await;
    }

    /// The step's checks and the goal's, on the merged tree, in a folder of its own.
    async fn verify(&self, repository: &Repository, base: &str, commit: &str) -> Result<(), Failed> {
        if self.prepared.checks.is_empty() && self.prepared.goal.is_none() {
            return Ok(());
        }
        let phase = |phase, reason: Option<&str>| Input::Phase {
            at: self.job.at.clone(),
            phase,
            reason: reason.map(str::to_owned),
        };
        self.job.tell(phase(Phase::Checking, Some("checks the merged tree"))).await;
        let folder =
            self.services.worktrees.root().join(MERGED).join(format!("{}-{}", self.job.at.run, self.job.at.step));
        let (there, of, carry) = (repository.clone(), commit.to_owned(), self.prepared.carry.clone());
        let checkout = blocking(move || there.check_out(&of, &folder, &carry).map_err(refused)).await?;
        let result = self.verify_in(repository, &checkout, base).await;
        let there = repository.clone();
        blocking(move || {
            let removal =
                Removal { delete_branch: false, merged_into: None, force: Some("the merged tree was verified") };
            there.remove_worktree(&checkout.folder, removal).map_err(refused)
        })
        .await?;
        self.job.tell(phase(Phase::Working, None)).await;
        result
    }

    async fn verify_in(&self, repository: &Repository, checkout: &Checkout, base: &str) -> Result<(), Failed> {
        let (there, at, from) = (repository.clone(), checkout.clone(), base.to_owned());
        let changed = blocking(move || {
            let diff = there.diff(&at, &from, &signalbox_git::DiffOptions::default()).map_err(refused)?;
            Ok(diff.files.into_iter().flat_map(|f| std::iter::once(f.path).chain(f.old_path)).collect::<Vec<_>>())
        })
        .await?;
        let project = self.prepared.project.canonicalize().unwrap_or_else(|_| self.prepared.project.clone());
        let within = project.strip_prefix(&repository.project().folder).map(ToOwned::to_owned).unwrap_or_default();
        let folder = checkout.folder.join(within);
        let checks = moved(&self.prepared.checks, &folder);
        self.job.verify(&folder, checks, &changed).await.map_err(|why| {
            (FailureCause::Verify, format!("the merged tree does not pass: {why}; nothing was landed"))
        })?;
        let Some(goal) = &self.prepared.goal else { return Ok(()) };
        check_goal(&self.job, goal, &folder, &changed, true).await.map_err(|why| (FailureCause::Verify, why))
    }

    async fn commit(&self) -> Result<Outputs, Failed> {
        let Some(source) = self.prepared.sources.first() else {
            return Err(git("there is no work to commit: no agent with a worktree comes before this step"));
        };
        let message = self.prepared.message.clone().unwrap_or_else(|| format!("Work of {}", source.step));
        let place = Place {
            project: self.prepared.project.clone(),
            isolation: signalbox_workflow::definition::Isolation::Worktree,
            sources: Vec::new(),
            shared: Some(source.clone()),
            before: None,
            attempt: 1,
            carry: Vec::new(),
        };
        let (services, run, key) = (Arc::clone(&self.services), self.job.at.run.clone(), self.job.key.clone());
        let made = blocking(move || {
            let workspace = services.worktrees.make(&place, &run, &key).map_err(git)?;
            workspace.commit(&format!("{message}\n")).map_err(git)
        })
        .await?;
        let Some(commit) = made else { return Ok(Outputs::new()) };
        let hash = commit.hash.clone();
        let data = Commit { step: Some(self.job.key.clone()), ..commit };
        self.job.append_all(vec![self.job.of_project(EventData::Commit(data))]).await;
        Ok(Outputs::from([("commit".to_owned(), hash.into())]))
    }

    async fn name(&self, repository: &Repository) -> Result<Outputs, Failed> {
        let name = self.prepared.name.clone().unwrap_or_default();
        let (there, action, message) = (repository.clone(), self.prepared.action, self.prepared.message.clone());
        let at = match (self.prepared.sources.first(), &self.prepared.into) {
            (Some(source), _) => source.branch.clone(),
            (None, Some(into)) => into.clone(),
            (None, None) => "HEAD".to_owned(),
        };
        let commit = blocking(move || {
            let commit = match there.branch_commit(&at) {
                Ok(Some(commit)) => commit,
                _ => there.commit(&at).map_err(refused)?,
            };
            match action {
                GitAction::Tag => {
                    let author = author();
                    let message = message.map(|message| format!("{message}\n"));
                    there.tag(&name, &commit, message.as_deref().map(|message| (message, &author))).map_err(refused)?;
                }
                _ => there.create_branch(&name, &commit).map_err(refused)?,
            }
            Ok(commit)
        })
        .await?;
        Ok(Outputs::from([("commit".to_owned(), commit.into())]))
    }
}

fn moved(checks: &Checks, folder: &std::path::Path) -> Checks {
    let to = |draft: &Result<Draft, String>| draft.clone().map(|draft| draft.moved_to(folder));
    checks.iter().map(|(check, draft)| (check.clone(), to(draft))).collect()
}

fn risk(job: &Job, kind: &str, title: String, evidence: &str, advice: &str) -> signalbox_model::NewEvent {
    job.of_project(EventData::RiskAlert(job.risk(kind, Severity::Critical, title, evidence, advice)))
}

/// Whether the goal is reached, as an event with its evidence. `before_landing` says what a "no" prevents.
async fn check_goal(
    job: &Job,
    goal: &Goal,
    folder: &std::path::Path,
    changed: &[String],
    before_landing: bool,
) -> Result<(), String> {
    let mut evidence = Vec::new();
    for (check, draft) in moved(&goal.accept, folder) {
        let began = job.clock.now();
        let (what, verdict) = job.check(folder, &check, draft, changed).await;
        let passed = verdict.is_ok();
        let duration_ms = u64::try_from(job.clock.now() - began).unwrap_or(0);
        evidence.push(Evidence {
            what,
            passed,
            detail: verdict.err().unwrap_or_else(|| "it held".into()),
            duration_ms,
        });
        if !passed {
            break;
        }
    }
    let passed = evidence.iter().all(|evidence| evidence.passed);
    let last = evidence.last().cloned();
    let verdict = GoalVerdict {
        statement: goal.statement.clone(),
        step: before_landing.then(|| job.key.clone()),
        passed,
        evidence,
    };
    let mut events = vec![job.of_project(EventData::GoalCheck(verdict))];
    let mut result = Ok(());
    if let Some(last) = last.filter(|last| !last.passed) {
        let why = format!("the goal is not reached: `{}`: {}", last.what, last.detail);
        let advice = if before_landing {
            "nothing was landed; look at the work, then let its step run again"
        } else {
            "look at the work; if something of it was landed, that can be reverted"
        };
        events.push(risk(job, "goal", why.clone(), &last.detail, advice));
        result = Err(format!("{why}; {advice}"));
    }
    job.append_all(events).await;
    result
}

/// The step that checks the goal when everything else is done.
pub(crate) async fn run_goal(job: Job, place: Option<Place>, project: PathBuf, goal: Goal, services: Arc<Services>) {
    let at = job.at.clone();
    job.tell(Input::Started { at: at.clone(), process: None }).await;
    let folder = match place {
        None => Ok(project),
        Some(place) => {
            let (run, key) = (job.at.run.clone(), job.key.clone());
            blocking(move || services.worktrees.make(&place, &run, &key).map_err(git)).await.map(|made| made.folder)
        }
    };
    let result = match folder {
        Ok(folder) => check_goal(&job, &goal, &folder, &[], false).await.map_err(|why| (FailureCause::Verify, why)),
        Err(failed) => Err(failed),
    };
    let outcome = match result {
        Ok(()) => Outcome::success(),
        Err(failure) => Outcome { failure: Some(failure), ..Outcome::default() },
    };
    job.tell(Input::Finished { at, outcome }).await;
}
