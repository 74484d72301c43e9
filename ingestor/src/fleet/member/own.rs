//! Own keys: written and written again, what their outcomes mean, and the end of the member.

use super::stage::Stage;
use super::{Act, Drain, Entry, Member, Reason};
use crate::fleet::lease::{Lease, Outcome, Step, Times};
use crate::fleet::message::{LeaseValue, MemberValue};
use crate::fleet::post::{Name, Post};
use crate::venue::contract::Micros;

impl Member {
    /// Takes nothing more, and lets the others pull everything until `deadline`; what is left then is released.
    /// [`Member::has_ended`] tells when all is done.
    pub fn drain(&mut self, deadline: Micros, now: Micros) {
        if self.drain == Drain::No {
            self.drain = Drain::Until(deadline);
            self.me.due = now;
            self.decide(now);
        }
    }

    /// Whether a drained member has nothing left to do.
    pub fn has_ended(&self) -> bool {
        self.drain == Drain::Gone
    }

    fn write_me(&mut self, now: Micros) {
        if !self.me.is_idle() || self.drain == Drain::Gone {
            return;
        }
        if self.me.due > now {
            self.renewal = Some(self.me.due);
            return;
        }
        let left = self.drain == Drain::Goodbye;
        let value = MemberValue { venues: self.config.venues.clone(), draining: self.is_draining(), left };
        let (ticket, key) = (self.next_number(), self.key());
        self.acts.push(write(&mut self.me, ticket, key, value.to_bytes(), now, &self.config.times));
        if left {
            self.drain = Drain::Gone;
        }
    }

    pub(super) fn me_stored(&mut self, outcome: Outcome, now: Micros) {
        self.me.answered(outcome, now, &self.config.times);
        if self.me.wants_look() {
            self.acts.push(Act::Read);
        }
    }

    /// Writes every own key that is due, and notes when the next one is.
    pub(super) fn renew(&mut self, now: Micros) {
        self.renewal = None;
        self.write_me(now);
        let mut due = Vec::new();
        let mut next = self.renewal;
        for (post, stage) in &self.own {
            if let Stage::Taking { lease, .. } | Stage::Held { lease, .. } | Stage::Leaving { lease, .. } =
                stage
                && lease.is_idle()
            {
                if lease.due <= now {
                    due.push(post.clone());
                } else {
                    next = Some(next.map_or(lease.due, |next: Micros| next.min(lease.due)));
                }
            }
        }
        self.renewal = next;
        due.into_iter().for_each(|post| self.renew_one(&post, now));
    }

    fn renew_one(&mut self, post: &Post, now: Micros) {
        let (ticket, weight) = (self.next_number(), self.weight(post));
        let owner = Name::clone(&self.config.id);
        let Some(stage) = self.own.get_mut(post) else { return };
        let owner = if let Stage::Leaving { freeing, .. } = stage {
            *freeing = true;
            Name::default()
        } else {
            owner
        };
        let Some(lease) = stage.lease_mut() else { return };
        let value = LeaseValue { owner, nonce: Name::clone(&lease.nonce), weight };
        self.acts.push(write(lease, ticket, post.to_string(), value.to_bytes(), now, &self.config.times));
    }

    pub(super) fn post_of(&self, ticket: u64) -> Option<Post> {
        let awaits = |stage: &Stage| stage.lease().is_some_and(|lease| lease.awaits(ticket));
        self.own.iter().find(|(_, stage)| awaits(stage)).map(|(post, _)| post.clone())
    }

    pub(super) fn post_stored(&mut self, post: &Post, outcome: Outcome, now: Micros) {
        let Some(mut stage) = self.own.remove(post) else { return };
        let Some(lease) = stage.lease_mut() else { return };
        let step = lease.answered(outcome, now, &self.config.times);
        match stage {
            Stage::Preparing(_) => {}
            Stage::Taking { .. } => self.take_stored(post, stage, step, now),
            Stage::Held { lease, resume } => self.renewed(post, lease, resume, step),
            Stage::Releasing(giving) => self.renewed_while_releasing(post, giving, step, now),
            Stage::Giving(giving) => self.given(post, giving, step, now),
            quitting @ Stage::Quitting { .. } => drop(self.own.insert(post.clone(), quitting)),
            // That was a renewal of before.
            Stage::Leaving { lease, freeing: false } if step != Step::Doubted && !lease.wants_look() => {
                self.leave_one(post.clone(), lease, now);
            }
            Stage::Leaving { lease, .. } => self.freed(post, &lease, step, now),
        }
    }

    fn renewed(&mut self, post: &Post, lease: Lease, resume: bool, step: Step) {
        let mut resume = resume;
        if let Step::Proven(sent) = step {
            self.open(post, sent);
            if std::mem::take(&mut resume) {
                self.acts.push(Act::Carry { post: post.clone(), epoch: lease.revision });
            }
        }
        if step == Step::Doubted {
            self.close(post);
        }
        if lease.wants_look() {
            self.acts.push(Act::Read);
        }
        self.own.insert(post.clone(), Stage::Held { lease, resume });
    }

    /// Whatever came of it: what was not freed runs out by itself.
    fn freed(&mut self, post: &Post, lease: &Lease, step: Step, now: Micros) {
        let free = LeaseValue { owner: Name::default(), nonce: Name::clone(&lease.nonce), weight: 0 };
        match (step, self.seen.get_mut(post)) {
            (Step::Proven(_), Some(seen)) => seen.note(lease.revision, now, || Some(free)),
            (_, Some(seen)) => seen.forget(now),
            (_, None) => {}
        }
    }

    /// Compares what the bucket shows with what we believe to hold.
    pub(super) fn look_at_own(&mut self, entries: &[Entry], now: Micros) {
        let key = self.key();
        let revision = entries.iter().find(|entry| entry.key == key).map_or(0, |entry| entry.revision);
        let id = Name::clone(&self.config.id);
        self.me.looked(revision, Some(&id), now);
        let mut lost = Vec::new();
        for (post, stage) in &mut self.own {
            if let (Stage::Held { lease, .. }, Some(seen)) = (stage, self.seen.get(post)) {
                let nonce = seen.value.as_ref().map(|value| &value.nonce);
                if lease.looked(seen.revision, nonce, now) == Step::Lost {
                    lost.push(post.clone());
                }
            }
        }
        for post in lost {
            self.own.remove(&post);
            self.stop(post, Reason::Lost);
        }
    }

    /// Moves a draining member towards its end.
    pub(super) fn drain_on(&mut self, now: Micros) {
        if let Drain::Until(deadline) = self.drain {
            // What was asked for may be ours already: it is passed on, not dropped.
            let is_held = |stage: &Stage| stage.lease().is_some() || stage.is_asking();
            let pullable = self.own.iter().any(|(post, stage)| is_held(stage) && self.has_taker(post, now));
            if now < deadline && pullable {
                return self.wake_at(deadline);
            }
            self.drain = Drain::Leaving;
        }
        if self.drain == Drain::Leaving {
            self.leave(now);
            self.renew(now);
        }
        if self.drain == Drain::Leaving && self.own.is_empty() {
            self.drain = Drain::Goodbye;
            self.me.due = now;
            self.renew(now);
        }
    }

    /// Without a link there is nobody to hand over to.
    pub(super) fn leave_without_link(&mut self, now: Micros) {
        match self.drain {
            Drain::No => {}
            Drain::Until(deadline) if now < deadline && !self.own.is_empty() => self.wake_at(deadline),
            _ => {
                for (post, stage) in std::mem::take(&mut self.own) {
                    if stage.is_held() || stage.is_preparing() {
                        self.stop(post, Reason::Left);
                    }
                }
                self.drain = Drain::Gone;
            }
        }
    }

    /// Has the runtime stop what is held and write its last values; then the leases are freed.
    fn leave(&mut self, now: Micros) {
        for (post, stage) in std::mem::take(&mut self.own) {
            match stage {
                Stage::Held { lease, resume: false } => {
                    let turn = self.next_number();
                    self.acts.push(Act::Release { post: post.clone(), turn });
                    self.own.insert(post, Stage::Quitting { lease, turn });
                }
                Stage::Held { lease, resume: true } => self.quit(post, lease, now),
                Stage::Preparing(_) => self.stop(post, Reason::Cancelled),
                other => drop(self.own.insert(post, other)),
            }
        }
    }

    /// The runtime has stopped it: free for anybody. One that is in doubt runs out by itself.
    fn quit(&mut self, post: Post, lease: Lease, now: Micros) {
        self.stop(post.clone(), Reason::Left);
        if !lease.wants_look() {
            self.leave_one(post, lease, now);
        }
    }

    /// The runtime has written the last values of a post that nobody asked for.
    pub(super) fn left(&mut self, post: &Post, turn: u64, now: Micros) {
        match self.own.remove(post) {
            Some(Stage::Quitting { lease, turn: asked }) if asked == turn => {
                self.quit(post.clone(), lease, now);
                self.decide(now);
            }
            other => self.own.extend(other.map(|stage| (post.clone(), stage))),
        }
    }

    pub(super) fn leave_one(&mut self, post: Post, mut lease: Lease, now: Micros) {
        lease.due = now;
        self.own.insert(post, Stage::Leaving { lease, freeing: false });
    }

    fn has_taker(&self, post: &Post, now: Micros) -> bool {
        let able = |value: &MemberValue| !value.draining && self.agrees(value, &post.venue);
        self.peers.keys().any(|id| id != &self.config.id && self.peer(id, now).is_some_and(able))
    }

    pub(super) fn stop(&mut self, post: Post, reason: Reason) {
        self.close(&post);
        self.acts.push(Act::Stop { post, reason });
    }

    pub(super) fn open(&self, post: &Post, sent: Micros) {
        if let Some(fence) = self.fences.get(post) {
            fence.extend(self.config.times.fence_until(sent));
        }
    }

    pub(super) fn close(&self, post: &Post) {
        if let Some(fence) = self.fences.get(post) {
            fence.close();
        }
    }
}

pub(super) fn write(
    lease: &mut Lease,
    ticket: u64,
    key: String,
    value: bytes::Bytes,
    now: Micros,
    times: &Times,
) -> Act {
    lease.sent(ticket, now, times);
    Act::Write { ticket, key, value, expected: lease.revision }
}
