//! What a checkout holds that its commit does not.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::repository::{Checkout, Head, Repository};
use crate::text;

/// A file that is not as the commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, relative to the repository.
    pub path: String,
    /// As git writes it: two letters for index and working tree, `??` for a file git does not know.
    pub code: String,
}

/// All such files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// In git's order.
    pub entries: Vec<Entry>,
}

impl Status {
    /// The files' names.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.entries.iter().map(|e| e.path.clone()).collect()
    }
}

/// A file's traits that change with its content: length, time of change, identity.
type Stamp = Option<(u64, Duration, u64)>;

/// What a checkout looked like at one moment, to be compared with a later look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutState {
    /// What it was on.
    pub head: Head,
    dirty: BTreeMap<String, (String, Stamp)>,
}

impl Repository {
    /// Files of `checkout` that are not as its commit says, those that git does not know included, ignored ones not.
    ///
    /// # Errors
    /// If git fails.
    pub fn status(&self, checkout: &Checkout) -> Result<Status> {
        let raw = self.raw_status(checkout)?;
        let entries = raw.into_iter().map(|(code, path)| Entry { path: text::path_text(&path), code }).collect();
        Ok(Status { entries })
    }

    /// Whether `checkout` is as its commit says, and has no file that git does not know.
    ///
    /// # Errors
    /// If git fails.
    pub fn is_clean(&self, checkout: &Checkout) -> Result<bool> {
        Ok(self.raw_status(checkout)?.is_empty())
    }

    /// What `checkout` looks like now: HEAD, and each file that differs from it with its length and time. About 0.1 s for
    /// 50,000 files. [`changed_outside`] compares two of these.
    ///
    /// # Errors
    /// If git fails.
    pub fn checkout_state(&self, checkout: &Checkout) -> Result<CheckoutState> {
        let head = self.head(checkout)?;
        let mut dirty = BTreeMap::new();
        for (code, path) in self.raw_status(checkout)? {
            let stamp = stamp(&checkout.folder.join(text::to_path(&path)));
            dirty.insert(text::path_text(&path), (code, stamp));
        }
        Ok(CheckoutState { head, dirty })
    }

    /// Code and path of each entry. Version 1 of the format, without renames: code, blank, path.
    pub(crate) fn raw_status(&self, checkout: &Checkout) -> Result<Vec<(String, Vec<u8>)>> {
        let call = self.call_in(checkout, ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"]);
        let answer = call.args(["--ignore-submodules=none"]).deadline(self.git().deadlines().scan).run()?;
        text::zero_list(&answer.stdout)
            .map(|record| match record.split_at_checked(3) {
                Some((code, path)) => Ok((text::path_text(code.get(..2).unwrap_or_default()), path.to_vec())),
                None => Err(Error::Unreadable { command: "status".into(), what: text::path_text(record) }),
            })
            .collect()
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let data = path.symlink_metadata().ok()?;
    let time = data.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&data);
    #[cfg(not(unix))]
    let identity = 0;
    Some((data.len(), time, identity))
}

/// What changed in a checkout between two looks at it: names of files, and `HEAD` if it moved. For the project's own folder
/// while an agent works in a worktree elsewhere: whatever is named here was changed by a person, or by an agent that left its
/// worktree.
#[must_use]
pub fn changed_outside(before: &CheckoutState, after: &CheckoutState) -> Vec<String> {
    let mut changed = Vec::new();
    if before.head != after.head {
        changed.push("HEAD".to_owned());
    }
    for (path, now) in &after.dirty {
        if before.dirty.get(path) != Some(now) {
            changed.push(path.clone());
        }
    }
    changed.extend(before.dirty.keys().filter(|path| !after.dirty.contains_key(*path)).cloned());
    changed
}
