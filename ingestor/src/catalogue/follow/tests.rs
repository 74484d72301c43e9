use std::collections::BTreeSet;

use proptest::prelude::*;
use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Symbol;

use super::*;

fn entry(number: u8, key: u8) -> Entry {
    Entry {
        venue: "binance".to_owned(),
        symbol: format!("S{number}/USDT"),
        aliases: vec![format!("S{number}K{key}")],
        price_increment: None,
    }
}

#[test]
fn the_first_alias_is_the_key_and_the_symbol_where_there_is_none() {
    let plain = Entry { aliases: Vec::new(), ..entry(1, 0) };
    let bad = Entry { symbol: "no symbol".to_owned(), ..entry(2, 0) };
    let list = List::new(4, &[plain, bad, entry(3, 6), entry(3, 7)]);
    let keys: Vec<&str> = list.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(keys, ["S1/USDT", "S3K7"]);
    let third = list.get(&Symbol::new("S3/USDT").unwrap()).unwrap();
    assert_eq!(third.shard, shard_of("S3/USDT", 4));
}

#[test]
fn only_another_list_is_told() {
    let follower = Follower::new([("binance", 3)]);
    let mut list = follower.list("binance").unwrap();
    let mut is_told = |entries: &[Entry]| {
        follower.take("binance", entries);
        let is_told = list.has_changed().unwrap();
        list.mark_unchanged();
        is_told
    };
    assert!(!is_told(&[]), "nothing is what was known");
    assert!(is_told(&[entry(1, 0), entry(2, 0)]));
    assert!(!is_told(&[entry(2, 0), entry(1, 0)]), "the order says nothing");
    assert!(is_told(&[entry(1, 1), entry(2, 0)]), "another key is another list");
    assert!(follower.list("kucoin").is_none());
}

proptest! {
    #[test]
    fn every_symbol_is_in_exactly_one_shard(
        numbers in prop::collection::btree_set(0u8..40, 0..40),
        shards in 1u32..20,
    ) {
        let list = List::new(shards, &numbers.iter().map(|number| entry(*number, 0)).collect::<Vec<_>>());
        let parted: Vec<&Listed> = (0..shards).flat_map(|shard| list.of_shard(shard)).collect();
        prop_assert_eq!((parted.len(), list.len(), list.is_empty()), (numbers.len(), numbers.len(), numbers.is_empty()));
        let names: BTreeSet<&str> = parted.iter().map(|listed| listed.symbol.as_str()).collect();
        prop_assert_eq!(names.len(), numbers.len());
        let counts: Vec<u32> = (0..shards).map(|shard| list.of_shard(shard).count() as u32).collect();
        prop_assert_eq!(list.weights(), counts);
    }
}
