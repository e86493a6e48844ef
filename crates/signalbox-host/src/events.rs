//! Events that other programs post, and those that somebody asks for.

use signalbox_model::{Activity, Cursor, CustomType, EventBody, EventData, NewEvent, Room};
use signalbox_store::{Batch, Committed, KeyClaim, Page, Reader, Search, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{EventList, EventPage, EventPublish, EventSearch, Published, RunEvents},
};

use crate::{
    Host,
    handlers::{Reply, bounded, raw, stored},
    host::store_error,
    schemas,
};

impl Host {
    pub(crate) async fn publish_event(&self, caller: &Caller, params: EventPublish) -> Reply<Published> {
        let project = self.project(caller, &params.project)?;
        let kind = CustomType::new(&params.kind).map_err(|error| CallError::bad_request(error.to_string()))?;
        schemas::check(&project, &kind, &params.data)?;
        let room = Room::Project(project.id.clone());
        let mut events = vec![NewEvent::new(room, caller.actor.clone(), EventBody::Custom(kind, params.data))];
        if let Some(priority) = params.priority {
            let activity = Activity {
                kind: params.kind.clone(),
                priority,
                project: Some(project.id),
                actor: caller.actor.clone(),
                text: params.text.unwrap_or(params.kind),
                run: None,
                step: None,
                to: Vec::new(),
            };
            let room = Room::feed(activity.project.clone());
            events.push(NewEvent::new(room, caller.actor.clone(), EventData::ActivityCreated(activity)));
        }
        let epoch = self.inner.store.epoch().clone();
        // The event itself is the first of the batch.
        let published = move |committed: &Committed| Published {
            seq: committed.first,
            cursor: Cursor { epoch: epoch.clone(), seq: committed.first },
        };
        let for_key = published.clone();
        let key = caller.key.clone().map(|key| KeyClaim {
            member: caller.member.clone(),
            key,
            reply: Box::new(move |committed| serde_json::to_string(&for_key(committed)).unwrap_or_default()),
        });
        match self.inner.store.append(Batch { events, key, ..Batch::default() }).await {
            Ok(committed) => Ok(published(&committed)),
            Err(StoreError::Repeated { reply }) => {
                serde_json::from_str(&reply).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))
            }
            Err(error) => Err(store_error(error)),
        }
    }

    pub(crate) async fn list_events(&self, caller: &Caller, mut params: EventList) -> Reply<EventPage> {
        let limit = bounded(params.limit, 200, 1000)?;
        if params.rooms.is_empty() || params.rooms.len() > 128 {
            return Err(CallError::bad_request("name 1 to 128 rooms"));
        }
        for room in &params.rooms {
            self.check_room(caller, room)?;
        }
        params.rooms = params.rooms.into_iter().map(|room| room.seen_by(&caller.projects)).collect();
        let after = self.place_after(params.after)?;
        self.event_page(move |reader| reader.events(&params.rooms, after, reader.head()?, limit)).await
    }

    pub(crate) async fn events_of_run(&self, caller: &Caller, params: RunEvents) -> Reply<EventPage> {
        let limit = bounded(params.limit, 200, 1000)?;
        let run = self.visible_run(caller, &params.run)?;
        let after = self.place_after(params.after)?;
        self.event_page(move |reader| reader.run_events(&run, after, limit)).await
    }

    /// Where to go on after a cursor; 0 without one.
    fn place_after(&self, cursor: Option<Cursor>) -> Reply<u64> {
        match cursor {
            Some(cursor) if cursor.epoch != *self.inner.store.epoch() => {
                Err(CallError::conflict("this cursor is of another log")
                    .hint("leave `after` out to begin with the oldest event kept"))
            }
            Some(cursor) => Ok(cursor.seq),
            None => Ok(0),
        }
    }

    async fn event_page(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<Page, StoreError> + Send + 'static,
    ) -> Reply<EventPage> {
        let host = self.clone();
        let read = move || {
            let page = host.read(read)?;
            let events = page.frames.iter().map(|frame| raw(frame)).collect::<Reply<_>>()?;
            let cursor = Cursor { epoch: host.inner.store.epoch().clone(), seq: page.upto };
            Ok(EventPage { events, cursor, more: page.more })
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(CallError::new(ErrorCode::Unavailable, "the host is stopping")))
    }

    pub(crate) async fn search_events(&self, caller: &Caller, params: EventSearch) -> Reply<EventPage> {
        let limit = bounded(params.limit, 50, 200)?;
        if params.text.as_ref().is_some_and(|text| text.len() > 500) {
            return Err(CallError::bad_request("text has at most 500 bytes"));
        }
        if let Some(project) = &params.project {
            self.project(caller, project)?;
        }
        self.inner.store.index_now().await.map_err(store_error)?;
        let search = Search {
            // The search reads its words up to a NUL, and then misses the end of the last.
            text: params.text.map(|text| text.replace('\0', " ")),
            types: params.types.unwrap_or_default(),
            project: params.project,
            before: params.before.map(stored),
            limit,
        };
        let (host, caller) = (self.clone(), caller.clone());
        let read = move || {
            let sees = |room: &signalbox_store::RoomInfo| match (&room.room, &room.project) {
                (Room::Member(member), _) => *member == caller.member,
                (_, Some(project)) => caller.sees(project),
                (_, None) => caller.projects.is_empty(),
            };
            let (frames, more) = host.read(|reader| {
                let (mut frames, more) = reader.search(&search, sees)?;
                let mut current = Vec::with_capacity(frames.len());
                for frame in &frames {
                    current.push(Self::is_current_message(reader, frame)?);
                }
                let mut current = current.into_iter();
                frames.retain(|_| current.next().unwrap_or(true));
                Ok((frames, more))
            })?;
            let last = frames.last().map_or(0, |frame| frame.seq);
            let events = frames.iter().map(|frame| raw(frame)).collect::<Reply<_>>()?;
            Ok(EventPage { events, cursor: Cursor { epoch: host.inner.store.epoch().clone(), seq: last }, more })
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(CallError::new(ErrorCode::Unavailable, "the host is stopping")))
    }
}
