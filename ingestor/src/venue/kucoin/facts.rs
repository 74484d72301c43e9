//! KuCoin spot in numbers. Sources, checked 2026-11-20: "INTRO" is kucoin.com/docs, WebSocket API, introduction;
//! "OLD" is github.com/Kucoin/kucoin-api-docs, "Websocket Feed"; "SDK" is kucoin-universal-sdk 1.3.2.

use crate::venue::contract::{Heartbeat, Micros, SECOND};
use crate::venue::facts::{Facts, Rate};

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

/// Time from the welcome to the first price, microseconds. Ours; `/market/snapshot` comes every 2 s.
pub const FIRST_DATA: Micros = 30 * SECOND;

/// Heartbeat if the invitation names none, microseconds (SDK).
pub const HEARTBEAT: Heartbeat = Heartbeat { interval: 18 * SECOND, timeout: 10 * SECOND };

/// Addresses and limits for the venue-blind parts.
pub const FACTS: Facts = Facts {
    // Only where an invitation names no server; the invitation decides.
    ws_url: "wss://ws-api-spot.kucoin.com",
    rest_url: "https://api.kucoin.com",
    symbols_per_socket: SYMBOLS_PER_SOCKET,
    // Official: 30 connects a minute (OLD). Ours: two thirds, for other programs behind the address.
    connects: Rate { count: 20, per: 60 * SECOND },
    // The largest message that we subscribe to has about 2 KiB.
    message_bytes_max: 1 << 20,
};

const _: () = assert!(SYMBOLS_PER_SOCKET * TOPICS_PER_SYMBOL < TOPICS_PER_SOCKET_MAX);
const _: () = assert!(MESSAGE_INTERVAL * MESSAGES_PER_10_SECONDS_MAX >= 10 * SECOND);
