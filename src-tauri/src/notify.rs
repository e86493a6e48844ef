//! Notifications of the desktop, and the tray's figures: both follow the feeds of hosts.

use serde::Deserialize;
use signalbox_client::Received;
use signalbox_host::Host;
use signalbox_model::{Activity, RoomFilter};
use tauri::{AppHandle, Manager};
use tauri_plugin_notification::NotificationExt;
use tokio::sync::Semaphore;

use crate::{
    tray, window,
    wishes::{Wish, Wishes},
};
pub(crate) use source::Source;

#[cfg(target_os = "linux")]
mod choices;
mod quiet;
mod source;

/// Notifications that may wait for a person at once: each may have a thread. More are shown without buttons.
static WAITING: Semaphore = Semaphore::const_new(16);

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
                    tell(&app, &Source::Own(host.clone()), activity);
                }
            }
        }
    });
}

/// News of a host elsewhere.
pub(crate) fn elsewhere(app: &AppHandle, source: &Source, event: &Received) {
    if event.kind != "activity_created" {
        return;
    }
    if let Ok(activity) = serde_json::from_str(event.data.get()) {
        tell(app, source, activity);
    }
}

fn tell(app: &AppHandle, source: &Source, activity: Activity) {
    let Some(title) = title(&activity) else { return };
    let Ok(place) = WAITING.try_acquire() else { return show(app, &source.headed(title), &activity.text) };
    let (app, source) = (app.clone(), source.clone());
    tauri::async_runtime::spawn(async move {
        let _place = place;
        if quiet::holds_back(&app, &source, &activity).await {
            return;
        }
        let title = source.headed(title);
        #[cfg(target_os = "linux")]
        choices::ask(app, source, title, activity).await;
        #[cfg(not(target_os = "linux"))]
        show(&app, &title, &activity.text);
    });
}

/// A notification without choices, which leads to `path` where this system lets it.
fn tell_plainly(app: &AppHandle, source: &Source, title: &str, text: String, path: String) {
    let title = source.headed(title);
    #[cfg(target_os = "linux")]
    choices::tell(app.clone(), source.clone(), title, text, path);
    #[cfg(not(target_os = "linux"))]
    {
        drop(path);
        show(app, &title, &text);
    }
}

/// A notification without buttons, which leads nowhere.
fn show(app: &AppHandle, title: &str, text: &str) {
    // Fails where nothing shows notifications: the inbox and the feed have it all the same.
    if let Err(error) = app.notification().builder().title(title).body(text).show() {
        tracing::debug!(%error, "a notification could not be shown");
    }
}

/// Where a click on a notification leads: a question's place is the inbox, everything else is its run's.
fn place(activity: &Activity) -> String {
    match (&activity.project, &activity.run) {
        _ if is_question(activity) => "/inbox".to_owned(),
        (Some(project), Some(run)) => format!("/projects/{project}/runs/{run}"),
        (Some(project), None) => format!("/projects/{project}"),
        _ => "/activity".to_owned(),
    }
}

fn is_question(activity: &Activity) -> bool {
    matches!(activity.kind.as_str(), "approval_requested" | "permission_requested" | "question_asked")
}

/// Brings the window to the front, on the host and at the place that a notification is about.
fn open(app: &AppHandle, source: &Source, path: String) {
    window::focus(app);
    app.state::<Wishes>().tell(Wish::Open { host: source.id(), path });
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

    #[test]
    fn a_click_leads_to_what_it_is_about() {
        let about = |kind: &str, more: &str| {
            let text = format!(r#"{{"kind":"{kind}","priority":"high","actor":"engine","text":"x"{more}}}"#);
            place(&serde_json::from_str(&text).unwrap())
        };
        let run = r#","project":"shop","run":"r_12345678""#;
        assert_eq!(about("approval_requested", run), "/inbox");
        assert_eq!(about("notify", run), "/projects/shop/runs/r_12345678");
        assert_eq!(about("risk_raised", r#","project":"shop""#), "/projects/shop");
        assert_eq!(about("notify", ""), "/activity");
    }
}
