//! Messages that are worth sending only while they are new: the latest of each kind waits, and no more than that.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use signalbox_model::{MemberId, Room};
use tokio::sync::Notify;

/// Messages that wait for one connection at most. What comes beyond is left out and counted.
const WAITING: usize = 1024;

/// How often a slow connection is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// What replaces what: only the newest of a topic is worth sending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Somebody's presence in a room.
    Presence(Room, MemberId),
    /// How the connections are.
    Connections,
}

/// Ephemeral messages for one connection. They are the first to be left out when it is slow.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: Mutex<BTreeMap<Topic, Bytes>>,
    arrived: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Mailbox {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Topic, Bytes>> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Leaves a message in place of an older one on the same topic. One that must not be lost (somebody left) takes the
    /// place of another if there are too many.
    pub(crate) fn put(&self, topic: Topic, message: Bytes, must: bool) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING && !waiting.contains_key(&topic) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if !must {
                return;
            }
            waiting.pop_last();
        }
        if waiting.insert(topic, message).is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits until there is something and the connection is not `busy`. Safe to drop.
    pub async fn ready(&self, busy: impl Fn() -> bool) {
        loop {
            if self.waiting().is_empty() {
                self.arrived.notified().await;
            } else if busy() {
                // Boxed: a timer is large, and few of those who wait here need it.
                Box::pin(tokio::time::sleep(LOOK)).await;
            } else {
                return;
            }
        }
    }

    /// Takes what waits.
    pub fn take(&self) -> Vec<Bytes> {
        let taken: Vec<Bytes> = std::mem::take(&mut *self.waiting()).into_values().collect();
        self.sent.fetch_add(taken.len() as u64, Ordering::Relaxed);
        taken
    }

    /// How many were sent, and how many were left out.
    #[must_use]
    pub fn figures(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: usize) -> Topic {
        Topic::Presence(Room::Host, MemberId::new(format!("m_{n:08}")).unwrap())
    }

    #[test]
    fn the_latest_of_each_topic_waits_and_what_gives_way_is_counted() {
        let mailbox = Mailbox::default();
        mailbox.put(of(1), Bytes::from_static(b"old"), false);
        mailbox.put(of(1), Bytes::from_static(b"new"), false);
        mailbox.put(of(2), Bytes::from_static(b"other"), false);
        assert_eq!(mailbox.take(), [Bytes::from_static(b"new"), Bytes::from_static(b"other")]);
        assert_eq!(mailbox.figures(), (2, 1));
        for n in 0..WAITING + 10 {
            mailbox.put(of(n), Bytes::new(), false);
        }
        mailbox.put(of(90_000), Bytes::from_static(b"left"), true);
        let taken = mailbox.take();
        assert_eq!(taken.len(), WAITING);
        assert!(taken.contains(&Bytes::from_static(b"left")));
        assert_eq!(mailbox.figures().1, 12);
    }
}
