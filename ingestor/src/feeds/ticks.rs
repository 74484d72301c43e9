//! When each shard's newest tick arrived. Written by the outlet at every batch, so it is only numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Arrival of each shard's newest tick.
#[derive(Debug)]
pub struct Ticks {
    /// Unix milliseconds; 0 before the first.
    last_ms: Box<[AtomicU64]>,
}

impl Ticks {
    /// No tick yet in any of these shards.
    pub fn new(shards: u32) -> Self {
        Self { last_ms: (0..shards.max(1)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A tick of this shard arrived, Unix milliseconds.
    #[inline]
    pub fn note(&self, shard: u32, now_ms: u64) {
        if let Some(last_ms) = self.last_ms.get(shard as usize) {
            last_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When the newest arrived, Unix milliseconds.
    pub fn last(&self, shard: u32) -> Option<u64> {
        let last_ms = self.last_ms.get(shard as usize)?.load(Ordering::Relaxed);
        (last_ms > 0).then_some(last_ms)
    }
}
