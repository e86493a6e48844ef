//! The engine against random graphs, outcomes and orders of events.

mod agents;
mod random;
mod rules;
mod world;
