//! The look at the settings that only the venues make possible, before anything is carried: symbols that are not traded
//! and filters that match nothing end the start with one message. A venue that does not answer is left to its keeper,
//! which says the same in the log.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use thiserror::Error;
use tokio::time::timeout;
use tracing::warn;

use super::choose::{Named, Source, choose};
use super::discover::discover;
use super::faults;
use crate::config::{Selection, Symbols, VenueConfig};
use crate::rest::Rest;

/// Longest wait for all venues together: nothing is carried and no probe is answered meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Settings that cannot be meant; displays one mistake a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", sentences.join("\n"))]
pub struct Refused {
    /// One sentence a setting, which names it.
    pub sentences: Vec<String>,
}

/// Asks the venues whether they trade what the settings name, all at once and each once, for at most 5 s. Venues whose
/// settings cannot be wrong are not asked. What lists of others name is not looked at.
///
/// # Errors
/// [`Refused`], with all mistakes of all venues that answered: the process should end with status 2.
pub async fn check_start<'a>(
    venues: impl IntoIterator<Item = (&'a VenueConfig, &'a Rest)>,
) -> Result<(), Refused> {
    let checks = venues.into_iter().filter(|(config, _)| can_be_wrong(&config.selection)).map(check);
    let sentences: Vec<String> = join_all(checks).await.into_iter().flatten().collect();
    if sentences.is_empty() { Ok(()) } else { Err(Refused { sentences }) }
}

fn can_be_wrong(selection: &Selection) -> bool {
    match &selection.symbols {
        Symbols::All | Symbols::Demand => !selection.filter.is_empty(),
        Symbols::Listed(names) => !names.is_empty(),
    }
}

async fn check((config, rest): (&VenueConfig, &Rest)) -> Vec<String> {
    let venue = config.venue.id();
    // Which are the largest makes no difference to what is wrong.
    match timeout(PATIENCE, discover(config.venue, rest, false)).await {
        Ok(Ok(listing)) => {
            let choice = choose(&listing, &config.selection, &Named::default(), &BTreeSet::new());
            faults::sentences(venue, &choice, &[Source::Setting])
        }
        Ok(Err(error)) => {
            warn!(venue, %error, "cannot compare the settings with what the venue trades, going on");
            Vec::new()
        }
        Err(_) => {
            warn!(venue, "the venue does not say in time what it trades, going on");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
