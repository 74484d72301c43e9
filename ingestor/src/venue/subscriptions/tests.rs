//! Both venues' sessions against a model of their venue: symbols come and go at random, answers are late, lost or
//! refusals, and streams that were granted stay silent. In the end the venue has what was asked for and speaks on all of
//! it, no limit was ever passed, and what was granted once was never told to be refused.

mod model;

use proptest::prelude::*;

use crate::venue::binance;
use crate::venue::contract::SECOND;
use model::{Asked, BINANCE, KUCOIN, Rules, World};

fn run(rules: &'static Rules, seed: u64, symbols: u32, acts: usize) {
    let mut world = World::new(rules, seed, symbols);
    world.subscribe(&[symbols]);
    for _ in 0..acts {
        world.act(symbols);
    }
    world.check();
}

proptest! {
    // A quarter of what is usual: a case is a whole session.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn binance_has_in_the_end_what_was_asked_for(seed: u64, symbols in 1u32..60, acts in 1usize..30) {
        run(&BINANCE, seed, symbols, acts);
    }

    #[test]
    fn kucoin_has_in_the_end_what_was_asked_for(seed: u64, symbols in 1u32..60, acts in 1usize..30) {
        run(&KUCOIN, seed, symbols, acts);
    }
}

#[test]
fn what_is_above_the_limit_is_told_and_costs_nothing_else() {
    // KuCoin's topics come in lists of a hundred symbols: the one that fits by half is given up.
    for (rules, symbols, taken) in [(&BINANCE, 400u32, 341), (&KUCOIN, 200, 100)] {
        let mut world = World::new(rules, 1, 0);
        world.troubles = false;
        world.subscribe(&(0..symbols).collect::<Vec<_>>());
        world.pass(20 * SECOND);
        assert_eq!(world.wanted.len(), taken);
        world.check();
    }
}

#[test]
fn a_whole_new_list_goes_through_a_full_connection() {
    for (rules, symbols) in [(&BINANCE, 340u32), (&KUCOIN, 150)] {
        let mut world = World::new(rules, 2, 0);
        world.troubles = false;
        world.subscribe(&(0..symbols).collect::<Vec<_>>());
        world.pass(5 * SECOND);
        world.unsubscribe(&(0..symbols).collect::<Vec<_>>());
        world.subscribe(&(symbols..2 * symbols).collect::<Vec<_>>());
        world.pass(20 * SECOND);
        assert_eq!(world.wanted.len(), symbols as usize, "nothing was refused");
        world.check();
    }
}

/// A full connection where hardly anything is traded, for an hour. Its symbols came one after the other.
fn illiquid(rules: &'static Rules, symbols: u32, silent: fn(&str) -> bool) -> World {
    let mut world = World::new(rules, 3, 0);
    (world.troubles, world.silent) = (false, silent);
    for symbol in 0..symbols {
        world.subscribe(&[symbol]);
        world.pass(SECOND / 2);
        world.ping();
    }
    for _ in 0..180 {
        world.pass(20 * SECOND);
        world.ping();
    }
    world
}

#[test]
fn quiet_streams_share_requests_and_cost_nothing_else() {
    let nothing_but_one: fn(&str) -> bool = |stream| !stream.starts_with("s0usdt@");
    let tickers: fn(&str) -> bool = |stream| stream.starts_with("/market/ticker:");
    for (rules, symbols, silent) in
        [(&BINANCE, binance::facts::SYMBOLS_PER_SOCKET, nothing_but_one), (&KUCOIN, 130, tickers)]
    {
        let symbols = u32::try_from(symbols).unwrap();
        let mut world = illiquid(rules, symbols, silent);
        let asked = world.sim.sent.iter().filter_map(|(_, frame)| (rules.read)(frame));
        let given_up: Vec<Asked> = asked.filter(|asked| !asked.subscribe).collect();
        assert!(given_up.iter().flat_map(|asked| &asked.streams).all(|stream| silent(stream)));
        let quiet = world.sim.quiet();
        let times = |symbol: u32| quiet.iter().filter(|quiet| **quiet == symbol).count();
        // After 30 s, 1 min and so on, and a little more.
        assert!((1..symbols).all(|symbol| (5..=7).contains(&times(symbol))));
        assert!(given_up.len() < quiet.len() / 5, "{} requests for {}", given_up.len(), quiet.len());
        assert!(world.sim.rejected().is_empty());
        world.settle(60);
        world.check_limits();
    }
}
