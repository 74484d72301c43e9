//! Who should have which post: sticky, balanced by weight, the same in every member that sees the same. Pure; what it
//! says is a wish only, the compare-and-swap of the lease decides.
//!
//! A post stays where it is while the work is within [`UNEVEN_PERCENT`] of even; else the best single moves are made
//! until it is, or until no move helps: then two members that run the same venues differ by less than one post.

use std::collections::BTreeMap;

use tickwire_common::shard::affinity;

use super::post::{Name, Post};

/// How far from even a member's work may be before posts move for it.
pub const UNEVEN_PERCENT: u64 = 10;

/// A member that can be given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: Name,
    /// The venues it runs.
    pub venues: Vec<Name>,
}

/// A post, what it costs, and who has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The post.
    pub post: Post,
    /// Symbols in it; 0 counts as 1.
    pub weight: u64,
    /// Its owner, if that is to count as a reason to stay.
    pub owner: Option<Name>,
}

/// The wished owner of each post; posts that no candidate can do are not in it. Input in any order, ids and posts once.
pub fn assign(candidates: &[Candidate], loads: &[Load]) -> BTreeMap<Post, Name> {
    let mut plan = Plan::new(candidates, loads);
    plan.keep_present_owners();
    plan.place_the_rest();
    plan.level();
    plan.wishes()
}

struct Plan<'a> {
    candidates: Vec<&'a Candidate>,
    loads: Vec<&'a Load>,
    /// By load: the place of its candidate.
    owner: Vec<Option<usize>>,
    /// By candidate: the sum of weights.
    sums: Vec<u64>,
}

/// Moving `load` to `to`; ordered by what it gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    gain: u128,
    affinity: u64,
    load: usize,
    to: usize,
}

impl<'a> Plan<'a> {
    /// Sorted, so that the order of the input means nothing.
    fn new(candidates: &'a [Candidate], loads: &'a [Load]) -> Self {
        let mut candidates: Vec<&Candidate> = candidates.iter().collect();
        candidates.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let mut loads: Vec<&Load> = loads.iter().collect();
        loads.sort_unstable_by(|one, other| (other.weight, &one.post).cmp(&(one.weight, &other.post)));
        let (owner, sums) = (vec![None; loads.len()], vec![0; candidates.len()]);
        Self { candidates, loads, owner, sums }
    }

    fn keep_present_owners(&mut self) {
        for load in 0..self.loads.len() {
            let present = self.loads.get(load).and_then(|load| load.owner.as_ref());
            let place = present.and_then(|id| self.candidates.binary_search_by(|one| one.id.cmp(id)).ok());
            if let Some(place) = place.filter(|place| self.can(*place, load)) {
                self.give(load, place);
            }
        }
    }

    /// Heaviest first, each to whom has least.
    fn place_the_rest(&mut self) {
        for load in 0..self.loads.len() {
            if self.owner.get(load).is_some_and(Option::is_none) {
                let able = (0..self.candidates.len()).filter(|place| self.can(*place, load));
                let least = able
                    .min_by_key(|place| (self.sum(*place), std::cmp::Reverse(self.affinity(load, *place))));
                if let Some(place) = least {
                    self.give(load, place);
                }
            }
        }
    }

    /// Every move makes the sum of squares smaller, so it ends.
    fn level(&mut self) {
        while !self.is_even() {
            let Some(best) = self.best_move() else { return };
            self.give(best.load, best.to);
        }
    }

    fn is_even(&self) -> bool {
        let total: u128 = self.sums.iter().map(|sum| u128::from(*sum)).sum();
        let count = self.sums.len() as u128;
        let (low, high) =
            (total * u128::from(100 - UNEVEN_PERCENT), total * u128::from(100 + UNEVEN_PERCENT));
        self.sums.iter().all(|sum| (low..=high).contains(&(u128::from(*sum) * count * 100)))
    }

    fn best_move(&self) -> Option<Move> {
        let moves = (0..self.loads.len()).flat_map(|load| self.moves_of(load));
        moves.max_by(|one, other| {
            let key = |m: &Move| (m.gain, m.affinity, std::cmp::Reverse((m.load, m.to)));
            key(one).cmp(&key(other))
        })
    }

    fn moves_of(&self, load: usize) -> impl Iterator<Item = Move> + '_ {
        let from = self.owner.get(load).copied().flatten();
        let weight = self.weight(load);
        (0..self.candidates.len()).filter_map(move |to| {
            let from = from.filter(|from| *from != to)?;
            let apart = self.sum(from).checked_sub(self.sum(to))?.checked_sub(weight)?;
            let helps = apart > 0 && self.can(to, load);
            helps.then(|| Move {
                gain: u128::from(weight) * u128::from(apart),
                affinity: self.affinity(load, to),
                load,
                to,
            })
        })
    }

    fn can(&self, place: usize, load: usize) -> bool {
        let (Some(candidate), Some(load)) = (self.candidates.get(place), self.loads.get(load)) else {
            return false;
        };
        candidate.venues.contains(&load.post.venue)
    }

    fn give(&mut self, load: usize, to: usize) {
        let weight = self.weight(load);
        let before = self.owner.get_mut(load).and_then(|owner| owner.replace(to));
        if let Some(sum) = before.and_then(|place| self.sums.get_mut(place)) {
            *sum = sum.saturating_sub(weight);
        }
        if let Some(sum) = self.sums.get_mut(to) {
            *sum = sum.saturating_add(weight);
        }
    }

    /// Bounded, so that weights from outside never overflow a sum.
    fn weight(&self, load: usize) -> u64 {
        self.loads.get(load).map_or(1, |load| load.weight.clamp(1, u64::from(u32::MAX)))
    }

    fn sum(&self, place: usize) -> u64 {
        self.sums.get(place).copied().unwrap_or_default()
    }

    fn affinity(&self, load: usize, place: usize) -> u64 {
        let (Some(load), Some(candidate)) = (self.loads.get(load), self.candidates.get(place)) else {
            return 0;
        };
        affinity(&load.post.to_string(), &candidate.id)
    }

    fn wishes(&self) -> BTreeMap<Post, Name> {
        let owned = self.loads.iter().zip(&self.owner);
        let named = owned.filter_map(|(load, owner)| {
            Some((load.post.clone(), Name::clone(&self.candidates.get((*owner)?)?.id)))
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests;
