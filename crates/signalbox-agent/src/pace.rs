//! How fast updates go out, and what they may not show: text is gathered, states are throttled, secrets are masked.
//!
//! Time is passed in. The order is kept: a text that waits goes out before a call, a question or a plan that came after
//! it; only figures, titles and raw lines may overtake it.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use signalbox_process::Masker;

use crate::{
    limits::{self, head},
    update::{Text, ToolState, Update, UsageState},
};

/// Text goes out at the latest after this time.
const GATHER: Duration = Duration::from_millis(50);
/// Text goes out when so many bytes wait.
const ENOUGH: usize = 4096;
/// A call's course, and figures, go out at most so often; an end goes out at once.
const EVERY: Duration = Duration::from_millis(100);

/// What waits to go out.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    masker: Masker,
    json: Masker,
    text: Option<Gathered>,
    tools: IndexMap<String, Throttled>,
    usage: Option<UsageState>,
    usage_told: Option<Instant>,
}

#[derive(Debug)]
struct Gathered {
    text: Text,
    /// When it has to go out. None: all of it may be the beginning of a secret.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Throttled {
    told: Instant,
    ended: bool,
    waiting: Option<ToolState>,
}

impl Pace {
    pub(crate) fn new(masker: Masker) -> Self {
        Self { json: masker.within_json(), masker, ..Self::default() }
    }

    /// Takes an update; what may go out goes into `out`.
    pub(crate) fn take(&mut self, update: Update, now: Instant, out: &mut Vec<Update>) {
        match update {
            Update::Text(text) => self.gather(text, now, out),
            Update::Tool(tool) => self.throttle(*tool, now, out),
            Update::Usage(usage) => {
                if self.usage_told.is_some_and(|told| now < told + EVERY) {
                    self.usage = Some(*usage);
                } else {
                    self.usage_told = Some(now);
                    self.usage = None;
                    out.push(Update::Usage(usage));
                }
            }
            Update::Permission(mut asked) => {
                self.flush(out);
                self.mask_tool(&mut asked.tool);
                for option in &mut asked.options {
                    option.name = self.masker.mask(&option.name);
                }
                out.push(Update::Permission(asked));
            }
            Update::Plan(mut plan) => {
                self.flush_text(out);
                for entry in &mut plan {
                    entry.text = self.masker.mask(&entry.text);
                }
                out.push(Update::Plan(plan));
            }
            Update::PermissionWithdrawn { .. } => {
                self.flush(out);
                out.push(update);
            }
            Update::Raw { direction, line, bytes } => {
                let line = self.begin_of(&self.json, line, bytes > limits::RAW as u64);
                out.push(Update::Raw { direction, line, bytes });
            }
            Update::Unknown { kind, json } => {
                let cut = json.len() + 4 > limits::RAW;
                out.push(Update::Unknown { kind, json: self.begin_of(&self.json, json, cut) });
            }
            Update::Title(title) => out.push(Update::Title(self.masker.mask(&title))),
            Update::Retry { reason } => out.push(Update::Retry { reason: self.masker.mask(&reason) }),
            // Standard error was masked where it was read; the rest are names of modes and models.
            Update::Info(_) | Update::Stderr(_) => out.push(update),
        }
    }

    /// When something that waits has to go out.
    pub(crate) fn due(&self) -> Option<Instant> {
        let text = self.text.as_ref().and_then(|gathered| gathered.due);
        let tools = self.tools.values().filter(|tool| tool.waiting.is_some()).map(|tool| tool.told + EVERY);
        let usage = self.usage.as_ref().and(self.usage_told).map(|told| told + EVERY);
        tools.chain(text).chain(usage).min()
    }

    /// Hands out what is due.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Update>) {
        if self.text.as_ref().and_then(|gathered| gathered.due).is_some_and(|due| due <= now) {
            self.flush_part(out);
        }
        let mut told = Vec::new();
        for tool in self.tools.values_mut().filter(|tool| tool.told + EVERY <= now) {
            if let Some(state) = tool.waiting.take() {
                tool.told = now;
                told.push(state);
            }
        }
        for state in told {
            self.flush_text(out);
            self.tell(state, out);
        }
        if self.usage_told.is_some_and(|told| told + EVERY <= now)
            && let Some(usage) = self.usage.take()
        {
            self.usage_told = Some(now);
            out.push(Update::Usage(Box::new(usage)));
        }
    }

    /// Hands out everything: a turn ended, or a person is asked.
    pub(crate) fn flush(&mut self, out: &mut Vec<Update>) {
        self.flush_text(out);
        let waiting: Vec<ToolState> = self.tools.values_mut().filter_map(|tool| tool.waiting.take()).collect();
        for state in waiting {
            self.tell(state, out);
        }
        out.extend(self.usage.take().map(|usage| Update::Usage(Box::new(usage))));
    }

    fn gather(&mut self, text: Text, now: Instant, out: &mut Vec<Update>) {
        let same = |waiting: &Text| waiting.message == text.message && waiting.repeated == text.repeated;
        match &mut self.text {
            Some(waiting) if same(&waiting.text) => {
                waiting.text.text.push_str(&text.text);
                waiting.due = waiting.due.or(Some(now + GATHER));
            }
            _ => {
                self.flush_text(out);
                self.text = Some(Gathered { text, due: Some(now + GATHER) });
            }
        }
        if self.text.as_ref().is_some_and(|waiting| waiting.text.text.len() >= ENOUGH) {
            self.flush_part(out);
        }
    }

    /// What is surely no beginning of a secret.
    fn flush_part(&mut self, out: &mut Vec<Update>) {
        let Some(waiting) = &mut self.text else { return };
        let whole = std::mem::take(&mut waiting.text.text);
        let (ready, held) = whole.split_at(whole.len() - self.masker.held_back(&whole));
        let message = Text { text: self.masker.mask(ready), ..waiting.text.clone() };
        waiting.due = None;
        if held.is_empty() {
            self.text = None;
        } else {
            waiting.text.text = held.to_owned();
        }
        say(message, out);
    }

    fn flush_text(&mut self, out: &mut Vec<Update>) {
        if let Some(Gathered { text, .. }) = self.text.take() {
            say(Text { text: self.masker.mask(&text.text), ..text }, out);
        }
    }

    fn throttle(&mut self, state: ToolState, now: Instant, out: &mut Vec<Update>) {
        while self.tools.len() >= limits::CALLS && !self.tools.contains_key(&state.id) {
            if let Some((_, Throttled { waiting: Some(state), .. })) = self.tools.shift_remove_index(0) {
                self.tell(state, out);
            }
        }
        self.flush_text(out);
        let ended = state.status.is_final();
        match self.tools.get_mut(&state.id) {
            Some(tool) if now < tool.told + EVERY && (!ended || tool.ended) => tool.waiting = Some(state),
            _ => {
                self.tools.insert(state.id.clone(), Throttled { told: now, ended, waiting: None });
                self.tell(state, out);
            }
        }
    }

    fn tell(&self, mut state: ToolState, out: &mut Vec<Update>) {
        self.mask_tool(&mut state);
        out.push(Update::Tool(Box::new(state)));
    }

    fn mask_tool(&self, state: &mut ToolState) {
        if self.masker.is_empty() {
            return;
        }
        state.title = self.masker.mask(&state.title);
        state.input = state.input.take().map(|input| {
            let cut = input.len() + 4 > limits::INPUT;
            self.begin_of(&self.json, input, cut)
        });
        let cut = state.output_bytes.is_some();
        state.output = state.output.take().map(|output| self.end_of(&output, cut));
        for diff in &mut state.diffs {
            diff.new = self.begin_of(&self.masker, std::mem::take(&mut diff.new), diff.cut);
            diff.old = diff.old.take().map(|old| self.begin_of(&self.masker, old, diff.cut));
        }
    }

    /// The beginning of a text, masked. Where it was cut a secret may have been cut too.
    fn begin_of(&self, masker: &Masker, mut text: String, cut: bool) -> String {
        if masker.is_empty() {
            return text;
        }
        if cut {
            text.truncate(text.len() - masker.held_back(&text));
        }
        masker.mask(&text)
    }

    /// The end of a text, masked. Where it was cut it goes on with its next line.
    fn end_of(&self, text: &str, cut: bool) -> String {
        let start = if cut { head(text, ENOUGH).find('\n').map_or(head(text, ENOUGH).len(), |at| at + 1) } else { 0 };
        self.masker.mask(&text[start..])
    }
}

fn say(message: Text, out: &mut Vec<Update>) {
    let mut rest = message.text.as_str();
    while !rest.is_empty() {
        let piece = head(rest, limits::TEXT);
        rest = &rest[piece.len()..];
        out.push(Update::Text(Text { text: piece.to_owned(), ..message.clone() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;
    use signalbox_model::ToolStatus;

    fn text(text: &str) -> Update {
        Update::Text(Text { message: "m1".into(), thought: false, text: text.into(), repeated: false })
    }

    fn tool(status: ToolStatus, output: &str) -> Update {
        let output = Some(output.to_owned());
        Update::Tool(Box::new(ToolState { id: "a".into(), status, output, ..ToolState::default() }))
    }

    fn said(out: &[Update]) -> Vec<String> {
        let said = out.iter().map(|update| match update {
            Update::Text(text) => text.text.clone(),
            Update::Tool(tool) => format!("{:?} {}", tool.status, tool.output.clone().unwrap_or_default()),
            Update::Raw { line, .. } => line.clone(),
            other => format!("{other:?}"),
        });
        said.collect()
    }

    #[test]
    fn text_is_gathered_for_a_while_and_not_longer() {
        let (mut pace, mut out, start) = (Pace::default(), Vec::new(), Instant::now());
        for (n, word) in ["one ", "two ", "three "].iter().enumerate() {
            pace.take(text(word), start + Duration::from_millis(10 * n as u64), &mut out);
        }
        assert_eq!((out.len(), pace.due()), (0, Some(start + GATHER)));
        pace.tick(start + GATHER, &mut out);
        assert_eq!(said(&out), ["one two three "]);
        assert_eq!(pace.due(), None);
        pace.take(text(&"x".repeat(3 * ENOUGH)), start, &mut out);
        assert_eq!((out.len(), pace.due()), (2, None));
    }

    #[test]
    fn a_calls_course_is_throttled_and_its_end_is_not() {
        let (mut pace, mut out, start) = (Pace::default(), Vec::new(), Instant::now());
        pace.take(text("before"), start, &mut out);
        for n in 0..1000 {
            pace.take(tool(ToolStatus::InProgress, &n.to_string()), start + Duration::from_millis(n), &mut out);
            pace.tick(start + Duration::from_millis(n), &mut out);
        }
        assert_eq!(out.len(), 11, "{:?}", said(&out));
        pace.take(tool(ToolStatus::Completed, "end"), start + Duration::from_millis(1000), &mut out);
        pace.take(tool(ToolStatus::Completed, "late"), start + Duration::from_millis(1001), &mut out);
        pace.flush(&mut out);
        assert_eq!(said(&out)[11..], ["Completed end", "Completed late"]);
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn no_secret_goes_out_however_it_is_cut() {
        let mut pace = Pace::new(Masker::new(["hunter2-hunter2".to_owned()]));
        let (mut out, start) = (Vec::new(), Instant::now());
        for letter in "it is hunter2-hunter2, hunter2".chars() {
            pace.take(text(&letter.to_string()), start, &mut out);
            pace.tick(start + GATHER, &mut out);
        }
        pace.flush(&mut out);
        assert_eq!(said(&out).concat(), "it is ***, hunter2");
        out.clear();
        pace.take(tool(ToolStatus::Completed, "a hunter2-hunter2 b"), start, &mut out);
        let line = r#"{"text":"hunter2-hunter2"}"#.to_owned();
        pace.take(Update::Raw { direction: Direction::FromAgent, bytes: 26, line }, start, &mut out);
        assert_eq!(said(&out), ["Completed a *** b", r#"{"text":"***"}"#]);
    }
}
