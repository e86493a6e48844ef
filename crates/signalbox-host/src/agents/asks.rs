//! Questions of agents: durable, answered once, closed on every screen at the same moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use signalbox_model::{
    Actor, Clock, EventData, NewEvent, OptionKind, Permission, PermissionId, PermissionState, PermissionTopic, Room,
    ToolKind,
};
use signalbox_store::{Batch, Store, StoreError};
use signalbox_wire::{CallError, Caller};
use tokio::sync::oneshot;

use super::record::About;
use crate::{execute::Job, host::store_error, ids};

/// Longest answer in words, in bytes.
const LONGEST_TEXT: usize = 8 * 1024;

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The chosen option's id; none: an answer in words.
    pub(crate) option: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) by: Actor,
}

struct Open {
    permission: Permission,
    answered: oneshot::Sender<Answer>,
}

/// The questions that wait, and who waits for them.
pub(crate) struct Asks {
    store: Store,
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<PermissionId, Open>>,
}

impl Asks {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, open: Mutex::new(HashMap::new()) }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<PermissionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks. The answer comes through the receiver; if the question is withdrawn, the receiver ends without one.
    pub(crate) async fn ask(&self, permission: Permission) -> Result<oneshot::Receiver<Answer>, StoreError> {
        let (answered, answer) = oneshot::channel();
        let event = event(&permission, Actor::engine(), EventData::PermissionRequested);
        // Known before it is shown: an answer may come as soon as it is committed.
        let id = permission.id.clone();
        self.open().insert(id.clone(), Open { permission, answered });
        if let Err(error) = self.store.append(Batch::of(vec![event])).await {
            self.open().remove(&id);
            return Err(error);
        }
        Ok(answer)
    }

    /// Settles a question without a person: by a rule, or because nobody waits for it any more.
    pub(crate) async fn withdraw(&self, id: &PermissionId, reason: &str) {
        let Some(Open { mut permission, .. }) = self.open().remove(id) else { return };
        permission.state = PermissionState::Void;
        permission.resolved_at = Some(self.clock.now());
        permission.reason = Some(reason.to_owned());
        let event = event(&permission, Actor::engine(), EventData::PermissionResolved);
        if let Err(error) = self.store.append(Batch::of(vec![event])).await {
            // At the next start it is void: nobody waits for it then either.
            tracing::error!(%error, question = %id, "a question's end could not be recorded");
        }
    }

    /// Questions whose agents died with an earlier host.
    pub(crate) async fn void_lost(&self) -> Result<(), StoreError> {
        let lost = self.store.read(|reader| reader.open_permissions())?;
        let events: Vec<NewEvent> = lost
            .iter()
            .map(|lost| {
                let mut permission = Permission::clone(lost);
                permission.state = PermissionState::Void;
                permission.resolved_at = Some(self.clock.now());
                permission.reason = Some("the host was restarted; the agent asks anew if it still wants to".into());
                event(&permission, Actor::engine(), EventData::PermissionResolved)
            })
            .collect();
        if !events.is_empty() {
            self.store.append(Batch::of(events)).await?;
        }
        Ok(())
    }

    /// A member's answer. The first valid one wins.
    pub(crate) async fn answer(
        &self,
        caller: &Caller,
        id: &PermissionId,
        option: Option<String>,
        text: Option<String>,
    ) -> Result<Arc<Permission>, CallError> {
        let known = self.store.read(|reader| reader.permission(id)).map_err(store_error)?;
        let known = known.filter(|known| caller.sees(&known.project));
        let known = known.ok_or_else(|| CallError::not_found("question", id))?;
        check(&known, option.as_deref(), text.as_deref())?;
        // Whoever takes it out of the map has answered it; if that cannot be recorded it goes back.
        let Some(mut open) = self.open().remove(id) else {
            return settled(caller, &known, option.as_deref(), &text, self);
        };
        let before = open.permission.clone();
        open.permission.state = PermissionState::Answered;
        open.permission.option.clone_from(&option);
        open.permission.text.clone_from(&text);
        open.permission.by = Some(caller.actor.clone());
        open.permission.resolved_at = Some(self.clock.now());
        let event = event(&open.permission, caller.actor.clone(), EventData::PermissionResolved);
        if let Err(error) = self.store.append(Batch::of(vec![event])).await {
            open.permission = before;
            self.open().insert(id.clone(), open);
            return Err(store_error(error));
        }
        // Who asked may have ended in this moment: the answer is recorded and does no harm.
        open.answered.send(Answer { option, text, by: caller.actor.clone() }).ok();
        Ok(Arc::new(open.permission))
    }
}

fn check(permission: &Permission, option: Option<&str>, text: Option<&str>) -> Result<(), CallError> {
    let offered = || permission.options.iter().map(|option| option.id.as_str()).collect::<Vec<_>>().join(", ");
    match (option, text) {
        (None, None) => Err(CallError::bad_request("an answer is an option or a text").hint(offered())),
        (Some(option), _) if !permission.options.iter().any(|offer| offer.id == option) => {
            Err(CallError::bad_request(format!("{option:?} was not offered")).hint(format!("one of {}", offered())))
        }
        (_, Some(_)) if !permission.free_text => {
            Err(CallError::bad_request("this question takes no answer in words").hint(format!("one of {}", offered())))
        }
        (_, Some(text)) if text.len() > LONGEST_TEXT => {
            Err(CallError::bad_request(format!("the answer has {} bytes, the limit is {LONGEST_TEXT}", text.len())))
        }
        _ => Ok(()),
    }
}

/// Somebody was faster, or nobody waits any more. The same answer twice, by the same member, is one.
fn settled(
    caller: &Caller,
    known: &Permission,
    option: Option<&str>,
    text: &Option<String>,
    asks: &Asks,
) -> Result<Arc<Permission>, CallError> {
    let now = asks.store.read(|reader| reader.permission(&known.id)).map_err(store_error)?;
    let now = now.ok_or_else(|| CallError::not_found("question", &known.id))?;
    let same = now.by.as_ref() == Some(&caller.actor) && now.option.as_deref() == option && now.text == *text;
    if same {
        return Ok(now);
    }
    let message = match (&now.by, now.state) {
        (Some(by), _) => format!("this question was answered by {by}"),
        (None, PermissionState::Open) => "this question is being answered by somebody else".to_owned(),
        (None, _) => {
            format!("this question is no longer asked: {}", now.reason.as_deref().unwrap_or("its agent has ended"))
        }
    };
    Err(CallError::conflict(message).details(serde_json::json!({ "permission": now })))
}

fn event(permission: &Permission, actor: Actor, data: impl Fn(Arc<Permission>) -> EventData) -> NewEvent {
    NewEvent::new(Room::Project(permission.project.clone()), actor, data(Arc::new(permission.clone())))
        .of_run(permission.run.clone())
        .of_step(permission.step.clone())
}

/// A question of a step's agent, without choices as yet.
pub(crate) fn question(job: &Job, about: &About, agent: &str, topic: PermissionTopic, title: String) -> Permission {
    let (step, attempt) = job.key_and_attempt();
    Permission {
        id: ids::permission(),
        project: job.project.clone(),
        run: job.at.run.clone(),
        run_number: about.run_number,
        workflow: about.workflow.clone(),
        step,
        attempt,
        agent: agent.to_owned(),
        topic,
        title,
        kind: ToolKind::Other,
        tool_call: None,
        input: None,
        locations: Vec::new(),
        diffs: Vec::new(),
        options: Vec::new(),
        free_text: false,
        state: PermissionState::Open,
        option: None,
        text: None,
        by: None,
        opened_at: job.clock.now(),
        resolved_at: None,
        reason: None,
    }
}

/// The option to choose when a rule decides: the narrowest that says yes, or no.
pub(crate) fn by_rule(permission: &Permission, allow: bool) -> Option<&str> {
    let order: &[OptionKind] = if allow {
        &[OptionKind::AllowOnce, OptionKind::AllowAlways]
    } else {
        &[OptionKind::RejectOnce, OptionKind::RejectAlways]
    };
    order.iter().find_map(|kind| permission.options.iter().find(|option| option.kind == *kind)).map(|o| o.id.as_str())
}
