//! Parameters and replies of the methods of a team: chat, read marks, notices, webhooks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_model::{
    AwayItem, AwayKind, ChatId, ChatLink, ChatMessage, Cursor, Delivery, NewsKind, Notice, NoticeId, Profile,
    ProjectId, QuietHours, QuietTime, ReadMark, UnixMillis, Webhook, WebhookId,
};
use ts_rs::TS;

params! {
    /// A message for a project's chat.
    ChatPost {
        /// The project.
        project: ProjectId,
        /// Plain text, 1 byte to 4 KiB. `@name` names a member.
        text: String,
        /// The message that it answers, of the same project.
        #[serde(default, skip_serializing_if = "Option::is_none")] reply_to: Option<ChatId>,
        /// What it points at, at most 16.
        #[serde(default, skip_serializing_if = "Option::is_none")] links: Option<Vec<ChatLink>>,
    }
    /// A message's new text.
    ChatEdit {
        /// Which message.
        message: ChatId,
        /// Plain text, 1 byte to 4 KiB.
        text: String,
    }
    /// Names a message.
    ChatRef {
        /// Which.
        message: ChatId,
    }
    /// Which messages.
    ChatList {
        /// The project.
        project: ProjectId,
        /// Only messages older than this one.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<ChatId>,
        /// At most this many, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// How far the caller has read.
    MarkSet {
        /// In which project.
        project: ProjectId,
        /// Everything up to here was seen.
        cursor: Cursor,
    }
    /// What to list of what happened meanwhile.
    AwayList {
        /// Only this project; absent: every one that the caller may see.
        #[serde(default, skip_serializing_if = "Option::is_none")] project: Option<ProjectId>,
        /// At most this many things, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which notices.
    NoticeList {
        /// Only those that were not read.
        #[serde(default, skip_serializing_if = "Option::is_none")] unread: Option<bool>,
        /// Only those older than this one.
        #[serde(default, skip_serializing_if = "Option::is_none")] before: Option<NoticeId>,
        /// At most this many, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
    /// Which notices were read: exactly one of `ids` and `all_until`.
    NoticeRead {
        /// These, at most 500.
        #[serde(default, skip_serializing_if = "Option::is_none")] ids: Option<Vec<NoticeId>>,
        /// All about events up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")] all_until: Option<Cursor>,
    }
    /// What the caller wants on every device. It takes the place of all that was said before: what is absent is none.
    ProfileUpdate {
        /// Hours without notifications.
        #[serde(default, skip_serializing_if = "Option::is_none")] quiet: Option<QuietHours>,
        /// No notifications until then, at most a year ahead.
        #[serde(default, skip_serializing_if = "Option::is_none")] muted_until: Option<UnixMillis>,
        /// What is notified all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")] through: Option<Vec<NewsKind>>,
    }
    /// A webhook to call.
    WebhookCreate {
        /// The project whose events it gets.
        project: ProjectId,
        /// Where they are posted to: `http://` or `https://`.
        url: String,
        /// What deliveries are signed with, 16 to 200 bytes; absent: one is made.
        #[serde(default, skip_serializing_if = "Option::is_none")] secret: Option<String>,
        /// Only these types of events, at most 50; absent or empty: all but the pieces of output and of what agents say.
        #[serde(default, skip_serializing_if = "Option::is_none")] types: Option<Vec<String>>,
    }
    /// Names a webhook.
    WebhookRef {
        /// Which.
        webhook: WebhookId,
    }
    /// Which deliveries.
    WebhookDeliveries {
        /// Of which webhook.
        webhook: WebhookId,
        /// At most this many, 1 to 200; 50 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")] limit: Option<u32>,
    }
}

replies! {
    /// A message.
    ChatReply {
        /// As it is now.
        message: ChatMessage,
    }
    /// A page of the chat.
    ChatPage {
        /// Oldest first.
        messages: Vec<ChatMessage>,
        /// Whether there are older ones.
        more: bool,
    }
    /// A read mark.
    MarkReply {
        /// As it is now.
        mark: ReadMark,
    }
    /// What a member wants on every device.
    ProfileReply {
        /// As it is now.
        profile: Profile,
        /// When it is quiet during the next eight days, in order and without overlaps; the first may have begun.
        quiet_times: Vec<QuietTime>,
    }
    /// What happened since the caller looked last.
    Away {
        /// The newest first.
        items: Vec<AwayItem>,
        /// How many there are of each kind, of at most 2,000 that were looked at.
        #[ts(as = "BTreeMap<String, u64>")] counts: BTreeMap<AwayKind, u64>,
        /// Where the caller stands in each project; a project without a mark was never read.
        marks: Vec<ReadMark>,
        /// Everything up to here was looked at: hand it to `mark.set`.
        cursor: Cursor,
        /// Whether there are more than those listed.
        more: bool,
    }
    /// A page of notices.
    Notices {
        /// The newest first.
        notices: Vec<Notice>,
        /// How many were not read, in all.
        unread: u64,
        /// Whether there are older ones.
        more: bool,
    }
    /// How many notices were not read yet.
    NoticesLeft {
        /// How many.
        unread: u64,
    }
    /// A new webhook.
    WebhookCreated {
        /// The webhook.
        webhook: Webhook,
        /// What deliveries are signed with. It is shown once.
        secret: String,
    }
    /// A webhook.
    WebhookReply {
        /// As it is now.
        webhook: Webhook,
    }
    /// A project's webhooks.
    Webhooks {
        /// Oldest first; deleted ones are left out.
        webhooks: Vec<Webhook>,
    }
    /// What became of a test.
    WebhookTested {
        /// The delivery.
        delivery: Delivery,
    }
    /// A webhook's deliveries.
    Deliveries {
        /// The newest first; the last 200 are kept.
        deliveries: Vec<Delivery>,
        /// How many events wait to be delivered, at most 10,000.
        waiting: u64,
    }
}
