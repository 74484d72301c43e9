//! Binance's protocol on one connection: batched SUBSCRIBE inside the message budget, answers, and three streams a
//! symbol brought into one order. Official page: binance-spot-api-docs, `web-socket-streams.md`.
//!
//! Who moves what: the newest trade moves `price`, be it told by `@trade` or by `@ticker` (`L` names the trade of
//! `c`); `@bookTicker` moves `bid` and `ask`, and `@ticker` only until the first of it; `ts` never goes back.

use std::collections::HashMap;

use serde_json::json;
use tickwire_common::row::Row;

use super::codec::{self, Book, Message, Reply, Ticker, Trade};
use super::facts;
use crate::venue::contract::{Carried, Event, Frame, Micros, Out, Reason, Session, Update};
use crate::venue::requests::Requests;
use crate::venue::watch::Watch;

/// What a symbol's streams have told on this connection.
#[derive(Debug)]
struct Told {
    index: u32,
    stream: String,
    trade_id: i64,
    book_id: Option<i64>,
    ticker_ms: i64,
    event_ms: i64,
}

/// The session of one socket.
#[derive(Debug)]
pub struct BinanceSession {
    symbols: Vec<Told>,
    by_stream: HashMap<Box<[u8]>, usize>,
    /// Each request is a range of `symbols`.
    requests: Requests<std::ops::Range<usize>>,
    watch: Option<Watch>,
}

impl BinanceSession {
    /// A session that carries these symbols.
    pub fn new(symbols: Vec<Carried>) -> Self {
        let symbols: Vec<Told> = symbols.into_iter().map(Told::nothing).collect();
        let by_stream =
            symbols.iter().enumerate().map(|(at, told)| (told.stream.as_bytes().into(), at)).collect();
        let requests = Requests::new(facts::MESSAGE_INTERVAL, facts::ACK_TIMEOUT);
        Self { symbols, by_stream, requests, watch: None }
    }

    fn read(&mut self, frame: &[u8], out: &mut Out) {
        match codec::decode(frame) {
            Ok(Message::Book(stream, book)) => self.with(stream, out, |told| told.book(book)),
            Ok(Message::Trade(stream, trade)) => self.with(stream, out, |told| told.trade(trade)),
            Ok(Message::Ticker(stream, ticker)) => self.with(stream, out, |told| told.ticker(ticker)),
            Ok(Message::Reply(reply)) => self.reply(reply, out),
            Ok(Message::Shutdown) => out.events.push(Event::Reconnect(Reason::Goodbye)),
            Ok(Message::Other(kind)) => out.events.push(Event::Ignored(kind)),
            Err(malformed) => out.events.push(Event::Garbage(malformed.as_str())),
        }
    }

    #[inline]
    fn with(
        &mut self,
        stream: &[u8],
        out: &mut Out,
        tell: impl FnOnce(&mut Told) -> Result<Row, &'static str>,
    ) {
        let Some(told) = self.by_stream.get(stream).and_then(|at| self.symbols.get_mut(*at)) else {
            out.events.push(Event::Ignored("unknown_symbol"));
            return;
        };
        match tell(told) {
            Ok(fields) => {
                out.updates.push(Update { symbol: told.index, fields });
                if let Some(watch) = &mut self.watch {
                    watch.data();
                }
            }
            Err(stream) => out.events.push(Event::Superseded(stream)),
        }
    }

    fn reply(&mut self, reply: Reply, out: &mut Out) {
        let Some(batch) = reply.id.and_then(|id| self.requests.answered(id)) else {
            out.events.push(Event::Ignored("foreign_reply"));
            return;
        };
        if let Some(reason) = reply.refused {
            let refused = self.symbols.get(batch).unwrap_or_default();
            let rejected = |told: &Told| Event::Rejected { symbol: told.index, reason: reason.clone() };
            out.events.extend(refused.iter().map(rejected));
        }
        if self.requests.is_done() {
            out.events.push(Event::Subscribed);
        }
    }

    fn send_due(&mut self, now: Micros, out: &mut Out) {
        while let Some((id, batch)) = self.requests.due(now) {
            let batch = self.symbols.get(batch.clone()).unwrap_or_default();
            let streams = batch.iter().flat_map(|told| {
                ["trade", "bookTicker", "ticker"].map(|stream| format!("{}@{stream}", told.stream))
            });
            let streams: Vec<String> = streams.collect();
            out.send.push(json!({"method": "SUBSCRIBE", "params": streams, "id": id}).to_string());
        }
    }
}

impl Session for BinanceSession {
    fn opened(&mut self, now: Micros, out: &mut Out) {
        self.watch = Some(Watch::new(now, facts::FIRST_DATA, facts::SILENCE));
        let len = self.symbols.len();
        for start in (0..len).step_by(facts::SYMBOLS_PER_SUBSCRIBE) {
            self.requests.push(start..len.min(start + facts::SYMBOLS_PER_SUBSCRIBE));
        }
        self.send_due(now, out);
    }

    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out) {
        if let Some(watch) = &mut self.watch {
            watch.heard(now);
        }
        match frame {
            Frame::Text(text) => self.read(text, out),
            Frame::Binary(_) => out.events.push(Event::Garbage("binary")),
            Frame::Ping => self.requests.spend(now),
        }
    }

    fn deadline(&mut self, now: Micros, out: &mut Out) {
        self.send_due(now, out);
        let late = self.requests.overdue(now).then_some(Reason::Ack);
        let wrong = late.or_else(|| self.watch.as_ref()?.check(now));
        out.events.extend(wrong.map(Event::Reconnect));
    }

    fn next_deadline(&self) -> Option<Micros> {
        let watch = self.watch.as_ref().map(Watch::next_deadline);
        [watch, self.requests.next_deadline()].into_iter().flatten().min()
    }
}

impl Told {
    fn nothing(symbol: Carried) -> Self {
        // Stream names are lower case; only ASCII letters have one at this venue.
        let stream = symbol.key.to_ascii_lowercase();
        Self { index: symbol.index, stream, trade_id: -1, book_id: None, ticker_ms: 0, event_ms: 0 }
    }

    #[inline]
    fn book(&mut self, book: Book) -> Result<Row, &'static str> {
        if self.book_id.is_some_and(|id| book.id <= id) {
            return Err("book_ticker");
        }
        self.book_id = Some(book.id);
        Ok(Row { bid: book.bid, ask: book.ask, ..Row::default() })
    }

    #[inline]
    fn trade(&mut self, trade: Trade) -> Result<Row, &'static str> {
        if trade.id <= self.trade_id {
            return Err("trade");
        }
        self.trade_id = trade.id;
        Ok(Row { price: trade.price, ts: self.event(trade.event_ms), ..Row::default() })
    }

    fn ticker(&mut self, ticker: Ticker) -> Result<Row, &'static str> {
        if ticker.event_ms < self.ticker_ms {
            return Err("ticker");
        }
        self.ticker_ms = ticker.event_ms;
        let price = if ticker.last_trade_id >= self.trade_id { ticker.price } else { None };
        self.trade_id = self.trade_id.max(ticker.last_trade_id);
        let (bid, ask) = if self.book_id.is_some() { (None, None) } else { (ticker.bid, ticker.ask) };
        Ok(Row {
            price,
            bid,
            ask,
            change: ticker.change,
            percent_change: ticker.percent_change,
            volume: ticker.volume,
            high: ticker.high,
            low: ticker.low,
            ts: self.event(Some(ticker.event_ms)),
            ..Row::default()
        })
    }

    /// The event time, unless a newer one was told.
    #[inline]
    fn event(&mut self, ms: Option<i64>) -> Option<u64> {
        let ms = ms.filter(|ms| *ms >= self.event_ms)?;
        self.event_ms = ms;
        u64::try_from(ms).ok()
    }
}
