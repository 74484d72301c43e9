//! The opening handshake, RFC 6455 section 4.2: judges the request's headers and gives the answer's.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Joined to the client's key, RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why an upgrade is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A plain HTTP request.
    #[error("this address speaks WebSocket: connect with a WebSocket client (Upgrade: websocket)")]
    NotWebSocket,
    /// Another version than 13.
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    /// No key, or one that is not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
}

/// Judges the headers of an upgrade and gives the value of `Sec-WebSocket-Accept`.
///
/// # Errors
/// [`Refusal`].
pub fn accept(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    if !has_token(headers, header::CONNECTION, "upgrade") || !has_token(headers, header::UPGRADE, "websocket")
    {
        return Err(Refusal::NotWebSocket);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    if STANDARD.decode(key.as_bytes()).map(|key| key.len()) != Ok(16) {
        return Err(Refusal::Key);
    }
    HeaderValue::from_str(&accept_key(key.as_bytes())).map_err(|_| Refusal::Key)
}

fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The subprotocols that a client offers, in its order of preference. Their case counts: a browser compares the answer
/// with its offers letter by letter.
pub fn offers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    tokens(headers, header::SEC_WEBSOCKET_PROTOCOL)
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|value| value.eq_ignore_ascii_case(token))
}

fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let request = headers(&[
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            (header::SEC_WEBSOCKET_PROTOCOL, "other, tickwire.v1.json"),
        ]);
        assert_eq!(accept(&request).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(offers(&request).eq(["other", "tickwire.v1.json"]));
    }

    #[test]
    fn each_refusal() {
        let upgrade = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];
        assert_eq!(accept(&headers(&[])), Err(Refusal::NotWebSocket));
        assert_eq!(accept(&headers(&upgrade)), Err(Refusal::Version));
        let mut version = headers(&upgrade);
        version.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert_eq!(accept(&version), Err(Refusal::Key));
        version.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("c2hvcnQ="));
        assert_eq!(accept(&version), Err(Refusal::Key));
    }
}
