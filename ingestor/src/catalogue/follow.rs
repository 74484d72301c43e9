//! The catalogue as every process sees it: the symbols of its venues, each with its shard. Only what is written moves it:
//! a missing bucket, a lost link and an unreadable chunk leave the list as it is.

mod list;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tickwire_common::shard::shard_of;
use tickwire_common::symbol::Symbol;
use tickwire_nats::Nats;
use tickwire_nats::catalogue::{Catalogue, CatalogueWatch, Instrument as Entry};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use list::{List, Listed, ShardChange};

/// Chunks are written one after the other, and a symbol may move from one to another: changes are taken when nothing more
/// has come for so long.
const SETTLE: Duration = Duration::from_millis(250);

/// Numbers of symbols. Grows with the symbols a venue ever lists while the process runs, which are few more than it
/// lists at once.
#[derive(Debug, Default)]
struct Numbers(HashMap<(Symbol, String), u32>);

impl Numbers {
    fn of(&mut self, symbol: &Symbol, key: &str) -> Option<u32> {
        let next = u32::try_from(self.0.len()).ok()?;
        Some(*self.0.entry((symbol.clone(), key.to_owned())).or_insert(next))
    }
}

/// Follows the catalogue for some venues.
#[derive(Debug)]
pub struct Follower {
    venues: BTreeMap<String, Followed>,
}

#[derive(Debug)]
struct Followed {
    shards: u32,
    numbers: Numbers,
    list: watch::Sender<Arc<List>>,
}

impl Followed {
    /// Takes what the catalogue has now; an entry whose symbol is none is left out.
    fn take(&mut self, entries: &[Entry]) {
        let mut by_symbol = BTreeMap::new();
        let mut refused = 0;
        for entry in entries {
            let Some(listed) = self.listed(entry) else {
                refused += 1;
                continue;
            };
            by_symbol.insert(listed.symbol.clone(), Arc::new(listed));
        }
        if refused > 0 {
            warn!(refused, "entries of the catalogue are no symbols and are left out");
        }
        let list = List { shards: self.shards, by_symbol };
        self.list.send_if_modified(|known| {
            let is_new = **known != list;
            if is_new {
                *known = Arc::new(list);
            }
            is_new
        });
    }

    fn listed(&mut self, entry: &Entry) -> Option<Listed> {
        let symbol = Symbol::new(&entry.symbol).ok()?;
        let key = entry.aliases.first().unwrap_or(&entry.symbol).clone();
        let index = self.numbers.of(&symbol, &key)?;
        let shard = shard_of(symbol.as_str(), self.shards);
        Some(Listed { index, symbol, key, shard })
    }
}

impl Follower {
    /// Follows these venues, each parted into so many shards. Their lists are empty until something is known.
    pub fn new<'a>(venues: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let followed = |(id, shards): (&str, u32)| {
            let (list, _) = watch::channel(Arc::new(List { shards, by_symbol: BTreeMap::new() }));
            (id.to_owned(), Followed { shards, numbers: Numbers::default(), list })
        };
        Self { venues: venues.into_iter().map(followed).collect() }
    }

    /// The list of a venue as it is and will be; `None` for a venue that is not followed.
    pub fn list(&self, venue: &str) -> Option<watch::Receiver<Arc<List>>> {
        self.venues.get(venue).map(|followed| followed.list.subscribe())
    }

    /// Follows until `token` is cancelled.
    ///
    /// # Errors
    /// None; the type is what tasks have.
    pub async fn run(mut self, nats: Nats, token: CancellationToken) -> anyhow::Result<()> {
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

    async fn follow(&mut self, mut watch: CatalogueWatch) {
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

    fn take(&mut self, venue: &str, entries: &[Entry]) {
        if let Some(followed) = self.venues.get_mut(venue) {
            followed.take(entries);
            info!(venue, symbols = entries.len(), "the catalogue lists");
        }
    }
}

#[cfg(test)]
mod tests;
