//! The certificate under which this host is shared: the owner's, or one made here.
//!
//! What a link pins is the SHA-256 of the public key (SubjectPublicKeyInfo, RFC 7469 section 2.4), not of the certificate:
//! the certificate is made anew before it expires, the key stays.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use signalbox_host::{Host, private};
use signalbox_model::UnixMillis;

const DAY: i64 = 24 * 3600 * 1000;
/// How long a certificate that is made here is good, in days.
const LIFE: i64 = 397;
/// It is made anew when it has less than this left, in days.
const RENEW: i64 = 30;

/// Why there is no certificate. Nothing is shared then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the file {} cannot be used: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("share.certificate and share.key go together: set both, or neither")]
    Half,
    #[error("the certificate in {} expired {days} days ago; put a new one there", path.display())]
    Expired { path: PathBuf, days: i64 },
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the key does not fit the certificate, or is of a kind that is not supported: {0}")]
    Unfit(#[from] rustls::Error),
}

/// A certificate in use.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) fingerprint: String,
    pub(crate) own: bool,
    pub(crate) expires_at: UnixMillis,
    /// When its files changed last: looked at to see that there are others.
    stamp: Option<(SystemTime, SystemTime)>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn changed(certificate: &Path, key: &Path) -> Option<(SystemTime, SystemTime)> {
    let at = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    Some((at(certificate)?, at(key)?))
}

fn files(host: &Host) -> Result<(PathBuf, PathBuf, bool), Error> {
    let settings = &host.settings().share;
    match (settings.certificate.is_empty(), settings.key.is_empty()) {
        (false, false) => Ok((PathBuf::from(&settings.certificate), PathBuf::from(&settings.key), true)),
        (true, true) => {
            let dir = host.data_dir().join("tls");
            Ok((dir.join("certificate.pem"), dir.join("key.pem"), false))
        }
        _ => Err(Error::Half),
    }
}

impl Identity {
    /// Reads the certificate; one that is made here is made first, or anew when its time is nearly over.
    pub(crate) fn load(host: &Host, names: &[String]) -> Result<Self, Error> {
        let (certificate, key, own) = files(host)?;
        let now = host.clock().now();
        if own {
            return read(&certificate, &key, true, now);
        }
        if let Ok(found) = read(&certificate, &key, false, now)
            && found.expires_at > now + RENEW * DAY
        {
            return Ok(found);
        }
        make(&certificate, &key, names, now)?;
        read(&certificate, &key, false, now)
    }

    /// Whether it should be loaded anew: its time is nearly over, or its files are others.
    pub(crate) fn is_stale(&self, host: &Host) -> bool {
        let Ok((certificate, key, own)) = files(host) else { return false };
        let soon = !own && self.expires_at <= host.clock().now() + RENEW * DAY;
        soon || changed(&certificate, &key).is_some_and(|stamp| Some(stamp) != self.stamp)
    }
}

/// Makes a certificate; a key that is there already is kept, since links pin it.
fn make(certificate: &Path, key: &Path, names: &[String], now: UnixMillis) -> Result<(), Error> {
    let failed = |path: &Path, error: std::io::Error| Error::File { path: path.to_owned(), why: error.to_string() };
    if let Some(dir) = key.parent() {
        private::folder(dir).map_err(|error| failed(dir, error))?;
    }
    let pair = match std::fs::read_to_string(key) {
        Ok(text) => rcgen::KeyPair::from_pem(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pair = rcgen::KeyPair::generate()?;
            private::write(key, pair.serialize_pem().as_bytes()).map_err(|error| failed(key, error))?;
            pair
        }
        Err(error) => return Err(failed(key, error)),
    };
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Signalbox");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let at = |ms: i64| time::OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    // A day back, for clocks that are slow.
    (params.not_before, params.not_after) = (at(now - DAY), at(now + LIFE * DAY));
    let text = params.self_signed(&pair)?.pem();
    private::write(certificate, text.as_bytes()).map_err(|error| failed(certificate, error))
}

fn read(certificate: &Path, key: &Path, own: bool, now: UnixMillis) -> Result<Identity, Error> {
    let failed = |path: &Path, why: String| Error::File { path: path.to_owned(), why };
    let stamp = changed(certificate, key);
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain: Vec<CertificateDer<'static>> = chain.map_err(|error| failed(certificate, error.to_string()))?;
    let first = chain.first().ok_or_else(|| failed(certificate, "there is no certificate in it".into()))?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(first).map_err(|error| failed(certificate, error.to_string()))?;
    let fingerprint = hex(&Sha256::digest(parsed.public_key().raw));
    let expires_at = parsed.validity().not_after.timestamp().saturating_mul(1000);
    if expires_at <= now {
        return Err(Error::Expired { path: certificate.to_owned(), days: (now - expires_at) / DAY });
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { config: Arc::new(config), fingerprint, own, expires_at, stamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_certificate_made_anew_has_the_same_key_and_the_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls/certificate.pem"), dir.path().join("tls/key.pem"));
        let names = ["localhost".to_owned(), "192.168.7.7".to_owned()];
        let now = 1_800_000_000_000;
        make(&certificate, &key, &names, now).unwrap();
        let first = read(&certificate, &key, false, now).unwrap();
        assert_eq!(first.fingerprint.len(), 64);
        assert_eq!(first.expires_at, now + LIFE * DAY);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let late = now + (LIFE + 1) * DAY;
        assert!(matches!(read(&certificate, &key, false, late), Err(Error::Expired { days: 1, .. })));
        make(&certificate, &key, &names, late).unwrap();
        let second = read(&certificate, &key, false, late).unwrap();
        assert_eq!(second.fingerprint, first.fingerprint, "links that were given out still hold");
        assert!(second.expires_at > first.expires_at);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let now = 1_800_000_000_000;
        let path = |name: &str| dir.path().join(name);
        make(&path("a.pem"), &path("a.key"), &["a".to_owned()], now).unwrap();
        make(&path("b.pem"), &path("b.key"), &["b".to_owned()], now).unwrap();
        assert!(matches!(read(&path("a.pem"), &path("b.key"), true, now), Err(Error::Unfit(_))));
    }
}
