//! Text files of the session's folder.

use std::{
    io::Read,
    path::{Component, Path, PathBuf},
};

use agent_client_protocol::v1::schema::{
    ReadTextFileRequest, ReadTextFileResponse, WriteTextFileRequest, WriteTextFileResponse,
};

use super::No;

/// The largest file that is read, and the largest part of it that is sent, in bytes.
const FILE: u64 = 8 * 1024 * 1024;

/// Where `path` really is, if that is within `folder`. What is not there yet may be named too, below what is.
fn within(folder: &Path, path: &Path) -> Result<PathBuf, No> {
    if !path.is_absolute() {
        return Err(No::params(format!("the path {} is not absolute", path.display())));
    }
    let folder = folder.canonicalize().map_err(|error| No::failed(format!("the session's folder: {error}")))?;
    let mut there = path;
    let mut missing = Vec::new();
    let found = loop {
        match there.canonicalize() {
            Ok(found) => break found,
            // A link to nowhere is no place to write to: where it leads is not known.
            Err(_) if there.symlink_metadata().is_ok() => return Err(No::not_found()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(No::failed(format!("{}: {error}", there.display()))),
        }
        let (Some(name), Some(parent)) = (there.components().next_back(), there.parent()) else {
            return Err(No::not_found());
        };
        let Component::Normal(name) = name else {
            return Err(No::params(format!("the path {} has a part that is no name", path.display())));
        };
        missing.push(name.to_owned());
        there = parent;
    };
    let whole = missing.into_iter().rev().fold(found, |path, name| path.join(name));
    if !whole.starts_with(&folder) {
        let message = format!(
            "{} is outside of the folder of this session, {}: only files within it are offered",
            path.display(),
            folder.display()
        );
        return Err(No::params(message));
    }
    Ok(whole)
}

pub(super) fn read(folder: &Path, wanted: &ReadTextFileRequest) -> Result<ReadTextFileResponse, No> {
    let path = within(folder, &wanted.path)?;
    let shown = wanted.path.display();
    let known = path.metadata().map_err(|_| No::not_found())?;
    // Also a pipe or a device, which would be read for ever.
    if !known.is_file() {
        return Err(No::params(format!("{shown} is no file")));
    }
    let too_large = || No::failed(format!("{shown} is over {} MiB and was not read", FILE / (1024 * 1024)));
    if known.len() > FILE {
        return Err(too_large());
    }
    let file = std::fs::File::open(&path).map_err(|error| No::failed(format!("{shown}: {error}")))?;
    let mut bytes = Vec::new();
    file.take(FILE + 1).read_to_end(&mut bytes).map_err(|error| No::failed(format!("{shown}: {error}")))?;
    if bytes.len() as u64 > FILE {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|_| No::failed(format!("{shown} is no text: it is not UTF-8")))?;
    // Lines count from 1.
    let first = wanted.line.map_or(0, |line| line.saturating_sub(1)) as usize;
    if first == 0 && wanted.limit.is_none() {
        return Ok(ReadTextFileResponse::new(text));
    }
    let count = wanted.limit.map_or(usize::MAX, |limit| limit as usize);
    Ok(ReadTextFileResponse::new(text.split_inclusive('\n').skip(first).take(count).collect::<String>()))
}

pub(super) fn write(folder: &Path, wanted: &WriteTextFileRequest) -> Result<WriteTextFileResponse, No> {
    let path = within(folder, &wanted.path)?;
    let shown = wanted.path.display();
    if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
        return Err(No::params(format!("{shown} belongs to git, which is not written to")));
    }
    if path.exists() && !path.is_file() {
        return Err(No::params(format!("{shown} is no file")));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| No::failed(format!("{shown}: {error}")))?;
    }
    std::fs::write(&path, &wanted.content).map_err(|error| No::failed(format!("{shown} was not written: {error}")))?;
    Ok(WriteTextFileResponse::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(folder: &Path, path: &Path, line: Option<u32>, limit: Option<u32>) -> Result<String, i64> {
        let mut wanted = ReadTextFileRequest::new("s", path);
        (wanted.line, wanted.limit) = (line, limit);
        read(folder, &wanted).map(|answer| answer.content).map_err(|no| no.code)
    }

    fn put(folder: &Path, path: &Path) -> Result<(), i64> {
        write(folder, &WriteTextFileRequest::new("s", path, "new\n")).map(|_| ()).map_err(|no| no.code)
    }

    #[test]
    fn only_text_files_within_the_folder_are_read_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, other) = (dir.path().join("work"), dir.path().join("other"));
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(folder.join("a.txt"), "one\ntwo\nthree").unwrap();
        std::fs::write(folder.join("binary"), [0xff, 0xfe, 0]).unwrap();
        std::fs::write(other.join("secret"), "secret").unwrap();
        std::fs::create_dir(folder.join(".git")).unwrap();

        let a = folder.join("a.txt");
        assert_eq!(text(&folder, &a, None, None).as_deref(), Ok("one\ntwo\nthree"));
        assert_eq!(text(&folder, &a, Some(2), Some(1)).as_deref(), Ok("two\n"));
        assert_eq!(text(&folder, &a, Some(0), Some(1)).as_deref(), Ok("one\n"));
        assert_eq!(text(&folder, &a, Some(9), None).as_deref(), Ok(""));
        assert_eq!(text(&folder, &folder.join("none"), None, None), Err(NOT_FOUND));
        assert_eq!(text(&folder, &folder.join("sub"), None, None), Err(BAD_PARAMS));
        assert_eq!(text(&folder, &folder.join("binary"), None, None), Err(INTERNAL));
        assert_eq!(text(&folder, &folder.join("sub/../../other/secret"), None, None), Err(BAD_PARAMS));
        assert_eq!(text(&folder, &other.join("secret"), None, None), Err(BAD_PARAMS));
        assert_eq!(text(&folder, Path::new("a.txt"), None, None), Err(BAD_PARAMS));

        assert_eq!(put(&folder, &folder.join("new/deep/file.txt")), Ok(()));
        assert_eq!(std::fs::read_to_string(folder.join("new/deep/file.txt")).unwrap(), "new\n");
        assert_eq!(put(&folder, &folder.join("none/../../other/x")), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &other.join("x")), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &folder.join(".git/hooks/pre-commit")), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &folder.join("sub")), Err(BAD_PARAMS));
        assert!(!other.join("x").exists() && !folder.join(".git/hooks").exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_before_it_is_judged() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (folder, other) = (dir.path().join("work"), dir.path().join("other"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("secret"), "secret").unwrap();
        std::fs::write(folder.join("a.txt"), "a").unwrap();
        symlink(&other, folder.join("way")).unwrap();
        symlink(other.join("nothing"), folder.join("dangling")).unwrap();
        symlink(folder.join("a.txt"), folder.join("good")).unwrap();
        assert_eq!(text(&folder, &folder.join("way/secret"), None, None), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &folder.join("way/new")), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &folder.join("dangling")), Err(NOT_FOUND));
        assert!(!other.join("nothing").exists() && !other.join("new").exists());
        assert_eq!(text(&folder, &folder.join("good"), None, None).as_deref(), Ok("a"));
        let pipe = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(text(&folder, &pipe, None, None), Err(BAD_PARAMS));
        assert_eq!(put(&folder, &pipe), Err(BAD_PARAMS));
    }

    use super::super::{BAD_PARAMS, INTERNAL, NOT_FOUND};
}
