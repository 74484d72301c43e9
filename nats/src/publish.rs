//! Publishing without acknowledgement: a tick that cannot go out now is refused, not queued, because a newer one
//! follows. Keeps nothing; what to do with a refused tick is the caller's decision.

use bytes::Bytes;
use futures_util::FutureExt as _;
use thiserror::Error;

use crate::connect::{LinkError, Nats};
use crate::subject::Subject;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublishError {
    /// There is no connection. Publish the newest again when the link is up.
    #[error("NATS is not connected")]
    Disconnected,
    /// The connection's queue is full: the socket takes less than we publish. Try again in a moment.
    #[error("the queue to NATS is full")]
    Full,
    /// The payload is larger than the server takes. Never try it again.
    #[error("the payload of {bytes} bytes is larger than NATS takes")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
    },
}

/// Publishes on one connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    nats: Nats,
}

impl Publisher {
    /// A publisher on this connection.
    pub fn new(nats: &Nats) -> Self {
        Self { nats: nats.clone() }
    }

    /// Hands a message to the connection or refuses it; never waits, so that it may be called where a socket is read.
    ///
    /// The state is asked first, because the library would queue thousands of messages while it is disconnected and
    /// send them, stale, on return. Runs outside tokio's cooperative budget, which would otherwise refuse
    /// after 128 messages in one go although there is room.
    ///
    /// # Errors
    /// The message was not taken, see [`PublishError`].
    pub fn try_publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.check(&payload)?;
        let sent = tokio::task::unconstrained(self.nats.client().publish(subject.0.clone(), payload));
        match sent.now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(PublishError::Disconnected),
            None => Err(PublishError::Full),
        }
    }

    /// As [`Publisher::try_publish`], but waits while the queue is full. For rare messages outside a socket's task.
    ///
    /// # Errors
    /// The message was not taken, see [`PublishError`]; never `Full`.
    pub async fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.check(&payload)?;
        let sent = self.nats.client().publish(subject.0.clone(), payload).await;
        sent.map_err(|_| PublishError::Disconnected)
    }

    /// Waits until the server has everything published before; the library's own flush only reaches the socket.
    ///
    /// # Errors
    /// When the link is down or does not answer.
    pub async fn flush(&self) -> Result<(), LinkError> {
        self.nats.barrier().await
    }

    /// The most bytes of a payload that the server takes, as far as it told.
    pub(crate) fn max_bytes(&self) -> usize {
        self.nats.client().max_payload()
    }

    fn check(&self, payload: &Bytes) -> Result<(), PublishError> {
        if !self.nats.is_open() {
            return Err(PublishError::Disconnected);
        }
        if payload.len() > self.max_bytes() {
            return Err(PublishError::TooLarge { bytes: payload.len() });
        }
        Ok(())
    }
}
