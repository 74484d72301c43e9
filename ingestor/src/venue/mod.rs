//! The venues. One folder each, of fixed file names (`mod`, `facts`, `discovery`, `codec`, `session`, `tests`,
//! `fixtures/`), and one line in [`REGISTRY`]; adding a venue touches nothing else.

pub mod contract;
pub mod facts;
pub mod requests;
pub mod scan;
pub mod subscriptions;
pub mod watch;

#[cfg(test)]
mod testing;

pub mod binance;
pub mod kucoin;

use contract::Venue;

/// Every venue that can be named in the settings.
pub const REGISTRY: &[&dyn Venue] = &[&binance::Binance, &kucoin::Kucoin];

/// The venue of this id.
pub fn find(id: &str) -> Option<&'static dyn Venue> {
    REGISTRY.iter().copied().find(|venue| venue.id() == id)
}
