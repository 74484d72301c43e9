//! Which venues are not live, for those who ask the feed nothing else: the same word on a venue that the stream gives.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use tickwire_common::symbol::Topic;

use super::health::Health;
use super::view::ViewState;

/// See the module. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<RwLock<BTreeSet<String>>>);

impl Standing {
    /// Takes over what the feed knows.
    pub(super) fn note(&self, health: &Health) {
        let feeds = health.feeds();
        let stale = feeds.iter().filter(|(_, status)| !status.state.is_live());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            stale.map(|(venue, _)| (*venue).to_owned()).collect();
    }

    /// Whether rows of this venue are to be marked.
    pub fn is_stale(&self, venue: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(venue)
    }

    /// Which of those who can serve a bare name should: the first that is live, else the first.
    pub fn choose(&self, candidates: &[Topic]) -> Option<Topic> {
        ViewState::choice(candidates, None, |venue| self.is_stale(venue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tickwire_common::feed::{FeedState, FeedStatus};

    #[test]
    fn a_name_goes_where_the_stream_would_take_it() {
        let candidates = ["binance:X", "kucoin:X"].map(|text| text.parse::<Topic>().unwrap());
        let (mut health, standing, now) = (Health::default(), Standing::default(), Instant::now());
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.first());
        let status = FeedStatus {
            state: FeedState::Down,
            since: 0,
            last_tick: None,
            symbols: 1,
            reason: None,
            shards: 1,
            demand: false,
        };
        health.hear("binance", "0", status.clone(), now);
        health.changes(now, 0);
        standing.note(&health);
        assert!(standing.is_stale("binance") && !standing.is_stale("kucoin"));
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.last());
        health.hear("kucoin", "0", status, now);
        health.changes(now, 0);
        standing.note(&health);
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.first());
        assert_eq!(standing.choose(&[]), None);
    }
}
