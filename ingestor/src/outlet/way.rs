//! The rows of a venue on their way out: what is known of each symbol, what NATS did not take, and the last values. Says
//! nothing without a permit. No clock but the caller's, no lock, no I/O but the sink.

use std::collections::BTreeSet;
use std::time::Instant;

use tickwire_common::row::{ROW_OPEN, read_v};
use tickwire_nats::last_value::LastValues;
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::{Bytes, Subject};

use super::hand_over::Handed;
use super::registry::{Entry, SYMBOLS_MAX};
use crate::permit::Permit;
use crate::rows::Rows;
use crate::venue::contract::Update;

/// Where messages go; takes or refuses them at once.
pub(super) trait Sink {
    fn send(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError>;
}

impl Sink for Publisher {
    fn send(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.try_publish(subject, payload)
    }
}

/// The moment at which something happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Unix microseconds, for versions.
    pub(super) now_us: u64,
    pub(super) now: Instant,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It went out.
    Sent,
    /// It waits, or a newer one that replaces it: NATS is away or the permit is closed.
    Kept,
    /// It waits for room in the queue to NATS, which there will be in a moment.
    NoRoom,
    /// There is no row to send, or it can never be sent.
    Dropped,
}

/// What happened since it was last counted; updates are counted by the rows themselves.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    /// Updates for symbols whose shard is not ours, or that nobody lists.
    pub(super) idle: u64,
    /// Rows replaced by newer ones before they could go out.
    pub(super) conflated: u64,
    /// Rows held back because the permit was closed.
    pub(super) fenced: u64,
    /// Rows too large for NATS.
    pub(super) refused: u64,
    /// Last values written.
    pub(super) last_values: u64,
    /// Updates merged away in a full backlog.
    pub(super) merged: u64,
}

#[derive(Debug)]
pub(super) struct Way {
    pub(super) rows: Rows,
    /// Holds symbols of shards that we publish, and no others.
    pub(super) last: LastValues,
    /// Symbols whose newest row has not gone out.
    pub(super) unsent: BTreeSet<u32>,
    pub(super) tally: Tally,
}

impl Way {
    pub(super) fn new() -> Self {
        Self {
            rows: Rows::new(0),
            last: LastValues::new(SYMBOLS_MAX),
            unsent: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// Merges an update and publishes the row.
    #[inline]
    pub(super) fn tell(
        &mut self,
        update: &Update,
        entry: &Entry,
        permit: &dyn Permit,
        at: Moment,
        sink: &impl Sink,
    ) -> Fate {
        match self.merge(update, entry, at) {
            Some(row) => self.send(row, entry, permit, sink),
            None => Fate::Dropped,
        }
    }

    /// Merges an update; its row goes out later, unless a newer one does first.
    pub(super) fn keep(&mut self, update: &Update, entry: &Entry, at: Moment) {
        if self.merge(update, entry, at).is_some() {
            self.unsent.insert(entry.number);
        }
    }

    fn merge(&mut self, update: &Update, entry: &Entry, at: Moment) -> Option<Bytes> {
        let row = Bytes::copy_from_slice(self.rows.apply(update, at.now_us)?);
        self.last.offer(entry.number, row.clone(), at.now);
        Some(row)
    }

    /// Publishes what waits of a symbol, if anything does.
    pub(super) fn retry(&mut self, entry: &Entry, permit: &dyn Permit, sink: &impl Sink) -> Fate {
        match self.last.row(entry.number).cloned() {
            Some(row) if self.unsent.remove(&entry.number) => self.send(row, entry, permit, sink),
            _ => Fate::Dropped,
        }
    }

    /// Publishes a symbol's newest row, or remembers that it has to.
    fn send(&mut self, row: Bytes, entry: &Entry, permit: &dyn Permit, sink: &impl Sink) -> Fate {
        if !permit.is_open() {
            self.tally.fenced += 1;
            return self.wait(entry, Fate::Kept);
        }
        match sink.send(&entry.tick, row) {
            Ok(()) => {
                // Whatever was kept is older than this row.
                if !self.unsent.is_empty() {
                    self.unsent.remove(&entry.number);
                }
                Fate::Sent
            }
            Err(PublishError::TooLarge { .. }) => {
                self.tally.refused += 1;
                Fate::Dropped
            }
            Err(PublishError::Disconnected) => self.wait(entry, Fate::Kept),
            Err(PublishError::Full) => self.wait(entry, Fate::NoRoom),
        }
    }

    fn wait(&mut self, entry: &Entry, fate: Fate) -> Fate {
        if !self.unsent.insert(entry.number) {
            self.tally.conflated += 1;
        }
        fate
    }

    /// Writes a symbol's last value, or the next time. Whether it was written.
    pub(super) fn write_last(
        &mut self,
        row: Bytes,
        entry: &Entry,
        permit: &dyn Permit,
        now: Instant,
        sink: &impl Sink,
    ) -> bool {
        let written = permit.is_open() && sink.send(&entry.last, row).is_ok();
        if written {
            self.tally.last_values += 1;
        } else {
            self.last.put_back(entry.number, now);
        }
        written
    }

    /// Goes on from a row that another process published, `margin_us` above its version. The row's time, if it is newer
    /// than what we know.
    pub(super) fn go_on_from(&mut self, row: &[u8], entry: &Entry, margin_us: u64) -> Option<u64> {
        let known = self.rows.get(entry.number)?.v;
        let v = read_v(row).filter(|v| *v > known)?;
        self.rows.go_on_from(entry.number, row);
        // The venue's order is not known any more.
        self.rows.forget_orders(entry.number);
        let ts = self.rows.get(entry.number)?.ts;
        let mut floor = ROW_OPEN.to_vec();
        floor.extend_from_slice(format!("{}}}", v.saturating_add(margin_us)).as_bytes());
        self.rows.go_on_from(entry.number, &floor);
        ts
    }

    /// Goes on exactly from where another process stopped.
    pub(super) fn import(&mut self, handed: &Handed, entry: &Entry, now: Instant) {
        self.rows.import(entry.number, handed.row(), handed.orders);
        self.offer_own(entry, now);
        if handed.unsent {
            self.unsent.insert(entry.number);
        }
    }

    /// Writes what is known of a symbol as its last value, at the next sweep.
    pub(super) fn offer_own(&mut self, entry: &Entry, now: Instant) {
        if let Some(row) = self.row(entry) {
            self.last.offer(entry.number, row.into(), now);
        }
    }

    /// What another process has to know of a symbol to go on; `None` before its first row.
    pub(super) fn export(&self, entry: &Entry) -> Option<Handed> {
        let orders = self.rows.orders(entry.number)?;
        Handed::new(&entry.name, self.row(entry)?, orders, self.unsent.contains(&entry.number))
    }

    /// A symbol's newest row; `None` before the first.
    fn row(&self, entry: &Entry) -> Option<Vec<u8>> {
        let row = self.rows.get(entry.number).filter(|row| row.v > 0)?;
        let mut text = Vec::new();
        row.encode(&mut text);
        Some(text)
    }

    /// Nothing of this symbol goes out any more.
    pub(super) fn silence(&mut self, number: u32) {
        self.last.remove(number);
        self.unsent.remove(&number);
    }
}
