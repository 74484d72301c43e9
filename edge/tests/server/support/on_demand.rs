//! A venue that carries nothing but what edges want: an ingestor as small as can be, which answers each want of a symbol
//! that it does not carry with the symbol's first tick.

use std::collections::BTreeSet;

use tickwire_common::feed::{FeedState, FeedStatus};
use tickwire_nats::want::{Heard, Wants};

use super::in_time;
use super::market::{Market, word};

/// See the module.
pub struct OnDemand<'a> {
    market: &'a Market,
    venue: &'static str,
    wants: Heard,
    carried: BTreeSet<String>,
    since: u64,
}

impl<'a> OnDemand<'a> {
    /// Begins to listen, and says that it does.
    pub async fn open(market: &'a Market, venue: &'static str) -> Self {
        let wants = Wants::new(&market.nats).listen(venue).await.unwrap();
        market.nats.barrier().await.unwrap();
        let mut this = Self { market, venue, wants, carried: BTreeSet::new(), since: 1 };
        this.say().await;
        this
    }

    /// Begins anew, with empty hands, as one that was killed and started again.
    pub async fn restart(&mut self) {
        self.carried.clear();
        self.since += 1;
        self.say().await;
    }

    async fn say(&mut self) {
        let symbols = u32::try_from(self.carried.len()).unwrap();
        let status = FeedStatus { demand: true, symbols, since: self.since, ..word(FeedState::Live, 1) };
        self.market.shard(self.venue, 0, status).await;
    }

    /// The names of the next want.
    pub async fn want(&mut self) -> Vec<String> {
        let symbols = in_time("a want", self.wants.next()).await.unwrap();
        symbols.iter().map(|symbol| symbol.as_str().to_owned()).collect()
    }

    /// Waits for a want of something new, and ticks it.
    pub async fn serve(&mut self, v: u64) -> Vec<String> {
        loop {
            let wanted = self.want().await;
            let fresh: Vec<String> =
                wanted.into_iter().filter(|name| self.carried.insert(name.clone())).collect();
            if !fresh.is_empty() {
                self.say().await;
                for name in &fresh {
                    self.market.tick(&format!("{}:{name}", self.venue), v).await;
                }
                return fresh;
            }
        }
    }
}
