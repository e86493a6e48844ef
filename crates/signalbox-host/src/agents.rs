//! Steps whose work is an agent's, and what belongs to them: questions, worktrees, landings, the catalogue.

pub(crate) mod asks;
pub(crate) mod methods;
