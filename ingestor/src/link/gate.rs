//! How often a venue's sockets may be opened: one gate for all sockets of a venue in this process, so that a mass
//! disconnect does not become a breach of the venue's connect limit; and behind it the budget that all processes at one
//! address share. While that cannot be asked, each takes its share of the rate, and books it as soon as it can.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until};

use crate::venue::facts::Rate;

/// Shortest pause before a spent budget is asked again.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(250);

/// Longest pause; a uniform draw, so that those who wait do not ask in step.
const ASK_AGAIN_MAX: Duration = Duration::from_millis(1_000);

/// What a shared budget answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// One connect may be made now.
    Yes,
    /// Others have used it up.
    Spent,
    /// Nobody can be asked.
    Unreachable,
}

/// A budget of connects that several processes share.
pub trait Budget: fmt::Debug + Send + Sync {
    /// Takes one connect out of it.
    fn take(&self) -> BoxFuture<'_, Taken>;
}

/// Lets at most `count` through in any `per`, in this process and, with a budget, in all of them together.
#[derive(Debug)]
pub struct Gate {
    rate: Rate,
    fleet: Option<Fleet>,
    /// The last passes, at most `count`.
    passed: Mutex<VecDeque<Pass>>,
}

#[derive(Debug)]
struct Pass {
    at: Instant,
    /// Whether the budget knows of it.
    booked: bool,
}

#[derive(Debug)]
struct Fleet {
    budget: Arc<dyn Budget>,
    members: watch::Receiver<u32>,
}

impl Gate {
    /// A gate nobody has passed yet, for a process that is alone at its address.
    pub fn new(rate: Rate) -> Self {
        Self { rate, fleet: None, passed: Mutex::new(VecDeque::new()) }
    }

    /// The same, in front of a `budget` that others take from as well. `members` are the processes seen last, this one
    /// counted: what the rate is divided by while the budget cannot be asked.
    #[must_use]
    pub fn sharing(mut self, budget: Arc<dyn Budget>, members: watch::Receiver<u32>) -> Self {
        self.fleet = Some(Fleet { budget, members });
        self
    }

    /// Waits for a place. First come, first served.
    pub async fn pass(&self) {
        // Held while waiting: those behind queue up in order.
        let mut passed = self.passed.lock().await;
        let count = self.rate.count.max(1) as usize;
        sleep_until(self.room(&passed, count)).await;
        let booked = match &self.fleet {
            Some(fleet) => self.take(fleet, &mut passed, count).await,
            None => true,
        };
        while passed.len() >= count {
            passed.pop_front();
        }
        passed.push_back(Pass { at: Instant::now(), booked });
    }

    /// Takes from the budget; says whether that was possible, or only this process's share was left.
    async fn take(&self, fleet: &Fleet, passed: &mut VecDeque<Pass>, count: usize) -> bool {
        loop {
            let again = Instant::now() + pause();
            let at = match fleet.budget.take().await {
                Taken::Yes => match self.unbooked(passed) {
                    Some(earlier) => {
                        earlier.booked = true;
                        continue;
                    }
                    None => return true,
                },
                Taken::Spent => again,
                Taken::Unreachable => {
                    let members = (*fleet.members.borrow()).max(1) as usize;
                    let share = self.room(passed, (count / members).max(1));
                    if share <= Instant::now() {
                        return false;
                    }
                    share.min(again)
                }
            };
            sleep_until(at).await;
        }
    }

    /// A pass that still counts and that the budget does not know of.
    fn unbooked<'a>(&self, passed: &'a mut VecDeque<Pass>) -> Option<&'a mut Pass> {
        let per = Duration::from_micros(self.rate.per);
        passed.iter_mut().find(|pass| !pass.booked && pass.at.elapsed() < per)
    }

    /// When one more passes with at most `count` in a window.
    fn room(&self, passed: &VecDeque<Pass>, count: usize) -> Instant {
        let oldest = passed.len().checked_sub(count).and_then(|at| passed.get(at));
        oldest.map_or_else(Instant::now, |oldest| oldest.at + Duration::from_micros(self.rate.per))
    }
}

fn pause() -> Duration {
    let draw = fastrand::u64(..=(ASK_AGAIN_MAX - ASK_AGAIN_MIN).as_millis() as u64);
    ASK_AGAIN_MIN + Duration::from_millis(draw)
}

#[cfg(test)]
mod tests;
