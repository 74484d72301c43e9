//! KuCoin spot in numbers. Sources, checked 2026-11-20: "INTRO" is kucoin.com/docs, WebSocket API, introduction;
//! "OLD" is github.com/Kucoin/kucoin-api-docs, "Websocket Feed"; "SDK" is kucoin-universal-sdk 1.3.2.

use crate::venue::contract::{Heartbeat, Micros, SECOND};
use crate::venue::facts::{Facts, Rate, RestLimits, SpentHeader};
use crate::venue::subscriptions::Shape;

/// Topics that one connection may carry, count (INTRO; the server itself has said 400 since 2025).
pub const TOPICS_PER_SOCKET_MAX: usize = 300;

/// Topics that we subscribe to for a symbol, count.
pub const TOPICS_PER_SYMBOL: usize = 2;

/// Symbols on one socket, count: 260 of 300 topics.
pub const SYMBOLS_PER_SOCKET: usize = 130;

/// Symbols in one subscribe message, count (OLD; the server refuses the 101st with 509).
pub const SYMBOLS_PER_SUBSCRIBE_MAX: usize = 100;

/// Messages that a client may send in ten seconds, count (OLD). One more is answered 509, then the socket is cut.
pub const MESSAGES_PER_10_SECONDS_MAX: u64 = 100;

/// Time between two of our messages, microseconds: at most 50 in ten seconds.
pub const MESSAGE_INTERVAL: Micros = 200_000;

/// Pause after the server said that we send too fast, microseconds: its window.
pub const RATE_PAUSE: Micros = 10 * SECOND;

/// Time from the open socket to the welcome message, microseconds (SDK, `default_ws_client.py`).
pub const WELCOME_TIMEOUT: Micros = 5 * SECOND;

/// Time in which a subscription is answered, microseconds. Ours.
pub const ACK_TIMEOUT: Micros = 10 * SECOND;

/// Time from the answer to the first data, microseconds. Ours; `/market/snapshot` comes every 2 s, `/market/ticker` only
/// when the best bid or ask changes.
pub const FIRST_DATA: Micros = 30 * SECOND;

/// Heartbeat if the invitation names none, microseconds (SDK).
pub const HEARTBEAT: Heartbeat = Heartbeat { interval: 18 * SECOND, timeout: 10 * SECOND };

/// REST weight of one address in the public pool: 2,000 in 30 s (kucoin.com/docs-new/rate-limit, checked 2026-11-21).
/// The headers of every answer are the authority.
pub const REST_LIMITS: RestLimits = RestLimits {
    weight: Rate { count: 2_000, per: 30 * SECOND },
    spent: SpentHeader::Remaining("gw-ratelimit-remaining"),
    limit_header: Some("gw-ratelimit-limit"),
    reset_header: Some("gw-ratelimit-reset"),
};

/// Code of an error about a topic that makes no sense (OLD).
pub const CODE_INVALID: i64 = 400;

/// Code of an error about the token (OLD).
pub const CODE_TOKEN: i64 = 401;

/// Code of an error about a topic that does not exist; it fails the whole list (python-kucoin, issue 52).
pub const CODE_NOT_FOUND: i64 = 404;

/// Code of an error about a limit: rate, topics, symbols in a message, sessions (kucoin-api-docs, issue 434).
pub const CODE_LIMIT: i64 = 509;

/// The topics of a symbol.
pub const TOPICS: [&str; TOPICS_PER_SYMBOL] = ["/market/ticker", "/market/snapshot"];

/// `/market/ticker`, by its place in [`TOPICS`].
pub const TICKER: usize = 0;

/// `/market/snapshot`, by its place in [`TOPICS`].
pub const SNAPSHOT: usize = 1;

/// Size of one subscribe message, bytes. Ours; a hundred symbols take about 1 KiB.
pub const SUBSCRIBE_BYTES_MAX: usize = 4_096;

/// How topics are subscribed (INTRO, "Subscribe").
pub const SHAPE: Shape = Shape {
    topics: TOPICS_PER_SYMBOL,
    mixed: false,
    units_max: TOPICS_PER_SOCKET_MAX,
    units_per_request: SYMBOLS_PER_SUBSCRIBE_MAX,
    request_bytes: SUBSCRIBE_BYTES_MAX,
    // The comma.
    topic_bytes: [1, 1, 0],
    interval: MESSAGE_INTERVAL,
    ack_timeout: ACK_TIMEOUT,
    first_data: FIRST_DATA,
};

/// Addresses and limits for the venue-blind parts.
pub const FACTS: Facts = Facts {
    // Only where an invitation names no server; the invitation decides.
    ws_url: "wss://ws-api-spot.kucoin.com",
    rest_url: "https://api.kucoin.com",
    symbols_per_socket: SYMBOLS_PER_SOCKET,
    topics_per_socket_max: TOPICS_PER_SOCKET_MAX,
    topics_per_symbol: TOPICS_PER_SYMBOL,
    // Official: 30 connects a minute (OLD). Ours: two thirds, for other programs behind the address.
    connects: Rate { count: 20, per: 60 * SECOND },
    // A token lives for 24 h, and sockets are cut about then (github.com/JKorf/Kucoin.Net/issues/140).
    lifetime: 24 * 3_600 * SECOND,
    // The largest message that we subscribe to has about 2 KiB.
    message_bytes_max: 1 << 20,
};

const _: () = assert!(SYMBOLS_PER_SOCKET * TOPICS_PER_SYMBOL < TOPICS_PER_SOCKET_MAX);
const _: () = assert!(MESSAGE_INTERVAL * MESSAGES_PER_10_SECONDS_MAX >= 10 * SECOND);
