//! The state of each venue's feed, as told by the owners of its shards. A shard that falls silent is down, and so is one
//! that nobody has ever spoken for. A symbol stands as its own shard does; a venue is as good as the worst of its shards
//! that carry symbols.
//!
//! Shards move between ingestors, and for a moment both speak: see [`shard`]. Their number may change too: until the last
//! word on the old number has faded, both are heard, and a symbol is live if either says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickwire_common::feed::{FEED_SILENCE_MS, FeedState, FeedStatus};
use tickwire_common::shard::SHARDS_MAX;
use tickwire_common::symbol::check_venue;

mod feeds;
mod shard;

pub use feeds::{Feeds, VenueFeed};
use feeds::{Missing, PlanNow, ShardNow};
use shard::Shard;

use super::stand::Stand;

/// Silence after which a shard is down.
const SILENCE: Duration = Duration::from_millis(FEED_SILENCE_MS);

/// How long a shard that went silent is remembered as down before it may make room for another.
const FORGET: Duration = Duration::from_secs(600);

/// Why nothing is current while this edge cannot hear anybody.
const CUT: &str = "the edge has lost NATS";

/// Shards that are remembered; far above what all venues have together.
const WORDS_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    venues: BTreeMap<String, Plans>,
    /// Shards of all venues together.
    count: usize,
    feeds: Arc<Feeds>,
    /// NATS is away: nothing is current.
    cut_since: Option<u64>,
}

/// What is heard of a venue, by the number of shards that the words speak of.
type Plans = BTreeMap<u32, Plan>;

#[derive(Debug)]
struct Plan {
    /// Since when anybody speaks of so many shards.
    begun: Instant,
    shards: BTreeMap<u32, Shard>,
}

/// What a heartbeat was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was no word on a shard, or there is no room for another shard.
    Refused,
    /// Nothing new, but a sign of life.
    Same,
    /// Something else than before.
    News,
}

/// What has changed since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Venues whose state is another.
    pub venues: Vec<String>,
    /// Whether any symbol stands otherwise.
    pub stands: bool,
    /// Venues on demand where somebody may not have heard what is wanted.
    pub resumed: BTreeSet<String>,
}

impl Health {
    /// Takes in a heartbeat. One shard more than fit is refused while none of the others has been silent for long.
    pub fn hear(&mut self, venue: &str, shard: &str, status: FeedStatus, now: Instant, now_ms: u64) -> Heard {
        let Some((shards, shard)) = place(shard, &status) else { return Heard::Refused };
        if let Some(known) = self.known(venue, shards, shard) {
            return if known.hear(status, now) { Heard::News } else { Heard::Same };
        }
        if check_venue(venue).is_err() || !self.make_room(now) {
            return Heard::Refused;
        }
        let plan = self.venues.entry(venue.to_owned()).or_default().entry(shards);
        let plan = plan.or_insert_with(|| Plan { begun: now, shards: BTreeMap::new() });
        plan.shards.insert(shard, Shard::new(status, now, now_ms));
        self.count += 1;
        Heard::News
    }

    fn known(&mut self, venue: &str, shards: u32, shard: u32) -> Option<&mut Shard> {
        self.venues.get_mut(venue)?.get_mut(&shards)?.shards.get_mut(&shard)
    }

    /// Forgets the shard that has been silent for longest, if there is no room and it may be forgotten.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.count < WORDS_MAX {
            return true;
        }
        let silent = self.venues.iter().flat_map(|(venue, plans)| {
            plans.iter().flat_map(move |(shards, plan)| {
                plan.shards.iter().map(move |(n, shard)| (shard.heard_at(), venue, *shards, *n))
            })
        });
        let longest = silent.filter(|(at, ..)| now >= *at + FORGET).min();
        let Some((venue, shards, shard)) = longest.map(|(_, venue, shards, n)| (venue.clone(), shards, n))
        else {
            return false;
        };
        self.remove(&venue, shards, shard);
        self.recount();
        true
    }

    fn remove(&mut self, venue: &str, shards: u32, shard: u32) {
        let Some(plans) = self.venues.get_mut(venue) else { return };
        if let Some(plan) = plans.get_mut(&shards) {
            plan.shards.remove(&shard);
        }
        plans.retain(|_, plan| !plan.shards.is_empty());
        if plans.is_empty() {
            self.venues.remove(venue);
        }
    }

    fn recount(&mut self) {
        self.count = self.venues.values().flat_map(BTreeMap::values).map(|plan| plan.shards.len()).sum();
    }

    /// Notes whether NATS can be reached.
    pub fn link(&mut self, connected: bool, now: Instant, now_ms: u64) {
        match (connected, self.cut_since) {
            (true, Some(_)) => {
                self.cut_since = None;
                // Their silence was ours; each has a heartbeat's time to speak again.
                for plan in self.venues.values_mut().flat_map(BTreeMap::values_mut) {
                    plan.begun = now;
                    plan.shards.values_mut().for_each(|shard| shard.excuse(now));
                }
            }
            (false, None) => self.cut_since = Some(now_ms),
            _ => {}
        }
    }

    /// Looks at the clock and judges everything anew; gives what is other than at the last call.
    pub fn changes(&mut self, now: Instant, now_ms: u64) -> Changes {
        self.venues.values_mut().for_each(|plans| forget_old_numbers(plans, now));
        self.recount();
        let (cut_since, before) = (self.cut_since, &self.feeds);
        let judged = self.venues.iter_mut().filter_map(|(venue, plans)| {
            let plans = plans.iter_mut().map(|(shards, plan)| plan.judge(*shards, cut_since, now, now_ms));
            let mut feed = VenueFeed::new(plans.collect())?;
            feed.goes_on_from(before.get(venue));
            Some((venue.clone(), feed))
        });
        let feeds = Arc::new(Feeds::new(judged.collect()));
        let before = std::mem::replace(&mut self.feeds, feeds);
        Changes {
            venues: self.feeds.states_unlike(&before),
            stands: !self.feeds.stands().eq(before.stands()),
            resumed: self.feeds.resumed_since(&before),
        }
    }

    /// Everything as it was at the last call of [`Health::changes`].
    pub fn feeds(&self) -> &Arc<Feeds> {
        &self.feeds
    }
}

/// The number of shards and the shard that a word is on. Who has one shard may call it anything.
fn place(shard: &str, status: &FeedStatus) -> Option<(u32, u32)> {
    match status.shards {
        0 | 1 => Some((1, 0)),
        2..=SHARDS_MAX => {
            shard.parse().ok().filter(|n| *n < status.shards).map(|shard| (status.shards, shard))
        }
        _ => None,
    }
}

/// A number of shards that nobody speaks of any more is over once there is another; a venue that fell silent as a whole
/// stays.
fn forget_old_numbers(plans: &mut Plans, now: Instant) {
    let speaks = |plan: &Plan| plan.shards.values().any(|shard| !shard.is_silent(now));
    if plans.len() > 1 && plans.values().any(speaks) {
        plans.retain(|_, plan| speaks(plan));
    }
}

impl Plan {
    fn judge(&mut self, shards: u32, cut_since: Option<u64>, now: Instant, now_ms: u64) -> PlanNow {
        let known: BTreeMap<u32, ShardNow> = self
            .shards
            .iter_mut()
            .map(|(number, shard)| (*number, shard.judge(cut_since, now, now_ms)))
            .collect();
        PlanNow {
            shards,
            begun: self.begun,
            missing: self.missing(cut_since, now, now_ms),
            cut: cut_since.map(|_| CUT),
            known,
        }
    }

    /// What goes for shards that nobody has spoken for: they are given the time of one that falls silent.
    fn missing(&self, cut_since: Option<u64>, now: Instant, now_ms: u64) -> Option<Missing> {
        if let Some(since) = cut_since {
            return Some(Missing { state: FeedState::Stale, since, stand: Stand::Off { since: None } });
        }
        let silence = now.saturating_duration_since(self.begun);
        let silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        let since = now_ms.saturating_sub(silent_ms);
        (silence >= SILENCE).then_some(Missing { state: FeedState::Down, since, stand: Stand::Down })
    }
}

#[cfg(test)]
pub(super) mod tests;
