//! Notifications with buttons: the choices of a question, as the desktop's own notifications have them on Linux
//! (Desktop Notifications Specification, section "Actions").

use notify_rust::Notification;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use signalbox_model::{Activity, Approval, Permission, PermissionTopic};
use tauri::AppHandle;

use super::Source;

/// Buttons of one notification: desktops show three or four.
const BUTTONS: usize = 4;
/// What a click on the notification itself is called.
const ITSELF: &str = "default";

/// A button, and the call that it stands for.
struct Choice {
    label: String,
    method: &'static str,
    params: Value,
}

/// Shows a line of the feed. A question has its choices as buttons; the one that a person takes is its answer, if it is
/// the first. A click beside them leads to what it is about.
pub(super) async fn ask(app: AppHandle, source: Source, title: String, activity: Activity) {
    let choices = if super::is_question(&activity) { choices(&source, &activity).await } else { Vec::new() };
    let names: Vec<String> = choices.iter().map(|choice| choice.label.clone()).collect();
    let text = activity.text.clone();
    let taken = tokio::task::spawn_blocking(move || wait(&title, &text, &names)).await;
    match taken.ok().flatten() {
        None => {}
        Some(Taken::Itself) => super::open(&app, &source, super::place(&activity)),
        Some(Taken::Choice(index)) => {
            let Some(Choice { method, params, .. }) = choices.into_iter().nth(index) else { return };
            if let Err(error) = source.call::<IgnoredAny>(method, params).await {
                // Somebody else was first, or this person may not answer: the inbox says so.
                tracing::info!(%error, "an answer from a notification did not count");
            }
        }
    }
}

/// Shows something that asks nothing; a click leads to `path`.
pub(super) fn tell(app: AppHandle, source: Source, title: String, text: String, path: String) {
    tauri::async_runtime::spawn(async move {
        let taken = tokio::task::spawn_blocking(move || wait(&title, &text, &[])).await;
        if let Ok(Some(Taken::Itself)) = taken {
            super::open(&app, &source, path);
        }
    });
}

/// What may be answered to the question that a line of the feed is about; nothing, if it cannot be asked for now.
async fn choices(source: &Source, activity: &Activity) -> Vec<Choice> {
    #[derive(Deserialize)]
    struct Approvals {
        approvals: Vec<Approval>,
    }
    #[derive(Deserialize)]
    struct Permissions {
        permissions: Vec<Permission>,
    }
    if activity.run.is_none() {
        return Vec::new();
    }
    let found = if activity.kind == "approval_requested" {
        let open = source.call::<Approvals>("approval.list", json!({})).await.map(|reply| reply.approvals);
        open.map(|open| open.iter().rfind(|open| is_about(activity, &open.run, &open.step)).map(of_approval))
    } else {
        let open = source.call::<Permissions>("permission.list", json!({})).await.map(|reply| reply.permissions);
        open.map(|open| open.iter().rfind(|open| is_about(activity, &open.run, &open.step)).map(of_permission))
    };
    found.ok().flatten().unwrap_or_default()
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
