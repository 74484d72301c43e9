//! Asking a venue what it lists, and what was traded of it where a filter wants to know. One attempt is one or two REST
//! questions; how often is the caller's.

use std::collections::{BTreeMap, HashMap};

use tickwire_common::decimal::Decimal;
use tracing::debug;

use crate::rest::{Rest, RestError};
use crate::venue::contract::{AnswerError, Instrument, Venue};

/// What a venue lists at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// What trades, by symbol, each once; never empty where a venue was asked.
    pub instruments: Vec<Instrument>,
    /// 24 h volume in quote units by the venue's key, if it was asked for.
    pub volumes: HashMap<String, Decimal>,
}

/// Asks a venue once.
///
/// # Errors
/// [`RestError`]; an answer without anything that trades is one.
#[tracing::instrument(name = "discover", skip_all, fields(venue = venue.id()))]
pub(super) async fn discover(
    venue: &dyn Venue,
    rest: &Rest,
    with_volumes: bool,
) -> Result<Listing, RestError> {
    let answer = rest.ask(venue.discovery()).await?;
    if let Some(weight) = venue.announced_weight(&answer) {
        rest.announced(weight);
    }
    let instruments = venue.instruments(&answer)?;
    drop(answer);
    let by_symbol: BTreeMap<_, _> =
        instruments.into_iter().map(|instrument| (instrument.symbol.clone(), instrument)).collect();
    if by_symbol.is_empty() {
        return Err(AnswerError::Shape("no instrument that trades".to_owned()).into());
    }
    let volumes = if with_volumes { volumes(venue, rest).await? } else { HashMap::new() };
    debug!(
        venue = venue.id(),
        instruments = by_symbol.len(),
        volumes = volumes.len(),
        "read the instruments"
    );
    Ok(Listing { instruments: by_symbol.into_values().collect(), volumes })
}

async fn volumes(venue: &dyn Venue, rest: &Rest) -> Result<HashMap<String, Decimal>, RestError> {
    let Some(request) = venue.turnover() else { return Ok(HashMap::new()) };
    let turnovers = venue.turnovers(&rest.ask(request).await?)?;
    if turnovers.is_empty() {
        return Err(AnswerError::Shape("no volume of anything".to_owned()).into());
    }
    Ok(turnovers.into_iter().map(|turnover| (turnover.key, turnover.quote_volume)).collect())
}
