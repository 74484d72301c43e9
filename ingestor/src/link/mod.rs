//! The driver: owns one exchange socket for as long as the pool keeps it, and knows no venue. Opens it, hands bytes,
//! time and what is to be carried to the session, does what the session asks for, and opens it again after a jittered
//! back-off.

mod connect;
mod drive;
mod gate;
mod line;
mod state;
mod tell;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use tickwire_common::backoff::Backoff;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use gate::{Budget, Gate, Taken};
pub use state::{Retire, SocketState, SocketView, Summary, SymbolState};
pub use view::{MOVE_PATIENCE, View, WARM_AFTER_ACK};

use crate::rest::Rest;
use crate::venue::contract::{Reason, Update, Venue};
use connect::ConnectError;
use drive::{Drive, Ended};

/// Ceiling of the first wait before a new socket: prices should be back at once after a single cut.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Ceiling of every wait between two sockets.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A socket that brought prices for this long has proved itself.
const SETTLE: Duration = Duration::from_secs(30);

/// The part of its lifetime after which a connection asks to be replaced, in percent: a uniform draw, so that sockets
/// that were opened together do not go together.
const RETIRE_PERCENT: std::ops::RangeInclusive<u32> = 80..=95;

/// Where the prices go.
pub trait Sink: Send + Sync {
    /// Takes what a link read together at `now_us` (Unix microseconds). Never waits. While a symbol moves, two links
    /// bring the same news.
    fn updates(&self, link: u32, updates: &[Update], now_us: u64, now: std::time::Instant);

    /// Nobody carries these symbols at the moment: the venue may number their news from the start again.
    fn forget_orders(&self, symbols: &[u32]);
}

/// What a socket is to carry: the venue's key of every symbol, by index.
pub type Load = BTreeMap<u32, String>;

/// What all sockets of a venue share.
pub struct Route {
    /// The venue's protocol.
    pub venue: &'static dyn Venue,
    /// Configured origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// The venue's REST interface, for its invitations.
    pub rest: Rest,
    /// How often sockets may be opened.
    pub gate: Arc<Gate>,
    /// Where the prices go.
    pub sink: Arc<dyn Sink>,
    /// Where the news go.
    pub view: Arc<View>,
    /// After how long the venue cuts a connection.
    pub lifetime: Duration,
}

/// One socket.
pub struct Link {
    /// Its number in the view.
    pub socket: u32,
    /// For the log, like `binance/1`.
    pub name: String,
    /// What it shares with the others.
    pub route: Arc<Route>,
    /// What it is to carry. Only the newest load counts, so there is no queue that could be full.
    pub load: watch::Receiver<Load>,
}

impl Link {
    /// Keeps the socket open until `token` is cancelled, then closes it.
    ///
    /// # Errors
    /// Only if the back-off's bounds were wrong: whatever a venue does is answered by another attempt.
    pub async fn run(mut self, token: CancellationToken) -> anyhow::Result<()> {
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
    async fn open(&mut self) -> Result<Drive<connect::Socket>, ConnectError> {
        // An empty socket is not worth a connect. The pool is gone only when this link is cancelled.
        let _gone = self.load.wait_for(|load| !load.is_empty()).await.map(drop);
        let asked = Instant::now();
        self.route.gate.pass().await;
        histogram!("tickwire_ingest_connect_wait_seconds", "venue" => self.route.venue.id())
            .record(asked.elapsed().as_secs_f64());
        let (socket, endpoint) = connect::open(&self.route).await?;
        let session = self.route.venue.session(&endpoint);
        info!(link = self.name, symbols = self.load.borrow().len(), "socket open");
        self.route.view.opened(self.socket);
        Ok(Drive::new(self, socket, session, self.retire_at()))
    }

    /// When a connection that is made now asks to be replaced.
    fn retire_at(&self) -> Instant {
        Instant::now() + self.route.lifetime / 100 * fastrand::u32(RETIRE_PERCENT)
    }

    fn tell_lost(&self, reason: Reason, delay: Duration) {
        let (venue, reason) = (self.route.venue.id(), reason.as_str());
        counter!("tickwire_ingest_reconnects_total", "venue" => venue, "reason" => reason).increment(1);
        let alone = self.route.view.lost(self.socket, reason);
        self.route.sink.forget_orders(&alone);
        warn!(link = self.name, reason, retry_seconds = delay.as_secs_f64(), "socket lost");
    }
}
