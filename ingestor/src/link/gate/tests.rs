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
    let mut all: Vec<Instant> = futures_util::future::join_all(passes).await.into_iter().flatten().collect();
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
