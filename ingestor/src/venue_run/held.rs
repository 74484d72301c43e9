//! The shards that this process prepares or owns, and which symbols it has asked the pool for on their behalf. Pure: says
//! what the pool is to be asked for next.

use std::collections::{BTreeMap, HashMap};

use crate::permit::SharedPermit;
use crate::venue::contract::Carried;

/// How far a shard has come.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Its symbols are subscribed; the fleet waits to hear that they are warm.
    Preparing {
        /// Goes back with the answer; `None` once it was given.
        turn: Option<u64>,
    },
    /// Ours; its last values are being read.
    Reading {
        /// Which reading.
        epoch: u64,
        /// The right to publish.
        permit: SharedPermit,
        /// To be released as soon as they are read.
        release: Option<u64>,
    },
    /// Ours.
    Carried {
        /// Which tenure.
        epoch: u64,
        /// The right to publish.
        permit: SharedPermit,
    },
    /// Offered to another process.
    Released,
}

/// One shard.
#[derive(Debug)]
struct Shard {
    stage: Stage,
    /// What the pool was asked for, by number.
    asked: HashMap<u32, String>,
}

/// Every shard that is not idle.
#[derive(Debug, Default)]
pub(super) struct Held {
    shards: BTreeMap<u32, Shard>,
}

/// What the pool is to be told: first what goes, then what comes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Symbols that go.
    pub(super) leave: Vec<u32>,
    /// Symbols that come.
    pub(super) want: Vec<Carried>,
}

impl Held {
    /// Moves a shard on; one that was idle has asked for nothing yet.
    pub(super) fn enter(&mut self, shard: u32, stage: Stage) {
        let asked = self.shards.remove(&shard).map(|held| held.asked).unwrap_or_default();
        self.shards.insert(shard, Shard { stage, asked });
    }

    /// The shard is idle again; what the pool no longer has to carry.
    pub(super) fn drop(&mut self, shard: u32) -> Vec<u32> {
        let gone = self.shards.remove(&shard).map(|shard| shard.asked);
        sorted(gone.unwrap_or_default().into_keys())
    }

    /// How far a shard has come; `None` for an idle one.
    pub(super) fn stage(&self, shard: u32) -> Option<&Stage> {
        self.shards.get(&shard).map(|held| &held.stage)
    }

    /// The same, to change it.
    pub(super) fn stage_mut(&mut self, shard: u32) -> Option<&mut Stage> {
        self.shards.get_mut(&shard).map(|held| &mut held.stage)
    }

    /// The shards that are not idle.
    pub(super) fn shards(&self) -> Vec<u32> {
        self.shards.keys().copied().collect()
    }

    /// The numbers of what was asked for of a shard.
    pub(super) fn numbers(&self, shard: u32) -> Vec<u32> {
        sorted(self.shards.get(&shard).into_iter().flat_map(|held| held.asked.keys().copied()))
    }

    /// Makes this what is asked for of a shard. A symbol whose key changed goes and comes.
    pub(super) fn ask(&mut self, shard: u32, symbols: impl IntoIterator<Item = Carried>) -> Change {
        let Some(held) = self.shards.get_mut(&shard) else { return Change::default() };
        let target: HashMap<u32, String> =
            symbols.into_iter().map(|symbol| (symbol.index, symbol.key)).collect();
        let is_other =
            |other: &HashMap<u32, String>, number: &u32, key: &String| other.get(number) != Some(key);
        let gone = held.asked.iter().filter(|(number, key)| is_other(&target, number, key));
        let leave = sorted(gone.map(|(number, _)| *number));
        let new = target.iter().filter(|(number, key)| is_other(&held.asked, number, key));
        let mut want: Vec<Carried> =
            new.map(|(number, key)| Carried { index: *number, key: key.clone() }).collect();
        want.sort_by_key(|carried| carried.index);
        held.asked = target;
        Change { leave, want }
    }
}

fn sorted(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(symbols: &[(u32, &str)]) -> Vec<Carried> {
        symbols.iter().map(|(index, key)| Carried { index: *index, key: (*key).to_owned() }).collect()
    }

    #[test]
    fn only_what_changed_is_asked_for() {
        let mut held = Held::default();
        assert_eq!(held.ask(3, carried(&[(1, "A")])), Change::default(), "an idle shard asks for nothing");
        held.enter(3, Stage::Preparing { turn: Some(1) });
        let first = held.ask(3, carried(&[(2, "B"), (1, "A")]));
        assert_eq!(first, Change { leave: vec![], want: carried(&[(1, "A"), (2, "B")]) });
        held.enter(3, Stage::Released);
        let second = held.ask(3, carried(&[(2, "B2"), (4, "D")]));
        assert_eq!(second, Change { leave: vec![1, 2], want: carried(&[(2, "B2"), (4, "D")]) });
        assert!(matches!(held.stage(3), Some(Stage::Released)));
        assert_eq!((held.numbers(3), held.shards()), (vec![2, 4], vec![3]));
        assert_eq!((held.drop(3), held.drop(3), held.shards()), (vec![2, 4], vec![], vec![]));
    }
}
