//! What the fleet counts. Few labels: the venue and the reason, never a shard or a member.

use std::collections::BTreeMap;
use std::time::Instant;

use metrics::{counter, gauge, histogram};

use crate::fleet::handle::Order;
use crate::fleet::lease::Outcome;
use crate::fleet::post::{Name, Part, Post};

/// Counters of one member.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// When a post was last asked for.
    asked: BTreeMap<Post, Instant>,
}

impl Meters {
    pub fn written(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Stored(_) => "stored",
            Outcome::Conflict => "conflict",
            Outcome::Failed => "failed",
        };
        counter!("tickwire_lease_writes_total", "outcome" => outcome).increment(1);
    }

    pub fn read_failed(&self) {
        counter!("tickwire_lease_read_errors_total").increment(1);
    }

    pub fn question_dropped(&self) {
        counter!("tickwire_lease_dropped_questions_total").increment(1);
    }

    pub fn asks(&mut self, post: &Post, now: Instant) {
        self.asked.insert(post.clone(), now);
    }

    pub fn ordered(&mut self, order: &Order) {
        let venue = order.post().venue.to_string();
        match order {
            Order::Carry { .. } => counter!("tickwire_lease_takeovers_total", "venue" => venue).increment(1),
            Order::Publish { post, .. } => {
                if let Some(asked) = self.asked.remove(post) {
                    let taken = asked.elapsed().as_secs_f64();
                    histogram!("tickwire_lease_hand_over_seconds", "venue" => venue).record(taken);
                }
            }
            Order::Stop { post, reason } => {
                self.asked.remove(post);
                let reason = reason.label();
                counter!("tickwire_lease_losses_total", "venue" => venue, "reason" => reason).increment(1);
            }
            Order::Prepare { .. } | Order::Release { .. } => {}
        }
    }

    /// Shards held by venue, of those there are.
    pub fn holds<'a>(&self, all: impl Iterator<Item = &'a Post>, held: impl Iterator<Item = &'a Post>) {
        let shards = |post: &&Post| post.part != Part::Catalogue;
        let mut counts: BTreeMap<&Name, u32> = all.map(|post| (&post.venue, 0)).collect();
        for post in held.filter(shards) {
            *counts.entry(&post.venue).or_default() += 1;
        }
        for (venue, count) in counts {
            gauge!("tickwire_lease_shards", "venue" => venue.to_string()).set(count);
        }
    }
}
