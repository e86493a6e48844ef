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
    // What is asked for is looked at before the future is made: a future is as large as all that it holds at any time, and one for each
    // call that waits is the largest piece of memory of a call.
    pub(crate) fn publish_event(
        &self,
        caller: &Caller,
        params: EventPublish,
    ) -> impl Future<Output = Reply<Published>> + Send {
        let posted = self.look_at_one(caller, params);
        let epoch = self.inner.store.epoch().clone();
        let reply = move |first: u64| Published { seq: first, cursor: Cursor { epoch: epoch.clone(), seq: first } };
        self.commit_posted(caller, posted, reply)
    }

    pub(crate) fn publish_events(
        &self,
        caller: &Caller,
        params: EventPublishMany,
    ) -> impl Future<Output = Reply<PublishedMany>> + Send {
        let count = params.events.len();
        let posted = self.look_at_many(caller, params);
        let epoch = self.inner.store.epoch().clone();
        let reply = move |first: u64| {
            let last = first + count as u64 - 1;
            PublishedMany { first, last, cursor: Cursor { epoch: epoch.clone(), seq: last } }
        };
        self.commit_posted(caller, posted, reply)
    }

    fn look_at_one(&self, caller: &Caller, params: EventPublish) -> Reply<Posted> {
        let EventPublish { project, kind, data, priority, text } = params;
        let project = self.project(caller, &project)?;
        let mut looking = Looking::new(self, caller, &project, 1);
        looking.add(NewCustomEvent { kind, data, priority, text })?;
        Ok(looking.done(false))
    }

    fn look_at_many(&self, caller: &Caller, params: EventPublishMany) -> Reply<Posted> {
        let project = self.project(caller, &params.project)?;
        let count = params.events.len();
        if !(1..=PUBLISHED_AT_ONCE).contains(&count) {
            return Err(CallError::bad_request(format!(
                "{count} events, it must be 1 to {PUBLISHED_AT_ONCE}; nothing was published"
            )));
        }
        let mut looking = Looking::new(self, caller, &project, count);
        for (index, event) in params.events.into_iter().enumerate() {
            looking.add(event).map_err(|error| of_many(index, error))?;
        }
        Ok(looking.done(true))
    }

    /// Commits them as one; `reply` is given the place of the first. Nothing is waited for before the commit's first poll,
    /// so that what one connection posts keeps its order.
    async fn commit_posted<T: Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        posted: Reply<Posted>,
        reply: impl Fn(u64) -> T + Clone + Send + 'static,
    ) -> Reply<T> {
        let Posted { events, count, many } = posted?;
        let key = caller.key.clone().map(|key| {
            let reply = reply.clone();
            KeyClaim {
                member: caller.member.clone(),
                key,
                reply: Box::new(move |done: &Committed| serde_json::to_string(&reply(done.first)).unwrap_or_default()),
            }
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

/// Events that were looked at: the published ones, which come first, so that their places follow each other, and what the
/// activity feed is told of them.
struct Posted {
    events: Vec<NewEvent>,
    /// How many were published.
    count: usize,
    /// Errors say which of them they are about.
    many: bool,
}

/// What events of a call are looked at with.
struct Looking<'a> {
    caller: &'a Caller,
    project: &'a Project,
    schemas: OfCall<'a>,
    events: Vec<NewEvent>,
    lines: Vec<NewEvent>,
}

fn of_many(index: usize, mut error: CallError) -> CallError {
    error.message = format!("events[{index}]: {}", error.message);
    error
}

impl<'a> Looking<'a> {
    fn new(host: &'a Host, caller: &'a Caller, project: &'a Project, count: usize) -> Self {
        let schemas = host.inner.schemas.of(project);
        Self { caller, project, schemas, events: Vec::with_capacity(count), lines: Vec::new() }
    }

    fn done(self, many: bool) -> Posted {
        let mut events = self.events;
        let count = events.len();
        events.extend(self.lines);
        Posted { events, count, many }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the future that a call of the host makes holds.
    fn size<T>(_: impl FnOnce(&'static Host, &'static Caller, EventPublish) -> T) -> usize {
        size_of::<T>()
    }

    /// Beyond 1,032 bytes glibc looks through its lists for each, and tidies up what is free.
    #[test]
    fn what_waits_for_a_commit_is_small() {
        assert!(size(|host, caller, params| host.publish_event(caller, params)) < 1_000);
        assert!(size(|host, caller, _| host.call(caller, "event.publish", None)) < 800);
    }
}
