//! What a session says: news of symbols, each with its place in the venue's order, and what else happened.

use serde::{Deserialize, Serialize};
use tickwire_common::row::Row;

/// What one message says of one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// [`Carried::index`](super::Carried::index).
    pub symbol: u32,
    /// The fields that the message speaks of; absent ones stay as they were. `v` is 0: the board sets it.
    pub fields: Row,
    /// Where they stand in the venue's own order.
    pub orders: Orders,
}

/// Places in a venue's own order, one for each group of a row's fields: the same message has the same places on every
/// connection and in every process. `ts` belongs to no group; it only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Of `price`.
    pub price: i64,
    /// Of `bid` and `ask`.
    pub quote: i64,
    /// Of `change`, `percent_change`, `volume`, `high` and `low`.
    pub stats: i64,
}

impl Orders {
    /// The place of a group that the message does not speak of.
    pub const SILENT: i64 = i64::MIN;

    /// The place of a group that another message tells better: taken only while nothing better is known.
    pub const WEAK: i64 = 0;

    /// Says nothing of any group.
    pub const NONE: Self = Self { price: Self::SILENT, quote: Self::SILENT, stats: Self::SILENT };

    /// The place that a venue's id or time gives. One below zero (the venue's word for "there is none") is weak.
    #[inline]
    pub fn of(id: i64) -> i64 {
        id.saturating_add(1).max(Self::WEAK)
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self::NONE
    }
}

/// What happened on a connection besides prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The venue has taken every subscription of these symbols.
    Acked {
        /// [`Carried::index`](super::Carried::index) of each.
        symbols: Vec<u32>,
    },
    /// The first news of a symbol since it was asked for. Its update is in the same [`Out`](super::Out).
    Live {
        /// [`Carried::index`](super::Carried::index).
        symbol: u32,
    },
    /// The venue does not carry this symbol on this connection, which forgets it; the others go on.
    Rejected {
        /// [`Carried::index`](super::Carried::index).
        symbol: u32,
        /// Whether only this connection is full: another one may take it.
        full: bool,
        /// The venue's words.
        reason: String,
    },
    /// The venue has taken the subscription, yet one of its streams said nothing for too long. The session asks for that
    /// one anew, with growing pauses, for where nothing is traded there is nothing to say; there is nothing to do but
    /// count.
    Quiet {
        /// [`Carried::index`](super::Carried::index).
        symbol: u32,
    },
    /// The venue has said that it will close the connection: replace it before that. It works until then.
    Retire,
    /// A frame of a known kind that carries no price for us.
    Ignored(&'static str),
    /// A frame that cannot be read. Counted and skipped.
    Garbage(&'static str),
    /// The connection is of no more use.
    Reconnect(Reason),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No connection could be made.
    Connect,
    /// The venue's REST interface gave no address.
    Invitation,
    /// The venue closed the socket.
    Closed,
    /// The socket failed.
    Io,
    /// The venue never said that the session is open.
    Welcome,
    /// A request was not answered, nor when it was asked again.
    Ack,
    /// Subscribed, yet not one price came on the whole connection.
    FirstData,
    /// Nothing at all came for too long.
    Silence,
    /// A ping was not answered.
    Pong,
    /// The venue refuses the session, or has said that it will shut down.
    Goodbye,
}

impl Reason {
    /// Name for a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Invitation => "invitation",
            Self::Closed => "closed",
            Self::Io => "io",
            Self::Welcome => "welcome",
            Self::Ack => "ack",
            Self::FirstData => "first_data",
            Self::Silence => "silence",
            Self::Pong => "pong",
            Self::Goodbye => "goodbye",
        }
    }
}

/// A venue's time as [`Row::ts`] has it; one before 1970 is none.
#[inline]
pub fn unix_ms(ms: Option<i64>) -> Option<u64> {
    u64::try_from(ms?).ok()
}
