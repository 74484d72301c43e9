//! The limits: what one connection may do, how many connections there may be, and what they may cost in all.

use tickwire_common::config::{Setting, Settings};
use tickwire_common::wire::limits::Limits;

use super::number;
use crate::address::TrustedProxies;
use crate::memory;

pub(super) const LIMITS: [Setting; 11] = [
    Setting::new("edge.connections_max", "50000", "WebSocket connections; one more is closed with 1013"),
    // Behind a proxy or a NAT thousands of honest clients have one address, so none is judged by it unasked.
    Setting::new(
        "edge.connections_per_address_max",
        "0",
        "WebSocket connections of one address, IPv6 by /64; one more is closed with 4502; 0 is no limit",
    ),
    Setting::new(
        "edge.trusted_proxies",
        "",
        "Addresses and networks, comma-separated, whose X-Forwarded-For says a client's address",
    ),
    // 10,000 clients that come back at once are in their handshakes together. Each costs 12 KiB while it is silent and at
    // most 44 KiB with the longest headers.
    Setting::new(
        "edge.handshakes_max",
        "10000",
        "Sockets that are not upgraded, plain HTTP too; one more is answered 503",
    ),
    Setting::new(
        "edge.handshake_seconds",
        "10",
        "Seconds from connect or last answer to complete request headers, 1 to 60",
    ),
    // 2,000 names of 60 characters fit.
    Setting::new(
        "edge.message_bytes_max",
        "131072",
        "Bytes of a client's message; a longer one is closed with 1009",
    ),
    Setting::new("edge.messages_per_second_max", "10", "Messages of a client a second, pings too"),
    Setting::new("edge.messages_burst_max", "40", "Messages of a client at once, before the rate counts"),
    Setting::new("edge.symbols_per_request_max", "2000", "Symbols in one request"),
    Setting::new("edge.symbols_max", "2000", "Symbols of one connection"),
    // The kernel's socket buffers count against a container too and are not in the resident memory: hence the fifth.
    Setting::new(
        "edge.memory_max_mb",
        "auto",
        "MiB of resident memory above which new connections are closed with 1013; 0 is no limit, auto is 80 % of the container's",
    ),
];

/// What guards the doors, beside what is announced.
#[derive(Debug, Clone)]
pub struct Guards {
    /// Whose word on a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// Most sockets that are not upgraded.
    pub handshakes_max: usize,
}

pub(super) fn guards(settings: &mut Settings) -> Option<Guards> {
    let trusted_proxies = settings.get_optional::<TrustedProxies>("edge.trusted_proxies");
    let handshakes_max = settings.get_with("edge.handshakes_max", |text| number(text, 1, 10_000_000));
    Some(Guards { trusted_proxies: trusted_proxies.unwrap_or_default(), handshakes_max: handshakes_max? })
}

pub(super) fn limits(settings: &mut Settings) -> Option<Limits> {
    let connections = settings.get_with("edge.connections_max", |text| number(text, 1, 10_000_000));
    let per_address =
        settings.get_with("edge.connections_per_address_max", |text| number(text, 0, 10_000_000_u32));
    let handshake = settings.get_with("edge.handshake_seconds", |text| number(text, 1, 60_u32));
    let message_bytes = settings.get_with("edge.message_bytes_max", |text| number(text, 1_024, 16 << 20));
    let msgs_per_s = settings.get_with("edge.messages_per_second_max", |text| number(text, 1, 1_000_000));
    let msgs_burst = settings.get_with("edge.messages_burst_max", |text| number(text, 1, 1_000_000));
    let symbols_per_request =
        settings.get_with("edge.symbols_per_request_max", |text| number(text, 1, SYMBOLS_PER_REQUEST_MAX));
    let symbols = settings.get_with("edge.symbols_max", |text| number(text, 1, SYMBOLS_MAX));
    let memory = settings.get_with("edge.memory_max_mb", memory_bytes);
    Some(Limits {
        symbols: symbols?,
        symbols_per_request: symbols_per_request?,
        msgs_per_s: msgs_per_s?,
        msgs_burst: msgs_burst?,
        message_bytes: message_bytes?,
        handshake_ms: handshake?.saturating_mul(1_000),
        connections: connections?,
        connections_per_address: Some(per_address?).filter(|most| *most > 0),
        memory_bytes: memory?,
    })
}

/// Above it a snapshot of rows of 2 KiB would not fit into the replies that may wait for a client.
const SYMBOLS_PER_REQUEST_MAX: usize = 2_000;

/// Above it one client could hold a tenth of all topics.
const SYMBOLS_MAX: usize = 10_000;

fn memory_bytes(text: &str) -> Result<Option<u64>, String> {
    if text == "auto" {
        return Ok(memory::container_limit().map(|limit| limit / 5 * 4));
    }
    let mib = number(text, 0, 16 << 20).map_err(|wrong| format!("{wrong}, or auto"))?;
    Ok(Some(mib << 20).filter(|bytes| *bytes > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_or_what_the_container_has() {
        assert_eq!(memory_bytes("0"), Ok(None));
        assert_eq!(memory_bytes("512"), Ok(Some(512 << 20)));
        assert_eq!(memory_bytes("auto"), Ok(memory::container_limit().map(|limit| limit / 5 * 4)));
        for wrong in ["", "-1", "1GiB", "99999999999"] {
            assert!(memory_bytes(wrong).unwrap_err().contains("or auto"), "{wrong}");
        }
    }
}
