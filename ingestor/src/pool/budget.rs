//! The connects that all processes behind one address share, counted by the NATS server ([`tickwire_nats::budget`]).
//! While it cannot be asked, the gate keeps to this process's share.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tickwire_nats::Nats;
use tickwire_nats::budget::{self, BudgetError};
use tokio::sync::Mutex;
use tracing::warn;

use crate::link::{Budget, Taken};
use crate::venue::facts::Rate;

/// One venue's connects from one address.
#[derive(Debug)]
pub struct FleetBudget {
    nats: Nats,
    venue: &'static str,
    rate: Rate,
    replicas: u32,
    address: String,
    /// `None` until it is known to exist.
    known: Mutex<Option<budget::Budget>>,
}

impl FleetBudget {
    /// A budget of `rate` for the processes at `address`, kept on `replicas` servers; made when it is needed first.
    pub fn new(nats: &Nats, venue: &'static str, rate: Rate, replicas: u32, address: String) -> Self {
        Self { nats: nats.clone(), venue, rate, replicas, address, known: Mutex::new(None) }
    }

    async fn ask(&self) -> Taken {
        // Twice: one that was lost with its server is made anew.
        for _ in 0..2 {
            let Some(budget) = self.ensured().await else { return Taken::Unreachable };
            match budget.take(&self.address).await {
                Ok(()) => return Taken::Yes,
                Err(BudgetError::Spent) => return Taken::Spent,
                Err(BudgetError::Missing) => *self.known.lock().await = None,
                Err(error) => return self.away(&error),
            }
        }
        Taken::Unreachable
    }

    async fn ensured(&self) -> Option<budget::Budget> {
        let mut known = self.known.lock().await;
        if known.is_none() {
            let window = Duration::from_micros(self.rate.per);
            let made =
                budget::Budget::ensure(&self.nats, self.venue, self.rate.count, window, self.replicas).await;
            match made {
                Ok(budget) => *known = Some(budget),
                Err(error) => {
                    self.away(&error);
                }
            }
        }
        known.clone()
    }

    fn away(&self, error: &dyn std::error::Error) -> Taken {
        warn!(venue = self.venue, %error, "the shared budget of connects cannot be asked; keeping to our share");
        Taken::Unreachable
    }
}

impl Budget for FleetBudget {
    fn take(&self) -> BoxFuture<'_, Taken> {
        Box::pin(self.ask())
    }
}
