//! What the server says, as JSON text. The hot ones (`update`, `snapshot`) are put together from bytes; the others are
//! rare and go through serde.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::{ErrorBody, ErrorCode};
use super::limits::Limits;
use super::{API_VERSION, CHANNEL_TICKER};
use crate::feed::{FeedState, FeedStatus};

/// Begins a message of `update` rows.
pub const UPDATE_OPEN: &[u8] = br#"{"channel":"ticker","type":"update","data":["#;
/// Begins a message of `snapshot` rows.
pub const SNAPSHOT_OPEN: &[u8] = br#"{"channel":"ticker","type":"snapshot","data":["#;
/// Ends a message of rows.
pub const DATA_CLOSE: &[u8] = b"]}";

/// Appends one row object: the row with the name that the client used in front, and what the edge knows beside it.
/// `row` must have passed [`crate::row::check`], `name` be a [`crate::symbol::Symbol`] or a topic.
pub fn push_row(out: &mut Vec<u8>, name: &str, marks: &Marks<'_>, row: &[u8]) {
    push_row_open(out, name);
    marks.push(out);
    push_row_rest(out, row);
}

/// The part of a row object that comes before its marks: `{"symbol":"<name>"`.
pub fn push_row_open(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"{\"symbol\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// The part of a row object that comes after its marks: `,"v":...}`.
pub fn push_row_rest(out: &mut Vec<u8>, row: &[u8]) {
    out.push(b',');
    out.extend_from_slice(row.get(1..).unwrap_or_default());
}

/// What the edge adds to a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks<'a> {
    /// The venue, where the client asked for a bare symbol.
    pub venue: Option<&'a str>,
    /// How many rows were folded into this one for this client; 0 is not written.
    pub skipped: u32,
    /// The row's feed is not live.
    pub stale: bool,
}

impl Marks<'_> {
    /// Appends the marks that are set, each with a comma in front.
    pub fn push(&self, out: &mut Vec<u8>) {
        if let Some(venue) = self.venue {
            out.extend_from_slice(b",\"venue\":\"");
            out.extend_from_slice(venue.as_bytes());
            out.push(b'"');
        }
        if self.skipped > 0 {
            out.extend_from_slice(b",\"skipped\":");
            out.extend_from_slice(itoa::Buffer::new().format(self.skipped).as_bytes());
        }
        if self.stale {
            out.extend_from_slice(b",\"stale\":true");
        }
    }
}

/// A symbol of a request that could not be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The name that was asked.
    pub symbol: String,
    /// [`ErrorCode::as_str`].
    pub code: &'static str,
    #[serde(skip)]
    error: ErrorCode,
}

impl Failed {
    /// Names a symbol and its error.
    pub fn new(symbol: impl Into<String>, code: ErrorCode) -> Self {
        Self { symbol: symbol.into(), code: code.as_str(), error: code }
    }

    /// The same as an error of its own.
    pub fn body(&self) -> ErrorBody {
        let message = match self.error {
            ErrorCode::UnknownSymbol => format!("{}: no venue here has this symbol", self.symbol),
            ErrorCode::NotSubscribed => format!("{}: not subscribed on this connection", self.symbol),
            _ => format!("{}: not possible now, try again", self.symbol),
        };
        ErrorBody::new(self.error, message)
    }
}

/// The result part of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Always `ticker`.
    pub channel: &'static str,
    /// Names that are subscribed now by this request, or in all for `list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<Vec<String>>,
    /// Names that were subscribed until this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribed: Option<Vec<String>>,
    /// Names that could not be served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Vec<Failed>>,
    /// How many symbols this connection has now.
    pub total: usize,
    /// The number of each name of `subscribed`, where rows are lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Ids>,
    /// What the columns of rows are, where rows are lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cols: Option<&'static [&'static str]>,
}

/// Names with their numbers, as one JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids(pub Vec<(Arc<str>, u32)>);

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, id)| (&**name, id)))
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            channel: CHANNEL_TICKER,
            subscribed: None,
            unsubscribed: None,
            failed: None,
            total: 0,
            ids: None,
            cols: None,
        }
    }
}

/// A reply to a request.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    /// The method that is answered; `pong` for `ping`. Absent where it was unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// The request's id, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req_id: Option<&'a RawValue>,
    /// False only if nothing succeeded.
    pub success: bool,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a Outcome>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a ErrorBody>,
    /// When the request was read, Unix µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_in: Option<u64>,
    /// When the reply was written, Unix µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_out: Option<u64>,
}

impl<'a> Reply<'a> {
    /// A reply with its method and the request's id as JSON text.
    pub fn new(method: Option<&'a str>, req_id: Option<&'a str>, success: bool) -> Self {
        let req_id = req_id.and_then(|id| serde_json::from_str(id).ok());
        Self { method, req_id, success, result: None, error: None, time_in: None, time_out: None }
    }

    /// The reply's text.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A message on a channel other than `ticker`.
#[derive(Serialize)]
struct Event<'a, T> {
    channel: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    data: &'a [T],
}

/// What the first message of a connection announces.
#[derive(Debug, Clone, Serialize)]
pub struct Connected<'a> {
    event: &'static str,
    /// `online` or `draining`.
    pub system: &'a str,
    api_version: &'static str,
    /// Names this connection in logs.
    pub connection_id: &'a str,
    /// How often a heartbeat comes, in milliseconds.
    pub heartbeat_ms: u64,
    /// What must not be passed.
    pub limits: Limits,
    /// A word for people, like `SIMULATED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
}

impl<'a> Connected<'a> {
    /// The first message of a connection.
    pub fn new(connection_id: &'a str, heartbeat_ms: u64, limits: Limits, label: Option<&'a str>) -> Self {
        let (event, system, api_version) = ("connected", "online", API_VERSION);
        Self { event, system, api_version, connection_id, heartbeat_ms, limits, label }
    }

    /// The message's text.
    pub fn encode(&self) -> Vec<u8> {
        event("status", "update", std::slice::from_ref(self))
    }
}

#[derive(Serialize)]
struct GoingAway {
    event: &'static str,
    reconnect_after_ms: u64,
}

/// Says that the connection will be closed soon, and when to come back.
pub fn going_away(reconnect_after_ms: u64) -> Vec<u8> {
    event("status", "update", &[GoingAway { event: "going_away", reconnect_after_ms }])
}

#[derive(Serialize)]
struct SlowReader {
    event: &'static str,
    skipped: u64,
    lag_ms: u64,
}

/// Tells a client that it cannot keep up: rows folded since the last such message, and how long nothing could be written.
pub fn slow_reader(skipped: u64, lag_ms: u64) -> Vec<u8> {
    event("status", "update", &[SlowReader { event: "slow_reader", skipped, lag_ms }])
}

#[derive(Serialize)]
struct Heartbeat {
    channel: &'static str,
    ts: u64,
}

/// The heartbeat, with the server's time in Unix ms.
pub fn heartbeat(now_ms: u64) -> Vec<u8> {
    encode(&Heartbeat { channel: "heartbeat", ts: now_ms })
}

#[derive(Serialize)]
struct FeedRow<'a> {
    feed: &'a str,
    state: FeedState,
    since: u64,
    last_tick: Option<u64>,
    symbols: u32,
    reason: Option<&'a str>,
}

/// The state of feeds: all of them on connect (`snapshot`), one on change.
pub fn feed_status(snapshot: bool, feeds: &[(&str, &FeedStatus)]) -> Vec<u8> {
    let rows: Vec<FeedRow<'_>> = feeds
        .iter()
        .map(|(feed, status)| FeedRow {
            feed,
            state: status.state,
            since: status.since,
            last_tick: status.last_tick,
            symbols: status.symbols,
            reason: status.reason.as_deref(),
        })
        .collect();
    event("feed_status", if snapshot { "snapshot" } else { "update" }, &rows)
}

fn event<T: Serialize>(channel: &'static str, kind: &'static str, data: &[T]) -> Vec<u8> {
    encode(&Event { channel, kind, data })
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Only maps with non-string keys and failing Serialize impls can fail; these messages have neither.
    serde_json::to_vec(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_row_takes_its_name_and_marks() {
        let row = br#"{"v":7,"price":1.5}"#;
        let mut out = Vec::new();
        push_row(&mut out, "BTC/USDT", &Marks::default(), row);
        assert_eq!(text(out), r#"{"symbol":"BTC/USDT","v":7,"price":1.5}"#);
        let mut out = Vec::new();
        push_row(&mut out, "BTC/USDT", &Marks { venue: Some("binance"), skipped: 12, stale: true }, row);
        let expected =
            r#"{"symbol":"BTC/USDT","venue":"binance","skipped":12,"stale":true,"v":7,"price":1.5}"#;
        assert_eq!(text(out), expected);
    }

    #[test]
    fn an_ack_lists_what_succeeded_and_what_failed() {
        let outcome = Outcome {
            subscribed: Some(vec!["BTC/USDT".into()]),
            failed: Some(vec![Failed::new("XX", ErrorCode::UnknownSymbol)]),
            total: 1,
            ..Outcome::default()
        };
        let reply = Reply {
            result: Some(&outcome),
            time_in: Some(1),
            time_out: Some(2),
            ..Reply::new(Some("subscribe"), Some("7"), true)
        };
        let expected = concat!(
            r#"{"method":"subscribe","req_id":7,"success":true,"result":{"channel":"ticker","#,
            r#""subscribed":["BTC/USDT"],"failed":[{"symbol":"XX","code":"unknown_symbol"}],"total":1},"#,
            r#""time_in":1,"time_out":2}"#
        );
        assert_eq!(text(reply.encode()), expected);
    }

    #[test]
    fn an_error_reply() {
        let body = ErrorBody::new(ErrorCode::BadJson, "expected value");
        let reply = Reply { error: Some(&body), ..Reply::new(None, None, false) };
        let expected = r#"{"success":false,"error":{"code":"bad_json","num":1001,"message":"expected value","retry":false}}"#;
        assert_eq!(text(reply.encode()), expected);
    }

    #[test]
    fn events() {
        assert_eq!(text(heartbeat(5)), r#"{"channel":"heartbeat","ts":5}"#);
        let expected = r#"{"channel":"status","type":"update","data":[{"event":"slow_reader","skipped":1834,"lag_ms":420}]}"#;
        assert_eq!(text(slow_reader(1834, 420)), expected);
        let status = FeedStatus {
            state: FeedState::Live,
            since: 1,
            last_tick: Some(2),
            symbols: 3,
            reason: None,
            shards: 1,
            demand: false,
        };
        let expected = concat!(
            r#"{"channel":"feed_status","type":"snapshot","data":[{"feed":"binance","state":"live","since":1,"#,
            r#""last_tick":2,"symbols":3,"reason":null}]}"#
        );
        assert_eq!(text(feed_status(true, &[("binance", &status)])), expected);
    }
}
