//! Joining a host with the link of an invitation.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_model::{MemberId, Role};
use signalbox_wire::CallError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Ended, Pin,
    stream::{Place, Stream},
};

/// Bytes of an answer at most.
const ANSWER: u64 = 64 * 1024;
/// How long joining may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the link of an invitation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// The host's base address, `https://192.168.1.7:7118`.
    pub url: String,
    /// The invitation's code.
    pub code: String,
    /// The host's key; none: the public vouches for its certificate.
    pub pin: Option<Pin>,
}

impl JoinLink {
    /// Reads `https://HOST:PORT/join#CODE.FINGERPRINT` or `signalbox://join/HOST:PORT#CODE.FINGERPRINT`. None for
    /// everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (place, secret) = text.trim().split_once('#')?;
        let base = match place.strip_prefix("signalbox://join/") {
            Some(place) => format!("https://{}", place.trim_end_matches('/')),
            None => place.trim_end_matches('/').strip_suffix("/join")?.to_owned(),
        };
        let place = Place::parse(&base).filter(|place| place.secret)?;
        let (code, pin) = match secret.split_once('.') {
            Some((code, pin)) => (code, Some(pin.parse().ok()?)),
            None => (secret, None),
        };
        let fits = (8..=100).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self { url: format!("https://{}", place.authority), code: code.to_owned(), pin })
    }
}

/// What joining gave.
#[derive(Debug, Clone, Deserialize)]
pub struct Joined {
    /// Who one is there.
    pub member: MemberId,
    /// One's name there.
    pub member_name: String,
    /// What one may do there.
    pub role: Role,
    /// The token: only the host knows it too, and only its hash.
    pub token: String,
}

/// A host that was joined, as files keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Names it in commands; its address, so that a host is joined once.
    pub id: String,
    /// What it is called here.
    pub name: String,
    /// Who one is there.
    pub member: String,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The token, where there is no keychain to hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Why somebody did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The host was not reached, or was another one.
    #[error("{0}; you have not joined")]
    Connection(#[from] Ended),
    /// The host said no.
    #[error("{}", .0.message)]
    Refused(CallError),
}

/// Joins with an invitation's link as `name`, on the machine `device` if that should be seen.
///
/// # Errors
/// If the host is not reached, has another key than the link says, or refuses.
pub async fn join(link: &JoinLink, name: &str, device: Option<&str>) -> Result<Joined, JoinError> {
    let mut wish = serde_json::json!({ "code": link.code, "name": name });
    if let Some(device) = device {
        wish["device"] = device.into();
    }
    let answer = tokio::time::timeout(PATIENCE, post(link, "/api/v1/join", &wish.to_string())).await;
    let unreachable = |why: String| Ended::Unreachable { url: link.url.clone(), why };
    let (status, body) =
        answer.map_err(|_| unreachable("no answer in time".into()))?.map_err(|error| unreachable(error.to_string()))?;
    let odd = || Ended::Protocol(format!("it answered with HTTP {status}"));
    if status == 200 {
        return Ok(serde_json::from_slice(&body).map_err(|_| odd())?);
    }
    #[derive(Deserialize)]
    struct Refusal {
        error: CallError,
    }
    let refusal: Refusal = serde_json::from_slice(&body).map_err(|_| odd())?;
    Err(JoinError::Refused(refusal.error))
}

async fn post(link: &JoinLink, path: &str, body: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let malformed = || std::io::Error::other("it does not speak HTTP");
    let place = Place::parse(&link.url).ok_or_else(|| std::io::Error::other("this is no address of a host"))?;
    let mut stream = Stream::open(&place, link.pin).await?;
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        place.authority,
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    // A connection that was cut short shows in the body, which is JSON.
    let read = stream.take(ANSWER).read_to_end(&mut answer).await;
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let split = match (split, read) {
        (Some(split), _) => split,
        (None, Err(error)) => return Err(error),
        (None, Ok(_)) => return Err(malformed()),
    };
    let head = String::from_utf8_lossy(&answer[..split]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    Ok((status, answer.split_off(split + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_links_say_the_same() {
        let pin = "ab".repeat(32);
        let web = JoinLink::parse(&format!(" https://10.0.0.7:7118/join#abcdefgh1234.{pin}\n")).unwrap();
        let app = JoinLink::parse(&format!("signalbox://join/10.0.0.7:7118#abcdefgh1234.{pin}")).unwrap();
        assert_eq!(web, app);
        assert_eq!((web.url.as_str(), web.code.as_str()), ("https://10.0.0.7:7118", "abcdefgh1234"));
        assert_eq!(web.pin.unwrap().to_string(), pin);
        let public = JoinLink::parse("https://box.example/join#abcdefgh1234").unwrap();
        assert_eq!((public.url.as_str(), public.pin), ("https://box.example", None));
        for wrong in [
            "",
            "https://box.example/join",
            "https://box.example/#abcdefgh1234",
            "http://box.example/join#abcdefgh1234",
            "https://box.example/join#abcdefgh1234.12",
            "https://box.example/join#short",
            "https://evil@box.example/join#abcdefgh1234",
            "signalbox://join/#abcdefgh1234",
            "signalbox://join/a/b#abcdefgh1234",
            "https://box.example/join#abcdefgh1234\r\nX: y",
        ] {
            assert_eq!(JoinLink::parse(wrong), None, "{wrong}");
        }
    }
}
