//! Keeps the stream of last values and the buckets of instruments and leases there: ensured at the start and whenever NATS comes
//! back, for a server without a disk forgets them. Others wait for it before they rely on them.

use std::time::Duration;

use tickwire_common::backoff::Backoff;
use tickwire_nats::Nats;
use tickwire_nats::setup::{CATALOGUE_BUCKET, LEASES_BUCKET, SetupError, ensure_bucket, ensure_last_stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// For which connection the streams are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// Epoch of the link that they were ensured on; 0 before the first.
    pub epoch: u64,
    /// What stands in the way now.
    pub problem: Option<String>,
}

/// Waits until the streams were ensured once.
///
/// # Errors
/// When nobody keeps them any more.
pub async fn first(ready: &mut watch::Receiver<Ready>) -> Result<(), watch::error::RecvError> {
    ready.wait_for(|ready| ready.epoch > 0).await.map(drop)
}

/// Ensures the streams on `replicas` servers, each time the link comes up, until `token` is cancelled.
///
/// # Errors
/// Only if the back-off's bounds were wrong.
pub async fn keep(
    nats: Nats,
    replicas: u32,
    ready: watch::Sender<Ready>,
    token: CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX)?;
    let keeping = async {
        let mut link = nats.state();
        loop {
            let done = ready.borrow().epoch;
            let up = link.wait_for(|state| state.connected && state.epoch > done).await.map(|state| *state);
            // A closed connection is how the process ends.
            let Ok(state) = up else { return };
            match ensure(&nats, replicas).await {
                Ok(()) => {
                    backoff.reset();
                    ready.send_replace(Ready { epoch: state.epoch, problem: None });
                }
                Err(problem) => {
                    tell(&ready, &problem);
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    };
    token.run_until_cancelled(keeping).await;
    Ok(())
}

async fn ensure(nats: &Nats, replicas: u32) -> Result<(), SetupError> {
    ensure_last_stream(nats, replicas).await?;
    ensure_bucket(nats, CATALOGUE_BUCKET, replicas).await?;
    ensure_bucket(nats, LEASES_BUCKET, replicas).await
}

/// Says it once, until it is something else.
fn tell(ready: &watch::Sender<Ready>, problem: &SetupError) {
    let text = problem.to_string();
    if ready.borrow().problem.as_ref() != Some(&text) {
        error!(%problem, "trying on");
    }
    ready.send_modify(|ready| ready.problem = Some(text));
}
