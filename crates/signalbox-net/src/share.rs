//! The way in for others: a listener of its own, over TLS, beside the one of this machine.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, RwLock},
    time::Duration,
};

use signalbox_host::{
    Host, Listener, Pending, Shared,
    discovery::{Announced, announce},
};
use signalbox_wire::{CallError, ErrorCode};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    guard::Guard,
    http::{self, Net},
    server::{Front, serve},
    tls::Identity,
    wire::Wire,
};

/// Handshakes at a time, of everybody and of one address. Whoever comes on top is hung up on.
const HANDSHAKES: usize = 512;
const HANDSHAKES_OF_ONE: usize = 64;
/// How often the certificate is looked at.
const CERTIFICATE: Duration = Duration::from_secs(60);
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;
const PLAIN: &str = "this port speaks HTTPS: use https:// in the address\n";

/// What the handshakes under way are, by address.
#[derive(Default)]
struct Handshakes(Mutex<(usize, HashMap<IpAddr, usize>)>);

struct Handshake {
    all: Arc<Handshakes>,
    address: IpAddr,
}

impl Handshakes {
    fn counts(&self) -> MutexGuard<'_, (usize, HashMap<IpAddr, usize>)> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn begin(self: &Arc<Self>, address: IpAddr) -> Option<Handshake> {
        let mut counts = self.counts();
        let (all, of_one) = (counts.0, counts.1.get(&address).copied().unwrap_or(0));
        if all >= HANDSHAKES || of_one >= HANDSHAKES_OF_ONE {
            return None;
        }
        counts.0 = all + 1;
        counts.1.insert(address, of_one + 1);
        Some(Handshake { all: Arc::clone(self), address })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        counts.0 -= 1;
        if let Some(left) = counts.1.get_mut(&self.address) {
            *left -= 1;
            if *left == 0 {
                counts.1.remove(&self.address);
            }
        }
    }
}

struct Open {
    address: SocketAddr,
    since: i64,
    identity: Arc<RwLock<Identity>>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    /// Taken back with the rest.
    _announced: Option<Announced>,
}

/// Opens and closes the way in.
pub(crate) struct Share {
    front: Front,
    open: Mutex<Option<Open>>,
}

/// The addresses of this machine that others can call.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .filter(|interface| !interface.is_loopback())
        .map(if_addrs::Interface::ip)
        // Link-local IPv6 addresses need the interface's name, which no URL can carry.
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    found.sort_by_key(|ip| (ip.is_ipv6(), !is_private(*ip), *ip));
    found.dedup();
    found
}

fn is_private(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_private())
}

/// What others put in front of `/` to call this host: names first, then addresses.
fn urls(host: &Host, address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let names = host.settings().host.allowed_hosts.iter().map(|name| match name.rsplit_once(':') {
        Some((_, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("https://{name}")
        }
        _ => format!("https://{name}:{port}"),
    });
    let ips = if address.ip().is_unspecified() {
        addresses().into_iter().filter(|ip| address.is_ipv6() || ip.is_ipv4()).collect()
    } else {
        vec![address.ip()]
    };
    let mut urls: Vec<String> = names.collect();
    urls.extend(ips.into_iter().map(|ip| format!("https://{}", SocketAddr::new(ip, port))));
    // A machine without a network: only programs on it can call.
    if urls.is_empty() {
        urls.push(format!("https://127.0.0.1:{port}"));
    }
    urls
}

/// What the certificate is made out to.
fn names(host: &Host) -> Vec<String> {
    let mut names: Vec<String> = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    names.extend(addresses().iter().map(ToString::to_string));
    let bare = |name: &String| name.split(':').next().unwrap_or_default().to_owned();
    let fits =
        |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    names.extend(host.settings().host.allowed_hosts.iter().map(bare).filter(fits));
    names.dedup();
    names
}

impl Share {
    pub(crate) fn new(front: Front) -> Self {
        Self { front, open: Mutex::new(None) }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn identity(host: &Host) -> Result<Identity, CallError> {
        let of = host.clone();
        let loaded = tokio::task::spawn_blocking(move || Identity::load(&of, &names(&of))).await;
        let unavailable = |why: String| CallError::new(ErrorCode::Unavailable, format!("{why}; nothing is shared"));
        match loaded {
            Ok(Ok(identity)) => Ok(identity),
            Ok(Err(error)) => {
                Err(unavailable(error.to_string()).hint("see share.certificate and share.key in the settings"))
            }
            Err(_) => Err(unavailable("the host is stopping".into())),
        }
    }

    async fn try_start(&self, wanted: SocketAddr) -> Result<(), CallError> {
        let host = &self.front.host;
        let identity = Arc::new(RwLock::new(Self::identity(host).await?));
        let listener = TcpListener::bind(wanted).await.map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::AddrInUse => "is in use by another program".to_owned(),
                std::io::ErrorKind::AddrNotAvailable => "is no address of this machine".to_owned(),
                _ => format!("cannot be used: {error}"),
            };
            CallError::conflict(format!("the address {wanted} {why}; nothing is shared")).hint(
                "name another one: `signalbox share start ADDRESS:PORT`, or share.bind and share.port in the settings",
            )
        })?;
        let address = listener.local_addr().unwrap_or(wanted);
        let (stop, stopped) = watch::channel(false);
        let guard = Guard::shared(address, &host.settings().host.allowed_hosts);
        let net = Arc::new(self.front.net(guard, Some(stopped)));
        let fingerprint = identity.read().unwrap_or_else(|e| e.into_inner()).fingerprint.clone();
        let announced = host.settings().share.announce.then(|| announce(address, &fingerprint)).flatten();
        let task = tokio::spawn(accept(listener, net, Arc::clone(&identity)));
        *self.open() = Some(Open { address, since: host.clock().now(), identity, stop, task, _announced: announced });
        Ok(())
    }
}

impl Listener for Share {
    fn start(&self, address: SocketAddr) -> Pending<'_, Result<(), CallError>> {
        Box::pin(self.try_start(address))
    }

    fn stop(&self) -> Pending<'_, ()> {
        let open = self.open().take();
        Box::pin(async move {
            let Some(open) = open else { return };
            open.stop.send_replace(true);
            open.task.await.ok();
        })
    }

    fn status(&self) -> Option<Shared> {
        let open = self.open();
        let open = open.as_ref()?;
        let identity = open.identity.read().unwrap_or_else(|e| e.into_inner());
        Some(Shared {
            address: open.address,
            urls: urls(&self.front.host, open.address),
            fingerprint: identity.fingerprint.clone(),
            own_certificate: identity.own,
            certificate_expires_at: identity.expires_at,
            since: open.since,
        })
    }
}

async fn accept(listener: TcpListener, net: Arc<Net>, identity: Arc<RwLock<Identity>>) {
    let router = http::router(Arc::clone(&net));
    let handshakes = Arc::new(Handshakes::default());
    let mut look = tokio::time::interval(CERTIFICATE);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = look.tick() => {
                renew(&net.host, &identity).await;
                continue;
            }
            () = net.ended() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(handshake) = handshakes.begin(peer.ip()) else {
            net.host.metrics().refused();
            continue;
        };
        let config = Arc::clone(&identity.read().unwrap_or_else(|e| e.into_inner()).config);
        let (net, router) = (Arc::clone(&net), router.clone());
        // As long as for a `hello`, which is the next thing that a client has to bring.
        let patience = Duration::from_millis(net.host.settings().limits.hello_ms.max(1));
        tokio::spawn(async move {
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(patience, shake(stream, config)) => shaken,
                () = net.ended() => return,
            };
            drop(handshake);
            match shaken {
                Ok(Ok(wire)) => serve(wire, peer, net, router).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                Err(_) => tracing::debug!(%peer, "a handshake took too long"),
            }
        });
    }
}

/// Makes the connection secret, or says that this is the wrong way to call.
async fn shake(stream: TcpStream, config: Arc<rustls::ServerConfig>) -> std::io::Result<Wire> {
    stream.set_nodelay(true).ok();
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] != TLS_HANDSHAKE {
        let mut stream = stream;
        let text = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{PLAIN}",
            PLAIN.len()
        );
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // What the other side still sends is read: a reset would take the answer with it.
        let mut rest = [0; 1024];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await? > 0 {}
        return Err(std::io::Error::other("a request without TLS"));
    }
    let (stream, session) = TlsAcceptor::from(config).accept(stream).await?.into_inner();
    Ok(Wire::secret(stream, session))
}

/// Takes a newer certificate for the connections to come, if there is one.
async fn renew(host: &Host, identity: &Arc<RwLock<Identity>>) {
    if !identity.read().unwrap_or_else(|e| e.into_inner()).is_stale(host) {
        return;
    }
    match Share::identity(host).await {
        Ok(newer) => *identity.write().unwrap_or_else(|e| e.into_inner()) = newer,
        Err(error) => tracing::warn!(error = error.message, "the certificate could not be renewed; the old one stays"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_bounded_for_one_address_and_for_all() {
        let handshakes = Arc::new(Handshakes::default());
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut held: Vec<_> = (0..HANDSHAKES_OF_ONE).map(|_| handshakes.begin(address(1)).unwrap()).collect();
        assert!(handshakes.begin(address(1)).is_none());
        held.pop();
        held.extend(handshakes.begin(address(1)));
        for n in 2.. {
            let more: Vec<_> = (0..HANDSHAKES_OF_ONE).map_while(|_| handshakes.begin(address(n))).collect();
            let full = more.len() < HANDSHAKES_OF_ONE;
            held.extend(more);
            if full {
                break;
            }
        }
        assert_eq!(held.len(), HANDSHAKES);
        drop(held);
        assert_eq!(handshakes.counts().1.len(), 0);
    }
}
