//! The host: everything behind the one list of methods.
//!
//! It knows nothing of transports: `signalbox-net` serves it over HTTP and WebSocket, the desktop
//! app over IPC, the CLI from within its own process. All of them hold a [`Host`], which is cheap
//! to clone, and speak for a [`signalbox_wire::Caller`].

mod agents;
mod audit;
mod auth;
pub mod discovery;
mod events;
mod execute;
mod expressions;
mod files;
mod handlers;
mod host;
mod ids;
mod invites;
mod jwt;
pub mod keychain;
mod logs;
mod members;
pub mod metrics;
mod names;
mod plan;
mod planless;
pub mod private;
mod projects;
pub mod proxies;
mod publish;
pub mod quiet;
pub mod rehearsal;
mod runtime;
mod schemas;
mod script;
pub mod secrets;
pub mod settings;
mod sharing;
mod starts;
mod system;
mod team;
mod timers;
pub mod webhooks;
mod workflows;

pub use self::agents::{
    catalogue::{agents, capabilities},
    tools::{AgentTools, ToolInfo},
};
pub use auth::{AuthError, LOCAL_MEMBER};
pub use host::{Host, HostError, HostFile, HostOptions};
pub use invites::Joining;
pub use jwt::JwtError;
pub use members::NotAdmitted;
pub use settings::{Settings, SettingsError};
pub use sharing::{Listener, Pending, Shared};
pub use workflows::broken_schemas;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
