//! One symbol at one venue as the edge holds it: its newest row, who waits for it, and its subscription.

use bytes::Bytes;
use futures_util::stream::AbortHandle;

use super::stand::Place;
use crate::hub::row::ViewId;

/// Names a topic for as long as the process lives; never used twice, so that a late job finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TopicId(pub u64);

/// An answer that waits for topics to be primed.
pub(super) type AnswerKey = usize;

#[derive(Debug)]
pub(super) struct TopicState {
    pub place: Place,
    /// Whether its rows are to be marked, as its shard was judged last.
    pub is_stale: bool,
    /// The newest row and its `v`.
    pub last: Option<(u64, Bytes)>,
    /// Views that show it.
    pub views: Vec<ViewId>,
    pub phase: Phase,
    /// Ends the stream of live rows, and with it the subscription.
    pub stop: Option<AbortHandle>,
}

/// How far the join of snapshot and live rows is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Subscribed or about to be; the snapshot is on its way, live rows wait in the subscription.
    Priming(Vec<AnswerKey>),
    /// Snapshot and live rows are joined.
    Live,
}

impl TopicState {
    pub fn new(place: Place, is_stale: bool, view: ViewId) -> Self {
        let phase = Phase::Priming(Vec::new());
        Self { place, is_stale, last: None, views: vec![view], phase, stop: None }
    }

    /// Takes in a row unless it is not newer than the newest; gives whether it was.
    pub fn take(&mut self, v: u64, row: &[u8]) -> bool {
        if self.last.as_ref().is_some_and(|(last, _)| v <= *last) {
            return false;
        }
        // A copy: the payload would keep the connection's whole read buffer alive.
        self.last = Some((v, Bytes::copy_from_slice(row)));
        true
    }

    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }
}

impl Drop for TopicState {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.abort();
        }
    }
}
