//! The host over the network: HTTP, WebSocket and server-sent events.
//!
//! Loopback is not trusted: `Host` and `Origin` are checked on every request, and a token on every
//! path but the few that say so in [`signalbox_wire::document::ROUTES`]. Tokens never travel in a URL.

mod assets;
mod guard;
mod http;
mod mcp;
mod rate;
mod server;
mod sse;
mod websocket;
mod wire;

pub use assets::Assets;
pub use server::{Listening, NetError, listen};
