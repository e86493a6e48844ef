//! Reverse proxies that are believed when they say who called them (`host.trusted_proxies`).
//!
//! Anybody can send `X-Forwarded-For`. What is true of it is what trusted proxies added, at its end: so it is read from
//! right to left, and the first address that is not one of theirs is who called. Only one header is looked at: a proxy
//! hands on what it does not know, and so would the other one be the caller's own words.

use std::net::IpAddr;

/// Addresses of a list that are looked at: nobody has so many proxies one behind the other.
const HOPS: usize = 16;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: u128,
    mask: u128,
}

/// Every address as one of IPv6, those of IPv4 mapped (RFC 4291, section 2.5.5.2).
fn wide(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return None;
        }
        let mask = u128::MAX.checked_shl(most - bits).unwrap_or(0);
        // The bits of an IPv4 network begin behind the prefix of the mapped ones.
        let mask = if address.is_ipv4() && bits == 0 { u128::MAX << 32 } else { mask };
        Some(Self { address: wide(address) & mask, mask })
    }
}

/// Which header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    ForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// Who is believed. None by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    trusted: Vec<Network>,
    header: Header,
}

/// The address in one element: bare, with a port, in brackets, quoted. None for `unknown` and hidden ones.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        // A single colon is that of a port.
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What stands behind `for=` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> &str {
    let named = element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    named.unwrap_or("unknown")
}

impl Proxies {
    /// Nobody is believed.
    #[must_use]
    pub fn none() -> Self {
        Self { trusted: Vec::new(), header: Header::ForwardedFor }
    }

    /// `list`: addresses and networks (`10.0.0.0/8`); `header`: `x-forwarded-for` or `forwarded`.
    ///
    /// # Errors
    /// What is neither.
    pub fn new(list: &[String], header: &str) -> Result<Self, String> {
        let trusted = list
            .iter()
            .map(|text| Network::parse(text.trim()).ok_or_else(|| text.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let header = match header.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Header::ForwardedFor,
            "forwarded" => Header::Forwarded,
            _ => return Err(header.to_owned()),
        };
        Ok(Self { trusted, header })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = wide(address);
        self.trusted.iter().any(|network| address & network.mask == network.address)
    }

    /// The header's name, in lower case, if any is looked at when `peer` calls.
    #[must_use]
    pub fn header_of(&self, peer: IpAddr) -> Option<&'static str> {
        self.trusts(peer).then_some(match self.header {
            Header::ForwardedFor => "x-forwarded-for",
            Header::Forwarded => "forwarded",
        })
    }

    /// Who called, if `peer` is a trusted proxy that sent these values of its header, in their order; else `peer`.
    #[must_use]
    pub fn caller(&self, peer: IpAddr, values: &[&str]) -> IpAddr {
        let mut last = peer;
        if !self.trusts(peer) {
            return last;
        }
        for element in values.iter().rev().flat_map(|value| value.rsplit(',')).take(HOPS) {
            let element = match self.header {
                Header::ForwardedFor => element,
                Header::Forwarded => forwarded_for(element),
            };
            // What nobody can read was not written by a proxy that we trust, or hides who called it.
            let Some(address) = address(element) else { return last };
            last = address;
            if !self.trusts(address) {
                return last;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &[&str], header: &str) -> Proxies {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        Proxies::new(&list, header).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_trusted_proxies_added_is_believed() {
        let found = |values: &[&str]| {
            let proxies = proxies(&["10.0.0.0/8", "::1", "192.0.2.7"], "x-forwarded-for");
            proxies.caller(ip("10.1.2.3"), values).to_string()
        };
        assert_eq!(found(&["203.0.113.5"]), "203.0.113.5");
        assert_eq!(found(&["1.1.1.1, 203.0.113.5"]), "203.0.113.5", "what stands before is the caller's own words");
        assert_eq!(found(&["1.1.1.1", "203.0.113.5, 10.9.9.9"]), "203.0.113.5", "several headers are one list");
        assert_eq!(found(&["203.0.113.5, 192.0.2.7, ::1"]), "203.0.113.5");
        assert_eq!(found(&["10.0.0.9"]), "10.0.0.9", "somebody within");
        assert_eq!(found(&["203.0.113.5:4711"]), "203.0.113.5");
        assert_eq!(found(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(found(&["::ffff:203.0.113.5"]), "203.0.113.5");
        for nothing in [&[][..], &[""], &["unknown"], &["1.1.1.1, unknown"], &["1.1.1.1,"], &["evil\r\n"]] {
            assert_eq!(found(nothing), "10.1.2.3", "{nothing:?}");
        }
        let many = vec!["10.0.0.1"; 1000].join(",");
        assert_eq!(found(&[&format!("203.0.113.5,{many}")]), "10.0.0.1", "not for ever");
    }

    #[test]
    fn nobody_else_is_believed_and_by_default_nobody() {
        assert_eq!(proxies(&["10.0.0.0/8"], "x-forwarded-for").caller(ip("11.0.0.1"), &["1.1.1.1"]), ip("11.0.0.1"));
        assert_eq!(proxies(&[], "x-forwarded-for").caller(ip("127.0.0.1"), &["1.1.1.1"]), ip("127.0.0.1"));
        assert_eq!(proxies(&[], "x-forwarded-for").header_of(ip("127.0.0.1")), None);
        let mapped = proxies(&["10.0.0.0/8"], "x-forwarded-for");
        assert_eq!(mapped.caller(ip("::ffff:10.0.0.1"), &["1.1.1.1"]), ip("1.1.1.1"));
        assert_eq!(
            proxies(&["0.0.0.0/0"], "x-forwarded-for").caller(ip("2001:db8::1"), &["1.1.1.1"]),
            ip("2001:db8::1")
        );
    }

    #[test]
    fn forwarded_is_read_when_it_is_named() {
        let proxies = proxies(&["10.0.0.1"], "Forwarded");
        assert_eq!(proxies.header_of(ip("10.0.0.1")), Some("forwarded"));
        let found = |value: &str| proxies.caller(ip("10.0.0.1"), &[value]).to_string();
        assert_eq!(found("for=1.1.1.1, for=192.0.2.43;proto=https"), "192.0.2.43");
        assert_eq!(found("proto=http;For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(found("for=_hidden"), "10.0.0.1");
        assert_eq!(found("by=1.1.1.1"), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["10.0.0.0/33", "10.0.0", "::1/129", "box", "10.0.0.0/x", ""] {
            assert_eq!(Proxies::new(&[wrong.to_owned()], "x-forwarded-for"), Err(wrong.to_owned()));
        }
        assert_eq!(Proxies::new(&[], "x-real-ip"), Err("x-real-ip".into()));
    }
}
