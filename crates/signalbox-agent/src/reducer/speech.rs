//! Messages and thoughts: which piece belongs to which, and which was said before.

use crate::{
    limits::{self, head, word},
    update::{Text, Update},
};

/// Bytes of a message's beginning by which a repetition is recognised and followed.
const BEGINNING: usize = 4096;
/// Bytes that must be the same before a text is taken for a repetition.
const ENOUGH: usize = 24;
/// Different letters that those bytes must have: a rule of dashes repeats itself by nature.
const LETTERS: usize = 8;

/// What the agent says. Every letter comes out once and in order.
#[derive(Debug, Default)]
pub(super) struct Speech {
    current: Option<Said>,
    /// Beginnings of the last message and of the last thought, until a boundary: a turn or a tool.
    last: [Option<String>; 2],
    count: u64,
    /// Text that may be the beginning of a repetition.
    held: String,
}

#[derive(Debug)]
struct Said {
    id: String,
    theirs: Option<String>,
    thought: bool,
    begin: String,
    /// What it may repeat, and how much of that has come again.
    before: Option<(String, usize)>,
}

impl Speech {
    /// A piece of a message.
    pub(super) fn say(&mut self, theirs: Option<&str>, thought: bool, text: &str, out: &mut Vec<Update>) {
        if text.is_empty() {
            return;
        }
        let goes_on = self.current.as_ref().is_some_and(|said| {
            said.thought == thought && said.theirs.as_deref() == theirs.map(|id| head(id, limits::WORD))
        });
        if !goes_on {
            self.finish(out);
            let before = self.last[usize::from(thought)].take();
            self.begin(theirs.map(word), thought, before);
        }
        let mut text = std::mem::take(&mut self.held) + text;
        while !text.is_empty() {
            let Some(said) = &mut self.current else { return };
            // It follows what it repeats, or it may.
            if let Some((before, at)) = &mut said.before {
                let rest = &before[*at..];
                let same = common(rest, &text);
                let decided = *at > 0 || distinct(before, same);
                if same == text.len() && same < rest.len() && !decided {
                    self.held = text;
                    return;
                }
                if decided && same > 0 {
                    *at += same;
                    let rest = text.split_off(same);
                    Self::emit(said, &text, true, out);
                    text = rest;
                    continue;
                }
                said.before = None;
            }
            // It begins again under the same name.
            let same = common(&said.begin, &text);
            if said.begin.len() >= ENOUGH && same > 1 && distinct(&said.begin, ENOUGH) {
                if same == text.len() && same < ENOUGH {
                    self.held = text;
                    return;
                }
                if same >= ENOUGH {
                    let (theirs, before) = (said.theirs.clone(), said.begin.clone());
                    self.begin(theirs, thought, Some(before));
                    continue;
                }
            }
            Self::emit(said, &text, false, out);
            return;
        }
    }

    /// Something else happened: what comes next is another message, and no repetition of this one.
    pub(super) fn boundary(&mut self, out: &mut Vec<Update>) {
        self.finish(out);
        self.last = [None, None];
    }

    fn finish(&mut self, out: &mut Vec<Update>) {
        let Some(mut said) = self.current.take() else { return };
        let held = std::mem::take(&mut self.held);
        Self::emit(&mut said, &held, false, out);
        self.last[usize::from(said.thought)] = Some(said.begin);
    }

    fn begin(&mut self, theirs: Option<String>, thought: bool, before: Option<String>) {
        self.count += 1;
        // The agent's own name is not enough: thoughts share it with messages, and a repetition with what it repeats.
        let id = format!("m{}", self.count);
        let before =
            before.filter(|before| before.len() >= ENOUGH && distinct(before, ENOUGH)).map(|before| (before, 0));
        self.current = Some(Said { id, theirs, thought, begin: String::new(), before });
    }

    fn emit(said: &mut Said, text: &str, repeated: bool, out: &mut Vec<Update>) {
        let room = BEGINNING - said.begin.len();
        said.begin.push_str(head(text, room));
        let mut rest = text;
        while !rest.is_empty() {
            let piece = head(rest, limits::TEXT);
            rest = &rest[piece.len()..];
            let (message, thought, text) = (said.id.clone(), said.thought, piece.to_owned());
            out.push(Update::Text(Text { message, thought, text, repeated }));
        }
    }
}

/// Bytes at the beginning that are the same in both, whole letters.
fn common(a: &str, b: &str) -> usize {
    a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b).map_or(a.len().min(b.len()), |((at, _), _)| at)
}

/// Whether so many bytes are enough to recognise a text by.
fn distinct(text: &str, bytes: usize) -> bool {
    let start = head(text, bytes.min(2 * ENOUGH));
    let mut letters: Vec<char> = start.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    start.len() + 3 >= ENOUGH && letters.len() >= LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "This stream breaks off in the middle of the sentence";

    fn said(pieces: &[(Option<&str>, &str)]) -> Vec<(String, String, bool)> {
        let (mut speech, mut out) = (Speech::default(), Vec::new());
        for (id, text) in pieces {
            speech.say(*id, false, text, &mut out);
        }
        speech.boundary(&mut out);
        let mut messages: Vec<(String, String, bool)> = Vec::new();
        for update in out {
            let Update::Text(text) = update else { panic!("no text") };
            match messages.last_mut().filter(|last| last.0 == text.message && last.2 == text.repeated) {
                Some(last) => last.1.push_str(&text.text),
                None => messages.push((text.message, text.text, text.repeated)),
            }
        }
        messages
    }

    fn words<'a>(id: Option<&'a str>, text: &'a str) -> Vec<(Option<&'a str>, &'a str)> {
        text.split_inclusive(' ').map(|word| (id, word)).collect()
    }

    #[test]
    fn a_text_that_begins_again_is_a_new_message_and_a_repetition() {
        for (first, second) in [(None, None), (Some("a"), Some("a")), (Some("a"), Some("b"))] {
            let rest = format!("{LINE} and is whole now.");
            let pieces = [words(first, &LINE[..40]), words(second, &rest)].concat();
            let expected = [
                ("m1".to_owned(), LINE[..40].to_owned(), false),
                ("m2".to_owned(), LINE[..40].to_owned(), true),
                ("m2".to_owned(), rest[40..].to_owned(), false),
            ];
            assert_eq!(said(&pieces), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn each_of_several_repetitions_is_a_message() {
        let line = format!("{LINE} ");
        let pieces = words(Some("a"), &line).repeat(4);
        let messages = said(&pieces);
        assert_eq!(messages.len(), 4);
        assert!(
            messages.iter().enumerate().all(|(n, (_, text, repeated))| text.trim() == LINE && *repeated == (n > 0))
        );
    }

    #[test]
    fn what_only_looks_alike_is_one_message() {
        for text in
            ["- a - a - a - a - a - a - a - a - a - a ", "This is the first thing. This is not the first thing. This"]
        {
            let messages = said(&words(None, text));
            assert_eq!(messages, [("m1".to_owned(), text.to_owned(), false)]);
        }
    }

    proptest! {
        /// Whatever the pieces are, none is lost, doubled or moved.
        #[test]
        fn every_letter_comes_out_once(pieces in prop::collection::vec((0..3usize, "[ab ]{0,3}|abcdefghijklmnopqrstuvwxyz"), 0..40)) {
            let ids = [None, Some("a"), Some("b")];
            let pieces: Vec<(Option<&str>, &str)> = pieces.iter().map(|(id, text)| (ids[*id], text.as_str())).collect();
            let whole: String = pieces.iter().map(|(_, text)| *text).collect();
            prop_assert_eq!(said(&pieces).into_iter().map(|(_, text, _)| text).collect::<String>(), whole);
        }
    }
}
