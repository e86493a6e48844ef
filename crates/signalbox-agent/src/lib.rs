//! Coding agents: the client of the Agent Client Protocol, the catalogue of agents, and the rehearsal agent.
//!
//! * [`Session`] starts an agent as a child process and speaks with it. What the agent does comes out as [`Update`]s on a
//!   bounded channel: who reads slowly slows the agent down, and nothing that it sends makes memory grow past
//!   [`limits`].
//! * [`Reducer`] is the heart of it, and pure: frames in, updates out.
//! * Every wait has a deadline of ours, and whatever an agent does ends in a [`Failure`] that says what happened and what
//!   to do, or is survived.
//! * No process of an agent outlives its session: see [`Session::close`].

pub mod catalogue;
mod client;
mod failure;
pub mod limits;
#[doc(hidden)]
pub mod lines;
mod pace;
mod reducer;
pub mod rehearsal;
mod reset;
mod update;

pub use client::{Closed, Config, Deadlines, Ending, McpServer, Offers, Session};
pub use failure::{Failure, Refusal};
pub use reducer::{Frame, Reducer};
pub use update::{
    Direction, Info, Outcome, PermissionAsked, Setting, Stop, Text, ToolState, Turn, Update, UsageState, Withdrawn,
};
