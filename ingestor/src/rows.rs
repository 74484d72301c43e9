//! The rows of a venue: updates of several streams merged into one row a symbol, with a version that only grows, as
//! the bytes that go to NATS. No clock, no I/O.

use tickwire_common::row::{Row, next_version, read_v};

use crate::venue::contract::Update;
use crate::venue::scan::{Malformed, members};

/// The newest row of every symbol, by the number that updates name it by.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    text: Vec<u8>,
}

impl Rows {
    /// Room for `symbols` symbols, nothing known of them.
    pub fn new(symbols: usize) -> Self {
        Self { rows: vec![Row::default(); symbols], text: Vec::new() }
    }

    /// Goes on from a row that was published before us: versions grow from there, and what it knew stays known. Anyone
    /// may publish rows, so one that cannot be read counts for its version only, or not at all.
    pub fn go_on_from(&mut self, symbol: u32, payload: &[u8]) {
        let Some(row) = self.rows.get_mut(symbol as usize) else { return };
        let known = read(payload).unwrap_or_default();
        let v = read_v(payload).unwrap_or_default();
        merge(row, &known);
        row.v = row.v.max(v);
    }

    /// Merges an update that was received at `now_us` (Unix microseconds) and gives the whole row's JSON; `None` for a
    /// symbol that is not ours.
    #[inline]
    pub fn apply(&mut self, update: &Update, now_us: u64) -> Option<&[u8]> {
        let row = self.rows.get_mut(update.symbol as usize)?;
        merge(row, &update.fields);
        row.v = next_version(row.v, now_us);
        self.text.clear();
        row.encode(&mut self.text);
        Some(&self.text)
    }

    /// The newest row of a symbol; its `v` is 0 before the first update.
    pub fn get(&self, symbol: u32) -> Option<&Row> {
        self.rows.get(symbol as usize)
    }
}

fn read(payload: &[u8]) -> Result<Row, Malformed> {
    let mut row = Row::default();
    members(payload, |key, value| {
        match key {
            b"price" => row.price = value.decimal()?,
            b"bid" => row.bid = value.decimal()?,
            b"ask" => row.ask = value.decimal()?,
            b"change" => row.change = value.decimal()?,
            b"percent_change" => row.percent_change = value.decimal()?,
            b"volume" => row.volume = value.decimal()?,
            b"high" => row.high = value.decimal()?,
            b"low" => row.low = value.decimal()?,
            b"ts" => row.ts = u64::try_from(value.integer()?).ok(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(row)
}

/// What an update does not speak of stays as it was.
#[inline]
fn merge(row: &mut Row, fields: &Row) {
    let Row { v: _, price, bid, ask, change, percent_change, volume, high, low, ts } = fields;
    set(&mut row.price, price);
    set(&mut row.bid, bid);
    set(&mut row.ask, ask);
    set(&mut row.change, change);
    set(&mut row.percent_change, percent_change);
    set(&mut row.volume, volume);
    set(&mut row.high, high);
    set(&mut row.low, low);
    set(&mut row.ts, ts);
}

#[inline]
fn set<T: Copy>(field: &mut Option<T>, news: &Option<T>) {
    if news.is_some() {
        *field = *news;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn update(bid: &str) -> Update {
        Update { symbol: 0, fields: Row { bid: bid.parse().ok(), ..Row::default() } }
    }

    #[test]
    fn a_row_carries_all_that_is_known() {
        let mut rows = Rows::new(1);
        let price = Row { price: "5".parse().ok(), ts: Some(9), ..Row::default() };
        rows.apply(&Update { symbol: 0, fields: price }, 100).unwrap();
        let text = rows.apply(&update("4.50"), 200).unwrap();
        assert_eq!(text, br#"{"v":200,"price":5,"bid":4.5,"ts":9}"#);
    }

    #[test]
    fn a_new_owner_goes_on_from_the_last_row() {
        let mut rows = Rows::new(3);
        rows.go_on_from(0, br#"{"v":900,"price":5.5,"bid":4,"ts":9}"#);
        let text = rows.apply(&update("4.50"), 200).unwrap();
        assert_eq!(text, br#"{"v":901,"price":5.5,"bid":4.5,"ts":9}"#);
        for foreign in [&br#"{"v":900,"price":"x"}"#[..], b"{\"v\":900,", b"garbage", b""] {
            rows.go_on_from(1, foreign);
        }
        assert_eq!(rows.get(1), Some(&Row { v: 900, ..Row::default() }));
    }

    #[test]
    fn symbols_of_others_are_refused() {
        assert_eq!(Rows::new(0).apply(&update("1"), 1), None);
    }

    proptest! {
        #[test]
        fn versions_grow_whatever_the_clock_does(before: u64, clock in prop::collection::vec(any::<u64>(), 1..20)) {
            let before = before >> 1;
            let mut rows = Rows::new(1);
            rows.go_on_from(0, format!(r#"{{"v":{before}}}"#).as_bytes());
            let mut last = before;
            for now_us in clock.into_iter().map(|now| now >> 1) {
                let v = read_v(rows.apply(&update("1"), now_us).unwrap()).unwrap();
                prop_assert!(v > last && v >= now_us);
                last = v;
            }
        }
    }
}
