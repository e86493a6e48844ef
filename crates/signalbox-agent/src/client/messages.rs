//! The frames that we send, made of the official types: the one place that knows them.
//!
//! Only messages are taken from the protocol's crate here, not its connection: that has queues without a bound, drops what
//! it does not know, and fails a turn whose reason to stop is new. (The rehearsal agent speaks through that connection,
//! so each of these frames is also read by it.)

use std::path::Path;

use agent_client_protocol::{
    schema::ProtocolVersion,
    v1::schema::{
        AGENT_METHOD_NAMES, AuthenticateRequest, CLIENT_METHOD_NAMES, CancelNotification, ClientCapabilities,
        ClientMethodNames, CloseSessionRequest, ContentBlock, FileSystemCapabilities, HttpHeader, Implementation,
        InitializeRequest, LoadSessionRequest, McpServer as Server, McpServerHttp, NewSessionRequest, PromptRequest,
        RequestPermissionOutcome, RequestPermissionResponse, ResumeSessionRequest, SelectedPermissionOutcome,
        SetSessionConfigOptionRequest, SetSessionModeRequest, TextContent,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{McpServer, Offers};
use crate::update::Outcome;

/// The version that is asked for, and the only one that is taken.
pub(super) const VERSION: u64 = 1;

/// What the protocol calls the requests of an agent.
pub(super) const CLIENT_METHODS: ClientMethodNames = CLIENT_METHOD_NAMES;

/// A request without its id.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    params: Value,
}

impl Request {
    fn new(method: &'static str, params: &impl Serialize) -> Self {
        Self { method, params: value(params) }
    }

    /// As a line, without its end.
    pub(super) fn line(&self, id: u64) -> String {
        json!({"jsonrpc": "2.0", "id": id, "method": self.method, "params": self.params}).to_string()
    }
}

/// None of the types can fail to be written: their keys are texts.
fn value(message: &impl Serialize) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}

pub(super) fn initialize(offers: Offers) -> Request {
    let files = FileSystemCapabilities::new().read_text_file(offers.read).write_text_file(offers.write);
    let capabilities = ClientCapabilities::new().fs(files).terminal(offers.terminals);
    let us = Implementation::new("signalbox", env!("CARGO_PKG_VERSION")).title("Signalbox".to_owned());
    let request = InitializeRequest::new(ProtocolVersion::V1).client_capabilities(capabilities).client_info(us);
    Request::new(AGENT_METHOD_NAMES.initialize, &request)
}

pub(super) fn authenticate(method: &str) -> Request {
    Request::new(AGENT_METHOD_NAMES.authenticate, &AuthenticateRequest::new(method.to_owned()))
}

fn servers(servers: &[McpServer]) -> Vec<Server> {
    let http = servers.iter().map(|server| {
        let headers = server.headers.iter().map(|(name, value)| HttpHeader::new(name, value)).collect();
        Server::Http(McpServerHttp::new(&server.name, &server.url).headers(headers))
    });
    http.collect()
}

pub(super) fn new_session(folder: &Path, mcp: &[McpServer]) -> Request {
    Request::new(AGENT_METHOD_NAMES.session_new, &NewSessionRequest::new(folder).mcp_servers(servers(mcp)))
}

pub(super) fn load_session(session: &str, folder: &Path, mcp: &[McpServer]) -> Request {
    let request = LoadSessionRequest::new(session.to_owned(), folder).mcp_servers(servers(mcp));
    Request::new(AGENT_METHOD_NAMES.session_load, &request)
}

pub(super) fn resume_session(session: &str, folder: &Path, mcp: &[McpServer]) -> Request {
    let request = ResumeSessionRequest::new(session.to_owned(), folder).mcp_servers(servers(mcp));
    Request::new(AGENT_METHOD_NAMES.session_resume, &request)
}

pub(super) fn close_session(session: &str) -> Request {
    Request::new(AGENT_METHOD_NAMES.session_close, &CloseSessionRequest::new(session.to_owned()))
}

pub(super) fn set_mode(session: &str, mode: &str) -> Request {
    let request = SetSessionModeRequest::new(session.to_owned(), mode.to_owned());
    Request::new(AGENT_METHOD_NAMES.session_set_mode, &request)
}

pub(super) fn set_model(session: &str, model: &str) -> Request {
    // Never a part of the stable version, but how several agents do it.
    Request::new("session/set_model", &json!({"sessionId": session, "modelId": model}))
}

pub(super) fn set_option(session: &str, option: &str, choice: &str) -> Request {
    let request = SetSessionConfigOptionRequest::new(session.to_owned(), option.to_owned(), choice);
    Request::new(AGENT_METHOD_NAMES.session_set_config_option, &request)
}

pub(super) fn prompt(session: &str, text: &str) -> Request {
    let content = vec![ContentBlock::Text(TextContent::new(text))];
    Request::new(AGENT_METHOD_NAMES.session_prompt, &PromptRequest::new(session.to_owned(), content))
}

pub(super) fn cancel(session: &str) -> String {
    let params = value(&CancelNotification::new(session.to_owned()));
    json!({"jsonrpc": "2.0", "method": AGENT_METHOD_NAMES.session_cancel, "params": params}).to_string()
}

pub(super) fn answer(request: &Value, outcome: &Outcome) -> String {
    let outcome = match outcome {
        Outcome::Selected(option) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.clone())),
        Outcome::Cancelled => RequestPermissionOutcome::Cancelled,
    };
    json!({"jsonrpc": "2.0", "id": request, "result": value(&RequestPermissionResponse::new(outcome))}).to_string()
}

pub(super) fn not_offered(request: &Value, method: &str) -> String {
    // JSON-RPC 2.0, section 5.1.
    let error = json!({"code": -32601, "message": format!("Method not found: {method}")});
    json!({"jsonrpc": "2.0", "id": request, "error": error}).to_string()
}
