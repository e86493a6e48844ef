//! Steps whose work is an agent's, and what belongs to them: questions, worktrees, landings, the catalogue.

mod answer;
pub(crate) mod asks;
pub(crate) mod catalogue;
mod changes;
pub(crate) mod landing;
pub(crate) mod methods;
mod policy;
pub(crate) mod prepare;
mod record;
pub(crate) mod task;
pub(crate) mod workspace;

use std::sync::Arc;

/// What the tasks of all steps share.
pub(crate) struct Services {
    pub(crate) asks: Arc<asks::Asks>,
    pub(crate) catalogue: Arc<catalogue::Catalogue>,
    pub(crate) worktrees: Arc<workspace::Worktrees>,
}
