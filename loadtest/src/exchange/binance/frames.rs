//! Binance spot stream frames of the made-up market: trade, bookTicker, 24hrTicker.
//!
//! Fields, their order and their digits are those of web-socket-streams.md and of recorded frames (2024-08, 2026-10):
//! prices and quantities are strings of eight decimals, spot bookTicker has neither event type nor time.

use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::facts::{STATISTICS_WINDOW_MS, TICKER_EVERY};
use crate::exchange::catalogue::{Catalogue, Instrument};
use crate::exchange::digits::{BINANCE_DIGITS, push_fixed, push_int, push_signed};
use crate::exchange::hub::{ChannelId, Fill};
use crate::exchange::market::{Move, Quote};
use crate::exchange::pump::Dialect;

/// Streams of one instrument, in channel order.
pub(super) const KINDS: [&str; 3] = ["trade", "bookTicker", "ticker"];
const TRADE: usize = 0;
const BOOK: usize = 1;
const TICKER: usize = 2;

/// Stream names of a catalogue, in channel order: all kinds of the first instrument, of the second, ...
pub(super) fn stream_names(catalogue: &Catalogue) -> Vec<String> {
    let lower = catalogue.instruments().iter().map(|one| one.symbol.to_ascii_lowercase());
    lower.flat_map(|symbol| KINDS.map(|kind| format!("{symbol}@{kind}"))).collect()
}

/// Writes the frames; holds what does not change of each.
#[derive(Debug)]
pub(super) struct Frames {
    /// `{"stream":"<name>","data":` by channel.
    heads: Vec<String>,
}

impl Frames {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let head = |name: String| format!(r#"{{"stream":"{name}","data":"#);
        Self { heads: stream_names(catalogue).into_iter().map(head).collect() }
    }

    fn wrap(&self, channel: ChannelId, fill: &mut Fill<'_>, body: impl FnOnce(&mut BytesMut)) {
        let head = self.heads.get(channel).map_or("", String::as_str);
        fill.write(channel, |out| {
            out.put_slice(head.as_bytes());
            body(out);
            let range: Range<usize> = head.len()..out.len();
            out.put_u8(b'}');
            range
        });
    }
}

impl Dialect for Frames {
    const SUMMARY_EVERY: Duration = TICKER_EVERY;

    fn tick(&self, at: usize, one: &Instrument, quote: &Quote, kind: Move, now_ms: u64, fill: &mut Fill<'_>) {
        let first = at * KINDS.len();
        match kind {
            Move::Book => self.wrap(first + BOOK, fill, |out| book_ticker(out, one, quote)),
            Move::Trade => self.wrap(first + TRADE, fill, |out| trade(out, one, quote, now_ms)),
        }
    }

    fn summary(&self, at: usize, one: &Instrument, quote: &Quote, now_ms: u64, fill: &mut Fill<'_>) {
        self.wrap(at * KINDS.len() + TICKER, fill, |out| ticker(out, one, quote, now_ms));
    }
}

fn book_ticker(out: &mut BytesMut, one: &Instrument, quote: &Quote) {
    number(out, r#"{"u":"#, quote.book_id);
    string(out, r#","s":"#, &one.symbol);
    price(out, r#","b":"#, one, quote.bid);
    quantity(out, r#","B":"#, one, quote.bid_size);
    price(out, r#","a":"#, one, quote.ask);
    quantity(out, r#","A":"#, one, quote.ask_size);
    out.put_u8(b'}');
}

fn trade(out: &mut BytesMut, one: &Instrument, quote: &Quote, now_ms: u64) {
    number(out, r#"{"e":"trade","E":"#, now_ms);
    string(out, r#","s":"#, &one.symbol);
    number(out, r#","t":"#, quote.trade_id);
    price(out, r#","p":"#, one, quote.last);
    quantity(out, r#","q":"#, one, quote.last_size);
    number(out, r#","T":"#, now_ms);
    out.put_slice(if quote.buyer_is_maker { br#","m":true,"M":true}"# } else { br#","m":false,"M":true}"# });
}

fn ticker(out: &mut BytesMut, one: &Instrument, quote: &Quote, now_ms: u64) {
    let statistics = Statistics::of(one, quote, now_ms);
    number(out, r#"{"e":"24hrTicker","E":"#, now_ms);
    string(out, r#","s":"#, &one.symbol);
    string(out, r#","p":"#, &statistics.change);
    string(out, r#","P":"#, &statistics.change_percent);
    string(out, r#","w":"#, &statistics.weighted_average);
    price(out, r#","x":"#, one, quote.open);
    price(out, r#","c":"#, one, quote.last);
    quantity(out, r#","Q":"#, one, quote.last_size);
    price(out, r#","b":"#, one, quote.bid);
    quantity(out, r#","B":"#, one, quote.bid_size);
    price(out, r#","a":"#, one, quote.ask);
    quantity(out, r#","A":"#, one, quote.ask_size);
    price(out, r#","o":"#, one, quote.open);
    price(out, r#","h":"#, one, quote.high);
    price(out, r#","l":"#, one, quote.low);
    quantity(out, r#","v":"#, one, quote.volume);
    string(out, r#","q":"#, &statistics.quote_volume);
    number(out, r#","O":"#, statistics.open_time);
    number(out, r#","C":"#, now_ms);
    number(out, r#","F":"#, quote.first_trade_id);
    number(out, r#","L":"#, quote.trade_id);
    number(out, r#","n":"#, quote.trades());
    out.put_u8(b'}');
}

/// The 24 h figures that are computed, in the venue's digits. REST and stream share them.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) change: String,
    pub(super) change_percent: String,
    pub(super) weighted_average: String,
    pub(super) quote_volume: String,
    pub(super) open_time: u64,
}

/// Digits after the point of the change in percent.
pub(super) const PERCENT_DIGITS: u8 = 3;

impl Statistics {
    pub(super) fn of(one: &Instrument, quote: &Quote, now_ms: u64) -> Self {
        let change = i128::from(quote.last) - i128::from(quote.open);
        let percent = change * 100 * 10i128.pow(u32::from(PERCENT_DIGITS)) / i128::from(quote.open.max(1));
        let average = quote.turnover / u128::from(quote.volume.max(1));
        let value_digits = one.price_digits + one.quantity_digits;
        Self {
            change: written(|out| push_signed(out, change, one.price_digits, BINANCE_DIGITS)),
            change_percent: written(|out| push_signed(out, percent, PERCENT_DIGITS, PERCENT_DIGITS)),
            weighted_average: written(|out| push_fixed(out, average, one.price_digits, BINANCE_DIGITS)),
            quote_volume: written(|out| push_fixed(out, quote.turnover, value_digits, BINANCE_DIGITS)),
            open_time: now_ms.saturating_sub(STATISTICS_WINDOW_MS),
        }
    }
}

/// What `write` writes, as a string.
pub(super) fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn number(out: &mut BytesMut, key: &str, value: u64) {
    out.put_slice(key.as_bytes());
    push_int(out, value);
}

fn string(out: &mut BytesMut, key: &str, value: &str) {
    out.put_slice(key.as_bytes());
    out.put_u8(b'"');
    out.put_slice(value.as_bytes());
    out.put_u8(b'"');
}

fn price(out: &mut BytesMut, key: &str, one: &Instrument, ticks: u64) {
    quoted(out, key, ticks, one.price_digits);
}

fn quantity(out: &mut BytesMut, key: &str, one: &Instrument, lots: u64) {
    quoted(out, key, lots, one.quantity_digits);
}

fn quoted(out: &mut BytesMut, key: &str, units: u64, scale: u8) {
    out.put_slice(key.as_bytes());
    out.put_u8(b'"');
    push_fixed(out, u128::from(units), scale, BINANCE_DIGITS);
    out.put_u8(b'"');
}
