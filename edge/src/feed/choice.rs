//! Who can serve a name, and who does: candidates in order of preference, and the [`Pick`] among them.

use std::time::Instant;

use tickwire_common::symbol::Topic;

use super::health::Feeds;
use super::names::Found;
use super::pick::{Patience, Pick, Why};
use super::stand::{Place, Stand};

/// See the module.
#[derive(Debug)]
pub(super) struct Choice {
    candidates: Vec<Place>,
    pick: Pick,
    /// Whether the name leaves the venue open; then rows say it.
    is_open: bool,
}

impl Choice {
    /// What serves a name now.
    pub fn new(found: Found, feeds: &Feeds) -> Self {
        let (topics, is_open) = match found {
            Found::Exact(topic) => (vec![topic], false),
            Found::AnyOf(topics) => (topics, true),
        };
        let mut candidates: Vec<Place> = topics.into_iter().map(Place::new).collect();
        let pick = Pick::first(stands(&mut candidates, feeds));
        Self { candidates, pick, is_open }
    }

    /// Whether the name leaves the venue open.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Which topic serves the name.
    pub fn place(&self) -> Option<Place> {
        self.candidates.get(self.pick.chosen()).cloned()
    }

    /// Other topics can serve the name now; gives whether it must leave the one that does.
    pub fn offer(&mut self, topics: Vec<Topic>, feeds: &Feeds, now: Instant) -> bool {
        if self.candidates.iter().map(|place| &place.topic).eq(&topics) {
            return false;
        }
        let chosen = self.place();
        self.candidates = topics.into_iter().map(Place::new).collect();
        let at =
            self.candidates.iter().position(|place| Some(&place.topic) == chosen.as_ref().map(|c| &c.topic));
        match at {
            Some(at) => self.pick.renumber(at),
            None => self.pick.start_over(stands(&mut self.candidates, feeds), now),
        }
        at.is_none()
    }

    /// Looks at the feeds; gives why another topic serves the name, if one does, and when to look again at the latest.
    pub fn next(
        &mut self,
        feeds: &Feeds,
        now: Instant,
        patience: &Patience,
    ) -> (Option<Why>, Option<Instant>) {
        if self.candidates.len() < 2 {
            return (None, None);
        }
        let stands: Vec<Stand> = stands(&mut self.candidates, feeds).collect();
        let why = self.pick.next(&stands, now, patience);
        (why, self.pick.next_deadline(&stands, now, patience))
    }
}

fn stands<'a>(candidates: &'a mut [Place], feeds: &'a Feeds) -> impl Iterator<Item = Stand> + 'a {
    candidates.iter_mut().map(|place| feeds.stand(place))
}
