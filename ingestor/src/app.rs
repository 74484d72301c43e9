//! Puts the parts together: one job a venue that reads its instruments and opens its sockets, one feed a venue, one
//! keeper of the streams. Decides what waits for what; does no work itself.

use std::sync::Arc;

use tickwire_common::task::Tasks;
use tickwire_nats::{ConnectError, Nats};
use tokio::sync::watch;
use tracing::warn;

use crate::config::Config;
use crate::feed::Feed;
use crate::streams::{self, Ready};
use crate::venue_run::VenueRun;

/// The running ingestor.
#[derive(Debug)]
pub struct App {
    nats: Nats,
    ready: watch::Receiver<Ready>,
}

impl App {
    /// Starts everything as tasks of `tasks` and returns at once: nothing that is away can stop the start.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub async fn start(config: &Config, tasks: &Tasks) -> Result<Self, ConnectError> {
        let nats = Nats::connect(&config.nats, "ingestor").await?;
        let (sender, ready) = watch::channel(Ready::default());
        tasks.spawn("streams", streams::keep(nats.clone(), config.nats.replicas, sender, tasks.token()));
        if config.venues.is_empty() {
            warn!(
                "no venue is named, so nothing is carried: set venues.<id>.symbols, like venues.binance.symbols"
            );
        }
        for venue in &config.venues {
            let id = venue.venue.id();
            let feed = Arc::new(Feed::new(id, 0));
            let (shown, link, token) = (Arc::clone(&feed), nats.clone(), tasks.token());
            tasks.spawn(format!("feed-{id}"), async move {
                shown.run(&link, token).await;
                Ok(())
            });
            let run = VenueRun::new(venue.clone(), feed, nats.clone(), ready.clone(), tasks.spawner());
            tasks.spawn(format!("venue-{id}"), run.run());
        }
        Ok(Self { nats, ready })
    }

    /// Every reason against sending traffic here; a venue that is away is none.
    pub fn not_ready(&self) -> Vec<String> {
        let ready = self.ready.borrow();
        let mut reasons = Vec::new();
        if !self.nats.is_connected() {
            reasons.push("nats: not connected".to_owned());
        } else if ready.epoch == 0 {
            let problem = ready.problem.as_deref().unwrap_or("being set up");
            reasons.push(format!("streams: {problem}"));
        }
        reasons
    }

    /// Waits until nothing stands against sending traffic here for the first time.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        // An error means that the process ends; then it is never ready.
        if streams::first(&mut ready).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Hands the last messages to NATS and closes the connection.
    pub async fn close(&self) {
        self.nats.drain().await;
    }
}
