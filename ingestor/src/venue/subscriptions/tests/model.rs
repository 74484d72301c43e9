//! A venue that answers a session: it keeps its own rules, takes its time, and makes trouble if it is told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::venue::binance::{self, session::BinanceSession};
use crate::venue::contract::{Carried, Event, Frame, Micros, SECOND};
use crate::venue::kucoin::{self, session::KucoinSession};
use crate::venue::testing::Sim;

/// What a request of a session asks for.
pub(super) struct Asked {
    id: Value,
    pub(super) subscribe: bool,
    pub(super) streams: Vec<String>,
}

/// The rules of one venue.
pub(super) struct Rules {
    open: fn() -> Sim,
    /// Messages in a window, with the frames of the protocol that count too.
    budget: (usize, Micros),
    streams_max: usize,
    /// Whether the venue pings.
    pings: bool,
    key: fn(u32) -> String,
    /// `None` for what is no subscription.
    pub(super) read: fn(&Value) -> Option<Asked>,
    taken: fn(&Value) -> String,
    refused: fn(&Value, &str) -> String,
    too_fast: Option<fn(&Value) -> String>,
    full: fn(&Value) -> String,
    /// A message of a stream.
    news: fn(&str, u64) -> String,
}

pub(super) const BINANCE: Rules = Rules {
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
    news: |stream, n| {
        let data = match stream.split_once('@').unwrap().1 {
            "trade" => json!({"e": "trade", "E": n, "t": n, "p": "1"}),
            "bookTicker" => json!({"u": n, "b": "1", "a": "1"}),
            _ => json!({"e": "24hrTicker", "E": n, "L": n, "c": "1"}),
        };
        json!({"stream": stream, "data": data}).to_string()
    },
};

pub(super) const KUCOIN: Rules = Rules {
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
    news: |stream, n| {
        let (topic, key) = stream.split_once(':').unwrap();
        let data = match topic {
            "/market/ticker" => json!({"sequence": n, "price": "1", "time": n}),
            _ => json!({"sequence": n, "data": {"symbol": key, "datetime": n, "lastTradedPrice": 1}}),
        };
        json!({"type": "message", "topic": stream, "data": data}).to_string()
    },
};

fn error(id: &Value, code: i64, data: &str) -> String {
    json!({"id": id, "type": "error", "code": code, "data": data}).to_string()
}

pub(super) struct World {
    rules: &'static Rules,
    rng: Rng,
    pub(super) sim: Sim,
    /// What the venue has granted.
    streams: BTreeSet<String>,
    /// What it speaks on.
    spoken: BTreeSet<String>,
    speaks_at: Micros,
    /// Streams that have nothing to say.
    pub(super) silent: fn(&str) -> bool,
    /// One that always speaks, or the session would rightly give a silent connection up.
    anchor: String,
    /// Symbols that the venue does not have.
    bad: BTreeSet<String>,
    /// Answers on their way.
    answers: VecDeque<(Micros, String)>,
    /// Streams whose answer was lost: the next one arrives, or the session would rightly give up.
    lost: BTreeSet<String>,
    pub(super) troubles: bool,
    pongs: Vec<Micros>,
    met_limit: bool,
    /// How many sent frames and events were looked at.
    seen: (usize, usize),
    news: u64,
    pub(super) wanted: BTreeMap<u32, String>,
    /// Symbols that were asked for and not yet answered.
    waiting: BTreeSet<u32>,
}

impl World {
    pub(super) fn new(rules: &'static Rules, seed: u64, symbols: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let bad = (0..symbols).filter(|_| rng.u32(..20) == 0).map(rules.key).collect();
        Self {
            rules,
            sim: (rules.open)(),
            streams: BTreeSet::new(),
            spoken: BTreeSet::new(),
            speaks_at: 0,
            silent: |_| false,
            anchor: (rules.key)(symbols),
            bad,
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
    pub(super) fn act(&mut self, symbols: u32) {
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
    pub(super) fn ping(&mut self) {
        if self.rules.pings && self.pongs.last().is_none_or(|at| self.sim.now > at + SECOND) {
            self.sim.frame(Frame::Ping);
            self.pongs.push(self.sim.now);
        }
    }

    pub(super) fn subscribe(&mut self, numbers: &[u32]) {
        let carried = |n: &u32| Carried { index: *n, key: (self.rules.key)(*n) };
        self.wanted.extend(numbers.iter().map(|n| (*n, (self.rules.key)(*n))));
        self.waiting.extend(numbers);
        self.sim.subscribe(numbers.iter().map(carried).collect());
        self.look();
    }

    pub(super) fn unsubscribe(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.wanted.remove(number);
            self.waiting.remove(number);
        }
        self.sim.unsubscribe(numbers);
        self.look();
    }

    /// Lets time pass in steps, with the venue's answers and news on the way.
    pub(super) fn pass(&mut self, time: Micros) {
        let end = self.sim.now + time;
        while self.sim.now < end {
            let next = self.answers.front().map_or(end, |(at, _)| (*at).clamp(self.sim.now, end));
            let next = next.min(self.sim.now + SECOND);
            self.sim.pass(next - self.sim.now);
            self.speak();
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
                    assert!(self.waiting.remove(&symbol), "{symbol} was granted before");
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
            self.spoken.retain(|stream| !asked.streams.contains(stream));
            return (self.rules.taken)(&asked.id);
        }
        if let Some(bad) = asked.streams.iter().find(|stream| self.is_in(&self.bad, stream)) {
            // Now and then the answer names the whole list.
            let named = if self.rng.bool() { bad.clone() } else { asked.streams.join(",") };
            return (self.rules.refused)(&asked.id, &named);
        }
        // A venue does not refuse what it has granted.
        let is_safe = |stream: &String| names(stream, &self.anchor) || self.streams.contains(stream);
        if self.troubles && !asked.streams.iter().any(is_safe) && self.rng.u32(..20) == 0 {
            return (self.rules.refused)(&asked.id, &asked.streams.join(","));
        }
        let mut streams = self.streams.clone();
        streams.extend(asked.streams.iter().cloned());
        if streams.len() > self.rules.streams_max {
            self.met_limit = true;
            return (self.rules.full)(&asked.id);
        }
        self.streams = streams;
        self.begin(&asked.streams);
        (self.rules.taken)(&asked.id)
    }

    /// The venue speaks on what it grants. With troubles it forgets a few: they stay silent until they are asked for
    /// again.
    fn begin(&mut self, streams: &[String]) {
        for stream in streams {
            let forgets = self.troubles && !names(stream, &self.anchor) && self.rng.u32(..10) == 0;
            if !forgets && !(self.silent)(stream) {
                self.spoken.insert(stream.clone());
                self.say(stream);
            }
        }
    }

    fn say(&mut self, stream: &str) {
        self.news += 1;
        self.answer((self.rules.news)(stream, self.news));
    }

    /// Every stream that speaks does so now and then.
    fn speak(&mut self) {
        if self.sim.now >= self.speaks_at {
            self.speaks_at = self.sim.now + 20 * SECOND;
            self.spoken.clone().iter().for_each(|stream| self.say(stream));
        }
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

    /// Whether nobody waits for anything: the venue has what was asked for and speaks on it, as far as it ever does.
    fn is_settled(&self) -> bool {
        let is_heard = |stream: &String| self.spoken.contains(stream) || (self.silent)(stream);
        self.waiting.is_empty() && self.streams.iter().all(is_heard) && self.streams == self.expected()
    }

    /// Passes time until everything is settled, at most so many seconds.
    pub(super) fn settle(&mut self, seconds: u32) {
        for second in 0..seconds {
            if self.is_settled() {
                return;
            }
            self.pass(SECOND);
            if second % 20 == 0 {
                self.ping();
            }
        }
        assert!(self.waiting.is_empty(), "neither acked nor rejected: {:?}", self.waiting);
        let (has, wants) = (&self.streams, &self.expected());
        assert!(has == wants, "too many: {:?}, missing: {:?}", has - wants, wants - has);
        panic!("silent for good: {:?}", has - &self.spoken);
    }

    pub(super) fn check(mut self) {
        self.troubles = false;
        // Longer than the longest pause before a silent stream is asked for again.
        self.settle(40 * 60);
        let quiet = self.sim.quiet().len();
        for _ in 0..4 {
            self.pass(20 * SECOND);
            self.ping();
        }
        assert!(self.is_settled(), "and so it stays");
        assert_eq!(self.sim.quiet().len(), quiet, "nothing that speaks is asked for again");
        self.check_limits();
    }

    pub(super) fn check_limits(&self) {
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
