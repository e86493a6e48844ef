//! Members whose tokens somebody else makes: JSON Web Tokens (RFC 7519), signed by a key of the settings.
//!
//! Each key has the one algorithm that it is for, so that a token cannot choose: a secret HS256, a public key EdDSA, a key of
//! a JWKS what its kind says (RFC 8725, sections 3.1 and 3.2).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, RwLock},
    time::{Duration, Instant, SystemTime},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use signalbox_model::{Member, MemberId, ProjectId, Role, UnixMillis};

use crate::{AuthError, names, settings::AuthSettings};

/// Clocks may differ by this much, in milliseconds.
const LEEWAY: i64 = 30_000;
/// Bytes of a secret at least (RFC 7518, section 3.2).
const SECRET: usize = 32;
/// Bytes of a token at most.
const LONGEST: usize = 8 * 1024;
/// Keys of a JWKS at most.
const KEYS: usize = 64;
/// A member's claims are noted in the log once in this time, however many different ones come.
const NOTED: Duration = Duration::from_secs(60);
/// Members of whom that is remembered.
const MEMBERS: usize = 10_000;

/// Why the settings of tokens cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// A file.
    #[error("the file {} of auth.{setting} cannot be used: {why}", path.display())]
    File {
        /// Which setting names it.
        setting: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Nobody is named whose tokens are accepted.
    #[error("auth.jwt_issuer is empty: say whose tokens the key is for")]
    NoIssuer,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    name: Option<String>,
    role: Role,
    #[serde(default)]
    projects: Vec<ProjectId>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

struct Jwks {
    path: PathBuf,
    /// The keys, and what the file was when they were read.
    read: RwLock<(Option<Stamp>, Vec<Key>)>,
}

type Stamp = (SystemTime, u64);

/// The keys whose tokens are accepted.
pub(crate) struct Jwt {
    issuer: String,
    audience: String,
    keys: Vec<Key>,
    jwks: Option<Jwks>,
    noted: Mutex<HashMap<MemberId, Instant>>,
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// What a key of a set is for; none: nothing that is accepted here.
fn key_of(jwk: &Jwk) -> Option<Key> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        // A secret has no place in a set that others can read.
        _ => return None,
    };
    let said = jwk.common.key_algorithm.map(Algorithm::try_from);
    if said.is_some_and(|said| said.ok() != Some(algorithm)) {
        return None;
    }
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}

impl Jwks {
    fn load(path: &Path) -> Result<Vec<Key>, String> {
        let text = std::fs::read(path).map_err(|error| error.to_string())?;
        let set: JwkSet = serde_json::from_slice(&text).map_err(|error| format!("it is no JWKS: {error}"))?;
        let keys: Vec<Key> = set.keys.iter().take(KEYS).filter_map(key_of).collect();
        if keys.is_empty() { Err("it holds no key for RS256, ES256 or EdDSA".into()) } else { Ok(keys) }
    }

    /// Reads the file again if it is another one. One that cannot be read leaves the keys as they are.
    fn refresh(&self) {
        let now = stamp(&self.path);
        if now.is_none() || now == self.read.read().unwrap_or_else(|e| e.into_inner()).0 {
            return;
        }
        let loaded = Self::load(&self.path);
        let mut read = self.read.write().unwrap_or_else(|e| e.into_inner());
        read.0 = now;
        match loaded {
            Ok(keys) => read.1 = keys,
            Err(why) => tracing::warn!(path = %self.path.display(), why, "the keys for tokens stay as they were"),
        }
    }
}

impl Jwt {
    /// The keys of the settings; none: no such tokens are accepted.
    pub(crate) fn new(settings: &AuthSettings) -> Result<Option<Self>, JwtError> {
        let file = |setting: &'static str, name: &str| {
            let path = PathBuf::from(name);
            let failed = |why: String| JwtError::File { setting, path: path.clone(), why };
            std::fs::read(&path).map_err(|error| failed(error.to_string()))
        };
        let unfit = |setting: &'static str, name: &str, why: String| JwtError::File { setting, path: name.into(), why };
        let mut keys = Vec::new();
        let mut key = |algorithm, key| keys.push(Key { id: None, algorithm, key });
        if !settings.jwt_secret_file.is_empty() {
            let name = &settings.jwt_secret_file;
            let text = file("jwt_secret_file", name)?;
            let secret = text.trim_ascii_end();
            if secret.len() < SECRET {
                let why = format!("the secret has {} bytes, it must have at least {SECRET}", secret.len());
                return Err(unfit("jwt_secret_file", name, why));
            }
            key(Algorithm::HS256, DecodingKey::from_secret(secret));
        }
        if !settings.jwt_public_key_file.is_empty() {
            let name = &settings.jwt_public_key_file;
            let text = file("jwt_public_key_file", name)?;
            let public = DecodingKey::from_ed_pem(&text)
                .map_err(|error| unfit("jwt_public_key_file", name, format!("it is no Ed25519 public key: {error}")))?;
            key(Algorithm::EdDSA, public);
        }
        let jwks = if settings.jwks_file.is_empty() {
            None
        } else {
            let path = PathBuf::from(&settings.jwks_file);
            let at = stamp(&path);
            let keys = Jwks::load(&path).map_err(|why| unfit("jwks_file", &settings.jwks_file, why))?;
            Some(Jwks { path, read: RwLock::new((at, keys)) })
        };
        if keys.is_empty() && jwks.is_none() {
            return Ok(None);
        }
        if settings.jwt_issuer.is_empty() {
            return Err(JwtError::NoIssuer);
        }
        let (issuer, audience) = (settings.jwt_issuer.clone(), settings.jwt_audience.clone());
        Ok(Some(Self { issuer, audience, keys, jwks, noted: Mutex::default() }))
    }

    /// Whether a token looks like one of these. Our own have no dots.
    pub(crate) fn is_one(token: &str) -> bool {
        token.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Who the token says it is. Blocks for a look at a file.
    pub(crate) fn recognise(&self, token: &str, now: UnixMillis) -> Result<Member, AuthError> {
        if token.len() > LONGEST {
            return Err(AuthError::Wrong);
        }
        let header = decode_header(token).map_err(|_| AuthError::Wrong)?;
        // Extensions that must be understood: none is (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(AuthError::Wrong);
        }
        let claims = self.claims(token, header.alg, header.kid.as_deref()).ok_or(AuthError::Wrong)?;
        #[expect(clippy::cast_possible_truncation, reason = "a time; what is too large for one is cut to the largest")]
        let millis = |seconds: f64| (seconds * 1000.0) as i64;
        let expires = millis(claims.exp);
        if claims.nbf.is_some_and(|from| millis(from).saturating_sub(LEEWAY) > now) {
            return Err(AuthError::Wrong);
        }
        if expires.saturating_add(LEEWAY) <= now {
            return Err(AuthError::Expired);
        }
        let name = claims.name.unwrap_or_else(|| claims.sub.clone());
        if claims.sub.is_empty() || names::check(&name).is_err() {
            return Err(AuthError::Wrong);
        }
        let digest = Sha256::digest(format!("{}\0{}", claims.iss, claims.sub).as_bytes());
        let id: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Member {
            id: MemberId::new(format!("m_{id}")).unwrap_or_else(|_| unreachable!("hexadecimal digits fit")),
            name,
            role: claims.role,
            projects: claims.projects,
            // Who comes within the leeway has what is left of it.
            expires_at: Some(if expires > now { expires } else { expires.saturating_add(LEEWAY) }),
            invited_by: None,
            issuer: Some(claims.iss),
            revoked: false,
        })
    }

    fn claims(&self, token: &str, algorithm: Algorithm, id: Option<&str>) -> Option<Claims> {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        let mut required = vec!["exp", "iss", "sub"];
        if self.audience.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(&[&self.audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        // Times are compared with the host's own clock.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let read = |key: &Key| decode::<Claims>(token, &key.key, &validation).ok().map(|data| data.claims);
        let fits = |key: &&Key| key.algorithm == algorithm;
        if let Some(claims) = self.keys.iter().filter(fits).find_map(read) {
            return Some(claims);
        }
        let jwks = self.jwks.as_ref()?;
        jwks.refresh();
        let keys = jwks.read.read().unwrap_or_else(|e| e.into_inner());
        keys.1.iter().filter(fits).filter(|key| id.is_none() || key.id.as_deref() == id).find_map(read)
    }

    /// Whether what is known of this member is to be brought up to date now.
    pub(crate) fn is_news(&self, member: &MemberId, now: Instant) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(|e| e.into_inner());
        if noted.len() >= MEMBERS {
            noted.retain(|_, at| now.duration_since(*at) < NOTED);
        }
        if noted.len() >= MEMBERS || noted.get(member).is_some_and(|at| now.duration_since(*at) < NOTED) {
            return false;
        }
        noted.insert(member.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const HS: &[u8] = b"a secret of at least thirty-two bytes";

    fn jwt(dir: &Path) -> Jwt {
        std::fs::write(dir.join("secret"), HS).unwrap();
        let settings = AuthSettings {
            jwt_secret_file: dir.join("secret").to_string_lossy().into_owned(),
            jwt_issuer: "https://id.example".into(),
            jwt_audience: "signalbox".into(),
            ..AuthSettings::default()
        };
        Jwt::new(&settings).unwrap().unwrap()
    }

    fn claims() -> Value {
        json!({ "iss": "https://id.example", "aud": "signalbox", "sub": "ada", "name": "Ada", "role": "operator",
            "projects": ["shop"], "exp": NOW / 1000 + 60 })
    }

    fn sign(claims: &Value, key: &[u8]) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(key)).unwrap()
    }

    fn with(field: &str, value: Value) -> String {
        let mut claims = claims();
        claims[field] = value;
        if claims[field].is_null() {
            claims.as_object_mut().unwrap().remove(field);
        }
        sign(&claims, HS)
    }

    #[test]
    fn a_good_token_is_a_member_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let jwt = jwt(dir.path());
        let ada = jwt.recognise(&sign(&claims(), HS), NOW).unwrap();
        assert_eq!((ada.name.as_str(), ada.role, ada.projects.len()), ("Ada", Role::Operator, 1));
        assert_eq!((ada.expires_at, ada.issuer.as_deref()), (Some(NOW + 60_000), Some("https://id.example")));
        let again = jwt.recognise(&with("name", json!("Ada L.")), NOW).unwrap();
        assert_eq!(again.id, ada.id, "the subject is who it is, not the name");
        assert_ne!(jwt.recognise(&with("sub", json!("eve")), NOW).unwrap().id, ada.id);
        assert_eq!(jwt.recognise(&with("name", Value::Null), NOW).unwrap().name, "ada");
    }

    #[test]
    fn what_is_not_signed_said_or_timed_right_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let jwt = jwt(dir.path());
        let wrong = |token: &str| assert_eq!(jwt.recognise(token, NOW).unwrap_err(), AuthError::Wrong, "{token}");
        wrong(&sign(&claims(), b"another secret of at least thirty-two"));
        for (field, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("elsewhere")),
            ("aud", Value::Null),
            ("sub", Value::Null),
            ("sub", json!("")),
            ("exp", Value::Null),
            ("exp", json!("tomorrow")),
            ("role", Value::Null),
            ("role", json!("root")),
            ("projects", json!(["../etc"])),
            ("name", json!("a\r\nb")),
            ("name", json!("\u{202e}evil")),
            ("nbf", json!(NOW / 1000 + 31)),
        ] {
            wrong(&with(field, value));
        }
        // No signature, another algorithm, a cut token, an extension.
        let good = sign(&claims(), HS);
        let parts: Vec<&str> = good.split('.').collect();
        for head in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"EdDSA"}"#, r#"{"alg":"RS256"}"#] {
            let head = base64(head.as_bytes());
            wrong(&format!("{head}.{}.{}", parts[1], parts[2]));
            wrong(&format!("{head}.{}.", parts[1]));
        }
        wrong(&format!("{}.{}.", parts[0], parts[1]));
        let mut header = Header::new(Algorithm::HS256);
        header.crit = Some(vec!["x".into()]);
        wrong(&encode(&header, &claims(), &EncodingKey::from_secret(HS)).unwrap());
        wrong(&format!("a.{}.c", "x".repeat(LONGEST)));
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let dir = tempfile::tempdir().unwrap();
        let jwt = jwt(dir.path());
        let late = with("exp", json!(NOW / 1000 - 29));
        assert_eq!(jwt.recognise(&late, NOW).unwrap().expires_at, Some(NOW + 1000));
        assert_eq!(jwt.recognise(&with("exp", json!(NOW / 1000 - 30)), NOW).unwrap_err(), AuthError::Expired);
        assert!(jwt.recognise(&with("nbf", json!(NOW / 1000 + 30)), NOW).is_ok());
    }

    /// Without padding, for URLs (RFC 4648, section 5).
    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let number = chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for at in 0..=chunk.len() {
                out.push(char::from(LETTERS[(number >> (18 - 6 * at) & 63) as usize]));
            }
        }
        out
    }

    const ED_PRIVATE: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
    /// The public half of the key above (RFC 8037, appendix A).
    const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn a_set_of_keys_is_read_again_when_it_changes_and_each_key_has_its_algorithm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let set = |keys: Value| std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X, "kid": "one" });
        let other = json!({ "kty": "EC", "crv": "P-256", "kid": "two",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
        set(json!([other]));
        let settings = AuthSettings {
            jwks_file: path.to_string_lossy().into_owned(),
            jwt_issuer: "https://id.example".into(),
            ..AuthSettings::default()
        };
        let jwt = Jwt::new(&settings).unwrap().unwrap();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("one".into());
        let token = encode(&header, &claims(), &EncodingKey::from_ed_pem(ED_PRIVATE).unwrap()).unwrap();
        assert_eq!(jwt.recognise(&token, NOW).unwrap_err(), AuthError::Wrong);
        set(json!([other, ed]));
        assert_eq!(jwt.recognise(&token, NOW).unwrap().name, "Ada", "the file changed");
        // The public key is no secret: a token that is signed with it as if it were (RFC 8725, section 2.1) is refused.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".into());
        for secret in [ED_X.as_bytes(), &std::fs::read(&path).unwrap()] {
            let forged = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(jwt.recognise(&forged, NOW).unwrap_err(), AuthError::Wrong);
        }
        let mut renamed = ed.clone();
        renamed["kid"] = json!("three");
        set(json!([other, renamed]));
        assert_eq!(jwt.recognise(&token, NOW).unwrap_err(), AuthError::Wrong, "it names a key that is gone");
        std::fs::write(&path, "half of a fi").unwrap();
        assert_eq!(jwt.recognise(&token, NOW).unwrap_err(), AuthError::Wrong);
        set(json!([ed]));
        assert!(jwt.recognise(&token, NOW).is_ok());
        let mut encryption = ed;
        encryption["use"] = json!("enc");
        set(json!([encryption, { "kty": "oct", "k": base64(HS), "alg": "HS256" }, other]));
        assert_eq!(jwt.recognise(&sign(&claims(), HS), NOW).unwrap_err(), AuthError::Wrong, "no secrets in a set");
        assert_eq!(jwt.recognise(&token, NOW).unwrap_err(), AuthError::Wrong);
    }

    /// Made for this test alone.
    const RSA_PRIVATE: &[u8] = b"-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCubD4WcPlz9DlK
M4XIoqntGWpu3dkGq2XLWZJF79mD9FQaJnjS7mDJbDZII+RmmxbKPuTSW0O8rQDB
0NOkk+6Ar89E2JuRccYhJCiyUWUTzcDNNuvWAvRP1QBVzCzdcmkHrSQBuX7ZPbx4
8yWcPuy8kNg4bESbYDz1AUDJSbjkHa6tC9yJIctmzkc9IFocjnElhxvN5CNUv1W4
W34e1SP1R+qtvCDWxXJlPhIvuETs5oAOFuLZkEu/YWZ+bvD8mlmMKrkYNpFcY1ic
NUV/GM/XOeyLRKKuH+dpmq1YxHVAM1aDnn9oNCvNdpReeSjtuilRL7gwuJS+bj4E
vBejGk7/AgMBAAECggEAAvi0HBTDoy6TdUiobFEdHP10WzwrUNpFqy+09r0N0xor
/qAOKeXGv1e5GwSFhRv6SOrGYjEM19+IpkSk/mZIx2d3XABmshUin3jqupL5alt0
f+qCHQzC1cNWtJ98Wi9zS56vANqEpzXOiq71wpIt3U6IaHmrt4vtrezeCi/X1wcF
LJlBwEutzyaD3Es+rTx7Q9h7ygDYofvUat9wf4u+DtAR9Ahey0IJe6PgXMGDBa9Y
r9cMgSUhX+ZsmUnA0Tnhbt/sNdQGKHQKca/EYfNVSVdiFuPJ3gI8Xqd9JdAfiSbX
q2Cps7S+Uyk5IbqBb0xgvoxbKtdXF3z5TP0F0MuBRQKBgQDufXeCYhbM4eOcIRJY
z9OdKRxluAWAehvPvhZnlUrveoihGWXZKCDpPzl13YzPCf2eZV47h1pSw/a6/GZT
mwTCOxhf7RUlymxk2jhJeCfp5UNMbVODP3vDj2DmPq08AZv/WmuczyT8sIEJhiFe
J7C2poRM0iuxIbbKHcp7UM9tMwKBgQC7OpnjtpfeHTREbrBZAbdjcfwMh64cTQ/i
cuh8OtbDbYin6GlZxDwKMm6KhVRwc/blvlXAYjrl1F6EmE77ZN0XqM6wWuIjzujf
30nlDGT6bSqwkCe/wD56jGoz8cnfpP8FBoAFtYDnXi45WCO0zpBCayJBeqLqh7jD
ITkxg9wfBQKBgGyle+xKA1kTDz3xUwpio2TVdbphOyBsgH8DefF2ccznZZb+mwdy
4Ith4itv4tXvFzsxstwrrVpHK//DPFqaJHDXuyL4PsoYjYjkYQAXXReQ+je3FnSU
Vy2gA+TgaMsNcKPD7YJiW9dCEYblNA5QxpBvC5ZzqLPpR/yL1dKX3edBAoGAPMg9
hWuVygn5Ge5FWd/wxVwP05GIuK9b5MwhJZOEfVVl8/zDltzaEQVmVZoLW6aKFPPB
qv8417wmIy2/FmYcUL4Au8gFelKFz4gR2UY40gP2w/NItDuZDPfg0pRAUVajY+JE
VZYjDvnIT92JWf1lX+qf6FoD4dfF57M1ehmwsHECgYBNUtnl5+rxlXTKGzzAIjwp
6kbmjNYcRn+2dCgNdOyXvFlJXi1bp+ED0jcuk8GiO+ewlFEpMHq7bPeUGX5H6xei
cHx8WOjgWne4CsR/J6nvaHsjSeAQE7vQnlDTPzMfPfpYzUfkv1MV329FCgUD9eMH
43obLek9p1ij5Mx6f9GdNA==
-----END PRIVATE KEY-----
";
    const RSA_N: &str = "rmw-FnD5c_Q5SjOFyKKp7Rlqbt3ZBqtly1mSRe_Zg_RUGiZ40u5gyWw2SCPkZpsWyj7k0ltDvK0AwdDTpJPugK_PRNibkXHGISQoslFlE83AzTbr1gL0T9UAVcws3XJpB60kAbl-2T28ePMlnD7svJDYOGxEm2A89QFAyUm45B2urQvciSHLZs5HPSBaHI5xJYcbzeQjVL9VuFt-HtUj9Ufqrbwg1sVyZT4SL7hE7OaADhbi2ZBLv2Fmfm7w_JpZjCq5GDaRXGNYnDVFfxjP1znsi0Sirh_naZqtWMR1QDNWg55_aDQrzXaUXnko7bopUS-4MLiUvm4-BLwXoxpO_w";
    const EC_PRIVATE: &[u8] = b"-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgODcg1yfJajU9vN3o
asfDVz2MdY8Gdbzqhqo5zEmRkM2hRANCAASQhk2SRSJGRcPaMM3xJDSHa1151mXL
8tNdQsc3zjqJFTXatgZePsxTpKbOe70iJOZmrSFrb+Wy7gzBar7KRdK/
-----END PRIVATE KEY-----
";
    const EC_XY: [&str; 2] =
        ["kIZNkkUiRkXD2jDN8SQ0h2tdedZly_LTXULHN846iRU", "Ndq2Bl4-zFOkps57vSIk5matIWtv5bLuDMFqvspF0r8"];

    #[test]
    fn rs256_and_es256_are_recognised_by_their_own_keys_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let [x, y] = EC_XY;
        let rsa = json!({ "kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "n": RSA_N, "e": "AQAB" });
        let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": x, "y": y });
        std::fs::write(&path, json!({ "keys": [rsa, ec] }).to_string()).unwrap();
        let settings = AuthSettings {
            jwks_file: path.to_string_lossy().into_owned(),
            jwt_issuer: "https://id.example".into(),
            ..AuthSettings::default()
        };
        let jwt = Jwt::new(&settings).unwrap().unwrap();
        let by_rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap();
        let by_ec = EncodingKey::from_ec_pem(EC_PRIVATE).unwrap();
        let token = |algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value| {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
            encode(&header, claims, key).unwrap()
        };
        for (algorithm, kid, key) in [(Algorithm::RS256, "r", &by_rsa), (Algorithm::ES256, "e", &by_ec)] {
            let good = token(algorithm, Some(kid), key, &claims());
            let ada = jwt.recognise(&good, NOW).unwrap();
            assert_eq!((ada.name.as_str(), ada.role), ("Ada", Role::Operator), "{algorithm:?}");
            let mut late = claims();
            late["exp"] = json!(NOW / 1000 - 60);
            assert_eq!(jwt.recognise(&token(algorithm, Some(kid), key, &late), NOW).unwrap_err(), AuthError::Expired);
            // Words of somebody else under a true signature.
            let mut owner = claims();
            owner["role"] = json!("owner");
            let other = token(algorithm, Some(kid), key, &owner);
            let (good, other): (Vec<&str>, Vec<&str>) = (good.split('.').collect(), other.split('.').collect());
            let forged = format!("{}.{}.{}", good[0], other[1], good[2]);
            assert_eq!(jwt.recognise(&forged, NOW).unwrap_err(), AuthError::Wrong, "{algorithm:?}");
        }
        // A key is for its algorithm, and the name of the one is not the other's.
        for wrong in [
            token(Algorithm::RS256, Some("e"), &by_rsa, &claims()),
            token(Algorithm::ES256, Some("r"), &by_ec, &claims()),
            token(Algorithm::RS384, Some("r"), &by_rsa, &claims()),
            token(Algorithm::PS256, Some("r"), &by_rsa, &claims()),
        ] {
            assert_eq!(jwt.recognise(&wrong, NOW).unwrap_err(), AuthError::Wrong);
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let short = dir.path().join("short");
        std::fs::write(&short, "short\n").unwrap();
        let settings = |secret: &Path, issuer: &str| AuthSettings {
            jwt_secret_file: secret.to_string_lossy().into_owned(),
            jwt_issuer: issuer.into(),
            ..AuthSettings::default()
        };
        let why = |settings: &AuthSettings| Jwt::new(settings).err().unwrap().to_string();
        assert!(why(&settings(&short, "x")).contains("at least 32"));
        assert!(why(&settings(&dir.path().join("none"), "x")).contains("jwt_secret_file"));
        std::fs::write(&short, HS).unwrap();
        assert!(why(&settings(&short, "")).contains("jwt_issuer"));
        assert!(Jwt::new(&AuthSettings::default()).unwrap().is_none());
    }
}
