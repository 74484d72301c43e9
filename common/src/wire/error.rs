//! Error codes: the string is the contract, the number is stable, the message is for people.

use serde::Serialize;

/// What went wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not JSON.
    BadJson,
    /// JSON, but not a request; the message names the field.
    BadRequest,
    /// A method that does not exist.
    UnknownMethod,
    /// A channel that does not exist.
    UnknownChannel,
    /// Over the announced message size.
    MessageTooBig,
    /// Over the announced message rate; `retry_after_ms` says when to go on.
    RateLimited,
    /// Over the announced number of symbols.
    SymbolLimit,
    /// Over the number of connections of one address.
    ConnectionLimit,
    /// No venue has this symbol.
    UnknownSymbol,
    /// The catalogue of symbols is not loaded yet.
    FeedDown,
    /// The symbol was not subscribed.
    NotSubscribed,
    /// The server failed.
    Internal,
    /// The server is too busy; back off.
    Overloaded,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BadJson,
        Self::BadRequest,
        Self::UnknownMethod,
        Self::UnknownChannel,
        Self::MessageTooBig,
        Self::RateLimited,
        Self::SymbolLimit,
        Self::ConnectionLimit,
        Self::UnknownSymbol,
        Self::FeedDown,
        Self::NotSubscribed,
        Self::Internal,
        Self::Overloaded,
    ];

    /// The contract: the code's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::UnknownMethod => "unknown_method",
            Self::UnknownChannel => "unknown_channel",
            Self::MessageTooBig => "message_too_big",
            Self::RateLimited => "rate_limited",
            Self::SymbolLimit => "symbol_limit",
            Self::ConnectionLimit => "connection_limit",
            Self::UnknownSymbol => "unknown_symbol",
            Self::FeedDown => "feed_down",
            Self::NotSubscribed => "not_subscribed",
            Self::Internal => "internal",
            Self::Overloaded => "overloaded",
        }
    }

    /// The stable number.
    pub fn num(self) -> u16 {
        match self {
            Self::BadJson => 1001,
            Self::BadRequest => 1002,
            Self::UnknownMethod => 1003,
            Self::UnknownChannel => 1004,
            Self::MessageTooBig => 1005,
            Self::RateLimited => 2001,
            Self::SymbolLimit => 2002,
            Self::ConnectionLimit => 2003,
            Self::UnknownSymbol => 4001,
            Self::FeedDown => 4002,
            Self::NotSubscribed => 4004,
            Self::Internal => 5001,
            Self::Overloaded => 5002,
        }
    }

    /// Whether the same request may succeed later.
    pub fn retry(self) -> bool {
        matches!(self, Self::RateLimited | Self::FeedDown | Self::Internal | Self::Overloaded)
    }
}

/// An error as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// [`ErrorCode::as_str`].
    pub code: &'static str,
    /// [`ErrorCode::num`].
    pub num: u16,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// [`ErrorCode::retry`].
    pub retry: bool,
    /// When to try again, in milliseconds; with `rate_limited` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// An error with its words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str(),
            num: code.num(),
            message: message.into(),
            retry: code.retry(),
            retry_after_ms: None,
        }
    }
}
