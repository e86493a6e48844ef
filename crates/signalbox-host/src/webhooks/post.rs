//! One HTTP request to a receiver: no redirects, no proxy, no second address.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use signalbox_wire::CallError;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// How long one attempt may take, from the connection to the head of the answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Where to post to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host` or `host:port`, for the header.
    authority: String,
    path: String,
}

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none that can be posted to.
    pub(crate) fn parse(url: &str) -> Result<Self, CallError> {
        let wrong = |why: &str| CallError::bad_request(format!("this is no address of a webhook: {why}"));
        if url.len() > 2000 {
            return Err(wrong("it has more than 2,000 bytes"));
        }
        let uri: hyper::Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it holds a user's name; sign with a secret instead"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }
}

/// Posts `body` with `headers`, over TLS also to who shows a certificate of `ca_file`, and gives the status of the answer. What
/// the answer says is not read.
///
/// # Errors
/// Why there is no answer, in words.
pub(crate) async fn post(
    target: &Target,
    address: SocketAddr,
    ca_file: &str,
    headers: &[(&str, String)],
    body: Bytes,
) -> Result<u16, String> {
    let attempt = async {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        stream.set_nodelay(true).ok();
        if target.tls {
            let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
            let stream =
                connector(ca_file)?.connect(name, stream).await.map_err(|error| format!("TLS failed: {error}"))?;
            send(target, stream, headers, body).await
        } else {
            send(target, stream, headers, body).await
        }
    };
    tokio::time::timeout(LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())))
}

/// Trusts who the public trusts, and who the certificates in `ca_file` (PEM; empty: none) are of. The file is read each time,
/// so that a newer one counts at once.
fn connector(ca_file: &str) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if !ca_file.is_empty() {
        let wrong = |error: String| format!("webhooks.ca_file ({ca_file}) cannot be used: {error}");
        let certificates = CertificateDer::pem_file_iter(ca_file).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send<S>(target: &Target, stream: S, headers: &[(&str, String)], body: Bytes) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut request = hyper::Request::post(&target.path)
        .header("host", &target.authority)
        .header("content-type", "application/json")
        .header("user-agent", concat!("Signalbox/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        Ok(answer.status().as_u16())
    };
    // The connection is driven here and dropped with the answer: nothing of it stays behind. One that ends by itself has
    // handed over the answer, or that there is none.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => return answer,
        _ = connection => {}
    }
    answer.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_strange_ones_refused() {
        let target = Target::parse("https://example.com/a?b=c").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.path.as_str()), ("example.com", 443, "/a?b=c"));
        let target = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.path.as_str()), ("::1", 8080, "/"));
        for wrong in ["", "example.com", "ftp://a", "file:///etc/passwd", "http://u:p@a/", "http:///x", "http://a\r\nb"]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
