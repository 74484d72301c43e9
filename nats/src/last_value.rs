//! The conflated copy of the ticks that feeds the last-value stream: few writes a symbol, but always the newest row
//! in the end, and every symbol again from time to time. A state machine: no clock, no I/O.
//!
//! Why not every tick: each overwrite leaves a hole in the stream's sequence, and one quiet symbol pins its start; the
//! server walks the range between. Few writes and regular repeats keep that range short. Repeats also heal what the
//! stream did not capture while it had no leader, and keep quiet symbols from aging out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Shortest time between two writes of one symbol: at most 4 a second.
pub const WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// Longest time between two writes of one symbol; far below the stream's age limit of 10 minutes.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// A repeat is due this much earlier, so that one refused at first still comes in time.
const REFRESH_MARGIN_SECONDS: u32 = 5;
/// Repeats of different symbols are spread over this much, so that a burst does not come back as a burst.
const REFRESH_SPREAD_SECONDS: u32 = 20;

/// The newest row of every symbol and when it must be written. Symbols are small numbers given by the caller, dense
/// from 0; memory is bounded by the largest one, which is below the limit given to [`LastValues::new`].
#[derive(Debug)]
pub struct LastValues {
    max_symbols: u32,
    slots: Vec<Option<Slot>>,
    /// When each symbol is due; exactly one entry a symbol.
    due: BTreeSet<(Instant, u32)>,
}

#[derive(Debug)]
struct Slot {
    row: Bytes,
    /// Not written since it came.
    fresh: bool,
    due: Instant,
    written: Option<Instant>,
}

impl LastValues {
    /// Nothing yet, room for symbols `0..max_symbols`.
    pub fn new(max_symbols: u32) -> Self {
        Self { max_symbols, slots: Vec::new(), due: BTreeSet::new() }
    }

    /// Takes the newest row of a symbol. Returns false, and keeps nothing, for a symbol beyond the limit.
    pub fn offer(&mut self, symbol: u32, row: Bytes, now: Instant) -> bool {
        if symbol >= self.max_symbols {
            return false;
        }
        let index = symbol as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let Some(place) = self.slots.get_mut(index) else { return false };
        match place {
            Some(slot) => {
                slot.row = row;
                if !std::mem::replace(&mut slot.fresh, true) {
                    let due = slot.written.map_or(now, |written| now.max(written + WRITE_INTERVAL));
                    self.due.remove(&(slot.due, symbol));
                    self.due.insert((due, symbol));
                    slot.due = due;
                }
            }
            None => {
                *place = Some(Slot { row, fresh: true, due: now, written: None });
                self.due.insert((now, symbol));
            }
        }
        true
    }

    /// One row that is due, counted as written; call until `None`. Rows that waited longest come first.
    pub fn pop_due(&mut self, now: Instant) -> Option<(u32, Bytes)> {
        let &(due, symbol) = self.due.first()?;
        if due > now {
            return None;
        }
        let early = REFRESH_MARGIN_SECONDS + symbol % REFRESH_SPREAD_SECONDS;
        let again = now + REFRESH_INTERVAL - Duration::from_secs(early.into());
        let row = self.reschedule(symbol, again, |slot| {
            slot.fresh = false;
            slot.written = Some(now);
        })?;
        Some((symbol, row))
    }

    /// The row just popped could not be written: it is due again after [`WRITE_INTERVAL`], or what replaced it.
    pub fn put_back(&mut self, symbol: u32, now: Instant) {
        self.reschedule(symbol, now + WRITE_INTERVAL, |slot| slot.fresh = true);
    }

    /// Makes every symbol due now: the stream may have lost everything.
    pub fn refresh_all(&mut self, now: Instant) {
        for symbol in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            self.reschedule(symbol, now, |slot| slot.fresh = true);
        }
    }

    /// Forgets a symbol; its last value ages out of the stream.
    pub fn remove(&mut self, symbol: u32) {
        if let Some(slot) = self.slots.get_mut(symbol as usize).and_then(Option::take) {
            self.due.remove(&(slot.due, symbol));
        }
    }

    /// The newest row of a symbol.
    pub fn row(&self, symbol: u32) -> Option<&Bytes> {
        self.slots.get(symbol as usize)?.as_ref().map(|slot| &slot.row)
    }

    /// When to call [`LastValues::pop_due`] next; `None` while there is nothing.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// How many symbols are kept.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether no symbol is kept.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    fn reschedule(&mut self, symbol: u32, due: Instant, change: impl FnOnce(&mut Slot)) -> Option<Bytes> {
        let slot = self.slots.get_mut(symbol as usize)?.as_mut()?;
        self.due.remove(&(slot.due, symbol));
        self.due.insert((due, symbol));
        slot.due = due;
        change(slot);
        Some(slot.row.clone())
    }
}

#[cfg(test)]
mod tests;
