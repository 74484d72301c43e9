//! Which instruments a venue has, and which of them we carry: discovery, choice by the settings, and the catalogue on
//! NATS. Retries for ever, for a venue that is away must not end the process.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tickwire_common::backoff::Backoff;
use tickwire_nats::catalogue::Instrument as Entry;
use tracing::{info, warn};

use crate::config::Symbols;
use crate::rest::{Rest, RestError};
use crate::venue::contract::{AnswerError, Instrument, Venue};

/// Delays between attempts at discovery.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What the settings choose of a venue's instruments.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The instruments to carry, by symbol.
    pub chosen: Vec<Instrument>,
    /// Listed in the settings, but not traded at the venue.
    pub unknown: Vec<String>,
}

/// Asks the venue for its instruments until it answers; `failed` hears of each failure. By symbol, each once.
///
/// # Errors
/// Only if the back-off's bounds were wrong.
pub async fn discover(
    venue: &dyn Venue,
    rest: &Rest,
    mut failed: impl FnMut(&RestError),
) -> anyhow::Result<Vec<Instrument>> {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX)?;
    loop {
        let error = match attempt(venue, rest).await {
            Ok(instruments) => return Ok(instruments),
            Err(error) => error,
        };
        failed(&error);
        let delay = backoff.next_delay().max(error.pause());
        warn!(venue = venue.id(), %error, retry_seconds = delay.as_secs_f64(), "cannot read the instruments");
        tokio::time::sleep(delay).await;
    }
}

#[tracing::instrument(name = "discover", skip_all, fields(venue = venue.id()))]
async fn attempt(venue: &dyn Venue, rest: &Rest) -> Result<Vec<Instrument>, RestError> {
    let answer = rest.ask(venue.discovery()).await?;
    let instruments = venue.instruments(&answer)?;
    let by_symbol: BTreeMap<_, _> =
        instruments.into_iter().map(|instrument| (instrument.symbol.clone(), instrument)).collect();
    if by_symbol.is_empty() {
        return Err(AnswerError::Shape("no instrument that trades".to_owned()).into());
    }
    info!(venue = venue.id(), instruments = by_symbol.len(), "read the instruments");
    Ok(by_symbol.into_values().collect())
}

/// Chooses by canonical symbol or by the venue's own key; a symbol that is listed twice is carried once.
pub fn choose(instruments: &[Instrument], symbols: &Symbols) -> Choice {
    let Symbols::Listed(listed) = symbols else {
        return Choice { chosen: instruments.to_vec(), unknown: Vec::new() };
    };
    let by_name: HashMap<&str, &Instrument> = instruments
        .iter()
        .flat_map(|instrument| {
            [(instrument.key.as_str(), instrument), (instrument.symbol.as_str(), instrument)]
        })
        .collect();
    let mut chosen = BTreeMap::new();
    let mut unknown = Vec::new();
    for name in listed {
        match by_name.get(name.as_str()) {
            Some(instrument) => {
                chosen.insert(instrument.symbol.clone(), (*instrument).clone());
            }
            None => unknown.push(name.clone()),
        }
    }
    Choice { chosen: chosen.into_values().collect(), unknown }
}

/// The catalogue's entries for the instruments that we carry.
pub fn entries(venue: &str, instruments: &[Instrument]) -> Vec<Entry> {
    let entry = |instrument: &Instrument| Entry {
        venue: venue.to_owned(),
        symbol: instrument.symbol.to_string(),
        aliases: vec![instrument.key.clone()],
        price_increment: instrument.price_step.map(|step| step.to_string()),
    };
    instruments.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use tickwire_common::symbol::Symbol;

    use super::*;

    fn instruments() -> Vec<Instrument> {
        let make = |(symbol, key): (&str, &str)| Instrument {
            symbol: Symbol::new(symbol).unwrap(),
            key: key.to_owned(),
            price_step: "0.01".parse().ok(),
        };
        [("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT")].map(make).to_vec()
    }

    #[test]
    fn symbols_and_keys_choose_and_the_unknown_are_named() {
        let listed = ["ETHUSDT", "NOPE/USDT", "ETH/USDT", "btcusdt"].map(str::to_owned).to_vec();
        let choice = choose(&instruments(), &Symbols::Listed(listed));
        assert_eq!(choice.chosen, instruments()[1..]);
        assert_eq!(choice.unknown, ["NOPE/USDT", "btcusdt"]);
        assert_eq!(choose(&instruments(), &Symbols::All).chosen, instruments());
    }

    #[test]
    fn the_catalogue_has_the_venues_own_key_as_alias() {
        let entry = entries("binance", &instruments()).remove(0);
        assert_eq!((entry.venue.as_str(), entry.symbol.as_str()), ("binance", "BTC/USDT"));
        assert_eq!(
            (entry.aliases, entry.price_increment.as_deref()),
            (vec!["BTCUSDT".to_owned()], Some("0.01"))
        );
    }
}
