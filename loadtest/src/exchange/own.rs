//! The exchange's own newest values of a symbol, in the terms of a Tickwire row: what a row must show when every frame
//! has arrived. Computed from the market itself, not from frames.

use bytes::BytesMut;
use serde::Serialize;

use super::catalogue::Instrument;
use super::digits::{push_fixed, push_signed};
use super::market::Quote;

/// Decimal digits are those of the venue; trailing zeros may differ from a row's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OwnValues {
    /// The venue's key.
    key: String,
    price: String,
    bid: String,
    ask: String,
    change: String,
    percent_change: String,
    volume: String,
    high: String,
    low: String,
    /// First price: in a numbered market, move 0.
    open: String,
    /// Digits after the point of a price, which is what one tick is.
    price_digits: u8,
    trade_id: u64,
    book_id: u64,
    /// Moves made.
    moves: u64,
}

impl OwnValues {
    /// `percent_digits`: digits after the point of the venue's change in percent.
    pub(crate) fn of(one: &Instrument, quote: &Quote, percent_digits: u8) -> Self {
        let price =
            |ticks: u64| written(|out| push_fixed(out, ticks.into(), one.price_digits, one.price_digits));
        let change = i128::from(quote.last) - i128::from(quote.open);
        let percent = change * 100 * 10i128.pow(percent_digits.into()) / i128::from(quote.open.max(1));
        let lots = one.quantity_digits;
        Self {
            key: one.symbol.clone(),
            price: price(quote.last),
            bid: price(quote.bid),
            ask: price(quote.ask),
            change: written(|out| push_signed(out, change, one.price_digits, one.price_digits)),
            percent_change: written(|out| push_signed(out, percent, percent_digits, percent_digits)),
            volume: written(|out| push_fixed(out, quote.volume.into(), lots, lots)),
            high: price(quote.high),
            low: price(quote.low),
            open: price(quote.open),
            price_digits: one.price_digits,
            trade_id: quote.trade_id,
            book_id: quote.book_id,
            moves: quote.moves,
        }
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}
