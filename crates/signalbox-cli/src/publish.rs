//! `signalbox publish`: events of other programs, one, or one for each line of standard input.

use std::{
    io::{BufRead, ErrorKind},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use signalbox_client::{Client, Limits, Update, connect};
use signalbox_wire::{
    ErrorCode,
    method::{PUBLISHED_AT_ONCE, PublishedMany},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    End, Target, output,
    remote::{Usage, call, explain, find, reach},
};

pub(crate) async fn one(
    target: &Target,
    kind: &str,
    project: &str,
    data: &str,
    key: Option<String>,
) -> anyhow::Result<End> {
    let data: Value = serde_json::from_str(data).map_err(|error| Usage(format!("the data is not JSON: {error}")))?;
    let params = json!({ "project": project, "type": kind, "data": data });
    call(target, "event.publish", Some(params.to_string()), key).await
}

/// Lines that may wait while a call is answered; then whoever writes them waits.
const WAITING: usize = 2 * PUBLISHED_AT_ONCE;

/// Bytes of a frame that are not events, and of an event beside its data: its type and their names.
const AROUND: usize = 1024;
const EACH: usize = 100;

/// What a host that names no limit takes.
const LARGEST: u64 = 1024 * 1024;

/// A line of standard input, read.
struct Line {
    data: Value,
    /// What it takes in a frame at most.
    bytes: usize,
    number: u64,
}

impl Line {
    fn read(text: &str, number: u64, most: usize) -> anyhow::Result<Self> {
        let data: Value =
            serde_json::from_str(text).map_err(|error| Usage(format!("line {number} is not JSON: {error}")))?;
        // Not of the text: numbers are written in another way than they were read.
        let bytes = serde_json::to_string(&data)?.len() + EACH;
        if bytes > most {
            return Err(Usage(format!("line {number} has {bytes} bytes, the host takes {most} at once")).into());
        }
        Ok(Self { data, bytes, number })
    }
}

/// Publishes each line as it comes; lines that come while others are on their way share a call and a commit. Tells how many
/// were acknowledged, also where it fails.
pub(crate) async fn lines(target: &Target, kind: &str, project: &str) -> anyhow::Result<End> {
    let (client, limits) = lasting(target).await?;
    let frame = if limits.frame_bytes == 0 { LARGEST } else { limits.frame_bytes };
    let mut lines = Lines::read(usize::try_from(frame)?.saturating_sub(AROUND));
    // Each in its time: to be refused and to come again costs more. No limit is 0.
    let calls = u32::try_from(limits.calls_per_second).unwrap_or(u32::MAX);
    let pace = Duration::from_secs(1).checked_div(calls).unwrap_or_default();
    let mut pace = interval(pace.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut published = 0;
    let mut last = None;
    let result = loop {
        let group = match lines.next_group().await {
            Ok(group) if group.is_empty() => break Ok(()),
            Ok(group) => group,
            Err(error) => break Err(error),
        };
        pace.tick().await;
        let span = (group[0].number, group[group.len() - 1].number);
        let count = group.len();
        match publish(&client, kind, project, group).await {
            Ok(done) => {
                published += count;
                last = Some(done.cursor);
            }
            Err(error) => {
                let which = match span {
                    (first, last) if first == last => format!("line {first}"),
                    (first, last) => format!("lines {first} to {last}"),
                };
                break Err(error.context(which));
            }
        }
    };
    output::line(&json!({ "published": published, "cursor": last }).to_string());
    result.map(|()| End::Success)
}

/// A connection that is made anew for as long as it takes, once it was made at all; says when it broke.
async fn lasting(target: &Target) -> anyhow::Result<(Client, Limits)> {
    let options = find(target)?;
    drop(reach(options.clone()).await?);
    let (client, mut updates) = connect(options);
    let limits = loop {
        match updates.recv().await.context("the connection has ended")? {
            Update::Connected(welcome) => break welcome.limits,
            Update::Disconnected { why, retry_in: None, .. } => bail!(why.to_string()),
            _ => {}
        }
    };
    tokio::spawn(async move {
        while let Some(update) = updates.recv().await {
            match update {
                Update::Disconnected { why, retry_in: Some(wait), attempt } => {
                    output::note!("{why}; attempt {} in {:.1} s", attempt + 1, wait.as_secs_f64());
                }
                Update::Disconnected { why, .. } => output::note!("{why}"),
                _ => {}
            }
        }
    });
    Ok((client, limits))
}

/// The lines of standard input.
struct Lines {
    receiver: mpsc::Receiver<anyhow::Result<Line>>,
    /// What belongs to the next group.
    held: Option<anyhow::Result<Line>>,
    /// Bytes of one group.
    bytes: usize,
}

impl Lines {
    /// Reads on a thread of its own: a program that has written nothing yet keeps nobody from ending.
    fn read(bytes: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || {
            for (text, number) in std::io::stdin().lock().lines().zip(1..) {
                let line = match text {
                    Ok(text) if text.trim().is_empty() => continue,
                    Ok(text) => Line::read(&text, number, bytes),
                    Err(error) if error.kind() == ErrorKind::InvalidData => {
                        Err(Usage(format!("line {number} is not UTF-8")).into())
                    }
                    Err(error) => Err(anyhow!(error).context("standard input cannot be read")),
                };
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    return;
                }
            }
        });
        Self { receiver, held: None, bytes }
    }

    /// What is there, in order, as far as one call takes it; waits for the first. Empty at the end.
    ///
    /// # Errors
    /// If the first line is none. One that comes after others is met the next time.
    async fn next_group(&mut self) -> anyhow::Result<Vec<Line>> {
        let first = match self.held.take() {
            Some(held) => Some(held),
            None => self.receiver.recv().await,
        };
        let Some(first) = first.transpose()? else { return Ok(Vec::new()) };
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < PUBLISHED_AT_ONCE
            && let Ok(next) = self.receiver.try_recv()
        {
            match next {
                Ok(line) if bytes + line.bytes <= self.bytes => {
                    bytes += line.bytes;
                    group.push(line);
                }
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        Ok(group)
    }
}

async fn publish(client: &Client, kind: &str, project: &str, group: Vec<Line>) -> anyhow::Result<PublishedMany> {
    let events: Vec<Value> = group.iter().map(|line| json!({ "type": kind, "data": line.data })).collect();
    let params = json!({ "project": project, "events": events });
    // So that the same call after a lost connection does not publish them twice.
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut told = false;
    loop {
        match client.call("event.publish_many", Some(params.clone()), Some(key.clone())).await {
            Ok(reply) => return serde_json::from_str(reply.get()).context("the host's answer was not understood"),
            Err(error) if client.has_ended() => {
                return Err(explain(error).context("it is not known whether it was published"));
            }
            Err(error) if matches!(error.code, ErrorCode::TooManyRequests | ErrorCode::Unavailable) => {
                if error.code == ErrorCode::Unavailable && !std::mem::replace(&mut told, true) {
                    output::note!("{}; trying again", error.message);
                }
                tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unwrap_or(1000))).await;
            }
            Err(error) => return Err(explain(error).context("nothing of it was published")),
        }
    }
}
