//! Whose turn it is: changes to one repository are made one after another within this process.
//!
//! Other programs are held off by git's own locks; this only spares ours from running into them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::{Changed, Error, Result};

/// One for each repository, and one for each scratch folder, found by its path.
static TURNS: LazyLock<Mutex<HashMap<PathBuf, Weak<Turn>>>> = LazyLock::new(Mutex::default);

/// A lock that can be waited for with a deadline.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// Holds a turn until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Arc<Turn>);

impl Turn {
    /// The turn of `path`.
    pub(crate) fn of(path: &Path) -> Arc<Self> {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(path).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Self::default());
        turns.insert(path.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Waits for the turn, at most `patience`.
    pub(crate) fn take(self: &Arc<Self>, patience: Duration) -> Result<Held> {
        let until = Instant::now() + patience;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Deadline {
                    command: "(waiting for another change to this repository)".into(),
                    after: patience,
                    changed: Changed::No,
                    stderr: String::new(),
                });
            }
            taken = self.free.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Ok(Held(Arc::clone(self)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}

/// Waits a little for a lock that belongs to another program, which tells nobody when it lets go.
pub(crate) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_not_for_ever() {
        let turn = Turn::of(Path::new("/nowhere"));
        let held = turn.take(Duration::ZERO).expect("free");
        assert!(Turn::of(Path::new("/nowhere")).take(Duration::ZERO).is_err());
        drop(held);
        assert!(turn.take(Duration::ZERO).is_ok());
    }
}
