//! What happens to the link: the library's events turned into a state that cannot be missed, and into one log line
//! an outage.
//!
//! Events only wake us. The library drops them when 128 wait, and it reports a connection before the subscriptions
//! are sent again; so the state is read from its connection counter, and a round trip proves that the link works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, Event, ServerError};
use tickwire_common::backoff::Backoff;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::connect::{LinkState, round_trip};

/// Ceiling of the first wait before a new attempt.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Ceiling of every wait between attempts, each a uniform draw below it: last values must be back in a server without
/// disk 2 s after it is. Five attempts a second and process, of which a server that is there sees one.
const RETRY_MAX: Duration = Duration::from_millis(400);
/// The same while the server refuses us: it is there, and checks every attempt.
const REFUSED_MAX: Duration = Duration::from_secs(2);
/// How long a lost event can go unnoticed.
const POLL: Duration = Duration::from_millis(250);
/// Server complaints come one a message; this often they are logged, all of them are counted.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// What the library's callbacks share with [`follow`].
#[derive(Debug)]
pub(crate) struct Events {
    servers: String,
    wake: Notify,
    closed: AtomicBool,
    dropped: AtomicU64,
    talk: Mutex<Talk>,
}

/// What was said of the present outage, and how long to wait.
#[derive(Debug)]
struct Talk {
    /// `None` before the first attempt, which does not wait.
    backoff: Option<Backoff>,
    /// Waits while we are refused.
    refused: Option<Backoff>,
    unreachable_said: bool,
    refused_said: bool,
    complained: Option<Instant>,
}

impl Events {
    pub(crate) fn new(servers: String) -> Self {
        let talk = Talk {
            backoff: None,
            refused: None,
            unreachable_said: false,
            refused_said: false,
            complained: None,
        };
        Self {
            servers,
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            talk: Mutex::new(talk),
        }
    }

    /// Messages that full subscriptions dropped, as far as the library told.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn talk(&self) -> std::sync::MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before the next attempt: nothing at the start, then more and more, with jitter.
    pub(crate) fn next_delay(&self) -> Duration {
        let mut talk = self.talk();
        if let (true, Some(refused)) = (talk.refused_said, &mut talk.refused) {
            return refused.next_delay();
        }
        match &mut talk.backoff {
            Some(backoff) => backoff.next_delay(),
            None => {
                talk.backoff = Backoff::new(RETRY_FIRST, RETRY_MAX).ok();
                talk.refused = Backoff::new(RETRY_MAX, REFUSED_MAX).ok();
                Duration::ZERO
            }
        }
    }

    /// Takes an event of the library.
    pub(crate) fn take(&self, event: &Event) {
        match event {
            Event::SlowConsumer(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("tickwire_nats_dropped_messages_total").increment(1);
                return;
            }
            Event::ServerError(error) => return self.complain(error),
            Event::ClientError(error) => self.failed(error),
            Event::Closed => self.closed.store(true, Ordering::Relaxed),
            Event::Disconnected => self.unreachable("connection lost"),
            Event::LameDuckMode => info!(servers = self.servers, "NATS server is about to leave"),
            Event::Connected | Event::Draining => {}
        }
        self.wake.notify_one();
    }

    fn failed(&self, error: &ClientError) {
        let reason = error.to_string();
        let refused = reason.contains("authorization violation");
        if refused && !std::mem::replace(&mut self.talk().refused_said, true) {
            warn!(servers = self.servers, "NATS refuses our user, password, token or credentials, trying on");
        }
        self.unreachable(&reason);
    }

    fn unreachable(&self, reason: &str) {
        let mut talk = self.talk();
        let said = std::mem::replace(&mut talk.unreachable_said, true);
        if !said && !talk.refused_said {
            warn!(reason, "NATS unreachable at {}, trying on", self.servers);
        }
    }

    /// A server error outside of connecting is nearly always a missing permission.
    fn complain(&self, error: &ServerError) {
        metrics::counter!("tickwire_nats_server_errors_total").increment(1);
        let mut talk = self.talk();
        let now = Instant::now();
        if talk.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINT_EVERY) {
            talk.complained = Some(now);
            warn!(%error, "NATS server complains");
        }
    }

    fn proved(&self) {
        let mut talk = self.talk();
        let Talk { backoff, refused, .. } = &mut *talk;
        backoff.iter_mut().chain(refused).for_each(Backoff::reset);
        (talk.unreachable_said, talk.refused_said) = (false, false);
    }
}

/// Keeps the state true until the connection is closed on purpose.
pub(crate) async fn follow(client: Client, events: Arc<Events>, state: watch::Sender<LinkState>) {
    let connects = || client.statistics().connects.load(Ordering::Relaxed);
    let mut proved = 0;
    while !events.closed.load(Ordering::Relaxed) {
        let seen = connects();
        let up = client.connection_state() == State::Connected;
        if !up || seen != proved {
            lower(&state);
        }
        if up && seen != proved {
            let works = tokio::select! {
                answer = round_trip(&client) => answer.is_ok(),
                // The link may have gone and come again: what we asked the old one is never answered.
                () = events.wake.notified() => continue,
            };
            if works && connects() == seen {
                proved = seen;
                events.proved();
                info!("connected to NATS at {}", events.servers);
                raise(&state);
            }
        }
        let _ = timeout(POLL, events.wake.notified()).await;
    }
    lower(&state);
}

fn lower(state: &watch::Sender<LinkState>) {
    state.send_if_modified(|state| std::mem::replace(&mut state.connected, false));
    metrics::gauge!("tickwire_nats_connected").set(0.0);
}

fn raise(state: &watch::Sender<LinkState>) {
    state.send_modify(|state| {
        state.connected = true;
        state.epoch += 1;
    });
    metrics::gauge!("tickwire_nats_connected").set(1.0);
    metrics::counter!("tickwire_nats_connects_total").increment(1);
}
