//! The way of the fleet's orders to each venue. The fleet must not wait, or its leases run out: the queues are so long that
//! only a venue that is stuck fills one. Its orders then end, which ends the process, and others carry its shards.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tracing::error;

use crate::fleet::{Order, Runtime};

/// Orders that wait, for each post of a venue. A post has one order after the other, each answered or undone first.
const ORDERS_PER_POST: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Router(BTreeMap<&'static str, mpsc::Sender<Order>>);

impl Router {
    /// Adds a venue; gives the end of its queue.
    pub fn add(&mut self, venue: &'static str, shards: u32) -> mpsc::Receiver<Order> {
        // 1,024 shards at most, and the catalogue.
        let (sender, receiver) = mpsc::channel(ORDERS_PER_POST * (shards as usize + 1));
        self.0.insert(venue, sender);
        receiver
    }
}

impl Runtime for Router {
    fn order(&mut self, order: Order) {
        let venue: &str = &order.post().venue.clone();
        let is_stuck = self.0.get(venue).is_some_and(|queue| queue.try_send(order).is_err());
        if is_stuck {
            error!(venue, "the venue takes no more orders");
            self.0.remove(venue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Post;

    #[test]
    fn a_venue_that_takes_nothing_loses_its_orders() {
        let mut router = Router::default();
        let mut stuck = router.add("binance", 1);
        let mut well = router.add("kucoin", 1);
        let carry = |venue: &str| Order::Carry { post: Post::shard(venue, 0), epoch: 1 };
        for _ in 0..=ORDERS_PER_POST * 2 {
            router.order(carry("binance"));
            router.order(carry("kucoin"));
            assert!(well.try_recv().is_ok());
        }
        let taken = std::iter::from_fn(|| stuck.try_recv().ok()).count();
        assert_eq!(taken, ORDERS_PER_POST * 2);
        assert!(stuck.is_closed(), "and nothing more will come");
    }
}
