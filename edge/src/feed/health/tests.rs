//! Words on shards, their owners, their number, and the clock.

use proptest::prelude::*;
use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Topic;

use super::*;

/// Long ago.
const SINCE: u64 = 5;

/// What an owner says of a shard with three symbols.
pub fn status(state: FeedState, shards: u32) -> FeedStatus {
    FeedStatus { state, since: SINCE, last_tick: Some(9), symbols: 3, reason: None, shards, demand: false }
}

struct World {
    health: Health,
    now: Instant,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        Self { health: Health::default(), now: Instant::now(), now_ms: 1_000_000 }
    }

    fn hear(&mut self, venue: &str, shard: u32, status: FeedStatus) -> Heard {
        self.health.hear(venue, &shard.to_string(), status, self.now, self.now_ms)
    }

    /// Everybody says this of a venue's shards.
    fn hear_all(&mut self, venue: &str, state: FeedState, shards: u32) {
        (0..shards).for_each(|shard| {
            self.hear(venue, shard, status(state, shards));
        });
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.now_ms += u64::try_from(time.as_millis()).unwrap();
    }

    fn changes(&mut self) -> Changes {
        self.health.changes(self.now, self.now_ms)
    }

    /// The venues whose state is told as changed.
    fn told(&mut self) -> Vec<String> {
        self.changes().venues
    }

    fn feed(&self, venue: &str) -> &FeedStatus {
        &self.health.feeds().get(venue).unwrap().status
    }

    fn is_stale(&self, topic: &str) -> bool {
        self.health.feeds().is_stale(&topic.parse::<Topic>().unwrap())
    }
}

/// Symbols of a shard.
fn symbols_of(shard: u32, shards: u32) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("S{n}")).filter(move |symbol| shard_of(symbol, shards) == shard)
}

fn topic_of(venue: &str, shard: u32, shards: u32) -> String {
    format!("{venue}:{}", symbols_of(shard, shards).next().unwrap())
}

const BEAT: Duration = Duration::from_secs(2);

#[test]
fn only_symbols_of_the_shard_are_stale_and_the_venue_says_how_many() {
    let mut world = World::new();
    world.hear_all("binance", FeedState::Live, 16);
    assert_eq!(world.told(), ["binance"]);
    assert_eq!((world.feed("binance").state, world.feed("binance").symbols), (FeedState::Live, 48));
    for shard in [3, 7] {
        let closed = Some("closed".to_owned());
        world.hear(
            "binance",
            shard,
            FeedStatus { reason: closed, since: 70, ..status(FeedState::Stale, 16) },
        );
    }
    let changes = world.changes();
    assert_eq!((changes.venues, changes.stands), (vec!["binance".to_owned()], true));
    let feed = world.feed("binance");
    assert_eq!((feed.state, feed.since), (FeedState::Stale, 70));
    assert_eq!(feed.reason.as_deref(), Some("2 of 16 shards stale: closed"));
    for shard in 0..16 {
        let stale = [3, 7].contains(&shard);
        assert_eq!(world.is_stale(&topic_of("binance", shard, 16)), stale, "{shard}");
    }
    assert!(!world.is_stale("bench:S0"), "who has no ingestor answers for itself");
    assert_eq!(world.changes(), Changes::default());
}

#[test]
fn a_shard_without_symbols_is_not_the_venues_state() {
    let mut world = World::new();
    world.hear_all("binance", FeedState::Live, 2);
    world.hear("binance", 1, FeedStatus { symbols: 0, ..status(FeedState::Down, 2) });
    world.changes();
    assert_eq!(world.feed("binance").state, FeedState::Live);
    world.hear("binance", 0, FeedStatus { symbols: 0, ..status(FeedState::Live, 2) });
    world.changes();
    assert_eq!(world.feed("binance").state, FeedState::Down, "who carries nothing is as good as the worst");
}

#[test]
fn silence_is_down_and_a_word_is_enough_to_come_back() {
    let mut world = World::new();
    world.hear_all("kucoin", FeedState::Live, 2);
    world.changes();
    world.pass(SILENCE / 2);
    world.hear("kucoin", 0, status(FeedState::Live, 2));
    world.pass(SILENCE / 2);
    assert_eq!(world.told(), ["kucoin"]);
    let feed = world.feed("kucoin");
    assert_eq!((feed.state, feed.since), (FeedState::Down, world.now_ms - FEED_SILENCE_MS));
    assert_eq!(feed.reason.as_deref(), Some("1 of 2 shards down: no word from its ingestor"));
    assert!(world.is_stale(&topic_of("kucoin", 1, 2)) && !world.is_stale(&topic_of("kucoin", 0, 2)));
    assert_eq!(world.hear("kucoin", 1, status(FeedState::Live, 2)), Heard::Same);
    assert_eq!(world.told(), ["kucoin"]);
    assert!(!world.is_stale(&topic_of("kucoin", 1, 2)));
}

#[test]
fn a_shard_that_nobody_speaks_for_is_down_after_a_while() {
    let mut world = World::new();
    for _ in 0..4 {
        world.hear("binance", 0, status(FeedState::Live, 2));
        world.changes();
        assert!(!world.is_stale(&topic_of("binance", 1, 2)), "too early to say");
        world.pass(BEAT);
    }
    assert_eq!(world.told(), ["binance"]);
    assert_eq!(world.feed("binance").reason.as_deref(), Some("1 of 2 shards down: nobody carries them"));
    assert!(world.is_stale(&topic_of("binance", 1, 2)) && !world.is_stale(&topic_of("binance", 0, 2)));
}

#[test]
fn a_planned_hand_over_changes_nothing() {
    let mut world = World::new();
    world.hear_all("binance", FeedState::Live, 2);
    world.changes();
    // The new owner has its own times; both speak for two beats, in any order; then the old one is gone.
    let new = || FeedStatus { since: 900, last_tick: Some(12), symbols: 5, ..status(FeedState::Live, 2) };
    for beat in 0..12 {
        world.pass(BEAT);
        world.hear("binance", 0, status(FeedState::Live, 2));
        world.hear("binance", 1, new());
        if beat < 2 {
            world.hear("binance", 1, status(FeedState::Live, 2));
        }
        assert_eq!(world.changes(), Changes::default(), "{beat}");
    }
    let feed = world.feed("binance");
    assert_eq!((feed.symbols, feed.last_tick, feed.since), (8, Some(12), SINCE));
}

#[test]
fn an_owner_whose_state_is_older_is_believed_once_the_other_is_silent() {
    let mut world = World::new();
    world.hear_all("binance", FeedState::Live, 2);
    world.hear("binance", 1, FeedStatus { since: 900, ..status(FeedState::Stale, 2) });
    assert_eq!(world.told(), ["binance"]);
    // Its last word; the new owner's clock is behind.
    let mut told = Vec::new();
    for beat in 1..=6 {
        world.pass(BEAT);
        world.hear("binance", 0, status(FeedState::Live, 2));
        world.hear("binance", 1, FeedStatus { since: 100, ..status(FeedState::Live, 2) });
        told.extend(world.told().into_iter().map(|venue| (beat, venue)));
    }
    assert_eq!(told, [(2, "binance".to_owned())]);
    assert!(!world.is_stale(&topic_of("binance", 1, 2)));
}

#[test]
fn while_the_number_of_shards_changes_either_word_is_enough() {
    let mut world = World::new();
    world.hear_all("binance", FeedState::Live, 2);
    world.changes();
    // One process after the other comes back with another number.
    for (old, new) in [(vec![0, 1], vec![]), (vec![0], vec![0, 1, 2, 3]), (vec![], vec![0, 1, 2, 3])] {
        for _ in 0..6 {
            world.pass(BEAT);
            for (shard, shards) in
                old.iter().map(|shard| (*shard, 2)).chain(new.iter().map(|shard| (*shard, 4)))
            {
                world.hear("binance", shard, status(FeedState::Live, shards));
            }
            assert_eq!(world.told(), Vec::<String>::new());
            assert!((0..4).all(|shard| !world.is_stale(&topic_of("binance", shard, 4))));
        }
    }
    assert_eq!((world.feed("binance").shards, world.feed("binance").symbols), (4, 12));
    assert_eq!(world.health.venues["binance"].len(), 1, "the old number is forgotten");
}

#[test]
fn a_venue_that_fell_silent_as_a_whole_stays_down() {
    let mut world = World::new();
    world.hear_all("kucoin", FeedState::Live, 2);
    world.pass(10 * FORGET);
    world.changes();
    assert_eq!(world.feed("kucoin").state, FeedState::Down);
    assert!(world.is_stale(&topic_of("kucoin", 0, 2)));
}

#[test]
fn on_demand_what_nobody_wants_is_no_outage() {
    let mut world = World::new();
    let word = |state, symbols, since| FeedStatus { demand: true, symbols, since, ..status(state, 2) };
    world.hear("binance", 0, word(FeedState::Connecting, 0, 100));
    world.hear("binance", 1, word(FeedState::Live, 0, 100));
    let changes = world.changes();
    assert!(changes.resumed.contains("binance"));
    assert_eq!(world.feed("binance").state, FeedState::Live);
    assert!(!world.is_stale(&topic_of("binance", 0, 2)));
    // The first client of a shard: its first prices may take a moment, and not longer.
    world.hear("binance", 0, word(FeedState::Connecting, 1, 200));
    assert!(world.told().is_empty() && !world.is_stale(&topic_of("binance", 0, 2)));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.told(), ["binance"]);
    assert_eq!(world.feed("binance").state, FeedState::Connecting);
    assert!(world.is_stale(&topic_of("binance", 0, 2)));
}

#[test]
fn who_begins_anew_is_told_what_is_wanted() {
    let mut world = World::new();
    let word = |state, since| FeedStatus { demand: true, since, ..status(state, 1) };
    let resumed = |world: &mut World| world.changes().resumed.len();
    world.hear("binance", 0, word(FeedState::Live, 100));
    assert_eq!(resumed(&mut world), 1);
    world.hear("binance", 0, word(FeedState::Live, 100));
    assert_eq!(resumed(&mut world), 0, "a heartbeat");
    world.hear("binance", 0, word(FeedState::Live, 200));
    assert_eq!(resumed(&mut world), 1, "a new owner, or the old one again");
    world.pass(SILENCE);
    assert_eq!(resumed(&mut world), 0, "nobody is there");
    world.hear("binance", 0, word(FeedState::Connecting, 300));
    assert_eq!(resumed(&mut world), 1);
    world.hear("kucoin", 0, status(FeedState::Live, 1));
    assert_eq!(resumed(&mut world), 0, "who carries all anyway");
}

#[test]
fn made_up_words_are_refused() {
    let mut world = World::new();
    for (shard, shards) in [("2", 2), ("x", 2), ("", 16), ("-1", 16), ("0", SHARDS_MAX + 1), ("0", u32::MAX)]
    {
        let heard = world.health.hear("binance", shard, status(FeedState::Live, shards), world.now, 0);
        assert_eq!(heard, Heard::Refused, "{shard:?} of {shards}");
    }
    assert_eq!(world.hear("no venue", 0, status(FeedState::Live, 1)), Heard::Refused);
    let heard = world.health.hear("binance", "all of it", status(FeedState::Live, 1), world.now, 0);
    assert_eq!(heard, Heard::News, "who has one shard may call it anything");
}

#[test]
fn made_up_shards_are_bounded_and_go_first() {
    let mut world = World::new();
    let live = || status(FeedState::Live, 1);
    assert_eq!(world.hear("binance", 0, live()), Heard::News);
    let taken = (0..2 * WORDS_MAX).filter(|n| world.hear(&format!("v{n}"), 0, live()) == Heard::News).count();
    assert_eq!(taken, WORDS_MAX - 1);
    assert_eq!(world.hear("binance", 0, live()), Heard::Same, "who is known goes on");
    assert_eq!(world.hear("kucoin", 0, live()), Heard::Refused);
    world.pass(FORGET);
    assert_eq!(world.hear("binance", 0, live()), Heard::Same);
    assert_eq!(world.hear("kucoin", 0, live()), Heard::News);
    assert_eq!(world.health.venues.len(), WORDS_MAX);
    world.changes();
    assert_eq!(world.feed("binance").state, FeedState::Live);
}

#[test]
fn without_nats_nothing_is_current() {
    let mut world = World::new();
    world.hear_all("kucoin", FeedState::Live, 2);
    world.changes();
    world.pass(BEAT);
    world.health.link(false, world.now, world.now_ms);
    assert_eq!(world.told(), ["kucoin"]);
    let feed = world.feed("kucoin");
    assert_eq!((feed.state, feed.since, feed.reason.as_deref()), (FeedState::Stale, world.now_ms, Some(CUT)));
    assert!(world.is_stale("kucoin:S0"));
    world.pass(Duration::from_secs(60));
    world.health.link(true, world.now, world.now_ms);
    assert_eq!(world.told(), ["kucoin"]);
    assert!(!world.is_stale("kucoin:S0"));
}

proptest! {
    /// Two owners that both say live, with any times and in any order, and never silent together: nobody hears of it.
    #[test]
    fn two_live_owners_never_flap(words in prop::collection::vec((0..2_u64, 0_u64..2_400), 1..60)) {
        let mut world = World::new();
        world.hear("binance", 0, status(FeedState::Live, 1));
        world.changes();
        for (owner, wait) in words {
            world.pass(Duration::from_millis(wait));
            world.hear("binance", 0, FeedStatus { since: SINCE + owner, ..status(FeedState::Live, 1) });
            prop_assert_eq!(world.changes(), Changes::default());
        }
    }
}
