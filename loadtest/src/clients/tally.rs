//! Counters of a run. What servers and kernels say becomes a label only up to [`LABELS_MAX`] different ones.

use std::collections::BTreeMap;

use serde::Serialize;

/// Most labels of one counter; what comes after counts as `other`.
const LABELS_MAX: usize = 32;

/// A counter by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Counts one more of this reason.
    pub(crate) fn add(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        let known = self.0.len() < LABELS_MAX || self.0.contains_key(&reason);
        *self.0.entry(if known { reason } else { "other".to_owned() }).or_default() += 1;
    }

    /// All reasons together.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// `3 refused, 1 timed out`.
    pub(crate) fn list(&self) -> String {
        let items: Vec<String> = self.0.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        items.join(", ")
    }
}

/// Everything that is counted, from the first connect to the end of the drain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Reads from sockets.
    pub(crate) reads: u64,
    /// Bytes from sockets.
    pub(crate) bytes: u64,
    /// Text messages.
    pub(crate) messages: u64,
    /// Update rows, of any kind.
    pub(crate) update_rows: u64,
    /// Snapshot rows, of any kind.
    pub(crate) snapshot_rows: u64,
    /// Update rows of the measured window, in order, at steady clients.
    pub(crate) rows: u64,
    /// Rows with the `v` that the client had already.
    pub(crate) duplicates: u64,
    /// Rows with a lower `v` than the client had already.
    pub(crate) disorder: u64,
    /// Symbols whose first row was an update although the server had a row to give when it was asked.
    pub(crate) without_snapshot: u64,
    /// Rows of symbols that the client did not ask for.
    pub(crate) rows_not_asked: u64,
    /// Messages that are not of the protocol.
    pub(crate) malformed: u64,
    /// Symbols that servers took.
    pub(crate) symbols_taken: u64,
    /// `status` messages that tell a steady client that it is too slow.
    pub(crate) slow_reader: u64,
    /// `status` messages that say that the server will end.
    pub(crate) going_away: u64,
    /// Feed state messages.
    pub(crate) feed_status: u64,
    /// Heartbeats.
    pub(crate) heartbeats: u64,
    /// Clients that did not get as far as an ack, by reason.
    pub(crate) failures: Reasons,
    /// Symbols that were refused, by code.
    pub(crate) refusals: Reasons,
    /// Other errors that servers told, by code.
    pub(crate) server_errors: Reasons,
    /// Connections of steady clients that ended although nobody asked, by close code.
    pub(crate) closes: Reasons,
}

impl Tally {
    /// Everything that a run without fault has none of, besides closes, loss, disorder and duplicates.
    pub(crate) fn errors(&self) -> u64 {
        let reasons = [&self.failures, &self.refusals, &self.server_errors];
        let told: u64 = reasons.iter().map(|reasons| reasons.total()).sum();
        told + self.without_snapshot + self.rows_not_asked + self.malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_reasons_have_a_bound() {
        let mut reasons = Reasons::default();
        for code in 0..100 {
            reasons.add(format!("code {code:03}"));
        }
        reasons.add("code 000");
        assert_eq!((reasons.0.len(), reasons.total(), reasons.0["other"]), (LABELS_MAX + 1, 101, 68));
        assert!(reasons.list().starts_with("2 code 000, 1 code 001"));
    }
}
