//! The crate against a real nats-server, started anew for each test. Run with `TICKWIRE_TEST_NATS_SERVER` set to test
//! another version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod auth;
mod budget;
mod catalogue;
mod cluster;
mod demand;
mod last_value;
mod leases;
mod link;
mod peers;
mod publish;
mod server_configs;
mod setup;
mod snapshot;
mod subscribe;

use std::time::Duration;

use tickwire_nats::subscribe::{Message, Subscription};
use tickwire_nats::testing::NatsServer;
use tickwire_nats::{LinkState, Nats, NatsConfig};
use tokio::time::timeout;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn server() -> NatsServer {
    NatsServer::start().await.unwrap()
}

async fn connect(config: &NatsConfig) -> Nats {
    let nats = Nats::connect(config, "test").await.unwrap();
    up(&nats).await;
    nats
}

async fn up(nats: &Nats) -> LinkState {
    timeout(PATIENCE, nats.connected()).await.expect("connects in time").unwrap()
}

async fn down(nats: &Nats) {
    let mut state = nats.state();
    timeout(PATIENCE, state.wait_for(|state| !state.connected)).await.expect("notices in time").unwrap();
}

async fn next(subscription: &mut Subscription) -> Message {
    timeout(PATIENCE, subscription.next()).await.expect("a message in time").expect("an open subscription")
}

/// Callers run these in tasks of their own; that they can is decided when this compiles.
#[tokio::test]
async fn futures_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let server = server().await;
    let nats = connect(&server.config()).await;
    let everything = async move {
        let catalogue = tickwire_nats::catalogue::Catalogue::new(&nats);
        tickwire_nats::setup::ensure_last_stream(&nats, 1).await.unwrap();
        tickwire_nats::setup::ensure_bucket(&nats, tickwire_nats::setup::CATALOGUE_BUCKET, 1).await.unwrap();
        catalogue.put("x", &[]).await.unwrap();
        let mut watch = catalogue.watch().await.unwrap();
        let mut subscription = nats.subscribe(&tickwire_nats::subject::tick("x", "A")).await.unwrap();
        let rows = tickwire_nats::snapshot::Snapshots::new(&nats).get(&[]).await.unwrap();
        assert!(rows.is_empty());
        nats.barrier().await.unwrap();
        nats.drain().await;
        assert!(subscription.next().await.is_none(), "closed");
        assert!(watch.next().await.is_none(), "closed");
    };
    timeout(PATIENCE, spawnable(everything)).await.expect("ends");
}
