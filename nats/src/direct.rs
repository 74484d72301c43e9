//! Direct Get: the newest message of many subjects of one stream, answered by any replica without queueing at the
//! leader (ADR-31 of <https://github.com/nats-io/nats-architecture-and-design>).
//!
//! A batch request brings up to 1,024 messages; servers before 2.11 answer it with 408 and get single requests
//! instead, many in flight. A stream that does not exist is answered by nobody, on old servers with silence: hence a
//! short timeout of our own, after which a round trip tells a missing stream from a missing server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::connect::{LinkError, Nats};

/// Longest wait for one message.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Most subjects that one batch request may match: `maxAllowedResponses` in server/stream.go.
const BATCH_MAX: usize = 1_024;
/// Most bytes of one batch. Without it the server sends up to its `max_pending`, and then cuts us off as too slow.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Batch requests at once; the server locks the stream during each.
const BATCHES_IN_FLIGHT: usize = 4;
/// Single requests at once.
const SINGLES_IN_FLIGHT: usize = 128;

/// Status codes of ADR-31.
mod status {
    pub(super) const END_OF_BATCH: u16 = 204;
    pub(super) const EMPTY_REQUEST: u16 = 408;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const NO_RESPONDERS: u16 = 503;
}

/// A message as the stream keeps it, copied out of the connection's buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number in the stream.
    pub(crate) sequence: u64,
    pub(crate) payload: Bytes,
    /// No value, but a bucket's mark that the key is gone (ADR-8, ADR-43).
    pub(crate) deleted: bool,
}

impl Stored {
    fn read(reply: &Message) -> Option<Self> {
        let sequence = header(reply, "Nats-Sequence")?.parse().ok()?;
        let payload = Bytes::copy_from_slice(&reply.payload);
        let deleted = payload.is_empty()
            && (matches!(header(reply, "KV-Operation"), Some("DEL" | "PURGE"))
                || header(reply, "Nats-Marker-Reason").is_some());
        Some(Self { sequence, payload, deleted })
    }
}

/// Messages by subject.
pub(crate) type Found = HashMap<String, Stored>;

/// Nobody answered in time.
struct Silence;

/// Reads one stream; clones share the bounds of what is in flight.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    nats: Nats,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    subject: String,
    batches: Semaphore,
    singles: Semaphore,
    /// The last epoch in which the server did not know batches; servers may be upgraded between two.
    no_batch_in: AtomicU64,
}

impl Reader {
    pub(crate) fn new(nats: &Nats, stream: &str) -> Self {
        let shared = Shared {
            subject: format!("$JS.API.DIRECT.GET.{stream}"),
            batches: Semaphore::new(BATCHES_IN_FLIGHT),
            singles: Semaphore::new(SINGLES_IN_FLIGHT),
            no_batch_in: AtomicU64::new(0),
        };
        Self { nats: nats.clone(), shared: Arc::new(shared) }
    }

    /// The newest message of each subject (no wildcards), in their order.
    pub(crate) async fn get(&self, subjects: &[String]) -> Result<Vec<Option<Bytes>>, LinkError> {
        let mut found = Found::with_capacity(subjects.len());
        self.complete(subjects, &mut found).await?;
        Ok(subjects.iter().map(|subject| Some(found.get(subject)?.payload.clone())).collect())
    }

    /// Reads the newest message of each subject (no wildcards) that was not found yet.
    pub(crate) async fn complete(&self, subjects: &[String], found: &mut Found) -> Result<(), LinkError> {
        if self.read(subjects, found).await.is_err() {
            self.silence().await?;
        } else if !self.nats.is_open() && found.len() < subjects.len() {
            return Err(LinkError::Disconnected);
        }
        Ok(())
    }

    /// The newest message of every subject that matches; false when there may be more than one batch could tell: the
    /// server knows no batches, there are too many, or there is no such stream.
    pub(crate) async fn matching(&self, wildcard: &str) -> Result<(Found, bool), LinkError> {
        let mut found = Found::new();
        if !self.knows_batches() {
            return Ok((found, false));
        }
        let end = match self.shared.batches.acquire().await {
            Ok(_permit) => self.one_batch(&[wildcard], &mut found).await,
            Err(_) => Err(Silence),
        };
        match end {
            Ok(BatchEnd::Complete) => return Ok((found, true)),
            Ok(BatchEnd::Unknown) => self.knows_no_batches(),
            Ok(BatchEnd::Partial | BatchEnd::Nobody) => {}
            Err(Silence) => self.silence().await?,
        }
        Ok((found, false))
    }

    /// Missing stream or missing server? A server that answers this has no such stream, or no leader for it.
    async fn silence(&self) -> Result<(), LinkError> {
        metrics::counter!("tickwire_nats_direct_get_timeouts_total").increment(1);
        self.nats.barrier().await
    }

    async fn read(&self, subjects: &[String], found: &mut Found) -> Result<(), Silence> {
        for chunk in subjects.chunks(BATCH_MAX) {
            // One subject is cheaper without an inbox of its own.
            if chunk.len() == 1 || !self.knows_batches() || !self.batch(chunk, found).await? {
                self.singles(chunk, found).await?;
            }
        }
        Ok(())
    }

    fn knows_batches(&self) -> bool {
        self.shared.no_batch_in.load(Ordering::Relaxed) != self.epoch()
    }

    fn knows_no_batches(&self) {
        self.shared.no_batch_in.store(self.epoch(), Ordering::Relaxed);
    }

    /// Never 0, which stands for "not yet".
    fn epoch(&self) -> u64 {
        self.nats.state().borrow().epoch.max(1)
    }

    /// Reads by batch requests; false when single requests must find the rest.
    async fn batch(&self, subjects: &[String], found: &mut Found) -> Result<bool, Silence> {
        let _permit = self.shared.batches.acquire().await.map_err(|_| Silence)?;
        let mut wanted: Vec<&str> =
            subjects.iter().map(String::as_str).filter(|s| !found.contains_key(*s)).collect();
        loop {
            let before = found.len();
            match self.one_batch(&wanted, found).await? {
                BatchEnd::Complete | BatchEnd::Nobody => return Ok(true),
                BatchEnd::Partial if found.len() > before => wanted.retain(|s| !found.contains_key(*s)),
                BatchEnd::Partial => return Ok(false),
                BatchEnd::Unknown => {
                    self.knows_no_batches();
                    return Ok(false);
                }
            }
        }
    }

    async fn one_batch(&self, wanted: &[&str], found: &mut Found) -> Result<BatchEnd, Silence> {
        let client = self.nats.client();
        let inbox = client.new_inbox();
        let body = json!({"multi_last": wanted, "max_bytes": BATCH_BYTES_MAX}).to_string();
        let started = async {
            let replies = client.subscribe(inbox.clone()).await.ok()?;
            client.publish_with_reply(self.shared.subject.clone(), inbox, body.into()).await.ok()?;
            Some(replies)
        };
        let mut replies = timeout(TIMEOUT, started).await.ok().flatten().ok_or(Silence)?;
        loop {
            let reply = next(&mut replies).await?;
            if reply.status.is_some() {
                return Ok(BatchEnd::of(&reply));
            }
            let subject = header(&reply, "Nats-Subject").ok_or(Silence)?.to_owned();
            found.insert(subject, Stored::read(&reply).ok_or(Silence)?);
        }
    }

    async fn singles(&self, subjects: &[String], found: &mut Found) -> Result<(), Silence> {
        // Owned subjects: borrowed ones would make the future too special to be spawned.
        let missing: Vec<String> = subjects.iter().filter(|s| !found.contains_key(*s)).cloned().collect();
        let requests = stream::iter(missing).map(|subject| async move {
            let stored = self.single(&subject).await?;
            Ok(stored.map(|stored| (subject, stored)))
        });
        // The first silence ends them all: thousands of timeouts in a row would tell nothing more.
        let mut replies = requests.buffer_unordered(SINGLES_IN_FLIGHT);
        while let Some(reply) = replies.try_next().await? {
            found.extend(reply);
        }
        Ok(())
    }

    async fn single(&self, subject: &str) -> Result<Option<Stored>, Silence> {
        let _permit = self.shared.singles.acquire().await.map_err(|_| Silence)?;
        // The payload must be empty when the subject is part of the request's subject.
        let request = Request::new().payload(Bytes::new()).timeout(None);
        let sent = self.nats.client().send_request(format!("{}.{subject}", self.shared.subject), request);
        match timeout(TIMEOUT, sent).await {
            Ok(Ok(reply)) if reply.status.is_none() => Stored::read(&reply).ok_or(Silence).map(Some),
            Ok(Ok(_)) => Ok(None),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Ok(Err(_)) | Err(_) => Err(Silence),
        }
    }
}

enum BatchEnd {
    /// The server read another request out of ours: it is older than 2.11.
    Unknown,
    /// There is more to ask for: the batch was long, or a message went while it was read.
    Partial,
    /// That was all.
    Complete,
    /// No server has such a stream, or none leads it.
    Nobody,
}

impl BatchEnd {
    fn of(reply: &Message) -> Self {
        let more = header(reply, "Nats-Num-Pending").is_some_and(|pending| pending != "0");
        let nothing = reply.description.as_deref() == Some("No Results");
        match reply.status.map(|status| status.as_u16()) {
            Some(status::END_OF_BATCH) if !more => Self::Complete,
            Some(status::NOT_FOUND) if nothing => Self::Complete,
            Some(status::NO_RESPONDERS) => Self::Nobody,
            Some(status::EMPTY_REQUEST) => Self::Unknown,
            // 413 is for wildcards alone: exact subjects are few enough.
            _ => Self::Partial,
        }
    }
}

async fn next(replies: &mut Subscriber) -> Result<Message, Silence> {
    timeout(TIMEOUT, replies.next()).await.ok().flatten().ok_or(Silence)
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}
