//! The command line.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::links;

pub(crate) const USAGE: &str = "\
Usage: signalbox-desktop [--listen ADDRESS] [PROJECT | LINK]...

Opens the Signalbox window, and the folders PROJECT as projects.
LINK is signalbox://join/... of an invitation, or signalbox://run/HOST/PROJECT/RUN.
If it is open already, that window comes to the front and opens them.

  --listen ADDRESS  also serve browsers and programs, for example on 127.0.0.1:7117
  --version         say the version and end
  --help            say this and end

SIGNALBOX_DATA_DIR and SIGNALBOX_CONFIG_DIR name other folders than the system's usual ones.";

/// What a start is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Folders to open, absolute.
    pub(crate) projects: Vec<PathBuf>,
    /// Links to follow, as they were given.
    pub(crate) links: Vec<String>,
    /// Where to listen; none: nowhere.
    pub(crate) listen: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Open(Arguments),
    Say(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is no option")]
    Unknown(String),
    #[error("--listen needs an address, for example 127.0.0.1:7117")]
    NoAddress,
}

/// Reads arguments as they follow the program's name; relative folders are those of `cwd`.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>, cwd: &Path) -> Result<Wanted, Error> {
    let mut found = Arguments::default();
    let mut arguments = arguments.into_iter();
    let mut options = true;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--") if options => options = false,
            Some("--help" | "-h") if options => return Ok(Wanted::Say(USAGE.to_owned())),
            Some("--version" | "-V") if options => {
                return Ok(Wanted::Say(format!("signalbox-desktop {}", env!("CARGO_PKG_VERSION"))));
            }
            Some("--listen") if options => {
                found.listen = Some(arguments.next().and_then(|text| text.into_string().ok()).ok_or(Error::NoAddress)?);
            }
            Some(text) if options && links::is_link(text) => found.links.push(text.to_owned()),
            Some(text) if options && text.starts_with('-') => return Err(Error::Unknown(text.to_owned())),
            _ => found.projects.push(cwd.join(argument)),
        }
    }
    Ok(Wanted::Open(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Wanted, Error> {
        parse(arguments.iter().map(Into::into), Path::new("/here"))
    }

    #[test]
    fn folders_are_made_absolute_and_options_are_told_from_them() {
        let Ok(Wanted::Open(found)) = parsed(&["shop", "/srv/api", "--listen", "127.0.0.1:0", "--", "--odd"]) else {
            panic!()
        };
        assert_eq!(found.projects, ["/here/shop", "/srv/api", "/here/--odd"].map(PathBuf::from));
        assert_eq!(found.listen.as_deref(), Some("127.0.0.1:0"));
    }

    #[test]
    fn links_are_told_from_folders() {
        let Ok(Wanted::Open(found)) = parsed(&["signalbox://run/x", "signalbox", "--", "signalbox:odd"]) else {
            panic!()
        };
        assert_eq!(found.links, ["signalbox://run/x"]);
        assert_eq!(found.projects, ["/here/signalbox", "/here/signalbox:odd"].map(PathBuf::from));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(parsed(&["--lisen"]), Err(Error::Unknown("--lisen".into())));
        assert_eq!(parsed(&["--listen"]), Err(Error::NoAddress));
        assert!(matches!(parsed(&["--version"]), Ok(Wanted::Say(_))));
    }
}
