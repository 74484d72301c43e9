//! The feeds of one venue that this process speaks for, one a shard: published on change and as a heartbeat, so that
//! clients are told instead of cut. Only the owner of a shard speaks of it, and only while it has the permit; who lost
//! or handed it over falls silent. The words are [`tickwire_common::feed`]'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::time::now_ms;
use tickwire_nats::publish::Publisher;
use tickwire_nats::{Bytes, Nats, subject};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::link::Summary;
use crate::permit::SharedPermit;

mod judge;
mod say;
mod ticks;

pub use judge::{Rules, Shut};
pub use ticks::Ticks;

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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
