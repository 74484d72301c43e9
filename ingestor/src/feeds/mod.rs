//! The feeds of one venue that this process speaks for, one a shard: published on change and as a heartbeat, so that
//! clients are told instead of cut. Only the owner of a shard speaks of it, and only while it has the permit; who lost
//! or handed it over falls silent. The words are [`tickwire_common::feed`]'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tickwire_common::feed::{FEED_HEARTBEAT_MS, FeedState, FeedStatus};
use tickwire_common::time::now_ms;
use tickwire_nats::publish::Publisher;
use tickwire_nats::{Bytes, Nats, subject};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::link::Summary;
use crate::permit::SharedPermit;

mod judge;
mod ticks;

pub use judge::{Rules, Shut};
pub use ticks::Ticks;

/// After how long without a tick a shard is stale, unless the venue or the configuration says otherwise.
pub const STALE_AFTER: Duration = Duration::from_secs(30);

/// How often states are judged, for silence is no event.
const LOOK: Duration = Duration::from_millis(500);

/// Shortest time between two rounds: a socket's symbols come up one by one.
const PAUSE: Duration = Duration::from_millis(50);

/// What the feeds of a venue have in common.
#[derive(Debug, Clone)]
pub struct FeedsConfig {
    /// The venue.
    pub venue: &'static str,
    /// Into how many shards its symbols are parted.
    pub shards: u32,
    /// Whether it carries what is wanted.
    pub demand: bool,
    /// When a shard is stale or closed.
    pub rules: Rules,
}

/// The feeds of one venue, shared by the pool, which reports, and by the fleet, which says what is ours.
#[derive(Debug)]
pub struct Feeds {
    config: FeedsConfig,
    ticks: Arc<Ticks>,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    shards: BTreeMap<u32, Shard>,
    /// Ours to the end, and nobody's after it.
    left: BTreeMap<u32, Summary>,
    /// Why there is nothing to carry.
    trouble: Option<(FeedState, String)>,
}

/// One shard, ours or being prepared.
#[derive(Debug, Default)]
struct Shard {
    sockets: Summary,
    owned: Option<Owned>,
}

#[derive(Debug)]
struct Owned {
    permit: SharedPermit,
    since_ms: u64,
    said: Option<FeedStatus>,
    said_ms: u64,
}

impl Feeds {
    /// No shard is ours. `ticks` is what the outlet notes its ticks in.
    pub fn new(config: FeedsConfig, ticks: Arc<Ticks>) -> Self {
        Self { config, ticks, inner: Mutex::default(), changed: Notify::new() }
    }

    /// This shard is ours from now on: we speak of it while `permit` is open. A shard that was ours already goes on as
    /// it was.
    pub fn own(&self, shard: u32, permit: SharedPermit) {
        let mut inner = self.lock();
        let owned = &mut inner.shards.entry(shard).or_default().owned;
        match owned {
            Some(owned) => owned.permit = permit,
            None => *owned = Some(Owned { permit, since_ms: now_ms(), said: None, said_ms: 0 }),
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// This shard is offered to another process, or is its own already: we say nothing more of it.
    pub fn release(&self, shard: u32) {
        if let Some(shard) = self.lock().shards.get_mut(&shard) {
            shard.owned = None;
        }
    }

    /// This shard was ours, and nobody takes it over: the last word of [`Feeds::run`] says so.
    pub fn leave(&self, shard: u32) {
        let mut inner = self.lock();
        let sockets = inner.shards.remove(&shard).map(|shard| shard.sockets).unwrap_or_default();
        inner.left.insert(shard, sockets);
    }

    /// This shard is neither ours nor being prepared.
    pub fn stop(&self, shard: u32) {
        self.lock().shards.remove(&shard);
    }

    /// What the sockets say of the symbols of a shard that is ours or being prepared.
    pub fn sockets(&self, shard: u32, sockets: Summary) {
        let mut inner = self.lock();
        let shard = inner.shards.entry(shard).or_default();
        if shard.sockets != sockets {
            shard.sockets = sockets;
            self.changed.notify_one();
        }
    }

    /// Why nothing can be carried, like a list of instruments that cannot be read; `None` when that is over. It is the
    /// state of those shards that have no symbols.
    pub fn trouble(&self, trouble: Option<(FeedState, String)>) {
        let mut inner = self.lock();
        if inner.trouble != trouble {
            inner.trouble = trouble;
            self.changed.notify_one();
        }
    }

    /// Speaks of our shards until `token` is cancelled, then says that those which nobody took over are down.
    pub async fn run(&self, nats: &Nats, token: CancellationToken) {
        let publisher = Publisher::new(nats);
        let say = |shard: u32, status: &FeedStatus| {
            let text = serde_json::to_vec(status).unwrap_or_default();
            let subject = subject::feed(self.config.venue, &shard.to_string());
            // While NATS is away nobody hears it; the next heartbeat says the same.
            let _refused = publisher.try_publish(&subject, Bytes::from(text));
        };
        let speaking = async {
            loop {
                self.round(now_ms(), say);
                let _elapsed = timeout(LOOK, self.changed.notified()).await;
                sleep(PAUSE).await;
            }
        };
        token.run_until_cancelled(speaking).await;
        self.goodbye(now_ms(), say);
    }

    /// Says what is new, and what has not been said for a heartbeat.
    fn round(&self, now_ms: u64, mut say: impl FnMut(u32, &FeedStatus)) {
        let mut inner = self.lock();
        let Inner { shards, trouble, .. } = &mut *inner;
        let mut counts = BTreeMap::new();
        let mut symbols = 0;
        for (number, shard) in shards {
            let Shard { sockets, owned: Some(owned) } = shard else { continue };
            if !owned.permit.is_open() {
                continue;
            }
            let status = self.status(*number, sockets, trouble.as_ref(), owned, now_ms);
            *counts.entry(status.state.as_str()).or_insert(0u32) += 1;
            symbols += status.symbols;
            self.tell(*number, owned, status, now_ms, &mut say);
        }
        self.gauges(&counts, symbols);
    }

    fn tell(
        &self,
        shard: u32,
        owned: &mut Owned,
        status: FeedStatus,
        now_ms: u64,
        say: &mut impl FnMut(u32, &FeedStatus),
    ) {
        if owned.said.as_ref().is_none_or(|said| said.state != status.state) {
            self.log(shard, &status);
        }
        let same = |said: &FeedStatus| FeedStatus { last_tick: status.last_tick, ..said.clone() } == status;
        let due = now_ms.abs_diff(owned.said_ms) >= FEED_HEARTBEAT_MS;
        if due || !owned.said.as_ref().is_some_and(same) {
            say(shard, &status);
            owned.said_ms = now_ms;
            owned.said = Some(status);
        }
    }

    fn status(
        &self,
        shard: u32,
        sockets: &Summary,
        trouble: Option<&(FeedState, String)>,
        owned: &Owned,
        now_ms: u64,
    ) -> FeedStatus {
        let last_tick = self.ticks.last(shard);
        let heard_ms = last_tick.unwrap_or_default().max(owned.since_ms);
        let symbols = judge::symbols(sockets);
        let (state, reason) = match trouble {
            Some((state, reason)) if symbols == 0 => (*state, Some(reason.clone())),
            _ => judge::judge(&self.config.rules, sockets, heard_ms, now_ms),
        };
        let before = owned.said.as_ref().filter(|before| before.state == state);
        let since = before.map_or(now_ms, |before| before.since);
        let FeedsConfig { shards, demand, .. } = self.config;
        FeedStatus { state, since, last_tick, symbols, reason, shards, demand }
    }

    fn goodbye(&self, now_ms: u64, say: impl Fn(u32, &FeedStatus)) {
        let mut inner = self.lock();
        let mut left = std::mem::take(&mut inner.left);
        for (number, shard) in std::mem::take(&mut inner.shards) {
            if shard.owned.is_some_and(|owned| owned.permit.is_open()) {
                left.insert(number, shard.sockets);
            }
        }
        let FeedsConfig { shards, demand, .. } = self.config;
        for (number, sockets) in left {
            let reason = Some("the ingestor is shutting down".to_owned());
            let (last_tick, symbols) = (self.ticks.last(number), judge::symbols(&sockets));
            let state = FeedState::Down;
            say(number, &FeedStatus { state, since: now_ms, last_tick, symbols, reason, shards, demand });
        }
    }

    fn log(&self, shard: u32, status: &FeedStatus) {
        let (venue, state, symbols) = (self.config.venue, status.state.as_str(), status.symbols);
        match &status.reason {
            None => info!(venue, shard, state, symbols, "feed"),
            Some(reason) if status.state.is_live() => info!(venue, shard, state, symbols, reason, "feed"),
            Some(reason) => warn!(venue, shard, state, symbols, reason, "feed"),
        }
    }

    fn gauges(&self, counts: &BTreeMap<&'static str, u32>, symbols: u32) {
        use FeedState::{Closed, Connecting, Down, Live, Stale};
        let venue = self.config.venue;
        for state in [Connecting, Live, Stale, Down, Closed].map(FeedState::as_str) {
            let count = counts.get(state).copied().unwrap_or_default();
            gauge!("tickwire_ingest_feeds", "venue" => venue, "state" => state).set(count);
        }
        gauge!("tickwire_ingest_symbols", "venue" => venue).set(symbols);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
