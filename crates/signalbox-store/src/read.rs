//! Reading: replay for any cursor, and the derived state, all within one read transaction.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::ControlFlow,
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde::de::DeserializeOwned;
use signalbox_model::{
    Approval, ApprovalId, Cursor, Epoch, HealthCheck, Member, MemberId, Project, ProjectId, QueueState, Room,
    RoomFilter, Run, RunId, RunStatus, Step, SystemStatus,
};

use crate::{Frame, RoomInfo, StoreError, blob::Blobs, frame::Parts, schema};

/// Everything as of one moment. Lives inside [`crate::Store::read`].
pub struct Reader<'a> {
    db: &'a Connection,
    epoch: &'a Epoch,
    blobs: &'a Blobs,
}

/// Whether a cursor can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Yes: this many events were missed.
    Yes {
        /// Events of these rooms after the cursor.
        missed: u64,
    },
    /// Another log.
    EpochChanged,
    /// Retention deleted some of what was missed.
    TooOld,
    /// More was missed than the limit.
    TooFarBehind,
    /// The cursor is ahead of the log.
    Future,
}

impl Resume {
    /// The `reason` of a `reset`; none for [`Resume::Yes`].
    #[must_use]
    pub fn reset_reason(self) -> Option<&'static str> {
        match self {
            Self::Yes { .. } => None,
            Self::EpochChanged => Some("epoch_changed"),
            Self::TooOld => Some("too_old"),
            Self::TooFarBehind => Some("too_far_behind"),
            Self::Future => Some("future"),
        }
    }
}

/// Some events in order.
#[derive(Debug)]
pub struct Page {
    /// The events.
    pub frames: Vec<Arc<Frame>>,
    /// Go on after this: the last event's place, or the end of what was looked at.
    pub upto: u64,
    /// Whether there are more up to the requested end.
    pub more: bool,
}

/// What must be found by an index however long the log is; `plans` holds them to it.
pub(crate) const ROOM_HEAD: &str = "SELECT head FROM room_heads WHERE name = ?1";
pub(crate) const ROOM: &str = "SELECT id, name, project, floor FROM rooms WHERE name = ?1 AND head > ?2";
pub(crate) const ROOMS_OF_PROJECT: &str = "SELECT id, name, project, floor FROM rooms WHERE project = ?1 AND head > ?2";
/// A room of the feed is `activity`, or begins with `activity/`; `0` is the sign after the slash.
pub(crate) const ROOMS_OF_FEED: &str = "SELECT id, name, project, floor FROM rooms
     WHERE (name = ?1 OR name > 'activity/' AND name < 'activity0') AND head > ?2";
pub(crate) const FEED_HEAD: &str = "SELECT coalesce(max(head), 0) FROM room_heads
     WHERE name = 'activity' OR name > 'activity/' AND name < 'activity0'";
pub(crate) const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM events WHERE room = ?1 AND seq > ?2 LIMIT ?3)";
pub(crate) const NEXT_OF_ANY: &str = "SELECT seq, prev, ts, type, actor, run, step, data, room FROM events
     WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";
pub(crate) const NEXT_OF_ROOM: &str = "SELECT seq, prev, ts, type, actor, run, step, data FROM events
     WHERE room = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
pub(crate) const LATEST_OF_ROOM: &str =
    "SELECT seq, prev, ts, type, actor, run, step, data FROM events WHERE room = ?1 ORDER BY seq DESC LIMIT ?2";
pub(crate) const ACTIVE_RUNS: &str = "SELECT data FROM runs WHERE project = ?1 AND status <> 'done' ORDER BY number";
pub(crate) const RUNS: &str =
    "SELECT data FROM runs WHERE project = ?1 AND number < ?2 AND ?3 IS NULL ORDER BY number DESC LIMIT ?4";
pub(crate) const RUNS_OF_STATUS: &str =
    "SELECT data FROM runs WHERE project = ?1 AND number < ?2 AND status = ?3 ORDER BY number DESC LIMIT ?4";
pub(crate) const STEPS: &str = "SELECT data FROM steps WHERE run = ?1 ORDER BY idx";
pub(crate) const OPEN_APPROVALS: &str = "SELECT data FROM approvals WHERE state = 'open' ORDER BY opened";
pub(crate) const ALL_APPROVALS: &str = "SELECT data FROM approvals ORDER BY opened DESC LIMIT ?1";

pub(crate) const COUNT_ROOMS: &str = "SELECT count(*) FROM rooms WHERE project = ?1 AND head > ?2";

/// So many rows of the log are read in the time that it takes to look into one room.
const ROWS_A_ROOM: usize = 10;

struct RoomRow {
    info: Arc<RoomInfo>,
    floor: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(db: &'a Connection, epoch: &'a Epoch, blobs: &'a Blobs) -> Self {
        Self { db, epoch, blobs }
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.db
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        self.blobs
    }

    /// The newest event of this moment.
    ///
    /// # Errors
    /// If the database cannot be read; so for every method here.
    pub fn head(&self) -> Result<u64, StoreError> {
        schema::head(self.db)
    }

    /// The place of this moment.
    pub fn cursor(&self) -> Result<Cursor, StoreError> {
        Ok(Cursor { epoch: self.epoch.clone(), seq: self.head()? })
    }

    /// The oldest event kept; 0 for none.
    pub fn oldest(&self) -> Result<u64, StoreError> {
        let oldest: Option<u64> = self.db.query_row("SELECT min(seq) FROM events", [], |row| row.get(0))?;
        Ok(oldest.unwrap_or(0))
    }

    /// The version of the schema.
    pub fn schema(&self) -> Result<u32, StoreError> {
        Ok(self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
    }

    /// The newest event of the rooms of `filter`; 0 for none.
    pub fn room_head(&self, filter: &RoomFilter) -> Result<u64, StoreError> {
        let of = |name: String| -> Result<u64, StoreError> {
            let head: Option<u64> =
                self.db.prepare_cached(ROOM_HEAD)?.query_row([name], |row| row.get(0)).optional()?;
            Ok(head.unwrap_or(0))
        };
        match filter {
            RoomFilter::One(room) => of(room.to_string()),
            RoomFilter::ProjectTree(project) => of(Room::Project(project.clone()).to_string()),
            RoomFilter::Activity(None) => Ok(self.db.prepare_cached(FEED_HEAD)?.query_row([], |row| row.get(0))?),
            RoomFilter::Activity(Some(projects)) => {
                projects.iter().try_fold(0, |head, project| Ok(of(Room::Feed(project.clone()).to_string())?.max(head)))
            }
        }
    }

    fn room_row(&self, row: &rusqlite::Row<'_>) -> Result<RoomRow, StoreError> {
        let malformed = |error: &dyn std::fmt::Display| StoreError::Row(error.to_string());
        let name: String = row.get(1)?;
        let project: Option<String> = row.get(2)?;
        let info = RoomInfo {
            id: row.get(0)?,
            room: name.parse().map_err(|e| malformed(&e))?,
            project: project.map(|p| ProjectId::new(p).map_err(|e| malformed(&e))).transpose()?,
        };
        Ok(RoomRow { info: Arc::new(info), floor: row.get(3)? })
    }

    /// Rooms of `filters` that may have events after `after`, each once: those that do, and live ones. Until `each` says
    /// that it has seen enough.
    fn rooms<B>(
        &self,
        filters: &[RoomFilter],
        after: u64,
        mut each: impl FnMut(RoomRow) -> Result<ControlFlow<B>, StoreError>,
    ) -> Result<ControlFlow<B>, StoreError> {
        let mut seen = HashSet::new();
        let mut wanted = Vec::with_capacity(filters.len());
        for filter in filters {
            match filter {
                RoomFilter::One(room) => wanted.push((ROOM, room.to_string())),
                RoomFilter::ProjectTree(project) => wanted.push((ROOMS_OF_PROJECT, project.to_string())),
                RoomFilter::Activity(None) => wanted.push((ROOMS_OF_FEED, Room::Activity.to_string())),
                RoomFilter::Activity(Some(projects)) => {
                    wanted.extend(projects.iter().map(|project| (ROOM, Room::Feed(project.clone()).to_string())));
                }
            }
        }
        for (sql, name) in &wanted {
            let mut statement = self.db.prepare_cached(sql)?;
            let mut rows = statement.query(params![name, after])?;
            while let Some(row) = rows.next()? {
                let room = self.room_row(row)?;
                if (wanted.len() == 1 || seen.insert(room.info.id))
                    && let ControlFlow::Break(end) = each(room)?
                {
                    return Ok(ControlFlow::Break(end));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether what `filters` cover can be replayed from `cursor`, with at most `limit` events.
    pub fn resume(&self, filters: &[RoomFilter], cursor: &Cursor, limit: u64) -> Result<Resume, StoreError> {
        if cursor.epoch != *self.epoch {
            return Ok(Resume::EpochChanged);
        }
        if cursor.seq > self.head()? {
            return Ok(Resume::Future);
        }
        let mut missed = 0u64;
        let end = self.rooms(filters, cursor.seq, |room| {
            if cursor.seq < room.floor {
                return Ok(ControlFlow::Break(Resume::TooOld));
            }
            let count: u64 = self
                .db
                .prepare_cached(COUNT)?
                .query_row(params![room.info.id, cursor.seq, limit + 1], |row| row.get(0))?;
            missed += count;
            let too_far = missed > limit;
            Ok(if too_far { ControlFlow::Break(Resume::TooFarBehind) } else { ControlFlow::Continue(()) })
        })?;
        Ok(end.break_value().unwrap_or(Resume::Yes { missed }))
    }

    /// Whether retention has deleted nothing of what `filters` cover after `seq`.
    pub fn is_whole(&self, filters: &[RoomFilter], seq: u64) -> Result<bool, StoreError> {
        let end = self.rooms(filters, seq, |room| {
            Ok(if seq < room.floor { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(end.is_continue())
    }

    /// Events of `filters` with `after < seq <= upto`, oldest first, at most `limit`.
    pub fn events(&self, filters: &[RoomFilter], after: u64, upto: u64, limit: usize) -> Result<Page, StoreError> {
        let mut frames = Vec::new();
        let mut reached = after;
        if filters.iter().any(|filter| matches!(filter, RoomFilter::ProjectTree(_))) {
            reached = self.next_of_any(filters, after, upto, limit, &mut frames)?;
        }
        if frames.len() <= limit && reached < upto {
            self.next_of_each(filters, reached, upto, limit + 1 - frames.len(), &mut frames)?;
        }
        let more = frames.len() > limit;
        frames.truncate(limit);
        let upto = if more { frames.last().map_or(after, |frame| frame.seq) } else { upto.max(after) };
        Ok(Page { frames, upto, more })
    }

    /// A project has thousands of rooms, and most events near each other are of a few projects: reads the log itself and
    /// leaves out what is not covered, for as long as that is less than to look into each room. Up to `limit + 1` events;
    /// returns how far it came.
    fn next_of_any(
        &self,
        filters: &[RoomFilter],
        after: u64,
        upto: u64,
        limit: usize,
        frames: &mut Vec<Arc<Frame>>,
    ) -> Result<u64, StoreError> {
        let covered = |room: &RoomInfo| filters.iter().any(|filter| filter.covers(&room.room, room.project.as_ref()));
        let mut rooms: HashMap<i64, Option<Arc<RoomInfo>>> = HashMap::new();
        let mut statement = self.db.prepare_cached(NEXT_OF_ANY)?;
        let mut rows = statement.query(params![after, upto])?;
        let (mut reached, mut left, mut rooms_counted) = (after, 4 * (limit + 1), false);
        while let Some(row) = rows.next()? {
            if left == 0 && !rooms_counted {
                left = ROWS_A_ROOM * self.count_rooms(filters, reached)?;
                rooms_counted = true;
            }
            if left == 0 {
                return Ok(reached);
            }
            left -= 1;
            let id = row.get(8)?;
            let room = match rooms.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Some(self.room_by_id(id)?).filter(|room| covered(room))),
            };
            reached = row.get(0)?;
            if let Some(room) = room {
                frames.push(self.frame(row, room)?);
                if frames.len() > limit {
                    return Ok(reached);
                }
            }
        }
        Ok(upto)
    }

    /// Rooms of the projects among `filters` that may have events after `after`.
    fn count_rooms(&self, filters: &[RoomFilter], after: u64) -> Result<usize, StoreError> {
        let mut count = 0;
        for filter in filters {
            if let RoomFilter::ProjectTree(project) = filter {
                let rooms: usize = self
                    .db
                    .prepare_cached(COUNT_ROOMS)?
                    .query_row(params![project.as_str(), after], |row| row.get(0))?;
                count += rooms;
            }
        }
        Ok(count)
    }

    pub(crate) fn room_by_id(&self, id: i64) -> Result<Arc<RoomInfo>, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT id, name, project, floor FROM rooms WHERE id = ?1")?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| StoreError::Row(format!("there is no room {id}")))?;
        Ok(self.room_row(row)?.info)
    }

    /// The next `wanted` events of the rooms, from the index of each.
    fn next_of_each(
        &self,
        filters: &[RoomFilter],
        after: u64,
        mut upto: u64,
        wanted: usize,
        frames: &mut Vec<Arc<Frame>>,
    ) -> Result<(), StoreError> {
        let start = frames.len();
        let mut several = 0;
        let _: ControlFlow<()> = self.rooms(filters, after, |room| {
            several += 1;
            let mut statement = self.db.prepare_cached(NEXT_OF_ROOM)?;
            let mut rows = statement.query(params![room.info.id, after, upto, wanted])?;
            while let Some(row) = rows.next()? {
                frames.push(self.frame(row, &room.info)?);
            }
            // Of the rooms that follow only what is older than the newest event wanted so far.
            if several > 1 && frames.len() - start >= 2 * wanted {
                frames[start..].sort_unstable_by_key(|frame| frame.seq);
                frames.truncate(start + wanted);
                upto = frames.last().map_or(upto, |frame| frame.seq);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if several > 1 {
            frames[start..].sort_unstable_by_key(|frame| frame.seq);
            frames.truncate(start + wanted);
        }
        Ok(())
    }

    /// The newest `limit` events of what `filter` covers, oldest first.
    pub fn latest(&self, filter: &RoomFilter, limit: usize) -> Result<Vec<Arc<Frame>>, StoreError> {
        let mut frames = Vec::new();
        let _: ControlFlow<()> = self.rooms(std::slice::from_ref(filter), 0, |room| {
            let mut statement = self.db.prepare_cached(LATEST_OF_ROOM)?;
            let mut rows = statement.query(params![room.info.id, limit])?;
            while let Some(row) = rows.next()? {
                frames.push(self.frame(row, &room.info)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        frames.sort_unstable_by_key(|frame| frame.seq);
        frames.drain(..frames.len().saturating_sub(limit));
        Ok(frames)
    }

    /// Events of a room by a statement that finds the newest first; its first value is the room. Returned in order.
    pub(crate) fn newest_of_room(
        &self,
        room: &Room,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Arc<Frame>>, StoreError> {
        let found = self.rooms(&[RoomFilter::One(room.clone())], 0, |room| Ok(ControlFlow::Break(room)))?;
        let Some(room) = found.break_value() else { return Ok(Vec::new()) };
        let mut statement = self.db.prepare_cached(sql)?;
        let id: [&dyn rusqlite::ToSql; 1] = [&room.info.id];
        let mut rows = statement.query(params_from_iter(id.iter().chain(values)))?;
        let mut frames = Vec::new();
        while let Some(row) = rows.next()? {
            frames.push(self.frame(row, &room.info)?);
        }
        frames.reverse();
        Ok(frames)
    }

    /// Events by number, in the order given; those that are not kept, or not visible to `sees`, are left out.
    pub fn events_by_seq(&self, seqs: &[u64], sees: impl Fn(&RoomInfo) -> bool) -> Result<Vec<Arc<Frame>>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT e.seq, e.prev, e.ts, e.type, e.actor, e.run, e.step, e.data, r.id, r.name, r.project
             FROM events e LEFT JOIN rooms r ON r.id = e.room WHERE e.seq = ?1",
        )?;
        let mut frames = Vec::new();
        for seq in seqs {
            let mut rows = statement.query([seq])?;
            let Some(row) = rows.next()? else { continue };
            let malformed = |error: &dyn std::fmt::Display| StoreError::Row(error.to_string());
            // A row without a room was not written to its end.
            let name: Option<String> = row.get(9)?;
            let name = name.ok_or_else(|| StoreError::Damaged(format!("event {seq} is not whole")))?;
            let project: Option<String> = row.get(10)?;
            let info = RoomInfo {
                id: row.get(8)?,
                room: name.parse().map_err(|e| malformed(&e))?,
                project: project.map(|p| ProjectId::new(p).map_err(|e| malformed(&e))).transpose()?,
            };
            if sees(&info) {
                frames.push(self.frame(row, &Arc::new(info))?);
            }
        }
        Ok(frames)
    }

    pub(crate) fn frame(&self, row: &rusqlite::Row<'_>, room: &Arc<RoomInfo>) -> Result<Arc<Frame>, StoreError> {
        let text = |index: usize| -> Result<&str, StoreError> {
            row.get_ref(index)?.as_str().map_err(|error| StoreError::Row(error.to_string()))
        };
        let optional = |index: usize| -> Result<Option<&str>, StoreError> {
            row.get_ref(index)?.as_str_or_null().map_err(|error| StoreError::Row(error.to_string()))
        };
        let parts = Parts {
            seq: row.get(0)?,
            prev: row.get(1)?,
            ts: row.get(2)?,
            kind: text(3)?,
            actor: text(4)?,
            run: optional(5)?,
            step: optional(6)?,
            data: text(7)?,
        };
        // JSON has none, but a page that was not written to its end has.
        if parts.data.as_bytes().contains(&0) {
            return Err(StoreError::Damaged(format!("event {} is not whole", parts.seq)));
        }
        Ok(Arc::new(Frame { seq: parts.seq, room: Arc::clone(room), json: parts.encode(self.epoch, &room.room) }))
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        self.epoch
    }

    pub(crate) fn db(&self) -> &Connection {
        self.db
    }

    pub(crate) fn one<T: DeserializeOwned>(&self, sql: &str, key: &str) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.db.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(StoreError::from)).transpose()
    }

    pub(crate) fn many<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str().map_err(|error| StoreError::Row(error.to_string()))?;
            out.push(serde_json::from_str(text)?);
        }
        Ok(out)
    }

    /// Every known project, by id.
    pub fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.many("SELECT data FROM projects ORDER BY id", &[])
    }

    /// A project.
    pub fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        self.one("SELECT data FROM projects WHERE id = ?1", id.as_str())
    }

    /// A run.
    pub fn run(&self, id: &RunId) -> Result<Option<Arc<Run>>, StoreError> {
        self.one("SELECT data FROM runs WHERE id = ?1", id.as_str())
    }

    /// The steps of a run, by index.
    pub fn steps(&self, run: &RunId) -> Result<Vec<Arc<Step>>, StoreError> {
        self.many(STEPS, &[&run.as_str()])
    }

    /// Runs that are not done, oldest first, of one project or of all.
    pub fn active_runs(&self, project: Option<&ProjectId>) -> Result<Vec<Arc<Run>>, StoreError> {
        match project {
            Some(project) => self.many(ACTIVE_RUNS, &[&project.as_str()]),
            None => self.many("SELECT data FROM runs WHERE status <> 'done' ORDER BY project, number", &[]),
        }
    }

    /// Runs of a project, newest first: those with a number below `before`, of one status or of all.
    pub fn runs(
        &self,
        project: &ProjectId,
        before: Option<u64>,
        status: Option<RunStatus>,
        limit: usize,
    ) -> Result<Vec<Arc<Run>>, StoreError> {
        let before = before.unwrap_or(Cursor::MAX_SEQ);
        let status = status.map(serde_json::to_value).transpose()?;
        let status = status.as_ref().and_then(|status| status.as_str());
        self.many(if status.is_some() { RUNS_OF_STATUS } else { RUNS }, &[&project.as_str(), &before, &status, &limit])
    }

    /// The highest run number of a project; 0 for none.
    pub fn last_run_number(&self, project: &ProjectId) -> Result<u64, StoreError> {
        let last: Option<u64> = self
            .db
            .prepare_cached("SELECT max(number) FROM runs WHERE project = ?1")?
            .query_row([project.as_str()], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// A question.
    pub fn approval(&self, id: &ApprovalId) -> Result<Option<Arc<Approval>>, StoreError> {
        self.one("SELECT data FROM approvals WHERE id = ?1", id.as_str())
    }

    /// Open questions, oldest first.
    pub fn open_approvals(&self) -> Result<Vec<Arc<Approval>>, StoreError> {
        self.many(OPEN_APPROVALS, &[])
    }

    /// The newest questions, settled or not, oldest first.
    pub fn all_approvals(&self, limit: usize) -> Result<Vec<Arc<Approval>>, StoreError> {
        let mut found: Vec<Arc<Approval>> = self.many(ALL_APPROVALS, &[&limit])?;
        found.reverse();
        Ok(found)
    }

    /// Questions of one run, oldest first.
    pub fn approvals_of_run(&self, run: &RunId) -> Result<Vec<Arc<Approval>>, StoreError> {
        self.many("SELECT data FROM approvals WHERE run = ?1 ORDER BY opened", &[&run.as_str()])
    }

    /// Projects with an event that refers to a blob.
    pub fn projects_of_blob(&self, hash: &str) -> Result<Vec<ProjectId>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT r.project FROM blob_refs b JOIN events e ON e.seq = b.seq JOIN rooms r ON r.id = e.room
             WHERE b.hash = ?1 AND r.project IS NOT NULL",
        )?;
        let mut rows = statement.query([hash])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let project: String = row.get(0)?;
            out.push(ProjectId::new(project).map_err(|error| StoreError::Row(error.to_string()))?);
        }
        Ok(out)
    }

    /// A project's queue.
    pub fn queue(&self, project: &ProjectId) -> Result<QueueState, StoreError> {
        Ok(self.one("SELECT data FROM queues WHERE project = ?1", project.as_str())?.unwrap_or_default())
    }

    /// Every project's queue.
    pub fn queues(&self) -> Result<Vec<(ProjectId, QueueState)>, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT project, data FROM queues")?;
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let (project, data): (String, String) = (row.get(0)?, row.get(1)?);
            let project = ProjectId::new(project).map_err(|error| StoreError::Row(error.to_string()))?;
            out.push((project, serde_json::from_str(&data)?));
        }
        Ok(out)
    }

    /// Every member, by id.
    pub fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.many("SELECT data FROM members ORDER BY id", &[])
    }

    /// A member.
    pub fn member(&self, id: &MemberId) -> Result<Option<Member>, StoreError> {
        self.one("SELECT data FROM members WHERE id = ?1", id.as_str())
    }

    /// The member for whom a token with this SHA-256 stands.
    pub fn member_by_token(&self, hash: &[u8; 32]) -> Result<Option<Member>, StoreError> {
        let id: Option<String> = self
            .db
            .prepare_cached("SELECT member FROM tokens WHERE hash = ?1")?
            .query_row([hash.as_slice()], |row| row.get(0))
            .optional()?;
        match id {
            Some(id) => self.one("SELECT data FROM members WHERE id = ?1", &id),
            None => Ok(None),
        }
    }

    /// The answer to an earlier call with the same key, JSON.
    pub fn reply_for_key(&self, member: &MemberId, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .db
            .prepare_cached("SELECT reply FROM keys WHERE member = ?1 AND key = ?2")?
            .query_row(params![member.as_str(), key], |row| row.get(0))
            .optional()?)
    }

    /// The machine's state when it was last published.
    pub fn system_status(&self) -> Result<Option<SystemStatus>, StoreError> {
        self.one("SELECT data FROM latest WHERE key = ?1", "system_status")
    }

    /// The health of each service when it was last published.
    pub fn health(&self) -> Result<Vec<HealthCheck>, StoreError> {
        self.many("SELECT data FROM latest WHERE key >= 'health_check/' AND key < 'health_check0' ORDER BY key", &[])
    }
}
