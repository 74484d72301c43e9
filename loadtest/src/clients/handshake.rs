//! The opening handshake from the client's side. Every client sends the same request, with the sample key of the
//! standard, so that the expected answer is a constant and 10,000 handshakes need no SHA-1.
//!
//! Obeys <https://www.rfc-editor.org/rfc/rfc6455>, sections 1.3 and 4.1.

use std::str::FromStr;

use thiserror::Error;
use tickwire_common::wire::{SUBPROTOCOL_ARRAY, SUBPROTOCOL_JSON};

/// Section 1.3: the sample key and the answer that it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Why an answer is not a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum HandshakeError {
    /// Not an HTTP/1.1 answer.
    #[error("not HTTP/1.1")]
    NotHttp,
    /// An HTTP answer other than 101.
    #[error("HTTP {0}")]
    Status(u16),
    /// `Upgrade` or `Connection` is missing.
    #[error("no Upgrade: websocket")]
    NoUpgrade,
    /// `Sec-WebSocket-Accept` is not the answer to our key.
    #[error("wrong Sec-WebSocket-Accept")]
    Accept,
    /// A subprotocol or an extension that was not offered.
    #[error("a subprotocol or extension that was not offered")]
    NotOffered,
    /// The server speaks another encoding than the one that was asked for.
    #[error("the server does not speak tickwire.v1.array")]
    NoArray,
    /// No end of the answer in 16 KiB.
    #[error("answer over 16 KiB")]
    TooLong,
}

/// `--encoding`: how rows are to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Objects.
    Json,
    /// Arrays with a number in place of the name.
    Array,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "array" => Ok(Self::Array),
            _ => Err(format!("{text:?} is not an encoding; there are json, array")),
        }
    }
}

impl Encoding {
    fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => SUBPROTOCOL_JSON,
            Self::Array => SUBPROTOCOL_ARRAY,
        }
    }
}

/// The request that opens a WebSocket at `path` of `host` (with its port) and offers one encoding.
pub(crate) fn request(host: &str, path: &str, encoding: Encoding) -> Vec<u8> {
    let subprotocol = encoding.subprotocol();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\nUser-Agent: tickwire-loadtest/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// Reads the answer at the beginning of `bytes` and how many bytes it took; `None` if it is not complete. No word of a
/// subprotocol means JSON.
///
/// # Errors
/// [`HandshakeError`].
pub(crate) fn read_answer(bytes: &[u8], offered: Encoding) -> Result<Option<usize>, HandshakeError> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > ANSWER_BYTES_MAX { Err(HandshakeError::TooLong) } else { Ok(None) };
    };
    let head = bytes.get(..end).unwrap_or_default();
    check(std::str::from_utf8(head).map_err(|_| HandshakeError::NotHttp)?, offered)?;
    Ok(Some(end + 4))
}

fn check(head: &str, offered: Encoding) -> Result<(), HandshakeError> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
    let status = status.and_then(|code| code.parse().ok()).ok_or(HandshakeError::NotHttp)?;
    if status != 101 {
        return Err(HandshakeError::Status(status));
    }
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let values = |name: &str| {
        let same = fields.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.trim()).collect::<Vec<_>>()
    };
    let has = |name: &str, word: &str| {
        values(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(HandshakeError::NoUpgrade);
    }
    if values("sec-websocket-accept") != [ACCEPT] {
        return Err(HandshakeError::Accept);
    }
    let spoken = values("sec-websocket-protocol");
    if !values("sec-websocket-extensions").is_empty()
        || spoken.iter().any(|name| *name != offered.subprotocol())
    {
        return Err(HandshakeError::NotOffered);
    }
    if spoken.is_empty() && offered == Encoding::Array { Err(HandshakeError::NoArray) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tickwire.v1.json\r\n\r\n";

    fn read(bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        read_answer(bytes, Encoding::Json)
    }

    #[test]
    fn a_good_answer_ends_where_frames_begin() {
        let stream = format!("{GOOD}\u{1}");
        assert_eq!(read(stream.as_bytes()), Ok(Some(GOOD.len())));
        for end in 0..GOOD.len() {
            assert_eq!(read(&GOOD.as_bytes()[..end]), Ok(None));
        }
        let plain = GOOD.replace("Sec-WebSocket-Protocol: tickwire.v1.json\r\n", "");
        assert_eq!(read(plain.as_bytes()), Ok(Some(plain.len())));
    }

    #[test]
    fn other_answers_are_named() {
        for (from, to, error) in [
            ("HTTP/1.1 101", "HTTP/1.1 503", HandshakeError::Status(503)),
            ("HTTP/1.1 101", "SSH-2.0", HandshakeError::NotHttp),
            ("WebSocket", "h2c", HandshakeError::NoUpgrade),
            ("keep-alive, Upgrade", "close", HandshakeError::NoUpgrade),
            ("s3pPLM", "S3PPLM", HandshakeError::Accept),
            ("tickwire.v1.json", "chat", HandshakeError::NotOffered),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                HandshakeError::NotOffered,
            ),
        ] {
            assert_eq!(read(GOOD.replace(from, to).as_bytes()), Err(error), "{to}");
        }
        assert_eq!(read(&vec![b'x'; ANSWER_BYTES_MAX + 1]), Err(HandshakeError::TooLong));
    }

    #[test]
    fn the_request_is_a_whole_handshake() {
        let request = String::from_utf8(request("127.0.0.1:8080", "/v1/stream", Encoding::Array)).unwrap();
        assert!(request.starts_with("GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"), "{request}");
        assert!(
            request.ends_with("\r\n\r\n") && request.contains("Sec-WebSocket-Version: 13\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\nSec-WebSocket-Protocol: tickwire.v1.array\r\n"), "{request}");
    }

    #[test]
    fn arrays_are_spoken_only_where_the_server_says_so() {
        let asked = |answer: &str| read_answer(answer.as_bytes(), Encoding::Array);
        let arrays = GOOD.replace("v1.json", "v1.array");
        assert_eq!(asked(&arrays), Ok(Some(arrays.len())));
        assert_eq!(asked(GOOD), Err(HandshakeError::NotOffered));
        assert_eq!(
            asked(&GOOD.replace("Sec-WebSocket-Protocol: tickwire.v1.json\r\n", "")),
            Err(HandshakeError::NoArray)
        );
        assert_eq!(read(arrays.as_bytes()), Err(HandshakeError::NotOffered));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut answer = bytes;
            answer.extend_from_slice(b"\r\n\r\n");
            let _ = read(&answer);
        }
    }
}
