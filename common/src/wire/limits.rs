//! The limits that a server announces in its first message. Limits of one connection count for everyone alike; those of
//! the server say why it may refuse another connection. Described for clients in docs/WIRE.md.

use serde::Serialize;

/// What must not be passed. A field that is absent in the message does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Symbols of one connection.
    pub symbols: usize,
    /// Symbols in one request.
    pub symbols_per_request: usize,
    /// Messages of one connection a second, sustained.
    pub msgs_per_s: u32,
    /// Messages of one connection at once.
    pub msgs_burst: u32,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Milliseconds from the connect until the whole upgrade request has arrived.
    pub handshake_ms: u32,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address: Option<u32>,
    /// Resident memory of the server, in bytes, above which it takes nobody new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl Default for Limits {
    /// What a server has without settings; reasons in docs/WIRE.md.
    fn default() -> Self {
        Self {
            symbols: 2_000,
            symbols_per_request: 2_000,
            msgs_per_s: 10,
            msgs_burst: 40,
            message_bytes: 128 << 10,
            handshake_ms: 10_000,
            connections: 50_000,
            connections_per_address: None,
            memory_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(limits: Limits) -> String {
        serde_json::to_string(&limits).unwrap()
    }

    #[test]
    fn what_does_not_limit_is_not_announced() {
        let announced = text(Limits::default());
        assert!(announced.ends_with(r#""handshake_ms":10000,"connections":50000}"#), "{announced}");
        let all =
            Limits { connections_per_address: Some(100), memory_bytes: Some(1 << 30), ..Limits::default() };
        let announced = text(all);
        assert!(
            announced.ends_with(r#""connections_per_address":100,"memory_bytes":1073741824}"#),
            "{announced}"
        );
    }
}
