//! The end: the host is closed before the process is.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tauri::{AppHandle, CloseRequestApi, ExitRequestApi, Manager};
use tauri_plugin_dialog::{DialogExt, MessageDialogButtons, MessageDialogKind};

use crate::{commands::Streams, host::Slot};

/// Longest time for the host to close. Processes get 20 s before they are killed; what is left then is recovered next time.
const LONGEST: Duration = Duration::from_secs(25);

const RUNNING: u8 = 0;
const CLOSING: u8 = 1;
const CLOSED: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(RUNNING);

/// Holds an exit back until the host is closed.
pub(crate) fn exit_requested(app: &AppHandle, api: &ExitRequestApi, code: Option<i32>) {
    if STATE.load(Ordering::Acquire) == CLOSED {
        return;
    }
    api.prevent_exit();
    if STATE.swap(CLOSING, Ordering::AcqRel) != RUNNING {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        app.state::<Streams>().close_all();
        if let Some(host) = app.state::<Slot>().get()
            && tokio::time::timeout(LONGEST, host.close()).await.is_err()
        {
            tracing::warn!(
                "the host did not close in time; it recovers at the next start, nothing that it confirmed is lost"
            );
        }
        STATE.store(CLOSED, Ordering::Release);
        app.exit(code.unwrap_or(0));
    });
}

/// The window's own button: while runs are at work, a slip must not end them.
pub(crate) fn close_requested(app: &AppHandle, api: &CloseRequestApi) {
    if STATE.load(Ordering::Acquire) == RUNNING {
        api.prevent_close();
        ask(app);
    }
}

/// Quits, after a question if runs are at work.
pub(crate) fn ask(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let active = match app.state::<Slot>().get() {
            None => 0,
            Some(host) => {
                let store = host.store().clone();
                let read = tokio::task::spawn_blocking(move || store.read(|reader| reader.active_runs(None)));
                read.await.ok().and_then(Result::ok).map_or(0, |runs| runs.len())
            }
        };
        if active == 0 {
            app.exit(0);
            return;
        }
        let runs = if active == 1 { "1 run is".to_owned() } else { format!("{active} runs are") };
        let text = format!(
            "{runs} not done. Quitting ends their processes; at the next start, steps that may run again do so, and the others are marked as failed with an unknown outcome. Nothing that is shown is lost."
        );
        let buttons = MessageDialogButtons::OkCancelCustom("Quit".to_owned(), "Stay".to_owned());
        let dialog =
            app.dialog().message(text).title("Quit Signalbox?").kind(MessageDialogKind::Warning).buttons(buttons);
        let end = app.clone();
        dialog.show(move |quit| {
            if quit {
                end.exit(0);
            }
        });
    });
}

/// A terminal's Ctrl+C and a system that shuts down are heard as well.
pub(crate) fn on_signals(app: AppHandle) {
    tauri::async_runtime::spawn(async move {
        if signalled().await {
            app.exit(0);
        }
    });
}

#[cfg(unix)]
async fn signalled() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return false;
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.is_ok(),
        _ = terminate.recv() => true,
        _ = hangup.recv() => true,
    }
}

#[cfg(not(unix))]
async fn signalled() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
