//! The shard of a symbol, as other languages compute it.

use std::collections::BTreeSet;

use serde::Deserialize;
use tickwire_common::shard::shard_of;

use crate::vectors;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    symbol: String,
    shards: u32,
    shard: u32,
}

#[test]
fn symbols_belong_to_the_shards_of_the_vectors() {
    let all: Vec<Vector> = vectors("shards.json");
    for vector in &all {
        assert_eq!(shard_of(&vector.symbol, vector.shards), vector.shard, "{}", vector.about);
    }
    assert_eq!(all.iter().map(|vector| &vector.about).collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.len() >= 40);
}
