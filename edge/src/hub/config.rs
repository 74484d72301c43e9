//! What a worker must know of the configuration.

use std::time::Duration;

use tickwire_common::wire::limits::Limits;

use super::write::IoUring;

/// Settings of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Whether writes go in batches through io_uring.
    pub io_uring: IoUring,
    /// Limits, announced to every client.
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
