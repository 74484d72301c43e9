//! KuCoin spot frames to messages. Borrows from the frame, allocates nothing for prices, keeps no state.
//! Official pages: kucoin-universal-sdk, `spec/ws`, "Ticker" and "Symbol Snapshot". Prices come as text in one topic
//! and as JSON numbers in the other; changes of a snapshot are fractions, ours are percent.

use serde::Deserialize;
use tickwire_common::decimal::Decimal;

use crate::venue::scan::{Malformed, Value, members};

/// What a frame says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// `/market/ticker:<symbol>`.
    Ticker(&'a [u8], Ticker),
    /// `/market/snapshot:<symbol>`.
    Snapshot(&'a [u8], Snapshot),
    /// The session is open.
    Welcome,
    /// A subscription was taken.
    Ack(Option<u64>),
    /// The answer to a ping.
    Pong,
    /// A request was refused, or the connection is.
    Refused(Refusal),
    /// A known kind of frame that carries nothing for us.
    Other(&'static str),
}

/// Best bid and ask with the last trade.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticker {
    /// `sequence`: strictly increasing per symbol on one connection.
    pub sequence: i64,
    /// `price`: the last trade.
    pub price: Option<Decimal>,
    /// `bestBid`.
    pub bid: Option<Decimal>,
    /// `bestAsk`.
    pub ask: Option<Decimal>,
    /// `time`, Unix ms: matching time of the last trade.
    pub trade_ms: Option<i64>,
}

/// Statistics over 24 h.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// `datetime`, Unix ms.
    pub event_ms: i64,
    /// `lastTradedPrice`.
    pub price: Option<Decimal>,
    /// `buy`.
    pub bid: Option<Decimal>,
    /// `sell`.
    pub ask: Option<Decimal>,
    /// `changePrice`.
    pub change: Option<Decimal>,
    /// `changeRate`, times 100.
    pub percent_change: Option<Decimal>,
    /// `vol`, in base units.
    pub volume: Option<Decimal>,
    /// `high`.
    pub high: Option<Decimal>,
    /// `low`.
    pub low: Option<Decimal>,
}

/// An error frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The request's id, if it was one of ours.
    pub id: Option<u64>,
    /// The venue's code.
    pub code: i64,
    /// The venue's words.
    pub text: String,
}

/// Reads one text frame.
///
/// # Errors
/// [`Malformed`], for a frame to be counted and skipped.
#[inline]
pub fn decode(frame: &[u8]) -> Result<Message<'_>, Malformed> {
    let (mut kind, mut topic, mut data, mut id) = (None, None, None, None);
    members(frame, |key, value| {
        match key {
            b"type" => kind = Some(value),
            b"topic" => topic = Some(value),
            b"data" => data = Some(value),
            b"id" => id = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let Some(Value::Text(kind)) = kind else { return Err(Malformed::Missing) };
    let id = id.and_then(|id| u64::try_from(id.integer().ok()?).ok());
    match (kind, topic, data) {
        (b"message", Some(Value::Text(topic)), Some(data)) => from_topic(topic, data),
        (b"welcome", ..) => Ok(Message::Welcome),
        (b"ack", ..) => Ok(Message::Ack(id)),
        (b"pong", ..) => Ok(Message::Pong),
        (b"error", ..) => refusal(frame, id),
        (b"notice", ..) => Ok(Message::Other("notice")),
        (b"command", ..) => Ok(Message::Other("command")),
        (b"message", ..) => Err(Malformed::Missing),
        _ => Ok(Message::Other("unknown_type")),
    }
}

#[inline]
fn from_topic<'a>(topic: &'a [u8], data: Value<'a>) -> Result<Message<'a>, Malformed> {
    let at = memchr::memchr(b':', topic).unwrap_or(topic.len());
    let (path, symbol) = topic.split_at_checked(at).unwrap_or_default();
    let symbol = symbol.get(1..).unwrap_or_default();
    match path {
        b"/market/ticker" => Ok(Message::Ticker(symbol, ticker(data.object()?)?)),
        b"/market/snapshot" => snapshot(data.object()?),
        _ => Ok(Message::Other(other_kind(path))),
    }
}

#[inline]
fn ticker(data: &[u8]) -> Result<Ticker, Malformed> {
    let mut ticker = Ticker::default();
    let mut sequence = None;
    members(data, |key, value| {
        match key {
            b"sequence" => sequence = Some(value.integer()?),
            b"price" => ticker.price = value.decimal()?,
            b"bestBid" => ticker.bid = value.decimal()?,
            b"bestAsk" => ticker.ask = value.decimal()?,
            // One official example spells it with a capital.
            b"time" | b"Time" => ticker.trade_ms = Some(value.integer()?),
            _ => {}
        }
        Ok(())
    })?;
    ticker.sequence = sequence.ok_or(Malformed::Missing)?;
    Ok(ticker)
}

/// The topic may name a whole market, so the symbol is read from the inner data.
fn snapshot(data: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut inner = None;
    members(data, |key, value| {
        if key == b"data" {
            inner = Some(value);
        }
        Ok(())
    })?;
    let mut snapshot = Snapshot::default();
    let (mut symbol, mut event_ms) = (None, None);
    members(inner.ok_or(Malformed::Missing)?.object()?, |key, value| {
        match key {
            b"symbol" => symbol = Some(value),
            b"datetime" => event_ms = Some(value.integer()?),
            b"lastTradedPrice" => snapshot.price = value.decimal()?,
            b"buy" => snapshot.bid = value.decimal()?,
            b"sell" => snapshot.ask = value.decimal()?,
            b"changePrice" => snapshot.change = value.decimal()?,
            b"changeRate" => snapshot.percent_change = percent(value)?,
            b"vol" => snapshot.volume = value.decimal()?,
            b"high" => snapshot.high = value.decimal()?,
            b"low" => snapshot.low = value.decimal()?,
            _ => {}
        }
        Ok(())
    })?;
    snapshot.event_ms = event_ms.ok_or(Malformed::Missing)?;
    let Some(Value::Text(symbol)) = symbol else { return Err(Malformed::Missing) };
    Ok(Message::Snapshot(symbol, snapshot))
}

fn percent(value: Value<'_>) -> Result<Option<Decimal>, Malformed> {
    let fraction = value.decimal()?;
    fraction.map(|fraction| fraction.shift(2)).transpose().map_err(|_| Malformed::Number)
}

/// Topics of the official list that we do not subscribe to.
const OTHER_KINDS: [(&[u8], &str); 6] = [
    (b"/market/candles", "candles"),
    (b"/market/level2", "level2"),
    (b"/market/match", "match"),
    (b"/spotMarket/level1", "level1"),
    (b"/spotMarket/level2Depth", "level2_depth"),
    (b"/indicator/", "indicator"),
];

fn other_kind(path: &[u8]) -> &'static str {
    OTHER_KINDS.iter().find(|(start, _)| path.starts_with(start)).map_or("unknown_topic", |(_, name)| name)
}

#[derive(Deserialize)]
struct ErrorFrame {
    code: i64,
    #[serde(default)]
    data: String,
}

fn refusal(frame: &[u8], id: Option<u64>) -> Result<Message<'_>, Malformed> {
    let error: ErrorFrame = serde_json::from_slice(frame).map_err(|_| Malformed::Syntax)?;
    Ok(Message::Refused(Refusal { id, code: error.code, text: error.data }))
}
