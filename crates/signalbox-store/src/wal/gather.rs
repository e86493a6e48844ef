//! Keeps the frames of a transaction until the one that commits it.

/// A frame's header: page number, size of the database in pages after a commit or 0, salts and checksums
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>, section 4.1).
const HEADER: usize = 24;

/// Bytes kept at most, but for the page that passes it.
const MOST: usize = 64 * 1024;

/// What the last write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    /// Nothing of which it matters.
    #[default]
    Other,
    /// The header of a frame, which is kept; its page follows.
    Header { commits: bool },
}

/// Frames that were written and are not in the file. At most one transaction's, and none once that is committed.
///
/// SQLite does not tell when a transaction is rolled back: frames of one that was, after some of it had been written before its end,
/// would stay here, and be written once somebody reads. So the connection is told not to write before the end
/// (`PRAGMA cache_spill`), and nothing is kept between two transactions.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    kept: Vec<u8>,
    /// Where in the file the last write ended, if it succeeded and a frame can begin there. What is kept ends there.
    end: Option<u64>,
    last: Last,
}

impl Gathered {
    /// Writes `bytes` to `at`: keeps them if they are a frame that follows the last write and commits nothing, else hands them and what
    /// was kept to `write`.
    ///
    /// # Errors
    /// What `write` says. What was kept is then gone: nothing of its transaction may be committed.
    pub(super) fn write<E>(
        &mut self,
        bytes: &[u8],
        at: u64,
        mut write: impl FnMut(&[u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let follows = self.end == Some(at);
        let end = is_whole(bytes).then_some(at + bytes.len() as u64);
        match (self.last, commits(bytes)) {
            (Last::Header { commits }, _) if follows => {
                self.keep(bytes, at, Last::Other);
                if commits || self.kept.len() >= MOST || end.is_none() {
                    self.flush(write)?;
                    self.end = end;
                }
                Ok(())
            }
            // A header that is written again at the end, for a new checksum, follows nothing: its page is there already.
            (Last::Other, Some(commits)) if follows => {
                self.keep(bytes, at, Last::Header { commits });
                Ok(())
            }
            _ => {
                self.flush(&mut write)?;
                self.end = None;
                write(bytes, at)?;
                self.end = end;
                Ok(())
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], at: u64, last: Last) {
        self.kept.extend_from_slice(bytes);
        (self.end, self.last) = (Some(at + bytes.len() as u64), last);
    }

    /// Hands on what is kept.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub(super) fn flush<E>(&mut self, write: impl FnOnce(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        self.last = Last::Other;
        let Some(end) = self.end else { return Ok(()) };
        if self.kept.is_empty() {
            return Ok(());
        }
        let written = write(&self.kept, end - self.kept.len() as u64);
        if written.is_err() {
            self.end = None;
        }
        self.kept.clear();
        written
    }
}

/// Whether `bytes` are a page or the log's own header: after a part of a page, of which the rest is written once the disk has this
/// one, comes no frame, however long the rest is.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.len().is_power_of_two()
}

/// Whether a frame commits, if `bytes` can be its header.
fn commits(bytes: &[u8]) -> Option<bool> {
    (bytes.len() == HEADER).then(|| bytes[4..8] != [0; 4])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 512;

    /// A file, and the number of calls that wrote to it.
    #[derive(Debug, Default, Clone)]
    struct File {
        bytes: Vec<u8>,
        calls: usize,
        fails: bool,
    }

    impl File {
        fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), &'static str> {
            if self.fails {
                return Err("full");
            }
            let at = usize::try_from(at).unwrap();
            self.calls += 1;
            self.bytes.resize(self.bytes.len().max(at + bytes.len()), 0);
            self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    fn header(commits: bool, n: u8) -> [u8; HEADER] {
        let mut header = [n; HEADER];
        header[4..8].copy_from_slice(&u32::from(commits).to_be_bytes());
        header
    }

    /// What SQLite does to its write-ahead log.
    #[derive(Debug, Clone)]
    enum Act {
        /// Writes the log's own header: it begins anew.
        Anew,
        /// Adds a frame.
        Frame { commits: bool },
        /// Writes a page of the transaction again in its place, then all headers from there on.
        Again { back: usize, headers: bool },
        /// Rolls back to the last commit: the next frame takes the place of those after it.
        Back,
        /// Reads, waits for the disk, or asks for the size.
        Look,
        /// Adds a frame that commits, and waits for the disk after the first bytes of its page.
        Split { first: usize },
        /// The disk is full for the next write that reaches it.
        Fail,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            1 => Just(Act::Anew),
            12 => any::<bool>().prop_map(|commits| Act::Frame { commits }),
            2 => (0..4usize, any::<bool>()).prop_map(|(back, headers)| Act::Again { back, headers }),
            2 => Just(Act::Back),
            2 => Just(Act::Look),
            1 => prop_oneof![Just(PAGE - HEADER), 1..PAGE].prop_map(|first| Act::Split { first }),
            1 => Just(Act::Fail),
        ]
    }

    /// The log as SQLite writes it, to a file and past [`Gathered`] to another one.
    #[derive(Default)]
    struct Log {
        gathered: Gathered,
        file: File,
        plain: File,
        /// Frames there are, and those of them that are committed.
        frames: usize,
        committed: usize,
        n: u8,
    }

    impl Log {
        fn at(frame: usize) -> u64 {
            (32 + frame * (HEADER + PAGE)) as u64
        }

        fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), &'static str> {
            self.gathered.write(bytes, at, |bytes, at| self.file.write(bytes, at))?;
            self.plain.write(bytes, at)
        }

        fn flush(&mut self) -> Result<(), &'static str> {
            self.gathered.flush(|bytes, at| self.file.write(bytes, at))
        }

        fn do_it(&mut self, act: &Act) -> Result<(), &'static str> {
            self.n = self.n.wrapping_add(1);
            match *act {
                Act::Anew => {
                    (self.frames, self.committed) = (0, 0);
                    self.write(&[self.n; 32], 0)?;
                }
                Act::Frame { commits } => {
                    let at = Self::at(self.frames);
                    self.write(&header(commits, self.n), at)?;
                    self.write(&[self.n; PAGE], at + HEADER as u64)?;
                    self.frames += 1;
                    if commits {
                        self.committed = self.frames;
                    }
                }
                Act::Split { first } => {
                    let at = Self::at(self.frames) + HEADER as u64;
                    self.write(&header(true, self.n), at - HEADER as u64)?;
                    self.write(&[self.n; PAGE][..first], at)?;
                    self.flush()?;
                    self.write(&[self.n; PAGE][first..], at + first as u64)?;
                    self.frames += 1;
                    self.committed = self.frames;
                }
                Act::Again { back, headers } => {
                    let first = self.frames.saturating_sub(back).max(self.committed);
                    if first < self.frames {
                        self.write(&[self.n; PAGE], Self::at(first) + HEADER as u64)?;
                        if headers {
                            for frame in first..self.frames {
                                self.flush()?;
                                self.write(&header(frame + 1 == self.frames, self.n), Self::at(frame))?;
                            }
                            self.committed = self.frames;
                        }
                    }
                }
                Act::Back => self.frames = self.committed,
                Act::Look => self.flush()?,
                Act::Fail => self.file.fails = true,
            }
            Ok(())
        }
    }

    proptest! {
        /// Whenever a transaction is committed, the file is what it would be without keeping anything; and so it is when
        /// anybody looks. A disk that is full loses no transaction that was said to be there.
        #[test]
        fn what_is_committed_is_in_the_file(acts in prop::collection::vec(act(), 1..200)) {
            let mut log = Log::default();
            log.write(&[0; 32], 0).unwrap();
            for act in &acts {
                let before = log.committed;
                let done = log.do_it(act);
                if done.is_err() {
                    // As SQLite does: the transaction is rolled back, and what it wrote is no longer part of the log.
                    log.frames = before.min(log.committed);
                    log.committed = log.frames;
                    log.file.fails = false;
                    prop_assert!(log.gathered.kept.is_empty());
                    let length = usize::try_from(Log::at(log.frames)).unwrap();
                    log.plain.bytes.truncate(length);
                }
                let looked = matches!(act, Act::Look) && done.is_ok();
                let length = usize::try_from(Log::at(if looked { log.frames } else { log.committed })).unwrap();
                if log.committed > 0 || looked {
                    prop_assert_eq!(&log.file.bytes[..length], &log.plain.bytes[..length]);
                }
                if log.committed > before && log.committed == log.frames {
                    prop_assert!(log.gathered.kept.is_empty(), "a committed frame is kept");
                }
                prop_assert!(log.gathered.kept.len() < MOST);
            }
        }
    }

    #[test]
    fn a_transaction_is_one_write() {
        let mut log = Log::default();
        log.write(&[0; 32], 0).unwrap();
        for _ in 0..3 {
            for _ in 0..11 {
                log.do_it(&Act::Frame { commits: false }).unwrap();
            }
            log.do_it(&Act::Frame { commits: true }).unwrap();
        }
        assert_eq!((log.file.calls, log.plain.calls), (1 + 3, 1 + 3 * 24));
        assert_eq!(log.file.bytes, log.plain.bytes);
    }

    #[test]
    fn a_large_transaction_is_not_kept_whole() {
        let mut log = Log::default();
        log.write(&[0; 32], 0).unwrap();
        for _ in 0..1_000 {
            log.do_it(&Act::Frame { commits: false }).unwrap();
            assert!(log.gathered.kept.len() < MOST);
        }
        assert!(log.file.calls > 4);
    }
}
