//! One process: the real member, its clocks, and a model of the runtime that subscribes, publishes and hands over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use tickwire_ingestor::fleet::{Fence, Member, MemberConfig, Name, Post, Times};
use tickwire_ingestor::venue::contract::Micros;

use crate::market::Row;
use crate::schedule::MS;
use crate::world::Event;

/// How far monotonic clocks run from true time, parts per million.
const DRIFT_PPM: i64 = 20_000;
/// How far wall clocks are from true time at first, in microseconds.
const WALL_OFFSET: i64 = 200_000;

pub struct Node {
    pub member: Member,
    pub id: Name,
    fences: BTreeMap<Post, Arc<Fence>>,
    /// The same by number of the post, as far as the venue is run.
    numbered: Vec<Option<Arc<Fence>>>,
    /// Which were open when we last looked.
    pub were_open: u64,
    /// Grows with every process in this place; what is addressed to an earlier one is lost.
    pub life: u32,
    pub runs: bool,
    pub drained: bool,
    pub frozen: bool,
    /// What reached the process while it was frozen.
    pub backlog: Vec<Event>,
    /// Its packets go nowhere.
    pub cut: bool,
    /// What was sent before then may still arrive.
    pub cut_at: Micros,
    /// The server's session its connection belongs to.
    pub session: u32,
    /// What the driver believes of the link.
    pub linked: bool,
    pub linked_at: Micros,
    /// Rows in the socket's buffer while the link is cut.
    pub held_back: Vec<(Post, Row)>,
    pub reads: u64,
    pub read_seen: u64,
    /// Writes that wait for their outcome.
    pub writes: BTreeSet<u64>,
    pub carriers: BTreeMap<Post, Carrier>,
    pub woken_at: Option<Micros>,
    drift_ppm: i64,
    mono_offset: Micros,
    pub wall_offset: i64,
}

/// What the runtime does for a shard.
pub struct Carrier {
    /// The exchange's ticks reach us from then on.
    pub subscribed_at: Micros,
    /// Ticks arrive in order.
    pub delivered_at: Micros,
    pub state: State,
    /// A tick of this tenure, or of the one that handed over to it, was published: what came before is known.
    pub sure: bool,
    pub flush_due: bool,
    pub last_kept_at: Micros,
}

pub enum State {
    /// Keeps ticks, publishes nothing.
    Warming(Vec<u64>),
    /// Waits for MD_LAST, since this epoch.
    Reading(Vec<u64>, u64),
    Live(Row),
    Released(Row),
}

impl Node {
    pub fn new(place: usize, life: u32, venues: BTreeMap<Name, u32>, posts: &[Post], rng: &mut Rng) -> Self {
        let id = Name::from(format!("m{place}-{life}"));
        let config = MemberConfig { id: Name::clone(&id), venues, times: Times::default(), pulls_max: 8 };
        let member = Member::new(config);
        let numbered = posts.iter().map(|post| member.fence(post)).collect();
        let fences = member.fences().map(|(post, fence)| (post.clone(), Arc::clone(fence))).collect();
        Self {
            member,
            id,
            fences,
            numbered,
            were_open: 0,
            life,
            runs: true,
            drained: false,
            frozen: false,
            backlog: Vec::new(),
            cut: false,
            cut_at: 0,
            session: 0,
            linked: false,
            linked_at: 0,
            held_back: Vec::new(),
            reads: 0,
            read_seen: 0,
            writes: BTreeSet::new(),
            carriers: BTreeMap::new(),
            woken_at: None,
            drift_ppm: rng.i64(-DRIFT_PPM..=DRIFT_PPM),
            mono_offset: rng.u64(..10_000 * MS),
            wall_offset: rng.i64(-WALL_OFFSET..=WALL_OFFSET),
        }
    }

    /// The process's own monotonic clock.
    pub fn mono(&self, now: Micros) -> Micros {
        let drift = now.cast_signed() * self.drift_ppm / 1_000_000;
        now.saturating_add_signed(drift) + self.mono_offset
    }

    /// The true time at which its clock shows `mono`; not before.
    pub fn true_time(&self, mono: Micros, now: Micros) -> Micros {
        let ahead = mono.saturating_sub(self.mono(now));
        now + ahead + ahead / 40 + 1
    }

    pub fn wall(&self, now: Micros) -> u64 {
        (1_700_000_000_000_000 + now).saturating_add_signed(self.wall_offset)
    }

    pub fn is_open(&self, post: &Post, now: Micros) -> bool {
        self.runs && self.fences.get(post).is_some_and(|fence| fence.is_open(self.mono(now)))
    }

    /// Open fences, one bit for each post by number.
    pub fn open_now(&self, now: Micros) -> u64 {
        let mono = self.mono(now);
        let is_open = |fence: &Option<Arc<Fence>>| fence.as_ref().is_some_and(|fence| fence.is_open(mono));
        let bits = self.numbered.iter().rev().map(|fence| u64::from(self.runs && is_open(fence)));
        bits.fold(0, |open, bit| open << 1 | bit)
    }

    pub fn runs_venue(&self, post: &Post) -> bool {
        self.fences.contains_key(post)
    }
}
