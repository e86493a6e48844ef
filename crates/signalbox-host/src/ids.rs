//! Random identifiers and tokens.

use signalbox_model::{ChatId, MemberId, PermissionId, RunId, WebhookId};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A random number.
pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // The system's generator does not fail on any system that can run this program.
    getrandom::fill(&mut bytes).unwrap_or_else(|error| unreachable!("no random numbers: {error}"));
    u64::from_le_bytes(bytes)
}

/// `letters` random letters or digits, 5 bits each.
pub(crate) fn token(letters: usize) -> String {
    let mut bytes = vec![0u8; letters];
    getrandom::fill(&mut bytes).unwrap_or_else(|error| unreachable!("no random numbers: {error}"));
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Ten letters of milliseconds, so that it sorts by time, then twelve random ones.
fn by_time(now: i64) -> String {
    let mut time = String::new();
    let mut rest = now.max(0);
    for _ in 0..10 {
        time.insert(0, char::from(ALPHABET[usize::try_from(rest & 31).unwrap_or(0)]));
        rest >>= 5;
    }
    time.push_str(&token(12));
    time
}

/// A run id that sorts by time.
pub(crate) fn run(now: i64) -> RunId {
    RunId::new(format!("r_{}", by_time(now))).unwrap_or_else(|_| unreachable!("the alphabet fits"))
}

/// The id of a chat message, which sorts by time.
pub(crate) fn chat(now: i64) -> ChatId {
    ChatId::new(format!("c_{}", by_time(now))).unwrap_or_else(|_| unreachable!("the alphabet fits"))
}

/// The id of an agent's question.
pub(crate) fn permission() -> PermissionId {
    PermissionId::new(format!("q_{}", token(20))).unwrap_or_else(|_| unreachable!("the alphabet fits"))
}

/// The id of a webhook.
pub(crate) fn webhook() -> WebhookId {
    WebhookId::new(format!("w_{}", token(16))).unwrap_or_else(|_| unreachable!("the alphabet fits"))
}

/// A member id.
pub(crate) fn member() -> MemberId {
    MemberId::new(format!("m_{}", token(16))).unwrap_or_else(|_| unreachable!("the alphabet fits"))
}
