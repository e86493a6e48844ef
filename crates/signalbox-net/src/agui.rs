//! AG-UI: a run as the events that the npm package `@ag-ui/client` reads, so that any page made with it can start a run and
//! watch it, or attach to one that is at work.

mod encode;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use signalbox_host::NotAdmitted;
use signalbox_model::{ProjectId, Role, Room, RoomFilter, RunId};
use signalbox_stream::{Listed, Registration, Session, Transport};
use signalbox_wire::{CallError, Caller, ErrorCode};
use tokio::sync::mpsc;

use crate::{
    agui::encode::Encoder,
    http::{Failure, Net, Peer, Shared, body},
};

/// Messages on their way to one page. When they are not taken the session waits, and reads from the log later.
const QUEUE: usize = 64;
/// Bytes taken from the session at a time.
const BATCH: usize = 64 * 1024;

/// What `HttpAgent` posts: `RunAgentInput`. What is not here is not needed, and what is unknown is left alone.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    thread_id: String,
    run_id: String,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    forwarded_props: Value,
}

/// What `forwardedProps` may say.
#[derive(Debug, Default, serde::Deserialize)]
struct Props {
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    inputs: Map<String, Value>,
    #[serde(default)]
    run: Option<RunId>,
}

/// The text of the last message of a person.
fn goal(messages: &[Value]) -> Option<String> {
    let last = messages.iter().rev().find(|message| message["role"] == "user")?;
    match &last["content"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}

pub(crate) async fn run(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
    Path(project): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    content: Body,
) -> Result<Response, Failure> {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    let content = body(&net, content).await?;
    let malformed = |error: serde_json::Error| CallError::bad_request(format!("this is no RunAgentInput: {error}"));
    let input: Input = serde_json::from_slice(&content).map_err(malformed)?;
    if input.thread_id.len() > 200 || input.run_id.len() > 200 {
        return Err(CallError::bad_request("threadId and runId have at most 200 bytes").into());
    }
    let props: Props = match &input.forwarded_props {
        Value::Null => Props::default(),
        props => serde_json::from_value(props.clone()).map_err(malformed)?,
    };
    let id = ProjectId::new(&project)
        .map_err(|_| CallError::not_found("project", project.chars().take(64).collect::<String>()))?;
    caller.check_project(&id)?;
    let run = match (props.run, props.workflow) {
        (Some(run), None) => attach(&net, &caller, &id, run).await?,
        (None, Some(workflow)) => {
            if caller.role < Role::Operator {
                let text = "starting a run needs the role operator; a viewer can attach to one";
                return Err(CallError::new(ErrorCode::Forbidden, text).into());
            }
            net.host.start_with_goal(&caller, &id, &workflow, props.inputs, goal(&input.messages)).await?
        }
        _ => {
            return Err(CallError::bad_request(
                "forwardedProps names either a workflow to start, or a run to attach to",
            )
            .hint("agent.runAgent({ forwardedProps: { workflow: \"name\" } })")
            .into());
        }
    };
    let registration = Registration {
        transport: Transport::Sse,
        member: caller.member.clone(),
        member_name: caller.actor.to_string(),
        client: "ag-ui".into(),
        instance: None,
        address: Some(peer.0.to_string()),
        now: net.host.clock().now(),
    };
    let listed = net.host.admit(&caller, registration).await.map_err(|refused| match refused {
        NotAdmitted::Full(_) => CallError::new(ErrorCode::TooManyRequests, "too many connections"),
        NotAdmitted::Changed => CallError::new(ErrorCode::Unauthorized, "your rights here have just changed"),
    })?;
    net.host.metrics().accepted("sse");
    let rooms = [Room::Project(id), Room::Run(run.clone())].map(RoomFilter::One);
    *listed.rooms.lock().unwrap_or_else(|e| e.into_inner()) =
        (rooms.iter().map(ToString::to_string).collect(), "snapshot");
    net.host.follow(&caller, &listed, rooms.to_vec());
    let mut session = net.host.session(caller);
    let joined = |error: signalbox_stream::SessionError| CallError::new(ErrorCode::Unavailable, error.to_string());
    // The project from here on, and then the run as it is: what is in both is told once.
    let [project, of_run] = rooms;
    session.join(None, vec![project], Some(net.host.store().cursor())).await.map_err(joined)?;
    session.join(None, vec![of_run], None).await.map_err(joined)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let encoder = Encoder::new(input.thread_id, input.run_id, run);
    tokio::spawn(serve(Arc::clone(&net), session, listed, encoder, sender));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (Ok::<Bytes, Infallible>(bytes), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// A run of this project that the caller may see.
async fn attach(net: &Net, caller: &Caller, project: &ProjectId, run: RunId) -> Result<RunId, CallError> {
    let params = serde_json::value::to_raw_value(&json!({ "run": run })).ok();
    let found = net.host.call(caller, "run.get", params.as_deref()).await?;
    let found: Value = serde_json::from_str(found.get()).unwrap_or_default();
    if found["run"]["project"] == project.as_str() { Ok(run) } else { Err(CallError::not_found("run", run)) }
}

fn message(event: &Value) -> Bytes {
    Bytes::from(format!("data: {event}\n\n"))
}

/// Everything until the run ends, the page goes, or the host stops.
async fn serve(net: Arc<Net>, mut session: Session, listed: Listed, mut encoder: Encoder, out: mpsc::Sender<Bytes>) {
    let ping = std::time::Duration::from_millis(net.host.settings().limits.ping_ms.max(1));
    loop {
        let events = tokio::select! {
            batch = session.next(BATCH) => match batch {
                Ok(batch) => {
                    let bytes = batch.bytes() as u64;
                    listed.count(batch.events, bytes);
                    net.host.metrics().sent(batch.events, bytes);
                    batch.frames.iter().flat_map(|frame| encoder.take(frame)).collect()
                }
                Err(error) => encoder.fail("unavailable", &error.to_string()),
            },
            // A page cannot see that a body ended early: it is told.
            _ = listed.closed() => encoder.fail("closed", "the host closed this stream; attach to the run again"),
            () = tokio::time::sleep(ping) => {
                if out.send(Bytes::from_static(b": ping\n\n")).await.is_err() {
                    return;
                }
                continue;
            }
            () = out.closed() => return,
        };
        for event in events {
            // Rights that were taken away count before what waits.
            if listed.is_sealed() || out.send(message(&event)).await.is_err() {
                return;
            }
        }
        if encoder.is_over() {
            return;
        }
    }
}
