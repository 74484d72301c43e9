//! Which symbols are wanted, and until when. Pure: names and time in, changes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Symbol;
use tickwire_common::want::WANT_LINGER_MS;

/// Most symbols that are wanted of one venue. The largest venues list some 3,000; anyone may publish wants.
const WANTED_MAX: usize = 50_000;

/// The wanted symbols of one venue, by shard.
#[derive(Debug)]
pub(super) struct Table {
    shards: u32,
    max: usize,
    /// How long a symbol stays after it was last heard.
    hold: Duration,
    wanted: HashMap<Symbol, Wanted>,
    by_shard: BTreeMap<u32, BTreeSet<Symbol>>,
    /// When to look at each symbol next; exactly one entry a symbol, never later than its end.
    looks: BTreeSet<(Instant, Symbol)>,
}

#[derive(Debug)]
struct Wanted {
    shard: u32,
    until: Instant,
}

/// What a message changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// How many symbols were not wanted before.
    pub(super) new: usize,
    /// How many were refused, because the table is full.
    pub(super) refused: usize,
}

impl Table {
    /// Nothing wanted. A symbol stays for as long as its want holds and `linger` after it.
    pub(super) fn new(shards: u32, linger: Duration) -> Self {
        Self::with_max(shards, linger, WANTED_MAX)
    }

    fn with_max(shards: u32, linger: Duration, max: usize) -> Self {
        let hold = Duration::from_millis(WANT_LINGER_MS) + linger;
        let (wanted, by_shard, looks) = Default::default();
        Self { shards: shards.max(1), max, hold, wanted, by_shard, looks }
    }

    /// These symbols are wanted. A full table keeps what it has and refuses what is new.
    pub(super) fn hear(&mut self, symbols: impl IntoIterator<Item = Symbol>, now: Instant) -> Heard {
        let mut heard = Heard::default();
        let until = now + self.hold;
        for symbol in symbols {
            if let Some(wanted) = self.wanted.get_mut(&symbol) {
                wanted.until = wanted.until.max(until);
            } else if self.wanted.len() >= self.max {
                heard.refused += 1;
            } else {
                self.insert(symbol, until);
                heard.new += 1;
            }
        }
        heard
    }

    fn insert(&mut self, symbol: Symbol, until: Instant) {
        let shard = shard_of(symbol.as_str(), self.shards);
        self.by_shard.entry(shard).or_default().insert(symbol.clone());
        self.looks.insert((until, symbol.clone()));
        self.wanted.insert(symbol, Wanted { shard, until });
    }

    /// Drops what is wanted no more: how many.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let mut gone = 0;
        while let Some((look, symbol)) = self.looks.pop_first() {
            if look > now {
                self.looks.insert((look, symbol));
                break;
            }
            let Some(wanted) = self.wanted.get(&symbol) else { continue };
            if wanted.until > now {
                // It was heard again since.
                self.looks.insert((wanted.until, symbol));
                continue;
            }
            if let Some(names) = self.by_shard.get_mut(&wanted.shard) {
                names.remove(&symbol);
            }
            self.wanted.remove(&symbol);
            gone += 1;
        }
        gone
    }

    /// Nobody could be heard until now: every want holds as if it had just been heard.
    pub(super) fn hold_all(&mut self, now: Instant) {
        let until = now + self.hold;
        self.wanted.values_mut().for_each(|wanted| wanted.until = wanted.until.max(until));
    }

    /// When to call [`Table::expire`] next; `None` while nothing is wanted.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.looks.first().map(|(look, _)| *look)
    }

    /// The wanted symbols of a shard.
    pub(super) fn of_shard(&self, shard: u32) -> impl Iterator<Item = &Symbol> {
        self.by_shard.get(&shard).into_iter().flatten()
    }

    /// How many symbols are wanted.
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD: Duration = Duration::from_secs(45);
    const LINGER: Duration = Duration::from_secs(30);

    fn symbol(n: u32) -> Symbol {
        Symbol::new(&format!("S{n}/USDT")).unwrap()
    }

    #[test]
    fn a_want_stays_until_it_was_not_repeated_for_its_time_and_the_linger() {
        let (mut table, start) = (Table::new(4, LINGER), Instant::now());
        assert_eq!(table.hear([symbol(1), symbol(1)], start), Heard { new: 1, refused: 0 });
        let repeat = start + Duration::from_secs(5);
        assert_eq!(table.hear([symbol(1)], repeat), Heard::default());
        assert_eq!((table.next_deadline(), table.expire(start + HOLD)), (Some(start + HOLD), 0));
        assert_eq!(table.next_deadline(), Some(repeat + HOLD));
        assert_eq!((table.expire(repeat + HOLD), table.len()), (1, 0));
        assert_eq!((table.next_deadline(), table.of_shard(0).count()), (None, 0));
    }

    #[test]
    fn silence_of_nats_takes_no_want_away() {
        let (mut table, start) = (Table::new(4, LINGER), Instant::now());
        table.hear([symbol(1)], start);
        let back = start + 10 * HOLD;
        table.hold_all(back);
        assert_eq!((table.expire(back), table.len()), (0, 1));
        assert_eq!(table.expire(back + HOLD), 1);
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let (mut table, start) = (Table::with_max(4, LINGER, 2), Instant::now());
        assert_eq!(table.hear([1, 2, 3, 1].map(symbol), start), Heard { new: 2, refused: 1 });
        assert_eq!((table.expire(start + HOLD), table.len()), (2, 0), "the first two");
    }

    proptest! {
        /// Against the plain rule: wanted is who was heard less than `HOLD` ago.
        #[test]
        fn exactly_those_are_wanted_who_were_heard_lately(
            steps in prop::collection::vec((0u32..9, 0u64..30), 1..100),
        ) {
            let (mut table, start) = (Table::new(3, LINGER), Instant::now());
            let mut heard: BTreeMap<u32, Instant> = BTreeMap::new();
            let mut now = start;
            for (n, wait) in steps {
                now += Duration::from_secs(wait);
                table.expire(now);
                heard.retain(|_, at| *at + HOLD > now);
                let new = usize::from(heard.insert(n, now).is_none());
                prop_assert_eq!(table.hear([symbol(n)], now), Heard { new, refused: 0 });
                let mut found: Vec<Symbol> = (0..3).flat_map(|shard| table.of_shard(shard)).cloned().collect();
                found.sort();
                let mut wanted: Vec<Symbol> = heard.keys().copied().map(symbol).collect();
                wanted.sort();
                prop_assert_eq!(found, wanted);
                for shard in 0..3 {
                    prop_assert!(table.of_shard(shard).all(|name| shard_of(name.as_str(), 3) == shard));
                }
            }
        }
    }
}
