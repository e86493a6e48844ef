//! The workflow file, from text to the plan of a run.
//!
//! [`load`] reads YAML, decodes it into typed structs only and refuses everything that would surprise somebody in the
//! middle of a run: each [`Diagnostic`] names the line and says what to do. [`resolve`] makes the [`Plan`] of one run
//! from a definition and its inputs: every step instance is known before the first one starts.
//!
//! Constraints: no clock, no files, no processes. What an expression needs from outside comes through
//! [`expr::Context`]; what [`starter`] needs to know of a folder comes through [`starter::Folder`].

pub mod at;
pub mod check;
pub mod definition;
pub mod diagnostic;
pub mod duration;
pub mod expr;
mod hash;
mod near;
mod parse;
pub mod plan;
pub mod schema;
pub mod script;
pub mod starter;
pub mod template;
pub mod templates;

pub use at::{At, Position};
pub use check::{Capabilities, TriggerKind, check};
pub use definition::{Definition, StepKind};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use duration::Span;
pub use parse::{Loaded, MAX_BYTES, load, parse};
pub use plan::{Instance, Plan, PlannedStep, ProjectContext, ResolveError, Work, resolve};
pub use schema::json_schema;
