//! The catalogue as every process sees it: the symbols of its venues, each with its shard. Only what is written moves it:
//! a missing bucket, a lost link and an unreadable chunk leave the list as it is.

mod list;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tickwire_nats::Nats;
use tickwire_nats::catalogue::{Catalogue, CatalogueWatch, Instrument as Entry};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use list::{List, Listed};

/// Chunks are written one after the other, and a symbol may move from one to another: changes are taken when nothing more
/// has come for so long.
const SETTLE: Duration = Duration::from_millis(250);

/// Follows the catalogue for some venues.
#[derive(Debug)]
pub struct Follower {
    venues: BTreeMap<String, Followed>,
}

/// Into how many shards a venue is parted, and its list.
type Followed = (u32, watch::Sender<Arc<List>>);

impl Follower {
    /// Follows these venues, each parted into so many shards. Their lists are empty until something is known.
    pub fn new<'a>(venues: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let followed = |(id, shards): (&str, u32)| {
            (id.to_owned(), (shards, watch::Sender::new(Arc::new(List::new(shards, &[])))))
        };
        Self { venues: venues.into_iter().map(followed).collect() }
    }

    /// The list of a venue as it is and will be; `None` for a venue that is not followed.
    pub fn list(&self, venue: &str) -> Option<watch::Receiver<Arc<List>>> {
        self.venues.get(venue).map(|(_, list)| list.subscribe())
    }

    /// Follows until `token` is cancelled.
    ///
    /// # Errors
    /// None; the type is what tasks have.
    pub async fn run(self, nats: Nats, token: CancellationToken) -> anyhow::Result<()> {
        let following = async {
            if let Ok(watch) = Catalogue::new(&nats).watch().await {
                self.follow(watch).await;
            }
        };
        token.run_until_cancelled(following).await;
        // A connection that was closed is how the process ends.
        token.cancelled().await;
        Ok(())
    }

    async fn follow(&self, mut watch: CatalogueWatch) {
        let mut waiting: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut settled = Instant::now();
        loop {
            tokio::select! {
                change = watch.next() => {
                    let Some(change) = change else { return };
                    if self.venues.contains_key(&change.venue) {
                        waiting.insert(change.venue, change.instruments);
                        settled = Instant::now() + SETTLE;
                    }
                }
                () = sleep_until(settled), if !waiting.is_empty() => {
                    for (venue, entries) in std::mem::take(&mut waiting) {
                        self.take(&venue, &entries);
                    }
                }
            }
        }
    }

    /// Takes what the catalogue has of a venue now; told only if it is something else.
    fn take(&self, venue: &str, entries: &[Entry]) {
        let Some((shards, known)) = self.venues.get(venue) else { return };
        let list = List::new(*shards, entries);
        let (symbols, left_out) = (list.len(), entries.len() - list.len());
        if left_out > 0 {
            warn!(venue, left_out, "entries of the catalogue are no symbols, or come twice");
        }
        let is_new = known.send_if_modified(|known| {
            let is_new = **known != list;
            if is_new {
                *known = Arc::new(list);
            }
            is_new
        });
        if is_new {
            info!(venue, symbols, "the catalogue lists");
        }
    }
}

#[cfg(test)]
mod tests;
