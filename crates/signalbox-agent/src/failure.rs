//! What can go wrong with an agent, as a kind to act on and words for a person.

use serde_json::Value;
use signalbox_model::{AgentErrorKind, UnixMillis};

use crate::{limits, reset};

/// Why an agent did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: AgentErrorKind,
    /// What happened and what to do, for a person.
    pub message: String,
    /// The agent's own words: its error answer, or the end of what it wrote to standard error.
    pub detail: Option<String>,
    /// When a usage limit ends.
    pub resets_at: Option<UnixMillis>,
}

/// Longest [`Failure::detail`] in bytes: the end of standard error counts, the beginning of an answer.
const DETAIL: usize = 4096;

/// An error answer of an agent, JSON-RPC 2.0, section 5.1.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Its code. Some agents put an HTTP status here.
    pub code: i64,
    /// Its words.
    pub message: String,
    /// What it adds.
    pub data: Value,
}

/// The code that the Agent Client Protocol gives to a missing sign-in.
const AUTH_REQUIRED: i64 = -32000;
/// The code that one agent uses for a refused key.
const AUTH_REFUSED: i64 = -31002;

impl Failure {
    pub(crate) fn new(kind: AgentErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, resets_at: None }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(AgentErrorKind::Protocol, message)
    }

    /// Adds the end of what the agent wrote to standard error, unless its own words are there already.
    pub(crate) fn with_stderr(mut self, stderr: &str) -> Self {
        let stderr = stderr.trim();
        if self.detail.is_none() && !stderr.is_empty() {
            self.detail = Some(limits::tail(stderr, DETAIL).to_owned());
        }
        self
    }

    /// Whether standard error says that an agent which did not start wants a sign-in.
    pub(crate) fn wants_sign_in(stderr: &str) -> bool {
        let stderr = stderr.to_lowercase();
        let words = [
            "not logged in",
            "not signed in",
            "please log in",
            "please sign in",
            "unauthorized",
            "api key",
            "auth method",
        ];
        words.iter().any(|word| stderr.contains(word))
    }

    /// From an error answer to `what`, e.g. "the prompt".
    pub(crate) fn of_refusal(agent: &str, what: &str, refusal: &Refusal, now: UnixMillis) -> Self {
        let said = refusal.words();
        let lower = said.to_lowercase();
        let mut resets_at = None;
        let (kind, message) = match refusal.kind(&lower) {
            AgentErrorKind::Auth => (
                AgentErrorKind::Auth,
                format!("{agent} is not signed in, or its key was refused: sign in, then try again"),
            ),
            AgentErrorKind::RateLimit => {
                resets_at = reset::from_json(&refusal.data, now).or_else(|| reset::from_text(&said, now));
                let then = match resets_at {
                    Some(_) => "it can go on when the limit ends",
                    None => "wait, or use another account or agent",
                };
                (AgentErrorKind::RateLimit, format!("{agent} has reached a usage limit: {then}"))
            }
            AgentErrorKind::Network => (
                AgentErrorKind::Network,
                format!(
                    "{agent} lost the connection to its model, or could not reach it: check the network, then try again"
                ),
            ),
            AgentErrorKind::Protocol => (
                AgentErrorKind::Protocol,
                format!("{agent} did not accept {what}: its version may not fit this version of Signalbox"),
            ),
            kind => (kind, format!("{agent} answered {what} with an error: {}", limits::head(said.trim(), 300))),
        };
        let detail = Some(limits::head(said.trim(), DETAIL).to_owned()).filter(|detail| !detail.is_empty());
        Self { kind, message, detail, resets_at }
    }
}

impl Refusal {
    /// Reads the `error` member of an answer, whatever is in it.
    pub(crate) fn of(error: &Value) -> Self {
        Self {
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            data: error.get("data").cloned().unwrap_or_default(),
        }
    }

    /// All its words, for a person and for looking into them.
    fn words(&self) -> String {
        let data = match &self.data {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            data => match data.get("details").and_then(Value::as_str) {
                Some(details) => details.to_owned(),
                None => limits::head(&data.to_string(), DETAIL).to_owned(),
            },
        };
        match (self.message.as_str(), data.as_str()) {
            ("", "") => format!("error {}", self.code),
            (message, "") => message.to_owned(),
            ("", data) => data.to_owned(),
            (message, data) => format!("{message} ({data})"),
        }
    }

    /// Agents agree on no codes: an HTTP status in any place counts, then words.
    fn kind(&self, lower: &str) -> AgentErrorKind {
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let status = [self.code]
            .into_iter()
            .chain(
                ["status", "statusCode", "httpStatusCode", "code"]
                    .iter()
                    .filter_map(|key| self.data.get(*key)?.as_i64()),
            )
            .find(|code| (400..600).contains(code));
        match (status, self.code) {
            (Some(401 | 403), _) | (_, AUTH_REQUIRED | AUTH_REFUSED) => AgentErrorKind::Auth,
            (Some(429), _) => AgentErrorKind::RateLimit,
            // Rate limits first: their texts often say how to sign in for more.
            _ if has(&[
                "rate limit",
                "rate_limit",
                "ratelimit",
                "too many requests",
                "usage limit",
                "quota",
                "429",
            ]) =>
            {
                AgentErrorKind::RateLimit
            }
            _ if has(&[
                "unauthorized",
                "unauthenticated",
                "authentication",
                "not signed in",
                "not logged in",
                "sign in",
                "log in",
                "login",
                "api key",
                "api_key",
                "bad key",
                "invalid key",
                "401",
            ]) =>
            {
                AgentErrorKind::Auth
            }
            _ if has(&[
                "econnrefused",
                "econnreset",
                "enotfound",
                "etimedout",
                "eai_again",
                "network",
                "connection",
                "fetch failed",
                "terminated",
                "socket",
                "disconnected",
                "unreachable",
                "dns",
            ]) =>
            {
                AgentErrorKind::Network
            }
            (Some(408 | 502 | 503 | 504), _) => AgentErrorKind::Network,
            (_, -32700 | -32602 | -32601 | -32600) => AgentErrorKind::Protocol,
            _ => AgentErrorKind::Agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failure(error: &Value) -> Failure {
        Failure::of_refusal("Agent", "the prompt", &Refusal::of(error), 1_000_000)
    }

    #[test]
    fn errors_that_real_agents_gave_are_told_apart() {
        let bad_key = r#"{"error":{"type":"scripted_error","code":401,"message":"scripted: bad key"}}"#;
        for (error, kind) in [
            (json!({"code": 401, "message": bad_key}), AgentErrorKind::Auth),
            (json!({"code": -32000, "message": "Authentication required"}), AgentErrorKind::Auth),
            (json!({"code": -31002, "message": "x"}), AgentErrorKind::Auth),
            (
                json!({"code": -32603, "message": "Internal error: scripted: bad key", "data": {"service": "session"}}),
                AgentErrorKind::Auth,
            ),
            (json!({"code": 500, "message": "terminated"}), AgentErrorKind::Network),
            (
                json!({"code": -32603, "message": "Internal error", "data": {"details": "fetch failed"}}),
                AgentErrorKind::Network,
            ),
            (json!({"code": 429, "message": "slow down"}), AgentErrorKind::RateLimit),
            (json!({"code": -32603, "message": "You exceeded your quota"}), AgentErrorKind::RateLimit),
            (json!({"code": -32602, "message": "Invalid params"}), AgentErrorKind::Protocol),
            (json!({"code": -32603, "message": "scripted: bad request"}), AgentErrorKind::Agent),
            (json!({}), AgentErrorKind::Agent),
            (json!("?"), AgentErrorKind::Agent),
        ] {
            assert_eq!(failure(&error).kind, kind, "{error}");
        }
    }

    #[test]
    fn a_failure_keeps_the_agents_words_and_says_what_to_do() {
        let failure = failure(&json!({"code": 429, "message": "Too Many Requests", "data": {"retry_after": 30}}));
        assert_eq!(failure.resets_at, Some(1_030_000));
        assert_eq!(failure.detail.as_deref(), Some(r#"Too Many Requests ({"retry_after":30})"#));
        assert!(failure.message.contains("when the limit ends"), "{failure}");
    }
}
