//! Puts the parts together: what every venue is made of, and the fleet that says which of its shards are ours. Decides
//! what waits for what; does no work itself.

mod shared;

use std::collections::BTreeMap;

use anyhow::Context as _;
use tickwire_common::task::Tasks;
use tickwire_nats::Nats;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::catalogue::Follower;
use crate::config::{Config, VenueConfig};
use crate::fleet::{Fleet, MemberConfig, Name, Times};
use crate::rest::Rest;
use crate::streams::{self, Ready};
use crate::venue_run::Router;
use shared::Shared;

/// Shards of a venue that are prepared at once: each brings a burst of subscriptions.
const PULLS_MAX: usize = 4;

/// Part of the time to end in that others have to take over what is ours; the rest is for sockets and last words.
const HAND_OVER_PERCENT: u32 = 80;

/// Letters of a member's name: 36^12 names are enough for none to come twice.
const MEMBER_LETTERS: usize = 12;

/// A venue with the way to its REST interface.
pub type Venue = (VenueConfig, Rest);

/// The running ingestor.
#[derive(Debug)]
pub struct App {
    nats: Nats,
    ready: watch::Receiver<Ready>,
}

/// The way to the REST interface of every venue that runs.
///
/// # Errors
/// Only if no HTTP client can be built.
pub fn venues(config: &Config) -> anyhow::Result<Vec<Venue>> {
    let venue = |venue: &VenueConfig| {
        let rest = Rest::of(venue.venue, &venue.rest_url).context("build the HTTP client")?;
        Ok((venue.clone(), rest))
    };
    config.venues.iter().map(venue).collect()
}

impl App {
    /// Starts everything as tasks of `tasks` and returns at once: nothing that is away can stop the start.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub async fn start(config: &Config, venues: Vec<Venue>, tasks: &Tasks) -> anyhow::Result<Self> {
        let nats = Nats::connect(&config.nats, "ingestor").await?;
        let (sender, ready) = watch::channel(Ready::default());
        let carried = CancellationToken::new();
        tasks.spawn("streams", streams::keep(nats.clone(), config.nats.replicas, sender, carried.clone()));
        if venues.is_empty() {
            warn!(
                "no venue is named, so nothing is carried: set venues.<id>.symbols, like venues.binance.symbols"
            );
        }
        let fleet = Fleet::new(member(config), &nats, ready.clone());
        let shared = Shared {
            config,
            tasks,
            nats: &nats,
            ready: ready.clone(),
            fleet: fleet.handle(),
            carried: carried.clone(),
        };
        let mut router = Router::default();
        let follower = Follower::new(config.venues.iter().map(|venue| (venue.venue.id(), venue.shards)));
        for (venue, rest) in venues {
            let id = venue.venue.id();
            // It was made of the same venues.
            let Some(list) = follower.list(id) else { continue };
            let orders = router.add(id, venue.shards);
            shared.start_venue(venue, rest, list, orders);
        }
        tasks.spawn("catalogue", follower.run(nats.clone(), carried.clone()));
        let (token, patience) = (tasks.token(), config.grace * HAND_OVER_PERCENT / 100);
        tasks.spawn("fleet", async move {
            let _carried = carried.drop_guard();
            Ok(fleet.run(router, token, patience).await?)
        });
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

/// Who this process is in the fleet; a name that no process ever had.
fn member(config: &Config) -> MemberConfig {
    let id: String = (0..MEMBER_LETTERS).map(|_| fastrand::lowercase()).collect();
    let shards = |venue: &VenueConfig| (Name::from(venue.venue.id()), venue.shards);
    let venues: BTreeMap<Name, u32> = config.venues.iter().map(shards).collect();
    MemberConfig { id: Name::from(id), venues, times: Times::default(), pulls_max: PULLS_MAX }
}
