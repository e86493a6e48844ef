//! The files of `ui/dist` as they were when this crate was built.

/// The page that shows the recording of a run, by itself: `__RECORDING__` stands where its data goes.
pub const RECORDING: &str = include_str!("../../../ui/src/features/export/recording.html");

/// Each file by its path without a leading `/`. Empty if the UI was not built.
pub static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));
