//! Properties of the assignment, and the fleet that the documentation speaks of.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const VENUES: [&str; 2] = ["binance", "kucoin"];

fn member(number: usize, venues: &[&str]) -> Candidate {
    Candidate {
        id: Name::from(format!("m{number}")),
        venues: venues.iter().map(|v| Name::from(*v)).collect(),
    }
}

fn fleet(size: usize) -> Vec<Candidate> {
    (0..size).map(|number| member(number, &VENUES)).collect()
}

/// Unowned posts of two venues with these weights.
fn posts(weights: &[u64]) -> Vec<Load> {
    let post = |n: usize| Post::shard(VENUES[n % 2], u32::try_from(n / 2).unwrap());
    weights.iter().enumerate().map(|(n, &weight)| Load { post: post(n), weight, owner: None }).collect()
}

/// The same posts, each with its wished owner as the present one.
fn settled(loads: &[Load], wishes: &BTreeMap<Post, Name>) -> Vec<Load> {
    loads.iter().map(|load| Load { owner: wishes.get(&load.post).cloned(), ..load.clone() }).collect()
}

fn sums(candidates: &[Candidate], loads: &[Load], wishes: &BTreeMap<Post, Name>) -> Vec<u64> {
    let of = |id: &Name| -> u64 {
        loads.iter().filter(|load| wishes.get(&load.post) == Some(id)).map(|load| load.weight).sum()
    };
    candidates.iter().map(|candidate| of(&candidate.id)).collect()
}

fn moved(loads: &[Load], wishes: &BTreeMap<Post, Name>) -> u64 {
    let moves =
        loads.iter().filter(|load| load.owner.is_some() && wishes.get(&load.post) != load.owner.as_ref());
    moves.map(|load| load.weight).sum()
}

fn assert_even(sums: &[u64]) {
    let even = sums.iter().sum::<u64>() as f64 / sums.len() as f64;
    for sum in sums {
        assert!((*sum as f64 - even).abs() <= even * 0.1 + 1e-9, "{sums:?}");
    }
}

#[test]
fn a_venue_goes_only_to_members_that_run_it() {
    let candidates = [member(0, &["binance"]), member(1, &VENUES), member(2, &[])];
    let wishes = assign(&candidates, &posts(&[10; 16]));
    assert_eq!(wishes.len(), 16);
    assert_eq!(
        sums(&candidates, &posts(&[10; 16]), &wishes),
        [80, 80, 0],
        "kucoin all to m1, binance levels it"
    );
    assert!(assign(&[member(0, &["dhan"])], &posts(&[1; 4])).is_empty());
    assert!(assign(&[], &posts(&[1; 4])).is_empty());
}

#[test]
fn what_is_even_enough_stays() {
    let candidates = fleet(2);
    let mut loads = posts(&[10; 20]);
    for (n, load) in loads.iter_mut().enumerate() {
        load.owner = Some(Name::from(if n < 11 { "m0" } else { "m1" }));
    }
    assert_eq!(moved(&loads, &assign(&candidates, &loads)), 0, "110 and 90 of 100 each");
    loads[11].owner = Some("m0".into());
    assert_eq!(moved(&loads, &assign(&candidates, &loads)), 10, "120 and 80 become 110 and 90");
}

/// Two venues of 16 shards with 1,200 and 1,500 symbols, as in the chaos run.
#[test]
fn three_members_share_two_venues() {
    let weights: Vec<u64> = (0..32).map(|n| if n % 2 == 0 { 94 + n % 7 } else { 75 - n % 9 }).collect();
    let loads = posts(&weights);
    for size in 1..=4 {
        let candidates = fleet(size);
        assert_even(&sums(&candidates, &loads, &assign(&candidates, &loads)));
    }
}

proptest! {
    #[test]
    fn every_post_has_one_able_owner(
        venues in prop::collection::vec(prop::sample::subsequence(VENUES.to_vec(), 0..=2), 0..6),
        weights in prop::collection::vec(0u64..1_000, 0..60),
        owners in prop::collection::vec(prop::option::of(0usize..8), 60),
    ) {
        let candidates: Vec<Candidate> = venues.iter().enumerate().map(|(n, venues)| member(n, venues)).collect();
        let mut loads = posts(&weights);
        for (load, owner) in loads.iter_mut().zip(owners) {
            load.owner = owner.map(|n| Name::from(format!("m{n}")));
        }
        let wishes = assign(&candidates, &loads);
        for load in &loads {
            let able: BTreeSet<&Name> =
                candidates.iter().filter(|c| c.venues.contains(&load.post.venue)).map(|c| &c.id).collect();
            prop_assert_eq!(wishes.contains_key(&load.post), !able.is_empty());
            prop_assert!(wishes.get(&load.post).is_none_or(|id| able.contains(id)));
        }
        let (mut candidates, mut again) = (candidates, settled(&loads, &wishes));
        prop_assert_eq!(moved(&again, &assign(&candidates, &again)), 0, "nothing moves twice");
        candidates.reverse();
        again.reverse();
        loads.reverse();
        prop_assert_eq!(assign(&candidates, &loads), wishes, "the order of the input means nothing");
    }

    /// No post is more than a tenth of a member's even share, so the weights allow it.
    #[test]
    fn work_is_even_and_little_moves(size in 1usize..6, weights in prop::collection::vec(50u64..=80, 120..200)) {
        let loads = posts(&weights);
        let total: u64 = weights.iter().sum();
        let (before, more) = (fleet(size), fleet(size + 1));
        let first = assign(&before, &loads);
        assert_even(&sums(&before, &loads, &first));

        let there = settled(&loads, &first);
        let grown = assign(&more, &there);
        assert_even(&sums(&more, &loads, &grown));
        let share = total / (size as u64 + 1);
        prop_assert!(moved(&there, &grown) <= share + share / 10, "a newcomer's share, and 10 % for weights");

        let there = settled(&loads, &grown);
        let shrunk = assign(&before, &there);
        assert_even(&sums(&before, &loads, &shrunk));
        let of_the_lost = sums(&more, &loads, &grown).last().copied().unwrap_or_default();
        prop_assert!(moved(&there, &shrunk) <= of_the_lost + share / 5, "what the lost one had, and little more");
    }

    #[test]
    fn weights_from_outside_never_overflow(weights in prop::collection::vec(any::<u64>(), 0..40)) {
        prop_assert_eq!(assign(&fleet(3), &posts(&weights)).len(), weights.len());
    }
}
