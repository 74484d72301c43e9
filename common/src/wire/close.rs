//! Close codes: they tell a client whether to come back. 3500-3999 and 4500-4999 are final, everything else means
//! reconnect (the ranges of Centrifugo's clients). Codes below 3000: RFC 6455 section 7.4 and its registry.

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The client said goodbye.
    Normal = 1000,
    /// The server ends; come back at once.
    GoingAway = 1001,
    /// Broken WebSocket framing.
    ProtocolError = 1002,
    /// A binary message; this protocol is text.
    UnsupportedData = 1003,
    /// Text that is not UTF-8.
    InvalidPayload = 1007,
    /// A message over the announced size.
    TooBig = 1009,
    /// The server restarts; `going_away` said when to come back.
    Restart = 1012,
    /// No room for another connection; back off.
    Overloaded = 1013,
    /// Nothing could be written for the announced time.
    SlowReader = 4000,
    /// Two pings went unanswered.
    HeartbeatTimeout = 4001,
    /// Message after message that is not this protocol. Final.
    BadProtocol = 4500,
    /// The connection limit of this address. Final.
    ConnectionLimit = 4502,
    /// The message rate was passed again and again. Final.
    Abuse = 4504,
}

impl CloseCode {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::UnsupportedData,
        Self::InvalidPayload,
        Self::TooBig,
        Self::Restart,
        Self::Overloaded,
        Self::SlowReader,
        Self::HeartbeatTimeout,
        Self::BadProtocol,
        Self::ConnectionLimit,
        Self::Abuse,
    ];

    /// The number on the wire.
    pub fn num(self) -> u16 {
        self as u16
    }

    /// A short reason for logs, metrics and the close frame (at most 123 bytes).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going_away",
            Self::ProtocolError => "protocol_error",
            Self::UnsupportedData => "unsupported_data",
            Self::InvalidPayload => "invalid_payload",
            Self::TooBig => "too_big",
            Self::Restart => "restart",
            Self::Overloaded => "overloaded",
            Self::SlowReader => "slow_reader",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::BadProtocol => "bad_protocol",
            Self::ConnectionLimit => "connection_limit",
            Self::Abuse => "abuse",
        }
    }

    /// Whether a client should come back.
    pub fn retry(self) -> bool {
        !matches!(self.num(), 3500..=3999 | 4500..=4999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_says_whether_to_come_back() {
        assert!(CloseCode::Restart.retry() && CloseCode::SlowReader.retry() && CloseCode::TooBig.retry());
        assert!(
            !CloseCode::BadProtocol.retry()
                && !CloseCode::Abuse.retry()
                && !CloseCode::ConnectionLimit.retry()
        );
    }
}
