//! Webhooks that others call. What they say is signed, so they need no token.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use signalbox_host::webhooks::Incoming;
use signalbox_model::MemberId;
use signalbox_wire::ErrorCode;
use std::time::Instant;

use crate::{
    guard,
    http::{Failure, Peer, Shared, body, json_response},
};

fn text(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

pub(crate) async fn take(
    State(net): Shared,
    Extension(Peer(peer)): Extension<Peer>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
    content: Body,
) -> Result<Response, Failure> {
    guard::refuse_token_in_url(&uri)?;
    // Who guesses signatures waits longer and longer, as who guesses login codes does.
    net.logins.check(peer.ip(), Instant::now())?;
    let incoming = Incoming {
        hub_signature: text(&headers, &["x-hub-signature-256"]),
        signature: text(&headers, &["x-signalbox-signature"]),
        delivery: text(&headers, &["x-signalbox-delivery", "x-github-delivery", "idempotency-key"]),
        signed_delivery: text(&headers, &["x-signalbox-delivery"]),
        event: text(&headers, &["x-signalbox-event", "x-github-event"]),
        body: body(&net, content).await?.to_vec(),
    };
    if let Ok(member) = MemberId::new("m_incominghooks") {
        net.calls.take(&member, Instant::now())?;
    }
    match net.host.take_hook(&project, &name, incoming).await {
        Ok(received) => Ok(json_response(StatusCode::OK, &received)),
        Err(error) => {
            if error.code == ErrorCode::Unauthorized {
                net.logins.failed(peer.ip(), Instant::now());
                net.host.metrics().refused();
            }
            Err(error.into())
        }
    }
}
