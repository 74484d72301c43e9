//! The owner's side of a hand-over: stop, export, write the lease to the one who asked, and only then answer.

use bytes::Bytes;

use super::own::write;
use super::stage::{Giving, Stage};
use super::{Act, Drain, Member, Reason};
use crate::fleet::lease::Step;
use crate::fleet::message::{Answer, LeaseValue, Release};
use crate::fleet::post::{Name, Post};
use crate::venue::contract::Micros;

impl Member {
    /// Another member's request; `reply` names it in the `Reply`, which always comes.
    pub fn asked(&mut self, reply: u64, payload: &[u8], now: Micros) {
        match Release::read(payload) {
            None => self.refuse(reply, "cannot be read"),
            Some((post, release)) => match self.hindrance(&post, &release, now) {
                Some(reason) => self.refuse(reply, reason),
                None => self.release(post, release, reply),
            },
        }
        self.decide(now);
    }

    fn hindrance(&self, post: &Post, release: &Release, now: Micros) -> Option<&'static str> {
        let Some(Stage::Held { lease, resume: false }) = self.own.get(post) else {
            return Some("not the owner");
        };
        let open = self.fences.get(post).is_some_and(|fence| fence.is_open(now));
        if lease.wants_look() || !open || self.drain == Drain::Leaving {
            return Some("not sure to be the owner");
        }
        let knows = self.peer(&release.to, now).is_some_and(|peer| self.agrees(peer, &post.venue));
        (!knows || release.to == self.config.id).then_some("the new owner is not known here")
    }

    fn release(&mut self, post: Post, release: Release, reply: u64) {
        let turn = self.next_number();
        let Some(Stage::Held { lease, .. }) = self.own.remove(&post) else { return };
        self.acts.push(Act::Release { post: post.clone(), turn });
        self.own.insert(post, Stage::Releasing(Giving { lease, turn, release, reply, rows: None }));
    }

    /// The runtime has stopped publishing for the post; `rows` is what the next owner needs.
    pub fn released(&mut self, post: &Post, turn: u64, rows: Bytes, now: Micros) {
        if let Some(Stage::Releasing(giving)) = self.own.get_mut(post)
            && giving.turn == turn
        {
            giving.rows = Some(rows);
            self.close(post);
            self.give(post, now);
            self.decide(now);
        } else {
            self.left(post, turn, now);
        }
    }

    /// Writes the lease to the new owner, once the runtime has stopped and no other write is under way.
    fn give(&mut self, post: &Post, now: Micros) {
        let ticket = self.next_number();
        let weight = self.weight(post);
        match self.own.remove(post) {
            Some(Stage::Releasing(mut giving)) if giving.rows.is_some() && giving.lease.is_idle() => {
                let value = new_value(&giving.release, weight).to_bytes();
                let act = write(&mut giving.lease, ticket, post.to_string(), value, now, &self.config.times);
                self.acts.push(act);
                self.own.insert(post.clone(), Stage::Giving(giving));
            }
            other => self.own.extend(other.map(|stage| (post.clone(), stage))),
        }
    }

    /// The outcome of a renewal that was under way when we were asked.
    pub(super) fn renewed_while_releasing(&mut self, post: &Post, giving: Giving, step: Step, now: Micros) {
        if giving.lease.wants_look() || step == Step::Doubted {
            return self.take_back(post, giving);
        }
        match step {
            Step::Proven(sent) if giving.rows.is_none() => self.open(post, sent),
            _ => {}
        }
        self.own.insert(post.clone(), Stage::Releasing(giving));
        self.give(post, now);
    }

    /// The outcome of the write that gives it away.
    pub(super) fn given(&mut self, post: &Post, giving: Giving, step: Step, now: Micros) {
        let Step::Proven(_) = step else { return self.take_back(post, giving) };
        let Giving { lease, release, reply, rows, .. } = giving;
        let answer = Answer::HandOver { revision: lease.revision, rows: rows.unwrap_or_default() };
        self.acts.push(Act::Reply { reply, payload: answer.to_bytes() });
        self.stop(post.clone(), Reason::HandedOver);
        self.given.insert(post.clone(), now);
        let value = new_value(&release, self.weight(post));
        if let Some(seen) = self.seen.get_mut(post) {
            seen.note(lease.revision, now, || Some(value));
        }
    }

    /// The link is lost: whoever asked hears nothing more, and whether the lease was written shows in the bucket.
    pub(super) fn take_all_back(&mut self) {
        for (post, stage) in std::mem::take(&mut self.own) {
            match stage {
                Stage::Releasing(giving) | Stage::Giving(giving) => self.take_back(&post, giving),
                other => drop(self.own.insert(post, other)),
            }
        }
    }

    /// It was not given away for certain. A new write with our own name decides: once it is acknowledged, the one that
    /// gave it away can never land, and the runtime goes on.
    fn take_back(&mut self, post: &Post, giving: Giving) {
        self.refuse(giving.reply, "the lease could not be written");
        self.close(post);
        if giving.lease.wants_look() {
            self.acts.push(Act::Read);
        }
        self.own.insert(post.clone(), Stage::Held { lease: giving.lease, resume: true });
    }

    fn refuse(&mut self, reply: u64, reason: &str) {
        let payload = Answer::Refused(reason.to_owned()).to_bytes();
        self.acts.push(Act::Reply { reply, payload });
    }
}

fn new_value(release: &Release, weight: u64) -> LeaseValue {
    LeaseValue { owner: Name::clone(&release.to), nonce: Name::clone(&release.nonce), weight }
}
