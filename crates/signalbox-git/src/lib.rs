//! Everything that Signalbox does with git, by calling the `git` program.
//!
//! * Every call has a deadline, bounded output and an environment of its own: neither the host's `GIT_*` variables, nor
//!   hooks, pagers, editors, signing or a file system monitor that a person configured, take part.
//! * Functions block. They wait for a child process, so they belong on a thread that may wait (`spawn_blocking`); an
//!   asynchronous interface would need the same threads to read the pipes, and every caller a runtime.
//! * A worktree is addressed by its git directory, never found from its folder: an agent that deletes `.git` there cannot
//!   make a command reach the repository around it.
//! * Nothing a person or an agent wrote is lost: what would overwrite or drop something refuses and says what.
//! * Whatever is done in several steps can be called again after a crash between any two of them.
//!
//! Paths are text with `/`. Bytes that are no UTF-8 are written `\xNN`.

mod carry;
mod commit;
mod diff;
mod error;
mod landing;
mod names;
mod refs;
mod removal;
mod repository;
mod run;
mod snapshot;
mod status;
mod text;
mod turn;
mod worktree;

pub use carry::Carry;
pub use commit::{Author, Checkpoint};
pub use diff::{Diff, DiffOptions, FileChange, Mode};
pub use error::{Changed, Error, Result};
pub use landing::{HowLanded, Landed, Merge, MergeRequest};
pub use names::{branch_name, folder_name};
pub use refs::LogEntry;
pub use removal::{Removal, WorktreeInfo};
pub use repository::{Checkout, Head, Repository, Unfinished};
pub use run::{Deadlines, Git};
pub use snapshot::Watch;
pub use status::{CheckoutState, Entry, Status, changed_outside};
pub use worktree::{Origin, Worktree, WorktreeRequest};
