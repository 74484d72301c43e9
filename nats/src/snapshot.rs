//! Snapshots: the newest row of many symbols at once, out of the last-value stream. A row can be a moment older than
//! what a subscription has seen already, because any replica may answer: compare versions.

use bytes::Bytes;
use thiserror::Error;
use tickwire_common::symbol::Topic;
use tokio::time::Instant;

use crate::connect::{LinkError, Nats};
use crate::direct::Reader;
use crate::setup::LAST_STREAM;
use crate::subject;

/// Why there is no snapshot. Transient: try again when the link is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot read the snapshot: {0}")]
pub struct SnapshotError(#[from] pub LinkError);

/// Reads last values; clones share the bounds of what is in flight, and what is beyond them waits.
#[derive(Debug, Clone)]
pub struct Snapshots {
    reader: Reader,
}

impl Snapshots {
    /// Reads over this connection.
    pub fn new(nats: &Nats) -> Self {
        Self { reader: Reader::new(nats, LAST_STREAM) }
    }

    /// The newest row of each topic, in their order. `None` where the stream has none, or where there is no stream.
    /// The rows are copies of their own and may be kept.
    ///
    /// # Errors
    /// When NATS is away.
    #[tracing::instrument(name = "snapshot", skip_all, fields(topics = topics.len()))]
    pub async fn get(&self, topics: &[Topic]) -> Result<Vec<Option<Bytes>>, SnapshotError> {
        let name = |topic: &Topic| subject::last(&topic.venue, topic.symbol.as_str()).to_string();
        let subjects: Vec<String> = topics.iter().map(name).collect();
        let started = Instant::now();
        let rows = self.reader.get(&subjects).await?;
        metrics::histogram!("tickwire_nats_snapshot_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("tickwire_nats_snapshot_rows_total")
            .increment(rows.iter().flatten().count() as u64);
        Ok(rows)
    }
}
