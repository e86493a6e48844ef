//! Files of a project folder: paths that stay within it, patterns, hashes, artifacts.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Component, Path, PathBuf},
};

use signalbox_model::Artifact;

/// Largest artifact, in bytes.
const ARTIFACT: u64 = 256 * 1024 * 1024;

/// A path within a folder, or none if it leads out of it.
pub(crate) fn within(folder: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    inside.then(|| folder.join(relative))
}

/// A text file within a folder, at most 64 KiB of it.
pub(crate) fn read_text(folder: &Path, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(within(folder, path)?).ok()?.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "md" | "txt" | "log" | "xml" | "csv" | "yaml" | "yml" | "toml" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Keeps the files that the patterns name.
///
/// # Errors
/// Which one is not there, too large, or cannot be kept.
pub(crate) fn collect_artifacts(
    folder: &Path,
    patterns: &[String],
    blobs: &signalbox_store::blob::Blobs,
) -> Result<Vec<Artifact>, String> {
    let mut kept = Vec::new();
    for pattern in patterns {
        let files = matching(folder, pattern);
        if files.is_empty() {
            return Err(format!("the artifact {pattern} is not there"));
        }
        for path in files {
            let size = std::fs::metadata(&path).map(|data| data.len()).unwrap_or(0);
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if size > ARTIFACT {
                return Err(format!("the artifact {name} has {size} bytes, the limit is {ARTIFACT}"));
            }
            let stored = std::fs::read(&path).and_then(|content| blobs.put(&content, media_type(&path)));
            let blob = stored.map_err(|error| format!("the artifact {name} cannot be kept: {error}"))?;
            kept.push(Artifact { path: name, blob });
        }
    }
    Ok(kept)
}

/// Files that a pattern names: `*` within a name, `**` for any folders.
fn matching(folder: &Path, pattern: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let Some(_) = within(folder, pattern) else { return found };
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    walk(folder, &parts, &mut found, 0);
    found
}

fn walk(folder: &Path, parts: &[&str], found: &mut BTreeSet<PathBuf>, depth: usize) {
    let Some((first, rest)) = parts.split_first() else { return };
    if depth > 64 || found.len() > 10_000 {
        return;
    }
    if *first == "**" {
        walk(folder, rest, found, depth + 1);
    }
    if !first.contains('*') {
        let path = folder.join(first);
        if rest.is_empty() && path.is_file() {
            found.insert(path);
        } else if path.is_dir() {
            walk(&path, if rest.is_empty() { &["**", "*"] } else { rest }, found, depth + 1);
        }
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // A link is not followed: it may lead out of the folder, or round in a circle.
        let Ok(kind) = entry.file_type() else { continue };
        if *first == "**" {
            if kind.is_dir() && name != ".git" {
                walk(&entry.path(), parts, found, depth + 1);
            }
        } else if wildcard(first, name) {
            if rest.is_empty() && kind.is_file() {
                found.insert(entry.path());
            } else if kind.is_dir() && !rest.is_empty() {
                walk(&entry.path(), rest, found, depth + 1);
            }
        }
    }
}

/// Whether a path, relative and with `/`, is what a pattern names, or lies in a folder that it names.
pub(crate) fn matches_path(pattern: &str, path: &str) -> bool {
    let split = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    let (pattern, path) = (split(pattern), split(path));
    // Steps through the pattern; `reached` holds the lengths of the path's beginnings that fit so far.
    let mut reached: BTreeSet<usize> = BTreeSet::from([0]);
    for part in &pattern {
        let mut next = BTreeSet::new();
        for at in reached {
            if part == "**" {
                next.extend(at..=path.len());
            } else if path.get(at).is_some_and(|name| wildcard(part, name)) {
                next.insert(at + 1);
            }
        }
        reached = next;
    }
    // A folder stands for what is in it.
    !pattern.is_empty() && reached.iter().any(|at| *at > 0)
}

fn wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// SHA-256 over the names and contents of the files that match, in order of their names.
pub(crate) fn hash_files(folder: &Path, patterns: &[String]) -> Option<String> {
    use sha2::{Digest, Sha256};
    let files: BTreeSet<PathBuf> = patterns.iter().flat_map(|pattern| matching(folder, pattern)).collect();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update(signalbox_store::blob::hash(&std::fs::read(&file).ok()?).as_bytes());
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_like_files() {
        for (pattern, path) in [
            (".github/**", ".github/workflows/ci.yml"),
            (".github", ".github/x"),
            ("**/*.lock", "a/b/c.lock"),
            ("**/*.lock", "c.lock"),
            ("src/*.rs", "src/a.rs"),
            ("**/secret/**", "a/secret/b"),
        ] {
            assert!(matches_path(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [(".github/**", "src/.github/x"), ("src/*.rs", "src/a/b.rs"), ("", "a"), ("a/b", "a")] {
            assert!(!matches_path(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_stay_within_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("out/deep")).unwrap();
        for name in ["out/a.html", "out/b.txt", "out/deep/c.html"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let names = |pattern: &str| {
            matching(dir.path(), pattern)
                .iter()
                .map(|p| p.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("out/*.html"), ["out/a.html"]);
        assert_eq!(names("**/*.html"), ["out/a.html", "out/deep/c.html"]);
        assert_eq!(names("out"), ["out/a.html", "out/b.txt", "out/deep/c.html"]);
        assert!(names("../*").is_empty() && names("/etc/passwd").is_empty());
    }
}
