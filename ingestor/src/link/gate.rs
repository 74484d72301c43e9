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
mod tests {
    use std::sync::Mutex as Lock;

    use super::*;
    use crate::venue::contract::SECOND;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    fn rate(count: u32) -> Rate {
        Rate { count, per: 10 * SECOND }
    }

    /// The passes of gates that are asked together, in order.
    async fn passes(gates: &[Gate], each: usize) -> Vec<Instant> {
        let passes = gates.iter().map(|gate| async move {
            let mut passed = Vec::new();
            for _ in 0..each {
                gate.pass().await;
                passed.push(Instant::now());
            }
            passed
        });
        let mut all: Vec<Instant> =
            futures_util::future::join_all(passes).await.into_iter().flatten().collect();
        all.sort_unstable();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_rate_in_any_window() {
        let passed = passes(&[Gate::new(rate(3))], 10).await;
        assert!(passed.windows(4).all(|four| four[3] - four[0] >= TEN_SECONDS));
        assert_eq!(passed[9] - passed[0], TEN_SECONDS * 3, "and no slower than the rate");
    }

    /// Counts like the server: so many in any window.
    #[derive(Debug)]
    struct Window(Rate, Lock<VecDeque<Instant>>);

    impl Budget for Window {
        fn take(&self) -> BoxFuture<'_, Taken> {
            let mut taken = self.1.lock().unwrap();
            taken.retain(|at| at.elapsed() < Duration::from_micros(self.0.per));
            let room = taken.len() < self.0.count as usize;
            if room {
                taken.push_back(Instant::now());
            }
            Box::pin(std::future::ready(if room { Taken::Yes } else { Taken::Spent }))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn processes_behind_one_address_share_the_rate() {
        let budget: Arc<dyn Budget> = Arc::new(Window(rate(4), Lock::default()));
        let (_sender, members) = watch::channel(3);
        let gates = [(); 3].map(|()| Gate::new(rate(4)).sharing(Arc::clone(&budget), members.clone()));
        let passed = passes(&gates, 5).await;
        assert!(passed.windows(5).all(|five| five[4] - five[0] >= TEN_SECONDS));
        assert!(passed[14] - passed[0] < TEN_SECONDS * 4, "a spent budget is asked again soon");
    }

    /// Cannot be asked at first, then gives always.
    #[derive(Debug)]
    struct Back(Lock<(usize, usize)>);

    impl Budget for Back {
        fn take(&self) -> BoxFuture<'_, Taken> {
            let (away, given) = &mut *self.0.lock().unwrap();
            let taken = if *away > 0 { Taken::Unreachable } else { Taken::Yes };
            *given += usize::from(*away == 0);
            *away = away.saturating_sub(1);
            Box::pin(std::future::ready(taken))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passed_without_the_budget_is_booked_when_it_is_back() {
        let budget = Arc::new(Back(Lock::new((2, 0))));
        let gate = Gate::new(rate(9)).sharing(budget.clone(), watch::channel(1).1);
        passes(&[gate], 3).await;
        assert_eq!(*budget.0.lock().unwrap(), (0, 3), "two of before, and the third");
    }

    /// Cannot be asked.
    #[derive(Debug)]
    struct Away;

    impl Budget for Away {
        fn take(&self) -> BoxFuture<'_, Taken> {
            Box::pin(std::future::ready(Taken::Unreachable))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_budget_each_process_keeps_to_its_share() {
        let (sender, members) = watch::channel(3);
        let gates = [(); 3].map(|()| Gate::new(rate(7)).sharing(Arc::new(Away), members.clone()));
        let passed = passes(&gates, 6).await;
        assert!(passed.windows(8).all(|eight| eight[7] - eight[0] >= TEN_SECONDS));
        // More processes than connects: each still gets through.
        sender.send(99).unwrap();
        gates[0].pass().await;
    }
}
