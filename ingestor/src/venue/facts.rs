//! The form in which a venue states its facts. The values live in each venue's `facts.rs`, each with its unit, the
//! official page, the date it was checked and our margin.

use super::contract::Micros;

/// At most `count` things in any `per` microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Micros,
}

/// What the venue-blind parts have to know of a venue.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Origin of the official WebSocket address.
    pub ws_url: &'static str,
    /// Origin of the official REST address.
    pub rest_url: &'static str,
    /// Symbols that one socket carries: the venue's topic limit with our margin.
    pub symbols_per_socket: usize,
    /// How often we open sockets: the venue's limit with our margin.
    pub connects: Rate,
    /// Largest WebSocket message that is taken, in bytes.
    pub message_bytes_max: usize,
}
