//! Masking of secret values in output.

use std::ops::Range;

/// Replaces secret values by `***`.
#[derive(Debug, Clone, Default)]
pub struct Masker {
    values: Vec<String>,
}

/// A value shorter than this is not masked: it would blot out ordinary text and hide nothing.
const SHORTEST: usize = 4;

impl Masker {
    /// Masks these values, and each line of those that have several.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut masked = Vec::new();
        for value in values {
            masked.extend(value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned));
        }
        masked.sort_unstable();
        masked.dedup();
        Self { values: masked }
    }

    /// Masks the same values also as they look within JSON text, where some characters are escaped.
    #[must_use]
    pub fn within_json(&self) -> Self {
        let mut values = self.values.clone();
        for value in &self.values {
            let escaped: String = value.chars().flat_map(escape).collect();
            if escaped != *value {
                values.push(escaped);
            }
        }
        Self { values }
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What is covered: each part of the text that is some secret, in order; those that overlap are one.
    fn covers(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for value in &self.values {
            let mut from = 0;
            // One letter further each time: a secret may overlap itself, and what sticks out would be shown.
            while let Some(at) = text[from..].find(value.as_str()) {
                let start = from + at;
                found.push(start..start + value.len());
                from = start + value.chars().next().map_or(1, char::len_utf8);
            }
        }
        found.sort_unstable_by_key(|cover| cover.start);
        let mut covers: Vec<Range<usize>> = Vec::new();
        for cover in found {
            match covers.last_mut() {
                Some(last) if cover.start < last.end => last.end = last.end.max(cover.end),
                _ => covers.push(cover),
            }
        }
        covers
    }

    /// The text without secrets.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut shown = 0;
        for cover in self.covers(text) {
            out.push_str(&text[shown..cover.start]);
            out.push_str("***");
            shown = cover.end;
        }
        out.push_str(&text[shown..]);
        out
    }

    /// How many bytes at the end of `text` must wait for what follows: they may be the beginning of a secret, or belong
    /// to one that reaches into such a beginning.
    #[must_use]
    pub fn held_back(&self, text: &str) -> usize {
        let mut held = 0;
        for value in &self.values {
            let longest = value.len().saturating_sub(1).min(text.len());
            for length in (held + 1..=longest).rev() {
                if text.is_char_boundary(text.len() - length) && value.starts_with(&text[text.len() - length..]) {
                    held = length;
                    break;
                }
            }
        }
        // `abcab` may end with the beginning of the next one: cut there, neither half would be recognised.
        let cut = text.len() - held;
        let within = self.covers(text).into_iter().find(|cover| cover.start < cut && cut < cover.end);
        text.len() - within.map_or(cut, |cover| cover.start)
    }
}

/// A character within JSON text (RFC 8259, section 7), as encoders write it by default.
fn escape(letter: char) -> Vec<char> {
    match letter {
        '"' => vec!['\\', '"'],
        '\\' => vec!['\\', '\\'],
        '\t' => vec!['\\', 't'],
        _ if letter < ' ' => format!("\\u{:04x}", u32::from(letter)).chars().collect(),
        _ => vec![letter],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However output is cut into pieces, no secret comes through.
        #[test]
        fn no_secret_survives_any_cut(before in "[a-z ]{0,10}", after in "[a-z ]{0,10}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let secret = "tokentok-12345";
            let masker = Masker::new([secret.to_owned()]);
            let text = format!("{before}{secret}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut shown, mut held, mut at) = (String::new(), String::new(), 0);
            for cut in cuts {
                held.push_str(&text[at..cut]);
                at = cut;
                let keep = held.len() - masker.held_back(&held);
                shown.push_str(&masker.mask(&held[..keep]));
                held.drain(..keep);
            }
            shown.push_str(&masker.mask(&held));
            prop_assert_eq!(shown, format!("{}***{}", before, after));
        }
    }

    #[test]
    fn a_secret_that_ends_as_it_begins_is_not_cut_in_two() {
        let masker = Masker::new(["abcab".to_owned()]);
        assert_eq!((masker.held_back("x abcab"), masker.held_back("x abcabc"), masker.held_back("abcab\n")), (5, 6, 0));
        assert_eq!(masker.mask("abcabcab"), "***");
    }

    #[test]
    fn secrets_that_overlap_are_covered_as_one() {
        let masker = Masker::new(["abcd".to_owned(), "cdef".to_owned()]);
        assert_eq!(masker.mask("xabcdefx abcd"), "x***x ***");
    }

    #[test]
    fn a_secret_with_a_quote_is_found_in_json() {
        let masker = Masker::new(["pa\"ss\\word".to_owned()]).within_json();
        assert_eq!(masker.mask(r#"{"a":"pa\"ss\\word","b":"pa"}"#), r#"{"a":"***","b":"pa"}"#);
    }

    #[test]
    fn each_line_of_a_long_secret_is_masked() {
        let masker = Masker::new(["first-line\nsecond-line\nab".to_owned()]);
        assert_eq!(masker.mask("second-line ab first-line"), "*** ab ***");
    }
}
