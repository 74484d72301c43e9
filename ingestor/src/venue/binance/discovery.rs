//! Binance spot's instruments and what was traded of them. Official page: binance-spot-api-docs, `rest-api.md`,
//! "Exchange information" and "24hr ticker price change statistics".

use serde::Deserialize;
use serde_json::value::RawValue;
use tickwire_common::decimal::Decimal;

use crate::venue::contract::{AnswerError, Instrument, RestRequest, Turnover};

/// Weight 20 of 6,000 a minute. Without `showPermissionSets=false` the answer is several times as large.
pub const REQUEST: RestRequest = RestRequest {
    post: false,
    path: "/api/v3/exchangeInfo?symbolStatus=TRADING&showPermissionSets=false",
    weight: 20,
    bytes_max: 64 << 20,
};

/// Weight 80 of 6,000 a minute for all symbols, whatever `type` says; MINI leaves out what we do not read. Some 300
/// bytes a symbol.
pub const TICKERS: RestRequest =
    RestRequest { post: false, path: "/api/v3/ticker/24hr?type=MINI", weight: 80, bytes_max: 16 << 20 };

#[derive(Deserialize)]
struct Limits {
    #[serde(default, rename = "rateLimits")]
    rate_limits: Vec<Limit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    rate_limit_type: String,
    interval: String,
    interval_num: u32,
    limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ticker {
    symbol: String,
    quote_volume: String,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    symbols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    symbol: String,
    status: String,
    base_asset: String,
    quote_asset: String,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    filter_type: String,
    tick_size: Option<String>,
}

/// Reads the answer: the symbols that trade now. One that cannot be read is left out.
///
/// # Errors
/// [`AnswerError::Shape`].
pub fn read(answer: &[u8]) -> Result<Vec<Instrument>, AnswerError> {
    let answer: Answer<'_> =
        serde_json::from_slice(answer).map_err(|error| AnswerError::Shape(error.to_string()))?;
    Ok(answer.symbols.iter().filter_map(|raw| instrument(raw.get())).collect())
}

fn instrument(raw: &str) -> Option<Instrument> {
    let entry: Entry = serde_json::from_str(raw).ok()?;
    let filter = entry.filters.iter().find(|filter| filter.filter_type == "PRICE_FILTER");
    let price_step = filter.and_then(|filter| Decimal::parse(filter.tick_size.as_ref()?.as_bytes()).ok());
    let instrument = Instrument::spot(&entry.base_asset, &entry.quote_asset, &entry.symbol, price_step);
    instrument.filter(|_| entry.status == "TRADING")
}

/// The weight a minute that exchangeInfo announces.
pub fn announced_weight(answer: &[u8]) -> Option<u32> {
    let limits: Limits = serde_json::from_slice(answer).ok()?;
    let a_minute = |limit: &&Limit| {
        limit.rate_limit_type == "REQUEST_WEIGHT" && limit.interval == "MINUTE" && limit.interval_num == 1
    };
    limits.rate_limits.iter().find(a_minute).map(|limit| limit.limit)
}

/// Reads what was traded in 24 h. A symbol that cannot be read is left out.
///
/// # Errors
/// [`AnswerError::Shape`].
pub fn read_turnovers(answer: &[u8]) -> Result<Vec<Turnover>, AnswerError> {
    let tickers: Vec<&RawValue> =
        serde_json::from_slice(answer).map_err(|error| AnswerError::Shape(error.to_string()))?;
    let read = |raw: &&RawValue| {
        let ticker: Ticker = serde_json::from_str(raw.get()).ok()?;
        Turnover::read(ticker.symbol, &ticker.quote_volume)
    };
    Ok(tickers.iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_one_by_one() {
        let answer =
            br#"[{"symbol":"BTCUSDT","quoteVolume":"1234567.12000000","count":7},{"symbol":"ETHBTC"},
            {"symbol":"PEPEUSDT","quoteVolume":"123456789012345678901234567890.12345678"}]"#;
        let read = read_turnovers(answer).unwrap();
        let told: Vec<_> = read.iter().map(|one| (one.key.as_str(), one.quote_volume.as_str())).collect();
        assert_eq!(
            told,
            [("BTCUSDT", "1234567.12"), ("PEPEUSDT", "123456789012345678901234567890")],
            "whole units where there are too many digits"
        );
        assert!(matches!(read_turnovers(b"{\"code\":-1003}"), Err(AnswerError::Shape(_))));
    }

    #[test]
    fn the_announced_weight_is_that_of_a_minute() {
        assert_eq!(announced_weight(include_bytes!("fixtures/exchangeInfo-20211012.json")), Some(1_200));
        assert_eq!(announced_weight(b"{\"symbols\":[]}"), None);
        assert_eq!(announced_weight(b"[]"), None);
    }
}
