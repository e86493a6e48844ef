//! The team's tables: chat, inboxes, read marks, webhooks, and how far readers of the log have come.

use rusqlite::{Connection, OptionalExtension, params};
use signalbox_model::{
    ChatId, ChatMessage, Cursor, Delivery, EventBody, EventData, MemberId, Notice, NoticeId, Profile, ProjectId,
    ReadMark, Room, RunId, StepKey, UnixMillis, Webhook, WebhookId,
};

use crate::{
    Reader, SideWrite, StoreError,
    kinds::{of_away, of_notify},
    projection::name_of,
};

/// Notices of a member that are kept.
const NOTICES: u32 = 1_000;
/// Deliveries of a webhook that are kept.
const DELIVERIES: u32 = 200;

pub(crate) fn apply(db: &Connection, seq: u64, event: &EventData, data: &str) -> Result<(), StoreError> {
    match event {
        EventData::ChatMessage(message) => {
            db.prepare_cached(
                "INSERT INTO chat(id, project, seq, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(id) DO UPDATE SET data = ?4",
            )?
            .execute(params![message.id.as_str(), message.project.as_str(), seq, data])?;
        }
        EventData::WebhookUpdated(hook) => {
            db.prepare_cached(
                "INSERT INTO webhooks(id, project, state, made, data) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT(id) DO UPDATE SET state = ?3, data = ?5",
            )?
            .execute(params![
                hook.id.as_str(),
                hook.project.as_str(),
                name_of(&hook.state)?,
                seq,
                data
            ])?;
        }
        EventData::Notice(notice) => {
            let question = notice.approval.as_ref().map(AsRef::as_ref);
            let subject: Option<&str> = question.or(notice.permission.as_ref().map(AsRef::as_ref));
            let subject = subject.or(notice.message.as_ref().map(AsRef::as_ref));
            db.prepare_cached(
                "INSERT OR IGNORE INTO notices(member, seq, id, subject, about, read, delivered, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                notice.member.as_str(),
                seq,
                notice.id.as_str(),
                subject,
                notice.cursor.seq,
                notice.read_at.is_some(),
                notice.delivered_at.is_some(),
                data
            ])?;
            db.prepare_cached(
                "DELETE FROM notices WHERE member = ?1 AND seq <=
                 (SELECT seq FROM notices WHERE member = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![notice.member.as_str(), NOTICES])?;
        }
        EventData::NoticesUpdated(update) => {
            for id in &update.ids {
                if let Some(at) = update.delivered_at {
                    db.prepare_cached(
                        "UPDATE notices SET delivered = 1, data = json_set(data, '$.delivered_at', ?2)
                         WHERE id = ?1 AND delivered = 0",
                    )?
                    .execute(params![id.as_str(), at])?;
                }
                if update.settled {
                    db.prepare_cached(
                        "UPDATE notices SET data = json_set(data, '$.settled', json('true')) WHERE id = ?1",
                    )?
                    .execute([id.as_str()])?;
                }
                if let Some(at) = update.read_at {
                    db.prepare_cached(
                        "UPDATE notices SET read = 1, data = json_set(data, '$.read_at', ?2) WHERE id = ?1 AND read = 0",
                    )?
                    .execute(params![id.as_str(), at])?;
                }
            }
        }
        EventData::MarkUpdated(mark) => {
            // Two devices may say so at once: the further one counts, in whatever order they were committed.
            db.prepare_cached(
                "INSERT INTO marks(member, project, seq, data) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT(member, project) DO UPDATE SET seq = ?3, data = ?4 WHERE ?3 > seq",
            )?
            .execute(params![mark.member.as_str(), mark.project.as_str(), mark.seq, data])?;
        }
        _ => {}
    }
    Ok(())
}

pub(crate) fn write(db: &Connection, write: &SideWrite) -> Result<(), StoreError> {
    match write {
        SideWrite::Cursor { name, seq } => {
            db.prepare_cached("INSERT OR REPLACE INTO cursors(name, seq) VALUES (?1, ?2)")?
                .execute(params![name, seq])?;
        }
        SideWrite::WebhookSecret { webhook, secret: Some(secret) } => {
            db.prepare_cached("INSERT OR REPLACE INTO webhook_secrets(id, secret) VALUES (?1, ?2)")?
                .execute(params![webhook.as_str(), secret])?;
        }
        SideWrite::WebhookSecret { webhook, secret: None } => {
            db.prepare_cached("DELETE FROM webhook_secrets WHERE id = ?1")?.execute([webhook.as_str()])?;
            db.prepare_cached("DELETE FROM deliveries WHERE webhook = ?1")?.execute([webhook.as_str()])?;
            db.prepare_cached("DELETE FROM cursors WHERE name = 'webhook/' || ?1")?.execute([webhook.as_str()])?;
        }
        SideWrite::Delivery { webhook, delivery } => {
            let data = serde_json::to_string(delivery)?;
            let known: Option<i64> = db
                .prepare_cached("SELECT number FROM deliveries WHERE webhook = ?1 AND json_extract(data, '$.id') = ?2")?
                .query_row(params![webhook.as_str(), delivery.id], |row| row.get(0))
                .optional()?;
            db.prepare_cached(
                "INSERT OR REPLACE INTO deliveries(webhook, number, data) VALUES (?1,
                 coalesce(?2, (SELECT coalesce(max(number), 0) + 1 FROM deliveries WHERE webhook = ?1)), ?3)",
            )?
            .execute(params![webhook.as_str(), known, data])?;
            db.prepare_cached(
                "DELETE FROM deliveries WHERE webhook = ?1 AND number <=
                 (SELECT number FROM deliveries WHERE webhook = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![webhook.as_str(), DELIVERIES])?;
        }
    }
    Ok(())
}

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its place.
    pub seq: u64,
    /// When it was committed.
    pub ts: UnixMillis,
    /// Where it belongs.
    pub room: Room,
    /// The project of its room.
    pub project: Option<ProjectId>,
    /// Who did it.
    pub actor: String,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The step it is about.
    pub step: Option<StepKey>,
    /// What it says.
    pub body: EventBody,
}

/// Types of events of which somebody may have to be told: those that [`Reader::events_to_notify`] gives.
pub const NOTIFY_TYPES: &[&str] = &[
    "chat_message",
    "approval_requested",
    "approval_resolved",
    "permission_requested",
    "permission_resolved",
    "webhook_updated",
];

pub(crate) const NOTIFY: &str = concat!(
    "SELECT e.seq, e.ts, r.name, r.project, e.actor, e.run, e.step, e.type, e.data FROM events e
     JOIN rooms r ON r.id = e.room WHERE ",
    of_notify!(),
    " AND e.seq > ?1 ORDER BY e.seq LIMIT ?2"
);
pub(crate) const AWAY: &str = concat!(
    "SELECT e.seq, e.ts, r.name, r.project, e.actor, e.run, e.step, e.type, e.data FROM events e
     JOIN rooms r ON r.id = e.room
     WHERE e.room = (SELECT id FROM rooms WHERE name = 'project/' || ?1) AND e.seq > ?2 AND ",
    of_away!(),
    " ORDER BY e.seq DESC LIMIT ?3"
);

fn malformed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Row(error.to_string())
}

// What is asked of tables that grow: `plans.rs` looks at how each is answered.
pub(crate) const UNDELIVERED: &str =
    "SELECT member, id FROM notices WHERE member = ?1 AND delivered = 0 ORDER BY seq LIMIT 500";
pub(crate) const UNREAD_UNTIL: &str =
    "SELECT member, id FROM notices WHERE member = ?1 AND read = 0 AND about <= ?2 ORDER BY seq LIMIT 500";
pub(crate) const UNREAD_OF: &str = "SELECT member, id FROM notices WHERE id = ?2 AND member = ?1 AND read = 0";
pub(crate) const KNOWS: &str = "SELECT EXISTS (SELECT 1 FROM notices WHERE id = ?1)";
pub(crate) const ABOUT: &str =
    "SELECT member, id FROM notices WHERE subject = ?1 AND read = 0 AND subject IS NOT NULL ORDER BY member, seq";
pub(crate) const MARKS: &str = "SELECT data FROM marks WHERE member = ?1 ORDER BY project";
pub(crate) const TIME_OF: &str = "SELECT ts FROM events WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1";
pub(crate) const DELIVERED: &str = "SELECT data FROM deliveries WHERE webhook = ?1 ORDER BY number DESC LIMIT ?2";

impl Reader<'_> {
    fn logged(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Logged>, StoreError> {
        let mut statement = self.db().prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (room, project): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            let (run, step): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
            let (kind, data): (String, String) = (row.get(7)?, row.get(8)?);
            found.push(Logged {
                seq: row.get(0)?,
                ts: row.get(1)?,
                room: room.parse().map_err(|error| malformed(&error))?,
                project: project.map(ProjectId::new).transpose().map_err(|error| malformed(&error))?,
                actor: row.get(4)?,
                run: run.map(RunId::new).transpose().map_err(|error| malformed(&error))?,
                step: step.map(StepKey::new).transpose().map_err(|error| malformed(&error))?,
                body: EventBody::parse(&kind, &data)?,
            });
        }
        Ok(found)
    }

    /// Events after `after` of which somebody may have to be told, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read; so for every method here.
    pub fn events_to_notify(&self, after: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        self.logged(NOTIFY, &[&after, &limit])
    }

    /// What happened in a project after `after` and matters to who was away, newest first.
    pub fn events_while_away(&self, project: &ProjectId, after: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        self.logged(AWAY, &[&project.as_str(), &after, &limit])
    }

    /// A message.
    pub fn chat_message(&self, id: &ChatId) -> Result<Option<ChatMessage>, StoreError> {
        self.one("SELECT data FROM chat WHERE id = ?1", id.as_str())
    }

    /// The newest messages of a project, or those before a message; oldest first.
    pub fn chat_page(
        &self,
        project: &ProjectId,
        before: Option<&ChatId>,
        limit: usize,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        let mut found: Vec<ChatMessage> = self.many(
            "SELECT data FROM chat WHERE project = ?1
             AND seq < coalesce((SELECT seq FROM chat WHERE id = ?2), 9007199254740991) ORDER BY seq DESC LIMIT ?3",
            &[&project.as_str(), &before.map(ChatId::as_str), &limit],
        )?;
        found.reverse();
        Ok(found)
    }

    /// Notices of a member, newest first: all, or those that were not read; those before another one, or from the newest on.
    pub fn notices(
        &self,
        member: &MemberId,
        unread: bool,
        before: Option<&NoticeId>,
        limit: usize,
    ) -> Result<Vec<Notice>, StoreError> {
        let sql = if unread {
            "SELECT data FROM notices WHERE member = ?1 AND read = 0
             AND seq < coalesce((SELECT seq FROM notices WHERE id = ?2), 9007199254740991) ORDER BY seq DESC LIMIT ?3"
        } else {
            "SELECT data FROM notices WHERE member = ?1
             AND seq < coalesce((SELECT seq FROM notices WHERE id = ?2), 9007199254740991) ORDER BY seq DESC LIMIT ?3"
        };
        self.many(sql, &[&member.as_str(), &before.map(NoticeId::as_str), &limit])
    }

    /// How many notices of a member were not read.
    pub fn unread_notices(&self, member: &MemberId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM notices WHERE member = ?1 AND read = 0";
        Ok(self.db().prepare_cached(sql)?.query_row([member.as_str()], |row| row.get(0))?)
    }

    fn notice_ids(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<(MemberId, NoticeId)>, StoreError> {
        let mut statement = self.db().prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (member, id): (String, String) = (row.get(0)?, row.get(1)?);
            found.push((
                MemberId::new(member).map_err(|error| malformed(&error))?,
                NoticeId::new(id).map_err(|error| malformed(&error))?,
            ));
        }
        Ok(found)
    }

    /// Notices of a member that no device had yet, oldest first, at most 500.
    pub fn undelivered_notices(&self, member: &MemberId) -> Result<Vec<NoticeId>, StoreError> {
        let sql = UNDELIVERED;
        Ok(self.notice_ids(sql, &[&member.as_str()])?.into_iter().map(|(_, id)| id).collect())
    }

    /// Notices of a member about events up to `upto` that were not read, oldest first, at most 500.
    pub fn unread_notices_until(&self, member: &MemberId, upto: u64) -> Result<Vec<NoticeId>, StoreError> {
        let sql = UNREAD_UNTIL;
        Ok(self.notice_ids(sql, &[&member.as_str(), &upto])?.into_iter().map(|(_, id)| id).collect())
    }

    /// Those of `ids` that are this member's and were not read.
    pub fn unread_of(&self, member: &MemberId, ids: &[NoticeId]) -> Result<Vec<NoticeId>, StoreError> {
        let sql = UNREAD_OF;
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.notice_ids(sql, &[&member.as_str(), &id.as_str()])?.into_iter().map(|(_, id)| id));
        }
        Ok(found)
    }

    /// Whether there is, or was, such a notice.
    pub fn knows_notice(&self, id: &NoticeId) -> Result<bool, StoreError> {
        let sql = KNOWS;
        Ok(self.db().prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0))?)
    }

    /// Notices about a question or a message that were not read, of whichever member.
    pub fn notices_about(&self, question: &str) -> Result<Vec<(MemberId, NoticeId)>, StoreError> {
        let sql = ABOUT;
        self.notice_ids(sql, &[&question])
    }

    /// How far a member has read, by project.
    pub fn marks(&self, member: &MemberId) -> Result<Vec<ReadMark>, StoreError> {
        self.many(MARKS, &[&member.as_str()])
    }

    /// What a member wants on every device; none: it has never said so.
    pub fn profile(&self, member: &MemberId) -> Result<Option<Profile>, StoreError> {
        let key = format!("profile/{member}");
        Ok(self.many("SELECT data FROM latest WHERE key = ?1", &[&key])?.into_iter().next())
    }

    /// When an event happened; of one that is no longer kept, the one before it.
    pub fn time_of(&self, seq: u64) -> Result<Option<UnixMillis>, StoreError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let sql = TIME_OF;
        Ok(self.db().prepare_cached(sql)?.query_row([seq], |row| row.get(0)).optional()?)
    }

    /// How far a member has read in a project.
    pub fn mark(&self, member: &MemberId, project: &ProjectId) -> Result<Option<ReadMark>, StoreError> {
        let sql = "SELECT data FROM marks WHERE member = ?1 AND project = ?2";
        Ok(self.many(sql, &[&member.as_str(), &project.as_str()])?.into_iter().next())
    }

    /// Webhooks that were not deleted, oldest first: of a project, or all.
    pub fn webhooks(&self, project: Option<&ProjectId>) -> Result<Vec<Webhook>, StoreError> {
        self.many(
            "SELECT data FROM webhooks WHERE state <> 'deleted' AND (?1 IS NULL OR project = ?1) ORDER BY made",
            &[&project.map(ProjectId::as_str)],
        )
    }

    /// A webhook.
    pub fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.one("SELECT data FROM webhooks WHERE id = ?1", id.as_str())
    }

    /// What a webhook's deliveries are signed with.
    pub fn webhook_secret(&self, id: &WebhookId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT secret FROM webhook_secrets WHERE id = ?1";
        Ok(self.db().prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// What became of a webhook's deliveries, newest first.
    pub fn deliveries(&self, id: &WebhookId, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let sql = DELIVERED;
        self.many(sql, &[&id.as_str(), &limit])
    }

    /// How far a reader of the log has come; none: it never began.
    pub fn cursor_of(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT seq FROM cursors WHERE name = ?1";
        Ok(self.db().prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
    }

    /// A place in this log.
    #[must_use]
    pub fn cursor_at(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch().clone(), seq }
    }
}
