//! Whose notification it is: the host of this computer, or one that was joined.

use serde::de::DeserializeOwned;
use serde_json::{Value, value::to_raw_value};
use signalbox_client::Client;
use signalbox_host::Host;
use signalbox_wire::{CallError, ErrorCode};

/// A host that tells something.
#[derive(Clone)]
pub(crate) enum Source {
    /// The one of this computer.
    Own(Host),
    /// One that was joined.
    Joined {
        /// Its address, by which the window knows it.
        id: String,
        /// What it is called here.
        name: String,
        client: Client,
    },
}

impl Source {
    /// The host for the window; none: this computer's.
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Own(_) => None,
            Self::Joined { id, .. } => Some(id.clone()),
        }
    }

    /// What a notification is headed with.
    pub(super) fn headed(&self, title: &str) -> String {
        match self {
            Self::Own(_) => format!("Signalbox: {title}"),
            Self::Joined { name, .. } => format!("Signalbox ({name}): {title}"),
        }
    }

    /// Calls a method there, as its owner or as the member that this desktop is.
    pub(super) async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, CallError> {
        let odd = |error: serde_json::Error| CallError::new(ErrorCode::Internal, error.to_string());
        match self {
            Self::Own(host) => {
                let params = to_raw_value(&params).map_err(odd)?;
                let reply = host.call(&host.owner(), method, Some(&params)).await?;
                serde_json::from_str(reply.get()).map_err(odd)
            }
            Self::Joined { client, .. } => client.get(method, params).await,
        }
    }
}
