//! KuCoin spot push messages of the made-up market: ticker (by symbol and `all`), match, snapshot.
//!
//! Fields and types are those of SPEC (spec/ws) and of recorded frames (2021-04, 2023-11): ticker has strings, snapshot
//! has numbers, some with twenty decimals, and the change as a fraction.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::facts::{LONG_DIGITS, SNAPSHOT_EVERY};
use crate::exchange::catalogue::{Catalogue, Instrument};
use crate::exchange::digits::{push_fixed, push_int, push_signed, push_trimmed};
use crate::exchange::hub::{ChannelId, Fill};
use crate::exchange::market::{Move, Quote};
use crate::exchange::pump::Dialect;

/// Topics of one instrument, in channel order; `/market/ticker:all` is the channel after the last.
pub(super) const KINDS: [&str; 3] = ["/market/ticker", "/market/match", "/market/snapshot"];
const TICKER: usize = 0;
const MATCH: usize = 1;
const SNAPSHOT: usize = 2;
/// The topic of all tickers.
pub(super) const ALL_TICKERS: &str = "/market/ticker:all";

/// Topics of a catalogue, in channel order.
pub(super) fn topics(catalogue: &Catalogue) -> Vec<String> {
    let each =
        catalogue.instruments().iter().flat_map(|one| KINDS.map(|kind| format!("{kind}:{}", one.symbol)));
    each.chain([ALL_TICKERS.to_owned()]).collect()
}

/// Writes the messages.
#[derive(Debug)]
pub(super) struct Frames {
    all_tickers: ChannelId,
}

impl Frames {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        Self { all_tickers: catalogue.instruments().len() * KINDS.len() }
    }
}

impl Dialect for Frames {
    const SUMMARY_EVERY: Duration = SNAPSHOT_EVERY;

    fn tick(&self, at: usize, one: &Instrument, quote: &Quote, kind: Move, now_ms: u64, fill: &mut Fill<'_>) {
        let first = at * KINDS.len();
        write(fill, first + TICKER, |out| {
            head(
                out,
                &[
                    r#"{"type":"message","topic":"/market/ticker:"#,
                    &one.symbol,
                    r#"","subject":"trade.ticker","data":"#,
                ],
            );
            ticker(out, one, quote, now_ms);
        });
        write(fill, self.all_tickers, |out| {
            head(
                out,
                &[
                    r#"{"type":"message","topic":"/market/ticker:all","subject":""#,
                    &one.symbol,
                    r#"","data":"#,
                ],
            );
            ticker(out, one, quote, now_ms);
        });
        if kind == Move::Trade {
            write(fill, first + MATCH, |out| {
                head(
                    out,
                    &[
                        r#"{"type":"message","topic":"/market/match:"#,
                        &one.symbol,
                        r#"","subject":"trade.l3match","data":"#,
                    ],
                );
                trade(out, one, quote, now_ms);
            });
        }
    }

    fn summary(&self, at: usize, one: &Instrument, quote: &Quote, now_ms: u64, fill: &mut Fill<'_>) {
        write(fill, at * KINDS.len() + SNAPSHOT, |out| {
            head(
                out,
                &[
                    r#"{"type":"message","topic":"/market/snapshot:"#,
                    &one.symbol,
                    r#"","subject":"trade.snapshot","data":"#,
                ],
            );
            snapshot(out, one, quote, now_ms);
        });
    }
}

fn write(fill: &mut Fill<'_>, channel: ChannelId, body: impl FnOnce(&mut BytesMut)) {
    fill.write(channel, |out| {
        body(out);
        out.put_u8(b'}');
        0..out.len()
    });
}

fn head(out: &mut BytesMut, parts: &[&str]) {
    parts.iter().for_each(|part| out.put_slice(part.as_bytes()));
}

fn ticker(out: &mut BytesMut, one: &Instrument, quote: &Quote, now_ms: u64) {
    out.put_slice(br#"{"bestAsk":""#);
    price(out, one, quote.ask);
    out.put_slice(br#"","bestAskSize":""#);
    size(out, one, quote.ask_size);
    out.put_slice(br#"","bestBid":""#);
    price(out, one, quote.bid);
    out.put_slice(br#"","bestBidSize":""#);
    size(out, one, quote.bid_size);
    out.put_slice(br#"","price":""#);
    price(out, one, quote.last);
    out.put_slice(br#"","sequence":""#);
    push_int(out, quote.book_id);
    out.put_slice(br#"","size":""#);
    size(out, one, quote.last_size);
    out.put_slice(br#"","time":"#);
    push_int(out, now_ms);
    out.put_u8(b'}');
}

fn trade(out: &mut BytesMut, one: &Instrument, quote: &Quote, now_ms: u64) {
    out.put_slice(br#"{"makerOrderId":""#);
    object_id(out, quote.trade_id ^ 1);
    out.put_slice(br#"","price":""#);
    price(out, one, quote.last);
    out.put_slice(br#"","sequence":""#);
    push_int(out, quote.book_id);
    head(out, &[r#"","side":""#, if quote.buyer_is_maker { "sell" } else { "buy" }, r#"","size":""#]);
    size(out, one, quote.last_size);
    head(out, &[r#"","symbol":""#, &one.symbol, r#"","takerOrderId":""#]);
    object_id(out, quote.trade_id ^ 2);
    // Nanoseconds, as a string.
    out.put_slice(br#"","time":""#);
    push_int(out, now_ms);
    out.put_slice(br#"000000","tradeId":""#);
    push_int(out, quote.trade_id);
    out.put_slice(br#"","type":"match"}"#);
}

fn snapshot(out: &mut BytesMut, one: &Instrument, quote: &Quote, now_ms: u64) {
    out.put_slice(br#"{"sequence":""#);
    push_int(out, quote.book_id);
    out.put_slice(br#"","data":{"averagePrice":"#);
    price(out, one, average(quote));
    head(out, &[r#","baseCurrency":""#, &one.base, r#"","board":1,"buy":"#]);
    price(out, one, quote.bid);
    out.put_slice(br#","changePrice":"#);
    push_signed(out, change(quote), one.price_digits, LONG_DIGITS);
    out.put_slice(br#","changeRate":"#);
    push_change_rate(out, quote);
    out.put_slice(br#","close":"#);
    price(out, one, quote.last);
    out.put_slice(br#","datetime":"#);
    push_int(out, now_ms);
    long_price(out, r#","high":"#, one, quote.high);
    out.put_slice(br#","lastTradedPrice":"#);
    price(out, one, quote.last);
    long_price(out, r#","low":"#, one, quote.low);
    head(
        out,
        &[
            r#","makerCoefficient":1.000000,"makerFeeRate":0.001,"marginTrade":false,"mark":0,"market":""#,
            market(one),
            r#"""#,
        ],
    );
    for window in ["1h", "24h", "4h"] {
        head(out, &[r#","marketChange"#, window, r#"":{"#]);
        market_change(out, one, quote);
    }
    head(out, &[r#","markets":[""#, market(one), r#""]"#]);
    long_price(out, r#","open":"#, one, quote.open);
    head(out, &[r#","quoteCurrency":""#, &one.quote, r#"","sell":"#]);
    price(out, one, quote.ask);
    head(out, &[r#","sort":100,"symbol":""#, &one.symbol, r#"","symbolCode":""#, &one.symbol]);
    out.put_slice(br#"","takerCoefficient":1.000000,"takerFeeRate":0.001,"trading":true"#);
    volumes(out, one, quote);
    out.put_slice(b"}}");
}

/// The made-up market has one window; the venue's three show the same figures.
fn market_change(out: &mut BytesMut, one: &Instrument, quote: &Quote) {
    out.put_slice(br#""changePrice":"#);
    push_signed(out, change(quote), one.price_digits, LONG_DIGITS);
    out.put_slice(br#","changeRate":"#);
    push_change_rate(out, quote);
    long_price(out, r#","high":"#, one, quote.high);
    long_price(out, r#","low":"#, one, quote.low);
    long_price(out, r#","open":"#, one, quote.open);
    volumes(out, one, quote);
    out.put_u8(b'}');
}

fn volumes(out: &mut BytesMut, one: &Instrument, quote: &Quote) {
    out.put_slice(br#","vol":"#);
    push_fixed(out, quote.volume.into(), one.quantity_digits, LONG_DIGITS);
    out.put_slice(br#","volValue":"#);
    push_fixed(out, quote.turnover, one.price_digits + one.quantity_digits, LONG_DIGITS);
}

/// Change since the open, in ticks.
pub(super) fn change(quote: &Quote) -> i128 {
    i128::from(quote.last) - i128::from(quote.open)
}

/// Average price weighted by quantity, in ticks.
pub(super) fn average(quote: &Quote) -> u64 {
    u64::try_from(quote.turnover / u128::from(quote.volume.max(1))).unwrap_or(quote.last)
}

/// Digits after the point of a change as a fraction.
const RATE_DIGITS: u8 = 4;
/// The same change in percent.
pub(super) const PERCENT_DIGITS: u8 = RATE_DIGITS - 2;

/// The change as a fraction: 0.0047 is 0.47 %.
pub(super) fn push_change_rate(out: &mut BytesMut, quote: &Quote) {
    let fraction = change(quote) * 10i128.pow(u32::from(RATE_DIGITS)) / i128::from(quote.open.max(1));
    push_signed(out, fraction, RATE_DIGITS, RATE_DIGITS);
}

/// Trading area of an instrument.
pub(super) fn market(one: &Instrument) -> &str {
    match one.quote.as_str() {
        "USDT" | "USDC" => "USDS",
        "BTC" => "BTC",
        _ => "FIAT",
    }
}

fn price(out: &mut BytesMut, one: &Instrument, ticks: u64) {
    push_trimmed(out, ticks.into(), one.price_digits);
}

fn size(out: &mut BytesMut, one: &Instrument, lots: u64) {
    push_trimmed(out, lots.into(), one.quantity_digits);
}

fn long_price(out: &mut BytesMut, key: &str, one: &Instrument, ticks: u64) {
    out.put_slice(key.as_bytes());
    push_fixed(out, ticks.into(), one.price_digits, LONG_DIGITS);
}

/// 24 hexadecimal digits, as order ids have.
fn object_id(out: &mut BytesMut, number: u64) {
    out.put_slice(format!("60{number:022x}").as_bytes());
}
