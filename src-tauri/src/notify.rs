//! Notifications of the desktop, and the tray's figures: both follow the feeds of hosts.

use serde::Deserialize;
use signalbox_client::Received;
use signalbox_host::Host;
use signalbox_model::{Activity, RoomFilter};
use tauri::AppHandle;
use tauri_plugin_notification::NotificationExt;

use crate::tray;

#[cfg(target_os = "linux")]
mod choices;

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
        if let Err(error) = session.join(None, vec![RoomFilter::Activity(None)], None).await {
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
            for frame in &batch.frames {
                if let Ok(Line { kind, data: Some(activity) }) = serde_json::from_slice(frame)
                    && kind == "activity_created"
                {
                    #[cfg(target_os = "linux")]
                    if let Some(title) = title(&activity).filter(|_| choices::are_asked_for(&activity)) {
                        choices::ask(app.clone(), host.clone(), format!("Signalbox: {title}"), activity);
                        continue;
                    }
                    tell(&app, None, &activity);
                }
            }
        }
    });
}

/// News of a host elsewhere.
pub(crate) fn elsewhere(app: &AppHandle, host: &str, event: &Received) {
    if event.kind != "activity_created" {
        return;
    }
    if let Ok(activity) = serde_json::from_str(event.data.get()) {
        tell(app, Some(host), &activity);
    }
}

fn tell(app: &AppHandle, host: Option<&str>, activity: &Activity) {
    let Some(title) = title(activity) else { return };
    let title = host.map_or_else(|| format!("Signalbox: {title}"), |host| format!("Signalbox ({host}): {title}"));
    show(app, title, activity);
}

fn show(app: &AppHandle, title: String, activity: &Activity) {
    // Fails where nothing shows notifications: the inbox and the feed have it all the same.
    if let Err(error) = app.notification().builder().title(title).body(activity.text.clone()).show() {
        tracing::debug!(%error, "a notification could not be shown");
    }
}

/// What a line of the feed is to a person who may be elsewhere; none: nothing that should disturb them.
fn title(activity: &Activity) -> Option<&'static str> {
    match activity.kind.as_str() {
        "approval_requested" | "permission_requested" | "question_asked" => Some("a question waits for you"),
        "risk_raised" => Some("a risk"),
        "notify" if activity.to.iter().any(|to| to == "desktop") => Some("a message"),
        _ => None,
    }
}

async fn count(app: &AppHandle, host: &Host) {
    let store = host.store().clone();
    let counted = tokio::task::spawn_blocking(move || {
        store.read(|reader| {
            let questions = reader.open_approvals()?.len() + reader.open_permissions()?.len();
            Ok((reader.active_runs(None)?.len(), questions))
        })
    });
    if let Ok(Ok((runs, questions))) = counted.await {
        tray::show_counts(app, runs, questions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_messages_to_the_desktop_are_told() {
        let line = |kind: &str, to: &str| {
            let text = format!(
                r#"{{"type":"activity_created","seq":7,"data":{{"kind":"{kind}","to":{to},"priority":"high","actor":"engine","text":"deploy #3 asks: Go?"}}}}"#
            );
            title(&serde_json::from_str::<Line>(&text).unwrap().data.unwrap())
        };
        assert_eq!(line("approval_requested", "[]"), Some("a question waits for you"));
        assert_eq!(line("permission_requested", "[]"), Some("a question waits for you"));
        assert_eq!(line("notify", r#"["team","desktop"]"#), Some("a message"));
        assert_eq!(line("notify", r#"["team"]"#), None);
        assert_eq!(line("run_completed", "[]"), None);
    }
}
