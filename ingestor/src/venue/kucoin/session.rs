//! KuCoin's protocol on one connection: welcome, subscriptions with answers by id, the client's JSON ping, and two
//! topics a symbol. Official page: kucoin.com/docs, WebSocket API, introduction.
//!
//! Who moves what: `/market/ticker` moves `price`, `bid` and `ask`, and `/market/snapshot` only while no ticker is
//! known, for a snapshot is up to two seconds old; the rest comes from the snapshot.

use serde_json::json;
use tickwire_common::row::Row;

use super::codec::{self, Message, Snapshot, Ticker};
use super::facts;
use crate::venue::contract::{
    Carried, Event, Frame, Heartbeat, Micros, Orders, Out, Reason, Session, Update, unix_ms,
};
use crate::venue::subscriptions::{Refusal, Request, Subscriptions};
use crate::venue::watch::Watch;

#[derive(Debug)]
enum Phase {
    Opening { welcome_by: Micros },
    Open { watch: Watch, ping_at: Micros, pong_by: Option<Micros> },
}

/// The session of one socket.
#[derive(Debug)]
pub struct KucoinSession {
    subscriptions: Subscriptions,
    heartbeat: Heartbeat,
    phase: Option<Phase>,
}

impl KucoinSession {
    /// A session that carries nothing.
    pub fn new(heartbeat: Option<Heartbeat>) -> Self {
        let subscriptions = Subscriptions::new(&facts::SHAPE);
        Self { subscriptions, heartbeat: heartbeat.unwrap_or(facts::HEARTBEAT), phase: None }
    }

    fn read(&mut self, frame: &[u8], now: Micros, out: &mut Out) {
        match codec::decode(frame) {
            Ok(Message::Ticker(name, ticker)) => {
                self.subscriptions.tell((name, facts::TICKER), now, out, |at| of_ticker(at, ticker));
            }
            Ok(Message::Snapshot(name, snapshot)) => {
                self.subscriptions.tell((name, facts::SNAPSHOT), now, out, |at| of_snapshot(at, snapshot));
            }
            Ok(Message::Welcome) => self.welcome(now, out),
            Ok(Message::Ack(id)) => self.acked(id, now, out),
            Ok(Message::Pong) => self.pong(),
            Ok(Message::Refused(refusal)) => self.refused(&refusal, now, out),
            Ok(Message::Other(kind)) => out.events.push(Event::Ignored(kind)),
            Err(malformed) => out.events.push(Event::Garbage(malformed.as_str())),
        }
    }

    fn welcome(&mut self, now: Micros, out: &mut Out) {
        if !matches!(self.phase, Some(Phase::Opening { .. })) {
            out.events.push(Event::Ignored("welcome"));
            return;
        }
        let watch = Watch::new(now, self.heartbeat.interval + self.heartbeat.timeout);
        self.phase = Some(Phase::Open { watch, ping_at: now + self.heartbeat.interval, pong_by: None });
        self.send_due(now, out);
    }

    fn acked(&mut self, id: Option<u64>, now: Micros, out: &mut Out) {
        if !id.is_some_and(|id| self.subscriptions.taken(id, now, out)) {
            out.events.push(Event::Ignored("foreign_ack"));
        }
        self.send_due(now, out);
    }

    fn pong(&mut self) {
        if let Some(Phase::Open { pong_by, .. }) = &mut self.phase {
            *pong_by = None;
        }
    }

    fn refused(&mut self, refusal: &codec::Refusal, now: Micros, out: &mut Out) {
        let ours = refusal.id.filter(|id| self.subscriptions.is_ours(*id));
        match ours {
            Some(id) if refusal.code != facts::CODE_TOKEN => {
                let reason = format!("{}: {}", refusal.code, refusal.text);
                if !self.subscriptions.refused(id, (meaning(refusal, now), &reason), now, out) {
                    out.events.push(Event::Ignored("late_refusal"));
                }
            }
            // About the connection: an old token, a missed ping, too many sessions.
            _ => out.events.push(Event::Reconnect(Reason::Goodbye)),
        }
        self.send_due(now, out);
    }

    /// Nothing goes out before the welcome.
    fn send_due(&mut self, now: Micros, out: &mut Out) {
        if matches!(self.phase, Some(Phase::Open { .. })) {
            self.subscriptions.send_due(now, out, write);
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
                    let id = self.subscriptions.take_id().to_string();
                    self.subscriptions.spend(now);
                    out.send.push(json!({"id": id, "type": "ping"}).to_string());
                }
                let silent = watch.is_silent(now).then_some(Reason::Silence);
                silent.or_else(|| self.subscriptions.deadline(now, out))
            }
        }
    }
}

impl Session for KucoinSession {
    fn opened(&mut self, now: Micros, _out: &mut Out) {
        self.phase = Some(Phase::Opening { welcome_by: now + facts::WELCOME_TIMEOUT });
    }

    fn subscribe(&mut self, symbols: Vec<Carried>, now: Micros, out: &mut Out) {
        let symbols = symbols.into_iter().map(|symbol| (symbol.index, symbol.key));
        self.subscriptions.subscribe(symbols, now, out);
        self.send_due(now, out);
    }

    fn unsubscribe(&mut self, symbols: &[u32], now: Micros, out: &mut Out) {
        self.subscriptions.unsubscribe(symbols);
        self.send_due(now, out);
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>, now: Micros, out: &mut Out) {
        if let Some(Phase::Open { watch, .. }) = &mut self.phase {
            watch.heard(now);
        }
        match frame {
            Frame::Text(text) => self.read(text, now, out),
            Frame::Binary(_) => out.events.push(Event::Garbage("binary")),
            Frame::Ping => self.subscriptions.spend(now),
        }
    }

    fn deadline(&mut self, now: Micros, out: &mut Out) {
        let wrong = self.heartbeat(now, out);
        self.send_due(now, out);
        out.events.extend(wrong.map(Event::Reconnect));
    }

    fn next_deadline(&self) -> Option<Micros> {
        match self.phase.as_ref()? {
            Phase::Opening { welcome_by } => Some(*welcome_by),
            Phase::Open { watch, ping_at, pong_by } => {
                let beat = watch.next_deadline().min(*ping_at).min(pong_by.unwrap_or(Micros::MAX));
                Some(self.subscriptions.next_deadline().map_or(beat, |at| at.min(beat)))
            }
        }
    }
}

/// What a refusal of a request means. The words are the venue's own.
fn meaning(refusal: &codec::Refusal, now: Micros) -> Refusal {
    let says = |word| refusal.text.contains(word);
    match refusal.code {
        facts::CODE_LIMIT if says("permits") || says("busy") => Refusal::Until(now + facts::RATE_PAUSE),
        facts::CODE_LIMIT if says("per time") => Refusal::Some,
        facts::CODE_LIMIT => Refusal::Full,
        facts::CODE_INVALID | facts::CODE_NOT_FOUND => Refusal::Some,
        _ => Refusal::All,
    }
}

fn write(request: &Request<'_>) -> String {
    let kind = if request.subscribe { "subscribe" } else { "unsubscribe" };
    let topic = request.units.first().and_then(|(topic, _)| facts::TOPICS.get(*topic)).copied();
    let names: Vec<&str> = request.units.iter().map(|(_, name)| *name).collect();
    let topic = format!("{}:{}", topic.unwrap_or_default(), names.join(","));
    json!({"id": request.id.to_string(), "type": kind, "topic": topic, "privateChannel": false, "response": true})
        .to_string()
}

#[inline]
fn of_ticker(symbol: u32, ticker: Ticker) -> Update {
    let Ticker { sequence, price, bid, ask, trade_ms } = ticker;
    let at = Orders::of(sequence);
    let fields = Row { price, bid, ask, ts: unix_ms(trade_ms), ..Row::default() };
    Update { symbol, fields, orders: Orders { price: at, quote: at, ..Orders::NONE } }
}

fn of_snapshot(symbol: u32, snapshot: Snapshot) -> Update {
    let fields = Row {
        price: snapshot.price,
        bid: snapshot.bid,
        ask: snapshot.ask,
        change: snapshot.change,
        percent_change: snapshot.percent_change,
        volume: snapshot.volume,
        high: snapshot.high,
        low: snapshot.low,
        ts: unix_ms(Some(snapshot.event_ms)),
        ..Row::default()
    };
    let stats = Orders::of(snapshot.event_ms);
    Update { symbol, fields, orders: Orders { price: Orders::WEAK, quote: Orders::WEAK, stats } }
}
