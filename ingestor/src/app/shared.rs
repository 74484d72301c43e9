//! One venue's parts, made of what all venues share.

use std::sync::Arc;

use tickwire_common::task::Tasks;
use tickwire_nats::Nats;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::catalogue::{Keeper, List};
use crate::config::{Config, Symbols, VenueConfig};
use crate::demand::Demand;
use crate::feeds::{Feeds, FeedsConfig, Rules, Ticks};
use crate::fleet::{Handle, Order};
use crate::link::Gate;
use crate::outlet::Outlet;
use crate::pool::{FleetBudget, Pool, PoolConfig, SHRINK_AFTER};
use crate::rest::Rest;
use crate::streams::Ready;
use crate::venue_run::{Keeping, Parts, VenueRun};

/// What the parts of all venues share.
pub(super) struct Shared<'a> {
    pub(super) config: &'a Config,
    pub(super) tasks: &'a Tasks,
    pub(super) nats: &'a Nats,
    pub(super) ready: watch::Receiver<Ready>,
    pub(super) fleet: Handle,
    /// Cancelled when nothing is ours any more.
    pub(super) carried: CancellationToken,
}

impl Shared<'_> {
    /// Starts one venue, which holds nothing yet.
    pub(super) fn start_venue(
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
