//! The contract between a venue and the rest of the process. A venue is pure: it says which REST question to ask and
//! reads the answer, and its [`Session`] is a state machine without socket, clock or spawn. Bytes and time go in;
//! updates, frames to send and the next deadline come out. One driver ([`crate::link`]) runs them all.

use serde::{Deserialize, Serialize};
use tickwire_common::decimal::Decimal;
use tickwire_common::row::Row;
use tickwire_common::symbol::Symbol;

use super::facts::{Facts, RestLimits};

/// Monotonic time in microseconds. Its zero is the driver's; only differences mean something.
pub type Micros = u64;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// One thing that a venue trades, as its REST discovery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Canonical symbol, like `BTC/USDT`.
    pub symbol: Symbol,
    /// The venue's own key, like `BTCUSDT`; also a name that clients may use.
    pub key: String,
    /// What one unit is of, like `BTC`.
    pub base: String,
    /// What it is paid in, like `USDT`.
    pub quote: String,
    /// What kind of market it is.
    pub kind: Kind,
    /// Smallest step of a price, in quote units.
    pub price_step: Option<Decimal>,
}

impl Instrument {
    /// A pair that changes hands at once. `None` if the names make no symbol.
    pub fn spot(base: &str, quote: &str, key: &str, price_step: Option<Decimal>) -> Option<Self> {
        let symbol = Symbol::pair(base, quote).ok()?;
        let (base, quote, key) = (base.to_owned(), quote.to_owned(), key.to_owned());
        Some(Self { symbol, key, base, quote, kind: Kind::Spot, price_step })
    }
}

/// Kinds of markets; the words are those of ccxt's `market.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `spot`: changes hands at once.
    Spot,
    /// `swap`: a future without an end, a perpetual.
    Perpetual,
    /// `future`: a future with an end.
    Dated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Spot, Self::Perpetual, Self::Dated];

    /// ccxt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "swap",
            Self::Dated => "future",
        }
    }
}

/// What was traded of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turnover {
    /// The venue's own key, as in [`Instrument::key`].
    pub key: String,
    /// Volume of the last 24 h, in quote units.
    pub quote_volume: Decimal,
}

impl Turnover {
    /// Reads a volume; where it has more digits than a [`Decimal`] holds, its whole units are enough to rank it.
    pub fn read(key: String, quote_volume: &str) -> Option<Self> {
        let whole = || quote_volume.split_once('.').map_or(quote_volume, |(whole, _)| whole);
        let read = Decimal::parse(quote_volume.as_bytes()).or_else(|_| Decimal::parse(whole().as_bytes()));
        Some(Self { key, quote_volume: read.ok()? })
    }
}

/// A question to a venue's REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestRequest {
    /// Whether it is a POST (without a body) instead of a GET.
    pub post: bool,
    /// Official path and query, which is added to the venue's REST address.
    pub path: &'static str,
    /// What it costs of the venue's [`RestLimits::weight`].
    pub weight: u32,
    /// Largest answer that is read, in bytes.
    pub bytes_max: usize,
}

/// Why a venue's REST answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON that the venue's documentation shows.
    #[error("the answer cannot be read: {0}")]
    Shape(String),
    /// The venue answered with an error of its own.
    #[error("the venue answered {code}: {text}")]
    Refused {
        /// The venue's code.
        code: String,
        /// The venue's words.
        text: String,
    },
}

/// Where a socket connects, and what the venue asked for on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whole WebSocket address. May hold a token: never logged.
    pub url: String,
    /// Heartbeat that the venue wants from the client, if any.
    pub heartbeat: Option<Heartbeat>,
}

/// A heartbeat that the client has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time between two pings.
    pub interval: Micros,
    /// How long the answer may take.
    pub timeout: Micros,
}

/// A symbol that a session carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Number that the updates name it by.
    pub index: u32,
    /// The venue's own key.
    pub key: String,
}

/// Everything the process knows of a venue. One implementation a venue, without state and without I/O.
pub trait Venue: Send + Sync {
    /// Id in subjects and settings, like `binance`.
    fn id(&self) -> &'static str;

    /// Addresses and limits.
    fn facts(&self) -> &'static Facts;

    /// The question whose answer lists the instruments.
    fn discovery(&self) -> RestRequest;

    /// Reads that answer: the instruments that trade now.
    ///
    /// # Errors
    /// [`AnswerError`].
    fn instruments(&self, answer: &[u8]) -> Result<Vec<Instrument>, AnswerError>;

    /// How the venue counts REST questions, if it says so.
    fn rest_limits(&self) -> Option<&'static RestLimits> {
        None
    }

    /// The weight limit that the answer to [`Venue::discovery`] announces, if it does.
    fn announced_weight(&self, _answer: &[u8]) -> Option<u32> {
        None
    }

    /// The question whose answer has the 24 h volumes, for a venue that can be asked for them.
    fn turnover(&self) -> Option<RestRequest> {
        None
    }

    /// Reads that answer.
    ///
    /// # Errors
    /// [`AnswerError`].
    fn turnovers(&self, _answer: &[u8]) -> Result<Vec<Turnover>, AnswerError> {
        Ok(Vec::new())
    }

    /// The question to be asked before each connect, for a venue that hands out its socket's address.
    fn invitation(&self) -> Option<RestRequest> {
        None
    }

    /// The address of the next socket. `ws_url` is the configured origin with optional path prefix, or `None` for the
    /// venue's own; `answer` is what the venue said to [`Venue::invitation`]; `nonce` differs for every connect.
    ///
    /// # Errors
    /// [`AnswerError`].
    fn endpoint(&self, ws_url: Option<&str>, answer: &[u8], nonce: u64) -> Result<Endpoint, AnswerError>;

    /// A session for one connection. It carries nothing until [`Session::subscribe`].
    fn session(&self, endpoint: &Endpoint) -> Box<dyn Session>;
}

/// What arrived on the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text frame, UTF-8.
    Text(&'a [u8]),
    /// A binary frame.
    Binary(&'a [u8]),
    /// A WebSocket ping. The driver answers it; the session books the pong against the venue's message budget.
    Ping,
}

/// The venue's protocol on one connection. Whatever it is asked for, it sends inside the venue's message budget.
pub trait Session: Send {
    /// The socket is open; nothing is subscribed yet.
    fn opened(&mut self, now: Micros, out: &mut Out);

    /// Carries these symbols too. Any time: what the venue does not take yet waits. Each of them is told as
    /// [`Event::Acked`] (again, if it was carried already) or [`Event::Rejected`].
    fn subscribe(&mut self, symbols: Vec<Carried>, now: Micros, out: &mut Out);

    /// Carries these symbols, by [`Carried::index`], no longer: no update of them follows. The venue is told behind what
    /// waits to be subscribed. Unknown ones are no mistake.
    fn unsubscribe(&mut self, symbols: &[u32], now: Micros, out: &mut Out);

    /// A frame arrived.
    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out);

    /// The deadline passed. Harmless when called early.
    fn deadline(&mut self, now: Micros, out: &mut Out);

    /// When [`Session::deadline`] wants to be called next.
    fn next_deadline(&self) -> Option<Micros>;
}

/// What a session wants done. The driver empties it after every call.
#[derive(Debug, Default)]
pub struct Out {
    /// Text frames, to be sent now and in this order. The session keeps to the venue's budget by itself.
    pub send: Vec<String>,
    /// News of symbols.
    pub updates: Vec<Update>,
    /// Everything else.
    pub events: Vec<Event>,
}

/// What one message says of one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// [`Carried::index`].
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
        /// [`Carried::index`] of each.
        symbols: Vec<u32>,
    },
    /// The first news of a symbol since it was asked for. Its update is in the same [`Out`].
    Live {
        /// [`Carried::index`].
        symbol: u32,
    },
    /// The venue does not carry this symbol on this connection, which forgets it; the others go on.
    Rejected {
        /// [`Carried::index`].
        symbol: u32,
        /// Whether only this connection is full: another one may take it.
        full: bool,
        /// The venue's words.
        reason: String,
    },
    /// The venue has taken the subscription, yet nothing came for too long. The session asks for it anew, with growing
    /// pauses; there is nothing to do but count.
    Quiet {
        /// [`Carried::index`].
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
