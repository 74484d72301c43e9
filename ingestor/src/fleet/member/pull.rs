//! Posts that others hold or nobody does: what we should have, what we may take, and the asking side of a hand-over.

use bytes::Bytes;

use super::stage::{Asked, Preparing, Stage};
use super::{Act, Drain, Member, Reason};
use crate::fleet::assign::{Candidate, Load, assign};
use crate::fleet::lease::{Lease, Step};
use crate::fleet::message::{Answer, Release};
use crate::fleet::post::{Name, Part, Post};
use crate::venue::contract::Micros;

/// What the bucket says of a post that is not ours.
enum Standing {
    /// An earlier write of ours made it so, or its owner did while we did not hear.
    Ours(Name),
    Free,
    /// Its lease ran out at this time.
    Dead(Micros),
    /// Alive until this time, if nothing comes.
    Alive(Name, Micros),
}

impl Member {
    /// The runtime has the symbols of a prepared shard.
    pub fn warm(&mut self, post: &Post, turn: u64, now: Micros) {
        let preparing = match self.own.get_mut(post) {
            Some(Stage::Preparing(preparing) | Stage::Taking { prepared: Some(preparing), .. }) => preparing,
            _ => return,
        };
        if preparing.turn == turn {
            preparing.warm = true;
            self.decide(now);
        }
    }

    /// The answer to an `Ask`; `None` if there was none.
    pub fn answered(&mut self, nonce: &str, payload: Option<&Bytes>, now: Micros) {
        let asked = self.own.iter_mut().find_map(|(post, stage)| match stage {
            Stage::Preparing(preparing)
                if preparing.asked.as_ref().is_some_and(|asked| &*asked.nonce == nonce) =>
            {
                Some((post.clone(), preparing))
            }
            _ => None,
        });
        let Some((post, preparing)) = asked else { return };
        preparing.again = now.saturating_add(self.config.times.ask_again);
        let Some(asked) = preparing.asked.take() else { return };
        if let Some(Answer::HandOver { revision, rows }) = payload.and_then(Answer::read) {
            self.receive(post, asked, revision, rows, now);
        }
        self.decide(now);
    }

    /// The owner stopped and wrote the lease to us after we had asked: ours from the moment of asking.
    fn receive(&mut self, post: Post, asked: Asked, revision: u64, rows: Bytes, now: Micros) {
        self.open(&post, asked.sent);
        let act = match post.part {
            Part::Catalogue => Act::Carry { post: post.clone(), epoch: revision },
            Part::Shard(_) => Act::Publish { post: post.clone(), epoch: revision, rows },
        };
        self.acts.push(act);
        let lease = Lease::new(asked.nonce, revision, now);
        self.own.insert(post, Stage::Held { lease, resume: false });
    }

    /// Computes who should have what, if anything changed.
    pub(super) fn wish(&mut self, now: Micros) {
        let left = self.config.venues.keys().filter(|venue| self.waits_for_others(venue, now));
        self.left_to_others = left.cloned().collect();
        let candidates = self.candidates(now);
        let loads = self.loads(&candidates, now);
        let weights: Vec<u64> = loads.iter().map(|load| load.weight).collect();
        let same = candidates == self.wish.candidates;
        if !same || weights != self.wish.weights {
            self.wish.stable_since = now;
        }
        if !same || loads != self.wish.loads {
            self.wish.owners = assign(&candidates, &loads);
        }
        (self.wish.candidates, self.wish.weights, self.wish.loads) = (candidates, weights, loads);
    }

    fn candidates(&self, now: Micros) -> Vec<Candidate> {
        let peers = self.peers.keys().filter(|id| *id != &self.config.id);
        let able = peers.filter_map(|id| Some((id, self.peer(id, now).filter(|value| !value.draining)?)));
        let mut candidates: Vec<Candidate> = able
            .map(|(id, value)| {
                let agreed = value.venues.keys().filter(|venue| self.agrees(value, venue));
                Candidate { id: Name::clone(id), venues: agreed.cloned().collect() }
            })
            .collect();
        if !self.is_draining() {
            let ours = self.config.venues.keys().filter(|venue| !self.left_to_others.contains(*venue));
            candidates.push(Candidate { id: Name::clone(&self.config.id), venues: ours.cloned().collect() });
        }
        candidates.retain(|candidate| !candidate.venues.is_empty());
        candidates.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        candidates
    }

    /// The posts of our venues, and those of others' venues that have an owner: they weigh on others.
    fn loads(&self, candidates: &[Candidate], now: Micros) -> Vec<Load> {
        let mut posts: Vec<&Post> = self.seen.keys().collect();
        posts.retain(|post| candidates.iter().any(|candidate| candidate.venues.contains(&post.venue)));
        // Keys of a venue that was parted differently before stay for a while.
        posts.retain(|post| self.fences.contains_key(*post) || !self.config.venues.contains_key(&post.venue));
        posts.into_iter().map(|post| self.load(post, now)).collect()
    }

    fn load(&self, post: &Post, now: Micros) -> Load {
        let ours = self.own.get(post).is_some_and(Stage::counts_as_ours);
        let owner = if ours {
            Some(Name::clone(&self.config.id))
        } else {
            match self.standing(post, now) {
                Standing::Ours(_) => Some(Name::clone(&self.config.id)),
                Standing::Alive(owner, _) => Some(owner),
                Standing::Free | Standing::Dead(_) => None,
            }
        };
        Load { post: post.clone(), weight: self.weight(post), owner }
    }

    pub(super) fn weight(&self, post: &Post) -> u64 {
        let told = || self.seen.get(post)?.value.as_ref().map(|value| value.weight);
        self.weights.get(post).copied().or_else(told).unwrap_or_default().max(1)
    }

    fn standing(&self, post: &Post, now: Micros) -> Standing {
        let Some(seen) = self.seen.get(post) else { return Standing::Alive(Name::default(), Micros::MAX) };
        match &seen.value {
            Some(value) if value.owner == self.config.id => Standing::Ours(Name::clone(&value.nonce)),
            Some(value) if value.is_free() => Standing::Free,
            _ if seen.is_dead(&self.config.times, now) => Standing::Dead(seen.dead_at(&self.config.times)),
            value => {
                let owner = value.as_ref().map(|value| Name::clone(&value.owner)).unwrap_or_default();
                Standing::Alive(owner, seen.dead_at(&self.config.times))
            }
        }
    }

    /// Goes through the posts that we do not hold.
    pub(super) fn pull(&mut self, now: Micros) {
        if !matches!(self.drain, Drain::No | Drain::Until(_)) {
            return;
        }
        let posts: Vec<Post> = self.fences.keys().cloned().collect();
        for post in posts {
            match self.own.get(&post) {
                None => self.consider(post, now),
                Some(Stage::Preparing(_)) => self.go_on_preparing(post, now),
                Some(_) => {}
            }
        }
    }

    fn consider(&mut self, post: Post, now: Micros) {
        match self.standing(&post, now) {
            Standing::Ours(nonce) => self.take(post, nonce, None, now),
            _ if self.left_to_others.contains(&post.venue) => {}
            Standing::Free if self.is_wished(&post) => self.take_anew(post, None, now),
            Standing::Dead(since) if self.may_take(&post, since, now) => self.take_anew(post, None, now),
            Standing::Alive(owner, until) => {
                self.wake_at(until);
                if self.is_wished(&post) && self.may_pull(&post, &owner, now) {
                    self.prepare(post, now);
                }
            }
            Standing::Free | Standing::Dead(_) => {}
        }
    }

    fn go_on_preparing(&mut self, post: Post, now: Micros) {
        let Some(Stage::Preparing(preparing)) = self.own.get(&post) else { return };
        let mut preparing = preparing.clone();
        if let Some(until) = preparing.asked.as_ref().map(|asked| asked.until).filter(|until| now < *until) {
            return self.wake_at(until);
        }
        preparing.asked = None;
        match self.standing(&post, now) {
            Standing::Ours(nonce) => self.take(post, nonce, Some(preparing), now),
            _ if !self.is_wished(&post) => {
                self.own.remove(&post);
                self.stop(post, Reason::Cancelled);
            }
            Standing::Free | Standing::Dead(_) => self.take_anew(post, Some(preparing), now),
            Standing::Alive(owner, until) => {
                self.wake_at(until);
                if preparing.warm && self.is_alive(&owner, now) {
                    self.ask(post, preparing, owner, now);
                } else {
                    self.own.insert(post, Stage::Preparing(preparing));
                }
            }
        }
    }

    fn ask(&mut self, post: Post, mut preparing: Preparing, peer: Name, now: Micros) {
        if preparing.again <= now {
            let nonce = self.new_nonce();
            let release = Release { post: post.to_string(), to: Name::clone(&self.config.id), nonce };
            let until = now.saturating_add(self.config.times.ask_timeout);
            let (nonce, payload) = (Name::clone(&release.nonce), release.to_bytes());
            preparing.asked = Some(Asked { nonce: Name::clone(&nonce), sent: now, until });
            self.acts.push(Act::Ask { nonce, post: post.clone(), peer, payload });
            self.wake_at(until);
        } else {
            self.wake_at(preparing.again);
        }
        self.own.insert(post, Stage::Preparing(preparing));
    }

    fn prepare(&mut self, post: Post, now: Micros) {
        let turn = self.next_number();
        let warm = post.part == Part::Catalogue;
        if !warm {
            self.acts.push(Act::Prepare { post: post.clone(), turn });
        }
        let preparing = Preparing { turn, warm, again: now, asked: None };
        self.own.insert(post.clone(), Stage::Preparing(preparing));
        self.go_on_preparing(post, now);
    }

    fn take_anew(&mut self, post: Post, prepared: Option<Preparing>, now: Micros) {
        let nonce = self.new_nonce();
        self.take(post, nonce, prepared, now);
    }

    /// By compare-and-swap on what we saw, so nobody has moved it since.
    fn take(&mut self, post: Post, nonce: Name, prepared: Option<Preparing>, now: Micros) {
        let revision = self.seen.get(&post).map_or(0, |seen| seen.revision);
        let lease = Lease::new(nonce, revision, now);
        self.own.insert(post, Stage::Taking { lease, prepared });
        self.renew(now);
    }

    pub(super) fn take_stored(&mut self, post: &Post, stage: Stage, step: Step, now: Micros) {
        let Stage::Taking { lease, prepared } = stage else { return };
        match step {
            Step::Proven(_) if !matches!(self.drain, Drain::No | Drain::Until(_)) => {
                self.leave_one(post.clone(), lease, now);
            }
            Step::Proven(sent) => {
                self.open(post, sent);
                self.acts.push(Act::Carry { post: post.clone(), epoch: lease.revision });
                self.own.insert(post.clone(), Stage::Held { lease, resume: false });
            }
            Step::Unknown if !lease.wants_look() => {
                self.own.insert(post.clone(), Stage::Taking { lease, prepared });
            }
            Step::Unknown | Step::Doubted | Step::Lost => {
                if let Some(seen) = self.seen.get_mut(post) {
                    seen.forget(now);
                }
                self.own.extend(prepared.map(|preparing| (post.clone(), Stage::Preparing(preparing))));
                self.acts.push(Act::Read);
            }
        }
    }

    /// Those who held a post before the link was lost go first when it is back; a take that landed shows in the bucket.
    pub(super) fn give_up_takes(&mut self) {
        for (post, stage) in std::mem::take(&mut self.own) {
            let kept = match stage {
                Stage::Taking { prepared, .. } => prepared.map(Stage::Preparing),
                other => Some(other),
            };
            self.own.extend(kept.map(|stage| (post, stage)));
        }
    }

    fn is_wished(&self, post: &Post) -> bool {
        !self.is_draining() && self.wish.owners.get(post) == Some(&self.config.id)
    }

    /// Whoever should have it; after one more lease anybody, for the one who should may be unable to.
    fn may_take(&mut self, post: &Post, dead_since: Micros, now: Micros) -> bool {
        let free_for_all = dead_since.saturating_add(self.config.times.ttl);
        if now < free_for_all {
            self.wake_at(free_for_all);
        }
        self.is_wished(post) || (!self.is_draining() && now >= free_for_all)
    }

    fn may_pull(&mut self, post: &Post, owner: &Name, now: Micros) -> bool {
        let Some(draining) = self.peer(owner, now).map(|value| value.draining) else { return false };
        let given = self.given.get(post).copied().unwrap_or_default();
        let stable_at = self.wish.stable_since.max(given).saturating_add(self.config.times.stable);
        if !draining && now < stable_at {
            self.wake_at(stable_at);
            return false;
        }
        let preparing = |(other, stage): (&Post, &Stage)| other.venue == post.venue && stage.is_preparing();
        self.own.iter().filter(|entry| preparing(*entry)).count() < self.config.pulls_max
    }
}
