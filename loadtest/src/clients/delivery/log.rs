//! The rows of one symbol that exist, as all clients together have seen them.

use super::Arrival;

/// One symbol at all clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    /// Newest `v` that any client got.
    pub(super) newest_v: u64,
    /// When the first row came, Unix µs; 0 before.
    pub(super) since_us: u64,
    pub(super) above_v: u64,
    pub(super) end_v: u64,
    /// The rows of the window, ascending.
    pub(super) rows: Vec<u64>,
}

impl Log {
    #[inline]
    pub(super) fn note(&mut self, row: &Arrival) {
        self.newest_v = self.newest_v.max(row.v);
        if self.since_us == 0 {
            self.since_us = row.now_us;
        }
    }

    #[inline]
    pub(super) fn holds(&self, v: u64) -> bool {
        v > self.above_v && v <= self.end_v
    }

    /// Adds a row of the window if it is not there yet; whether it was not.
    #[inline]
    pub(super) fn add(&mut self, v: u64) -> bool {
        match self.rows.last() {
            Some(&last) if last == v => return false,
            Some(&last) if last > v => {}
            _ => {
                self.rows.push(v);
                return true;
            }
        }
        match self.rows.binary_search(&v) {
            Ok(_) => false,
            Err(at) => {
                self.rows.insert(at, v);
                true
            }
        }
    }

    pub(super) fn count_through(&self, v: u64) -> u64 {
        self.rows.partition_point(|row| *row <= v) as u64
    }
}
