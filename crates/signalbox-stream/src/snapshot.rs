//! A room's state, read in one transaction.

use signalbox_model::{EventBody, EventData, LogChunk, Present, Room, RoomFilter, Run, Step, StepKind, StepStatus};
use signalbox_store::{Frame, Reader, StoreError};
use signalbox_wire::snapshot::{
    ActivityEntry, ActivitySnapshot, HostSnapshot, LogTail, MemberSnapshot, ProjectSnapshot, RunSnapshot, RunWithSteps,
    Snapshot,
};
use std::sync::Arc;

/// Events as they are, within a snapshot.
fn values(frames: &[Arc<Frame>]) -> Result<Vec<serde_json::Value>, StoreError> {
    frames.iter().map(|frame| Ok(serde_json::from_slice(&frame.json)?)).collect()
}

/// Lines of the feed in a snapshot.
const ACTIVITIES: usize = 100;
/// Ended runs in a snapshot of a project.
const RUNS: usize = 50;
/// A run with more steps comes without them in its project's snapshot.
const STEPS: u32 = 1_000;
/// Text of each log in a run's snapshot, in bytes.
const TAIL: u64 = 64 * 1024;
/// Logs in a run's snapshot.
const TAILS: usize = 16;
/// Events of agents in a run's snapshot.
const TRANSCRIPT: usize = 500;
/// Messages of the chat in a snapshot of a project.
const MESSAGES: usize = 50;
/// Notices in a member's snapshot.
const NOTICES: usize = 100;

/// The state of a room with who is `present` in it. The caller has checked that it exists and may be seen.
///
/// # Errors
/// If the log cannot be read, or the room's subject is not there.
pub fn snapshot(
    reader: &Reader<'_>,
    room: &RoomFilter,
    version: &str,
    presence: Vec<Present>,
) -> Result<Snapshot, StoreError> {
    match room {
        RoomFilter::One(Room::Host) => Ok(Snapshot::Host(HostSnapshot {
            version: version.to_owned(),
            projects: reader.projects()?,
            members: reader.members()?,
            system: reader.system_status()?,
            health: reader.health()?,
            presence,
        })),
        RoomFilter::One(Room::Member(member)) => Ok(Snapshot::Member(Box::new(MemberSnapshot {
            notices: reader.notices(member, true, None, NOTICES)?,
            unread: reader.unread_notices(member)?,
            marks: reader.marks(member)?,
            profile: reader.profile(member)?,
        }))),
        RoomFilter::Activity(_) | RoomFilter::One(Room::Activity | Room::Feed(_)) => activity(reader, room),
        RoomFilter::One(Room::Project(project)) | RoomFilter::ProjectTree(project) => {
            let found = reader.project(project)?.ok_or_else(|| StoreError::NotFound(format!("project {project}")))?;
            let mut runs = reader.runs(project, None, None, RUNS)?;
            let oldest = runs.last().map_or(0, |run| run.number);
            let older = reader.active_runs(Some(project))?;
            runs.extend(older.into_iter().rev().filter(|run| run.number < oldest));
            let with_steps = |run: Arc<Run>| -> Result<RunWithSteps, StoreError> {
                let steps = if run.steps_total > STEPS { Vec::new() } else { reader.steps(&run.id)? };
                Ok(RunWithSteps { run, steps })
            };
            let approvals =
                reader.open_approvals()?.into_iter().filter(|approval| approval.project == *project).collect();
            Ok(Snapshot::Project(Box::new(ProjectSnapshot {
                project: found,
                runs: runs.into_iter().map(with_steps).collect::<Result<_, _>>()?,
                queue: reader.queue(project)?,
                approvals,
                permissions: (reader.open_permissions()?.into_iter())
                    .filter(|permission| permission.project == *project)
                    .collect(),
                risks: reader.open_risks(project)?,
                presence,
                chat: reader.chat_page(project, None, MESSAGES)?,
            })))
        }
        RoomFilter::One(Room::Run(run)) => {
            let found = reader.run(run)?.ok_or_else(|| StoreError::NotFound(format!("run {run}")))?;
            let steps = reader.steps(run)?;
            let shown = steps.iter().filter(|step| shows_log(step)).take(TAILS);
            let logs = shown.map(|step| tail(reader, step)).collect::<Result<Vec<_>, _>>()?;
            let of_agents = steps.iter().filter(|step| step.kind == StepKind::Agent);
            let diffs = of_agents
                .map(|step| reader.file_diffs(run, &step.key, u32::try_from(step.attempts.len()).unwrap_or(u32::MAX)))
                .collect::<Result<Vec<_>, _>>()?;
            let transcript = reader.transcript(run, None, u64::MAX, TRANSCRIPT)?;
            let told = reader.told(&found.project, run, TRANSCRIPT)?;
            Ok(Snapshot::Run(Box::new(RunSnapshot {
                run: found,
                logs: logs.into_iter().flatten().collect(),
                sessions: reader.agent_sessions(run)?,
                usage: reader.agent_usage(run)?,
                diffs: diffs.into_iter().flatten().collect(),
                transcript: values(&transcript)?,
                told: values(&told)?,
                steps,
                cursor: reader.cursor()?,
                presence,
            })))
        }
    }
}

fn shows_log(step: &Step) -> bool {
    match step.status {
        StepStatus::Starting | StepStatus::Running | StepStatus::Verifying | StepStatus::Cancelling => true,
        StepStatus::Done => step.conclusion.is_some_and(|conclusion| conclusion.is_failure()),
        _ => false,
    }
}

fn tail(reader: &Reader<'_>, step: &Step) -> Result<Option<LogTail>, StoreError> {
    let attempt = reader.last_logged_attempt(&step.run, &step.key)?;
    if attempt == 0 {
        return Ok(None);
    }
    let chunks: Vec<LogChunk> = reader.log_tail(&step.run, &step.key, attempt, TAIL)?;
    let index = reader.log_index(&step.run, &step.key, attempt)?;
    Ok(Some(LogTail { chunks, lines: index.lines, bytes: index.bytes }))
}

fn activity(reader: &Reader<'_>, feed: &RoomFilter) -> Result<Snapshot, StoreError> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        seq: u64,
        ts: i64,
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    let mut entries = Vec::new();
    for frame in reader.latest(feed, ACTIVITIES)? {
        let line: Line<'_> = serde_json::from_slice(&frame.json)?;
        if let EventBody::Known(EventData::ActivityCreated(data)) = EventBody::parse(line.kind, line.data.get())? {
            entries.push(ActivityEntry { seq: line.seq, ts: line.ts, data });
        }
    }
    Ok(Snapshot::Activity(ActivitySnapshot { entries }))
}
