//! Values of a key-value bucket: read at once, or followed. In the shape of
//! <https://github.com/nats-io/nats-architecture-and-design> ADR-8.
//!
//! Followers do without a consumer: a write to a bucket is a message on a subject, so a subscription sees it, on every
//! server version and also after the bucket was made anew; reading everything again from time to time repairs what was
//! missed. A key goes only when somebody removes it, which leaves a marker behind: a bucket that is away or was lost
//! says nothing about its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::stream::SelectAll;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::api::ApiError;
use crate::connect::{LinkError, LinkState, Nats};
use crate::direct::{Found, Reader, Stored};
use crate::setup::bucket_stream;
use crate::subject::Subject;
use crate::subscribe::{Message, Subscription};

/// How long a missed change can go unnoticed.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// The wait after a reading that failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// Whether a text is a key by the rule of ADR-8: `[-/_=.a-zA-Z0-9]`, no dot at an end; and, because keys become
/// subjects, no two dots in a row.
pub fn is_key(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-/_=".contains(&b);
    let token = |token: &str| !token.is_empty() && token.bytes().all(legal);
    text.len() <= KEY_BYTES_MAX && text.split('.').all(token)
}

/// One bucket. It need not exist yet.
#[derive(Debug, Clone)]
pub struct Bucket {
    nats: Nats,
    reader: Reader,
    name: &'static str,
}

impl Bucket {
    /// The bucket of this name over this connection.
    pub fn new(nats: &Nats, name: &'static str) -> Self {
        Self { nats: nats.clone(), reader: Reader::new(nats, &bucket_stream(name)), name }
    }

    /// The subject that a key's values are published on.
    pub fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.name)
    }

    /// Values by key, for the keys that match `filter`, where `*` and `>` stand for anything as in subjects. A key that
    /// was removed is there with an empty value. A replica may answer that is behind: what was written a moment ago may
    /// be missing.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] where there is no such bucket; else what the server said. Safe to repeat.
    pub async fn read(&self, filter: &str) -> Result<BTreeMap<String, Bytes>, ApiError> {
        let there = self.read_stored(filter).await?;
        Ok(there.into_iter().map(|(key, stored)| (key, stored.payload)).collect())
    }

    /// As [`Bucket::read`], with revisions and marks. One request where the server knows batches (2.11 and newer).
    pub(crate) async fn read_stored(&self, filter: &str) -> Result<BTreeMap<String, Stored>, ApiError> {
        let wildcard = self.subject(filter);
        let (mut found, complete) = self.reader.matching(&wildcard).await?;
        if !complete {
            let subjects = self.subjects(&wildcard).await?;
            self.reader.complete(&subjects, &mut found).await?;
            if let Some(missing) = subjects.iter().find(|subject| !found.contains_key(*subject)) {
                return Err(ApiError::Unavailable(format!("{missing} is listed, but nobody has it")));
            }
        }
        let prefix = self.subject("");
        let key = |subject: &str| subject.strip_prefix(&prefix).map(str::to_owned);
        Ok(found.into_iter().filter_map(|(subject, stored)| Some((key(&subject)?, stored))).collect())
    }

    /// What the bucket has of one key, a mark of its removal included.
    pub(crate) async fn last(&self, key: &str) -> Result<Option<Stored>, ApiError> {
        let subject = self.subject(key);
        let mut found = Found::new();
        self.reader.complete(std::slice::from_ref(&subject), &mut found).await?;
        Ok(found.remove(&subject))
    }

    /// Asks the stream's leader for names.
    async fn subjects(&self, wildcard: &str) -> Result<Vec<String>, ApiError> {
        let stream = bucket_stream(self.name);
        let info =
            self.nats.api(&format!("STREAM.INFO.{stream}"), &json!({"subjects_filter": wildcard})).await?;
        let subjects: Vec<String> = match info.pointer("/state/subjects") {
            Some(Value::Object(subjects)) => subjects.keys().cloned().collect(),
            _ => Vec::new(),
        };
        if !subjects.is_empty() && info.pointer("/config/allow_direct") != Some(&Value::Bool(true)) {
            let advice = format!("{stream} allows no direct reads: nats stream edit {stream} --allow-direct");
            return Err(ApiError::Refused(advice));
        }
        Ok(subjects)
    }

    /// Writes a key if its newest revision is this one, 0 for none; [`ApiError::WrongRevision`] if not.
    pub(crate) async fn compare_and_put(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<u64, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
        self.nats.store(self.subject(key), value, Some(headers)).await
    }

    /// A subscription to what is written to keys that match.
    pub(crate) async fn changes(&self, filter: &str) -> Result<Subscription, LinkError> {
        self.nats.subscribe(&Subject::from(self.subject(filter))).await
    }

    /// Follows the keys that match any of `filters`. Begins when the link is up.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn watch(&self, filters: Vec<String>) -> Result<BucketWatch, LinkError> {
        let mut changes = SelectAll::new();
        for filter in &filters {
            changes.push(self.changes(filter).await?);
        }
        let mut again = interval(READ_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = self.nats.state();
        let (values, changed) = (BTreeMap::new(), BTreeSet::new());
        Ok(BucketWatch { bucket: self.clone(), filters, changes, state, again, stale: true, values, changed })
    }
}

/// Follows keys; see [`Bucket::watch`]. Memory is bounded by what the bucket holds.
#[derive(Debug)]
pub struct BucketWatch {
    bucket: Bucket,
    filters: Vec<String>,
    changes: SelectAll<Subscription>,
    state: watch::Receiver<LinkState>,
    again: Interval,
    /// Everything must be read again.
    stale: bool,
    values: BTreeMap<String, Bytes>,
    /// Keys that changed and were not handed out yet.
    changed: BTreeSet<String>,
}

impl BucketWatch {
    /// What is known: values by key, none of them empty.
    pub fn values(&self) -> &BTreeMap<String, Bytes> {
        &self.values
    }

    /// The keys that changed since the last call, at least one; what came in one go is told at once. `None` once the
    /// connection is closed. Cancel-safe.
    pub async fn changed(&mut self) -> Option<BTreeSet<String>> {
        loop {
            while let Some(Some(message)) = self.changes.next().now_or_never() {
                self.take(&message);
            }
            if !self.changed.is_empty() {
                return Some(std::mem::take(&mut self.changed));
            }
            if self.stale && self.bucket.nats.is_connected() {
                self.read_again().await;
                self.stale = false;
                continue;
            }
            tokio::select! {
                message = self.changes.next() => self.take(&message?),
                _ = self.again.tick() => self.stale = true,
                changed = self.state.changed() => {
                    changed.ok()?;
                    self.stale = true;
                }
            }
        }
    }

    fn take(&mut self, message: &Message) {
        let prefix = self.bucket.subject("");
        if let Some(key) = message.subject.as_str().strip_prefix(&prefix) {
            self.note(key.to_owned(), Bytes::copy_from_slice(&message.payload));
        }
    }

    fn note(&mut self, key: String, value: Bytes) {
        let before = if value.is_empty() {
            self.values.remove(&key)
        } else {
            self.values.insert(key.clone(), value.clone())
        };
        if before.unwrap_or_default() != value {
            self.changed.insert(key);
        }
    }

    async fn read_again(&mut self) {
        for filter in self.filters.clone() {
            match self.bucket.read(&filter).await {
                Ok(there) => there.into_iter().for_each(|(key, value)| self.note(key, value)),
                // Somebody will make the bucket; until then there is nothing to know.
                Err(ApiError::NotFound) => {}
                Err(error) => {
                    let bucket = self.bucket.name;
                    tracing::warn!(bucket, %error, "cannot read the bucket, trying again");
                    self.again.reset_after(TRY_AGAIN);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for key in ["member.a1", "shard.binance-usdm.15", "catalogue.kucoin", "A=2F_/b"] {
            assert!(is_key(key), "{key}");
        }
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for key in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "ä", long.as_str()] {
            assert!(!is_key(key), "{key}");
        }
    }
}
