//! Readers that keep their cursor themselves, over a WebSocket or server-sent events, and find the host by `host.json`.

use std::sync::Arc;

use crate::{
    readers::{
        DEAF, Habit, Reader, Report, called,
        link::{Ended, Link, Wish},
    },
    world::{Address, Phase, count},
};

/// Close codes after which one comes back.
const COME_BACK: std::ops::Range<u16> = 4000..4500;

pub(crate) async fn follow(mut reader: Reader, kind: &'static str) -> Report {
    let world = Arc::clone(&reader.world);
    let mut phase = world.phase.subscribe();
    let mut habit = None;
    let wait = reader.random.millis(0, 3_000);
    tokio::time::sleep(wait).await;
    while called(&mut phase).await {
        let address = tokio::select! {
            address = world.host() => address,
            () = world.sent_away() => continue,
        };
        if kind == "naive" {
            habit = Some(Habit::Forget);
        }
        reader.come_back(habit.take());
        match connection(&mut reader, &address, kind).await {
            Ok(found) => {
                habit = found;
                if let Some(Habit::Leave(time)) = habit {
                    reader.linger(time).await;
                }
            }
            Err(ended) => judge(&mut reader, &address, ended),
        }
        if !world.is_away() {
            let wait = reader.random.millis(20, 1_500);
            tokio::time::sleep(wait).await;
        }
    }
    reader.report()
}

/// Whether a connection may end like this.
fn judge(reader: &mut Reader, address: &Address, ended: Ended) {
    // The token of a life ends with it, and somebody else may have its port by now.
    let fine = match ended {
        Ended::Broken(_) => true,
        Ended::Closed(code) => COME_BACK.contains(&code) || matches!(code, 1000..=1006),
        Ended::Refused(_) => false,
    };
    if !fine && reader.world.lives(address) {
        reader.wrong(&format!("a connection must not end like this: {ended}"));
    }
}

/// One connection to its end; gives the habit that ended it, if it was one.
async fn connection(reader: &mut Reader, address: &Address, kind: &str) -> Result<Option<Habit>, Ended> {
    let world = Arc::clone(&reader.world);
    let window = reader.random.percent(35).then_some(4096);
    let resume = reader.cursor();
    let wish = Wish {
        kind,
        rooms: reader.rooms(),
        project: &world.known().projects[0],
        resume: resume.as_deref().filter(|_| kind != "naive"),
        window,
        instance: None,
    };
    let mut link = tokio::select! {
        link = Link::open(address, &wish) => link?,
        () = world.sent_away() => return Ok(None),
    };
    count(&world.counters.connects);
    if resume.is_some() && kind != "naive" {
        count(&world.counters.resumes);
    }
    let (wait, mut habit) = reader.habit();
    let mut at = tokio::time::Instant::now() + wait;
    loop {
        let storm = world.is(Phase::Storm);
        tokio::select! {
            framed = tokio::time::timeout(DEAF, link.next()) => {
                let Ok(framed) = framed else {
                    if world.lives(address) {
                        reader.wrong("open and silent: nothing came for a minute, not even a ping");
                    }
                    return Ok(None);
                };
                let (id, text) = framed?;
                match reader.frame(id.as_deref(), &text) {
                    Ok(false) => {}
                    Ok(true) => link.say(r#"{"type":"pong"}"#).await?,
                    Err(what) => {
                        reader.wrong(&what);
                        return Ok(None);
                    }
                }
            }
            () = tokio::time::sleep_until(at), if storm => {
                reader.note(habit);
                match habit {
                    Habit::Stall(time) => {
                        reader.linger(time).await;
                        let (wait, next) = reader.habit();
                        (at, habit) = (tokio::time::Instant::now() + wait, next);
                    }
                    Habit::HalfOpen(time) => {
                        reader.linger(time).await;
                        return Ok(Some(habit));
                    }
                    Habit::Close => {
                        link.close().await;
                        return Ok(Some(habit));
                    }
                    _ => return Ok(Some(habit)),
                }
            }
            () = world.sent_away() => {
                link.close().await;
                return Ok(None);
            }
        }
    }
}
