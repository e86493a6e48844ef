//! TLS for the tests, written without our client crate: any certificate is taken, and its key is told.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};

use crate::support::{Host, PATIENCE, Response, parse_response};

#[derive(Debug, Default)]
struct Anybody {
    key: Mutex<Option<String>>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
        let digest = Sha256::digest(parsed.public_key().raw);
        *self.key.lock().unwrap() = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn config(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Arc<ClientConfig>, Arc<Anybody>) {
    let anybody = Arc::new(Anybody::default());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&anybody) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    (Arc::new(config), anybody)
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// The way in for others.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: String,
    pub(crate) fingerprint: String,
}

impl Door {
    /// Shares the host on a free port of this machine.
    pub(crate) fn open(host: &Host) -> Self {
        let sharing = host.call("share.start", json!({ "bind": "127.0.0.1", "port": 0 })).unwrap();
        Self::of(&sharing)
    }

    pub(crate) fn of(sharing: &Value) -> Self {
        assert_eq!(sharing["state"], "on", "{sharing}");
        Self {
            address: sharing["address"].as_str().unwrap().to_owned(),
            fingerprint: sharing["fingerprint"].as_str().unwrap().to_owned(),
        }
    }

    fn stream(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Option<(Stream, Arc<Anybody>)> {
        let tcp = TcpStream::connect(&self.address).ok()?;
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let (config, anybody) = config(versions);
        let session = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
        Some((StreamOwned::new(session, tcp), anybody))
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Response> {
        self.request_by(rustls::ALL_VERSIONS, method, path, headers, body)
    }

    /// One request on a connection of its own.
    pub(crate) fn request_by(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let (mut stream, anybody) = self.stream(versions)?;
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes()).ok()?;
        stream.write_all(body).ok();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).ok();
        assert_eq!(anybody.key.lock().unwrap().as_deref(), Some(self.fingerprint.as_str()), "the key is the one told");
        parse_response(&all)
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        self.request("POST", path, headers, body.to_string().as_bytes()).expect("an answer")
    }

    pub(crate) fn call(&self, token: &str, method: &str, params: Value) -> Result<Value, Value> {
        let bearer = format!("Bearer {token}");
        let answer = self.post(&format!("/api/v1/call/{method}"), &[("Authorization", &bearer)], &params);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 { Ok(body) } else { Err(body["error"].clone()) }
    }

    /// Server-sent events, until `stop` says so.
    pub(crate) fn sse(&self, path: &str, token: &str, mut take: impl FnMut(Value) -> bool) {
        let (mut stream, _) = self.stream(rustls::ALL_VERSIONS).unwrap();
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n",
            self.address
        );
        stream.write_all(text.as_bytes()).unwrap();
        let (mut lines, mut line) = (BufReader::new(stream), String::new());
        loop {
            line.clear();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(data) = line.trim_end().strip_prefix("data: ")
                && !take(serde_json::from_str(data).unwrap())
            {
                return;
            }
        }
    }

    /// A WebSocket that has said nothing yet, or the status of the refusal.
    pub(crate) async fn websocket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        let tcp = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        let (config, _) = config(rustls::ALL_VERSIONS);
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let mut request = format!("wss://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            let name = tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(crate::support::Socket(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn hello(&self, token: &str, rooms: &[&str], resume: Option<&str>) -> Socket {
        let mut socket = self.websocket("/api/v1/ws", &[]).await.unwrap();
        let mut hello = json!({ "type": "hello", "rid": 1, "v": 1, "token": token, "rooms": rooms,
            "client": { "name": "test", "version": "1" } });
        if let Some(resume) = resume {
            hello["resume"] = resume.into();
        }
        socket.send(&hello).await;
        socket
    }
}

/// As over plain TCP, but for what is beneath.
pub(crate) type Socket = crate::support::Socket<TlsStream<tokio::net::TcpStream>>;
