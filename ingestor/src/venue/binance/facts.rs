//! Binance spot in numbers. Source, unless another is named: binance-spot-api-docs, `web-socket-streams.md`, section
//! "General WSS information", checked 2026-11-20.

use crate::venue::contract::{Micros, SECOND};
use crate::venue::facts::{Facts, Rate, RestLimits, SpentHeader};
use crate::venue::subscriptions::Shape;

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

/// Streams in one SUBSCRIBE, count. Ours; the documentation names no limit. Three messages fill a socket, so that 250
/// symbols are asked for within 0.7 s.
pub const STREAMS_PER_SUBSCRIBE: usize = 350;

/// Size of one SUBSCRIBE, bytes. Ours: less than the 8,004 characters that the venue is known to take as a list of
/// streams in an URL (unicorn-binance-websocket-api, issue 19), for nobody knows how much longer a message may be. A
/// symbol of eight letters takes 57.
pub const SUBSCRIBE_BYTES_MAX: usize = 7_500;

/// Time in which a SUBSCRIBE is answered, microseconds. Ours; the venue answers within a second.
pub const ACK_TIMEOUT: Micros = 10 * SECOND;

/// Time from the answer to the first data, microseconds. Ours; `@ticker` comes every second.
pub const FIRST_DATA: Micros = 30 * SECOND;

/// Time between two pings of the server, microseconds. (It cuts a client whose pong is 60 s late.)
pub const SERVER_PING: Micros = 20 * SECOND;

/// Longest silence of a living socket, microseconds: two pings may be lost, and the third late.
pub const SILENCE: Micros = 3 * SERVER_PING + 5 * SECOND;

/// REST weight of one address (`rest-api.md`, section "IP Limits"): 6,000 a minute; `rateLimits` of exchangeInfo is the
/// authority and replaces the number.
pub const REST_LIMITS: RestLimits = RestLimits {
    weight: Rate { count: 6_000, per: 60 * SECOND },
    spent: SpentHeader::Used("x-mbx-used-weight-1m"),
    limit_header: None,
    reset_header: None,
};

/// The streams of a symbol, by topic.
pub const STREAMS: [&str; STREAMS_PER_SYMBOL] = ["trade", "bookTicker", "ticker"];

/// `<symbol>@trade`.
pub const TRADE: usize = 0;

/// `<symbol>@bookTicker`.
pub const BOOK_TICKER: usize = 1;

/// `<symbol>@ticker`.
pub const TICKER: usize = 2;

/// How streams are subscribed ("Live Subscribing/Unsubscribing to streams").
pub const SHAPE: Shape = Shape {
    topics: STREAMS_PER_SYMBOL,
    mixed: true,
    units_max: STREAMS_PER_SOCKET_MAX,
    units_per_request: STREAMS_PER_SUBSCRIBE,
    request_bytes: SUBSCRIBE_BYTES_MAX,
    // `"@trade",` and so on.
    topic_bytes: [9, 14, 10],
    interval: MESSAGE_INTERVAL,
    ack_timeout: ACK_TIMEOUT,
    first_data: FIRST_DATA,
};

/// Addresses and limits for the venue-blind parts.
pub const FACTS: Facts = Facts {
    // The market-data-only hosts: the same streams and answers, no account.
    ws_url: "wss://data-stream.binance.vision",
    rest_url: "https://data-api.binance.vision",
    symbols_per_socket: SYMBOLS_PER_SOCKET,
    topics_per_socket_max: STREAMS_PER_SOCKET_MAX,
    topics_per_symbol: STREAMS_PER_SYMBOL,
    // Official: 300 connects in 5 minutes per address. Ours: half of it, for other programs behind the address.
    connects: Rate { count: 150, per: 300 * SECOND },
    // Official: cut at the 24 hour mark.
    lifetime: 24 * 3_600 * SECOND,
    // The largest message that we subscribe to has about 600 bytes.
    message_bytes_max: 1 << 20,
};

const _: () = assert!(SYMBOLS_PER_SOCKET * STREAMS_PER_SYMBOL < STREAMS_PER_SOCKET_MAX);
const _: () = assert!(MESSAGE_INTERVAL * (MESSAGES_PER_SECOND_MAX - 2) >= SECOND);
