//! Puts the parts together: what every venue is made of, and the fleet that says which of its shards are ours. Decides
//! what waits for what; does no work itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use tickwire_common::task::Tasks;
use tickwire_nats::Nats;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::catalogue::{Follower, Keeper, List};
use crate::config::{Config, Symbols, VenueConfig};
use crate::demand::Demand;
use crate::feeds::{Feeds, FeedsConfig, Rules, Ticks};
use crate::fleet::{Fleet, Handle, MemberConfig, Name, Order, Times};
use crate::link::Gate;
use crate::outlet::Outlet;
use crate::pool::{FleetBudget, Pool, PoolConfig, SHRINK_AFTER};
use crate::rest::Rest;
use crate::streams::{self, Ready};
use crate::venue_run::{Keeping, Parts, Router, VenueRun};

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

/// What the parts of all venues share.
struct Shared<'a> {
    config: &'a Config,
    tasks: &'a Tasks,
    nats: &'a Nats,
    ready: watch::Receiver<Ready>,
    fleet: Handle,
    /// Cancelled when nothing is ours any more.
    carried: CancellationToken,
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

impl Shared<'_> {
    /// Starts one venue, which holds nothing yet.
    fn start_venue(
        &self,
        venue: VenueConfig,
        rest: Rest,
        list: watch::Receiver<Arc<List>>,
        orders: mpsc::Receiver<Order>,
    ) {
        let (id, nats) = (venue.venue.id(), self.nats);
        let ticks = Arc::new(Ticks::new(venue.shards));
        let outlet = Arc::new(Outlet::new(nats, self.ready.clone(), id, venue.shards, Arc::clone(&ticks)));
        let feeds = Arc::new(Feeds::new(feeds_config(&venue), ticks));
        let keeper = Keeper::new(venue.clone(), rest.clone(), nats.clone(), self.ready.clone());
        let parts = Parts {
            id,
            nats: nats.clone(),
            outlet: Arc::clone(&outlet),
            feeds: Arc::clone(&feeds),
            demand: self.start_demand(&venue),
            pool: self.start_pool(&venue, rest, Arc::clone(&outlet)),
            list,
            keeping: Keeping::new(id, keeper, self.tasks.spawner()),
            fleet: self.fleet.clone(),
        };
        self.tasks.spawn(format!("venue-{id}"), VenueRun::new(parts).run(orders));
        let (carried, link) = (self.carried.clone(), nats.clone());
        self.tasks.spawn(format!("outlet-{id}"), {
            let carried = carried.clone();
            async move {
                outlet.run(carried.cancelled()).await;
                Ok(())
            }
        });
        self.tasks.spawn(format!("feeds-{id}"), async move {
            feeds.run(&link, carried).await;
            Ok(())
        });
    }

    /// Listens to what is wanted, where that decides what is carried.
    fn start_demand(&self, venue: &VenueConfig) -> Option<Arc<Demand>> {
        let id = venue.venue.id();
        let demand = is_on_demand(venue).then(|| Arc::new(Demand::new(id, venue.shards, venue.linger)))?;
        let (listener, nats, carried) = (Arc::clone(&demand), self.nats.clone(), self.carried.clone());
        self.tasks.spawn(format!("demand-{id}"), async move { Ok(listener.run(&nats, carried).await?) });
        Some(demand)
    }

    fn start_pool(&self, venue: &VenueConfig, rest: Rest, outlet: Arc<Outlet>) -> Pool {
        let (id, rate) = (venue.venue.id(), venue.venue.facts().connects);
        let (replicas, address) = (self.config.nats.replicas, self.config.budget_address.clone());
        let budget = Arc::new(FleetBudget::new(self.nats, id, rate, replicas, address));
        let pool = PoolConfig {
            venue: venue.venue,
            ws_url: venue.ws_url.clone(),
            rest,
            symbols_per_socket: venue.symbols_per_socket,
            lifetime: venue.socket_lifetime,
            shrink_after: SHRINK_AFTER,
            gate: Arc::new(Gate::new(rate).sharing(budget, self.fleet.members())),
        };
        Pool::start(pool, outlet, &self.tasks.spawner(), self.carried.clone())
    }
}

/// Who this process is in the fleet; a name that no process ever had.
fn member(config: &Config) -> MemberConfig {
    let id: String = (0..MEMBER_LETTERS).map(|_| fastrand::lowercase()).collect();
    let shards = |venue: &VenueConfig| (Name::from(venue.venue.id()), venue.shards);
    let venues: BTreeMap<Name, u32> = config.venues.iter().map(shards).collect();
    MemberConfig { id: Name::from(id), venues, times: Times::default(), pulls_max: PULLS_MAX }
}

fn is_on_demand(venue: &VenueConfig) -> bool {
    matches!(venue.selection.symbols, Symbols::Demand)
}

fn feeds_config(venue: &VenueConfig) -> FeedsConfig {
    let stale_after_ms = u64::try_from(venue.stale_after.as_millis()).unwrap_or(u64::MAX);
    FeedsConfig {
        venue: venue.venue.id(),
        shards: venue.shards,
        demand: is_on_demand(venue),
        rules: Rules { stale_after_ms, shut: None },
    }
}
