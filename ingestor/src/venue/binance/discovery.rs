//! Binance spot's instruments. Official page: binance-spot-api-docs, `rest-api.md`, "Exchange information".

use serde::Deserialize;
use serde_json::value::RawValue;
use tickwire_common::decimal::Decimal;
use tickwire_common::symbol::Symbol;

use crate::venue::contract::{AnswerError, Instrument, RestRequest};

/// Weight 20 of 6,000 a minute. Without `showPermissionSets=false` the answer is several times as large.
pub const REQUEST: RestRequest = RestRequest {
    post: false,
    path: "/api/v3/exchangeInfo?symbolStatus=TRADING&showPermissionSets=false",
    bytes_max: 64 << 20,
};

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
    let symbol = Symbol::pair(&entry.base_asset, &entry.quote_asset).ok()?;
    let filter = entry.filters.iter().find(|filter| filter.filter_type == "PRICE_FILTER");
    let price_step = filter.and_then(|filter| Decimal::parse(filter.tick_size.as_ref()?.as_bytes()).ok());
    (entry.status == "TRADING").then_some(Instrument { symbol, key: entry.symbol, price_step })
}
