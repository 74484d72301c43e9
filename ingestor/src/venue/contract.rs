//! The contract between a venue and the rest of the process. A venue is pure: it says which REST question to ask and
//! reads the answer, and its [`Session`] is a state machine without socket, clock or spawn. Bytes and time go in;
//! updates, frames to send and the next deadline come out. One driver ([`crate::link`]) runs them all.

use tickwire_common::decimal::Decimal;
use tickwire_common::row::Row;
use tickwire_common::symbol::Symbol;

use super::facts::Facts;

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
    /// Smallest step of a price, in quote units.
    pub price_step: Option<Decimal>,
}

/// A question to a venue's REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestRequest {
    /// Whether it is a POST (without a body) instead of a GET.
    pub post: bool,
    /// Official path and query, which is added to the venue's REST address.
    pub path: &'static str,
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

    /// A session for one connection.
    fn session(&self, symbols: Vec<Carried>, endpoint: &Endpoint) -> Box<dyn Session>;
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

/// The venue's protocol on one connection.
pub trait Session: Send {
    /// The socket is open.
    fn opened(&mut self, now: Micros, out: &mut Out);

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
}

/// What happened on a connection besides prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Every subscription has been answered.
    Subscribed,
    /// The venue does not carry this symbol; the others go on.
    Rejected {
        /// [`Carried::index`].
        symbol: u32,
        /// The venue's words.
        reason: String,
    },
    /// A frame of a known kind that carries no price for us.
    Ignored(&'static str),
    /// A message older than what its stream has told already.
    Superseded(&'static str),
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
    /// A subscription was not answered.
    Ack,
    /// Subscribed, yet no price came.
    FirstData,
    /// Nothing at all came for too long.
    Silence,
    /// A ping was not answered.
    Pong,
    /// The venue said that it will shut down or refuses the session.
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
