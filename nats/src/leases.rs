//! The bucket `md_leases`: who owns what. Values change only by compare-and-set, so that of two who want the same thing
//! one gets it. Knows neither what is leased nor for how long; clocks and rules are the caller's.
//!
//! A revision is the entry's number in the bucket's stream: it grows with every write to any key, so the revision of
//! the write that took a lease tells its epochs apart. A reading may come from a replica that is behind: a revision
//! below one seen before is old news. Works the same on nats-server 2.9 and newer
//! (ADR-8 of <https://github.com/nats-io/nats-architecture-and-design>).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use futures_util::FutureExt as _;
use thiserror::Error;

use crate::api::ApiError;
use crate::bucket::{Bucket, KEY_BYTES_MAX, is_key};
use crate::connect::{LinkError, Nats};
use crate::direct::Stored;
use crate::setup::LEASES_BUCKET;
use crate::subscribe::{Message, Subscription};

/// Most keys whose values [`Hints`] remembers; every write to a key beyond them is a hint.
const REMEMBERED_MAX: usize = 8_192;

/// One key as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, without the bucket's prefix.
    pub key: String,
    /// Number of the write that set it.
    pub revision: u64,
    /// What was written.
    pub value: Bytes,
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the key was never written, was deleted, or has expired.
    Absent,
    /// This revision of the key.
    Revision(u64),
}

/// Why a write did not happen, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CasError {
    /// Somebody else wrote the key, or in a cluster does so just now: perhaps an earlier attempt of our own. Read again
    /// before the next attempt.
    #[error("somebody else wrote the lease")]
    Conflict,
    /// There is no bucket: it was lost with its server, or nobody leads it at the moment.
    /// [`ensure_bucket`](crate::setup::ensure_bucket) makes it anew or says so.
    #[error("there is no bucket {LEASES_BUCKET}")]
    Missing,
    /// The link is down or silent. After [`LinkError::TimedOut`] it may be written or not: read before trying again.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Not a key; a mistake of the caller.
    #[error("{0:?} is no key of a bucket")]
    Key(String),
    /// The server refused for another reason.
    #[error(transparent)]
    Refused(ApiError),
}

impl From<ApiError> for CasError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::WrongRevision => Self::Conflict,
            ApiError::NotFound => Self::Missing,
            ApiError::Link(error) => Self::Link(error),
            error => Self::Refused(error),
        }
    }
}

/// Reads and writes leases; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases {
    bucket: Bucket,
}

impl Leases {
    /// The leases over this connection; the bucket comes from
    /// [`ensure_bucket`](crate::setup::ensure_bucket)`(.., LEASES_BUCKET, ..)`.
    pub fn new(nats: &Nats) -> Self {
        Self { bucket: Bucket::new(nats, LEASES_BUCKET) }
    }

    /// Everything there is, by key; deleted keys are not.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no bucket, which is not the same as an empty one. Else what the server
    /// said, or that it did not; safe to repeat.
    pub async fn read_all(&self) -> Result<Vec<Entry>, ApiError> {
        let there = self.bucket.read_stored(">").await?;
        let entry =
            |(key, stored): (String, Stored)| Entry { key, revision: stored.sequence, value: stored.payload };
        Ok(there.into_iter().filter(|(_, stored)| !stored.deleted).map(entry).collect())
    }

    /// Writes a key if what is there is what is expected; returns the new revision.
    ///
    /// # Errors
    /// [`CasError`]; nothing was written, but for the doubt that its `Link` describes.
    pub async fn put(&self, key: &str, value: Bytes, expected: Expect) -> Result<u64, CasError> {
        if !is_key(key) {
            return Err(CasError::Key(key.chars().take(KEY_BYTES_MAX).collect()));
        }
        let Expect::Revision(revision) = expected else { return self.create(key, value).await };
        Ok(self.bucket.compare_and_put(key, value, revision).await?)
    }

    async fn create(&self, key: &str, value: Bytes) -> Result<u64, CasError> {
        match self.bucket.compare_and_put(key, value.clone(), 0).await {
            Err(ApiError::WrongRevision) => {}
            done => return Ok(done?),
        }
        // A deleted key leaves a mark, which has a revision of its own.
        match self.bucket.last(key).await? {
            Some(mark) if mark.deleted => Ok(self.bucket.compare_and_put(key, value, mark.sequence).await?),
            _ => Err(CasError::Conflict),
        }
    }

    /// Hints that something changed: read then, and from time to time without a hint too, for hints may be lost.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn hint(&self) -> Result<Hints, LinkError> {
        let changes = self.bucket.changes(">").await?;
        Ok(Hints { changes, seen: HashMap::new(), hasher: RandomState::new() })
    }
}

/// Tells that a value changed, never what; see [`Leases::hint`].
#[derive(Debug)]
pub struct Hints {
    changes: Subscription,
    /// A hash of the newest value of each key: a renewal that writes the same again is no news.
    seen: HashMap<String, u64>,
    hasher: RandomState,
}

impl Hints {
    /// Waits for a change; everything that came meanwhile is one hint. `None` once the connection is closed.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<()> {
        loop {
            let first = self.changes.next().await?;
            let mut news = self.is_news(&first);
            while let Some(Some(message)) = self.changes.next().now_or_never() {
                news |= self.is_news(&message);
            }
            if news {
                return Some(());
            }
        }
    }

    fn is_news(&mut self, message: &Message) -> bool {
        let value = self.hasher.hash_one(&message.payload);
        let key = message.subject.as_str();
        if let Some(seen) = self.seen.get_mut(key) {
            return std::mem::replace(seen, value) != value;
        }
        if self.seen.len() < REMEMBERED_MAX {
            self.seen.insert(key.to_owned(), value);
        }
        true
    }
}
