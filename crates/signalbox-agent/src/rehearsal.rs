//! The rehearsal agent.
/// The name.
pub const NAME: &str = "rehearsal";
