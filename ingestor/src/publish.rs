//! The way of rows to NATS. A socket's task hands its updates in and never waits: each row goes out at once, and while
//! NATS is away or its queue is full, the newest row of each symbol is kept and goes out later. Memory is bounded by
//! the number of symbols; what was replaced unsent is counted.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, counter};
use tickwire_nats::last_value::LastValues;
use tickwire_nats::publish::{PublishError, Publisher};
use tickwire_nats::{Bytes, Nats, Subject, subject};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::info;

use crate::rows::Rows;
use crate::streams::Ready;
use crate::venue::contract::{Carried, Instrument, Update};

/// How often kept rows and due last values are looked at. Far below the quarter of a second between two last values.
const SWEEP: Duration = Duration::from_millis(20);

/// Messages of one sweep, so that a sweep never holds the sockets' tasks up: 50,000 a second.
const SWEEP_MESSAGES: usize = 1_000;

/// The rows of one venue and their way out. Shared by the venue's sockets; what they hand in together is published
/// together, under one short lock.
#[derive(Debug)]
pub struct Outlet {
    nats: Nats,
    ready: watch::Receiver<Ready>,
    publisher: Publisher,
    subjects: Vec<Subjects>,
    inner: Mutex<Inner>,
    counts: Counts,
}

#[derive(Debug)]
struct Subjects {
    tick: Subject,
    last: Subject,
}

#[derive(Debug)]
struct Inner {
    rows: Rows,
    last: LastValues,
    /// Symbols whose newest row has not gone out.
    unsent: BTreeSet<u32>,
}

#[derive(Debug)]
struct Counts {
    rows: Counter,
    conflated: Counter,
    superseded: Counter,
    refused: Counter,
    last_values: Counter,
}

impl Outlet {
    /// An outlet for these instruments of `venue`, numbered by their place. `before` are the rows that were published
    /// before us, in the same order: theirs is where we go on. `ready` tells when the streams are there.
    pub fn new(
        nats: &Nats,
        ready: watch::Receiver<Ready>,
        venue: &'static str,
        instruments: &[Instrument],
        before: &[Option<Bytes>],
    ) -> Self {
        let mut rows = Rows::new(instruments.len());
        for (symbol, row) in (0u32..).zip(before) {
            rows.go_on_from(symbol, row.as_deref().unwrap_or_default());
        }
        let last = LastValues::new(u32::try_from(instruments.len()).unwrap_or(u32::MAX));
        let names = instruments.iter().map(|instrument| instrument.symbol.as_str());
        let subjects =
            names.map(|name| Subjects { tick: subject::tick(venue, name), last: subject::last(venue, name) });
        Self {
            nats: nats.clone(),
            ready,
            publisher: Publisher::new(nats),
            subjects: subjects.collect(),
            inner: Mutex::new(Inner { rows, last, unsent: BTreeSet::new() }),
            counts: Counts {
                rows: counter!("tickwire_ingest_rows_total", "venue" => venue),
                conflated: counter!("tickwire_ingest_conflated_rows_total", "venue" => venue),
                superseded: counter!("tickwire_ingest_superseded_total", "venue" => venue),
                refused: counter!("tickwire_ingest_publish_errors_total", "venue" => venue),
                last_values: counter!("tickwire_ingest_last_values_total", "venue" => venue),
            },
        }
    }

    /// Merges and publishes what was received at `now_us` (Unix microseconds). Never waits for NATS.
    pub fn publish(&self, updates: &[Update], now_us: u64, now: Instant) {
        let mut inner = self.lock();
        let Inner { rows, last, unsent } = &mut *inner;
        for update in updates {
            let Some(row) = rows.apply(update, now_us) else { continue };
            let row = Bytes::copy_from_slice(row);
            last.offer(update.symbol, row.clone(), now);
            self.send(update.symbol, row, unsent);
        }
        let counts = rows.take_counts();
        self.counts.rows.increment(counts.applied);
        self.counts.superseded.increment(counts.superseded);
    }

    /// The only socket of these symbols is gone: the next one may begin with orders of its own.
    pub fn forget_orders(&self, symbols: &[Carried]) {
        let mut inner = self.lock();
        symbols.iter().for_each(|symbol| inner.rows.forget_orders(symbol.index));
    }

    /// Publishes a symbol's newest row, or remembers that it has to.
    fn send(&self, symbol: u32, row: Bytes, unsent: &mut BTreeSet<u32>) {
        let Some(subjects) = self.subjects.get(symbol as usize) else { return };
        match self.publisher.try_publish(&subjects.tick, row) {
            // Whatever was kept is older than this row.
            Ok(()) if unsent.is_empty() => {}
            Ok(()) => {
                unsent.remove(&symbol);
            }
            Err(PublishError::TooLarge { .. }) => self.counts.refused.increment(1),
            Err(PublishError::Disconnected | PublishError::Full) => {
                if !unsent.insert(symbol) {
                    self.counts.conflated.increment(1);
                }
            }
        }
    }

    /// Publishes what waits until `end` completes, then every last value once more: after us nobody will.
    pub async fn run(&self, end: impl Future<Output = ()>) {
        tokio::select! {
            () = end => {}
            () = self.follow() => {}
        }
        self.flush(Instant::now()).await;
    }

    async fn flush(&self, now: Instant) {
        self.lock().last.refresh_all(now);
        loop {
            let due = self.lock().last.pop_due(now);
            let Some((symbol, row)) = due else { return };
            let Some(subjects) = self.subjects.get(symbol as usize) else { continue };
            if self.publisher.publish(&subjects.last, row).await.is_err() {
                // NATS is away: there is nobody to tell.
                return;
            }
        }
    }

    async fn follow(&self) {
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut epoch = self.ready.borrow().epoch;
        loop {
            sweeps.tick().await;
            // Not before the streams are there again, or the last values would go nowhere.
            let ready = self.ready.borrow().epoch;
            if std::mem::replace(&mut epoch, ready) != ready {
                self.all_again(Instant::now());
            }
            if self.nats.is_connected() {
                self.sweep(Instant::now());
            }
        }
    }

    /// NATS was away: rows on their way may be lost, and the last values with them.
    fn all_again(&self, now: Instant) {
        let mut inner = self.lock();
        inner.last.refresh_all(now);
        let Inner { last, unsent, .. } = &mut *inner;
        let symbols = (0u32..).zip(&self.subjects).map(|(symbol, _)| symbol);
        unsent.extend(symbols.filter(|symbol| last.row(*symbol).is_some()));
        info!(symbols = unsent.len(), "NATS is back, publishing every symbol again");
    }

    /// One round over what waits: rows that did not go out, then last values that are due.
    fn sweep(&self, now: Instant) {
        let mut inner = self.lock();
        let Inner { last, unsent, .. } = &mut *inner;
        if self.sweep_rows(last, unsent) {
            self.sweep_last_values(last, now);
        }
    }

    /// Whether NATS took them all.
    fn sweep_rows(&self, last: &LastValues, unsent: &mut BTreeSet<u32>) -> bool {
        for symbol in unsent.iter().copied().take(SWEEP_MESSAGES).collect::<Vec<_>>() {
            unsent.remove(&symbol);
            if let Some(row) = last.row(symbol) {
                self.send(symbol, row.clone(), unsent);
            }
            if unsent.contains(&symbol) {
                return false;
            }
        }
        true
    }

    fn sweep_last_values(&self, last: &mut LastValues, now: Instant) {
        for _ in 0..SWEEP_MESSAGES {
            let Some((symbol, row)) = last.pop_due(now) else { return };
            let Some(subjects) = self.subjects.get(symbol as usize) else { continue };
            if self.publisher.try_publish(&subjects.last, row).is_err() {
                last.put_back(symbol, now);
                return;
            }
            self.counts.last_values.increment(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
