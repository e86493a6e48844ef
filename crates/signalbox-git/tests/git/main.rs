//! Everything against the real `git`, in folders of their own.

mod commits;
mod diffs;
mod discovery;
mod figures;
mod hostile;
mod kit;
mod landings;
mod property;
mod worktrees;
