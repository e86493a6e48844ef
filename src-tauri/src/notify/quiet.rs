//! Notifications that are held back while their member wants to be left alone, and the one that tells of them afterwards.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use signalbox_model::{Activity, Clock, NewsKind, Profile, QuietTime, SystemClock, UnixMillis};
use tauri::AppHandle;

use super::Source;

/// How often it is looked whether it is still quiet: a machine may have slept, and the person may have changed it.
const LOOK: Duration = Duration::from_secs(20);
/// How long a host is waited for. Who does not answer has said nothing of quiet hours.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was held back of one host.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    questions: usize,
    risks: usize,
    messages: usize,
}

/// By host; one entry for each host that has something, and a task that looks after it.
static HELD: LazyLock<Mutex<HashMap<Option<String>, Held>>> = LazyLock::new(Mutex::default);

fn held() -> MutexGuard<'static, HashMap<Option<String>, Held>> {
    HELD.lock().unwrap_or_else(|e| e.into_inner())
}

#[derive(Deserialize)]
struct Quiet {
    profile: Profile,
    quiet_times: Vec<QuietTime>,
}

impl Quiet {
    async fn of(source: &Source) -> Option<Self> {
        let asked = tokio::time::timeout(PATIENCE, source.call("profile.get", json!({}))).await;
        asked.ok().and_then(Result::ok)
    }

    fn holds_at(&self, now: UnixMillis) -> bool {
        self.quiet_times.iter().any(|time| time.from <= now && now < time.until)
    }
}

fn kind(activity: &Activity) -> NewsKind {
    match activity.kind.as_str() {
        _ if super::is_question(activity) => NewsKind::Questions,
        "risk_raised" => NewsKind::Risks,
        _ => NewsKind::Messages,
    }
}

/// Whether a line of the feed is told later, with all others.
pub(super) async fn holds_back(app: &AppHandle, source: &Source, activity: &Activity) -> bool {
    let Some(quiet) = Quiet::of(source).await else { return false };
    let kind = kind(activity);
    if !quiet.holds_at(SystemClock.now()) || quiet.profile.through.contains(&kind) {
        return false;
    }
    let mut all = held();
    let is_first = !all.contains_key(&source.id());
    let entry = all.entry(source.id()).or_default();
    match kind {
        NewsKind::Questions => entry.questions += 1,
        NewsKind::Risks => entry.risks += 1,
        NewsKind::Messages => entry.messages += 1,
    }
    drop(all);
    if is_first {
        tauri::async_runtime::spawn(tell_afterwards(app.clone(), source.clone()));
    }
    true
}

async fn tell_afterwards(app: AppHandle, source: Source) {
    loop {
        tokio::time::sleep(LOOK).await;
        // A host that cannot be asked is asked again: nothing is told of it that may be old.
        if Quiet::of(&source).await.is_some_and(|quiet| !quiet.holds_at(SystemClock.now())) {
            break;
        }
    }
    let Some(mut held) = held().remove(&source.id()) else { return };
    // What was answered meanwhile waits for nobody.
    if let Some(open) = open(&source).await {
        held.questions = held.questions.min(open);
    }
    if let Some(text) = summary(held) {
        super::tell_plainly(&app, &source, "what you were spared", text, "/inbox".to_owned());
    }
}

/// How many questions are open.
async fn open(source: &Source) -> Option<usize> {
    #[derive(Deserialize)]
    struct Approvals {
        approvals: Vec<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Permissions {
        permissions: Vec<IgnoredAny>,
    }
    let approvals: Approvals = source.call("approval.list", json!({})).await.ok()?;
    let permissions: Permissions = source.call("permission.list", json!({})).await.ok()?;
    Some(approvals.approvals.len() + permissions.permissions.len())
}

/// One sentence for all; none if there is nothing left to tell.
fn summary(held: Held) -> Option<String> {
    let count = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts: Vec<String> = [
        count(held.questions, "question waits for you", "questions wait for you"),
        count(held.risks, "risk was raised", "risks were raised"),
        count(held.messages, "message came", "messages came"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_held_back_is_one_sentence() {
        let of = |questions, risks, messages| summary(Held { questions, risks, messages });
        assert_eq!(of(0, 0, 0), None);
        assert_eq!(of(1, 0, 0).as_deref(), Some("1 question waits for you"));
        assert_eq!(of(3, 1, 2).as_deref(), Some("3 questions wait for you, 1 risk was raised, 2 messages came"));
    }

    #[test]
    fn quiet_is_from_its_first_moment_until_the_first_after_it() {
        let quiet: Quiet = serde_json::from_value(json!({
            "profile": { "member": "m_abcdefgh" }, "quiet_times": [{ "from": 10, "until": 20 }, { "from": 30, "until": 40 }],
        }))
        .unwrap();
        let found: Vec<bool> = [9, 10, 19, 20, 29, 30, 40].into_iter().map(|now| quiet.holds_at(now)).collect();
        assert_eq!(found, [false, true, true, false, false, true, false]);
    }
}
