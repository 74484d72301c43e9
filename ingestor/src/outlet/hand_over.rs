//! What the owner of a shard tells the next one: each symbol's row with its version and the venue's order up to which it
//! was published, and what was wanted. JSON; rows stand in it as they were published, digit by digit. Comes from
//! another process, so whatever cannot be read is an error, and a row that is none counts for its version at most.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;
use tickwire_common::row::read_v;
use tickwire_nats::Bytes;

use crate::venue::contract::Orders;

/// Largest hand-over, in bytes: below the 1 MiB that NATS takes by default, with room for what is put around it. About
/// 2,000 symbols with full rows.
pub const HAND_OVER_BYTES_MAX: usize = 960 * 1024;

/// One shard, as it was left.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HandOver {
    /// Which shard.
    pub shard: u32,
    /// Its symbols of which anything is known.
    pub symbols: Vec<Handed>,
    /// Symbols that edges wanted a moment ago.
    #[serde(default)]
    pub wants: Vec<String>,
}

/// One symbol, as it was left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handed {
    /// Canonical name.
    pub symbol: String,
    /// Its newest row.
    pub row: Box<RawValue>,
    /// Up to where the venue's order was told.
    pub orders: Orders,
    /// The row itself could not be published; it is to go out first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsent: bool,
}

/// A hand-over as it is written, each symbol as its text.
#[derive(Serialize)]
struct Written {
    shard: u32,
    symbols: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wants: Vec<String>,
}

/// Why bytes are no hand-over.
#[derive(Debug, Error)]
pub enum HandOverError {
    /// Over [`HAND_OVER_BYTES_MAX`].
    #[error("a hand-over has at most {HAND_OVER_BYTES_MAX} bytes, not {0}")]
    TooLarge(usize),
    /// Not the JSON of a hand-over; says where.
    #[error("cannot read a hand-over: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Of another shard than the one that was asked for.
    #[error("a hand-over of shard {0} instead of the one that was asked for")]
    OtherShard(u32),
}

impl HandOver {
    /// The bytes for the next owner, at most [`HAND_OVER_BYTES_MAX`]. Where that is too little, the last symbols are
    /// handed over without what their rows say, which their next updates tell again, and at the worst not at all; the
    /// number is of those. More shards make smaller ones.
    pub fn encode(mut self) -> (Bytes, usize) {
        let mut room = HAND_OVER_BYTES_MAX.saturating_sub(64);
        self.wants.retain(|name| take(&mut room, name.len() + 3));
        let texts: Vec<_> = self.symbols.iter().filter_map(Handed::texts).collect();
        // Room for every version is set aside first: without one a symbol's rows could go back in time.
        let kept = texts.iter().take_while(|(_, bare)| take(&mut room, bare.get().len() + 1)).count();
        let mut cut = self.symbols.len() - kept;
        let mut symbols = Vec::with_capacity(kept);
        for (whole, bare) in texts.into_iter().take(kept) {
            let fits = take(&mut room, whole.get().len().saturating_sub(bare.get().len()));
            cut += usize::from(!fits);
            symbols.push(if fits { whole } else { bare });
        }
        let written = Written { shard: self.shard, symbols, wants: self.wants };
        // Only maps with non-string keys and failing Serialize impls can fail; this has neither.
        (serde_json::to_vec(&written).unwrap_or_default().into(), cut)
    }

    /// Reads what another process says of `shard`.
    ///
    /// # Errors
    /// [`HandOverError`].
    pub fn decode(bytes: &[u8], shard: u32) -> Result<Self, HandOverError> {
        if bytes.len() > HAND_OVER_BYTES_MAX {
            return Err(HandOverError::TooLarge(bytes.len()));
        }
        let read: Self = serde_json::from_slice(bytes)?;
        if read.shard != shard {
            return Err(HandOverError::OtherShard(read.shard));
        }
        Ok(read)
    }
}

fn take(room: &mut usize, bytes: usize) -> bool {
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(*room);
    left.is_some()
}

impl Handed {
    /// A symbol with this row; `None` if it is no JSON.
    pub(super) fn new(symbol: &str, row: Vec<u8>, orders: Orders, unsent: bool) -> Option<Self> {
        let row = RawValue::from_string(String::from_utf8(row).ok()?).ok()?;
        Some(Self { symbol: symbol.to_owned(), row, orders, unsent })
    }

    /// The row's bytes.
    pub fn row(&self) -> &[u8] {
        self.row.get().as_bytes()
    }

    /// Its JSON, whole and with nothing in the row but the version.
    fn texts(&self) -> Option<(Box<RawValue>, Box<RawValue>)> {
        let Self { symbol, row: _, orders, unsent } = self;
        let row = json!({"v": read_v(self.row()).unwrap_or_default()});
        let bare = json!({"symbol": symbol, "row": row, "orders": orders, "unsent": unsent});
        Some((to_raw_value(self).ok()?, to_raw_value(&bare).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn handed(symbol: &str, row: &str) -> Handed {
        let orders = Orders { price: i64::MAX, quote: Orders::SILENT, stats: i64::MIN + 1 };
        Handed::new(symbol, row.as_bytes().to_vec(), orders, true).unwrap()
    }

    #[test]
    fn what_was_left_is_read_to_the_digit() {
        let row = r#"{"v":9,"price":0.000000000000000000000000012,"bid":100000000000000000000.5}"#;
        let left = HandOver { shard: 3, symbols: vec![handed("BTC/USDT", row)], wants: vec!["A".to_owned()] };
        let (bytes, cut) = left.encode();
        assert_eq!(cut, 0);
        let read = HandOver::decode(&bytes, 3).unwrap();
        let [symbol] = &read.symbols[..] else { panic!("{read:?}") };
        assert_eq!((symbol.row(), symbol.unsent), (row.as_bytes(), true));
        assert_eq!((symbol.orders.price, symbol.orders.quote), (i64::MAX, i64::MIN));
        assert_eq!(read.wants, ["A"]);
        assert!(matches!(HandOver::decode(&bytes, 4), Err(HandOverError::OtherShard(3))));
    }

    #[test]
    fn a_shard_too_large_keeps_its_versions() {
        let row = format!(r#"{{"v":9,"price":1,"x":"{}"}}"#, "x".repeat(400));
        for (count, kept) in [(1_000, 1_000), (4_000, 4_000), (10_000, 5_000)] {
            let symbols = (0..count).map(|n| handed(&format!("S{n}"), &row)).collect();
            let (bytes, cut) = HandOver { shard: 0, symbols, wants: Vec::new() }.encode();
            let read = HandOver::decode(&bytes, 0).unwrap();
            assert!(read.symbols.len() >= kept, "{}", read.symbols.len());
            assert_eq!(cut > 0, count > 1_000, "{cut} of {count}");
            assert!(read.symbols.iter().all(|symbol| read_v(symbol.row()) == Some(9)));
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let large = vec![b' '; HAND_OVER_BYTES_MAX + 1];
        assert!(matches!(HandOver::decode(&large, 0), Err(HandOverError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(HandOver::decode(&bytes, 0).is_err());
        }
    }
}
