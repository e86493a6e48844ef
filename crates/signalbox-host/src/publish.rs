//! Events that other programs post.

use serde::{Serialize, de::DeserializeOwned};
use signalbox_model::{Activity, Cursor, CustomType, EventBody, EventData, NewEvent, Project, Room};
use signalbox_store::{Batch, Committed, KeyClaim, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{EventPublish, EventPublishMany, NewCustomEvent, PUBLISHED_AT_ONCE, Published, PublishedMany},
};

use crate::{Host, handlers::Reply, host::store_error, schemas::OfCall};

impl Host {
    pub(crate) async fn publish_event(&self, caller: &Caller, params: EventPublish) -> Reply<Published> {
        let EventPublish { project, kind, data, priority, text } = params;
        let project = self.project(caller, &project)?;
        let mut posted = Posted::new(self, caller, &project);
        posted.add(NewCustomEvent { kind, data, priority, text })?;
        let epoch = self.inner.store.epoch().clone();
        let reply = move |first: u64| Published { seq: first, cursor: Cursor { epoch: epoch.clone(), seq: first } };
        self.commit_posted(caller, posted, reply).await
    }

    pub(crate) async fn publish_events(&self, caller: &Caller, params: EventPublishMany) -> Reply<PublishedMany> {
        let project = self.project(caller, &params.project)?;
        let count = params.events.len();
        if !(1..=PUBLISHED_AT_ONCE).contains(&count) {
            return Err(CallError::bad_request(format!(
                "{count} events, it must be 1 to {PUBLISHED_AT_ONCE}; nothing was published"
            )));
        }
        let mut posted = Posted::new(self, caller, &project);
        posted.many = true;
        for (index, event) in params.events.into_iter().enumerate() {
            posted.add(event).map_err(|error| of_many(index, error))?;
        }
        let epoch = self.inner.store.epoch().clone();
        let reply = move |first: u64| {
            let last = first + count as u64 - 1;
            PublishedMany { first, last, cursor: Cursor { epoch: epoch.clone(), seq: last } }
        };
        self.commit_posted(caller, posted, reply).await
    }

    /// Commits them as one; `reply` is given the place of the first. Nothing is waited for before the commit's first poll,
    /// so that what one connection posts keeps its order.
    async fn commit_posted<T: Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        posted: Posted<'_>,
        reply: impl Fn(u64) -> T + Clone + Send + 'static,
    ) -> Reply<T> {
        // The events come first, so that their places follow each other.
        let (count, many) = (posted.events.len(), posted.many);
        let mut events = posted.events;
        events.extend(posted.lines);
        let for_key = reply.clone();
        let key = caller.key.clone().map(|key| KeyClaim {
            member: caller.member.clone(),
            key,
            reply: Box::new(move |done: &Committed| serde_json::to_string(&for_key(done.first)).unwrap_or_default()),
        });
        match self.inner.store.append(Batch { events, key, ..Batch::default() }).await {
            Ok(committed) => Ok(reply(committed.first)),
            Err(StoreError::Repeated { reply }) => {
                serde_json::from_str(&reply).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
            }
            Err(error) => Err(match error {
                StoreError::TooLarge { place, .. } if many && place < count => of_many(place, store_error(error)),
                error => store_error(error),
            }),
        }
    }
}

/// Events that were looked at, and what of them is told in the activity feed.
struct Posted<'a> {
    caller: &'a Caller,
    project: &'a Project,
    schemas: OfCall<'a>,
    events: Vec<NewEvent>,
    lines: Vec<NewEvent>,
    /// Errors say which of them they are about.
    many: bool,
}

fn of_many(index: usize, mut error: CallError) -> CallError {
    error.message = format!("events[{index}]: {}", error.message);
    error
}

impl<'a> Posted<'a> {
    fn new(host: &'a Host, caller: &'a Caller, project: &'a Project) -> Self {
        let schemas = host.inner.schemas.of(project);
        Self { caller, project, schemas, events: Vec::new(), lines: Vec::new(), many: false }
    }

    fn add(&mut self, event: NewCustomEvent) -> Reply<()> {
        let kind = CustomType::new(&event.kind).map_err(|error| CallError::bad_request(error.to_string()))?;
        self.schemas.check(&kind, &event.data)?;
        let (project, actor) = (&self.project.id, &self.caller.actor);
        let room = Room::Project(project.clone());
        self.events.push(NewEvent::new(room, actor.clone(), EventBody::Custom(kind, event.data)));
        if let Some(priority) = event.priority {
            let activity = Activity {
                kind: event.kind.clone(),
                priority,
                project: Some(project.clone()),
                actor: actor.clone(),
                text: event.text.unwrap_or(event.kind),
                run: None,
                step: None,
                to: Vec::new(),
            };
            let room = Room::feed(activity.project.clone());
            self.lines.push(NewEvent::new(room, actor.clone(), EventData::ActivityCreated(activity)));
        }
        Ok(())
    }
}
