//! One venue in this process. Does with its shards what the fleet says: asks the pool for their symbols, lets the outlet
//! publish them, has the feeds speak of them, and keeps the catalogue while that is ours. Follows the list and the
//! demand meanwhile. Decides nothing about who owns what, and knows no protocol.

mod held;
mod keeping;
mod orders;
mod router;
mod symbols;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tickwire_common::feed::FeedState;
use tickwire_common::symbol::Symbol;
use tickwire_nats::{Bytes, Nats};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::catalogue::List;
use crate::demand::Demand;
use crate::feeds::Feeds;
use crate::fleet::{Handle, Order, Post};
use crate::outlet::Outlet;
use crate::pool::Pool;
use held::{Held, Stage};
pub use keeping::Keeping;
pub use router::Router;

/// How often shards are looked at: whether they are warm, and how their sockets are.
const LOOK: Duration = Duration::from_millis(100);

/// A venue whose list has not been known for so long is down.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// What was published of a shard before it came to us.
#[derive(Debug)]
struct Reading {
    shard: u32,
    /// The tenure that it is read for.
    epoch: u64,
    /// Of which symbols.
    asked: BTreeSet<Symbol>,
    /// The last value of each that has one.
    rows: Vec<(Symbol, Bytes)>,
}

/// What one venue is made of.
pub struct Parts {
    /// The venue's id.
    pub id: &'static str,
    /// The connection that last values are read over.
    pub nats: Nats,
    /// The way of rows out.
    pub outlet: Arc<Outlet>,
    /// Who speaks of the shards.
    pub feeds: Arc<Feeds>,
    /// What clients want, where that decides what is carried.
    pub demand: Option<Arc<Demand>>,
    /// The sockets.
    pub pool: Pool,
    /// What the venue lists.
    pub list: watch::Receiver<Arc<List>>,
    /// The catalogue's keeper, at rest.
    pub keeping: Keeping,
    /// Who hears that something is done.
    pub fleet: Handle,
}

/// One venue at work.
pub struct VenueRun {
    parts: Parts,
    held: Held,
    readings: FuturesUnordered<BoxFuture<'static, Reading>>,
    started: Instant,
}

impl VenueRun {
    /// A venue that holds nothing.
    pub fn new(parts: Parts) -> Self {
        Self { parts, held: Held::default(), readings: FuturesUnordered::new(), started: Instant::now() }
    }

    /// Does what `orders` say until there are no more.
    ///
    /// # Errors
    /// None; the type is what tasks have.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> anyhow::Result<()> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wanted = self.parts.demand.as_ref().map(|demand| demand.changes());
        self.listed().await;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => break,
                },
                Some(reading) = self.readings.next() => self.read(reading).await,
                Ok(()) = self.parts.list.changed() => self.listed().await,
                Some(Ok(())) = changed(&mut wanted) => self.ask_all().await,
                _ = look.tick() => self.look().await,
            }
        }
        self.parts.keeping.stop().await;
        Ok(())
    }
}

impl VenueRun {
    /// Tells the feeds how the sockets are, and the fleet which shards are warm.
    async fn look(&mut self) {
        let is_listed = !self.parts.list.borrow().is_empty();
        self.parts.feeds.trouble(if is_listed { None } else { Some(self.trouble()) });
        for shard in self.held.shards() {
            let symbols = self.tell_feeds(shard);
            let is_warm = is_listed && self.parts.pool.view().warm(&symbols);
            let Some(Stage::Preparing { turn }) = self.held.stage_mut(shard) else { continue };
            if let Some(turn) = turn.take_if(|_| is_warm) {
                self.parts.fleet.warm(Post::shard(self.parts.id, shard), turn).await;
            }
        }
    }

    /// Tells the feeds how the sockets of a shard's symbols are; gives the symbols.
    fn tell_feeds(&self, shard: u32) -> Vec<u32> {
        let symbols = self.held.numbers(shard);
        self.parts.feeds.sockets(shard, self.parts.pool.view().summary(&symbols));
        symbols
    }

    fn trouble(&self) -> (FeedState, String) {
        let is_late = self.started.elapsed() >= LIST_PATIENCE;
        let state = if is_late { FeedState::Down } else { FeedState::Connecting };
        (state, "nobody has read the list of instruments yet".to_owned())
    }
}

/// The next change, if there is anything to change.
async fn changed(wanted: &mut Option<watch::Receiver<u64>>) -> Option<Result<(), watch::error::RecvError>> {
    Some(wanted.as_mut()?.changed().await)
}

#[cfg(test)]
mod tests;
