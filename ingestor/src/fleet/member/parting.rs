//! Members that part a venue into another number of shards than we do: a mistake, or a change on its way. Their shards are
//! not ours, and a symbol would be carried by both; so whoever is there keeps the venue, and the others wait until
//! nobody who disagrees is left.

use std::collections::BTreeSet;

use super::Member;
use super::stage::Stage;
use crate::fleet::message::MemberValue;
use crate::fleet::post::{Name, Post};
use crate::venue::contract::Micros;

/// A venue that other members part differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// The venue.
    pub venue: Name,
    /// Our number of shards.
    pub ours: u32,
    /// Another member's.
    pub theirs: u32,
    /// Whether we leave the venue to them.
    pub waits: bool,
}

impl Member {
    /// What living members and we do not agree on.
    pub fn disagreements(&self, now: Micros) -> BTreeSet<Disagreement> {
        let mut all = BTreeSet::new();
        for (venue, ours) in &self.config.venues {
            let waits = self.left_to_others.contains(venue);
            for (_, value) in self.others(now) {
                if let Some(theirs) = value.venues.get(venue).copied().filter(|theirs| theirs != ours) {
                    all.insert(Disagreement { venue: Name::clone(venue), ours: *ours, theirs, waits });
                }
            }
        }
        all
    }

    /// Whether a member can have posts of a venue as we see them.
    pub(super) fn agrees(&self, value: &MemberValue, venue: &Name) -> bool {
        let theirs = value.venues.get(venue);
        theirs.is_some() && self.config.venues.get(venue).is_none_or(|ours| theirs == Some(ours))
    }

    /// Whether we leave a venue to members that part it differently: those that have it, or else the first by name.
    pub(super) fn waits_for_others(&self, venue: &Name, now: Micros) -> bool {
        let is_ours = |(post, stage): (&Post, &Stage)| post.venue == *venue && stage.is_held();
        if self.own.iter().any(is_ours) {
            return false;
        }
        let differ = |value: &MemberValue| value.venues.contains_key(venue) && !self.agrees(value, venue);
        let differing: BTreeSet<&Name> =
            self.others(now).filter(|(_, value)| differ(value)).map(|(id, _)| id).collect();
        let has_some = self.seen.iter().any(|(post, seen)| {
            let owner = seen.value.as_ref().map(|value| &value.owner);
            post.venue == *venue
                && !seen.is_dead(&self.config.times, now)
                && owner.is_some_and(|owner| differing.contains(owner))
        });
        has_some || differing.first().is_some_and(|first| **first < self.config.id)
    }

    fn others(&self, now: Micros) -> impl Iterator<Item = (&Name, &MemberValue)> {
        let ids = self.peers.keys().filter(|id| *id != &self.config.id);
        ids.filter_map(move |id| Some((id, self.peer(id, now)?)))
    }
}
