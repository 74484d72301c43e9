//! What a session tells besides prices: counted, logged, and put into the view.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Link, Load, Retire, Route};
use crate::venue::contract::{Event, Reason};

/// Garbage is counted always and logged this often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// Passes the news of one connection on.
pub(super) struct Teller {
    name: String,
    socket: u32,
    route: Arc<Route>,
    complained: Option<Instant>,
}

impl Teller {
    pub(super) fn new(link: &Link) -> Self {
        Self {
            name: link.name.clone(),
            socket: link.socket,
            route: Arc::clone(&link.route),
            complained: None,
        }
    }

    /// Passes an event on; `carried` is what the connection carries.
    ///
    /// # Errors
    /// The reason why the session wants another connection.
    pub(super) fn tell(&mut self, event: Event, carried: &Load) -> Result<(), Reason> {
        let (venue, view) = (self.route.venue.id(), &self.route.view);
        match event {
            Event::Acked { symbols } => view.acked(self.socket, &symbols),
            Event::Live { symbol } => view.live(self.socket, symbol),
            Event::Rejected { symbol, full, reason } => {
                self.rejected(carried.get(&symbol), full, &reason);
                view.rejected(self.socket, symbol, full);
            }
            Event::Quiet { symbol } => {
                counter!("tickwire_ingest_resubscribes_total", "venue" => venue).increment(1);
                debug!(
                    link = self.name,
                    symbol = carried.get(&symbol),
                    "acknowledged, yet silent: subscribing again"
                );
            }
            Event::Retire => {
                info!(link = self.name, "the venue is about to close the socket");
                view.retire(self.socket, Retire::Announced);
            }
            Event::Ignored(kind) => {
                counter!("tickwire_ingest_ignored_frames_total", "venue" => venue, "kind" => kind)
                    .increment(1);
            }
            Event::Garbage(kind) => {
                counter!("tickwire_ingest_decode_errors_total", "venue" => venue, "kind" => kind)
                    .increment(1);
                self.complain(kind);
            }
            Event::Reconnect(reason) => return Err(reason),
        }
        Ok(())
    }

    fn rejected(&self, symbol: Option<&String>, full: bool, reason: &str) {
        if full {
            warn!(link = self.name, symbol, reason, "the venue takes no more on this socket");
        } else {
            counter!("tickwire_ingest_rejected_symbols_total", "venue" => self.route.venue.id()).increment(1);
            warn!(link = self.name, symbol, reason, "the venue does not carry this symbol; the others go on");
        }
    }

    fn complain(&mut self, kind: &'static str) {
        let now = Instant::now();
        if self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINT_EVERY) {
            self.complained = Some(now);
            warn!(link = self.name, kind, "skipped a frame that cannot be read; more are only counted");
        }
    }
}
