//! Binance's protocol on one connection: SUBSCRIBE and UNSUBSCRIBE with answers by id, and three streams a symbol.
//! Official page: binance-spot-api-docs, `web-socket-streams.md`.
//!
//! Who moves what: the newest trade moves `price`, be it told by `@trade` or by `@ticker` (`L` names the trade of
//! `c`); `@bookTicker` moves `bid` and `ask`, and `@ticker` only while no `@bookTicker` is known.

use serde_json::json;
use tickwire_common::row::Row;

use super::codec::{self, Book, Message, Reply, Ticker, Trade};
use super::facts;
use crate::venue::contract::{Carried, Event, Frame, Micros, Orders, Out, Reason, Session, Update, unix_ms};
use crate::venue::subscriptions::{Refusal, Request, Subscriptions};
use crate::venue::watch::Watch;

/// The code of "Too many subscriptions" (undocumented; unicorn-binance-websocket-api, issue 17).
const TOO_MANY: i64 = 4;

/// The session of one socket.
#[derive(Debug)]
pub struct BinanceSession {
    subscriptions: Subscriptions,
    /// From the open socket on.
    watch: Option<Watch>,
}

impl BinanceSession {
    /// A session that carries nothing.
    pub fn new() -> Self {
        Self { subscriptions: Subscriptions::new(&facts::SHAPE), watch: None }
    }

    fn read(&mut self, frame: &[u8], now: Micros, out: &mut Out) {
        match codec::decode(frame) {
            Ok(Message::Book(name, book)) => {
                self.subscriptions.tell((name, facts::BOOK_TICKER), now, out, |at| of_book(at, book))
            }
            Ok(Message::Trade(name, trade)) => {
                self.subscriptions.tell((name, facts::TRADE), now, out, |at| of_trade(at, trade))
            }
            Ok(Message::Ticker(name, ticker)) => {
                self.subscriptions.tell((name, facts::TICKER), now, out, |at| of_ticker(at, ticker));
            }
            Ok(Message::Reply(reply)) => self.reply(&reply, now, out),
            Ok(Message::Shutdown) => out.events.push(Event::Retire),
            Ok(Message::Other(kind)) => out.events.push(Event::Ignored(kind)),
            Err(malformed) => out.events.push(Event::Garbage(malformed.as_str())),
        }
    }

    fn reply(&mut self, reply: &Reply, now: Micros, out: &mut Out) {
        let known = reply.id.is_some_and(|id| match &reply.refused {
            None => self.subscriptions.taken(id, now, out),
            Some((code, words)) => {
                let refusal = if *code == TOO_MANY { Refusal::Full } else { Refusal::Some };
                self.subscriptions.refused(id, (refusal, &format!("{code}: {words}")), now, out)
            }
        });
        if !known {
            out.events.push(Event::Ignored("foreign_reply"));
        }
        self.send_due(now, out);
    }

    fn send_due(&mut self, now: Micros, out: &mut Out) {
        if self.watch.is_some() {
            self.subscriptions.send_due(now, out, write);
        }
    }
}

impl Default for BinanceSession {
    fn default() -> Self {
        Self::new()
    }
}

impl Session for BinanceSession {
    fn opened(&mut self, now: Micros, out: &mut Out) {
        self.watch = Some(Watch::new(now, facts::SILENCE));
        self.send_due(now, out);
    }

    fn subscribe(&mut self, symbols: Vec<Carried>, now: Micros, out: &mut Out) {
        // Stream names are lower case; only ASCII letters have one at this venue.
        let symbols = symbols.into_iter().map(|symbol| (symbol.index, symbol.key.to_ascii_lowercase()));
        self.subscriptions.subscribe(symbols, now, out);
        self.send_due(now, out);
    }

    fn unsubscribe(&mut self, symbols: &[u32], now: Micros, out: &mut Out) {
        self.subscriptions.unsubscribe(symbols);
        self.send_due(now, out);
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out) {
        if let Some(watch) = &mut self.watch {
            watch.heard(now);
        }
        match frame {
            Frame::Text(text) => self.read(text, now, out),
            Frame::Binary(_) => out.events.push(Event::Garbage("binary")),
            Frame::Ping => self.subscriptions.spend(now),
        }
    }

    fn deadline(&mut self, now: Micros, out: &mut Out) {
        let Some(watch) = &self.watch else { return };
        let silent = watch.is_silent(now).then_some(Reason::Silence);
        let wrong = silent.or_else(|| self.subscriptions.deadline(now, out));
        self.send_due(now, out);
        out.events.extend(wrong.map(Event::Reconnect));
    }

    fn next_deadline(&self) -> Option<Micros> {
        let silence = self.watch.as_ref()?.next_deadline();
        Some(self.subscriptions.next_deadline().map_or(silence, |at| at.min(silence)))
    }
}

fn write(request: &Request<'_>) -> String {
    let method = if request.subscribe { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
    let stream = |(topic, name): &(usize, &str)| {
        let kind = facts::STREAMS.get(*topic).copied().unwrap_or_default();
        format!("{name}@{kind}")
    };
    let streams: Vec<String> = request.units.iter().map(stream).collect();
    json!({"method": method, "params": streams, "id": request.id}).to_string()
}

#[inline]
fn of_book(symbol: u32, book: Book) -> Update {
    let orders = Orders { quote: Orders::of(book.id), ..Orders::NONE };
    Update { symbol, fields: Row { bid: book.bid, ask: book.ask, ..Row::default() }, orders }
}

#[inline]
fn of_trade(symbol: u32, trade: Trade) -> Update {
    let orders = Orders { price: Orders::of(trade.id), ..Orders::NONE };
    Update {
        symbol,
        fields: Row { price: trade.price, ts: unix_ms(trade.event_ms), ..Row::default() },
        orders,
    }
}

fn of_ticker(symbol: u32, ticker: Ticker) -> Update {
    let fields = Row {
        price: ticker.price,
        bid: ticker.bid,
        ask: ticker.ask,
        change: ticker.change,
        percent_change: ticker.percent_change,
        volume: ticker.volume,
        high: ticker.high,
        low: ticker.low,
        ts: unix_ms(Some(ticker.event_ms)),
        ..Row::default()
    };
    // A ticker names no book id: what it says of the book is old as soon as one does.
    let (price, stats) = (Orders::of(ticker.last_trade_id), Orders::of(ticker.event_ms));
    Update { symbol, fields, orders: Orders { price, quote: Orders::WEAK, stats } }
}
