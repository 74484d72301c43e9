//! What every test here stands on: a real nats-server, the real edge as a process, and clients of both. Nothing sleeps
//! for a while and hopes: an event is awaited, and what can only be asked is asked until it is so, with a deadline.

pub mod client;
pub mod edge;
pub mod http;
pub mod market;
pub mod on_demand;
pub mod proxy;
pub mod raw;
pub mod scene;
pub mod ways;

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a question is repeated that nobody answers unasked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Waits for something that must come.
pub async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// Asks until the answer is yes.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let mut turns = interval(ASK_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    in_time(what, async {
        while !ask().await {
            turns.tick().await;
        }
    })
    .await;
}
