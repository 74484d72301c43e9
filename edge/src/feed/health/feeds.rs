//! All feeds as they were judged at one moment: what clients are told of venues, and how each symbol stands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_common::symbol::Topic;

use crate::feed::stand::{Place, Stand, shard_of_symbol};

/// See the module.
#[derive(Debug, Default)]
pub struct Feeds {
    venues: BTreeMap<String, VenueFeed>,
}

/// One venue.
#[derive(Debug)]
pub struct VenueFeed {
    /// As good as the worst of its shards that carry symbols.
    pub status: FeedStatus,
    /// By their numbers of shards; more than one only while that number is being changed.
    plans: Vec<PlanNow>,
}

#[derive(Debug)]
pub(super) struct PlanNow {
    pub shards: u32,
    pub begun: Instant,
    /// What goes for those that nobody has spoken for; `None` while it is too early to say.
    pub missing: Option<Missing>,
    /// Why nothing is live, if it is the edge's own fault.
    pub cut: Option<&'static str>,
    pub known: BTreeMap<u32, ShardNow>,
}

/// Shards without an owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub state: FeedState,
    pub since: u64,
    pub stand: Stand,
}

#[derive(Debug)]
pub(super) struct ShardNow {
    pub status: FeedStatus,
    pub stand: Stand,
}

impl Feeds {
    pub(super) fn new(venues: BTreeMap<String, VenueFeed>) -> Self {
        Self { venues }
    }

    /// How a topic stands. A venue that nobody speaks for publishes by itself and answers for itself.
    pub(in crate::feed) fn stand(&self, place: &mut Place) -> Stand {
        let feed = self.venues.get(&*place.topic.venue);
        feed.map_or(ALWAYS, |feed| feed.stand(|shards| place.shard(shards)))
    }

    /// Whether rows of this topic are to be marked.
    pub fn is_stale(&self, topic: &Topic) -> bool {
        let feed = self.venues.get(&*topic.venue);
        let stand = feed.map(|feed| feed.stand(|shards| shard_of_symbol(&topic.symbol, shards)));
        !stand.unwrap_or(ALWAYS).is_live()
    }

    /// Every feed, by venue.
    pub fn all(&self) -> impl Iterator<Item = (&str, &VenueFeed)> {
        self.venues.iter().map(|(venue, feed)| (venue.as_str(), feed))
    }

    /// One feed.
    pub fn get(&self, venue: &str) -> Option<&VenueFeed> {
        self.venues.get(venue)
    }

    /// Venues that were in another state before, or that are new.
    pub(super) fn states_unlike(&self, before: &Self) -> Vec<String> {
        let state = |feed: &VenueFeed| feed.status.state;
        let other =
            self.venues.iter().filter(|(venue, feed)| before.get(venue).map(state) != Some(state(feed)));
        other.map(|(venue, _)| venue.clone()).collect()
    }

    /// How everything stands, in a fixed order.
    pub(super) fn stands(&self) -> impl Iterator<Item = (&str, u32, Option<u32>, Option<Stand>)> {
        self.venues.iter().flat_map(|(venue, feed)| {
            feed.plans.iter().flat_map(move |plan| {
                let known = plan.known.iter().map(|(number, shard)| (Some(*number), Some(shard.stand)));
                let missing = plan.missing.filter(|_| plan.count_missing() > 0);
                let missing = missing.map(|missing| (None, Some(missing.stand)));
                known.chain(missing).map(move |(number, stand)| (venue.as_str(), plan.shards, number, stand))
            })
        })
    }

    /// Venues on demand with a shard that has begun to work since, maybe in new hands.
    pub(super) fn resumed_since(&self, before: &Self) -> BTreeSet<String> {
        let works = |shard: &ShardNow| {
            shard.status.demand && matches!(shard.status.state, FeedState::Live | FeedState::Connecting)
        };
        let resumed = |venue: &str, feed: &VenueFeed| {
            feed.plans.iter().any(|plan| {
                plan.known.iter().filter(|(_, shard)| works(shard)).any(|(number, shard)| {
                    let old = before.get(venue).and_then(|feed| feed.shard(plan.shards, *number));
                    old.is_none_or(|old| !works(old) || old.status.since != shard.status.since)
                })
            })
        };
        let venues = self.venues.iter().filter(|(venue, feed)| resumed(venue, feed));
        venues.map(|(venue, _)| venue.clone()).collect()
    }
}

/// Of what nobody speaks nothing bad is known.
const ALWAYS: Stand = Stand::Live { since: None };

impl VenueFeed {
    /// `None` without any plan.
    pub(super) fn new(plans: Vec<PlanNow>) -> Option<Self> {
        let best = |plan: &&PlanNow| (std::cmp::Reverse(rank(plan.whole().state)), plan.begun);
        let status = plans.iter().max_by_key(best)?.whole();
        Some(Self { status, plans })
    }

    /// A venue is what it is since it was told so: that a shard of it has a new owner is no beginning.
    pub(super) fn goes_on_from(&mut self, before: Option<&Self>) {
        if let Some(before) = before.filter(|before| before.status.state == self.status.state) {
            self.status.since = self.status.since.min(before.status.since);
        }
    }

    fn stand(&self, mut shard_of: impl FnMut(u32) -> u32) -> Stand {
        let stands = self.plans.iter().filter_map(|plan| plan.stand(shard_of(plan.shards)));
        stands.reduce(Stand::or).unwrap_or(ALWAYS)
    }

    fn shard(&self, shards: u32, number: u32) -> Option<&ShardNow> {
        self.plans.iter().find(|plan| plan.shards == shards)?.known.get(&number)
    }

    /// Its shards by number, each with its own state; those that nobody speaks for are left out.
    pub fn shards(&self) -> impl Iterator<Item = (u32, &FeedStatus)> {
        let plan = self.plans.iter().find(|plan| plan.shards == self.status.shards.max(1));
        plan.into_iter().flat_map(|plan| plan.known.iter().map(|(number, shard)| (*number, &shard.status)))
    }
}

impl PlanNow {
    fn stand(&self, shard: u32) -> Option<Stand> {
        let known = self.known.get(&shard).map(|shard| shard.stand);
        known.or(self.missing.map(|missing| missing.stand))
    }

    /// The venue as one.
    fn whole(&self) -> FeedStatus {
        let carries = |status: &&FeedStatus| status.symbols > 0;
        let all = || self.known.values().map(|shard| &shard.status);
        let demand = all().any(|status| status.demand);
        let counted: Vec<&FeedStatus> = match all().any(|status| carries(&status)) {
            true => all().filter(carries).collect(),
            // On demand, shards without symbols are idle, and one of them is enough to serve the next client.
            false if demand => all().min_by_key(|status| rank(status.state)).into_iter().collect(),
            false => all().collect(),
        };
        let missing = self.missing.filter(|_| self.count_missing() > 0);
        let states = counted.iter().map(|status| status.state).chain(missing.map(|missing| missing.state));
        let state = states.max_by_key(|state| rank(*state)).unwrap_or(FeedState::Down);
        let those: Vec<&FeedStatus> = counted.into_iter().filter(|status| status.state == state).collect();
        let missing = missing.filter(|missing| missing.state == state);
        let since = those.iter().map(|status| status.since).chain(missing.map(|missing| missing.since));
        FeedStatus {
            state,
            since: if state.is_live() { since.max() } else { since.min() }.unwrap_or(0),
            last_tick: all().filter_map(|status| status.last_tick).max(),
            symbols: all().fold(0, |sum, status| sum.saturating_add(status.symbols)),
            reason: self.reason(state, &those, missing.map_or(0, |_| self.count_missing())),
            shards: self.shards,
            demand,
        }
    }

    fn count_missing(&self) -> u32 {
        self.shards.saturating_sub(u32::try_from(self.known.len()).unwrap_or(u32::MAX))
    }

    /// Why the venue is not live: how many shards are in this state, and the first reason that one of them gives.
    fn reason(&self, state: FeedState, those: &[&FeedStatus], nobody: u32) -> Option<String> {
        if state.is_live() || self.cut.is_some() {
            return self.cut.map(str::to_owned);
        }
        let said = those.iter().find_map(|status| status.reason.as_deref());
        let why = said.or_else(|| (nobody > 0).then_some("nobody carries them"));
        if self.shards <= 1 {
            return why.map(str::to_owned);
        }
        let count = u32::try_from(those.len()).unwrap_or(u32::MAX).saturating_add(nobody);
        let text = format!("{count} of {} shards {}", self.shards, state.as_str());
        Some(why.map_or(text.clone(), |why| format!("{text}: {why}")))
    }
}

fn rank(state: FeedState) -> u8 {
    match state {
        FeedState::Live => 0,
        FeedState::Closed => 1,
        FeedState::Connecting => 2,
        FeedState::Stale => 3,
        FeedState::Down => 4,
    }
}
