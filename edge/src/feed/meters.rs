//! What the feed counts. Handles are taken once; no label grows with symbols.

use metrics::{Counter, Gauge, counter, gauge};

/// The feed's counters.
#[derive(Clone)]
pub(super) struct Meters {
    /// Topics held.
    pub topics: Gauge,
    /// Rows from NATS that passed the check.
    pub rows: Counter,
    /// Rows that did not.
    pub refused: Counter,
    /// Rows not newer than the newest, from the overlap of snapshots and live rows.
    pub duplicates: Counter,
}

impl Meters {
    pub fn new() -> Self {
        Self {
            topics: gauge!("tickwire_edge_topics"),
            rows: counter!("tickwire_edge_rows_total"),
            refused: counter!("tickwire_edge_refused_rows_total"),
            duplicates: counter!("tickwire_edge_duplicate_rows_total"),
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
