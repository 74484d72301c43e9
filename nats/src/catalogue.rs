//! The catalogue of instruments: written by the ingestors of a venue, read by the edges and the other ingestors, kept in
//! the bucket `md_catalogue` in chunks `<venue>.<number>` of at most 500 instruments. Chunk 0 says how many chunks count:
//! a writer that found the bucket lost knows nothing of the others, and readers keep what is not removed.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::ApiError;
use crate::bucket::{Bucket, BucketWatch};
use crate::connect::{LinkError, Nats};
use crate::setup::CATALOGUE_BUCKET;

/// Most instruments in one value: some 100 KiB, far below the server's 1 MiB.
pub const CHUNK_MAX: usize = 500;

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
#[derive(Debug, Default, Serialize, Deserialize)]
struct Chunk {
    instruments: Vec<Instrument>,
    /// In chunk 0: how many chunks the venue has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunks: Option<usize>,
}

/// Reads and writes the catalogue.
#[derive(Debug, Clone)]
pub struct Catalogue {
    nats: Nats,
    bucket: Bucket,
}

impl Catalogue {
    /// The catalogue over this connection; the bucket comes from
    /// [`ensure_bucket`](crate::setup::ensure_bucket)`(.., CATALOGUE_BUCKET, ..)`.
    pub fn new(nats: &Nats) -> Self {
        Self { nats: nats.clone(), bucket: Bucket::new(nats, CATALOGUE_BUCKET) }
    }

    /// Replaces the instruments of a venue. Writes only the chunks that differ from what is there, and removes those
    /// left over; the order of the instruments decides their chunk, so keep it stable.
    ///
    /// # Errors
    /// What the server said; safe to repeat.
    #[tracing::instrument(name = "put_catalogue", skip_all, fields(venue, instruments = instruments.len()))]
    pub async fn put(&self, venue: &str, instruments: &[Instrument]) -> Result<(), ApiError> {
        let mut there = self.bucket.read(&format!("{venue}.*")).await?;
        let count = instruments.chunks(CHUNK_MAX).count();
        for (number, chunk) in instruments.chunks(CHUNK_MAX).enumerate() {
            let key = format!("{venue}.{number}");
            let value = match number {
                0 => json!({ "chunks": count, "instruments": chunk }),
                _ => json!({ "instruments": chunk }),
            };
            let value = Bytes::from(value.to_string());
            if there.remove(&key).as_ref() != Some(&value) {
                self.nats.store(self.bucket.subject(&key), value, None).await?;
            }
        }
        for (key, value) in there {
            if !value.is_empty() {
                let mut headers = HeaderMap::new();
                headers.insert("KV-Operation", "DEL");
                self.nats.store(self.bucket.subject(&key), Bytes::new(), Some(headers)).await?;
            }
        }
        Ok(())
    }

    /// The instruments of a venue, in the order in which they were written; none where there are none.
    ///
    /// # Errors
    /// What the server said; safe to repeat.
    pub async fn list(&self, venue: &str) -> Result<Vec<Instrument>, ApiError> {
        let values = self.bucket.read(&format!("{venue}.*")).await?;
        let read = |(key, value): (&String, &Bytes)| Some((key.clone(), chunk_of(key, value)?));
        let chunks = values.iter().filter(|(_, value)| !value.is_empty()).filter_map(read).collect();
        Ok(instruments_of(&chunks, venue))
    }

    /// What is there now, then every change. Begins when the link is up.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn watch(&self) -> Result<CatalogueWatch, LinkError> {
        let changes = self.bucket.watch(vec![">".to_owned()]).await?;
        Ok(CatalogueWatch { changes, chunks: BTreeMap::new(), dirty: BTreeSet::new() })
    }
}

/// Follows the catalogue; see [`Catalogue::watch`]. An instrument goes only when somebody writes that it goes: what
/// cannot be read, and a bucket that is away or empty, leave what is known as it is.
#[derive(Debug)]
pub struct CatalogueWatch {
    changes: BucketWatch,
    /// By key.
    chunks: BTreeMap<String, Chunk>,
    /// Venues that changed and were not handed out yet.
    dirty: BTreeSet<String>,
}

impl CatalogueWatch {
    /// The next venue that changed; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<CatalogueChange> {
        while self.dirty.is_empty() {
            let keys = self.changes.changed().await?;
            keys.into_iter().for_each(|key| self.take(key));
        }
        let venue = self.dirty.pop_first()?;
        let instruments = instruments_of(&self.chunks, &venue);
        Some(CatalogueChange { venue, instruments })
    }

    fn take(&mut self, key: String) {
        let Some((venue, _)) = key.split_once('.') else { return };
        match self.changes.values().get(&key) {
            None => drop(self.chunks.remove(&key)),
            Some(value) => {
                let Some(chunk) = chunk_of(&key, value) else { return };
                self.chunks.insert(key.clone(), chunk);
            }
        }
        self.dirty.insert(venue.to_owned());
    }
}

fn chunk_of(key: &str, value: &[u8]) -> Option<Chunk> {
    let read = serde_json::from_slice(value);
    read.inspect_err(|error| tracing::warn!(key, %error, "a chunk of the catalogue is unreadable")).ok()
}

/// The instruments of the chunks that count, in their order.
fn instruments_of(chunks: &BTreeMap<String, Chunk>, venue: &str) -> Vec<Instrument> {
    let number = |key: &str| key.strip_prefix(venue)?.strip_prefix('.')?.parse::<usize>().ok();
    let mut own: Vec<_> = chunks.iter().filter_map(|(key, chunk)| Some((number(key)?, chunk))).collect();
    own.sort_by_key(|(number, _)| *number);
    let count = own.first().and_then(|(_, first)| first.chunks).unwrap_or(usize::MAX);
    let counted = own.into_iter().take_while(|(number, _)| *number < count);
    counted.flat_map(|(_, chunk)| chunk.instruments.iter().cloned()).collect()
}
