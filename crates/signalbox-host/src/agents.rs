//! Steps whose work is an agent's, and what belongs to them: questions, worktrees, landings, the catalogue.

mod answer;
pub(crate) mod asks;
mod budget;
pub(crate) mod catalogue;
mod changes;
mod file;
mod judge;
pub(crate) mod landing;
pub(crate) mod methods;
mod policy;
pub(crate) mod prepare;
mod record;
pub(crate) mod task;
pub(crate) mod tools;
pub(crate) mod workspace;

use std::sync::{Arc, PoisonError, RwLock};

/// What the tasks of all steps share.
pub(crate) struct Services {
    pub(crate) asks: Arc<asks::Asks>,
    pub(crate) catalogue: Arc<catalogue::Catalogue>,
    pub(crate) worktrees: Arc<workspace::Worktrees>,
    pub(crate) tokens: tools::Tokens,
    /// Where the host listens: without that its tools cannot be offered.
    pub(crate) url: Arc<RwLock<Option<String>>>,
}

impl Services {
    fn url(&self) -> Option<String> {
        self.url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
