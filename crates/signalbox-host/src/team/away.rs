//! What happened while a member was away.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use signalbox_model::{
    Actor, ApprovalState, AwayItem, AwayKind, EventBody, EventData, PermissionState, Priority, Project, ReadMark,
    RiskState, RunConclusion, Severity, team::one_line,
};
use signalbox_store::{Logged, Reader, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{Away, AwayList},
};

use crate::{
    Host,
    handlers::{Reply, bounded},
};

/// Events looked at, over all projects.
const LOOKED_AT: usize = 2_000;

impl Host {
    pub(crate) async fn list_away(&self, caller: &Caller, params: AwayList) -> Reply<Away> {
        let limit = bounded(params.limit, 50, 200)?;
        let projects = match &params.project {
            Some(project) => vec![Arc::unwrap_or_clone(self.project(caller, project)?)],
            None => {
                let mut projects = self.read(|reader| reader.projects())?;
                projects.retain(|project| caller.sees(&project.id));
                projects
            }
        };
        let (host, caller) = (self.clone(), caller.clone());
        let read = move || host.read(|reader| look(reader, &caller, &projects, limit));
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(CallError::new(ErrorCode::Unavailable, "the host is stopping")))
    }
}

fn look(reader: &Reader<'_>, caller: &Caller, projects: &[Project], limit: usize) -> Result<Away, StoreError> {
    let marks = reader.marks(&caller.member)?;
    let of = |project: &Project| marks.iter().find(|mark| mark.project == project.id);
    let mut events = Vec::new();
    for project in projects {
        let after = of(project).map_or(0, |mark| mark.seq);
        events.extend(reader.events_while_away(&project.id, after, LOOKED_AT)?);
    }
    events.sort_unstable_by_key(|event| std::cmp::Reverse(event.seq));
    events.truncate(LOOKED_AT);
    let mut seen = HashSet::new();
    let (mut items, mut counts) = (Vec::new(), BTreeMap::new());
    for event in &events {
        if let Some(item) = item(reader, caller, event, &mut seen)? {
            *counts.entry(item.kind).or_insert(0) += 1;
            if items.len() < limit {
                items.push(item);
            }
        }
    }
    let total: u64 = counts.values().sum();
    let shown = |mark: &&ReadMark| projects.iter().any(|project| project.id == mark.project);
    Ok(Away {
        more: total > items.len() as u64,
        items,
        counts,
        marks: marks.iter().filter(shown).cloned().collect(),
        cursor: reader.cursor()?,
    })
}

/// What an event is to this member; of each thing only its newest state counts.
fn item(
    reader: &Reader<'_>,
    caller: &Caller,
    event: &Logged,
    seen: &mut HashSet<String>,
) -> Result<Option<AwayItem>, StoreError> {
    let (EventBody::Known(data), Some(project)) = (&event.body, &event.project) else { return Ok(None) };
    let actor = Actor::new(&event.actor).unwrap_or_else(|_| Actor::host());
    let mut item = AwayItem {
        cursor: reader.cursor_at(event.seq),
        at: event.ts,
        kind: AwayKind::Mention,
        priority: Priority::Normal,
        to_me: false,
        project: project.clone(),
        actor: actor.clone(),
        text: String::new(),
        run: event.run.clone(),
        step: event.step.clone(),
        approval: None,
        permission: None,
        message: None,
        risk: None,
    };
    let mut first = |id: &str| seen.insert(id.to_owned());
    match data {
        EventData::ChatMessage(message) => {
            if !first(message.id.as_str()) || message.deleted || message.author == caller.member {
                return Ok(None);
            }
            let answered = match &message.reply_to {
                Some(id) => reader.chat_message(id)?.is_some_and(|answered| answered.author == caller.member),
                None => false,
            };
            item.kind = match (message.mentions.contains(&caller.member), answered) {
                (true, _) => AwayKind::Mention,
                (false, true) => AwayKind::Reply,
                _ => return Ok(None),
            };
            (item.to_me, item.priority) = (true, Priority::High);
            item.text = one_line(&message.text);
            item.message = Some(message.id.clone());
            item.actor = message.author_name.clone();
        }
        EventData::ApprovalRequested(approval) | EventData::ApprovalResolved(approval) => {
            if !first(approval.id.as_str()) {
                return Ok(None);
            }
            let waits = approval.state == ApprovalState::Open;
            if approval.answers.iter().any(|answer| answer.actor == caller.actor) {
                return Ok(None);
            }
            item.kind = if waits { AwayKind::QuestionWaiting } else { AwayKind::QuestionAnswered };
            item.priority = if waits { Priority::High } else { Priority::Normal };
            item.to_me = waits && caller.role >= signalbox_model::Role::Operator;
            item.text = one_line(&format!("{} #{}: {}", approval.workflow, approval.run_number, approval.question));
            item.approval = Some(approval.id.clone());
            (item.run, item.step) = (Some(approval.run.clone()), Some(approval.step.clone()));
        }
        EventData::PermissionRequested(permission) | EventData::PermissionResolved(permission) => {
            if !first(permission.id.as_str()) || permission.by.as_ref() == Some(&caller.actor) {
                return Ok(None);
            }
            let waits = permission.state == PermissionState::Open;
            item.kind = if waits { AwayKind::QuestionWaiting } else { AwayKind::QuestionAnswered };
            item.priority = if waits { Priority::High } else { Priority::Low };
            item.to_me = waits && caller.role >= signalbox_model::Role::Operator;
            item.text = one_line(&format!("{} #{}: {}", permission.workflow, permission.run_number, permission.title));
            item.permission = Some(permission.id.clone());
            (item.run, item.step) = (Some(permission.run.clone()), Some(permission.step.clone()));
        }
        EventData::Completion(completion) => {
            let well = completion.conclusion == RunConclusion::Success;
            item.kind = if well { AwayKind::RunFinished } else { AwayKind::RunFailed };
            item.priority = if well { Priority::Normal } else { Priority::High };
            let run = match &event.run {
                Some(run) => reader.run(run)?,
                None => None,
            };
            item.to_me = run.as_ref().is_some_and(|run| run.actor == caller.actor);
            let name = run.map_or_else(|| "a run".to_owned(), |run| format!("{} #{}", run.workflow, run.number));
            let how = serde_json::to_value(completion.conclusion)?;
            item.text = one_line(&format!("{name}: {}", how.as_str().unwrap_or_default().replace('_', " ")));
        }
        EventData::RiskAlert(risk) => {
            if !first(&format!("risk {}", risk.id)) || risk.state != RiskState::Open {
                return Ok(None);
            }
            item.kind = AwayKind::Risk;
            item.priority = if risk.severity == Severity::Info { Priority::Normal } else { Priority::High };
            item.text = one_line(&risk.title);
            item.risk = Some(risk.id.clone());
            (item.run, item.step) = (risk.run.clone(), risk.step.clone());
        }
        _ => return Ok(None),
    }
    Ok(Some(item))
}
