//! What one venue carries, parted into shards, and how one list differs from another.

use std::collections::BTreeMap;
use std::sync::Arc;

use tickwire_common::symbol::Symbol;

use crate::venue::contract::Carried;

/// A symbol of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number in this process, dense from 0. Never another symbol's; a symbol that comes back has it again.
    pub index: u32,
    /// Canonical symbol.
    pub symbol: Symbol,
    /// The venue's own key: the first alias of the catalogue's entry.
    pub key: String,
    /// Its shard.
    pub shard: u32,
}

impl Listed {
    /// What a session needs of it.
    pub fn carried(&self) -> Carried {
        Carried { index: self.index, key: self.key.clone() }
    }
}

/// What one venue carries, as far as this process knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    pub(super) shards: u32,
    pub(super) by_symbol: BTreeMap<Symbol, Arc<Listed>>,
}

/// What changed in one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardChange {
    /// The shard.
    pub shard: u32,
    /// Symbols that went. Apply before `added`: a symbol whose key changed is in both, under two numbers.
    pub removed: Vec<Arc<Listed>>,
    /// Symbols that came.
    pub added: Vec<Arc<Listed>>,
}

impl List {
    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.by_symbol.len()
    }

    /// Whether nothing is listed, or nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.by_symbol.is_empty()
    }

    /// Into how many shards it is parted.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// The symbol of this canonical name.
    pub fn get(&self, symbol: &Symbol) -> Option<&Arc<Listed>> {
        self.by_symbol.get(symbol)
    }

    /// All symbols, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Listed>> {
        self.by_symbol.values()
    }

    /// The symbols of one shard, by name.
    pub fn of_shard(&self, shard: u32) -> impl Iterator<Item = &Arc<Listed>> {
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

    /// What turns `before` into this, by shard; shards without a change are left out.
    pub fn changes_from(&self, before: &Self) -> Vec<ShardChange> {
        let mut changes: BTreeMap<u32, ShardChange> = BTreeMap::new();
        let none = |shard| ShardChange { shard, removed: Vec::new(), added: Vec::new() };
        for gone in before.without(self) {
            changes.entry(gone.shard).or_insert_with(|| none(gone.shard)).removed.push(Arc::clone(gone));
        }
        for new in self.without(before) {
            changes.entry(new.shard).or_insert_with(|| none(new.shard)).added.push(Arc::clone(new));
        }
        changes.into_values().collect()
    }

    fn without(&self, other: &Self) -> impl Iterator<Item = &Arc<Listed>> {
        self.iter().filter(|listed| other.by_symbol.get(&listed.symbol) != Some(*listed))
    }
}
