//! `signalbox tail`: follows events, across restarts of the host.

use serde_json::json;
use signalbox_client::{Client, Received, Update};
use signalbox_model::{LogChunk, RoomFilter};
use signalbox_wire::method::{EventPage, ProjectList};

use crate::{End, Target, logs, output, remote};

pub(crate) async fn tail(
    target: &Target,
    rooms: &[String],
    after: Option<String>,
    json: bool,
    no_follow: bool,
) -> anyhow::Result<End> {
    let mut options = remote::find(target)?;
    let usage = |error: &dyn std::fmt::Display| remote::Usage(error.to_string());
    options.rooms =
        rooms.iter().map(|room| room.parse::<RoomFilter>().map_err(|error| usage(&error))).collect::<Result<_, _>>()?;
    options.resume = after.map(|after| after.parse().map_err(|error| usage(&error))).transpose()?;
    if options.rooms.is_empty() {
        let (client, _updates) = remote::reach(options.clone()).await?;
        let known: ProjectList = client.get("project.list", json!({})).await.map_err(remote::explain)?;
        options.rooms = vec!["activity".parse()?, "host".parse()?];
        for project in known.projects {
            options.rooms.push(RoomFilter::ProjectTree(project.id));
        }
    }
    let history = no_follow && options.resume.is_none();
    let wanted = options.rooms.clone();
    if history {
        options.rooms.clear();
    }
    let (client, mut updates) = remote::reach(options).await?;
    if history {
        return all(&client, &wanted, json).await;
    }
    loop {
        if output::is_closed() {
            return Ok(End::Success);
        }
        let update = tokio::select! {
            update = updates.recv() => update,
            _ = tokio::signal::ctrl_c() => return Ok(End::Cancelled),
        };
        match update {
            Some(Update::Event(event)) if json => output::line(&event.text),
            Some(Update::Event(event)) => show(&client, &event).await,
            Some(Update::Reset { room, reason }) if json => {
                output::line(&json!({ "type": "reset", "room": room, "reason": reason }).to_string())
            }
            Some(Update::Reset { room, reason }) => {
                output::note!("{room}: events are missing here ({reason}); what follows is complete again")
            }
            Some(Update::Synced(cursor)) => {
                if json {
                    output::line(&json!({ "type": "synced", "cursor": cursor }).to_string());
                }
                if no_follow {
                    return Ok(End::Success);
                }
            }
            Some(Update::Left { room, code }) => {
                output::note!("the room {room} cannot be followed: {code}");
                return Ok(End::Failed);
            }
            Some(Update::Disconnected { why, retry_in: Some(wait), attempt }) => {
                output::note!("{why}; attempt {} in {:.1} s", attempt + 1, wait.as_secs_f64());
            }
            Some(Update::Disconnected { why, retry_in: None, .. }) => {
                output::note!("{why}");
                return Ok(End::Unreachable);
            }
            Some(Update::Connected(_) | Update::Snapshot { .. }) => {}
            None => return Ok(End::Unreachable),
        }
    }
}

/// Everything that the log has of some rooms.
async fn all(client: &Client, rooms: &[RoomFilter], json: bool) -> anyhow::Result<End> {
    let mut params = json!({ "rooms": rooms, "limit": 1000 });
    loop {
        let page: EventPage = client.get("event.list", params.clone()).await.map_err(remote::explain)?;
        for event in &page.events {
            if json {
                output::line(event.get());
            } else {
                show(client, &Received::parse(event.get())?).await;
            }
        }
        if !page.more || output::is_closed() {
            return Ok(End::Success);
        }
        params["after"] = json!(page.cursor);
    }
}

/// An event in a line; what a step printed in as many as it has.
async fn show(client: &Client, event: &Received) {
    let chunk = (event.kind == "log").then(|| serde_json::from_str::<LogChunk>(event.data.get()));
    let Some(Ok(chunk)) = chunk else {
        output::line(&describe(event));
        return;
    };
    for line in logs::lines(client, event.run.as_deref().unwrap_or_default(), &chunk, u64::MAX).await {
        output::line(&format!("{:>8}  {:<18} {} │ {line}", event.seq, event.kind, chunk.step));
    }
}

/// An event in a line.
fn describe(event: &Received) -> String {
    let data: serde_json::Value = serde_json::from_str(event.data.get()).unwrap_or_default();
    let text = |key: &str| data[key].as_str().map(output::safe).unwrap_or_default();
    let what = match event.kind.as_str() {
        "run_updated" => format!("{} #{} {} {}", text("workflow"), data["number"], text("status"), text("conclusion")),
        "step_updated" => format!("{} {} {}", text("key"), text("status"), text("reason")),
        "step_completed" => format!("{} {} {}", text("key"), text("conclusion"), text("reason")),
        "approval_requested" => format!("{}: {}", text("step"), text("question")),
        "approval_resolved" => format!("{} {}", text("step"), text("state")),
        "permission_requested" => format!("{}: {}", text("step"), text("title")),
        "permission_resolved" => format!("{} {} {}", text("step"), text("state"), text("option")),
        "agent_message" | "agent_thought" => {
            let from = if text("from") == "prompt" { "told" } else { "says" };
            format!(
                "{} {from}: {}",
                text("step"),
                text("text").replace('\n', " ").chars().take(160).collect::<String>()
            )
        }
        "agent_session" => format!("{} {} {}", text("step"), text("name"), text("state")),
        "agent_error" => format!("{}: {}", text("step"), text("message")),
        "tool_call" => format!("{} {} {}: {}", text("step"), text("kind"), text("status"), text("title")),
        "file_diff" => {
            format!("{} {} {} +{} -{}", text("step"), text("status"), text("path"), data["added"], data["removed"])
        }
        "usage_update" => format!("{} {} tokens in, {} out", text("step"), data["input_tokens"], data["output_tokens"]),
        "correction" => format!("{} {} of {}: {}", text("step"), data["number"], data["max"], text("feedback")),
        "goal_check" => {
            format!("{} {}", if data["passed"] == true { "reached:" } else { "not reached:" }, text("statement"))
        }
        "risk_alert" => format!("{} {}: {}", text("severity"), text("state"), text("title")),
        "commit" => {
            format!("{} on {}: {}", text("hash").chars().take(10).collect::<String>(), text("branch"), text("subject"))
        }
        "activity_created" => text("text"),
        "completion" => {
            format!("{} #{} {} after {} ms", text("workflow"), data["number"], text("conclusion"), data["duration_ms"])
        }
        _ => event.data.get().chars().take(200).collect(),
    };
    format!("{:>8}  {:<18} {}", event.seq, event.kind, what.trim_end())
}
