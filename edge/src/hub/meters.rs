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
    pub blocked: Counter,
    /// How long one turn of the event loop took.
    pub turn: Histogram,
}

impl Meters {
    pub fn new(worker: u16) -> Self {
        let worker = worker.to_string();
        Self {
            connections: gauge!("tickwire_edge_connections", "worker" => worker.clone()),
            views: gauge!("tickwire_edge_views", "worker" => worker.clone()),
            subscriptions: gauge!("tickwire_edge_subscriptions", "worker" => worker),
            rows_in: counter!("tickwire_edge_worker_rows_total"),
            rows_out: counter!("tickwire_edge_client_rows_total"),
            skipped: counter!("tickwire_edge_skipped_rows_total"),
            messages_in: counter!("tickwire_edge_client_messages_total"),
            blocked: counter!("tickwire_edge_blocked_writes_total"),
            turn: histogram!("tickwire_edge_loop_turn_seconds"),
        }
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
