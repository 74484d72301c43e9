//! Whether every client got every row, in order. Publishers are outside, so clients are held against one another: a row
//! exists if one client got it.
//!
//! - A *slot* is one symbol at one client. Its first row (snapshot or update) is where it joined; a snapshot there is
//!   not news to anybody, so it makes no row exist.
//! - The measured window of a symbol opens above the newest `v` that any client has when [`Delivery::open`] is called
//!   and ends at that `v` or at the wall time of [`Delivery::close`], whichever is higher: rows that were on their way
//!   then still count when they arrive.
//! - A *row of the window* is a `v` inside it that some slot got in order. Each is logged once.
//! - A slot is *owed* the rows of the window above its first `v`, up to the end of the window, or up to its last `v` if
//!   its connection ended before.
//! - *Lost* is what a slot is owed, less what it got in order, less what rows told as `skipped` (counted up to and with
//!   the first row beyond the window, which may stand for rows inside).
//! - A row not above the slot's last `v` is a *duplicate* (equal) or a *disorder* (below). Neither counts as got: a row
//!   that comes behind a newer one is of no use to a client, so it is also lost.
//! - A client that lost its connection and *returned* is not owed what lies between the last row before and the first
//!   new row after. That snapshots repeat rows then is expected; a row below the last one is told as *went back*.
//!
//! The sums are made at the end, when the log is whole, so it does not matter which client came first. They are exact
//! where nothing was skipped. A row that was folded at every client exists for nobody here, but is told: where rows were
//! skipped, lost is a lower bound. The log holds [`LOG_ROWS_MAX`] rows; when it is full the window ends there and
//! [`Loss::cut_short`] says so.

use std::collections::HashMap;

use log::Log;

mod log;

/// Most rows that are logged over all symbols: 64 MiB. At 30,000 published rows/s it lasts over four minutes.
pub(crate) const LOG_ROWS_MAX: usize = 8_000_000;

/// Most spans of rows that returned clients are not owed: 24 MB. When they are full the window ends, as with the log.
const SPANS_MAX: usize = 1_000_000;

/// One symbol at one client.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    symbol: u32,
    got: u32,
    skipped: u32,
    /// The client has returned, and this symbol has had no new row since.
    returned: bool,
    /// 0 until the first row.
    first_v: u64,
    last_v: u64,
}

/// Rows that a slot is not owed: those above the first version and up to the second.
#[derive(Debug, Clone, Copy)]
struct Span {
    slot: u32,
    above_v: u64,
    through_v: u64,
}

/// A row as it came to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) symbol: u32,
    pub(crate) v: u64,
    /// Rows that were folded into it.
    pub(crate) skipped: u64,
    /// An update, not a snapshot.
    pub(crate) update: bool,
    /// At a client whose losses count.
    pub(crate) judged: bool,
    /// When it was read, Unix µs.
    pub(crate) now_us: u64,
}

/// What a row is to the client that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Newer than all before; `true` if it lies in the measured window.
    InOrder(bool),
    /// The first row of the slot, likewise.
    First(bool),
    /// The first new row after a return, likewise.
    Returned(bool),
    /// The newest row again, in the snapshot after a return.
    Resent,
    /// The same `v` again.
    Duplicate,
    /// An older `v`, after a return and before a new row.
    WentBack,
    /// An older `v`.
    Disorder,
    /// A symbol that this client did not ask for.
    NotAsked,
}

/// A row that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) seen: Seen,
    /// The newest `v` that the client had of this symbol before; 0 for none.
    pub(crate) held_v: u64,
}

/// The measured window of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) above_v: u64,
    pub(crate) through_v: u64,
    /// Distinct rows inside that some client got.
    pub(crate) rows: u64,
}

/// Whose slots: a range that [`Delivery::add_client`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    first: u32,
    len: u32,
}

impl Slots {
    fn range(self) -> std::ops::Range<usize> {
        let first = self.first as usize;
        first..first + self.len as usize
    }
}

/// What was lost, in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Loss {
    /// Distinct rows of the window, over all symbols.
    pub(crate) published: u64,
    /// Rows that slots were owed.
    pub(crate) owed: u64,
    /// Rows that slots got in order, without first rows.
    pub(crate) got: u64,
    /// Rows that slots were told of as folded.
    pub(crate) skipped: u64,
    /// Rows that are missing.
    pub(crate) lost: u64,
    /// Clients with at least one missing row.
    pub(crate) clients_with_loss: u64,
    /// Most rows missing at one client.
    pub(crate) worst_client: u64,
    /// The log was full before the window's end.
    pub(crate) cut_short: bool,
}

/// The logs of all symbols and the slots of all clients.
#[derive(Debug)]
pub(crate) struct Delivery {
    logs: Vec<Log>,
    slots: Vec<Slot>,
    spans: Vec<Span>,
    logged: usize,
    log_rows_max: usize,
    cut_short: bool,
}

impl Delivery {
    /// For `symbols` symbols, with the window shut.
    pub(crate) fn new(symbols: usize) -> Self {
        let shut = Log { above_v: u64::MAX, end_v: u64::MAX, ..Log::default() };
        let logs = vec![shut; symbols];
        let (slots, spans) = (Vec::new(), Vec::new());
        Self { logs, slots, spans, logged: 0, log_rows_max: LOG_ROWS_MAX, cut_short: false }
    }

    /// Adds a client with its symbols, which must ascend.
    pub(crate) fn add_client(&mut self, symbols: &[u32]) -> Slots {
        let first = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.extend(symbols.iter().map(|symbol| Slot { symbol: *symbol, ..Slot::default() }));
        Slots { first, len: u32::try_from(symbols.len()).unwrap_or(u32::MAX) }
    }

    /// The symbols of a client.
    pub(crate) fn symbols(&self, slots: Slots) -> impl Iterator<Item = u32> {
        self.slots.get(slots.range()).unwrap_or_default().iter().map(|slot| slot.symbol)
    }

    /// The newest `v` that a client has of each of its symbols, 0 for none, and whether that symbol moved in the window.
    pub(crate) fn held(&self, slots: Slots) -> impl Iterator<Item = (u32, u64, bool)> {
        self.slots.get(slots.range()).unwrap_or_default().iter().map(|slot| {
            let moved = self.logs.get(slot.symbol as usize).is_some_and(|log| !log.rows.is_empty());
            (slot.symbol, slot.last_v, moved)
        })
    }

    /// A client comes back; the newest `v` that it has, 0 for none.
    pub(crate) fn comes_back(&mut self, slots: Slots) -> u64 {
        let mine = self.slots.get_mut(slots.range()).unwrap_or_default();
        mine.iter_mut().for_each(|slot| slot.returned = slot.first_v != 0);
        mine.iter().map(|slot| slot.last_v).max().unwrap_or_default()
    }

    /// The window of each symbol; `None` where no client had a row before it opened.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Option<Window>> {
        self.logs.iter().map(|log| {
            let Log { above_v, end_v: through_v, ref rows, .. } = *log;
            (1..u64::MAX).contains(&above_v).then_some(Window { above_v, through_v, rows: rows.len() as u64 })
        })
    }

    /// Takes a row that a client got.
    #[inline]
    pub(crate) fn row(&mut self, slots: Slots, row: &Arrival) -> Taken {
        let mine = self.slots.get_mut(slots.range()).unwrap_or_default();
        let at = if mine.len() == 1 { 0 } else { mine.partition_point(|slot| slot.symbol < row.symbol) };
        let (Some(slot), Some(log)) = (mine.get_mut(at), self.logs.get_mut(row.symbol as usize)) else {
            return Taken { seen: Seen::NotAsked, held_v: 0 };
        };
        let held_v = slot.last_v;
        if slot.symbol != row.symbol {
            return Taken { seen: Seen::NotAsked, held_v: 0 };
        }
        if row.v <= held_v {
            return Taken { seen: slot.not_new(row), held_v };
        }
        log.note(row);
        let inside = log.holds(row.v);
        let joins = slot.first_v == 0 || slot.returned;
        if inside && (row.update || !joins) && log.add(row.v) {
            self.logged += 1;
        }
        let seen = slot.take(row, inside, log);
        if row.judged && matches!(seen, Seen::Returned(_)) {
            let slot = slots.first.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            self.spans.push(Span { slot, above_v: held_v, through_v: row.v });
        }
        if (self.logged >= self.log_rows_max || self.spans.len() >= SPANS_MAX) && !self.cut_short {
            self.cut_short = true;
            self.end_at(0);
        }
        Taken { seen, held_v }
    }

    /// Whether a client has had a row of this symbol since before `us`: then the server has a newest row to give.
    pub(crate) fn known_before(&self, symbol: u32, us: u64) -> bool {
        self.logs.get(symbol as usize).is_some_and(|log| log.since_us != 0 && log.since_us < us)
    }

    /// Opens the measured window.
    pub(crate) fn open(&mut self) {
        for log in &mut self.logs {
            log.above_v = log.newest_v;
        }
    }

    /// Ends the measured window at wall time `now_us`; an end that was already set stays.
    pub(crate) fn close(&mut self, now_us: u64) {
        if !self.cut_short {
            self.end_at(now_us);
        }
    }

    fn end_at(&mut self, us: u64) {
        for log in &mut self.logs {
            log.end_v = log.newest_v.max(us);
        }
    }

    /// Whether every slot of `clients` that has joined has come as far as the last row of the window.
    pub(crate) fn caught_up(&self, mut clients: impl Iterator<Item = Slots>) -> bool {
        clients.all(|slots| {
            self.slots.get(slots.range()).unwrap_or_default().iter().all(|slot| {
                let last = self.logs.get(slot.symbol as usize).and_then(|log| log.rows.last());
                slot.first_v == 0 || last.is_none_or(|last| slot.last_v >= *last)
            })
        })
    }

    /// Adds everything up; `clients` says of each whether its connection lasted.
    pub(crate) fn settle(&self, clients: impl Iterator<Item = (Slots, bool)>) -> Loss {
        let published = self.logs.iter().map(|log| log.rows.len() as u64).sum();
        let mut loss = Loss { published, cut_short: self.cut_short, ..Loss::default() };
        let excused = self.excused();
        for (slots, lasted) in clients {
            let mut lost = 0;
            for (index, slot) in (slots.first..).zip(self.slots.get(slots.range()).unwrap_or_default()) {
                let excused = excused.get(&index).copied().unwrap_or_default();
                let owed = self.owed(slot, lasted).saturating_sub(excused);
                let (got, skipped) = (u64::from(slot.got), u64::from(slot.skipped));
                lost += owed.saturating_sub(got).saturating_sub(skipped);
                loss.owed += owed;
                loss.got += got;
                loss.skipped += skipped;
            }
            loss.lost += lost;
            loss.clients_with_loss += u64::from(lost > 0);
            loss.worst_client = loss.worst_client.max(lost);
        }
        loss
    }

    /// How many rows of the window each slot is not owed because its client was away.
    fn excused(&self) -> HashMap<u32, u64> {
        let mut excused = HashMap::new();
        for Span { slot, above_v, through_v } in &self.spans {
            let symbol = self.slots.get(*slot as usize).map(|slot| slot.symbol as usize);
            let Some(log) = symbol.and_then(|symbol| self.logs.get(symbol)) else { continue };
            *excused.entry(*slot).or_default() += log.count_through(*through_v) - log.count_through(*above_v);
        }
        excused
    }

    fn owed(&self, slot: &Slot, lasted: bool) -> u64 {
        let Some(log) = self.logs.get(slot.symbol as usize) else { return 0 };
        if slot.first_v == 0 {
            return 0;
        }
        let through = if lasted { log.rows.len() as u64 } else { log.count_through(slot.last_v) };
        through.saturating_sub(log.count_through(slot.first_v))
    }
}

impl Slot {
    /// Takes a row that is not above the last one.
    fn not_new(&self, row: &Arrival) -> Seen {
        match (row.v == self.last_v, self.returned) {
            (true, true) if !row.update => Seen::Resent,
            (true, _) => Seen::Duplicate,
            (false, true) => Seen::WentBack,
            (false, false) => Seen::Disorder,
        }
    }

    /// Takes a row above the last one.
    #[inline]
    fn take(&mut self, row: &Arrival, inside: bool, log: &Log) -> Seen {
        let before = std::mem::replace(&mut self.last_v, row.v);
        if self.first_v == 0 {
            self.first_v = row.v;
            return Seen::First(inside);
        }
        if std::mem::take(&mut self.returned) {
            return Seen::Returned(inside);
        }
        self.got += u32::from(inside);
        if row.skipped > 0 && row.v > log.above_v && before <= log.end_v {
            self.skipped = self.skipped.saturating_add(u32::try_from(row.skipped).unwrap_or(u32::MAX));
        }
        Seen::InOrder(inside)
    }
}

#[cfg(test)]
mod tests;
