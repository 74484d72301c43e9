//! What all clients share: the names, the checks and the counters. Takes rows; knows no connection.

use std::collections::HashMap;

use super::delivery::{Arrival, Delivery, Seen, Slots};
use super::latency::Latency;
use super::scan::{Kind, Malformed, RowHead, Scanner};
use super::tally::Tally;

/// The shared part of a run.
#[derive(Debug)]
pub(crate) struct Bench {
    names: Vec<String>,
    ids: HashMap<Box<[u8]>, u32>,
    scanner: Scanner,
    pub(crate) delivery: Delivery,
    pub(crate) latency: Latency,
    pub(crate) tally: Tally,
}

/// Who got a message, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    /// The client's symbols.
    pub(crate) slots: Slots,
    /// When it asked for them, Unix µs.
    pub(crate) asked_us: u64,
    /// When the bytes were read, Unix µs.
    pub(crate) now_us: u64,
}

impl Bench {
    /// For these symbols.
    ///
    /// # Errors
    /// As [`Latency::new`].
    pub(crate) fn new(names: Vec<String>) -> anyhow::Result<Self> {
        let ids = names.iter().map(|name| name.as_bytes().into()).zip(0..).collect();
        let delivery = Delivery::new(names.len());
        let (scanner, latency, tally) = (Scanner::default(), Latency::new()?, Tally::default());
        Ok(Self { names, ids, scanner, delivery, latency, tally })
    }

    /// The names that a client asks for, in the order of its slots.
    pub(crate) fn names(&self, slots: Slots) -> impl Iterator<Item = &str> {
        self.delivery.symbols(slots).filter_map(|symbol| self.names.get(symbol as usize)).map(String::as_str)
    }

    /// Takes the rows of a canonical ticker message.
    #[inline]
    pub(crate) fn rows(&mut self, receipt: &Receipt, kind: Kind, rows: &[u8]) {
        let Self { ids, scanner, delivery, latency, tally, .. } = self;
        let read = scanner.rows(rows, |row| {
            let Some(symbol) = ids.get(row.name) else {
                tally.rows_not_asked += 1;
                return;
            };
            check(delivery, latency, tally, receipt, kind, *symbol, &row);
        });
        self.tally.malformed += u64::from(read == Err(Malformed));
    }

    /// Takes one row that came another way.
    pub(crate) fn row(&mut self, receipt: &Receipt, kind: Kind, row: &RowHead<'_>) {
        match self.ids.get(row.name) {
            None => self.tally.rows_not_asked += 1,
            Some(symbol) => {
                let Self { delivery, latency, tally, .. } = self;
                check(delivery, latency, tally, receipt, kind, *symbol, row);
            }
        }
    }
}

#[inline]
fn check(
    delivery: &mut Delivery,
    latency: &mut Latency,
    tally: &mut Tally,
    receipt: &Receipt,
    kind: Kind,
    symbol: u32,
    row: &RowHead<'_>,
) {
    let Receipt { slots, asked_us, now_us } = *receipt;
    let update = kind == Kind::Update;
    let arrival = Arrival { symbol, v: row.v, skipped: row.skipped, update, now_us };
    if update {
        tally.update_rows += 1;
    } else {
        tally.snapshot_rows += 1;
    }
    let inside = match delivery.row(slots, &arrival) {
        Seen::InOrder(inside) => inside,
        Seen::First(inside) => {
            tally.without_snapshot += u64::from(update && delivery.known_before(symbol, asked_us));
            inside
        }
        Seen::Duplicate => return tally.duplicates += 1,
        Seen::Disorder => return tally.disorder += 1,
        Seen::NotAsked => return tally.rows_not_asked += 1,
    };
    if update {
        tally.rows += u64::from(inside);
        latency.record(now_us, row.v, inside);
    }
}
