//! `POST /api/v1/join`: an invitation's code becomes a member.

use std::time::Instant;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{StatusCode, Uri},
};
use serde_json::json;
use signalbox_host::Joining;
use signalbox_wire::{CallError, ErrorCode};

use crate::{
    guard,
    http::{Answer, Peer, Shared, body, json_response},
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    code: String,
    name: String,
    device: Option<String>,
    /// A browser's: it gets a cookie that its scripts cannot read, and no token.
    #[serde(default)]
    session: bool,
}

pub(crate) async fn join(State(net): Shared, Extension(peer): Extension<Peer>, uri: Uri, content: Body) -> Answer {
    guard::refuse_token_in_url(&uri)?;
    let address = peer.0.ip();
    net.logins.check(address, Instant::now())?;
    let content = body(&net, content).await?;
    let Join { code, name, device, session } =
        serde_json::from_slice(&content).map_err(|error| CallError::bad_request(error.to_string()))?;
    let result = net.host.join(&Joining { code, name, device }).await;
    net.host.note_entry("join", &result, result.as_ref().ok().map(|(member, _)| member), &peer.address()).await;
    let (member, token) = match result {
        Ok(joined) => joined,
        Err(error) => {
            // A wrong code is a guess; one that is used up is not.
            if error.code == ErrorCode::Unauthorized {
                net.logins.failed(address, Instant::now());
                net.host.metrics().refused();
            }
            return Err(error.into());
        }
    };
    net.logins.succeeded(address);
    let mut who = json!({ "member": member.id, "member_name": member.name, "role": member.role });
    if !member.projects.is_empty() {
        who["projects"] = json!(member.projects);
    }
    if session {
        let mut response = json_response(StatusCode::OK, &who);
        net.set_session(&mut response, &token, 30 * 24 * 3600);
        return Ok(response);
    }
    who["token"] = json!(token);
    Ok(json_response(StatusCode::OK, &who))
}
