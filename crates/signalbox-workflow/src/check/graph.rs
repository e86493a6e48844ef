//! Needs: who comes before whom.

use std::collections::HashMap;

use super::did_you_mean;
use crate::{
    definition::Definition,
    diagnostic::{Diagnostic, Diagnostics},
};

/// The steps' order. Empty while there are cycles: what depends on order is not checked then.
#[derive(Default)]
pub(super) struct Graph {
    index: HashMap<String, usize>,
    /// A bit per step that comes before.
    ancestors: Vec<Vec<u64>>,
    ordered: bool,
}

impl Graph {
    pub(super) fn build(definition: &Definition, found: &mut Diagnostics) -> Self {
        let steps = &definition.steps;
        let index: HashMap<String, usize> = steps.keys().enumerate().map(|(i, id)| (id.to_string(), i)).collect();
        let mut needs: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
        for (id, step) in steps.iter() {
            let mut own = Vec::new();
            for need in &step.needs {
                match index.get(need.as_str()) {
                    Some(_) if **need == **id => found.push(
                        Diagnostic::error("cycle", need.position(), format!("step {:?} needs itself", **id))
                            .hint("remove it from its own `needs`"),
                    ),
                    Some(&at) if own.contains(&at) => found.push(
                        Diagnostic::error("duplicate-need", need.position(), format!("{:?} is named twice", **need))
                            .hint("keep one of the two"),
                    ),
                    Some(&at) => own.push(at),
                    None => found.push(
                        Diagnostic::error("unknown-step", need.position(), format!("there is no step {:?}", **need))
                            .hint(did_you_mean(need, index.keys().map(String::as_str), "name a step of this file")),
                    ),
                }
            }
            needs.push(own);
        }
        let mut graph = Self { index, ancestors: vec![Vec::new(); steps.len()], ordered: true };
        graph.order(definition, &needs, found);
        graph
    }

    /// Depth first without recursion: a file may hold a chain of thousands of steps.
    fn order(&mut self, definition: &Definition, needs: &[Vec<usize>], found: &mut Diagnostics) {
        let words = needs.len().div_ceil(64);
        let mut state = vec![0_u8; needs.len()];
        for start in 0..needs.len() {
            if state[start] != 0 {
                continue;
            }
            let mut stack = vec![(start, 0_usize)];
            state[start] = 1;
            while let Some((step, next)) = stack.last_mut() {
                let step = *step;
                if let Some(&need) = needs[step].get(*next) {
                    *next += 1;
                    match state[need] {
                        0 => {
                            state[need] = 1;
                            stack.push((need, 0));
                        }
                        1 => {
                            self.ordered = false;
                            let from = stack.iter().position(|(s, _)| *s == need).unwrap_or(0);
                            let path: Vec<usize> = stack[from..].iter().map(|(s, _)| *s).collect();
                            found.push(cycle(definition, &path));
                        }
                        _ => {}
                    }
                } else {
                    let mut bits = vec![0_u64; words];
                    for &need in &needs[step] {
                        bits[need / 64] |= 1 << (need % 64);
                        for (bit, more) in bits.iter_mut().zip(&self.ancestors[need]) {
                            *bit |= more;
                        }
                    }
                    self.ancestors[step] = bits;
                    state[step] = 2;
                    stack.pop();
                }
            }
        }
    }

    /// Whether `a` comes before `b`; true if that cannot be said because of a cycle.
    pub(super) fn is_before(&self, a: &str, b: &str) -> bool {
        if !self.ordered {
            return true;
        }
        let (Some(&a), Some(&b)) = (self.index.get(a), self.index.get(b)) else { return false };
        self.ancestors[b][a / 64] & (1 << (a % 64)) != 0
    }
}

/// `path` goes from a step to what it needs; people read it the way work flows.
fn cycle(definition: &Definition, path: &[usize]) -> Diagnostic {
    let name = |i: usize| definition.steps.get_index(i).map_or("", |(id, _)| id.as_str());
    let first = path.first().copied().unwrap_or(0);
    let names: Vec<&str> = [first].iter().chain(path.iter().skip(1).rev()).chain([&first]).map(|&i| name(i)).collect();
    // The place: the need that closes the circle.
    let last = path.last().copied().unwrap_or(0);
    let position = definition
        .steps
        .get_index(last)
        .and_then(|(_, step)| step.needs.iter().find(|need| need.as_str() == name(first)))
        .map(crate::at::At::position)
        .unwrap_or_default();
    Diagnostic::error("cycle", position, format!("these steps wait for each other: {}", names.join(" -> ")))
        .hint("remove one of these needs; to repeat work after a \"no\", use `on_reject` of an approval")
}
