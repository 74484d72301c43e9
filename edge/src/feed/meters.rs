//! What the feed counts. Handles are taken once; no label grows with symbols.

use metrics::{Counter, Gauge, counter, gauge};

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
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
