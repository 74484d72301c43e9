//! What clients say: `{"method","params","req_id"}`. Every mistake becomes an [`ErrorCode`] and a sentence that names
//! the field. Unknown fields are refused, so that a misspelt option is not silently ignored.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::CHANNEL_TICKER;
use super::error::ErrorCode;

/// Longest `req_id` string, in characters.
pub const REQ_ID_CHARS_MAX: usize = 36;

/// What `throttle_ms` may be, besides 0: least milliseconds between two rows of a symbol.
pub const THROTTLE_MS: RangeInclusive<u16> = 100..=10_000;

/// Longest method that an error names, in bytes.
const METHOD_BYTES_MAX: usize = 64;

/// Longest message of an error, in bytes: it may quote what was sent.
const MESSAGE_BYTES_MAX: usize = 256;

/// A client's request id as the JSON text that is echoed: an integer or a string.
pub type ReqId = Box<str>;

/// A request that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// To be echoed.
    pub req_id: Option<ReqId>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Send the named symbols' rows.
    Subscribe(Subscribe),
    /// Stop sending them; no names means all.
    Unsubscribe(Vec<String>),
    /// Name what is subscribed.
    List,
    /// Answer with `pong`.
    Ping,
}

/// Parameters of `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Names as the client writes them; replies use the same.
    pub symbols: Vec<String>,
    /// Whether the newest row of each symbol comes first.
    pub snapshot: bool,
    /// Snapshot only rows with a higher `v` than this.
    pub since: u64,
    /// Least milliseconds between two rows of each symbol; 0 for every row.
    pub throttle_ms: u16,
}

/// A request that was not understood, with all that is needed for the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What is wrong.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// The method, where it was readable.
    pub method: Option<String>,
    /// The id, where it was readable.
    pub req_id: Option<ReqId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Params {
    channel: Option<String>,
    symbol: Option<OneOrMany>,
    snapshot: Option<bool>,
    throttle_ms: Option<u64>,
    since: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

type Wrong = (ErrorCode, String);

/// Reads one text message.
///
/// # Errors
/// The [`Rejection`] to answer with.
pub fn parse(text: &str) -> Result<Request, Rejection> {
    let envelope = envelope(text)?;
    let req_id = match envelope.req_id.map(check_req_id).transpose() {
        Ok(req_id) => req_id,
        Err(message) => return Err(rejection((ErrorCode::BadRequest, message), Some(envelope.method), None)),
    };
    match method(&envelope) {
        Ok(method) => Ok(Request { method, req_id }),
        Err(wrong) => Err(rejection(wrong, Some(envelope.method), req_id)),
    }
}

fn envelope(text: &str) -> Result<Envelope<'_>, Rejection> {
    // Serde would take an array for a struct; a request is an object.
    if text.trim_start().starts_with('[') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        let message = "a request is an object, like {\"method\":\"ping\"}".to_owned();
        return Err(rejection((ErrorCode::BadRequest, message), None, None));
    }
    serde_json::from_str(text).map_err(|error| broken(&error))
}

/// What comes back is short, whatever was sent.
fn rejection((code, mut message): Wrong, method: Option<String>, req_id: Option<ReqId>) -> Rejection {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    let method = method.filter(|method| method.len() <= METHOD_BYTES_MAX);
    Rejection { code, message, method, req_id }
}

fn broken(error: &serde_json::Error) -> Rejection {
    let code = if error.is_data() { ErrorCode::BadRequest } else { ErrorCode::BadJson };
    rejection((code, error.to_string()), None, None)
}

fn check_req_id(raw: &RawValue) -> Result<ReqId, String> {
    let text = raw.get();
    let integer = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let string = serde_json::from_str::<String>(text).is_ok_and(|id| id.chars().count() <= REQ_ID_CHARS_MAX);
    if integer || string {
        Ok(text.into())
    } else {
        Err(format!("req_id: an integer or a string of at most {REQ_ID_CHARS_MAX} characters"))
    }
}

fn method(envelope: &Envelope<'_>) -> Result<Method, Wrong> {
    match envelope.method.as_str() {
        "subscribe" => subscribe(params(envelope)?),
        "unsubscribe" => unsubscribe(params(envelope)?),
        "list" => params(envelope).map(|_| Method::List),
        "ping" => Ok(Method::Ping),
        other => Err((
            ErrorCode::UnknownMethod,
            format!(
                "{}: one of subscribe, unsubscribe, list, ping",
                other.chars().take(64).collect::<String>()
            ),
        )),
    }
}

fn params(envelope: &Envelope<'_>) -> Result<Params, Wrong> {
    let Some(raw) = envelope.params else { return Ok(Params::default()) };
    let params: Params = serde_json::from_str(raw.get())
        .map_err(|error| (ErrorCode::BadRequest, format!("params: {error}")))?;
    match params.channel.as_deref() {
        None | Some(CHANNEL_TICKER) => Ok(params),
        Some(_) => Err((ErrorCode::UnknownChannel, "channel: only \"ticker\" can be subscribed".to_owned())),
    }
}

fn subscribe(params: Params) -> Result<Method, Wrong> {
    let throttle_ms = throttle(params.throttle_ms.unwrap_or(0))?;
    let symbols = names(params.symbol);
    if symbols.is_empty() {
        return Err((ErrorCode::BadRequest, "symbol: name at least one, like [\"BTC/USDT\"]".to_owned()));
    }
    Ok(Method::Subscribe(Subscribe {
        symbols,
        snapshot: params.snapshot.unwrap_or(true),
        since: params.since.unwrap_or(0),
        throttle_ms,
    }))
}

fn throttle(millis: u64) -> Result<u16, Wrong> {
    let fits = u16::try_from(millis).ok().filter(|millis| *millis == 0 || THROTTLE_MS.contains(millis));
    let (least, most) = (THROTTLE_MS.start(), THROTTLE_MS.end());
    fits.ok_or_else(|| (ErrorCode::BadRequest, format!("throttle_ms: 0 for every row, or {least} to {most}")))
}

fn unsubscribe(params: Params) -> Result<Method, Wrong> {
    let asked = params.symbol.is_some();
    let symbols = names(params.symbol);
    if asked && symbols.is_empty() {
        let message = "symbol: name at least one, or leave it out to unsubscribe from everything";
        return Err((ErrorCode::BadRequest, message.to_owned()));
    }
    Ok(Method::Unsubscribe(symbols))
}

fn names(symbol: Option<OneOrMany>) -> Vec<String> {
    match symbol {
        None => Vec::new(),
        Some(OneOrMany::One(name)) => vec![name],
        Some(OneOrMany::Many(names)) => names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rejected(text: &str) -> (ErrorCode, String) {
        let rejection = parse(text).unwrap_err();
        (rejection.code, rejection.message)
    }

    #[test]
    fn a_whole_subscribe() {
        let text = r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USDT","AAPL"],
            "snapshot":false,"throttle_ms":250,"since":17},"req_id":7}"#;
        let subscribe = Subscribe {
            symbols: vec!["BTC/USDT".into(), "AAPL".into()],
            snapshot: false,
            since: 17,
            throttle_ms: 250,
        };
        let expected = Request { method: Method::Subscribe(subscribe), req_id: Some("7".into()) };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn short_forms() {
        let one = parse(r#"{"method":"subscribe","params":{"symbol":"BTC/USDT"}}"#).unwrap();
        let subscribe =
            Subscribe { symbols: vec!["BTC/USDT".into()], snapshot: true, since: 0, throttle_ms: 0 };
        assert_eq!(one, Request { method: Method::Subscribe(subscribe), req_id: None });
        assert_eq!(parse(r#"{"method":"unsubscribe"}"#).unwrap().method, Method::Unsubscribe(vec![]));
        assert_eq!(parse(r#"{"method":"list"}"#).unwrap().method, Method::List);
        let ping = parse(r#"{"method":"ping","req_id":"a-1"}"#).unwrap();
        assert_eq!((ping.method, ping.req_id.as_deref()), (Method::Ping, Some("\"a-1\"")));
    }

    #[test]
    fn every_mistake_has_its_code_and_names_its_field() {
        for (text, code, word) in [
            ("{", ErrorCode::BadJson, "EOF"),
            ("hello", ErrorCode::BadJson, "expected"),
            ("[]", ErrorCode::BadRequest, "method"),
            ("{}", ErrorCode::BadRequest, "method"),
            (r#"{"method":"list","parms":{}}"#, ErrorCode::BadRequest, "parms"),
            (r#"{"method":"fly"}"#, ErrorCode::UnknownMethod, "fly"),
            (r#"{"method":"subscribe"}"#, ErrorCode::BadRequest, "symbol"),
            (r#"{"method":"subscribe","params":{"symbol":[]}}"#, ErrorCode::BadRequest, "symbol"),
            (r#"{"method":"subscribe","params":{"symbol":[1]}}"#, ErrorCode::BadRequest, "params"),
            (
                r#"{"method":"subscribe","params":{"symbol":"X","trottle_ms":1}}"#,
                ErrorCode::BadRequest,
                "trottle_ms",
            ),
            (
                r#"{"method":"subscribe","params":{"symbol":"X","throttle_ms":99}}"#,
                ErrorCode::BadRequest,
                "throttle_ms: 0 for every row, or 100 to 10000",
            ),
            (
                r#"{"method":"subscribe","params":{"channel":"book","symbol":"X"}}"#,
                ErrorCode::UnknownChannel,
                "ticker",
            ),
            (r#"{"method":"ping","req_id":1.5}"#, ErrorCode::BadRequest, "req_id"),
            (r#"{"method":"unsubscribe","params":{"symbol":[]}}"#, ErrorCode::BadRequest, "symbol"),
        ] {
            let (got, message) = rejected(text);
            assert_eq!(got, code, "{text}: {message}");
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn a_throttle_has_a_range() {
        let asked = |ms: &str| {
            let text = format!(r#"{{"method":"subscribe","params":{{"symbol":"X","throttle_ms":{ms}}}}}"#);
            match parse(&text) {
                Ok(Request { method: Method::Subscribe(subscribe), .. }) => Some(subscribe.throttle_ms),
                _ => None,
            }
        };
        assert_eq!(["0", "100", "10000", "null"].map(asked), [Some(0), Some(100), Some(10_000), Some(0)]);
        assert_eq!(["1", "99", "10001", "65636", "-1", "100.5", "\"100\""].map(asked), [None; 7]);
    }

    #[test]
    fn a_rejection_is_short_whatever_was_sent() {
        let long = "\u{e4}".repeat(10_000);
        for text in [format!(r#"{{"method":"{long}"}}"#), format!(r#"{{"method":"list","{long}":1}}"#)] {
            let rejection = parse(&text).unwrap_err();
            assert!(rejection.message.len() <= MESSAGE_BYTES_MAX && rejection.method.is_none());
        }
    }

    #[test]
    fn a_rejection_keeps_what_the_reply_needs() {
        let rejection = parse(r#"{"method":"fly","req_id":"x"}"#).unwrap_err();
        assert_eq!((rejection.method.as_deref(), rejection.req_id.as_deref()), (Some("fly"), Some("\"x\"")));
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
