//! Signatures of webhooks: HMAC-SHA256 (RFC 2104), compared in constant time.

use ring::hmac;

/// How far the time of a signature may be from ours, in seconds.
pub const TOLERANCE: i64 = 300;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// What `X-Signalbox-Signature` signs: the time, the delivery's id if there is one, and the body as it was sent.
fn content(seconds: i64, delivery: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut content = seconds.to_string().into_bytes();
    content.push(b'.');
    if let Some(delivery) = delivery {
        content.extend_from_slice(delivery.as_bytes());
        content.push(b'.');
    }
    content.extend_from_slice(body);
    content
}

/// The value of `X-Signalbox-Signature`: `t=<Unix seconds>,v1=<hex>`.
#[must_use]
pub fn sign(secret: &str, seconds: i64, delivery: Option<&str>, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &content(seconds, delivery, body));
    format!("t={seconds},v1={}", hex(tag.as_ref()))
}

/// Whether `X-Signalbox-Signature` is right, and its time not too far from `now` (Unix seconds). Of several `v1` one has to
/// be, so that a secret can be changed.
#[must_use]
pub fn verify(secret: &str, signature: &str, delivery: Option<&str>, body: &[u8], now: i64) -> bool {
    let mut seconds = None;
    let mut tags = Vec::new();
    for part in signature.split(',').take(10) {
        match part.trim().split_once('=') {
            Some(("t", text)) => seconds = text.parse::<i64>().ok(),
            Some(("v1", text)) => tags.extend(unhex(text)),
            _ => {}
        }
    }
    let Some(seconds) = seconds.filter(|seconds| now.abs_diff(*seconds) <= TOLERANCE.unsigned_abs()) else {
        return false;
    };
    let (key, content) = (hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), content(seconds, delivery, body));
    tags.iter().any(|tag| hmac::verify(&key, &content, tag).is_ok())
}

/// Whether `X-Hub-Signature-256`, as GitHub and others send it, is right: `sha256=<hex>` over the body.
#[must_use]
pub fn verify_hub(secret: &str, signature: &str, body: &[u8]) -> bool {
    let tag = signature.strip_prefix("sha256=").and_then(unhex);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    tag.is_some_and(|tag| hmac::verify(&key, body, &tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_githubs_documentation_is_right() {
        let secret = "It's a Secret to Everybody";
        let tag = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(verify_hub(secret, tag, b"Hello, World!"));
        assert!(!verify_hub(secret, tag, b"Hello, World?"));
        for wrong in ["", "sha256=", "sha1=757107ea", &tag[7..], &tag[..70], "sha256=zz", "sha256=\u{e4}\u{e4}"] {
            assert!(!verify_hub(secret, wrong, b"Hello, World!"), "{wrong}");
        }
    }

    #[test]
    fn a_signature_is_good_for_its_time_its_delivery_and_its_body() {
        let signed = sign("0123456789abcdef", 1000, Some("d1"), b"{}");
        let good = |delivery, body, now| verify("0123456789abcdef", &signed, delivery, body, now);
        assert!(good(Some("d1"), b"{}", 1000) && good(Some("d1"), b"{}", 1300) && good(Some("d1"), b"{}", 700));
        assert!(!good(Some("d1"), b"{}", 1301) && !good(Some("d1"), b"{}", 699));
        assert!(!good(Some("d2"), b"{}", 1000) && !good(None, b"{}", 1000) && !good(Some("d1"), b"{ }", 1000));
        assert!(!verify("another secret..", &signed, Some("d1"), b"{}", 1000));
        assert!(verify("0123456789abcdef", &format!("v1=00,{signed}"), Some("d1"), b"{}", 1000));
        assert!(!verify("0123456789abcdef", "t=1000", Some("d1"), b"{}", 1000));
    }
}
