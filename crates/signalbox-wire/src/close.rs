//! WebSocket close codes (RFC 6455, section 7.4.2: 4000-4999 are for applications).

/// Why the host closed a connection. 4000-4499: come back. 4500-4999: do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The host stops or restarts.
    Shutdown = 4001,
    /// The token ran out while connected.
    TokenExpired = 4005,
    /// The socket made no progress for too long.
    Slow = 4008,
    /// A ping went unanswered.
    NoPong = 4012,
    /// Too many calls or connections in a short time.
    TooManyRequests = 4013,
    /// What the client holds is no longer of use: connect again.
    StateInvalidated = 4014,
    /// The token is wrong or missing.
    InvalidToken = 4500,
    /// A frame is malformed or too large.
    BadRequest = 4501,
    /// No `hello` within the limit.
    NoHello = 4502,
    /// An owner closed the connection, or the same client instance connected again.
    Kicked = 4503,
    /// Too many connections of this member or on this host.
    ConnectionLimit = 4504,
    /// The host does not speak the version that the client asked for.
    UnsupportedVersion = 4506,
    /// The role or the projects of the token do not allow it.
    Forbidden = 4507,
}

impl CloseCode {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Shutdown,
        Self::TokenExpired,
        Self::Slow,
        Self::NoPong,
        Self::TooManyRequests,
        Self::StateInvalidated,
        Self::InvalidToken,
        Self::BadRequest,
        Self::NoHello,
        Self::Kicked,
        Self::ConnectionLimit,
        Self::UnsupportedVersion,
        Self::Forbidden,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether a client should connect again. Holds for any code: 1000 means "do not come back" as well.
    #[must_use]
    pub fn may_reconnect(code: u16) -> bool {
        code != 1000 && !(4500..5000).contains(&code)
    }

    /// The reason sent with the code.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::TokenExpired => "token_expired",
            Self::Slow => "slow",
            Self::NoPong => "no_pong",
            Self::TooManyRequests => "too_many_requests",
            Self::StateInvalidated => "state_invalidated",
            Self::InvalidToken => "invalid_token",
            Self::BadRequest => "bad_request",
            Self::NoHello => "no_hello",
            Self::Kicked => "kicked",
            Self::ConnectionLimit => "connection_limit",
            Self::UnsupportedVersion => "unsupported_version",
            Self::Forbidden => "forbidden",
        }
    }
}
