//! The driver: owns one exchange socket for as long as the process lives, and knows no venue. Opens it, hands bytes
//! and time to the session, does what the session asks for, and opens it again after a jittered back-off.

mod connect;
mod drive;
mod gate;

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tickwire_common::backoff::Backoff;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use connect::ConnectError;
pub use drive::{Drive, Ended};
pub use gate::Gate;

use crate::feed::Reporter;
use crate::publish::Outlet;
use crate::rest::Rest;
use crate::venue::contract::{Carried, Reason, Venue};

/// Ceiling of the first wait before a new socket: prices should be back at once after a single cut.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Ceiling of every wait between two sockets.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A socket that brought prices for this long has proved itself.
const SETTLE: Duration = Duration::from_secs(30);

/// One socket and what it is for.
#[derive(Clone)]
pub struct Link {
    /// The venue's protocol.
    pub venue: &'static dyn Venue,
    /// For the log, like `binance/0`.
    pub name: String,
    /// The symbols it carries.
    pub symbols: Vec<Carried>,
    /// Configured origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// The venue's REST interface, for its invitations.
    pub rest: Rest,
    /// Shared by all sockets of the venue.
    pub gate: Arc<Gate>,
    /// Where the prices go.
    pub outlet: Arc<Outlet>,
    /// Where the state goes.
    pub reporter: Reporter,
}

impl Link {
    /// Keeps the socket open until `token` is cancelled, then closes it.
    ///
    /// # Errors
    /// Only if the back-off's bounds were wrong: whatever a venue does is answered by another attempt.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX)?.settle_after(SETTLE);
        loop {
            let opened = token.run_until_cancelled(self.open()).await;
            let ended = match opened {
                None => return Ok(()),
                Some(Ok(drive)) => drive.run(&token).await,
                Some(Err(error)) => {
                    warn!(link = self.name, %error, "cannot open the socket");
                    Ended { reason: Some(error.reason()), live_for: Duration::ZERO }
                }
            };
            let Some(reason) = ended.reason else { return Ok(()) };
            backoff.proved(ended.live_for);
            let delay = backoff.next_delay();
            self.tell_lost(reason, delay);
            if token.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Ok(());
            }
        }
    }

    #[tracing::instrument(name = "open_socket", skip_all, fields(link = self.name))]
    async fn open(&self) -> Result<Drive<connect::Socket>, ConnectError> {
        self.gate.pass().await;
        let (socket, endpoint) = connect::open(self).await?;
        let session = self.venue.session(self.symbols.clone(), &endpoint);
        info!(link = self.name, symbols = self.symbols.len(), "socket open");
        Ok(Drive::new(self, socket, session))
    }

    fn tell_lost(&self, reason: Reason, delay: Duration) {
        let (venue, reason) = (self.venue.id(), reason.as_str());
        counter!("tickwire_ingest_reconnects_total", "venue" => venue, "reason" => reason).increment(1);
        self.reporter.lost(reason);
        warn!(link = self.name, reason, retry_seconds = delay.as_secs_f64(), "socket lost");
    }
}
