//! Notifications with buttons: the choices of a question, as the desktop's own notifications have them on Linux
//! (Desktop Notifications Specification, section "Actions").

use notify_rust::Notification;
use serde_json::{Value, json, value::to_raw_value};
use signalbox_host::Host;
use signalbox_model::{Activity, Approval, Permission, PermissionTopic};
use tauri::{AppHandle, Manager};
use tokio::sync::Semaphore;

/// Notifications that may wait for a person at once: each has a thread. More are shown without buttons.
static WAITING: Semaphore = Semaphore::const_new(16);
/// Buttons of one notification: desktops show three or four.
const BUTTONS: usize = 4;
/// What a click on the notification itself is called.
const ITSELF: &str = "default";

/// Whether a line of the feed is a question.
pub(super) fn are_asked_for(activity: &Activity) -> bool {
    matches!(activity.kind.as_str(), "approval_requested" | "permission_requested" | "question_asked")
        && activity.run.is_some()
}

/// A button, and the call that it stands for.
struct Choice {
    label: String,
    method: &'static str,
    params: Value,
}

/// Shows a question with its choices; the one that a person takes is its answer, if it is the first.
pub(super) fn ask(app: AppHandle, host: Host, title: String, activity: Activity) {
    let Ok(place) = WAITING.try_acquire() else { return super::show(&app, title, &activity) };
    tauri::async_runtime::spawn(async move {
        let store = host.store().clone();
        let about = activity.clone();
        let read = move || {
            store.read(|reader| {
                if about.kind == "approval_requested" {
                    let open =
                        reader.open_approvals()?.into_iter().rfind(|open| is_about(&about, &open.run, &open.step));
                    return Ok(open.map(|open| of_approval(&open)));
                }
                let open = reader.open_permissions()?.into_iter().rfind(|open| is_about(&about, &open.run, &open.step));
                Ok(open.map(|open| of_permission(&open)))
            })
        };
        let choices = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let names: Vec<String> = choices.iter().map(|choice| choice.label.clone()).collect();
        let text = activity.text.clone();
        let taken = tokio::task::spawn_blocking(move || wait(&title, &text, &names)).await;
        drop(place);
        match taken.ok().flatten() {
            None => {}
            Some(Taken::Itself) => {
                if let Some(window) = app.get_webview_window("main") {
                    window.show().and_then(|()| window.set_focus()).ok();
                }
            }
            Some(Taken::Choice(index)) => {
                let Some(Choice { method, params, .. }) = choices.into_iter().nth(index) else { return };
                let params = to_raw_value(&params).ok();
                if let Err(error) = host.call(&host.owner(), method, params.as_deref()).await {
                    // Somebody else was first, or this person may not answer: the inbox says so.
                    tracing::info!(%error, "an answer from a notification did not count");
                }
            }
        }
    });
}

fn is_about(activity: &Activity, run: &signalbox_model::RunId, step: &signalbox_model::StepKey) -> bool {
    activity.run.as_ref() == Some(run) && activity.step.as_ref().is_none_or(|named| named == step)
}

fn of_permission(open: &Permission) -> Vec<Choice> {
    // An answer in words is written in the window.
    if open.topic == PermissionTopic::Question && open.options.is_empty() {
        return Vec::new();
    }
    let choice = |option: &signalbox_model::PermissionOption| Choice {
        label: option.name.clone(),
        method: "permission.answer",
        params: json!({ "permission": open.id, "option": option.id }),
    };
    open.options.iter().take(BUTTONS).map(choice).collect()
}

fn of_approval(open: &Approval) -> Vec<Choice> {
    let choice = |label: &str, decision: &str| Choice {
        label: label.to_owned(),
        method: "approval.answer",
        params: json!({ "approval": open.id, "decision": decision }),
    };
    // What has to be filled in is filled in in the window; no is no without that.
    let approve = open.form.iter().all(|field| !field.required).then(|| choice("Approve", "approve"));
    approve.into_iter().chain([choice("Reject", "reject")]).collect()
}

enum Taken {
    Itself,
    Choice(usize),
}

/// Blocks until a person takes a choice or the notification is closed.
fn wait(title: &str, text: &str, choices: &[String]) -> Option<Taken> {
    let mut notification = Notification::new();
    notification.appname("Signalbox").summary(title).body(&escaped(text)).action(ITSELF, "Open");
    for (index, label) in choices.iter().enumerate() {
        notification.action(&index.to_string(), label);
    }
    let shown = match notification.show() {
        Ok(shown) => shown,
        Err(error) => {
            tracing::debug!(%error, "a notification could not be shown");
            return None;
        }
    };
    let mut taken = None;
    shown.wait_for_action(|action| {
        taken = match action {
            ITSELF => Some(Taken::Itself),
            action => action.parse().ok().map(Taken::Choice),
        };
    });
    taken
}

/// The body of a notification is markup (the same specification, section "Markup").
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_agent_are_no_markup() {
        assert_eq!(escaped("a <b> & c"), "a &lt;b&gt; &amp; c");
    }
}
