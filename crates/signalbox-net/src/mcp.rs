//! Signalbox's own MCP server, for the agents of its steps (Model Context Protocol, streamable HTTP).
//!
//! Each session of an agent has a token of its own that opens nothing else, and that ends with it. There is no session on
//! this side: every request carries the token, so nothing has to be kept or cleaned up.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::Response,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use signalbox_host::{AgentTools, VERSION};
use signalbox_wire::{CallError, ErrorCode};

use crate::http::{Failure, Shared};

/// Largest request of an agent, in bytes.
const REQUEST: usize = 1024 * 1024;

const INSTRUCTIONS: &str = "You work for a step of a Signalbox workflow. People watch it live. Report progress now and then; \
    ask a person only what you cannot find out yourself; raise what may go wrong as a risk; deliver files that people \
    should read.";

struct Server(Arc<AgentTools>);

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("signalbox", VERSION))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.list().into_iter().map(|tool| {
            let schema = tool.schema.as_object().cloned().unwrap_or_default();
            Tool::new(tool.name, tool.about, schema)
        });
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = serde_json::Value::Object(request.arguments.unwrap_or_default());
        // What is wrong is for the model to read and mend: an error of the tool, not of the protocol.
        let result = match self.0.call(&request.name, arguments).await {
            Ok(value) => CallToolResult::success(vec![ContentBlock::text(value.to_string())]),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        };
        Ok(result.into())
    }
}

pub(crate) async fn serve(State(net): Shared, request: Request) -> Result<Response, Failure> {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    let tools = token.and_then(|token| net.host.agent_tools(token)).ok_or_else(|| {
        net.host.metrics().refused();
        let message = "this path is for the agents of running steps, each with a token of its own";
        CallError::new(ErrorCode::Unauthorized, message)
    })?;
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = REQUEST;
    // `Host` and `Origin` are checked before every path.
    let config = config.disable_allowed_hosts();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(Server(Arc::clone(&tools))), sessions, config);
    let response = service.handle(request).await;
    Ok(response.map(Body::new))
}
