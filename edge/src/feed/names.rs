//! What a name means: exact (`binance:BTC/USDT`), bare (`BTC/USDT`) or a venue's own key (`BTCUSDT`, `NSE_EQ:1333`).
//! Owns the catalogue as the edge knows it; decides which venues can serve a name, not which one does.

use std::collections::{BTreeMap, HashMap};

use tickwire_common::symbol::{Symbol, Topic};
use tickwire_common::wire::error::ErrorCode;
use tickwire_nats::catalogue::CatalogueChange;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One symbol at one venue.
    Exact(Topic),
    /// The same symbol at these venues, in order of preference.
    AnyOf(Vec<Topic>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    /// Venues in order of preference; those not named here follow by name.
    order: Vec<String>,
    /// Whether a well-formed `venue:symbol` needs no catalogue.
    open: bool,
    venues: BTreeMap<String, VenueNames>,
}

#[derive(Debug, Default)]
struct VenueNames {
    /// Canonical symbols and aliases, each to its topic.
    topics: HashMap<String, Topic>,
    symbols: Vec<Symbol>,
}

impl Names {
    /// No catalogue yet.
    pub fn new(order: Vec<String>, open: bool) -> Self {
        Self { order, open, venues: BTreeMap::new() }
    }

    /// Takes in a venue as it is now.
    pub fn apply(&mut self, change: &CatalogueChange) {
        if change.instruments.is_empty() {
            self.venues.remove(&change.venue);
            return;
        }
        let mut venue = VenueNames::default();
        for instrument in &change.instruments {
            let Ok(topic) = Topic::new(&change.venue, &instrument.symbol) else { continue };
            venue.symbols.push(topic.symbol.clone());
            for alias in &instrument.aliases {
                if Symbol::new(alias).is_ok() {
                    venue.topics.entry(alias.clone()).or_insert_with(|| topic.clone());
                }
            }
            venue.topics.insert(instrument.symbol.clone(), topic);
        }
        self.venues.insert(change.venue.clone(), venue);
    }

    /// Whether names can be judged: a venue is known, or none needs to be.
    pub fn is_loaded(&self) -> bool {
        self.open || !self.venues.is_empty()
    }

    /// Every canonical topic.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        self.venues.iter().flat_map(|(venue, names)| {
            names.symbols.iter().map(|symbol| Topic { venue: venue.as_str().into(), symbol: symbol.clone() })
        })
    }

    /// What a client's name stands for.
    ///
    /// # Errors
    /// `unknown_symbol`, or `feed_down` while no catalogue is there to judge by.
    pub fn resolve(&self, name: &str) -> Result<Found, ErrorCode> {
        if let Ok(exact) = name.parse::<Topic>() {
            let known =
                self.venues.get(&*exact.venue).and_then(|venue| venue.topics.get(exact.symbol.as_str()));
            match known {
                Some(topic) => return Ok(Found::Exact(topic.clone())),
                None if self.open => return Ok(Found::Exact(exact)),
                None => {}
            }
        }
        let found: Vec<Topic> = self.in_order().filter_map(|venue| venue.topics.get(name)).cloned().collect();
        match found.is_empty() {
            false => Ok(Found::AnyOf(found)),
            true if self.is_loaded() => Err(ErrorCode::UnknownSymbol),
            true => Err(ErrorCode::FeedDown),
        }
    }

    fn in_order(&self) -> impl Iterator<Item = &VenueNames> {
        let preferred = self.order.iter().filter_map(|venue| self.venues.get(venue));
        let others =
            self.venues.iter().filter(|(venue, _)| !self.order.contains(venue)).map(|(_, names)| names);
        preferred.chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_nats::catalogue::Instrument;

    fn change(venue: &str, instruments: &[(&str, &str)]) -> CatalogueChange {
        let instruments = instruments.iter().map(|(symbol, alias)| Instrument {
            venue: venue.into(),
            symbol: (*symbol).into(),
            aliases: vec![(*alias).into()],
            price_increment: None,
        });
        CatalogueChange { venue: venue.into(), instruments: instruments.collect() }
    }

    fn names(open: bool) -> Names {
        let mut names = Names::new(vec!["kucoin".into(), "binance".into()], open);
        names.apply(&change("binance", &[("BTC/USDT", "BTCUSDT")]));
        names.apply(&change("kucoin", &[("BTC/USDT", "BTC-USDT"), ("KCS/USDT", "KCS-USDT")]));
        names.apply(&change("dhan", &[("NSE_EQ:1333", "HDFCBANK")]));
        names
    }

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_a_name() {
        let names = names(false);
        for (name, found) in [
            ("binance:BTC/USDT", Found::Exact(topic("binance:BTC/USDT"))),
            ("binance:BTCUSDT", Found::Exact(topic("binance:BTC/USDT"))),
            ("BTCUSDT", Found::AnyOf(vec![topic("binance:BTC/USDT")])),
            ("BTC-USDT", Found::AnyOf(vec![topic("kucoin:BTC/USDT")])),
            ("NSE_EQ:1333", Found::AnyOf(vec![topic("dhan:NSE_EQ:1333")])),
            ("BTC/USDT", Found::AnyOf(vec![topic("kucoin:BTC/USDT"), topic("binance:BTC/USDT")])),
        ] {
            assert_eq!(names.resolve(name), Ok(found), "{name}");
        }
        for name in ["binance:KCS/USDT", "bench:S0", "DOGE/USDT", "", "a b", "\"x"] {
            assert_eq!(names.resolve(name), Err(ErrorCode::UnknownSymbol), "{name}");
        }
    }

    #[test]
    fn open_symbols_need_a_venue_and_no_catalogue() {
        assert_eq!(Names::new(vec![], true).resolve("bench:S0"), Ok(Found::Exact(topic("bench:S0"))));
        assert_eq!(names(true).resolve("S0"), Err(ErrorCode::UnknownSymbol));
    }

    #[test]
    fn without_a_catalogue_nothing_is_called_unknown() {
        assert_eq!(Names::new(vec![], false).resolve("BTC/USDT"), Err(ErrorCode::FeedDown));
    }

    #[test]
    fn a_venue_without_instruments_is_gone() {
        let mut names = names(false);
        names.apply(&change("dhan", &[]));
        assert_eq!(names.resolve("NSE_EQ:1333"), Err(ErrorCode::UnknownSymbol));
        assert_eq!(names.topics().count(), 3);
    }
}
