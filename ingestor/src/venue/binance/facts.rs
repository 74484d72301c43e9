//! Binance spot in numbers. Source, unless another is named: binance-spot-api-docs, `web-socket-streams.md`, section
//! "General WSS information", checked 2026-11-20.

use crate::venue::contract::{Micros, SECOND};
use crate::venue::facts::{Facts, Rate};

/// Streams that one connection may carry, count.
pub const STREAMS_PER_SOCKET_MAX: usize = 1_024;

/// Streams that we subscribe to for a symbol, count.
pub const STREAMS_PER_SYMBOL: usize = 3;

/// Symbols on one socket, count: 900 of 1,024 streams, so that a symbol more never meets the limit.
pub const SYMBOLS_PER_SOCKET: usize = 300;

/// Messages that a client may send in one second, count; pings and pongs count too. One more closes the connection
/// with 1008.
pub const MESSAGES_PER_SECOND_MAX: u64 = 5;

/// Time between two of our messages, microseconds: at most 3 a second, which leaves room for pongs.
pub const MESSAGE_INTERVAL: Micros = 350_000;

/// Symbols in one SUBSCRIBE, count: 180 streams, about 4 KiB. The documentation names no limit.
pub const SYMBOLS_PER_SUBSCRIBE: usize = 60;

/// Time in which a SUBSCRIBE is answered, microseconds. Ours; the venue answers within a second.
pub const ACK_TIMEOUT: Micros = 10 * SECOND;

/// Time from the open socket to the first price, microseconds. Ours; `@ticker` comes every second.
pub const FIRST_DATA: Micros = 30 * SECOND;

/// Time between two pings of the server, microseconds. (It cuts a client whose pong is 60 s late.)
pub const SERVER_PING: Micros = 20 * SECOND;

/// Longest silence of a living socket, microseconds: two pings may be lost, and the third late.
pub const SILENCE: Micros = 3 * SERVER_PING + 5 * SECOND;

/// Addresses and limits for the venue-blind parts.
pub const FACTS: Facts = Facts {
    // The market-data-only hosts: the same streams and answers, no account.
    ws_url: "wss://data-stream.binance.vision",
    rest_url: "https://data-api.binance.vision",
    symbols_per_socket: SYMBOLS_PER_SOCKET,
    // Official: 300 connects in 5 minutes per address. Ours: half of it, for other programs behind the address.
    connects: Rate { count: 150, per: 300 * SECOND },
    // The largest message that we subscribe to has about 600 bytes.
    message_bytes_max: 1 << 20,
};

const _: () = assert!(SYMBOLS_PER_SOCKET * STREAMS_PER_SYMBOL < STREAMS_PER_SOCKET_MAX);
const _: () = assert!(MESSAGE_INTERVAL * (MESSAGES_PER_SECOND_MAX - 2) >= SECOND);
