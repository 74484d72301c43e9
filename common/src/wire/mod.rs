//! The client protocol, version 1, as words: requests in, frames out, error codes, close codes. Owns the text of every
//! message and nothing else: no socket, no clock, no subscription. Described for clients in docs/WIRE.md.

pub mod close;
pub mod encoding;
pub mod error;
pub mod frame;
pub mod limits;
pub mod request;

mod fields;

/// The subprotocol whose rows are objects; the default when a client offers none.
pub const SUBPROTOCOL_JSON: &str = "tickwire.v1.json";

/// The subprotocol whose rows are lists.
pub const SUBPROTOCOL_ARRAY: &str = "tickwire.v1.array";

/// The protocol's version, told in the first message.
pub const API_VERSION: &str = "1";

/// The one data channel.
pub const CHANNEL_TICKER: &str = "ticker";
