//! The right to publish for a shard, as the outlet and the feeds ask for it: at every message, against the clock of that
//! moment, for a process can stand still between any two.

use std::fmt::Debug;
use std::sync::Arc;

use crate::fleet::{Clock, Fence};

/// Whether this process may publish for a shard.
pub trait Permit: Debug + Send + Sync {
    /// Whether it may now.
    fn is_open(&self) -> bool;
}

/// A shard's permit; clones are the same one.
pub type SharedPermit = Arc<dyn Permit>;

/// A lease's fence, asked at the moment.
#[derive(Debug, Clone)]
pub struct Fenced {
    fence: Arc<Fence>,
    clock: Clock,
}

impl Fenced {
    /// The permit that lasts while `fence` is open by `clock`, both of the same fleet.
    pub fn new(fence: Arc<Fence>, clock: Clock) -> Self {
        Self { fence, clock }
    }
}

impl Permit for Fenced {
    #[inline]
    fn is_open(&self) -> bool {
        self.fence.is_open(self.clock.now())
    }
}

/// Permits for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A permit for tests to open and close.
    #[derive(Debug)]
    pub(crate) struct Switch(pub(crate) AtomicBool);

    impl Permit for Switch {
        fn is_open(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// One that is open.
    pub(crate) fn open() -> Arc<Switch> {
        Arc::new(Switch(AtomicBool::new(true)))
    }
}
