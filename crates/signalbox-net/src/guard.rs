//! Who may speak to us: `Host`, `Origin`, and tokens.

use std::{
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, Uri, header};
use signalbox_host::Host;
use signalbox_wire::{CallError, Caller, ErrorCode};

use crate::share;

/// The cookie of a browser's session.
pub(crate) const COOKIE: &str = "signalbox_session";

/// The names under which this host may be called.
pub(crate) struct Guard {
    hosts: Vec<String>,
    local: Option<Local>,
}

/// The addresses of this machine, which come and go with its networks.
struct Local {
    port: u16,
    known: Mutex<Option<(Instant, Vec<String>)>>,
}

/// How long the list of addresses is taken as it is.
const FRESH: Duration = Duration::from_secs(2);

impl Local {
    fn has(&self, host: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        let list = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        if list.is_none() {
            let names = share::addresses().into_iter().map(|ip| SocketAddr::new(ip, self.port).to_string());
            *known = Some((Instant::now(), names.collect()));
        }
        known.as_ref().is_some_and(|(_, list)| list.iter().any(|name| name == host))
    }
}

impl Guard {
    /// `address` is where it listens; `more` comes from the settings.
    pub(crate) fn new(address: SocketAddr, more: &[String]) -> Self {
        let port = address.port();
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "[::1]"].iter().map(|name| format!("{name}:{port}")).collect();
        hosts.push(address.to_string());
        hosts.extend(more.iter().map(|name| name.to_ascii_lowercase()));
        Self { hosts, local: None }
    }

    /// For the listener that others call, over TLS: also by each address of this machine, if it is bound to all, and by
    /// the names of the settings with its port.
    pub(crate) fn shared(address: SocketAddr, more: &[String]) -> Self {
        let port = address.port();
        let mut guard = Self::new(address, more);
        guard.hosts.extend(
            more.iter().filter(|name| !name.contains(':')).map(|name| format!("{name}:{port}").to_ascii_lowercase()),
        );
        guard.local = address.ip().is_unspecified().then(|| Local { port, known: Mutex::default() });
        guard
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.contains(&host) || self.local.as_ref().is_some_and(|local| local.has(&host))
    }

    /// Refuses a foreign `Host` (a name that was made to point here, RFC 9110 section 7.2) and a foreign `Origin`
    /// (a page of another site, RFC 6454). No `Origin`: not a browser's cross-site request.
    pub(crate) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), CallError> {
        let forbidden = |message: String| CallError::new(ErrorCode::Forbidden, message);
        // Two readers of the request would take different ones (RFC 9112, section 3.2).
        if headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(forbidden("the request names several hosts".into()));
        }
        let host = headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| uri.authority().map(|a| a.as_str()));
        match host {
            Some(host) if self.knows(host) => {}
            Some(host) => {
                return Err(forbidden(format!(
                    "this host is not called {:?}",
                    host.chars().take(100).collect::<String>()
                ))
                .hint("call it by its address, or add the name to host.allowed_hosts"));
            }
            None => return Err(forbidden("the request names no host".into())),
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|origin| self.knows_origin(origin)) => Ok(()),
            _ => Err(forbidden("requests from pages of other sites are refused".into())),
        }
    }

    fn knows_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(|host| self.knows(host))
    }
}

/// A token in the `Authorization` header, or in the session's cookie.
pub(crate) fn token(headers: &HeaderMap) -> Option<(String, Source)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        // A malformed header is a wrong token, not none: the cookie beside it is not asked.
        return Some((token.unwrap_or_default(), Source::Header));
    }
    cookie(headers).map(|token| (token, Source::Cookie))
}

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Header,
    Cookie,
}

/// The session's cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|text| text.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

/// Who the request's token says it is.
pub(crate) async fn authenticate(host: &Host, headers: &HeaderMap, uri: &Uri) -> Result<Caller, CallError> {
    refuse_token_in_url(uri)?;
    let unauthorized = |message: &str| {
        CallError::new(ErrorCode::Unauthorized, message).hint("send the token as `Authorization: Bearer ...`")
    };
    let (token, _) = token(headers).ok_or_else(|| unauthorized("a token is needed"))?;
    host.caller(&token).await.map_err(|error| unauthorized(&error.to_string()))
}

/// A URL ends up in logs, histories and referrers.
pub(crate) fn refuse_token_in_url(uri: &Uri) -> Result<(), CallError> {
    let found = uri.query().is_some_and(|query| {
        query.split('&').any(|pair| {
            let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
            matches!(name.as_str(), "token" | "access_token" | "code" | "authorization")
        })
    });
    if found {
        return Err(CallError::new(
            ErrorCode::Unauthorized,
            "tokens and codes are not taken from the URL: it is kept in logs and histories",
        )
        .hint("send the token as `Authorization: Bearer ...`, and revoke the one that was in the URL"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_names_and_pages_pass() {
        let guard = Guard::new("127.0.0.1:7117".parse().unwrap(), &["signalbox.example".into()]);
        let uri = Uri::from_static("/");
        let pass = |pairs: &[(&str, &str)]| guard.check(&headers(pairs), &uri).is_ok();
        assert!(pass(&[("host", "127.0.0.1:7117")]));
        assert!(pass(&[("host", "LOCALHOST:7117"), ("origin", "http://localhost:7117")]));
        assert!(pass(&[("host", "signalbox.example"), ("origin", "https://signalbox.example")]));
        assert!(!pass(&[]));
        assert!(!pass(&[("host", "evil.example:7117")]));
        assert!(!pass(&[("host", "127.0.0.1")]));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:9999", "http://localhost:7117.evil.example", "file://"]
        {
            assert!(!pass(&[("host", "127.0.0.1:7117"), ("origin", origin)]), "{origin}");
        }
        assert!(!pass(&[
            ("host", "127.0.0.1:7117"),
            ("origin", "http://localhost:7117"),
            ("origin", "http://evil.example")
        ]));
    }

    #[test]
    fn a_malformed_authorization_header_is_not_overlooked() {
        let both = headers(&[("authorization", "Basic abc"), ("cookie", "signalbox_session=good")]);
        assert_eq!(token(&both), Some((String::new(), Source::Header)));
        assert_eq!(
            token(&headers(&[("cookie", "a=b; signalbox_session=good")])),
            Some(("good".into(), Source::Cookie))
        );
        assert_eq!(token(&headers(&[("cookie", "xsignalbox_session=good")])), None);
    }
}
