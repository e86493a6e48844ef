//! What people on one host share: who is here, what they say, and what each has still to see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    Actor, ApprovalId, ChatId, Cursor, MemberId, NoticeId, PermissionId, Priority, ProjectId, RunId, StepKey,
    UnixMillis,
};

/// Most bytes of a path or a device name in a [`PresenceState`].
const FILE: usize = 400;
const DEVICE: usize = 60;

/// What a member looks at. All of it is optional, unknown keys are dropped and longer texts are cut, so it never takes more
/// than 1 KiB. Never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(default)]
#[ts(optional_fields)]
pub struct PresenceState {
    /// The run in view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step in view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// The file in view, at most 400 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The file in view has changes of this member that were not saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<bool>,
    /// The question that this member is answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// The agent's question that this member is answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<PermissionId>,
    /// Writes a message. The host forgets it after 10 s unless it is said again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// What it looks with, at most 60 bytes; the host fills in the client's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

fn clean(text: &str, most: usize) -> String {
    let mut out = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if out.len() + letter.len_utf8() > most {
            break;
        }
        out.push(letter);
    }
    out
}

impl PresenceState {
    /// The same within its bounds, without control characters and empty texts.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let short = |text: Option<String>, most| text.map(|text| clean(&text, most)).filter(|text| !text.is_empty());
        self.file = short(self.file, FILE);
        self.device = short(self.device, DEVICE);
        self.typing = self.typing.filter(|typing| *typing);
        self.unsaved = self.unsaved.filter(|unsaved| *unsaved);
        self
    }
}

/// A member in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Present {
    /// Where: the room of the snapshot, or of one of its project's runs.
    pub room: crate::Room,
    /// Who.
    pub member: MemberId,
    /// Their name.
    pub name: String,
    /// What they look at, on the device that spoke last.
    pub state: PresenceState,
    /// Each device, the one that spoke last first, if there are several; at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<PresenceState>>", optional)]
    pub devices: Vec<PresenceState>,
}

/// What a chat message points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ChatLink {
    /// A run of the same project.
    pub run: RunId,
    /// A step of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// A line of the step's log, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub line: Option<u64>,
}

/// A message of the project's chat: its whole present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ChatMessage {
    /// Its identifier.
    pub id: ChatId,
    /// The project.
    pub project: ProjectId,
    /// Who wrote it.
    pub author: MemberId,
    /// Their name when they wrote it.
    pub author_name: Actor,
    /// What: plain text, at most 4 KiB. Empty once deleted.
    pub text: String,
    /// Members that it names with `@name`, of those who may see the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<MemberId>>", optional)]
    pub mentions: Vec<MemberId>,
    /// What it points at, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ChatLink>>", optional)]
    pub links: Vec<ChatLink>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reply_to: Option<ChatId>,
    /// When it was written.
    pub created_at: UnixMillis,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub edited_at: Option<UnixMillis>,
    /// It was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub deleted: bool,
}

/// How far a member has read in a project. It only ever moves forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReadMark {
    /// Whose.
    pub member: MemberId,
    /// The project.
    pub project: ProjectId,
    /// Everything up to this event was seen.
    pub seq: u64,
    /// When that event happened: whatever is younger was not seen.
    #[serde(default)]
    pub at: UnixMillis,
}

/// Why something is in a member's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Somebody named the member in the chat.
    Mention,
    /// Somebody answered a message of the member.
    Reply,
    /// A question waits that the member may answer.
    Approval,
    /// An agent's question waits that the member may answer.
    Permission,
    /// A webhook was switched off, because its receiver failed for too long.
    Webhook,
}

/// Something for one member: it stays until it is read, on whichever device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Notice {
    /// Its identifier.
    pub id: NoticeId,
    /// For whom.
    pub member: MemberId,
    /// Why.
    pub kind: NoticeKind,
    /// The project.
    pub project: ProjectId,
    /// Who caused it.
    pub actor: Actor,
    /// What, in at most 300 bytes.
    pub text: String,
    /// The event that it is about.
    pub cursor: Cursor,
    /// When.
    pub at: UnixMillis,
    /// The run it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub run: Option<RunId>,
    /// The step it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// The question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub approval: Option<ApprovalId>,
    /// The agent's question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub permission: Option<PermissionId>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message: Option<ChatId>,
    /// When a device of the member first had it: who finds it absent shows it as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub delivered_at: Option<UnixMillis>,
    /// When it was read, or settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub read_at: Option<UnixMillis>,
    /// The question got its answer, or is no longer asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub settled: bool,
}

/// Notices that were delivered, read or settled together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct NoticesUpdated {
    /// Which, at most 500.
    pub ids: Vec<NoticeId>,
    /// When a device first had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub delivered_at: Option<UnixMillis>,
    /// When they were read or settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub read_at: Option<UnixMillis>,
    /// They are settled: the question got its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub settled: bool,
}

/// What happened while a member was away, in a kind that a person can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum AwayKind {
    /// The member was named.
    Mention,
    /// A message of the member was answered.
    Reply,
    /// A question waits.
    QuestionWaiting,
    /// A question was answered by somebody else, or is no longer asked.
    QuestionAnswered,
    /// A run ended well.
    RunFinished,
    /// A run ended in any other way.
    RunFailed,
    /// A risk stands open.
    Risk,
}

/// One thing that happened while a member was away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AwayItem {
    /// The event: where to look.
    pub cursor: Cursor,
    /// When.
    pub at: UnixMillis,
    /// What kind of thing.
    pub kind: AwayKind,
    /// How much it matters.
    pub priority: Priority,
    /// It is for this member rather than for everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub to_me: bool,
    /// The project.
    pub project: ProjectId,
    /// Who did it.
    pub actor: Actor,
    /// What, in at most 300 bytes.
    pub text: String,
    /// The run it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub run: Option<RunId>,
    /// The step it links to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub step: Option<StepKey>,
    /// The question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub approval: Option<ApprovalId>,
    /// The agent's question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub permission: Option<PermissionId>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message: Option<ChatId>,
    /// The risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub risk: Option<String>,
}

/// The beginning of a text that may come from anywhere, for one line: at most 300 bytes, without control characters.
#[must_use]
pub fn one_line(text: &str) -> String {
    let flat: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let short = clean(&flat, 297);
    if short.len() < flat.len() { format!("{short}...") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presence_of_any_size_takes_no_more_than_a_kibibyte() {
        let long = "x".repeat(5000);
        let state: PresenceState = serde_json::from_value(serde_json::json!({
            "run": "r_".to_owned() + &"a".repeat(40), "step": "s".repeat(200), "file": format!("ä\n{long}"),
            "approval": "a_".to_owned() + &"b".repeat(40), "permission": "q_".to_owned() + &"c".repeat(40),
            "typing": true, "device": long, "unknown": { "deep": [1, 2, 3] },
        }))
        .unwrap();
        let text = serde_json::to_string(&state.bounded()).unwrap();
        assert!(text.len() <= 1024, "{}", text.len());
        assert!(!text.contains("unknown") && !text.contains("\\n"), "{text}");
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("a\r\nb"), "a  b");
        let long = one_line(&"ü".repeat(400));
        assert!(long.len() <= 300 && long.ends_with("..."));
    }
}
