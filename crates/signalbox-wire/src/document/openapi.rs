//! The HTTP interface as an OpenAPI 3.1 document, exact enough that a program can hold the host to it.

use serde_json::{Map, Value, json};

use super::{HttpRoute, ROUTES, generator};
use crate::{CallError, method};

/// The statuses that a method can have besides 200. All of them have an error as their body.
const ERRORS: [(&str, &str); 10] = [
    ("400", "malformed"),
    ("401", "no token, or a wrong one"),
    ("403", "not allowed"),
    ("404", "no such thing"),
    ("405", "this path does not know that method"),
    ("409", "it clashes with the present state"),
    ("413", "too large"),
    ("415", "the body is compressed"),
    ("429", "too many calls"),
    ("503", "not now; nothing was done"),
];

fn content(media_type: &str, schema: &Value) -> Value {
    json!({ media_type: { "schema": schema } })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// The same, of which more may come to be known.
fn open_object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// What a path that is no method gives, and takes.
struct Shape {
    /// Status, media type and schema of what it gives.
    replies: Vec<(&'static str, &'static str, Value)>,
    /// The schema of what it takes, as JSON.
    takes: Option<Value>,
    /// Names of its query's parameters, and whether they are needed.
    query: &'static [(&'static str, bool, &'static str)],
}

impl Shape {
    fn gives(media_type: &'static str, schema: Value) -> Self {
        Self { replies: vec![("200", media_type, schema)], takes: None, query: &[] }
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn shape(route: &HttpRoute) -> Shape {
    const PLAIN: &str = "text/plain";
    const JSON: &str = "application/json";
    let member =
        || json!({ "member": text(), "member_name": text(), "role": { "enum": ["viewer", "operator", "owner"] } });
    let who = || open_object(&["member", "member_name", "role"], member());
    match route.path {
        "/healthz" => Shape::gives(PLAIN, text()),
        "/readyz" => Shape { replies: vec![("200", PLAIN, text()), ("503", PLAIN, text())], takes: None, query: &[] },
        "/metrics" => Shape::gives(PLAIN, text()),
        "/api/v1/health" => {
            let health = open_object(
                &["status", "version", "started_at", "services", "connections", "log"],
                json!({ "status": { "enum": ["ok", "degraded", "down"] }, "version": text() }),
            );
            Shape { replies: vec![("200", JSON, health.clone()), ("503", JSON, health)], takes: None, query: &[] }
        }
        "/api/v1/login" => {
            Shape { takes: Some(object(&["code"], json!({ "code": text() }))), ..Shape::gives(JSON, who()) }
        }
        "/api/v1/join" => {
            let device = json!({ "type": ["string", "null"] });
            let takes = json!({ "code": text(), "name": text(), "device": device, "session": { "type": "boolean" } });
            Shape { takes: Some(object(&["code", "name"], takes)), ..Shape::gives(JSON, who()) }
        }
        "/api/v1/session" => Shape::gives(JSON, who()),
        "/api/v1/events" => Shape {
            query: &[("rooms", true, "The rooms, with commas between."), ("after", false, "After this cursor.")],
            ..Shape::gives("text/event-stream", text())
        },
        "/api/v1/projects/{project}/events" => {
            Shape { query: &[("after", false, "After this cursor.")], ..Shape::gives("text/event-stream", text()) }
        }
        "/api/v1/blobs/{hash}" => {
            Shape::gives("application/octet-stream", json!({ "type": "string", "format": "binary" }))
        }
        "/api/v1/agui/{project}" => {
            let takes = open_object(&["threadId", "runId"], json!({ "threadId": text(), "runId": text() }));
            Shape { takes: Some(takes), ..Shape::gives("text/event-stream", text()) }
        }
        // As JSON-RPC has it: the protocol's own schema says more.
        "/mcp" => Shape { takes: Some(open_object(&[], json!({}))), ..Shape::gives(JSON, open_object(&[], json!({}))) },
        "/api/v1/hooks/{project}/{name}" => {
            Shape { takes: Some(json!(true)), ..Shape::gives(JSON, open_object(&[], json!({}))) }
        }
        _ => Shape::gives(JSON, open_object(&[], json!({}))),
    }
}

fn operation(route: &HttpRoute, errors: Map<String, Value>) -> Value {
    let mut responses = errors;
    let socket = route.path.ends_with("/ws");
    if socket {
        responses.insert("101".into(), json!({ "description": "a WebSocket from here on" }));
        let error = responses.get("400").cloned().unwrap_or_default();
        responses.insert("426".into(), error);
    }
    let shape = shape(route);
    for (status, media_type, schema) in shape.replies.into_iter().filter(|_| !socket) {
        let description = if status == "200" { "done" } else { "not now" };
        responses.insert(status.into(), json!({ "description": description, "content": content(media_type, &schema) }));
    }
    let path = route.path.split(['{', '}']).skip(1).step_by(2);
    let path = path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() }));
    let query = shape.query.iter().map(|(name, required, doc)| {
        json!({ "name": name, "in": "query", "required": required, "description": doc, "schema": text() })
    });
    let mut operation = json!({
        "summary": route.doc,
        "parameters": path.chain(query).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(schema) = shape.takes {
        operation["requestBody"] = json!({ "required": true, "content": content("application/json", &schema) });
    }
    if route.role.is_none() {
        operation["security"] = json!([]);
    }
    operation
}

/// Whether a method has parameters that must be there; else the body may be absent.
fn needs_params(method: &str) -> bool {
    let Some(schema) = super::schema(&format!("{method}.params")) else { return true };
    let named = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    let of = named.map_or(&schema, |name| &schema["$defs"][name]);
    of["required"].as_array().is_some_and(|names| !names.is_empty())
}

/// The HTTP interface as an OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> Value {
    let mut generator = generator("/components/schemas");
    let error = generator.subschema_for::<CallError>().to_value();
    let error = object(&["error"], json!({ "error": error }));
    let errors: Map<String, Value> = ERRORS
        .iter()
        .map(|(status, text)| {
            let failed = json!({ "description": text, "content": content("application/json", &error) });
            ((*status).to_owned(), failed)
        })
        .collect();
    let mut paths = Map::new();
    for info in method::list() {
        let mut responses = errors.clone();
        let reply = (info.reply_schema)(&mut generator).to_value();
        responses
            .insert("200".into(), json!({ "description": "done", "content": content("application/json", &reply) }));
        let params = (info.params_schema)(&mut generator).to_value();
        let mut operation = json!({
            "operationId": info.name,
            "summary": info.doc,
            "description": format!("Least role: {}.", format!("{:?}", info.role).to_lowercase()),
            "requestBody": { "required": needs_params(info.name), "content": content("application/json", &params) },
            "responses": responses,
        });
        if info.writes {
            operation["parameters"] = json!([{
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same key twice is done once, and answered alike.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 100 },
            }]);
        }
        paths.insert(format!("/api/v1/call/{}", info.name), json!({ "post": operation }));
    }
    for route in ROUTES.iter().filter(|route| route.path != "/api/v1/call/{method}") {
        let entry = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        entry[route.method.to_lowercase()] = operation(route, errors.clone());
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Signalbox", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0 OR MIT" } },
        "security": [{ "bearer": [] }, { "cookie": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "signalbox_session" },
            },
        },
    })
}
