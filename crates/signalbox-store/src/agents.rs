//! Reading what agents left: their questions, sessions, use, changes and risks.

use std::sync::Arc;

use signalbox_model::{
    AgentSession, AgentUsage, Cursor, FileDiff, Permission, PermissionId, ProjectId, Risk, Room, RunId, StepKey,
    UnixMillis,
};

use crate::{
    Frame, Reader, StoreError,
    kinds::{of_agents, of_told},
};

/// What an attempt used up.
#[derive(Debug, Clone, PartialEq)]
pub struct UsedBy {
    /// Of which project.
    pub project: ProjectId,
    /// When its run was made.
    pub started: UnixMillis,
    /// What.
    pub usage: AgentUsage,
}

impl Reader<'_> {
    /// An agent's question.
    pub fn permission(&self, id: &PermissionId) -> Result<Option<Arc<Permission>>, StoreError> {
        self.one("SELECT data FROM permissions WHERE id = ?1", id.as_str())
    }

    /// Open questions of agents, oldest first.
    pub fn open_permissions(&self) -> Result<Vec<Arc<Permission>>, StoreError> {
        self.many(OPEN_PERMISSIONS, &[])
    }

    /// Questions of one run's agents, oldest first.
    pub fn permissions_of_run(&self, run: &RunId) -> Result<Vec<Arc<Permission>>, StoreError> {
        self.many("SELECT data FROM permissions WHERE run = ?1 ORDER BY opened", &[&run.as_str()])
    }

    /// The sessions of a run's agents, by step and attempt.
    pub fn agent_sessions(&self, run: &RunId) -> Result<Vec<AgentSession>, StoreError> {
        self.many("SELECT data FROM agent_sessions WHERE run = ?1 ORDER BY step, attempt", &[&run.as_str()])
    }

    /// What a run's agents used up, by step and attempt.
    pub fn agent_usage(&self, run: &RunId) -> Result<Vec<AgentUsage>, StoreError> {
        self.many("SELECT data FROM agent_usage WHERE run = ?1 ORDER BY step, attempt", &[&run.as_str()])
    }

    /// What attempts of runs used up that were started at `since` or later.
    pub fn usage_since(&self, project: Option<&ProjectId>, since: UnixMillis) -> Result<Vec<UsedBy>, StoreError> {
        let mut statement = self.db().prepare_cached(
            "SELECT r.project, json_extract(r.data, '$.created_at'), u.data FROM runs r JOIN agent_usage u ON u.run = r.id
             WHERE (?1 IS NULL OR r.project = ?1) AND json_extract(r.data, '$.created_at') >= ?2",
        )?;
        let mut rows = statement.query(rusqlite::params![project.map(ProjectId::as_str), since])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (project, started, data): (String, UnixMillis, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let project = ProjectId::new(project).map_err(|error| StoreError::Row(error.to_string()))?;
            found.push(UsedBy { project, started, usage: serde_json::from_str(&data)? });
        }
        Ok(found)
    }

    /// How files differ from the base of an attempt, by path, with those whose change was undone.
    pub fn file_diffs(&self, run: &RunId, step: &StepKey, attempt: u32) -> Result<Vec<FileDiff>, StoreError> {
        let sql = "SELECT data FROM file_diffs WHERE run = ?1 AND step = ?2 AND attempt = ?3 ORDER BY path";
        self.many(sql, &[&run.as_str(), &step.as_str(), &attempt])
    }

    /// A project's risks that are not resolved, oldest first.
    pub fn open_risks(&self, project: &ProjectId) -> Result<Vec<Risk>, StoreError> {
        let sql = "SELECT data FROM risks WHERE project = ?1 AND state <> 'resolved' ORDER BY raised";
        self.many(sql, &[&project.as_str()])
    }

    /// A risk.
    pub fn risk(&self, project: &ProjectId, id: &str) -> Result<Option<Risk>, StoreError> {
        let found: Vec<Risk> =
            self.many("SELECT data FROM risks WHERE project = ?1 AND id = ?2", &[&project.as_str(), &id])?;
        Ok(found.into_iter().next())
    }

    /// The newest events of a run's agents before `before`, at most `limit`, in order; of one step, or of all.
    pub fn transcript(
        &self,
        run: &RunId,
        step: Option<&StepKey>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Frame>>, StoreError> {
        self.newest_of_room(
            &Room::Run(run.clone()),
            TRANSCRIPT,
            &[&before.min(Cursor::MAX_SEQ), &step.map(StepKey::as_str), &limit],
        )
    }

    /// The newest events in a project's room that tell of checks, corrections, verdicts, commits and questions of a run, at
    /// most `limit`, in order.
    pub fn told(&self, project: &ProjectId, run: &RunId, limit: usize) -> Result<Vec<Arc<Frame>>, StoreError> {
        self.newest_of_room(&Room::Project(project.clone()), TOLD, &[&run.as_str(), &limit])
    }
}

pub(crate) const OPEN_PERMISSIONS: &str = "SELECT data FROM permissions WHERE state = 'open' ORDER BY opened";
pub(crate) const TRANSCRIPT: &str = concat!(
    "SELECT seq, prev, ts, type, actor, run, step, data FROM events
     WHERE room = ?1 AND seq < ?2 AND (?3 IS NULL OR step = ?3) AND ",
    of_agents!(),
    " ORDER BY seq DESC LIMIT ?4"
);
// The room is no part of the index: a run's events are few, whatever the room holds.
pub(crate) const TOLD: &str = concat!(
    "SELECT seq, prev, ts, type, actor, run, step, data FROM events WHERE +room = ?1 AND run = ?2 AND ",
    of_told!(),
    " ORDER BY seq DESC LIMIT ?3"
);
