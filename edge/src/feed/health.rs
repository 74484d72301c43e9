//! The state of each venue's feed, as told by its ingestors' heartbeats. A shard that falls silent is down; a venue is
//! as good as its worst shard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tickwire_common::feed::{FEED_SILENCE_MS, FeedState, FeedStatus};
use tickwire_common::symbol::check_venue;

/// How long a shard that went silent is remembered as down before it is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Shards that are remembered; far above what all venues have together.
const SHARDS_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub struct Health {
    shards: BTreeMap<(String, String), Heard>,
    feeds: BTreeMap<String, FeedStatus>,
    /// NATS is away: nothing is current.
    cut_since: Option<u64>,
}

#[derive(Debug)]
struct Heard {
    status: FeedStatus,
    at: Instant,
}

impl Health {
    /// Takes in a heartbeat. Gives whether it could: it could not from what is called as no venue is, nor from one shard
    /// more than fit while none of the others has been silent for long.
    pub fn hear(&mut self, venue: &str, shard: &str, status: FeedStatus, now: Instant) -> bool {
        let key = (venue.to_owned(), shard.to_owned());
        if !self.shards.contains_key(&key) && (check_venue(venue).is_err() || !self.make_room(now)) {
            return false;
        }
        self.shards.insert(key, Heard { status, at: now });
        true
    }

    /// Forgets the shard that has been silent for longest, if there is no room and it may be forgotten.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.shards.len() < SHARDS_MAX {
            return true;
        }
        let silent = self.shards.iter().filter(|(_, heard)| now >= heard.at + FORGET);
        let longest = silent.min_by_key(|(_, heard)| heard.at).map(|(key, _)| key.clone());
        longest.is_some_and(|key| self.shards.remove(&key).is_some())
    }

    /// Notes whether NATS can be reached.
    pub fn link(&mut self, connected: bool, now: Instant, now_ms: u64) {
        match (connected, self.cut_since) {
            (true, Some(_)) => {
                self.cut_since = None;
                // Their silence was ours; each has a heartbeat's time to speak again.
                self.shards.values_mut().for_each(|heard| heard.at = now);
            }
            (false, None) => self.cut_since = Some(now_ms),
            _ => {}
        }
    }

    /// Looks at the clock; names the venues whose state has changed since the last call.
    pub fn changes(&mut self, now: Instant, now_ms: u64) -> Vec<String> {
        self.forget(now);
        let mut feeds: BTreeMap<String, FeedStatus> = BTreeMap::new();
        for ((venue, _), heard) in &self.shards {
            let status = self.judge(heard, now, now_ms);
            feeds.entry(venue.clone()).and_modify(|feed| merge(feed, &status)).or_insert(status);
        }
        let changed = feeds.iter().filter(|(venue, feed)| self.state(venue) != Some(feed.state));
        let changed = changed.map(|(venue, _)| venue.clone()).collect();
        self.feeds = feeds;
        changed
    }

    /// Forgets shards that a venue does without. One that fell silent as a whole stays down.
    fn forget(&mut self, now: Instant) {
        let is_heard = |heard: &Heard| now < heard.at + FORGET;
        let alive: BTreeSet<String> = self
            .shards
            .iter()
            .filter(|(_, heard)| is_heard(heard))
            .map(|((venue, _), _)| venue.clone())
            .collect();
        self.shards.retain(|(venue, _), heard| is_heard(heard) || !alive.contains(venue));
    }

    fn judge(&self, heard: &Heard, now: Instant, now_ms: u64) -> FeedStatus {
        let silence = now.saturating_duration_since(heard.at);
        let mut status = heard.status.clone();
        if let Some(since) = self.cut_since {
            (status.state, status.since) = (worst(status.state, FeedState::Stale), since);
            status.reason = Some("the edge has lost NATS".to_owned());
        } else if silence >= Duration::from_millis(FEED_SILENCE_MS) {
            let silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
            (status.state, status.since) = (FeedState::Down, now_ms.saturating_sub(silent_ms));
            status.reason = Some("no word from its ingestor".to_owned());
        }
        status
    }

    /// The state of a venue; `None` for one that no ingestor carries.
    pub fn state(&self, venue: &str) -> Option<FeedState> {
        self.feeds.get(venue).map(|feed| feed.state)
    }

    /// Whether rows of this venue are to be marked. One without ingestor publishes by itself and answers for itself.
    pub fn is_stale(&self, venue: &str) -> bool {
        self.state(venue).is_some_and(|state| !state.is_live())
    }

    /// Every feed, by venue.
    pub fn feeds(&self) -> Vec<(&str, &FeedStatus)> {
        self.feeds.iter().map(|(venue, feed)| (venue.as_str(), feed)).collect()
    }

    /// One feed.
    pub fn feed(&self, venue: &str) -> Option<&FeedStatus> {
        self.feeds.get(venue)
    }
}

fn merge(feed: &mut FeedStatus, shard: &FeedStatus) {
    if worst(feed.state, shard.state) != feed.state {
        (feed.state, feed.since, feed.reason) = (shard.state, shard.since, shard.reason.clone());
    }
    feed.last_tick = feed.last_tick.max(shard.last_tick);
    feed.symbols = feed.symbols.saturating_add(shard.symbols);
}

fn worst(a: FeedState, b: FeedState) -> FeedState {
    let rank = |state| match state {
        FeedState::Live => 0,
        FeedState::Closed => 1,
        FeedState::Connecting => 2,
        FeedState::Stale => 3,
        FeedState::Down => 4,
    };
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: FeedState) -> FeedStatus {
        FeedStatus { state, since: 5, last_tick: Some(9), symbols: 3, reason: None, shards: 1, demand: false }
    }

    #[test]
    fn a_venue_is_as_good_as_its_worst_shard() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.hear("binance", "0", status(FeedState::Live), now);
        health.hear("binance", "1", status(FeedState::Live), now);
        assert_eq!(health.changes(now, 10), ["binance"]);
        assert_eq!(health.feed("binance").unwrap().symbols, 6);
        health.hear("binance", "1", status(FeedState::Stale), now);
        assert_eq!(health.changes(now, 10), ["binance"]);
        assert!(health.is_stale("binance") && !health.is_stale("bench"));
        assert!(health.changes(now, 10).is_empty());
    }

    #[test]
    fn silence_is_down_and_a_word_is_enough_to_come_back() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.hear("kucoin", "0", status(FeedState::Live), now);
        health.changes(now, 10_000);
        let later = now + Duration::from_millis(FEED_SILENCE_MS);
        assert_eq!(health.changes(later, 20_000), ["kucoin"]);
        assert_eq!(health.feed("kucoin").unwrap().since, 20_000 - FEED_SILENCE_MS);
        health.hear("kucoin", "0", status(FeedState::Live), later);
        assert_eq!(health.changes(later, 20_000), ["kucoin"]);
        assert!(!health.is_stale("kucoin"));
    }

    #[test]
    fn a_shard_is_forgotten_and_a_venue_is_not() {
        let (mut health, now) = (Health::default(), Instant::now());
        for (venue, shard) in [("binance", "0"), ("binance", "1"), ("kucoin", "0")] {
            health.hear(venue, shard, status(FeedState::Live), now);
        }
        health.changes(now, 0);
        let later = now + FORGET;
        health.hear("binance", "0", status(FeedState::Live), later);
        health.changes(later, 0);
        // The other shard is gone by plan; the other venue answers to nobody.
        assert_eq!(health.state("binance"), Some(FeedState::Live));
        assert_eq!(health.state("kucoin"), Some(FeedState::Down));
        assert!(health.is_stale("kucoin"));
    }

    #[test]
    fn made_up_shards_are_bounded_and_go_first() {
        let (mut health, now) = (Health::default(), Instant::now());
        let live = || status(FeedState::Live);
        assert!(health.hear("binance", "0", live(), now));
        let taken = (0..2 * SHARDS_MAX).filter(|n| health.hear(&format!("v{n}"), "0", live(), now)).count();
        assert_eq!(taken, SHARDS_MAX - 1);
        assert!(health.hear("binance", "0", live(), now), "who is known goes on");
        assert!(!health.hear("kucoin", "0", live(), now));
        assert!(!Health::default().hear("no venue", "0", live(), now));
        let later = now + FORGET;
        assert!(health.hear("binance", "0", live(), later));
        assert!(health.hear("kucoin", "0", live(), later));
        assert_eq!(health.shards.len(), SHARDS_MAX);
        health.changes(later, 0);
        assert_eq!(health.state("binance"), Some(FeedState::Live));
    }

    #[test]
    fn without_nats_nothing_is_current() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.hear("kucoin", "0", status(FeedState::Live), now);
        health.changes(now, 10);
        health.link(false, now, 11);
        assert_eq!(health.changes(now, 12), ["kucoin"]);
        assert!(health.is_stale("kucoin"));
        let later = now + Duration::from_secs(60);
        health.link(true, later, 70_000);
        assert_eq!(health.changes(later, 70_000), ["kucoin"]);
        assert!(!health.is_stale("kucoin"));
    }
}
