//! Puts what is for somebody into their inbox: a reader of the log with a durable cursor, which moves in the same commit
//! as the notices. So each is made once, whatever happens to the process.

use sha2::{Digest, Sha256};
use signalbox_model::{
    Actor, Approval, ApprovalState, ChatMessage, EventBody, EventData, Member, MemberId, NewEvent, Notice, NoticeId,
    NoticeKind, NoticesUpdated, Permission, PermissionState, ProjectId, Role, UnixMillis, Webhook, WebhookState,
    team::one_line,
};
use signalbox_store::{Batch, Logged, NOTIFY_TYPES, Reader, SideWrite, StoreError};

use crate::{
    Host,
    team::{follow_log, may_see, to_member},
};

const NAME: &str = "notices";
/// Events looked at in one go.
const PAGE: usize = 64;

pub(super) async fn run(host: Host) {
    follow_log(&host, NAME, NOTIFY_TYPES, |from| step(&host, from)).await;
}

async fn step(host: &Host, from: u64) -> Result<(u64, bool), StoreError> {
    // Read before the events: what is committed meanwhile is looked at next time.
    let head = host.inner.store.head();
    let now = host.inner.clock.now();
    let (page, events) = host.inner.store.read(|reader| {
        let page = reader.events_to_notify(from, PAGE)?;
        let members = if page.is_empty() { Vec::new() } else { reader.members()? };
        let mut events = Vec::new();
        for event in &page {
            Telling { host, reader, members: &members, event, now }.tell(&mut events)?;
        }
        Ok((page, events))
    })?;
    let Some(last) = page.last().map(|event| event.seq) else { return Ok((from.max(head), false)) };
    let side = vec![SideWrite::Cursor { name: NAME.into(), seq: last }];
    host.inner.store.append(Batch { events, side, ..Batch::default() }).await?;
    Ok((last, page.len() == PAGE))
}

/// The same for the same member and cause, so that nothing is told twice.
fn id(member: &MemberId, kind: NoticeKind, cause: &str) -> NoticeId {
    use std::fmt::Write;
    let hash = Sha256::digest(format!("{member} {kind:?} {cause}").as_bytes());
    let mut text = String::from("n_");
    for byte in &hash[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    NoticeId::new(text).unwrap_or_else(|_| unreachable!("hexadecimal digits are an id"))
}

struct Telling<'a> {
    host: &'a Host,
    reader: &'a Reader<'a>,
    members: &'a [Member],
    event: &'a Logged,
    now: UnixMillis,
}

impl Telling<'_> {
    fn tell(&self, out: &mut Vec<NewEvent>) -> Result<(), StoreError> {
        let EventBody::Known(data) = &self.event.body else { return Ok(()) };
        match data {
            EventData::ChatMessage(message) if message.deleted => self.settle(message.id.as_str(), |_, _| true, out),
            EventData::ChatMessage(message) => {
                self.chat(message, out)?;
                // Whom it no longer mentions it has nothing to tell any more.
                let gone = |member: &MemberId, notice: &NoticeId| {
                    !message.mentions.contains(member)
                        && *notice == id(member, NoticeKind::Mention, message.id.as_str())
                };
                if message.edited_at.is_some() { self.settle(message.id.as_str(), gone, out) } else { Ok(()) }
            }
            EventData::ApprovalRequested(approval) if approval.state == ApprovalState::Open => {
                self.approval(approval, out)
            }
            EventData::ApprovalResolved(approval) if approval.state != ApprovalState::Open => {
                self.settle(approval.id.as_str(), |_, _| true, out)
            }
            EventData::PermissionRequested(permission) if permission.state == PermissionState::Open => {
                self.permission(permission, out)
            }
            EventData::PermissionResolved(permission) if permission.state != PermissionState::Open => {
                self.settle(permission.id.as_str(), |_, _| true, out)
            }
            EventData::WebhookUpdated(hook) if hook.state == WebhookState::Disabled => self.webhook(hook, out),
            _ => Ok(()),
        }
    }

    fn actor(&self) -> Actor {
        Actor::new(&self.event.actor).unwrap_or_else(|_| Actor::host())
    }

    fn audience(&self, project: &ProjectId) -> impl Iterator<Item = &Member> {
        let project = project.clone();
        self.members.iter().filter(move |member| member.is_active(self.now) && may_see(member, &project))
    }

    fn notice(
        &self,
        member: &Member,
        project: &ProjectId,
        (kind, cause): (NoticeKind, &str),
        text: &str,
        out: &mut Vec<NewEvent>,
        fill: impl FnOnce(&mut Notice),
    ) -> Result<(), StoreError> {
        let id = id(&member.id, kind, cause);
        let made =
            |event: &NewEvent| matches!(&event.body, EventBody::Known(EventData::Notice(other)) if other.id == id);
        if self.reader.knows_notice(&id)? || out.iter().any(made) {
            return Ok(());
        }
        let mut notice = Notice {
            id,
            member: member.id.clone(),
            kind,
            project: project.clone(),
            actor: self.actor(),
            text: one_line(text),
            cursor: self.reader.cursor_at(self.event.seq),
            at: self.event.ts,
            run: None,
            step: None,
            approval: None,
            permission: None,
            message: None,
            delivered_at: self.host.is_connected(&member.id).then_some(self.now),
            read_at: None,
            settled: false,
        };
        fill(&mut notice);
        out.push(to_member(&member.id, self.actor(), EventData::Notice(notice)));
        Ok(())
    }

    fn chat(&self, message: &ChatMessage, out: &mut Vec<NewEvent>) -> Result<(), StoreError> {
        // Only what still stands: a message may have been changed or taken back before this was read.
        let Some(now) = self.reader.chat_message(&message.id)?.filter(|now| !now.deleted) else { return Ok(()) };
        let answered = match &message.reply_to {
            Some(reply_to) => self.reader.chat_message(reply_to)?.map(|answered| answered.author),
            None => None,
        };
        for member in self.audience(&message.project).filter(|member| member.id != message.author) {
            let kind = if now.mentions.contains(&member.id) && message.mentions.contains(&member.id) {
                NoticeKind::Mention
            } else if answered.as_ref() == Some(&member.id) {
                NoticeKind::Reply
            } else {
                continue;
            };
            self.notice(member, &message.project, (kind, message.id.as_str()), &now.text, out, |notice| {
                notice.message = Some(message.id.clone());
                notice.run = message.links.first().map(|link| link.run.clone());
                notice.step = message.links.first().and_then(|link| link.step.clone());
            })?;
        }
        Ok(())
    }

    fn approval(&self, approval: &Approval, out: &mut Vec<NewEvent>) -> Result<(), StoreError> {
        // Settled meanwhile: nobody has to be told any more.
        if self.reader.approval(&approval.id)?.is_none_or(|now| now.state != ApprovalState::Open) {
            return Ok(());
        }
        let run = self.reader.run(&approval.run)?;
        let started = |member: &Member| {
            run.as_ref().is_some_and(|run| match &run.started_by {
                Some(starter) => *starter == member.id,
                None => run.actor.as_str() == member.name,
            })
        };
        for member in self.audience(&approval.project) {
            let of_role = if approval.roles.is_empty() {
                member.role >= Role::Operator
            } else {
                approval.roles.contains(&member.role)
            };
            // Answering takes an operator, whatever the question says.
            if !of_role || member.role < Role::Operator || (started(member) && !approval.self_approval) {
                continue;
            }
            let text = format!("{} #{} asks: {}", approval.workflow, approval.run_number, approval.question);
            let (kind, cause) = (NoticeKind::Approval, approval.id.as_str());
            self.notice(member, &approval.project, (kind, cause), &text, out, |notice| {
                notice.approval = Some(approval.id.clone());
                notice.run = Some(approval.run.clone());
                notice.step = Some(approval.step.clone());
            })?;
        }
        Ok(())
    }

    fn permission(&self, permission: &Permission, out: &mut Vec<NewEvent>) -> Result<(), StoreError> {
        if self.reader.permission(&permission.id)?.is_none_or(|now| now.state != PermissionState::Open) {
            return Ok(());
        }
        for member in self.audience(&permission.project).filter(|member| member.role >= Role::Operator) {
            let text = format!("{} #{} asks: {}", permission.workflow, permission.run_number, permission.title);
            let (kind, cause) = (NoticeKind::Permission, permission.id.as_str());
            self.notice(member, &permission.project, (kind, cause), &text, out, |notice| {
                notice.permission = Some(permission.id.clone());
                notice.run = Some(permission.run.clone());
                notice.step = Some(permission.step.clone());
            })?;
        }
        Ok(())
    }

    fn webhook(&self, hook: &Webhook, out: &mut Vec<NewEvent>) -> Result<(), StoreError> {
        let why = hook.reason.as_deref().unwrap_or("its receiver failed");
        let text = format!("the webhook {} was switched off: {why}", hook.url);
        let cause = format!("{} {}", hook.id, self.event.seq);
        for member in self.audience(&hook.project).filter(|member| member.role >= Role::Owner) {
            self.notice(member, &hook.project, (NoticeKind::Webhook, &cause), &text, out, |_| {})?;
        }
        Ok(())
    }

    /// The question got its answer, or the message is gone: it is no longer news to anybody.
    fn settle(
        &self,
        subject: &str,
        which: impl Fn(&MemberId, &NoticeId) -> bool,
        out: &mut Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let mut of: Vec<(MemberId, Vec<NoticeId>)> = Vec::new();
        let stored = self.reader.notices_about(subject)?;
        let fresh = out.iter().filter_map(|event| match &event.body {
            EventBody::Known(EventData::Notice(notice)) => {
                let question = notice.approval.as_ref().map(AsRef::<str>::as_ref);
                let about = question.or(notice.permission.as_ref().map(AsRef::as_ref));
                let about = about.or(notice.message.as_ref().map(AsRef::as_ref));
                (about == Some(subject)).then(|| (notice.member.clone(), notice.id.clone()))
            }
            _ => None,
        });
        let all = stored.into_iter().chain(fresh.collect::<Vec<_>>());
        for (member, id) in all.filter(|(member, id)| which(member, id)) {
            match of.iter_mut().find(|(known, _)| *known == member) {
                Some((_, ids)) => ids.push(id),
                None => of.push((member, vec![id])),
            }
        }
        for (member, ids) in of {
            let now = Some(self.event.ts);
            let update = NoticesUpdated { ids, delivered_at: None, read_at: now, settled: true };
            out.push(to_member(&member, self.actor(), EventData::NoticesUpdated(update)));
        }
        Ok(())
    }
}
