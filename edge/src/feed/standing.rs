//! How feeds stand, for those who ask the feed nothing else: the same word on a symbol that the stream gives.

use std::sync::{Arc, PoisonError, RwLock};

use tickwire_common::symbol::Topic;

use super::health::Feeds;

/// See the module. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<RwLock<Arc<Feeds>>>);

impl Standing {
    /// Takes over what the feed knows.
    pub(super) fn note(&self, feeds: &Arc<Feeds>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(feeds);
    }

    /// Everything that is known at this moment.
    pub fn feeds(&self) -> Arc<Feeds> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which of those who can serve a bare name should: the first that is live, else the first.
    pub fn choose(&self, candidates: &[Topic]) -> Option<Topic> {
        let feeds = self.feeds();
        candidates.iter().find(|topic| !feeds.is_stale(topic)).or(candidates.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use tickwire_common::feed::FeedState;

    use crate::feed::health::Health;
    use crate::feed::health::tests::status;

    #[test]
    fn a_name_goes_to_the_first_live_venue() {
        let candidates = ["binance:X", "kucoin:X"].map(|text| text.parse::<Topic>().unwrap());
        let (mut health, standing, now) = (Health::default(), Standing::default(), Instant::now());
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.first());
        let down = || status(FeedState::Down, 1);
        health.hear("binance", "0", down(), now, 0);
        health.changes(now, 0);
        standing.note(health.feeds());
        let stale = |n: usize| standing.feeds().is_stale(&candidates[n]);
        assert!(stale(0) && !stale(1));
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.last());
        health.hear("kucoin", "0", down(), now, 0);
        health.changes(now, 0);
        standing.note(health.feeds());
        assert_eq!(standing.choose(&candidates).as_ref(), candidates.first());
        assert_eq!(standing.choose(&[]), None);
    }
}
