//! JSON Schemas, the OpenAPI and the AsyncAPI document, all from the Rust types.

mod openapi;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use signalbox_model::{EventData, Role};

pub use openapi::openapi;

use crate::{
    CallError, ClientFrame, HostFrame, PROTOCOL_VERSION, SUBPROTOCOL,
    method::{self, Route},
};

/// An HTTP path.
#[derive(Debug, Clone, Copy)]
pub struct HttpRoute {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Its pattern, with `{name}` for parameters.
    pub path: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The least role; none: no token is needed.
    pub role: Option<Role>,
}

impl HttpRoute {
    /// As `system.routes` gives it.
    #[must_use]
    pub fn to_route(&self) -> Route {
        Route { method: self.method.into(), path: self.path.into(), doc: self.doc.into(), role: self.role }
    }
}

const fn route(method: &'static str, path: &'static str, doc: &'static str, role: Option<Role>) -> HttpRoute {
    HttpRoute { method, path, doc, role }
}

const VIEWER: Option<Role> = Some(Role::Viewer);

/// Every HTTP path that a host serves.
pub const ROUTES: &[HttpRoute] = &[
    route("GET", "/healthz", "Whether the process is alive.", None),
    route("GET", "/readyz", "Whether the host can store events.", None),
    route("GET", "/metrics", "Prometheus text; with an owner's token.", Some(Role::Owner)),
    route("GET", "/api/v1/health", "Status, version and the health of each service.", VIEWER),
    route("GET", "/api/v1/session", "Who the token or the cookie says it is.", VIEWER),
    route("POST", "/api/v1/login", "Exchanges a one-time login code for a session cookie.", None),
    route("POST", "/api/v1/join", "Exchanges an invitation's code for a member: a session cookie, or a token.", None),
    route("POST", "/api/v1/logout", "Ends the session of the cookie.", VIEWER),
    route("GET", "/api/v1/ws", "The full protocol over WebSocket.", VIEWER),
    route("GET", "/api/v1/projects/{project}/ws", "One project over WebSocket, without a hello.", VIEWER),
    route("GET", "/api/v1/events", "Server-sent events of `rooms`, from `Last-Event-ID` or `after`.", VIEWER),
    route("GET", "/api/v1/projects/{project}/events", "Server-sent events of one project and its runs.", VIEWER),
    route("POST", "/api/v1/call/{method}", "Calls a method.", VIEWER),
    route("GET", "/api/v1/blobs/{hash}", "Content that an event or a step of a visible project refers to.", VIEWER),
    route("GET", "/api/v1/openapi.json", "This interface (OpenAPI 3.1).", VIEWER),
    route("GET", "/api/v1/asyncapi.json", "The frames (AsyncAPI 3.0).", VIEWER),
    route(
        "GET",
        "/api/v1/schemas/{name}",
        "A JSON Schema: of an event type, a frame, or a method's parameters or reply.",
        VIEWER,
    ),
    route("POST", "/api/v1/agui/{project}", "AG-UI: starts a run, or attaches to one, and streams it.", VIEWER),
    route(
        "POST",
        "/api/v1/hooks/{project}/{name}",
        "Takes a webhook that is signed with the project's secret: an event, and the runs that wait for it.",
        None,
    ),
    route(
        "POST",
        "/mcp",
        "MCP server for the agents of running steps; with the token of an agent's session only.",
        None,
    ),
];

fn generator(definitions: &str) -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = definitions.to_owned().into())
        .into_generator()
}

/// The JSON Schema called `name`: an event type, `client-frame`, `host-frame`, `call-error`, `<method>.params` or
/// `<method>.reply`. None if there is no such.
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let mut generator = generator("/$defs");
    let schema = match name {
        "client-frame" => generator.subschema_for::<ClientFrame>(),
        "host-frame" => generator.subschema_for::<HostFrame>(),
        "call-error" => generator.subschema_for::<CallError>(),
        name => match EventData::schemas(&mut generator).into_iter().find(|(kind, _)| *kind == name) {
            Some((_, schema)) => schema,
            None => {
                let list = method::list();
                let find = |suffix: &str| {
                    let name = name.strip_suffix(suffix)?;
                    list.iter().find(|info| info.name == name)
                };
                if let Some(info) = find(".params") {
                    (info.params_schema)(&mut generator)
                } else {
                    (find(".reply")?.reply_schema)(&mut generator)
                }
            }
        },
    };
    let mut value = schema.to_value();
    if let Value::Object(fields) = &mut value {
        fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("$defs".into(), Value::Object(generator.take_definitions(true)));
    }
    Some(value)
}

/// The names that [`schema`] knows.
#[must_use]
pub fn schema_names() -> Vec<String> {
    let mut names: Vec<String> = ["client-frame", "host-frame", "call-error"].map(str::to_owned).to_vec();
    names.extend(EventData::TYPES.iter().map(|name| (*name).to_owned()));
    for info in method::list() {
        names.push(format!("{}.params", info.name));
        names.push(format!("{}.reply", info.name));
    }
    names
}

/// The frames as an AsyncAPI 3.0 document.
#[must_use]
pub fn asyncapi() -> Value {
    let mut generator = generator("/components/schemas");
    let client: Schema = generator.subschema_for::<ClientFrame>();
    let host: Schema = generator.subschema_for::<HostFrame>();
    let mut messages = Map::new();
    messages.insert("client".into(), json!({ "summary": "A client's frame.", "payload": client }));
    messages.insert("host".into(), json!({ "summary": "A host's frame.", "payload": host }));
    for (name, data) in EventData::schemas(&mut generator) {
        let payload = json!({
            "type": "object",
            "required": ["type", "seq", "prev", "cursor", "room", "ts", "actor", "data"],
            "properties": {
                "type": { "const": name }, "seq": { "type": "integer" }, "prev": { "type": "integer" },
                "cursor": { "type": "string" }, "room": { "type": "string" }, "ts": { "type": "integer" },
                "actor": { "type": "string" }, "run": { "type": "string" }, "step": { "type": "string" }, "data": data,
            },
        });
        messages.insert(name.to_owned(), json!({ "summary": format!("The event {name}."), "payload": payload }));
    }
    let names = |of: &mut dyn Iterator<Item = &String>| -> Vec<Value> {
        of.map(|name| json!({ "$ref": format!("#/channels/stream/messages/{name}") })).collect()
    };
    let from_host = names(&mut messages.keys().filter(|name| *name != "client"));
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Signalbox stream", "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Frame protocol {PROTOCOL_VERSION}, subprotocol {SUBPROTOCOL}."),
        },
        "channels": { "stream": { "address": "/api/v1/ws", "messages": messages } },
        "operations": {
            "send": { "action": "receive", "channel": { "$ref": "#/channels/stream" }, "messages": [{ "$ref": "#/channels/stream/messages/client" }] },
            "receive": { "action": "send", "channel": { "$ref": "#/channels/stream" }, "messages": from_host },
        },
        "components": { "schemas": generator.take_definitions(true) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_can_be_had_and_refers_only_to_what_it_holds() {
        for name in schema_names() {
            let schema = schema(&name).unwrap_or_else(|| panic!("no schema {name}"));
            let text = schema.to_string();
            for part in text.split("\"$ref\":\"#/$defs/").skip(1) {
                let target = part.split('"').next().unwrap();
                assert!(schema["$defs"].get(target).is_some(), "{name} refers to {target}");
            }
        }
        let names = schema_names();
        let once: std::collections::HashSet<&String> = names.iter().collect();
        assert!(names.len() > 80 && once.len() == names.len(), "each name is one schema's: {names:?}");
        assert!(schema("nothing").is_none());
    }

    #[test]
    fn the_documents_cover_every_method_and_event() {
        let openapi = openapi();
        for info in method::list() {
            assert!(openapi["paths"].get(format!("/api/v1/call/{}", info.name)).is_some(), "{}", info.name);
        }
        for name in EventData::TYPES {
            assert!(asyncapi()["channels"]["stream"]["messages"].get(name).is_some(), "{name}");
        }
    }
}
