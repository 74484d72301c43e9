//! Keeps the catalogue of one venue true, in the one process that may: asks the venue at once and every few minutes,
//! listens to the lists of others, and writes what follows to `md_catalogue`. Never gives up and never cuts anybody off
//! for a failure: what was good stays until something better is known.

mod tell;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tickwire_nats::catalogue::Catalogue;
use tickwire_nats::{ApiError, Nats};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ledger::Ledger;
use super::lists::Lists;
use crate::config::VenueConfig;
use crate::rest::Rest;
use crate::streams::Ready;
use work::Work;

/// How often what could not be read or written is tried again, and the age of the list is told.
const TICK: Duration = Duration::from_secs(1);

/// The keeper of one venue; [`Keeper::run`] it while its right is held. Clones are keepers of the same venue: one at a
/// time.
#[derive(Clone)]
pub struct Keeper {
    config: VenueConfig,
    rest: Rest,
    nats: Nats,
    ready: watch::Receiver<Ready>,
    may_write: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Keeper {
    /// Asks by `rest`, and writes to `nats` whenever `ready` says that the bucket is there again.
    pub fn new(config: VenueConfig, rest: Rest, nats: Nats, ready: watch::Receiver<Ready>) -> Self {
        Self { config, rest, nats, ready, may_write: Arc::new(|| true) }
    }

    /// Asks `may_write` right before each write, for a process that was frozen may have lost its right unknowingly.
    #[must_use]
    pub fn guarded(mut self, may_write: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.may_write = Arc::new(may_write);
        self
    }

    /// Keeps the catalogue until `token` is cancelled.
    ///
    /// # Errors
    /// Only what no venue and no server can cause, like a connection to NATS that was closed on purpose.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let id = self.id();
        info!(venue = id, "keeping the catalogue");
        let kept = token.run_until_cancelled(self.keep()).await;
        tell::nothing(id);
        info!(venue = id, "no longer keeping the catalogue");
        kept.unwrap_or(Ok(()))
    }

    fn id(&self) -> &'static str {
        self.config.venue.id()
    }

    async fn keep(self) -> anyhow::Result<()> {
        let present = self.present().await;
        let lists = Lists::open(&self.config.selection, &self.nats).await?;
        let mut ledger = Ledger::new(self.id(), self.config.selection.clone(), present);
        ledger.named(lists.named());
        let mut work = Work::new(self, ledger, lists)?;
        loop {
            work.step().await;
        }
    }

    /// What an earlier keeper left, in its places.
    async fn present(&self) -> Vec<String> {
        let catalogue = Catalogue::new(&self.nats);
        loop {
            match catalogue.list(self.id()).await {
                Ok(there) => return there.into_iter().map(|entry| entry.symbol).collect(),
                Err(ApiError::NotFound) => return Vec::new(),
                Err(error) => warn!(venue = self.id(), %error, "cannot read the catalogue, trying again"),
            }
            sleep(TICK).await;
        }
    }
}

#[cfg(test)]
mod tests;
