//! Fan-out: every subscriber is a cursor over the log.
//!
//! The webview, a WebSocket, an SSE response: each is a [`Session`], which hands out frames in order
//! from the [`Hub`]'s ring of recent events, and from the log when it has fallen behind the ring.
//! Nobody has a queue of events. A session that is never asked costs its cursor and nothing else.
//!
//! A session promises: events of its rooms come in `seq` order, none missing and none twice, and
//! `synced` comes only when the view is complete.

mod bell;
mod connection;
mod fanout;
mod feed;
mod hub;
mod lookup;
mod mailbox;
mod outlet;
pub mod presence;
mod session;
mod snapshot;
mod sync;

pub use connection::{Connection, Connections, Listed, Refused, Registration, Sent, Transport};
pub use fanout::{Fanout, Framing, OnSent};
pub use feed::{Feed, FeedError};
pub use hub::Hub;
pub use mailbox::{Mailbox, Topic};
pub use outlet::{Outlet, Pipe};
pub use presence::Presence;
pub use session::{Batch, Session, SessionError};
pub use snapshot::snapshot;
