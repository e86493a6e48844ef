//! Posting events: for each webhook a task that goes through the log behind the webhook's cursor.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use signalbox_model::{
    Actor, Delivery, DeliveryState, EventData, NewEvent, Risk, RiskState, Room, RoomFilter, Severity, UnixMillis,
    Webhook, WebhookId, WebhookState,
};
use signalbox_store::{Batch, SideWrite, StoreError};
use tokio::{
    sync::{Mutex, Notify},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    Host, ids,
    webhooks::{address, cursor_name, post, sign, wants},
};

/// Longest time between two attempts.
const SLOWEST: Duration = Duration::from_secs(300);
/// Events looked at in one go.
const PAGE: usize = 256;

/// What the methods and the deliveries share.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Webhooks are changed one at a time.
    pub(crate) changing: Mutex<()>,
    /// One was made, deleted, or is active again.
    pub(crate) changed: Notify,
}

/// Keeps a task for each active webhook, for as long as the host runs.
pub(crate) async fn run(host: Host) {
    let mut tasks: HashMap<WebhookId, JoinHandle<()>> = HashMap::new();
    loop {
        match host.inner.store.read(|reader| reader.webhooks(None)) {
            Ok(hooks) => {
                tasks.retain(|id, task| {
                    let wanted = hooks.iter().any(|hook| hook.id == *id && hook.state == WebhookState::Active);
                    if !wanted {
                        task.abort();
                    }
                    wanted && !task.is_finished()
                });
                for hook in hooks.into_iter().filter(|hook| hook.state == WebhookState::Active) {
                    let host = host.clone();
                    tasks.entry(hook.id.clone()).or_insert_with(|| tokio::spawn(follow(host, hook)));
                }
            }
            Err(StoreError::Closed) => break,
            Err(error) => tracing::warn!(%error, "webhooks could not be read"),
        }
        tokio::select! {
            () = host.inner.webhooks.changed.notified() => {}
            () = host.stopping() => break,
            // A reader that ended for a reason of its own is started again.
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
    }
    tasks.values().for_each(JoinHandle::abort);
}

async fn follow(host: Host, hook: Webhook) {
    let mut commits = host.inner.hub.commits();
    let mut at = None;
    loop {
        match step(&host, &hook, &mut at).await {
            Ok(Next::More) => {}
            Ok(Next::Wait) => {
                if commits.changed().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(Next::End) | Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, webhook = %hook.id, "events could not be delivered; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

enum Next {
    More,
    Wait,
    End,
}

/// Delivers the next page behind the cursor.
async fn step(host: &Host, hook: &Webhook, at: &mut Option<u64>) -> Result<Next, StoreError> {
    let name = cursor_name(&hook.id);
    let rooms = [RoomFilter::ProjectTree(hook.project.clone())];
    let from = *at;
    let (store, page_name) = (host.inner.store.clone(), name.clone());
    let read = move || {
        store.read(|reader| {
            let after = match from {
                Some(after) => after,
                None => reader.cursor_of(&page_name)?.unwrap_or(0),
            };
            reader.events(&rooms, after, reader.head()?, PAGE)
        })
    };
    let page = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)??;
    for frame in &page.frames {
        let kind = frame.kind();
        if !wants(hook, kind) {
            continue;
        }
        let id = format!("{}.{}.{}", hook.id, host.inner.store.epoch(), frame.seq);
        match insist(host, hook, &id, frame.seq, kind, frame.json.clone()).await? {
            Outcome::Delivered(delivery) => {
                let side = vec![
                    SideWrite::Cursor { name: name.clone(), seq: frame.seq },
                    SideWrite::Delivery { webhook: hook.id.clone(), delivery: Box::new(delivery) },
                ];
                host.inner.store.append(Batch { side, ..Batch::default() }).await?;
                *at = Some(frame.seq);
            }
            Outcome::GivenUp(delivery) => {
                disable(host, hook, delivery).await?;
                return Ok(Next::End);
            }
        }
    }
    // What was passed over is not looked at again after a restart, once it is much.
    let before = at.unwrap_or(0);
    *at = Some(page.upto);
    if page.upto > before + 1_000 {
        let side = vec![SideWrite::Cursor { name, seq: page.upto }];
        host.inner.store.append(Batch { side, ..Batch::default() }).await?;
    }
    Ok(if page.more { Next::More } else { Next::Wait })
}

enum Outcome {
    Delivered(Delivery),
    GivenUp(Delivery),
}

/// Posts until the receiver takes it, or it has failed for too long.
async fn insist(
    host: &Host,
    hook: &Webhook,
    id: &str,
    seq: u64,
    kind: &str,
    body: Bytes,
) -> Result<Outcome, StoreError> {
    let settings = &host.settings().webhooks;
    let patience = i64::try_from(settings.give_up_after_s.saturating_mul(1000)).unwrap_or(i64::MAX);
    // What an earlier life of the host tried counts: who restarts often gives up as well.
    let earlier = host.inner.store.read(|reader| reader.deliveries(&hook.id, 1))?.into_iter().next();
    let earlier = earlier.filter(|known| known.id == id && known.state == DeliveryState::Retrying);
    let mut attempts = earlier.as_ref().map_or(0, |known| known.attempts);
    let mut first = earlier.map(|known| known.first_at.unwrap_or(known.at));
    loop {
        attempts = attempts.saturating_add(1);
        let mut delivery = attempt(host, hook, id, seq, kind, body.clone(), attempts).await?;
        if delivery.state == DeliveryState::Delivered {
            return Ok(Outcome::Delivered(delivery));
        }
        let since = *first.get_or_insert(delivery.at);
        delivery.first_at = Some(since).filter(|since| *since != delivery.at);
        // 410: the receiver says that it will never want any.
        if host.inner.clock.now().saturating_sub(since) >= patience || delivery.status == Some(410) {
            delivery.state = DeliveryState::Failed;
            return Ok(Outcome::GivenUp(delivery));
        }
        let side = vec![SideWrite::Delivery { webhook: hook.id.clone(), delivery: Box::new(delivery) }];
        host.inner.store.append(Batch { side, ..Batch::default() }).await?;
        let doubled = settings.retry_ms.max(1).saturating_mul(1 << (attempts - 1).min(20));
        let longest = Duration::from_millis(doubled).min(SLOWEST);
        // Between half of it and all of it, so that many do not come back at once.
        let spread = ids::random() % (u64::try_from(longest.as_millis()).unwrap_or(u64::MAX) / 2 + 1);
        tokio::time::sleep(longest / 2 + Duration::from_millis(spread)).await;
    }
}

async fn attempt(
    host: &Host,
    hook: &Webhook,
    id: &str,
    seq: u64,
    kind: &str,
    body: Bytes,
    attempts: u32,
) -> Result<Delivery, StoreError> {
    let now: UnixMillis = host.inner.clock.now();
    let secret = host.inner.store.read(|reader| reader.webhook_secret(&hook.id))?.unwrap_or_default();
    let headers = [
        ("x-signalbox-event", kind.to_owned()),
        ("x-signalbox-delivery", id.to_owned()),
        ("x-signalbox-signature", sign::sign(&secret, now.div_euclid(1000), Some(id), &body)),
    ];
    let started = Instant::now();
    let private = host.settings().webhooks.allow_private;
    let answer = match post::Target::parse(&hook.url) {
        Ok(target) => match address::allowed(&target, private).await {
            Ok(address) => post::post(&target, address, &host.settings().webhooks.ca_file, &headers, body).await,
            Err(error) => Err(error.message),
        },
        Err(error) => Err(error.message),
    };
    let taken = matches!(answer, Ok(200..=299));
    let error = match &answer {
        Ok(200..=299) => None,
        Ok(status @ 300..=399) => Some(format!("it answered {status}; redirects are not followed")),
        Ok(status) => Some(format!("it answered {status}")),
        Err(why) => Some(why.chars().take(300).collect()),
    };
    host.metrics().webhook(taken);
    Ok(Delivery {
        id: id.to_owned(),
        seq,
        event: kind.to_owned(),
        state: if taken { DeliveryState::Delivered } else { DeliveryState::Retrying },
        attempts,
        at: now,
        first_at: None,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        status: answer.ok(),
        error,
    })
}

/// Posts a test, once.
pub(super) async fn test(host: &Host, hook: &Webhook) -> Result<Delivery, StoreError> {
    let id = format!("{}.test.{}", hook.id, ids::token(12));
    let body = serde_json::json!({ "type": "webhook_test", "webhook": hook.id, "project": hook.project });
    let mut delivery = attempt(host, hook, &id, 0, "webhook_test", Bytes::from(body.to_string()), 1).await?;
    if delivery.state != DeliveryState::Delivered {
        delivery.state = DeliveryState::Failed;
    }
    let kept = SideWrite::Delivery { webhook: hook.id.clone(), delivery: Box::new(delivery.clone()) };
    host.inner.store.append(Batch { side: vec![kept], ..Batch::default() }).await?;
    Ok(delivery)
}

/// The risk that tells of a webhook that is switched off.
pub(super) fn risk_of(id: &WebhookId) -> String {
    format!("webhook-{id}")
}

async fn disable(host: &Host, hook: &Webhook, delivery: Delivery) -> Result<(), StoreError> {
    let _one_at_a_time = host.inner.webhooks.changing.lock().await;
    // Deleted meanwhile: that stays.
    let now = host.inner.store.read(|reader| reader.webhook(&hook.id))?;
    if now.is_none_or(|now| now.state != WebhookState::Active) {
        return Ok(());
    }
    let why = delivery.error.clone().unwrap_or_default();
    let reason = format!("event {} could not be delivered in {} attempts: {why}", delivery.seq, delivery.attempts);
    let disabled = Webhook { state: WebhookState::Disabled, reason: Some(reason.clone()), ..hook.clone() };
    let risk = Risk {
        id: risk_of(&hook.id),
        project: hook.project.clone(),
        kind: "webhook".into(),
        severity: Severity::Warning,
        title: format!("the webhook {} is switched off", hook.url),
        evidence: reason,
        advice: format!(
            "mend its receiver, then `signalbox call webhook.test '{{\"webhook\":\"{}\"}}'`: what waits is delivered then",
            hook.id
        ),
        run: None,
        step: None,
        state: RiskState::Open,
        raised_at: host.inner.clock.now(),
        by: None,
    };
    let room = Room::Project(hook.project.clone());
    let event = |data| NewEvent::new(room.clone(), Actor::host(), data);
    let events = vec![event(EventData::WebhookUpdated(disabled)), event(EventData::RiskAlert(risk))];
    let side = vec![SideWrite::Delivery { webhook: hook.id.clone(), delivery: Box::new(delivery) }];
    host.inner.store.append(Batch { events, side, ..Batch::default() }).await?;
    Ok(())
}
