//! Each member's inbox and read marks.

use signalbox_model::{Cursor, EventData, MemberId, NoticesUpdated, ReadMark};
use signalbox_store::{Batch, StoreError};
use signalbox_wire::{
    CallError, Caller,
    method::{MarkReply, MarkSet, NoticeList, NoticeRead, Notices, NoticesLeft},
};

use crate::{
    Host,
    handlers::{Reply, bounded},
    team::to_member,
};

/// Notices of one call, and of one event.
const IDS: usize = 500;

/// Marks what waited for a member as delivered.
pub(super) async fn deliver(host: &Host, member: &MemberId) -> Result<(), StoreError> {
    loop {
        let ids = host.inner.store.read(|reader| reader.undelivered_notices(member))?;
        if ids.is_empty() {
            return Ok(());
        }
        let delivered_at = Some(host.inner.clock.now());
        let update = NoticesUpdated { ids, delivered_at, read_at: None, settled: false };
        let event = to_member(member, signalbox_model::Actor::host(), EventData::NoticesUpdated(update));
        host.inner.store.append(Batch::of(vec![event])).await?;
    }
}

impl Host {
    /// The place of a cursor of this log that is not ahead of it.
    fn own_place(&self, cursor: &Cursor) -> Reply<u64> {
        if cursor.epoch != *self.inner.store.epoch() {
            return Err(CallError::conflict("this cursor is of another log; nothing was changed")
                .hint("take the snapshot, and use a cursor of what is there now"));
        }
        if cursor.seq > self.inner.store.head() {
            return Err(CallError::bad_request("this cursor is ahead of the log; nothing was changed"));
        }
        Ok(cursor.seq)
    }

    pub(crate) async fn set_mark(&self, caller: &Caller, params: MarkSet) -> Reply<MarkReply> {
        self.project(caller, &params.project)?;
        let seq = self.own_place(&params.cursor)?;
        let _one_at_a_time = self.inner.team.writing.lock().await;
        let known = self.read(|reader| reader.mark(&caller.member, &params.project))?;
        if let Some(mark) = known.filter(|mark| mark.seq >= seq) {
            return Ok(MarkReply { mark });
        }
        let at = self.read(|reader| reader.time_of(seq))?.unwrap_or_default();
        let mark = ReadMark { member: caller.member.clone(), project: params.project, seq, at };
        let event = to_member(&caller.member, caller.actor.clone(), EventData::MarkUpdated(mark.clone()));
        self.append_for_team(Batch::of(vec![event])).await?;
        Ok(MarkReply { mark })
    }

    pub(crate) fn list_notices(&self, caller: &Caller, params: &NoticeList) -> Reply<Notices> {
        let limit = bounded(params.limit, 50, 200)?;
        let unread = params.unread.unwrap_or(false);
        self.read(|reader| {
            let mut notices = reader.notices(&caller.member, unread, params.before.as_ref(), limit + 1)?;
            let more = notices.len() > limit;
            notices.truncate(limit);
            Ok(Notices { notices, unread: reader.unread_notices(&caller.member)?, more })
        })
    }

    pub(crate) async fn read_notices(&self, caller: &Caller, params: NoticeRead) -> Reply<NoticesLeft> {
        let until = match (&params.ids, &params.all_until) {
            (Some(ids), None) if ids.len() <= IDS => None,
            (Some(_), None) => return Err(CallError::bad_request(format!("at most {IDS} ids; nothing was changed"))),
            (None, Some(cursor)) => Some(self.own_place(cursor)?),
            _ => return Err(CallError::bad_request("give either ids or all_until")),
        };
        loop {
            let ids = self.read(|reader| match until {
                Some(until) => reader.unread_notices_until(&caller.member, until),
                None => reader.unread_of(&caller.member, params.ids.as_deref().unwrap_or_default()),
            })?;
            if ids.is_empty() {
                break;
            }
            let now = Some(self.inner.clock.now());
            // What was read was delivered, whether or not the device that shows it listens.
            let update = NoticesUpdated { ids, delivered_at: now, read_at: now, settled: false };
            let event = to_member(&caller.member, caller.actor.clone(), EventData::NoticesUpdated(update));
            self.append_for_team(Batch::of(vec![event])).await?;
        }
        Ok(NoticesLeft { unread: self.read(|reader| reader.unread_notices(&caller.member))? })
    }
}
