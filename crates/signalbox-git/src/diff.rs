//! Differences: one call of git, read as it comes, with bounds for each file and for all.

use signalbox_model::FileStatus;

use crate::error::{Error, Result};
use crate::text;

/// What a difference is to contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffOptions {
    /// Unchanged lines around each change: 3.
    pub context: u32,
    /// Bytes kept of each file's patch: 1 MiB.
    pub file_limit: usize,
    /// Bytes kept of all patches: 32 MiB.
    pub limit: usize,
    /// Files that are listed: 10,000.
    pub files: usize,
    /// Patches of binary files hold their content, so that they can be applied.
    pub binary: bool,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { context: 3, file_limit: 1024 * 1024, limit: 32 * 1024 * 1024, files: 10_000, binary: false }
    }
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A file.
    File,
    /// A file that can be run.
    Executable,
    /// A symbolic link.
    Link,
    /// A repository within: a submodule, or one that somebody made or cloned there.
    Repository,
}

/// How a file differs from the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file, relative to the repository.
    pub path: String,
    /// Its name before, if it was renamed.
    pub old_path: Option<String>,
    /// What happened to it.
    pub status: FileStatus,
    /// What it is now; `None` if it is gone.
    pub mode: Option<Mode>,
    /// What it was; `None` if it is new.
    pub old_mode: Option<Mode>,
    /// Git's hash of what it is now; zeros if it is gone. Equal hashes are equal contents.
    pub hash: String,
    /// Git's hash of what it was.
    pub old_hash: String,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// It is not text.
    pub binary: bool,
    /// The change in unified form, or its beginning. As the files have it: not always UTF-8.
    pub patch: Vec<u8>,
    /// Bytes of the whole patch; more than `patch` has if that was cut.
    pub patch_bytes: u64,
}

/// All differences of a checkout to its base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The tree that was compared. Equal trees have equal files.
    pub tree: String,
    /// The files, in git's order.
    pub files: Vec<FileChange>,
    /// How many differ, when `files` holds only the first.
    pub files_total: usize,
    /// Some files could not be read, and are missing here: what git said.
    pub unread: Option<String>,
}

impl Diff {
    /// What has to be told to somebody who knows `earlier`: files that differ in another way than then, and, as
    /// [`FileStatus::Unchanged`], those that do not differ any more.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Vec<FileChange> {
        let before: std::collections::HashMap<&str, &FileChange> =
            earlier.files.iter().map(|f| (f.path.as_str(), f)).collect();
        let now: std::collections::HashSet<&str> = self.files.iter().map(|f| f.path.as_str()).collect();
        let changed = self.files.iter().filter(|file| before.get(file.path.as_str()) != Some(file)).cloned();
        let gone = earlier.files.iter().filter(|file| !now.contains(file.path.as_str())).map(|file| FileChange {
            old_path: None,
            status: FileStatus::Unchanged,
            added: 0,
            removed: 0,
            patch: Vec::new(),
            patch_bytes: 0,
            ..file.clone()
        });
        changed.chain(gone).collect()
    }

    /// Lines added and removed in all.
    #[must_use]
    pub fn lines(&self) -> (u64, u64) {
        self.files.iter().fold((0, 0), |(added, removed), f| (added + f.added, removed + f.removed))
    }
}

/// The line with which a file's patch begins. No line of a patch's content begins like this.
const BEGIN: &[u8] = b"diff --git ";
/// Names of files and their counts take at most this.
const HEAD_LIMIT: usize = 64 * 1024 * 1024;

/// Reads `--raw --numstat --patch -z`: records of the files, their counts, an empty record, and the patches in the same
/// order.
pub(crate) struct DiffReader<'o> {
    options: &'o DiffOptions,
    head: Vec<u8>,
    looked: usize,
    empty_at: Option<usize>,
    in_patches: bool,
    files: Vec<FileChange>,
    total: usize,
    /// How many patches each listed file has: two if it became something else, a link for example.
    parts: Vec<u8>,
    current: Option<usize>,
    parts_seen: u8,
    line: Vec<u8>,
    in_line: bool,
    kept: usize,
    problem: Option<String>,
}

impl<'o> DiffReader<'o> {
    pub(crate) fn new(options: &'o DiffOptions) -> Self {
        Self {
            options,
            head: Vec::new(),
            looked: 0,
            empty_at: None,
            in_patches: false,
            files: Vec::new(),
            total: 0,
            parts: Vec::new(),
            current: None,
            parts_seen: 0,
            line: Vec::new(),
            in_line: false,
            kept: 0,
            problem: None,
        }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        if self.in_patches {
            return self.patches(piece);
        }
        self.head.extend_from_slice(piece);
        if let Some(end) = self.find_end_of_head() {
            let head = std::mem::take(&mut self.head);
            let (head, patches) = head.split_at(end);
            self.in_patches = true;
            self.read_head(head.strip_suffix(b"\0").unwrap_or(head));
            self.patches(patches);
        } else if self.head.len() > HEAD_LIMIT {
            self.problem = Some("too many files".into());
        }
    }

    /// The end of the empty record. A rename's count has an empty field too, after its second tab.
    fn find_end_of_head(&mut self) -> Option<usize> {
        while let Some(at) = self.head.get(self.looked..).and_then(|rest| rest.iter().position(|b| *b == 0)) {
            let record = (self.looked, self.looked + at);
            self.looked = record.1 + 1;
            if record.0 == record.1 {
                self.empty_at = Some(record.0);
                return Some(self.looked);
            }
        }
        None
    }

    fn read_head(&mut self, head: &[u8]) {
        if let Err(what) = self.try_head(head) {
            self.problem = Some(what.to_owned());
        }
    }

    fn try_head(&mut self, head: &[u8]) -> Result<(), &'static str> {
        let mut records = text::zero_list(head).peekable();
        while records.peek().is_some_and(|r| r.first() == Some(&b':')) {
            let meta = records.next().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            let mut fields = meta.trim_start_matches(':').split(' ');
            let mut field = || fields.next().ok_or("a record is short");
            let (old_mode, new_mode, old_hash, hash, code) = (field()?, field()?, field()?, field()?, field()?);
            let first = text::path_text(records.next().ok_or("a name is missing")?);
            let renamed = code.starts_with(['R', 'C']);
            let (old_path, path) = match renamed {
                true => (Some(first), text::path_text(records.next().ok_or("a second name is missing")?)),
                false => (None, first),
            };
            self.total += 1;
            if self.total > self.options.files {
                continue;
            }
            self.parts.push(if code.starts_with('T') { 2 } else { 1 });
            self.files.push(FileChange {
                path,
                old_path,
                status: match code.as_bytes().first() {
                    Some(b'A') => FileStatus::Added,
                    Some(b'D') => FileStatus::Deleted,
                    Some(b'R') => FileStatus::Renamed,
                    _ => FileStatus::Modified,
                },
                mode: mode(new_mode),
                old_mode: mode(old_mode),
                hash: hash.to_owned(),
                old_hash: old_hash.to_owned(),
                added: 0,
                removed: 0,
                binary: false,
                patch: Vec::new(),
                patch_bytes: 0,
            });
        }
        for file in &mut self.files {
            let record = records.next().ok_or("a count is missing")?;
            let mut fields = record.splitn(3, |b| *b == b'\t').map(text::path_text);
            let (added, removed) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            file.binary = added == "-";
            file.added = added.parse().unwrap_or(0);
            file.removed = removed.parse().unwrap_or(0);
            if fields.next().is_none_or(|name| name.is_empty()) {
                // A rename: both names follow.
                records.next();
                records.next();
            }
        }
        Ok(())
    }

    fn patches(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|b| *b == b'\n') {
            if self.in_line {
                self.keep(part);
            } else {
                // A line is held back until it is long enough to be told apart.
                self.line.extend_from_slice(part);
                if self.line.len() < BEGIN.len() && !part.ends_with(b"\n") {
                    continue;
                }
                let line = std::mem::take(&mut self.line);
                if line.starts_with(BEGIN) {
                    self.next_patch();
                }
                self.keep(&line);
            }
            self.in_line = !part.ends_with(b"\n");
        }
    }

    fn next_patch(&mut self) {
        let parts = self.current.and_then(|at| self.parts.get(at)).copied().unwrap_or(0);
        if self.parts_seen < parts {
            self.parts_seen += 1;
        } else {
            self.current = Some(self.current.map_or(0, |at| at + 1));
            self.parts_seen = 1;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(file) = self.current.and_then(|at| self.files.get_mut(at)) else { return };
        file.patch_bytes += bytes.len() as u64;
        let room = self.options.file_limit.saturating_sub(file.patch.len());
        let room = room.min(self.options.limit.saturating_sub(self.kept));
        // A patch that was cut once has an end: nothing of a later line is added.
        if file.patch.len() as u64 + bytes.len() as u64 == file.patch_bytes {
            let kept = bytes.get(..room).unwrap_or(bytes);
            file.patch.extend_from_slice(kept);
            self.kept += kept.len();
        }
    }

    pub(crate) fn finish(mut self, tree: String, unread: Option<String>) -> Result<Diff> {
        if !self.in_patches && !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.read_head(&head);
        }
        let line = std::mem::take(&mut self.line);
        self.keep(&line);
        if let Some(what) = self.problem {
            return Err(Error::Unreadable { command: "diff-index".into(), what });
        }
        Ok(Diff { tree, files: self.files, files_total: self.total, unread })
    }
}

fn mode(text: &str) -> Option<Mode> {
    match text {
        "000000" => None,
        "100755" => Some(Mode::Executable),
        "120000" => Some(Mode::Link),
        "160000" => Some(Mode::Repository),
        _ => Some(Mode::File),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";

    fn answer() -> Vec<u8> {
        let mut text = format!(":100644 100644 {OLD} {NEW} M\0a\0:100644 100644 {OLD} {NEW} R090\0b\0c\nd\0");
        text += &format!(":120000 100644 {OLD} {NEW} T\0l\0:100644 000000 {OLD} {NEW} D\0z\0");
        text += "1\t2\ta\0-\t-\t\0b\0c\nd\x001\t1\tl\x000\t1\tz\0\0";
        text += "diff --git a/a b/a\n@@ -1 +1 @@\n-diff --git x\n+y\ndiff --git a/b b/c\nrename\n";
        text += "diff --git a/l b/l\n-f\ndiff --git a/l b/l\n+text\ndiff --git a/z b/z\n-1\n";
        text.into_bytes()
    }

    fn read(answer: &[u8], size: usize, options: &DiffOptions) -> Diff {
        let mut reader = DiffReader::new(options);
        answer.chunks(size).for_each(|piece| reader.push(piece));
        reader.finish("t".into(), None).expect("readable")
    }

    #[test]
    fn whatever_the_pieces_are_it_reads_the_same() {
        let options = DiffOptions::default();
        let whole = read(&answer(), usize::MAX, &options);
        let names: Vec<_> = whole.files.iter().map(|f| (f.path.as_str(), f.status, f.added, f.binary)).collect();
        let expected = [
            ("a", FileStatus::Modified, 1, false),
            ("c\nd", FileStatus::Renamed, 0, true),
            ("l", FileStatus::Modified, 1, false),
            ("z", FileStatus::Deleted, 0, false),
        ];
        assert_eq!(names, expected);
        assert_eq!(whole.files[0].patch, b"diff --git a/a b/a\n@@ -1 +1 @@\n-diff --git x\n+y\n");
        assert_eq!(whole.files[2].patch, b"diff --git a/l b/l\n-f\ndiff --git a/l b/l\n+text\n");
        assert_eq!(whole.files[3].patch, b"diff --git a/z b/z\n-1\n");
        for size in 1..40 {
            assert_eq!(read(&answer(), size, &options), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn bounds_hold_and_say_what_is_missing() {
        let options = DiffOptions { file_limit: 10, limit: 25, files: 3, ..DiffOptions::default() };
        let diff = read(&answer(), 7, &options);
        let kept: Vec<_> = diff.files.iter().map(|f| f.patch.len()).collect();
        assert_eq!((kept, diff.files_total), (vec![10, 10, 5], 4));
        assert_eq!(diff.files[0].patch_bytes, 48);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(read(b"", 1, &DiffOptions::default()).files, []);
    }

    #[test]
    fn since_tells_what_changed_and_what_was_undone() {
        let options = DiffOptions::default();
        let first = read(&answer(), 99, &options);
        let mut second = first.clone();
        second.files.remove(0);
        second.files[1].hash = OLD.into();
        let told: Vec<_> = second.since(&first).into_iter().map(|f| (f.path, f.status)).collect();
        assert_eq!(told, [("l".to_owned(), FileStatus::Modified), ("a".to_owned(), FileStatus::Unchanged)]);
        assert_eq!(first.since(&first), []);
    }
}
