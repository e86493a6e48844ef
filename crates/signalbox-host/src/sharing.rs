//! Whether others can reach this host. The listener itself is `signalbox-net`'s: here is what was wished, kept across
//! restarts, and what became of it.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use serde::{Deserialize, Serialize};
use signalbox_model::UnixMillis;
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{ShareStart, ShareState, Sharing},
};

use crate::{Host, handlers::Reply, private};

/// What a way in for others looks like while it is open.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where it is bound.
    pub address: SocketAddr,
    /// Addresses by which others can reach it, the likeliest first.
    pub urls: Vec<String>,
    /// SHA-256 of the certificate's public key, hexadecimal.
    pub fingerprint: String,
    /// Whether the certificate is one of the owner's.
    pub own_certificate: bool,
    /// Until when it is good.
    pub certificate_expires_at: UnixMillis,
    /// Since when it is open.
    pub since: UnixMillis,
}

/// A future of a [`Listener`].
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens and closes the way in for others.
pub trait Listener: Send + Sync {
    /// Opens it at `address` (port 0: a free one). It is closed when this is called.
    ///
    /// # Errors
    /// `conflict` if the address cannot be had, `unavailable` if the certificate cannot be used. Then it stays closed.
    fn start(&self, address: SocketAddr) -> Pending<'_, Result<(), CallError>>;

    /// Closes it, and the connections that came in by it.
    fn stop(&self) -> Pending<'_, ()>;

    /// What it looks like now; none: it is closed.
    fn status(&self) -> Option<Shared>;
}

/// What `share.json` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    address: SocketAddr,
}

#[derive(Default)]
pub(crate) struct Share {
    listener: OnceLock<Arc<dyn Listener>>,
    /// Why it is not on although it should be.
    failed: Mutex<Option<String>>,
    /// Starts and stops come one at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Share {
    fn failed(&self) -> MutexGuard<'_, Option<String>> {
        self.failed.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn status(&self) -> Option<Shared> {
        self.listener.get()?.status()
    }
}

fn no_listener() -> CallError {
    CallError::new(ErrorCode::Unavailable, "this host has no part that listens; nothing was changed")
}

fn not_kept(error: &std::io::Error) -> CallError {
    CallError::new(
        ErrorCode::Unavailable,
        format!("what is shared cannot be kept in the data folder: {error}; nothing was changed"),
    )
}

impl Host {
    fn share_file(&self) -> PathBuf {
        self.inner.data_dir.join("share.json")
    }

    /// Takes the part that listens for others. Only the first one counts.
    pub fn set_share_listener(&self, listener: Arc<dyn Listener>) {
        self.inner.share.listener.set(listener).ok();
    }

    /// Shares again what was shared when the host last ran. A failure is kept for `share.status`, and logged.
    pub async fn resume_sharing(&self) {
        let Ok(text) = std::fs::read(self.share_file()) else { return };
        let Some(listener) = self.inner.share.listener.get() else { return };
        let _turn = self.inner.share.turn.lock().await;
        if listener.status().is_some() {
            return;
        }
        let result = match serde_json::from_slice::<Wish>(&text) {
            Ok(wish) => listener.start(wish.address).await.map_err(|error| error.message),
            Err(error) => Err(format!("share.json in the data folder is damaged: {error}")),
        };
        if let Err(why) = result {
            tracing::warn!(why, "this host should be shared and is not");
            *self.inner.share.failed() =
                Some(format!("{why}; try again with share.start, or give it up with share.stop"));
        }
    }

    pub(crate) fn share_reply(&self) -> Sharing {
        let share = &self.inner.share;
        match share.status() {
            Some(shared) => Sharing {
                state: ShareState::On,
                urls: shared.urls,
                address: Some(shared.address.to_string()),
                fingerprint: Some(shared.fingerprint),
                own_certificate: Some(shared.own_certificate),
                certificate_expires_at: Some(shared.certificate_expires_at),
                since: Some(shared.since),
                error: None,
            },
            None => {
                let error = share.failed().clone();
                Sharing {
                    state: if error.is_some() { ShareState::Failed } else { ShareState::Off },
                    urls: Vec::new(),
                    address: None,
                    fingerprint: None,
                    own_certificate: None,
                    certificate_expires_at: None,
                    since: None,
                    error,
                }
            }
        }
    }

    pub(crate) async fn start_sharing(&self, caller: &Caller, params: ShareStart) -> Reply<Sharing> {
        check_everywhere(caller)?;
        let settings = &self.inner.settings.share;
        let bind = params.bind.as_deref().unwrap_or(&settings.bind);
        let ip: IpAddr = bind.trim_matches(['[', ']']).parse().map_err(|_| {
            CallError::bad_request(format!("{bind:?} is no address of this machine")).hint("0.0.0.0 is all of them")
        })?;
        let port = match params.port {
            Some(port) => port,
            None => u16::try_from(settings.port).map_err(|_| {
                CallError::bad_request(format!("share.port is {}, it must be 0 to 65535", settings.port))
            })?,
        };
        let share = &self.inner.share;
        let listener = share.listener.get().ok_or_else(no_listener)?;
        let _turn = share.turn.lock().await;
        let wanted = SocketAddr::new(ip, port);
        if let Some(now) = listener.status() {
            let named = params.bind.is_some() || params.port.is_some();
            if !named || now.address == wanted || (port == 0 && now.address.ip() == ip) {
                return Ok(self.share_reply());
            }
            return Err(CallError::conflict(format!("this host is shared on {} already", now.address))
                .hint("stop that first: share.stop"));
        }
        listener.start(wanted).await?;
        // The port that was really taken: links that were given out hold after a restart.
        let address = listener.status().map_or(wanted, |shared| shared.address);
        let kept = serde_json::to_vec(&Wish { address }).map_err(std::io::Error::from);
        if let Err(error) = kept.and_then(|text| private::write(&self.share_file(), &text)) {
            listener.stop().await;
            return Err(not_kept(&error));
        }
        *share.failed() = None;
        Ok(self.share_reply())
    }

    pub(crate) async fn stop_sharing(&self, caller: &Caller) -> Reply<Sharing> {
        check_everywhere(caller)?;
        let share = &self.inner.share;
        let _turn = share.turn.lock().await;
        match std::fs::remove_file(self.share_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(not_kept(&error)),
            _ => {}
        }
        *share.failed() = None;
        if let Some(listener) = share.listener.get() {
            listener.stop().await;
        }
        Ok(self.share_reply())
    }
}

/// Refuses what concerns every project to a member that has only some.
pub(crate) fn check_everywhere(caller: &Caller) -> Reply<()> {
    if caller.projects.is_empty() {
        return Ok(());
    }
    Err(CallError::new(ErrorCode::Forbidden, "this concerns the whole host, and this token is for some projects"))
}
