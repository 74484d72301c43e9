//! Both venues' sessions against a model of their venue: symbols come and go at random, answers are late, lost or
//! refusals. In the end the venue has what was asked for, and no limit was ever passed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::venue::binance::{self, session::BinanceSession};
use crate::venue::contract::{Carried, Event, Frame, Micros, SECOND};
use crate::venue::kucoin::{self, session::KucoinSession};
use crate::venue::testing::Sim;

/// What a request of a session asks for.
struct Asked {
    id: Value,
    subscribe: bool,
    streams: Vec<String>,
}

/// The rules of one venue.
struct Rules {
    open: fn() -> Sim,
    /// Messages in a window, with the frames of the protocol that count too.
    budget: (usize, Micros),
    streams_max: usize,
    /// Whether the venue pings.
    pings: bool,
    key: fn(u32) -> String,
    /// `None` for what is no subscription.
    read: fn(&Value) -> Option<Asked>,
    taken: fn(&Value) -> String,
    refused: fn(&Value, &str) -> String,
    too_fast: Option<fn(&Value) -> String>,
    full: fn(&Value) -> String,
    news: fn(&str, u64) -> String,
}

const BINANCE: Rules = Rules {
    open: || Sim::open(BinanceSession::new(), &[]),
    budget: (5, SECOND),
    streams_max: binance::facts::STREAMS_PER_SOCKET_MAX,
    pings: true,
    key: |n| format!("S{n}USDT"),
    read: |frame| {
        let streams = frame["params"].as_array()?.iter().map(|one| one.as_str().unwrap().to_owned());
        let subscribe = frame["method"] == "SUBSCRIBE";
        Some(Asked { id: frame["id"].clone(), subscribe, streams: streams.collect() })
    },
    taken: |id| json!({"result": null, "id": id}).to_string(),
    refused: |id, _| json!({"error": {"code": 2, "msg": "Invalid request"}, "id": id}).to_string(),
    too_fast: None,
    full: |id| json!({"code": 4, "msg": "Too many subscriptions", "id": id}).to_string(),
    news: |key, n| {
        let stream = format!("{}@ticker", key.to_ascii_lowercase());
        json!({"stream": stream, "data": {"e": "24hrTicker", "E": n, "L": n, "c": "1"}}).to_string()
    },
};

const KUCOIN: Rules = Rules {
    open: || {
        let mut sim = Sim::open(KucoinSession::new(None), &[]);
        sim.text(r#"{"id":"x","type":"welcome"}"#);
        sim
    },
    budget: (100, 10 * SECOND),
    streams_max: kucoin::facts::TOPICS_PER_SOCKET_MAX,
    pings: false,
    key: |n| format!("S{n}-USDT"),
    read: |frame| {
        let (topic, keys) = frame["topic"].as_str()?.split_once(':')?;
        let streams: Vec<String> = keys.split(',').map(|key| format!("{topic}:{key}")).collect();
        assert!(streams.len() <= kucoin::facts::SYMBOLS_PER_SUBSCRIBE_MAX);
        Some(Asked { id: frame["id"].clone(), subscribe: frame["type"] == "subscribe", streams })
    },
    taken: |id| json!({"id": id, "type": "ack"}).to_string(),
    refused: |id, what| error(id, 404, &format!("topic {what} is not found")),
    too_fast: Some(|id| error(id, 509, "exceed max permits per second")),
    full: |id| error(id, 509, "exceed max subscription count limitation of 300 per session"),
    news: |key, n| {
        let data = json!({"sequence": n, "data": {"symbol": key, "datetime": n, "lastTradedPrice": 1}});
        json!({"type": "message", "topic": format!("/market/snapshot:{key}"), "data": data}).to_string()
    },
};

fn error(id: &Value, code: i64, data: &str) -> String {
    json!({"id": id, "type": "error", "code": code, "data": data}).to_string()
}

struct World {
    rules: &'static Rules,
    rng: Rng,
    sim: Sim,
    /// What the venue delivers.
    streams: BTreeSet<String>,
    /// Symbols that the venue does not have.
    bad: BTreeSet<String>,
    /// Symbols that the venue takes and never speaks of.
    mute: BTreeSet<String>,
    /// Answers on their way.
    answers: VecDeque<(Micros, String)>,
    /// Streams whose answer was lost: the next one arrives, or the session would rightly give up.
    lost: BTreeSet<String>,
    troubles: bool,
    pongs: Vec<Micros>,
    met_limit: bool,
    /// How many sent frames and events were looked at.
    seen: (usize, usize),
    news: u64,
    wanted: BTreeMap<u32, String>,
    /// Symbols that were asked for and not yet answered.
    waiting: BTreeSet<u32>,
}

impl World {
    fn new(rules: &'static Rules, seed: u64, symbols: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut some = |one_in: u32| (0..symbols).filter(|_| rng.u32(..one_in) == 0).map(rules.key).collect();
        let (bad, mute) = (some(20), some(10));
        Self {
            rules,
            sim: (rules.open)(),
            streams: BTreeSet::new(),
            bad,
            mute,
            answers: VecDeque::new(),
            lost: BTreeSet::new(),
            troubles: true,
            pongs: Vec::new(),
            met_limit: false,
            seen: (0, 0),
            news: 0,
            wanted: BTreeMap::new(),
            waiting: BTreeSet::new(),
            rng,
        }
    }

    /// Something is done to the session, then time passes.
    fn act(&mut self, symbols: u32) {
        let most = if self.rng.bool() { symbols } else { 5 };
        let some: Vec<u32> = (0..self.rng.u32(1..=most)).map(|_| self.rng.u32(..symbols)).collect();
        match self.rng.u32(..5) {
            0 | 1 => self.subscribe(&some),
            2 | 3 => self.unsubscribe(&some),
            _ => self.ping(),
        }
        let most = if self.rng.u32(..8) == 0 { 12 * SECOND } else { SECOND };
        let time = self.rng.u64(..most);
        self.pass(time);
    }

    /// Where the venue pings, the answer counts as a message; it does so far less often than once a second.
    fn ping(&mut self) {
        if self.rules.pings && self.pongs.last().is_none_or(|at| self.sim.now > at + SECOND) {
            self.sim.frame(Frame::Ping);
            self.pongs.push(self.sim.now);
        }
    }

    fn subscribe(&mut self, numbers: &[u32]) {
        let carried = |n: &u32| Carried { index: *n, key: (self.rules.key)(*n) };
        self.wanted.extend(numbers.iter().map(|n| (*n, (self.rules.key)(*n))));
        self.waiting.extend(numbers);
        self.sim.subscribe(numbers.iter().map(carried).collect());
        self.look();
    }

    fn unsubscribe(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.wanted.remove(number);
            self.waiting.remove(number);
        }
        self.sim.unsubscribe(numbers);
        self.look();
    }

    /// Lets time pass in steps, with the venue's answers and news on the way.
    fn pass(&mut self, time: Micros) {
        let end = self.sim.now + time;
        while self.sim.now < end {
            let next = self.answers.front().map_or(end, |(at, _)| (*at).clamp(self.sim.now, end));
            let next = next.min(self.sim.now + SECOND);
            self.sim.pass(next - self.sim.now);
            while self.answers.front().is_some_and(|(at, _)| *at <= self.sim.now) {
                let (_, text) = self.answers.pop_front().unwrap();
                self.sim.text(&text);
            }
            self.look();
            assert_eq!(self.sim.reconnect(), None);
            if next == self.sim.now && next < end && self.sim.next_deadline() == Some(next) {
                self.sim.pass(1);
            }
        }
    }

    /// The venue reads what was sent; we read what was told.
    fn look(&mut self) {
        while let Some((_, frame)) = self.sim.sent.get(self.seen.0).cloned() {
            self.seen.0 += 1;
            self.receive(&frame);
        }
        while let Some(event) = self.sim.events.get(self.seen.1).cloned() {
            self.seen.1 += 1;
            match event {
                Event::Acked { symbols } => {
                    for symbol in symbols {
                        assert!(self.wanted.contains_key(&symbol), "{symbol} is not wanted");
                        self.waiting.remove(&symbol);
                    }
                }
                Event::Rejected { symbol, .. } => {
                    assert!(self.wanted.remove(&symbol).is_some(), "{symbol} is not wanted");
                    self.waiting.remove(&symbol);
                }
                _ => {}
            }
        }
    }

    fn receive(&mut self, frame: &Value) {
        let Some(asked) = (self.rules.read)(frame) else {
            self.answer(json!({"id": frame["id"], "type": "pong"}).to_string());
            return;
        };
        let first_loss = asked.streams.iter().all(|stream| !self.lost.contains(stream));
        let lose = self.troubles && first_loss && self.rng.u32(..10) == 0;
        if lose {
            self.lost.extend(asked.streams.iter().cloned());
            if self.rng.bool() {
                // Not even the request arrived.
                return;
            }
        } else {
            self.lost.retain(|stream| !asked.streams.contains(stream));
        }
        let answer = self.serve(&asked);
        if !lose {
            self.answer(answer);
        }
    }

    fn serve(&mut self, asked: &Asked) -> String {
        if let Some(too_fast) = self.rules.too_fast
            && self.troubles
            && self.rng.u32(..20) == 0
        {
            return too_fast(&asked.id);
        }
        if !asked.subscribe {
            self.streams.retain(|stream| !asked.streams.contains(stream));
            return (self.rules.taken)(&asked.id);
        }
        if let Some(bad) = asked.streams.iter().find(|stream| self.is_in(&self.bad, stream)) {
            // Now and then the answer names the whole list.
            let named = if self.rng.bool() { bad.clone() } else { asked.streams.join(",") };
            return (self.rules.refused)(&asked.id, &named);
        }
        let mut streams = self.streams.clone();
        streams.extend(asked.streams.iter().cloned());
        if streams.len() > self.rules.streams_max {
            self.met_limit = true;
            return (self.rules.full)(&asked.id);
        }
        self.streams = streams;
        for key in self.wanted.values().cloned().collect::<Vec<_>>() {
            if !self.mute.contains(&key) && asked.streams.iter().any(|stream| names(stream, &key)) {
                self.news += 1;
                self.answer((self.rules.news)(&key, self.news));
            }
        }
        (self.rules.taken)(&asked.id)
    }

    fn is_in(&self, keys: &BTreeSet<String>, stream: &str) -> bool {
        keys.iter().any(|key| names(stream, key))
    }

    /// Answers arrive in the order they were sent.
    fn answer(&mut self, text: String) {
        let last = self.answers.back().map_or(0, |(at, _)| *at);
        let at = last.max(self.sim.now + self.rng.u64(..SECOND / 2));
        self.answers.push_back((at, text));
    }

    /// What the venue has to deliver in the end.
    fn expected(&self) -> BTreeSet<String> {
        let mut sample = (self.rules.open)();
        sample
            .subscribe(self.wanted.iter().map(|(n, key)| Carried { index: *n, key: key.clone() }).collect());
        sample.pass(5 * SECOND);
        sample
            .sent
            .iter()
            .filter_map(|(_, frame)| (self.rules.read)(frame))
            .flat_map(|asked| asked.streams)
            .collect()
    }

    fn check(mut self) {
        self.troubles = false;
        self.mute.clear();
        // Longer than an answer is waited for, twice, and than a quiet symbol is left alone at first.
        for _ in 0..80 {
            self.pass(SECOND);
            self.ping();
        }
        assert_eq!(self.streams, self.expected());
        assert!(self.waiting.is_empty(), "neither acked nor rejected: {:?}", self.waiting);
        assert_eq!(self.wanted.values().filter(|key| self.bad.contains(*key)).count(), 0);
        let (most, window) = self.rules.budget;
        assert!(self.sim.busiest(window, &self.pongs) <= most);
        assert!(!self.met_limit, "the venue's own limit was met");
    }
}

fn names(stream: &str, key: &str) -> bool {
    stream.split_once(':').is_some_and(|(_, name)| name == key)
        || stream.split_once('@').is_some_and(|(name, _)| name == key.to_ascii_lowercase())
}

fn run(rules: &'static Rules, seed: u64, symbols: u32, acts: usize) {
    let mut world = World::new(rules, seed, symbols);
    // One that always speaks, or the session would rightly give a silent connection up.
    world.subscribe(&[symbols]);
    for _ in 0..acts {
        world.act(symbols);
    }
    world.check();
}

proptest! {
    // A quarter of what is usual: a case is a whole session.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn binance_has_in_the_end_what_was_asked_for(seed: u64, symbols in 1u32..60, acts in 1usize..30) {
        run(&BINANCE, seed, symbols, acts);
    }

    #[test]
    fn kucoin_has_in_the_end_what_was_asked_for(seed: u64, symbols in 1u32..60, acts in 1usize..30) {
        run(&KUCOIN, seed, symbols, acts);
    }
}

#[test]
fn what_is_above_the_limit_is_told_and_costs_nothing_else() {
    // KuCoin's topics come in lists of a hundred symbols: the one that fits by half is given up.
    for (rules, symbols, taken) in [(&BINANCE, 400u32, 341), (&KUCOIN, 200, 100)] {
        let mut world = World::new(rules, 1, 0);
        world.troubles = false;
        world.subscribe(&(0..symbols).collect::<Vec<_>>());
        world.pass(20 * SECOND);
        assert_eq!(world.wanted.len(), taken);
        world.check();
    }
}

#[test]
fn a_whole_new_list_goes_through_a_full_connection() {
    for (rules, symbols) in [(&BINANCE, 340u32), (&KUCOIN, 150)] {
        let mut world = World::new(rules, 2, 0);
        world.troubles = false;
        world.subscribe(&(0..symbols).collect::<Vec<_>>());
        world.pass(5 * SECOND);
        world.unsubscribe(&(0..symbols).collect::<Vec<_>>());
        world.subscribe(&(symbols..2 * symbols).collect::<Vec<_>>());
        world.pass(20 * SECOND);
        assert_eq!(world.wanted.len(), symbols as usize, "nothing was refused");
        world.check();
    }
}
