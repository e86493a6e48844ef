//! What a caller hands in, and what comes back.

use signalbox_model::{Cursor, Delivery, EventBody, Invite, InviteId, MemberId, NewEvent, WebhookId};

use crate::{Audit, StoreError};

/// Largest `data` of one event, in bytes. What is larger belongs into a blob.
const EVENT_BYTES: usize = 256 * 1024;

/// Events to append as one unit.
#[derive(Default)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Makes the batch happen once.
    pub key: Option<KeyClaim>,
    /// Changes to tokens that belong to the batch.
    pub tokens: Vec<TokenChange>,
    /// What is written with the events and is not derived from them.
    pub side: Vec<SideWrite>,
}

/// Something that belongs to a batch and is in no event.
#[derive(Debug, Clone)]
pub enum SideWrite {
    /// A reader of the log has come so far.
    Cursor {
        /// Which reader.
        name: String,
        /// Everything up to here was seen to.
        seq: u64,
    },
    /// What a webhook's deliveries are signed with; none: it is forgotten, with the webhook's cursor.
    WebhookSecret {
        /// Of which webhook.
        webhook: WebhookId,
        /// The secret.
        secret: Option<String>,
    },
    /// What became of a delivery. The last 200 of each webhook are kept.
    Delivery {
        /// Of which webhook.
        webhook: WebhookId,
        /// In place of the one with the same id.
        delivery: Box<Delivery>,
    },
}

impl Batch {
    /// A batch of events and nothing else.
    #[must_use]
    pub fn of(events: Vec<NewEvent>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Claims an idempotency key: a second batch with the same one is refused with the first one's answer.
pub struct KeyClaim {
    /// Whose key.
    pub member: MemberId,
    /// The key.
    pub key: String,
    /// Makes the answer (JSON) from what was committed.
    pub reply: Box<dyn FnOnce(&Committed) -> String + Send>,
}

/// A change to who may come in, or a note of who did what.
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// From now on this hash stands for this member.
    Add {
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// Whose it is.
        member: MemberId,
    },
    /// The same for the token in `host.json`: the one before it is no longer good.
    AddLocal {
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// Whose it is.
        member: MemberId,
    },
    /// This token is no longer good.
    Remove {
        /// SHA-256 of the token.
        hash: [u8; 32],
    },
    /// No token of this member is good any more.
    Revoke {
        /// Whose.
        member: MemberId,
    },
    /// From now on somebody can join with the code of this hash.
    Invite {
        /// SHA-256 of the code.
        hash: [u8; 32],
        /// What it gives.
        invite: Box<Invite>,
    },
    /// A member joined with the code of this hash. If it is not good the batch is refused as a whole.
    Redeem {
        /// SHA-256 of the code.
        hash: [u8; 32],
        /// Who joined.
        member: MemberId,
    },
    /// Nobody can join with this invitation any more.
    RevokeInvite {
        /// Which.
        id: InviteId,
    },
    /// An entry of the audit list.
    Audit(Box<Audit>),
}

/// What a commit gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The batch's first event; for a batch without events the head.
    pub first: u64,
    /// The batch's last event; for a batch without events the head.
    pub last: u64,
    /// `last` as a cursor.
    pub cursor: Cursor,
}

/// A batch with the data of its events as JSON text: encoded by who hands it in, so that the one writer need not.
pub(crate) struct Submission {
    pub(crate) batch: Batch,
    /// Of each event; nothing where the event has the text itself, and nothing at all where each has.
    texts: Vec<String>,
    /// About what a commit of it writes.
    pub(crate) bytes: usize,
}

impl Submission {
    pub(crate) fn new(batch: Batch) -> Result<Self, StoreError> {
        let mut texts = Vec::new();
        let mut bytes = 0;
        for (place, event) in batch.events.iter().enumerate() {
            let length = match &event.body {
                EventBody::Custom(_, data) => data.as_str().len(),
                EventBody::Known(data) => {
                    texts.resize_with(batch.events.len(), String::new);
                    texts[place] = data.data_json()?;
                    texts[place].len()
                }
            };
            if length > EVENT_BYTES {
                return Err(StoreError::TooLarge { place, bytes: length, limit: EVENT_BYTES });
            }
            bytes += length + 200;
        }
        Ok(Self { batch, texts, bytes })
    }

    /// The data of the event at `place`.
    pub(crate) fn data(&self, place: usize) -> &str {
        match &self.batch.events[place].body {
            EventBody::Custom(_, data) => data.as_str(),
            EventBody::Known(_) => &self.texts[place],
        }
    }
}

/// The first and last event of a batch that was committed; for one without events twice the head.
pub(crate) type Span = (u64, u64);
