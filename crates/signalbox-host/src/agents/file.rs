//! A file as it is now where a step works, for somebody who looks over the agent's shoulder.

use std::{
    collections::HashSet,
    fs::File,
    io::Read,
    path::{Component, Path, PathBuf},
};

use signalbox_model::{AgentSession, FileDiff, StepKey};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{FileText, RunFile},
};

use super::workspace::{Worktrees, told};
use crate::{Host, handlers::Reply};

/// The part of a file that is shown, in bytes.
const SHOWN: usize = 1024 * 1024;
/// The largest file of which something is shown when it is read from git.
const STORED: usize = 32 * 1024 * 1024;
/// Where a byte of zero is looked for, as git does.
const HEAD: usize = 8_000;

/// Where a step worked, and what of it may be looked at.
struct Sight {
    project: PathBuf,
    session: AgentSession,
    /// What the step changed, by path; false: it removed it.
    changed: Vec<(String, bool)>,
    /// What its branch was at when it ended.
    head: Option<String>,
}

impl Host {
    pub(crate) async fn file_text(&self, caller: &Caller, params: RunFile) -> Reply<FileText> {
        let run = self.visible_run(caller, &params.run)?;
        let step = self.known_step(&params.run, &params.step)?;
        let attempt = params.attempt.unwrap_or_else(|| u32::try_from(step.attempts.len()).unwrap_or(u32::MAX));
        let missing = || CallError::not_found("file", params.path.chars().take(200).collect::<String>());
        if !is_plain(&params.path) {
            return Err(missing().hint("give a path relative to the repository, with `/` between its names"));
        }
        let sessions = self.read(|reader| reader.agent_sessions(&params.run))?;
        let of_attempt = |step: &StepKey, number: u32| *step == params.step && number == attempt;
        let session = sessions.into_iter().find(|session| of_attempt(&session.step, session.attempt));
        let session = session.ok_or_else(missing)?;
        let changed = self.read(|reader| reader.file_diffs(&params.run, &params.step, attempt))?;
        let sight = Sight {
            project: PathBuf::from(&self.project(caller, &run.project)?.path),
            session,
            changed: changed.iter().map(there).collect(),
            head: step.agent.as_ref().and_then(|agent| agent.head.clone()),
        };
        let (path, services) = (params.path.clone(), std::sync::Arc::clone(&self.inner.services));
        let found = tokio::task::spawn_blocking(move || sight.look(&services.worktrees, &path)).await;
        let found = found.map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping"))?;
        found.map_err(|why| CallError::new(ErrorCode::Unavailable, why))?.ok_or_else(missing)
    }
}

fn there(diff: &FileDiff) -> (String, bool) {
    (diff.path.clone(), diff.status != signalbox_model::FileStatus::Deleted)
}

/// Whether a path has only names, and none of git's own.
fn is_plain(path: &str) -> bool {
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    };
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(plain)
}

impl Sight {
    /// Only what git knows, or would take, is shown: what it ignores may hold secrets that the worktree was given.
    fn look(&self, worktrees: &Worktrees, path: &str) -> Result<Option<FileText>, String> {
        let Some(repository) = worktrees.repository(&self.project)? else { return Ok(None) };
        let text = |error: signalbox_git::Error| told(&error);
        let project = self.project.canonicalize().unwrap_or_else(|_| self.project.clone());
        let within = project.strip_prefix(&repository.project().folder).unwrap_or(Path::new("")).to_owned();
        let folder = PathBuf::from(&self.session.folder);
        let root = folder.ancestors().nth(within.components().count()).unwrap_or(&folder).to_owned();
        let base = match &self.session.base {
            Some(base) => base.clone(),
            None => repository.commit("HEAD").map_err(text)?,
        };
        let known: HashSet<&str> = self.changed.iter().map(|(path, _)| path.as_str()).collect();
        // Agents name files relative to where they work, git relative to the repository.
        let as_named = [PathBuf::from(path), within.join(path)];
        for candidate in as_named.iter().take(if within.as_os_str().is_empty() { 1 } else { 2 }) {
            let Some(name) = candidate.to_str() else { continue };
            let stored = repository.show_file(&base, name, STORED);
            let of_base = match stored {
                Ok(content) => content,
                Err(signalbox_git::Error::TooLarge { .. }) => Some(Vec::new()),
                Err(error) => return Err(told(&error)),
            };
            if of_base.is_none() && !known.contains(name) {
                continue;
            }
            if root.is_dir() {
                return Ok(match read_within(&root, candidate) {
                    Some((bytes, size)) => Some(shown(name, &bytes, size, true)),
                    None => Some(gone(name)),
                });
            }
            let last = match &self.head {
                Some(head) => repository.show_file(head, name, STORED).map_err(text)?,
                None => of_base,
            };
            return Ok(Some(last.map_or_else(|| gone(name), |bytes| shown(name, &bytes, bytes.len() as u64, false))));
        }
        Ok(None)
    }
}

/// The beginning of a file and its size, if it is one and really lies below `root`.
fn read_within(root: &Path, path: &Path) -> Option<(Vec<u8>, u64)> {
    let (root, real) = (root.canonicalize().ok()?, root.join(path).canonicalize().ok()?);
    let known = real.metadata().ok().filter(|known| known.is_file() && real.starts_with(root))?;
    let mut bytes = Vec::new();
    File::open(&real).ok()?.take(SHOWN as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some((bytes, known.len()))
}

fn gone(path: &str) -> FileText {
    FileText { path: path.to_owned(), text: None, bytes: 0, binary: false, truncated: false, missing: true, live: true }
}

fn shown(path: &str, bytes: &[u8], size: u64, live: bool) -> FileText {
    let binary = bytes.iter().take(HEAD).any(|byte| *byte == 0);
    let truncated = bytes.len() > SHOWN || size > bytes.len() as u64;
    let mut part = &bytes[..bytes.len().min(SHOWN)];
    if truncated && let Some(end) = part.iter().rposition(|byte| *byte == b'\n') {
        part = &part[..=end];
    }
    let text = (!binary).then(|| String::from_utf8_lossy(part).into_owned());
    FileText { path: path.to_owned(), text, bytes: size, binary, truncated, missing: false, live }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_make_a_path() {
        for path in ["a", "a/b.txt", "ä/..b", "__proto__"] {
            assert!(is_plain(path), "{path}");
        }
        for path in ["", "/etc/passwd", "../a", "a/../../b", ".git/config", "a/.GIT/x", "a\0b", "."] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_large_file_is_cut_after_a_line_and_a_binary_one_is_not_shown() {
        let line = "0123456789\n".repeat(120_000);
        let cut = shown("a", line.as_bytes(), line.len() as u64, true);
        let text = cut.text.unwrap();
        assert!(cut.truncated && text.ends_with("9\n") && text.len() <= SHOWN && text.len() > SHOWN - 20);
        let binary = shown("a", b"\x7fELF\0\0", 6, true);
        assert!(binary.binary && binary.text.is_none() && !binary.truncated);
    }
}
