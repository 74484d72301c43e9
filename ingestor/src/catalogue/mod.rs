//! What is carried of a venue, in the order it comes about: discovery asks the venue what it lists, `choose` takes what
//! the settings and the lists of others want of it, `order` keeps every entry in its place, `ledger` decides what to
//! believe. The keeper, one process a venue, drives this and writes `md_catalogue`; every process follows that bucket
//! and takes its symbols, by shard, from there alone. `start` is the look at the settings before all of it.
//!
//! An entry is what is needed to subscribe: the canonical symbol and, as its first alias, the venue's own key.

mod discover;

mod choose;
mod faults;
mod hint;
mod order;

mod ledger;

mod lists;

mod keeper;

mod follow;

mod start;

use tickwire_nats::catalogue::Instrument as Entry;

use crate::venue::contract::Instrument;

pub use follow::{Follower, List, Listed};
pub use keeper::Keeper;
pub use start::{Refused, check_start};

/// The catalogue's entries of these instruments; the venue's own key is the first alias.
fn entries(venue: &str, instruments: &[Instrument]) -> Vec<Entry> {
    let entry = |instrument: &Instrument| Entry {
        venue: venue.to_owned(),
        symbol: instrument.symbol.to_string(),
        aliases: vec![instrument.key.clone()],
        price_increment: instrument.price_step.map(|step| step.to_string()),
    };
    instruments.iter().map(entry).collect()
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::usdt;
    use super::*;

    #[test]
    fn the_venues_own_key_is_the_first_alias() {
        let mut instrument = usdt("BTC");
        instrument.price_step = "0.01".parse().ok();
        let entry = entries("binance", &[instrument]).remove(0);
        assert_eq!((entry.venue.as_str(), entry.symbol.as_str()), ("binance", "BTC/USDT"));
        assert_eq!(
            (entry.aliases, entry.price_increment.as_deref()),
            (vec!["BTCUSDT".to_owned()], Some("0.01"))
        );
    }
}
