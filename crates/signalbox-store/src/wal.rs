//! How the writer's connection writes the write-ahead log: a transaction by one call to the system.
//!
//! SQLite writes each page of a transaction by two calls, one for the frame's header of 24 bytes and one for the page
//! (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>, section 4.1). With a dozen pages in a transaction that is the dearest
//! part of a commit. No other connection reads them before the last one: they are told of a transaction after the frame that commits
//! has been written. So [`Gathered`] keeps what is written until that one, and hands it all on at once, 64 KiB at most; [`vfs`]
//! puts that between SQLite and its own way to the file.

mod gather;
#[expect(unsafe_code, reason = "a file system for SQLite is a table of C functions")]
mod vfs;

use gather::Gathered;
pub(crate) use vfs::open;
