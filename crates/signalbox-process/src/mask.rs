//! Masking of secret values in output.

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
        // The longest first: a value that contains another must not leave its rest behind.
        masked.sort_by_key(|value| std::cmp::Reverse(value.len()));
        masked.dedup();
        Self { values: masked }
    }

    /// The text without secrets.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for value in &self.values {
            if out.contains(value.as_str()) {
                out = out.replace(value.as_str(), "***");
            }
        }
        out
    }

    /// How many bytes at the end of `text` may be the beginning of a secret: they must wait for what follows.
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
        held
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
    fn each_line_of_a_long_secret_is_masked() {
        let masker = Masker::new(["first-line\nsecond-line\nab".to_owned()]);
        assert_eq!(masker.mask("second-line ab first-line"), "*** ab ***");
    }
}
