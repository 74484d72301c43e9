//! What one venue carries, parted into shards.

use std::collections::BTreeMap;

use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Symbol;
use tickwire_nats::catalogue::Instrument as Entry;

/// A symbol of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Canonical symbol.
    pub symbol: Symbol,
    /// The venue's own key: the first alias of the catalogue's entry, or the symbol where there is none.
    pub key: String,
    /// Its shard.
    pub shard: u32,
}

impl Listed {
    /// `None` for an entry whose symbol is none.
    fn of(entry: &Entry, shards: u32) -> Option<Self> {
        let symbol = Symbol::new(&entry.symbol).ok()?;
        let key = entry.aliases.first().unwrap_or(&entry.symbol).clone();
        let shard = shard_of(symbol.as_str(), shards);
        Some(Self { symbol, key, shard })
    }
}

/// What one venue carries, as far as this process knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    shards: u32,
    by_symbol: BTreeMap<Symbol, Listed>,
}

impl List {
    /// What these entries of the catalogue say, in so many shards. Entries whose symbol is none are left out; of a symbol
    /// that comes twice, the last entry counts.
    pub fn new(shards: u32, entries: &[Entry]) -> Self {
        let listed = entries.iter().filter_map(|entry| Listed::of(entry, shards));
        Self { shards, by_symbol: listed.map(|listed| (listed.symbol.clone(), listed)).collect() }
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.by_symbol.len()
    }

    /// Whether nothing is listed, or nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.by_symbol.is_empty()
    }

    /// The symbol of this canonical name.
    pub fn get(&self, symbol: &Symbol) -> Option<&Listed> {
        self.by_symbol.get(symbol)
    }

    /// All symbols, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.by_symbol.values()
    }

    /// The symbols of one shard, by name.
    pub fn of_shard(&self, shard: u32) -> impl Iterator<Item = &Listed> {
        self.iter().filter(move |listed| listed.shard == shard)
    }

    /// How many symbols each shard has, `0..shards`.
    pub fn weights(&self) -> Vec<u32> {
        let mut weights = vec![0; self.shards as usize];
        for listed in self.iter() {
            if let Some(weight) = weights.get_mut(listed.shard as usize) {
                *weight += 1;
            }
        }
        weights
    }
}
