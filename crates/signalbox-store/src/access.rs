//! Who may come in: tokens and invitations, by the hash of their secret; and the list of who did what.
//!
//! None of it is derived from events, and `rebuild_differences` leaves it alone.

use rusqlite::{Connection, OptionalExtension, Row, params};
use signalbox_model::{Invite, InviteId, InviteState, MemberId, ProjectId, UnixMillis};

use crate::{Reader, StoreError, TokenChange};

/// Invitations that can be open at a time.
const OPEN_INVITES: u64 = 1_000;
/// What is over is forgotten after this time, in milliseconds.
const INVITES_KEPT: i64 = 90 * 24 * 3600 * 1000;
/// Entries of the audit list that are kept; the oldest go first.
const AUDIT_ENTRIES: i64 = 200_000;
/// How many entries may come before the list is cut again.
const AUDIT_SLACK: i64 = 1_000;

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Who; none: not recognised.
    pub member: Option<MemberId>,
    /// Their name.
    pub name: Option<String>,
    /// What.
    pub method: String,
    /// To which project.
    pub project: Option<ProjectId>,
    /// To what.
    pub target: Option<String>,
    /// `ok`, or an error's code.
    pub outcome: String,
    /// Where from.
    pub address: Option<String>,
}

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: UnixMillis,
    /// What.
    pub what: Audit,
}

/// What has to hold before anything of the batch is written: an invitation is there, and good.
pub(crate) fn check(db: &Connection, changes: &[TokenChange], now: UnixMillis) -> Result<(), StoreError> {
    for change in changes {
        if let TokenChange::Redeem { hash, .. } = change {
            let invite = by_hash(db, hash)?.ok_or_else(|| StoreError::NotFound("such invitation".into()))?;
            if invite.state(now) != InviteState::Open {
                return Err(StoreError::Refused { what: format!("the invitation {}", invite.id) });
            }
        }
    }
    Ok(())
}

pub(crate) fn apply(db: &Connection, change: &TokenChange, now: UnixMillis) -> Result<(), StoreError> {
    match change {
        TokenChange::Add { hash, member } => {
            db.prepare_cached("INSERT OR REPLACE INTO tokens(hash, member) VALUES (?1, ?2)")?
                .execute(params![hash.as_slice(), member.as_str()])?;
        }
        // A session of a browser must outlive a restart of the host, so only what `host.json` held is replaced.
        TokenChange::AddLocal { hash, member } => {
            db.prepare_cached(
                "DELETE FROM tokens WHERE hash = (SELECT unhex(value) FROM meta WHERE key = 'local_token')",
            )?
            .execute([])?;
            db.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES ('local_token', hex(?1))")?
                .execute([hash.as_slice()])?;
            db.prepare_cached("INSERT OR REPLACE INTO tokens(hash, member) VALUES (?1, ?2)")?
                .execute(params![hash.as_slice(), member.as_str()])?;
        }
        TokenChange::Remove { hash } => {
            db.prepare_cached("DELETE FROM tokens WHERE hash = ?1")?.execute([hash.as_slice()])?;
        }
        TokenChange::Revoke { member } => {
            db.prepare_cached("DELETE FROM tokens WHERE member = ?1")?.execute([member.as_str()])?;
        }
        TokenChange::Invite { hash, invite } => {
            db.prepare_cached("DELETE FROM invites WHERE created < ?1")?.execute([now.saturating_sub(INVITES_KEPT)])?;
            let count: u64 = db.prepare_cached("SELECT count(*) FROM invites")?.query_row([], |row| row.get(0))?;
            if count >= OPEN_INVITES {
                // The oldest that is over makes room; if none is, the oldest of all.
                forget_one(db, now)?;
            }
            db.prepare_cached("INSERT INTO invites(id, hash, created, data) VALUES (?1, ?2, ?3, ?4)")?.execute(
                params![invite.id.as_str(), hash.as_slice(), invite.created_at, serde_json::to_string(invite)?],
            )?;
        }
        TokenChange::Redeem { hash, member } => {
            let mut invite = by_hash(db, hash)?.ok_or_else(|| StoreError::NotFound("such invitation".into()))?;
            invite.joined.push(member.clone());
            put(db, &invite)?;
        }
        TokenChange::RevokeInvite { id } => {
            // One that was forgotten meanwhile is as good as taken back.
            if let Some(mut invite) = by_id(db, id)? {
                invite.revoked = true;
                put(db, &invite)?;
            }
        }
        TokenChange::Audit(entry) => audit(db, entry, now)?,
    }
    Ok(())
}

fn forget_one(db: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let mut all = many(db)?;
    all.reverse();
    let oldest = all.iter().find(|invite| invite.state(now) != InviteState::Open).or(all.first());
    if let Some(invite) = oldest {
        db.prepare_cached("DELETE FROM invites WHERE id = ?1")?.execute([invite.id.as_str()])?;
    }
    Ok(())
}

fn put(db: &Connection, invite: &Invite) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE invites SET data = ?2 WHERE id = ?1")?
        .execute(params![invite.id.as_str(), serde_json::to_string(invite)?])?;
    Ok(())
}

fn invite(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn by_hash(db: &Connection, hash: &[u8; 32]) -> Result<Option<Invite>, StoreError> {
    let text = db.prepare_cached("SELECT data FROM invites WHERE hash = ?1")?.query_row([hash.as_slice()], invite);
    text.optional()?.map(|text| Ok(serde_json::from_str(&text)?)).transpose()
}

fn by_id(db: &Connection, id: &InviteId) -> Result<Option<Invite>, StoreError> {
    let text = db.prepare_cached("SELECT data FROM invites WHERE id = ?1")?.query_row([id.as_str()], invite);
    text.optional()?.map(|text| Ok(serde_json::from_str(&text)?)).transpose()
}

fn many(db: &Connection) -> Result<Vec<Invite>, StoreError> {
    let mut statement = db.prepare_cached("SELECT data FROM invites ORDER BY created DESC, id")?;
    let rows = statement.query_map([], invite)?;
    rows.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}

fn audit(db: &Connection, entry: &Audit, now: UnixMillis) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO audit(ts, member, name, method, project, target, outcome, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        now,
        entry.member.as_ref().map(MemberId::as_str),
        entry.name,
        entry.method,
        entry.project.as_ref().map(ProjectId::as_str),
        entry.target,
        entry.outcome,
        entry.address,
    ])?;
    let id = db.last_insert_rowid();
    if id % AUDIT_SLACK == 0 {
        db.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([id - AUDIT_ENTRIES])?;
    }
    Ok(())
}

impl Reader<'_> {
    /// Invitations that are kept, the newest first.
    pub fn invites(&self) -> Result<Vec<Invite>, StoreError> {
        many(self.db())
    }

    /// An invitation.
    pub fn invite(&self, id: &InviteId) -> Result<Option<Invite>, StoreError> {
        by_id(self.db(), id)
    }

    /// The invitation whose code has this SHA-256.
    pub fn invite_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Invite>, StoreError> {
        by_hash(self.db(), hash)
    }

    /// Entries of the audit list before `before`, the newest first, at most `limit`; of a member and a project if named.
    pub fn audit(
        &self,
        before: Option<u64>,
        member: Option<&MemberId>,
        project: Option<&ProjectId>,
        limit: usize,
    ) -> Result<Vec<Audited>, StoreError> {
        let mut statement = self.db().prepare_cached(
            "SELECT id, ts, member, name, method, project, target, outcome, address FROM audit
             WHERE id < ?1 AND (?2 IS NULL OR member = ?2) AND (?3 IS NULL OR project = ?3) ORDER BY id DESC LIMIT ?4",
        )?;
        let rows = statement.query_map(
            params![
                before.unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs()),
                member.map(MemberId::as_str),
                project.map(ProjectId::as_str),
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| {
                let (member, project): (Option<String>, Option<String>) = (row.get(2)?, row.get(5)?);
                Ok(Audited {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    what: Audit {
                        member: member.and_then(|id| MemberId::new(id).ok()),
                        name: row.get(3)?,
                        method: row.get(4)?,
                        project: project.and_then(|id| ProjectId::new(id).ok()),
                        target: row.get(6)?,
                        outcome: row.get(7)?,
                        address: row.get(8)?,
                    },
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
