//! The contract between a venue and the rest of the process. A venue is pure: it says which REST question to ask and
//! reads the answer, and its [`Session`] is a state machine without socket, clock or spawn. Bytes and time go in;
//! updates, frames to send and the next deadline come out. One driver ([`crate::link`]) runs them all.

mod instrument;
mod news;

pub use instrument::{Instrument, Kind, Turnover};
pub use news::{Event, Orders, Reason, Update, unix_ms};

use super::facts::{Facts, RestLimits};
pub use super::facts::{Micros, SECOND};

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
