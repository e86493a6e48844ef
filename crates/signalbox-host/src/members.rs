//! Members: their rights, and that every connection follows when these change.
//!
//! A change of rights first seals the member's connections (nothing more reaches them), then is committed, and only then
//! are they closed. New ones are let in before or after, never in between: so no connection gets an event that was
//! committed after the change by the rights from before it.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Instant,
};

use signalbox_model::{Actor, EventData, Member, MemberId, NewEvent, ProjectId, Role, Room};
use signalbox_store::{Batch, KeyClaim, TokenChange};
use signalbox_stream::{Listed, Refused, Registration};
use signalbox_wire::{
    CallError, Caller, CloseCode, ErrorCode,
    method::{ConnectionRef, MemberReply, MemberUpdate, Members, Nothing, TokenCreate, TokenCreated},
};

use crate::{AuthError, Host, LOCAL_MEMBER, auth, handlers::Reply, host::store_error, ids, jwt::Jwt, names};

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// There are too many.
    Full(Refused),
    /// The rights by which it came are no longer those of the member: connect again.
    Changed,
}

/// Replies that hold a secret, for whoever makes the same call again: in memory only, since no secret is stored.
#[derive(Default)]
pub(crate) struct SecretReplies {
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<VecDeque<(MemberId, String, String)>>,
}

/// How many such replies are kept.
const KEPT: usize = 256;
/// What is stored as the reply to a call whose true reply holds a secret.
pub(crate) const SECRET: &str = "{\"secret\":true}";

impl SecretReplies {
    pub(crate) fn find(&self, member: &MemberId, key: &str) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        kept.iter().find(|(who, what, _)| who == member && what == key).map(|(_, _, reply)| reply.clone())
    }

    /// The same when whoever makes one now is done: the key is in the log a moment before its reply is here.
    pub(crate) async fn find_made(&self, member: &MemberId, key: &str) -> Option<String> {
        let _turn = self.turn.lock().await;
        self.find(member, key)
    }

    fn keep(&self, member: MemberId, key: String, reply: String) {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        kept.truncate(KEPT - 1);
        kept.push_front((member, key, reply));
    }
}

/// What a repeated call is told when its secret is no longer known.
pub(crate) fn shown_once() -> CallError {
    CallError::conflict("a call with this key was done before; what it made was shown then, and is not stored")
        .hint("revoke what was made if nobody has it, and call again with another key")
}

/// Whether who has `own` may give away or manage rights on `projects` (empty: all, for either).
pub(crate) fn covers(own: &[ProjectId], projects: &[ProjectId]) -> bool {
    own.is_empty() || (!projects.is_empty() && projects.iter().all(|project| own.contains(project)))
}

/// What somebody who is no owner learns of a member with whom they share a project: name, role, and the projects in common.
fn as_seen_by(caller: &Caller, member: Member) -> Option<Member> {
    let projects = match (caller.projects.is_empty(), member.projects.is_empty()) {
        (true, _) => member.projects,
        (false, true) => caller.projects.clone(),
        (false, false) => member.projects.into_iter().filter(|project| caller.sees(project)).collect(),
    };
    let shared = caller.projects.is_empty() || !projects.is_empty();
    shared.then_some(Member { projects, expires_at: None, invited_by: None, issuer: None, ..member })
}

/// Projects that one member can be given one by one.
const PROJECTS: usize = 1_000;

/// The projects that `caller` gives to somebody: nobody gives more than they have.
pub(crate) fn grantable(host: &Host, caller: &Caller, mut projects: Vec<ProjectId>) -> Reply<Vec<ProjectId>> {
    if projects.len() > PROJECTS {
        let text = format!("a member has at most {PROJECTS} projects; nothing was done");
        return Err(CallError::new(ErrorCode::LimitExceeded, text).hint("none at all means every project"));
    }
    projects.sort();
    projects.dedup();
    for project in &projects {
        host.project(caller, project)?;
    }
    Ok(if projects.is_empty() { caller.projects.clone() } else { projects })
}

impl Host {
    /// Lists a connection, if its caller's rights still hold.
    ///
    /// # Errors
    /// If there are too many, or the rights have changed since the token was looked at.
    pub async fn admit(&self, caller: &Caller, who: Registration) -> Result<Listed, NotAdmitted> {
        let limits = &self.inner.settings.limits;
        let _rights = self.inner.rights.read().await;
        if !self.holds(caller) {
            return Err(NotAdmitted::Changed);
        }
        let listed = self.inner.connections.register(who, limits.connections_per_member, limits.connections);
        listed.map_err(NotAdmitted::Full)
    }

    /// Whether the rights of `caller` are still those of its member.
    #[must_use]
    pub fn holds(&self, caller: &Caller) -> bool {
        if caller.rights == self.inner.rights_changes.load(Ordering::SeqCst) || caller.member.as_str() == LOCAL_MEMBER {
            return true;
        }
        match self.inner.store.read(|reader| reader.member(&caller.member)) {
            // What a JWT allows is said by itself.
            Ok(Some(member)) if member.issuer.is_some() => !member.revoked,
            Ok(Some(member)) => !member.revoked && member.role == caller.role && member.projects == caller.projects,
            _ => false,
        }
    }

    /// The error for who called by rights that no longer hold.
    pub(crate) fn check_holds(&self, caller: &Caller) -> Reply<()> {
        if self.holds(caller) {
            return Ok(());
        }
        Err(CallError::new(ErrorCode::Unauthorized, "your rights here have just changed").hint("connect again"))
    }

    /// Who a JWT says it is, unless the member was revoked here. The log knows of it from the first time on.
    pub(crate) async fn vouched(&self, jwt: Arc<Jwt>, token: &str) -> Result<Member, AuthError> {
        let (token, now, store, by) =
            (token.to_owned(), self.inner.clock.now(), self.inner.store.clone(), Arc::clone(&jwt));
        let looked = tokio::task::spawn_blocking(move || {
            let member = by.recognise(&token, now)?;
            let known = store.read(|reader| reader.member(&member.id)).map_err(|_| AuthError::Unavailable)?;
            Ok((member, known))
        });
        let (member, known) = looked.await.unwrap_or(Err(AuthError::Unavailable))?;
        if known.as_ref().is_some_and(|known| known.revoked) {
            return Err(AuthError::Wrong);
        }
        let lasting = Member { expires_at: None, ..member.clone() };
        if known.is_none() || (known.as_ref() != Some(&lasting) && jwt.is_news(&member.id, Instant::now())) {
            // Not while a revocation is being written: it would be undone.
            let _rights = self.inner.rights.read().await;
            let current = self.inner.store.read(|reader| reader.member(&member.id));
            match current {
                Ok(Some(current)) if current.revoked => return Err(AuthError::Wrong),
                Ok(_) => {}
                Err(_) => return Err(AuthError::Unavailable),
            }
            let actor = Actor::new(&member.name).unwrap_or_else(|_| Actor::host());
            let event = NewEvent::new(Room::Host, actor, EventData::MemberUpdated(lasting));
            self.inner.store.append(Batch::of(vec![event])).await.map_err(|_| AuthError::Unavailable)?;
        }
        Ok(member)
    }

    /// Waits until `at`, by the host's clock; for ever if there is no such time.
    pub async fn until(&self, at: Option<signalbox_model::UnixMillis>) {
        let Some(at) = at else { return std::future::pending().await };
        loop {
            let left = at.saturating_sub(self.inner.clock.now());
            if left <= 0 {
                return;
            }
            // In pieces: the clock may be set, and the machine may sleep.
            let piece = u64::try_from(left.min(30_000)).unwrap_or(1).max(1);
            tokio::time::sleep(std::time::Duration::from_millis(piece)).await;
        }
    }

    /// Does what makes a secret once for each key. The reply to a repeated call is the first one's while it is known, and
    /// an error after that.
    pub(crate) async fn once<T, F>(
        &self,
        caller: &Caller,
        key: Option<String>,
        make: impl FnOnce(Option<KeyClaim>) -> F,
    ) -> Reply<T>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
        F: Future<Output = Reply<T>>,
    {
        let Some(key) = key else { return make(None).await };
        let replies = &self.inner.secret_replies;
        let _turn = replies.turn.lock().await;
        let again = |reply: String| {
            serde_json::from_str(&reply).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
        };
        if let Some(reply) = replies.find(&caller.member, &key) {
            return again(reply);
        }
        if self.read(|reader| reader.reply_for_key(&caller.member, &key))?.is_some() {
            return Err(shown_once());
        }
        let claim =
            KeyClaim { member: caller.member.clone(), key: key.clone(), reply: Box::new(|_| SECRET.to_owned()) };
        let made = make(Some(claim)).await?;
        if let Ok(reply) = serde_json::to_string(&made) {
            replies.keep(caller.member.clone(), key, reply);
        }
        Ok(made)
    }

    pub(crate) async fn create_token(&self, caller: &Caller, params: TokenCreate) -> Reply<TokenCreated> {
        let key = caller.key.clone();
        self.once(caller, key, |claim| self.make_token(caller, params, claim)).await
    }

    /// Refuses a name that somebody else has, in whatever case, or that looks like theirs: a name is all that others see of a
    /// member. To be called with the lock of those who join held, so that two who want the same name do not both find it free.
    pub(crate) fn check_free(&self, name: &str, but: Option<&MemberId>) -> Reply<()> {
        let now = self.inner.clock.now();
        let alike =
            |member: &Member| member.is_active(now) && but != Some(&member.id) && names::alike(&member.name, name);
        if let Some(other) = self.read(|reader| reader.members())?.iter().find(|member| alike(member)) {
            let text = if other.name.to_lowercase() == name.to_lowercase() {
                format!("somebody here is called {name:?} already; nothing was done")
            } else {
                format!("{name:?} looks like the name of somebody who is here already; nothing was done")
            };
            return Err(CallError::conflict(text).hint("choose another name"));
        }
        Ok(())
    }

    async fn make_token(&self, caller: &Caller, params: TokenCreate, key: Option<KeyClaim>) -> Reply<TokenCreated> {
        names::check(&params.name)?;
        let _one = self.inner.joining.lock().await;
        self.check_free(&params.name, None)?;
        let expires_at = match params.ttl_ms {
            None => None,
            Some(0) => return Err(CallError::bad_request("ttl_ms must be at least 1")),
            Some(ttl) => Some(self.inner.clock.now().saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX))),
        };
        let member = Member {
            id: ids::member(),
            name: params.name,
            role: params.role,
            projects: grantable(self, caller, params.projects.unwrap_or_default())?,
            expires_at,
            invited_by: None,
            issuer: None,
            revoked: false,
        };
        let token = ids::token(32);
        let event = NewEvent::new(Room::Host, caller.actor.clone(), EventData::MemberUpdated(member.clone()));
        let tokens = vec![TokenChange::Add { hash: auth::hash(&token), member: member.id.clone() }];
        self.inner
            .store
            .append(Batch { events: vec![event], tokens, key, ..Batch::default() })
            .await
            .map_err(store_error)?;
        Ok(TokenCreated { token, member })
    }

    pub(crate) fn list_members(&self, caller: &Caller) -> Reply<Members> {
        let mut members = self.read(|reader| reader.members())?;
        if caller.role == Role::Owner {
            members.retain(|member| covers(&caller.projects, &member.projects));
        } else {
            let now = self.inner.clock.now();
            members.retain(|member| member.is_active(now));
            members = members.into_iter().filter_map(|member| as_seen_by(caller, member)).collect();
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Members { members })
    }

    /// A member that `caller` may change.
    fn managed(&self, caller: &Caller, id: &MemberId) -> Reply<Member> {
        let member = self.read(|reader| reader.member(id))?.filter(|member| covers(&caller.projects, &member.projects));
        member.ok_or_else(|| CallError::not_found("member", id))
    }

    pub(crate) fn close_connection(&self, caller: &Caller, params: &ConnectionRef) -> Reply<Nothing> {
        let unknown = || CallError::not_found("connection", params.connection);
        let found = self.inner.connections.get(params.connection).ok_or_else(unknown)?;
        if found.who.member != caller.member {
            self.managed(caller, &found.who.member).map_err(|_| unknown())?;
        }
        found.close(CloseCode::Kicked);
        Ok(Nothing {})
    }

    pub(crate) async fn revoke_member(&self, caller: &Caller, id: &MemberId) -> Reply<MemberReply> {
        if self.managed(caller, id)?.id.as_str() == LOCAL_MEMBER {
            return Err(CallError::conflict("the owner at this machine cannot be revoked: it is the last one"));
        }
        let _rights = self.inner.rights.write().await;
        let member = Member { revoked: true, ..self.managed(caller, id)? };
        let tokens = vec![TokenChange::Revoke { member: id.clone() }];
        self.change_rights(caller, member, tokens, CloseCode::Kicked).await
    }

    pub(crate) async fn update_member(&self, caller: &Caller, params: MemberUpdate) -> Reply<MemberReply> {
        if let Some(name) = &params.name {
            names::check(name)?;
        }
        let projects = params.projects.map(|projects| grantable(self, caller, projects)).transpose()?;
        let _one = self.inner.joining.lock().await;
        if let Some(name) = &params.name {
            self.check_free(name, Some(&params.member))?;
        }
        let _rights = self.inner.rights.write().await;
        let before = self.managed(caller, &params.member)?;
        if before.revoked {
            return Err(CallError::conflict("this member was revoked; nothing was changed")
                .hint("invite them again, or make a new token"));
        }
        let member = Member {
            name: params.name.unwrap_or_else(|| before.name.clone()),
            role: params.role.unwrap_or(before.role),
            projects: projects.unwrap_or_else(|| before.projects.clone()),
            ..before.clone()
        };
        let rights = (member.role, &member.projects) != (before.role, &before.projects);
        if rights && before.issuer.is_some() {
            return Err(CallError::conflict("what this member may do is said by its JWT; nothing was changed")
                .hint("change it where the token is made, or revoke the member"));
        }
        if rights && before.id.as_str() == LOCAL_MEMBER {
            return Err(CallError::conflict(
                "the owner at this machine stays an owner of everything: it is the last one",
            ));
        }
        if member == before {
            return Ok(MemberReply { member });
        }
        if rights {
            return self.change_rights(caller, member, Vec::new(), CloseCode::StateInvalidated).await;
        }
        // A new name: the connections come back with it. Not the one that asked, which waits for its answer.
        let reply = self.put_member(caller, member, Vec::new()).await?;
        let (id, itself) = (&reply.member.id, &caller.member);
        self.inner.connections.close(CloseCode::StateInvalidated, |c| c.who.member == *id && id != itself);
        Ok(reply)
    }

    async fn put_member(&self, caller: &Caller, member: Member, tokens: Vec<TokenChange>) -> Reply<MemberReply> {
        let event = NewEvent::new(Room::Host, caller.actor.clone(), EventData::MemberUpdated(member.clone()));
        self.inner
            .store
            .append(Batch { events: vec![event], tokens, ..Batch::default() })
            .await
            .map_err(store_error)?;
        Ok(MemberReply { member })
    }

    /// Commits new rights. To be called with the lock of the rights held.
    async fn change_rights(
        &self,
        caller: &Caller,
        member: Member,
        tokens: Vec<TokenChange>,
        code: CloseCode,
    ) -> Reply<MemberReply> {
        let id = member.id.clone();
        self.inner.connections.seal(|connection| connection.who.member == id);
        // Counted before and after: who was recognised earlier, or meanwhile by what was there before, is looked at again.
        self.inner.rights_changes.fetch_add(1, Ordering::SeqCst);
        let done = self.put_member(caller, member, tokens).await;
        // Also if it failed: what was sealed is of no use any more.
        let code = if done.is_ok() { code } else { CloseCode::StateInvalidated };
        self.inner.rights_changes.fetch_add(1, Ordering::SeqCst);
        self.inner.connections.close(code, |connection| connection.who.member == id);
        done
    }
}
