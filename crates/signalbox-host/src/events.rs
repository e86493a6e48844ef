//! Events that somebody asks for.

use signalbox_model::{Cursor, Room};
use signalbox_store::{Page, Reader, Search, StoreError};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{EventList, EventPage, EventSearch, RunEvents},
};

use crate::{
    Host,
    handlers::{Reply, bounded, raw, stored},
    host::store_error,
};

impl Host {
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
        if params.types.as_ref().is_some_and(|types| types.len() > 100) {
            return Err(CallError::bad_request("at most 100 types may be named"));
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
