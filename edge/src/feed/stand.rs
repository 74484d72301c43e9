//! How a symbol stands: whether prices of the shard it belongs to can be trusted, and since when.

use std::time::Instant;

use tickwire_common::shard::shard_of;
use tickwire_common::symbol::{Symbol, Topic};

/// See the module. Times are those of this process; `None` is longer ago than it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Prices come.
    Live { since: Option<Instant> },
    /// None come at the moment.
    Off { since: Option<Instant> },
    /// None can come: nobody carries it, or who does has given up.
    Down,
}

impl Stand {
    /// Whether prices are current.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// Of two words on one symbol the better: whoever carries it, it is carried.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Live { since: a }, Self::Live { since: b }) => Self::Live { since: a.min(b) },
            (Self::Off { since: a }, Self::Off { since: b }) => Self::Off { since: a.min(b) },
            (Self::Live { .. }, _) | (_, Self::Down) => self,
            _ => other,
        }
    }
}

/// A topic with its shard, which is worked out once for each number of shards.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub topic: Topic,
    /// Numbers of shards with the shard. Two, for while the number is being changed both count.
    known: [(u32, u32); 2],
}

impl Place {
    pub fn new(topic: Topic) -> Self {
        Self { topic, known: [(0, 0); 2] }
    }

    /// The topic's shard out of so many.
    pub fn shard(&mut self, shards: u32) -> u32 {
        if let Some((_, shard)) = self.known.iter().find(|(of, _)| *of == shards) {
            return *shard;
        }
        let shard = shard_of_symbol(&self.topic.symbol, shards);
        self.known = [(shards, shard), self.known[0]];
        shard
    }
}

/// A symbol's shard, for who asks once.
pub(super) fn shard_of_symbol(symbol: &Symbol, shards: u32) -> u32 {
    shard_of(symbol.as_str(), shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_better_of_two_words_counts() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let live = |at| Stand::Live { since: Some(at) };
        let off = |at| Stand::Off { since: Some(at) };
        for (a, b, better) in [
            (live(now), off(now), live(now)),
            (live(now), live(later), live(now)),
            (off(later), off(now), off(now)),
            (off(now), Stand::Down, off(now)),
            (live(later), Stand::Live { since: None }, Stand::Live { since: None }),
            (Stand::Down, Stand::Down, Stand::Down),
        ] {
            assert_eq!((a.or(b), b.or(a)), (better, better), "{a:?} or {b:?}");
        }
    }

    #[test]
    fn a_place_knows_its_shard_of_any_number() {
        let mut place = Place::new("binance:BTC/USDT".parse().unwrap());
        for shards in [16, 32, 16, 1, 7, 32, 1_024] {
            assert_eq!(place.shard(shards), shard_of("BTC/USDT", shards));
        }
    }
}
