//! One name that clients use, on the topic that serves it at the moment.

use std::sync::Arc;
use std::time::Instant;

use tickwire_common::symbol::Topic;

use super::health::Health;
use super::names::Found;
use super::topic::{TopicId, TopicState};
use crate::hub::row::{RowFrame, ViewId};

#[derive(Debug)]
pub(super) struct ViewState {
    pub id: ViewId,
    pub name: Arc<str>,
    /// Who can serve the name, in order of preference; one, if it was asked exactly.
    pub candidates: Vec<Topic>,
    /// Whether rows say their venue: not if the name does.
    pub tells_venue: bool,
    /// Which serves it now.
    pub topic: TopicId,
    /// The newest row that was shown, from whichever venue.
    last: Option<Arc<RowFrame>>,
    /// Seats taken, by worker.
    seats: Vec<u32>,
    /// Since when no seat is taken.
    pub idle_since: Option<Instant>,
    /// Whether it waits among the lingering, where every view has one place at most.
    pub lingers: bool,
}

impl ViewState {
    pub fn new(id: ViewId, name: &str, found: Found, topic: TopicId, workers: usize) -> Self {
        let (candidates, tells_venue) = match found {
            Found::Exact(topic) => (vec![topic], false),
            Found::AnyOf(topics) => (topics, true),
        };
        Self {
            id,
            name: name.into(),
            candidates,
            tells_venue,
            topic,
            last: None,
            seats: vec![0; workers],
            idle_since: None,
            lingers: false,
        }
    }

    /// Counts a seat of a worker.
    pub fn sit(&mut self, worker: u16) {
        self.idle_since = None;
        if let Some(seats) = self.seats.get_mut(usize::from(worker)) {
            *seats += 1;
        }
    }

    /// Counts a seat less; gives whether it was the last.
    pub fn rise(&mut self, worker: u16, now: Instant) -> bool {
        if let Some(seats) = self.seats.get_mut(usize::from(worker)) {
            *seats = seats.saturating_sub(1);
        }
        let idle = self.seats.iter().all(|seats| *seats == 0);
        if idle {
            self.idle_since = Some(now);
        }
        idle
    }

    /// Workers with a client in this view.
    pub fn workers(&self) -> impl Iterator<Item = usize> + '_ {
        self.seats.iter().enumerate().filter(|(_, seats)| **seats > 0).map(|(worker, _)| worker)
    }

    /// `v` of the newest row that was shown; 0 before the first.
    pub fn shown_v(&self) -> u64 {
        self.last.as_ref().map_or(0, |frame| frame.v)
    }

    /// The newest row, framed for this view and noted as shown; framed anew only if the row or its feed has changed.
    /// While the venue of a bare name has nothing newer, the last row of the venue before stays the newest.
    pub fn frame(&mut self, topic: &TopicState, health: &Health) -> Option<Arc<RowFrame>> {
        let Some((v, row)) = topic.last.as_ref().filter(|(v, _)| *v >= self.shown_v()) else {
            return self.last_again(health);
        };
        let stale = health.is_stale(&topic.topic.venue);
        let same = |last: &&Arc<RowFrame>| last.v == *v && last.stale == stale;
        if let Some(last) = self.last.as_ref().filter(same) {
            return Some(Arc::clone(last));
        }
        let venue = self.tells_venue.then(|| Arc::from(&*topic.topic.venue));
        let frame = Arc::new(RowFrame::new(self.id, Arc::clone(&self.name), venue, stale, *v, row.clone()));
        self.last = Some(Arc::clone(&frame));
        Some(frame)
    }

    /// The last row of the venue before, marked anew if that one's feed has changed since.
    fn last_again(&mut self, health: &Health) -> Option<Arc<RowFrame>> {
        let last = self.last.as_ref()?;
        let stale = last.venue().map_or(last.stale, |venue| health.is_stale(venue));
        if stale != last.stale {
            self.last = Some(Arc::new(last.marked(stale)));
        }
        self.last.clone()
    }

    /// Who should serve the name: the first live venue, else the one that does, else the first.
    pub fn choice(
        candidates: &[Topic],
        current: Option<&Topic>,
        is_stale: impl Fn(&str) -> bool,
    ) -> Option<Topic> {
        let live = candidates.iter().find(|topic| !is_stale(&topic.venue));
        live.or(current).or(candidates.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_common::feed::{FeedState, FeedStatus};

    #[test]
    fn the_last_row_of_a_venue_that_went_stale_says_so_after_the_move() {
        let topics = ["binance:BTC/USDT", "kucoin:BTC/USDT"].map(|text| text.parse::<Topic>().unwrap());
        let found = Found::AnyOf(topics.to_vec());
        let mut view = ViewState::new(ViewId(0), "BTC/USDT", found, TopicId(0), 1);
        let [mut before, after] = topics.map(|topic| TopicState::new(topic, ViewId(0)));
        before.take(7, br#"{"v":7}"#);
        let (mut health, now) = (Health::default(), Instant::now());
        assert!(!view.frame(&before, &health).unwrap().stale);
        let status = FeedStatus {
            state: FeedState::Down,
            since: 0,
            last_tick: None,
            symbols: 1,
            reason: None,
            shards: 1,
            demand: false,
        };
        health.hear("binance", "0", status, now);
        health.changes(now, 0);
        let shown = view.frame(&after, &health).unwrap();
        assert_eq!((shown.v, shown.stale, shown.venue()), (7, true, Some("binance")));
    }

    #[test]
    fn a_bare_name_goes_to_the_first_live_venue_and_stays_if_none_is() {
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        let candidates = [topic("binance:BTC/USDT"), topic("kucoin:BTC/USDT")];
        let (mut health, now) = (Health::default(), Instant::now());
        let set = |health: &mut Health, venue: &str, state| {
            let status = FeedStatus {
                state,
                since: 0,
                last_tick: None,
                symbols: 1,
                reason: None,
                shards: 1,
                demand: false,
            };
            health.hear(venue, "0", status, now);
            health.changes(now, 0);
        };
        let choose = |health: &Health, current| {
            ViewState::choice(&candidates, current, |venue| health.is_stale(venue)).unwrap()
        };
        assert_eq!(choose(&health, None), candidates[0]);
        set(&mut health, "binance", FeedState::Stale);
        set(&mut health, "kucoin", FeedState::Live);
        assert_eq!(choose(&health, Some(&candidates[0])), candidates[1]);
        set(&mut health, "kucoin", FeedState::Down);
        assert_eq!(choose(&health, Some(&candidates[1])), candidates[1]);
        assert_eq!(choose(&health, None), candidates[0]);
    }
}
