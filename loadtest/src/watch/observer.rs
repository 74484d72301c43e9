//! Every tick of every symbol, in the order in which NATS hands them over.

use std::collections::BTreeMap;

use serde::Serialize;
use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Topic;

use super::own::{Own, OwnSymbol};
use super::row::{RowText, content};

/// What was counted since [`Observer::mark`]. All but the first two are 0 where nothing was disturbed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Ticks.
    pub rows: u64,
    /// Ticks that show a new move of the market.
    pub moves: u64,
    /// Ticks whose `v` is below the one before, or the same with another row.
    pub decreasing: u64,
    /// Messages that came twice, byte by byte: a link that broke in the middle of a write sends again what it cannot know
    /// to have arrived. Whoever reads `v` drops them.
    pub repeated: u64,
    /// Ticks that show an older move than the one before.
    pub went_back: u64,
    /// Ticks that show exactly what the one before showed.
    pub twice: u64,
    /// Moves that no tick showed, between two that did.
    pub missed: u64,
    /// Payloads that are no rows.
    pub unreadable: u64,
}

/// The longest time without a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// How long, in microseconds.
    pub us: u64,
    /// Whose.
    pub of: String,
}

/// What the symbols did since [`Observer::mark`] or [`Observer::mark_gaps`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ticks {
    /// The longest time that one symbol was without a tick, if that ended after the mark.
    pub worst_symbol: Gap,
    /// The same for one shard: without a tick of any of its symbols.
    pub worst_shard: Gap,
    /// Of the symbols with missed moves or ticks that came twice the first few: what they showed before and after.
    pub flaws: Vec<String>,
    /// Symbols that are carried and had no tick since the mark.
    pub silent: Vec<String>,
}

/// One symbol.
#[derive(Debug, Default)]
struct Seen {
    v: u64,
    number: Option<i64>,
    payload: Vec<u8>,
    first_us: u64,
    last: Pulse,
    shard: usize,
}

/// When something ticked.
#[derive(Debug, Clone, Copy, Default)]
struct Pulse {
    at_us: Option<u64>,
    /// Longest time between two ticks, of those that ended after the mark.
    gap_us: u64,
    since_mark: bool,
}

impl Pulse {
    fn beat(&mut self, now_us: u64) {
        let gap = self.at_us.map_or(0, |at| now_us.saturating_sub(at));
        *self = Self { at_us: Some(now_us), gap_us: self.gap_us.max(gap), since_mark: true };
    }

    fn mark(&mut self) {
        (self.gap_us, self.since_mark) = (0, false);
    }
}

/// Watches ticks. Holds one row a symbol.
#[derive(Debug, Default)]
pub struct Observer {
    shards: u32,
    own: BTreeMap<String, OwnSymbol>,
    seen: BTreeMap<String, Seen>,
    /// By venue and shard, like `binance/3`; places do not change.
    pulses: Vec<(String, Pulse)>,
    sums: Sums,
    flaws: Vec<String>,
}

/// Flaws that are kept as examples.
const FLAWS_MAX: usize = 10;

impl Observer {
    /// Watches venues of so many shards each.
    pub fn new(shards: u32) -> Self {
        Self { shards, ..Self::default() }
    }

    /// Learns which symbols there are: with their numbers, and to be missed where they have no tick. A symbol that is
    /// no longer among them is forgotten.
    pub fn learn(&mut self, own: &Own) {
        self.own.clone_from(&own.symbols);
        self.seen.retain(|topic, _| own.symbols.contains_key(topic));
    }

    /// Counts from here on.
    pub fn mark(&mut self) {
        self.sums = Sums::default();
        self.flaws.clear();
        self.mark_gaps();
    }

    /// Measures gaps from here on, and goes on counting.
    pub fn mark_gaps(&mut self) {
        self.seen.values_mut().for_each(|seen| seen.last.mark());
        self.pulses.iter_mut().for_each(|(_, pulse)| pulse.mark());
    }

    /// Takes a tick that arrived at `now_us` (any clock that does not go back).
    pub fn tick(&mut self, topic: &Topic, payload: &[u8], now_us: u64) {
        self.sums.rows += 1;
        let Some(row) = RowText::read(payload) else {
            self.sums.unreadable += 1;
            return;
        };
        let name = topic.to_string();
        let number = self.own.get(&name).and_then(|own| own.number(&row));
        if !self.seen.contains_key(&name) {
            let shard = self.place_of(topic);
            self.seen.insert(name.clone(), Seen { shard, first_us: now_us, ..Seen::default() });
        }
        let Some(seen) = self.seen.get_mut(&name) else { return };
        if seen.last.at_us.is_some() {
            let before = self.sums;
            self.sums.compare(seen, row.v, number, payload);
            let is_flaw = self.sums.missed > before.missed || self.sums.twice > before.twice;
            if is_flaw && self.flaws.len() < FLAWS_MAX {
                let [before, after] = [&seen.payload[..], payload].map(String::from_utf8_lossy);
                self.flaws.push(format!("{name}: {before} then {after}"));
            }
        }
        seen.last.beat(now_us);
        (seen.v, seen.number) = (row.v.max(seen.v), number.max(seen.number));
        seen.payload.clear();
        seen.payload.extend_from_slice(payload);
        if let Some((_, pulse)) = self.pulses.get_mut(seen.shard) {
            pulse.beat(now_us);
        }
    }

    fn place_of(&mut self, topic: &Topic) -> usize {
        let name = format!("{}/{}", topic.venue, shard_of(topic.symbol.as_str(), self.shards));
        self.pulses.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.pulses.push((name, Pulse::default()));
            self.pulses.len() - 1
        })
    }

    /// What was counted since the mark.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// When the last of all symbols ticked for the first time; `None` while one never did.
    pub fn complete_at(&self) -> Option<u64> {
        let firsts = self.own.keys().map(|name| self.seen.get(name).map(|seen| seen.first_us));
        firsts.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// Carried symbols without a tick at or after `since_us`, by the clock of [`Observer::tick`].
    pub fn quiet_since(&self, since_us: u64) -> Vec<&str> {
        let ticked = |name: &String| self.seen.get(name).and_then(|seen| seen.last.at_us);
        let quiet = self.own.keys().filter(|name| ticked(name).is_none_or(|at| at < since_us));
        quiet.map(String::as_str).collect()
    }

    /// Gaps since the mark, and who is silent.
    pub fn ticks(&self) -> Ticks {
        let gap = |us: u64, of: &str| Gap { us, of: of.to_owned() };
        let symbols = self.seen.iter().map(|(name, seen)| (seen.last.gap_us, name));
        let shards = self.pulses.iter().map(|(name, pulse)| (pulse.gap_us, name));
        let since = |name: &String| self.seen.get(name).is_some_and(|seen| seen.last.since_mark);
        Ticks {
            worst_symbol: symbols.max().map(|(us, name)| gap(us, name)).unwrap_or_default(),
            worst_shard: shards.max().map(|(us, name)| gap(us, name)).unwrap_or_default(),
            flaws: self.flaws.clone(),
            silent: self.own.keys().filter(|name| !since(name)).cloned().collect(),
        }
    }

    /// Symbols of which the newest row is not what the exchange shows, each with the first difference.
    pub fn differences(&self, own: &Own) -> Vec<String> {
        let of = |(name, own): (&String, &OwnSymbol)| match self.seen.get(name) {
            None => Some(format!("{name}: no row")),
            Some(seen) => own.difference(&seen.payload).map(|difference| format!("{name}: {difference}")),
        };
        own.symbols.iter().filter_map(of).collect()
    }

    /// The newest row of a symbol.
    pub fn row(&self, topic: &str) -> Option<&[u8]> {
        self.seen.get(topic).map(|seen| seen.payload.as_slice())
    }
}

impl Sums {
    fn compare(&mut self, before: &Seen, v: u64, number: Option<i64>, payload: &[u8]) {
        if v == before.v && payload == before.payload {
            self.repeated += 1;
            return;
        }
        self.decreasing += u64::from(v <= before.v);
        self.twice += u64::from(content(payload) == content(&before.payload));
        let (Some(number), Some(known)) = (number, before.number) else { return };
        self.went_back += u64::from(number < known);
        if number > known {
            self.moves += 1;
            self.missed += u64::try_from(number - known - 1).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::own::tests::own;
    use super::*;

    fn observer() -> Observer {
        let mut observer = Observer::new(4);
        observer.learn(&own());
        observer
    }

    fn topic() -> Topic {
        "binance:BTC/USDT".parse().unwrap()
    }

    /// Ticks as (v, number, volume), 1 ms apart.
    fn seen(rows: &[(u64, u64, u64)]) -> Sums {
        let mut observer = observer();
        for (at, (v, number, volume)) in rows.iter().enumerate() {
            let row = format!(r#"{{"v":{v},"price":100.{number:02},"volume":{volume}}}"#);
            observer.tick(&topic(), row.as_bytes(), at as u64 * 1_000);
        }
        observer.sums()
    }

    #[test]
    fn what_is_right_is_not_counted_as_wrong() {
        let right = seen(&[(1, 1, 0), (2, 2, 0), (3, 2, 5), (4, 3, 5)]);
        assert_eq!(right, Sums { rows: 4, moves: 2, ..Sums::default() });
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let none = Sums::default();
        assert_eq!(seen(&[(1, 1, 0), (2, 4, 0)]), Sums { rows: 2, moves: 1, missed: 2, ..none });
        assert_eq!(seen(&[(1, 1, 0), (2, 1, 0)]), Sums { rows: 2, twice: 1, ..none });
        assert_eq!(seen(&[(1, 5, 0), (2, 4, 0)]), Sums { rows: 2, went_back: 1, ..none });
        assert_eq!(seen(&[(5, 1, 0), (5, 2, 0)]), Sums { rows: 2, moves: 1, decreasing: 1, ..none });
        assert_eq!(seen(&[(5, 1, 0), (4, 2, 0)]), Sums { rows: 2, moves: 1, decreasing: 1, ..none });
        assert_eq!(seen(&[(5, 1, 0), (5, 1, 0)]), Sums { rows: 2, repeated: 1, ..none });
    }

    #[test]
    fn gaps_count_if_they_end_after_the_mark() {
        let mut observer = observer();
        let tick = |observer: &mut Observer, v: u64, at_us: u64| {
            observer.tick(&topic(), format!(r#"{{"v":{v}}}"#).as_bytes(), at_us);
        };
        tick(&mut observer, 1, 0);
        tick(&mut observer, 2, 9_000);
        observer.mark();
        assert_eq!(observer.ticks().silent, ["binance:BTC/USDT"]);
        assert_eq!(observer.ticks().worst_symbol.us, 0);
        tick(&mut observer, 3, 14_000);
        tick(&mut observer, 4, 16_000);
        let ticks = observer.ticks();
        assert_eq!((ticks.worst_symbol.us, ticks.worst_shard.us, ticks.silent.len()), (5_000, 5_000, 0));
        assert_eq!((observer.quiet_since(16_000).len(), observer.quiet_since(16_001).len()), (0, 1));
        assert_eq!(ticks.worst_symbol.of, "binance:BTC/USDT");
    }

    #[test]
    fn rows_are_held_against_the_exchange() {
        let mut observer = observer();
        assert_eq!(observer.differences(&own()), ["binance:BTC/USDT: no row"]);
        assert_eq!(observer.complete_at(), None);
        observer.tick(&topic(), br#"{"v":1,"price":100.03}"#, 7);
        assert_eq!(observer.complete_at(), Some(7));
        assert_eq!(observer.differences(&own()), ["binance:BTC/USDT: bid absent, not 100.02"]);
        observer.learn(&Own::default());
        assert_eq!(observer.row("binance:BTC/USDT"), None);
    }
}
