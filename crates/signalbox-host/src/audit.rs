//! Who did what, when and from where: every call that changes something, and everybody who came in or was refused.

use signalbox_model::{Member, ProjectId};
use signalbox_store::{Audit, Batch, TokenChange};
use signalbox_wire::{
    CallError, Caller,
    method::{self, AuditEntry, AuditList, AuditPage},
};

use crate::{
    Host,
    handlers::{Reply, bounded},
};

/// What is taken from the parameters of a call: names of things. Nothing here is ever a secret.
const TARGETS: &[&str] = &[
    "run",
    "step",
    "approval",
    "permission",
    "member",
    "invite",
    "workflow",
    "connection",
    "branch",
    "agent",
    "risk",
    "name",
    "role",
    "scope",
    "decision",
    "path",
];
/// Bytes of one of these, and of all together.
const VALUE: usize = 120;
const TARGET: usize = 300;

fn outcome<T>(result: &Result<T, CallError>) -> String {
    result.as_ref().err().map_or("ok", |error| error.code.as_str()).to_owned()
}

fn short(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn target(params: Option<&serde_json::value::RawValue>) -> (Option<ProjectId>, Option<String>) {
    let Some(serde_json::Value::Object(fields)) = params.and_then(|text| serde_json::from_str(text.get()).ok()) else {
        return (None, None);
    };
    let project = fields.get("project").and_then(|id| id.as_str()).and_then(|id| ProjectId::new(id).ok());
    let mut text = String::new();
    for name in TARGETS {
        let value = match fields.get(*name) {
            Some(serde_json::Value::String(value)) => short(value, VALUE).to_owned(),
            Some(serde_json::Value::Number(value)) => value.to_string(),
            _ => continue,
        };
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        let space = if text.is_empty() { "" } else { " " };
        if text.len() + space.len() + name.len() + 1 + value.len() <= TARGET {
            text.push_str(&format!("{space}{name}={value}"));
        }
    }
    (project, Some(text).filter(|text| !text.is_empty()))
}

impl Host {
    async fn note(&self, entry: Audit) {
        let tokens = vec![TokenChange::Audit(Box::new(entry))];
        if let Err(error) = self.inner.store.append(Batch { tokens, ..Batch::default() }).await {
            tracing::warn!(%error, "an entry of the audit list could not be stored");
        }
    }

    /// Notes a call that changes something.
    pub(crate) async fn note_call<T>(
        &self,
        caller: &Caller,
        name: &str,
        params: Option<&serde_json::value::RawValue>,
        result: &Result<T, CallError>,
    ) {
        // An event is a record of itself, and that somebody has read something is nobody else's business.
        const UNNOTED: [&str; 5] = ["event.publish", "event.publish_many", "mark.set", "profile.update", "notice.read"];
        if !method::writes(name) || UNNOTED.contains(&name) {
            return;
        }
        let (project, target) = target(params);
        // Boxed: few calls are noted, and all would wait in futures that have room for it.
        Box::pin(self.note(Audit {
            member: Some(caller.member.clone()),
            name: Some(caller.actor.to_string()),
            method: name.to_owned(),
            project,
            target,
            outcome: outcome(result),
            address: caller.address.as_deref().map(str::to_owned),
        }))
        .await;
    }

    /// Notes that somebody came in (`login`, `join`), or tried to, or that a token was refused (`token.refused`).
    pub async fn note_entry<T>(&self, what: &str, result: &Result<T, CallError>, who: Option<&Member>, address: &str) {
        self.note(Audit {
            member: who.map(|member| member.id.clone()),
            name: who.map(|member| member.name.clone()),
            method: what.to_owned(),
            project: None,
            target: None,
            outcome: outcome(result),
            address: Some(short(address, VALUE).to_owned()),
        })
        .await;
    }

    pub(crate) fn list_audit(&self, caller: &Caller, params: &AuditList) -> Reply<AuditPage> {
        let limit = bounded(params.limit, 100, 500)?;
        match &params.project {
            Some(project) => drop(self.project(caller, project)?),
            None if !caller.projects.is_empty() => {
                return Err(CallError::bad_request("name a project: this token is for some of them"));
            }
            None => {}
        }
        let found = self
            .read(|reader| reader.audit(params.before, params.member.as_ref(), params.project.as_ref(), limit + 1))?;
        let more = found.len() > limit;
        let entries = found.into_iter().take(limit).map(|entry| AuditEntry {
            id: entry.id,
            at: entry.at,
            member: entry.what.member,
            name: entry.what.name,
            method: entry.what.method,
            project: entry.what.project,
            target: entry.what.target,
            outcome: entry.what.outcome,
            address: entry.what.address,
        });
        Ok(AuditPage { entries: entries.collect(), more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_things_are_noted() {
        let params = serde_json::json!({
            "project": "shop", "run": "r_12345678", "name": "KEY\n", "value": "s3cret", "token": "s3cret", "code": "s3cret",
            "form": { "text": "s3cret" }, "inputs": { "run": "s3cret" }, "text": "s3cret", "ttl_ms": 5, "connection": 7
        });
        let params = serde_json::value::to_raw_value(&params).unwrap();
        let (project, text) = target(Some(&params));
        assert_eq!(project.unwrap().as_str(), "shop");
        assert_eq!(text.unwrap(), "run=r_12345678 connection=7 name=KEY");
        assert_eq!(target(None), (None, None));
    }

    #[test]
    fn a_long_value_is_cut_between_letters() {
        assert_eq!(short(&"ü".repeat(100), 7), "üüü");
    }
}
