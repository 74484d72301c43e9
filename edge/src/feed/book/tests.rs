//! The book under random schedules: steps of a small [`World`], whose clients check what they are told.

use std::time::Duration;

use proptest::prelude::*;
use tickwire_common::feed::FeedState;

use crate::feed::pick::Patience;

mod world;

use world::{CLIENTS, NAMES, TOPICS, VENUES, WORKERS, World};

/// Two and four turns of the world's clock.
pub const PATIENCE: Patience =
    Patience { leave: Duration::from_millis(600), back: Duration::from_millis(1_200) };

/// What may happen in any order; a step that makes no sense at its moment does nothing.
#[derive(Debug, Clone)]
enum Step {
    Subscribe { client: usize, names: u8, snapshot: bool },
    Unsubscribe { client: usize, name: usize },
    Reconnect { client: usize },
    Publish { topic: usize },
    Store { topic: usize },
    Job { job: usize },
    Row { subscription: usize },
    Deliver { worker: usize },
    Feed { venue: usize, state: FeedState },
    List { listed: bool },
    Link { up: bool },
    Clock,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => (client.clone(), 1u8..32, prop::bool::weighted(0.8))
            .prop_map(|(client, names, snapshot)| Step::Subscribe { client, names, snapshot }),
        2 => (client.clone(), 0..NAMES.len()).prop_map(|(client, name)| Step::Unsubscribe { client, name }),
        1 => client.prop_map(|client| Step::Reconnect { client }),
        8 => (0..TOPICS.len()).prop_map(|topic| Step::Publish { topic }),
        2 => (0..TOPICS.len()).prop_map(|topic| Step::Store { topic }),
        8 => (0..4usize).prop_map(|job| Step::Job { job }),
        8 => (0..6usize).prop_map(|subscription| Step::Row { subscription }),
        6 => (0..WORKERS).prop_map(|worker| Step::Deliver { worker }),
        2 => (0..VENUES.len(), prop::sample::select(vec![FeedState::Live, FeedState::Stale, FeedState::Down]))
            .prop_map(|(venue, state)| Step::Feed { venue, state }),
        1 => any::<bool>().prop_map(|listed| Step::List { listed }),
        1 => any::<bool>().prop_map(|up| Step::Link { up }),
        3 => Just(Step::Clock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_misses_a_row_or_sees_one_twice(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.settle();
        world.check();
        world.check_empty();
    }
}
