//! Webhooks that the host calls: cursors over the log with an address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{ProjectId, UnixMillis, WebhookId};

/// Whether a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// It is called.
    Active,
    /// Its receiver failed for too long: it is not called any more.
    Disabled,
    /// It was deleted.
    Deleted,
}

/// An address that gets the events of a project. Its secret is in no event and in no reply but that of its creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Webhook {
    /// Its identifier.
    pub id: WebhookId,
    /// The project whose events it gets, those of its runs included.
    pub project: ProjectId,
    /// Where they are posted to.
    pub url: String,
    /// Only these types of events; empty: all but `log`, `agent_message`, `agent_thought` and `usage_update`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    pub types: Vec<String>,
    /// Whether it is called.
    pub state: WebhookState,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Why it was disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// The receiver took it (2xx).
    Delivered,
    /// It failed, and is tried again.
    Retrying,
    /// It failed for good: the webhook was disabled.
    Failed,
}

/// One event on its way to a webhook's receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Delivery {
    /// Names the delivery: the same at every attempt.
    pub id: String,
    /// The event's place; 0 for a test.
    pub seq: u64,
    /// The event's type; `webhook_test` for a test.
    pub event: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried.
    pub at: UnixMillis,
    /// When it was first tried; absent: then as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub first_at: Option<UnixMillis>,
    /// How long the last attempt took, in milliseconds.
    pub took_ms: u64,
    /// The receiver's last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub status: Option<u16>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<String>,
}
