//! Where a recorded KuCoin spot frame belongs.

use serde::Deserialize;

use super::frames::ALL_TICKERS;
use crate::exchange::frame::Frame;
use crate::exchange::replay::Routed;

#[derive(Deserialize)]
struct Push {
    r#type: String,
    topic: String,
    #[serde(default)]
    subject: String,
}

/// Topic and symbol of a recorded frame; `None` for what is no market data (welcome, acks, pongs, errors).
pub(crate) fn route(text: &str) -> Option<Routed> {
    let push: Push = serde_json::from_str(text).ok()?;
    if push.r#type != "message" {
        return None;
    }
    let symbol = if push.topic == ALL_TICKERS { Some(push.subject) } else { symbol_of(&push.topic) };
    Some(Routed { stream: push.topic, symbol, frame: Frame::whole(text.to_owned().into()) })
}

/// `BTC-USDT` of `/market/candles:BTC-USDT_1min`; a topic of a whole market has none.
fn symbol_of(topic: &str) -> Option<String> {
    let (_, name) = topic.split_once(':')?;
    let symbol = name.split_once('_').map_or(name, |(symbol, _)| symbol);
    symbol.contains('-').then(|| symbol.to_owned())
}

/// Base and quote of a venue key.
pub(crate) fn split_symbol(symbol: &str) -> (String, String) {
    let (base, quote) = symbol.split_once('-').unwrap_or((symbol, ""));
    (base.to_owned(), quote.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<&str>)>) {
        let routed = route(text);
        let found = routed.as_ref().map(|routed| (routed.stream.as_str(), routed.symbol.as_deref()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn pushes_find_their_topic_and_symbol() {
        check(
            r#"{"data":{},"subject":"trade.ticker","topic":"/market/ticker:SNX-BTC","type":"message"}"#,
            Some(("/market/ticker:SNX-BTC", Some("SNX-BTC"))),
        );
        check(
            r#"{"data":{},"subject":"SNX-BTC","topic":"/market/ticker:all","type":"message"}"#,
            Some(("/market/ticker:all", Some("SNX-BTC"))),
        );
        check(
            r#"{"data":{},"subject":"x","topic":"/market/candles:EQZ-BTC_1min","type":"message"}"#,
            Some(("/market/candles:EQZ-BTC_1min", Some("EQZ-BTC"))),
        );
        check(
            r#"{"data":{},"topic":"/market/snapshot:BTC","type":"message"}"#,
            Some(("/market/snapshot:BTC", None)),
        );
        check(r#"{"id":"1","type":"ack"}"#, None);
        check("not json", None);
    }
}
