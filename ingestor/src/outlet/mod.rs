//! The way of a venue's rows to NATS, by shard. Sockets hand their updates in and never wait: what they hand in together
//! is published together, under one short lock. While NATS is away or its queue is full, the newest row of each symbol
//! is kept and goes out later; what was replaced unsent is counted. Nothing goes out for a shard that is not ours.
//!
//! A shard's way through here:
//!
//! 1. [`Outlet::prepare`]: its updates are kept, and nothing is published.
//! 2. [`Outlet::take_over`] with what its owner left, or [`Outlet::carry`] with its last values where the owner is gone:
//!    what was kept and is newer goes out in order, then what comes.
//! 3. [`Outlet::release`]: nothing more goes out, and what the next owner must know is told. Without a taker,
//!    [`Outlet::carry`] goes on.
//! 4. [`Outlet::stop`]: from anywhere, also at once.
//!
//! Everything that goes out asks the shard's [`Permit`](crate::permit::Permit) first, message by message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tickwire_common::time::now_us;
use tickwire_nats::Nats;
use tickwire_nats::publish::Publisher;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::info;

use crate::feeds::Ticks;
use crate::link::Sink;
use crate::permit::SharedPermit;
use crate::streams::Ready;
use crate::venue::contract::Update;

mod backlog;
mod core;
mod counts;
mod hand_over;
mod registry;
mod way;

use self::core::Core;
use self::counts::Counts;
use self::way::Moment;

pub use self::hand_over::{HAND_OVER_BYTES_MAX, HandOver, HandOverError, Handed};
pub use self::registry::{Changes, Numbered, SYMBOLS_MAX};

/// Updates of a shard that are kept one by one before it is ours: some seconds of a busy shard, 2 MiB.
pub const BACKLOG_UPDATES_MAX: usize = 4_096;

/// How often kept rows and due last values are looked at. Far below the quarter of a second between two last values.
const SWEEP: Duration = Duration::from_millis(20);

/// The rows of one venue and their way out. Shared by all that has to do with the venue.
#[derive(Debug)]
pub struct Outlet {
    venue: &'static str,
    nats: Nats,
    ready: watch::Receiver<Ready>,
    publisher: Publisher,
    ticks: Arc<Ticks>,
    core: Mutex<Core>,
    counts: Counts,
}

impl Outlet {
    /// An outlet for a venue whose symbols are parted into `shards`; nothing is listed and nothing is ours. `ready`
    /// tells when the streams are there, and `ticks` is told when ticks arrive.
    pub fn new(
        nats: &Nats,
        ready: watch::Receiver<Ready>,
        venue: &'static str,
        shards: u32,
        ticks: Arc<Ticks>,
    ) -> Self {
        Self {
            venue,
            nats: nats.clone(),
            ready,
            publisher: Publisher::new(nats),
            ticks,
            core: Mutex::new(Core::new(venue, shards, BACKLOG_UPDATES_MAX)),
            counts: Counts::new(venue),
        }
    }

    /// Makes these the venue's symbols, by canonical name. Symbols that left are forgotten, also their last values.
    pub fn list<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Changes {
        let changes = self.with(|core| core.list(names, Instant::now()));
        self.counts.unnumbered(changes.refused);
        changes
    }

    /// The number of a listed symbol.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.lock().registry().number(name)
    }

    /// Merges and publishes what was received at `now_us` (Unix microseconds). Never waits for NATS.
    pub fn publish(&self, updates: &[Update], now_us: u64, now: Instant) {
        let note = |shard| self.ticks.note(shard, now_us / 1_000);
        self.with(|core| core.publish(updates, Moment { now_us, now }, &self.publisher, note));
    }

    /// The shard is to be ours: from now on its updates are kept, and nothing of it is published.
    pub fn prepare(&self, shard: u32) {
        self.with(|core| core.prepare(shard));
    }

    /// The shard is ours and nobody handed it over: its owner is gone, or never was, or was this process and found no
    /// taker. `rows` are its last values by symbol, as they are read from NATS; what cannot be read among them counts for
    /// nothing.
    pub fn carry<'a>(
        &self,
        shard: u32,
        rows: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        permit: SharedPermit,
    ) {
        self.with(|core| core.carry(shard, rows, permit, moment(), &self.publisher));
    }

    /// The shard is ours, and its owner left this. Each of its ticks goes out once, whether it reached the owner or us
    /// first.
    pub fn take_over(&self, shard: u32, left: &HandOver, permit: SharedPermit) {
        self.with(|core| core.take_over(shard, left, permit, moment(), &self.publisher));
    }

    /// The shard is offered to another process: nothing more is published of it from this call on. What that process
    /// has to know; the caller adds what is wanted. What comes meanwhile is kept, should the shard stay ours
    /// ([`Outlet::carry`]), until [`Outlet::stop`].
    pub fn release(&self, shard: u32) -> HandOver {
        self.with(|core| core.release(shard, moment(), &self.publisher))
    }

    /// The shard is not ours, nor about to be: nothing more is published of it from this call on.
    /// The last values that NATS takes at once are written if the permit still allows it.
    pub fn stop(&self, shard: u32) {
        self.with(|core| core.stop(shard, moment(), &self.publisher));
    }

    /// Publishes what waits until `end` completes, then the last values of what is ours: after us nobody will.
    pub async fn run(&self, end: impl Future<Output = ()>) {
        tokio::select! {
            () = end => {}
            () = self.follow() => {}
        }
        self.flush(Instant::now()).await;
    }

    async fn flush(&self, now: Instant) {
        self.lock().way.last.refresh_all(now);
        loop {
            let due = self.lock().pop_last(now);
            let Some((subject, row)) = due else { return };
            if self.publisher.publish(&subject, row).await.is_err() {
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
                let symbols = self.lock().all_again(Instant::now());
                info!(venue = self.venue, symbols, "NATS is back, publishing every symbol again");
            }
            if self.nats.is_connected() {
                self.with(|core| core.sweep(moment(), &self.publisher));
            }
            let levels = self.lock().levels();
            self.counts.levels(&levels);
        }
    }

    /// Does something under the lock, and counts what came of it.
    fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let result = work(&mut core);
        let (tally, rows) = (std::mem::take(&mut core.way.tally), core.way.rows.take_counts());
        drop(core);
        self.counts.add(&tally, &rows);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // Nothing under this lock panics half-way.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Outlet {
    fn updates(&self, _link: u32, updates: &[Update], now_us: u64, now: Instant) {
        self.publish(updates, now_us, now);
    }

    fn forget_orders(&self, symbols: &[u32]) {
        let mut core = self.lock();
        symbols.iter().for_each(|symbol| core.way.rows.forget_orders(*symbol));
    }
}

fn moment() -> Moment {
    Moment { now_us: now_us(), now: Instant::now() }
}

#[cfg(test)]
mod tests;
