//! Readers that use the client crate, which comes back by itself: over the proxy, whose port stays.

use signalbox_client::{Client, Ended, Options, Update, connect};
use tokio::sync::mpsc;

use crate::{
    readers::{DEAF, Habit, Reader, Report, called},
    world::{Phase, count},
};

pub(crate) async fn follow(mut reader: Reader) -> Report {
    let mut phase = reader.world.phase.subscribe();
    let mut habit = None;
    while called(&mut phase).await {
        reader.come_back(habit.take());
        let mut options = Options::new(reader.world.proxy_url(), &reader.world.known().token);
        options.name = "soak".into();
        options.rooms = reader.rooms().iter().filter_map(|room| room.parse().ok()).collect();
        options.resume = reader.cursor().and_then(|cursor| cursor.parse().ok());
        let (client, updates) = connect(options);
        habit = session(&mut reader, updates).await;
        drop::<Client>(client);
        if let Some(Habit::Leave(time)) = habit {
            reader.linger(time).await;
        }
    }
    reader.report()
}

/// Takes updates until a habit, or the phase, ends it.
async fn session(reader: &mut Reader, mut updates: mpsc::Receiver<Update>) -> Option<Habit> {
    let world = std::sync::Arc::clone(&reader.world);
    let (wait, mut habit) = reader.habit();
    let mut at = tokio::time::Instant::now() + wait;
    let mut heard = tokio::time::Instant::now();
    loop {
        let storm = world.is(Phase::Storm);
        tokio::select! {
            update = updates.recv() => {
                heard = tokio::time::Instant::now();
                let Some(update) = update else {
                    reader.wrong("the client gave up");
                    return None;
                };
                if let Err(what) = take(reader, update) {
                    reader.wrong(&what);
                    return None;
                }
            }
            () = tokio::time::sleep_until(at), if storm => {
                reader.note(habit);
                match habit {
                    Habit::Stall(time) | Habit::HalfOpen(time) => {
                        reader.linger(time).await;
                        let (wait, next) = reader.habit();
                        (at, habit) = (tokio::time::Instant::now() + wait, next);
                        heard = tokio::time::Instant::now();
                    }
                    _ => return Some(habit),
                }
            }
            // Its pings are its own affair; a client that never comes back would be found by this.
            () = tokio::time::sleep_until(heard + DEAF * 3) => {
                reader.wrong("the client is silent: no event and no news of its connection for three minutes");
                return None;
            }
            () = world.sent_away() => return None,
        }
    }
}

fn take(reader: &mut Reader, update: Update) -> Result<(), String> {
    match update {
        Update::Event(event) => {
            reader.track.event(event.seq, event.prev, &event.room, event.text.as_bytes())?;
            count(&reader.world.counters.events);
            reader.moved();
        }
        Update::Synced(cursor) => {
            reader.track.synced(cursor.seq);
            reader.moved();
        }
        Update::Reset { .. } => reader.reset(),
        Update::Snapshot { at, .. } => reader.track.snapshot(at)?,
        Update::Connected(welcome) => {
            count(&reader.world.counters.connects);
            if reader.track.end().is_some() {
                count(&reader.world.counters.resumes);
                reader.track.resume();
            }
            if welcome.epoch.as_str() != reader.world.known().epoch {
                return Err(format!("the epoch is {}, it was {}", welcome.epoch, reader.world.known().epoch));
            }
        }
        Update::Left { room, code } => return Err(format!("thrown out of {room}: {code}")),
        Update::Disconnected { why: why @ (Ended::Gap { .. } | Ended::Protocol(_)), .. } => return Err(why.to_string()),
        Update::Disconnected { why, retry_in: None, .. } => return Err(format!("for good: {why}")),
        Update::Disconnected { .. } => {}
    }
    Ok(())
}
