//! What tells a file from a copy of it, however alike they are inside.

use std::{fs::Metadata, io, path::Path, time::UNIX_EPOCH};

/// The identity of the file at `path`: keeps through renames and writes, differs for every copy.
///
/// A file system without lasting numbers for its files (FAT, some network mounts) gives another one after each mount.
pub(crate) fn of(path: &Path) -> io::Result<String> {
    let file = std::fs::metadata(path)?;
    // The number of a deleted file is soon given to another one; the time of birth tells the two apart.
    let born = file.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{}/{}", number(&file), born.map_or(0, |time| time.as_nanos())))
}

/// When the file at `path` was changed last: a copy that is written over it changes that, however alike it is.
#[cfg(unix)]
pub(crate) fn changed(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    // Not the time of modification, which copying programs set to that of the original.
    let file = std::fs::metadata(path).ok()?;
    Some(format!("{}.{}", file.ctime(), file.ctime_nsec()))
}

/// As above; elsewhere a program that copies can set it.
#[cfg(not(unix))]
pub(crate) fn changed(path: &Path) -> Option<String> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(time.as_nanos().to_string())
}

#[cfg(unix)]
fn number(file: &Metadata) -> u64 {
    // Not the device: it changes with the order in which disks are found.
    std::os::unix::fs::MetadataExt::ino(file)
}

/// Elsewhere the time of birth has to do: the number of a file is not to be had from the standard library.
#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}
