//! What the feed counts. Handles are taken once; no label grows with symbols.

use metrics::{Counter, Gauge, counter, gauge};
use tickwire_common::feed::FeedState;

use super::health::Feeds;
use super::pick::Why;

/// Where the newest row of a symbol comes from that a client subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Another client has the symbol, or had it lately.
    Memory,
    /// The stream of last values was read for it.
    Store,
    /// There is none.
    None,
}

/// The feed's counters.
#[derive(Clone)]
pub(super) struct Meters {
    /// Topics held.
    pub topics: Gauge,
    /// Views without clients.
    pub lingering: Gauge,
    /// Subscribes whose topics are being joined.
    pub waiting: Gauge,
    /// Asks of the workers that nobody has looked at.
    pub asks: Gauge,
    /// Joins and snapshots under way at NATS.
    pub jobs: Gauge,
    /// Rows from NATS that passed the check.
    pub rows: Counter,
    /// Rows that did not.
    pub refused: Counter,
    /// Rows not newer than the newest, from the overlap of snapshots and live rows.
    pub duplicates: Counter,
    /// Symbols said to be wanted, repeats too.
    pub wants: Counter,
    memory: Counter,
    store: Counter,
    none: Counter,
}

impl Meters {
    pub fn new() -> Self {
        let snapshots = |source: &'static str| counter!("tickwire_edge_snapshots_total", "source" => source);
        Self {
            topics: gauge!("tickwire_edge_topics"),
            lingering: gauge!("tickwire_edge_lingering_views"),
            waiting: gauge!("tickwire_edge_waiting_subscribes"),
            asks: gauge!("tickwire_edge_feed_asks"),
            jobs: gauge!("tickwire_edge_feed_jobs"),
            rows: counter!("tickwire_edge_rows_total"),
            refused: counter!("tickwire_edge_refused_rows_total"),
            duplicates: counter!("tickwire_edge_duplicate_rows_total"),
            wants: counter!("tickwire_edge_wants_total"),
            memory: snapshots("memory"),
            store: snapshots("store"),
            none: snapshots("none"),
        }
    }

    /// Counts one symbol of a subscribe.
    pub fn snapshot(&self, source: Source) {
        let counter = match source {
            Source::Memory => &self.memory,
            Source::Store => &self.store,
            Source::None => &self.none,
        };
        counter.increment(1);
    }

    /// Counts a name without venue that goes elsewhere.
    pub fn moved(&self, why: Why) {
        let reason = match why {
            Why::Down => "down",
            Why::Stale => "stale",
            Why::Back => "back",
            Why::Delisted => "delisted",
        };
        counter!("tickwire_edge_venue_moves_total", "reason" => reason).increment(1);
    }

    /// Says how many shards of each venue are in which state.
    pub fn shards(&self, feeds: &Feeds) {
        for (venue, feed) in feeds.all() {
            for state in STATES {
                let count = feed.shards().filter(|(_, status)| status.state == state).count();
                gauge!("tickwire_edge_feed_shards", "venue" => venue.to_owned(), "state" => state.as_str())
                    .set(count as f64);
            }
        }
    }
}

const STATES: [FeedState; 5] =
    [FeedState::Connecting, FeedState::Live, FeedState::Stale, FeedState::Down, FeedState::Closed];

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
