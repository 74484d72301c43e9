//! What a worker must know of the configuration.

use std::time::Duration;

use tickwire_common::wire::frame::Limits;

/// Settings of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Limits of one connection, announced to the client.
    pub limits: Limits,
    /// How often every client gets a heartbeat.
    pub heartbeat: Duration,
    /// How often a silent client is pinged; two unanswered pings end the connection.
    pub ping: Duration,
    /// How long a client may take nothing before it is closed.
    pub stall: Duration,
    /// A word for people in the first message, like `SIMULATED`.
    pub label: Option<String>,
}

/// Defaults of [`Limits`]; reasons in docs/WIRE.md.
pub const LIMITS: Limits = Limits {
    symbols: 2_000,
    symbols_per_request: 500,
    msgs_per_s: 10,
    msgs_burst: 40,
    message_bytes: 64 << 10,
};
