//! Hosts on the local network, by multicast DNS (RFC 6762, RFC 6763): a shared host says that it is there, and others ask.
//!
//! What is said is the address, the version and the beginning of the fingerprint; never a code. What is heard proves nothing:
//! whoever is in the network can say anything. Only the link of an invitation knows a host's key.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mdns_sd::{ServiceDaemon, ServiceEvent, ServiceInfo};
use signalbox_wire::{
    CallError, ErrorCode,
    method::{FoundHost, FoundHosts, HostFind},
};

use crate::{VERSION, handlers::Reply};

const SERVICE: &str = "_signalbox._tcp.local.";
/// Hosts listed at most.
const HOSTS: usize = 64;
/// Hexadecimal digits of the fingerprint that are said.
const DIGITS: usize = 16;

/// What this machine calls itself.
fn machine() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let name: String =
        name.split('.').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(40).collect();
    if name.is_empty() { "this machine".to_owned() } else { name }
}

/// An announcement. It is taken back when this is dropped.
pub struct Announced {
    daemon: ServiceDaemon,
    name: String,
}

impl std::fmt::Debug for Announced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announced").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Its thread says goodbye and ends; nobody waits for it.
        self.daemon.unregister(&self.name).ok();
        self.daemon.shutdown().ok();
    }
}

/// Says in the local network that a host is shared at `address`. None, and a line in the log, if that cannot be done: sharing
/// does not need it.
#[must_use]
pub fn announce(address: SocketAddr, fingerprint: &str) -> Option<Announced> {
    // What only this machine reaches is nobody else's news.
    if address.ip().is_loopback() {
        return None;
    }
    let start = || -> mdns_sd::Result<Announced> {
        let prefix: String = fingerprint.chars().take(DIGITS).collect();
        let (machine, host) = (machine(), format!("signalbox-{prefix}.local."));
        let said = [("version", VERSION), ("fingerprint", prefix.as_str())];
        let service = |ip: &str| {
            ServiceInfo::new(SERVICE, &format!("Signalbox on {machine}"), &host, ip, address.port(), &said[..])
        };
        let service = if address.ip().is_unspecified() {
            service("")?.enable_addr_auto()
        } else {
            service(&address.ip().to_string())?
        };
        let name = service.get_fullname().to_owned();
        let announced = Announced { daemon: ServiceDaemon::new()?, name };
        announced.daemon.register(service)?;
        Ok(announced)
    };
    start().inspect_err(|error| tracing::warn!(%error, "the host could not be announced in the local network")).ok()
}

/// What somebody said of a host, as far as it can be shown.
fn heard(
    name: &str,
    addresses: &mut dyn Iterator<Item = IpAddr>,
    port: u16,
    fingerprint: &str,
    version: &str,
) -> FoundHost {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
    let mut ips: Vec<IpAddr> =
        addresses.filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())).take(8).collect();
    ips.sort();
    FoundHost {
        name: plain(name),
        urls: ips.into_iter().map(|ip| format!("https://{}", SocketAddr::new(ip, port))).collect(),
        fingerprint: fingerprint.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect(),
        version: plain(version),
    }
}

/// Asks the local network for hosts.
///
/// # Errors
/// `unavailable` if there is no such network, `bad_request` for a wait that is not between 100 ms and 10 s.
pub async fn find(params: &HostFind) -> Reply<FoundHosts> {
    let wait = params.wait_ms.unwrap_or(2_000);
    if !(100..=10_000).contains(&wait) {
        return Err(CallError::bad_request(format!("wait_ms is {wait}, it must be 100 to 10000")));
    }
    let unavailable = |error: mdns_sd::Error| {
        CallError::new(ErrorCode::Unavailable, format!("the local network cannot be asked: {error}"))
            .hint("join with an invitation's link instead")
    };
    let daemon = ServiceDaemon::new().map_err(unavailable)?;
    let events = daemon.browse(SERVICE).map_err(unavailable)?;
    let mut hosts = BTreeMap::new();
    let listen = async {
        while let Ok(event) = events.recv_async().await {
            match event {
                ServiceEvent::ServiceResolved(service) if hosts.len() < HOSTS => {
                    let name = service.fullname.trim_end_matches(SERVICE).trim_end_matches('.').to_owned();
                    let said = |key: &str| service.get_property_val_str(key).unwrap_or_default().to_owned();
                    let mut addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
                    let host = heard(&name, &mut addresses, service.port, &said("fingerprint"), &said("version"));
                    hosts.insert(service.fullname.clone(), host);
                }
                ServiceEvent::ServiceRemoved(_, name) => drop(hosts.remove(&name)),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(wait), listen).await.ok();
    daemon.shutdown().ok();
    Ok(FoundHosts { hosts: hosts.into_values().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_is_cut_to_what_can_be_shown() {
        let mut addresses = ["fe80::1", "10.0.0.7", "fd00::7"].iter().map(|ip| ip.parse().unwrap());
        let found = heard("Box\r\n\u{1b}[31m", &mut addresses, 7118, "AB<12>", &"9".repeat(100));
        assert_eq!(found.name, "Box[31m");
        assert_eq!(found.urls, ["https://10.0.0.7:7118", "https://[fd00::7]:7118"]);
        assert_eq!((found.fingerprint.as_str(), found.version.len()), ("AB12", 60));
    }

    #[test]
    fn what_only_this_machine_reaches_is_not_announced() {
        assert!(announce("127.0.0.1:7118".parse().unwrap(), &"ab".repeat(32)).is_none());
    }
}
