//! Words between two processes of the fleet: a question on `md.fleet.<member>` and its answer, over core NATS. Knows no
//! meaning of either. Nothing is kept: a question that nobody hears is an error at once, one that is not answered is
//! one after its time.

use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use bytes::Bytes;
use thiserror::Error;

use crate::connect::{LinkError, Nats};
use crate::publish::{PublishError, Publisher};
use crate::subject::{self, Subject};

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AskError {
    /// No process of that name listens: it never did, has ended, or has lost NATS.
    #[error("nobody of that name listens")]
    NoSuchPeer,
    /// No answer in time. The question may have been understood: look before asking again.
    #[error("no answer in time")]
    TimedOut,
    /// The question is larger than the server takes.
    #[error("the question of {bytes} bytes is larger than NATS takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The link is down.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Asks and is asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    nats: Nats,
}

impl Peers {
    /// Peers over this connection.
    pub fn new(nats: &Nats) -> Self {
        Self { nats: nats.clone() }
    }

    /// Listens under a name, which no other process may have. Works while NATS is away too, and begins with the link.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn listen(&self, id: &str) -> Result<Asked, LinkError> {
        let subject = subject::fleet(id).0;
        let inner = self.nats.client().subscribe(subject).await.map_err(|_| LinkError::Closed)?;
        Ok(Asked { inner, publisher: Publisher::new(&self.nats) })
    }

    /// Asks the process of that name and waits for its answer, a copy of its own.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, id: &str, payload: Bytes, patience: Duration) -> Result<Bytes, AskError> {
        if !self.nats.is_open() {
            return Err(LinkError::Disconnected.into());
        }
        let bytes = payload.len();
        let request = Request::new().payload(payload).timeout(Some(patience));
        match self.nats.client().send_request(subject::fleet(id).0, request).await {
            Ok(answer) => Ok(Bytes::copy_from_slice(&answer.payload)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => AskError::NoSuchPeer,
                RequestErrorKind::TimedOut => AskError::TimedOut,
                RequestErrorKind::MaxPayloadExceeded => AskError::TooLarge { bytes },
                _ => LinkError::Closed.into(),
            }),
        }
    }
}

/// What a process is asked, see [`Peers::listen`]; dropping it ends listening.
#[derive(Debug)]
pub struct Asked {
    inner: async_nats::Subscriber,
    publisher: Publisher,
}

impl Asked {
    /// The next question; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Question> {
        use futures_util::StreamExt as _;
        loop {
            let message = self.inner.next().await?;
            let payload = Bytes::copy_from_slice(&message.payload);
            if let Some(inbox) = message.reply {
                let reply = Reply { to: Subject(inbox), publisher: self.publisher.clone() };
                return Some(Question { payload, reply });
            }
            // Nobody waits for an answer: not one of ours.
            metrics::counter!("tickwire_nats_questions_without_reply_total").increment(1);
        }
    }
}

/// One question. Dropping it without an answer lets the asker wait in vain.
#[derive(Debug)]
pub struct Question {
    /// What was asked.
    pub payload: Bytes,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Where an answer goes.
#[derive(Debug)]
pub struct Reply {
    to: Subject,
    publisher: Publisher,
}

impl Reply {
    /// The most bytes of an answer that NATS takes; 1 MiB unless its configuration says otherwise.
    pub fn max_bytes(&self) -> usize {
        self.publisher.max_bytes()
    }

    /// Answers.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`] above [`Reply::max_bytes`]: nothing was sent, and a shorter answer may be.
    /// [`PublishError::Disconnected`] when the link is down.
    pub async fn answer(&self, payload: Bytes) -> Result<(), PublishError> {
        self.publisher.publish(&self.to, payload).await
    }
}
