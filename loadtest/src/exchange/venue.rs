//! What REST, sockets and feeds of one simulated venue share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::catalogue::Catalogue;
use super::faults::Faults;
use super::hub::{ChannelId, Hub};
use super::market::Market;
use super::stats::{Snapshot, Stats};

/// One simulated venue.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) catalogue: Catalogue,
    /// Stream names of the venue and their channels. A name that is missing here is silent.
    pub(crate) channels: HashMap<String, ChannelId>,
    /// The made-up market; none when a recording is played.
    pub(crate) market: Option<Mutex<Market>>,
    /// Recorded REST answers by path, as in the venue's own API.
    pub(crate) answers: HashMap<String, String>,
    pub(crate) hub: Hub,
    pub(crate) stats: Stats,
    pub(crate) faults: Faults,
    /// Changes when all open sockets are to be cut.
    pub(crate) cuts: watch::Sender<u64>,
}

impl Venue {
    /// A venue with a made-up market; `names` are its streams in channel order.
    pub(crate) fn synthetic(catalogue: Catalogue, names: Vec<String>, seed: u64, faults: Faults) -> Self {
        let market = Market::new(&catalogue, seed);
        Self { market: Some(Mutex::new(market)), ..Self::silent(catalogue, names, HashMap::new(), faults) }
    }

    /// A venue that plays a recording.
    pub(crate) fn recorded(
        catalogue: Catalogue,
        names: Vec<String>,
        answers: HashMap<String, String>,
        faults: Faults,
    ) -> Self {
        Self::silent(catalogue, names, answers, faults)
    }

    fn silent(
        catalogue: Catalogue,
        names: Vec<String>,
        answers: HashMap<String, String>,
        faults: Faults,
    ) -> Self {
        let hub = Hub::new(names.len());
        let channels = names.into_iter().enumerate().map(|(id, name)| (name, id)).collect();
        let (market, stats, cuts) = (None, Stats::default(), watch::Sender::new(0));
        Self { catalogue, channels, market, answers, hub, stats, faults, cuts }
    }

    /// The made-up market, for a moment.
    pub(crate) fn market(&self) -> Option<MutexGuard<'_, Market>> {
        self.market.as_ref().map(|market| market.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The recorded answer to a REST path: with its query if that was recorded, else without.
    pub(crate) fn answer(&self, path: &str, query: Option<&str>) -> Option<&str> {
        let full = query.and_then(|query| self.answers.get(&format!("{path}?{query}")));
        full.or_else(|| self.answers.get(path)).map(String::as_str)
    }

    /// Drops every open socket at once; how many there were.
    pub(crate) fn cut_all(&self) -> u64 {
        let open = self.snapshot().sockets_open;
        self.cuts.send_modify(|generation| *generation += 1);
        open
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.stats.snapshot(self.hub.streams())
    }
}
