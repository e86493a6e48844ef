//! Files for their owner's eyes alone: tokens, keys, what is shared.

use std::{io, path::Path};

/// Writes `content` to `path` (mode 0600 where there are modes): a reader sees the old content or the new one, never half.
///
/// # Errors
/// If it cannot be written. Then what was there before still is.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, std::fs::File::sync_all)
}

/// As [`write()`], for what means nothing once this process has ended: it does not wait for the disk.
///
/// # Errors
/// As there.
pub fn write_for_now(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, |_| Ok(()))
}

fn replace(path: &Path, content: &[u8], keep: impl FnOnce(&std::fs::File) -> io::Result<()>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let beside = path.with_file_name(name);
    std::fs::remove_file(&beside).ok();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    io::Write::write_all(&mut file, content)?;
    keep(&file)?;
    drop(file);
    std::fs::rename(&beside, path)
}

/// Makes a folder that only its owner may open, if it is not there.
///
/// # Errors
/// If it cannot be made.
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.json");
        std::fs::write(&path, "before").unwrap();
        super::write(&path, b"after").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
