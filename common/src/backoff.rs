//! How long to wait before trying again: exponential, capped, with full jitter, so that a hundred pods cut at the
//! same moment do not come back at the same moment. Only counts and draws; the caller sleeps.
//!
//! The rule is "full jitter" of <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>:
//! a uniform draw from nothing up to `min(max, first * 2^attempt)`.

use std::time::Duration;

use thiserror::Error;

/// Delays of one link. Starts over only once the link has proved itself, see [`Backoff::proved`].
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    settle: Duration,
    attempt: u32,
    rng: fastrand::Rng,
}

/// Bounds that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BackoffError {
    /// A ceiling of zero would retry in a tight loop.
    #[error("the first back-off must be longer than zero")]
    Zero,
    /// The first ceiling lies above the last.
    #[error("the first back-off ({first:?}) is longer than the longest ({max:?})")]
    Inverted {
        /// Ceiling of the first delay.
        first: Duration,
        /// Ceiling of every delay.
        max: Duration,
    },
}

impl Backoff {
    /// `first` is the ceiling of the first delay, doubled at each attempt up to `max`. A link counts as proved after
    /// it has been up for `max`, unless [`Backoff::settle_after`] says otherwise.
    ///
    /// # Errors
    /// [`BackoffError`] if `first` is zero or above `max`.
    pub fn new(first: Duration, max: Duration) -> Result<Self, BackoffError> {
        if first.is_zero() {
            return Err(BackoffError::Zero);
        }
        if first > max {
            return Err(BackoffError::Inverted { first, max });
        }
        Ok(Self { first, max, settle: max, attempt: 0, rng: fastrand::Rng::new() })
    }

    /// Draws the same delays every time: for tests and simulations.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.rng = fastrand::Rng::with_seed(seed);
        self
    }

    /// How long a link must have been up before [`Backoff::proved`] believes it.
    #[must_use]
    pub fn settle_after(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// The delay before the next attempt, from zero to [`Backoff::ceiling`]; counts that attempt.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = u64::try_from(self.ceiling().as_nanos()).unwrap_or(u64::MAX);
        self.attempt = self.attempt.saturating_add(1);
        Duration::from_nanos(self.rng.u64(0..=ceiling))
    }

    /// The longest the next delay can be.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }

    /// Attempts counted since the start or the last reset.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Tells of a link that ended after `uptime`. Starts over only if it had settled: a peer that accepts and drops
    /// at once would otherwise be called without pause. Returns whether it did.
    pub fn proved(&mut self, uptime: Duration) -> bool {
        let settled = uptime >= self.settle;
        if settled {
            self.reset();
        }
        settled
    }

    /// Starts over unconditionally: the peer is another one, or an operator asked.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn refuses_bounds_that_cannot_be_meant() {
        assert_eq!(Backoff::new(Duration::ZERO, MS).err(), Some(BackoffError::Zero));
        let inverted = BackoffError::Inverted { first: MS * 2, max: MS };
        assert_eq!(Backoff::new(MS * 2, MS).err(), Some(inverted));
        assert!(Backoff::new(MS, MS).is_ok());
    }

    #[test]
    fn ceiling_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(MS * 100, MS * 1_000).unwrap();
        let ceilings: Vec<u128> = (0..6)
            .map(|_| {
                let ceiling = backoff.ceiling().as_millis();
                backoff.next_delay();
                ceiling
            })
            .collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn only_a_settled_link_starts_over() {
        let mut backoff = Backoff::new(MS, MS * 64).unwrap().settle_after(MS * 10);
        backoff.next_delay();
        backoff.next_delay();
        assert!(!backoff.proved(MS * 9));
        assert_eq!(backoff.attempts(), 2);
        assert!(backoff.proved(MS * 10));
        assert_eq!(backoff.ceiling(), MS);
    }

    #[test]
    fn draws_spread_over_the_whole_window() {
        let mut backoff = Backoff::new(MS * 1_000, MS * 1_000).unwrap().seeded(7);
        let mut quarters = [0_u32; 4];
        for _ in 0..4_000 {
            let quarter = backoff.next_delay().as_millis().min(999) / 250;
            quarters[usize::try_from(quarter).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|&n| (900..1_100).contains(&n)), "{quarters:?}");
    }

    proptest! {
        #[test]
        fn never_above_ceiling_nor_cap(
            first in 1_u64..10_000, span in 0_u64..1_000_000, seed: u64, attempts in 1_usize..80,
        ) {
            let max = MS * u32::try_from(first + span).unwrap();
            let mut backoff = Backoff::new(MS * u32::try_from(first).unwrap(), max).unwrap().seeded(seed);
            let mut twin = backoff.clone();
            for _ in 0..attempts {
                let ceiling = backoff.ceiling();
                prop_assert!(ceiling <= max);
                let delay = backoff.next_delay();
                prop_assert!(delay <= ceiling);
                prop_assert!(backoff.ceiling() >= ceiling, "a ceiling never shrinks by itself");
                prop_assert_eq!(delay, twin.next_delay(), "a seed repeats its delays");
            }
        }
    }
}
