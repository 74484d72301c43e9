//! The rows of the schedule, the last values and the sign of life of the feed, as a state machine: time in, messages
//! out, and when to come again. What cannot be handed over now stays due: nothing is queued here, and nothing skipped.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::Serialize;
use tickwire_common::feed::{FEED_HEARTBEAT_MS, FeedState, FeedStatus};
use tickwire_common::row::read_v;
use tickwire_nats::last_value::LastValues;
use tickwire_nats::publish::PublishError;

use super::rows::Rows;
use super::schedule::Schedule;
use crate::clients::latency::{Percentiles, histogram};
use crate::clients::units::as_us;

/// Rows handed over before the clock and the commands are looked at again.
const BATCH_MAX: u64 = 1_024;

/// How soon a message that was refused is tried again.
const RETRY: Duration = Duration::from_millis(1);

const HEARTBEAT: Duration = Duration::from_millis(FEED_HEARTBEAT_MS);

/// What a message is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A row of the live stream, of this symbol.
    Tick(u32),
    /// The newest row for late joiners, of this symbol.
    Last(u32),
    /// The state of the feed.
    Feed,
}

/// What was offered in the measured window and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Published {
    /// Rows a second, of all symbols together.
    pub(crate) rate: u64,
    pub(crate) symbols: u64,
    /// Same seed, same prices.
    pub(crate) seed: u64,
    /// Rows that the schedule held.
    pub(crate) offered: u64,
    /// Rows that were handed to NATS.
    pub(crate) published: u64,
    /// Times that NATS took nothing, because it was away or its queue was full.
    pub(crate) refused: u64,
    /// Rows written for late joiners.
    pub(crate) last_values: u64,
    /// Rows of symbols that clients had which came to no client at all; folded rows are among them.
    pub(crate) unseen: u64,
    /// From when a row was due to when it was handed over, µs. `rows` counts rows.
    pub(crate) lag_us: Percentiles,
}

/// A record of every row that was published: the schedule tells them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tape {
    schedule: Schedule,
    begun_us: u64,
    /// The last row's version.
    through_v: u64,
}

impl Tape {
    /// How many rows of a symbol have a version above the one and up to the other.
    pub(crate) fn count(&self, symbol: u32, above_v: u64, through_v: u64) -> u64 {
        let since = |v: u64| v.saturating_sub(self.begun_us);
        self.schedule.count(symbol, since(above_v), since(through_v.min(self.through_v)))
    }
}

/// Where the publishing stands.
#[derive(Debug)]
pub(crate) struct Pacer {
    schedule: Schedule,
    rows: Rows,
    begun: Instant,
    /// Wall time of the begin, Unix µs.
    begun_us: u64,
    /// The number of the next row.
    next: u64,
    /// No row after this one; set when publishing is to end.
    last: Option<u64>,
    newest: LastValues,
    /// By symbol: the newest row's version, and the version written for late joiners.
    versions: Vec<u64>,
    written: Vec<u64>,
    feed_due: Instant,
    /// The last row before the measured window; nothing counts until that opens.
    before: u64,
    counts: Published,
    lag: Histogram<u64>,
}

impl Pacer {
    /// Begins now, which is `begun_us` in Unix µs; every symbol gets a first last value.
    ///
    /// # Errors
    /// As [`histogram`].
    pub(crate) fn new(offer: super::Offer, seed: u64, begun: Instant, begun_us: u64) -> anyhow::Result<Self> {
        let super::Offer { rate, symbols } = offer;
        let mut rows = Rows::new(symbols, seed);
        let mut newest = LastValues::new(symbols);
        for symbol in 0..symbols {
            newest.offer(symbol, rows.next(symbol, begun_us), begun);
        }
        Ok(Self {
            schedule: Schedule::new(rate, symbols),
            rows,
            begun,
            begun_us,
            next: 1,
            last: None,
            newest,
            versions: vec![begun_us; symbols as usize],
            written: vec![0; symbols as usize],
            feed_due: begun,
            before: u64::MAX,
            counts: Published { rate, symbols: symbols.into(), seed, ..Published::default() },
            lag: histogram()?,
        })
    }

    /// Hands over everything that is due, through `out`; says when to come again.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        mut out: impl FnMut(Kind, Bytes) -> Result<(), PublishError>,
    ) -> Instant {
        let refused = self.feed(now, &mut out).is_err()
            || self.ticks(now, &mut out).is_err()
            || self.last_values(now, &mut out).is_err();
        if refused {
            self.counts.refused += 1;
            return now + RETRY;
        }
        let next_row = (!self.is_over()).then(|| self.when(self.next));
        [next_row, self.newest.next_deadline()].into_iter().flatten().fold(self.feed_due, Instant::min)
    }

    fn feed(
        &mut self,
        now: Instant,
        out: &mut impl FnMut(Kind, Bytes) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        if self.feed_due > now {
            return Ok(());
        }
        out(Kind::Feed, self.feed_status(FeedState::Live, None))?;
        self.feed_due = now + HEARTBEAT;
        Ok(())
    }

    fn ticks(
        &mut self,
        now: Instant,
        out: &mut impl FnMut(Kind, Bytes) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let elapsed_us = as_us(now.saturating_duration_since(self.begun));
        let through = self.schedule.due_by(elapsed_us).min(self.last.unwrap_or(u64::MAX));
        for k in self.next..=through.min(self.next.saturating_add(BATCH_MAX - 1)) {
            let due = self.schedule.row(k);
            let v = self.begun_us.saturating_add(due.at_us);
            let row = self.rows.next(due.symbol, v);
            out(Kind::Tick(due.symbol), row.clone())?;
            self.next = k + 1;
            self.newest.offer(due.symbol, row, now);
            if let Some(version) = self.versions.get_mut(due.symbol as usize) {
                *version = v;
            }
            if k > self.before {
                self.counts.published += 1;
                self.lag.saturating_record(elapsed_us.saturating_sub(due.at_us));
            }
        }
        Ok(())
    }

    fn last_values(
        &mut self,
        now: Instant,
        out: &mut impl FnMut(Kind, Bytes) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        while let Some((symbol, row)) = self.newest.pop_due(now) {
            let v = read_v(&row).unwrap_or_default();
            if let Err(refused) = out(Kind::Last(symbol), row) {
                self.newest.put_back(symbol, now);
                return Err(refused);
            }
            if let Some(written) = self.written.get_mut(symbol as usize) {
                *written = v;
            }
            self.counts.last_values += 1;
        }
        Ok(())
    }

    fn when(&self, k: u64) -> Instant {
        self.begun + Duration::from_micros(self.schedule.row(k).at_us)
    }

    /// The measured window begins: what is due from now on counts.
    pub(crate) fn open(&mut self, now: Instant) {
        self.before = self.schedule.due_by(as_us(now.saturating_duration_since(self.begun)));
        let Published { rate, symbols, seed, .. } = self.counts;
        self.counts = Published { rate, symbols, seed, ..Published::default() };
        self.lag.reset();
    }

    /// No row is due after now. Rows that are due already still go out.
    pub(crate) fn shut(&mut self, now: Instant) {
        let through = self.schedule.due_by(as_us(now.saturating_duration_since(self.begun)));
        self.counts.offered = through.saturating_sub(self.before);
        self.last.get_or_insert(through);
    }

    /// Whether every row has gone out after [`Pacer::shut`].
    pub(crate) fn is_over(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    /// Whether the newest row of every symbol is written for late joiners, too.
    pub(crate) fn is_written(&self) -> bool {
        self.is_over() && self.written == self.versions
    }

    /// NATS came back and may have lost everything: writes every last value and the feed's state again.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.newest.refresh_all(now);
        self.written.fill(0);
        self.feed_due = now;
    }

    /// The version of each symbol's newest row.
    pub(crate) fn versions(&self) -> &[u64] {
        &self.versions
    }

    /// The figures so far.
    pub(crate) fn published(&self) -> Published {
        Published { lag_us: Percentiles::of(&self.lag), ..self.counts }
    }

    /// The record of all rows that have gone out.
    pub(crate) fn tape(&self) -> Tape {
        let through_v = self.begun_us + self.schedule.row(self.next.saturating_sub(1)).at_us;
        Tape { schedule: self.schedule, begun_us: self.begun_us, through_v }
    }

    /// What is said of the feed.
    pub(crate) fn feed_status(&self, state: FeedState, reason: Option<&str>) -> Bytes {
        let status = FeedStatus {
            state,
            since: self.begun_us / 1_000,
            last_tick: self.versions.iter().max().map(|v| v / 1_000),
            symbols: u32::try_from(self.versions.len()).unwrap_or(u32::MAX),
            reason: reason.map(str::to_owned),
            shards: 1,
            demand: false,
        };
        serde_json::to_vec(&status).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests;
