//! The catalogue of instruments: written by the ingestors of a venue, read by the edges, kept in the bucket
//! `md_catalogue` in chunks `<venue>.<number>` of at most 500 instruments.
//!
//! Readers do without a consumer: a write to a bucket is a message on a subject, so a subscription sees it, on every
//! server version and also after the bucket was made anew; reading everything again from time to time repairs what was
//! missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::api::ApiError;
use crate::connect::{LinkError, LinkState, Nats};
use crate::direct::Reader;
use crate::setup::{CATALOGUE_BUCKET, bucket_stream};
use crate::subject::Subject;
use crate::subscribe::{Message, Subscription};

/// Most instruments in one value: some 100 KiB, far below the server's 1 MiB.
pub const CHUNK_MAX: usize = 500;

/// How long a missed change can go unnoticed.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// Something with a price at a venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Venue id.
    pub venue: String,
    /// Canonical symbol.
    pub symbol: String,
    /// Other names of it, the venue's own key first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Smallest step of the price, decimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_increment: Option<String>,
}

/// All instruments of one venue, as they are now; none when the venue was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueChange {
    /// Venue id.
    pub venue: String,
    /// Its instruments.
    pub instruments: Vec<Instrument>,
}

/// One value of the bucket.
#[derive(Serialize, Deserialize)]
struct Chunk {
    instruments: Vec<Instrument>,
}

/// Reads and writes the catalogue.
#[derive(Debug, Clone)]
pub struct Catalogue {
    nats: Nats,
    reader: Reader,
}

impl Catalogue {
    /// The catalogue over this connection; the bucket comes from
    /// [`ensure_bucket`](crate::setup::ensure_bucket)`(.., CATALOGUE_BUCKET, ..)`.
    pub fn new(nats: &Nats) -> Self {
        Self { nats: nats.clone(), reader: Reader::new(nats, &bucket_stream(CATALOGUE_BUCKET)) }
    }

    /// Replaces the instruments of a venue. Writes only the chunks that differ from what is there, and removes those
    /// left over; the order of the instruments decides their chunk, so keep it stable.
    ///
    /// # Errors
    /// What the server said; safe to repeat.
    #[tracing::instrument(name = "put_catalogue", skip_all, fields(venue, instruments = instruments.len()))]
    pub async fn put(&self, venue: &str, instruments: &[Instrument]) -> Result<(), ApiError> {
        let mut there = self.read(&format!("{venue}.*")).await?;
        for (number, chunk) in instruments.chunks(CHUNK_MAX).enumerate() {
            let subject = subject_of(&format!("{venue}.{number}"));
            let value = Bytes::from(json!({ "instruments": chunk }).to_string());
            if there.remove(&subject).as_ref() != Some(&value) {
                self.nats.store(subject, value, None).await?;
            }
        }
        for (subject, value) in there {
            if !value.is_empty() {
                let mut headers = HeaderMap::new();
                headers.insert("KV-Operation", "DEL");
                self.nats.store(subject, Bytes::new(), Some(headers)).await?;
            }
        }
        Ok(())
    }

    /// What is there now, then every change. Begins when the link is up.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn watch(&self) -> Result<CatalogueWatch, LinkError> {
        let changes = self.nats.subscribe(&Subject::from(subject_of(">"))).await?;
        let mut again = interval(READ_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(CatalogueWatch {
            catalogue: self.clone(),
            changes,
            state: self.nats.state(),
            again,
            stale: true,
            known: BTreeMap::new(),
            dirty: BTreeSet::new(),
        })
    }

    /// Values by subject, for keys that match; deleted keys are there with an empty value.
    async fn read(&self, keys: &str) -> Result<BTreeMap<String, Bytes>, ApiError> {
        let stream = bucket_stream(CATALOGUE_BUCKET);
        let body = json!({"subjects_filter": subject_of(keys)});
        let info = self.nats.api(&format!("STREAM.INFO.{stream}"), &body).await?;
        let subjects: Vec<String> = match info.pointer("/state/subjects") {
            Some(Value::Object(subjects)) => subjects.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let values = self.reader.get(&subjects).await?;
        Ok(subjects.into_iter().zip(values).filter_map(|(subject, value)| Some((subject, value?))).collect())
    }
}

/// Follows the catalogue; see [`Catalogue::watch`].
#[derive(Debug)]
pub struct CatalogueWatch {
    catalogue: Catalogue,
    changes: Subscription,
    state: watch::Receiver<LinkState>,
    again: Interval,
    /// Everything must be read again.
    stale: bool,
    /// Values by subject, as far as they are not empty.
    known: BTreeMap<String, Bytes>,
    /// Venues that changed and were not handed out yet.
    dirty: BTreeSet<String>,
}

impl CatalogueWatch {
    /// The next venue that changed; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<CatalogueChange> {
        loop {
            // What came in one go is told in one change.
            while let Some(Some(message)) = self.changes.next().now_or_never() {
                self.take(message);
            }
            if let Some(venue) = self.dirty.pop_first() {
                return Some(self.change(venue));
            }
            if self.stale && self.catalogue.nats.is_connected() {
                self.read_again().await;
                self.stale = false;
                continue;
            }
            tokio::select! {
                message = self.changes.next() => self.take(message?),
                _ = self.again.tick() => self.stale = true,
                changed = self.state.changed() => {
                    changed.ok()?;
                    self.stale = true;
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        self.note(message.subject.to_string(), Bytes::copy_from_slice(&message.payload));
    }

    fn note(&mut self, subject: String, value: Bytes) {
        let Some(venue) = venue_of(&subject) else { return };
        let before = if value.is_empty() {
            self.known.remove(&subject)
        } else {
            self.known.insert(subject.clone(), value.clone())
        };
        if before.unwrap_or_default() != value {
            self.dirty.insert(venue.to_owned());
        }
    }

    async fn read_again(&mut self) {
        match self.catalogue.read(">").await {
            Ok(there) => {
                let gone: Vec<String> =
                    self.known.keys().filter(|s| !there.contains_key(*s)).cloned().collect();
                gone.into_iter().for_each(|subject| self.note(subject, Bytes::new()));
                there.into_iter().for_each(|(subject, value)| self.note(subject, value));
            }
            // The ingestors make the bucket; until then there is nothing to know.
            Err(ApiError::NotFound) => {}
            Err(error) => tracing::warn!(%error, "cannot read the catalogue, trying again in a minute"),
        }
    }

    fn change(&self, venue: String) -> CatalogueChange {
        let prefix = subject_of(&format!("{venue}."));
        let chunks =
            self.known.range(prefix.clone()..).take_while(|(subject, _)| subject.starts_with(&prefix));
        let instruments = chunks.flat_map(|(subject, value)| instruments_of(subject, value)).collect();
        CatalogueChange { venue, instruments }
    }
}

fn instruments_of(subject: &str, value: &[u8]) -> Vec<Instrument> {
    serde_json::from_slice::<Chunk>(value).map(|chunk| chunk.instruments).unwrap_or_else(|error| {
        tracing::warn!(subject, %error, "a chunk of the catalogue is unreadable, skipped");
        Vec::new()
    })
}

fn subject_of(key: &str) -> String {
    format!("$KV.{CATALOGUE_BUCKET}.{key}")
}

fn venue_of(subject: &str) -> Option<&str> {
    let key = subject.strip_prefix("$KV.")?.strip_prefix(CATALOGUE_BUCKET)?.strip_prefix('.')?;
    key.split_once('.').map(|(venue, _)| venue)
}
