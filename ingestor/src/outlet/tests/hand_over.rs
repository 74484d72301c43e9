//! A shard that changes hands: what all its owners published together, against the stream.

use super::*;

/// Two processes with clocks of their own hear the stream, each at its own pace; one joins late, and at some moment
/// takes over. Gives all that was published.
fn hand_over(
    stream: &[Update],
    (joined, released, reached): (usize, usize, usize),
    lag_us: u64,
    (batch, backlog_max): (usize, usize),
) -> Vec<(String, Bytes)> {
    let mut old = Process::new(10_000_000, 10);
    let mut new = Process::new(10_000_000 - lag_us, backlog_max);
    old.carry(&[], open());
    new.core.prepare(0);
    stream[..released].chunks(batch).for_each(|updates| old.hear(updates));
    stream[joined..reached].chunks(batch).for_each(|updates| new.hear(updates));
    assert!(new.sink.ticks().is_empty(), "published before it was ours");
    let left = old.release();
    // It goes on hearing for a while.
    stream[released..].chunks(batch).for_each(|updates| old.hear(updates));
    old.stop();
    old.sweep();
    new.take_over(&left, open());
    stream[reached..].chunks(batch).for_each(|updates| new.hear(updates));
    let mut ticks = old.sink.ticks();
    ticks.extend(new.sink.ticks());
    ticks
}

/// A shard that goes round: who takes it next, how many messages its owner hears before, how many of them the next one
/// has heard as well, and how far it is when it takes over.
fn round(stream: &[Update], hops: &[(usize, usize, usize, usize)]) -> Vec<(String, Bytes)> {
    let mut processes = [10_000_000, 9_000_000, 11_000_000].map(|clock_us| Process::new(clock_us, 1_000));
    let (mut owner, mut at, mut ticks) = (0, 0, Vec::new());
    processes[0].carry(&[], open());
    for (next, more, common, reached) in hops {
        let next = (owner + 1 + next % 2) % 3;
        let released = (at + more).min(stream.len());
        processes[owner].hear(&stream[at..released]);
        let joined = released - common.min(&released);
        at = (joined + reached).min(stream.len());
        processes[next].core.prepare(0);
        processes[next].hear(&stream[joined..at]);
        let left = processes[owner].release();
        processes[owner].stop();
        ticks.append(&mut processes[owner].taken());
        processes[next].take_over(&left, open());
        owner = next;
    }
    processes[owner].hear(&stream[at..]);
    ticks.append(&mut processes[owner].taken());
    ticks
}

proptest! {
    #[test]
    fn a_hand_over_misses_no_tick_and_says_none_twice(
        kinds in kinds(), at: (usize, usize, usize), lag_us in 0u64..5_000_000, batch in 1usize..9,
    ) {
        let stream = stream(&kinds);
        let ticks = hand_over(&stream, places(stream.len(), at), lag_us, (batch, 1_000));
        prop_assert_eq!(without_versions(&ticks), told(&stream));
        assert_versions_grow(&ticks);
    }

    #[test]
    fn a_small_backlog_merges_but_says_nothing_twice_and_loses_no_newest_row(
        kinds in kinds(), at: (usize, usize, usize), lag_us in 0u64..5_000_000, backlog_max in 1usize..5,
    ) {
        let stream = stream(&kinds);
        let ticks = hand_over(&stream, places(stream.len(), at), lag_us, (3, backlog_max));
        let (found, all) = (without_versions(&ticks), told(&stream));
        prop_assert_eq!(newest(&found), newest(&all));
        let unique: std::collections::HashSet<_> = found.iter().collect();
        prop_assert_eq!(unique.len(), found.len());
        assert_versions_grow(&ticks);
    }

    #[test]
    fn a_shard_that_goes_round_misses_no_tick_and_says_none_twice(
        kinds in kinds(), hops in prop::collection::vec((0usize..2, 0usize..40, 0usize..20, 0usize..40), 0..8),
    ) {
        let stream = stream(&kinds);
        let ticks = round(&stream, &hops);
        prop_assert_eq!(without_versions(&ticks), told(&stream));
        assert_versions_grow(&ticks);
    }

    /// What a hand-over says may be anything; afterwards rows go on all the same.
    #[test]
    fn a_spoilt_hand_over_does_no_harm(
        kinds in kinds(), at: prop::sample::Index, byte in prop::sample::select(b"{}[]\",:0-9.eE\x00\xff".to_vec()),
    ) {
        let stream = stream(&kinds);
        let (before, after) = stream.split_at(stream.len() / 2);
        let mut old = Process::new(10_000_000, 10);
        old.carry(&[], open());
        old.hear(before);
        let now = old.at();
        let (bytes, _) = old.core.release(0, now, &old.sink).encode();
        let mut spoilt = bytes.to_vec();
        *at.get_mut(&mut spoilt) = byte;
        if let Ok(left) = HandOver::decode(&spoilt, 0) {
            let mut new = Process::new(20_000_000, 10);
            new.take_over(&left, open());
            new.hear(after);
            assert_versions_grow(&new.sink.ticks());
        }
    }
}
