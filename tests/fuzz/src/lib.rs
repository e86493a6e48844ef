//! What must hold for any bytes that come from outside.
//!
//! Each [`Target`] is a function of bytes that panics when a promise is broken: not only "it does not panic", but what
//! the code beside it says of itself. The same functions serve the short runs of the tests (`tests/short.rs`), the long
//! ones of `cargo xtask fuzz` ([`runner`], stable Rust, mutations without a look at coverage) and libFuzzer
//! (`fuzz/` at the root of the repository, nightly Rust, in a workspace of its own).
//!
//! Constraints: no target starts a process, leaves its temporary folder or speaks to anything but its own listener on
//! a free port. What an input costs is part of the promise: see [`measure`].

pub mod agent;
pub mod bytes;
pub mod expression;
pub mod frames;
pub mod generate;
pub mod host;
pub mod measure;
pub mod mutate;
pub mod names;
pub mod net;
pub mod output;
pub mod random;
pub mod runner;
pub mod workflow;

use random::Random;

/// Something that takes bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its folder in `corpus/`, and for the command line.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Makes an input from nothing but chance, where bytes that mean something are rare.
    pub generate: Option<fn(&mut Random) -> Vec<u8>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Longest input that is tried, in bytes.
    pub longest: usize,
    /// How many inputs the tests try: a few seconds in a debug build.
    pub inputs: u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        generate: None,
        words: mutate::FRAME,
        longest: 8192,
        inputs: 6_000,
        ..target("client_frame", frames::client)
    },
    Target { generate: None, words: mutate::FRAME, longest: 8192, inputs: 6_000, ..target("host_frame", frames::host) },
    Target {
        generate: Some(generate::workflow),
        words: mutate::WORKFLOW,
        longest: 8192,
        inputs: 1_200,
        ..target("workflow", workflow::workflow)
    },
    Target {
        generate: Some(generate::expression),
        words: mutate::EXPRESSION,
        longest: 2048,
        inputs: 2_000,
        ..target("expression", expression::expression)
    },
    Target { words: mutate::NAME, longest: 300, inputs: 12_000, ..target("name", names::name) },
    Target { words: mutate::OUTPUT, longest: 4096, inputs: 5_000, ..target("output", output::output) },
    Target { words: mutate::OUTPUT, longest: 4096, inputs: 300, ..target("log", output::log) },
    Target { words: mutate::CALL, longest: 8192, inputs: 1_200, ..target("call", host::call) },
    Target { words: mutate::HTTP, longest: 16_384, inputs: 500, ..target("http", net::http) },
    Target { words: mutate::FRAME, longest: 16_384, inputs: 250, ..target("websocket", net::websocket) },
    Target { words: mutate::AGENT, longest: 16_384, inputs: 2_000, ..target("agent", agent::agent) },
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, generate: None, words: &[], longest: 4096, inputs: 1000 }
}

/// The target of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
