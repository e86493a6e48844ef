//! Links of the scheme `signalbox:`, which any web page and any message may hold: read strictly, and never done without
//! being shown. A link to join opens a dialog; a link to a run shows it, if its host was joined before.

#[cfg(target_os = "linux")]
mod desktop_file;

use signalbox_client::JoinLink;
use signalbox_model::{ProjectId, RunId};
use tauri::{AppHandle, Manager, Url};

use crate::{
    elsewhere::Elsewhere,
    wishes::{Wish, Wishes},
};

/// The scheme, with its colon.
const SCHEME: &str = "signalbox:";
/// Bytes of a link at most; the links that the product makes have less than 300.
const LONGEST: usize = 2048;
/// How a link names the host of the computer on which it is followed.
const THIS: &str = "this";

/// What a link says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Join a host with this invitation.
    Join(String),
    /// Show a run.
    Run {
        /// Its host's address, `192.168.1.7:7118`; none: this computer.
        host: Option<String>,
        project: ProjectId,
        run: RunId,
    },
}

/// Why a link is not followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("The link is longer than any link of Signalbox")]
    TooLong,
    #[error("The link is damaged: an invitation looks like signalbox://join/192.168.1.7:7118#CODE.FINGERPRINT")]
    Invitation,
    #[error("The link is damaged: a run's link looks like signalbox://run/HOST/PROJECT/RUN")]
    Run,
    #[error(
        "The link asks for something that Signalbox does not do; it knows signalbox://join/… and signalbox://run/…"
    )]
    Unknown,
    #[error("The link is to a run on {0}, which is not joined here. Ask its owner for an invitation")]
    NotJoined(String),
}

/// Whether an argument is a link and no folder.
pub(crate) fn is_link(text: &str) -> bool {
    text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Reads a link.
pub(crate) fn parse(text: &str) -> Result<Link, Error> {
    if text.len() > LONGEST {
        return Err(Error::TooLong);
    }
    let rest = text.get(SCHEME.len()..).and_then(|rest| rest.strip_prefix("//")).ok_or(Error::Unknown)?;
    if let Some(rest) = rest.strip_prefix("join/") {
        // Systems write the scheme as they like; what follows it is read to the letter.
        let link = format!("{SCHEME}//join/{rest}");
        let (place, _) = rest.split_once('#').ok_or(Error::Invitation)?;
        authority(place.trim_end_matches('/')).ok_or(Error::Invitation)?;
        return JoinLink::parse(&link).map(|_| Link::Join(link)).ok_or(Error::Invitation);
    }
    let rest = rest.strip_prefix("run/").ok_or(Error::Unknown)?;
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let [host, project, run] = parts.as_slice() else { return Err(Error::Run) };
    Ok(Link::Run {
        host: if *host == THIS { None } else { Some(authority(host).ok_or(Error::Run)?) },
        project: ProjectId::new(project).map_err(|_| Error::Run)?,
        run: RunId::new(run).map_err(|_| Error::Run)?,
    })
}

/// A host and its port, and nothing else: no user, no path, nothing that reads like another address.
fn authority(text: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{text}")).ok()?;
    let host = url.host_str()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    (text.eq_ignore_ascii_case(&format!("{host}{port}"))).then(|| format!("{host}{port}"))
}

/// Follows links that a person clicked on elsewhere.
pub(crate) fn follow(app: &AppHandle, links: Vec<String>) {
    for link in links {
        let wish = match parse(&link).and_then(|link| wish(app, link)) {
            Ok(wish) => wish,
            Err(error) => {
                // Not the link itself: it may hold an invitation's code.
                tracing::warn!(%error, "a link was not followed");
                Wish::Refused { message: error.to_string() }
            }
        };
        app.state::<Wishes>().tell(wish);
    }
}

fn wish(app: &AppHandle, link: Link) -> Result<Wish, Error> {
    match link {
        Link::Join(link) => Ok(Wish::Join { link }),
        Link::Run { host, project, run } => {
            let host = match host {
                None => None,
                Some(authority) => {
                    let known = app.state::<Elsewhere>().at(&authority);
                    Some(known.ok_or(Error::NotJoined(authority))?)
                }
            };
            Ok(Wish::Open { host, path: format!("/projects/{project}/runs/{run}") })
        }
    }
}

/// Tells the system that this program opens such links. A package does so when it is installed; a copy with a data
/// folder of its own leaves the system's settings alone.
pub(crate) fn register(app: &AppHandle) {
    use tauri_plugin_deep_link::DeepLinkExt;

    let handle = app.clone();
    // macOS hands links to the program that runs, not to a second copy.
    app.deep_link().on_open_url(move |event| {
        crate::window::focus(&handle);
        follow(&handle, event.urls().iter().map(ToString::to_string).collect());
    });
    if cfg!(target_os = "macos") || tauri::is_dev() || std::env::var_os("SIGNALBOX_DATA_DIR").is_some() || packaged() {
        return;
    }
    // It starts programs of the system and waits for them.
    let app = app.clone();
    tauri::async_runtime::spawn_blocking(move || {
        #[cfg(target_os = "linux")]
        let done = desktop_file::register(&app);
        #[cfg(not(target_os = "linux"))]
        let done = app.deep_link().register_all();
        if let Err(error) = done {
            tracing::info!(%error, "signalbox: links do not open this app; open them with `signalbox-desktop LINK`");
        }
    });
}

/// Whether a package manager put this program where it is: its desktop file has the scheme.
fn packaged() -> bool {
    std::env::current_exe().is_ok_and(|program| program.starts_with("/usr"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "r_01j8z0k3v5n7q9s1t3w5y7a9c1";

    #[test]
    fn links_that_the_product_makes_are_read() {
        let pin = "a".repeat(64);
        let join = format!("signalbox://join/192.168.1.7:7118#abcdefgh1234.{pin}");
        assert_eq!(parse(&join), Ok(Link::Join(join.clone())));
        assert_eq!(parse(&join.replacen("signalbox", "SignalBox", 1)), Ok(Link::Join(join)));
        let run = |host: &str| parse(&format!("signalbox://run/{host}/shop/{RUN}"));
        let found = |host: Option<&str>| {
            let (project, run) = (ProjectId::new("shop").unwrap(), RunId::new(RUN).unwrap());
            Ok(Link::Run { host: host.map(str::to_owned), project, run })
        };
        assert_eq!(run("this"), found(None));
        assert_eq!(run("192.168.1.7:7118"), found(Some("192.168.1.7:7118")));
        assert_eq!(run("[::1]:7118"), found(Some("[::1]:7118")));
        assert_eq!(run("box.example"), found(Some("box.example")));
    }

    #[test]
    fn damaged_and_hostile_links_are_refused_with_a_reason() {
        let long = format!("signalbox://run/this/shop/{}", "a".repeat(LONGEST));
        for (link, why) in [
            (long.as_str(), Error::TooLong),
            ("signalbox:", Error::Unknown),
            ("signalbox://", Error::Unknown),
            ("signalbox:join/x#abcdefgh", Error::Unknown),
            ("signalbox://settings/set?durability=power", Error::Unknown),
            ("signalbox://call/run.start", Error::Unknown),
            ("signalbox://join/", Error::Invitation),
            ("signalbox://join/box:7118", Error::Invitation),
            ("signalbox://join/box:7118#short", Error::Invitation),
            ("signalbox://join/box:7118#abcdefgh/../x", Error::Invitation),
            ("signalbox://join/box:7118#abcdefgh.nopin", Error::Invitation),
            ("signalbox://join/good@evil:7118#abcdefgh1234", Error::Invitation),
            ("signalbox://join/evil/x:7118#abcdefgh1234", Error::Invitation),
            ("signalbox://join/box:99999#abcdefgh1234", Error::Invitation),
            ("signalbox://run/this", Error::Run),
            ("signalbox://run/this/shop/not a run", Error::Run),
            ("signalbox://run/this/../r_1", Error::Run),
            ("signalbox://run/this/shop/r_1/../../settings", Error::Run),
            ("signalbox://run/a@b/shop/r_1", Error::Run),
            ("signalbox://run/evil%2f@x/shop/r_1", Error::Run),
            ("signalbox://run/this/shop/r_1?x=1#y", Error::Run),
            ("signalbox://run/this/<script>/r_1", Error::Run),
        ] {
            assert_eq!(parse(link), Err(why), "{link}");
        }
        assert!(is_link("SIGNALBOX://x") && !is_link("signalbox") && !is_link("/signalbox:x") && !is_link("sé"));
    }
}
