//! Where clients connect to: a `ws://` address in its parts, and the list of symbols that the same server gives over
//! HTTP.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

/// Where an edge lists its symbols.
const SYMBOLS_PATH: &str = "/v1/symbols";

/// Longest list that is read, in bytes, and how long it may take.
const SYMBOLS_BYTES_MAX: u64 = 32 << 20;
const SYMBOLS_SECONDS_MAX: u64 = 10;

/// A WebSocket address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("wss://") {
            return Err("wss:// is not supported yet; give the ws:// address in front of TLS".to_owned());
        }
        let wrong = || format!("{text:?} is not an address like ws://127.0.0.1:8080/v1/stream");
        let rest = text.strip_prefix("ws://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, 80),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let legal = |c: char| c.is_ascii_graphic() && c != '#' && c != '@';
        if host.is_empty() || !host.chars().all(legal) || !path.chars().all(legal) {
            return Err(wrong());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.authority(), self.path)
    }
}

impl Target {
    /// Host and port as they stand in an address and in `Host:`.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// What is asked for at the host.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same with one more query parameter, like `numbers=string`.
    pub(crate) fn with_query(mut self, parameter: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(parameter);
        self
    }

    /// The address to connect to: the first that the name has.
    ///
    /// # Errors
    /// If the name has none.
    pub(crate) fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .with_context(|| format!("{}: no address", self.host))?;
        addresses.next().with_context(|| format!("{}: no address", self.host))
    }

    /// Asks the server for all its symbols.
    ///
    /// # Errors
    /// If it cannot be reached, or does not list symbols.
    pub(crate) fn fetch_symbols(&self, address: SocketAddr) -> anyhow::Result<Vec<String>> {
        let answer =
            self.get(address, SYMBOLS_PATH).with_context(|| format!("{}{SYMBOLS_PATH}", self.authority()))?;
        read_symbols(&answer)
    }

    /// One GET in HTTP/1.0, so that the answer is neither chunked nor kept open.
    fn get(&self, address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
        let timeout = Duration::from_secs(SYMBOLS_SECONDS_MAX);
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n\r\n",
            self.authority()
        )?;
        let mut answer = Vec::new();
        stream.take(SYMBOLS_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

#[derive(Deserialize)]
struct Listing {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    symbol: String,
}

fn read_symbols(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n").context("not an HTTP answer")?;
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !head.starts_with("HTTP/1.") || status != "200" {
        bail!("this server does not list its symbols (HTTP {status}); name them, or give --symbols @FILE");
    }
    let listing: Listing = serde_json::from_slice(body).context("not a list of symbols")?;
    Ok(listing.data.into_iter().map(|listed| listed.symbol).collect())
}

#[cfg(test)]
impl Target {
    pub(crate) fn for_tests() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 1, path: "/v1/stream".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_their_parts() {
        for (text, authority, path) in [
            ("ws://127.0.0.1:8080/v1/stream", "127.0.0.1:8080", "/v1/stream"),
            ("ws://edge/v1/stream?numbers=string", "edge:80", "/v1/stream?numbers=string"),
            ("ws://[::1]:9000", "[::1]:9000", "/"),
            ("ws://[::1]", "[::1]:80", "/"),
            ("ws://h:1?x=1", "h:1", "/?x=1"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.authority().as_str(), target.path()), (authority, path), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused_with_a_sentence() {
        for text in [
            "",
            "ws://",
            "http://x/",
            "ws://h:port/",
            "ws://h:70000/",
            "ws://h/a b",
            "ws://h/\r\nX: y",
            "ws://u@h/",
        ] {
            assert!(text.parse::<Target>().unwrap_err().contains("ws://127.0.0.1:8080"), "{text}");
        }
        assert!("wss://h/".parse::<Target>().unwrap_err().contains("not supported yet"));
    }

    #[test]
    fn a_listing_and_its_absence() {
        let ok = "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"data\":[{\"symbol\":\"binance:BTC/USDT\",\"x\":1}]}";
        assert_eq!(read_symbols(ok.as_bytes()).unwrap(), ["binance:BTC/USDT"]);
        let missing = read_symbols(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err().to_string();
        assert!(missing.contains("@FILE") && missing.contains("404"), "{missing}");
        assert!(read_symbols(b"HTTP/1.1 200 OK\r\n\r\n<html>").is_err());
        assert!(read_symbols(b"hello").is_err());
    }
}
