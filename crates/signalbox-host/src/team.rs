//! What people on one host share: presence, chat, read marks, and each member's inbox.

mod away;
mod chat;
mod inbox;
mod notify;
mod profile;
mod stats;

use std::{sync::Arc, time::Duration};

use signalbox_model::{Actor, EventData, Member, MemberId, NewEvent, PresenceState, ProjectId, Role, Room, RoomFilter};
use signalbox_store::{Batch, StoreError};
use signalbox_stream::{Connection, Transport};
use signalbox_wire::Caller;

use crate::{Host, handlers::Reply, host::store_error};

/// What the team's methods share.
#[derive(Debug, Default)]
pub(crate) struct Team {
    /// Changes of messages are made one at a time, so that each is made to what the one before it left.
    writing: tokio::sync::Mutex<()>,
}

fn may_see(member: &Member, project: &ProjectId) -> bool {
    member.projects.is_empty() || member.projects.contains(project)
}

impl Host {
    /// Starts what works for the team in the background; all of it ends with the host.
    pub(crate) fn start_team(&self) {
        let presence = Arc::clone(self.inner.connections.presence());
        let host = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = presence.run() => {}
                () = host.stopping() => {}
            }
        });
        tokio::spawn(notify::run(self.clone()));
        tokio::spawn(stats::run(self.clone()));
    }

    /// The rooms of a connection that said `hello`: those it asked for, and its member's own, which is joined for it.
    #[must_use]
    pub fn rooms_of(&self, caller: &Caller, mut rooms: Vec<RoomFilter>) -> Vec<RoomFilter> {
        let own = RoomFilter::One(Room::Member(caller.member.clone()));
        if !rooms.contains(&own) {
            rooms.push(own);
        }
        rooms
    }

    /// Says which rooms a connection follows from now on: its member is seen there, and it sees the others. Call it before
    /// rooms are joined, with them, and after, with those that could be.
    pub fn follow(&self, caller: &Caller, connection: &Arc<Connection>, rooms: Vec<RoomFilter>) {
        let find = |room: &Room| self.project_of_room(room);
        let rooms = rooms.into_iter().map(|room| room.seen_by(&caller.projects)).collect();
        self.inner.connections.presence().follow(connection, &caller.projects, rooms, find);
    }

    fn project_of_room(&self, room: &Room) -> Option<ProjectId> {
        match room {
            Room::Project(project) | Room::Feed(project) => Some(project.clone()),
            Room::Run(run) => self.inner.store.read(|reader| reader.run(run)).ok()?.map(|run| run.project.clone()),
            Room::Host | Room::Activity | Room::Member(_) => None,
        }
    }

    /// What a connection's member looks at. What it does not follow is passed over.
    pub fn say_presence(&self, connection: &Connection, room: Room, state: PresenceState) {
        let project = self.project_of_room(&room);
        self.inner.connections.presence().say(connection.id, room, project, state);
    }

    /// A connection has joined its first rooms: what waited for its member is delivered with that.
    pub fn arrived(&self, caller: &Caller) {
        let (host, member) = (self.clone(), caller.member.clone());
        tokio::spawn(async move {
            if let Err(error) = inbox::deliver(&host, &member).await {
                // They are shown all the same; another device may show them as new once more.
                tracing::warn!(%error, "notices could not be marked as delivered");
            }
        });
    }

    /// Whether a device of the member is connected that can show notices.
    fn is_connected(&self, member: &MemberId) -> bool {
        let shows = |connection: &Connection| {
            connection.who.member == *member
                && matches!(connection.who.transport, Transport::Ipc | Transport::WebSocket)
        };
        self.inner.connections.any(shows)
    }

    /// Members whose tokens are good and who may see a project, with at least this role.
    fn audience(&self, project: &ProjectId, least: Role) -> Reply<Vec<Member>> {
        let now = self.inner.clock.now();
        let mut members = self.read(|reader| reader.members())?;
        members.retain(|member| member.is_active(now) && may_see(member, project) && member.role >= least);
        Ok(members)
    }
}

/// An event for one member.
fn to_member(member: &MemberId, actor: Actor, data: EventData) -> NewEvent {
    NewEvent::new(Room::Member(member.clone()), actor, data)
}

/// Waits a little for more to come along, so that a busy log is not read for every commit.
const GATHER: Duration = Duration::from_millis(20);

/// Reads the log behind a durable cursor for as long as the host runs, whenever an event of one of these types was
/// committed: `step` handles what follows the place that it is given and returns the place up to which it came, and whether
/// there is more at once.
async fn follow_log<F, S>(host: &Host, name: &str, kinds: &'static [&'static str], step: F)
where
    F: Fn(u64) -> S,
    S: Future<Output = Result<(u64, bool), StoreError>>,
{
    let mut commits = host.inner.hub.commits_of(kinds);
    let mut at = None;
    loop {
        let begun = match at {
            Some(at) => Ok(at),
            None => begin(host, name).await,
        };
        let result = match begun {
            Ok(from) => step(from).await,
            Err(error) => Err(error),
        };
        let wait = match result {
            Ok((upto, more)) => {
                at = Some(upto);
                if more { Duration::ZERO } else { GATHER }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, reader = name, "the log could not be read on; trying again");
                Duration::from_secs(1)
            }
        };
        if wait == GATHER {
            tokio::select! {
                changed = commits.changed() => if changed.is_err() { return },
                () = host.stopping() => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = host.stopping() => return,
        }
    }
}

/// Where a reader goes on. One that never read begins with what comes next: nobody is told of old events.
async fn begin(host: &Host, name: &str) -> Result<u64, StoreError> {
    let stored = host.inner.store.read(|reader| reader.cursor_of(name))?;
    if let Some(seq) = stored {
        return Ok(seq);
    }
    let seq = host.inner.store.head();
    let side = vec![signalbox_store::SideWrite::Cursor { name: name.to_owned(), seq }];
    host.inner.store.append(Batch { side, ..Batch::default() }).await?;
    Ok(seq)
}

impl Host {
    async fn append_for_team(&self, batch: Batch) -> Reply<signalbox_store::Committed> {
        self.inner.store.append(batch).await.map_err(store_error)
    }
}
