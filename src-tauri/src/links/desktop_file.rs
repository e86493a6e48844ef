//! Tells a Linux desktop which program opens the scheme: a desktop file of this person's, and the list of defaults
//! (Desktop Entry Specification, section "The Exec key"; Association between MIME types and applications).
//!
//! The plugin would do so as well, but it quotes the program's path always, which `xdg-open` without a desktop does not
//! understand.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use tauri::{AppHandle, Manager};

const NAME: &str = "signalbox-desktop-handler.desktop";
const TYPE: &str = "x-scheme-handler/signalbox";

/// Why links do not open the app.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Folder(#[from] tauri::Error),
    #[error("the path of this program cannot be written into a desktop file")]
    Program,
    #[error("xdg-mime failed; it is in the package xdg-utils")]
    Default,
}

/// Writes the file if it is not there or says something else, and makes it the default.
pub(super) fn register(app: &AppHandle) -> Result<(), Error> {
    let program = match app.env().appimage {
        Some(image) => image.into(),
        None => std::env::current_exe()?,
    };
    let text = text(&program).ok_or(Error::Program)?;
    let folder = app.path().data_dir()?.join("applications");
    let file = folder.join(NAME);
    if fs::read_to_string(&file).is_ok_and(|before| before == text) {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    fs::write(&file, text)?;
    // Refreshes a cache where there is one.
    quietly(Command::new("update-desktop-database").arg(&folder)).ok();
    match quietly(Command::new("xdg-mime").args(["default", NAME, TYPE])) {
        Ok(true) => Ok(()),
        _ => Err(Error::Default),
    }
}

fn quietly(command: &mut Command) -> io::Result<bool> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().map(|status| status.success())
}

fn text(program: &Path) -> Option<String> {
    let program = exec(program.to_str()?)?;
    Some(format!(
        "[Desktop Entry]\nType=Application\nName=Signalbox\nExec={program} %u\nTerminal=false\nNoDisplay=true\nMimeType={TYPE};\n"
    ))
}

/// A path as the key `Exec` wants it: quoted only if it has to be. None if it cannot be written at all.
fn exec(path: &str) -> Option<String> {
    if path.contains(['=', '\n', '\r']) {
        return None;
    }
    let path = path.replace('%', "%%");
    if !path.contains([' ', '\t', '"', '\'', '\\', '>', '<', '~', '|', '&', ';', '$', '*', '?', '#', '(', ')', '`']) {
        return Some(path);
    }
    let mut quoted = String::from("\"");
    for letter in path.chars() {
        // Escaped for the quotes, and the backslash again for the file's own strings.
        if matches!(letter, '"' | '`' | '$' | '\\') {
            quoted.push_str("\\\\");
        }
        if letter == '\\' {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_only_if_it_has_to_be() {
        assert_eq!(exec("/opt/signalbox-desktop").as_deref(), Some("/opt/signalbox-desktop"));
        assert_eq!(exec("/home/a b/x").as_deref(), Some("\"/home/a b/x\""));
        assert_eq!(exec("/home/$a/x%y").as_deref(), Some("\"/home/\\\\$a/x%%y\""));
        assert_eq!(exec("/home/a\\b").as_deref(), Some("\"/home/a\\\\\\\\b\""));
        assert_eq!(exec("/home/a\nExec=evil"), None);
        assert!(text(Path::new("/opt/x")).unwrap().contains("MimeType=x-scheme-handler/signalbox;"));
    }
}
