use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::venue::contract::Carried;

fn entry(number: u8, key: u8) -> Entry {
    Entry {
        venue: "binance".to_owned(),
        symbol: format!("S{number}/USDT"),
        aliases: vec![format!("S{number}K{key}")],
        price_increment: None,
    }
}

fn followed(shards: u32) -> (Followed, watch::Receiver<Arc<List>>) {
    let mut follower = Follower::new([("binance", shards)]);
    let list = follower.list("binance").unwrap();
    (follower.venues.remove("binance").unwrap(), list)
}

#[test]
fn the_first_alias_is_the_key_and_the_symbol_where_there_is_none() {
    let (mut followed, list) = followed(4);
    let plain = Entry { aliases: Vec::new(), ..entry(1, 0) };
    let bad = Entry { symbol: "no symbol".to_owned(), ..entry(2, 0) };
    followed.take(&[plain, bad, entry(3, 7)]);
    let list = list.borrow();
    let keys: Vec<&str> = list.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(keys, ["S1/USDT", "S3K7"]);
    let third = list.get(&Symbol::new("S3/USDT").unwrap()).unwrap();
    assert_eq!(third.carried(), Carried { index: 1, key: "S3K7".to_owned() });
    assert_eq!(third.shard, shard_of("S3/USDT", 4));
}

#[test]
fn a_change_of_the_key_is_another_symbol_to_the_sockets() {
    let (mut followed, list) = followed(1);
    followed.take(&[entry(1, 0)]);
    let before = Arc::clone(&list.borrow());
    followed.take(&[entry(1, 1)]);
    let changes = list.borrow().changes_from(&before);
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((change.removed[0].index, change.added[0].index), (0, 1));
    followed.take(&[entry(1, 0)]);
    assert_eq!(*list.borrow(), before, "and the number of the first is kept for it");
}

#[test]
fn only_another_list_is_told() {
    let (mut followed, mut list) = followed(3);
    followed.take(&[]);
    assert!(!list.has_changed().unwrap(), "nothing is what was known");
    followed.take(&[entry(1, 0), entry(2, 0)]);
    assert!(list.has_changed().unwrap());
    list.mark_unchanged();
    followed.take(&[entry(2, 0), entry(1, 0)]);
    assert!(!list.has_changed().unwrap(), "the order says nothing");
    assert!(Follower::new([("binance", 1)]).list("kucoin").is_none());
}

proptest! {
    #[test]
    fn every_symbol_is_in_one_shard_and_changes_lead_from_list_to_list(
        steps in prop::collection::vec(prop::collection::btree_map(0u8..40, 0u8..2, 0..40), 1..6),
        shards in 1u32..20,
    ) {
        let (mut followed, list) = followed(shards);
        let mut before = Arc::clone(&list.borrow());
        let mut carried: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut names = HashMap::new();
        for step in steps {
            followed.take(&step.iter().map(|(number, key)| entry(*number, *key)).collect::<Vec<_>>());
            let now = Arc::clone(&list.borrow());
            for change in now.changes_from(&before) {
                prop_assert!(!change.removed.is_empty() || !change.added.is_empty());
                for gone in &change.removed {
                    prop_assert!(carried.remove(&(change.shard, gone.index)));
                }
                for new in &change.added {
                    prop_assert!(carried.insert((change.shard, new.index)));
                }
            }
            let whole: BTreeSet<_> = (0..shards).flat_map(|n| now.of_shard(n)).map(|l| (l.shard, l.index)).collect();
            prop_assert_eq!(&whole, &carried);
            prop_assert_eq!((now.len(), now.is_empty()), (step.len(), step.is_empty()));
            let weights = now.weights();
            prop_assert_eq!(weights.len(), shards as usize);
            prop_assert_eq!(weights.iter().sum::<u32>() as usize, step.len());
            for listed in now.iter() {
                let first = names.entry(listed.index).or_insert_with(|| (listed.symbol.clone(), listed.key.clone()));
                prop_assert_eq!(&*first, &(listed.symbol.clone(), listed.key.clone()), "a number is one symbol's");
            }
            before = now;
        }
    }
}
