//! What a worker counts. Handles are taken once; no label grows with symbols or clients.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tickwire_common::wire::close::CloseCode;

/// A worker's counters.
#[derive(Clone)]
pub(super) struct Meters {
    /// Connections of this worker.
    pub connections: Gauge,
    /// Views with a client of this worker.
    pub views: Gauge,
    /// Seats in them.
    pub subscriptions: Gauge,
    pub rows_in: Counter,
    pub rows_out: Counter,
    pub skipped: Counter,
    pub messages_in: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub blocked: Counter,
    /// Clients written to, and in how many batches.
    pub writes: Counter,
    pub write_batches: Counter,
    /// How long writing took in one turn.
    pub write: Histogram,
    /// Clients that are behind.
    pub slow: Gauge,
    pub told_slow: Counter,
    /// How long one turn of the event loop took.
    pub turn: Histogram,
}

impl Meters {
    pub fn new(worker: u16) -> Self {
        let worker = worker.to_string();
        Self {
            connections: gauge!("tickwire_edge_connections", "worker" => worker.clone()),
            views: gauge!("tickwire_edge_views", "worker" => worker.clone()),
            subscriptions: gauge!("tickwire_edge_subscriptions", "worker" => worker.clone()),
            slow: gauge!("tickwire_edge_slow_clients", "worker" => worker),
            rows_in: counter!("tickwire_edge_worker_rows_total"),
            rows_out: counter!("tickwire_edge_client_rows_total"),
            skipped: counter!("tickwire_edge_skipped_rows_total"),
            messages_in: counter!("tickwire_edge_client_messages_total"),
            bytes_in: counter!("tickwire_edge_received_bytes_total"),
            bytes_out: counter!("tickwire_edge_sent_bytes_total"),
            blocked: counter!("tickwire_edge_blocked_writes_total"),
            writes: counter!("tickwire_edge_writes_total"),
            write_batches: counter!("tickwire_edge_write_batches_total"),
            write: histogram!("tickwire_edge_write_seconds"),
            told_slow: counter!("tickwire_edge_slow_reader_events_total"),
            turn: histogram!("tickwire_edge_loop_turn_seconds"),
        }
    }

    /// Counts this worker among those that write this way.
    pub fn count_way(&self, way: &'static str, by: f64) {
        gauge!("tickwire_edge_write_way", "way" => way).increment(by);
    }

    pub fn closed(&self, why: &'static str) {
        counter!("tickwire_edge_closes_total", "reason" => why).increment(1);
    }

    pub fn closed_with(&self, code: CloseCode) {
        self.closed(code.as_str());
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
