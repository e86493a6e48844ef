//! The host in this process: opened beside the window, found by whoever needs it.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::value::to_raw_value;
use signalbox_host::{Host, HostOptions, Settings, settings};
use tauri::{AppHandle, Manager};
use tauri_plugin_dialog::{DialogExt, MessageDialogKind};
use tokio::sync::watch;

use crate::{arguments::Arguments, elsewhere::Elsewhere, notify, tray};

/// Where the host will be once it is open.
pub(crate) struct Slot(watch::Sender<Option<Host>>);

impl Default for Slot {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl Slot {
    /// The host, if it is open.
    pub(crate) fn get(&self) -> Option<Host> {
        self.0.borrow().clone()
    }

    /// Waits for it. None: it will not open, and the person was told why.
    pub(crate) async fn wait(&self) -> Option<Host> {
        self.0.subscribe().wait_for(Option::is_some).await.ok().and_then(|host| host.clone())
    }
}

/// Opens the host and what hangs on it; a failure is shown, then the app ends.
pub(crate) fn start(app: AppHandle, arguments: Arguments) {
    tauri::async_runtime::spawn(async move {
        match open(&arguments).await {
            Ok(host) => {
                // The page first, which waits for it.
                app.state::<Slot>().0.send_replace(Some(host.clone()));
                let trayed = tray::build(&app);
                notify::watch(app.clone(), &host, trayed);
                open_projects(&app, arguments.projects);
                app.state::<Elsewhere>().follow_all(&app).await;
            }
            Err(error) => {
                let text = format!("{error:#}.\n\nNothing was changed.");
                tracing::error!("{text}");
                let end = app.clone();
                let dialog = app.dialog().message(text).kind(MessageDialogKind::Error).title("Signalbox cannot start");
                dialog.show(move |_| end.exit(1));
            }
        }
    });
}

async fn open(arguments: &Arguments) -> anyhow::Result<Host> {
    let settings = Settings::load(&settings::config_dir())?;
    let data_dir = settings::data_dir();
    let shown = data_dir.display().to_string();
    let host = Host::open(HostOptions::new(data_dir, settings)).await;
    let host = host.with_context(|| format!("the data folder {shown} cannot be opened"))?;
    // Off until its owner shares it, or asks for it when the app is started.
    let front = signalbox_net::Front::new(&host, signalbox_net::Assets(signalbox_assets::FILES));
    if let Some(address) = &arguments.listen
        && let Err(error) = front.listen(address).await
    {
        host.close().await;
        return Err(error.into());
    }
    host.resume_sharing().await;
    Ok(host)
}

/// Opens folders as projects, once the host is there.
pub(crate) fn open_projects(app: &AppHandle, folders: Vec<PathBuf>) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let Some(host) = app.state::<Slot>().wait().await else { return };
        for folder in folders {
            let opened = match to_raw_value(&serde_json::json!({ "path": folder })) {
                Ok(params) => host
                    .call(&host.owner(), "project.open", Some(&params))
                    .await
                    .map(|_| ())
                    .map_err(|error| error.message),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = opened {
                tracing::error!(folder = %folder.display(), error, "a folder could not be opened as a project");
                let text =
                    format!("{error}\n\nNothing was changed. Open another folder, or start the app with its path.");
                app.dialog()
                    .message(text)
                    .kind(MessageDialogKind::Error)
                    .title("The project cannot be opened")
                    .show(|_| {});
            }
        }
    });
}
