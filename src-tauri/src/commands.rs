//! What the page may ask: all of it. Named in `build.rs` and allowed in `capabilities/main.json`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Serialize, Serializer};
use signalbox_ipc::{SendError, Stream};
use signalbox_wire::ClientFrame;
use tauri::{
    AppHandle, State, Url, WebviewWindow,
    ipc::{Channel, InvokeResponseBody},
};
use tauri_plugin_dialog::DialogExt;
use tauri_plugin_opener::OpenerExt;
use tokio::sync::oneshot;

use crate::{
    elsewhere::{self, Elsewhere, Joined, Known},
    host::Slot,
    wishes::{Wish, Wishes},
};

/// The page's open streams.
#[derive(Default)]
pub(crate) struct Streams {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Stream>>,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Stream>> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn close_all(&self) {
        self.open().clear();
    }
}

/// Why a command failed. The page gets the words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the host did not open; the app says why and ends")]
    NoHost,
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Elsewhere(#[from] elsewhere::Error),
    #[error("only http and https links are opened, not {0:?}")]
    Link(String),
    #[error("{} could not be written: {error}; nothing was changed", path.display())]
    Save { path: PathBuf, error: std::io::Error },
    #[error("the link could not be handed to the browser: {0}")]
    Opener(#[from] tauri_plugin_opener::Error),
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Opens a stream of the host in this process, or of one that was joined; batches arrive on `channel`, each the JSON
/// array of its frames.
#[tauri::command]
pub(crate) async fn stream_open(
    slot: State<'_, Slot>,
    streams: State<'_, Streams>,
    joined: State<'_, Elsewhere>,
    channel: Channel,
    host: Option<String>,
) -> Result<u64, Error> {
    let deliver = move |batch| channel.send(InvokeResponseBody::Json(batch)).is_ok();
    let stream = match host {
        None => {
            let host = slot.wait().await.ok_or(Error::NoHost)?;
            let (stream, run) = signalbox_ipc::open(&host, deliver);
            tokio::spawn(run);
            stream
        }
        Some(id) => {
            let (stream, run) = signalbox_ipc::open_elsewhere(joined.options(&id).await?, deliver);
            tokio::spawn(run);
            stream
        }
    };
    let id = streams.next.fetch_add(1, Ordering::Relaxed) + 1;
    streams.open().insert(id, stream);
    Ok(id)
}

/// The hosts elsewhere that this desktop has joined.
#[tauri::command]
pub(crate) fn host_list(joined: State<'_, Elsewhere>) -> Vec<Known> {
    joined.list()
}

/// Joins a host elsewhere: an invitation's link and one's name; or its address, and a token that its owner made.
#[tauri::command]
pub(crate) async fn host_join(
    app: AppHandle,
    joined: State<'_, Elsewhere>,
    url: String,
    token: String,
    name: Option<String>,
) -> Result<Joined, Error> {
    Ok(joined.join(&app, &url, token, name).await?)
}

/// Calls a host that was joined by another name here.
#[tauri::command]
pub(crate) async fn host_rename(joined: State<'_, Elsewhere>, id: String, name: String) -> Result<(), Error> {
    Ok(joined.rename(&id, &name)?)
}

/// Hears what links and notifications ask for, also what came before the page was there.
#[tauri::command]
pub(crate) fn wishes(wishes: State<'_, Wishes>, channel: Channel<Wish>) {
    wishes.hear(channel);
}

/// Forgets a host that was joined, and its token.
#[tauri::command]
pub(crate) async fn host_forget(joined: State<'_, Elsewhere>, id: String) -> Result<(), Error> {
    Ok(joined.forget(&id).await?)
}

/// Hands the host a frame. Not async, although most commands should be: calls of one page then keep their order, and it
/// never waits.
#[tauri::command]
pub(crate) fn stream_send(streams: State<'_, Streams>, id: u64, frame: ClientFrame) -> Result<(), Error> {
    Ok(streams.open().get(&id).ok_or(SendError::Closed)?.send(frame)?)
}

/// Closes a stream; one that is closed already is no mistake.
#[tauri::command]
pub(crate) fn stream_close(streams: State<'_, Streams>, id: u64) {
    streams.open().remove(&id);
}

/// Asks for a folder; none if the person thought better of it.
#[tauri::command]
pub(crate) async fn pick_folder(window: WebviewWindow) -> Option<String> {
    let (picked, answer) = oneshot::channel();
    let dialog = window.dialog().file().set_parent(&window).set_title("Open a folder as a project");
    dialog.pick_folder(move |folder| {
        picked.send(folder).ok();
    });
    let path = answer.await.ok()??.into_path().ok()?;
    path.into_os_string().into_string().ok()
}

/// Asks where to keep a text as a file, and writes it there, whole or not at all. False if the person thought better of it.
#[tauri::command]
pub(crate) async fn save_text(window: WebviewWindow, name: String, text: String) -> Result<bool, Error> {
    let (picked, answer) = oneshot::channel();
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    window.dialog().file().set_parent(&window).set_title("Save").set_file_name(name).save_file(move |path| {
        picked.send(path).ok();
    });
    let Some(path) = answer.await.ok().flatten().and_then(|path| path.into_path().ok()) else { return Ok(false) };
    let written = tauri::async_runtime::spawn_blocking(move || {
        let mut draft = path.clone().into_os_string();
        draft.push(".part");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, &path))
            .inspect_err(|_| drop(std::fs::remove_file(&draft)))
            .map_err(|error| Error::Save { path, error })
    });
    written.await.unwrap_or(Err(Error::NoHost)).map(|()| true)
}

/// Opens a link in the person's browser.
#[tauri::command]
pub(crate) async fn open_external(app: AppHandle, url: String) -> Result<(), Error> {
    let link = checked(&url)?;
    Ok(app.opener().open_url(link, None::<&str>)?)
}

/// A page is fed by logs and agents: what they write must not start programs by way of `file:` or another scheme.
fn checked(url: &str) -> Result<Url, Error> {
    Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| Error::Link(url.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_links_pass() {
        for good in ["https://example.org/a?b#c", "http://127.0.0.1:7117/"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["file:///etc/passwd", "javascript:alert(1)", "smb://host/share", "/etc/passwd", "", "ms-msdt:/id"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
