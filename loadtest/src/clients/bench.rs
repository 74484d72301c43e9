//! What all clients share: the names, the checks and the counters. Takes rows; knows no connection.

use std::collections::HashMap;

use super::array::{self, Ids};
use super::class::{Class, Classes};
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
    /// How late rows are.
    pub(crate) latency: Latency,
    /// How old the price had become that a row replaced.
    pub(crate) age: Latency,
    pub(crate) tally: Tally,
    pub(crate) classes: Classes,
}

/// Who got a message, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    /// What kind of client it is.
    pub(crate) class: Class,
    /// The client's symbols.
    pub(crate) slots: Slots,
    /// When it asked for them, Unix µs.
    pub(crate) asked_us: u64,
    /// When the bytes were read, Unix µs.
    pub(crate) now_us: u64,
}

/// One row, as far as it is checked.
#[derive(Debug, Clone, Copy)]
struct Row {
    symbol: Option<u32>,
    v: u64,
    skipped: u64,
}

/// The checks and counters, apart from what names rows.
struct Checks<'a> {
    delivery: &'a mut Delivery,
    latency: &'a mut Latency,
    age: &'a mut Latency,
    tally: &'a mut Tally,
    classes: &'a mut Classes,
}

impl Bench {
    /// For these symbols.
    ///
    /// # Errors
    /// As [`Latency::new`].
    pub(crate) fn new(names: Vec<String>) -> anyhow::Result<Self> {
        let ids = names.iter().map(|name| name.as_bytes().into()).zip(0..).collect();
        let delivery = Delivery::new(names.len());
        let (latency, age) = (Latency::new()?, Latency::new()?);
        let (scanner, tally, classes) = (Scanner::default(), Tally::default(), Classes::default());
        Ok(Self { names, ids, scanner, delivery, latency, age, tally, classes })
    }

    /// The names that a client asks for, in the order of its slots.
    pub(crate) fn names(&self, slots: Slots) -> impl Iterator<Item = &str> {
        self.delivery.symbols(slots).filter_map(|symbol| self.names.get(symbol as usize)).map(String::as_str)
    }

    /// The symbol of a name.
    pub(crate) fn symbol(&self, name: &str) -> Option<u32> {
        self.ids.get(name.as_bytes()).copied()
    }

    /// Takes the rows of a canonical ticker message.
    #[inline]
    pub(crate) fn rows(&mut self, receipt: &Receipt, kind: Kind, rows: &[u8]) {
        let Self { ids, scanner, delivery, latency, age, tally, classes, .. } = self;
        let mut checks = Checks { delivery, latency, age, tally, classes };
        let read = scanner.rows(rows, |row| {
            let symbol = ids.get(row.name).copied();
            checks.take(receipt, kind, &Row { symbol, v: row.v, skipped: row.skipped });
        });
        self.tally.malformed += u64::from(read == Err(Malformed));
    }

    /// Takes the rows of a message in the array encoding; `ids` are the client's numbers.
    #[inline]
    pub(crate) fn numbered_rows(&mut self, receipt: &Receipt, kind: Kind, rows: &[u8], ids: &Ids) {
        let mut checks = self.checks();
        let read = array::rows(rows, |row| {
            let symbol = ids.symbol(row.id);
            checks.take(receipt, kind, &Row { symbol, v: row.v, skipped: row.skipped });
        });
        self.tally.malformed += u64::from(read == Err(Malformed));
    }

    /// Takes one row that came another way.
    pub(crate) fn row(&mut self, receipt: &Receipt, kind: Kind, row: &RowHead<'_>) {
        let symbol = self.ids.get(row.name).copied();
        self.checks().take(receipt, kind, &Row { symbol, v: row.v, skipped: row.skipped });
    }

    fn checks(&mut self) -> Checks<'_> {
        let Self { delivery, latency, age, tally, classes, .. } = self;
        Checks { delivery, latency, age, tally, classes }
    }

    /// Counts the age of every price that a steady client holds as the window ends, where the symbol moved in it: a
    /// price that nothing replaced any more is as old as it is.
    pub(crate) fn end_ages(&mut self, slots: Slots, now_us: u64) {
        let Self { delivery, age, .. } = self;
        for (_, held_v, moved) in delivery.held(slots) {
            if held_v != 0 && moved {
                age.record(now_us, held_v, true);
            }
        }
    }
}

impl Checks<'_> {
    #[inline]
    fn take(&mut self, receipt: &Receipt, kind: Kind, row: &Row) {
        let Receipt { class, slots, asked_us, now_us } = *receipt;
        let Some(symbol) = row.symbol else { return self.tally.rows_not_asked += 1 };
        let (update, judged) = (kind == Kind::Update, class == Class::Steady);
        let own = self.classes.of(class);
        own.skipped += row.skipped;
        if update {
            self.tally.update_rows += 1;
            own.rows += 1;
        } else {
            self.tally.snapshot_rows += 1;
        }
        let arrival = Arrival { symbol, v: row.v, skipped: row.skipped, update, judged, now_us };
        let taken = self.delivery.row(slots, &arrival);
        let inside = match taken.seen {
            Seen::InOrder(inside) | Seen::Returned(inside) => inside,
            Seen::First(inside) => {
                let known = update && self.delivery.known_before(symbol, asked_us);
                self.tally.without_snapshot += u64::from(known);
                inside
            }
            Seen::Resent => return,
            Seen::WentBack => return own.went_back += 1,
            Seen::Duplicate => return self.tally.duplicates += 1,
            Seen::Disorder => return self.tally.disorder += 1,
            Seen::NotAsked => return self.tally.rows_not_asked += 1,
        };
        if !judged {
            return;
        }
        if taken.held_v != 0 {
            self.age.record(now_us, taken.held_v, inside);
        }
        if update {
            self.tally.rows += u64::from(inside);
            self.latency.record(now_us, row.v, inside);
        }
    }
}
