//! What a working tree holds, without disturbing who works in it.
//!
//! A snapshot is made with an index and an object store of its own, in the checkout's git directory under `signalbox`: the
//! agent's index is neither locked nor written, and nothing of what only lay around gets into the repository. The private
//! index keeps what git knows about unchanged files, so that a look at a tree in which nothing happened reads no file. And
//! it is the reason why a snapshot is one state: file list, counts and patches all come from what was read once.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::diff::{Diff, DiffOptions, DiffReader};
use crate::error::{Error, Result};
use crate::repository::{Checkout, Repository};
use crate::run::Call;
use crate::text;
use crate::turn::Turn;

/// Above this many bytes the private objects are thrown away and made anew.
const OBJECTS_KEPT: u64 = 256 * 1024 * 1024;

/// Looks at a checkout again and again. Several may look at the same one; they wait for each other.
#[derive(Debug)]
pub struct Watch {
    repository: Repository,
    checkout: Checkout,
    base: String,
    scratch: PathBuf,
    turn: Arc<Turn>,
    index: Option<IndexStamp>,
    tree: Option<String>,
    unread: Option<String>,
}

type IndexStamp = (u64, SystemTime, u64);

impl Repository {
    /// Begins to watch `checkout` for changes against the commit `base`.
    ///
    /// # Errors
    /// If there is no such commit.
    pub fn watch(&self, checkout: &Checkout, base: &str) -> Result<Watch> {
        let scratch = checkout.git_dir.join("signalbox");
        Ok(Watch {
            repository: self.clone(),
            checkout: checkout.clone(),
            base: self.commit(base)?,
            turn: Turn::of(&scratch),
            scratch,
            index: None,
            tree: None,
            unread: None,
        })
    }

    /// All changes in `checkout` against the commit `base`, committed or not, files that git does not know included,
    /// ignored ones not. Does not touch the checkout's index.
    ///
    /// # Errors
    /// If there is no such commit, or git fails.
    pub fn diff(&self, checkout: &Checkout, base: &str, options: &DiffOptions) -> Result<Diff> {
        self.watch(checkout, base)?.diff(options)
    }
}

impl Watch {
    /// Looks; whether anything changed since the last look, or it is the first one. Costs about 0.1 s for 50,000 files in
    /// which nothing happened.
    ///
    /// # Errors
    /// If git fails.
    pub fn poll(&mut self) -> Result<bool> {
        let _turn = self.turn.take(self.repository.git().deadlines().scan)?;
        self.look_again()
    }

    /// The tree that the last look found. Equal trees have equal files.
    #[must_use]
    pub fn tree(&self) -> Option<&str> {
        self.tree.as_deref()
    }

    /// Looks, and says what differs from the base.
    ///
    /// # Errors
    /// If git fails.
    pub fn diff(&mut self, options: &DiffOptions) -> Result<Diff> {
        let _turn = self.turn.take(self.repository.git().deadlines().scan)?;
        self.look_again()?;
        match self.read_diff(options) {
            // The agent may have tidied up the repository, and with it what its index once named.
            Err(Error::Refused { .. }) => {
                self.reset()?;
                self.look()?;
                self.read_diff(options)
            }
            answer => answer,
        }
    }

    fn look_again(&mut self) -> Result<bool> {
        match self.look() {
            Err(Error::Refused { .. }) => {
                self.reset()?;
                self.look()
            }
            answer => answer,
        }
    }

    fn look(&mut self) -> Result<bool> {
        self.prepare()?;
        let add = self.call(["add", "--all", "--ignore-errors"]).writes();
        // One process that reads names and times is enough: an agent is at work on the same machine.
        let add = add.setting("core.preloadIndex=false").setting("core.bigFileThreshold=16m");
        let add = add.setting("core.looseCompression=0").setting("core.fsync=none");
        // 1: some file could not be read; all others are in.
        let answer = add.deadline(self.repository.git().deadlines().scan).run_for(&[0, 1])?;
        self.unread = (answer.code != 0).then_some(answer.stderr);
        let stamp = index_stamp(&self.index_file());
        if stamp.is_some() && stamp == self.index && self.tree.is_some() {
            return Ok(false);
        }
        let tree = self.call(["write-tree"]).writes().deadline(self.repository.git().deadlines().scan).run()?;
        let tree = Some(text::line(&tree.stdout));
        self.index = index_stamp(&self.index_file());
        if tree == self.tree {
            return Ok(false);
        }
        self.tree = tree;
        Ok(true)
    }

    fn read_diff(&self, options: &DiffOptions) -> Result<Diff> {
        let call = self.call(["diff-index", "--cached", "--raw", "--numstat", "--patch", "-z", "--full-index"]);
        let call =
            call.args(["--no-abbrev", "--find-renames", "-l2000", "--no-ext-diff", "--no-textconv", "--no-color"]);
        let call = call.args(["--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"]);
        let call = call.args([
            "--no-indent-heuristic",
            "--diff-algorithm=histogram",
            "--inter-hunk-context=0",
            "--no-relative",
        ]);
        let call = if options.binary { call.arg("--binary") } else { call };
        let call = call.arg(format!("--unified={}", options.context)).arg(&self.base).arg("--");
        let mut reader = DiffReader::new(options);
        call.deadline(self.repository.git().deadlines().scan).stream(&mut |piece| reader.push(piece))?;
        reader.finish(self.tree.clone().unwrap_or_default(), self.unread.clone())
    }

    fn index_file(&self) -> PathBuf {
        self.scratch.join("index")
    }

    /// A call with the private index and the private objects.
    fn call<'a, const N: usize>(&'a self, arguments: [&str; N]) -> Call<'a> {
        let call = self.repository.call_in(&self.checkout, arguments);
        call.variable("GIT_INDEX_FILE", self.index_file())
            .variable("GIT_OBJECT_DIRECTORY", self.scratch.join("objects"))
            .variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&self.repository.common_dir().join("objects")))
    }

    fn prepare(&mut self) -> Result<()> {
        if self.tree.is_none() && size(&self.scratch.join("objects")) > OBJECTS_KEPT {
            self.reset()?;
        }
        let objects = self.scratch.join("objects");
        fs::create_dir_all(&objects).map_err(Error::reading(format!("making {}", objects.display())))?;
        // It is our turn, so this is what a crash left behind.
        remove_file(&self.scratch.join("index.lock"))?;
        if self.index_file().exists() {
            return Ok(());
        }
        let begun = self.scratch.join("index.new");
        if copy_index(&self.checkout.git_dir.join("index"), &begun)? {
            fs::rename(&begun, self.index_file()).map_err(Error::reading("starting an index"))?;
            if !self.hides_files()? {
                return Ok(());
            }
            remove_file(&self.index_file())?;
        }
        self.call(["read-tree", &self.base]).writes().deadline(self.repository.git().deadlines().scan).run().map(drop)
    }

    /// Whether the index tells git not to look at some files (`update-index --assume-unchanged`). An agent could hide
    /// changes that way; a sparse checkout has a right to it.
    fn hides_files(&self) -> Result<bool> {
        let sparse = self.repository.is_sparse(&self.checkout)?;
        let answer = self.call(["ls-files", "-v", "-z"]).deadline(self.repository.git().deadlines().scan).run()?;
        let hides = |tag: &u8| tag.is_ascii_lowercase() || (*tag == b'S' && !sparse);
        Ok(text::zero_list(&answer.stdout).any(|entry| entry.first().is_some_and(hides)))
    }

    fn reset(&mut self) -> Result<()> {
        self.index = None;
        self.tree = None;
        remove_file(&self.index_file())?;
        match fs::remove_dir_all(self.scratch.join("objects")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::reading("clearing private objects")(e)),
            _ => Ok(()),
        }
    }
}

/// Copies an index with its time: git takes a file as unchanged only if it is older than the index. `false` if there is none.
pub(crate) fn copy_index(from: &Path, to: &Path) -> Result<bool> {
    let time = match fs::metadata(from).and_then(|data| data.modified()) {
        Ok(time) => time,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::reading("reading the index")(e)),
    };
    fs::copy(from, to).map_err(Error::reading("copying the index"))?;
    let file = fs::File::options().write(true).open(to).map_err(Error::reading("copying the index"))?;
    // If it was replaced in between its content is newer than this time, which only costs a look into more files.
    file.set_modified(time).map_err(Error::reading("copying the index"))?;
    Ok(true)
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::reading(format!("removing {}", path.display()))(e))
        }
        _ => Ok(()),
    }
}

fn index_stamp(path: &Path) -> Option<IndexStamp> {
    let data = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&data);
    #[cfg(not(unix))]
    let identity = 0;
    Some((data.len(), data.modified().ok()?, identity))
}

/// Bytes in a folder of objects: two levels of files.
fn size(folder: &Path) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    entries(folder)
        .flat_map(|e| entries(&e.path()).collect::<Vec<_>>())
        .filter_map(|e| e.metadata().ok())
        .map(|d| d.len())
        .sum()
}

/// A path for a list that is separated by colons.
fn quoted(path: &Path) -> OsString {
    let text = text::path_bytes(path);
    if !text.iter().any(|b| matches!(b, b':' | b';' | b'"' | b'\\' | b'\n') || !b.is_ascii()) {
        return path.as_os_str().to_owned();
    }
    if cfg!(windows) {
        return path.as_os_str().to_owned();
    }
    let mut quoted = String::from("\"");
    for byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            other => quoted.push_str(&format!("\\{other:03o}")),
        }
    }
    quoted.push('"');
    OsString::from(quoted)
}
