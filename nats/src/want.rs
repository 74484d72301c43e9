//! Demand on NATS: edges say what they have clients for, ingestors hear it. The payload and the times are
//! [`tickwire_common::want`]; who repeats and who forgets is the caller's.

use bytes::Bytes;
use tickwire_common::symbol::Symbol;
use tickwire_common::want::{self, Want};

use crate::connect::{LinkError, Nats};
use crate::publish::{PublishError, Publisher};
use crate::subject;
use crate::subscribe::Subscription;

/// Says what is wanted; cheap to clone.
#[derive(Debug, Clone)]
pub struct Wants {
    nats: Nats,
    publisher: Publisher,
}

impl Wants {
    /// Demand over this connection.
    pub fn new(nats: &Nats) -> Self {
        Self { nats: nats.clone(), publisher: Publisher::new(nats) }
    }

    /// Says that these symbols of a venue are wanted, in as many messages as it takes; waits while the queue is full.
    ///
    /// # Errors
    /// A message was not taken, and none after it: say it all again when the link is up.
    pub async fn say(&self, venue: &str, symbols: &[Symbol]) -> Result<(), PublishError> {
        let subject = subject::want(venue);
        for payload in want::encode(symbols) {
            self.publisher.publish(&subject, Bytes::from(payload)).await?;
        }
        Ok(())
    }

    /// Hears what is wanted of a venue. Works while NATS is away too, and begins with the link.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn listen(&self, venue: &str) -> Result<Heard, LinkError> {
        Ok(Heard { inner: self.nats.subscribe(&subject::want(venue)).await? })
    }
}

/// What edges say, see [`Wants::listen`].
#[derive(Debug)]
pub struct Heard {
    inner: Subscription,
}

impl Heard {
    /// The symbols of the next message; `None` once the connection is closed. A message or a name that cannot be read
    /// is counted and passed over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Symbol>> {
        loop {
            let message = self.inner.next().await?;
            match want::decode(&message.payload) {
                Ok(Want { symbols, refused }) => {
                    refuse(refused);
                    return Some(symbols);
                }
                Err(error) => {
                    refuse(1);
                    tracing::debug!(subject = %message.subject, %error, "a want is unreadable, passed over");
                }
            }
        }
    }
}

fn refuse(count: usize) {
    metrics::counter!("tickwire_nats_refused_wants_total").increment(count as u64);
}
