//! The listener: accepts, serves, stops.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Frame, SizeHint};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use signalbox_host::{Host, HostError, metrics, proxies::Proxies};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    Assets,
    guard::Guard,
    http::{self, Net},
    joins::Joins,
    rate::{Calls, Logins},
    share::Share,
    wire::{Shared, Wire},
};

/// Why the host does not listen.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address is malformed or cannot be resolved.
    #[error("{address:?} is no address to listen on: {source}; give something like 127.0.0.1:7117")]
    Address {
        /// What was given.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else has the port.
    #[error(
        "the address {0} is in use by another program; stop it, or name another address with --listen (port 0 picks a free one)"
    )]
    InUse(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// `host.json` could not be written.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A listener at work. It ends with the host.
#[derive(Debug)]
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Waits until it has ended.
    pub async fn ended(self) {
        self.task.await.ok();
    }
}

/// What the listeners of one host share: the limits count for all of them together.
#[derive(Clone)]
pub struct Front {
    pub(crate) host: Host,
    assets: Assets,
    calls: Arc<Calls>,
    logins: Arc<Logins>,
    joins: Arc<Joins>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

impl Front {
    /// Nothing listens yet, but from now on `share.start` works. One for each host.
    #[must_use]
    pub fn new(host: &Host, assets: Assets) -> Self {
        let calls = Arc::new(Calls::new(host.settings().limits.calls_per_second));
        let joins = Arc::new(Joins::new(host.settings().limits.joins_per_second));
        let front = Self { host: host.clone(), assets, calls, logins: Arc::default(), joins };
        host.set_share_listener(Arc::new(Share::new(front.clone())));
        front
    }

    pub(crate) fn net(&self, guard: Guard, stopped: Option<watch::Receiver<bool>>) -> Net {
        // Looked at when the settings were read: a list that cannot be understood trusts nobody.
        let proxies = self.host.settings().proxies().unwrap_or_else(|_| Proxies::none());
        Net {
            guard,
            proxies,
            calls: Arc::clone(&self.calls),
            logins: Arc::clone(&self.logins),
            joins: Arc::clone(&self.joins),
            host: self.host.clone(),
            assets: self.assets,
            secure: stopped.is_some(),
            stopped,
        }
    }

    /// Starts to listen on `address` (port 0: a free one), in the clear, and says so in `host.json`.
    ///
    /// # Errors
    /// If that cannot be had. The host goes on without it.
    pub async fn listen(&self, address: &str) -> Result<Listening, NetError> {
        let host = &self.host;
        let malformed = |source| NetError::Address { address: address.to_owned(), source };
        let wanted = tokio::net::lookup_host(address).await.map_err(malformed)?.next();
        let wanted = wanted.ok_or_else(|| malformed(std::io::ErrorKind::NotFound.into()))?;
        let listener = TcpListener::bind(wanted).await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => NetError::InUse(wanted),
            _ => NetError::Listen { address: wanted, source },
        })?;
        let address = listener.local_addr().map_err(|source| NetError::Listen { address: wanted, source })?;
        let net = Arc::new(self.net(Guard::new(address, &host.settings().host.allowed_hosts), None));
        // 0.0.0.0 is everywhere but no address to call.
        let shown =
            if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address };
        host.set_url(Some(format!("http://{shown}")))?;
        if !host.settings().host.metrics_listen.is_empty() {
            serve_metrics(host).await?;
        }
        let task = tokio::spawn(accept(listener, net));
        Ok(Listening { address, task })
    }
}

/// Starts to listen on `address`, and shares the host again if it was shared: [`Front::listen`],
/// [`Host::resume_sharing`].
///
/// # Errors
/// As [`Front::listen`].
pub async fn listen(host: &Host, address: &str, assets: Assets) -> Result<Listening, NetError> {
    let listening = Front::new(host, assets).listen(address).await?;
    host.resume_sharing().await;
    Ok(listening)
}

/// `/metrics` on a listener of its own, without a token: for a scraper on an address that nobody else reaches.
async fn serve_metrics(host: &Host) -> Result<(), NetError> {
    let text = host.settings().host.metrics_listen.clone();
    let address: SocketAddr =
        text.parse().map_err(|error| NetError::Address { address: text, source: std::io::Error::other(error) })?;
    let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => NetError::InUse(address),
        _ => NetError::Listen { address, source },
    })?;
    let (state, stopping) = (host.clone(), host.clone());
    let render = move || {
        let host = state.clone();
        async move { ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], metrics::render(&host).await) }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(render));
    tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stopping.stopping().await });
        if let Err(error) = serving.await {
            tracing::warn!(%error, "the listener for metrics ended");
        }
    });
    Ok(())
}

async fn accept(listener: TcpListener, net: Arc<Net>) {
    let router = http::router(Arc::clone(&net));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = net.ended() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok();
                tokio::spawn(serve(Wire::new(stream), peer, Arc::clone(&net), router.clone()));
            }
            Err(error) => {
                // Out of file handles, mostly: those in use come back when their connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(wire: Wire, peer: SocketAddr, net: Arc<Net>, router: axum::Router) {
    let (router, shared) = (TowerToHyperService::new(router), Arc::clone(&wire.shared));
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        shared.heads.whole();
        request.extensions_mut().insert(http::Peer(peer));
        request.extensions_mut().insert(Arc::clone(&shared));
        let (answer, shared) = (hyper::service::Service::call(&router, request), Arc::clone(&shared));
        async move { answer.await.map(|answer| answer.map(|body| Answer { body, shared })) }
    });
    let shared = Arc::clone(&wire.shared);
    let limits = &net.host.settings().limits;
    let patience = Duration::from_millis(limits.hello_ms.max(1));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // To hyper this is one time, from the end of one request to the end of the next one's header.
        .header_read_timeout(patience + Duration::from_millis(limits.idle_ms))
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let (mut look, mut ending) = (patience, false);
    let result = loop {
        tokio::select! {
            result = connection.as_mut() => break result,
            () = net.ended(), if !ending => {
                connection.as_mut().graceful_shutdown();
                ending = true;
            }
            // Boxed: a stream has no use for it for as long as it lasts.
            () = Box::pin(tokio::time::sleep(look)) => match shared.heads.left(patience) {
                // Who sends a header a byte at a time is not waited for, nor who sends none.
                Some(Duration::ZERO) => return,
                left => look = left.unwrap_or(patience),
            },
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// The body of an answer: until it is gone what the client sends is not taken for another request.
struct Answer {
    body: axum::body::Body,
    shared: Arc<Shared>,
}

impl hyper::body::Body for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.shared.heads.answered();
    }
}
