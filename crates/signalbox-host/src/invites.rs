//! Invitations: made by an owner, redeemed by whoever has the code.

use signalbox_model::{Actor, EventData, Invite, InviteId, InviteState, Member, NewEvent, Role, Room};
use signalbox_store::{Batch, StoreError, TokenChange};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{InviteCreate, InviteCreated, InviteRef, InviteReply, Invites},
};

use crate::{Host, auth, handlers::Reply, host::store_error, ids, members, names, sharing::Shared};

const DAY: u64 = 24 * 3600 * 1000;
/// How long an invitation is good if nobody says, and at most, in milliseconds.
const TTL: u64 = 7 * DAY;
const LONGEST: u64 = 90 * DAY;
/// How many may join with one at most.
const USES: u32 = 1_000;
/// Letters of a code, 5 bits each: 160 bits.
const CODE: usize = 32;

/// Who wants to join.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The invitation's code.
    pub code: String,
    /// What they are called.
    pub name: String,
    /// Which of their machines it is.
    pub device: Option<String>,
}

/// The links that carry a code to `base`. What follows `#` is never sent to a server.
fn link(base: &str, code: &str, fingerprint: Option<&str>) -> String {
    let pin = fingerprint.map(|fingerprint| format!(".{fingerprint}")).unwrap_or_default();
    format!("{base}/join#{code}{pin}")
}

fn links(code: &str, shared: Option<&Shared>, names: &[String]) -> Reply<(Vec<String>, String)> {
    let (bases, fingerprint) = match shared {
        Some(shared) => (shared.urls.clone(), Some(shared.fingerprint.as_str())),
        // Behind a proxy that speaks TLS for it: the names that it is known by.
        None => (names.iter().map(|name| format!("https://{name}")).collect(), None),
    };
    let Some(first) = bases.first() else {
        return Err(CallError::conflict(
            "this host is not shared, so nobody could follow an invitation; none was made",
        )
        .hint("share it first: share.start, or `signalbox share start`"));
    };
    let place = first.trim_start_matches("https://");
    let app = link(&format!("signalbox://join/{place}"), code, fingerprint).replacen("/join#", "#", 1);
    Ok((bases.iter().map(|base| link(base, code, fingerprint)).collect(), app))
}

fn qr(text: &str) -> String {
    // At most some hundred bytes: it always fits.
    qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M)
        .map(|code| code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build())
        .unwrap_or_default()
}

impl Host {
    pub(crate) async fn create_invite(&self, caller: &Caller, params: InviteCreate) -> Reply<InviteCreated> {
        let key = caller.key.clone();
        self.once(caller, key, |claim| self.make_invite(caller, params, claim)).await
    }

    async fn make_invite(
        &self,
        caller: &Caller,
        params: InviteCreate,
        key: Option<signalbox_store::KeyClaim>,
    ) -> Reply<InviteCreated> {
        let projects = members::grantable(self, caller, params.projects.unwrap_or_default())?;
        let ttl = params.ttl_ms.unwrap_or(TTL);
        if !(1..=LONGEST).contains(&ttl) {
            return Err(CallError::bad_request(format!("ttl_ms is {ttl}, it must be 1 to {LONGEST} (90 days)")));
        }
        let uses = params.uses.unwrap_or(1);
        if !(1..=USES).contains(&uses) {
            return Err(CallError::bad_request(format!("uses is {uses}, it must be 1 to {USES}")));
        }
        let name = params.name.filter(|name| !name.is_empty());
        if let Some(name) = &name {
            names::check(name)?;
        }
        let code = ids::token(CODE);
        let shared = self.inner.share.status();
        let (links, app_link) = links(&code, shared.as_ref(), &self.inner.settings.host.allowed_hosts)?;
        let now = self.inner.clock.now();
        let invite = Invite {
            id: InviteId::new(format!("i_{}", ids::token(16))).unwrap_or_else(|_| unreachable!("the alphabet fits")),
            role: params.role,
            projects,
            name,
            created_by: caller.member.clone(),
            created_at: now,
            expires_at: now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)),
            uses,
            joined: Vec::new(),
            revoked: false,
        };
        let tokens = vec![TokenChange::Invite { hash: auth::hash(&code), invite: Box::new(invite.clone()) }];
        self.inner.store.append(Batch { tokens, key, ..Batch::default() }).await.map_err(store_error)?;
        let link = links.first().cloned().unwrap_or_default();
        Ok(InviteCreated { invite, code, qr: qr(&link), link, links, app_link })
    }

    pub(crate) fn list_invites(&self, caller: &Caller) -> Reply<Invites> {
        let mut invites = self.read(|reader| reader.invites())?;
        invites.retain(|invite| members::covers(&caller.projects, &invite.projects));
        Ok(Invites { invites })
    }

    pub(crate) async fn revoke_invite(&self, caller: &Caller, params: InviteRef) -> Reply<InviteReply> {
        let find = || {
            let found = self.read(|reader| reader.invite(&params.invite))?;
            found
                .filter(|invite| members::covers(&caller.projects, &invite.projects))
                .ok_or_else(|| CallError::not_found("invitation", &params.invite))
        };
        find()?;
        let tokens = vec![TokenChange::RevokeInvite { id: params.invite.clone() }];
        self.inner.store.append(Batch { tokens, ..Batch::default() }).await.map_err(store_error)?;
        Ok(InviteReply { invite: find()? })
    }

    /// Makes a member of who has an invitation's code, and gives its token.
    ///
    /// # Errors
    /// `unauthorized` for a wrong code, `forbidden` for one that was used up, has expired or was taken back (`details.reason`
    /// tells which), `conflict` if the name is taken. The invitation is then not used.
    pub async fn join(&self, joining: &Joining) -> Result<(Member, String), CallError> {
        let hash = auth::hash(&joining.code);
        let wrong = || {
            CallError::new(ErrorCode::Unauthorized, "there is no such invitation")
                .hint("check that the link was copied whole, or ask for a new one")
        };
        let find = || self.read(|reader| reader.invite_by_hash(&hash));
        let invite = find()?.ok_or_else(wrong)?;
        self.check_open(&invite)?;
        let device = joining.device.as_deref().map(str::trim).filter(|device| !device.is_empty());
        let name = match device {
            Some(device) => format!("{} ({device})", joining.name.trim()),
            None => joining.name.trim().to_owned(),
        };
        names::check(&name)?;
        // One at a time: two who want the same name do not both find it free.
        let _one = self.inner.joining.lock().await;
        self.check_free(&name, None).map_err(|error| CallError {
            message: format!("somebody here is called {name:?} already; you have not joined yet"),
            hint: Some("choose another name; your invitation is not used up".into()),
            ..error
        })?;
        // Rights that change meanwhile wait until this is done, and then hold for whoever invited.
        let _rights = self.inner.rights.read().await;
        self.check_giver(&invite)?;
        let member = Member {
            id: ids::member(),
            name,
            role: invite.role,
            projects: invite.projects.clone(),
            expires_at: None,
            invited_by: Some(invite.created_by.clone()),
            issuer: None,
            revoked: false,
        };
        let actor = Actor::new(&member.name).unwrap_or_else(|_| Actor::host());
        let token = ids::token(32);
        let event = NewEvent::new(Room::Host, actor, EventData::MemberUpdated(member.clone()));
        let tokens = vec![
            TokenChange::Redeem { hash, member: member.id.clone() },
            TokenChange::Add { hash: auth::hash(&token), member: member.id.clone() },
        ];
        match self.inner.store.append(Batch { events: vec![event], tokens, ..Batch::default() }).await {
            Ok(_) => Ok((member, token)),
            // Somebody was faster, or it was taken back meanwhile.
            Err(StoreError::Refused { .. } | StoreError::NotFound(_)) => {
                self.check_open(&find()?.ok_or_else(wrong)?)?;
                Err(CallError::conflict("the invitation changed just now; try again"))
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// What somebody gives they must still have.
    fn check_giver(&self, invite: &Invite) -> Reply<()> {
        let giver = self.read(|reader| reader.member(&invite.created_by))?;
        let now = self.inner.clock.now();
        let may = |member: &Member| {
            member.is_active(now) && member.role == Role::Owner && members::covers(&member.projects, &invite.projects)
        };
        if giver.as_ref().is_some_and(may) {
            return Ok(());
        }
        Err(CallError::new(ErrorCode::Forbidden, "who made this invitation may not give that any more")
            .hint("ask an owner for a new one")
            .details(serde_json::json!({ "reason": "revoked" })))
    }

    fn check_open(&self, invite: &Invite) -> Reply<()> {
        let (reason, words) = match invite.state(self.inner.clock.now()) {
            InviteState::Open => return Ok(()),
            InviteState::UsedUp => ("used_up", "this invitation was used already"),
            InviteState::Expired => ("expired", "this invitation has expired"),
            InviteState::Revoked => ("revoked", "this invitation was taken back"),
        };
        Err(CallError::new(ErrorCode::Forbidden, words)
            .hint("ask who sent it for a new one")
            .details(serde_json::json!({ "reason": reason })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_code_and_pin_behind_the_fragment() {
        let shared = Shared {
            address: "0.0.0.0:7118".parse().unwrap(),
            urls: vec!["https://box.example:7118".into(), "https://[fd00::7]:7118".into()],
            fingerprint: "ab".repeat(32),
            own_certificate: false,
            certificate_expires_at: 0,
            since: 0,
        };
        let (list, app) = links("c0de", Some(&shared), &[]).unwrap();
        let pin = "ab".repeat(32);
        assert_eq!(list[0], format!("https://box.example:7118/join#c0de.{pin}"));
        assert_eq!(list[1], format!("https://[fd00::7]:7118/join#c0de.{pin}"));
        assert_eq!(app, format!("signalbox://join/box.example:7118#c0de.{pin}"));
        let (list, _) = links("c0de", None, &["box.example".into()]).unwrap();
        assert_eq!(list, ["https://box.example/join#c0de"]);
        assert_eq!(links("c0de", None, &[]).unwrap_err().code, ErrorCode::Conflict);
        assert!(qr(&list[0]).contains("<svg"));
    }
}
