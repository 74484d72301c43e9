//! The symbols of a venue and their numbers. A number belongs to a name for as long as there is room: a symbol that
//! leaves keeps it, so that an update that is still on its way can never move another symbol's price, and a symbol that
//! comes back finds its versions. Only a full registry gives the numbers of those who left longest ago to others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickwire_common::shard::shard_of;
use tickwire_nats::{Subject, subject};

/// Most symbols of a venue, those that left included. The largest venues list some 3,000.
pub const SYMBOLS_MAX: u32 = 65_536;

/// A number is given to another name at the earliest this long after its symbol left: no socket still carries it.
const QUARANTINE: Duration = Duration::from_secs(600);

/// One symbol of the venue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) name: Arc<str>,
    pub(super) shard: u32,
    pub(super) tick: Subject,
    pub(super) last: Subject,
    /// When it left.
    left: Option<Instant>,
}

/// A symbol and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// [`Carried::index`](crate::venue::contract::Carried).
    pub number: u32,
    /// Canonical name.
    pub name: Arc<str>,
    /// The shard that it belongs to.
    pub shard: u32,
}

/// What a new list changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Symbols that came.
    pub added: Vec<Numbered>,
    /// Symbols that left.
    pub removed: Vec<Numbered>,
    /// Names for which there was no room: [`SYMBOLS_MAX`].
    pub refused: usize,
    /// Numbers that belonged to other names before: what is known under them must be forgotten.
    pub(super) reused: Vec<u32>,
}

/// Names to numbers and back.
#[derive(Debug)]
pub(super) struct Registry {
    venue: &'static str,
    shards: u32,
    max: u32,
    /// By number.
    entries: Vec<Entry>,
    numbers: HashMap<Arc<str>, u32>,
    /// Numbers of those who left, who left first comes first.
    left: BTreeSet<(Instant, u32)>,
}

impl Registry {
    /// Nothing listed; room for `max` symbols in `shards` shards.
    pub(super) fn new(venue: &'static str, shards: u32, max: u32) -> Self {
        let (entries, numbers, left) = Default::default();
        Self { venue, shards: shards.max(1), max, entries, numbers, left }
    }

    /// Into how many shards the symbols are parted.
    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    /// How many numbers were given.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The symbol of a number; `None` if it left.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize).filter(|entry| entry.left.is_none())
    }

    /// The number of a listed symbol.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied().filter(|number| self.get(*number).is_some())
    }

    /// A listed symbol, if it belongs to this shard.
    pub(super) fn in_shard(&self, shard: u32, name: &str) -> Option<&Entry> {
        self.get(self.number(name)?).filter(|entry| entry.shard == shard)
    }

    /// The listed symbols of a shard.
    pub(super) fn of_shard(&self, shard: u32) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.shard == shard && entry.left.is_none())
    }

    /// Makes these the listed symbols.
    pub(super) fn list<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, now: Instant) -> Changes {
        let names: HashSet<&str> = names.into_iter().collect();
        let mut changes = Changes::default();
        for entry in self.entries.iter_mut().filter(|entry| entry.left.is_none()) {
            if !names.contains(&*entry.name) {
                entry.left = Some(now);
                self.left.insert((now, entry.number));
                changes.removed.push(entry.numbered());
            }
        }
        // In one order everywhere, so that the log of a process can be compared with another's.
        let mut names: Vec<&str> = names.into_iter().filter(|name| self.number(name).is_none()).collect();
        names.sort_unstable();
        for name in names {
            match self.come(name, now, &mut changes.reused) {
                Some(entry) => changes.added.push(entry.numbered()),
                None => changes.refused += 1,
            }
        }
        changes
    }

    fn come(&mut self, name: &str, now: Instant, reused: &mut Vec<u32>) -> Option<&Entry> {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None if self.len() < self.max => self.append(name),
            None => self.reuse(name, now, reused)?,
        };
        let entry = self.entries.get_mut(number as usize)?;
        if let Some(left) = entry.left.take() {
            self.left.remove(&(left, number));
        }
        Some(entry)
    }

    fn append(&mut self, name: &str) -> u32 {
        let entry = self.entry(self.len(), name);
        let number = entry.number;
        self.numbers.insert(Arc::clone(&entry.name), number);
        self.entries.push(entry);
        number
    }

    fn reuse(&mut self, name: &str, now: Instant, reused: &mut Vec<u32>) -> Option<u32> {
        let &(left, number) = self.left.first()?;
        if now < left + QUARANTINE {
            return None;
        }
        self.left.remove(&(left, number));
        let entry = self.entry(number, name);
        let place = self.entries.get_mut(number as usize)?;
        self.numbers.remove(&place.name);
        self.numbers.insert(Arc::clone(&entry.name), number);
        *place = entry;
        reused.push(number);
        Some(number)
    }

    fn entry(&self, number: u32, name: &str) -> Entry {
        Entry {
            number,
            name: name.into(),
            shard: shard_of(name, self.shards),
            tick: subject::tick(self.venue, name),
            last: subject::last(self.venue, name),
            left: None,
        }
    }
}

impl Entry {
    pub(super) fn numbered(&self) -> Numbered {
        Numbered { number: self.number, name: Arc::clone(&self.name), shard: self.shard }
    }
}

#[cfg(test)]
mod tests;
