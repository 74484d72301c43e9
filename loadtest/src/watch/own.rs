//! What the simulated exchange says of itself (`GET /control/last`): the newest values of every symbol, against which
//! published rows are held once the market is quiet.

use std::collections::BTreeMap;

use serde::Deserialize;
use tickwire_common::decimal::Decimal;

use super::row::{RowText, ticks};

/// The newest values of one symbol; decimal digits as text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnSymbol {
    price: String,
    bid: String,
    ask: String,
    change: String,
    percent_change: String,
    volume: String,
    high: String,
    low: String,
    open: String,
    price_digits: u8,
}

#[derive(Debug, Deserialize)]
struct Answer {
    venues: BTreeMap<String, Market>,
}

#[derive(Debug, Deserialize)]
struct Market {
    quiet: bool,
    symbols: BTreeMap<String, OwnSymbol>,
}

/// All symbols of all simulated venues.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Nothing moves any more, at any venue.
    pub quiet: bool,
    /// By topic, like `binance:BTC/USDT`.
    pub symbols: BTreeMap<String, OwnSymbol>,
}

impl Own {
    /// Reads the answer of `/control/last`.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn read(answer: &str) -> serde_json::Result<Self> {
        let answer: Answer = serde_json::from_str(answer)?;
        let quiet = answer.venues.values().all(|market| market.quiet);
        let topics = answer.venues.into_iter().flat_map(|(venue, market)| {
            market.symbols.into_iter().map(move |(symbol, own)| (format!("{venue}:{symbol}"), own))
        });
        Ok(Self { quiet, symbols: topics.collect() })
    }
}

impl OwnSymbol {
    /// What a row shows that differs from the exchange's own values, like `bid 5, not 6`; `None` where all are the same.
    pub fn difference(&self, row: &[u8]) -> Option<String> {
        let Some(row) = RowText::read(row) else { return Some("not a row".to_owned()) };
        let pairs = [
            ("price", &self.price, row.price),
            ("bid", &self.bid, row.bid),
            ("ask", &self.ask, row.ask),
            ("change", &self.change, row.change),
            ("percent_change", &self.percent_change, row.percent_change),
            ("volume", &self.volume, row.volume),
            ("high", &self.high, row.high),
            ("low", &self.low, row.low),
        ];
        pairs.into_iter().find_map(|(name, own, shown)| {
            let shown = shown.map_or("absent", |value| value.get());
            let is_same = Decimal::parse(own.as_bytes()).ok() == Decimal::parse(shown.as_bytes()).ok();
            (!is_same).then(|| format!("{name} {shown}, not {own}"))
        })
    }

    /// The number of the newest move that a row shows, in a numbered market.
    pub(super) fn number(&self, row: &RowText<'_>) -> Option<i64> {
        let shown = [row.price, row.bid].into_iter().flatten();
        let newest = shown.filter_map(|price| ticks(price.get(), self.price_digits)).max()?;
        newest.checked_sub(ticks(&self.open, self.price_digits)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One symbol of which everything is known.
    pub(crate) fn own() -> Own {
        let text = r#"{"venues":{"binance":{"quiet":true,"symbols":{"BTC/USDT":{"key":"BTCUSDT","price":"100.03","bid":"100.02",
            "ask":"100.03","change":"0.03","percent_change":"0.029","volume":"7.500","high":"100.03","low":"100.00",
            "open":"100.00","price_digits":2,"trade_id":9,"book_id":8,"moves":3}}}}}"#;
        Own::read(text).unwrap()
    }

    #[test]
    fn a_row_is_held_against_every_value() {
        let own = own();
        let own = &own.symbols["binance:BTC/USDT"];
        let row = r#"{"v":1,"price":100.03,"bid":100.02,"ask":100.03,"change":0.03,"percent_change":0.029,"volume":7.5,"high":100.03,"low":100,"ts":5}"#;
        assert_eq!(own.difference(row.as_bytes()), None);
        let later = row.replace(r#""bid":100.02"#, r#""bid":100.01"#);
        assert_eq!(own.difference(later.as_bytes()).unwrap(), "bid 100.01, not 100.02");
        let less = row.replace(r#","volume":7.5"#, "");
        assert_eq!(own.difference(less.as_bytes()).unwrap(), "volume absent, not 7.500");
        assert!(own.difference(b"garbage").is_some());
    }

    #[test]
    fn a_row_shows_the_number_of_its_newest_move() {
        let own = own();
        let number =
            |row: &str| own.symbols["binance:BTC/USDT"].number(&RowText::read(row.as_bytes()).unwrap());
        assert_eq!(number(r#"{"v":1,"price":100.01,"bid":100.02}"#), Some(2));
        assert_eq!(number(r#"{"v":1,"price":100.05,"bid":100.02}"#), Some(5));
        assert_eq!(number(r#"{"v":1,"volume":5}"#), None);
    }
}
