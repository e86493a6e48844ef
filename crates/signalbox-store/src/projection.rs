//! The tables derived from events, and the check that they are exactly that.

use rusqlite::{Connection, OptionalExtension, params, types::ValueRef};
use signalbox_model::{BlobRef, EventBody, EventData, LogChunk, ProjectId, Room, RunId, Step};

use crate::{StoreError, schema, team};

/// Whether an event of this kind may be refused because something newer is stored.
pub(crate) fn can_refuse(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Known(
            EventData::RunUpdated(_)
                | EventData::StepUpdated(_)
                | EventData::StepCompleted(_)
                | EventData::Log(_)
                | EventData::PermissionRequested(_)
                | EventData::PermissionResolved(_)
        )
    )
}

/// Where an event is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whence<'a> {
    pub(crate) seq: u64,
    /// The project of its room.
    pub(crate) project: Option<&'a ProjectId>,
    /// The run that it names.
    pub(crate) run: Option<&'a RunId>,
}

/// Brings the derived tables to the state after this event. `data` is the event's data as JSON text.
///
/// Does not look at the events: the row of this one may not be written yet.
pub(crate) fn apply(db: &Connection, whence: Whence<'_>, body: &EventBody, data: &str) -> Result<(), StoreError> {
    let EventBody::Known(known) = body else { return Ok(()) };
    let Whence { seq, project, run } = whence;
    match known {
        EventData::RunUpdated(run) => {
            let (id, status) = (run.id.as_str(), name_of(&run.status)?);
            // Mostly it only gets on: an upsert would write each index of the status anew.
            let got_on = db
                .prepare_cached(
                    "UPDATE runs SET generation = ?3, data = ?4 WHERE id = ?1 AND status = ?2 AND ?3 > generation",
                )?
                .execute(params![id, status, run.generation, data])?;
            if got_on > 0 {
                return Ok(());
            }
            let changed = db
                .prepare_cached(
                    "INSERT INTO runs(id, project, number, status, generation, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT(id) DO UPDATE SET status = ?4, generation = ?5, data = ?6 WHERE ?5 > generation",
                )?
                .execute(params![id, run.project.as_str(), run.number, status, run.generation, data])?;
            refuse_unless(changed, || format!("run {}", run.id))
        }
        EventData::StepUpdated(step) | EventData::StepCompleted(step) => step_row(db, seq, step, data),
        EventData::ApprovalRequested(approval) | EventData::ApprovalResolved(approval) => {
            db.prepare_cached(
                "INSERT INTO approvals(id, project, run, state, opened, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT(id) DO UPDATE SET state = ?4, data = ?6",
            )?
            .execute(params![
                approval.id.as_str(),
                approval.project.as_str(),
                approval.run.as_str(),
                name_of(&approval.state)?,
                seq,
                data
            ])?;
            Ok(())
        }
        EventData::Log(chunk) => log_row(db, seq, named(run)?, chunk),
        EventData::QueueUpdate(_) => match project {
            Some(project) => upsert(db, "queues", project.as_str(), data),
            None => Ok(()),
        },
        EventData::ProjectUpdated(project) => upsert(db, "projects", project.id.as_str(), data),
        EventData::MemberUpdated(member) => upsert(db, "members", member.id.as_str(), data),
        EventData::SystemStatus(_) => latest(db, "system_status", data),
        EventData::HealthCheck(check) => latest(db, &format!("health_check/{}", check.service), data),
        EventData::PermissionRequested(permission) | EventData::PermissionResolved(permission) => {
            // Answered once: a later answer, or the end of the turn, changes nothing of it.
            let changed = db
                .prepare_cached(
                    "INSERT INTO permissions(id, project, run, state, opened, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT(id) DO UPDATE SET state = ?4, data = ?6 WHERE state = 'open'",
                )?
                .execute(params![
                    permission.id.as_str(),
                    permission.project.as_str(),
                    permission.run.as_str(),
                    name_of(&permission.state)?,
                    seq,
                    data
                ])?;
            refuse_unless(changed, || format!("question {}", permission.id))
        }
        EventData::AgentSession(session) => {
            of_attempt(db, "agent_sessions", run, session.step.as_str(), session.attempt, data)
        }
        EventData::UsageUpdate(usage) => of_attempt(db, "agent_usage", run, usage.step.as_str(), usage.attempt, data),
        EventData::FileDiff(diff) => {
            let run = named(run)?;
            db.prepare_cached(
                "INSERT OR REPLACE INTO file_diffs(run, step, attempt, path, seq, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![run.as_str(), diff.step.as_str(), diff.attempt, diff.path, seq, data])?;
            diff.blob.as_ref().map_or(Ok(()), |blob| blob_row(db, seq, blob))
        }
        EventData::AgentMessage(text) | EventData::AgentThought(text) => {
            text.blob.as_ref().map_or(Ok(()), |blob| blob_row(db, seq, blob))
        }
        EventData::RiskAlert(risk) => {
            db.prepare_cached(
                "INSERT INTO risks(project, id, state, raised, data) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT(project, id) DO UPDATE SET state = ?3, data = ?5",
            )?
            .execute(params![risk.project.as_str(), risk.id, name_of(&risk.state)?, seq, data])?;
            Ok(())
        }
        EventData::ProfileUpdated(profile) => latest(db, &format!("profile/{}", profile.member), data),
        EventData::ChatMessage(_)
        | EventData::WebhookUpdated(_)
        | EventData::Notice(_)
        | EventData::NoticesUpdated(_)
        | EventData::MarkUpdated(_) => team::apply(db, seq, known, data),
        EventData::Completion(_)
        | EventData::WorkflowUpdated(_)
        | EventData::ToolCall(_)
        | EventData::PlanUpdate(_)
        | EventData::AgentError(_)
        | EventData::Correction(_)
        | EventData::GoalCheck(_)
        | EventData::Commit(_)
        | EventData::ProgressUpdate(_)
        | EventData::VerifyResult(_)
        | EventData::ActivityCreated(_)
        | EventData::EngineRecovered(_)
        | EventData::Error(_) => Ok(()),
    }
}

fn named(run: Option<&RunId>) -> Result<&RunId, StoreError> {
    run.ok_or_else(|| StoreError::Row("an event of a run's room names no run".into()))
}

fn of_attempt(
    db: &Connection,
    table: &str,
    run: Option<&RunId>,
    step: &str,
    attempt: u32,
    data: &str,
) -> Result<(), StoreError> {
    db.prepare_cached(&format!("INSERT OR REPLACE INTO {table}(run, step, attempt, data) VALUES (?1, ?2, ?3, ?4)"))?
        .execute(params![named(run)?.as_str(), step, attempt, data])?;
    Ok(())
}

fn refuse_unless(changed: usize, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if changed == 0 { Err(StoreError::Refused { what: what() }) } else { Ok(()) }
}

/// A status as its JSON name, without the quotes.
pub(crate) fn name_of<T: serde::Serialize>(status: &T) -> Result<String, StoreError> {
    match serde_json::to_value(status)? {
        serde_json::Value::String(name) => Ok(name),
        other => Err(StoreError::Row(format!("{other} is no state"))),
    }
}

fn step_row(db: &Connection, seq: u64, step: &Step, data: &str) -> Result<(), StoreError> {
    // Done is immutable: only a new generation (a new attempt) may replace it.
    let changed = db
        .prepare_cached(
            "INSERT INTO steps(run, idx, key, status, generation, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(run, idx) DO UPDATE SET status = ?4, generation = ?5, data = ?6
             WHERE ?5 > generation OR (?5 = generation AND status <> 'done')",
        )?
        .execute(params![
            step.run.as_str(),
            step.index,
            step.key.as_str(),
            name_of(&step.status)?,
            step.generation,
            data
        ])?;
    refuse_unless(changed, || format!("step {} of run {}", step.key, step.run))?;
    for artifact in &step.artifacts {
        blob_row(db, seq, &artifact.blob)?;
    }
    Ok(())
}

fn blob_row(db: &Connection, seq: u64, blob: &BlobRef) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO blob_refs(hash, seq) VALUES (?1, ?2)")?
        .execute(params![blob.hash, seq])?;
    Ok(())
}

fn log_row(db: &Connection, seq: u64, run: &RunId, chunk: &LogChunk) -> Result<(), StoreError> {
    let bytes = chunk.blob.as_ref().map_or(chunk.text.len() as u64, |blob| blob.bytes);
    let changed = db
        .prepare_cached(
            "INSERT OR IGNORE INTO chunks(run, step, attempt, line, offset, seq, lines, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            run.as_str(),
            chunk.step.as_str(),
            chunk.attempt,
            chunk.line,
            chunk.offset,
            seq,
            chunk.lines,
            bytes
        ])?;
    refuse_unless(changed, || format!("the log of step {} at byte {}", chunk.step, chunk.offset))?;
    if let Some(blob) = &chunk.blob {
        blob_row(db, seq, blob)?;
    }
    Ok(())
}

fn upsert(db: &Connection, table: &'static str, id: &str, data: &str) -> Result<(), StoreError> {
    let sql = match table {
        "projects" => "INSERT OR REPLACE INTO projects(id, data) VALUES (?1, ?2)",
        "queues" => "INSERT OR REPLACE INTO queues(project, data) VALUES (?1, ?2)",
        _ => "INSERT OR REPLACE INTO members(id, data) VALUES (?1, ?2)",
    };
    db.prepare_cached(sql)?.execute(params![id, data])?;
    Ok(())
}

fn latest(db: &Connection, key: &str, data: &str) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO latest(key, data) VALUES (?1, ?2)")?.execute(params![key, data])?;
    Ok(())
}

/// The project of a run, from its row: a run's room cannot be opened before the run is stored.
pub(crate) fn project_of_run(db: &Connection, run: &RunId) -> Result<ProjectId, StoreError> {
    let project: Option<String> = db
        .prepare_cached("SELECT project FROM runs WHERE id = ?1")?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?;
    let project = project.ok_or_else(|| StoreError::NotFound(format!("run {run}")))?;
    ProjectId::new(project).map_err(|error| StoreError::Row(error.to_string()))
}

/// Tables that must equal a replay, with the columns that order their rows.
const DERIVED: &[(&str, &str)] = &[
    ("projects", "id"),
    ("runs", "id"),
    ("steps", "run, idx"),
    ("approvals", "id"),
    ("permissions", "id"),
    ("agent_sessions", "run, step, attempt"),
    ("agent_usage", "run, step, attempt"),
    ("file_diffs", "run, step, attempt, path"),
    ("risks", "project, id"),
    ("queues", "project"),
    ("members", "id"),
    ("latest", "key"),
    ("chat", "id"),
    ("notices", "member, seq"),
    ("marks", "member, project"),
    ("webhooks", "id"),
    ("chunks", "run, step, attempt, line, offset"),
    ("blob_refs", "hash, seq"),
];

pub(crate) fn differences(db: &Connection) -> Result<Vec<String>, StoreError> {
    let replay = schema::in_memory()?;
    let mut found = Vec::new();
    let mut heads = std::collections::HashMap::<i64, u64>::new();
    let mut last = 0u64;
    let mut stored = std::collections::HashMap::<i64, u64>::new();
    let mut projects = std::collections::HashMap::<i64, ProjectId>::new();
    let mut rooms = db.prepare("SELECT id, name, project, head, floor FROM room_heads")?;
    let mut rows = rooms.query([])?;
    let mut trimmed = false;
    while let Some(row) = rows.next()? {
        let (id, name, project): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        trimmed |= row.get::<_, u64>(4)? > 0;
        stored.insert(id, row.get(3)?);
        name.parse::<Room>().map_err(|error| StoreError::Row(error.to_string()))?;
        if let Some(project) = project {
            projects.insert(id, ProjectId::new(project).map_err(|error| StoreError::Row(error.to_string()))?);
        }
    }
    let mut events = db.prepare("SELECT seq, prev, ts, room, type, actor, run, step, data FROM events ORDER BY seq")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, prev, room): (u64, u64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let (kind, run, data): (String, Option<String>, String) = (row.get(4)?, row.get(6)?, row.get(8)?);
        if seq != last + 1 && !trimmed {
            found.push(format!("event {seq} follows event {last}"));
        }
        last = seq;
        let before = heads.insert(room, seq).unwrap_or(0);
        if before != prev && !trimmed {
            found.push(format!("event {seq} says its room's last event is {prev}, it is {before}"));
        }
        let body = EventBody::parse(&kind, &data)?;
        let run = run.map(|run| RunId::new(run).map_err(|error| StoreError::Row(error.to_string()))).transpose()?;
        let whence = Whence { seq, project: projects.get(&room), run: run.as_ref() };
        if let Err(error) = apply(&replay, whence, &body, &data) {
            found.push(format!("event {seq} ({kind}) does not replay: {error}"));
        }
    }
    if trimmed {
        // Retention keeps the rows and drops the events behind them: then only what is still backed can be compared.
        return Ok(found);
    }
    for (room, head) in stored {
        let replayed = heads.get(&room).copied().unwrap_or(0);
        if head != replayed {
            found.push(format!("room {room} says its last event is {head}, it is {replayed}"));
        }
    }
    for (table, order) in DERIVED {
        compare(db, &replay, table, order, &mut found)?;
    }
    Ok(found)
}

fn compare(
    db: &Connection,
    replay: &Connection,
    table: &str,
    order: &str,
    found: &mut Vec<String>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT * FROM {table} ORDER BY {order}");
    let rows = |db: &Connection| -> Result<Vec<String>, StoreError> {
        let mut statement = db.prepare(&sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => "null".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
                })
            });
            out.push(cells.collect::<Result<Vec<_>, rusqlite::Error>>()?.join(" | "));
        }
        Ok(out)
    };
    let (stored, replayed) = (rows(db)?, rows(replay)?);
    if stored.len() != replayed.len() {
        found.push(format!("{table}: {} rows stored, {} in the replay", stored.len(), replayed.len()));
    }
    for (stored, replayed) in stored.iter().zip(&replayed).filter(|(stored, replayed)| stored != replayed) {
        found.push(format!("{table}: stored {stored:.300}, replay gives {replayed:.300}"));
    }
    Ok(())
}
