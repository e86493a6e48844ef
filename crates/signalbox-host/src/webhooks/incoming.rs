//! Webhooks that others call: what they say becomes an event, and starts the workflows that wait for it.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use signalbox_model::{Actor, MemberId, ProjectId, Role};
use signalbox_wire::{
    CallError, Caller, ErrorCode, Handlers,
    method::{EventPublish, Published, RunStart, RunStarted},
};

use crate::{Host, handlers::Reply, secrets, webhooks::sign, workflows};

/// A call of a webhook, as it came.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    /// `X-Hub-Signature-256`.
    pub hub_signature: Option<String>,
    /// `X-Signalbox-Signature`.
    pub signature: Option<String>,
    /// `X-GitHub-Delivery`, `X-Signalbox-Delivery` or `Idempotency-Key`.
    pub delivery: Option<String>,
    /// `X-Signalbox-Delivery`, which its signature covers.
    pub signed_delivery: Option<String>,
    /// `X-GitHub-Event` or `X-Signalbox-Event`.
    pub event: Option<String>,
    /// The body as it was sent.
    pub body: Vec<u8>,
}

/// What became of a call.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Received {
    /// The event that holds what it said.
    pub event: Published,
    /// Runs that it started.
    pub runs: Vec<RunStarted>,
}

/// The secret of a hook has this name among the project's.
fn secret_name(hook: &str) -> String {
    format!("HOOK_{}", hook.to_ascii_uppercase().replace('-', "_"))
}

fn is_name(hook: &str) -> bool {
    (1..=50).contains(&hook.len())
        && hook.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

impl Host {
    /// Takes a call of the project's hook `name`.
    ///
    /// # Errors
    /// `unauthorized` if there is no such hook or its signature is wrong, in the same words, so that nobody learns of
    /// projects by asking; `conflict` if the project is not trusted or a workflow is broken. Then nothing was done.
    pub async fn take_hook(&self, project: &str, name: &str, incoming: Incoming) -> Reply<Received> {
        let wrong = || {
            CallError::new(
                ErrorCode::Unauthorized,
                "there is no such hook, or its signature is wrong; nothing was done",
            )
            .hint(format!("sign the body with the project's secret {}", secret_name("<name>")))
        };
        let id = ProjectId::new(project).map_err(|_| wrong())?;
        if !is_name(name) {
            return Err(wrong());
        }
        let project = self.read(|reader| reader.project(&id))?.filter(|project| project.open).ok_or_else(wrong)?;
        let secret = secrets::value(&project.path, &secret_name(name)).await.map_err(|error| {
            tracing::debug!(%error, project = %project.id, hook = name, "a hook without a secret was called");
            wrong()
        })?;
        let now = self.inner.clock.now().div_euclid(1000);
        let good = match (&incoming.signature, &incoming.hub_signature) {
            (Some(signature), _) => {
                sign::verify(&secret, signature, incoming.signed_delivery.as_deref(), &incoming.body, now)
            }
            (None, Some(signature)) => sign::verify_hub(&secret, signature, &incoming.body),
            (None, None) => false,
        };
        if !good {
            return Err(wrong());
        }
        if !project.trusted {
            return Err(CallError::conflict("this project is not trusted, so its hooks do nothing; nothing was done")
                .hint("trust it in the app, or with `signalbox call project.trust`"));
        }
        let payload: Value = match std::str::from_utf8(&incoming.body) {
            Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
            Err(_) => return Err(CallError::bad_request("the body is not UTF-8; nothing was done")),
        };
        // Where the signature covers the delivery's id, one that it does not cover is anybody's: the body is the id then.
        let named = if incoming.signature.is_some() { &incoming.signed_delivery } else { &incoming.delivery };
        let delivery = match named {
            Some(id) if (1..=100).contains(&id.len()) && !id.chars().any(char::is_control) => id.clone(),
            Some(_) => return Err(CallError::bad_request("a delivery's id has 1 to 100 bytes; nothing was done")),
            None => fingerprint(&[&incoming.body]),
        };
        self.act_on_hook(&project, name, &incoming, payload, &delivery).await
    }

    async fn act_on_hook(
        &self,
        project: &signalbox_model::Project,
        name: &str,
        incoming: &Incoming,
        payload: Value,
        delivery: &str,
    ) -> Reply<Received> {
        let actor = Actor::new(format!("webhook {name}")).unwrap_or_else(|_| Actor::host());
        // Not a member that anybody can be: only keys are kept for it.
        let member = MemberId::new("m_incominghooks").unwrap_or_else(|_| unreachable!("it is an id"));
        let key = |what: &str| {
            Some(fingerprint(&[project.id.as_str().as_bytes(), name.as_bytes(), delivery.as_bytes(), what.as_bytes()]))
        };
        let caller = |what: &str| {
            let mut caller = self.owner();
            (caller.member, caller.actor, caller.role) = (member.clone(), actor.clone(), Role::Operator);
            (caller.projects, caller.key) = (vec![project.id.clone()], key(what));
            caller
        };
        let can = self.capabilities().await;
        let folder = project.path.clone();
        let listed = tokio::task::spawn_blocking(move || workflows::list(Path::new(&folder), &can))
            .await
            .map_err(|_| CallError::new(ErrorCode::Unavailable, "the host is stopping; nothing was done"))?;
        let waits = |workflow: &&workflows::Workflow| {
            let triggers = workflow.definition.as_ref().and_then(|definition| definition.triggers.as_ref());
            triggers.and_then(|triggers| triggers.webhook.as_ref()).is_some_and(|webhook| webhook.name == name)
        };
        let mut runs = Vec::new();
        for workflow in listed.iter().filter(waits) {
            let caller = caller(&format!("run {}", workflow.name));
            if let Some(started) = self.earlier_run(&caller)? {
                runs.push(started);
                continue;
            }
            let mut inputs = indexmap::IndexMap::new();
            let text = |value: &Option<String>| value.clone().map(Value::String);
            let given = [
                ("payload", Some(Value::String(String::from_utf8_lossy(&incoming.body).into_owned()))),
                ("event", text(&incoming.event)),
                ("delivery", Some(Value::String(delivery.to_owned()))),
            ];
            let declared = workflow.definition.iter().flat_map(|definition| definition.inputs.keys());
            for input in declared {
                if let Some((name, Some(value))) = given.iter().find(|(name, _)| **name == ***input) {
                    inputs.insert((*name).to_owned(), value.clone());
                }
            }
            let params = RunStart { project: project.id.clone(), workflow: workflow.name.clone(), inputs };
            runs.push(self.run_start(&caller, params).await?);
        }
        let kind = format!("x_hook_{}", name.replace('-', "_"));
        let data = serde_json::json!({
            "hook": name, "delivery": delivery, "event": incoming.event, "payload": payload,
            "runs": runs.iter().map(|run| &run.run).collect::<Vec<_>>(),
        });
        let params = EventPublish { project: project.id.clone(), kind, data: data.into(), priority: None, text: None };
        let event = self.event_publish(&caller("event"), params).await?;
        Ok(Received { event, runs })
    }

    /// The run that an earlier call with the same key started.
    fn earlier_run(&self, caller: &Caller) -> Reply<Option<RunStarted>> {
        let Some(key) = &caller.key else { return Ok(None) };
        let reply = self.read(|reader| reader.reply_for_key(&caller.member, key))?;
        Ok(reply.and_then(|reply| serde_json::from_str(&reply).ok()))
    }
}

fn fingerprint(parts: &[&[u8]]) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
