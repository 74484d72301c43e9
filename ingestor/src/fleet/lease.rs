//! One key of `md_leases`, from both sides. [`Seen`] is somebody's key: alive while its revision changes, by our own
//! monotonic clock. [`Lease`] is a key of our own: written by compare-and-swap only, and what each outcome of a write
//! proves. Knows neither wall clocks nor what the key is for.

use super::post::Name;
use crate::venue::contract::{Micros, SECOND};

/// The protocol's times. All members of a fleet must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a lease lives after its last write.
    pub ttl: Micros,
    /// From one write of a lease to the next.
    pub renew: Micros,
    /// How much earlier than `ttl` the owner stops by itself.
    pub fence_margin: Micros,
    /// How much longer than `ttl` a taker waits. With `fence_margin` it bounds how far two clocks may run apart
    /// within one lease: 30 %.
    pub take_margin: Micros,
    /// From one read of the whole bucket to the next.
    pub poll: Micros,
    /// How long members and weights must not have changed before posts move between living members.
    pub stable: Micros,
    /// Longest wait for the answer to a request for a post. Below `ttl`: the answer counts from its request.
    pub ask_timeout: Micros,
    /// Pause before a refused or unanswered request is made again.
    pub ask_again: Micros,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            ttl: 2 * SECOND,
            renew: SECOND / 2,
            fence_margin: SECOND / 5,
            take_margin: 2 * SECOND / 5,
            poll: 2 * SECOND / 5,
            stable: 2 * SECOND,
            ask_timeout: SECOND,
            ask_again: SECOND / 2,
        }
    }
}

impl Times {
    /// Until when a write that was sent at `sent` allows publishing, once it is acknowledged.
    pub fn fence_until(&self, sent: Micros) -> Micros {
        sent.saturating_add(self.ttl.saturating_sub(self.fence_margin))
    }

    /// Pause before a write without an answer is made again.
    pub fn retry(&self) -> Micros {
        self.renew / 5
    }

    /// How long a key must be seen unchanged until it is dead.
    pub fn dead_after(&self) -> Micros {
        self.ttl.saturating_add(self.take_margin)
    }
}

/// Somebody's key as we last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<V> {
    /// 0 if there is no such key.
    pub revision: u64,
    /// `None` if there is none or it cannot be read.
    pub value: Option<V>,
    /// Since when we see this revision.
    pub since: Micros,
}

impl<V> Seen<V> {
    /// There is no such key.
    pub fn absent(now: Micros) -> Self {
        Self { revision: 0, value: None, since: now }
    }

    /// Notes what a read showed; `read` is called if it is news. A lower revision is old news from a replica that is
    /// behind.
    pub fn note(&mut self, revision: u64, now: Micros, read: impl FnOnce() -> Option<V>) {
        if revision > self.revision {
            *self = Self { revision, value: read(), since: now };
        }
    }

    /// Nothing is known any more: the bucket refused a write that expected this revision, or may be another one.
    pub fn forget(&mut self, now: Micros) {
        *self = Self::absent(now);
    }

    /// When its owner counts as dead, unless it changes.
    pub fn dead_at(&self, times: &Times) -> Micros {
        self.since.saturating_add(times.dead_after())
    }

    /// Whether its owner counts as dead.
    pub fn is_dead(&self, times: &Times, now: Micros) -> bool {
        now >= self.dead_at(times)
    }
}

/// What the bucket said to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is written, as this revision.
    Stored(u64),
    /// The key was not as expected; nothing is written.
    Conflict,
    /// No answer: it may be written, now or later, or never.
    Failed,
}

/// What an outcome or a look at the bucket means for the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ours, proven by a write that was sent at this time.
    Proven(Micros),
    /// Nothing is proven and nothing refuted: what was proven before stays.
    Unknown,
    /// Somebody else wrote it, or it is gone; a look at the bucket will tell. Publish nothing.
    Doubted,
    /// Somebody else's.
    Lost,
}

/// A key of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Name of this tenure.
    pub nonce: Name,
    /// What the next write expects; 0 is "no such key".
    pub revision: u64,
    /// When it is to be written next.
    pub due: Micros,
    in_flight: Option<InFlight>,
    /// A write went unanswered: a later revision may be our own.
    unanswered: bool,
    /// Wait for a look at the bucket before the next write.
    look: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InFlight {
    ticket: u64,
    sent: Micros,
    /// The link was lost since: what it would prove is gone.
    void: bool,
}

impl Lease {
    /// To be written over `revision`.
    pub fn new(nonce: Name, revision: u64, due: Micros) -> Self {
        Self { nonce, revision, due, in_flight: None, unanswered: false, look: false }
    }

    /// Whether nothing is under way and nothing in doubt.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.look
    }

    /// Whether the bucket must be read before this lease can go on.
    pub fn wants_look(&self) -> bool {
        self.look
    }

    /// A write with this ticket goes out at `now`, expecting [`Lease::revision`].
    pub fn sent(&mut self, ticket: u64, now: Micros, times: &Times) {
        self.in_flight = Some(InFlight { ticket, sent: now, void: false });
        self.due = now.saturating_add(times.renew);
    }

    /// Whether this ticket is ours and under way.
    pub fn awaits(&self, ticket: u64) -> bool {
        self.in_flight.is_some_and(|write| write.ticket == ticket)
    }

    /// The outcome of the write that is under way.
    pub fn answered(&mut self, outcome: Outcome, now: Micros, times: &Times) -> Step {
        let Some(write) = self.in_flight.take() else { return Step::Unknown };
        match outcome {
            Outcome::Stored(revision) if !write.void => {
                self.revision = revision;
                (self.unanswered, self.look) = (false, false);
                Step::Proven(write.sent)
            }
            // Retried soon: the deadline runs, and compare-and-swap makes the retry harmless.
            Outcome::Stored(_) | Outcome::Failed => {
                self.unanswered = true;
                self.due = now.saturating_add(times.retry());
                Step::Unknown
            }
            Outcome::Conflict => {
                self.look = true;
                // Our own unanswered write may be what is in the way; then what was proven before still holds.
                if self.unanswered { Step::Unknown } else { Step::Doubted }
            }
        }
    }

    /// What a read of the bucket shows for this key.
    pub fn looked(&mut self, revision: u64, nonce: Option<&Name>, now: Micros) -> Step {
        let ours = nonce == Some(&self.nonce);
        if self.in_flight.is_some() {
            return Step::Unknown;
        }
        if !self.look {
            let news = !ours && revision > 0 && revision >= self.revision;
            return if news { Step::Lost } else { Step::Unknown };
        }
        if ours || revision == 0 {
            self.revision = revision;
            (self.look, self.due) = (false, now);
            Step::Unknown
        } else {
            Step::Lost
        }
    }

    /// The link is lost: answers that still come prove nothing. What is there once it is back must be looked at before
    /// the next write, for a bucket that began anew counts revisions anew, and ours may be somebody else's by then.
    pub fn link_lost(&mut self) {
        if let Some(write) = &mut self.in_flight {
            write.void = true;
        }
        (self.unanswered, self.look) = (true, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: fn() -> Times = Times::default;

    fn sent(revision: u64) -> Lease {
        let mut lease = Lease::new("a.1".into(), revision, 0);
        lease.sent(1, 100, &TIMES());
        lease
    }

    #[test]
    fn an_answer_proves_from_the_moment_of_sending() {
        let mut lease = sent(7);
        assert!(lease.awaits(1) && !lease.awaits(2) && !lease.is_idle());
        assert_eq!(lease.answered(Outcome::Stored(8), 9_000, &TIMES()), Step::Proven(100));
        assert_eq!((lease.revision, lease.due, lease.is_idle()), (8, 100 + TIMES().renew, true));
        assert_eq!(lease.answered(Outcome::Conflict, 0, &TIMES()), Step::Unknown, "an outcome counts once");
    }

    #[test]
    fn a_conflict_is_doubt_at_once_unless_a_write_went_unanswered() {
        let mut lease = sent(7);
        assert_eq!(lease.answered(Outcome::Conflict, 1, &TIMES()), Step::Doubted);
        assert_eq!(lease.looked(9, Some(&"b.1".into()), 1), Step::Lost);

        let mut lease = sent(7);
        assert_eq!(lease.answered(Outcome::Failed, 500, &TIMES()), Step::Unknown);
        assert_eq!(lease.due, 500 + TIMES().retry());
        lease.sent(2, 500, &TIMES());
        assert_eq!(
            lease.answered(Outcome::Conflict, 600, &TIMES()),
            Step::Unknown,
            "our first write may have landed"
        );
        assert_eq!(lease.looked(8, Some(&"a.1".into()), 700), Step::Unknown);
        assert_eq!((lease.revision, lease.due, lease.is_idle()), (8, 700, true), "it has; go on from there");
    }

    #[test]
    fn a_bucket_that_forgot_the_key_gets_it_back() {
        let mut lease = sent(7);
        lease.answered(Outcome::Conflict, 1, &TIMES());
        assert_eq!(lease.looked(0, None, 5), Step::Unknown);
        assert_eq!((lease.revision, lease.due, lease.is_idle()), (0, 5, true));
    }

    #[test]
    fn answers_from_before_the_link_was_lost_prove_nothing() {
        let mut lease = sent(7);
        lease.link_lost();
        assert_eq!(lease.answered(Outcome::Stored(8), 1, &TIMES()), Step::Unknown);
        assert!(lease.wants_look(), "revision 7 may be another's now");
        assert_eq!(lease.looked(7, Some(&"b.1".into()), 5), Step::Lost);
    }

    #[test]
    fn a_later_write_of_another_is_loss_and_an_older_look_is_nothing() {
        let mut lease = sent(7);
        lease.answered(Outcome::Stored(8), 1, &TIMES());
        assert_eq!(lease.looked(6, Some(&"z".into()), 1), Step::Unknown, "a replica that is behind");
        assert_eq!(lease.looked(9, Some(&"b.1".into()), 1), Step::Lost);
        assert_eq!(lease.looked(9, None, 1), Step::Lost, "garbage over our key");
        assert_eq!(lease.looked(8, Some(&"b.1".into()), 1), Step::Lost, "revisions began anew");
    }

    #[test]
    fn a_key_is_dead_when_it_does_not_change_for_long_enough() {
        let mut seen = Seen::absent(0);
        seen.note(5, 1_000, || Some('a'));
        seen.note(5, 2_000, || Some('b'));
        assert_eq!((seen.value, seen.since), (Some('a'), 1_000));
        let dead = 1_000 + TIMES().dead_after();
        assert!(!seen.is_dead(&TIMES(), dead - 1) && seen.is_dead(&TIMES(), dead));
        seen.note(4, 3_000, || None);
        assert_eq!((seen.revision, seen.since), (5, 1_000), "old news");
        seen.note(6, 4_000, || None);
        assert_eq!(seen.since, 4_000, "any change is a sign of life");
        seen.forget(5_000);
        seen.note(2, 6_000, || Some('c'));
        assert_eq!((seen.value, seen.since), (Some('c'), 6_000), "revisions began anew");
    }
}
