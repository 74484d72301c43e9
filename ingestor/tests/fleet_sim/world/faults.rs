//! What the schedule does to processes, links and the server.

use fastrand::Rng;
use tickwire_ingestor::fleet::Part;
use tickwire_ingestor::venue::contract::{Micros, SECOND};

use super::{Input, World};
use crate::node::Node;
use crate::schedule::{Fault, MS};

/// Nobody drains the last process before another one has seen the fleet.
const SETTLED: Micros = 2 * SECOND;

/// A drained process waits this long for others.
const GRACE: Micros = 9 * SECOND;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) -> Result<(), String> {
        self.say(|| format!("{fault:?}"));
        if !self.schedule.planned {
            self.checks.calm_since = self.now;
        }
        match fault {
            Fault::Crash(place) => self.nodes[place].runs = false,
            Fault::Start(place) => self.start(place),
            Fault::Freeze(place) => self.nodes[place].frozen = true,
            Fault::Thaw(place) => return self.thaw(place),
            Fault::Cut(place) => self.cut(place),
            Fault::Heal(place) => return self.heal(place),
            Fault::ServerDown { wipe } => self.server_down(wipe),
            Fault::ServerUp => self.server_comes_up(),
            Fault::Lossy(lossy) => self.lossy = lossy,
            Fault::WallJump(place, jump) => {
                self.nodes[place].wall_offset += jump;
                self.checks.jumped += jump.unsigned_abs();
            }
            Fault::Drain(place) => return self.drain(place),
            Fault::Weights(seed) => return self.change_weights(seed),
        }
        Ok(())
    }

    pub(super) fn start(&mut self, place: usize) {
        if self.nodes[place].runs {
            return;
        }
        let life = self.nodes[place].life + 1;
        let venues = self.venues_of(place);
        let cut = self.nodes[place].cut;
        self.nodes[place] = Node::new(place, life, venues, &self.posts, &mut self.rng);
        self.nodes[place].cut = cut;
        let at = self.now + self.rng.u64(10 * MS..200 * MS);
        self.to(at, (place, life), Input::LinkBack);
        self.to(at, (place, life), Input::Poll);
    }

    /// What waited comes in the order in which it came.
    pub(super) fn thaw(&mut self, place: usize) -> Result<(), String> {
        self.nodes[place].frozen = false;
        for event in std::mem::take(&mut self.nodes[place].backlog) {
            self.happen(event)?;
        }
        // The list may have changed meanwhile.
        let (weights, mono) = (self.weights.clone(), self.nodes[place].mono(self.now));
        self.nodes[place].member.weights(weights, mono);
        if self.nodes[place].runs { self.act(place) } else { Ok(()) }
    }

    pub(super) fn cut(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        (node.cut, node.cut_at) = (true, self.now);
        let (address, session) = ((place, node.life), node.session);
        // A cut line shows only when something times out, if at all.
        let at = self.now + self.rng.u64(..3 * SECOND);
        self.to(at, address, Input::LinkLost { session });
    }

    pub(super) fn heal(&mut self, place: usize) -> Result<(), String> {
        self.nodes[place].cut = false;
        let (address, session) = ((place, self.nodes[place].life), self.nodes[place].session);
        for (post, row) in std::mem::take(&mut self.nodes[place].held_back) {
            if session == self.session && self.server_up {
                self.publish_row(&post, row)?;
            }
        }
        if session != self.session {
            self.to(self.now, address, Input::LinkLost { session });
        }
        Ok(())
    }

    pub(super) fn server_down(&mut self, wipe: bool) {
        self.server_up = false;
        self.session += 1;
        if wipe {
            self.bucket.wipe();
            self.market.last.clear();
            self.checks.wiped_at = Some(self.now);
        }
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let (address, session, cut) = ((place, node.life), node.session, node.cut);
            if !cut {
                let at = self.now + self.rng.u64(..20 * MS);
                self.to(at, address, Input::LinkLost { session });
            }
        }
    }

    pub(super) fn server_comes_up(&mut self) {
        self.server_up = true;
        if let Some(at) = &mut self.checks.wiped_at {
            *at = self.now;
        }
    }

    pub(super) fn drain(&mut self, place: usize) -> Result<(), String> {
        let settled = |node: &Node| self.is_sound(node) && node.linked_at + SETTLED < self.now;
        let able = |node: &Node| {
            settled(node) && !node.drained && self.posts.iter().all(|post| node.runs_venue(post))
        };
        let others = self.nodes.iter().enumerate().filter(|(at, node)| *at != place && able(node));
        let node = &self.nodes[place];
        // Somebody must be left who can carry everything.
        if !node.runs || node.drained || others.count() == 0 {
            return Ok(());
        }
        self.nodes[place].drained = true;
        let (mono, deadline) = (self.nodes[place].mono(self.now), self.nodes[place].mono(self.now + GRACE));
        if !self.nodes[place].frozen {
            self.nodes[place].member.drain(deadline, mono);
            return self.act(place);
        }
        self.nodes[place].drained = false;
        Ok(())
    }

    pub(super) fn change_weights(&mut self, seed: u64) -> Result<(), String> {
        let mut rng = Rng::with_seed(seed);
        let shards = self.weights.iter_mut().filter(|(post, _)| post.part != Part::Catalogue);
        shards.for_each(|(_, weight)| *weight = rng.u64(20..150));
        for place in 0..self.nodes.len() {
            if self.nodes[place].runs && !self.nodes[place].frozen {
                let (weights, mono) = (self.weights.clone(), self.nodes[place].mono(self.now));
                self.nodes[place].member.weights(weights, mono);
                self.act(place)?;
            }
        }
        Ok(())
    }
}
