//! Binance spot: what the venue documents or does, each with its source. Checked 2026-11 unless said otherwise.
//!
//! SPOT = <https://github.com/binance/binance-spot-api-docs> (web-socket-streams.md, rest-api.md, errors.md).

use std::time::Duration;

use crate::exchange::catalogue::Listing;
use crate::exchange::rate::Rate;

/// The limits that the simulated venue enforces. Tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages of one connection: JSON, pings and pongs together. The next one closes it.
    pub messages: Rate,
    /// Streams of one connection.
    pub streams: usize,
    /// The server pings this often.
    pub ping_every: Duration,
    /// A ping without its pong for so long closes the connection.
    pub pong_within: Duration,
    /// WebSocket connects of one address.
    pub connects: Rate,
    /// REST weight of one address.
    pub weight: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // SPOT web-socket-streams.md, "WebSocket Limits".
            messages: Rate::new(5, Duration::from_secs(1)),
            streams: 1_024,
            // SPOT CHANGELOG 2025-01-28.
            ping_every: Duration::from_secs(20),
            pong_within: Duration::from_secs(60),
            connects: Rate::new(300, Duration::from_secs(300)),
            // SPOT rest-api.md, "IP Limits"; exchangeInfo's rateLimits repeats it.
            weight: Rate::new(6_000, Duration::from_secs(60)),
        }
    }
}

/// Longest URL of a combined stream in characters: longer ones are refused with 414 (seen by
/// unicorn-binance-websocket-api, issue 19).
pub(super) const MAX_URL_CHARACTERS: usize = 8_004;
/// `<symbol>@ticker` comes this often (SPOT, "Individual Symbol Ticker Streams").
pub(super) const TICKER_EVERY: Duration = Duration::from_millis(1_000);
/// Statistics cover this long before their close time.
pub(super) const STATISTICS_WINDOW_MS: u64 = 86_400_000;
/// Longest string id of a request (SPOT, "Live Subscribing/Unsubscribing to streams").
pub(super) const MAX_ID_CHARACTERS: usize = 36;

/// Close code and reasons seen on the wire (binance-connector-js issue 530, php-binance-api issue 453).
pub(super) const POLICY: u16 = 1008;
pub(super) const TOO_MANY_REQUESTS: &str = "Too many requests";
pub(super) const PONG_TIMEOUT: &str = "Pong timeout";

/// Kinds of broken limits in `/stats`.
pub(super) mod violation {
    pub(crate) const MESSAGE_RATE: &str = "message_rate";
    pub(crate) const PONG_TIMEOUT: &str = "pong_timeout";
    pub(crate) const STREAMS: &str = "streams";
    pub(crate) const CONNECT_RATE: &str = "connect_rate";
    pub(crate) const REQUEST_WEIGHT: &str = "request_weight";
    pub(crate) const BAD_REQUEST: &str = "bad_request";
    pub(crate) const URL_LENGTH: &str = "url_length";
}

/// Names people know. Prices are made up.
pub(super) const LISTED: &[Listing] = &[
    Listing::new("BTC", "USDT", "64231.57", 5),
    Listing::new("ETH", "USDT", "3150.42", 4),
    Listing::new("SOL", "USDT", "148.63", 3),
    Listing::new("BNB", "USDT", "584.20", 3),
    Listing::new("XRP", "USDT", "0.5921", 1),
    Listing::new("DOGE", "USDT", "0.12345", 0),
    Listing::new("ADA", "USDT", "0.4412", 1),
    Listing::new("TRX", "USDT", "0.1231", 1),
    Listing::new("AVAX", "USDT", "27.31", 2),
    Listing::new("LINK", "USDT", "13.42", 2),
    Listing::new("DOT", "USDT", "6.128", 2),
    Listing::new("LTC", "USDT", "71.85", 3),
    Listing::new("BCH", "USDT", "348.7", 3),
    Listing::new("NEAR", "USDT", "5.021", 1),
    Listing::new("UNI", "USDT", "7.312", 2),
    Listing::new("PEPE", "USDT", "0.00000987", 0),
    Listing::new("ETH", "BTC", "0.04905", 4),
    Listing::new("BTC", "EUR", "58912.04", 5),
    // Symbols outside ASCII exist: stream names fold only ASCII letters (SPOT, CHANGELOG 2025-12-15).
    Listing::new("币安人生", "USDT", "0.1432", 1),
    Listing::new("LUNA", "BUSD", "0.0002", 2).halted(),
];
