//! The whole way of a tick with real processes only: simulated exchange, ingestor, nats-server, edge, WebSocket client.
//!
//! Each test starts a stack of its own on free ports and ends it; nothing is shared, so they run side by side. The
//! programs are those beside this test executable: `make e2e` builds them first. Waits are for events, with a deadline.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod client;
mod http;
mod process;
mod recording;
mod stack;

mod bad_input;
mod chaos;
mod demand;
mod drain;
mod fan_out;
mod fleet;
mod lists;
mod load;
mod mixes;
mod names;
mod outage;
mod publish;
mod replay;

use std::time::Duration;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(40);
