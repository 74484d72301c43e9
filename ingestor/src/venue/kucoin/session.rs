//! KuCoin's protocol on one connection: welcome, batched subscriptions with answers by id, the client's JSON ping,
//! and two topics a symbol brought into one order. Official page: kucoin.com/docs, WebSocket API, introduction.
//!
//! Who moves what: `/market/ticker` moves `price`, `bid` and `ask`, and `/market/snapshot` only until the first of it,
//! for a snapshot is up to two seconds old; the rest comes from the snapshot. `ts` never goes back.

use std::collections::HashMap;

use serde_json::json;
use tickwire_common::row::Row;

use super::codec::{self, Message, Refusal, Snapshot, Ticker};
use super::facts;
use crate::venue::contract::{Carried, Event, Frame, Heartbeat, Micros, Out, Reason, Session, Update};
use crate::venue::requests::Requests;
use crate::venue::watch::Watch;

const TOPICS: [&str; facts::TOPICS_PER_SYMBOL] = ["/market/ticker", "/market/snapshot"];

/// What a symbol's topics have told on this connection.
#[derive(Debug)]
struct Told {
    index: u32,
    key: String,
    rejected: bool,
    sequence: Option<i64>,
    snapshot_ms: i64,
    event_ms: i64,
}

/// One subscribe message: a topic for some symbols, by their place in the session.
#[derive(Debug)]
struct Batch {
    topic: &'static str,
    symbols: Vec<usize>,
}

#[derive(Debug)]
enum Phase {
    Opening { welcome_by: Micros },
    Open { watch: Watch, ping_at: Micros, pong_by: Option<Micros> },
}

/// The session of one socket.
#[derive(Debug)]
pub struct KucoinSession {
    symbols: Vec<Told>,
    by_key: HashMap<Box<[u8]>, usize>,
    requests: Requests<Batch>,
    heartbeat: Heartbeat,
    phase: Option<Phase>,
}

impl KucoinSession {
    /// A session that carries these symbols.
    pub fn new(symbols: Vec<Carried>, heartbeat: Option<Heartbeat>) -> Self {
        let symbols: Vec<Told> = symbols.into_iter().map(Told::nothing).collect();
        let by_key = symbols.iter().enumerate().map(|(at, told)| (told.key.as_bytes().into(), at)).collect();
        let requests = Requests::new(facts::MESSAGE_INTERVAL, facts::ACK_TIMEOUT);
        Self { symbols, by_key, requests, heartbeat: heartbeat.unwrap_or(facts::HEARTBEAT), phase: None }
    }

    fn read(&mut self, frame: &[u8], now: Micros, out: &mut Out) {
        match codec::decode(frame) {
            Ok(Message::Ticker(symbol, ticker)) => self.with(symbol, out, |told| told.ticker(ticker)),
            Ok(Message::Snapshot(symbol, snapshot)) => self.with(symbol, out, |told| told.snapshot(snapshot)),
            Ok(Message::Welcome) => self.welcome(now, out),
            Ok(Message::Ack(id)) => self.acked(id, out),
            Ok(Message::Pong) => self.pong(),
            Ok(Message::Refused(refusal)) => self.refused(refusal, now, out),
            Ok(Message::Other(kind)) => out.events.push(Event::Ignored(kind)),
            Err(malformed) => out.events.push(Event::Garbage(malformed.as_str())),
        }
    }

    #[inline]
    fn with(
        &mut self,
        symbol: &[u8],
        out: &mut Out,
        tell: impl FnOnce(&mut Told) -> Result<Row, &'static str>,
    ) {
        let Some(told) = self.by_key.get(symbol).and_then(|at| self.symbols.get_mut(*at)) else {
            out.events.push(Event::Ignored("unknown_symbol"));
            return;
        };
        match tell(told) {
            Ok(fields) => {
                out.updates.push(Update { symbol: told.index, fields });
                if let Some(Phase::Open { watch, .. }) = &mut self.phase {
                    watch.data();
                }
            }
            Err(stream) => out.events.push(Event::Superseded(stream)),
        }
    }

    fn welcome(&mut self, now: Micros, out: &mut Out) {
        if !matches!(self.phase, Some(Phase::Opening { .. })) {
            out.events.push(Event::Ignored("welcome"));
            return;
        }
        let silence = self.heartbeat.interval + self.heartbeat.timeout;
        let watch = Watch::new(now, facts::FIRST_DATA, silence);
        self.phase = Some(Phase::Open { watch, ping_at: now + self.heartbeat.interval, pong_by: None });
        for topic in TOPICS {
            for start in (0..self.symbols.len()).step_by(facts::SYMBOLS_PER_SUBSCRIBE_MAX) {
                let end = self.symbols.len().min(start + facts::SYMBOLS_PER_SUBSCRIBE_MAX);
                self.requests.push(Batch { topic, symbols: (start..end).collect() });
            }
        }
        self.send_due(now, out);
    }

    fn acked(&mut self, id: Option<u64>, out: &mut Out) {
        if id.and_then(|id| self.requests.answered(id)).is_none() {
            out.events.push(Event::Ignored("foreign_ack"));
        } else if self.requests.is_done() {
            out.events.push(Event::Subscribed);
        }
    }

    fn pong(&mut self) {
        if let Some(Phase::Open { pong_by, .. }) = &mut self.phase {
            *pong_by = None;
        }
    }

    fn refused(&mut self, refusal: Refusal, now: Micros, out: &mut Out) {
        match refusal.id.and_then(|id| self.requests.answered(id)) {
            Some(batch) => self.batch_refused(batch, &refusal, now, out),
            // Not about a request, so about the connection: an old token, a missed ping, too many sessions.
            None => out.events.push(Event::Reconnect(Reason::Goodbye)),
        }
        if self.requests.is_done() {
            out.events.push(Event::Subscribed);
        }
    }

    fn batch_refused(&mut self, batch: Batch, refusal: &Refusal, now: Micros, out: &mut Out) {
        match refusal.code {
            401 => out.events.push(Event::Reconnect(Reason::Goodbye)),
            509 if refusal.text.contains("permits") || refusal.text.contains("busy") => {
                self.requests.hold(now + facts::RATE_PAUSE);
                self.requests.push(batch);
            }
            404 => self.not_found(batch, &refusal.text, out),
            _ => self.reject(&batch.symbols, refusal, out),
        }
    }

    /// One bad symbol fails the whole list. The one that the venue names is dropped and the rest asked for again; where
    /// the answer does not single one out, the list is halved until it does.
    fn not_found(&mut self, batch: Batch, text: &str, out: &mut Out) {
        let Batch { topic, symbols } = batch;
        let (mut bad, good): (Vec<usize>, Vec<usize>) =
            symbols.iter().partition(|at| self.is_named(**at, text));
        let refusal = Refusal { id: None, code: 404, text: text.to_owned() };
        if symbols.len() == 1 {
            bad = symbols;
        } else if bad.is_empty() || good.is_empty() {
            let (left, right) = symbols.split_at(symbols.len() / 2);
            self.requests.push(Batch { topic, symbols: left.to_vec() });
            self.requests.push(Batch { topic, symbols: right.to_vec() });
            return;
        } else {
            self.requests.push(Batch { topic, symbols: good });
        }
        self.reject(&bad, &refusal, out);
    }

    fn is_named(&self, at: usize, text: &str) -> bool {
        let mut words = text.split([' ', ':', ',']);
        self.symbols.get(at).is_some_and(|told| words.any(|word| word == told.key))
    }

    fn reject(&mut self, symbols: &[usize], refusal: &Refusal, out: &mut Out) {
        for at in symbols {
            let Some(told) = self.symbols.get_mut(*at) else { continue };
            if !std::mem::replace(&mut told.rejected, true) {
                let reason = format!("{}: {}", refusal.code, refusal.text);
                out.events.push(Event::Rejected { symbol: told.index, reason });
            }
        }
        let symbols = &self.symbols;
        let waiting = self.requests.waiting_mut();
        for batch in waiting.iter_mut() {
            batch.symbols.retain(|at| symbols.get(*at).is_some_and(|told| !told.rejected));
        }
        waiting.retain(|batch| !batch.symbols.is_empty());
    }

    fn send_due(&mut self, now: Micros, out: &mut Out) {
        while let Some((id, batch)) = self.requests.due(now) {
            let keys =
                batch.symbols.iter().filter_map(|at| self.symbols.get(*at)).map(|told| told.key.as_str());
            let topic = format!("{}:{}", batch.topic, keys.collect::<Vec<_>>().join(","));
            let frame = json!({"id": id.to_string(), "type": "subscribe", "topic": topic, "privateChannel": false,
                "response": true});
            out.send.push(frame.to_string());
        }
    }

    /// Sends the ping that is due and says what is wrong with the connection, if anything.
    fn heartbeat(&mut self, now: Micros, out: &mut Out) -> Option<Reason> {
        match self.phase.as_mut()? {
            Phase::Opening { welcome_by } => (now >= *welcome_by).then_some(Reason::Welcome),
            Phase::Open { pong_by: Some(by), .. } if now >= *by => Some(Reason::Pong),
            Phase::Open { watch, ping_at, pong_by } => {
                if now >= *ping_at {
                    *ping_at = now + self.heartbeat.interval;
                    *pong_by = Some(now + self.heartbeat.timeout);
                    let id = self.requests.take_id().to_string();
                    self.requests.spend(now);
                    out.send.push(json!({"id": id, "type": "ping"}).to_string());
                }
                watch.check(now)
            }
        }
    }
}

impl Session for KucoinSession {
    fn opened(&mut self, now: Micros, _out: &mut Out) {
        self.phase = Some(Phase::Opening { welcome_by: now + facts::WELCOME_TIMEOUT });
    }

    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out) {
        if let Some(Phase::Open { watch, .. }) = &mut self.phase {
            watch.heard(now);
        }
        match frame {
            Frame::Text(text) => self.read(text, now, out),
            Frame::Binary(_) => out.events.push(Event::Garbage("binary")),
            Frame::Ping => self.requests.spend(now),
        }
    }

    fn deadline(&mut self, now: Micros, out: &mut Out) {
        let wrong = self.heartbeat(now, out);
        self.send_due(now, out);
        let late = self.requests.overdue(now).then_some(Reason::Ack);
        out.events.extend(wrong.or(late).map(Event::Reconnect));
    }

    fn next_deadline(&self) -> Option<Micros> {
        let phase = self.phase.as_ref().map(|phase| match phase {
            Phase::Opening { welcome_by } => *welcome_by,
            Phase::Open { watch, ping_at, pong_by } => {
                watch.next_deadline().min(*ping_at).min(pong_by.unwrap_or(Micros::MAX))
            }
        });
        [phase, self.requests.next_deadline()].into_iter().flatten().min()
    }
}

impl Told {
    fn nothing(symbol: Carried) -> Self {
        let Carried { index, key } = symbol;
        Self { index, key, rejected: false, sequence: None, snapshot_ms: 0, event_ms: 0 }
    }

    #[inline]
    fn ticker(&mut self, ticker: Ticker) -> Result<Row, &'static str> {
        if self.sequence.is_some_and(|sequence| ticker.sequence <= sequence) {
            return Err("ticker");
        }
        self.sequence = Some(ticker.sequence);
        let ts = self.event(ticker.trade_ms);
        Ok(Row { price: ticker.price, bid: ticker.bid, ask: ticker.ask, ts, ..Row::default() })
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<Row, &'static str> {
        if snapshot.event_ms < self.snapshot_ms {
            return Err("snapshot");
        }
        self.snapshot_ms = snapshot.event_ms;
        let mut fields = Row {
            change: snapshot.change,
            percent_change: snapshot.percent_change,
            volume: snapshot.volume,
            high: snapshot.high,
            low: snapshot.low,
            ts: self.event(Some(snapshot.event_ms)),
            ..Row::default()
        };
        if self.sequence.is_none() {
            (fields.price, fields.bid, fields.ask) = (snapshot.price, snapshot.bid, snapshot.ask);
        }
        Ok(fields)
    }

    /// The event time, unless a newer one was told.
    #[inline]
    fn event(&mut self, ms: Option<i64>) -> Option<u64> {
        let ms = ms.filter(|ms| *ms >= self.event_ms)?;
        self.event_ms = ms;
        u64::try_from(ms).ok()
    }
}
