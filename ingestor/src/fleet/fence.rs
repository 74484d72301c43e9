//! The fence of a post: until when this process may publish for it. One number, shared between the member that moves
//! it and the publishers that ask it at every message, so asking costs one load. Knows neither clock nor lease.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::venue::contract::Micros;

/// A deadline on the process's own monotonic clock. Closed at first; time alone closes it, and only an acknowledged
/// write of the lease moves it.
#[derive(Debug, Default)]
pub struct Fence {
    /// 0 is closed: no moment lies before it.
    until: AtomicU64,
}

impl Fence {
    /// Whether publishing is allowed at `now`. Ask again for every message: a process can stand still between two.
    #[inline]
    pub fn is_open(&self, now: Micros) -> bool {
        now < self.until.load(Ordering::Acquire)
    }

    /// The first moment at which it is closed.
    pub fn until(&self) -> Micros {
        self.until.load(Ordering::Acquire)
    }

    /// Open until `until`, never shorter than before: an answer may come after that of a later write.
    pub(super) fn extend(&self, until: Micros) {
        self.until.fetch_max(until, Ordering::AcqRel);
    }

    /// Closed, until a new write is acknowledged.
    pub(super) fn close(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_a_time_and_closes_by_itself() {
        let fence = Fence::default();
        assert!(!fence.is_open(0), "closed at first");
        fence.extend(100);
        assert!(fence.is_open(99) && !fence.is_open(100) && !fence.is_open(u64::MAX));
        fence.extend(50);
        assert_eq!(fence.until(), 100, "an older answer does not shorten it");
        fence.close();
        assert!(!fence.is_open(0) && !fence.is_open(99));
    }
}
