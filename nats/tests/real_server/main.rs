//! The crate against a real nats-server, started anew for each test. Run with `TICKWIRE_TEST_NATS_SERVER` set to test
//! another version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod auth;
mod catalogue;
mod last_value;
mod link;
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
