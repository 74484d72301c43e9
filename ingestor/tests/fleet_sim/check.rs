//! What must hold, and for how long it may not.

use std::collections::BTreeMap;

use tickwire_ingestor::fleet::{Part, Post};
use tickwire_ingestor::venue::contract::{Micros, SECOND};

use crate::market::{Row, Taken};
use crate::node::{Node, State};
use crate::schedule::MS;
use crate::world::World;

/// A post is carried again this long after the last disturbance: 2.4 s until its lease counts as dead, seen one poll
/// (0.4 s) late and two more where replicas are behind, and the dead member's own key up to one renewal (0.5 s) later;
/// 3 % for clocks; then the write and the read of MD_LAST.
pub const BOUND: Micros = (2_400 + 3 * 400 + 500) * 103 / 100 * MS + 400 * MS;
/// Longest time that a hand-over stops a post without any disturbance.
const HAND_OVER_MAX: Micros = 500 * MS;
/// How much later rows show: MD_LAST is up to 250 ms behind, and wall clocks differ by up to 400 ms.
const VERSIONS_BEHIND: Micros = 700 * MS;

/// What a run saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    pub rows: u64,
    pub takes: u64,
    pub hand_overs: u64,
    pub lost: u64,
    /// Longest time without a row to the client after a disturbance, over all posts.
    pub longest_hole: Micros,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.takes += other.takes;
        self.hand_overs += other.hand_overs;
        self.lost += other.lost;
        self.longest_hole = self.longest_hole.max(other.longest_hole);
    }
}

#[derive(Default)]
pub struct Checks {
    /// Since when nothing disturbs.
    pub calm_since: Micros,
    /// When each post was last carried.
    pub carried: BTreeMap<Post, Micros>,
    /// When the server last came up without its bucket.
    pub wiped_at: Option<Micros>,
    /// Sum of all jumps of wall clocks.
    pub jumped: u64,
    pub seen: Seen,
}

impl World {
    /// At most one open fence of a post, frozen processes and cut links included. Only where the bucket was just lost
    /// those do not count whose connection ended with it: what they publish reaches nobody.
    pub fn check_alone(&mut self, place: usize) -> Result<(), String> {
        let open = self.nodes[place].open_now(self.now);
        let opened = open & !std::mem::replace(&mut self.nodes[place].were_open, open);
        let just_wiped = self.checks.wiped_at.is_some_and(|at| self.now < at + 5 * SECOND / 2);
        let counts = |node: &Node| !just_wiped || node.session == self.session;
        if opened == 0 || !counts(&self.nodes[place]) {
            return Ok(());
        }
        let others = self.nodes.iter().enumerate().filter(|(at, other)| *at != place && counts(other));
        for (_, other) in others {
            let both = other.open_now(self.now) & opened;
            if both != 0 {
                let (post, id) = (&self.posts[both.trailing_zeros() as usize], &self.nodes[place].id);
                return Err(self.problem(&format!("{post} opens at {id} while it is open at {}", other.id)));
            }
        }
        Ok(())
    }

    /// Called regularly: everything that somebody could carry is carried.
    pub fn check_carried(&mut self) -> Result<(), String> {
        for post in self.posts.clone() {
            let able = |node: &Node| self.is_sound(node) && !node.drained && node.runs_venue(&post);
            let carries = |node: &Node| self.is_sound(node) && self.carries(node, &post);
            if self.nodes.iter().any(carries) || !self.nodes.iter().any(able) {
                self.checks.carried.insert(post, self.now);
                continue;
            }
            let carried = self.checks.carried.get(&post).copied().unwrap_or_default();
            if self.is_calm(BOUND) && self.now > carried + HAND_OVER_MAX {
                return Err(self
                    .problem(&format!("{post} is not carried, last {} ms ago", (self.now - carried) / MS)));
            }
        }
        self.check_shown()
    }

    /// And the client sees it.
    fn check_shown(&mut self) -> Result<(), String> {
        let allowed = BOUND + VERSIONS_BEHIND + self.checks.jumped;
        for (post, (row, at)) in &self.market.client {
            let quiet = self.now - at;
            let able =
                self.nodes.iter().any(|node| self.is_sound(node) && !node.drained && node.runs_venue(post));
            if self.is_calm(allowed) && able && quiet > SECOND {
                return Err(
                    self.problem(&format!("{post} shows nothing since {} ms, at {row:?}", quiet / MS))
                );
            }
        }
        Ok(())
    }

    /// Called for every row that reaches the client.
    pub fn check_row(&mut self, post: &Post, row: Row, taken: &Taken) -> Result<(), String> {
        self.checks.seen.rows += 1;
        match taken {
            Taken::Dropped if self.planned_only() => {
                Err(self.problem(&format!("{post} {row:?} was published twice")))
            }
            Taken::Shown(Some(before)) if self.planned_only() && row.tick != before.tick + 1 => {
                Err(self.problem(&format!("{post} went from {before:?} to {row:?}")))
            }
            Taken::Shown(Some(before)) if self.checks.jumped == 0 && row.tick < before.tick => {
                Err(self.problem(&format!("{post} went back from {before:?} to {row:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Nothing but planned moves can explain a hole: either the whole schedule is planned, or all is over.
    fn planned_only(&self) -> bool {
        let over = BOUND + VERSIONS_BEHIND + self.checks.jumped;
        self.schedule.planned || (self.now > self.schedule.rest_from && self.is_calm(over))
    }

    pub fn check_end(&mut self) -> Result<(), String> {
        self.check_carried()?;
        if let Some(node) = self.nodes.iter().find(|node| node.drained && node.runs) {
            return Err(self.problem(&format!("{} is drained and still runs", node.id)));
        }
        let here: Vec<&Node> = self.nodes.iter().filter(|node| node.runs).collect();
        let all_run_all = here.iter().all(|node| self.posts.iter().all(|post| node.runs_venue(post)));
        if all_run_all && !here.is_empty() {
            self.check_balance(&here)?;
        }
        Ok(())
    }

    /// Within 10 % of even, or so that no single move would make it better.
    fn check_balance(&self, here: &[&Node]) -> Result<(), String> {
        let weight = |post: &Post| self.weights.get(post).copied().unwrap_or(1).max(1);
        let sums: Vec<u64> = here.iter().map(|node| node.member.held().map(weight).sum()).collect();
        let (low, high) = (sums.iter().min().copied().unwrap_or(0), sums.iter().max().copied().unwrap_or(0));
        let (total, count) = (sums.iter().sum::<u64>(), sums.len() as u64);
        let even = sums.iter().all(|sum| (total * 90..=total * 110).contains(&(sum * count * 100)));
        let mut heaviest = here.iter().zip(&sums).filter(|(_, sum)| **sum == high);
        let helps = |(node, _): (&&Node, &u64)| node.member.held().any(|post| weight(post) < high - low);
        if even || !heaviest.any(helps) {
            return Ok(());
        }
        Err(self.problem(&format!("work is uneven at rest: {sums:?}")))
    }

    fn carries(&self, node: &Node, post: &Post) -> bool {
        let live = match post.part {
            Part::Catalogue => true,
            Part::Shard(_) => {
                matches!(node.carriers.get(post).map(|carrier| &carrier.state), Some(State::Live(_)))
            }
        };
        live && node.is_open(post, self.now)
    }

    /// Whether what it publishes reaches the client.
    pub fn is_sound(&self, node: &Node) -> bool {
        node.runs
            && !node.frozen
            && !node.cut
            && self.server_up
            && node.linked
            && node.session == self.session
    }

    fn is_calm(&self, since: Micros) -> bool {
        !self.lossy && self.server_up && self.now > self.checks.calm_since + since
    }

    pub fn problem(&self, what: &str) -> String {
        format!("at {} ms of {} ms: {what}", self.now / MS, self.schedule.end / MS)
    }
}
