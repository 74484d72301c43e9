//! The state of a venue's feed, out of the states of its sockets; published on change and as a heartbeat, so that
//! clients are told instead of cut. The words are [`tickwire_common::feed`]'s.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tickwire_common::feed::{FEED_HEARTBEAT_MS, FeedState, FeedStatus};
use tickwire_common::time::now_ms;
use tickwire_nats::publish::Publisher;
use tickwire_nats::{Bytes, Nats, subject};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A socket that has been away for this long is down, milliseconds: several attempts have failed by then.
const DOWN_AFTER_MS: u64 = 30_000;

/// The feed of one shard of a venue.
#[derive(Debug)]
pub struct Feed {
    venue: &'static str,
    shard: String,
    inner: Mutex<Inner>,
    last_tick_ms: AtomicU64,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    /// What holds before there are sockets.
    before: (FeedState, String),
    symbols: u32,
    sockets: Vec<Socket>,
}

/// What is known of one socket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    /// Never had a price yet.
    Opening {
        since_ms: u64,
        reason: Option<&'static str>,
    },
    Live,
    Lost {
        since_ms: u64,
        reason: &'static str,
    },
}

/// Tells the feed of one socket; made by [`Feed::socket`].
#[derive(Debug, Clone)]
pub struct Reporter {
    feed: Arc<Feed>,
    at: usize,
}

impl Feed {
    /// The feed of `venue`, not yet planned.
    pub fn new(venue: &'static str, shard: u32) -> Self {
        let before = (FeedState::Connecting, "reading the list of instruments".to_owned());
        Self {
            venue,
            shard: shard.to_string(),
            inner: Mutex::new(Inner { before, symbols: 0, sockets: Vec::new() }),
            last_tick_ms: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// The feed has no socket, and why.
    pub fn without_sockets(&self, state: FeedState, reason: String) {
        self.lock().before = (state, reason);
        self.changed.notify_one();
    }

    /// The feed carries this many symbols.
    pub fn carries(&self, symbols: usize) {
        self.lock().symbols = u32::try_from(symbols).unwrap_or(u32::MAX);
    }

    /// Adds a socket.
    pub fn socket(self: &Arc<Self>) -> Reporter {
        let mut inner = self.lock();
        inner.sockets.push(Socket::Opening { since_ms: now_ms(), reason: None });
        Reporter { feed: Arc::clone(self), at: inner.sockets.len() - 1 }
    }

    /// Publishes the state until `token` is cancelled, then that the feed is down.
    pub async fn run(&self, nats: &Nats, token: CancellationToken) {
        let publisher = Publisher::new(nats);
        let subject = subject::feed(self.venue, &self.shard);
        let say = |status: &FeedStatus| {
            self.gauges();
            let text = serde_json::to_vec(status).unwrap_or_default();
            // While NATS is away nobody hears it; the next heartbeat says the same.
            let _refused = publisher.try_publish(&subject, Bytes::from(text));
        };
        let mut status = self.status(None, now_ms());
        loop {
            say(&status);
            let woken = timeout(Duration::from_millis(FEED_HEARTBEAT_MS), self.changed.notified());
            if token.run_until_cancelled(woken).await.is_none() {
                break;
            }
            let next = self.status(Some(&status), now_ms());
            if next.state != status.state {
                self.log(&next);
            }
            status = next;
        }
        self.lock().sockets.clear();
        self.without_sockets(FeedState::Down, "the ingestor is shutting down".to_owned());
        say(&self.status(Some(&status), now_ms()));
    }

    fn log(&self, status: &FeedStatus) {
        let (venue, state) = (self.venue, status.state.as_str());
        match &status.reason {
            None => info!(venue, state, symbols = status.symbols, "feed"),
            Some(reason) => warn!(venue, state, reason, "feed"),
        }
    }

    fn status(&self, before: Option<&FeedStatus>, now_ms: u64) -> FeedStatus {
        let inner = self.lock();
        let (state, reason) = match summary(&inner.sockets, now_ms) {
            Some(summary) => summary,
            None => (inner.before.0, Some(inner.before.1.clone())),
        };
        let since = before.filter(|before| before.state == state).map_or(now_ms, |before| before.since);
        let last_tick = Some(self.last_tick_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0);
        FeedStatus { state, since, last_tick, symbols: inner.symbols, reason, shards: 1, demand: false }
    }

    fn gauges(&self) {
        let inner = self.lock();
        let mut counts = BTreeMap::from([("live", 0u32), ("lost", 0), ("opening", 0)]);
        for socket in &inner.sockets {
            *counts.entry(socket.as_str()).or_default() += 1;
        }
        for (state, count) in counts {
            gauge!("tickwire_ingest_sockets", "venue" => self.venue, "state" => state).set(count);
        }
        gauge!("tickwire_ingest_symbols", "venue" => self.venue).set(inner.symbols);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    /// A price came at this time, Unix milliseconds.
    pub fn tick(&self, now_ms: u64) {
        self.feed.last_tick_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The socket brings prices.
    pub fn live(&self) {
        self.set(|_| Socket::Live);
    }

    /// The socket is gone.
    pub fn lost(&self, reason: &'static str) {
        self.set(|socket| match *socket {
            Socket::Opening { since_ms, .. } => Socket::Opening { since_ms, reason: Some(reason) },
            Socket::Live => Socket::Lost { since_ms: now_ms(), reason },
            Socket::Lost { since_ms, .. } => Socket::Lost { since_ms, reason },
        });
    }

    fn set(&self, next: impl FnOnce(&Socket) -> Socket) {
        if let Some(socket) = self.feed.lock().sockets.get_mut(self.at) {
            *socket = next(socket);
        }
        self.feed.changed.notify_one();
    }
}

impl Socket {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Opening { .. } => "opening",
            Self::Live => "live",
            Self::Lost { .. } => "lost",
        }
    }

    fn state(&self, now_ms: u64) -> (FeedState, Option<&'static str>) {
        let down = |since_ms: u64| now_ms.saturating_sub(since_ms) > DOWN_AFTER_MS;
        match *self {
            Self::Live => (FeedState::Live, None),
            Self::Lost { since_ms, reason } if !down(since_ms) => (FeedState::Stale, Some(reason)),
            Self::Opening { since_ms, reason } if !down(since_ms) => (FeedState::Connecting, reason),
            Self::Lost { reason, .. } => (FeedState::Down, Some(reason)),
            Self::Opening { reason, .. } => (FeedState::Down, reason),
        }
    }
}

/// A feed is as good as the worst of its sockets, for nobody outside knows which socket carries a symbol; the reason
/// says how many are concerned. `None` without sockets.
fn summary(sockets: &[Socket], now_ms: u64) -> Option<(FeedState, Option<String>)> {
    let states: Vec<_> = sockets.iter().map(|socket| socket.state(now_ms)).collect();
    let (worst, why) = states.iter().max_by_key(|(state, _)| badness(*state))?;
    let count = states.iter().filter(|(state, _)| state == worst).count();
    let reason = match (worst, why) {
        (FeedState::Live, _) => None,
        (_, None) => Some(format!("opening {count} of {} sockets", sockets.len())),
        (_, Some(why)) => Some(format!("{count} of {} sockets away: {why}", sockets.len())),
    };
    Some((*worst, reason))
}

fn badness(state: FeedState) -> u8 {
    match state {
        FeedState::Live => 0,
        FeedState::Closed => 1,
        FeedState::Connecting => 2,
        FeedState::Stale => 3,
        FeedState::Down => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Socket = Socket::Lost { since_ms: 1_000, reason: "closed" };

    #[test]
    fn a_feed_is_as_good_as_its_worst_socket() {
        let opening = Socket::Opening { since_ms: 1_000, reason: None };
        let text = |text: &str| Some(text.to_owned());
        for (sockets, state, reason) in [
            (vec![Socket::Live, Socket::Live], FeedState::Live, None),
            (vec![Socket::Live, opening.clone()], FeedState::Connecting, text("opening 1 of 2 sockets")),
            (vec![opening, LOST, LOST], FeedState::Stale, text("2 of 3 sockets away: closed")),
        ] {
            assert_eq!(summary(&sockets, 2_000), Some((state, reason)));
        }
        assert_eq!(summary(&[], 0), None);
    }

    #[test]
    fn a_socket_that_stays_away_is_down() {
        assert_eq!(LOST.state(1_000 + DOWN_AFTER_MS).0, FeedState::Stale);
        assert_eq!(LOST.state(1_001 + DOWN_AFTER_MS).0, FeedState::Down);
    }

    #[test]
    fn reports_move_the_feed_and_a_new_state_has_a_new_beginning() {
        let feed = Arc::new(Feed::new("binance", 0));
        let first = feed.status(None, 5);
        assert_eq!((first.state, first.since, first.last_tick), (FeedState::Connecting, 5, None));
        let socket = feed.socket();
        socket.live();
        socket.tick(6);
        let live = feed.status(Some(&first), 7);
        assert_eq!(
            (live.state, live.since, live.last_tick, live.reason),
            (FeedState::Live, 7, Some(6), None)
        );
        socket.lost("silence");
        socket.lost("connect");
        let stale = feed.status(Some(&first), now_ms());
        assert_eq!(
            (stale.state, stale.reason.as_deref()),
            (FeedState::Stale, Some("1 of 1 sockets away: connect"))
        );
    }
}
