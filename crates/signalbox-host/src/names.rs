//! Names of members: what others see of them, so none may hide, turn, or look like another's.

use signalbox_model::Actor;
use signalbox_wire::CallError;
use unicode_security::{confusable_detection::skeleton, mixed_script::AugmentedScriptSet};

/// Marks that turn or hide what stands beside them (Unicode Bidi, UAX #9, and characters that show nothing): with them a name
/// could look like another's, or like none.
fn misleads(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a word takes letters of several scripts that nobody writes together (Unicode UTS #39, section 5.1; Latin beside
/// Chinese, Japanese and Korean is usual, section 5.2).
fn mixes(word: &str) -> bool {
    if !AugmentedScriptSet::for_str(word).is_empty() {
        return false;
    }
    let other: String = word.chars().filter(|letter| !letter.is_ascii_alphabetic()).collect();
    let set = AugmentedScriptSet::for_str(&other);
    !(set.hanb || set.jpan || set.kore)
}

/// Whether two names cannot be told apart: but for their case, or because their letters look the same (UTS #39, section 4).
pub(crate) fn alike(one: &str, other: &str) -> bool {
    let looks = |name: &str| skeleton(name).collect::<String>();
    let (low, other_low) = (one.to_lowercase(), other.to_lowercase());
    low == other_low || looks(&low) == looks(&other_low) || looks(one) == looks(other)
}

/// A name that a member can have.
pub(crate) fn check(name: &str) -> Result<(), CallError> {
    let fits = (1..=60).contains(&name.len()) && Actor::new(name).is_ok() && name.trim() == name;
    if !fits {
        return Err(CallError::bad_request("a name has 1 to 60 bytes, no control characters, and no blanks around it"));
    }
    if name.chars().any(misleads) {
        return Err(CallError::bad_request("a name has no characters that hide or turn others"));
    }
    if name.split(|letter: char| !letter.is_alphanumeric()).any(mixes) {
        return Err(CallError::bad_request("a word of a name does not mix letters of several scripts")
            .hint("letters that look alike could be taken for somebody else's name"));
    }
    if ["engine", "host"].iter().any(|own| alike(own, name)) {
        return Err(CallError::bad_request(format!("{name:?} is what events say of this program itself")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mislead_are_refused() {
        for good in [
            "Ada",
            "Ada (phone)",
            "__proto__",
            "constructor",
            "Ümit",
            "李雷",
            "a'b\"c<d>",
            "Иван",
            "Ivan (Иван)",
            "田中san",
            "ひろしカナ漢",
            "김민수",
            "Ελένη",
            "محمد",
            "Jean-Luc 2",
        ] {
            check(good).unwrap_or_else(|error| panic!("{good:?}: {error:?}"));
        }
        let long = "x".repeat(61);
        for bad in [
            "",
            " Ada",
            "Ada ",
            "a\r\nb",
            "a\0b",
            "a\u{7f}b",
            "\u{202e}evil",
            "a\u{200b}b",
            "Engine",
            "host",
            &long,
            // Latin with one Cyrillic or Greek letter, and the program's own name in another script.
            "\u{410}da",
            "pa\u{443}pal",
            "Al\u{3b1}n",
            "h\u{43e}st",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_are_one_name() {
        for (one, other) in [
            ("Ada", "aDA"),
            ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}"),
            ("PAX", "\u{420}\u{410}\u{425}"),
            ("Bill", "BiIl"),
            ("O'Hara", "O\u{2019}Hara"),
            ("e\u{301}va", "\u{e9}va"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one:?} {other:?}");
        }
        for (one, other) in [("Ada", "Ida"), ("Eva", "\u{e9}va"), ("Ann", "Anne"), ("李雷", "李蕾")] {
            assert!(!alike(one, other), "{one:?} {other:?}");
        }
    }
}
