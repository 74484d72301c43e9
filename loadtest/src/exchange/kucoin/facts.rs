//! KuCoin spot (classic API): what the venue documents or does, each with its source. Checked 2026-11.
//!
//! SPEC = <https://github.com/Kucoin/kucoin-universal-sdk> (spec/ws, spec/rest), OLD =
//! <https://github.com/Kucoin/kucoin-api-docs>, RATE = <https://www.kucoin.com/apidoc/project-6000000/doc-338149>.

use std::time::Duration;

use crate::exchange::catalogue::Listing;
use crate::exchange::rate::Rate;

/// The limits that the simulated venue enforces. Tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages of one connection, pings included. The next one ends it.
    pub messages: Rate,
    /// Topics of one connection; each symbol of a list is one.
    pub topics: usize,
    /// Symbols of one subscribe message.
    pub symbols_per_message: usize,
    /// The client has to ping this often, as `bullet-public` says.
    pub ping_interval: Duration,
    /// Grace beyond it.
    pub ping_timeout: Duration,
    /// Life of a token, for new connections.
    pub token_life: Duration,
    /// WebSocket connects of one address: counted as broken when passed, but not refused, as nothing tells how the
    /// venue refuses them.
    pub connects: Rate,
    /// REST weight of one address.
    pub weight: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // OLD, "Request Rate Limit".
            messages: Rate::new(100, Duration::from_secs(10)),
            // The venue's own error text since 2025-12; its documents say 300.
            topics: 400,
            // OLD, "Subscribe"; the venue's own error text.
            symbols_per_message: 100,
            // bullet-public, as answered to kucoin-universal-sdk 1.3.2.
            ping_interval: Duration::from_millis(18_000),
            ping_timeout: Duration::from_millis(10_000),
            // OLD, "Apply connect token".
            token_life: Duration::from_secs(24 * 3_600),
            // OLD, "Connection Limit".
            connects: Rate::new(30, Duration::from_secs(60)),
            // RATE, public pool.
            weight: Rate::new(2_000, Duration::from_secs(30)),
        }
    }
}

/// `/market/snapshot` comes this often (SPEC).
pub(super) const SNAPSHOT_EVERY: Duration = Duration::from_millis(2_000);
/// Digits after the point of some numbers of a snapshot, as recorded.
pub(super) const LONG_DIGITS: u8 = 20;

/// Kinds of broken limits in `/stats`.
pub(super) mod violation {
    pub(crate) const MESSAGE_RATE: &str = "message_rate";
    pub(crate) const PING_TIMEOUT: &str = "ping_timeout";
    pub(crate) const TOPICS: &str = "topics";
    pub(crate) const SYMBOLS_PER_MESSAGE: &str = "symbols_per_message";
    pub(crate) const UNKNOWN_TOPIC: &str = "unknown_topic";
    pub(crate) const BAD_REQUEST: &str = "bad_request";
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const CONNECT_RATE: &str = "connect_rate";
    pub(crate) const REQUEST_WEIGHT: &str = "request_weight";
}

/// Names people know. Prices are made up.
pub(super) const LISTED: &[Listing] = &[
    Listing::new("BTC", "USDT", "64231.5", 8),
    Listing::new("ETH", "USDT", "3150.42", 7),
    Listing::new("SOL", "USDT", "148.631", 4),
    Listing::new("BNB", "USDT", "584.207", 4),
    Listing::new("XRP", "USDT", "0.59214", 4),
    Listing::new("DOGE", "USDT", "0.12345", 4),
    Listing::new("ADA", "USDT", "0.4412", 4),
    Listing::new("TRX", "USDT", "0.1231", 4),
    Listing::new("AVAX", "USDT", "27.312", 4),
    Listing::new("LINK", "USDT", "13.4205", 4),
    Listing::new("DOT", "USDT", "6.1284", 4),
    Listing::new("LTC", "USDT", "71.853", 6),
    Listing::new("BCH", "USDT", "348.71", 4),
    Listing::new("NEAR", "USDT", "5.0213", 4),
    Listing::new("UNI", "USDT", "7.3124", 4),
    Listing::new("KCS", "USDT", "9.874", 4),
    Listing::new("ETH", "BTC", "0.049052", 7),
    Listing::new("BTC", "EUR", "58912.04", 8),
    Listing::new("PEPE", "USDT", "0.0000098765", 4),
    Listing::new("LUNA", "USDC", "0.0002", 4).halted(),
];
