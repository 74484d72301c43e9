//! The choice under random histories of feeds, looked at as often as the feed's clock does.

use proptest::prelude::*;

use super::*;

const PATIENCE: Patience = Patience { leave: Duration::from_secs(3), back: Duration::from_secs(30) };

/// How often the feed looks at the clock.
const TICK: Duration = Duration::from_millis(500);

fn off(since: Instant) -> Stand {
    Stand::Off { since: Some(since) }
}

fn live(since: Instant) -> Stand {
    Stand::Live { since: Some(since) }
}

const ALWAYS: Stand = Stand::Live { since: None };

#[test]
fn the_first_live_one_begins() {
    let now = Instant::now();
    assert_eq!(Pick::first([off(now), live(now), ALWAYS]).chosen(), 1);
    assert_eq!(Pick::first([Stand::Down, off(now)]).chosen(), 0);
    assert_eq!(Pick::first([]).chosen(), 0);
}

#[test]
fn a_venue_that_is_down_is_left_at_once_and_one_that_is_stale_after_a_while() {
    let now = Instant::now();
    let mut pick = Pick::first([ALWAYS, ALWAYS]);
    assert_eq!(pick.next(&[Stand::Down, ALWAYS], now, &PATIENCE), Some(Why::Down));
    assert_eq!(pick.chosen(), 1);

    let mut pick = Pick::first([ALWAYS, ALWAYS]);
    let stands = [off(now), ALWAYS];
    assert_eq!(pick.next_deadline(&stands, now, &PATIENCE), Some(now + PATIENCE.leave));
    assert_eq!(pick.next(&stands, now + PATIENCE.leave - TICK, &PATIENCE), None);
    assert_eq!(pick.next(&stands, now + PATIENCE.leave, &PATIENCE), Some(Why::Stale));
    assert_eq!(pick.chosen(), 1);
}

#[test]
fn without_a_live_one_it_stays() {
    let now = Instant::now();
    let mut pick = Pick::first([ALWAYS, ALWAYS]);
    let stands = [Stand::Down, off(now)];
    assert_eq!(pick.next_deadline(&stands, now, &PATIENCE), None);
    assert_eq!(pick.next(&stands, now + PATIENCE.back, &PATIENCE), None);
}

#[test]
fn it_comes_back_to_one_that_was_live_without_a_break() {
    let now = Instant::now();
    let mut pick = Pick::first([ALWAYS, ALWAYS]);
    pick.next(&[Stand::Down, ALWAYS], now, &PATIENCE);
    let again = now + Duration::from_secs(60);
    let stands = [live(again), ALWAYS];
    assert_eq!(pick.next(&stands, again + PATIENCE.back - TICK, &PATIENCE), None);
    assert_eq!(pick.next(&stands, again + PATIENCE.back, &PATIENCE), Some(Why::Back));
    assert_eq!(pick.chosen(), 0);
}

#[test]
fn a_delisted_one_is_left_for_the_first_live_one() {
    let now = Instant::now();
    let mut pick = Pick::first([ALWAYS]);
    pick.start_over([Stand::Down, ALWAYS], now);
    assert_eq!(pick.chosen(), 1);
    pick.renumber(0);
    assert_eq!(pick.chosen(), 0);
}

/// A feed turns to another state after so many ticks.
#[derive(Debug, Clone)]
struct Turn {
    after: u32,
    candidate: usize,
    state: u8,
}

fn history() -> impl Strategy<Value = (usize, Vec<Turn>)> {
    // Mostly short times, so that they matter; now and then long enough for a way back.
    let after = prop_oneof![6 => 0_u32..12, 1 => 55_u32..130];
    let turn = (after, 0..4_usize, 0..4_u8).prop_map(|(after, candidate, state)| Turn {
        after,
        candidate,
        state: state.min(2),
    });
    (2..=4_usize, prop::collection::vec(turn, 1..80))
}

/// What has happened so far.
struct World {
    now: Instant,
    stands: Vec<Stand>,
    /// When each was last live and then not, or the other way round.
    turned: Vec<Option<Instant>>,
    pick: Pick,
    /// Since when the chosen one was without prices at each look while another had some.
    dead_since: Option<Instant>,
    moved: Option<Instant>,
    /// When the next move was announced, if nothing happens before.
    deadline: Option<Instant>,
}

impl World {
    fn turn(&mut self, turn: &Turn) {
        let at = turn.candidate % self.stands.len();
        if self.stands[at].is_live() != (turn.state == 0) {
            self.turned[at] = Some(self.now);
        }
        let since = self.turned[at];
        self.stands[at] = match turn.state {
            0 => Stand::Live { since },
            1 => Stand::Off { since },
            _ => Stand::Down,
        };
        self.look(true);
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.look(false);
    }

    fn look(&mut self, turned: bool) {
        let (before, now) = (self.pick.chosen(), self.now);
        let was = self.stands[before];
        let moved = self.pick.next(&self.stands, now, &PATIENCE);
        if let Some(why) = moved {
            let to = self.stands[self.pick.chosen()];
            assert!(to.is_live() && self.pick.chosen() != before);
            let apart = self.moved.map(|at| now - at);
            assert!(apart.is_none_or(|apart| apart >= PATIENCE.leave), "two moves within {apart:?}");
            if was.is_live() {
                assert!(why == Why::Back && self.pick.chosen() < before);
                let Stand::Live { since } = to else { panic!("{to:?}") };
                assert!(since.is_none_or(|since| now - since >= PATIENCE.back));
                assert!(apart.is_none_or(|apart| apart >= PATIENCE.back));
            }
            self.moved = Some(now);
        }
        if !turned {
            let due = self.deadline.is_some_and(|at| at <= now);
            assert_eq!(due, moved.is_some(), "moves of the clock are announced");
        }
        self.deadline = self.pick.next_deadline(&self.stands, now, &PATIENCE);
        self.judge();
    }

    fn judge(&mut self) {
        let dead = !self.stands[self.pick.chosen()].is_live() && self.stands.iter().any(|s| s.is_live());
        self.dead_since = if dead { self.dead_since.or(Some(self.now)) } else { None };
        let dead_for = self.dead_since.map_or(Duration::ZERO, |since| self.now - since);
        assert!(dead_for <= PATIENCE.leave, "without prices for {dead_for:?}: {:?}", self.stands);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn it_is_not_on_a_dead_feed_for_long_and_does_not_flicker((count, turns) in history()) {
        let mut world = World {
            now: Instant::now(),
            stands: vec![ALWAYS; count],
            turned: vec![None; count],
            pick: Pick::first(vec![ALWAYS; count]),
            dead_since: None,
            moved: None,
            deadline: None,
        };
        for turn in &turns {
            (0..turn.after).for_each(|_| world.tick());
            world.turn(turn);
        }
        // Once all is well for long it ends where it should be.
        for candidate in 0..count {
            world.turn(&Turn { after: 0, candidate, state: 0 });
        }
        (0..3 * PATIENCE.back.as_millis() / TICK.as_millis()).for_each(|_| world.tick());
        prop_assert_eq!(world.pick.chosen(), 0);
    }
}
