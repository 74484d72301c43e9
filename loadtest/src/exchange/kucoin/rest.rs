//! KuCoin spot's public REST answers: bullet-public, symbols, allTickers, and the weight they cost.
//!
//! <https://github.com/Kucoin/kucoin-universal-sdk/tree/main/spec/rest>; weights are of the same files.

use std::collections::HashMap;

use axum::http::{Method, StatusCode};
use bytes::BytesMut;
use serde_json::{Value, json};
use tickwire_common::time::now_ms;

use super::facts::Limits;
use super::frames::{average, change, market, push_change_rate};
use crate::exchange::answer::Answer;
use crate::exchange::catalogue::Instrument;
use crate::exchange::digits::{push_fixed, push_signed, push_trimmed};
use crate::exchange::market::Quote;
use crate::exchange::venue::Venue;

/// Code of an answer that went well.
const SUCCESS: &str = "200000";

/// Weight of a request; `None` for what does not exist.
pub(super) fn weight(method: &Method, path: &str) -> Option<u32> {
    match (method.as_str(), path) {
        ("POST", "/api/v1/bullet-public") => Some(10),
        ("GET", "/api/v2/symbols" | "/api/v1/symbols") => Some(4),
        ("GET", "/api/v1/market/allTickers") => Some(15),
        ("GET", "/api/v1/timestamp") => Some(3),
        _ => None,
    }
}

/// The answer to a GET that [`weight`] knows.
pub(super) fn answer(path: &str, params: &HashMap<String, String>, venue: &Venue) -> Answer {
    success(match path {
        "/api/v1/timestamp" => json!(now_ms()),
        "/api/v1/market/allTickers" => all_tickers(venue),
        _ => symbols(params.get("market").map(String::as_str), venue),
    })
}

/// The answer to bullet-public.
pub(super) fn bullet(token: &str, endpoint: &str, limits: &Limits) -> Answer {
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    success(json!({
        "token": token,
        "instanceServers": [{
            "endpoint": endpoint,
            "encrypt": endpoint.starts_with("wss:"),
            "protocol": "websocket",
            "pingInterval": millis(limits.ping_interval),
            "pingTimeout": millis(limits.ping_timeout),
        }],
    }))
}

/// The answer to an address that has used up its weight.
pub(super) fn too_many_requests(retry_after: u64) -> Answer {
    let body =
        json!({ "code": "429000", "msg": "Too many requests in a short period of time, please retry later" });
    Answer::new(StatusCode::TOO_MANY_REQUESTS, body).retry_after(retry_after)
}

/// The answer to a path that does not exist.
pub(super) fn not_found() -> Answer {
    Answer::new(StatusCode::NOT_FOUND, json!({ "code": "404", "msg": "Not Found" }))
}

fn success(data: Value) -> Answer {
    Answer::ok(json!({ "code": SUCCESS, "data": data }))
}

fn symbols(wanted: Option<&str>, venue: &Venue) -> Value {
    let all = venue.listed().map(|(_, one)| one);
    all.filter(|one| wanted.is_none_or(|wanted| wanted == market(one))).map(symbol_object).collect()
}

fn symbol_object(one: &Instrument) -> Value {
    let step = |digits: u8| text(|out| push_fixed(out, 1, digits, digits));
    let (price, size) = (step(one.price_digits), step(one.quantity_digits));
    json!({
        "symbol": one.symbol,
        "name": one.symbol,
        "baseCurrency": one.base,
        "quoteCurrency": one.quote,
        "feeCurrency": one.quote,
        "market": market(one),
        "baseMinSize": size,
        "quoteMinSize": "0.1",
        "baseMaxSize": "10000000000",
        "quoteMaxSize": "99999999",
        "baseIncrement": size,
        "quoteIncrement": price,
        "priceIncrement": price,
        "priceLimitRate": "0.1",
        "minFunds": "0.1",
        "isMarginEnabled": false,
        "enableTrading": one.trading,
        "feeCategory": 1,
        "makerFeeCoefficient": "1.00",
        "takerFeeCoefficient": "1.00",
        "st": false,
        "callauctionIsEnabled": false,
    })
}

fn all_tickers(venue: &Venue) -> Value {
    // A recording without this answer has no statistics: an empty list is true, made-up numbers would not be.
    let Some(market) = venue.market() else { return json!({ "time": now_ms(), "ticker": [] }) };
    let all = venue.listed().filter(|(_, one)| one.trading);
    let tickers: Vec<Value> =
        all.filter_map(|(at, one)| Some(ticker_object(one, market.quote(at)?))).collect();
    json!({ "time": now_ms(), "ticker": tickers })
}

fn ticker_object(one: &Instrument, quote: &Quote) -> Value {
    let price = |ticks: u64| text(|out| push_trimmed(out, ticks.into(), one.price_digits));
    let size = |lots: u64| text(|out| push_trimmed(out, lots.into(), one.quantity_digits));
    json!({
        "symbol": one.symbol,
        "symbolName": one.symbol,
        "buy": price(quote.bid),
        "bestBidSize": size(quote.bid_size),
        "sell": price(quote.ask),
        "bestAskSize": size(quote.ask_size),
        "changeRate": text(|out| push_change_rate(out, quote)),
        "changePrice": text(|out| push_signed(out, change(quote), one.price_digits, one.price_digits)),
        "high": price(quote.high),
        "low": price(quote.low),
        "vol": size(quote.volume),
        "volValue": text(|out| push_trimmed(out, quote.turnover, one.price_digits + one.quantity_digits)),
        "last": price(quote.last),
        "averagePrice": price(average(quote)),
        "takerFeeRate": "0.001",
        "makerFeeRate": "0.001",
        "takerCoefficient": "1",
        "makerCoefficient": "1",
    })
}

fn text(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}
