//! How often a venue's sockets may be opened: one gate for all sockets of a venue, so that a mass disconnect does not
//! become a breach of the venue's connect limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::venue::facts::Rate;

/// Lets at most `count` through in any `per`.
#[derive(Debug)]
pub struct Gate {
    rate: Rate,
    passed: Mutex<VecDeque<Instant>>,
}

impl Gate {
    /// A gate nobody has passed yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, passed: Mutex::new(VecDeque::new()) }
    }

    /// Waits for a place. First come, first served.
    pub async fn pass(&self) {
        // Held while waiting: those behind queue up in order.
        let mut passed = self.passed.lock().await;
        if passed.len() >= self.rate.count.max(1) as usize
            && let Some(oldest) = passed.front().copied()
        {
            tokio::time::sleep_until(oldest + Duration::from_micros(self.rate.per)).await;
            passed.pop_front();
        }
        passed.push_back(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::contract::SECOND;

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_rate_in_any_window() {
        let gate = Gate::new(Rate { count: 3, per: 10 * SECOND });
        let mut passed = Vec::new();
        for _ in 0..10 {
            gate.pass().await;
            passed.push(Instant::now());
        }
        assert!(passed.windows(4).all(|four| four[3] - four[0] >= Duration::from_secs(10)));
        assert_eq!(passed[9] - passed[0], Duration::from_secs(30), "and no slower than the rate");
    }
}
