//! What this edge wants of venues that carry on demand, and when it is said: a symbol at once when its first client
//! comes, all of them again and again, and all at once when an ingestor may not have heard it. What is not wanted any
//! more is not said again, and so forgotten. Owns the times; the symbols are the book's topics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tickwire_common::symbol::{Symbol, Topic};
use tickwire_common::want::WANT_REPEAT_MS;

/// How often all is said while nothing goes wrong.
const REPEAT: Duration = Duration::from_millis(WANT_REPEAT_MS);

/// The least time between saying all twice, however many shards change hands.
const APART: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Demand {
    venues: BTreeMap<String, Venue>,
}

#[derive(Debug)]
struct Venue {
    /// When all was said last.
    said: Option<Instant>,
    /// When all is said next.
    next: Instant,
    /// Symbols that were not said yet.
    fresh: Vec<Symbol>,
}

/// Symbols to be said now, by venue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Venues whose symbols are all to be said.
    pub all: BTreeSet<String>,
    /// Symbols of other venues that are new.
    pub fresh: BTreeMap<String, Vec<Symbol>>,
}

impl Demand {
    /// These venues carry on demand, and no others.
    pub fn venues<'a>(&mut self, on_demand: impl Iterator<Item = &'a str>, now: Instant) {
        let on_demand: BTreeSet<&str> = on_demand.collect();
        self.venues.retain(|venue, _| on_demand.contains(venue.as_str()));
        for venue in on_demand {
            if !self.venues.contains_key(venue) {
                self.venues.insert(venue.to_owned(), Venue { said: None, next: now, fresh: Vec::new() });
            }
        }
    }

    /// Somebody may not have heard what is wanted of this venue.
    pub fn again(&mut self, venue: &str, now: Instant) {
        if let Some(venue) = self.venues.get_mut(venue) {
            let soonest = venue.said.map_or(now, |said| now.max(said + APART));
            venue.next = venue.next.min(soonest);
        }
    }

    /// The first client of a topic is here.
    pub fn want(&mut self, topic: &Topic) {
        if let Some(venue) = self.venues.get_mut(&*topic.venue) {
            venue.fresh.push(topic.symbol.clone());
        }
    }

    /// What is to be said now; it counts as said.
    pub fn take(&mut self, now: Instant) -> Said {
        let mut out = Said::default();
        for (name, venue) in &mut self.venues {
            let fresh = std::mem::take(&mut venue.fresh);
            if venue.next <= now {
                (venue.said, venue.next) = (Some(now), now + REPEAT);
                out.all.insert(name.clone());
            } else if !fresh.is_empty() {
                out.fresh.insert(name.clone(), fresh);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(now: Instant) -> Demand {
        let mut demand = Demand::default();
        demand.venues(["a", "b"].into_iter(), now);
        assert_eq!(demand.take(now).all.len(), 2, "what clients had before the venue was known is said");
        demand
    }

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    fn all(said: Said) -> Vec<String> {
        assert!(said.fresh.is_empty());
        said.all.into_iter().collect()
    }

    #[test]
    fn a_new_symbol_is_said_at_once_and_all_are_repeated() {
        let now = Instant::now();
        let mut demand = demand(now);
        ["a:X", "a:Y", "other:X"].iter().for_each(|name| demand.want(&topic(name)));
        let said = demand.take(now);
        assert_eq!(said.fresh["a"], [topic("a:X").symbol, topic("a:Y").symbol]);
        assert!(said.fresh.len() == 1 && said.all.is_empty());
        assert_eq!(demand.take(now), Said::default());
        // What is new when all is said is among all.
        demand.want(&topic("b:Z"));
        assert_eq!(all(demand.take(now + REPEAT)), ["a", "b"]);
        assert_eq!(demand.take(now + REPEAT), Said::default());
        assert_eq!(all(demand.take(now + 2 * REPEAT)), ["a", "b"]);
    }

    #[test]
    fn all_is_said_again_at_once_but_not_all_the_time() {
        let start = Instant::now();
        let mut demand = demand(start);
        let now = start + 2 * APART;
        demand.again("a", now);
        assert_eq!(all(demand.take(now)), ["a"]);
        for _ in 0..16 {
            demand.again("a", now);
            demand.again("nobody", now);
        }
        assert_eq!(demand.take(now), Said::default());
        assert_eq!(all(demand.take(now + APART)), ["a"]);
        assert_eq!(demand.take(now + APART), Said::default());
    }

    #[test]
    fn a_venue_that_carries_everything_is_asked_for_nothing() {
        let now = Instant::now();
        let mut demand = demand(now);
        demand.venues(["b"].into_iter(), now);
        demand.want(&topic("a:X"));
        assert_eq!(all(demand.take(now + REPEAT)), ["b"]);
    }
}
