//! Which shard of a venue a symbol belongs to: rendezvous hashing, the same in every process and in every language.
//! A symbol moves only when the number of shards changes, and then only into a shard that is new. Knows no process:
//! who carries a shard is decided elsewhere.
//!
//! The hash is fixed for ever, because processes of two releases must agree: FNV-1a of 64 bits
//! (<http://www.isthe.com/chongo/tech/comp/fnv/>) over the symbol's UTF-8 bytes, then for each shard `n` the
//! finaliser of splitmix64 (<https://prng.di.unimi.it/splitmix64.c>) over `fnv1a + (n + 1) * 0x9E3779B97F4A7C15`, all
//! modulo 2^64. The highest number wins, the lower shard where two are equal. `common/vectors/shards.json` has examples.

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;
/// 2^64 divided by the golden ratio: neighbouring shards lie far apart before they are mixed.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Shards of a venue unless the configuration says otherwise.
pub const SHARDS_DEFAULT: u32 = 16;

/// Most shards of a venue: each costs a lease and a feed, and every symbol is weighed against each of them.
pub const SHARDS_MAX: u32 = 1_024;

/// The shard of a symbol, `0..shards`. No shards count as one. Costs a few nanoseconds a shard.
pub fn shard_of(symbol: &str, shards: u32) -> u32 {
    let hash = fnv1a(symbol.as_bytes());
    let mut best = (0, 0);
    for shard in 0..shards {
        let score = rendezvous(hash, shard);
        if score > best.0 {
            best = (score, shard);
        }
    }
    best.1
}

/// How much two names belong together, for rendezvous hashing among names: of several candidates the highest wins.
/// The same fixed hash as above, over `one`, a zero byte and `other`.
pub fn affinity(one: &str, other: &str) -> u64 {
    let hash = other.bytes().fold(fnv1a_step(fnv1a(one.as_bytes()), 0), fnv1a_step);
    mix(hash)
}

fn rendezvous(hash: u64, shard: u32) -> u64 {
    mix(hash.wrapping_add((u64::from(shard) + 1).wrapping_mul(STEP)))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().copied().fold(FNV_OFFSET, fnv1a_step)
}

fn fnv1a_step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// FNV's high bits are weak on short names; after this every bit depends on every other.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Names as venues have them: 2,000 of them, so that chance stays small.
    fn symbols(salt: u32) -> Vec<String> {
        (0..2_000).map(|n| format!("{:X}{salt}/USDT", n * 7 + 11)).collect()
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // The test values of the FNV page, and the first outputs of splitmix64 seeded with 0.
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
        assert_eq!(rendezvous(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(rendezvous(0, 1), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn few_shards_are_the_first() {
        assert_eq!((shard_of("BTC/USDT", 0), shard_of("BTC/USDT", 1)), (0, 0));
    }

    #[test]
    fn names_are_weighed_by_both_and_in_their_order() {
        let all: BTreeSet<u64> =
            [affinity("a", "b"), affinity("b", "a"), affinity("ab", ""), affinity("", "ab")].into();
        assert_eq!(all.len(), 4);
        assert_eq!(affinity("binance.3", "m1"), affinity("binance.3", "m1"));
    }

    proptest! {
        /// Within 8 standard deviations of an even share, and never an empty shard.
        #[test]
        fn symbols_are_spread_evenly(salt: u32, shards in 2_u32..64) {
            let symbols = symbols(salt);
            let mut counts = vec![0_f64; shards as usize];
            for symbol in &symbols {
                counts[shard_of(symbol, shards) as usize] += 1.0;
            }
            let even = symbols.len() as f64 / f64::from(shards);
            for count in counts {
                prop_assert!(count > 0.0 && (count - even).abs() < 8.0 * even.sqrt(), "{count} of {even}");
            }
        }

        #[test]
        fn one_shard_more_takes_its_share_and_moves_nothing_else(salt: u32, shards in 1_u32..64) {
            let symbols = symbols(salt);
            let mut moved = 0.0;
            for symbol in &symbols {
                let (before, after) = (shard_of(symbol, shards), shard_of(symbol, shards + 1));
                prop_assert!(after == before || after == shards, "{symbol}: {before} to {after}");
                moved += f64::from(u8::from(after != before));
            }
            let share = symbols.len() as f64 / f64::from(shards + 1);
            prop_assert!((moved - share).abs() < 8.0 * share.sqrt(), "{moved} moved, {share} is even");
        }

        #[test]
        fn any_text_has_a_shard(symbol in "\\PC{0,80}", shards in 1_u32..=SHARDS_MAX) {
            prop_assert!(shard_of(&symbol, shards) < shards);
        }
    }
}
