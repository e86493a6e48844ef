//! The host over the network: HTTP, WebSocket and server-sent events.
//!
//! There are two listeners: one in the clear for this machine, and one over TLS that is open while the host is shared.
//! Loopback is not trusted: `Host` and `Origin` are checked on every request, and a token on every
//! path but the few that say so in [`signalbox_wire::document::ROUTES`]. Tokens never travel in a URL.

mod agui;
mod ahead;
mod assets;
mod guard;
mod hooks;
mod http;
mod join;
mod joins;
mod mcp;
mod rate;
mod secret;
mod server;
mod share;
mod sse;
mod tls;
mod websocket;
mod wire;

pub use assets::Assets;
pub use server::{Front, Listening, NetError, listen};
