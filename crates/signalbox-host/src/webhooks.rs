//! Webhooks, in and out.
//!
//! One that the host calls is a cursor over the log with an address: its events are posted in order, each at least once,
//! and its place is kept with the log. So it survives restarts, and a receiver that was away gets everything.

mod address;
mod deliver;
pub(crate) mod incoming;
mod post;
pub mod sign;

use signalbox_model::{EventData, NewEvent, Risk, RiskState, Room, RoomFilter, Webhook, WebhookId, WebhookState};
use signalbox_store::{Batch, SideWrite};
use signalbox_wire::{
    CallError, Caller,
    method::{
        Deliveries, ProjectRef, WebhookCreate, WebhookCreated, WebhookDeliveries, WebhookRef, WebhookReply,
        WebhookTested, Webhooks,
    },
};

pub use incoming::{Incoming, Received};

pub(crate) use deliver::{Desk, run};

use crate::{
    Host,
    handlers::{Reply, bounded},
    host::store_error,
    ids,
};

/// Webhooks of one project at most.
const PER_PROJECT: usize = 20;
/// Types that a webhook names at most.
const TYPES: usize = 50;
/// Types that nobody gets without asking: there are too many of them.
const NOISY: [&str; 4] = ["log", "agent_message", "agent_thought", "usage_update"];

/// Whether a webhook gets events of this type.
fn wants(hook: &Webhook, kind: &str) -> bool {
    if hook.types.is_empty() { !NOISY.contains(&kind) } else { hook.types.iter().any(|wanted| wanted == kind) }
}

fn cursor_name(id: &WebhookId) -> String {
    format!("webhook/{id}")
}

fn changed(caller: &Caller, hook: &Webhook) -> NewEvent {
    let room = Room::Project(hook.project.clone());
    NewEvent::new(room, caller.actor.clone(), EventData::WebhookUpdated(hook.clone()))
}

impl Host {
    fn webhook(&self, caller: &Caller, id: &WebhookId) -> Reply<Webhook> {
        let found = self.read(|reader| reader.webhook(id))?;
        let found = found.filter(|hook| hook.state != WebhookState::Deleted && caller.sees(&hook.project));
        found.ok_or_else(|| CallError::not_found("webhook", id))
    }

    /// The end of the risk that a webhook was, if it was one: it works again, or is gone.
    fn risk_over(&self, caller: &Caller, hook: &Webhook) -> Reply<Option<NewEvent>> {
        let risk = self.read(|reader| reader.risk(&hook.project, &deliver::risk_of(&hook.id)))?;
        let risk = risk.filter(|risk| risk.state != RiskState::Resolved);
        Ok(risk.map(|risk| {
            let risk = Risk { state: RiskState::Resolved, by: Some(caller.actor.clone()), ..risk };
            NewEvent::new(Room::Project(hook.project.clone()), caller.actor.clone(), EventData::RiskAlert(risk))
        }))
    }

    pub(crate) async fn create_webhook(&self, caller: &Caller, params: WebhookCreate) -> Reply<WebhookCreated> {
        let project = self.project(caller, &params.project)?;
        let target = post::Target::parse(&params.url)?;
        address::allowed(&target, self.settings().webhooks.allow_private).await?;
        let types = params.types.unwrap_or_default();
        if types.len() > TYPES || types.iter().any(|kind| kind.is_empty() || kind.len() > 80) {
            return Err(CallError::bad_request(format!("at most {TYPES} types; nothing was made")));
        }
        let known = |kind: &&String| EventData::TYPES.contains(&kind.as_str()) || kind.starts_with("x_");
        if let Some(unknown) = types.iter().find(|kind| !known(kind)) {
            return Err(CallError::bad_request(format!("there is no type of event {unknown:?}; nothing was made")));
        }
        let secret = params.secret.unwrap_or_else(|| ids::token(40));
        if !(16..=200).contains(&secret.len()) {
            return Err(CallError::bad_request("a secret has 16 to 200 bytes; nothing was made"));
        }
        let _one_at_a_time = self.inner.webhooks.changing.lock().await;
        let there = self.read(|reader| reader.webhooks(Some(&project.id)))?;
        if there.len() >= PER_PROJECT {
            return Err(CallError::conflict(format!("a project has {PER_PROJECT} webhooks at most; nothing was made")));
        }
        let hook = Webhook {
            id: ids::webhook(),
            project: project.id.clone(),
            url: params.url,
            types,
            state: WebhookState::Active,
            created_at: self.inner.clock.now(),
            reason: None,
        };
        let side = vec![
            SideWrite::WebhookSecret { webhook: hook.id.clone(), secret: Some(secret.clone()) },
            SideWrite::Cursor { name: cursor_name(&hook.id), seq: self.inner.store.head() },
        ];
        let batch = Batch { events: vec![changed(caller, &hook)], side, ..Batch::default() };
        self.inner.store.append(batch).await.map_err(store_error)?;
        self.inner.webhooks.changed.notify_one();
        Ok(WebhookCreated { webhook: hook, secret })
    }

    pub(crate) fn list_webhooks(&self, caller: &Caller, params: &ProjectRef) -> Reply<Webhooks> {
        let project = self.project(caller, &params.project)?;
        Ok(Webhooks { webhooks: self.read(|reader| reader.webhooks(Some(&project.id)))? })
    }

    pub(crate) async fn delete_webhook(&self, caller: &Caller, params: &WebhookRef) -> Reply<WebhookReply> {
        let _one_at_a_time = self.inner.webhooks.changing.lock().await;
        let hook = Webhook { state: WebhookState::Deleted, ..self.webhook(caller, &params.webhook)? };
        let side = vec![SideWrite::WebhookSecret { webhook: hook.id.clone(), secret: None }];
        let events = [changed(caller, &hook)].into_iter().chain(self.risk_over(caller, &hook)?).collect();
        self.inner.store.append(Batch { events, side, ..Batch::default() }).await.map_err(store_error)?;
        self.inner.webhooks.changed.notify_one();
        Ok(WebhookReply { webhook: hook })
    }

    pub(crate) async fn test_webhook(&self, caller: &Caller, params: &WebhookRef) -> Reply<WebhookTested> {
        let hook = self.webhook(caller, &params.webhook)?;
        let delivery = deliver::test(self, &hook).await.map_err(store_error)?;
        if hook.state == WebhookState::Disabled && delivery.state == signalbox_model::DeliveryState::Delivered {
            let _one_at_a_time = self.inner.webhooks.changing.lock().await;
            let hook = Webhook { state: WebhookState::Active, reason: None, ..self.webhook(caller, &params.webhook)? };
            let events = [changed(caller, &hook)].into_iter().chain(self.risk_over(caller, &hook)?).collect();
            self.inner.store.append(Batch::of(events)).await.map_err(store_error)?;
            self.inner.webhooks.changed.notify_one();
        }
        Ok(WebhookTested { delivery })
    }

    pub(crate) fn list_deliveries(&self, caller: &Caller, params: &WebhookDeliveries) -> Reply<Deliveries> {
        const COUNTED: usize = 10_000;
        let limit = bounded(params.limit, 50, 200)?;
        let hook = self.webhook(caller, &params.webhook)?;
        self.read(|reader| {
            let after = reader.cursor_of(&cursor_name(&hook.id))?.unwrap_or(0);
            let rooms = [RoomFilter::ProjectTree(hook.project.clone())];
            let page = reader.events(&rooms, after, reader.head()?, COUNTED)?;
            let waiting = page.frames.iter().filter(|frame| wants(&hook, frame.kind())).count();
            Ok(Deliveries { deliveries: reader.deliveries(&hook.id, limit)?, waiting: waiting as u64 })
        })
    }
}
