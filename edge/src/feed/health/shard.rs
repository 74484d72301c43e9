//! What is heard of one shard. Its owner may change: the old one falls silent, the new one speaks, and for a moment both
//! do. The word with the newest `since` counts, and the other only once the one that counted is not heard any more; so
//! two who say the same in turn, or one who speaks a little too long, change nothing.

use std::time::{Duration, Instant};

use tickwire_common::feed::{FEED_HEARTBEAT_MS, FeedState, FeedStatus};

use super::feeds::ShardNow;
use super::{CUT, SILENCE};
use crate::feed::stand::Stand;

/// Silence after which somebody else's word is taken: one heartbeat was missed.
const HANDED_OVER: Duration = Duration::from_millis(FEED_HEARTBEAT_MS * 3 / 2);

/// How long a shard on demand that had nothing to carry may take until its first prices come.
const FIRST_PRICES: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Shard {
    word: Word,
    /// The newest word of somebody who does not count.
    other: Option<Word>,
    is_live: bool,
    /// Since when it is live, or is not; `None` is longer ago than this process can tell.
    turned: Option<Instant>,
}

#[derive(Debug)]
struct Word {
    status: FeedStatus,
    at: Instant,
    /// Since when this state is heard.
    begun: Instant,
}

impl Shard {
    pub fn new(status: FeedStatus, now: Instant, now_ms: u64) -> Self {
        let is_live = status.state.is_live() || has_nothing_to_wait_for(&status);
        let turned = now.checked_sub(Duration::from_millis(now_ms.saturating_sub(status.since)));
        Self { word: Word { status, at: now, begun: now }, other: None, is_live, turned }
    }

    /// Takes in a heartbeat; gives whether it says anything new.
    pub fn hear(&mut self, status: FeedStatus, now: Instant) -> bool {
        let before = &self.word.status;
        let begun = if status.state == before.state { self.word.begun } else { now };
        if status.since < before.since && now < self.word.at + HANDED_OVER {
            self.other = Some(Word { status, at: now, begun });
            return false;
        }
        let news = without_counts(&status) != without_counts(before);
        self.word = Word { status, at: now, begun };
        self.other = None;
        news
    }

    /// When anything was heard last.
    pub fn heard_at(&self) -> Instant {
        self.other.iter().map(|other| other.at).fold(self.word.at, Instant::max)
    }

    pub fn is_silent(&self, now: Instant) -> bool {
        now >= self.heard_at() + SILENCE
    }

    /// Its silence until now was not its own.
    pub fn excuse(&mut self, now: Instant) {
        self.word.at = now;
        self.other = None;
    }

    /// Judges the shard by what was said and by the clock.
    pub fn judge(&mut self, cut_since: Option<u64>, now: Instant, now_ms: u64) -> ShardNow {
        if now >= self.word.at + HANDED_OVER
            && let Some(other) = self.other.take_if(|other| other.at > self.word.at)
        {
            self.word = other;
        }
        let status = self.status(cut_since, now, now_ms);
        let is_live = status.state.is_live();
        if is_live != std::mem::replace(&mut self.is_live, is_live) {
            self.turned = Some(now);
        }
        let stand = match status.state {
            FeedState::Live => Stand::Live { since: self.turned },
            FeedState::Down => Stand::Down,
            FeedState::Connecting | FeedState::Stale | FeedState::Closed => Stand::Off { since: self.turned },
        };
        ShardNow { status, stand }
    }

    fn status(&self, cut_since: Option<u64>, now: Instant, now_ms: u64) -> FeedStatus {
        let mut status = self.word.status.clone();
        let silence = now.saturating_duration_since(self.word.at);
        if let Some(since) = cut_since {
            if status.state != FeedState::Down {
                (status.state, status.since) = (FeedState::Stale, since);
            }
            status.reason = Some(CUT.to_owned());
        } else if silence >= SILENCE {
            let silent_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
            (status.state, status.since) = (FeedState::Down, now_ms.saturating_sub(silent_ms));
            status.reason = Some("no word from its ingestor".to_owned());
        } else if has_nothing_to_wait_for(&status) || self.waits_for_first_prices(now) {
            (status.state, status.reason) = (FeedState::Live, None);
        }
        status
    }

    /// The first client of a shard's first symbol is no outage of the venue.
    fn waits_for_first_prices(&self, now: Instant) -> bool {
        let status = &self.word.status;
        let begins = status.demand && status.state == FeedState::Connecting && self.is_live;
        begins && now < self.word.begun + FIRST_PRICES
    }
}

/// On demand, what nobody wants needs no socket.
fn has_nothing_to_wait_for(status: &FeedStatus) -> bool {
    status.demand && status.symbols == 0 && status.state == FeedState::Connecting
}

/// What is told at once; the time of the last tick moves all the time.
fn without_counts(status: &FeedStatus) -> FeedStatus {
    FeedStatus { last_tick: None, symbols: status.symbols.min(1), ..status.clone() }
}
