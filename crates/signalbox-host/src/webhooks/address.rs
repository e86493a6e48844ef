//! Which addresses a webhook may call. Whoever may make one must not reach what only this machine can.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use signalbox_wire::CallError;

use crate::webhooks::post::Target;

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation();
    // "This network", carrier-grade NAT (RFC 6598), protocol assignments, benchmarks, reserved (RFC 6890).
    let reserved =
        a == 0 || (a == 100 && b & 0xc0 == 64) || (a, b, c) == (192, 0, 0) || (a == 198 && b & 0xfe == 18) || a >= 240;
    !special && !reserved
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Ways of writing an IPv4 address: mapped, compatible, NAT64 and 6to4.
    if let Some(v4) = ip.to_ipv4() {
        return is_public_v4(v4);
    }
    let [a, b, c, ..] = ip.segments();
    let octets = ip.octets();
    if (a, b) == (0x64, 0xff9b) {
        return is_public_v4(Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]));
    }
    if a == 0x2002 {
        return is_public_v4(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]));
    }
    // Global unicast is 2000::/3; of it Teredo and documentation are not.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b == 0 || b == 0xdb8)) && !(a == 0x3fff && c == 0 && b < 0x1000)
}

/// Whether an address is out in the internet.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// The address to connect to. What was looked at is what is called: a name that means another address a moment later is of
/// no use.
///
/// # Errors
/// If the name has no address, or one that may not be called.
pub(crate) async fn allowed(target: &Target, private: bool) -> Result<SocketAddr, CallError> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|error| CallError::bad_request(format!("{} has no address: {error}", target.host)))?.collect();
    if !private && let Some(inside) = found.iter().find(|address| !is_public(address.ip())) {
        return Err(CallError::bad_request(format!(
            "{} is {}, which is not out in the internet",
            target.host,
            inside.ip()
        ))
        .hint("the setting webhooks.allow_private lets webhooks call such addresses"));
    }
    found.into_iter().next().ok_or_else(|| CallError::bad_request(format!("{} has no address", target.host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_not_public_however_it_is_written() {
        for near in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_public(near.parse().unwrap()), "{near}");
        }
        for far in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(far.parse().unwrap()), "{far}");
        }
    }
}
