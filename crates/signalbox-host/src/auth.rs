//! Who is who: tokens, login codes, the owner on this machine.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use sha2::{Digest, Sha256};
use signalbox_model::{Actor, EventData, Member, MemberId, NewEvent, Role, Room, UnixMillis};
use signalbox_store::{Batch, Store, StoreError, TokenChange};
use signalbox_wire::Caller;

use crate::ids;

/// The member that stands for the owner at this machine: the desktop window, and the CLI by `host.json`.
pub const LOCAL_MEMBER: &str = "m_localowner";

/// Why nobody could be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No such token.
    #[error("the token is wrong")]
    Wrong,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It cannot be looked up now.
    #[error("tokens cannot be checked at the moment")]
    Unavailable,
}

/// How long a login code is good, in milliseconds.
const CODE_LIFE: i64 = 60_000;

/// Login codes that are still good.
#[derive(Debug, Default)]
pub(crate) struct Codes(Mutex<HashMap<String, (MemberId, UnixMillis)>>);

impl Codes {
    fn map(&self) -> MutexGuard<'_, HashMap<String, (MemberId, UnixMillis)>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A code for one login.
    pub(crate) fn create(&self, member: MemberId, now: UnixMillis) -> String {
        let code = ids::token(20);
        let mut map = self.map();
        map.retain(|_, (_, until)| *until > now);
        map.insert(code.clone(), (member, now + CODE_LIFE));
        code
    }

    /// Whose code it is; it is used up by asking.
    pub(crate) fn redeem(&self, code: &str, now: UnixMillis) -> Option<MemberId> {
        self.map().remove(code).filter(|(_, until)| *until > now).map(|(member, _)| member)
    }
}

pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A member as a caller.
pub(crate) fn caller(member: &Member, rights: u64) -> Caller {
    Caller {
        member: member.id.clone(),
        actor: Actor::new(&member.name).unwrap_or_else(|_| Actor::host()),
        role: member.role,
        projects: member.projects.clone(),
        key: None,
        address: None,
        expires_at: member.expires_at,
        rights,
    }
}

/// Finds whose token it is. Blocks for a read of the database.
pub(crate) fn recognise(store: &Store, token: &str, now: UnixMillis) -> Result<Member, AuthError> {
    let hash = hash(token);
    match store.read(|reader| reader.member_by_token(&hash)) {
        Ok(Some(member)) if member.revoked => Err(AuthError::Wrong),
        Ok(Some(member)) if member.expires_at.is_some_and(|until| until <= now) => Err(AuthError::Expired),
        Ok(Some(member)) => Ok(member),
        Ok(None) => Err(AuthError::Wrong),
        Err(_) => Err(AuthError::Unavailable),
    }
}

/// Makes sure that the local owner exists, and gives it a token for as long as this host runs.
pub(crate) async fn local_owner(store: &Store) -> Result<(Member, String), StoreError> {
    let id = MemberId::new(LOCAL_MEMBER).unwrap_or_else(|_| unreachable!("it is an id"));
    let known = store.read(|reader| reader.member(&id))?;
    let mut events = Vec::new();
    let member = match known {
        Some(member) => member,
        None => {
            let name = std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default();
            let name = if Actor::new(&name).is_ok() { name } else { "owner".to_owned() };
            let member = Member {
                id: id.clone(),
                name,
                role: Role::Owner,
                projects: Vec::new(),
                expires_at: None,
                invited_by: None,
                issuer: None,
                revoked: false,
            };
            events.push(NewEvent::new(Room::Host, Actor::host(), EventData::MemberUpdated(member.clone())));
            member
        }
    };
    let token = ids::token(32);
    let tokens = vec![TokenChange::AddLocal { hash: hash(&token), member: id }];
    store.append(Batch { events, tokens, ..Batch::default() }).await?;
    Ok((member, token))
}
