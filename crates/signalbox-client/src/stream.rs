//! The bytes under a connection: in the clear, or over TLS.

use std::{
    io,
    pin::Pin as Pinned,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Pin, tls};

/// A stream of bytes to a host.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Secret(Box<TlsStream<TcpStream>>),
}

/// What an address says.
pub(crate) struct Place {
    pub(crate) secret: bool,
    /// Name or address, as in `Host`, without brackets.
    host: String,
    port: u16,
    /// `host:port` as it was written, for `Host`.
    pub(crate) authority: String,
}

impl Place {
    /// Takes `http://host:port` or `https://host:port` apart.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim_end_matches('/').split_once("://")?;
        let secret = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let fits =
            !rest.is_empty() && !rest.contains(|c: char| "/?#@\\".contains(c) || c.is_control() || c.is_whitespace());
        let authority = fits.then(|| rest.to_owned())?;
        let default = if secret { 443 } else { 80 };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                let port = if after.is_empty() { default } else { after.strip_prefix(':')?.parse().ok()? };
                (host, port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (rest, default),
            },
        };
        (!host.is_empty()).then(|| Self { secret, host: host.to_owned(), port, authority })
    }
}

impl Stream {
    /// Connects. The other side has proven who it is when this returns.
    pub(crate) async fn open(place: &Place, pin: Option<Pin>) -> io::Result<Self> {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
        stream.set_nodelay(true)?;
        if !place.secret {
            return Ok(Self::Plain(stream));
        }
        let config = tls::config(pin).map_err(io::Error::other)?;
        let name = ServerName::try_from(place.host.clone()).map_err(io::Error::other)?;
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        Ok(Self::Secret(Box::new(shaken.map_err(|error| io::Error::other(tls::explain(&error)))?)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pinned<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pinned::new(stream).poll_read(cx, buf),
            Self::Secret(stream) => Pinned::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pinned<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pinned::new(stream).poll_write(cx, bytes),
            Self::Secret(stream) => Pinned::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pinned<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pinned::new(stream).poll_flush(cx),
            Self::Secret(stream) => Pinned::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pinned<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pinned::new(stream).poll_shutdown(cx),
            Self::Secret(stream) => Pinned::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parse = |url: &str| Place::parse(url).map(|place| (place.secret, place.host, place.port));
        assert_eq!(parse("http://127.0.0.1:7117/"), Some((false, "127.0.0.1".into(), 7117)));
        assert_eq!(parse("https://[::1]:7118"), Some((true, "::1".into(), 7118)));
        assert_eq!(parse("https://box.example"), Some((true, "box.example".into(), 443)));
        for wrong in
            ["", "box", "ftp://box", "http://", "http://:1", "http://a/b", "http://a@b", "http://a:b", "http://a b"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
