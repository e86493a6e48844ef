//! Sessions, kept in small files so that another process can go on with them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its mode.
    pub(super) mode: String,
    /// How often each scene played.
    pub(super) plays: Vec<u32>,
    /// Prompts so far.
    pub(super) prompts: u32,
    /// Tool calls so far: their ids are unique in the session.
    pub(super) calls: u64,
    /// What it cost so far in US dollars.
    pub(super) usd: f64,
    /// What was said, for a client that loads the session.
    pub(super) said: Vec<Said>,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    /// The person said it.
    pub(super) by_user: bool,
    pub(super) text: String,
}

/// Things said that are kept at most, and bytes of each.
const SAID: usize = 200;
const BYTES: usize = 4096;

impl Kept {
    pub(super) fn say(&mut self, by_user: bool, text: &str) {
        if self.said.len() >= SAID {
            self.said.remove(0);
        }
        self.said.push(Said { by_user, text: crate::limits::head(text, BYTES).to_owned() });
    }
}

/// The file of a session; none if the id is not one of ours.
fn file(folder: &Path, session: &str) -> Option<PathBuf> {
    let fits = session.starts_with("rehearsal-") && session.len() < 100;
    let plain = session.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (fits && plain).then(|| folder.join(format!("{session}.json")))
}

/// A session that was kept.
pub(super) fn load(folder: Option<&Path>, session: &str) -> Option<Kept> {
    let text = std::fs::read(file(folder?, session)?).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps a session. If that is not possible it cannot be resumed, and all else goes on.
pub(super) fn save(folder: Option<&Path>, session: &str, kept: &Kept) {
    let Some((folder, file)) = folder.and_then(|folder| Some((folder, file(folder, session)?))) else { return };
    let write = || {
        std::fs::create_dir_all(folder)?;
        let new = file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&new, serde_json::to_vec(kept)?)?;
        std::fs::rename(&new, &file)
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "the session could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/er");
        let mut kept = Kept { mode: "auto".into(), prompts: 3, ..Kept::default() };
        for n in 0..=SAID {
            kept.say(true, &n.to_string());
        }
        assert_eq!((kept.said.len(), kept.said[0].text.as_str()), (SAID, "1"));
        save(Some(&folder), "rehearsal-1", &kept);
        assert_eq!(load(Some(&folder), "rehearsal-1"), Some(kept));
        std::fs::write(folder.join("rehearsal-2.json"), "{").unwrap();
        for other in ["rehearsal-2", "rehearsal-3", "../rehearsal-1", "rehearsal-/../rehearsal-1", ""] {
            assert_eq!(load(Some(&folder), other), None, "{other}");
        }
        save(Some(Path::new("/proc/no")), "rehearsal-1", &Kept::default());
    }
}
