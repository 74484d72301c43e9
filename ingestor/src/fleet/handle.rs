//! Between the fleet and a process's runtime: the orders one way, what the runtime has to say the other way, the
//! fences, and the clock that they are measured by.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickwire_nats::Bytes;
use tokio::sync::{mpsc, watch};

use super::fence::Fence;
use super::member::Reason;
use super::post::Post;
use crate::venue::contract::Micros;

/// What the runtime is to do; see [`crate::fleet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Subscribe and keep what comes; answer [`Handle::warm`].
    Prepare {
        /// The shard.
        post: Post,
        /// Goes back with the answer.
        turn: u64,
    },
    /// Ours, without a hand-over.
    Carry {
        /// The post.
        post: Post,
        /// Grows with every owner.
        epoch: u64,
    },
    /// Ours, with what the owner before us exported.
    Publish {
        /// The shard.
        post: Post,
        /// Grows with every owner.
        epoch: u64,
        /// As the other runtime gave them to [`Handle::released`].
        rows: Bytes,
    },
    /// Stop and export; answer [`Handle::released`].
    Release {
        /// The post.
        post: Post,
        /// Goes back with the answer.
        turn: u64,
    },
    /// Not ours any more.
    Stop {
        /// The post.
        post: Post,
        /// Why.
        reason: Reason,
    },
}

impl Order {
    /// What it is about.
    pub fn post(&self) -> &Post {
        match self {
            Self::Prepare { post, .. }
            | Self::Carry { post, .. }
            | Self::Publish { post, .. }
            | Self::Release { post, .. }
            | Self::Stop { post, .. } => post,
        }
    }
}

/// For logs: without the rows.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { post, .. } => write!(f, "prepare {post}"),
            Self::Carry { post, epoch } => write!(f, "carry {post} as of {epoch}"),
            Self::Publish { post, epoch, rows } => {
                write!(f, "go on with {post} as of {epoch}, from {} bytes", rows.len())
            }
            Self::Release { post, .. } => write!(f, "release {post}"),
            Self::Stop { post, reason } => write!(f, "stop {post}: {reason}"),
        }
    }
}

/// What the runtime has to say.
#[derive(Debug)]
pub(crate) enum Told {
    Warm { post: Post, turn: u64 },
    Released { post: Post, turn: u64, rows: Bytes },
    Weights(Vec<(Post, u64)>),
}

/// The process's monotonic clock in microseconds since its start, as leases and fences use it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// From now on. Only the clock of the same fleet means anything to its fences.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> Micros {
        self.at(Instant::now())
    }

    /// A moment that was taken before.
    #[inline]
    pub fn at(&self, instant: Instant) -> Micros {
        Micros::try_from(instant.saturating_duration_since(self.start).as_micros()).unwrap_or(Micros::MAX)
    }

    pub(super) fn instant(&self, at: Micros) -> Instant {
        // A century is as good as never, and no sum overflows.
        const FAR: Micros = 100 * 365 * 86_400 * 1_000_000;
        self.start + Duration::from_micros(at.min(FAR))
    }
}

/// The runtime's side of the fleet; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    clock: Clock,
    fences: Arc<BTreeMap<Post, Arc<Fence>>>,
    told: mpsc::Sender<Told>,
    members: watch::Sender<u32>,
}

impl Handle {
    pub(super) fn new(clock: Clock, fences: BTreeMap<Post, Arc<Fence>>, told: mpsc::Sender<Told>) -> Self {
        Self { clock, fences: Arc::new(fences), told, members: watch::Sender::new(1) }
    }

    /// The clock that fences are asked with.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The fence of a post, the same for as long as the process lives; `None` if it is of no venue of this process.
    pub fn fence(&self, post: &Post) -> Option<Arc<Fence>> {
        self.fences.get(post).map(Arc::clone)
    }

    /// How many members are alive, this one among them.
    pub fn members(&self) -> watch::Receiver<u32> {
        self.members.subscribe()
    }

    /// A prepared shard has its symbols. Waits while the fleet is busy.
    pub async fn warm(&self, post: Post, turn: u64) {
        self.tell(Told::Warm { post, turn }).await;
    }

    /// A post was stopped; `rows` is what the next owner needs. Waits while the fleet is busy.
    pub async fn released(&self, post: Post, turn: u64, rows: Bytes) {
        self.tell(Told::Released { post, turn, rows }).await;
    }

    /// Symbols of posts; posts that are not named keep theirs. Waits while the fleet is busy.
    pub async fn weights(&self, weights: Vec<(Post, u64)>) {
        self.tell(Told::Weights(weights)).await;
    }

    /// A runtime's side without a fleet: the fences of these posts are open, and what is told comes out.
    #[cfg(test)]
    pub(crate) fn alone(posts: impl IntoIterator<Item = Post>) -> (Self, mpsc::Receiver<Told>) {
        let (told, heard) = mpsc::channel(1_000);
        let fences: BTreeMap<Post, Arc<Fence>> =
            posts.into_iter().map(|post| (post, Arc::default())).collect();
        fences.values().for_each(|fence: &Arc<Fence>| fence.extend(Micros::MAX));
        (Self::new(Clock::start(), fences, told), heard)
    }

    pub(super) fn members_sender(&self) -> watch::Sender<u32> {
        self.members.clone()
    }

    async fn tell(&self, told: Told) {
        // When nobody listens, the member has left the fleet and needs to know nothing more.
        let _ = self.told.send(told).await;
    }
}
