//! The rows of a venue, and the arbiter of what is news. Updates of several streams, sockets and processes are merged
//! into one row a symbol by the venue's own order, so that each tick counts once, whoever brings it first; the row has a
//! version that only grows, and becomes the bytes that go to NATS. No clock, no I/O.

mod group;
mod slot;

#[cfg(test)]
mod tests;

use tickwire_common::row::Row;

use crate::venue::contract::{Orders, Update};
use slot::Slot;

/// The newest row of every symbol, by the number that updates name it by.
#[derive(Debug, Default)]
pub struct Rows {
    slots: Vec<Slot>,
    text: Vec<u8>,
    counts: Counts,
}

/// What became of updates.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Updates that moved a row.
    pub applied: u64,
    /// Updates that said nothing new.
    pub superseded: u64,
    /// Updates of symbols that are not ours.
    pub foreign: u64,
    /// Times that a venue's order was found to have begun anew.
    pub restarts: u64,
}

impl Rows {
    /// Room for `symbols` symbols, nothing known of them.
    pub fn new(symbols: usize) -> Self {
        Self { slots: vec![Slot::default(); symbols], ..Self::default() }
    }

    /// Makes room for `symbols` symbols, if there is less.
    pub fn grow(&mut self, symbols: u32) {
        self.slots.resize(self.slots.len().max(symbols as usize), Slot::default());
    }

    /// Merges an update that was received at `now_us` (Unix microseconds) and gives the whole row's JSON; `None` if it
    /// says nothing new, or for a symbol that is not ours.
    ///
    /// A group of fields is taken if its order is above the known one; a weak one only while nothing better is known,
    /// and together with a group that is news, or alone. An order that stays below the known one for ten seconds on end
    /// has begun anew, and is taken.
    #[inline]
    pub fn apply(&mut self, update: &Update, now_us: u64) -> Option<&[u8]> {
        let Some(slot) = self.slots.get_mut(update.symbol as usize) else {
            self.counts.foreign += 1;
            return None;
        };
        if !slot.apply(update, now_us, &mut self.counts.restarts) {
            self.counts.superseded += 1;
            return None;
        }
        self.counts.applied += 1;
        self.text.clear();
        slot.row.encode(&mut self.text);
        Some(&self.text)
    }

    /// The newest row of a symbol; its `v` is 0 before the first update.
    pub fn get(&self, symbol: u32) -> Option<&Row> {
        self.slots.get(symbol as usize).map(|slot| &slot.row)
    }

    /// How far each group of a symbol has come in the venue's order: with the row, all that the next owner has to know.
    pub fn orders(&self, symbol: u32) -> Option<Orders> {
        self.slots.get(symbol as usize).map(Slot::orders)
    }

    /// Takes what another process knew of a symbol, group by group where its order is above ours; versions grow from
    /// the larger one. A row that cannot be read counts for its version only, or not at all.
    pub fn import(&mut self, symbol: u32, row: &[u8], orders: Orders) {
        if let Some(slot) = self.slots.get_mut(symbol as usize) {
            slot.import(row, orders);
        }
    }

    /// Goes on from a row that was published before us: versions grow from there, and where it is newer than ours, what
    /// it knew is known. Anyone may publish rows, so one that cannot be read counts for its version only, or not at all.
    pub fn go_on_from(&mut self, symbol: u32, payload: &[u8]) {
        if let Some(slot) = self.slots.get_mut(symbol as usize) {
            slot.go_on_from(payload);
        }
    }

    /// The last socket that carried a symbol is gone: what comes next is news, whatever its order. Versions and the
    /// event time go on.
    pub fn forget_orders(&mut self, symbol: u32) {
        if let Some(slot) = self.slots.get_mut(symbol as usize) {
            slot.forget_orders();
        }
    }

    /// The number is another symbol's from now on. Nothing that is still on its way may bear it.
    pub fn forget(&mut self, symbol: u32) {
        if let Some(slot) = self.slots.get_mut(symbol as usize) {
            *slot = Slot::default();
        }
    }

    /// What became of updates since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}
