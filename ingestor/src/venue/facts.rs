//! The form in which a venue states its facts. The values live in each venue's `facts.rs`, each with its unit, the
//! official page, the date it was checked and our margin.

/// Monotonic time in microseconds. Its zero is the driver's; only differences mean something.
pub type Micros = u64;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// At most `count` things in any `per` microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Micros,
}

/// How a venue counts the REST questions of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestLimits {
    /// Weight of all questions together, where the venue has announced no other number.
    pub weight: Rate,
    /// Where an answer says how much of it is spent.
    pub spent: SpentHeader,
    /// Header with the limit itself, where there is one.
    pub limit_header: Option<&'static str>,
    /// Header with the milliseconds until everything may be spent again, where there is one.
    pub reset_header: Option<&'static str>,
}

/// The header in which a venue tells what was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpentHeader {
    /// It holds the weight used so far.
    Used(&'static str),
    /// It holds the weight that is left.
    Remaining(&'static str),
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
    /// Topics that the venue allows on one connection, count: no setting goes above it.
    pub topics_per_socket_max: usize,
    /// Topics that we subscribe to for one symbol, count.
    pub topics_per_symbol: usize,
    /// How often we open sockets: the venue's limit with our margin.
    pub connects: Rate,
    /// After how long the venue cuts a connection, microseconds.
    pub lifetime: Micros,
    /// Largest WebSocket message that is taken, in bytes.
    pub message_bytes_max: usize,
}
