//! Invitations: what their owner sees of them. The code itself is shown once, and kept only as a hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{InviteId, MemberId, ProjectId, Role, UnixMillis};

/// An invitation to join this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Invite {
    /// Its identifier.
    pub id: InviteId,
    /// The role of who joins with it.
    pub role: Role,
    /// Their projects; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ProjectId>>", optional)]
    pub projects: Vec<ProjectId>,
    /// For whom it is meant, as its owner wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<String>,
    /// Who made it.
    pub created_by: MemberId,
    /// When.
    pub created_at: UnixMillis,
    /// Until when it is good.
    pub expires_at: UnixMillis,
    /// How many may join with it.
    pub uses: u32,
    /// Who has, in order.
    pub joined: Vec<MemberId>,
    /// It was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub revoked: bool,
}

/// Whether somebody can join with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    /// Yes.
    Open,
    /// As many as may have joined.
    UsedUp,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Invite {
    /// Whether somebody can join with it at `now`.
    #[must_use]
    pub fn state(&self, now: UnixMillis) -> InviteState {
        if self.revoked {
            InviteState::Revoked
        } else if self.joined.len() >= self.uses as usize {
            InviteState::UsedUp
        } else if self.expires_at <= now {
            InviteState::Expired
        } else {
            InviteState::Open
        }
    }
}
