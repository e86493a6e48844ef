//! Who is here, and what they look at. Never stored.
//!
//! Who follows a room is present in it, on each of its devices; what a device says about itself counts until it says
//! something else. Changes are collected and handed to those who follow the room in one go ([`Presence::flush`]), the
//! newest of each member and room only, and nothing that was not changed in the end. A connection that broke stays for a
//! grace, so that a reconnect is not seen; one that was closed on purpose, or left the room, goes at once.

mod table;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use signalbox_model::{PresenceState, Present, ProjectId, Room, RoomFilter};
use tokio::{sync::Notify, time::Instant};

use crate::{
    Connection,
    mailbox::Topic,
    presence::table::{Table, Who},
};

/// How long a connection that broke is still here: a reconnect within it shows nothing.
pub const GRACE: Duration = Duration::from_secs(12);
/// Changes go out at most this often.
pub const PACE: Duration = Duration::from_millis(100);

/// Everybody's presence.
#[derive(Debug, Default)]
pub struct Presence {
    table: Mutex<Table<Arc<Connection>>>,
    changed: Notify,
}

impl Presence {
    fn table(&self) -> MutexGuard<'_, Table<Arc<Connection>>> {
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// This connection follows `rooms` and no others from now on; `sees` are the projects that its member may see (empty:
    /// all), `project_of` gives the project of a run's room. It is told who is in the rooms that are new to it. Call it
    /// before the rooms are joined, so that no change is missed between a snapshot and the changes after it.
    pub fn follow(
        &self,
        connection: &Arc<Connection>,
        sees: &[ProjectId],
        rooms: Vec<RoomFilter>,
        project_of: impl Fn(&Room) -> Option<ProjectId>,
    ) {
        let who = Who {
            member: connection.who.member.clone(),
            name: connection.who.member_name.clone(),
            device: connection.who.client.clone(),
            instance: connection.who.instance.clone(),
            sees: sees.to_vec(),
        };
        let told = self.table().follow(connection.id, who, connection, rooms, project_of, Instant::now());
        for (topic, frame) in told {
            connection.leave_message(topic, frame, false);
        }
        self.changed.notify_one();
    }

    /// What the member of this connection looks at. False if the connection does not follow the room: then nothing changed.
    pub fn say(&self, connection: u64, room: Room, project: Option<ProjectId>, state: PresenceState) -> bool {
        let said = self.table().say(connection, room, project, state.bounded(), Instant::now());
        if said {
            self.changed.notify_one();
        }
        said
    }

    /// A connection ended. On purpose: its member is gone at once, unless another device is here.
    pub fn gone(&self, connection: u64, on_purpose: bool) {
        self.table().gone(connection, on_purpose, Instant::now());
        self.changed.notify_one();
    }

    /// Who is in the room, as far as it was told to those who follow it; with the rooms of its runs for a project.
    #[must_use]
    pub fn present(&self, filter: &RoomFilter) -> Vec<Present> {
        self.table().present(filter)
    }

    /// Hands a message to every connection that follows `room` and may see it.
    pub fn broadcast(&self, room: &Room, topic: &Topic, message: &Bytes) {
        let followers = self.table().followers(room);
        for connection in followers {
            connection.leave_message(topic.clone(), message.clone(), false);
        }
    }

    /// Whether anybody follows `room`.
    #[must_use]
    pub fn is_followed(&self, room: &Room) -> bool {
        self.table().is_followed(room)
    }

    /// How many connections and rooms with members in them are known: both are 0 when everybody is gone.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.table().size()
    }

    /// Hands out what changed. Gives the time at which something changes by itself.
    pub fn flush(&self) -> Option<Instant> {
        let (messages, next) = self.table().flush(Instant::now());
        for message in messages {
            for connection in message.to {
                connection.leave_message(message.topic.clone(), message.frame.clone(), message.left);
            }
        }
        next
    }

    /// Hands out changes for as long as it is run. Safe to drop.
    pub async fn run(&self) {
        loop {
            let next = self.flush();
            tokio::time::sleep(PACE).await;
            match next {
                Some(next) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(next) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }
}
