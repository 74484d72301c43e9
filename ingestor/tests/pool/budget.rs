//! Gates of several processes behind one address, against a real nats-server that is lost and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tickwire_ingestor::link::{Budget as _, Gate, Taken};
use tickwire_ingestor::pool::FleetBudget;
use tickwire_ingestor::venue::contract::SECOND;
use tickwire_ingestor::venue::facts::Rate;
use tickwire_nats::Nats;
use tickwire_nats::testing::NatsServer;
use tokio::sync::watch;

use crate::world::soon;

/// Four a second.
const RATE: Rate = Rate { count: 4, per: SECOND };
const WINDOW: Duration = Duration::from_secs(1);

struct Process {
    nats: Nats,
    gate: Gate,
}

impl Process {
    /// One of two.
    async fn new(server: &NatsServer) -> Self {
        let nats = Nats::connect(&server.config(), "test").await.unwrap();
        let budget = FleetBudget::new(&nats, "toy", RATE, 1, "shared".to_owned());
        let gate = Gate::new(RATE).sharing(Arc::new(budget), watch::channel(2).1);
        Self { nats, gate }
    }

    /// Waits until the budget answers.
    async fn reach(&self) {
        let budget = FleetBudget::new(&self.nats, "toy", RATE, 1, "nobody".to_owned());
        let reached = async {
            while budget.take().await == Taken::Unreachable {
                tokio::task::yield_now().await;
            }
        };
        soon("an answer", reached).await;
    }

    /// When this process could have connected.
    async fn passes(&self, count: usize) -> Vec<Instant> {
        let mut passes = Vec::new();
        for _ in 0..count {
            self.gate.pass().await;
            passes.push(Instant::now());
        }
        passes
    }
}

async fn both(processes: &[Process; 2], each: usize) -> Vec<Instant> {
    let [one, other] = processes;
    let passes = async { tokio::join!(one.passes(each), other.passes(each)) };
    let (mut all, more) = soon("the passes", passes).await;
    all.extend(more);
    all.sort_unstable();
    all
}

/// The shortest time in which one more than the rate got through. The server's clock runs from the token, ours from its
/// answer: what the two ways to the server differ by is forgiven.
fn assert_within_the_rate(passes: &[Instant]) {
    let shortest = passes.windows(5).map(|five| five[4] - five[0]).min().unwrap();
    assert!(shortest > WINDOW * 8 / 10, "five within {shortest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_connects_also_while_the_server_is_away() {
    let mut server = NatsServer::start().await.unwrap();
    let processes = [Process::new(&server).await, Process::new(&server).await];
    for process in &processes {
        process.reach().await;
    }
    assert_within_the_rate(&both(&processes, 6).await);

    server.stop();
    for process in &processes {
        let mut link = process.nats.state();
        soon("the outage", link.wait_for(|state| !state.connected)).await.unwrap();
    }
    // Half of it each.
    assert_within_the_rate(&both(&processes, 4).await);

    // The server had no disk: the budget is made anew.
    soon("the restart", server.restart()).await.unwrap();
    for process in &processes {
        process.reach().await;
    }
    assert_within_the_rate(&both(&processes, 6).await);
    let streams = soon("the streams", server.monitor("/jsz?streams=true")).await.unwrap();
    assert!(streams.to_string().contains("MD_BUDGET_toy"), "{streams}");
}
