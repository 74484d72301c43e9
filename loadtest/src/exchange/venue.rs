//! What REST, sockets and feeds of one simulated venue share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Config;
use super::catalogue::{Catalogue, Instrument};
use super::faults::Faults;
use super::hub::{ChannelId, Hub};
use super::listings::Listings;
use super::market::Market;
use super::own::OwnValues;
use super::stats::{Snapshot, Stats};

/// Whether a made-up market moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Moving,
    /// Asked to stop: a last move of every symbol is to come.
    Settling,
    /// Nothing moves, and the last frames are on their way.
    Quiet,
}

/// What differs between venues with a made-up market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Instruments listed at the start.
    pub(crate) listed: usize,
    /// Streams of each instrument.
    pub(crate) kinds: usize,
    /// Digits after the point of the change in percent.
    pub(crate) percent_digits: u8,
}

/// One simulated venue.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) catalogue: Catalogue,
    /// What is listed and muted, by position in the catalogue.
    pub(crate) listings: Listings,
    /// Stream names of the venue and their channels. A name that is missing here is silent.
    pub(crate) channels: HashMap<String, ChannelId>,
    /// The made-up market; none when a recording is played.
    pub(crate) market: Option<Mutex<Market>>,
    /// Changes when the made-up market is to stop or to go on.
    pub(crate) pace: watch::Sender<Pace>,
    /// Recorded REST answers by path, as in the venue's own API.
    pub(crate) answers: HashMap<String, String>,
    pub(crate) hub: Hub,
    pub(crate) stats: Stats,
    pub(crate) faults: Faults,
    /// Changes when all open sockets are to be cut.
    pub(crate) cuts: watch::Sender<u64>,
    /// Channels of each instrument, those of the first before those of the second; 0 where a recording has others.
    kinds: usize,
    percent_digits: u8,
}

impl Venue {
    /// A venue with a made-up market; `names` are its streams in channel order.
    pub(crate) fn synthetic(catalogue: Catalogue, names: Vec<String>, shape: Shape, config: &Config) -> Self {
        let Shape { listed, kinds, percent_digits } = shape;
        let market = Market::new(&catalogue, config.seed, config.path);
        let listings = Listings::new(catalogue.instruments().len(), listed);
        for muted in &config.muted {
            catalogue.find(muted).map(|position| listings.set_muted(position, true));
        }
        let base = Self::silent(catalogue, names, HashMap::new(), config.faults);
        Self { market: Some(Mutex::new(market)), listings, kinds, percent_digits, ..base }
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
        let all = catalogue.instruments().len();
        Self {
            listings: Listings::new(all, all),
            catalogue,
            channels,
            market: None,
            pace: watch::Sender::new(Pace::Moving),
            answers,
            hub,
            stats: Stats::default(),
            faults,
            cuts: watch::Sender::new(0),
            kinds: 0,
            percent_digits: 0,
        }
    }

    /// The made-up market, for a moment.
    pub(crate) fn market(&self) -> Option<MutexGuard<'_, Market>> {
        self.market.as_ref().map(|market| market.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The listed instruments, halted ones included, with their positions.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (usize, &Instrument)> {
        self.catalogue.instruments().iter().enumerate().filter(|(position, _)| self.is_listed(*position))
    }

    pub(crate) fn is_listed(&self, position: usize) -> bool {
        self.listings.is_listed(position)
    }

    /// Whether a channel is granted to whoever asks, but not delivered.
    pub(crate) fn is_muted(&self, channel: ChannelId) -> bool {
        channel.checked_div(self.kinds).is_some_and(|position| self.listings.is_muted(position))
    }

    /// The newest values of what is listed and trades, by the name that all venues share; `None` for a recording.
    pub(crate) fn own_values(&self) -> Option<BTreeMap<String, OwnValues>> {
        let market = self.market()?;
        let trading = self.listed().filter(|(_, one)| one.trading);
        let values = trading.filter_map(|(position, one)| {
            let quote = market.quote(position)?;
            Some((one.pair(), OwnValues::of(one, quote, self.percent_digits)))
        });
        Some(values.collect())
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
        self.stats.snapshot(self.hub.streams(), self.hub.channels_joined())
    }
}
