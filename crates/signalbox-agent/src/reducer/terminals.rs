//! What the commands printed that run for the agent in terminals of ours: shown with the tool calls that name them.

use indexmap::IndexMap;

use crate::{
    limits::{self, tail},
    update::ToolState,
};

/// Terminals that are remembered. The oldest is forgotten: the call that showed it keeps what it has.
const REMEMBERED: usize = 64;

/// All that are remembered.
#[derive(Debug, Default)]
pub(super) struct Terminals(IndexMap<String, Terminal>);

#[derive(Debug, Default)]
struct Terminal {
    text: String,
    bytes: u64,
    code: Option<i32>,
}

impl Terminals {
    fn entry(&mut self, id: &str) -> &mut Terminal {
        while self.0.len() >= REMEMBERED && !self.0.contains_key(id) {
            self.0.shift_remove_index(0);
        }
        self.0.entry(id.to_owned()).or_default()
    }

    pub(super) fn printed(&mut self, id: &str, text: &str) {
        let terminal = self.entry(id);
        terminal.bytes += text.len() as u64;
        terminal.text.push_str(text);
        if terminal.text.len() > limits::OUTPUT {
            terminal.text = tail(&terminal.text, limits::OUTPUT).to_owned();
        }
    }

    pub(super) fn ended(&mut self, id: &str, code: Option<i32>) {
        self.entry(id).code = code;
    }

    /// Puts what is known of a terminal into the call that names it.
    pub(super) fn show(&self, id: &str, state: &mut ToolState) {
        let Some(terminal) = self.0.get(id) else { return };
        if !terminal.text.is_empty() {
            state.output = Some(terminal.text.clone());
            state.output_bytes = (terminal.bytes > terminal.text.len() as u64).then_some(terminal.bytes);
        }
        state.exit_code = terminal.code.or(state.exit_code);
    }
}
