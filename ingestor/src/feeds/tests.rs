use std::sync::atomic::Ordering;

use tickwire_common::feed::FEED_HEARTBEAT_MS;

use super::*;
use crate::permit::testing::open;

fn feeds() -> Feeds {
    let rules = Rules { stale_after_ms: 30_000, shut: None };
    let config = FeedsConfig { venue: "binance", shards: 16, demand: true, rules };
    Feeds::new(config, Arc::new(Ticks::new(16)))
}

/// What a round says at this time, so long after now.
fn said(feeds: &Feeds, after_ms: u64) -> Vec<(u32, FeedStatus)> {
    let mut said = Vec::new();
    feeds.round(now_ms() + after_ms, |shard, status| said.push((shard, status.clone())));
    said
}

fn states(said: &[(u32, FeedStatus)]) -> Vec<(u32, FeedState)> {
    said.iter().map(|(shard, status)| (*shard, status.state)).collect()
}

fn live(live: u32) -> Summary {
    Summary { live, ..Summary::default() }
}

#[test]
fn only_the_owner_speaks_and_only_while_it_has_the_permit() {
    let (feeds, permit) = (feeds(), open());
    feeds.sockets(3, live(2));
    feeds.sockets(4, live(1));
    assert_eq!(said(&feeds, 0), [], "being prepared is no word");
    feeds.own(3, permit.clone());
    let first = said(&feeds, 0);
    assert_eq!(states(&first), [(3, FeedState::Live)]);
    let status = &first[0].1;
    assert_eq!((status.symbols, status.shards, status.demand, status.last_tick), (2, 16, true, None));
    permit.0.store(false, Ordering::Relaxed);
    assert_eq!(said(&feeds, 10_000), []);
    permit.0.store(true, Ordering::Relaxed);
    feeds.release(3);
    assert_eq!(said(&feeds, 20_000), []);
    // Nobody took it.
    feeds.own(3, permit.clone());
    assert_eq!(said(&feeds, 30_000)[0].1.symbols, 2);
    feeds.stop(3);
    feeds.own(3, permit);
    assert_eq!(said(&feeds, 40_000)[0].1.symbols, 0);
}

#[test]
fn changes_are_said_at_once_and_everything_once_a_heartbeat() {
    let feeds = feeds();
    feeds.own(1, open());
    feeds.own(2, open());
    feeds.sockets(1, live(1));
    assert_eq!(states(&said(&feeds, 0)), [(1, FeedState::Live), (2, FeedState::Live)]);
    feeds.ticks.note(1, now_ms());
    assert_eq!(said(&feeds, 100), [], "a tick is no change");
    let lost =
        Summary { lost: 1, lost_since_ms: Some(now_ms()), reason: Some("closed"), ..Summary::default() };
    feeds.sockets(1, lost);
    let changed = said(&feeds, 200);
    assert_eq!(states(&changed), [(1, FeedState::Stale)]);
    assert_eq!(changed[0].1.reason.as_deref(), Some("1 of 1 symbols are away: closed"));
    assert_eq!(said(&feeds, 300), []);
    let again = said(&feeds, FEED_HEARTBEAT_MS + 250);
    assert_eq!(states(&again), [(1, FeedState::Stale), (2, FeedState::Live)]);
    assert_eq!(again[0].1.since, changed[0].1.since);
    assert!(again[0].1.last_tick.is_some());
}

#[test]
fn silence_is_counted_from_when_the_shard_was_ours() {
    let feeds = feeds();
    feeds.ticks.note(1, 1);
    feeds.sockets(1, live(1));
    feeds.own(1, open());
    assert_eq!(states(&said(&feeds, 29_000)), [(1, FeedState::Live)]);
    let stale = said(&feeds, 31_000);
    assert_eq!(states(&stale), [(1, FeedState::Stale)]);
    feeds.ticks.note(1, now_ms() + 31_000);
    assert_eq!(states(&said(&feeds, 31_100)), [(1, FeedState::Live)]);
}

#[test]
fn trouble_is_the_state_of_shards_without_symbols() {
    let feeds = feeds();
    feeds.own(1, open());
    feeds.own(2, open());
    feeds.sockets(2, live(1));
    feeds.trouble(Some((FeedState::Down, "instruments: refused".to_owned())));
    let told = said(&feeds, 0);
    assert_eq!(states(&told), [(1, FeedState::Down), (2, FeedState::Live)]);
    assert_eq!(told[0].1.reason.as_deref(), Some("instruments: refused"));
    feeds.trouble(None);
    assert_eq!(states(&said(&feeds, 0)), [(1, FeedState::Live)]);
}

#[test]
fn those_which_nobody_took_over_are_down_in_the_end() {
    let (feeds, lost) = (feeds(), open());
    feeds.own(1, open());
    feeds.own(2, lost.clone());
    feeds.sockets(1, live(1));
    lost.0.store(false, Ordering::Relaxed);
    let last = Mutex::new(Vec::new());
    feeds.goodbye(5, |shard, status| last.lock().unwrap().push((shard, status.state, status.since)));
    assert_eq!(last.into_inner().unwrap(), [(1, FeedState::Down, 5)]);
    assert_eq!(said(&feeds, 0), []);
}
