//! Binance spot frames to messages. Borrows from the frame, allocates nothing for prices, keeps no state.
//! Official page: binance-spot-api-docs, `web-socket-streams.md`. The order of members is not stable and unknown ones
//! come and go: both are ignored.

use serde::Deserialize;
use tickwire_common::decimal::Decimal;

use crate::venue::scan::{Malformed, Value, members};

/// What a frame says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// `<symbol>@trade`.
    Trade(&'a [u8], Trade),
    /// `<symbol>@bookTicker`.
    Book(&'a [u8], Book),
    /// `<symbol>@ticker`.
    Ticker(&'a [u8], Ticker),
    /// The answer to a request.
    Reply(Reply),
    /// The server is about to close every connection.
    Shutdown,
    /// A known kind of frame that carries nothing for us.
    Other(&'static str),
}

/// One trade.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// `t`: contiguous per symbol.
    pub id: i64,
    /// `p`.
    pub price: Option<Decimal>,
    /// `E`, Unix ms.
    pub event_ms: Option<i64>,
}

/// Best bid and ask. Spot gives no time.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    /// `u`: strictly increasing per symbol.
    pub id: i64,
    /// `b`.
    pub bid: Option<Decimal>,
    /// `a`.
    pub ask: Option<Decimal>,
}

/// Rolling 24 h statistics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticker {
    /// `E`, Unix ms.
    pub event_ms: i64,
    /// `L`: id of the last trade; -1 if there was none in 24 h.
    pub last_trade_id: i64,
    /// `c`: price of that trade.
    pub price: Option<Decimal>,
    /// `b`.
    pub bid: Option<Decimal>,
    /// `a`.
    pub ask: Option<Decimal>,
    /// `p`.
    pub change: Option<Decimal>,
    /// `P`, already in percent.
    pub percent_change: Option<Decimal>,
    /// `v`, in base units.
    pub volume: Option<Decimal>,
    /// `h`.
    pub high: Option<Decimal>,
    /// `l`.
    pub low: Option<Decimal>,
}

/// The answer to SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The request's id, if it was one of ours.
    pub id: Option<u64>,
    /// The venue's code and words if it refused.
    pub refused: Option<(i64, String)>,
}

/// Reads one text frame.
///
/// # Errors
/// [`Malformed`], for a frame to be counted and skipped.
#[inline]
pub fn decode(frame: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut envelope = Envelope::default();
    members(frame, |key, value| {
        match key {
            b"stream" => envelope.stream = Some(value),
            b"data" => envelope.data = Some(value),
            b"e" => envelope.event = Some(value),
            b"id" | b"result" | b"error" | b"code" => envelope.is_reply = true,
            b"lastUpdateId" => envelope.is_depth = true,
            _ => {}
        }
        Ok(())
    })?;
    match envelope {
        Envelope { stream: Some(Value::Text(stream)), data: Some(data), .. } => from_stream(stream, data),
        Envelope { is_reply: true, .. } => reply(frame),
        Envelope { event: Some(Value::Text(b"serverShutdown")), .. } => Ok(Message::Shutdown),
        Envelope { event: Some(Value::Text(_)), .. } => Ok(Message::Other("raw_event")),
        Envelope { is_depth: true, .. } => Ok(Message::Other("raw_depth")),
        _ => Err(Malformed::Missing),
    }
}

#[derive(Default)]
struct Envelope<'a> {
    stream: Option<Value<'a>>,
    data: Option<Value<'a>>,
    event: Option<Value<'a>>,
    is_reply: bool,
    is_depth: bool,
}

#[inline]
fn from_stream<'a>(stream: &'a [u8], data: Value<'a>) -> Result<Message<'a>, Malformed> {
    let at = memchr::memchr(b'@', stream).unwrap_or(stream.len());
    let (symbol, kind) = stream.split_at_checked(at).unwrap_or_default();
    match kind {
        b"@bookTicker" => Ok(Message::Book(symbol, book(data.object()?)?)),
        b"@trade" => Ok(Message::Trade(symbol, trade(data.object()?)?)),
        b"@ticker" => Ok(Message::Ticker(symbol, ticker(data.object()?)?)),
        _ if stream == b"!serverShutdown" => Ok(Message::Shutdown),
        _ => Ok(Message::Other(other_kind(kind))),
    }
}

#[inline]
fn book(data: &[u8]) -> Result<Book, Malformed> {
    let (mut id, mut bid, mut ask) = (None, None, None);
    members(data, |key, value| {
        match key {
            b"u" => id = Some(value.integer()?),
            b"b" => bid = value.decimal()?,
            b"a" => ask = value.decimal()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Book { id: id.ok_or(Malformed::Missing)?, bid, ask })
}

#[inline]
fn trade(data: &[u8]) -> Result<Trade, Malformed> {
    let (mut id, mut price, mut event_ms) = (None, None, None);
    members(data, |key, value| {
        match key {
            b"t" => id = Some(value.integer()?),
            b"p" => price = value.decimal()?,
            b"E" => event_ms = Some(value.integer()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Trade { id: id.ok_or(Malformed::Missing)?, price, event_ms })
}

fn ticker(data: &[u8]) -> Result<Ticker, Malformed> {
    let mut ticker = Ticker { last_trade_id: -1, ..Ticker::default() };
    let mut event_ms = None;
    members(data, |key, value| {
        match key {
            b"E" => event_ms = Some(value.integer()?),
            b"L" => ticker.last_trade_id = value.integer()?,
            b"c" => ticker.price = value.decimal()?,
            b"b" => ticker.bid = value.decimal()?,
            b"a" => ticker.ask = value.decimal()?,
            b"p" => ticker.change = value.decimal()?,
            b"P" => ticker.percent_change = value.decimal()?,
            b"v" => ticker.volume = value.decimal()?,
            b"h" => ticker.high = value.decimal()?,
            b"l" => ticker.low = value.decimal()?,
            _ => {}
        }
        Ok(())
    })?;
    ticker.event_ms = event_ms.ok_or(Malformed::Missing)?;
    Ok(ticker)
}

/// Streams of the official list that we do not subscribe to, by the beginning of what follows the symbol.
const OTHER_KINDS: [(&[u8], &str); 9] = [
    (b"@aggTrade", "agg_trade"),
    (b"@avgPrice", "avg_price"),
    (b"@blockTrade", "block_trade"),
    (b"@bookTicker", "book_ticker"),
    (b"@depth", "depth"),
    (b"@kline", "kline"),
    (b"@miniTicker", "mini_ticker"),
    (b"@referencePrice", "reference_price"),
    (b"@ticker", "rolling_ticker"),
];

fn other_kind(kind: &[u8]) -> &'static str {
    OTHER_KINDS.iter().find(|(start, _)| kind.starts_with(start)).map_or("unknown_stream", |(_, name)| name)
}

#[derive(Deserialize)]
struct ReplyFrame {
    id: Option<serde_json::Value>,
    error: Option<Refusal>,
    code: Option<i64>,
    msg: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    msg: String,
}

/// Documented flat (`{"code":2,"msg":..}`), seen wrapped (`{"error":{"code":2,"msg":..}}`): both are read.
fn reply(frame: &[u8]) -> Result<Message<'_>, Malformed> {
    let frame: ReplyFrame = serde_json::from_slice(frame).map_err(|_| Malformed::Syntax)?;
    let flat = frame.code.map(|code| Refusal { code, msg: frame.msg.unwrap_or_default() });
    let refused = frame.error.or(flat).map(|refusal| (refusal.code, refusal.msg));
    Ok(Message::Reply(Reply { id: frame.id.and_then(|id| id.as_u64()), refused }))
}
