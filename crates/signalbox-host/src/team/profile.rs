//! What a member wants on every device.

use signalbox_model::{EventData, Profile};
use signalbox_store::Batch;
use signalbox_wire::{
    CallError, Caller,
    method::{ProfileReply, ProfileUpdate},
};

use crate::{Host, handlers::Reply, quiet, team::to_member};

/// The longest silence that can be asked for at once, in milliseconds: a year.
const LONGEST: i64 = 366 * 24 * 3_600_000;

impl Host {
    pub(crate) fn get_profile(&self, caller: &Caller) -> Reply<ProfileReply> {
        let known = self.read(|reader| reader.profile(&caller.member))?;
        Ok(self.profile_reply(known.unwrap_or_else(|| Profile::plain(caller.member.clone()))))
    }

    fn profile_reply(&self, profile: Profile) -> ProfileReply {
        let quiet_times = quiet::times(&profile, self.inner.clock.now());
        ProfileReply { profile, quiet_times }
    }

    pub(crate) async fn update_profile(&self, caller: &Caller, params: ProfileUpdate) -> Reply<ProfileReply> {
        let now = self.inner.clock.now();
        let refused = |why: String| CallError::bad_request(format!("{why}; nothing was changed"));
        let ProfileUpdate { mut quiet, muted_until, through } = params;
        if let Some(hours) = &mut quiet {
            quiet::check(hours).map_err(|error| refused(error.to_string()))?;
            hours.days.sort_unstable();
            hours.days.dedup();
        }
        if muted_until.is_some_and(|until| until > now + LONGEST) {
            return Err(refused("notifications are switched off for at most a year at once".into()));
        }
        let mut through = through.unwrap_or_default();
        through.sort_unstable();
        through.dedup();
        let muted_until = muted_until.filter(|until| *until > now);
        let profile = Profile { member: caller.member.clone(), quiet, muted_until, through };
        let _one_at_a_time = self.inner.team.writing.lock().await;
        let known = self.read(|reader| reader.profile(&caller.member))?;
        if known.as_ref() != Some(&profile) {
            let data = EventData::ProfileUpdated(profile.clone());
            let event = to_member(&caller.member, caller.actor.clone(), data);
            self.append_for_team(Batch::of(vec![event])).await?;
        }
        Ok(self.profile_reply(profile))
    }
}
