//! `signalbox tail`: follows events, across restarts of the host.

use serde_json::json;
use signalbox_client::{Received, Update};
use signalbox_model::RoomFilter;
use signalbox_wire::method::ProjectList;

use crate::{End, Target, output, remote};

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
    let (_client, mut updates) = remote::reach(options).await?;
    loop {
        let update = tokio::select! {
            update = updates.recv() => update,
            _ = tokio::signal::ctrl_c() => return Ok(End::Cancelled),
        };
        match update {
            Some(Update::Event(event)) if json => output::line(&event.text),
            Some(Update::Event(event)) => output::line(&describe(&event)),
            Some(Update::Reset { room, reason }) if json => {
                output::line(&json!({ "type": "reset", "room": room, "reason": reason }).to_string())
            }
            Some(Update::Reset { room, reason }) => {
                eprintln!("{room}: events are missing here ({reason}); what follows is complete again")
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
                eprintln!("the room {room} cannot be followed: {code}");
                return Ok(End::Failed);
            }
            Some(Update::Disconnected { why, retry_in: Some(wait), attempt }) => {
                eprintln!("{why}; attempt {} in {:.1} s", attempt + 1, wait.as_secs_f64());
            }
            Some(Update::Disconnected { why, retry_in: None, .. }) => {
                eprintln!("{why}");
                return Ok(End::Unreachable);
            }
            Some(Update::Connected(_) | Update::Snapshot { .. }) => {}
            None => return Ok(End::Unreachable),
        }
    }
}

/// An event in a line.
pub(crate) fn describe(event: &Received) -> String {
    let data: serde_json::Value = serde_json::from_str(event.data.get()).unwrap_or_default();
    let text = |key: &str| data[key].as_str().map(output::safe).unwrap_or_default();
    let what = match event.kind.as_str() {
        "run_updated" => format!("{} #{} {} {}", text("workflow"), data["number"], text("status"), text("conclusion")),
        "step_updated" => format!("{} {} {}", text("key"), text("status"), text("reason")),
        "step_completed" => format!("{} {} {}", text("key"), text("conclusion"), text("reason")),
        "log" => format!(
            "{} | {}",
            text("step"),
            output::safe(data["text"].as_str().unwrap_or_default().trim_end_matches('\n')).replace('\u{fffd}', "\n")
        ),
        "approval_requested" => format!("{}: {}", text("step"), text("question")),
        "approval_resolved" => format!("{} {}", text("step"), text("state")),
        "activity_created" => text("text"),
        "completion" => {
            format!("{} #{} {} after {} ms", text("workflow"), data["number"], text("conclusion"), data["duration_ms"])
        }
        _ => event.data.get().chars().take(200).collect(),
    };
    format!("{:>8}  {:<18} {}", event.seq, event.kind, what.trim_end())
}
