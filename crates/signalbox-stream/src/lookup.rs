//! Finds, among thousands, those few that have something in common, without a look at the others.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash, RandomState},
};

/// Numbers by what they have in common. It keeps a hash of that in its place: 16 bytes for each, however long a name is.
/// So whoever looks something up has to see for itself whether it is really meant.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    hasher: RandomState,
    found: BTreeSet<(u64, u64)>,
}

impl Lookup {
    /// `id` has `key`.
    pub(crate) fn insert(&mut self, key: impl Hash, id: u64) {
        self.found.insert((self.hasher.hash_one(key), id));
    }

    /// `id` does not have `key` any more.
    pub(crate) fn remove(&mut self, key: impl Hash, id: u64) {
        self.found.remove(&(self.hasher.hash_one(key), id));
    }

    /// All that may have `key`, in their order.
    pub(crate) fn of(&self, key: impl Hash) -> impl Iterator<Item = u64> {
        let hash = self.hasher.hash_one(key);
        self.found.range((hash, 0)..=(hash, u64::MAX)).map(|(_, id)| *id)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}
