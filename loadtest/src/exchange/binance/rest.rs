//! Binance spot's public REST answers: exchangeInfo, 24 h statistics, ping, time, and the weight they cost.
//!
//! <https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md>, errors.md.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tickwire_common::time::now_ms;

use super::facts::Limits;
use super::frames::{Statistics, written};
use crate::exchange::answer::Answer;
use crate::exchange::catalogue::Instrument;
use crate::exchange::digits::{BINANCE_DIGITS, push_fixed};
use crate::exchange::market::Quote;
use crate::exchange::venue::Venue;

/// Query parameters.
pub(super) type Params = HashMap<String, String>;

/// An error answer: code and text of errors.md.
#[derive(Debug)]
struct Refusal {
    code: i32,
    message: &'static str,
}

const INVALID_SYMBOL: Refusal = Refusal { code: -1121, message: "Invalid symbol." };
const BAD_COMBINATION: Refusal =
    Refusal { code: -1128, message: "Combination of optional parameters invalid." };
const BAD_PARAMETER: Refusal = Refusal { code: -1130, message: "Invalid data sent for a parameter." };

/// Permission of every simulated symbol, and those that exchangeInfo shows when none is asked for.
const PERMISSION: &str = "SPOT";

/// Weight of a request (rest-api.md, at each endpoint); `None` for a path that does not exist.
pub(super) fn weight(path: &str, params: &Params) -> Option<u32> {
    match path {
        "/api/v3/ping" | "/api/v3/time" => Some(1),
        "/api/v3/exchangeInfo" => Some(20),
        "/api/v3/ticker/24hr" => Some(match symbols(params) {
            Ok(Some(asked)) if asked.len() <= 20 => 2,
            Ok(Some(asked)) if asked.len() <= 100 => 40,
            _ => 80,
        }),
        _ => None,
    }
}

/// The answer to a path that [`weight`] knows.
pub(super) fn answer(path: &str, params: &Params, venue: &Venue, limits: &Limits) -> Answer {
    let body = match path {
        "/api/v3/ping" => Ok(json!({})),
        "/api/v3/time" => Ok(json!({ "serverTime": now_ms() })),
        "/api/v3/exchangeInfo" => exchange_info(params, venue, limits),
        _ => ticker_24hr(params, venue),
    };
    body.map_or_else(|refusal| refuse(&refusal), Answer::ok)
}

/// The answer to an address that has used up its weight.
pub(super) fn too_much_weight(limit: u32, retry_after: u64) -> Answer {
    let message = format!(
        "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. Please use WebSocket \
         Streams for live updates to avoid polling the API."
    );
    let body = json!({ "code": -1003, "msg": message });
    Answer::new(StatusCode::TOO_MANY_REQUESTS, body).retry_after(retry_after)
}

fn refuse(refusal: &Refusal) -> Answer {
    Answer::new(StatusCode::BAD_REQUEST, json!({ "code": refusal.code, "msg": refusal.message }))
}

fn exchange_info(params: &Params, venue: &Venue, limits: &Limits) -> Result<Value, Refusal> {
    let asked = symbols(params)?;
    if asked.is_some() && (params.contains_key("permissions") || params.contains_key("symbolStatus")) {
        return Err(BAD_COMBINATION);
    }
    let shows_sets = params.get("showPermissionSets").is_none_or(|value| value != "false");
    let chosen = select(venue, asked.as_deref())?
        .filter(|(_, one)| params.get("symbolStatus").is_none_or(|wanted| wanted == status(one)))
        .filter(|_| {
            params.get("permissions").is_none_or(|wanted| list(wanted).iter().any(|one| one == PERMISSION))
        });
    let symbols: Vec<Value> = chosen.map(|(_, one)| symbol_object(one, shows_sets)).collect();
    Ok(json!({
        "timezone": "UTC",
        "serverTime": now_ms(),
        "rateLimits": [
            { "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limits.weight.limit },
            { "rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000 },
        ],
        "exchangeFilters": [],
        "symbols": symbols,
    }))
}

fn symbol_object(one: &Instrument, shows_sets: bool) -> Value {
    let step = |digits: u8| written(|out| push_fixed(out, 1, digits, BINANCE_DIGITS));
    let (tick, lot) = (step(one.price_digits), step(one.quantity_digits));
    let sets = if shows_sets { json!([[PERMISSION]]) } else { json!([]) };
    json!({
        "symbol": one.symbol,
        "status": status(one),
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": false,
        "ocoAllowed": false,
        "otoAllowed": false,
        "quoteOrderQtyMarketAllowed": true,
        "allowTrailingStop": false,
        "cancelReplaceAllowed": false,
        "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": false,
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick },
            { "filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000.00000000", "stepSize": lot },
        ],
        "permissions": [],
        "permissionSets": sets,
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    })
}

fn ticker_24hr(params: &Params, venue: &Venue) -> Result<Value, Refusal> {
    let asked = symbols(params)?;
    let is_mini = match params.get("type").map(String::as_str) {
        None | Some("FULL") => false,
        Some("MINI") => true,
        Some(_) => return Err(BAD_PARAMETER),
    };
    let chosen = select(venue, asked.as_deref())?;
    // A recording without this answer has no statistics: an empty list is true, made-up numbers would not be.
    let Some(market) = venue.market() else { return Ok(json!([])) };
    let now = now_ms();
    let mut tickers = chosen
        .filter(|(_, one)| params.get("symbolStatus").is_none_or(|wanted| wanted == status(one)))
        .filter_map(|(position, one)| Some(ticker_object(one, market.quote(position)?, now, is_mini)));
    if params.contains_key("symbol") {
        return tickers.next().ok_or(INVALID_SYMBOL);
    }
    Ok(tickers.collect())
}

fn ticker_object(one: &Instrument, quote: &Quote, now_ms: u64, is_mini: bool) -> Value {
    let price = |ticks: u64| written(|out| push_fixed(out, ticks.into(), one.price_digits, BINANCE_DIGITS));
    let quantity =
        |lots: u64| written(|out| push_fixed(out, lots.into(), one.quantity_digits, BINANCE_DIGITS));
    let statistics = Statistics::of(one, quote, now_ms);
    let mut ticker = json!({
        "symbol": one.symbol,
        "openPrice": price(quote.open),
        "highPrice": price(quote.high),
        "lowPrice": price(quote.low),
        "lastPrice": price(quote.last),
        "volume": quantity(quote.volume),
        "quoteVolume": statistics.quote_volume,
        "openTime": statistics.open_time,
        "closeTime": now_ms,
        "firstId": quote.first_trade_id,
        "lastId": quote.trade_id,
        "count": quote.trades(),
    });
    if !is_mini && let Some(fields) = ticker.as_object_mut() {
        let full = [
            ("priceChange", statistics.change),
            ("priceChangePercent", statistics.change_percent),
            ("weightedAvgPrice", statistics.weighted_average),
            ("prevClosePrice", price(quote.open)),
            ("lastQty", quantity(quote.last_size)),
            ("bidPrice", price(quote.bid)),
            ("bidQty", quantity(quote.bid_size)),
            ("askPrice", price(quote.ask)),
            ("askQty", quantity(quote.ask_size)),
        ];
        fields.extend(full.map(|(key, value)| (key.to_owned(), Value::String(value))));
    }
    ticker
}

fn status(one: &Instrument) -> &'static str {
    if one.trading { "TRADING" } else { "BREAK" }
}

/// The symbols that `symbol` or `symbols` ask for; `None` means all.
fn symbols(params: &Params) -> Result<Option<Vec<String>>, Refusal> {
    match (params.get("symbol"), params.get("symbols")) {
        (Some(_), Some(_)) => Err(BAD_COMBINATION),
        (Some(one), None) => Ok(Some(vec![one.clone()])),
        (None, Some(many)) => serde_json::from_str(many).map(Some).map_err(|_not_a_list| BAD_PARAMETER),
        (None, None) => Ok(None),
    }
}

/// A value or a JSON list of values.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_one_value| vec![text.to_owned()])
}

fn select<'a>(
    venue: &'a Venue,
    asked: Option<&[String]>,
) -> Result<impl Iterator<Item = (usize, &'a Instrument)>, Refusal> {
    let all = venue.catalogue.instruments();
    let positions: Vec<usize> = match asked {
        None => (0..all.len()).filter(|position| venue.is_listed(*position)).collect(),
        Some(asked) => {
            let listed = |one: &String| venue.catalogue.position(one).filter(|at| venue.is_listed(*at));
            let found: Option<Vec<usize>> = asked.iter().map(listed).collect();
            found.ok_or(INVALID_SYMBOL)?
        }
    };
    Ok(positions.into_iter().filter_map(|position| Some((position, all.get(position)?))))
}
