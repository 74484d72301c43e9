//! The outlet's metrics, by venue.

use metrics::{Counter, Gauge, counter, gauge};

use super::core::Levels;
use super::way::Tally;
use crate::rows;

#[derive(Debug)]
pub(super) struct Counts {
    rows: Counter,
    idle: Counter,
    superseded: Counter,
    restarts: Counter,
    conflated: Counter,
    fenced: Counter,
    refused: Counter,
    last_values: Counter,
    merged: Counter,
    unnumbered: Counter,
    unsent: Gauge,
    waiting: Gauge,
    warming_shards: Gauge,
    publishing_shards: Gauge,
    released_shards: Gauge,
}

impl Counts {
    pub(super) fn new(venue: &'static str) -> Self {
        let shards =
            |state: &'static str| gauge!("tickwire_ingest_shards", "venue" => venue, "state" => state);
        Self {
            rows: counter!("tickwire_ingest_rows_total", "venue" => venue),
            idle: counter!("tickwire_ingest_idle_updates_total", "venue" => venue),
            superseded: counter!("tickwire_ingest_superseded_total", "venue" => venue),
            restarts: counter!("tickwire_ingest_order_restarts_total", "venue" => venue),
            conflated: counter!("tickwire_ingest_conflated_rows_total", "venue" => venue),
            fenced: counter!("tickwire_ingest_fenced_rows_total", "venue" => venue),
            refused: counter!("tickwire_ingest_publish_errors_total", "venue" => venue),
            last_values: counter!("tickwire_ingest_last_values_total", "venue" => venue),
            merged: counter!("tickwire_ingest_warming_merged_updates_total", "venue" => venue),
            unnumbered: counter!("tickwire_ingest_unnumbered_symbols_total", "venue" => venue),
            unsent: gauge!("tickwire_ingest_unsent_rows", "venue" => venue),
            waiting: gauge!("tickwire_ingest_warming_updates", "venue" => venue),
            warming_shards: shards("warming"),
            publishing_shards: shards("publishing"),
            released_shards: shards("released"),
        }
    }

    /// Symbols for which there was no number.
    pub(super) fn unnumbered(&self, count: usize) {
        self.unnumbered.increment(count as u64);
    }

    pub(super) fn add(&self, tally: &Tally, rows: &rows::Counts) {
        let Tally { idle, conflated, fenced, refused, last_values, merged } = *tally;
        for (counter, count) in [
            (&self.rows, rows.applied),
            (&self.idle, idle),
            (&self.superseded, rows.superseded),
            (&self.restarts, rows.restarts),
            (&self.conflated, conflated),
            (&self.fenced, fenced),
            (&self.refused, refused),
            (&self.last_values, last_values),
            (&self.merged, merged),
        ] {
            if count > 0 {
                counter.increment(count);
            }
        }
    }

    pub(super) fn levels(&self, levels: &Levels) {
        self.unsent.set(levels.unsent_rows as f64);
        self.waiting.set(levels.waiting_updates as f64);
        self.warming_shards.set(levels.warming_shards);
        self.publishing_shards.set(levels.publishing_shards);
        self.released_shards.set(levels.released_shards);
    }
}
