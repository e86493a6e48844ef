//! Names of branches and folders, made from names of runs and steps.
//!
//! A name of lower-case letters, digits, `-` and `_` stays as it is. Any other gets a readable form and, after a dot, 48
//! bits of its hash: a plain name has no dot, so the two kinds never meet, and letters that differ only in case do not meet
//! either on a file system that does not tell them apart.

use sha2::{Digest, Sha256};

/// Longest readable part in bytes; with the hash and git's `.lock` far below what a file system takes.
const LONGEST: usize = 60;

/// The branch of a step: `signalbox/<run>/<step>`. Valid for git, the same for the same names, different for different ones.
#[must_use]
pub fn branch_name(run: &str, step: &str) -> String {
    format!("signalbox/{}/{}", component(run), component(step))
}

/// The folder of a step's worktree, relative to the folder of all worktrees: `<run>/<step>`.
#[must_use]
pub fn folder_name(run: &str, step: &str) -> String {
    format!("{}/{}", component(run), component(step))
}

fn component(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut slug = String::new();
    for c in name.chars() {
        if slug.len() >= LONGEST {
            break;
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("{}.{hash}", if slug.is_empty() { "step" } else { slug })
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !name.is_empty() && name.len() <= LONGEST && !name.starts_with('-') && name.bytes().all(plain) && !is_device(name)
}

/// Windows takes these for devices, whatever folder they are in.
fn is_device(name: &str) -> bool {
    matches!(name, "con" | "prn" | "aux" | "nul")
        || (name.len() == 4 && (name.starts_with("com") || name.starts_with("lpt")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_and_others_are_readable() {
        assert_eq!(branch_name("r_01ab", "build"), "signalbox/r_01ab/build");
        assert!(branch_name("r_1", "build[api]").starts_with("signalbox/r_1/build-api."));
        assert!(folder_name("r_1", "../../etc").starts_with("r_1/etc."));
        assert!(branch_name("r_1", "nul").starts_with("signalbox/r_1/nul."));
    }

    proptest! {
        #[test]
        fn a_component_is_valid_and_tells_names_apart(a in "\\PC{0,90}", b in "\\PC{0,90}") {
            let (left, right) = (component(&a), component(&b));
            prop_assert_eq!(a == b, left == right);
            for name in [&left, &right] {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST + 13);
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)));
                prop_assert!(!name.starts_with(['.', '-']) && !name.ends_with('.') && !name.contains(".."));
                prop_assert!(std::path::Path::new(name).extension().is_none_or(|e| e != "lock"));
            }
        }
    }
}
