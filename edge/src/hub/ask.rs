//! What workers ask of the rest of the edge.

use tickwire_common::wire::request::ReqId;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::client::{ClientId, Grant};
use super::row::{RowFrame, ViewId};

/// Asks that wait for the feed; above it a subscribe is answered `overloaded`.
pub const ASKS_MAX: usize = 4_096;

/// One question.
#[derive(Debug)]
pub enum Ask {
    /// Find these names and give the client a seat in their views.
    Subscribe(Box<SubscribeAsk>),
    /// Clients have left these views, one entry a client.
    Release {
        /// Whose clients.
        worker: u16,
        /// The views they left.
        views: Vec<ViewId>,
    },
}

/// A client's subscribe.
#[derive(Debug)]
pub struct SubscribeAsk {
    /// Who.
    pub client: ClientId,
    /// What, as the client wrote it; no name twice.
    pub names: Vec<String>,
    /// How to answer.
    pub form: AnswerForm,
}

/// What the answer to a subscribe must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerForm {
    /// To be echoed.
    pub req_id: Option<ReqId>,
    /// When the request was read, Unix µs.
    pub time_in: u64,
    /// Whether the newest rows go with it.
    pub snapshot: bool,
    /// Only rows with a higher `v`.
    pub since: u64,
    /// Least milliseconds between two rows; 0 for every row.
    pub throttle_ms: u16,
}

impl AnswerForm {
    /// The row of this grant that goes with the answer.
    pub fn row<'g>(&self, grant: &'g Grant) -> Option<&'g RowFrame> {
        grant.last.as_deref().filter(|row| self.snapshot && row.v > self.since)
    }
}

/// A worker's line to the feed. Subscribes are refused when it is full; releases are kept and sent later, so that no
/// count goes wrong.
#[derive(Debug)]
pub struct AskLine {
    sender: mpsc::Sender<Ask>,
    worker: u16,
    /// Releases that did not fit; at most one entry a seat of this worker.
    unsent: Vec<ViewId>,
}

impl AskLine {
    /// A line for one worker.
    pub fn new(sender: mpsc::Sender<Ask>, worker: u16) -> Self {
        Self { sender, worker, unsent: Vec::new() }
    }

    /// Asks for names; gives the ask back when the line is full.
    ///
    /// # Errors
    /// The ask itself.
    pub fn subscribe(&mut self, ask: Box<SubscribeAsk>) -> Result<(), Box<SubscribeAsk>> {
        match self.sender.try_send(Ask::Subscribe(ask)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Ask::Subscribe(ask)) | TrySendError::Closed(Ask::Subscribe(ask))) => {
                Err(ask)
            }
            Err(_) => Ok(()),
        }
    }

    /// Says that clients left views.
    pub fn release(&mut self, views: impl IntoIterator<Item = ViewId>) {
        self.unsent.extend(views);
    }

    /// Sends what waits; gives whether anything still does.
    pub fn send_waiting(&mut self) -> bool {
        if self.unsent.is_empty() {
            return false;
        }
        let Ok(place) = self.sender.try_reserve() else { return !self.sender.is_closed() };
        place.send(Ask::Release { worker: self.worker, views: std::mem::take(&mut self.unsent) });
        false
    }
}
