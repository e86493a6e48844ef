//! Notifications of the desktop, and the tray's figures: both follow the host's feed.

use serde::Deserialize;
use signalbox_host::Host;
use signalbox_model::{Activity, Room, RoomFilter};
use tauri::AppHandle;
use tauri_plugin_notification::NotificationExt;

use crate::tray;

/// An event of the feed. Every other frame has another type.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    data: Option<Activity>,
}

/// Follows the feed from now on: what was asked before the start is in the inbox.
pub(crate) fn watch(app: AppHandle, host: &Host, trayed: bool) {
    let host = host.clone();
    tauri::async_runtime::spawn(async move {
        let mut session = host.session(host.owner());
        if let Err(error) = session.join(None, vec![RoomFilter::One(Room::Activity)], None).await {
            tracing::warn!(%error, "questions will not be notified; they are in the inbox");
            return;
        }
        loop {
            if trayed {
                count(&app, &host).await;
            }
            let batch = tokio::select! {
                batch = session.next(64 * 1024) => batch,
                () = host.stopping() => return,
            };
            let Ok(batch) = batch else {
                tracing::warn!("the feed cannot be read: questions are no longer notified; they are in the inbox");
                return;
            };
            for text in batch.frames.iter().filter_map(|frame| asked(frame)) {
                // Fails where nothing shows notifications: the inbox has the question all the same.
                if let Err(error) =
                    app.notification().builder().title("Signalbox: a question waits for you").body(text).show()
                {
                    tracing::debug!(%error, "a notification could not be shown");
                }
            }
        }
    });
}

/// The question, if the frame is one.
fn asked(frame: &[u8]) -> Option<String> {
    let line: Line = serde_json::from_slice(frame).ok()?;
    let activity =
        line.data.filter(|activity| line.kind == "activity_created" && activity.kind == "approval_requested")?;
    Some(activity.text)
}

async fn count(app: &AppHandle, host: &Host) {
    let store = host.store().clone();
    let counted = tokio::task::spawn_blocking(move || {
        store.read(|reader| Ok((reader.active_runs(None)?.len(), reader.open_approvals()?.len())))
    });
    if let Ok(Ok((runs, questions))) = counted.await {
        tray::show_counts(app, runs, questions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_from_other_lines() {
        let line = |kind: &str| {
            format!(
                r#"{{"type":"activity_created","seq":7,"data":{{"kind":"{kind}","priority":"high","actor":"engine","text":"deploy #3 asks: Go?"}}}}"#
            )
        };
        assert_eq!(asked(line("approval_requested").as_bytes()).as_deref(), Some("deploy #3 asks: Go?"));
        assert_eq!(asked(line("run_completed").as_bytes()), None);
        assert_eq!(asked(br#"{"type":"synced","cursor":"e.1"}"#), None);
    }
}
