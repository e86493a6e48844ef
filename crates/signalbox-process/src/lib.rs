//! Child processes of steps.
//!
//! * Each gets a process group of its own and a marker in its environment; [`leftovers`] finds
//!   every process that carries the marker, also one that left the group or lost its parent.
//! * Output arrives in pieces of at most 32 KiB or 50 ms, in order, through a bounded channel:
//!   who reads slowly slows the process down, and memory stays bounded whatever it prints.
//! * Values of secrets are masked before anything leaves this crate.

mod mask;
mod output;
mod platform;
mod spawn;

pub use mask::Masker;
#[doc(hidden)]
pub use output::Assembler;
pub use output::{Piece, Progress};
pub use platform::{end_all, end_each, leftovers, start_time};
pub use spawn::{Dialogue, Exit, Handle, Report, SpawnError, Spec, spawn, spawn_dialogue, spawn_within};

/// The environment variable that marks a step's processes. Its value names the host, run, step and attempt.
pub const MARKER: &str = "SIGNALBOX_STEP";
