//! The engine: a pure state machine.
//!
//! State, an input and the time go in; events and effects come out. The engine reads no clock, does
//! no I/O and knows no runtime. Its caller commits the events and only then performs the effects,
//! so nothing happens that is not recorded, and a restart goes on from the record: everything the
//! engine must remember is in the entities that the events carry ([`Engine::restore`]).
//!
//! What is expensive to decide from the outside, such as the value of an `if`, is asked through
//! [`Expressions`], which is as pure as the engine.

mod agents;
mod approvals;
mod engine;
mod finish;
mod input;
mod plan;
mod queue;
mod recover;
mod retry;
mod run;
mod status;

pub use engine::{ConditionError, Context, Engine, Expressions, Output, Refused};
pub use input::{Effect, Input, NewRun, Outcome, Phase, Scope, StepAt, Timer};
pub use plan::{ApprovalPlan, ApprovalText, Conflict, Group, OnReject, OnTimeout, Plan, Retry, Stall, StepPlan};
pub use recover::{Restored, Survived};
pub use run::RunState;
pub use status::{Tally, run_conclusion, run_status};
