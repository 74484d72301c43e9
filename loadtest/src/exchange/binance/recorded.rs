//! Where a recorded Binance spot frame belongs.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exchange::frame::Frame;
use crate::exchange::replay::Routed;

#[derive(Deserialize)]
struct Combined<'a> {
    stream: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The fields by which a bare frame can be told. Those of a wrapped frame's `data`, too.
#[derive(Deserialize)]
struct Bare {
    e: Option<String>,
    s: Option<String>,
    u: Option<u64>,
}

/// Stream and symbol of a recorded frame; `None` for what is no market data (acks, errors, notices).
pub(crate) fn route(text: &str) -> Option<Routed> {
    let Ok(combined) = serde_json::from_str::<Combined<'_>>(text) else { return route_bare(text) };
    let body = combined.data.get();
    // The body is a part of the text, so its place is the distance between the two.
    let from = (body.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let symbol = serde_json::from_str::<Bare>(body).ok().and_then(|bare| bare.s);
    let symbol = symbol.or_else(|| Some(combined.stream.split_once('@')?.0.to_ascii_uppercase()));
    let frame = Frame::new(text.to_owned().into(), from..from + body.len());
    Some(Routed { stream: combined.stream, symbol, frame })
}

fn route_bare(text: &str) -> Option<Routed> {
    let bare: Bare = serde_json::from_str(text).ok()?;
    let symbol = bare.s?;
    let kind = match bare.e.as_deref() {
        Some("24hrTicker") => "ticker",
        Some("24hrMiniTicker") => "miniTicker",
        Some("depthUpdate") => "depth",
        Some(other) => other,
        // Spot bookTicker has no event type.
        None => bare.u.map(|_| "bookTicker")?,
    };
    let stream = format!("{}@{kind}", symbol.to_ascii_lowercase());
    let head = format!(r#"{{"stream":"{stream}","data":"#);
    let wrapped = format!("{head}{text}}}");
    let frame = Frame::new(wrapped.into(), head.len()..head.len() + text.len());
    Some(Routed { stream, symbol: Some(symbol), frame })
}

/// Quote assets by which a venue key is split, longest first.
const QUOTES: [&str; 14] =
    ["FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BIDR", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "DAI"];

/// Base and quote of a venue key; an unknown quote is left empty.
pub(crate) fn split_symbol(symbol: &str) -> (String, String) {
    let split = QUOTES.iter().find_map(|quote| Some((symbol.strip_suffix(quote)?, *quote)));
    let (base, quote) = split.filter(|(base, _)| !base.is_empty()).unwrap_or((symbol, ""));
    (base.to_owned(), quote.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::Message;

    fn check(text: &str, stream: &str, wrapped: &str, bare: &str) {
        let routed = route(text).unwrap();
        assert_eq!(routed.stream, stream);
        assert_eq!(routed.symbol.as_deref(), Some("BTCUSDT"));
        assert_eq!(routed.frame.message(true), Message::text(wrapped));
        assert_eq!(routed.frame.message(false), Message::text(bare));
    }

    #[test]
    fn wrapped_and_bare_frames_find_their_stream() {
        let bare = r#"{"u":5,"s":"BTCUSDT","b":"1.00","B":"2","a":"1.10","A":"3"}"#;
        let wrapped = format!(r#"{{"stream":"btcusdt@bookTicker","data":{bare}}}"#);
        check(&wrapped, "btcusdt@bookTicker", &wrapped, bare);
        check(bare, "btcusdt@bookTicker", &wrapped, bare);
        let depth = r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#;
        check(depth, "btcusdt@depth5", depth, r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#);
    }

    #[test]
    fn what_is_no_market_data_has_no_stream() {
        for text in [r#"{"result":null,"id":1}"#, r#"{"error":{"code":2,"msg":"x"},"id":1}"#, "<html>", ""] {
            assert!(route(text).is_none(), "{text}");
        }
    }

    #[test]
    fn venue_keys_split_at_a_known_quote() {
        assert_eq!(split_symbol("BTCUSDT"), ("BTC".to_owned(), "USDT".to_owned()));
        assert_eq!(split_symbol("USDT"), ("USDT".to_owned(), String::new()));
    }
}
