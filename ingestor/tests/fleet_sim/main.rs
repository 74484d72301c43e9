//! Deterministic simulation of the fleet: the real [`Member`](tickwire_ingestor::fleet::Member)s and fences in a model
//! of everything else, under schedules of faults that a seed decides.
//!
//! The model: a bucket with compare-and-swap and replicas that are behind; requests and answers that are delayed or
//! lost; writes that land long after they were given up; processes that crash, restart, freeze (their clock runs on) and
//! are drained; links that are cut; a server that restarts with or without its bucket; monotonic clocks that drift by
//! 2 % and wall clocks that jump; an exchange that numbers its ticks, boards that hand over, a conflated stream of last
//! values, and a client that drops what is not newer.
//!
//! What is checked: `check.rs`. A seed that fails is printed; it is replayed, with everything that happened, by
//!
//! ```text
//! TICKWIRE_FLEET_SEED=123 cargo test -p tickwire-ingestor --test fleet_sim -- one_seed --nocapture
//! TICKWIRE_FLEET_SEEDS=100000 cargo test --release -p tickwire-ingestor --test fleet_sim -- many_seeds
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its trace"
)]

mod bucket;
mod check;
mod market;
mod node;
mod schedule;
mod world;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Seeds of a plain `cargo test`.
const SEEDS_DEFAULT: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn run(seed: u64, trace: bool) -> Result<check::Seen, String> {
    let outcome = catch_unwind(|| World::new(seed, trace).run());
    outcome.unwrap_or_else(|_| Err("a panic, see above".to_owned()))
}

fn replay(seed: u64, problem: &str) -> String {
    let command = "cargo test -p tickwire-ingestor --test fleet_sim -- one_seed --nocapture";
    format!("seed {seed}: {problem}\nreplay: TICKWIRE_FLEET_SEED={seed} {command}")
}

#[test]
fn one_seed() {
    let named = number("TICKWIRE_FLEET_SEED");
    let seed = named.unwrap_or(1);
    let seen = run(seed, named.is_some()).unwrap_or_else(|problem| panic!("{}", replay(seed, &problem)));
    assert!(seen.rows > 0, "nothing was published: {seen:?}");
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 1..20 {
        assert_eq!(run(seed, false), run(seed, false));
    }
}

#[test]
fn many_seeds() {
    let seeds = number("TICKWIRE_FLEET_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let work = || {
        let (mut sum, mut failures) = (check::Seen::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failures.len() >= 3 {
                return (sum, failures);
            }
            match run(seed, false) {
                Ok(seen) => sum.add(&seen),
                Err(problem) => failures.push(replay(seed, &problem)),
            }
        }
    };
    let (mut sum, mut failures) = (check::Seen::default(), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for (seen, failed) in threads.into_iter().filter_map(|thread| thread.join().ok()) {
            sum.add(&seen);
            failures.extend(failed);
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    println!("{seeds} seeds: {sum:?}");
    assert!(seeds < 100 || (sum.hand_overs > seeds && sum.takes > seeds), "the schedules do little: {sum:?}");
}
