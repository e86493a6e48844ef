//! The protocol: what travels between a host and its clients, on every transport.
//!
//! IPC, WebSocket and HTTP carry the same [frames](frame) and the same [methods](method). Both are
//! declared once, here; routers, the TypeScript types of the UI, the JSON Schemas, the OpenAPI
//! and the AsyncAPI document are derived from them.

pub mod close;
pub mod document;
pub mod error;
pub mod frame;
pub mod method;
pub mod snapshot;
pub mod typescript;

pub use close::CloseCode;
pub use error::{CallError, ErrorCode};
pub use frame::{CallFrame, ClientFrame, ClientInfo, Hello, HostFrame, Limits, SubscribeMode};
pub use method::{Caller, Handlers, MethodInfo, dispatch};

/// The version of the frame protocol that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The WebSocket subprotocol (RFC 6455, section 1.9).
pub const SUBPROTOCOL: &str = "signalbox.v1";
