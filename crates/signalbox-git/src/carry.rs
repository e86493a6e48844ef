//! Ignored files that a worktree needs to build: `.env`, `node_modules`.
//!
//! Copies share their blocks with the original where the file system can (`std::fs::copy` asks for that on Linux and macOS).
//! A linked folder becomes a real folder with a link to each entry, not one link: `.gitignore` rules that end with `/` do not
//! match a link, so git would commit it; and `npm ci` there would empty the project's own folder through it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::{Changed, Error, Result};
use crate::repository::{Checkout, Repository};
use crate::text;
use crate::worktree::remove_folder;

/// Ignored files to bring along, by a pattern relative to the project: `*` and `?` within a name, `**` for any folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carry {
    /// Copies of their own.
    Copy(String),
    /// The same files, by symbolic links: what is changed in them is changed for the project too.
    Link(String),
}

impl Carry {
    fn pattern(&self) -> &str {
        match self {
            Self::Copy(pattern) | Self::Link(pattern) => pattern,
        }
    }
}

/// Files and folders that patterns are compared with, at most.
const LOOKED_AT: usize = 200_000;

impl Repository {
    /// Brings along what `wanted` names. What is there already stays. Says what was brought, and what was not and why.
    pub(crate) fn carry(&self, to: &Checkout, wanted: &[Carry]) -> Result<(Vec<String>, Vec<String>)> {
        let (mut carried, mut problems) = (Vec::new(), Vec::new());
        if wanted.is_empty() {
            return Ok((carried, problems));
        }
        let from = &self.project.folder;
        let ignored = self.ignored()?;
        let until = Instant::now() + self.git().deadlines().write;
        for item in wanted {
            let parts: Vec<&str> = item.pattern().trim_end_matches('/').split('/').collect();
            if parts.iter().any(|part| part.is_empty() || *part == ".." || *part == "." || *part == ".git") {
                problems.push(format!("{:?} is no pattern relative to the project", item.pattern()));
                continue;
            }
            let mut found = Vec::new();
            let mut budget = LOOKED_AT;
            expand(from, &PathBuf::new(), &parts, &ignored, &mut found, &mut budget);
            if budget == 0 {
                problems.push(format!("{:?} would look at too many files", item.pattern()));
            }
            for path in found {
                // Tracked files are in the worktree anyway; and only what is ignored may be laid beside them.
                if !path.ancestors().any(|above| ignored.contains(above)) {
                    continue;
                }
                if Instant::now() >= until {
                    let (after, stderr) = (self.git().deadlines().write, String::new());
                    let command = "(copying ignored files)".into();
                    return Err(Error::Deadline { command, after, changed: Changed::Maybe, stderr });
                }
                let shown = path.to_string_lossy().replace('\\', "/");
                match bring(&from.join(&path), &to.folder, &path, matches!(item, Carry::Link(_))) {
                    Ok(true) => carried.push(shown),
                    Ok(false) => {}
                    Err(error) => problems.push(format!("{shown}: {error}")),
                }
            }
        }
        Ok((carried, problems))
    }

    /// Ignored files, and folders of which all is ignored.
    fn ignored(&self) -> Result<HashSet<PathBuf>> {
        let call = self
            .call_in(&self.project, ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]);
        let answer = call.deadline(self.git().deadlines().scan).run()?;
        Ok(text::zero_list(&answer.stdout).map(|path| text::to_path(path.strip_suffix(b"/").unwrap_or(path))).collect())
    }
}

/// Adds what matches `parts` below `folder`. `**` does not look into ignored folders: there are the most files.
fn expand(
    root: &Path,
    at: &Path,
    parts: &[&str],
    ignored: &HashSet<PathBuf>,
    found: &mut Vec<PathBuf>,
    budget: &mut usize,
) {
    let Some((part, rest)) = parts.split_first() else {
        if !at.as_os_str().is_empty() {
            found.push(at.to_owned());
        }
        return;
    };
    if *part == "**" {
        expand(root, at, rest, ignored, found, budget);
        if ignored.contains(at) {
            return;
        }
    } else if !part.contains(['*', '?']) {
        let path = at.join(part);
        if root.join(&path).symlink_metadata().is_ok() {
            expand(root, &path, rest, ignored, found, budget);
        }
        return;
    }
    let mut names: Vec<_> = fs::read_dir(root.join(at)).into_iter().flatten().flatten().collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let name = entry.file_name();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if name == ".git" {
            continue;
        }
        if *part == "**" {
            if folder {
                expand(root, &at.join(&name), parts, ignored, found, budget);
            }
        } else if matches(part.as_bytes(), name.to_string_lossy().as_bytes()) && (folder || rest.is_empty()) {
            expand(root, &at.join(&name), rest, ignored, found, budget);
        }
    }
}

/// `*` and `?` in one name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|n| matches(rest, name.get(n..).unwrap_or_default())),
        (Some((b'?', rest)), Some((_, name))) => matches(rest, name),
        (Some((a, rest)), Some((b, name))) => a == b && matches(rest, name),
        _ => false,
    }
}

/// Brings one file or folder; `false` if something is there already.
fn bring(from: &Path, root: &Path, path: &Path, link: bool) -> std::io::Result<bool> {
    let to = root.join(path);
    if to.symlink_metadata().is_ok() {
        return Ok(false);
    }
    // A link among the folders above would lead out of the worktree.
    let mut above = root.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        above.push(part);
        match above.symlink_metadata() {
            Ok(data) if data.is_dir() => {}
            Ok(_) => return Err(std::io::Error::other("a file is in the place of a folder")),
            Err(_) => fs::create_dir(&above)?,
        }
    }
    // Beside the worktree, so that a crash leaves nothing half copied in it.
    let mut begun = root.as_os_str().to_owned();
    begun.push(".carrying");
    let begun = PathBuf::from(begun);
    remove_folder(&begun).map_err(std::io::Error::other)?;
    if link {
        link_to(from, &begun)?
    } else {
        copy(from, &begun)?
    }
    fs::rename(&begun, &to)?;
    Ok(true)
}

fn link_to(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.symlink_metadata()?.is_dir() {
        return symlink(from, to);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        symlink(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_symlink() {
        return symlink(&fs::read_link(from)?, to);
    }
    if kind.is_file() {
        return fs::copy(from, to).map(drop);
    }
    if !kind.is_dir() {
        // Sockets and pipes belong to the program that made them.
        return Ok(());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    if target.is_dir() {
        std::os::windows::fs::symlink_dir(target, link)
    } else {
        std::os::windows::fs::symlink_file(target, link)
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name) in [("*", "x"), (".env*", ".env.local"), ("?a*z", "baz"), ("a*", "a"), ("*.b*", "a.b.c")] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "b"), ("?", ""), ("*.x", "x"), ("a?", "a")] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
