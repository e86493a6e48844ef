//! The files of `ui/dist` as they were when this crate was built.

/// Each file by its path without a leading `/`. Empty if the UI was not built.
pub static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));
