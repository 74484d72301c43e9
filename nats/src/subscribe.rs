//! Subscriptions, one subject each, made when somebody asks and left when nobody does. They come back by themselves
//! after an outage; what was published meanwhile is gone, which [`LinkState::epoch`](crate::LinkState) tells.
//!
//! A reader that falls [`SUBSCRIPTION_CAPACITY`](crate::connect::SUBSCRIPTION_CAPACITY) messages behind loses the
//! NEWEST messages, not the oldest: the library refuses them at the full queue. They are counted in
//! `tickwire_nats_dropped_messages_total` (at least; the library forgets some reports in a storm). Readers should
//! therefore take messages out at once and conflate where they keep them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::connect::{LinkError, Nats};
use crate::subject::Subject;

/// A message as it came. `payload` is a slice of the connection's 64 KiB read buffer and keeps the whole buffer alive:
/// who stores it copies it first (`Bytes::copy_from_slice`).
#[derive(Debug, Clone)]
pub struct Message {
    /// What it was published on.
    pub subject: Subject,
    /// The bytes published.
    pub payload: Bytes,
}

/// A running subscription; dropping it unsubscribes. Also a [`Stream`] of messages.
#[derive(Debug)]
pub struct Subscription {
    inner: async_nats::Subscriber,
}

impl Nats {
    /// Subscribes. Works while NATS is away too, up to the room of the command queue; the subscription then begins
    /// with the link. [`Nats::barrier`] afterwards tells that it is active.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn subscribe(&self, subject: &Subject) -> Result<Subscription, LinkError> {
        let inner = self.client().subscribe(subject.0.clone()).await.map_err(|_| LinkError::Closed)?;
        Ok(Subscription { inner })
    }
}

impl Subscription {
    /// The next message; `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<Message> {
        StreamExt::next(self).await
    }

    /// Leaves the subject. More reliable than dropping, which gives up when the command queue is full.
    pub async fn unsubscribe(mut self) {
        // Fails only when the connection is closed, and then there is nothing to leave.
        let _ = self.inner.unsubscribe().await;
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let message = std::task::ready!(self.inner.poll_next_unpin(cx));
        Poll::Ready(message.map(|m| Message { subject: Subject(m.subject), payload: m.payload }))
    }
}
