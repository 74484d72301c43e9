//! What is said of our shards, and when: what is new at once, and everything at every heartbeat.

use std::collections::BTreeMap;

use metrics::gauge;
use tickwire_common::feed::{FEED_HEARTBEAT_MS, FeedState, FeedStatus};
use tracing::{info, warn};

use super::{Feeds, FeedsConfig, Inner, Owned, Shard, judge};
use crate::link::Summary;

impl Feeds {
    /// Says what is new, and what has not been said for a heartbeat.
    pub(super) fn round(&self, now_ms: u64, mut say: impl FnMut(u32, &FeedStatus)) {
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

    pub(super) fn goodbye(&self, now_ms: u64, say: impl Fn(u32, &FeedStatus)) {
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
}
