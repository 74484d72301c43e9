//! One member of the fleet as a state machine: what it saw, what it was answered and what time it is go in, what is to
//! be done comes out. The only place that decides about leases. No clock, no I/O, no spawn.
//!
//! Inputs are grouped by file: reading the bucket here, own leases in `own`, posts of others in `pull`, hand-over to
//! others in `give`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

pub use self::act::{Act, Reason};
pub use self::parting::Disagreement;
use self::stage::Stage;
use super::assign::{Candidate, Load};
use super::fence::Fence;
use super::lease::{Lease, Outcome, Seen, Times};
use super::message::{LeaseValue, MemberValue};
use super::post::{Name, Post, member_key, member_of_key};
use crate::venue::contract::Micros;

mod act;
mod give;
mod own;
mod parting;
mod pull;
mod stage;

/// Who a member is. Its id must be new at every start of the process.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// `[A-Za-z0-9_-]`, at most 64.
    pub id: Name,
    /// The venues it runs, and how many shards each has.
    pub venues: BTreeMap<Name, u32>,
    /// The protocol's times.
    pub times: Times,
    /// Shards of a venue that are prepared at the same time, at most.
    pub pulls_max: usize,
}

/// A key of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, like `shard.binance.3`.
    pub key: String,
    /// Revision of its last write.
    pub revision: u64,
    /// Its value.
    pub value: Bytes,
}

/// The state machine.
#[derive(Debug)]
pub struct Member {
    config: MemberConfig,
    fences: BTreeMap<Post, Arc<Fence>>,
    connected: bool,
    last_view: Option<Micros>,
    peers: BTreeMap<Name, Seen<MemberValue>>,
    seen: BTreeMap<Post, Seen<LeaseValue>>,
    weights: BTreeMap<Post, u64>,
    /// Own key.
    me: Lease,
    /// Posts that we hold or are after.
    own: BTreeMap<Post, Stage>,
    /// When we last gave each post away: two members whose views differ for a moment must not pull it to and fro.
    given: BTreeMap<Post, Micros>,
    wish: Wish,
    /// Venues that others part differently and have.
    left_to_others: BTreeSet<Name>,
    drain: Drain,
    counter: u64,
    /// When the next own key is to be written.
    renewal: Option<Micros>,
    /// When time alone changes anything else.
    wake: Option<Micros>,
    acts: Vec<Act>,
}

/// The last assignment, with what it was computed from.
#[derive(Debug, Default)]
struct Wish {
    candidates: Vec<Candidate>,
    weights: Vec<u64>,
    loads: Vec<Load>,
    owners: BTreeMap<Post, Name>,
    /// Since when candidates and weights are as they are.
    stable_since: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// Carrying.
    No,
    /// The others are to pull everything until then.
    Until(Micros),
    /// What is left is being released.
    Leaving,
    /// Nothing is left; the own key is to say so.
    Goodbye,
    /// The own key says so, or could not.
    Gone,
}

impl Member {
    /// A member that holds nothing, without a link.
    pub fn new(config: MemberConfig) -> Self {
        let posts = config.venues.iter().flat_map(|(venue, shards)| Post::all_of(venue, *shards));
        Self {
            fences: posts.map(|post| (post, Arc::default())).collect(),
            connected: false,
            last_view: None,
            peers: BTreeMap::new(),
            seen: BTreeMap::new(),
            weights: BTreeMap::new(),
            me: Lease::new(Name::clone(&config.id), 0, 0),
            own: BTreeMap::new(),
            given: BTreeMap::new(),
            wish: Wish::default(),
            left_to_others: BTreeSet::new(),
            drain: Drain::No,
            counter: 0,
            renewal: None,
            wake: None,
            acts: Vec::new(),
            config,
        }
    }

    /// The fence of a post, the same for as long as the member lives; `None` if it is of no venue of ours.
    pub fn fence(&self, post: &Post) -> Option<Arc<Fence>> {
        self.fences.get(post).map(Arc::clone)
    }

    /// Every post of our venues, with its fence.
    pub fn fences(&self) -> impl Iterator<Item = (&Post, &Arc<Fence>)> {
        self.fences.iter()
    }

    /// Posts that are ours, as far as we know; the fence says whether we may publish for them.
    pub fn held(&self) -> impl Iterator<Item = &Post> {
        self.own.iter().filter(|(_, stage)| stage.is_held()).map(|(post, _)| post)
    }

    /// Members seen alive, this one among them.
    pub fn members_alive(&self, now: Micros) -> u32 {
        let peers = self.peers.keys().filter(|id| self.is_alive(id, now)).count();
        u32::try_from(peers).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// When [`Member::tick`] wants to be called next.
    pub fn next_deadline(&self) -> Option<Micros> {
        [self.renewal, self.wake].into_iter().flatten().min()
    }

    /// What is to be done, in order. Empties it.
    pub fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// Time has passed. Harmless when called early.
    pub fn tick(&mut self, now: Micros) {
        // Mostly it is a lease that is due, which changes nothing else.
        if self.connected && self.wake.is_some_and(|wake| now < wake) {
            self.renew(now)
        } else {
            self.decide(now)
        }
    }

    /// Symbols of posts; posts that are not named keep theirs.
    pub fn weights(&mut self, weights: impl IntoIterator<Item = (Post, u64)>, now: Micros) {
        self.weights.extend(weights);
        self.decide(now);
    }

    /// The link to NATS is down: nothing that is published now can be of use, and other members may write unseen.
    pub fn nats_lost(&mut self) {
        self.connected = false;
        self.fences.values().for_each(|fence| fence.close());
        self.me.link_lost();
        self.give_up_takes();
        self.take_all_back();
        self.own.values_mut().filter_map(Stage::lease_mut).for_each(Lease::link_lost);
    }

    /// The link is up, and everything subscribed is active on it.
    pub fn nats_back(&mut self, now: Micros) {
        self.connected = true;
        self.last_view = None;
        // The bucket may be another one, whose revisions began anew.
        self.seen.values_mut().for_each(|seen| seen.forget(now));
        self.peers.values_mut().for_each(|seen| seen.revision = 0);
        self.acts.push(Act::Read);
        self.decide(now);
    }

    /// A read of the whole bucket. Must be given in the order in which the reads were made.
    pub fn view(&mut self, entries: &[Entry], now: Micros) {
        if !self.connected {
            return;
        }
        self.note(entries, now);
        let gap = self.last_view.is_none_or(|last| now.saturating_sub(last) > self.config.times.ttl);
        if gap {
            self.start_waits_over(now);
        }
        self.last_view = Some(now);
        self.look_at_own(entries, now);
        self.decide(now);
    }

    /// The outcome of a write.
    pub fn stored(&mut self, ticket: u64, outcome: Outcome, now: Micros) {
        let renewed = if self.me.awaits(ticket) {
            self.me_stored(outcome, now);
            !self.is_draining()
        } else if let Some(post) = self.post_of(ticket) {
            let settled = self.own.get(&post).is_some_and(Stage::is_settled);
            self.post_stored(&post, outcome, now);
            settled
        } else {
            return;
        };
        // By far the most frequent case changes nothing but the time of the next renewal.
        if renewed && matches!(outcome, Outcome::Stored(_)) { self.renew(now) } else { self.decide(now) }
    }

    fn note(&mut self, entries: &[Entry], now: Micros) {
        for entry in entries {
            if let Some(id) = member_of_key(&entry.key) {
                let seen = self.peers.entry(Name::from(id)).or_insert_with(|| Seen::absent(now));
                seen.note(entry.revision, now, || MemberValue::read(&entry.value));
            } else if let Some(post) = Post::of_key(&entry.key) {
                let seen = self.seen.entry(post).or_insert_with(|| Seen::absent(now));
                seen.note(entry.revision, now, || LeaseValue::read(&entry.value));
            }
        }
        // A key that vanished is no word of its owner: it may have been lost with the bucket.
        let is_there = |id: &Name| entries.iter().any(|entry| member_of_key(&entry.key) == Some(id));
        let times = self.config.times;
        self.peers.retain(|id, seen| !seen.is_dead(&times, now) || is_there(id));
        for post in self.fences.keys() {
            self.seen.entry(post.clone()).or_insert_with(|| Seen::absent(now));
        }
    }

    /// After a time without reads nobody was watched, so nobody is dead yet, and nothing is known to be stable.
    fn start_waits_over(&mut self, now: Micros) {
        self.wish.stable_since = now;
        self.peers.values_mut().for_each(|seen| seen.since = now);
        self.seen.values_mut().for_each(|seen| seen.since = now);
    }

    /// Whether what we know of the others is recent enough to act on.
    fn is_watching(&self, now: Micros) -> bool {
        self.connected && self.last_view.is_some_and(|last| now.saturating_sub(last) <= self.config.times.ttl)
    }

    fn is_alive(&self, id: &str, now: Micros) -> bool {
        id != &*self.config.id && self.peer(id, now).is_some()
    }

    /// A living member's own words.
    fn peer(&self, id: &str, now: Micros) -> Option<&MemberValue> {
        let seen = self.peers.get(id).filter(|seen| !seen.is_dead(&self.config.times, now))?;
        seen.value.as_ref().filter(|value| !value.left)
    }

    fn is_draining(&self) -> bool {
        self.drain != Drain::No
    }

    /// Everything that follows from the state and the time.
    fn decide(&mut self, now: Micros) {
        self.wake = None;
        if !self.connected {
            self.renewal = None;
            self.leave_without_link(now);
            return;
        }
        self.renew(now);
        if self.is_watching(now) {
            self.wish(now);
            self.drain_on(now);
            self.pull(now);
        }
    }

    fn wake_at(&mut self, at: Micros) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn new_nonce(&mut self) -> Name {
        let number = self.next_number();
        Name::from(format!("{}.{number}", self.config.id))
    }

    fn key(&self) -> String {
        member_key(&self.config.id)
    }
}

#[cfg(test)]
mod tests;
