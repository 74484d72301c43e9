//! The right to publish for a shard, as the outlet and the feeds ask for it: at every message, against the clock of that
//! moment, for a process can stand still between any two.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use crate::fleet::Fence;
use crate::venue::contract::Micros;

/// Whether this process may publish for a shard.
pub trait Permit: Debug + Send + Sync {
    /// Whether it may now.
    fn is_open(&self) -> bool;
}

/// A shard's permit; clones are the same one.
pub type SharedPermit = Arc<dyn Permit>;

/// A lease's fence, read on the clock that it is set by.
#[derive(Debug, Clone)]
pub struct Fenced {
    fence: Arc<Fence>,
    /// Zero of the fence's time.
    zero: Instant,
}

impl Fenced {
    /// The permit that lasts while `fence` is open, in microseconds since `zero`.
    pub fn new(fence: Arc<Fence>, zero: Instant) -> Self {
        Self { fence, zero }
    }
}

impl Permit for Fenced {
    #[inline]
    fn is_open(&self) -> bool {
        let now = Micros::try_from(self.zero.elapsed().as_micros()).unwrap_or(Micros::MAX);
        self.fence.is_open(now)
    }
}
