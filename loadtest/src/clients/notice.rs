//! Everything a server says besides canonical rows: the welcome, acks, errors, states. Rare, so it goes through serde.
//! Fields and messages that are not known are let through, as the protocol asks of clients.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::array::FIRST_COLUMNS;
use super::scan::{Kind, Malformed};

/// A message, as far as a client cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The first message of a connection.
    Welcome(Limits),
    /// The answer to a subscribe.
    Subscribed(Ack),
    /// The server could not do what was asked.
    Error(String),
    /// Rows in another order of keys than the canonical one.
    Rows(Kind, Vec<Row>),
    /// The server folded rows for this client.
    SlowReader,
    /// The server will end; come back after so many milliseconds, if it says.
    GoingAway(Option<u64>),
    /// The state of feeds.
    FeedStatus,
    /// A sign of life.
    Heartbeat,
    /// Something newer than this program.
    Other,
}

/// What a subscribe came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ack {
    /// Symbols that were taken.
    pub(crate) taken: u64,
    /// Codes of those that were not.
    pub(crate) refused: Vec<String>,
    /// Numbers that stand for names in rows of the array encoding.
    pub(crate) ids: BTreeMap<String, u32>,
}

/// What the welcome says must not be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// Symbols in one request.
    pub(crate) symbols_per_request: usize,
    /// Bytes of one message.
    pub(crate) message_bytes: usize,
}

impl Default for Limits {
    /// What is safe to send to a server that does not say.
    fn default() -> Self {
        Self { symbols_per_request: 100, message_bytes: 8 * 1024 }
    }
}

/// A row, as far as a client cares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) symbol: String,
    pub(crate) v: u64,
    #[serde(default)]
    pub(crate) skipped: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    result: Option<Outcome>,
    error: Option<ErrorBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    subscribed: Vec<String>,
    failed: Vec<Failed>,
    ids: BTreeMap<String, u32>,
    cols: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Failed {
    code: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

#[derive(Deserialize)]
struct Status {
    event: String,
    limits: Option<Limits>,
    reconnect_after_ms: Option<u64>,
}

/// Reads one text message.
///
/// # Errors
/// [`Malformed`] if it is not a message of the protocol.
pub(crate) fn parse(text: &[u8]) -> Result<Notice, Malformed> {
    let message: Message<'_> = serde_json::from_slice(text).map_err(|_| Malformed)?;
    match (message.channel.as_deref(), message.method.as_deref()) {
        (Some("ticker"), None) => rows(&message),
        (Some("status"), None) => status(&message),
        (Some("feed_status"), None) => Ok(Notice::FeedStatus),
        (Some("heartbeat"), None) => Ok(Notice::Heartbeat),
        (None, method) => reply(method, message.result, message.error),
        _ => Ok(Notice::Other),
    }
}

fn reply(
    method: Option<&str>,
    result: Option<Outcome>,
    error: Option<ErrorBody>,
) -> Result<Notice, Malformed> {
    Ok(match (method, result, error) {
        (Some("subscribe"), Some(outcome), _) => Notice::Subscribed(ack(outcome)?),
        (Some("subscribe"), None, Some(error)) => {
            Notice::Subscribed(Ack { refused: vec![error.code], ..Ack::default() })
        }
        (_, _, Some(error)) => Notice::Error(error.code),
        _ => Notice::Other,
    })
}

fn ack(outcome: Outcome) -> Result<Ack, Malformed> {
    let Outcome { subscribed, failed, ids, cols } = outcome;
    if cols.is_some_and(|cols| !cols.iter().map(String::as_str).take(3).eq(FIRST_COLUMNS)) {
        return Err(Malformed);
    }
    let refused = failed.into_iter().map(|failed| failed.code).collect();
    Ok(Ack { taken: subscribed.len() as u64, refused, ids })
}

fn rows(message: &Message<'_>) -> Result<Notice, Malformed> {
    let kind = match message.kind.as_deref() {
        Some("snapshot") => Kind::Snapshot,
        Some("update") => Kind::Update,
        _ => return Err(Malformed),
    };
    data(message).map(|rows| Notice::Rows(kind, rows))
}

fn status(message: &Message<'_>) -> Result<Notice, Malformed> {
    let events: Vec<Status> = data(message)?;
    let Some(status) = events.into_iter().next() else { return Err(Malformed) };
    Ok(match status.event.as_str() {
        "connected" => Notice::Welcome(status.limits.unwrap_or_default()),
        "slow_reader" => Notice::SlowReader,
        "going_away" => Notice::GoingAway(status.reconnect_after_ms),
        _ => Notice::Other,
    })
}

fn data<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<Vec<T>, Malformed> {
    let raw = message.data.ok_or(Malformed)?;
    serde_json::from_str(raw.get()).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tickwire_common::wire::error::{ErrorBody, ErrorCode};
    use tickwire_common::wire::frame::{self, Connected, Failed, Outcome, Reply};
    use tickwire_common::wire::limits;

    #[test]
    fn the_words_of_the_server_are_understood() {
        let limits =
            limits::Limits { symbols_per_request: 2_000, message_bytes: 65_536, ..limits::Limits::default() };
        let welcome = Connected::new("c1", 10_000, limits, Some("SIMULATED")).encode();
        let expected = Limits { symbols_per_request: 2_000, message_bytes: 65_536 };
        assert_eq!(parse(&welcome), Ok(Notice::Welcome(expected)));
        assert_eq!(parse(&frame::slow_reader(3, 4)), Ok(Notice::SlowReader));
        assert_eq!(parse(&frame::going_away(3)), Ok(Notice::GoingAway(Some(3))));
        assert_eq!(parse(&frame::heartbeat(3)), Ok(Notice::Heartbeat));
        assert_eq!(parse(&frame::feed_status(true, &[])), Ok(Notice::FeedStatus));
    }

    #[test]
    fn acks_say_what_was_taken_and_what_was_not() {
        let outcome = Outcome {
            subscribed: Some(vec!["A".into(), "B".into()]),
            failed: Some(vec![Failed::new("C", ErrorCode::UnknownSymbol)]),
            total: 2,
            ..Outcome::default()
        };
        let ack = Reply { result: Some(&outcome), ..Reply::new(Some("subscribe"), Some("1"), true) };
        let refused = vec!["unknown_symbol".to_owned()];
        let expected = Ack { taken: 2, refused, ..Ack::default() };
        assert_eq!(parse(&ack.encode()), Ok(Notice::Subscribed(expected)));
        let error = ErrorBody::new(ErrorCode::SymbolLimit, "too many");
        let refusal = Reply { error: Some(&error), ..Reply::new(Some("subscribe"), Some("1"), false) };
        let refused = vec!["symbol_limit".to_owned()];
        let expected = Ack { refused, ..Ack::default() };
        assert_eq!(parse(&refusal.encode()), Ok(Notice::Subscribed(expected)));
        let error = Reply { error: Some(&error), ..Reply::new(None, None, false) };
        assert_eq!(parse(&error.encode()), Ok(Notice::Error("symbol_limit".to_owned())));
    }

    #[test]
    fn an_ack_of_arrays_says_their_columns() {
        let ack = |cols: &str| {
            let text = format!(
                r#"{{"method":"subscribe","success":true,"result":{{"subscribed":["A"],"ids":{{"A":17}},"cols":{cols}}}}}"#
            );
            parse(text.as_bytes())
        };
        let ids = BTreeMap::from([("A".to_owned(), 17)]);
        let expected = Ack { taken: 1, ids, ..Ack::default() };
        assert_eq!(ack(r#"["id","v","skipped","stale","price"]"#), Ok(Notice::Subscribed(expected)));
        assert_eq!(ack(r#"["id","price","v"]"#), Err(Malformed));
    }

    #[test]
    fn what_is_new_is_let_through_and_what_is_broken_is_not() {
        for text in [r#"{"channel":"weather","data":[]}"#, r#"{"method":"pong"}"#, "{}"] {
            assert_eq!(parse(text.as_bytes()), Ok(Notice::Other), "{text}");
        }
        for text in [
            "",
            "[",
            "7",
            r#"{"channel":"status"}"#,
            r#"{"channel":"status","data":[]}"#,
            r#"{"channel":"ticker","type":"update","data":[{"symbol":"A"}]}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC{0,80}") {
            let _ = parse(text.as_bytes());
        }
    }
}
