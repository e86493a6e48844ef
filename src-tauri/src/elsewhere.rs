//! Hosts elsewhere that this desktop has joined: which there are, and their tokens.
//!
//! Their names and addresses are in `<data-dir>/hosts.json`; the tokens are in the system's keychain. Where there is none
//! a token is held for as long as the app runs, and the person is told.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use serde::Serialize;
pub(crate) use signalbox_client::Known;
use signalbox_client::{Client, Ended, JoinError, JoinLink, Options, Pin, Update};
use signalbox_host::keychain;
use signalbox_model::RoomFilter;
use tauri::{AppHandle, Manager, Url};

use crate::notify::{self, Source};

/// Letters of a host's name at most.
const NAME: usize = 80;

/// What joining gave.
#[derive(Debug, Serialize)]
pub(crate) struct Joined {
    host: Known,
    /// Why the token is not kept beyond this run of the app; absent: it is.
    not_kept: Option<String>,
}

/// Why a host was not joined, or cannot be shown. The page gets the words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is no address of a host: it looks like http://192.168.1.7:7117")]
    Address(String),
    #[error("the host at {0} does not accept this token; ask its owner for a new one")]
    Token(String),
    #[error("{0}. Nothing was changed")]
    Connection(#[from] Ended),
    #[error("{0}")]
    Refused(String),
    #[error("say what you are called there")]
    NoName,
    #[error("no host {0} was joined")]
    Unknown(String),
    #[error("the token of {name} is gone ({why}): forget this host, then join it again with a new token")]
    NoToken { name: String, why: String },
    #[error("the list of hosts cannot be written: {0}. Nothing was changed")]
    File(#[from] std::io::Error),
}

#[derive(Default)]
struct Inner {
    known: Vec<Known>,
    /// Tokens that were read or could not be kept.
    tokens: HashMap<String, String>,
    /// One follower of the feed for each host. Dropped, it ends.
    following: HashMap<String, tauri::async_runtime::JoinHandle<()>>,
}

/// The list.
pub(crate) struct Elsewhere {
    file: PathBuf,
    inner: Mutex<Inner>,
}

fn account(id: &str) -> String {
    format!("token of {id}")
}

fn options(id: &str, token: String, pin: Option<Pin>) -> Options {
    let mut options = Options::new(id, token);
    options.pin = pin;
    options.name = "signalbox-desktop".into();
    options
}

/// The address without what a person may have copied along.
fn address(text: &str) -> Result<String, Error> {
    let wrong = || Error::Address(text.chars().take(200).collect());
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{host}{port}", url.scheme()))
}

impl Elsewhere {
    /// Reads the list. A file that cannot be read is left as it is, and said.
    pub(crate) fn load(data_dir: &std::path::Path) -> Self {
        let file = data_dir.join("hosts.json");
        let known = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::error!(%error, file = %file.display(), "the list of joined hosts is damaged; it is taken as empty");
                Vec::new()
            }),
            Err(_) => Vec::new(),
        };
        Self { file, inner: Mutex::new(Inner { known, ..Inner::default() }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn list(&self) -> Vec<Known> {
        self.inner().known.clone()
    }

    fn write(&self, known: &[Known]) -> std::io::Result<()> {
        let beside = self.file.with_extension("json.new");
        std::fs::write(&beside, serde_json::to_vec_pretty(known)?)?;
        std::fs::rename(&beside, &self.file)
    }

    /// Joins with an invitation's link, as `name`; or with an address and a token, and then calls the host `name` here.
    /// Connects once to see who answers, then keeps the host and its token.
    pub(crate) async fn join(
        &self,
        app: &AppHandle,
        url: &str,
        token: String,
        name: Option<String>,
    ) -> Result<Joined, Error> {
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let (id, token, name, pin) = match JoinLink::parse(url) {
            Some(link) => {
                let name = name.ok_or(Error::NoName)?;
                let joined = signalbox_client::join(&link, &name, None).await.map_err(|error| match error {
                    JoinError::Connection(why) => Error::Connection(why),
                    JoinError::Refused(error) => {
                        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                        Error::Refused(format!("{}{hint}", error.message))
                    }
                })?;
                (link.url, joined.token, None, link.pin)
            }
            None => (address(url)?, token.trim().to_owned(), name, None),
        };
        let mut probe = options(&id, token.clone(), pin);
        probe.attempts = Some(1);
        let (_client, mut updates): (Client, _) = signalbox_client::connect(probe);
        let member = match updates.recv().await {
            Some(Update::Connected(welcome)) => welcome.member_name,
            Some(Update::Disconnected { why: Ended::Closed { code: 4500, .. }, .. }) => return Err(Error::Token(id)),
            Some(Update::Disconnected { why, .. }) => return Err(why.into()),
            _ => return Err(Ended::Broken("the host ended it".into()).into()),
        };
        let shown = id.split_once("://").map_or(id.as_str(), |(_, rest)| rest).to_owned();
        let host = Known {
            id: id.clone(),
            name: name.unwrap_or(shown),
            member,
            pin: pin.map(|pin| pin.to_string()),
            token: None,
        };
        let mut known = self.list();
        known.retain(|other| other.id != id);
        known.push(host.clone());
        self.write(&known)?;
        let not_kept = keychain::set(account(&id), token.clone()).await.err().map(|error| error.to_string());
        {
            let mut inner = self.inner();
            inner.known = known;
            inner.tokens.insert(id.clone(), token);
        }
        self.follow(app, &id).await;
        Ok(Joined { host, not_kept })
    }

    /// Forgets a host and its token.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), Error> {
        let mut known = self.list();
        known.retain(|other| other.id != id);
        self.write(&known)?;
        let follower = {
            let mut inner = self.inner();
            inner.known = known;
            inner.tokens.remove(id);
            inner.following.remove(id)
        };
        if let Some(follower) = follower {
            follower.abort();
        }
        if let Err(error) = keychain::remove(account(id)).await {
            tracing::warn!(%error, host = id, "the token of a host that was forgotten may still be in the keychain");
        }
        Ok(())
    }

    /// Calls a host by another name here.
    pub(crate) fn rename(&self, id: &str, name: &str) -> Result<(), Error> {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME).collect();
        if name.is_empty() {
            return Err(Error::NoName);
        }
        let mut known = self.list();
        let host = known.iter_mut().find(|known| known.id == id);
        host.ok_or_else(|| Error::Unknown(id.chars().take(200).collect()))?.name = name;
        self.write(&known)?;
        self.inner().known = known;
        Ok(())
    }

    /// The host of the list at an address without its scheme.
    pub(crate) fn at(&self, authority: &str) -> Option<String> {
        let fits = |id: &str| id.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(authority));
        self.inner().known.iter().map(|known| &known.id).find(|id| fits(id)).cloned()
    }

    /// What a host of the list is called.
    pub(crate) fn name(&self, id: &str) -> Option<String> {
        self.inner().known.iter().find(|known| known.id == id).map(|known| known.name.clone())
    }

    /// How to connect to a host of the list.
    pub(crate) async fn options(&self, id: &str) -> Result<Options, Error> {
        let (name, token, pin) = {
            let inner = self.inner();
            let known = inner.known.iter().find(|known| known.id == id);
            let known = known.ok_or_else(|| Error::Unknown(id.chars().take(200).collect()))?;
            let pin = known.pin.as_deref().and_then(|pin| pin.parse().ok());
            (known.name.clone(), inner.tokens.get(id).cloned(), pin)
        };
        let token = match token {
            Some(token) => token,
            None => {
                let why = match keychain::get(account(id)).await {
                    Ok(Some(token)) => Ok(token),
                    Ok(None) => Err("it is not in the keychain".to_owned()),
                    Err(error) => Err(error.to_string()),
                };
                why.map_err(|why| Error::NoToken { name, why })?
            }
        };
        self.inner().tokens.insert(id.to_owned(), token.clone());
        Ok(options(id, token, pin))
    }

    /// Follows the feed of every host of the list, for what is to be notified.
    pub(crate) async fn follow_all(&self, app: &AppHandle) {
        for known in self.list() {
            self.follow(app, &known.id).await;
        }
    }

    async fn follow(&self, app: &AppHandle, id: &str) {
        let mut options = match self.options(id).await {
            Ok(options) => options,
            Err(error) => {
                tracing::warn!(%error, host = id, "its questions will not be notified");
                return;
            }
        };
        options.rooms = vec![RoomFilter::Activity(None)];
        let id = id.to_owned();
        let host = id.clone();
        let app = app.clone();
        let task = tauri::async_runtime::spawn(async move {
            let (client, mut updates) = signalbox_client::connect(options);
            while let Some(update) = updates.recv().await {
                // A person may have renamed it meanwhile.
                let name = || app.state::<Self>().name(&host).unwrap_or_else(|| host.clone());
                match update {
                    Update::Event(event) => {
                        let source = Source::Joined { id: host.clone(), name: name(), client: client.clone() };
                        notify::elsewhere(&app, &source, &event);
                    }
                    Update::Disconnected { why, retry_in: None, .. } => {
                        tracing::warn!(%why, host = name(), "its questions are no longer notified");
                    }
                    _ => {}
                }
            }
        });
        if let Some(before) = self.inner().following.insert(id, task) {
            before.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_names_the_host() {
        for (typed, meant) in [
            ("http://10.0.0.7:7117/#code=x", "http://10.0.0.7:7117"),
            (" https://box.example/a?b ", "https://box.example"),
            ("box:7117", "http://box:7117"),
            ("[::1]:7117", "http://[::1]:7117"),
        ] {
            assert_eq!(address(typed).unwrap(), meant);
        }
        for wrong in ["", "ftp://box", "javascript:alert(1)", "http://"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
